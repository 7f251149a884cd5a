/* Preloaded, it shows the program a wall clock that begins at FAKE_TIME (Unix seconds) and goes on from there. The
 * monotonic clocks stay right. */

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

typedef int (*clock_gettime_fn)(clockid_t, struct timespec *);

int clock_gettime(clockid_t clock, struct timespec *out) {
  static clock_gettime_fn real;
  static time_t shift;
  if (real == NULL) {
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    struct timespec now;
    const char *fake = getenv("FAKE_TIME");
    if (fake != NULL && real(CLOCK_REALTIME, &now) == 0) shift = (time_t)atoll(fake) - now.tv_sec;
  }
  int result = real(clock, out);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += shift;
  return result;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}
