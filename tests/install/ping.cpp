// ping ACCOUNTS.json ACCOUNT: is the platform there? Sees every header that is installed.

#if defined(__has_include)
#if __has_include(<kiosklink.hpp>)
#include <kiosklink.hpp>
#endif
#endif
#include <iostream>
#include <kiosklink.h>

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  kl_error err = KL_ERROR_INIT;
  kl_config *config = nullptr;
  kl_client *client = nullptr;
  bool good = kl_config_load(argv[1], argv[2], &config, &err) == KL_OK &&
              kl_client_new(config, &client, &err) == KL_OK && kl_ping(client, &err) == KL_OK;
  kl_client_free(client);
  kl_config_free(config);
  std::cout << (good ? "The platform answers." : err.message) << "\n";
  return good ? 0 : 1;
}
