/* Jobs through C: the loop of a screen, and everything that can come in its way.
 *   tasks ACCOUNTS.json ACCOUNT STALLED_ACCOUNT CABINET SCENARIO...
 * The second account's server takes connections and never answers. Nothing here waits for a time: jobs say when they have
 * begun, and the descriptor says when they have ended. */

#include <errno.h>
#include <fcntl.h>
#include <kiosklink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define HANDED_OVER(what) __tsan_release(what)
#define TAKEN_OVER(what) __tsan_acquire(what)
#else
#define HANDED_OVER(what) ((void)(what))
#define TAKEN_OVER(what) ((void)(what))
#endif

static int failures;
static const char *accounts, *account, *stalled_account, *cabinet;
static kl_error err;

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      printf("%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
      failures++;                                                     \
    }                                                                 \
  } while (0)

#define EXPECT(call, wanted)                                                                                          \
  do {                                                                                                                \
    kl_status got_ = (call);                                                                                          \
    if (got_ != (wanted)) {                                                                                           \
      printf("%s:%d: %s is %s, not %s\n", __FILE__, __LINE__, #call, kl_status_name(got_), kl_status_name(wanted));   \
      failures++;                                                                                                     \
    }                                                                                                                 \
  } while (0)

static kl_client *make(const char *name) {
  kl_config *config = NULL;
  kl_client *made = NULL;
  if (kl_config_load(accounts, name, &config, &err) != KL_OK || kl_client_new(config, &made, &err) != KL_OK) {
    printf("%s\n", err.message);
    exit(64);
  }
  kl_config_free(config);
  return made;
}

static int fd_of(kl_client *client) {
  int32_t fd = -1;
  EXPECT(kl_client_fd(client, &fd, &err), KL_OK);
  return fd;
}

static int readable(int fd, int wait_ms) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  int n = 0;
  do n = poll(&one, 1, wait_ms);
  while (n < 0 && errno == EINTR);
  return n == 1 && (one.revents & POLLIN) != 0;
}

/* The next job that ended, waited for as a loop does. */
static kl_task *next(kl_client *client) {
  kl_task *task = NULL;
  if (!readable(fd_of(client), 60000)) {
    printf("nothing ends\n");
    exit(1);
  }
  EXPECT(kl_task_next(client, &task, &err), KL_OK);
  CHECK(task != NULL);
  return task;
}

static void nothing_left(kl_client *client) {
  kl_task *task = NULL;
  EXPECT(kl_task_next(client, &task, &err), KL_OK);
  CHECK(task == NULL && !readable(fd_of(client), 0));
}

static int is(const kl_task *task, kl_task_state state, int32_t result, kl_status status) {
  const kl_task_info *info = kl_task_view(task);
  int same = info != NULL && info->state == state && info->result == result && info->status == status;
  if (info != NULL && !same) printf("state %d result %d status %s\n", info->state, info->result, kl_status_name(info->status));
  return same;
}

/* A job that says that it has begun and hangs in a call until somebody cancels. */
struct hang {
  sem_t begun;
  kl_client *client;
};

static int32_t hang(kl_client *client, void *user) {
  struct hang *hang = user;
  kl_error own = KL_ERROR_INIT;
  hang->client = client;
  sem_post(&hang->begun);
  return kl_ping(client, &own);
}

static kl_task *start(kl_client *client, kl_task_fn function, void *user, int acts) {
  kl_task_options options = KL_TASK_OPTIONS_INIT;
  kl_task *task = NULL;
  options.acts = acts;
  EXPECT(kl_task_start(client, function, user, &options, &task, &err), KL_OK);
  return task;
}

static kl_task *hung(kl_client *client, struct hang *it) {
  sem_init(&it->begun, 0, 0);
  kl_task *task = start(client, hang, it, 0);
  while (sem_wait(&it->begun) != 0) {
  }
  return task;
}

static int32_t answer(kl_client *client, void *user) {
  (void)client;
  return *(int *)user;
}

struct door {
  kl_outcome outcome;
  char order[128];
};

static int32_t redeem_like(kl_client *client, void *user) {
  struct door *door = user;
  TAKEN_OVER(door);
  kl_error own = KL_ERROR_INIT;
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  kl_command *command = NULL;
  kl_stock *stock = NULL;
  if (kl_stock_fetch(client, cabinet, &stock, &own) != KL_OK) return own.status;
  kl_stock_free(stock);
  request.request_id = "job-1";
  request.cabinet_id = cabinet;
  door->outcome = kl_door_open(client, &request, &command, &own);
  if (door->outcome == KL_DONE) snprintf(door->order, sizeof door->order, "%s", kl_command_view(command)->order_no);
  kl_command_free(command);
  HANDED_OVER(door);
  return own.status;
}

/* What a screen does. */
static void loop(void) {
  kl_client *client = make(account);
  struct door door = {0, ""};
  int fd = fd_of(client), seven = 7;
  CHECK(fd > 2 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 && fd_of(client) == fd);
  nothing_left(client);
  HANDED_OVER(&door);
  kl_task *one = start(client, redeem_like, &door, 1), *two = start(client, answer, &seven, 0), *task;
  CHECK(one != NULL && two != NULL && one != two);
  for (int n = 0; n < 2; n++) {
    task = next(client);
    const kl_task_info *info = kl_task_view(task);
    if (task == one) CHECK(is(task, KL_TASK_STATE_RETURNED, KL_OK, KL_OK) && info->user == &door && info->age_ms >= info->run_ms);
    else CHECK(task == two && is(task, KL_TASK_STATE_RETURNED, 7, KL_OK) && info->cancelled == 0);
    kl_task_cancel(task); /* too late: nothing */
    CHECK(kl_task_view(task)->state == KL_TASK_STATE_RETURNED);
    kl_task_free(task);
    kl_task_free(task);
    CHECK(kl_task_view(task) == NULL);
    kl_task_cancel(task);
  }
  TAKEN_OVER(&door);
  CHECK(door.outcome == KL_DONE && door.order[0] != '\0');
  nothing_left(client);
  kl_client_free(client);
  CHECK(fcntl(fd, F_GETFD) < 0);
}

/* Pages that hang, a door, and no room. */
static void full(void) {
  kl_client *client = make(stalled_account);
  static struct hang all[32];
  kl_task *tasks[32], *task = NULL;
  int five = 5;
  for (int n = 0; n < 32; n++) {
    sem_init(&all[n].begun, 0, 0);
    tasks[n] = start(client, hang, &all[n], 0);
  }
  EXPECT(kl_task_start(client, hang, &all[0], NULL, &task, &err), KL_E_BUSY);
  CHECK(task == NULL && err.advice == KL_ADVICE_RETRY);
  kl_task *door = start(client, answer, &five, 1);
  CHECK(next(client) == door && is(door, KL_TASK_STATE_RETURNED, 5, KL_OK));
  kl_task_free(door);
  for (int n = 31; n >= 0; n--) kl_task_cancel(tasks[n]);
  for (int n = 0; n < 32; n++) {
    task = next(client);
    const kl_task_info *info = kl_task_view(task);
    CHECK(info->cancelled == 1);
    if (info->state == KL_TASK_STATE_NOT_STARTED) CHECK(info->status == KL_E_CANCELLED && info->run_ms == 0);
    else CHECK(is(task, KL_TASK_STATE_RETURNED, KL_E_CANCELLED, KL_OK));
    kl_task_free(task);
  }
  nothing_left(client);
  kl_client_free(client);
}

/* Not begun in time. */
static void late(void) {
  kl_client *client = make(stalled_account);
  struct hang a, b;
  kl_task *one = hung(client, &a), *two = hung(client, &b), *hurried = NULL, *task;
  kl_task_options options = KL_TASK_OPTIONS_INIT;
  int zero = 0;
  options.start_within_ms = 1;
  EXPECT(kl_task_next(client, &task, &err), KL_E_PENDING);
  CHECK(task == NULL);
  EXPECT(kl_task_start(client, answer, &zero, &options, &hurried, &err), KL_OK);
  CHECK(next(client) == hurried && is(hurried, KL_TASK_STATE_NOT_STARTED, 0, KL_E_STALE));
  kl_task_free(hurried);
  kl_task_free(one);
  kl_task_free(two);
  kl_client_free(client);
}

/* A cancel in a signal handler, whatever the thread is in the middle of. */
static kl_task *volatile victim;
static volatile sig_atomic_t handled;
static kl_client *handled_client;

static void on_signal(int number) {
  (void)number;
  handled++;
  kl_task_cancel(victim);
}

static int32_t raiser(kl_client *client, void *user) {
  (void)client;
  int before = handled;
  kill(getpid(), SIGUSR1);
  while (handled == before) sched_yield();
  return *(int *)user;
}

static void handler(void) {
  struct sigaction action;
  kl_client *client = handled_client = make(stalled_account);
  struct hang it;
  int zero = 0;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, NULL);
  for (int round = 0; round < 300; round++) {
    kl_task *task = hung(client, &it), *other = NULL;
    victim = task;
    kl_task *raise = start(client, raiser, &zero, 0);
    /* In the middle of allocations, of kl_task_next and of a look at a job, until both have ended. */
    for (int ended = 0; ended < 2;) {
      void *memory = malloc(64 + (size_t)(round % 7) * 1000);
      if (kl_task_next(client, &other, NULL) == KL_OK && other != NULL) ended++;
      (void)kl_task_view(task);
      free(memory);
    }
    CHECK(is(task, KL_TASK_STATE_RETURNED, KL_E_CANCELLED, KL_OK) && kl_task_view(task)->cancelled == 1);
    kl_task_free(task);
    kl_task_free(raise);
    sem_destroy(&it.begun);
  }
  nothing_left(client);
  kl_client_free(client);
}

/* The program's signals are its own. */
static pthread_t main_thread;
static volatile sig_atomic_t taken, elsewhere;

static void on_term(int number) {
  (void)number;
  if (pthread_equal(pthread_self(), main_thread)) taken++;
  else elsewhere++;
}

static int32_t look_around(kl_client *client, void *user) {
  char name[16] = "";
  sigset_t mask;
  pthread_attr_t attr;
  size_t stack = 0;
  int cancel = -1, policy = -1;
  struct sched_param param;
  (void)client;
  (void)user;
  prctl(PR_GET_NAME, name);
  CHECK(strcmp(name, "kl-job") == 0);
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  CHECK(sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD) && sigismember(&mask, SIGALRM) && sigismember(&mask, SIGPIPE));
  CHECK(!sigismember(&mask, SIGSEGV) && !sigismember(&mask, SIGABRT));
  if (pthread_getattr_np(pthread_self(), &attr) == 0) {
    pthread_attr_getstacksize(&attr, &stack);
    pthread_attr_destroy(&attr);
  }
  CHECK(stack >= 256 * 1024 - 4096 && stack < 1024 * 1024);
  pthread_getschedparam(pthread_self(), &policy, &param);
  CHECK(policy == SCHED_OTHER);
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
  CHECK(cancel == PTHREAD_CANCEL_DISABLE);
  return 0;
}

static void signals(void) {
  struct sigaction action;
  struct sched_param realtime = {.sched_priority = 1}, none = {.sched_priority = 0};
  kl_client *client = make(stalled_account);
  struct hang a, b;
  main_thread = pthread_self();
  memset(&action, 0, sizeof action);
  action.sa_handler = on_term;
  sigaction(SIGTERM, &action, NULL);
  int was_realtime = sched_setscheduler(0, SCHED_FIFO, &realtime) == 0;
  kl_task *one = hung(client, &a), *two = hung(client, &b), *third = start(client, look_around, NULL, 1);
  if (was_realtime) sched_setscheduler(0, SCHED_OTHER, &none);
  CHECK(next(client) == third);
  /* While this thread sleeps in the system, jobs and the watching thread would be there to take them. */
  for (int n = 1; n <= 1000; n++) {
    pid_t child = fork();
    if (child == 0) {
      kill(getppid(), SIGTERM);
      _exit(0);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    CHECK(taken == n && elsewhere == 0);
    if (taken != n) break;
  }
  kl_task_free(one);
  kl_task_free(two);
  kl_task_free(third);
  kl_client_free(client);
}

static int32_t leave(kl_client *client, void *user) {
  (void)client;
  (void)user;
  pthread_exit(NULL);
}

static int32_t cancel_self(kl_client *client, void *user) {
  (void)client;
  pthread_cancel(pthread_self());
  pthread_testcancel();
  return *(int *)user;
}

/* Jobs that leave their threads. */
static void leaving(void) {
  kl_client *client = make(account);
  int three = 3;
  for (int n = 0; n < 40; n++) {
    kl_task *task = start(client, leave, NULL, n % 2);
    CHECK(next(client) == task && is(task, KL_TASK_STATE_ABANDONED, 0, KL_OK));
    kl_task_free(task);
    task = start(client, cancel_self, &three, n % 2);
    CHECK(next(client) == task && is(task, KL_TASK_STATE_RETURNED, 3, KL_OK));
    kl_task_free(task);
  }
  nothing_left(client);
  kl_client_free(client);
}

static int released;

static void release(void *user) {
  if (user == &released) __atomic_fetch_add(&released, 1, __ATOMIC_SEQ_CST);
}

static kl_client *to_free;
static sem_t may_free, was_freed;

static int32_t free_it(kl_client *client, void *user) {
  (void)user;
  while (sem_wait(&may_free) != 0) {
  }
  kl_client_free(to_free);
  sem_post(&was_freed);
  return kl_ping(client, NULL);
}

/* Who ends first: client, view or job. */
static void frees(void) {
  kl_task_options options = KL_TASK_OPTIONS_INIT;
  kl_task *task = NULL;
  int one = 1, wanted = 0;
  options.release = release;
  for (int order = 0; order < 6; order++) {
    kl_client *client = make(stalled_account), *view = NULL;
    struct hang it;
    sem_init(&it.begun, 0, 0);
    EXPECT(kl_client_view(client, NULL, &view, &err), KL_OK);
    task = hung(view, &it);
    void *all[3] = {client, view, task};
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int n = 0; n < 3; n++) {
      int what = orders[order][n];
      if (what == 2) kl_task_free(all[2]);
      else kl_client_free(all[what]);
      if (what != 2 && n < 2 && orders[order][2] == 2) CHECK(kl_task_view(task) != NULL);
    }
    EXPECT(kl_ping(client, &err), KL_E_HANDLE);
    EXPECT(kl_ping(it.client, &err), KL_E_HANDLE);
  }
  /* Inside a job: it does not wait for itself. */
  to_free = make(account);
  sem_init(&may_free, 0, 0);
  sem_init(&was_freed, 0, 0);
  task = start(to_free, free_it, NULL, 0);
  sem_post(&may_free);
  while (sem_wait(&was_freed) != 0) {
  }
  while (kl_task_view(task)->state == KL_TASK_STATE_RUNNING) sched_yield();
  CHECK(is(task, KL_TASK_STATE_RETURNED, KL_E_HANDLE, KL_OK));
  kl_task_free(task);
  /* What was given is released once: freed before it begins, while it runs, and after. */
  kl_client *client = make(account);
  for (int n = 0; n < 50; n++) {
    EXPECT(kl_task_start(client, answer, &one, &options, &task, &err), KL_OK);
    kl_task_free(task);
    EXPECT(kl_task_start(client, leave, &released, &options, &task, &err), KL_OK);
    kl_task_free(task);
    wanted++;
    EXPECT(kl_task_start(client, cancel_self, &released, &options, &task, &err), KL_OK);
    next(client);
    CHECK(__atomic_load_n(&released, __ATOMIC_SEQ_CST) <= wanted);
    kl_task_free(task);
    wanted++;
  }
  kl_client_free(client);
  CHECK(__atomic_load_n(&released, __ATOMIC_SEQ_CST) == wanted);
}

/* A child has no jobs and takes no wakeup. */
static void forks(void) {
  kl_client *client = make(stalled_account);
  int fd = fd_of(client), four = 4, status = 0;
  struct hang it;
  kl_task *running = hung(client, &it), *ended = start(client, answer, &four, 0), *task = NULL;
  CHECK(readable(fd, 60000));
  for (int n = 0; n < 20; n++) {
    pid_t child = fork();
    if (child == 0) {
      int32_t mine = 0;
      int wrong = 0;
      uint64_t count = 0;
      kl_task *own = NULL;
      wrong |= kl_task_next(client, &own, NULL) != KL_E_FORKED || own != NULL;
      wrong |= (kl_client_fd(client, &mine, NULL) != KL_E_FORKED || mine != -1) << 1;
      wrong |= (kl_task_start(client, answer, &four, NULL, &own, NULL) != KL_E_FORKED) << 2;
      wrong |= (kl_task_view(running) != NULL) << 3;
      /* Also one that does not keep to the rules. */
      wrong |= (read(fd, &count, sizeof count) > 0) << 4;
      kl_task_cancel(running);
      kl_task_free(running);
      kl_client_free(client);
      /* Its own are its own. */
      kl_client *fresh = make(account);
      own = start(fresh, answer, &four, 0);
      wrong |= (next(fresh) != own || kl_task_view(own)->result != 4) << 5;
      kl_task_free(own);
      kl_client_free(fresh);
      _exit(wrong);
    }
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) printf("the child ended with %x\n", (unsigned)status);
    CHECK(readable(fd, 0));
  }
  CHECK(is(running, KL_TASK_STATE_RUNNING, 0, KL_OK) && kl_task_view(running)->cancelled == 0);
  EXPECT(kl_task_next(client, &task, &err), KL_OK);
  CHECK(task == ended);
  kl_task_cancel(running);
  CHECK(next(client) == running);
  kl_task_free(running);
  kl_task_free(ended);
  kl_client_free(client);
}

/* No descriptor is left: nothing is begun, and all is well when there is one again. */
static void poor(void) {
  kl_client *client = make(account);
  struct rlimit before, few;
  int many[64], n = 0, six = 6;
  int32_t fd = 0;
  kl_task *task = NULL;
  getrlimit(RLIMIT_NOFILE, &before);
  few = before;
  few.rlim_cur = 48;
  setrlimit(RLIMIT_NOFILE, &few);
  while (n < 64 && (many[n] = dup(1)) >= 0) n++;
  EXPECT(kl_client_fd(client, &fd, &err), KL_E_RESOURCE);
  CHECK(fd == -1 && err.os_errno == EMFILE);
  EXPECT(kl_task_start(client, answer, &six, NULL, &task, &err), KL_E_RESOURCE);
  CHECK(task == NULL);
  while (n > 0) close(many[--n]);
  setrlimit(RLIMIT_NOFILE, &before);
  task = start(client, answer, &six, 0);
  CHECK(next(client) == task && is(task, KL_TASK_STATE_RETURNED, 6, KL_OK));
  kl_task_free(task);
  kl_client_free(client);
}

/* What is wrong at the border. */
static void misuse(void) {
  kl_client *client = make(account);
  kl_task_options options = KL_TASK_OPTIONS_INIT;
  kl_task *task = (kl_task *)&options;
  int32_t fd = 0;
  int one = 1;
  EXPECT(kl_task_start(client, NULL, NULL, NULL, &task, &err), KL_E_NULL);
  CHECK(task == NULL && strstr(err.message, "function") != NULL);
  EXPECT(kl_task_start(client, answer, &one, NULL, NULL, &err), KL_E_NULL);
  CHECK(strstr(err.message, "task") != NULL);
  EXPECT(kl_task_start(NULL, answer, &one, NULL, &task, &err), KL_E_NULL);
  EXPECT(kl_task_next(client, NULL, &err), KL_E_NULL);
  EXPECT(kl_task_next(NULL, &task, &err), KL_E_NULL);
  EXPECT(kl_client_fd(client, NULL, &err), KL_E_NULL);
  EXPECT(kl_client_fd(NULL, &fd, &err), KL_E_NULL);
  CHECK(fd == -1);
  options.struct_size = 10;
  EXPECT(kl_task_start(client, answer, &one, &options, &task, &err), KL_E_ARGUMENT);
  options.struct_size = 4097;
  EXPECT(kl_task_start(client, answer, &one, &options, &task, &err), KL_E_ARGUMENT);
  options.struct_size = sizeof options;
  options.timeout_ms = 3600001;
  EXPECT(kl_task_start(client, answer, &one, &options, &task, &err), KL_E_ARGUMENT);
  CHECK(task == NULL);
  nothing_left(client);
  /* An older struct, and one of zeroes. */
  options.timeout_ms = 0;
  options.acts = 77;
  options.struct_size = 12;
  EXPECT(kl_task_start(client, answer, &one, &options, &task, &err), KL_OK);
  CHECK(next(client) == task);
  kl_task_free(task);
  memset(&options, 0, sizeof options);
  EXPECT(kl_task_start(client, answer, &one, &options, &task, &err), KL_OK);
  CHECK(next(client) == task);
  /* Of another kind, freed, foreign. */
  EXPECT(kl_task_next((kl_client *)(void *)task, &task, &err), KL_E_HANDLE);
  CHECK(task == NULL);
  CHECK(kl_task_view((kl_task *)(void *)client) == NULL && kl_task_view((kl_task *)&options) == NULL);
  CHECK(kl_task_view(NULL) == NULL);
  kl_task_cancel((kl_task *)(void *)client);
  kl_task_cancel((kl_task *)&options);
  kl_task_cancel(NULL);
  kl_task_free((kl_task *)(void *)client);
  kl_task_free(NULL);
  EXPECT(kl_ping(client, &err), KL_OK);
  kl_client_free(client);
  EXPECT(kl_task_next(client, &task, &err), KL_E_HANDLE);
  EXPECT(kl_client_fd(client, &fd, &err), KL_E_HANDLE);
  EXPECT(kl_task_start(client, answer, &one, NULL, &task, &err), KL_E_HANDLE);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } all[] = {{"loop", loop},       {"full", full},   {"late", late},   {"handler", handler}, {"signals", signals},
             {"leaving", leaving}, {"frees", frees}, {"forks", forks}, {"misuse", misuse},
             {"poor", poor}};
  if (argc < 6) return 64;
  err = (kl_error)KL_ERROR_INIT;
  accounts = argv[1];
  account = argv[2];
  stalled_account = argv[3];
  cabinet = argv[4];
  for (int n = 5; n < argc; n++) {
    size_t at = 0;
    while (at < sizeof all / sizeof all[0] && strcmp(all[at].name, argv[n]) != 0) at++;
    if (at == sizeof all / sizeof all[0]) return 64;
    all[at].run();
  }
  printf(failures == 0 ? "no fault\n" : "wrong\n");
  return failures != 0;
}
