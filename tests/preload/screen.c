/* Preloaded, it says when the loop of a screen waited: in the main thread, between a return of ppoll and its next call. The
 * file SCREEN_TRACE gets a line for each wait longer than SCREEN_WAIT_MS, and one "frames" at the end of each hundred calls.
 * Time on the processor and in its queue is no wait, so a busy machine changes nothing. SLOW_SYNC_MS makes every fdatasync
 * and fsync so much slower. */

#include "real.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long wall_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* On the processor, and ready for it. */
static long long ran_ns(void) {
  unsigned long long on = 0, queued = 0;
  FILE *file = fopen("/proc/thread-self/schedstat", "r");
  if (file == NULL) abort();
  if (fscanf(file, "%llu %llu", &on, &queued) != 2) abort();
  fclose(file);
  return (long long)(on + queued);
}

static void trace(const char *what, long long ms) {
  FILE *out = fopen(getenv("SCREEN_TRACE"), "a");
  if (out == NULL) return;
  fprintf(out, "%s %lld\n", what, ms);
  fclose(out);
}

static long long returned_ns, returned_ran_ns;

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask) {
  REAL(int (*real)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *), "ppoll");
  static long calls;
  int main_thread = getenv("SCREEN_TRACE") != NULL && syscall(SYS_gettid) == getpid();
  if (main_thread && returned_ns != 0) {
    long long waited = wall_ns() - returned_ns - (ran_ns() - returned_ran_ns);
    if (waited > atoll(getenv("SCREEN_WAIT_MS")) * 1000000LL) trace("waited", waited / 1000000);
    if (++calls % 100 == 0) trace("frames", calls);
  }
  int result = real(fds, count, timeout, mask);
  if (main_thread) {
    returned_ran_ns = ran_ns();
    returned_ns = wall_ns();
  }
  return result;
}

static void slow(void) {
  const char *ms = getenv("SLOW_SYNC_MS");
  if (ms != NULL) usleep((useconds_t)atoi(ms) * 1000);
}

int fdatasync(int fd) {
  REAL(int (*real)(int), "fdatasync");
  slow();
  return real(fd);
}

int fsync(int fd) {
  REAL(int (*real)(int), "fsync");
  slow();
  return real(fd);
}
