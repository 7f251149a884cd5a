// A kiosk's firmware in C++, short: one loop that never waits, customers and callbacks in jobs, SIGTERM, a restart.
//
//   kiosk_firmware ACCOUNTS.json ACCOUNT CABINET
//
// Type "door" for a customer; the end of the input or SIGTERM ends it when everybody is served. firmware.c is the long one.
// The account needs a state_dir: what was under way when the power went is found there.

#include <kiosklink.hpp>

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace kl = kiosklink;

namespace {

volatile sig_atomic_t ending = 0;

// From any thread. Where a screen is to be drawn, keep the line for the loop.
void show(const std::string &line) { std::printf("%s\n", line.c_str()); }

// ---- Jobs: each on a thread of the library, where it may wait. The loop shows what they throw.

// One name for an order's payment: it is reported once, whoever comes first, the door's job or the callback.
void report_paid(const kl::Client &client, const char *order_no, std::int64_t amount, const char *report_url,
                 const char *visit) {
  const std::string name = std::string("paid-") + order_no;
  kl::PaymentReportRequest paid(order_no, KL_PAYMENT_RESULT_PAID, amount);
  paid.request_id = name.c_str();
  paid.visit_id = visit;
  paid.report_url = report_url;
  paid.trade_no = "WX-4200001234";  // of the payment channel, where the customer is charged: once for an order
  kl::Error err;
  client.payment_report(paid, err);
  if (err.outcome() == KL_UNKNOWN) client.command_resolve(name.c_str(), err);  // asks; sends nothing a second time
  if (err) throw kl::Error(err);
}

// What was taken is known when the door is shut. The visit is over when that is paid.
void pay(const kl::Client &client, const char *visit, const kl_command_info &door) {
  for (int i = 0; i < 600; i++, std::this_thread::sleep_for(std::chrono::milliseconds(200))) {
    kl::Error err;
    kl::Orders orders = client.order_get(kl::OrderRef(door.order_no), err);
    if (err && (err.status() == KL_E_CANCELLED || err.advice() != KL_ADVICE_RETRY)) throw kl::Error(err);
    if (orders.empty()) continue;
    const kl_order &order = orders[0];
    const bool opened = order.door != KL_DOOR_STATE_NEVER_OPENED;
    if (opened && (order.door != KL_DOOR_STATE_SHUT || order.line_count == 0 || order.amount < 0)) continue;
    if (opened && order.payment != KL_PAYMENT_STATE_PAID) {
      report_paid(client, door.order_no, order.amount, door.report_url, visit);
    }
    client.visit_close(visit);
    return show(opened ? "paid: " + std::to_string(order.amount) + " fen" : "the door never opened: nothing is to pay");
  }
  show(std::string("order ") + door.order_no + " is not known yet: it is asked for after the next start");
}

// One customer. The library's name is theirs until they are gone: under it the door opens once at most.
void serve(const kl::Client &client, const char *cabinet) {
  const kl::RequestId name = client.request_id_new();
  kl::DoorRequest request(name.c_str(), cabinet);
  request.visit_id = name.c_str();
  request.ttl_ms = 10000;
  kl::Error err;
  kl::Command command = client.door_open(request, err);
  if (err.outcome() == KL_UNKNOWN) command = client.command_resolve(name.c_str(), err);
  if (command) {
    show(std::string("open: order ") + command->order_no);
    pay(client, name.c_str(), *command.view());
  } else if (err.outcome() == KL_NOT_DONE) {
    show(std::string("not opened: ") + err.what());
    client.visit_close(name.c_str());
  } else {  // stays on the list: the next start asks again
    show(std::string("nobody knows whether it opened: call the staff: ") + err.what());
  }
}

// What was left is asked for, never done again. Nobody stands at the door any more.
void look_at(const kl::Client &client, const char *visit, const kl_command_info &one) {
  kl::Error err;
  kl::Command door = client.command_resolve(one.request_id, err);
  if (door) {
    show(std::string("left open: order ") + door->order_no);
    pay(client, visit, *door.view());
  } else if (err.outcome() == KL_NOT_DONE) {
    client.visit_close(visit);
  } else {
    show(std::string(one.request_id) + " is unknown still: " + err.what());
  }
}

void look_back(const kl::Client &client) {
  for (const kl_visit &visit : client.visit_list()) {
    for (std::size_t i = 0; i < visit.command_count; i++) {
      if (visit.commands[i]->kind != KL_COMMAND_KIND_DOOR) continue;
      try {
        look_at(client, visit.visit_id, *visit.commands[i]);
      } catch (const kl::Error &e) {
        show(std::string("the visit goes on after the next start: ") + e.what());
      }
    }
  }
}

// Whether the event is dealt with; else the platform comes again.
bool act(const kl::Client &client, const kl_event_info &event) {
  show("callback " + std::to_string(event.kind) + ": order " + event.order_no);
  if (event.kind == KL_EVENT_KIND_REFUND_APPROVED) return false;  // until your back office has it
  if (event.kind != KL_EVENT_KIND_RECOGNIZED && event.kind != KL_EVENT_KIND_ORDER_REPLACED) return true;
  if (event.amount < 0 || event.report_url[0] == '\0') return false;
  try {
    report_paid(client, event.order_no, event.amount, event.report_url, nullptr);
    return true;
  } catch (const kl::Error &e) {
    show(std::string("not reported yet: ") + e.what());
    return false;
  }
}

// Closed with the job that has it.
struct Socket {
  explicit Socket(int fd_) : fd(fd_) {}
  Socket(const Socket &) = delete;
  Socket &operator=(const Socket &) = delete;
  ~Socket() { close(fd); }
  bool readable(std::uint32_t wait_ms) const {
    pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, static_cast<int>(wait_ms)) > 0;
  }
  bool put(const std::uint8_t *bytes, std::size_t left) const {
    while (left > 0) {
      const ssize_t n = send(fd, bytes, left, MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes += n;
      left -= static_cast<std::size_t>(n);
    }
    return true;
  }
  const int fd;
};

// An event is answered when it is dealt with, and is in the journal then.
void callback(const kl::Client &client, const Socket &socket) {
  kl_http_options options = KL_HTTP_OPTIONS_INIT;
  options.timeout_ms = 5000;
  options.one_request = 1;
  kl::Http http(options);
  http.add(client);
  kl::Error err;
  char bytes[4096];
  const kl_http_step *step = http.tick(err);
  while (step != nullptr && socket.put(step->bytes, step->len) && step->action != KL_HTTP_ACTION_CLOSE) {
    if (step->action == KL_HTTP_ACTION_EVENT) {
      const bool done = step->event->duplicate || act(client, *step->event);
      step = http.reply(done ? 0 : 1, nullptr, nullptr, err);
    } else if (socket.readable(step->wait_ms)) {
      const ssize_t n = recv(socket.fd, bytes, sizeof bytes, 0);
      step = http.feed(bytes, n > 0 ? static_cast<std::size_t>(n) : 0, err);
    } else {
      step = http.tick(err);
    }
    if (err) show(std::string("a callback was refused: ") + err.what());
  }
  shutdown(socket.fd, SHUT_WR);
  if (socket.readable(500) && recv(socket.fd, bytes, sizeof bytes, 0) < 0) show("a callback's connection broke");
}

// ---- The loop: nothing below waits.

typedef std::map<kl_task *, kl::Task> Jobs;

// What acts waits for no callback. Who was not begun with in time has gone. Nothing comes back where it is busy.
template <typename F> kl_task *begin(const kl::Client &client, Jobs &jobs, bool acts, std::uint32_t within_ms, F job) {
  kl::TaskOptions options;
  options.acts = acts;
  options.start_within_ms = within_ms;
  kl::Error err;
  auto function = [job](const kl::Client &view) {
    job(view);
    return 0;
  };
  kl::Task task = client.task_start(function, options, err);
  if (err) show(std::string("busy: ") + err.what());
  kl_task *handle = task.get();
  if (handle != nullptr) jobs[handle] = std::move(task);
  return handle;
}

void end(const kl::Task &task) {
  if (task->state == KL_TASK_STATE_NOT_STARTED) show(std::string("not begun: ") + kl::status_name(task->status));
  try {
    task.rethrow();
  } catch (const std::exception &e) {
    show(std::string("the visit goes on after the next start: ") + e.what());
  }
}

void take_connection(const kl::Client &client, Jobs &jobs, int listener) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  const timeval within = {5, 0};
  auto socket = std::make_shared<Socket>(fd);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &within, sizeof within) != 0) return;
  begin(client, jobs, false, 0, [socket](const kl::Client &view) { callback(view, *socket); });
}

int loop(const kl::Client &client, const char *cabinet, int listener, const sigset_t &open_signals) {
  Jobs jobs;
  std::string typed;
  kl::Error err;
  const int ended = client.fd();
  kl_task *looking_back = begin(client, jobs, true, 0, look_back);
  if (looking_back == nullptr) return 1;
  for (bool told = false;;) {
    if (ending && !told) show("no more customers");
    told = ending;
    if (told && jobs.empty()) break;
    const bool reads = !ending && looking_back == nullptr;
    pollfd fds[3] = {{ended, POLLIN, 0}, {ending ? -1 : listener, POLLIN, 0}, {reads ? STDIN_FILENO : -1, POLLIN, 0}};
    if (ppoll(fds, 3, nullptr, &open_signals) < 0) continue;  // a signal
    while (kl_task *task = client.task_next(err)) {
      end(jobs[task]);
      jobs.erase(task);
      if (task != looking_back) continue;
      looking_back = nullptr;
      show("ready");
    }
    if (fds[1].revents != 0) take_connection(client, jobs, listener);
    if (fds[2].revents == 0) continue;
    char keys[80];
    const ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n <= 0) ending = 1;
    typed.append(keys, n > 0 ? static_cast<std::size_t>(n) : 0);
    for (std::size_t at; (at = typed.find('\n')) != std::string::npos; typed.erase(0, at + 1)) {
      if (typed.compare(0, at, "door") != 0) continue;
      begin(client, jobs, true, 3000, [cabinet](const kl::Client &view) { serve(view, cabinet); });
    }
    if (typed.size() > sizeof keys) typed.clear();
  }
  show("bye");
  return 0;
}

int listen_on_any_port() {
  sockaddr_in address = sockaddr_in();
  socklen_t size = sizeof address;
  sockaddr *const any = reinterpret_cast<sockaddr *>(&address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, any, size) != 0 || listen(fd, 16) != 0 || getsockname(fd, any, &size) != 0) {
    std::perror("cannot listen");
    return -1;
  }
  show("listening on http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/");
  return fd;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 4 || !kl::abi_matches()) {
    std::fprintf(stderr, "use: kiosk_firmware ACCOUNTS.json ACCOUNT CABINET\n");
    return 64;
  }
  // Blocked before there is a thread, and open in ppoll alone: none comes between the look at `ending` and the wait.
  sigset_t blocked, open_signals;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &open_signals);
  sigdelset(&open_signals, SIGTERM);
  signal(SIGTERM, [](int) { ending = 1; });
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    const kl::Client client(kl::Config::load(argv[1], argv[2]));
    const Socket listener(listen_on_any_port());
    return listener.fd < 0 ? 1 : loop(client, argv[3], listener.fd, open_signals);
  } catch (const std::exception &e) {
    show(std::string("cannot start: ") + e.what());
    return 1;
  }
}
