/* Preloaded, it shows the program a device in trouble.
 * FILE_FAIL=<part of a path>:<call>:<errno name or ms>: that file is refused so, or takes so long. Calls: open (for writing),
 * write, sync. For example .lock:open:ENOSPC or .doctor-:sync:300.
 * DISK_FREE=<KiB>:<files>:<all files>, or an errno name: what every file system has left.
 * LOOKUP=never or LOOKUP=empty: lookups of names do not end, or find nothing without an error.
 * CONNECT=<errno name or ms>: no connection is made, or each takes so long. */

#include "real.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static int named(const char *text) {
  return strncmp(text, "ENOSPC", 6) == 0   ? ENOSPC
         : strncmp(text, "EROFS", 5) == 0  ? EROFS
         : strncmp(text, "EACCES", 6) == 0 ? EACCES
         : strncmp(text, "EIO", 3) == 0    ? EIO
         : strncmp(text, "ENETUNREACH", 11) == 0 ? ENETUNREACH
                                                 : 0;
}

static void wait_ms(long ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0) {
  }
}

/* 0: nothing is wrong. 1: refused, errno is set. 2: waited for. */
static int trouble(const char *path, const char *call) {
  const char *rule = getenv("FILE_FAIL"), *colon = rule == NULL ? NULL : strchr(rule, ':');
  size_t length = strlen(call);
  if (colon == NULL || strncmp(colon + 1, call, length) != 0 || colon[1 + length] != ':') return 0;
  if (memmem(path, strlen(path), rule, (size_t)(colon - rule)) == NULL) return 0;
  const char *what = colon + 2 + length;
  if (named(what) != 0) {
    errno = named(what);
    return 1;
  }
  wait_ms(atol(what));
  return 2;
}

static int trouble_fd(int fd, const char *call) {
  char link[64], path[512];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return trouble(path, call);
}

int open64(const char *path, int flags, ...) {
  REAL(int (*real)(const char *, int, ...), "open64");
  va_list args;
  va_start(args, flags);
  mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
  va_end(args);
  if ((flags & O_ACCMODE) != O_RDONLY && trouble(path, "open") == 1) return -1;
  return real(path, flags, mode);
}

int openat(int folder, const char *name, int flags, ...) {
  REAL(int (*real)(int, const char *, int, ...), "openat");
  va_list args;
  va_start(args, flags);
  mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
  va_end(args);
  char link[64], path[1024];
  snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
  ssize_t n = readlink(link, path, 512);
  if (n > 0 && (flags & O_ACCMODE) != O_RDONLY) {
    snprintf(path + n, sizeof path - (size_t)n, "/%s", name);
    if (trouble(path, "open") == 1) return -1;
  }
  return real(folder, name, flags, mode);
}

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t (*real)(int, const void *, size_t), "write");
  return trouble_fd(fd, "write") == 1 ? -1 : real(fd, data, size);
}

int fdatasync(int fd) {
  REAL(int (*real)(int), "fdatasync");
  int is = trouble_fd(fd, "sync");
  /* The time that was named, not that of this machine's disk on top of it. */
  return is == 0 ? real(fd) : is == 1 ? -1 : 0;
}

int statvfs64(const char *restrict path, struct statvfs64 *restrict out) {
  REAL(int (*real)(const char *, struct statvfs64 *), "statvfs64");
  int result = real(path, out);
  const char *rule = getenv("DISK_FREE");
  unsigned long long kib, files, all;
  if (rule == NULL || result != 0) return result;
  if (named(rule) != 0) {
    errno = named(rule);
    return -1;
  }
  if (sscanf(rule, "%llu:%llu:%llu", &kib, &files, &all) != 3) abort();
  out->f_bsize = out->f_frsize = 1024;
  out->f_bavail = out->f_bfree = kib;
  out->f_favail = out->f_ffree = files;
  out->f_files = all;
  return 0;
}

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out) {
  REAL(int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **), "getaddrinfo");
  const char *rule = getenv("LOOKUP");
  if (rule == NULL) return real(node, service, hints, out);
  while (strcmp(rule, "never") == 0) pause();
  *out = NULL;
  return 0;
}

int connect(int fd, const struct sockaddr *to, socklen_t len) {
  REAL(int (*real)(int, const struct sockaddr *, socklen_t), "connect");
  const char *rule = getenv("CONNECT");
  int kind = 0;
  socklen_t size = sizeof kind;
  /* getaddrinfo itself connects UDP sockets. */
  if (rule == NULL || getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size) != 0 || kind != SOCK_STREAM) return real(fd, to, len);
  errno = named(rule);
  if (errno != 0) return -1;
  wait_ms(atol(rule));
  return real(fd, to, len);
}
