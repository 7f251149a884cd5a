/* A customer types a pickup code: it is redeemed, the goods are released, and somebody looks whether they came.
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
#include <time.h>

#define NOTIFY_URL "https://kiosk.example/notify/f3a91c" /* Dingshang signs nothing: let nobody guess yours. */
#define POLL_EVERY_MS 250
#define POLL_TIMES 240

static void explain(const char *what, const kl_error *err) {
  printf("%s: %s (%s)\n", what, err->message, kl_status_name(err->status));
  if (err->outcome == KL_OUTCOME_UNKNOWN) printf("  It may have happened: look before anybody tries again.\n");
}

static void pause_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
  nanosleep(&t, NULL);
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

/* The goods of a redeemed order: asked for until they are out, or are known not to come. */
static int wait_for_goods(kl_client *shop, const char *machine, const char *order_no) {
  kl_error err = KL_ERROR_INIT;
  kl_order_ref ref = KL_ORDER_REF_INIT;
  ref.order_no = order_no;
  ref.cabinet_id = machine;
  for (int i = 0; i < POLL_TIMES; i++) {
    kl_orders *orders = NULL;
    if (kl_order_get(shop, &ref, &orders, &err) != KL_OK) {
      explain("The order cannot be read", &err);
      return 2;
    }
    int32_t delivery = kl_orders_at(orders, 0)->delivery;
    kl_orders_free(orders);
    if (delivery == KL_DELIVERY_DELIVERED) {
      printf("The goods are out.\n");
      return 0;
    }
    if (delivery == KL_DELIVERY_FAILED) {
      printf("The machine failed. The customer is owed the goods.\n");
      return 3;
    }
    pause_ms(POLL_EVERY_MS);
  }
  printf("The machine has not told what it did.\n");
  return 2;
}

static int wait_for_door(kl_client *cabinets, const char *order_no) {
  kl_error err = KL_ERROR_INIT;
  kl_order_ref ref = KL_ORDER_REF_INIT;
  ref.order_no = order_no;
  for (int i = 0; i < POLL_TIMES; i++) {
    kl_orders *orders = NULL;
    if (kl_order_get(cabinets, &ref, &orders, &err) != KL_OK) {
      explain("The order cannot be read", &err);
      return 2;
    }
    int32_t door = kl_orders_at(orders, 0)->door;
    kl_orders_free(orders);
    if (door == KL_DOOR_SHUT) {
      printf("The door was open and is shut.\n");
      return 0;
    }
    if (door == KL_DOOR_NEVER_OPENED) {
      printf("The door never opened. The customer is owed the goods.\n");
      return 3;
    }
    pause_ms(POLL_EVERY_MS);
  }
  printf("The door is still open.\n");
  return 2;
}

int main(int argc, char **argv) {
  if (argc != 5 && argc != 7) {
    fprintf(stderr, "use: pickup ACCOUNTS.json SHOP MACHINE CODE [CABINETS CABINET]\n");
    return 64;
  }
  const char *machine = argv[3];
  char code[64], product[64] = "", redeem_id[96], release_id[96];
  snprintf(code, sizeof code, "%s", argv[4]);

  kl_error err = KL_ERROR_INIT;
  kl_command *redeemed = NULL, *released = NULL;
  kl_client *shop = connect_to(argv[1], argv[2]);
  kl_client *cabinets = argc == 7 ? connect_to(argv[1], argv[5]) : NULL;
  int result = 1;
  if (shop == NULL || (argc == 7 && cabinets == NULL)) goto end;
  if (strcmp(code, "new") == 0 && make_code(shop, machine, code, sizeof code) != 0) goto end;
  if (cabinets == NULL) {
    find_product(shop, machine, code, product, sizeof product);
    if (product[0] == '\0') {
      printf("No goods of this machine have such a code. Nothing is released.\n");
      goto end;
    }
  }

  /* Named after the code: whoever types it twice, or after a power cut, redeems it once. */
  snprintf(redeem_id, sizeof redeem_id, "redeem-%s", code);
  snprintf(release_id, sizeof release_id, "release-%s", code);
  kl_redeem_request redeem = KL_REDEEM_REQUEST_INIT;
  redeem.request_id = redeem_id;
  redeem.code = code;
  if (cabinets == NULL) {
    redeem.cabinet_id = machine;
    redeem.product_id = product;
    redeem.notify_url = NOTIFY_URL;
  } else {
    redeem.redeemer = "kiosk-7";
  }
  if (kl_code_redeem(shop, &redeem, &redeemed, &err) != KL_OK) {
    explain("The code was not redeemed", &err);
    result = err.outcome == KL_OUTCOME_UNKNOWN ? 2 : 1;
    goto end;
  }
  const kl_command_info *receipt = kl_command_view(redeemed);
  printf(receipt->order_no[0] != 0 ? "The code is redeemed: order %s.\n" : "The code is redeemed%s.\n", receipt->order_no);

  kl_door_request release = KL_DOOR_REQUEST_INIT;
  release.request_id = release_id;
  release.cabinet_id = cabinets != NULL ? argv[6] : machine;
  if (cabinets == NULL) {
    release.order_no = receipt->order_no;
    release.item_no = receipt->item_no;
  }
  if (kl_door_open(cabinets != NULL ? cabinets : shop, &release, &released, &err) != KL_OK) {
    explain("The goods were not released", &err);
    result = err.outcome == KL_OUTCOME_UNKNOWN ? 2 : 3;
    goto end;
  }
  printf("The goods are being released.\n");
  result = cabinets != NULL ? wait_for_door(cabinets, kl_command_view(released)->order_no)
                            : wait_for_goods(shop, machine, receipt->order_no);

end:
  kl_command_free(released);
  kl_command_free(redeemed);
  kl_client_free(cabinets);
  kl_client_free(shop);
  return result;
}
