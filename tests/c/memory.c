/* One opening while memory is refused, by tests/preload/memory.c.
 *   memory ACCOUNTS.json ACCOUNT CABINET NAME
 * Prints the outcome, the status, how many pieces of memory the opening asked for, and the message. */

#include <kiosklink.h>
#include <stdio.h>

extern void memory_arm(int on) __attribute__((weak));
extern long memory_count(void) __attribute__((weak));

int main(int argc, char **argv) {
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  kl_command *command = NULL;
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  if (argc != 5) return 64;
  if (kl_config_load(argv[1], argv[2], &config, &err) != KL_OK || kl_client_new(config, &client, &err) != KL_OK) {
    printf("%s\n", err.message);
    return 64;
  }
  request.request_id = argv[4];
  request.cabinet_id = argv[3];
  if (memory_arm != NULL) memory_arm(1);
  kl_outcome outcome = kl_door_open(client, &request, &command, &err);
  if (memory_arm != NULL) memory_arm(0);
  printf("%d %s %ld %s\n", (int)outcome, kl_status_name(err.status), memory_count != NULL ? memory_count() : 0, err.message);
  kl_command_free(command);
  kl_client_free(client);
  kl_config_free(config);
  return 0;
}
