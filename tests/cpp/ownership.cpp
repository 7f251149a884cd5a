// Who owns what in kiosklink.hpp: moves, empty handles, handing over from and to C, the log's end, many threads.
//   ownership ACCOUNTS.json CABINET

#include <kiosklink.hpp>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

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

// No copy, a move that cannot fail, no larger than the handle, nothing virtual: for every class that owns something.
template <typename T> struct MoveOnly {
  static_assert(!std::is_copy_constructible<T>::value && !std::is_copy_assignable<T>::value, "no copies");
  static_assert(std::is_nothrow_move_constructible<T>::value && std::is_nothrow_move_assignable<T>::value, "moves");
  static_assert(std::is_nothrow_default_constructible<T>::value, "an empty one");
  static_assert(!std::is_polymorphic<T>::value && sizeof(T) == sizeof(void *), "as large as its handle");
  static_assert(!std::is_convertible<T, bool>::value && std::is_constructible<bool, T>::value, "asked, not converted");
};
template struct MoveOnly<kl::Config>;
template struct MoveOnly<kl::Client>;
template struct MoveOnly<kl::Cabinets>;
template struct MoveOnly<kl::Stock>;
template struct MoveOnly<kl::Orders>;
template struct MoveOnly<kl::Codes>;
template struct MoveOnly<kl::Command>;
template struct MoveOnly<kl::Response>;
template struct MoveOnly<kl::Event>;
template struct MoveOnly<kl::User>;
template struct MoveOnly<kl::Company>;
template struct MoveOnly<kl::CabinetIter>;
template struct MoveOnly<kl::StockIter>;
template struct MoveOnly<kl::OrderIter>;
template struct MoveOnly<kl::Commands>;
template struct MoveOnly<kl::Task>;

// Errors are values, and exceptions must not throw while they are copied.
static_assert(std::is_nothrow_copy_constructible<kl::Error>::value, "thrown by value");
static_assert(std::is_base_of<std::exception, kl::Error>::value, "caught with the others");
static_assert(std::is_nothrow_copy_constructible<kl::Lines>::value, "borrowed");

// The request structs are the C structs and nothing more: the same size is told to the library.
static_assert(sizeof(kl::DoorRequest) == sizeof(kl_door_request), "no fields of its own");
static_assert(sizeof(kl::RedeemRequest) == sizeof(kl_redeem_request), "no fields of its own");
static_assert(std::is_convertible<kl::Page &, const kl_page &>::value, "passed as one");

void empty_ones() {
  kl::Error err;
  kl::Config config;
  kl::Client client;
  CHECK(!config && !client && client.get() == nullptr);
  CHECK(config.set(KL_KEY_APP_ID, "1", err) == KL_E_NULL && err.message()[0] != '\0');
  CHECK(client.ping(err) == KL_E_NULL && client.warm(err) == KL_E_NULL && client.cancel(err) == KL_E_NULL);
  CHECK(!kl::Client(config, err) && err.status() == KL_E_NULL);
  CHECK(client.cabinet_list(err).empty() && err.status() == KL_E_NULL);
  CHECK(client.time(err).unix_seconds == 0 && err.status() == KL_E_NULL);
  CHECK(client.stats(err).requests == 0 && err.status() == KL_E_NULL);
  CHECK(!client.door_open(kl::DoorRequest("x", "y"), err));
  /* Nobody can be asked what the name stands for; without one nothing can have happened. */
  CHECK(err.status() == KL_E_NULL && err.outcome() == KL_UNKNOWN);
  CHECK(!client.door_open(kl::DoorRequest(nullptr, "y"), err));
  CHECK(err.status() == KL_E_NULL && err.outcome() == KL_NOT_DONE);

  kl::Stock stock;
  CHECK(stock.size() == 0 && stock.empty() && stock.at(0) == nullptr && stock.begin() == stock.end());
  CHECK(stock.more() != 1);
  kl::Codes codes;
  for (const kl_pickup_code &code : codes) CHECK(code.code == nullptr);
  kl::Command command;
  kl::Response response;
  kl::Event event;
  kl::User user;
  kl::Company company;
  CHECK(command.view() == nullptr && response.json() == nullptr && event.view() == nullptr);
  CHECK(event.reply() == nullptr && event.set_reply(0, nullptr, nullptr, err) == KL_E_NULL);
  CHECK(user.view() == nullptr && company.view() == nullptr);
  kl::OrderIter walk;
  CHECK(walk.next(err) == nullptr && err.status() == KL_E_NULL);
  for (const kl_order &order : walk.each(err)) CHECK(order.order_no == nullptr);
  CHECK(err.status() == KL_E_NULL);
}

kl::Client connect(const char *accounts) {
  kl::Error err;
  kl::Client client(kl::Config::load(accounts, "yopoint", err), err);
  CHECK(client && !err);
  return client;
}

void moves(const char *accounts, const char *cabinet) {
  kl::Error err;
  kl::Client first = connect(accounts);
  kl_client *handle = first.get();
  kl::Client second(std::move(first));
  // What was moved from is empty and can be used and filled again.
  CHECK(!first && second.get() == handle && first.ping(err) == KL_E_NULL && second.ping(err) == KL_OK);
  first = std::move(second);
  CHECK(!second && first.get() == handle);
  kl::Client &same = first;
  first = std::move(same);
  CHECK(first.get() == handle && first.ping(err) == KL_OK);

  // Assigning over a handle frees it, once.
  first = connect(accounts);
  CHECK(first.get() != handle && kl_ping(handle, nullptr) == KL_E_HANDLE && first.ping(err) == KL_OK);
  using std::swap;
  swap(first, second);
  CHECK(!first && second.ping(err) == KL_OK);

  // A result outlives its client, and moves with what was borrowed from it.
  kl::Stock stock = second.stock_fetch(cabinet, err);
  const kl_stock_item *item = stock.at(0);
  second.reset();
  kl::Stock moved;
  moved = std::move(stock);
  CHECK(stock.empty() && moved.at(0) == item && std::strcmp(item->cabinet_id, cabinet) == 0);

  // A walk does not outlive its client, and says so.
  second = connect(accounts);
  kl::CabinetIter walk = second.cabinet_iter(1, err);
  CHECK(walk.next(err) != nullptr);
  kl::CabinetIter walked = std::move(walk);
  CHECK(walk.next(err) == nullptr && err.status() == KL_E_NULL && walked.next(err) != nullptr);
  second = kl::Client();
  CHECK(walked.next(err) == nullptr && err.status() == KL_E_HANDLE);

  std::vector<kl::Config> many;
  for (int i = 0; i < 100; i++) many.push_back(kl::Config(KL_PLATFORM_YOPOINT, err));
  many.erase(many.begin(), many.begin() + 50);
  for (kl::Config &config : many) CHECK(config.set(KL_KEY_APP_ID, "1", err) == KL_OK);
}

void handing_over(const char *accounts) {
  kl::Error err;
  kl_config *raw = nullptr;
  CHECK(kl_config_load(accounts, "yopoint", &raw, err.raw()) == KL_OK);
  kl_config *released;
  {
    kl::Config config(raw);
    CHECK(config.get() == raw && kl::Client(config, err));
    config.reset(raw);
    CHECK(config.set(KL_KEY_TIMEOUT_MS, "5000", err) == KL_OK);
    released = config.release();
    CHECK(released == raw && !config);
  }
  // Given away: the destructor left it alone. Freed by C, it is dead for whoever still holds it.
  CHECK(kl_config_set(released, KL_KEY_TIMEOUT_MS, "6000", nullptr) == KL_OK);
  {
    kl::Config one(released), two(released);
    kl_config_free(released);
    CHECK(one.set(KL_KEY_TIMEOUT_MS, "7000", err) == KL_E_HANDLE);
    kl::Config fresh(KL_PLATFORM_YOPOINT, err);
    one = kl::Config();
    two.reset();
    // Two that held one handle have freed it twice; a handle made since is not touched by that.
    CHECK(fresh.set(KL_KEY_APP_ID, "1", err) == KL_OK);
  }
}

struct Counter {
  std::atomic<int> lines{0}, secrets{0};
  void operator()(std::int32_t level, const char *line) {
    lines++;
    if (level < KL_LOG_LEVEL_ERROR || level > KL_LOG_LEVEL_DEBUG || std::strstr(line, "test-secret") != nullptr) secrets++;
#if KIOSKLINK_EXCEPTIONS
    throw line;  // stays here
#endif
  }
};

void the_log(const char *accounts) {
  kl::Error err;
  kl::Client client = connect(accounts);
  Counter counter, other;
  {
    kl::Log<Counter> log(KL_LOG_LEVEL_DEBUG, counter, err);
    CHECK(!err && client.ping(err) == KL_OK);
    kl::Log<Counter> wrong(99, other, err);
    CHECK(err && other.lines == 0);
  }
  int seen = counter.lines;
  CHECK(seen > 0 && counter.secrets == 0);
  CHECK(client.ping(err) == KL_OK && counter.lines == seen);
  // One that never began ended nothing; one that did begin is over.
  auto lambda = [&seen](std::int32_t, const char *) { seen++; };
#if KIOSKLINK_EXCEPTIONS
  kl::Log<decltype(lambda)> log(KL_LOG_LEVEL_DEBUG, lambda);
#else
  kl::Log<decltype(lambda)> log(KL_LOG_LEVEL_DEBUG, lambda, err);
#endif
  { kl::Log<Counter> wrong(-1, other, err); }
  int before = seen;
  CHECK(client.ping(err) == KL_OK && seen > before);
}

void threads(const char *accounts, const char *cabinet) {
  const kl::Client client = connect(accounts);
  Counter counter;
  kl::Error err;
  kl::Log<Counter> log(KL_LOG_LEVEL_DEBUG, counter, err);
  std::atomic<int> good{0}, opened{0};
  std::vector<std::thread> all;
  for (int i = 0; i < 6; i++) {
    all.emplace_back([&] {
      kl::Error mine;
      for (int n = 0; n < 5; n++) {
        kl::Cabinets cabinets = client.cabinet_list(mine);
        if (!mine && cabinets.size() == 5) good++;
      }
      // The same customer's action from all of them: whoever is told done is told of the same opening.
      kl::Command command = client.door_open(kl::DoorRequest("threads", cabinet), mine);
      if (command && command->recorded == 0) opened++;
      if (!command && mine.status() != KL_E_IN_FLIGHT) opened += 100;
    });
  }
  for (std::thread &thread : all) thread.join();
  CHECK(good == 30);
  CHECK(opened == 1);
  CHECK(counter.lines > 0);
}

// A result may be handed to another thread.
void across_threads(const char *accounts, const char *cabinet) {
  kl::Error err;
  kl::Client client = connect(accounts);
  kl::Stock stock = client.stock_fetch(cabinet, err);
  std::size_t wanted = stock.size(), found = 0;
  std::thread reader([&found](kl::Stock mine) { found = mine.size(); }, std::move(stock));
  reader.join();
  CHECK(wanted > 0 && found == wanted);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  empty_ones();
  moves(argv[1], argv[2]);
  handing_over(argv[1]);
  the_log(argv[1]);
  threads(argv[1], argv[2]);
  across_threads(argv[1], argv[2]);
  std::printf(failures == 0 ? "no fault\n" : "%d faults\n", failures);
  return failures != 0;
}
