/* Opens a cabinet's door for a customer and follows it to the paid order.
 *
 *   open_door ACCOUNTS.json ACCOUNT CABINET_ID [REQUEST_ID]
 *
 * REQUEST_ID names this customer's action: under one name the door opens at most once, so somebody who tries the same
 * action again gives the same name. Without one the library makes a new name, which is a new customer: a second run opens
 * again. The name of the payment report is made beforehand too and kept in the command's context.
 *
 * First comes what the last run left behind (with a state_dir in the account): doors of which nobody knows whether they
 * opened, and orders whose payment was not reported.
 *
 * Exit: 0 the door opened and the order is paid or was free, 1 it did not open, 2 nobody knows whether it opened,
 * 3 it opened but what came after went wrong, 64 wrong use. */

#include <inttypes.h>
#include <kiosklink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_EVERY_MS 250
#define POLL_TIMES 240

static void explain(const char *what, const kl_error *err) {
  printf("%s: %s\n  (%s", what, err->message, kl_status_name(err->status));
  if (err->http_status != 0) printf(", HTTP %" PRId32, err->http_status);
  if (err->platform_code != 0) printf(", the platform says %" PRId32 " %s", err->platform_code, err->platform_message);
  printf(")\n");
  switch (err->advice) {
    case KL_ADVICE_RETRY: printf("  Trying again is safe.\n"); break;
    case KL_ADVICE_ASK_FIRST: printf("  Find out what became of it before anything else.\n"); break;
    case KL_ADVICE_CALL_PERSON: printf("  A person must look.\n"); break;
    case KL_ADVICE_FIX: printf("  Trying again will not help: something must be put right.\n"); break;
    default: break;
  }
}

static void pause_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
  nanosleep(&t, NULL);
}

/* The order, read again and again until the door is shut and the goods are known. NULL after an error. */
static kl_orders *wait_for_goods(kl_client *client, const char *order_no, kl_error *err) {
  kl_order_ref ref = KL_ORDER_REF_INIT;
  ref.order_no = order_no;
  for (int i = 0, shut = 0; i < POLL_TIMES; i++) {
    kl_orders *orders = NULL;
    if (kl_order_get(client, &ref, &orders, err) != KL_OK) return NULL;
    const kl_order *order = kl_orders_at(orders, 0);
    if (order->door == KL_DOOR_STATE_NEVER_OPENED) return orders;
    if (order->door == KL_DOOR_STATE_SHUT && !shut) {
      printf("The door is shut.\n");
      shut = 1;
    }
    if (shut && order->line_count > 0 && order->amount >= 0) return orders;
    if (i == POLL_TIMES - 1) return orders;
    kl_orders_free(orders);
    pause_ms(POLL_EVERY_MS);
  }
  return NULL;
}

/* From the opened door to the reported payment. The name of the report is the door's context: under one name it is sent at
 * most once, however often this is begun again. */
static int follow(kl_client *client, const kl_command_info *command) {
  kl_error err = KL_ERROR_INIT;
  kl_orders *orders = wait_for_goods(client, command->order_no, &err);
  if (orders == NULL) {
    explain("The order cannot be read", &err);
    return 3;
  }
  int result = 3;
  const kl_order *order = kl_orders_at(orders, 0);
  if (order->door == KL_DOOR_STATE_NEVER_OPENED) {
    printf("The platform took the command, but the door never opened. Nothing to pay.\n");
    result = 1;
  } else if (order->door != KL_DOOR_STATE_SHUT || order->amount < 0) {
    printf("The door is still open, or the goods are not recognised yet. The order stays open.\n");
  } else {
    printf("Order %s:\n", order->order_no);
    for (size_t i = 0; i < order->line_count; i++) {
      const kl_order_line *line = order->lines[i];
      printf("  %" PRId32 " x %s  %" PRId64 ".%02d yuan\n", line->quantity, line->name, line->price / 100,
             (int)(line->price % 100));
    }
    printf("  to pay: %" PRId64 ".%02d yuan\n", order->amount / 100, (int)(order->amount % 100));

    if (command->report_url[0] == '\0') {
      /* Found again after a lost answer: the address came with that answer alone. The platform gives it once more with
       * the recognised goods (KL_EVENT_KIND_RECOGNIZED, report_url). */
      printf("The payment cannot be reported yet: its address comes with the platform's next callback.\n");
      kl_orders_free(orders);
      return 3;
    }
    /* Here the firmware charges the customer, once for an order, as its books have it. Then the platform must be told, or
     * the order stays unpaid. */
    kl_payment_report_request report = KL_PAYMENT_REPORT_REQUEST_INIT;
    report.result = KL_PAYMENT_RESULT_PAID;
    report.amount = order->amount;
    report.report_url = command->report_url;
    report.order_no = order->order_no;
    report.trade_no = "WX-4200001234";
    report.request_id = command->context;
    report.visit_id = command->visit_id;
    kl_response *answer = NULL;
    switch (kl_payment_report(client, &report, &answer, &err)) {
      case KL_DONE:
        printf("The payment is reported, the platform answers %s.\n", kl_response_json(answer));
        result = 0;
        break;
      case KL_NOT_DONE: explain("The payment could not be reported", &err); break;
      default: explain("Nobody knows whether the payment is reported: the order tells", &err); break;
    }
    kl_response_free(answer);
  }
  kl_orders_free(orders);
  return result;
}

/* What the last run left behind. A door of which it is not known holds up others at the cabinet, so it comes first. */
static void look_back(kl_client *client) {
  kl_error err = KL_ERROR_INIT;
  kl_commands *left = NULL;
  if (kl_command_pending(client, &left, &err) != KL_OK) explain("The journal cannot be read", &err);
  for (size_t i = 0; i < kl_commands_count(left); i++) {
    const kl_command_info *info = kl_commands_at(left, i);
    kl_command *now = NULL;
    switch (kl_command_resolve(client, info->request_id, &now, &err)) {
      case KL_DONE: printf("From an earlier run: %s was done.\n", info->request_id); break;
      case KL_NOT_DONE: printf("From an earlier run: %s was not done.\n", info->request_id); break;
      default:
        /* Firmware with a contact at the door says here what it saw: kl_command_settle(..., KL_SETTLED_BY_SENSOR, ...). That it
         * opened is taken at any time, that it did not only when info->mature_in_ms is over. Without a contact a person
         * looks. */
        explain(info->request_id, &err);
        break;
    }
    kl_command_free(now);
  }
  kl_commands_free(left);

  left = NULL;
  if (kl_command_list(client, 0, KL_COMMAND_FILTER_DONE, &left, &err) != KL_OK) explain("The journal cannot be read", &err);
  for (size_t i = 0; i < kl_commands_count(left); i++) {
    const kl_command_info *info = kl_commands_at(left, i);
    if (info->kind != KL_COMMAND_KIND_DOOR || info->context[0] == '\0' || info->physical == KL_PHYSICAL_STATE_FAILED) continue;
    kl_command *report = NULL;
    int reported = kl_command_get(client, info->context, &report, NULL) == KL_OK &&
                   kl_command_view(report)->outcome == KL_DONE;
    kl_command_free(report);
    if (!reported) {
      printf("From an earlier run: the payment of order %s was not reported.\n", info->order_no);
      follow(client, info);
    }
  }
  kl_commands_free(left);
}

static int open_door(kl_client *client, const char *cabinet_id, const char *request_id) {
  kl_error err = KL_ERROR_INIT;
  char made_up[KL_REQUEST_ID_MAX + 1], report_id[KL_REQUEST_ID_MAX + 1];
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  if ((request_id == NULL && kl_request_id_new(client, made_up, sizeof made_up, &err) != KL_OK) ||
      kl_request_id_new(client, report_id, sizeof report_id, &err) != KL_OK) {
    explain("No name could be made", &err);
    return 1;
  }
  request.request_id = request_id != NULL ? request_id : made_up;
  request.cabinet_id = cabinet_id;
  request.user_id = "customer-1";
  request.context = report_id;

  kl_command *command = NULL;
  switch (kl_door_open(client, &request, &command, &err)) {
    case KL_DONE: break;
    case KL_NOT_DONE:
      explain("The door was not opened", &err);
      return 1;
    default:
      explain("The door was not opened, as far as is known", &err);
      printf("  It may have opened: look before anybody tries again.\n");
      return 2;
  }
  const kl_command_info *info = kl_command_view(command);
  printf("The door opens%s: order %s.\n", info->recorded ? " (recorded earlier, nothing was sent)" : "",
         info->order_no);
  int result = follow(client, info);
  kl_command_free(command);
  return result;
}

int main(int argc, char **argv) {
  if (argc < 4 || argc > 5) {
    fprintf(stderr, "use: open_door ACCOUNTS.json ACCOUNT CABINET_ID [REQUEST_ID]\n");
    return 64;
  }
  if (kl_abi_version() != KL_ABI_VERSION) {
    fprintf(stderr, "this program needs ABI %d, the library has %u\n", KL_ABI_VERSION, (unsigned)kl_abi_version());
    return 64;
  }
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  int result = 1;
  if (kl_config_load(argv[1], argv[2], &config, &err) != KL_OK) {
    explain("The settings cannot be used", &err);
  } else if (kl_client_new(config, &client, &err) != KL_OK) {
    explain("The client cannot be made", &err);
  } else if (kl_ping(client, &err) != KL_OK) {
    explain("The platform cannot be used", &err);
  } else {
    printf("The platform answers.\n");
    look_back(client);
    result = open_door(client, argv[3], argc == 5 ? argv[4] : NULL);
  }
  kl_client_free(client);
  kl_config_free(config);
  return result;
}
