// A kiosk's visit in C++: what was left from before a restart, what is in stock, a door for a customer, a pickup code.
//
//   kiosk ACCOUNTS.json STATE_DIR ACCOUNT CABINET_ID VISIT [SHOP CODE]
//
// STATE_DIR is a folder that survives a power cut; the library writes there what it is about to do. VISIT names this
// customer's action: the firmware makes it before the first try and keeps it, and under one name a door opens at most
// once, now and after a restart. With SHOP, a second account, CODE is redeemed there as well.
//
// Written without exceptions, as most firmware is; it compiles with -fno-exceptions -fno-rtti.
//
// Exit: 0 all was done, 1 something was not done, 2 nobody knows of something whether it was done, 3 the platform took
// the command but the door did not move or nobody can tell, 64 wrong use.

#include <kiosklink.hpp>

#include <cstdio>

namespace kl = kiosklink;

namespace {

enum Result { ALL_DONE = 0, NOT_DONE = 1, UNKNOWN = 2, NOT_MOVED = 3, WRONG_USE = 64 };

// Says what went wrong and what to do now: first what became of the command, then the advice.
Result explain(const char *what, const kl::Error &err) {
  std::printf("%s: %s (%s)\n", what, err.what(), err.name());
  if (err.platform_code() != 0) {
    std::printf("  The platform says %ld %s\n", static_cast<long>(err.platform_code()), err.platform_message());
  }
  if (err.outcome() == KL_UNKNOWN) {
    std::printf("  It may have happened: %s.\n", err.advice() == KL_ADVICE_CALL_PERSON
                                                     ? "a person must look"
                                                     : "find out before anybody tries again");
    return UNKNOWN;
  }
  switch (err.advice()) {
    case KL_ADVICE_RETRY: std::printf("  Trying again is safe.\n"); break;
    case KL_ADVICE_ASK_FIRST: std::printf("  Find out first.\n"); break;
    case KL_ADVICE_CALL_PERSON: std::printf("  A person must look.\n"); break;
    case KL_ADVICE_FIX: std::printf("  A setting or the program must change first.\n"); break;
    default: break;
  }
  return NOT_DONE;
}

// A client whose commands are remembered in state_dir. Empty if there is none; the reason is printed.
kl::Client connect(const char *accounts, const char *account, const char *state_dir) {
  kl::Error err;
  kl::Config config = kl::Config::load(accounts, account, err);
  if (!err) config.set(KL_KEY_STATE_DIR, state_dir, err);
  kl::Client client;
  if (!err) client = kl::Client(config, err);
  if (err) explain(account, err);
  return client;
}

const std::uint32_t WAIT_MS = 120000;  // the slowest platform tells within two minutes

// What a door did after the platform took the command. A platform's yes is not a bolt that moved.
Result follow(const kl::Client &client, const char *request_id) {
  kl::Error err;
  kl::Command moved = client.command_wait(request_id, WAIT_MS, err);
  switch (err.status()) {
    case KL_OK:
      std::printf("%s: it moved, order %s.\n", request_id, moved->order_no);
      return ALL_DONE;
    case KL_E_NOT_MOVED:
      std::printf("%s: nothing moved: %s\n  The customer pays nothing.\n", request_id, err.what());
      return NOT_MOVED;
    case KL_E_PENDING:
      std::printf("%s: not told within two minutes. Wait again later, or look at the door's contact.\n", request_id);
      return NOT_MOVED;
    case KL_E_UNKNOWABLE:
      std::printf("%s: this platform never tells. Look at the door's own contact.\n", request_id);
      return NOT_MOVED;
    default: return explain(request_id, err);  // KL_E_UNSETTLED: what became of the command itself is not known
  }
}

// After a restart: everything that has no end yet. A query may find it; nothing is ever sent a second time.
Result settle_the_past(const char *account, const kl::Client &client) {
  kl::Error err;
  kl::Commands pending = client.command_pending(err);
  if (err) return explain("What is pending cannot be read", err);
  std::printf("%s: %lu command(s) from before.\n", account, static_cast<unsigned long>(pending.size()));
  Result result = ALL_DONE;
  for (const kl_command_info &one : pending) {
    std::printf("%s: ", one.request_id);
    client.command_resolve(one.request_id, err);
    if (!err) {
      std::printf("it was done.\n");
      if (one.kind == KL_COMMAND_KIND_DOOR) follow(client, one.request_id);
    } else if (err.outcome() == KL_NOT_DONE) {
      std::printf("it was not done. The customer may try again under the same name.\n");
    } else {
      // Here firmware with a contact at the door says what it saw: command_settle(…, KL_SETTLED_BY_SENSOR, …), that nothing
      // opened not before one.mature_in_ms is over. Without one a person looks and says so.
      result = explain("nobody knows yet", err);
    }
  }
  return result;
}

Result open_door(const kl::Client &client, const char *cabinet_id, const char *visit) {
  kl::Error err;
  kl::Stock stock = client.stock_fetch(cabinet_id, err);
  if (err) return explain("The stock cannot be read", err);
  long there = 0;
  for (const kl_stock_item &item : stock) {
    std::printf("  %ld x %s, %ld.%02ld yuan\n", static_cast<long>(item.stock), item.name,
                static_cast<long>(item.price / 100), static_cast<long>(item.price % 100));
    if (item.stock > 0) there += item.stock;
  }
  if (there == 0) {
    std::printf("The cabinet is empty. Nothing is opened.\n");
    return NOT_DONE;
  }

  kl::DoorRequest request(visit, cabinet_id);
  request.user_id = "customer-1";
  kl::Command command = client.door_open(request, err);
  if (err) return explain("The door was not opened", err);
  std::printf("The door opens%s: order %s.\n", command->recorded ? " (it did before, nothing was sent)" : "",
              command->order_no);
  return follow(client, visit);
}

Result redeem(const kl::Client &shop, const char *visit, const char *code) {
  char name[KL_REQUEST_ID_MAX + 1];
  std::snprintf(name, sizeof name, "%s-code", visit);
  kl::Error err;
  kl::RedeemRequest request(name, code);
  request.redeemer = "kiosk-7";
  kl::Command command = shop.code_redeem(request, err);
  switch (err.status()) {
    case KL_OK: std::printf("The code is redeemed%s.\n", command->recorded ? " (it was before)" : ""); return ALL_DONE;
    case KL_E_CODE_USED: std::printf("This code was used before, by somebody else.\n"); return NOT_DONE;
    case KL_E_CODE_EXPIRED: std::printf("This code has expired.\n"); return NOT_DONE;
    case KL_E_NOT_FOUND: std::printf("There is no such code.\n"); return NOT_DONE;
    default: return explain("The code was not redeemed", err);
  }
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 6 && argc != 8) {
    std::fprintf(stderr, "use: kiosk ACCOUNTS.json STATE_DIR ACCOUNT CABINET_ID VISIT [SHOP CODE]\n");
    return WRONG_USE;
  }
  if (!kl::abi_matches()) {
    std::fprintf(stderr, "this program's header does not fit the library: %s\n", kl::build_info());
    return WRONG_USE;
  }
  kl::Client cabinets = connect(argv[1], argv[3], argv[2]);
  if (!cabinets) return NOT_DONE;
  kl::Client shop;
  if (argc == 8) {
    shop = connect(argv[1], argv[6], argv[2]);
    if (!shop) return NOT_DONE;
  }

  Result past = settle_the_past(argv[3], cabinets);
  if (shop && past == ALL_DONE) past = settle_the_past(argv[6], shop);
  if (past != ALL_DONE) return past;
  Result result = open_door(cabinets, argv[4], argv[5]);
  if (shop && result == ALL_DONE) result = redeem(shop, argv[5], argv[7]);
  return result;
}
