/* Preloaded into the soak's processes, it moves the clocks that go on while a process sleeps: CLOCK_BOOTTIME and the wall
 * clock are ahead by as many milliseconds as stand in the first eight bytes of the file KL_TIME_FILE. All processes of a
 * soak share that file, and the simulator's clock is advanced by as much at the same moment: so much time has passed for
 * everybody. Nothing in the library's rules is shortened. CLOCK_MONOTONIC, by which waits and deadlines are measured, stays:
 * the clocks are moved only while no command is under way. */

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

static void attach(void) {
  const char *path = getenv("KL_TIME_FILE");
  if (path == NULL) return;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) abort();
  void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) abort();
  ahead = at;
}

static int64_t ahead_ms(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, attach);
  return ahead != NULL ? *ahead : 0;
}

int clock_gettime(clockid_t id, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, now);
  if (result == 0 && (id == CLOCK_BOOTTIME || id == CLOCK_REALTIME)) {
    int64_t ms = ahead_ms();
    now->tv_sec += ms / 1000;
    now->tv_nsec += ms % 1000 * 1000000;
    if (now->tv_nsec >= 1000000000) {
      now->tv_sec++;
      now->tv_nsec -= 1000000000;
    }
  }
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec time;
  (void)zone;
  int result = clock_gettime(CLOCK_REALTIME, &time);
  now->tv_sec = time.tv_sec;
  now->tv_usec = time.tv_nsec / 1000;
  return result;
}

time_t time(time_t *out) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}
