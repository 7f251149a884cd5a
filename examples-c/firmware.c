/* The firmware of a kiosk, whole and small: a screen that never waits, and everything that may wait in jobs.
 *
 *   firmware ACCOUNTS.json ACCOUNT CABINET [--customer NAME] [--port PORT] [--watchdog FILE]
 *
 * Type `door` for a customer who wants the door, digits for a pickup code, `quit` to end. With --customer one customer is
 * there at once, whose action is called NAME, and the firmware ends when the visit is over: started again after a crash
 * with the same NAME it goes on with the same visit. Callbacks are taken on 127.0.0.1:PORT; 0, the default, is a free port.
 *
 * The parts, each to be copied:
 *
 * - The loop draws 60 frames a second and calls only what waits for nothing (docs/threads.md): kl_task_start, kl_task_next,
 *   kl_task_view, kl_task_cancel.
 * - A job does what a customer wants from the first call to the last, with the ordinary blocking calls.
 * - Names: a door's and its visit's are made by the library before anything is sent; a payment report is called after its
 *   order, so it is sent once, whoever comes first, the door's job or the callback.
 * - After a start the visits that are open are finished before the next customer is served.
 * - The watchdog is fed by the loop, and not while a job hangs.
 * - SIGTERM: no new customers, reads are given up, what acts may end.
 *
 * Exit: 0 ended as told, or the customer's visit is over; 1 the door did not open; 2 nobody knows; 3 it opened, but what
 * came after went wrong; 64 wrong use. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <kiosklink.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_NS 16666667L
#define LATE_NS 20000000L
#define STOCK_EVERY_MS 30000
#define STOCK_WITHIN_MS 5000
#define VISIT_MS 120000  /* So long a customer may stand at the open door. */
#define HUNG_MS 300000   /* A job that runs so long hangs: the watchdog is not fed any more. */
#define ENDING_MS 30000  /* After SIGTERM, for what acts. */
#define REQUEST_MS 5000  /* For a callback, from the connection to the last byte. */

enum what { LOOK_BACK, STOCK, SELL, REDEEM, CALLBACK };

/* What a job is given, and what it gives back. The job's thread has it until the job has ended, then the loop. */
struct job {
  enum what what;
  char cabinet[64];
  char visit[KL_VISIT_ID_MAX + 1];
  char name[KL_REQUEST_ID_MAX + 1];
  char code[80];
  int socket;
  char says[160]; /* for the screen */
};

struct firmware {
  kl_client *client;
  const char *cabinet;
  const char *customer; /* NULL: from the keys */
  int listener, watchdog;
  int acting, reading;   /* jobs under way */
  kl_task *stock;
  int64_t next_stock_ms, next_feed_ms;
  int ready, served, result;
  char typed[80];
  size_t typed_length;
  long frames, late;
  long worst_ns;
};

static volatile sig_atomic_t told_to_end;

static void on_signal(int number) {
  (void)number;
  told_to_end = 1;
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
  nanosleep(&t, NULL);
}

/* ---- Jobs: each runs on a thread of the library, with a view of its own, and may wait -------------------------- */

/* What became of a command whose answer was lost. Asking sends nothing that could act. */
static kl_outcome ask(kl_client *client, const char *name, kl_error *err) {
  kl_command *command = NULL;
  kl_outcome outcome = kl_command_resolve(client, name, &command, err);
  kl_command_free(command);
  return outcome;
}

/* Tells the platform that an order is paid. Its name is the order's: under one name it is sent at most once. */
static int report_paid(kl_client *client, const char *order_no, int64_t amount, const char *report_url, const char *visit) {
  kl_error err = KL_ERROR_INIT;
  kl_response *answer = NULL;
  char name[KL_REQUEST_ID_MAX + 1];
  kl_payment_report_request report = KL_PAYMENT_REPORT_REQUEST_INIT;
  /* Here the customer is charged, once for an order, as your books have it. */
  snprintf(name, sizeof name, "paid-%.100s", order_no);
  report.request_id = name;
  report.visit_id = visit;
  report.result = KL_PAYMENT_RESULT_PAID;
  report.amount = amount;
  report.report_url = report_url;
  report.order_no = order_no;
  report.trade_no = "WX-4200001234";
  kl_outcome outcome = kl_payment_report(client, &report, &answer, &err);
  kl_response_free(answer);
  if (outcome == KL_UNKNOWN) outcome = ask(client, name, &err);
  return outcome == KL_DONE;
}

/* From the opened door to the reported payment. 0 when the visit is over. */
static int follow(kl_client *client, const kl_command_info *door, char says[160]) {
  kl_error err = KL_ERROR_INIT;
  kl_order_ref ref = KL_ORDER_REF_INIT;
  ref.order_no = door->order_no;
  for (int64_t until = now_ms() + VISIT_MS; now_ms() < until; pause_ms(250)) {
    kl_orders *orders = NULL;
    if (kl_order_get(client, &ref, &orders, &err) != KL_OK) {
      if (err.status == KL_E_CANCELLED || err.advice != KL_ADVICE_RETRY) break;
      continue;
    }
    const kl_order *order = kl_orders_at(orders, 0);
    int known = order->door == KL_DOOR_STATE_SHUT && order->line_count > 0 && order->amount >= 0;
    int result = -1;
    if (order->door == KL_DOOR_STATE_NEVER_OPENED) {
      snprintf(says, 160, "the door never opened, nothing is to pay");
      result = 1;
    } else if (known && order->payment == KL_PAYMENT_STATE_PAID) {
      snprintf(says, 160, "paid: %" PRId64 " fen", order->amount);
      result = 0;
    } else if (known && door->report_url[0] != '\0') {
      int paid = report_paid(client, door->order_no, order->amount, door->report_url, door->visit_id);
      snprintf(says, 160, paid ? "paid: %" PRId64 " fen" : "%" PRId64 " fen could not be reported", order->amount);
      result = paid ? 0 : 3;
    } else if (known) {
      /* Found again after a lost answer: the address comes with the platform's callback, which pays and ends the visit. */
      snprintf(says, 160, "order %s waits for the platform", door->order_no);
      result = 3;
    }
    kl_orders_free(orders);
    if (result >= 0) return result;
  }
  snprintf(says, 160, "order %s stays open", door->order_no);
  return 3;
}

/* What a door's command has become of: followed to its end if it opened. What is not known stays in the journal. */
static int finish(kl_client *client, const char *visit, const kl_command_info *door, kl_outcome outcome, char says[160]) {
  kl_error err = KL_ERROR_INIT;
  int result = outcome == KL_NOT_DONE ? 1 : 2;
  if (outcome == KL_DONE) result = follow(client, door, says);
  if (result <= 1 && kl_visit_close(client, visit, &err) != KL_OK) snprintf(says, 160, "%.150s", err.message);
  return result;
}

/* The names of a new customer's visit, unless they were kept. 1 if there are any. */
static int name_visit(kl_client *client, struct job *job) {
  kl_error err = KL_ERROR_INIT;
  if (job->name[0] == '\0' && kl_request_id_new(client, job->name, sizeof job->name, &err) != KL_OK) {
    snprintf(job->says, sizeof job->says, "%.150s", err.message);
    return 0;
  }
  snprintf(job->visit, sizeof job->visit, "%.*s", KL_VISIT_ID_MAX, job->name);
  return 1;
}

static int sell(kl_client *client, struct job *job) {
  kl_error err = KL_ERROR_INIT;
  if (!name_visit(client, job)) return 1;
  kl_command *command = NULL;
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  request.request_id = job->name;
  request.visit_id = job->visit;
  request.cabinet_id = job->cabinet;
  kl_outcome outcome = kl_door_open(client, &request, &command, &err);
  if (outcome == KL_UNKNOWN) {
    /* Asking sends nothing that could open. A contact at the door would tell at once: kl_command_settle. */
    snprintf(job->says, sizeof job->says, "one moment, we are looking whether the door opened");
    kl_command_free(command);
    outcome = kl_command_resolve(client, job->name, &command, &err);
  }
  if (outcome != KL_DONE) snprintf(job->says, sizeof job->says, "%.150s", err.message);
  int result = finish(client, job->visit, kl_command_view(command), outcome, job->says);
  kl_command_free(command);
  return result;
}

/* A code is redeemed, and where the platform dispenses the goods, they are released: one job, one visit. */
static int redeem(kl_client *client, struct job *job) {
  kl_error err = KL_ERROR_INIT;
  kl_command *redeemed = NULL, *released = NULL;
  kl_redeem_request request = KL_REDEEM_REQUEST_INIT;
  if (!name_visit(client, job)) return 1;
  request.request_id = job->name;
  request.visit_id = job->visit;
  request.code = job->code;
  request.redeemer = "kiosk-7";
  kl_outcome outcome = kl_code_redeem(client, &request, &redeemed, &err);
  if (err.status == KL_E_CODE_TRIES) {
    snprintf(job->says, sizeof job->says, "too many wrong codes, again in %" PRIu32 " s", err.retry_after_ms / 1000 + 1);
  } else if (outcome != KL_DONE) {
    snprintf(job->says, sizeof job->says, "%.150s", err.message);
  }
  const kl_command_info *info = kl_command_view(redeemed);
  if (outcome == KL_DONE && info->item_no[0] != '\0') {
    kl_door_request release = KL_DOOR_REQUEST_INIT;
    char name[KL_REQUEST_ID_MAX + 1];
    snprintf(name, sizeof name, "goods-%.100s", job->name);
    release.request_id = name;
    release.visit_id = job->visit;
    release.cabinet_id = job->cabinet;
    release.order_no = info->order_no;
    release.item_no = info->item_no;
    outcome = kl_door_open(client, &release, &released, &err);
    if (outcome != KL_DONE) snprintf(job->says, sizeof job->says, "the goods are not out: %.130s", err.message);
  }
  if (outcome == KL_DONE) snprintf(job->says, sizeof job->says, "your code is good, please take your goods");
  kl_command_free(released);
  kl_command_free(redeemed);
  /* A visit of which not everything is known stays open: it is listed after the next start too. */
  if (outcome != KL_UNKNOWN && kl_visit_close(client, job->visit, &err) != KL_OK) return 3;
  return outcome == KL_DONE ? 0 : outcome == KL_NOT_DONE ? 1 : 2;
}

/* What the power or a crash interrupted: what is unknown is asked for, and the visits that are open go on. */
static int look_back(kl_client *client, struct job *job) {
  kl_error err = KL_ERROR_INIT;
  kl_commands *pending = NULL;
  kl_visits *visits = NULL;
  int left = 0;
  if (kl_command_pending(client, &pending, &err) != KL_OK) snprintf(job->says, sizeof job->says, "%.150s", err.message);
  for (size_t i = 0; i < kl_commands_count(pending); i++) {
    if (ask(client, kl_commands_at(pending, i)->request_id, &err) == KL_UNKNOWN) left++;
  }
  kl_commands_free(pending);
  if (kl_visit_list(client, &visits, &err) != KL_OK) snprintf(job->says, sizeof job->says, "%.150s", err.message);
  for (size_t i = 0; i < kl_visits_count(visits); i++) {
    const kl_visit *visit = kl_visits_at(visits, i);
    for (size_t k = 0; k < visit->command_count; k++) {
      const kl_command_info *command = visit->commands[k];
      if (command->kind == KL_COMMAND_KIND_DOOR && command->item_no[0] == '\0') {
        finish(client, visit->visit_id, command, command->outcome, job->says);
      }
    }
  }
  kl_visits_free(visits);
  if (left > 0) snprintf(job->says, sizeof job->says, "a person is to look: %d unknown", left);
  if (job->says[0] == '\0') snprintf(job->says, sizeof job->says, "nothing was left");
  return left;
}

static int show_stock(kl_client *client, struct job *job) {
  kl_error err = KL_ERROR_INIT;
  kl_stock *stock = NULL;
  int goods = 0;
  if (kl_stock_fetch(client, job->cabinet, &stock, &err) != KL_OK) {
    snprintf(job->says, sizeof job->says, "no stock: %.130s", err.message);
    return -1;
  }
  for (size_t i = 0; i < kl_stock_count(stock); i++) goods += kl_stock_at(stock, i)->stock > 0;
  if (goods > 0) snprintf(job->says, sizeof job->says, "%d goods, for example %.100s", goods, kl_stock_at(stock, 0)->name);
  kl_stock_free(stock);
  return goods;
}

/* Waits for a connection to be ready; false when the time is up. */
static int ready(int fd, short events, int64_t until_ms) {
  struct pollfd p = {fd, events, 0};
  for (;;) {
    int64_t left = until_ms - now_ms();
    int n = poll(&p, 1, left > 0 ? (int)left : 0);
    if (n >= 0 || errno != EINTR) return n > 0;
  }
}

static int put(int fd, const uint8_t *bytes, size_t length) {
  int64_t until = now_ms() + REQUEST_MS;
  while (length > 0) {
    if (!ready(fd, POLLOUT, until)) return 0;
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n < 0) return 0;
    bytes += n;
    length -= (size_t)n;
  }
  return 1;
}

/* Ends the open visit that has this order. */
static void end_visit_of(kl_client *client, const char *order_no) {
  kl_error err = KL_ERROR_INIT;
  kl_visits *visits = NULL;
  if (kl_visit_list(client, &visits, &err) != KL_OK) return;
  for (size_t i = 0; i < kl_visits_count(visits); i++) {
    const kl_visit *visit = kl_visits_at(visits, i);
    for (size_t k = 0; k < visit->command_count; k++) {
      if (strcmp(visit->commands[k]->order_no, order_no) != 0) continue;
      /* Not closed, it is listed after the next start, paid as it is. */
      if (kl_visit_close(client, visit->visit_id, &err) != KL_OK) break;
    }
  }
  kl_visits_free(visits);
}

/* What a callback asks for. 1 if it is done and need not come again. */
static int act(kl_client *client, const kl_event_info *event, char says[160]) {
  switch (event->kind) {
    case KL_EVENT_KIND_RECOGNIZED:
    case KL_EVENT_KIND_ORDER_REPLACED:
      if (event->amount < 0 || event->report_url[0] == '\0') return 0;
      if (!report_paid(client, event->order_no, event->amount, event->report_url, NULL)) return 0;
      snprintf(says, 160, "order %s is paid", event->order_no);
      end_visit_of(client, event->order_no);
      return 1;
    case KL_EVENT_KIND_REFUND_APPROVED:
      snprintf(says, 160, "order %s: a refund is for the back office", event->order_no);
      return 0;
    default:
      return 1;
  }
}

/* One connection on which callbacks come. The verified event is in the journal when it is answered. */
static int callback(kl_client *client, struct job *job) {
  kl_error err = KL_ERROR_INIT;
  kl_http *http = NULL;
  const kl_http_step *step = NULL;
  kl_http_options options = KL_HTTP_OPTIONS_INIT;
  uint8_t bytes[4096];
  int taken = 0;
  options.timeout_ms = REQUEST_MS;
  options.one_request = 1;
  if (kl_http_new(&options, &http, &err) != KL_OK || kl_http_add(http, client, NULL, &err) != KL_OK ||
      kl_http_tick(http, &step, &err) != KL_OK) {
    snprintf(job->says, sizeof job->says, "%.150s", err.message);
  }
  while (step != NULL && put(job->socket, step->bytes, step->len) && step->action != KL_HTTP_ACTION_CLOSE) {
    kl_status status;
    if (step->action == KL_HTTP_ACTION_EVENT) {
      int done = step->event->duplicate || act(client, step->event, job->says);
      taken += done;
      status = kl_http_reply(http, done ? 0 : 1, done ? "SUCCESS" : "NOT_YET", NULL, &step, &err);
    } else if (ready(job->socket, POLLIN, now_ms() + step->wait_ms)) {
      ssize_t n = recv(job->socket, bytes, sizeof bytes, 0);
      status = kl_http_feed(http, bytes, n > 0 ? (size_t)n : 0, &step, &err);
    } else {
      status = kl_http_tick(http, &step, &err);
    }
    if (status != KL_OK) snprintf(job->says, sizeof job->says, "a callback was refused: %.120s", err.message);
  }
  kl_http_free(http);
  shutdown(job->socket, SHUT_WR);
  if (ready(job->socket, POLLIN, now_ms() + 500) && recv(job->socket, bytes, sizeof bytes, 0) < 0) return taken;
  return taken;
}

static int32_t run(kl_client *client, void *user) {
  struct job *job = user;
  switch (job->what) {
    case LOOK_BACK: return look_back(client, job);
    case STOCK: return show_stock(client, job);
    case SELL: return sell(client, job);
    case REDEEM: return redeem(client, job);
    default: return callback(client, job);
  }
}

static void end_job(void *user) {
  struct job *job = user;
  if (job->socket >= 0) close(job->socket);
  free(job);
}

/* ---- The loop: nothing below may wait ---------------------------------------------------------------------------- */

static void show(const char *what, const char *says) { printf("[%s] %s\n", what, says); }

/* Begins a job; says so if it cannot. The job is the library's then. */
static kl_task *begin(struct firmware *kiosk, struct job *job) {
  kl_error err = KL_ERROR_INIT;
  kl_task *task = NULL;
  kl_task_options options = KL_TASK_OPTIONS_INIT;
  options.acts = job->what != STOCK && job->what != CALLBACK;
  options.timeout_ms = job->what == STOCK ? STOCK_WITHIN_MS : 0;
  options.start_within_ms = options.acts && job->what != LOOK_BACK ? 3000 : 0;
  options.release = end_job;
  int acts = options.acts;
  if (kl_task_start(kiosk->client, run, job, &options, &task, &err) != KL_OK) {
    show("busy", err.message);
    end_job(job);
    return NULL;
  }
  if (acts) kiosk->acting++; else kiosk->reading++;
  return task;
}

static struct job *new_job(const struct firmware *kiosk, enum what what) {
  struct job *job = calloc(1, sizeof *job);
  if (job == NULL) return NULL;
  job->what = what;
  job->socket = -1;
  snprintf(job->cabinet, sizeof job->cabinet, "%s", kiosk->cabinet);
  return job;
}

/* A customer: with a name that was kept, or with none yet, which the job makes: that may wait for the disk. */
static void serve(struct firmware *kiosk, enum what what, const char *name, const char *code) {
  struct job *job = new_job(kiosk, what);
  if (job == NULL) return;
  if (name != NULL) snprintf(job->name, sizeof job->name, "%s", name);
  if (code != NULL) snprintf(job->code, sizeof job->code, "%s", code);
  begin(kiosk, job);
}

/* Jobs that ended. What they say goes on the screen. */
static void take(struct firmware *kiosk) {
  static const char *const called[] = {"after the start", "stock", "door", "code", "callback"};
  kl_error err = KL_ERROR_INIT;
  kl_task *task = NULL;
  while (kl_task_next(kiosk->client, &task, &err) == KL_OK && task != NULL) {
    const kl_task_info *info = kl_task_view(task);
    const struct job *job = info->user;
    int ran = info->state == KL_TASK_STATE_RETURNED;
    if (job->what == STOCK || job->what == CALLBACK) kiosk->reading--; else kiosk->acting--;
    if (job->what == STOCK) kiosk->stock = NULL;
    if (job->what == LOOK_BACK) kiosk->ready = 1;
    if (job->what == SELL || job->what == REDEEM) {
      kiosk->served = 1;
      /* Not begun: nothing was sent. */
      kiosk->result = ran ? info->result : 1;
    }
    if (!ran && !info->cancelled) show(called[job->what], kl_status_name(info->status));
    if (job->says[0] != '\0') show(called[job->what], job->says);
    kl_task_free(task);
  }
}

/* A job that hangs keeps the watchdog hungry, and the box starts again: the journal knows what was under way. */
static void feed_watchdog(struct firmware *kiosk, int64_t acting_since_ms) {
  if (kiosk->watchdog < 0 || now_ms() < kiosk->next_feed_ms) return;
  kiosk->next_feed_ms = now_ms() + 1000;
  if (kiosk->acting > 0 && now_ms() - acting_since_ms > HUNG_MS) return;
  if (write(kiosk->watchdog, ".", 1) < 0) show("watchdog", strerror(errno));
}

static void keys(struct firmware *kiosk) {
  ssize_t n = read(STDIN_FILENO, kiosk->typed + kiosk->typed_length, sizeof kiosk->typed - 1 - kiosk->typed_length);
  if (n <= 0) {
    told_to_end = 1;
    return;
  }
  kiosk->typed_length += (size_t)n;
  kiosk->typed[kiosk->typed_length] = '\0';
  for (char *end; (end = strchr(kiosk->typed, '\n')) != NULL;) {
    *end = '\0';
    if (strcmp(kiosk->typed, "quit") == 0) {
      told_to_end = 1;
    } else if (!kiosk->ready || kiosk->acting > 0) {
      show("one moment", "somebody is being served");
    } else if (strcmp(kiosk->typed, "door") == 0) {
      serve(kiosk, SELL, NULL, NULL);
    } else if (strspn(kiosk->typed, "0123456789") > 3) {
      serve(kiosk, REDEEM, NULL, kiosk->typed);
    }
    kiosk->typed_length = strlen(end + 1);
    memmove(kiosk->typed, end + 1, kiosk->typed_length + 1);
  }
  if (kiosk->typed_length == sizeof kiosk->typed - 1) kiosk->typed_length = 0;
}

static void take_connection(struct firmware *kiosk) {
  int fd = accept(kiosk->listener, NULL, NULL);
  struct job *job = fd < 0 ? NULL : new_job(kiosk, CALLBACK);
  if (job == NULL) {
    if (fd >= 0) close(fd);
    return;
  }
  job->socket = fd;
  begin(kiosk, job);
}

/* Here the screen would be drawn. */
static void draw(struct firmware *kiosk, const struct timespec *planned) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  long behind = (now.tv_sec - planned->tv_sec) * 1000000000L + now.tv_nsec - planned->tv_nsec;
  kiosk->frames++;
  if (behind > LATE_NS) kiosk->late++;
  if (behind > kiosk->worst_ns) kiosk->worst_ns = behind;
}

/* With `only` it ends when its one customer is served. */
static void loop(struct firmware *kiosk, int done_fd, int only) {
  sigset_t open_signals;
  struct timespec frame;
  int64_t acting_since_ms = 0, ending_since_ms = 0;
  sigprocmask(SIG_BLOCK, NULL, &open_signals);
  sigdelset(&open_signals, SIGTERM);
  sigdelset(&open_signals, SIGINT);
  clock_gettime(CLOCK_MONOTONIC, &frame);
  for (;;) {
    draw(kiosk, &frame);
    if (kiosk->acting == 0) acting_since_ms = now_ms();
    feed_watchdog(kiosk, acting_since_ms);
    if (kiosk->ready && kiosk->customer != NULL) {
      serve(kiosk, SELL, kiosk->customer, NULL);
      kiosk->customer = NULL;
    }
    if (only && kiosk->served) return;
    if (told_to_end) {
      if (ending_since_ms == 0) {
        ending_since_ms = now_ms();
        show("ends", "no more customers");
        kl_task_cancel(kiosk->stock);
      }
      if (kiosk->acting == 0 || now_ms() - ending_since_ms > ENDING_MS) return;
    } else if (kiosk->stock == NULL && now_ms() >= kiosk->next_stock_ms) {
      struct job *job = new_job(kiosk, STOCK);
      kiosk->next_stock_ms = now_ms() + STOCK_EVERY_MS;
      if (job != NULL) kiosk->stock = begin(kiosk, job);
    }

    frame.tv_nsec += FRAME_NS;
    if (frame.tv_nsec >= 1000000000L) {
      frame.tv_nsec -= 1000000000L;
      frame.tv_sec++;
    }
    for (;;) {
      struct timespec now, left = {0, 0};
      clock_gettime(CLOCK_MONOTONIC, &now);
      long ns = (frame.tv_sec - now.tv_sec) * 1000000000L + frame.tv_nsec - now.tv_nsec;
      if (ns > 0) left.tv_nsec = ns;
      struct pollfd fds[3] = {{done_fd, POLLIN, 0}, {told_to_end ? -1 : kiosk->listener, POLLIN, 0}, {-1, POLLIN, 0}};
      if (!only && !told_to_end) fds[2].fd = STDIN_FILENO;
      int n = ppoll(fds, 3, &left, &open_signals);
      if (n > 0 && fds[0].revents != 0) take(kiosk);
      if (n > 0 && fds[1].revents != 0) take_connection(kiosk);
      if (n > 0 && fds[2].revents != 0) keys(kiosk);
      if (n == 0 || ns <= 0) break;
    }
  }
}

static int listen_on(long port) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons((uint16_t)port);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 16) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
    printf("cannot listen on port %ld: %s\n", port, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
  }
  printf("listening on http://127.0.0.1:%u/\n", (unsigned)ntohs(address.sin_port));
  return fd;
}

int main(int argc, char **argv) {
  struct firmware kiosk = {.listener = -1, .watchdog = -1};
  const char *watchdog = NULL;
  long port = 0;
  int wrong = argc < 4 || argc % 2 != 0;
  for (int i = 4; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--customer") == 0) kiosk.customer = argv[i + 1];
    else if (strcmp(argv[i], "--port") == 0) port = strtol(argv[i + 1], NULL, 10);
    else if (strcmp(argv[i], "--watchdog") == 0) watchdog = argv[i + 1];
    else wrong = 1;
  }
  if (wrong || kl_abi_version() != KL_ABI_VERSION) {
    fprintf(stderr, "use: firmware ACCOUNTS.json ACCOUNT CABINET [--customer NAME] [--port PORT] [--watchdog FILE]\n");
    return 64;
  }
  /* Blocked before any thread is made, and open only in ppoll: no signal is lost between two looks at the flag. */
  struct sigaction action;
  sigset_t blocked;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);

  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  int only = kiosk.customer != NULL, done_fd = -1, result = 1;
  kiosk.cabinet = argv[3];
  /* Before the first frame, so it may wait: the client tries its folder. */
  if (kl_config_load(argv[1], argv[2], &config, &err) != KL_OK || kl_client_new(config, &kiosk.client, &err) != KL_OK ||
      kl_client_fd(kiosk.client, &done_fd, &err) != KL_OK) {
    show("cannot start", err.message);
    goto end;
  }
  kiosk.listener = listen_on(port);
  if (watchdog != NULL) kiosk.watchdog = open(watchdog, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_APPEND);
  struct job *job = new_job(&kiosk, LOOK_BACK);
  if (job == NULL || begin(&kiosk, job) == NULL) goto end;
  loop(&kiosk, done_fd, only);
  result = only && kiosk.served ? kiosk.result : 0;
  printf("%ld frames, %ld late, the worst by %ld ms\n", kiosk.frames, kiosk.late, kiosk.worst_ns / 1000000);

end:
  /* Jobs that only read are cancelled by it. */
  kl_client_free(kiosk.client);
  kl_config_free(config);
  if (kiosk.listener >= 0) close(kiosk.listener);
  if (kiosk.watchdog >= 0) close(kiosk.watchdog);
  return result;
}
