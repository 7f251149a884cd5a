/* Told line by line what to do, so that a test can end it anywhere and start another one on the same journal.
 *   visits ACCOUNTS.json ACCOUNT
 *     pay NAME VISIT ORDER CABINET WITHIN_MS | refund NAME VISIT ORDER CABINET WITHIN_MS | get NAME | settle NAME | resolve NAME
 *     hurry NAME VISIT ORDER CABINET WITHIN_MS: pay, cancelled while it is under way
 *     redeem NAME VISIT CODE | door NAME VISIT CABINET | list | close VISIT | event BODY_FILE | pending | journal | ping
 * Each line is answered by one that says the result. */

#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <kiosklink.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static kl_error err;

static const char *word(kl_outcome outcome) {
  switch (outcome) {
    case KL_DONE: return "DONE";
    case KL_NOT_DONE: return "NOT_DONE";
    case KL_UNKNOWN: return "UNKNOWN";
    default: return "?";
  }
}

static void told(kl_outcome outcome) { printf("%s %s\n", word(outcome), kl_status_name(err.status)); }

static void status(kl_status status) { printf("%s\n", kl_status_name(status)); }

static void show(const kl_command_info *c) {
  printf(" %s=%s/%s verb %d", c->request_id, word(c->outcome), kl_status_name(c->status), (int)c->verb);
}

static void list(kl_client *client) {
  kl_visits *visits = NULL;
  if (kl_visit_list(client, &visits, &err) != KL_OK) {
    status(err.status);
    return;
  }
  printf("%zu visits:", kl_visits_count(visits));
  for (size_t i = 0; i < kl_visits_count(visits); i++) {
    const kl_visit *v = kl_visits_at(visits, i);
    printf(" [%s %u done %u unknown", v->visit_id, (unsigned)v->done_count, (unsigned)v->unknown_count);
    if (v->started_at != v->commands[0]->started_at || v->age_ms != v->commands[0]->age_ms) printf(" NOT ITS FIRST'S TIME");
    for (size_t k = 0; k < v->command_count; k++) {
      show(v->commands[k]);
      if (strcmp(v->commands[k]->visit_id, v->visit_id) != 0) printf(" OF ANOTHER VISIT");
    }
    printf("]");
  }
  printf("\n");
  if (kl_visits_at(visits, kl_visits_count(visits)) != NULL) printf("ONE TOO MANY\n");
  kl_visits_free(visits);
}

static void pending(kl_client *client) {
  kl_commands *all = NULL;
  if (kl_command_pending(client, &all, &err) != KL_OK) {
    status(err.status);
    return;
  }
  printf("%zu pending:", kl_commands_count(all));
  for (size_t i = 0; i < kl_commands_count(all); i++) show(kl_commands_at(all, i));
  printf("\n");
  kl_commands_free(all);
}

static void event(kl_client *client, const char *path) {
  static uint8_t body[65536];
  FILE *file = fopen(path, "rb");
  size_t length = file == NULL ? 0 : fread(body, 1, sizeof body, file);
  if (file != NULL) fclose(file);
  kl_event *event = NULL;
  const char *head = "Content-Type: application/x-www-form-urlencoded\r\n";
  if (kl_event_parse(client, head, body, length, &event, &err) != KL_OK) {
    status(err.status);
    return;
  }
  printf("%s duplicate %d\n", kl_event_view(event)->order_no, (int)kl_event_view(event)->duplicate);
  kl_event_free(event);
}

static void pay(kl_client *client, char *const *arg) {
  kl_payment_report_request r = KL_PAYMENT_REPORT_REQUEST_INIT;
  kl_response *response = NULL;
  r.result = KL_PAYMENT_RESULT_PAID;
  r.amount = -1;
  r.request_id = strcmp(arg[0], "-") == 0 ? NULL : arg[0];
  r.visit_id = arg[1];
  r.order_no = arg[2];
  r.cabinet_id = arg[3];
  r.send_within_ms = (uint32_t)strtoul(arg[4], NULL, 10);
  told(kl_payment_report(client, &r, &response, &err));
  kl_response_free(response);
}

struct hurried {
  kl_client *client;
  pthread_mutex_t lock;
  int over;
};

/* Cancels until the call has returned: it may not have begun yet. */
static void *give_up(void *arg) {
  struct hurried *h = arg;
  struct timespec a_moment = {0, 20000000};
  int over;
  do {
    nanosleep(&a_moment, NULL);
    if (kl_client_cancel(h->client, NULL) != KL_OK) break;
    pthread_mutex_lock(&h->lock);
    over = h->over;
    pthread_mutex_unlock(&h->lock);
  } while (!over);
  return NULL;
}

static void hurry(kl_client *client, char *const *arg) {
  struct hurried h = {0};
  pthread_t thread;
  h.client = client;
  pthread_mutex_init(&h.lock, NULL);
  if (pthread_create(&thread, NULL, give_up, &h) != 0) return;
  pay(client, arg);
  pthread_mutex_lock(&h.lock);
  h.over = 1;
  pthread_mutex_unlock(&h.lock);
  pthread_join(thread, NULL);
}

/* What is recorded of it, and whether it waits. */
static void get(kl_client *client, const char *name) {
  kl_command *command = NULL;
  const kl_command_info *c;
  if (kl_command_get(client, name, &command, &err) != KL_OK) {
    status(err.status);
    return;
  }
  c = kl_command_view(command);
  printf("%s %s %s\n", word(c->outcome), kl_status_name(c->status), c->kept_for_ms > 0 ? "waits" : "-");
  kl_command_free(command);
}

static int money(kl_client *client, const char *verb, char *const *arg) {
  if (strcmp(verb, "pay") == 0) {
    pay(client, arg);
  } else if (strcmp(verb, "hurry") == 0) {
    hurry(client, arg);
  } else if (strcmp(verb, "refund") == 0) {
    kl_claim_request r = KL_CLAIM_REQUEST_INIT;
    kl_response *response = NULL;
    r.request_id = arg[0];
    r.visit_id = arg[1];
    r.order_no = arg[2];
    r.cabinet_id = arg[3];
    r.reason = "REFUNDS_REASON_PRODUCT_NOT_MATCH";
    r.remarks = "\xe9\x80\x80\xe6\xac\xbe";
    r.phone = "13800000000";
    r.send_within_ms = (uint32_t)strtoul(arg[4], NULL, 10);
    told(kl_refund_apply(client, &r, &response, &err));
    kl_response_free(response);
  } else if (strcmp(verb, "get") == 0) {
    get(client, arg[0]);
  } else if (strcmp(verb, "settle") == 0) {
    status(kl_command_settle(client, arg[0], KL_NOT_DONE, KL_SETTLED_BY_PERSON, "withdrawn", &err));
  } else if (strcmp(verb, "resolve") == 0) {
    kl_command *command = NULL;
    told(kl_command_resolve(client, arg[0], &command, &err));
    kl_command_free(command);
  } else {
    return 0;
  }
  return 1;
}

static int act(kl_client *client, const char *verb, char *const *arg) {
  if (strcmp(verb, "redeem") == 0) {
    kl_redeem_request r = KL_REDEEM_REQUEST_INIT;
    kl_command *command = NULL;
    r.request_id = arg[0];
    r.visit_id = arg[1];
    r.code = arg[2];
    told(kl_code_redeem(client, &r, &command, &err));
    kl_command_free(command);
  } else if (strcmp(verb, "door") == 0) {
    kl_door_request r = KL_DOOR_REQUEST_INIT;
    kl_command *command = NULL;
    r.request_id = arg[0];
    r.visit_id = arg[1];
    r.cabinet_id = arg[2];
    told(kl_door_open(client, &r, &command, &err));
    kl_command_free(command);
  } else if (strcmp(verb, "list") == 0) {
    list(client);
  } else if (strcmp(verb, "pending") == 0) {
    pending(client);
  } else if (strcmp(verb, "close") == 0) {
    status(kl_visit_close(client, arg[0], &err));
  } else if (strcmp(verb, "event") == 0) {
    event(client, arg[0]);
  } else if (strcmp(verb, "ping") == 0) {
    status(kl_ping(client, &err));
  } else if (strcmp(verb, "journal") == 0) {
    kl_journal_info info = KL_JOURNAL_INFO_INIT;
    if (kl_journal_read(client, &info, &err) != KL_OK) status(err.status);
    else printf("unsettled %" PRIu64 " visits %" PRIu64 "\n", info.unsettled, info.visits);
  } else {
    return money(client, verb, arg);
  }
  return 1;
}

int main(int argc, char **argv) {
  kl_config *config = NULL;
  kl_client *client = NULL;
  char line[4096];
  err = (kl_error)KL_ERROR_INIT;
  if (argc != 3 || kl_config_load(argv[1], argv[2], &config, &err) != KL_OK) return 64;
  if (kl_client_new(config, &client, &err) != KL_OK) {
    printf("%s\n", err.message);
    return 64;
  }
  kl_config_free(config);
  while (fgets(line, sizeof line, stdin) != NULL) {
    char *arg[7] = {0};
    int n = 0;
    for (char *part = strtok(line, " \n"); part != NULL && n < 6; part = strtok(NULL, " \n")) arg[n++] = part;
    if (n > 0 && !act(client, arg[0], arg + 1)) printf("no such thing as %s\n", arg[0]);
    fflush(stdout);
  }
  kl_client_free(client);
  return 0;
}
