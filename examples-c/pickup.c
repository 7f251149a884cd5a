/* A customer types a pickup code: it is redeemed, the goods are released, and somebody looks whether they came.
 *
 * The visit has the names, not the code: codes come again, for another customer. Both names are made by the library before
 * the first try and kept in its journal (with a state_dir in the account; without one, only within one run): the second one
 * and the code are the first command's context. So the same code, typed again after a crash while this visit is not over,
 * goes on where it was, and nothing is redeemed or released twice; typed after it is over, it is a new visit.
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
#define VISIT_MS 600000                                  /* So long a customer may stand there with one code. */
#define ID_SIZE (KL_REQUEST_ID_MAX + 1)

/* What a visit is called. It is what the journal gives back: nothing else is kept. */
struct visit {
  char visit_id[KL_VISIT_ID_MAX + 1];
  char redeem_id[ID_SIZE];
  char release_id[ID_SIZE];
};

static void explain(const char *what, const kl_error *err) {
  printf("%s: %s (%s)\n", what, err->message, kl_status_name(err->status));
  if (err->outcome == KL_UNKNOWN) printf("  It may have happened: look before anybody tries again.\n");
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
    } else if (kl_code_create(shop, &request, &codes, &err) == KL_DONE) {
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
    if (kl_command_resolve(client, info->request_id, &now, &err) == KL_DONE) {
      printf("From an earlier run: %s was done.\n", info->request_id);
    } else {
      explain(info->request_id, &err);
    }
    kl_command_free(now);
  }
  kl_commands_free(left);
}

/* Whether the goods of a visit were released, or cannot be any more: then the same code begins a new visit. */
static int is_over(kl_client *doors, const char *release_id) {
  kl_command *release = NULL;
  int over = kl_command_get(doors, release_id, &release, NULL) == KL_OK &&
             kl_command_view(release)->outcome == KL_DONE;
  kl_command_free(release);
  return over;
}

/* The visit of a moment ago with this code that is not over. 1 if there is one. */
static int find_visit(kl_client *shop, kl_client *doors, const char *code, struct visit *visit) {
  kl_error err = KL_ERROR_INIT;
  kl_commands *all = NULL;
  int found = 0;
  if (kl_command_list(shop, 0, KL_COMMAND_FILTER_ANY, &all, &err) != KL_OK) explain("The journal cannot be read", &err);
  for (size_t i = 0; i < kl_commands_count(all); i++) {
    const kl_command_info *info = kl_commands_at(all, i);
    const char *blank = strchr(info->context, ' ');
    if (info->kind != KL_COMMAND_KIND_REDEEM || info->outcome == KL_NOT_DONE || info->age_ms > VISIT_MS) continue;
    if (blank == NULL || strcmp(blank + 1, code) != 0) continue;
    snprintf(visit->visit_id, sizeof visit->visit_id, "%s", info->visit_id);
    snprintf(visit->redeem_id, sizeof visit->redeem_id, "%s", info->request_id);
    snprintf(visit->release_id, sizeof visit->release_id, "%.*s", (int)(blank - info->context), info->context);
    found = !is_over(doors, visit->release_id);
  }
  kl_commands_free(all);
  return found;
}

/* The names of a new visit. 1 if they could be made. */
static int begin_visit(kl_client *shop, kl_client *doors, struct visit *visit) {
  kl_error err = KL_ERROR_INIT;
  if (kl_request_id_new(shop, visit->visit_id, sizeof visit->visit_id, &err) == KL_OK &&
      kl_request_id_new(shop, visit->redeem_id, sizeof visit->redeem_id, &err) == KL_OK &&
      kl_request_id_new(doors, visit->release_id, sizeof visit->release_id, &err) == KL_OK) {
    return 1;
  }
  explain("No names", &err);
  return 0;
}

/* The code, redeemed now or earlier in this visit. NULL if it is not; then *result says what that means. */
static kl_command *redeem_code(kl_client *shop, const char *machine, const char *code, const struct visit *visit,
                               int again, int dispenses, int *result) {
  char product[64] = "", context[KL_CONTEXT_MAX + 1];
  kl_command *redeemed = NULL;
  kl_redeem_request redeem = KL_REDEEM_REQUEST_INIT;
  snprintf(context, sizeof context, "%s %s", visit->release_id, code);
  redeem.request_id = visit->redeem_id;
  redeem.visit_id = visit->visit_id;
  redeem.context = context;
  redeem.code = code;
  if (again && kl_command_get(shop, visit->redeem_id, &redeemed, NULL) == KL_OK) {
    if (kl_command_view(redeemed)->outcome == KL_DONE) {
      printf("The code was redeemed earlier.\n");
      return redeemed;
    }
    kl_command_free(redeemed);
    redeemed = NULL;
  }
  if (dispenses) {
    find_product(shop, machine, code, product, sizeof product);
    if (product[0] == '\0') {
      printf("No goods of this machine have such a code. Nothing is released.\n");
      *result = again ? 2 : 1;
      return NULL;
    }
    redeem.cabinet_id = machine;
    redeem.product_id = product;
    redeem.notify_url = NOTIFY_URL;
  } else {
    redeem.redeemer = "kiosk-7";
  }
  kl_error err = KL_ERROR_INIT;
  kl_outcome outcome = kl_code_redeem(shop, &redeem, &redeemed, &err);
  if (outcome != KL_DONE) {
    explain("The code was not redeemed", &err);
    *result = outcome == KL_NOT_DONE ? 1 : 2;
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
  char code[64];
  struct visit visit;
  snprintf(code, sizeof code, "%s", argv[4]);

  kl_error err = KL_ERROR_INIT;
  kl_command *redeemed = NULL, *released = NULL;
  kl_client *shop = connect_to(argv[1], argv[2]);
  kl_client *cabinets = argc == 7 ? connect_to(argv[1], argv[5]) : NULL;
  kl_client *doors = argc == 7 ? cabinets : shop;
  int result = 1, again;
  if (shop == NULL || doors == NULL) goto end;
  look_back(shop);
  if (doors != shop) look_back(doors);
  if (strcmp(code, "new") == 0 && make_code(shop, machine, code, sizeof code) != 0) goto end;
  again = find_visit(shop, doors, code, &visit);
  if (!again && !begin_visit(shop, doors, &visit)) goto end;

  kl_door_request release = KL_DOOR_REQUEST_INIT;
  release.request_id = visit.release_id;
  release.visit_id = visit.visit_id;
  release.cabinet_id = doors == shop ? machine : argv[6];
  /* Before the code is used up: would this door be refused? */
  if (doors != shop && kl_door_check(doors, &release, &err) != KL_OK) {
    explain("This door cannot be opened", &err);
    goto end;
  }
  redeemed = redeem_code(shop, machine, code, &visit, again, doors == shop, &result);
  if (redeemed == NULL) goto end;

  if (doors == shop) {
    release.order_no = kl_command_view(redeemed)->order_no;
    release.item_no = kl_command_view(redeemed)->item_no;
  }
  kl_outcome outcome = kl_door_open(doors, &release, &released, &err);
  if (outcome != KL_DONE) {
    explain("The goods were not released", &err);
    result = outcome == KL_NOT_DONE ? 3 : 2;
    goto end;
  }
  printf(kl_command_view(released)->recorded ? "The goods were released earlier.\n" : "The goods are being released.\n");
  result = wait_for(doors, visit.release_id, doors == shop ? "The goods are out." : "The door was open and is shut.");

end:
  kl_command_free(released);
  kl_command_free(redeemed);
  kl_client_free(cabinets);
  kl_client_free(shop);
  return result;
}
