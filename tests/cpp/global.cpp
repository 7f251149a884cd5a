// The library used before main, from a global object's constructor, and after it, from its destructor.
//   global ACCOUNTS.json ACCOUNT   (reads the account again in main)

#include <kiosklink.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace {

class Client {
 public:
  Client(const char *platform, const char *key, const char *value) {
    kl_config *config = nullptr;
    kl_error err = KL_ERROR_INIT;
    if (kl_config_new(platform, &config, &err) == KL_OK && kl_config_set(config, KL_KEY_APP_ID, "1", &err) == KL_OK &&
        kl_config_set(config, KL_KEY_APP_SECRET, "secret", &err) == KL_OK &&
        kl_config_set(config, key, value, &err) == KL_OK) {
      status_ = kl_client_new(config, &client_, &err);
    }
    kl_config_free(config);
  }
  ~Client() { kl_client_free(client_); }
  Client(const Client &) = delete;
  Client &operator=(const Client &) = delete;
  kl_status status() const { return status_; }

 private:
  kl_client *client_ = nullptr;
  kl_status status_ = KL_E_INTERNAL;
};

Client early(KL_PLATFORM_YOPOINT, KL_KEY_BASE_URL, "https://localhost:1");

}  // namespace

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  if (early.status() != KL_OK) {
    std::printf("no client before main: %s\n", kl_status_name(early.status()));
    return 1;
  }
  kl_error err = KL_ERROR_INIT;
  kl_config *config = nullptr;
  kl_client *client = nullptr;
  if (kl_config_load(argv[1], argv[2], &config, &err) != KL_OK || kl_client_new(config, &client, &err) != KL_OK) {
    std::printf("%s\n", err.message);
    return 1;
  }
  std::vector<std::thread> threads;
  std::vector<std::string> names(4);
  for (std::size_t i = 0; i < names.size(); i++) {
    threads.emplace_back([client, i, &names] {
      kl_page page = KL_PAGE_INIT;
      page.number = static_cast<std::uint32_t>(i) + 1;
      page.size = 1;
      kl_cabinets *list = nullptr;
      if (kl_cabinet_list(client, &page, &list, nullptr) == KL_OK) names[i] = kl_cabinets_at(list, 0)->id;
      kl_cabinets_free(list);
    });
  }
  for (auto &thread : threads) thread.join();
  kl_client_free(client);
  kl_config_free(config);
  for (const auto &name : names) {
    if (name.size() != 24) {
      std::printf("a cabinet is missing\n");
      return 1;
    }
  }
  std::printf("no fault\n");
  return 0;
}
