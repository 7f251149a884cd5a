/* Reports a payment that may be sent later, and ends when it is known what became of it.
 *   kept ACCOUNTS.json ACCOUNT CABINET NAME ORDER WITHIN_MS
 * Started again with the same words it goes on. Exit code: 0 done, 1 not done, 3 unknown. */

#define _POSIX_C_SOURCE 200809L
#include <kiosklink.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static kl_outcome report(kl_client *client, char **arg, kl_error *err) {
  kl_payment_report_request r = KL_PAYMENT_REPORT_REQUEST_INIT;
  kl_response *response = NULL;
  r.result = KL_PAYMENT_RESULT_PAID;
  r.amount = -1;
  r.cabinet_id = arg[0];
  r.request_id = arg[1];
  r.order_no = arg[2];
  r.send_within_ms = (uint32_t)strtoul(arg[3], NULL, 10);
  kl_outcome outcome = kl_payment_report(client, &r, &response, err);
  kl_response_free(response);
  return outcome;
}

/* What is recorded of it; *waits: it is kept or under way. */
static kl_outcome recorded(kl_client *client, const char *name, int *waits, kl_error *err) {
  kl_command *command = NULL;
  kl_outcome outcome = KL_UNKNOWN;
  *waits = 0;
  if (kl_command_get(client, name, &command, err) == KL_OK) {
    const kl_command_info *known = kl_command_view(command);
    outcome = known->outcome;
    *waits = outcome == KL_UNKNOWN && (known->status == KL_E_KEPT || known->status == KL_E_IN_FLIGHT);
  }
  kl_command_free(command);
  return outcome;
}

int main(int argc, char **argv) {
  /* The crash tester makes a twentieth of it: the library's thread waits a second at least. */
  const struct timespec pause = {10, 0};
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  kl_outcome outcome;
  int waits = 0;
  if (argc != 7 || kl_config_load(argv[1], argv[2], &config, &err) != KL_OK) return 64;
  if (kl_client_new(config, &client, &err) != KL_OK) {
    fprintf(stderr, "%s\n", err.message);
    return 64;
  }
  kl_config_free(config);
  /* Tells the platform's time: over a restart of the system nothing else says how long a kept report has waited. */
  if (kl_ping(client, &err) != KL_OK) fprintf(stderr, "ping: %s\n", err.message);
  outcome = report(client, argv + 3, &err);
  fprintf(stderr, "report: %d %s\n", (int)outcome, kl_status_name(err.status));
  if (outcome == KL_UNKNOWN) outcome = recorded(client, argv[4], &waits, &err);
  while (waits) {
    nanosleep(&pause, NULL);
    /* Once a call gets through, what is kept is tried soon. */
    if (kl_ping(client, &err) != KL_OK) fprintf(stderr, "ping: %s\n", err.message);
    outcome = recorded(client, argv[4], &waits, &err);
  }
  if (outcome == KL_UNKNOWN) {
    kl_command *command = NULL;
    outcome = kl_command_resolve(client, argv[4], &command, &err);
    kl_command_free(command);
  }
  fprintf(stderr, "in the end: %d\n", (int)outcome);
  kl_client_free(client);
  return outcome == KL_DONE ? 0 : outcome == KL_NOT_DONE ? 1 : 3;
}
