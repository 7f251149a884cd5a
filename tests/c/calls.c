/* Pings N times over one client.
 *   calls ACCOUNTS.json ACCOUNT N */

#include <inttypes.h>
#include <kiosklink.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  if (argc != 4) return 64;
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  if (kl_config_load(argv[1], argv[2], &config, &err) == KL_OK && kl_client_new(config, &client, &err) == KL_OK) {
    for (int i = 0; i < atoi(argv[3]) && kl_ping(client, &err) == KL_OK; i++) {
    }
  }
  kl_status status = err.status;
  int64_t now = 0;
  kl_time_source source = -1;
  if (kl_client_time(client, &now, &source, NULL) != KL_OK) source = -1;
  printf("%s %" PRId64 " %" PRId32 "\n%s\n", kl_status_name(status), now, source, status == KL_OK ? "" : err.message);
  kl_client_free(client);
  kl_config_free(config);
  return status == KL_OK ? 0 : 1;
}
