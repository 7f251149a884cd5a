/* Keeps a copy of the platform's orders of a period: one file for each order, under its number.
 *
 *   order_sync ACCOUNTS.json ACCOUNT FOLDER FROM TO [WINDOW [OVERLAP]]
 *
 * FROM and TO are Unix seconds, both included; WINDOW (86400) is how many of them are asked for at a time, OVERLAP
 * (3600) how many of the window before are asked for again. Run it every few minutes over the last hours, and daily
 * over the last days: refunds and corrections come late. It may be run as often as you like; what is unchanged is not
 * written. However many orders there are, one page of them is in memory.
 *
 * Exit: 0 all is copied, 1 an error, which is explained; run it again. 64 wrong use. */

#include <errno.h>
#include <inttypes.h>
#include <kiosklink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct counts {
  unsigned long read, added, changed, same;
} counts;

static void pause_ms(uint32_t ms) {
  struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000L};
  nanosleep(&t, NULL);
}

static int is_plain(const char *text) {
  return text[0] != '\0' &&
         strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") == strlen(text);
}

/* What the file holds: 0 nothing or no file, 1 another text, 2 this text. */
static int compare(const char *path, const char *text) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return 0;
  size_t length = strlen(text), at = 0, n;
  char piece[1024];
  int same = 1, any = 0;
  while ((n = fread(piece, 1, sizeof piece, file)) > 0) {
    any = 1;
    if (at + n > length || memcmp(piece, text + at, n) != 0) same = 0;
    at += same ? n : 0;
  }
  fclose(file);
  return !any ? 0 : same && at == length ? 2 : 1;
}

/* Puts the order in the place of whatever was known of it. Whole or not at all: written beside and renamed. */
static int upsert(const char *folder, const kl_order *order, counts *count) {
  char path[512], part[520];
  if (!is_plain(order->order_no)) {
    printf("an order number that is no file name: %s\n", order->order_no);
    return 0;
  }
  int length = snprintf(path, sizeof path, "%s/%s.json", folder, order->order_no);
  if (length < 0 || (size_t)length >= sizeof path) {
    printf("the name of %s is too long\n", folder);
    return 0;
  }
  int known = compare(path, order->json);
  count->read++;
  if (known == 2) {
    count->same++;
    return 1;
  }
  snprintf(part, sizeof part, "%s.part", path);
  FILE *file = fopen(part, "wb");
  int good = file != NULL && fputs(order->json, file) >= 0;
  if (file != NULL) good = fclose(file) == 0 && good;
  if (!good || rename(part, path) != 0) {
    printf("cannot write %s: %s\n", path, strerror(errno));
    return 0;
  }
  if (known == 0) count->added++;
  if (known == 1) count->changed++;
  return 1;
}

/* One window of one kind of orders. */
static int copy_window(kl_client *client, const char *folder, const kl_order_query *query, counts *count) {
  kl_error err = KL_ERROR_INIT;
  kl_order_iter *iter = NULL;
  const kl_order *order = NULL;
  int good = kl_order_iter_new(client, query, 0, &iter, &err) == KL_OK;
  for (int failures = 0; good;) {
    if (kl_order_iter_next(iter, &order, &err) == KL_OK) {
      if (order == NULL) break;
      good = upsert(folder, order, count);
      failures = 0;
    } else if (err.advice == KL_ADVICE_RETRY && failures++ < 3) {
      /* The library has tried three times. After an error the iterator asks for the same page again. */
      pause_ms(err.retry_after_ms > 0 ? err.retry_after_ms : 1000);
    } else {
      good = 0;
    }
  }
  if (!good && err.status != KL_OK) printf("%s (%s)\n", err.message, kl_status_name(err.status));
  kl_order_iter_free(iter);
  return good;
}

/* The period, window by window. Orders that come in while pages are turned push others to the next page, and a
 * payment may be booked late: each window begins before the last one ended. */
static int copy(kl_client *client, const char *folder, int32_t kind, const int64_t span[4]) {
  const int64_t from = span[0], to = span[1], window = span[2], overlap = span[3];
  counts count = {0, 0, 0, 0};
  int good = 1;
  for (int64_t begin = from; good && begin <= to; begin += window) {
    kl_order_query query = KL_ORDER_QUERY_INIT;
    query.kind = kind;
    query.from = begin - overlap > from ? begin - overlap : from;
    query.to = begin + window - 1 < to ? begin + window - 1 : to;
    good = copy_window(client, folder, &query, &count);
  }
  printf("%s orders: %lu read, %lu new, %lu changed, %lu unchanged\n",
         kind == KL_ORDER_KIND_CABINET ? "cabinet" : "vending", count.read, count.added, count.changed, count.same);
  return good;
}

/* Where the kernel tells (Linux). */
static void tell_peak_memory(void) {
  char line[128];
  long kib;
  FILE *file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "VmHWM: %ld", &kib) == 1) printf("peak memory: %ld KiB\n", kib);
  }
  if (file != NULL) fclose(file);
}

int main(int argc, char **argv) {
  int64_t span[4] = {0, 0, 86400, 3600};
  if (argc < 6 || argc > 8) {
    fprintf(stderr, "use: order_sync ACCOUNTS.json ACCOUNT FOLDER FROM TO [WINDOW [OVERLAP]]\n");
    return 64;
  }
  for (int i = 4; i < argc; i++) {
    char *end;
    span[i - 4] = strtoll(argv[i], &end, 10);
    /* A window of nothing would never end; a time beyond the year 9999 is a mistake. */
    if (end == argv[i] || *end != '\0' || span[i - 4] < (i == 6) || span[i - 4] > 253402300799) {
      fprintf(stderr, "%s is no number that can be used here\n", argv[i]);
      return 64;
    }
  }
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  int good = kl_config_load(argv[1], argv[2], &config, &err) == KL_OK && kl_client_new(config, &client, &err) == KL_OK;
  if (!good) printf("%s (%s)\n", err.message, kl_status_name(err.status));
  good = good && copy(client, argv[3], KL_ORDER_KIND_CABINET, span);
  good = good && copy(client, argv[3], KL_ORDER_KIND_VENDING, span);
  kl_client_free(client);
  kl_config_free(config);
  tell_peak_memory();
  return good ? 0 : 1;
}
