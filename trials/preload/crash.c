/* Preloaded into a firmware program, it counts the steps by which the program touches its journal and the network, and
 * kills it at one of them. `kiosklink-crashtest` builds and drives it; by hand it takes these environment variables:
 *
 *   KL_CRASH_DIR      the folder whose files matter: the state_dir, an absolute path. Without it only sockets count.
 *   KL_CRASH_LOG      a file to which each step adds a line: number, name, bytes, path or "socket", separated by tabs.
 *   KL_CRASH_AT       the number of the step at which the process dies by SIGKILL; without it it lives.
 *   KL_CRASH_HOW      when in that step: `before` the call (the usual), in the `middle` (half of the bytes of a write or
 *                     a send are out), `after` the call. `fails`: the process lives, but that fsync or fdatasync fails, this
 *                     once: with EIO, and at a step of odd number with ENOSPC. The kernel has dropped what it could not
 *                     write: a later sync of the same file says yes, and where those bytes were there are NULs.
 *   KL_CRASH_SHADOW   a folder on the same machine where the shim keeps what a power cut could not take: for each file
 *                     below KL_CRASH_DIR a copy as it was when it was last synced, under its inode and birth time, and in
 *                     `names` what the folder held when it was last synced. The tester rolls back with it.
 *   KL_CRASH_BOOT_ID  a file to be read in place of /proc/sys/kernel/random/boot_id: another boot.
 *   KL_CRASH_HURRY    sleep(), usleep() and nanosleep() take so many times less. Deadlines in poll() stay as they are.
 *
 * Steps are, for files in KL_CRASH_DIR: open (not with O_PATH, which only looks), write, fsync, fdatasync, ftruncate, flock,
 * lock (fcntl's record locks), rename, link, unlink, close; for IPv4
 * and IPv6 sockets: connect, send, recv (when there is something to receive), close. Subfolders are not looked into.
 * Only calls that go through the C library's dynamic symbols are seen: a program that is linked statically with its C
 * library cannot be tested so. */

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(result, name, ...)                          \
  static result (*real)(__VA_ARGS__);                    \
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, name)

enum moment { GO_ON, BEFORE, MIDDLE, AFTER, FAILS };
enum kind { OTHER, JOURNAL_FILE, JOURNAL_DIR, SOCKET };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long steps;

static void die(void) {
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) pause();
}

static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The name inside the folder, or NULL: not in it, or deeper. */
static const char *inside(const char *path) {
  const char *dir = setting("KL_CRASH_DIR");
  if (dir == NULL) return NULL;
  size_t n = strlen(dir);
  while (n > 1 && dir[n - 1] == '/') n--;
  if (strncmp(path, dir, n) != 0) return NULL;
  if (path[n] == '\0') return "";
  if (path[n] != '/') return NULL;
  const char *name = path + n + 1;
  return strchr(name, '/') == NULL ? name : NULL;
}

/* A path as the program gave it, made absolute. */
static int matters(int at, const char *path) {
  char whole[PATH_MAX * 2];
  if (path == NULL) return 0;
  if (path[0] == '/') return inside(path) != NULL;
  if (at == AT_FDCWD) {
    if (getcwd(whole, PATH_MAX) == NULL) return 0;
  } else {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t n = readlink(link, whole, PATH_MAX - 1);
    if (n < 0) return 0;
    whole[n] = '\0';
  }
  strcat(whole, "/");
  strncat(whole, path, PATH_MAX - 1);
  return inside(whole) != NULL;
}

/* What a descriptor is; for files with the path. */
static enum kind what_is(int fd, char *path) {
  int saved = errno;
  enum kind kind = OTHER;
  struct stat st;
  path[0] = '\0';
  if (fd >= 0 && fstat(fd, &st) == 0) {
    if (S_ISSOCK(st.st_mode)) {
      struct sockaddr_storage name;
      socklen_t size = sizeof name;
      if (getsockname(fd, (struct sockaddr *)&name, &size) == 0 &&
          (name.ss_family == AF_INET || name.ss_family == AF_INET6)) {
        kind = SOCKET;
        strcpy(path, "socket");
      }
    } else if (setting("KL_CRASH_DIR") != NULL && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
      ssize_t n = readlink(link, path, PATH_MAX - 1);
      path[n > 0 ? n : 0] = '\0';
      const char *name = inside(path);
      if (name != NULL) kind = S_ISDIR(st.st_mode) ? (name[0] == '\0' ? JOURNAL_DIR : OTHER) : JOURNAL_FILE;
    }
  }
  errno = saved;
  return kind;
}

/* Counts a step and says whether and when in it the process is to die; before it at once. */
static enum moment step(const char *what, const char *where, size_t bytes) {
  int saved = errno;
  enum moment moment = GO_ON;
  pthread_mutex_lock(&lock);
  unsigned long number = ++steps;
  const char *log = setting("KL_CRASH_LOG");
  if (log != NULL) {
    char line[PATH_MAX + 100];
    int n = snprintf(line, sizeof line, "%lu\t%s\t%zu\t%s\n", number, what, bytes, where);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0) {
      if (syscall(SYS_write, fd, line, (size_t)n) < 0) fd += 0;
      syscall(SYS_close, fd);
    }
  }
  const char *at = setting("KL_CRASH_AT"), *how = setting("KL_CRASH_HOW");
  if (at != NULL && strtoul(at, NULL, 10) == number) {
    moment = how == NULL || how[0] == 'b' ? BEFORE : how[0] == 'm' ? MIDDLE : how[0] == 'f' ? FAILS : AFTER;
    if (moment == BEFORE) die();
  }
  pthread_mutex_unlock(&lock);
  errno = saved;
  return moment;
}

static unsigned long at_step(void) {
  const char *at = setting("KL_CRASH_AT");
  return at != NULL ? strtoul(at, NULL, 10) : 0;
}

/* The end of a step that has been done. */
static void done(enum moment moment) {
  if (moment != GO_ON && moment != FAILS) die();
}

/* What no power cut can take. */

static void identity(const struct statx *st, char *out, size_t size) {
  long long s = 0;
  unsigned ns = 0;
  if ((st->stx_mask & STATX_BTIME) != 0) {
    s = (long long)st->stx_btime.tv_sec;
    ns = st->stx_btime.tv_nsec;
  }
  snprintf(out, size, "%llu-%lld-%u", (unsigned long long)st->stx_ino, s, ns);
}

static int raw_open(const char *path, int flags) {
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0644);
}

static void publish(const char *part, const char *whole) {
  syscall(SYS_renameat2, AT_FDCWD, part, AT_FDCWD, whole, 0);
}

/* What the kernel dropped after a sync that failed. */
static struct { unsigned long long inode; off64_t from, to; } dropped[8];
static int drops;

static void punch(int to, unsigned long long inode) {
  static const char nuls[512];
  for (int i = 0; i < drops; i++) {
    if (dropped[i].inode != inode) continue;
    for (off64_t at = dropped[i].from; at < dropped[i].to;) {
      size_t n = dropped[i].to - at < 512 ? (size_t)(dropped[i].to - at) : 512;
      if (syscall(SYS_pwrite64, to, nuls, n, at) <= 0) return;
      at += (off64_t)n;
    }
  }
}

/* A sync that fails: what came since the last one is lost, whatever a later sync says. */
static int fail_sync(int fd, unsigned long number) {
  const char *shadow = setting("KL_CRASH_SHADOW");
  struct statx st, kept;
  char id[80], path[PATH_MAX];
  if (shadow != NULL && statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) == 0 && drops < 8 &&
      S_ISREG(st.stx_mode)) {
    identity(&st, id, sizeof id);
    snprintf(path, sizeof path, "%s/%s", shadow, id);
    dropped[drops].inode = st.stx_ino;
    dropped[drops].from = statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &kept) == 0 ? (off64_t)kept.stx_size : 0;
    dropped[drops].to = (off64_t)st.stx_size;
    drops++;
  }
  errno = number % 2 == 0 ? EIO : ENOSPC;
  return -1;
}

static void keep_file(int fd) {
  const char *shadow = setting("KL_CRASH_SHADOW");
  struct statx st;
  char id[80], link[64], part[PATH_MAX], whole[PATH_MAX], piece[65536];
  if (shadow == NULL || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) != 0) return;
  identity(&st, id, sizeof id);
  snprintf(whole, sizeof whole, "%s/%s", shadow, id);
  snprintf(part, sizeof part, "%s/part-%ld", shadow, (long)syscall(SYS_gettid));
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int from = raw_open(link, O_RDONLY), to = raw_open(part, O_WRONLY | O_CREAT | O_TRUNC);
  if (from >= 0 && to >= 0) {
    long n;
    while ((n = syscall(SYS_read, from, piece, sizeof piece)) > 0) {
      if (syscall(SYS_write, to, piece, (size_t)n) != n) break;
    }
    punch(to, st.stx_ino);
    publish(part, whole);
  }
  if (from >= 0) syscall(SYS_close, from);
  if (to >= 0) syscall(SYS_close, to);
}

static void keep_names(void) {
  const char *shadow = setting("KL_CRASH_SHADOW"), *dir = setting("KL_CRASH_DIR");
  char part[PATH_MAX], whole[PATH_MAX], path[PATH_MAX], id[80], line[PATH_MAX];
  if (shadow == NULL || dir == NULL) return;
  snprintf(whole, sizeof whole, "%s/names", shadow);
  snprintf(part, sizeof part, "%s/part-%ld", shadow, (long)syscall(SYS_gettid));
  DIR *list = opendir(dir);
  int to = raw_open(part, O_WRONLY | O_CREAT | O_TRUNC);
  if (list != NULL && to >= 0) {
    struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
      struct statx st;
      if (snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) >= (int)sizeof path) continue;
      if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_BTIME, &st) != 0 || !S_ISREG(st.stx_mode)) continue;
      identity(&st, id, sizeof id);
      int n = snprintf(line, sizeof line, "%s %s\n", id, entry->d_name);
      if (syscall(SYS_write, to, line, (size_t)n) != n) break;
    }
    publish(part, whole);
  }
  if (list != NULL) closedir(list);
  if (to >= 0) syscall(SYS_close, to);
}

/* Files. */

static int opened(const char *symbol, int at, const char *path, int flags, mode_t mode, int with_at) {
  const char *boot = setting("KL_CRASH_BOOT_ID");
  if (boot != NULL && path != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) path = boot;
  enum moment moment = (flags & O_PATH) == 0 && matters(at, path) ? step("open", path, 0) : GO_ON;
  int result;
  if (with_at) {
    int (*real)(int, const char *, int, ...);
    *(void **)&real = dlsym(RTLD_NEXT, symbol);
    result = real(at, path, flags, mode);
  } else {
    int (*real)(const char *, int, ...);
    *(void **)&real = dlsym(RTLD_NEXT, symbol);
    result = real(path, flags, mode);
  }
  done(moment);
  return result;
}

#define OPEN(name, with_at, at, ...)                             \
  int name(__VA_ARGS__, int flags, ...) {                        \
    mode_t mode = 0;                                             \
    if ((flags & (O_CREAT | O_TMPFILE)) != 0) {                  \
      va_list more;                                              \
      va_start(more, flags);                                     \
      mode = (mode_t)va_arg(more, unsigned);                     \
      va_end(more);                                              \
    }                                                            \
    return opened(#name, at, path, flags, mode, with_at);        \
  }

OPEN(open, 0, AT_FDCWD, const char *path)
OPEN(open64, 0, AT_FDCWD, const char *path)
OPEN(openat, 1, dir, int dir, const char *path)
OPEN(openat64, 1, dir, int dir, const char *path)

int fsync(int fd) {
  REAL(int, "fsync", int);
  char path[PATH_MAX];
  enum kind kind = what_is(fd, path);
  if (kind != JOURNAL_FILE && kind != JOURNAL_DIR) return real(fd);
  enum moment moment = step("fsync", path, 0);
  if (moment == FAILS) return fail_sync(fd, at_step());
  int result = real(fd), saved = errno;
  if (result == 0) kind == JOURNAL_DIR ? keep_names() : keep_file(fd);
  done(moment);
  errno = saved;
  return result;
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  char path[PATH_MAX];
  enum kind kind = what_is(fd, path);
  if (kind != JOURNAL_FILE && kind != JOURNAL_DIR) return real(fd);
  enum moment moment = step("fdatasync", path, 0);
  if (moment == FAILS) return fail_sync(fd, at_step());
  int result = real(fd), saved = errno;
  if (result == 0) kind == JOURNAL_DIR ? keep_names() : keep_file(fd);
  done(moment);
  errno = saved;
  return result;
}

#define SIMPLE(name, what, params, call, condition, where) \
  int name params {                                        \
    REAL(int, #name, TYPES_##name);                        \
    enum moment moment = GO_ON;                            \
    if (condition) moment = step(what, where, 0);          \
    int result = real call;                                \
    done(moment);                                          \
    return result;                                         \
  }

#define TYPES_ftruncate int, off_t
#define TYPES_ftruncate64 int, off64_t
#define TYPES_flock int, int
#define TYPES_rename const char *, const char *
#define TYPES_renameat int, const char *, int, const char *
#define TYPES_link const char *, const char *
#define TYPES_linkat int, const char *, int, const char *, int
#define TYPES_unlink const char *
#define TYPES_unlinkat int, const char *, int
#define TYPES_close int
#define TYPES_connect int, const struct sockaddr *, socklen_t

static char *place(void) {
  static __thread char path[PATH_MAX];
  return path;
}

SIMPLE(ftruncate, "ftruncate", (int fd, off_t size), (fd, size), what_is(fd, place()) == JOURNAL_FILE, place())
SIMPLE(ftruncate64, "ftruncate", (int fd, off64_t size), (fd, size), what_is(fd, place()) == JOURNAL_FILE, place())
SIMPLE(flock, "flock", (int fd, int how), (fd, how), what_is(fd, place()) == JOURNAL_FILE, place())
SIMPLE(rename, "rename", (const char *from, const char *to), (from, to), matters(AT_FDCWD, to), to)
SIMPLE(renameat, "rename", (int d, const char *from, int e, const char *to), (d, from, e, to), matters(e, to), to)
SIMPLE(link, "link", (const char *from, const char *to), (from, to), matters(AT_FDCWD, to), to)
SIMPLE(linkat, "link", (int d, const char *from, int e, const char *to, int flags), (d, from, e, to, flags), matters(e, to), to)
SIMPLE(unlink, "unlink", (const char *path), (path), matters(AT_FDCWD, path), path)
SIMPLE(unlinkat, "unlink", (int d, const char *path, int flags), (d, path, flags), matters(d, path), path)
SIMPLE(close, "close", (int fd), (fd), what_is(fd, place()) == JOURNAL_FILE || what_is(fd, place()) == SOCKET, place())
SIMPLE(connect, "connect", (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size),
       to != NULL && (to->sa_family == AF_INET || to->sa_family == AF_INET6), "socket")

/* Record locks. Other commands of fcntl, whatever their argument is, pass. */

static int controlled(const char *symbol, int fd, int command, void *argument) {
  int (*real)(int, int, ...);
  *(void **)&real = dlsym(RTLD_NEXT, symbol);
  enum moment moment = GO_ON;
  if ((command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW) &&
      what_is(fd, place()) == JOURNAL_FILE) {
    moment = step("lock", place(), 0);
  }
  int result = real(fd, command, argument), saved = errno;
  done(moment);
  errno = saved;
  return result;
}

#define FCNTL(name)                          \
  int name(int fd, int command, ...) {       \
    va_list more;                            \
    va_start(more, command);                 \
    void *argument = va_arg(more, void *);   \
    va_end(more);                            \
    return controlled(#name, fd, command, argument); \
  }

FCNTL(fcntl)
FCNTL(fcntl64)

/* Bytes out. */

static size_t total(const struct iovec *parts, int count) {
  size_t n = 0;
  for (int i = 0; i < count; i++) n += parts[i].iov_len;
  return n;
}

/* Lets the first half of the bytes out; `at` is an offset in a file, or -1. */
static void half(int fd, const struct iovec *parts, int count, off64_t at) {
  size_t left = total(parts, count) / 2;
  for (int i = 0; i < count && left > 0; i++) {
    size_t n = parts[i].iov_len < left ? parts[i].iov_len : left;
    char path[PATH_MAX];
    ssize_t out;
    if (what_is(fd, path) == SOCKET) out = syscall(SYS_sendto, fd, parts[i].iov_base, n, MSG_NOSIGNAL, NULL, 0);
    else if (at >= 0) out = syscall(SYS_pwrite64, fd, parts[i].iov_base, n, at);
    else out = syscall(SYS_write, fd, parts[i].iov_base, n);
    if (out < 0) break;
    if (at >= 0) at += out;
    left -= n;
  }
  die();
}

static enum moment out_step(int fd, const struct iovec *parts, int count, off64_t at) {
  char path[PATH_MAX];
  enum kind kind = what_is(fd, path);
  if (kind != JOURNAL_FILE && kind != SOCKET) return GO_ON;
  enum moment moment = step(kind == SOCKET ? "send" : "write", path, total(parts, count));
  if (moment == MIDDLE) half(fd, parts, count, at);
  return moment;
}

#define OUT(name, params, call, bytes, n, parts, count, at) \
  ssize_t name params {                                    \
    REAL(ssize_t, #name, TYPES_##name);                    \
    struct iovec one;                                      \
    one.iov_base = (void *)(uintptr_t)(bytes);             \
    one.iov_len = n;                                       \
    const struct iovec *all = parts;                       \
    enum moment moment = out_step(fd, all != NULL ? all : &one, all != NULL ? (int)(count) : 1, at); \
    ssize_t result = real call;                            \
    done(moment);                                          \
    return result;                                         \
  }

#define TYPES_write int, const void *, size_t
#define TYPES_pwrite int, const void *, size_t, off_t
#define TYPES_pwrite64 int, const void *, size_t, off64_t
#define TYPES_writev int, const struct iovec *, int
#define TYPES_send int, const void *, size_t, int
#define TYPES_sendto int, const void *, size_t, int, const struct sockaddr *, socklen_t
#define TYPES_sendmsg int, const struct msghdr *, int

OUT(write, (int fd, const void *from, size_t n), (fd, from, n), from, n, NULL, 0, -1)
OUT(pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at), from, n, NULL, 0, at)
OUT(pwrite64, (int fd, const void *from, size_t n, off64_t at), (fd, from, n, at), from, n, NULL, 0, at)
OUT(writev, (int fd, const struct iovec *list, int count), (fd, list, count), NULL, 0, list, count, -1)
OUT(send, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags), from, n, NULL, 0, -1)
OUT(sendto, (int fd, const void *from, size_t n, int flags, const struct sockaddr *to, socklen_t size),
    (fd, from, n, flags, to, size), from, n, NULL, 0, -1)
OUT(sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), NULL, 0, message->msg_iov,
    message->msg_iovlen, -1)

/* Bytes in: a step only when there is something, or how often a program looks would decide how many steps it has. */

static int something(int fd) {
  char byte;
  int saved = errno;
  ssize_t n = syscall(SYS_recvfrom, fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
  int there = n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  errno = saved;
  return there;
}

static int waits(int fd) {
  long flags = syscall(SYS_fcntl, fd, F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

#define IN(name, params, call)                                              \
  ssize_t name params {                                                     \
    REAL(ssize_t, #name, TYPES_##name);                                     \
    char path[PATH_MAX];                                                    \
    if (what_is(fd, path) != SOCKET) return real call;                      \
    int there = something(fd);                                              \
    enum moment moment = there ? step("recv", path, 0) : GO_ON;             \
    ssize_t result = real call;                                             \
    int saved = errno;                                                      \
    if (!there && result >= 0 && waits(fd)) moment = step("recv", path, 0); \
    done(moment);                                                           \
    errno = saved;                                                          \
    return result;                                                          \
  }

#define TYPES_read int, void *, size_t
#define TYPES_readv int, const struct iovec *, int
#define TYPES_recv int, void *, size_t, int
#define TYPES_recvfrom int, void *, size_t, int, struct sockaddr *, socklen_t *
#define TYPES_recvmsg int, struct msghdr *, int

IN(read, (int fd, void *bytes, size_t n), (fd, bytes, n))
IN(readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))
IN(recv, (int fd, void *bytes, size_t n, int flags), (fd, bytes, n, flags))
IN(recvfrom, (int fd, void *bytes, size_t n, int flags, struct sockaddr *from, socklen_t *size),
   (fd, bytes, n, flags, from, size))
IN(recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))

/* Time runs faster for a program that sleeps. */

static long hurry(void) {
  const char *text = setting("KL_CRASH_HURRY");
  long factor = text != NULL ? atol(text) : 1;
  return factor > 1 ? factor : 1;
}

int nanosleep(const struct timespec *time, struct timespec *rest) {
  REAL(int, "nanosleep", const struct timespec *, struct timespec *);
  long factor = hurry();
  if (factor == 1 || time == NULL) return real(time, rest);
  long long ns = (time->tv_sec * 1000000000LL + time->tv_nsec) / factor;
  struct timespec shorter = {(time_t)(ns / 1000000000LL), (long)(ns % 1000000000LL)};
  return real(&shorter, rest);
}

int usleep(useconds_t us) {
  struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000L};
  return nanosleep(&time, NULL);
}

unsigned sleep(unsigned s) {
  struct timespec time = {(time_t)s, 0};
  nanosleep(&time, NULL);
  return 0;
}
