// Every call of kiosklink.hpp against the simulator, with an error argument and, where exceptions are on, without.
//   wrapper ACCOUNTS.json CABINET MACHINE
//   wrapper ACCOUNTS.json CABINET lost      where the answer to the next opening is lost, and nobody can be asked
// Calls nothing of kiosklink.h itself: what this program needs of the library, the wrapper reaches.

#include <kiosklink.hpp>

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

namespace kl = kiosklink;

namespace {

int failures;

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      std::printf("%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
      failures++;                                                         \
    }                                                                     \
  } while (0)

// A call that must succeed: what it returned is there, and the error says so.
#define GOOD(err)                                                                        \
  do {                                                                                   \
    if (err) {                                                                           \
      std::printf("%s:%d: %s (%s)\n", __FILE__, __LINE__, (err).what(), (err).name());   \
      failures++;                                                                        \
    }                                                                                    \
  } while (0)

#define STATUS(err, wanted)                                                                                      \
  do {                                                                                                           \
    if ((err).status() != (wanted)) {                                                                            \
      std::printf("%s:%d: %s, not %s\n", __FILE__, __LINE__, (err).name(), kl::status_name(wanted));             \
      failures++;                                                                                                \
    }                                                                                                            \
  } while (0)

const char *const NOTIFY_URL = "https://kiosk.example/notify/f3a91c";

// A poll on the descriptor would do; nothing here measures time.
kl_task *ended(const kl::Client &client) {
  kl::Error err;
  kl_task *task = nullptr;
  while ((task = client.task_next(err)) == nullptr && err.status() == KL_E_PENDING) std::this_thread::yield();
  GOOD(err);
  return task;
}

// Something that says where it dies.
struct Captured {
  explicit Captured(std::thread::id *place) : died(place) {}
  Captured(Captured &&other) noexcept : died(other.died) { other.died = nullptr; }
  Captured(const Captured &) = delete;
  Captured &operator=(const Captured &) = delete;
  ~Captured() {
    if (died != nullptr) *died = std::this_thread::get_id();
  }
  std::thread::id *died;
};

// A callable that can only be moved.
struct Pings {
  Captured captured;
  std::thread::id *ran;
  int operator()(const kl::Client &view) {
    kl::Error err;
    *ran = std::this_thread::get_id();
    return view.ping(err) == KL_OK ? 42 : err.status();
  }
};

void jobs(const kl::Client &client) {
  kl::Error err;
  std::thread::id ran, died, here = std::this_thread::get_id();
  CHECK(client.fd(err) > 2);
  CHECK(client.task_next(err) == nullptr && !err);
  kl::TaskOptions options;
  options.acts = 1;
  kl::Task task = client.task_start(Pings{Captured(&died), &ran}, options, err);
  GOOD(err);
  CHECK(ended(client) == task.get());
  CHECK(task.state() == KL_TASK_STATE_RETURNED && task.result() == 42 && task->status == KL_OK);
  CHECK(ran != here && died == std::thread::id());
  task.cancel();
  CHECK(task.result() == 42);
  task.reset();
  CHECK(died == here);
  // Forgotten at once: it goes on, and dies where it ran.
  client.task_start(Pings{Captured(&died), &ran}, options, err).reset();
  GOOD(err);
  while (ended(client) != nullptr) {
  }
  // What cannot be started dies here.
  options.timeout_ms = 3600001;
  died = std::thread::id();
  CHECK(!client.task_start(Pings{Captured(&died), &ran}, options, err) && err.status() == KL_E_ARGUMENT && died == here);
  CHECK(!kl::Task() && kl::Task().state() == 0 && kl::Task().result() == 0);
}

#if KIOSKLINK_EXCEPTIONS
void throwing_jobs(const kl::Client &client) {
  kl::Task task = client.task_start([](const kl::Client &view) -> int {
    view.ping();
    throw std::string("out of paper");
  });
  CHECK(client.fd() > 2);
  kl_task *given = nullptr;
  while ((given = client.task_next()) == nullptr) std::this_thread::yield();
  CHECK(given == task.get() && task.state() == KL_TASK_STATE_RETURNED && task.result() == 0);
  bool thrown = false;
  try {
    task.rethrow();
  } catch (const std::string &text) {
    thrown = text == "out of paper";
  }
  CHECK(thrown);
  kl::Task good = client.task_start([](const kl::Client &) { return 3; });
  while ((given = client.task_next()) == nullptr) std::this_thread::yield();
  good.rethrow();
  CHECK(good.result() == 3);
  // Neither a throw nor pthread_exit ends the program.
  kl::Task left = client.task_start([](const kl::Client &) -> int { pthread_exit(nullptr); });
  while ((given = client.task_next()) == nullptr) std::this_thread::yield();
  CHECK(left.state() == KL_TASK_STATE_ABANDONED);
  left.rethrow();
}
#endif

kl::Client connect(const char *accounts, const char *account) {
  kl::Error err;
  kl::Config config = kl::Config::load(accounts, account, err);
  GOOD(err);
  kl::Client client(config, err);
  GOOD(err);
  CHECK(client);
  return client;
}

void library() {
  kl::Error err;
  CHECK(kl::abi_matches() && kl::abi_version() == KL_ABI_VERSION);
  CHECK(std::strstr(kl::build_info(), kl::version()) != nullptr);
  CHECK(std::strcmp(kl::status_name(KL_E_DNS), "KL_E_DNS") == 0);
  CHECK(kl::set_time(1, err) == KL_E_ARGUMENT && err.status() == KL_E_ARGUMENT);
  CHECK(kl::set_time(0, err) == KL_OK && !err);
  CHECK(kl::set_log(99, nullptr, nullptr, err) == err.status());
  CHECK(kl::set_log(KL_LOG_LEVEL_OFF, nullptr, nullptr, err) == KL_OK);
}

void settings() {
  kl::Error err;
  kl::Config config("yopoin", err);
  CHECK(!config && std::strstr(err.message(), "yopoint") != nullptr);
  STATUS(err, KL_E_PLATFORM_NAME);
  CHECK(err.advice() == KL_ADVICE_FIX && std::strcmp(err.name(), "KL_E_PLATFORM_NAME") == 0);
  CHECK(std::strcmp(err.what(), err.message()) == 0);

  config = kl::Config(KL_PLATFORM_YOPOINT, err);
  GOOD(err);
  CHECK(std::strcmp(err.what(), "KL_OK") == 0);
  CHECK(config.set("app_ids", "1", err) == KL_E_CONFIG_KEY && err);
  CHECK(config.set(KL_KEY_APP_ID, nullptr, err) == KL_E_NULL);
  CHECK(config.set(KL_KEY_APP_ID, "1", err) == KL_OK && !err);
  kl::Client client(config, err);
  STATUS(err, KL_E_CONFIG_MISSING);
  CHECK(!client);

  CHECK(!kl::Config::load("/nowhere/accounts.json", "x", err));
  STATUS(err, KL_E_CONFIG_FILE);
  CHECK(err.os_errno() != 0);
  CHECK(!kl::Config(static_cast<const char *>(nullptr), err));
  STATUS(err, KL_E_NULL);
}

void reads(const kl::Client &client, const char *cabinet) {
  kl::Error err;
  CHECK(client.warm(err) == KL_OK && client.ping(err) == KL_OK && client.cancel(err) == KL_OK);
  kl::Client view = client.view(5000, err);
  CHECK(!err && view && view.ping(err) == KL_OK && view.cancel(err) == KL_OK);
  CHECK(!client.view(3600001, err) && err.status() == KL_E_ARGUMENT);
  kl::Time now = client.time(err);
  GOOD(err);
  CHECK(now.unix_seconds > 1700000000 && now.source == KL_TIME_SOURCE_PLATFORM);
  kl_stats stats = client.stats(err);
  CHECK(!err && stats.requests > 0 && stats.calls > 1 && stats.handles > 1 && stats.call_ms >= stats.call_max_ms);

  kl::Cabinets all = client.cabinet_list(err);
  GOOD(err);
  CHECK(all.size() == 5 && !all.empty() && all.total() >= -1);
  CHECK(all.at(0) == &all[0] && all.at(5) == nullptr);
  std::size_t seen = 0;
  for (const kl_cabinet &one : all) {
    CHECK(&one == all.at(seen));
    seen++;
  }
  CHECK(seen == all.size());
  CHECK(std::count_if(all.begin(), all.end(), [](const kl_cabinet &c) { return c.online == 0; }) == 1);
  kl::Cabinets::const_iterator step = all.begin();
  CHECK(step++ == all.begin() && step->id == all[1].id && ++step != all.end());

  kl::Cabinets page = client.cabinet_list(kl::Page(2, 3), err);
  GOOD(err);
  CHECK(page.size() == 2 && page.more() != 1);
  CHECK(client.cabinet_list(kl::Page(1, 3), err).more() == 1);

  // A walk sees the same, one after the other, however it is walked.
  kl::CabinetIter walk = client.cabinet_iter(1, err);
  GOOD(err);
  const kl_cabinet *first = walk.next(err);
  CHECK(first != nullptr && std::strcmp(first->id, all[0].id) == 0);
  seen = 1;
  for (const kl_cabinet &one : walk.each(err)) {
    CHECK(seen < 5 && std::strcmp(one.id, all[seen].id) == 0);
    seen++;
  }
  GOOD(err);
  CHECK(seen == 5 && walk.next(err) == nullptr && !err);

  kl::Stock stock = client.stock_fetch(cabinet, err);
  GOOD(err);
  CHECK(!stock.empty() && std::strcmp(stock[0].cabinet_id, cabinet) == 0 && stock[0].price > 0);
  CHECK(client.stock_fetch_page(cabinet, kl::Page(1, 1), nullptr, err).size() == 1 && !err);
  CHECK(client.stock_fetch_all(cabinet, "{}", err).size() == stock.size() && stock.total() >= -1);
  CHECK(stock.more() <= 0);
  kl::StockIter goods = client.stock_iter(cabinet, 0, nullptr, err);
  seen = 0;
  for (const kl_stock_item &item : goods.each(err)) seen += std::strcmp(item.id, stock[seen].id) == 0;
  GOOD(err);
  CHECK(seen == stock.size());

  kl::Response answer = client.call("cabinet.list", "{\"Page\":1,\"PageSize\":1}", err);
  GOOD(err);
  CHECK(std::strstr(answer.json(), all[0].id) != nullptr);
  CHECK(!client.call("cabinet.list", "{", err));
  STATUS(err, KL_E_ARGUMENT);
  CHECK(!client.user_get(err) && err.status() == KL_E_UNSUPPORTED);
  CHECK(!client.company_get(err) && err.status() == KL_E_UNSUPPORTED);
}

// A visit: door, order, payment, refund, appeal.
// What belongs together, and its end.
void together(const kl::Client &client) {
  kl::Error err;
  kl::Visits visits = client.visit_list(err);
  GOOD(err);
  for (const kl_visit &one : visits) CHECK(one.command_count > 0);
  CHECK(visits.at(visits.size()) == nullptr);
  CHECK(client.visit_close("a visit of nobody", err) == KL_OK);
}

void visit(const kl::Client &client, const char *cabinet, const char *request_id) {
  kl::Error err;
  kl::DoorRequest request(request_id, cabinet);
  request.user_id = "customer-1";
  kl::RequestId visit_id = client.request_id_new(err);
  GOOD(err);
  CHECK(visit_id && std::strlen(visit_id.c_str()) > 8);
  request.visit_id = visit_id.c_str();
  request.context = "the till's own words";
  CHECK(client.can(KL_VERB_DOOR_OPEN) && !client.can(KL_VERB_USER_GET) && !kl::Client().can(KL_VERB_PING));
  CHECK(client.door_check(request, err) == KL_OK && !err);
  CHECK(client.door_check(kl::DoorRequest("x", ""), err) == KL_E_ARGUMENT);
  CHECK(client.redeem_check(kl::RedeemRequest("x", "123456"), err) != KL_OK);
  kl::Command command = client.door_open(request, err);
  GOOD(err);
  CHECK(command && err.outcome() == KL_DONE);
  if (!command) return;
  CHECK(std::strcmp(command->visit_id, visit_id.c_str()) == 0);
  CHECK(std::strcmp(command->context, "the till's own words") == 0);
  kl::Commands done = client.command_list(command->sequence - 1, KL_COMMAND_FILTER_DONE, err);
  GOOD(err);
  CHECK(done.size() == 1 && std::strcmp(done[0].request_id, request_id) == 0);
  CHECK(client.command_overrule("nobody-knows-it", KL_NOT_DONE, "a test", err) == KL_E_NOT_FOUND);
  kl::Visits visits = client.visit_list(err);
  GOOD(err);
  const kl_visit *ours = nullptr;
  for (const kl_visit &v : visits)
    if (std::strcmp(v.visit_id, visit_id.c_str()) == 0) ours = &v;
  CHECK(ours && ours->command_count == 1 && ours->done_count == 1);
  CHECK(ours && std::strcmp(ours->commands[0]->request_id, request_id) == 0);
  CHECK(client.visit_close(visit_id.c_str(), err) == KL_OK && !err);
  const std::size_t open = visits.size();
  visits = client.visit_list(err);
  CHECK(!err && visits.size() + 1 == open);
  CHECK(client.visit_close("", err) == KL_E_ARGUMENT);
  // It is the one that was left here: nothing to adopt.
  CHECK(client.journal_adopt("a test", err) == KL_E_ARGUMENT);
  CHECK(std::strcmp(command->request_id, request_id) == 0 && command->recorded == 0);
  const std::string order_no = command.view()->order_no;
  kl::Command again = client.door_open(request, err);
  CHECK(again && again->recorded == 1);

  kl::Command moved = client.command_wait(request_id, 20000, err);
  GOOD(err);
  CHECK(moved && moved->physical == KL_PHYSICAL_STATE_CONFIRMED);
  kl::Command recorded = client.command_get(request_id, err);
  CHECK(recorded && recorded->kind == KL_COMMAND_KIND_DOOR && !err);
  recorded = client.command_resolve(request_id, err);
  CHECK(recorded && recorded->outcome == KL_DONE && !err);
  CHECK(!client.command_get("nobody-knows-it", err) && err.status() == KL_E_NOT_FOUND);
  CHECK(client.command_settle("nobody-knows-it", KL_DONE, KL_SETTLED_BY_PERSON, nullptr, err) == KL_E_NOT_FOUND);
  std::size_t unsettled = 0;
  kl::Commands pending = client.command_pending(err);
  GOOD(err);
  for (const kl_command_info &one : pending) unsettled += std::strcmp(one.request_id, request_id) == 0;
  CHECK(unsettled == 0 && pending.at(pending.size()) == nullptr);
  CHECK(client.journal_read(err).struct_size == sizeof(kl_journal_info));
  CHECK(client.journal_repair(err) == KL_OK && client.journal_read(err).damaged == 0);

  // The goods are known a moment after the door is shut.
  kl::OrderRef ref(order_no.c_str());
  kl::Orders orders;
  for (int i = 0; i < 200; i++) {
    orders = client.order_get(ref, err);
    if (err || (orders[0].door == KL_DOOR_STATE_SHUT && orders[0].line_count > 0)) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  GOOD(err);
  CHECK(orders.size() == 1 && order_no == orders[0].order_no && orders[0].door == KL_DOOR_STATE_SHUT);
  CHECK(orders.total() >= -1 && orders.more() <= 0);
  if (orders.empty() || kl::lines(orders[0]).empty()) {
    std::printf("%s: the goods are not known\n", order_no.c_str());
    failures++;
    return;
  }
  std::int64_t sum = 0;
  for (const kl_order_line &line : kl::lines(orders[0])) sum += line.total;
  CHECK(sum == orders[0].amount && kl::refunded_lines(orders[0]).size() == 0);
  CHECK(kl::lines(orders[0])[0].price > 0);

  kl::OrderQuery today(KL_ORDER_KIND_CABINET, orders[0].created_at - 60, orders[0].created_at + 60);
  kl::Orders period = client.order_list(today, err);
  GOOD(err);
  CHECK(std::any_of(period.begin(), period.end(), [&](const kl_order &o) { return order_no == o.order_no; }));
  CHECK(client.order_list(today, kl::Page(1, 1), err).size() == 1 && !err);
  kl::OrderIter walk = client.order_iter(today, 1, err);
  std::size_t seen = 0;
  for (const kl_order &one : walk.each(err)) seen += one.order_no[0] != '\0';
  GOOD(err);
  CHECK(seen == period.size());

  kl::PaymentReportRequest report(order_no.c_str(), KL_PAYMENT_RESULT_PAID, orders[0].amount);
  report.report_url = command->report_url;
  report.trade_no = "WX-4200001234";
  kl::Response answer = client.payment_report(report, err);
  GOOD(err);
  CHECK(answer && answer.json()[0] != '\0');
  kl::ClaimRequest later(order_no.c_str());
  later.send_within_ms = 1000;
  CHECK(client.refund_apply(later, err) && !err); // there is a network: at once
  CHECK(!client.appeal_file(kl::ClaimRequest("VI000"), err) && err.status() == KL_E_NOT_FOUND);
  CHECK(err.outcome() == KL_NOT_DONE && err.platform_code() != 0 && err.platform_message()[0] != '\0');
}

// A code from its making to the falling goods.
void pickup(const kl::Client &shop, const char *machine, const char *request_id, const char *trade_no) {
  kl::Error err;
  kl::Stock stock = shop.stock_fetch(machine, err);
  GOOD(err);
  const kl_stock_item *goods = nullptr;
  for (const kl_stock_item &item : stock) {
    if (goods == nullptr && item.stock > 1) goods = &item;
  }
  CHECK(goods != nullptr);
  if (goods == nullptr) return;

  kl::CodeCreateRequest make(machine);
  make.product_id = goods->id;
  make.count = 2;
  kl::Codes made = shop.code_create(make, err);
  GOOD(err);
  CHECK(made.size() == 2);
  if (made.size() != 2) return;
  kl::CodeQuery query;
  query.cabinet_id = machine;
  query.product_id = goods->id;
  CHECK(shop.code_list(query, err).size() >= 2 && !err);
  query.code = made[0].code;
  kl::Codes found = shop.code_lookup(query, err);
  GOOD(err);
  CHECK(found.size() == 1 && found[0].state == KL_CODE_STATE_UNUSED);
  CHECK(shop.code_cancel(kl::CodeCancelRequest(machine, made[1].id), err) && !err);

  kl::RedeemRequest redeem(request_id, made[0].code);
  redeem.cabinet_id = machine;
  redeem.product_id = goods->id;
  redeem.notify_url = NOTIFY_URL;
  kl::Command receipt = shop.code_redeem(redeem, err);
  GOOD(err);
  CHECK(receipt && receipt->order_no[0] != '\0');

  const kl::OrderCreateLine line(goods->id, 1);
  const kl_order_create_line *const lines[] = {&line};
  kl::OrderCreateRequest order(machine, trade_no, lines, 1);
  order.notify_url = NOTIFY_URL;
  kl::Orders ordered = shop.order_create(order, err);
  GOOD(err);
  CHECK(ordered.size() == 1 && std::strcmp(ordered[0].trade_no, trade_no) == 0);
}

void callbacks(kl::Client client) {
  kl::Error err;
  const std::string body =
      "{\"method\":\"device.delivery.response\",\"order_id\":60,\"record_id\":78,\"deliver_status\":\"1\","
      "\"error_msg\":\"\"}";
  kl::Event event = client.event_parse(nullptr, body.data(), body.size(), err);
  GOOD(err);
  CHECK(event && event->kind == KL_EVENT_KIND_DELIVERY && std::strcmp(event->order_no, "60") == 0);
  CHECK(event.view()->signed_with == KL_SIGNED_WITH_NOTHING && kl::lines(*event.view()).empty());
  CHECK(!client.event_parse(nullptr, "\xff\xff%", 3, err));
  STATUS(err, KL_E_EVENT);
  CHECK(!client.event_parse(nullptr, nullptr, 5, err));
  STATUS(err, KL_E_NULL);
  // An event needs its client no more.
  client = kl::Client();
  CHECK(event.set_reply(1, "busy", nullptr, err) == KL_OK);
  CHECK(std::strstr(event.reply(), "busy") != nullptr);
}

const char DELIVERY[] = "POST /d HTTP/1.1\r\nContent-Length: 51\r\n\r\n"
                        "{\"method\":\"device.delivery.response\",\"order_id\":70}";

void connections(kl::Client client) {
  kl::Error err;
  kl_http_options options = KL_HTTP_OPTIONS_INIT;
  kl::Http http(options, err);
  GOOD(err);
  CHECK(http && http.add(client, "/d", err) == KL_OK);
  CHECK(http.add(client, "/d", err) == KL_E_ARGUMENT);
  const kl_http_step *step = http.tick(err);
  CHECK(step != nullptr && step->action == KL_HTTP_ACTION_READ && step->wait_ms > 0);
  step = http.feed(DELIVERY, 20, err);
  CHECK(step != nullptr && step->action == KL_HTTP_ACTION_READ);
  step = http.feed(DELIVERY + 20, sizeof DELIVERY - 21, err);
  GOOD(err);
  CHECK(step->action == KL_HTTP_ACTION_EVENT && std::strcmp(step->event->order_no, "70") == 0);
  CHECK(step->client == client.get() && step->event->duplicate == 0);
  CHECK(http.tick(err) == nullptr && http.feed("x", 1, err) == nullptr);
  STATUS(err, KL_E_BUSY);
  CHECK(http.reply(0, nullptr, "no json", err) == nullptr);
  step = http.reply(0, nullptr, nullptr, err);
  GOOD(err);
  CHECK(step->action == KL_HTTP_ACTION_READ && std::strncmp(reinterpret_cast<const char *>(step->bytes), "HTTP/1.1 200", 12) == 0);
  // What is refused has a step too.
  step = http.feed("NONSENSE\r\n\r\n", 12, err);
  STATUS(err, KL_E_EVENT);
  CHECK(step != nullptr && step->action == KL_HTTP_ACTION_CLOSE && err.http_status() == 400);
  kl::Http moved(std::move(http));
  CHECK(!http && moved && http.tick(err) == nullptr);
  STATUS(err, KL_E_NULL);
  options.max_head = 1;
  CHECK(!kl::Http(options, err));
  STATUS(err, KL_E_ARGUMENT);
}

void person(const kl::Client &client) {
  kl::Error err;
  kl::User user = client.user_get(err);
  GOOD(err);
  CHECK(user && user->username[0] != '\0' && user.view()->raw[0] == '{');
  kl::Company company = client.company_get(err);
  GOOD(err);
  CHECK(company && company->name[0] != '\0' && company.view()->raw[0] == '{');
}

// An opening of which nobody knows: it is on the list until a person says what happened.
void lost(const kl::Client &client, const char *cabinet) {
  kl::Error err;
  CHECK(!client.door_open(kl::DoorRequest("lost-1", cabinet), err) && err.outcome() == KL_UNKNOWN);
  CHECK(err.advice() == KL_ADVICE_ASK_FIRST);
  CHECK(!client.door_open(kl::DoorRequest("lost-2", cabinet), err) && err.outcome() == KL_NOT_DONE);
  STATUS(err, KL_E_BLOCKED);
  CHECK(!client.command_wait("lost-1", 0, err) && err.outcome() == KL_UNKNOWN);
  STATUS(err, KL_E_UNSETTLED);
  CHECK(!client.command_resolve("lost-1", err) && err.outcome() == KL_UNKNOWN);

  kl::Commands pending = client.command_pending(err);
  GOOD(err);
  CHECK(pending.size() == 1);
  for (const kl_command_info &one : pending) {
    CHECK(std::strcmp(one.request_id, "lost-1") == 0 && std::strcmp(one.cabinet_id, cabinet) == 0);
    CHECK(one.outcome == KL_UNKNOWN && one.settled_by == KL_SETTLED_BY_NOBODY && one.status != KL_OK);
  }
  CHECK(client.journal_read(err).unsettled == 1 && !err);
  CHECK(client.command_settle("lost-1", KL_UNKNOWN, KL_SETTLED_BY_PERSON, nullptr, err) == KL_E_ARGUMENT);
  // The request may still take effect: not done is too early, and a person says it aloud.
  CHECK(client.command_settle("lost-1", KL_NOT_DONE, KL_SETTLED_BY_PERSON, "the seal is whole", err) == KL_E_TOO_EARLY);
  CHECK(client.command_overrule("lost-1", KL_NOT_DONE, "the seal is whole", err) == KL_OK);
  kl::Command command = client.command_get("lost-1", err);
  CHECK(command && command->outcome == KL_NOT_DONE && command->settled_by == KL_SETTLED_BY_PERSON);
  CHECK(command && std::strcmp(command->message, "the seal is whole") == 0);
  CHECK(client.command_pending(err).empty() && !err);
}

void refused(const char *accounts) {
  kl::Error err;
  kl::Config config = kl::Config::load(accounts, "yopoint", err);
  config.set(KL_KEY_APP_SECRET, "not-the-secret", err);
  GOOD(err);
  kl::Client client(config, err);
  GOOD(err);
  CHECK(client.ping(err) == KL_E_AUTH);
  CHECK(err.advice() == KL_ADVICE_FIX && err.http_status() != 0 && err.platform_code() != 0);
  CHECK(err.retry_after_ms() == 0 && std::strstr(err.message(), "not-the-secret") == nullptr);
  CHECK(!client.door_open(kl::DoorRequest("refused", "5f6da2362201410011000001"), err));
  CHECK(err.status() == KL_E_AUTH && err.outcome() == KL_NOT_DONE);
  // An error is a value: a copy stays when the next call writes the first.
  kl::Error copy = err;
  CHECK(kl::Error(*err.raw()).status() == copy.status());
  client.time(err);
  CHECK(!err && copy && copy.status() == KL_E_AUTH);

  // A walk that fails ends its loop, and the error says why.
  kl::CabinetIter walk = client.cabinet_iter(2, err);
  GOOD(err);
  int seen = 0;
  for (const kl_cabinet &one : walk.each(err)) seen += one.id != nullptr;
  CHECK(seen == 0);
  STATUS(err, KL_E_AUTH);
}

#if KIOSKLINK_EXCEPTIONS

#define THROWS(call, wanted)                                                                      \
  do {                                                                                            \
    try {                                                                                         \
      call;                                                                                       \
      std::printf("%s:%d: %s does not throw\n", __FILE__, __LINE__, #call);                       \
      failures++;                                                                                 \
    } catch (const kl::Error &e) {                                                                \
      STATUS(e, wanted);                                                                          \
    }                                                                                             \
  } while (0)

void throwing_library(const char *accounts) {
  THROWS(kl::set_time(1), KL_E_ARGUMENT);
  kl::set_time(0);
  kl::set_log(KL_LOG_LEVEL_OFF, nullptr, nullptr);
  THROWS(kl::Config("yopoin"), KL_E_PLATFORM_NAME);
  THROWS(kl::Config::load(accounts, "nobody"), KL_E_CONFIG_FILE);
  kl::Config config(KL_PLATFORM_YOPOINT);
  THROWS(config.set(KL_KEY_APP_ID, "1").set("app_secre", "2"), KL_E_CONFIG_KEY);
  THROWS(kl::Client{config}, KL_E_CONFIG_MISSING);
  // Caught as what it is derived from, it still says what happened.
  try {
    kl::Client client(kl::Config::load(accounts, "yopoint").set(KL_KEY_APP_SECRET, "not-the-secret"));
    client.ping();
    CHECK(false);
  } catch (const std::exception &e) {
    CHECK(std::strlen(e.what()) > 0);
  }
}

void throwing(const kl::Client &client, const char *cabinet, const kl::Client &shop, const char *machine,
              const kl::Client &people) {
  client.warm();
  client.ping();
  client.cancel();
  kl::Client view = client.view();
  view.ping();
  CHECK(client.time().source == KL_TIME_SOURCE_PLATFORM && client.stats().requests > 0);
  std::size_t seen = 0;
  for (const kl_cabinet &one : client.cabinet_list()) seen += one.id[0] != '\0';
  CHECK(seen == 5 && client.cabinet_list(kl::Page(1, 2)).size() == 2);
  kl::CabinetIter walk = client.cabinet_iter(3);
  CHECK(walk.next() != nullptr);
  seen = 1;
  for (const kl_cabinet &one : walk) seen += one.id[0] != '\0';
  CHECK(seen == 5 && walk.next() == nullptr);
  THROWS(client.stock_fetch(""), KL_E_ARGUMENT);
  CHECK(!client.stock_fetch(cabinet).empty());
  CHECK(client.stock_fetch_page(cabinet, kl::Page(1, 1)).size() == 1);
  CHECK(client.stock_fetch_all(cabinet, "{}").size() == client.stock_fetch(cabinet).size());
  kl::StockIter goods = client.stock_iter("000000000000000000000000");
  THROWS(goods.next(), KL_E_NOT_FOUND);
  THROWS(for (const kl_stock_item &item : goods) CHECK(item.id == nullptr), KL_E_NOT_FOUND);

  kl::Command command = client.door_open(kl::DoorRequest("throwing", cabinet));
  kl::Orders orders = client.order_get(kl::OrderRef(command->order_no));
  CHECK(orders.size() == 1);
  kl::OrderQuery query(KL_ORDER_KIND_CABINET, orders[0].created_at - 60, orders[0].created_at + 60);
  CHECK(!client.order_list(query).empty() && client.order_list(query, kl::Page(1, 1)).size() == 1);
  seen = 0;
  kl::OrderIter all = client.order_iter(query);
  for (const kl_order &one : all) seen += one.order_no[0] != '\0';
  CHECK(seen >= 1);
  try {
    client.door_open(kl::DoorRequest("throwing-offline", "5f6da2362201410011000003"));
    CHECK(false);
  } catch (const kl::Error &e) {
    // Nobody has said that it is refused before anything is sent to the cabinet.
    CHECK(e.status() == KL_E_OFFLINE && e.outcome() == KL_UNKNOWN && e.advice() == KL_ADVICE_ASK_FIRST);
  }
  THROWS(client.payment_report(kl::PaymentReportRequest("VI000", KL_PAYMENT_RESULT_PAID, 1)), KL_E_ARGUMENT);
  // The opening of which nobody knows may be of any order.
  THROWS(client.refund_apply(kl::ClaimRequest("VI000")), KL_E_BLOCKED);
  THROWS(client.appeal_file(kl::ClaimRequest("VI000")), KL_E_NOT_FOUND);
  THROWS(client.order_create(kl::OrderCreateRequest(cabinet, "1", nullptr, 0)), KL_E_ARGUMENT);
  kl::Response answer = client.call("cabinet.list");
  CHECK(answer.json()[0] != '\0');

  kl::CodeQuery codes;
  codes.cabinet_id = machine;
  kl::Stock stock = shop.stock_fetch(machine);
  codes.product_id = stock[0].id;
  CHECK(shop.code_list(codes).size() < 1000);
  codes.code = "000000";
  THROWS(shop.code_lookup(codes), KL_E_NOT_FOUND);
  THROWS(shop.code_create(kl::CodeCreateRequest("00000000")), KL_E_NOT_FOUND);
  THROWS(shop.code_cancel(kl::CodeCancelRequest(machine, "99")), KL_E_NOT_FOUND);
  kl::RedeemRequest redeem("throwing-redeem", "000000");
  redeem.cabinet_id = machine;
  redeem.product_id = stock[0].id;
  redeem.notify_url = NOTIFY_URL;
  THROWS(shop.code_redeem(redeem), KL_E_NOT_FOUND);
  const std::string body = "{\"method\":\"device.delivery.response\",\"order_id\":61,\"record_id\":78,"
                           "\"deliver_status\":\"1\",\"error_msg\":\"\"}";
  kl::Event event = shop.event_parse(nullptr, body.data(), body.size());
  event.set_reply(0, "ok");
  CHECK(std::strstr(event.reply(), "ok") != nullptr);
  kl::Event none;
  THROWS(none.set_reply(0), KL_E_NULL);
  THROWS(shop.event_parse(nullptr, "%", 1), KL_E_EVENT);
  kl_http_options options = KL_HTTP_OPTIONS_INIT;
  kl::Http http(options);
  http.add(shop);
  CHECK(http.tick()->action == KL_HTTP_ACTION_READ);
  const kl_http_step *step = http.feed(DELIVERY, sizeof DELIVERY - 1);
  CHECK(step->action == KL_HTTP_ACTION_EVENT);
  THROWS(http.tick(), KL_E_BUSY);
  step = http.reply(1);
  CHECK(step->action == KL_HTTP_ACTION_READ && std::strncmp(reinterpret_cast<const char *>(step->bytes), "HTTP/1.1 503", 12) == 0);
  CHECK(http.feed("?", 1)->action == KL_HTTP_ACTION_CLOSE);
  THROWS(http.reply(0), KL_E_ARGUMENT);
  options.max_head = 1;
  THROWS(kl::Http failed(options), KL_E_ARGUMENT);
  kl::User user = people.user_get();
  kl::Company company = people.company_get();
  CHECK(user->username[0] != '\0' && company->name[0] != '\0');

  kl::Command moved = client.command_wait("throwing", 20000);
  CHECK(moved->physical == KL_PHYSICAL_STATE_CONFIRMED);
  moved = client.command_get("throwing");
  CHECK(moved->kind == KL_COMMAND_KIND_DOOR);
  moved = client.command_resolve("throwing");
  CHECK(moved->outcome == KL_DONE);
  THROWS(client.command_settle("nobody-knows-it", KL_DONE, KL_SETTLED_BY_PERSON), KL_E_NOT_FOUND);
  THROWS(client.command_overrule("nobody-knows-it", KL_DONE, "a test"), KL_E_NOT_FOUND);
  THROWS(client.door_check(kl::DoorRequest("x", "")), KL_E_ARGUMENT);
  THROWS(client.redeem_check(kl::RedeemRequest("x", "")), KL_E_ARGUMENT);
  CHECK(client.request_id_new() && client.command_list().size() > 0);
  THROWS(client.journal_adopt("a test"), KL_E_ARGUMENT);
  CHECK(client.command_pending().size() < 100);
  CHECK(client.journal_read().struct_size == sizeof(kl_journal_info));
  client.journal_repair();
}

#endif

}  // namespace

int main(int argc, char **argv) {
  if (argc != 4) return 64;
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  const char *cabinet = argv[2], *machine = argv[3];
  if (std::strcmp(machine, "lost") == 0) {
    lost(connect(argv[1], "yopoint"), cabinet);
    std::printf(failures == 0 ? "no fault\n" : "%d faults\n", failures);
    return failures != 0;
  }
  library();
  settings();
  kl::Client doors = connect(argv[1], "yopoint"), shop = connect(argv[1], "dingshang");
  kl::Client people = connect(argv[1], "zhiyun");
  reads(doors, cabinet);
  visit(doors, cabinet, "visit-1");
  pickup(shop, machine, "redeem-1", "11111111111111111111");
  callbacks(connect(argv[1], "dingshang"));
  connections(connect(argv[1], "dingshang"));
  person(people);
  together(doors);
  jobs(doors);
  refused(argv[1]);
#if KIOSKLINK_EXCEPTIONS
  throwing_library(argv[1]);
  throwing_jobs(doors);
  throwing(doors, cabinet, shop, machine, people);
#endif
  std::printf(failures == 0 ? "no fault\n" : "%d faults\n", failures);
  return failures != 0;
}
