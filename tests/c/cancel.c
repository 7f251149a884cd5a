/* What giving a door up waits for: nothing.
 *   cancel ACCOUNTS.json ACCOUNT CABINET LOCK
 * LOCK is the file of the journal's lock. Another process holds it; then a sync of the disk takes 600 ms and more. Each time
 * a door's call waits, kl_client_cancel is called meanwhile, and what had ended when it returned says whether it waited: no
 * time is compared. Prints how long it took.
 *   cancel ACCOUNTS.json ACCOUNT CABINET thread NAME
 * The door's thread is cancelled with pthread_cancel while it waits for an answer. That ends the thread after the call has
 * returned, and not before. Prints what the call and the journal say. */

#include <dlfcn.h>
#include <kiosklink.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static kl_client *client;
static const char *cabinet, *name;
static kl_outcome outcome;
static kl_status status;
static int returned, slow, ended;
static sem_t in_sync, may_end;

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      printf("%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

/* In front of the C library's: the library calls this one. */
int fdatasync(int fd) {
  static int (*real)(int);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
  if (__atomic_exchange_n(&slow, 0, __ATOMIC_SEQ_CST)) {
    sem_post(&in_sync);
    usleep(600000);
    while (sem_wait(&may_end) != 0) {
    }
    __atomic_store_n(&ended, 1, __ATOMIC_SEQ_CST);
  }
  return real(fd);
}

static void *door(void *arg) {
  kl_error err = KL_ERROR_INIT;
  kl_command *command = NULL;
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  (void)arg;
  request.request_id = name;
  request.cabinet_id = cabinet;
  outcome = kl_door_open(client, &request, &command, &err);
  status = err.status;
  kl_command_free(command);
  __atomic_store_n(&returned, 1, __ATOMIC_SEQ_CST);
  pthread_testcancel();
  return NULL;
}

static double cancelled_in_ms(void) {
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  kl_status got = kl_client_cancel(client, NULL);
  clock_gettime(CLOCK_MONOTONIC, &b);
  CHECK(got == KL_OK);
  return (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
}

/* Another process holds the lock until its pipe is closed. */
static void foreign_lock(const char *file) {
  int up[2], down[2], how = 0;
  char byte = 0;
  pthread_t thread;
  /* A name of the library's: without the journal nobody could say of another that it was never done. */
  char issued[KL_REQUEST_ID_MAX + 1];
  CHECK(kl_request_id_new(client, issued, sizeof issued, NULL) == KL_OK);
  name = issued;
  CHECK(pipe(up) == 0 && pipe(down) == 0);
  pid_t child = fork();
  if (child == 0) {
    int fd = open(file, O_RDWR);
    close(down[1]);
    if (fd < 0 || flock(fd, LOCK_EX) != 0 || write(up[1], "h", 1) != 1) _exit(1);
    while (read(down[0], &byte, 1) > 0) {
    }
    _exit(0);
  }
  close(down[0]);
  CHECK(read(up[0], &byte, 1) == 1);
  pthread_create(&thread, NULL, door, NULL);
  /* Whoever finds the lock held makes the file a byte long. */
  struct stat about = {0};
  while (stat(file, &about) == 0 && about.st_size == 0) sched_yield();
  double took = cancelled_in_ms();
  CHECK(waitpid(child, &how, WNOHANG) == 0); /* it holds the lock still */
  pthread_join(thread, NULL);
  CHECK(waitpid(child, &how, WNOHANG) == 0);
  CHECK(outcome == KL_NOT_DONE && status == KL_E_CANCELLED);
  close(down[1]);
  CHECK(waitpid(child, &how, 0) == child && how == 0);
  close(up[0]);
  close(up[1]);
  printf("behind a lock %.3f ms\n", took);
}

static void slow_sync(void) {
  pthread_t thread;
  name = "behind-a-sync";
  sem_init(&in_sync, 0, 0);
  sem_init(&may_end, 0, 0);
  slow = 1;
  pthread_create(&thread, NULL, door, NULL);
  while (sem_wait(&in_sync) != 0) {
  }
  double took = cancelled_in_ms();
  CHECK(!__atomic_load_n(&ended, __ATOMIC_SEQ_CST));
  sem_post(&may_end);
  pthread_join(thread, NULL);
  CHECK(ended && outcome == KL_NOT_DONE && status == KL_E_CANCELLED);
  printf("behind a sync %.3f ms\n", took);
}

/* The test lets the answer come late, or never: `end` is "late" or "never". */
static void thread_cancelled(const char *end) {
  pthread_t thread;
  void *how = NULL;
  kl_error err = KL_ERROR_INIT;
  kl_command *command = NULL;
  char line[16];
  name = end;
  pthread_create(&thread, NULL, door, NULL);
  CHECK(fgets(line, sizeof line, stdin) != NULL); /* the request has arrived */
  pthread_cancel(thread);
  if (strcmp(end, "never") == 0) CHECK(kl_client_cancel(client, NULL) == KL_OK);
  pthread_join(thread, &how);
  CHECK(how == PTHREAD_CANCELED && returned == 1);
  printf("%d %s\n", (int)outcome, kl_status_name(status));
  kl_status got = kl_command_get(client, name, &command, &err);
  if (got == KL_OK) printf("recorded %d\n", (int)kl_command_view(command)->outcome);
  else printf("recorded %s %d\n", kl_status_name(got), (int)err.outcome);
  kl_command_free(command);
}

int main(int argc, char **argv) {
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  if (argc < 5) return 64;
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  cabinet = argv[3];
  if (kl_config_load(argv[1], argv[2], &config, &err) != KL_OK || kl_client_new(config, &client, &err) != KL_OK) {
    printf("%s\n", err.message);
    return 64;
  }
  kl_config_free(config);
  if (argc == 6) {
    thread_cancelled(argv[5]);
  } else {
    foreign_lock(argv[4]);
    slow_sync();
  }
  kl_client_free(client);
  printf("no fault\n");
  return 0;
}
