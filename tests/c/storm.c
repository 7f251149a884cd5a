/* Threads that do everything at once and at random: calls, jobs, views, cancels, frees, a log that comes and goes.
 *   storm ACCOUNTS.json ACCOUNT STALLED_ACCOUNT CABINET SECONDS SEED [THREADS]
 * The second account's server takes connections and never answers. What each thread does follows from the seed; who comes
 * first does not. Nothing is wrong as long as every answer is one that the header allows, no name is said to be done and
 * not done, and no more is released than was given. Made for `scripts/tsan`. */

#include <kiosklink.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLIENTS 12
#define VIEWS 24
#define TASKS 48
#define NAMES 200

static const char *accounts, *names[2], *cabinet;
static int64_t end_ms;
static uint64_t first_seed;

/* Handles that any thread may take. A freed one stays in the hands of others, who are told so. */
static kl_client *clients[CLIENTS], *views[VIEWS];
static kl_task *tasks[TASKS];
static long started, released, calls, doors, wrong;

#define GET(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
#define TAKE(place) __atomic_exchange_n(&(place), NULL, __ATOMIC_ACQ_REL)
#define COUNT(what) __atomic_add_fetch(&(what), 1, __ATOMIC_RELAXED)

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint32_t roll(uint64_t *state, uint32_t below) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33) % below;
}

/* Every end that such a call may have here. */
static void check(const char *what, kl_status status, const kl_error *err) {
  static const kl_status allowed[] = {
      KL_OK,          KL_E_HANDLE,      KL_E_NULL,  KL_E_CANCELLED,       KL_E_TIMEOUT_CONNECT, KL_E_TIMEOUT_TLS,  KL_E_TIMEOUT_REPLY,
      KL_E_IN_FLIGHT, KL_E_BLOCKED,     KL_E_BUSY,  KL_E_UNSETTLED,       KL_E_PENDING,         KL_E_JOURNAL_BUSY, KL_E_NOT_READY,
      KL_E_LOST,      KL_E_UNSUPPORTED, KL_E_EVENT, KL_E_EVENT_SIGNATURE, KL_E_CONNECT,       KL_E_NOT_FOUND,    KL_E_REQUEST_ID};
  COUNT(calls);
  for (size_t n = 0; n < sizeof allowed / sizeof allowed[0]; n++) {
    if (status == allowed[n]) return;
  }
  printf("%s is %s: %s\n", what, kl_status_name(status), err->message);
  COUNT(wrong);
}

static kl_client *made(uint64_t *seed) {
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  if (kl_config_load(accounts, names[roll(seed, 4) == 0], &config, &err) == KL_OK) check("kl_client_new", kl_client_new(config, &client, &err), &err);
  kl_config_free(config);
  return client;
}

/* A client or a view of one; sometimes one that is gone. */
static kl_client *any(uint64_t *seed) {
  return roll(seed, 2) == 0 ? GET(clients[roll(seed, CLIENTS)]) : GET(views[roll(seed, VIEWS)]);
}

static void door(kl_client *client, uint64_t *seed) {
  kl_error err = KL_ERROR_INIT;
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  kl_command *command = NULL;
  char name[64];
  snprintf(name, sizeof name, "storm-%llu-%u", (unsigned long long)first_seed, roll(seed, NAMES));
  request.request_id = name;
  request.cabinet_id = cabinet;
  request.visit_id = name;
  kl_outcome outcome = kl_door_open(client, &request, &command, &err);
  if ((outcome == KL_DONE) != (command != NULL) || err.outcome != outcome) COUNT(wrong);
  if (outcome == KL_DONE) COUNT(doors);
  check("kl_door_open", err.status, &err);
  kl_command_free(command);
  /* What nobody knows is asked, or a person says it: else every later customer would wait for it. */
  if (outcome != KL_UNKNOWN) return;
  command = NULL;
  if (kl_command_resolve(client, name, &command, &err) == KL_UNKNOWN) {
    check("kl_command_overrule", kl_command_overrule(client, name, KL_DONE, "a storm", &err), &err);
  }
  kl_command_free(command);
}

static void read_something(kl_client *client, uint64_t *seed) {
  kl_error err = KL_ERROR_INIT;
  kl_stock *stock = NULL;
  kl_cabinets *list = NULL;
  kl_commands *commands = NULL;
  kl_visits *visits = NULL;
  switch (roll(seed, 6)) {
    case 0: check("kl_ping", kl_ping(client, &err), &err); break;
    case 1: check("kl_client_warm", kl_client_warm(client, &err), &err); break;
    case 2: check("kl_stock_fetch", kl_stock_fetch(client, cabinet, &stock, &err), &err); break;
    case 3: check("kl_cabinet_list", kl_cabinet_list(client, NULL, &list, &err), &err); break;
    case 4: check("kl_command_pending", kl_command_pending(client, &commands, &err), &err); break;
    default: check("kl_visit_list", kl_visit_list(client, &visits, &err), &err); break;
  }
  kl_stock_free(stock);
  kl_cabinets_free(list);
  kl_commands_free(commands);
  kl_visits_free(visits);
}

/* What a job is given. The library hands it from thread to thread in order; `hand` says so to a sanitizer that cannot look
 * into the library. */
struct given {
  uint64_t seed;
  int hand;
};

static void release(void *user) {
  struct given *given = user;
  COUNT(released);
  if (__atomic_load_n(&given->hand, __ATOMIC_ACQUIRE) == 0) COUNT(wrong);
  free(given);
}

static int32_t job(kl_client *client, void *user) {
  struct given *given = user;
  if (__atomic_load_n(&given->hand, __ATOMIC_ACQUIRE) != 1) COUNT(wrong);
  uint64_t seed = given->seed;
  for (uint32_t n = roll(&seed, 3); n > 0; n--) {
    if (roll(&seed, 3) == 0) door(client, &seed);
    else read_something(client, &seed);
  }
  __atomic_store_n(&given->hand, 2, __ATOMIC_RELEASE);
  return 0;
}

static void start_job(uint64_t *seed) {
  kl_error err = KL_ERROR_INIT;
  kl_task_options options = KL_TASK_OPTIONS_INIT;
  kl_task *task = NULL;
  struct given *given = malloc(sizeof *given);
  if (given == NULL) return;
  given->seed = *seed;
  __atomic_store_n(&given->hand, 1, __ATOMIC_RELEASE);
  options.release = release;
  options.acts = (int32_t)roll(seed, 2);
  if (roll(seed, 4) == 0) options.start_within_ms = 1 + roll(seed, 20);
  kl_status status = kl_task_start(any(seed), job, given, &options, &task, &err);
  check("kl_task_start", status, &err);
  if (status != KL_OK) {
    free(given);
    return;
  }
  COUNT(started);
  /* Whoever was in the place before is forgotten, and goes on. */
  kl_task_free(__atomic_exchange_n(&tasks[roll(seed, TASKS)], task, __ATOMIC_ACQ_REL));
}

static void on_line(void *user, kl_log_level level, const char *line) {
  (void)user;
  (void)level;
  if (strstr(line, "test-secret") != NULL) COUNT(wrong);
}

static void callback(kl_client *client, uint64_t *seed) {
  static const char request[] = "POST /d HTTP/1.1\r\nContent-Length: 3\r\n\r\nx=1";
  kl_error err = KL_ERROR_INIT;
  kl_http *http = NULL;
  const kl_http_step *step = NULL;
  check("kl_http_new", kl_http_new(NULL, &http, &err), &err);
  check("kl_http_add", kl_http_add(http, client, "/d", &err), &err);
  uint32_t cut = roll(seed, sizeof request - 1);
  check("kl_http_feed", kl_http_feed(http, (const uint8_t *)request, cut, &step, &err), &err);
  check("kl_http_feed", kl_http_feed(http, (const uint8_t *)request + cut, sizeof request - 1 - cut, &step, &err), &err);
  kl_http_free(http);
}

static void once(uint64_t *seed) {
  kl_error err = KL_ERROR_INIT;
  kl_client *client = NULL;
  kl_task *task = NULL;
  kl_stats stats = KL_STATS_INIT;
  int64_t seconds = 0;
  int32_t fd = 0;
  uint32_t at = 0, what = 0;
  /* Mostly work: where all is cancelled and freed at once, nothing comes far. */
  static const unsigned char often[] = {1, 3, 2, 6, 4, 3, 1, 2, 1, 1, 1, 1, 1, 2, 10, 12};
  uint32_t pick = roll(seed, 51);
  while (pick >= often[what]) pick -= often[what++];
  switch (what) {
    case 0:
      client = roll(seed, 3) == 0 ? NULL : made(seed);
      kl_client_free(__atomic_exchange_n(&clients[roll(seed, CLIENTS)], client, __ATOMIC_ACQ_REL));
      break;
    case 1:
      check("kl_client_view", kl_client_view(any(seed), NULL, &client, &err), &err);
      kl_client_free(__atomic_exchange_n(&views[roll(seed, VIEWS)], client, __ATOMIC_ACQ_REL));
      break;
    case 2: kl_client_free(TAKE(views[roll(seed, VIEWS)])); break;
    case 3: start_job(seed); break;
    case 4: kl_task_cancel(GET(tasks[roll(seed, TASKS)])); break;
    case 5:
      /* One thread at a time looks at a job. */
      task = TAKE(tasks[at = roll(seed, TASKS)]);
      if (task != NULL && kl_task_view(task) != NULL && kl_task_view(task)->run_ms > 3600000) COUNT(wrong);
      kl_task_free(__atomic_exchange_n(&tasks[at], task, __ATOMIC_ACQ_REL));
      break;
    case 6: kl_task_free(TAKE(tasks[roll(seed, TASKS)])); break;
    case 7: check("kl_task_next", kl_task_next(any(seed), &task, &err), &err); break;
    case 8: check("kl_client_cancel", kl_client_cancel(any(seed), &err), &err); break;
    case 9: check("kl_client_stats", kl_client_stats(any(seed), &stats, &err), &err); break;
    case 10: check("kl_client_time", kl_client_time(any(seed), &seconds, NULL, &err), &err); break;
    case 11: check("kl_client_fd", kl_client_fd(any(seed), &fd, &err), &err); break;
    case 12:
      if (roll(seed, 2) == 0) check("kl_set_log", kl_set_log(KL_LOG_LEVEL_DEBUG, on_line, NULL, &err), &err);
      else check("kl_set_log", kl_set_log(KL_LOG_LEVEL_OFF, NULL, NULL, &err), &err);
      break;
    case 13: callback(any(seed), seed); break;
    case 14: door(any(seed), seed); break;
    default: read_something(any(seed), seed); break;
  }
}

static void *body(void *arg) {
  uint64_t seed = first_seed * 1000003u + (uint64_t)(size_t)arg * 7919u + 1;
  for (int n = 0; n < 8; n++) roll(&seed, 2);
  while (now_ms() < end_ms) once(&seed);
  return NULL;
}

int main(int argc, char **argv) {
  static pthread_t threads[256];
  if (argc < 7) return 64;
  accounts = argv[1];
  names[0] = argv[2];
  names[1] = argv[3];
  cabinet = argv[4];
  end_ms = now_ms() + 1000 * (int64_t)atoi(argv[5]);
  first_seed = strtoull(argv[6], NULL, 10);
  int count = argc > 7 ? atoi(argv[7]) : 32;
  if (count < 1 || count > 256) return 64;
  uint64_t seed = first_seed;
  for (int n = 0; n < CLIENTS; n++) clients[n] = made(&seed);
  for (int n = 0; n < count; n++) pthread_create(&threads[n], NULL, body, (void *)(size_t)n);
  for (int n = 0; n < count; n++) pthread_join(threads[n], NULL);
  if (kl_set_log(KL_LOG_LEVEL_OFF, NULL, NULL, NULL) != KL_OK) COUNT(wrong);
  for (int n = 0; n < TASKS; n++) kl_task_free(tasks[n]);
  for (int n = 0; n < VIEWS; n++) kl_client_free(views[n]);
  for (int n = 0; n < CLIENTS; n++) kl_client_free(clients[n]);
  /* Jobs of clients that were freed while they hung may still be ending. */
  int64_t until = now_ms() + 60000;
  while (GET(released) < GET(started) && now_ms() < until) {
    struct timespec little = {0, 1000000};
    nanosleep(&little, NULL);
  }
  /* Jobs counted too, on threads whose end TSan does not see. */
  printf("%ld calls, %ld doors, %ld jobs, %ld released\n", GET(calls), GET(doors), GET(started), GET(released));
  if (GET(released) != GET(started)) COUNT(wrong);
  printf(GET(wrong) == 0 ? "no fault\n" : "%ld wrong\n", GET(wrong));
  return GET(wrong) != 0;
}
