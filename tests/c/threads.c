/* One client, many threads: calls at the same time, cancel from outside, cancelled threads, free while calls run.
 *   threads ACCOUNTS.json ACCOUNT STALLED_ACCOUNT
 * The second account's server takes connections and never answers. */

#include <kiosklink.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS 8
#define CALLS 20

static kl_client *client, *stalled;
static pthread_barrier_t start;

struct end {
  kl_status status;
  int outcome;
};

static void *calls(void *arg) {
  struct end *end = arg;
  kl_error err = KL_ERROR_INIT;
  pthread_barrier_wait(&start);
  for (int i = 0; i < CALLS && err.status == KL_OK; i++) {
    kl_cabinets *list = NULL;
    if (kl_cabinet_list(client, NULL, &list, &err) == KL_OK && kl_cabinets_count(list) != 5) err.status = KL_E_PROTOCOL;
    kl_cabinets_free(list);
    if (err.status == KL_OK) err.status = kl_client_warm(client, i % 2 == 0 ? &err : NULL);
  }
  end->status = err.status;
  return NULL;
}

static void *hang(void *arg) {
  struct end *end = arg;
  kl_error err = KL_ERROR_INIT;
  pthread_barrier_wait(&start);
  end->status = kl_ping(stalled, &err);
  return NULL;
}

static kl_client *make(const char *path, const char *account) {
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *made = NULL;
  if (kl_config_load(path, account, &config, &err) != KL_OK || kl_client_new(config, &made, &err) != KL_OK) {
    printf("%s\n", err.message);
  }
  kl_config_free(config);
  return made;
}

static int run(void *(*body)(void *), void (*meanwhile)(void), kl_status wanted, const char *what) {
  pthread_t threads[THREADS];
  struct end ends[THREADS];
  int wrong = 0;
  pthread_barrier_init(&start, NULL, THREADS + 1);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, body, &ends[i]);
  pthread_barrier_wait(&start);
  if (meanwhile != NULL) meanwhile();
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    if (ends[i].status != wanted) {
      printf("%s: thread %d ended with %s\n", what, i, kl_status_name(ends[i].status));
      wrong = 1;
    }
  }
  pthread_barrier_destroy(&start);
  return wrong;
}

/* Until every call has connected and waits: then there is something to cancel. */
static void until_all_wait(void) {
  kl_stats stats = KL_STATS_INIT;
  do {
    if (kl_client_stats(stalled, &stats, NULL) != KL_OK) return;
  } while (stats.connects < THREADS);
}

static void cancel(void) {
  until_all_wait();
  if (kl_client_cancel(stalled, NULL) != KL_OK) printf("no cancel\n");
}

/* A cancellation waits until the call has answered, and then ends the thread in C. */
static void *cancelled(void *arg) {
  hang(arg);
  pthread_testcancel();
  return NULL;
}

static int cancel_threads(void) {
  pthread_t threads[THREADS];
  struct end ends[THREADS];
  int wrong = 0;
  pthread_barrier_init(&start, NULL, THREADS + 1);
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, cancelled, &ends[i]);
  pthread_barrier_wait(&start);
  until_all_wait();
  for (int i = 0; i < THREADS; i++) pthread_cancel(threads[i]);
  cancel();
  for (int i = 0; i < THREADS; i++) {
    void *how = NULL;
    pthread_join(threads[i], &how);
    if (how != PTHREAD_CANCELED || ends[i].status != KL_E_CANCELLED) {
      printf("a cancelled thread ended otherwise, its call with %s\n", kl_status_name(ends[i].status));
      wrong = 1;
    }
  }
  pthread_barrier_destroy(&start);
  return wrong;
}

static void free_it(void) {
  until_all_wait();
  kl_client_free(stalled);
}

int main(int argc, char **argv) {
  if (argc != 4) return 64;
  client = make(argv[1], argv[2]);
  int wrong = run(calls, NULL, KL_OK, "calls");
  stalled = make(argv[1], argv[3]);
  wrong |= run(hang, cancel, KL_E_CANCELLED, "cancel");
  kl_client_free(stalled);
  stalled = make(argv[1], argv[3]);
  wrong |= cancel_threads();
  kl_client_free(stalled);
  stalled = make(argv[1], argv[3]);
  wrong |= run(hang, free_it, KL_E_CANCELLED, "free");
  if (kl_ping(stalled, NULL) != KL_E_HANDLE) wrong = 1;
  kl_client_free(client);
  printf(wrong ? "wrong\n" : "no fault\n");
  return wrong;
}
