/* How much stack each call takes: every one runs on a thread of its own, whose stack is painted before.
 *   stack ACCOUNTS.json            prints a line for each: call, account, status, bytes, message
 * The first opening is lost, as the test has asked of the simulator; ACCOUNTS has yopoint, dingshang, youzan and zhiyun.
 * Each call is made by a client of its own, so it looks up, connects, shakes hands, verifies and fetches its token. */

#include <kiosklink.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE ((size_t)1 << 20)
#define PAINT 0x5a

static const char *accounts;
static const char *const CABINET = "5f6da2362201410011000001", *const OTHER = "5f6da2362201410011000002";
static const char *const MACHINE = "16327129", *const CODE = "10000000001";
static const char *const NOTIFY = "https://kiosk.example/notify/f3a91c";

/* What one call leaves for the next. */
static char order_no[128], report_url[512], product_id[64], lane[64], code[64], code_id[64];
static int64_t amount = -1;
static kl_cabinet_iter *cabinets;
static kl_stock_iter *goods;
static kl_order_iter *orders_walk;
static kl_http *http;

static void keep(char *place, size_t size, const char *text) { snprintf(place, size, "%s", text); }

static kl_status acted(kl_outcome outcome, const kl_error *err) {
  return outcome == KL_DONE ? KL_OK : err->status;
}

/* ---- the calls: what is not the library's is small in them ---- */

static kl_status do_config_load(kl_client *c, kl_error *err) {
  kl_config *config = NULL;
  kl_status status = kl_config_load(accounts, "yopoint", &config, err);
  (void)c;
  kl_config_free(config);
  return status;
}

static kl_status do_client_new(kl_client *c, kl_error *err) {
  kl_config *config = NULL;
  kl_client *made = NULL;
  kl_status status = kl_config_load(accounts, "yopoint", &config, err);
  (void)c;
  if (status == KL_OK) status = kl_client_new(config, &made, err);
  kl_client_free(made);
  kl_config_free(config);
  return status;
}

static kl_status do_ping(kl_client *c, kl_error *err) { return kl_ping(c, err); }
static kl_status do_warm(kl_client *c, kl_error *err) { return kl_client_warm(c, err); }

static kl_status do_cabinet_list(kl_client *c, kl_error *err) {
  kl_cabinets *list = NULL;
  kl_status status = kl_cabinet_list(c, NULL, &list, err);
  kl_cabinets_free(list);
  return status;
}

static kl_status do_cabinet_iter(kl_client *c, kl_error *err) {
  const kl_cabinet *one = NULL;
  kl_status status = kl_cabinet_iter_new(c, 2, &cabinets, err);
  while (status == KL_OK && (status = kl_cabinet_iter_next(cabinets, &one, err)) == KL_OK && one != NULL) {
  }
  kl_cabinet_iter_free(cabinets);
  return status;
}

static kl_status stock_of(kl_client *c, const char *cabinet, kl_error *err) {
  kl_stock *stock = NULL;
  kl_status status = kl_stock_fetch(c, cabinet, &stock, err);
  if (status == KL_OK && cabinet == MACHINE) {
    keep(product_id, sizeof product_id, kl_stock_at(stock, 0)->id);
    keep(lane, sizeof lane, kl_stock_at(stock, 0)->lanes);
    lane[strcspn(lane, ",")] = '\0';
  }
  kl_stock_free(stock);
  return status;
}
static kl_status do_stock_fetch(kl_client *c, kl_error *err) { return stock_of(c, CABINET, err); }
static kl_status do_stock_machine(kl_client *c, kl_error *err) { return stock_of(c, MACHINE, err); }

static kl_status do_stock_page(kl_client *c, kl_error *err) {
  kl_stock *stock = NULL;
  kl_page page = KL_PAGE_INIT;
  kl_status status;
  page.number = 1;
  page.size = 5;
  status = kl_stock_fetch_page(c, CABINET, &page, NULL, &stock, err);
  kl_stock_free(stock);
  return status;
}

static kl_status do_stock_iter(kl_client *c, kl_error *err) {
  const kl_stock_item *one = NULL;
  kl_status status = kl_stock_iter_new(c, CABINET, 0, NULL, &goods, err);
  while (status == KL_OK && (status = kl_stock_iter_next(goods, &one, err)) == KL_OK && one != NULL) {
  }
  kl_stock_iter_free(goods);
  return status;
}

static kl_status do_request_id(kl_client *c, kl_error *err) {
  char name[KL_REQUEST_ID_MAX + 1];
  return kl_request_id_new(c, name, sizeof name, err);
}

static kl_status do_door_check(kl_client *c, kl_error *err) {
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  request.request_id = "check";
  request.cabinet_id = CABINET;
  return kl_door_check(c, &request, err);
}

static kl_status door(kl_client *c, const char *name, const char *cabinet, kl_error *err) {
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  kl_command *command = NULL;
  kl_outcome outcome;
  request.request_id = name;
  request.cabinet_id = cabinet;
  request.visit_id = "visit-1";
  request.context = "what the till knows of it";
  request.user_id = "customer-1";
  if (cabinet == OTHER) request.door = "1";
  outcome = kl_door_open(c, &request, &command, err);
  if (outcome == KL_DONE && cabinet == CABINET) {
    keep(order_no, sizeof order_no, kl_command_view(command)->order_no);
    keep(report_url, sizeof report_url, kl_command_view(command)->report_url);
  }
  kl_command_free(command);
  return acted(outcome, err);
}
static kl_status do_door_lost(kl_client *c, kl_error *err) { return door(c, "lost", OTHER, err); }
static kl_status do_door_open(kl_client *c, kl_error *err) { return door(c, "door", CABINET, err); }

static kl_status do_dispense(kl_client *c, kl_error *err) {
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  kl_command *command = NULL;
  kl_outcome outcome;
  request.request_id = "lane";
  request.cabinet_id = MACHINE;
  request.door = lane;
  request.notify_url = NOTIFY;
  outcome = kl_door_open(c, &request, &command, err);
  kl_command_free(command);
  return acted(outcome, err);
}

static kl_status do_resolve(kl_client *c, kl_error *err) {
  kl_command *command = NULL;
  kl_outcome outcome = kl_command_resolve(c, "lost", &command, err);
  kl_command_free(command);
  return acted(outcome, err);
}

static kl_status do_wait(kl_client *c, kl_error *err) {
  kl_command *command = NULL;
  kl_status status = kl_command_wait(c, "door", 20000, &command, err);
  kl_command_free(command);
  return status;
}

static kl_status do_get(kl_client *c, kl_error *err) {
  kl_command *command = NULL;
  kl_status status = kl_command_get(c, "door", &command, err);
  kl_command_free(command);
  return status;
}

static kl_status do_pending(kl_client *c, kl_error *err) {
  kl_commands *list = NULL;
  kl_status status = kl_command_pending(c, &list, err);
  kl_commands_free(list);
  return status;
}

static kl_status do_list(kl_client *c, kl_error *err) {
  kl_commands *list = NULL;
  kl_status status = kl_command_list(c, 0, KL_COMMAND_FILTER_ANY, &list, err);
  kl_commands_free(list);
  return status;
}

static kl_status do_settle(kl_client *c, kl_error *err) {
  return kl_command_settle(c, "lost", KL_NOT_DONE, KL_SETTLED_BY_PERSON, "a person looked", err);
}
static kl_status do_overrule(kl_client *c, kl_error *err) {
  return kl_command_overrule(c, "lost", KL_NOT_DONE, "a person looked", err);
}

static kl_status do_visits(kl_client *c, kl_error *err) {
  kl_visits *list = NULL;
  kl_status status = kl_visit_list(c, &list, err);
  kl_visits_free(list);
  return status;
}
static kl_status do_visit_close(kl_client *c, kl_error *err) { return kl_visit_close(c, "visit-1", err); }

static kl_status do_journal_read(kl_client *c, kl_error *err) {
  kl_journal_info info = KL_JOURNAL_INFO_INIT;
  return kl_journal_read(c, &info, err);
}
static kl_status do_journal_repair(kl_client *c, kl_error *err) { return kl_journal_repair(c, err); }
static kl_status do_journal_adopt(kl_client *c, kl_error *err) { return kl_journal_adopt(c, "a test", err); }

static kl_status do_order_get(kl_client *c, kl_error *err) {
  kl_orders *orders = NULL;
  kl_order_ref ref = KL_ORDER_REF_INIT;
  kl_status status;
  ref.order_no = order_no;
  status = kl_order_get(c, &ref, &orders, err);
  if (status == KL_OK) amount = kl_orders_at(orders, 0)->amount;
  kl_orders_free(orders);
  return status;
}

static void today(kl_order_query *query) {
  query->kind = KL_ORDER_KIND_CABINET;
  query->to = 4102444800;
}

static kl_status do_order_list(kl_client *c, kl_error *err) {
  kl_orders *orders = NULL;
  kl_order_query query = KL_ORDER_QUERY_INIT;
  kl_status status;
  today(&query);
  status = kl_order_list(c, &query, NULL, &orders, err);
  kl_orders_free(orders);
  return status;
}

static kl_status do_order_iter(kl_client *c, kl_error *err) {
  const kl_order *one = NULL;
  kl_order_query query = KL_ORDER_QUERY_INIT;
  kl_status status;
  today(&query);
  status = kl_order_iter_new(c, &query, 1, &orders_walk, err);
  while (status == KL_OK && (status = kl_order_iter_next(orders_walk, &one, err)) == KL_OK && one != NULL) {
  }
  kl_order_iter_free(orders_walk);
  return status;
}

static kl_status do_payment(kl_client *c, kl_error *err) {
  kl_payment_report_request request = KL_PAYMENT_REPORT_REQUEST_INIT;
  kl_response *answer = NULL;
  kl_outcome outcome;
  request.result = KL_PAYMENT_RESULT_PAID;
  request.amount = amount;
  request.order_no = order_no;
  request.report_url = report_url;
  request.trade_no = "WX-1";
  request.request_id = "paid";
  outcome = kl_payment_report(c, &request, &answer, err);
  kl_response_free(answer);
  return acted(outcome, err);
}

static kl_status do_refund(kl_client *c, kl_error *err) {
  kl_claim_request request = KL_CLAIM_REQUEST_INIT;
  kl_response *answer = NULL;
  kl_outcome outcome;
  request.order_no = order_no;
  outcome = kl_refund_apply(c, &request, &answer, err);
  kl_response_free(answer);
  return acted(outcome, err);
}

static kl_status do_appeal(kl_client *c, kl_error *err) {
  kl_claim_request request = KL_CLAIM_REQUEST_INIT;
  kl_response *answer = NULL;
  kl_outcome outcome;
  request.order_no = order_no;
  outcome = kl_appeal_file(c, &request, &answer, err);
  kl_response_free(answer);
  return acted(outcome, err);
}

static kl_status do_call(kl_client *c, kl_error *err) {
  kl_response *answer = NULL;
  kl_outcome outcome = kl_call(c, "cabinet.list", "{\"Page\":1,\"PageSize\":10}", &answer, err);
  kl_response_free(answer);
  return acted(outcome, err);
}

static kl_status do_order_create(kl_client *c, kl_error *err) {
  kl_order_create_request request = KL_ORDER_CREATE_REQUEST_INIT;
  kl_order_create_line line = KL_ORDER_CREATE_LINE_INIT;
  const kl_order_create_line *lines[1];
  kl_orders *orders = NULL;
  kl_outcome outcome;
  lines[0] = &line;
  line.product_id = product_id;
  line.quantity = 1;
  request.cabinet_id = MACHINE;
  request.trade_no = "11111111111111111111";
  request.lines = lines;
  request.line_count = 1;
  request.notify_url = NOTIFY;
  outcome = kl_order_create(c, &request, &orders, err);
  kl_orders_free(orders);
  return acted(outcome, err);
}

static kl_status do_code_create(kl_client *c, kl_error *err) {
  kl_code_create_request request = KL_CODE_CREATE_REQUEST_INIT;
  kl_codes *codes = NULL;
  kl_outcome outcome;
  request.cabinet_id = MACHINE;
  request.product_id = product_id;
  request.count = 2;
  outcome = kl_code_create(c, &request, &codes, err);
  if (outcome == KL_DONE) {
    keep(code, sizeof code, kl_codes_at(codes, 0)->code);
    keep(code_id, sizeof code_id, kl_codes_at(codes, 1)->id);
  }
  kl_codes_free(codes);
  return acted(outcome, err);
}

static kl_status do_code_list(kl_client *c, kl_error *err) {
  kl_code_query query = KL_CODE_QUERY_INIT;
  kl_codes *codes = NULL;
  kl_status status;
  query.cabinet_id = MACHINE;
  query.product_id = product_id;
  status = kl_code_list(c, &query, &codes, err);
  kl_codes_free(codes);
  return status;
}

static kl_status lookup(kl_client *c, const char *which, kl_error *err) {
  kl_code_query query = KL_CODE_QUERY_INIT;
  kl_codes *codes = NULL;
  kl_status status;
  query.code = which;
  if (which == code) {
    query.cabinet_id = MACHINE;
    query.product_id = product_id;
  }
  status = kl_code_lookup(c, &query, &codes, err);
  kl_codes_free(codes);
  return status;
}
static kl_status do_code_lookup(kl_client *c, kl_error *err) { return lookup(c, code, err); }
static kl_status do_youzan_lookup(kl_client *c, kl_error *err) { return lookup(c, CODE, err); }

static kl_status do_code_cancel(kl_client *c, kl_error *err) {
  kl_code_cancel_request request = KL_CODE_CANCEL_REQUEST_INIT;
  kl_response *answer = NULL;
  kl_outcome outcome;
  request.cabinet_id = MACHINE;
  request.id = code_id;
  outcome = kl_code_cancel(c, &request, &answer, err);
  kl_response_free(answer);
  return acted(outcome, err);
}

static kl_status redeem(kl_client *c, const char *which, kl_error *err) {
  kl_redeem_request request = KL_REDEEM_REQUEST_INIT;
  kl_command *command = NULL;
  kl_outcome outcome;
  request.request_id = "redeem";
  request.code = which;
  if (which == code) {
    request.cabinet_id = MACHINE;
    request.product_id = product_id;
    request.notify_url = NOTIFY;
  }
  outcome = kl_code_redeem(c, &request, &command, err);
  kl_command_free(command);
  return acted(outcome, err);
}
static kl_status do_code_redeem(kl_client *c, kl_error *err) { return redeem(c, code, err); }
static kl_status do_youzan_redeem(kl_client *c, kl_error *err) { return redeem(c, CODE, err); }

static kl_status do_redeem_check(kl_client *c, kl_error *err) {
  kl_redeem_request request = KL_REDEEM_REQUEST_INIT;
  request.request_id = "check";
  request.code = CODE;
  return kl_redeem_check(c, &request, err);
}

static kl_status do_user_get(kl_client *c, kl_error *err) {
  kl_user *user = NULL;
  kl_status status = kl_user_get(c, &user, err);
  kl_user_free(user);
  return status;
}

static kl_status do_company_get(kl_client *c, kl_error *err) {
  kl_company *company = NULL;
  kl_status status = kl_company_get(c, &company, err);
  kl_company_free(company);
  return status;
}

static const char BODY[] = "{\"method\":\"device.delivery.response\",\"order_id\":60,\"record_id\":78,"
                           "\"deliver_status\":\"1\",\"error_msg\":\"\"}";

static kl_status do_event_parse(kl_client *c, kl_error *err) {
  kl_event *event = NULL;
  kl_status status = kl_event_parse(c, NULL, (const uint8_t *)BODY, sizeof BODY - 1, &event, err);
  if (status == KL_OK) status = kl_event_set_reply(event, 0, NULL, NULL, err);
  kl_event_free(event);
  return status;
}

static kl_status do_http_feed(kl_client *c, kl_error *err) {
  static const char REQUEST[] = "POST /d HTTP/1.1\r\nContent-Length: 51\r\n\r\n"
                                "{\"method\":\"device.delivery.response\",\"order_id\":70}";
  const kl_http_step *step = NULL;
  kl_status status = kl_http_new(NULL, &http, err);
  if (status == KL_OK) status = kl_http_add(http, c, "/d", err);
  if (status == KL_OK) status = kl_http_feed(http, (const uint8_t *)REQUEST, sizeof REQUEST - 1, &step, err);
  if (status == KL_OK) status = kl_http_reply(http, 0, NULL, NULL, &step, err);
  kl_http_free(http);
  return status;
}

static kl_status do_stats(kl_client *c, kl_error *err) {
  kl_stats stats = KL_STATS_INIT;
  return kl_client_stats(c, &stats, err);
}

/* What a firmware does in one job. */
static kl_status do_sale(kl_client *c, kl_error *err) {
  kl_status status = door(c, "job", CABINET, err);
  if (status == KL_OK) status = stock_of(c, CABINET, err);
  return status;
}

struct call {
  const char *name, *account;
  kl_status (*run)(kl_client *client, kl_error *err);
};

static const struct call CALLS[] = {
    {"kl_config_load", "yopoint", do_config_load},
    {"kl_client_new, _free", "yopoint", do_client_new},
    {"kl_ping", "yopoint", do_ping},
    {"kl_ping", "dingshang", do_ping},
    {"kl_ping", "youzan", do_ping},
    {"kl_ping", "zhiyun", do_ping},
    {"kl_client_warm", "yopoint", do_warm},
    {"kl_client_stats", "yopoint", do_stats},
    {"kl_cabinet_list", "yopoint", do_cabinet_list},
    {"kl_cabinet_list", "dingshang", do_cabinet_list},
    {"kl_cabinet_list", "youzan", do_cabinet_list},
    {"kl_cabinet_iter_next", "yopoint", do_cabinet_iter},
    {"kl_stock_fetch", "yopoint", do_stock_fetch},
    {"kl_stock_fetch", "dingshang", do_stock_machine},
    {"kl_stock_fetch_page", "yopoint", do_stock_page},
    {"kl_stock_iter_next", "yopoint", do_stock_iter},
    {"kl_request_id_new", "yopoint", do_request_id},
    {"kl_door_check", "yopoint", do_door_check},
    {"kl_door_open", "yopoint", do_door_lost},
    {"kl_command_resolve", "yopoint", do_resolve},
    {"kl_command_settle", "yopoint", do_settle},
    {"kl_command_overrule", "yopoint", do_overrule},
    {"kl_door_open", "yopoint", do_door_open},
    {"kl_command_wait", "yopoint", do_wait},
    {"kl_door_open", "dingshang", do_dispense},
    {"kl_command_get", "yopoint", do_get},
    {"kl_command_pending", "yopoint", do_pending},
    {"kl_command_list", "yopoint", do_list},
    {"kl_visit_list", "yopoint", do_visits},
    {"kl_visit_close", "yopoint", do_visit_close},
    {"kl_order_get", "yopoint", do_order_get},
    {"kl_order_list", "yopoint", do_order_list},
    {"kl_order_list", "youzan", do_order_list},
    {"kl_order_iter_next", "yopoint", do_order_iter},
    {"kl_payment_report", "yopoint", do_payment},
    {"kl_refund_apply", "yopoint", do_refund},
    {"kl_appeal_file", "yopoint", do_appeal},
    {"kl_call", "yopoint", do_call},
    {"kl_order_create", "dingshang", do_order_create},
    {"kl_code_create", "dingshang", do_code_create},
    {"kl_code_list", "dingshang", do_code_list},
    {"kl_code_lookup", "dingshang", do_code_lookup},
    {"kl_code_lookup", "youzan", do_youzan_lookup},
    {"kl_code_cancel", "dingshang", do_code_cancel},
    {"kl_redeem_check", "youzan", do_redeem_check},
    {"kl_code_redeem", "dingshang", do_code_redeem},
    {"kl_code_redeem", "youzan", do_youzan_redeem},
    {"kl_user_get", "zhiyun", do_user_get},
    {"kl_company_get", "zhiyun", do_company_get},
    {"kl_event_parse, _set_reply", "dingshang", do_event_parse},
    {"kl_http_feed, _reply", "dingshang", do_http_feed},
    {"kl_journal_read", "yopoint", do_journal_read},
    {"kl_journal_repair", "yopoint", do_journal_repair},
    {"kl_journal_adopt", "yopoint", do_journal_adopt},
    {"a job", "yopoint", do_sale},
};

/* ---- the measuring ---- */

struct measure {
  const struct call *call;
  kl_client *client;
  const unsigned char *top; /* where the call began */
  kl_status status;
  size_t used;
  char message[sizeof((kl_error *)0)->message];
};

static kl_client *client_of(const char *account) {
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *made = NULL;
  if (kl_config_load(accounts, account, &config, &err) != KL_OK || kl_client_new(config, &made, &err) != KL_OK) {
    printf("%s\n", err.message);
    exit(64);
  }
  kl_config_free(config);
  return made;
}

/* Its own frame is above what is counted; the kl_error, which callers have on their stack, is in it. */
static __attribute__((noinline)) void one(struct measure *it) {
  kl_error err = KL_ERROR_INIT;
  it->top = __builtin_frame_address(0);
  it->status = it->call->run(it->client, &err);
  keep(it->message, sizeof it->message, err.message);
}

static void *on_thread(void *arg) {
  one(arg);
  return NULL;
}

static size_t lowest(const unsigned char *from, const unsigned char *top) {
  const unsigned char *at = from;
  while (at < top && *at == PAINT) at++;
  return (size_t)(top - at);
}

static void say(const struct measure *it, const char *account) {
  printf("%s\t%s\t%s\t%zu\t%s\n", it->call->name, account, kl_status_name(it->status), it->used, it->message);
}

static void measured(const struct call *call) {
  struct measure it = {call, client_of(call->account), NULL, 0, 0, ""};
  pthread_attr_t how;
  pthread_t thread;
  unsigned char *stack = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) exit(64);
  memset(stack, PAINT, SIZE);
  pthread_attr_init(&how);
  if (pthread_attr_setstack(&how, stack, SIZE) != 0 || pthread_create(&thread, &how, on_thread, &it) != 0) exit(64);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&how);
  it.used = lowest(stack, it.top);
  munmap(stack, SIZE);
  kl_client_free(it.client);
  say(&it, call->account);
}

/* The rest of this thread's stack is painted, from its lowest byte to just below this frame. */
static int32_t job(kl_client *client, void *user) {
  struct measure *it = user;
  pthread_attr_t how;
  void *from = NULL;
  size_t size = 0;
  unsigned char *here = __builtin_frame_address(0);
  it->client = client;
  if (pthread_getattr_np(pthread_self(), &how) != 0 || pthread_attr_getstack(&how, &from, &size) != 0) return -1;
  pthread_attr_destroy(&how);
  for (volatile unsigned char *at = from; at < here - 512; at++) *at = PAINT;
  one(it);
  /* With what glibc and the library have above it. */
  it->top = (unsigned char *)from + size;
  it->used = lowest(from, it->top);
  return it->status;
}

static void measured_job(const struct call *call) {
  struct measure it = {call, NULL, NULL, -1, 0, ""};
  kl_error err = KL_ERROR_INIT;
  kl_client *client = client_of(call->account);
  kl_task *task = NULL;
  kl_status status = kl_task_start(client, job, &it, NULL, &task, &err);
  while (status == KL_OK && (kl_task_next(client, &task, &err) == KL_E_PENDING)) usleep(1000);
  kl_task_free(task);
  kl_client_free(client);
  say(&it, "yopoint");
}

int main(int argc, char **argv) {
  size_t count = sizeof CALLS / sizeof CALLS[0];
  if (argc != 2) return 64;
  accounts = argv[1];
  for (size_t n = 0; n + 1 < count; n++) measured(&CALLS[n]);
  measured_job(&CALLS[count - 1]);
  return 0;
}
