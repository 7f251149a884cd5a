/* Preloaded, it makes the disk refuse the journal: DISK_FAIL=<call>:<errno name>[:<first time>[-<last time>]], for example write:ENOSPC:2-4.
 * Calls: open, write, sync. Only files with ".journal" in their name are touched. With DISK_TRACE it appends a line for each
 * write and sync of a journal, and for each buffer with the text of TRACE_FOR that is handed to a socket. */

#include "real.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_int calls[3];

static int is_journal(const char *path) { return path != NULL && strstr(path, ".journal") != NULL; }

static int is_journal_fd(int fd) {
  char link[64], path[512];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return is_journal(path);
}

static void trace(const char *what) {
  const char *file = getenv("DISK_TRACE");
  if (file == NULL) return;
  FILE *out = fopen(file, "a");
  if (out == NULL) return;
  fprintf(out, "%s\n", what);
  fclose(out);
}

static int refused(int which, const char *name) {
  const char *rule = getenv("DISK_FAIL");
  size_t length = strlen(name);
  if (rule == NULL || strncmp(rule, name, length) != 0 || rule[length] != ':') return 0;
  const char *code = rule + length + 1, *from = strchr(code, ':');
  const char *to = from != NULL ? strchr(from, '-') : NULL;
  int nth = atomic_fetch_add(&calls[which], 1) + 1;
  if (nth < (from != NULL ? atoi(from + 1) : 1) || (to != NULL && nth > atoi(to + 1))) return 0;
  errno = strncmp(code, "ENOSPC", 6) == 0   ? ENOSPC
          : strncmp(code, "EROFS", 5) == 0  ? EROFS
          : strncmp(code, "EACCES", 6) == 0 ? EACCES
                                            : EIO;
  return 1;
}

int open64(const char *path, int flags, ...) {
  REAL(int (*real)(const char *, int, ...), "open64");
  va_list args;
  va_start(args, flags);
  mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
  va_end(args);
  if (is_journal(path) && (flags & O_ACCMODE) != O_RDONLY && refused(0, "open")) return -1;
  return real(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
  REAL(int (*real)(int, const char *, int, ...), "openat");
  va_list args;
  va_start(args, flags);
  mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
  va_end(args);
  if (is_journal(path) && (flags & O_ACCMODE) != O_RDONLY && refused(0, "open")) return -1;
  return real(folder, path, flags, mode);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  REAL(ssize_t (*real)(int, const void *, size_t, off64_t), "pwrite64");
  if (is_journal_fd(fd)) {
    trace("write");
    if (refused(1, "write")) return -1;
  }
  return real(fd, data, size, at);
}

int fdatasync(int fd) {
  REAL(int (*real)(int), "fdatasync");
  if (is_journal_fd(fd)) {
    trace("sync");
    if (refused(2, "sync")) return -1;
  }
  return real(fd);
}

static void look(const void *data, size_t size) {
  const char *wanted = getenv("TRACE_FOR");
  if (wanted != NULL && memmem(data, size, wanted, strlen(wanted)) != NULL) trace("send");
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
  REAL(ssize_t (*real)(int, const void *, size_t, int), "send");
  look(data, size);
  return real(fd, data, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  REAL(ssize_t (*real)(int, const struct msghdr *, int), "sendmsg");
  for (size_t i = 0; i < message->msg_iovlen; i++) look(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
  return real(fd, message, flags);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t (*real)(int, const struct iovec *, int), "writev");
  for (int i = 0; i < count; i++) look(parts[i].iov_base, parts[i].iov_len);
  return real(fd, parts, count);
}
