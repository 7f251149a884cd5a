/* The work by kiosklink. */

#include "bench.h"
#include <kiosklink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static kl_client *client;
static const struct setup *setup;
static _Thread_local kl_error err = KL_ERROR_INIT;

static long explain(void) {
  fprintf(stderr, "%s (%s)\n", err.message, kl_status_name(err.status));
  return -1;
}

long make_client(const struct setup *s) {
  kl_config *config = NULL;
  const char *pairs[][2] = {
    {KL_KEY_BASE_URL, s->url}, {KL_KEY_APP_ID, s->app_id}, {KL_KEY_APP_SECRET, s->secret},
    {KL_KEY_CA_FILE, s->ca_file}, {KL_KEY_STATE_DIR, s->state_dir[0] != '\0' ? s->state_dir : "none"}, {KL_KEY_TIMEOUT_MS, "60000"},
    {KL_KEY_CONNECT_TIMEOUT_MS, "60000"}, {KL_KEY_COMMAND_TTL_MS, "60000"},
  };
  setup = s;
  if (kl_config_new(KL_PLATFORM_YOPOINT, &config, &err) != KL_OK) return explain();
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    if (pairs[i][1][0] != '\0' && kl_config_set(config, pairs[i][0], pairs[i][1], &err) != KL_OK) return explain();
  }
  if (kl_client_new(config, &client, &err) != KL_OK) return explain();
  kl_config_free(config);
  return 0;
}

long ping(void) { return kl_ping(client, &err) == KL_OK ? 1 : explain(); }

static void read_item(const kl_stock_item *i) {
  checksum += (int64_t)(strlen(i->id) + strlen(i->cabinet_id) + strlen(i->product_id) + strlen(i->barcode) +
                        strlen(i->name) + strlen(i->image_url)) + i->price + i->stock + i->capacity + i->sold;
}

static long read_all(kl_stock *stock) {
  long count = (long)kl_stock_count(stock);
  for (long i = 0; i < count; i++) read_item(kl_stock_at(stock, (size_t)i));
  kl_stock_free(stock);
  return count;
}

long stock_page(void) {
  kl_stock *stock = NULL;
  kl_page page = KL_PAGE_INIT;
  page.number = 1;
  page.size = 100;
  if (kl_stock_fetch_page(client, setup->cabinet, &page, NULL, &stock, &err) != KL_OK) return explain();
  return read_all(stock);
}

long stock_whole(void) {
  kl_stock *stock = NULL;
  if (kl_stock_fetch(client, setup->cabinet, &stock, &err) != KL_OK) return explain();
  return read_all(stock);
}

long stock_all(void) {
  kl_stock_iter *iter = NULL;
  const kl_stock_item *item = NULL;
  long count = 0;
  if (kl_stock_iter_new(client, setup->cabinet, 100, NULL, &iter, &err) != KL_OK) return explain();
  while (kl_stock_iter_next(iter, &item, &err) == KL_OK && item != NULL) {
    read_item(item);
    count++;
  }
  kl_stock_iter_free(iter);
  return err.status == KL_OK ? count : explain();
}

long orders(void) {
  kl_order_iter *iter = NULL;
  const kl_order *order = NULL;
  kl_order_query query = KL_ORDER_QUERY_INIT;
  query.kind = KL_ORDER_KIND_CABINET;
  query.from = setup->from;
  query.to = setup->to;
  long count = 0;
  if (kl_order_iter_new(client, &query, 100, &iter, &err) != KL_OK) return explain();
  while (kl_order_iter_next(iter, &order, &err) == KL_OK && order != NULL) {
    checksum += (int64_t)(strlen(order->order_no) + strlen(order->trade_no) + strlen(order->cabinet_id)) +
                order->amount + order->created_at + order->paid_at;
    for (size_t i = 0; i < order->line_count; i++)
      checksum += (int64_t)strlen(order->lines[i]->barcode) + (int64_t)strlen(order->lines[i]->name) +
                  order->lines[i]->quantity + order->lines[i]->price;
    count++;
  }
  kl_order_iter_free(iter);
  return err.status == KL_OK ? count : explain();
}

long open_door(long number) {
  char cabinet[32], request_id[64];
  kl_command *door = NULL;
  kl_door_request request = KL_DOOR_REQUEST_INIT;
  snprintf(cabinet, sizeof cabinet, "5e00%020ld", number);
  static long process;
  if (process == 0) process = (long)getpid();
  snprintf(request_id, sizeof request_id, "bench-%ld-%ld", process, number);
  request.request_id = request_id;
  request.cabinet_id = cabinet;
  if (kl_door_open(client, &request, &door, &err) != KL_DONE) return explain();
  checksum += (int64_t)strlen(kl_command_view(door)->order_no);
  kl_command_free(door);
  return 1;
}

const char *library(void) {
  static char name[64];
  snprintf(name, sizeof name, "kiosklink %s", kl_version());
  return name;
}

void read_journal(struct journal *journal) {
  kl_journal_info info = KL_JOURNAL_INFO_INIT;
  if (kl_journal_read(client, &info, &err) != KL_OK) {
    explain();
    return;
  }
  journal->syncs = (int64_t)info.syncs;
  journal->sync_us = (int64_t)info.sync_total_us;
  journal->sync_last_us = (int64_t)info.sync_last_us;
  journal->names = (int64_t)info.names;
}
