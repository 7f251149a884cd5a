/* Lists the account's cabinets, or what one of them holds.
 *
 *   stock ACCOUNTS.json ACCOUNT               the cabinets
 *   stock ACCOUNTS.json ACCOUNT CABINET_ID    the goods of one cabinet
 *
 * Exit: 0 done, 1 an error, which is explained, 64 wrong use. */

#include <inttypes.h>
#include <kiosklink.h>
#include <stdio.h>

static int explain(const kl_error *err) {
  printf("%s (%s)\n", err->message, kl_status_name(err->status));
  return 1;
}

static const char *sale(int32_t state) {
  switch (state) {
    case KL_SALE_STATE_SELLING: return "selling";
    case KL_SALE_STATE_STOPPED: return "stopped";
    case KL_SALE_STATE_TO_BE_DEPLOYED: return "to be deployed";
    default: return "unknown";
  }
}

/* One after the other: only a page is in memory at a time, however many there are. */
static int cabinets(kl_client *client) {
  kl_error err = KL_ERROR_INIT;
  kl_cabinet_iter *iter = NULL;
  const kl_cabinet *cabinet = NULL;
  if (kl_cabinet_iter_new(client, 0, &iter, &err) != KL_OK) return explain(&err);
  while (kl_cabinet_iter_next(iter, &cabinet, &err) == KL_OK && cabinet != NULL) {
    printf("%s  %-8s %-14s %" PRId32 " door(s)  %s\n", cabinet->id, cabinet->online == 1 ? "online" : "offline",
           sale(cabinet->sale), cabinet->door_count, cabinet->name);
  }
  kl_cabinet_iter_free(iter);
  return err.status == KL_OK ? 0 : explain(&err);
}

static int goods(kl_client *client, const char *cabinet_id) {
  kl_error err = KL_ERROR_INIT;
  kl_stock *stock = NULL;
  if (kl_stock_fetch(client, cabinet_id, &stock, &err) != KL_OK) return explain(&err);
  for (size_t i = 0; i < kl_stock_count(stock); i++) {
    const kl_stock_item *item = kl_stock_at(stock, i);
    printf("%4" PRId32 " of %-4" PRId32 " %5" PRId64 ".%02d yuan  %s  %s\n", item->stock, item->capacity,
           item->price / 100, (int)(item->price % 100), item->barcode, item->name);
  }
  kl_stock_free(stock);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3 || argc > 4) {
    fprintf(stderr, "use: stock ACCOUNTS.json ACCOUNT [CABINET_ID]\n");
    return 64;
  }
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  int result;
  if (kl_config_load(argv[1], argv[2], &config, &err) != KL_OK || kl_client_new(config, &client, &err) != KL_OK) {
    result = explain(&err);
  } else {
    result = argc == 4 ? goods(client, argv[3]) : cabinets(client);
  }
  kl_client_free(client);
  kl_config_free(config);
  return result;
}
