/* beside ACCOUNTS.json ACCOUNT: kiosklink and another static library written in Rust in one program. Each has a panic of
 * its own caught, and each goes on. */

#include <kiosklink.h>
#include <stdint.h>
#include <stdio.h>

int32_t other_catches(const char *text);

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  int32_t before = other_catches("12"), panicked = other_catches("twelve");
  int good = kl_config_load(argv[1], argv[2], &config, &err) == KL_OK && kl_client_new(config, &client, &err) == KL_OK &&
             kl_ping(client, &err) == KL_OK;
  kl_client_free(client);
  kl_config_free(config);
  printf("%s other: %d %d %d\n", good ? "The platform answers." : err.message, (int)before, (int)panicked,
         (int)other_catches("13"));
  return good && before == 12 && panicked == -1 ? 0 : 1;
}
