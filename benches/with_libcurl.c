/* The same work by libcurl and cJSON, as a careful program of its own would do it: one handle and one connection,
 * sizes bounded, fields checked, nothing copied that need not be. The MD5 is md5.h's, which costs less than a call
 * of EVP_Digest. Left out is what such programs leave out: lookups with a deadline, the platform's time, trying
 * again, at most once, a log. */

#include "bench.h"
#include "md5.h"
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LARGEST (4u << 20)

struct text {
  char *at;
  size_t length, room;
};

static const struct setup *setup;
static CURL *curl;
static struct curl_slist *headers;
static struct text answer, form;

static long explain(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  return -1;
}

static int append(struct text *t, const char *from, size_t length) {
  if (t->length + length + 1 > t->room) {
    size_t room = (t->length + length + 1) * 2;
    char *at = realloc(t->at, room);
    if (at == NULL) return -1;
    t->at = at;
    t->room = room;
  }
  memcpy(t->at + t->length, from, length);
  t->length += length;
  t->at[t->length] = '\0';
  return 0;
}

static int append_escaped(struct text *t, const char *from) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
  static char is_plain[256];
  if (!is_plain['A']) {
    for (const char *p = plain; *p; p++) is_plain[(unsigned char)*p] = 1;
  }
  char out[3] = "%";
  for (; *from; from++) {
    unsigned char c = (unsigned char)*from;
    out[1] = "0123456789ABCDEF"[c >> 4];
    out[2] = "0123456789ABCDEF"[c & 15];
    if (is_plain[c] ? append(t, from, 1) : append(t, out, 3)) return -1;
  }
  return 0;
}

static size_t receive(char *data, size_t one, size_t count, void *user) {
  (void)user;
  if (answer.length + one * count > LARGEST) return 0;
  return append(&answer, data, one * count) == 0 ? one * count : 0;
}

long make_client(const struct setup *s) {
  char url[512];
  setup = s;
  snprintf(url, sizeof url, "%s/api/gateway/index", s->url);
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (curl = curl_easy_init()) == NULL)
    return explain("libcurl", "does not start");
  headers = curl_slist_append(NULL, "Accept: application/json");
  headers = curl_slist_append(headers, "Expect:");
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_CAINFO, s->ca_file);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 60000L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 60000L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
  return 0;
}

/* One call of the gateway: signed, sent, parsed. The caller frees the answer; NULL when it said why there is none. */
static cJSON *call(const char *method, const char *biz) {
  char timestamp[24], sign[33];
  snprintf(timestamp, sizeof timestamp, "%lld", (long long)time(NULL));
  const char *fields[][2] = {
    {"appid", setup->app_id}, {"biz_content", biz}, {"method", method},
    {"sign_type", "md5"}, {"timestamp", timestamp}, {"version", "1.0.0"},
  };
  struct md5 m;
  int full = 0;
  md5_begin(&m);
  form.length = 0;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    md5_add(&m, fields[i][0], strlen(fields[i][0]));
    md5_add(&m, "=", 1);
    md5_add(&m, fields[i][1], strlen(fields[i][1]));
    md5_add(&m, "&", 1);
    full |= append(&form, fields[i][0], strlen(fields[i][0])) | append(&form, "=", 1) |
            append_escaped(&form, fields[i][1]) | append(&form, "&", 1);
  }
  md5_add(&m, setup->secret, strlen(setup->secret));
  md5_end(&m, sign);
  full |= append(&form, "sign=", 5) | append(&form, sign, 32);
  if (full) return explain(method, "no memory"), NULL;

  answer.length = 0;
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, form.at);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)form.length);
  CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) return explain(method, curl_easy_strerror(code)), NULL;
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  cJSON *whole = status == 200 ? cJSON_ParseWithLength(answer.at, answer.length) : NULL;
  const cJSON *error = cJSON_GetObjectItemCaseSensitive(whole, "error_code");
  if (!cJSON_IsNumber(error) || error->valueint != 0) {
    explain(method, answer.length > 0 ? answer.at : "no answer");
    cJSON_Delete(whole);
    return NULL;
  }
  return whole;
}

static int64_t length_of(const cJSON *record, const char *name) {
  const cJSON *field = cJSON_GetObjectItemCaseSensitive(record, name);
  return cJSON_IsString(field) ? (int64_t)strlen(field->valuestring) : 0;
}

/* In the record, or else in the product under it. */
static int64_t length_in(const cJSON *record, const cJSON *vo, const char *name) {
  return length_of(cJSON_HasObjectItem(record, name) ? record : vo, name);
}

static int64_t number_of(const cJSON *record, const char *name, int64_t otherwise) {
  const cJSON *field = cJSON_GetObjectItemCaseSensitive(record, name);
  return cJSON_IsNumber(field) ? (int64_t)field->valuedouble : otherwise;
}

/* A list is bare, or in a page object under data. */
static const cJSON *records_of(const cJSON *whole, int *more) {
  const cJSON *data = cJSON_GetObjectItemCaseSensitive(whole, "data");
  *more = -1;
  if (cJSON_IsArray(data)) return data;
  *more = number_of(data, "current_page", 0) < number_of(data, "last_page", 0);
  return cJSON_GetObjectItemCaseSensitive(data, "data");
}

long ping(void) {
  cJSON *whole = call("api.test", "{}");
  cJSON_Delete(whole);
  return whole != NULL ? 1 : -1;
}

static long stock_from(long page, int *more) {
  char biz[160];
  const cJSON *record = NULL;
  long count = 0;
  snprintf(biz, sizeof biz, "{\"CID\":\"%s\",\"Page\":%ld,\"PageSize\":100}", setup->cabinet, page);
  cJSON *whole = call("cabinet.product.stock", biz);
  if (whole == NULL) return -1;
  cJSON_ArrayForEach(record, records_of(whole, more)) {
    const cJSON *vo = cJSON_GetObjectItemCaseSensitive(record, "ProductVO");
    checksum += length_of(record, "id") + length_of(record, "CID") + length_in(record, vo, "ProviderProductID") +
                length_in(record, vo, "BarCode") + length_in(record, vo, "Name") + length_in(record, vo, "ImageUrl") +
                number_of(record, "Price", number_of(vo, "Price", -1)) + number_of(record, "Stock", -1) +
                number_of(record, "Capacity", -1) + number_of(record, "SalesCount", -1);
    count++;
  }
  cJSON_Delete(whole);
  return count;
}

long stock_page(void) {
  int more;
  return stock_from(1, &more);
}

long stock_all(void) {
  long count = 0;
  int more = 1;
  for (long page = 1; more != 0; page++) {
    long got = stock_from(page, &more);
    if (got < 0) return -1;
    if (more < 0) more = got == 100;
    count += got;
  }
  return count;
}

long stock_whole(void) { return explain("stock-whole", "not written for libcurl"); }

static long orders_from(long page, int *more) {
  char biz[160];
  const cJSON *record = NULL, *line = NULL;
  long count = 0;
  snprintf(biz, sizeof biz, "{\"page\":%ld,\"StartTime\":%lld,\"EndTime\":%lld,\"pageSize\":100}", page,
           (long long)setup->from, (long long)setup->to);
  cJSON *whole = call("cabinet.order.list", biz);
  if (whole == NULL) return -1;
  cJSON_ArrayForEach(record, records_of(whole, more)) {
    checksum += length_of(record, "ReceiptNo") + length_of(record, "TradeNo") + length_of(record, "CID") +
                number_of(record, "Price", -1) + number_of(record, "CreateAt", 0) + number_of(record, "PayTime", 0);
    cJSON_ArrayForEach(line, cJSON_GetObjectItemCaseSensitive(record, "Products"))
      checksum += length_of(line, "BarCode") + length_of(line, "Name") + number_of(line, "Qty", -1) +
                  number_of(line, "Price", -1);
    count++;
  }
  cJSON_Delete(whole);
  return count;
}

long orders(void) {
  long count = 0;
  int more = 1;
  for (long page = 1; more != 0; page++) {
    long got = orders_from(page, &more);
    if (got < 0) return -1;
    if (more < 0) more = got == 100;
    count += got;
  }
  return count;
}

long open_door(long number) {
  char biz[160];
  snprintf(biz, sizeof biz, "{\"CID\":\"5e00%020ld\",\"TradeNo\":\"bench-%ld-%ld\"}", number, (long)getpid(), number);
  cJSON *whole = call("cabinet.open.door", biz);
  if (whole == NULL) return -1;
  int64_t receipt = length_of(cJSON_GetObjectItemCaseSensitive(whole, "data"), "ReceiptNo");
  checksum += receipt;
  cJSON_Delete(whole);
  return receipt > 0 ? 1 : explain("cabinet.open.door", "no ReceiptNo");
}

const char *library(void) {
  static char name[160];
  const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
  snprintf(name, sizeof name, "libcurl %s, %s, cJSON %s", v->version, v->ssl_version, cJSON_Version());
  return name;
}

void read_journal(struct journal *journal) { (void)journal; }
