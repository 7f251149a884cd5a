/* A customer types a pickup code: it is redeemed, the goods are released, and somebody looks whether they came. Started
 * again with the same code, after a crash or by a customer who types it twice, it goes on where it was: nothing is
 * redeemed or released again (with a state_dir in the account; without one, only within one run).
 *
 *   pickup ACCOUNTS.json SHOP MACHINE CODE [CABINETS CABINET]
 *
 * SHOP is the account whose codes are redeemed, MACHINE the cabinet they are for (on Youzan "" will do). With CABINETS
 * and CABINET the goods are behind a door of that cabinet of that account; without, the shop's own platform dispenses
 * them (Dingshang). The code "new" stands for one that is made first, as a shop's server would do it.
 *
 * Exit: 0 the goods are out, 1 nothing was released, 2 nobody knows, 3 the code is used but the goods are not out,
 * 64 wrong use. */

#include <inttypes.h>
#include <kiosklink.h>
#include <stdio.h>
#include <string.h>

#define NOTIFY_URL "https://kiosk.example/notify/f3a91c" /* Dingshang signs nothing: let nobody guess yours. */
#define WAIT_MS 150000                                   /* A machine's result takes up to two minutes. */

static void explain(const char *what, const kl_error *err) {
  printf("%s: %s (%s)\n", what, err->message, kl_status_name(err->status));
  if (err->outcome == KL_OUTCOME_UNKNOWN) printf("  It may have happened: look before anybody tries again.\n");
}

static kl_client *connect_to(const char *accounts, const char *account) {
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  if (kl_config_load(accounts, account, &config, &err) != KL_OK || kl_client_new(config, &client, &err) != KL_OK) {
    explain(account, &err);
  }
  kl_config_free(config);
  return client;
}

/* A new code for the first goods there are. 0 if it was made. */
static int make_code(kl_client *shop, const char *machine, char *code, size_t size) {
  kl_error err = KL_ERROR_INIT;
  kl_stock *stock = NULL;
  kl_codes *codes = NULL;
  kl_code_create_request request = KL_CODE_CREATE_REQUEST_INIT;
  request.cabinet_id = machine;
  if (kl_stock_fetch(shop, machine, &stock, &err) == KL_OK) {
    for (size_t i = 0; i < kl_stock_count(stock) && request.product_id == NULL; i++) {
      if (kl_stock_at(stock, i)->stock > 0) request.product_id = kl_stock_at(stock, i)->id;
    }
    if (request.product_id == NULL) {
      printf("The machine is empty.\n");
    } else if (kl_code_create(shop, &request, &codes, &err) == KL_OK) {
      snprintf(code, size, "%s", kl_codes_at(codes, 0)->code);
      printf("The shop made the code %s.\n", code);
    }
  }
  int made = kl_codes_count(codes) == 1;
  if (err.status != KL_OK) explain("No code", &err);
  kl_codes_free(codes);
  kl_stock_free(stock);
  return made ? 0 : 1;
}

/* Where a platform wants to know the goods of a code: those among whose codes it is. Empty if none. */
static void find_product(kl_client *shop, const char *machine, const char *code, char *product, size_t size) {
  kl_error err = KL_ERROR_INIT;
  kl_stock *stock = NULL;
  product[0] = '\0';
  if (kl_stock_fetch(shop, machine, &stock, &err) != KL_OK) explain("The stock cannot be read", &err);
  for (size_t i = 0; i < kl_stock_count(stock) && product[0] == '\0'; i++) {
    const kl_stock_item *item = kl_stock_at(stock, i);
    kl_codes *found = NULL;
    kl_code_query query = KL_CODE_QUERY_INIT;
    query.code = code;
    query.cabinet_id = machine;
    query.product_id = item->id;
    if (kl_code_lookup(shop, &query, &found, &err) == KL_OK) {
      printf("The code is good for: %s.\n", item->name);
      snprintf(product, size, "%s", item->id);
    }
    kl_codes_free(found);
  }
  kl_stock_free(stock);
}

/* What the last run left unsettled is asked for first: while it is unknown what became of a command, others at its door
 * are refused. What nobody can tell is left to a sensor or a person (kl_command_settle). */
static void look_back(kl_client *client) {
  kl_error err = KL_ERROR_INIT;
  kl_commands *left = NULL;
  if (kl_command_pending(client, &left, &err) != KL_OK) explain("The journal cannot be read", &err);
  for (size_t i = 0; i < kl_commands_count(left); i++) {
    const kl_command_info *info = kl_commands_at(left, i);
    kl_command *now = NULL;
    if (kl_command_resolve(client, info->request_id, &now, &err) == KL_OK) {
      printf("From an earlier run: %s was done.\n", info->request_id);
    } else {
      explain(info->request_id, &err);
    }
    kl_command_free(now);
  }
  kl_commands_free(left);
}

/* The command of an earlier run with this name if it was done, else NULL. */
static kl_command *done_before(kl_client *client, const char *request_id) {
  kl_error err = KL_ERROR_INIT;
  kl_command *known = NULL;
  if (kl_command_get(client, request_id, &known, &err) != KL_OK) return NULL;
  if (kl_command_view(known)->outcome == KL_OUTCOME_DONE) return known;
  kl_command_free(known);
  return NULL;
}

/* The code, redeemed now or earlier. NULL if it is not; then *result says what that means. */
static kl_command *redeem_code(kl_client *shop, const char *machine, const char *code, int dispenses, int *result) {
  char request_id[96], product[64] = "";
  /* Named after the code: whoever types it twice, or after a power cut, redeems it once. */
  snprintf(request_id, sizeof request_id, "redeem-%s", code);
  kl_command *redeemed = done_before(shop, request_id);
  if (redeemed != NULL) {
    printf("The code was redeemed earlier.\n");
    return redeemed;
  }
  kl_redeem_request redeem = KL_REDEEM_REQUEST_INIT;
  redeem.request_id = request_id;
  redeem.code = code;
  if (dispenses) {
    find_product(shop, machine, code, product, sizeof product);
    if (product[0] == '\0') {
      printf("No goods of this machine have such a code. Nothing is released.\n");
      *result = 1;
      return NULL;
    }
    redeem.cabinet_id = machine;
    redeem.product_id = product;
    redeem.notify_url = NOTIFY_URL;
  } else {
    redeem.redeemer = "kiosk-7";
  }
  kl_error err = KL_ERROR_INIT;
  if (kl_code_redeem(shop, &redeem, &redeemed, &err) != KL_OK) {
    explain("The code was not redeemed", &err);
    *result = err.outcome == KL_OUTCOME_UNKNOWN ? 2 : 1;
    return NULL;
  }
  const char *order_no = kl_command_view(redeemed)->order_no;
  printf(order_no[0] != 0 ? "The code is redeemed: order %s.\n" : "The code is redeemed%s.\n", order_no);
  return redeemed;
}

/* Waits until the machine has done it, or is known not to do it. */
static int wait_for(kl_client *client, const char *request_id, const char *done) {
  kl_error err = KL_ERROR_INIT;
  kl_command *moved = NULL;
  kl_status status = kl_command_wait(client, request_id, WAIT_MS, &moved, &err);
  kl_command_free(moved);
  if (status == KL_OK) {
    printf("%s\n", done);
    return 0;
  }
  explain("The goods did not come", &err);
  if (status != KL_E_NOT_MOVED) return 2;
  printf("The customer is owed the goods.\n");
  return 3;
}

int main(int argc, char **argv) {
  if (argc != 5 && argc != 7) {
    fprintf(stderr, "use: pickup ACCOUNTS.json SHOP MACHINE CODE [CABINETS CABINET]\n");
    return 64;
  }
  const char *machine = argv[3];
  char code[64], release_id[96];
  snprintf(code, sizeof code, "%s", argv[4]);

  kl_error err = KL_ERROR_INIT;
  kl_command *redeemed = NULL, *released = NULL;
  kl_client *shop = connect_to(argv[1], argv[2]);
  kl_client *cabinets = argc == 7 ? connect_to(argv[1], argv[5]) : NULL;
  kl_client *doors = argc == 7 ? cabinets : shop;
  int result = 1;
  if (shop == NULL || doors == NULL) goto end;
  look_back(shop);
  if (doors != shop) look_back(doors);
  if (strcmp(code, "new") == 0 && make_code(shop, machine, code, sizeof code) != 0) goto end;
  redeemed = redeem_code(shop, machine, code, doors == shop, &result);
  if (redeemed == NULL) goto end;

  kl_door_request release = KL_DOOR_REQUEST_INIT;
  snprintf(release_id, sizeof release_id, "release-%s", code);
  release.request_id = release_id;
  release.cabinet_id = doors == shop ? machine : argv[6];
  if (doors == shop) {
    release.order_no = kl_command_view(redeemed)->order_no;
    release.item_no = kl_command_view(redeemed)->item_no;
  }
  if (kl_door_open(doors, &release, &released, &err) != KL_OK) {
    explain("The goods were not released", &err);
    result = err.outcome == KL_OUTCOME_UNKNOWN ? 2 : 3;
    goto end;
  }
  printf(kl_command_view(released)->recorded ? "The goods were released earlier.\n" : "The goods are being released.\n");
  result = wait_for(doors, release_id, doors == shop ? "The goods are out." : "The door was open and is shut.");

end:
  kl_command_free(released);
  kl_command_free(redeemed);
  kl_client_free(cabinets);
  kl_client_free(shop);
  return result;
}
