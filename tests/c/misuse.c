/* Everything a program can do wrong at the border: an error code each time, never a crash.
 *   misuse ACCOUNTS.json ACCOUNT */

#include <kiosklink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      printf("%s:%d: %s is false\n", __FILE__, __LINE__, #condition);          \
      failures++;                                                              \
    }                                                                          \
  } while (0)

#define EXPECT(call, wanted)                                                                                    \
  do {                                                                                                          \
    kl_status got_ = (call);                                                                                    \
    if (got_ != (wanted)) {                                                                                     \
      printf("%s:%d: %s is %s, not %s\n", __FILE__, __LINE__, #call, kl_status_name(got_), kl_status_name(wanted)); \
      failures++;                                                                                               \
    }                                                                                                           \
  } while (0)

#define ACTED(call, wanted, why)                                                                                 \
  do {                                                                                                          \
    kl_outcome got_ = (call);                                                                                   \
    if (got_ != (wanted) || err.outcome != got_ || err.status != (why)) {                                       \
      printf("%s:%d: %s is %d, %s\n", __FILE__, __LINE__, #call, (int)got_, kl_status_name(err.status));        \
      failures++;                                                                                               \
    }                                                                                                           \
  } while (0)

struct lines {
  int count, secret_seen, busy_seen;
  char last[256];
};

static void on_line(void *user, kl_log_level level, const char *line) {
  struct lines *lines = user;
  (void)level;
  lines->count++;
  if (strstr(line, "test-secret") != NULL || strstr(line, "test-pay-key") != NULL) lines->secret_seen = 1;
  if (kl_set_log(KL_LOG_LEVEL_OFF, NULL, NULL, NULL) == KL_E_BUSY) lines->busy_seen = 1;
}

static void on_misuse(void *user, kl_log_level level, const char *line) {
  struct lines *lines = user;
  lines->count++;
  snprintf(lines->last, sizeof lines->last, "%d %s", (int)level, line);
}

/* Each misuse of a handle is one line in the log, and says what the handle was and what was wanted. */
static void handle_lines(kl_client *client, kl_config *config) {
  struct lines lines = {0};
  char number[64];
  kl_config *gone = NULL;
  EXPECT(kl_config_new(KL_PLATFORM_YOPOINT, &gone, NULL), KL_OK);
  kl_config_free(gone);
  EXPECT(kl_set_log(KL_LOG_LEVEL_ERROR, on_misuse, &lines, NULL), KL_OK);
#define LOGGED(what, words)                                                                                      \
  do {                                                                                                          \
    int before_ = lines.count;                                                                                  \
    what;                                                                                                       \
    CHECK(lines.count == before_ + 1 && strncmp(lines.last, "1 handle 0x", 11) == 0);                           \
    CHECK(strstr(lines.last, words) != NULL);                                                                   \
  } while (0)
  LOGGED(EXPECT(kl_ping((kl_client *)(void *)config, NULL), KL_E_HANDLE), "a client is wanted, and this is a config");
  snprintf(number, sizeof number, "handle 0x%llx:", (unsigned long long)(size_t)config);
  CHECK(strstr(lines.last, number) != NULL);
  LOGGED(EXPECT(kl_config_set(gone, KL_KEY_APP_ID, "1", NULL), KL_E_HANDLE), "this config was freed");
  LOGGED(kl_config_free(gone), "this config was freed");
  LOGGED(EXPECT(kl_ping((kl_client *)(void *)&lines, NULL), KL_E_HANDLE), "no client that this library made");
  LOGGED(EXPECT(kl_ping(NULL, NULL), KL_E_NULL), "the client is NULL");
  LOGGED(CHECK(kl_stock_at(NULL, 0) == NULL), "the list of goods is NULL");
  LOGGED(kl_client_free((kl_client *)(void *)config), "a client is wanted, and this is a config");
  int before = lines.count;
  kl_client_free(NULL);
  EXPECT(kl_client_cancel(client, NULL), KL_OK);
  CHECK(lines.count == before);
  EXPECT(kl_set_log(KL_LOG_LEVEL_OFF, NULL, NULL, NULL), KL_OK);
}

/* A freed handle stays dead, however often its place is used again. */
static void stale(void) {
  kl_config *old = NULL, *next = NULL;
  EXPECT(kl_config_new(KL_PLATFORM_YOPOINT, &old, NULL), KL_OK);
  kl_config_free(old);
  for (int i = 0; i < 20000 && failures == 0; i++) {
    EXPECT(kl_config_new(KL_PLATFORM_YOPOINT, &next, NULL), KL_OK);
    CHECK(next != old);
    EXPECT(kl_config_set(old, KL_KEY_APP_ID, "1", NULL), KL_E_HANDLE);
    kl_config_free(old);
    EXPECT(kl_config_set(next, KL_KEY_APP_ID, "1", NULL), KL_OK);
    kl_config_free(next);
  }
}

static void handles(kl_client *client, kl_config *config) {
  kl_error err = KL_ERROR_INIT;
  void *wild = (void *)(size_t)0x12345;
  void *aligned = (void *)(size_t)0xdeadbee0;

  EXPECT(kl_ping((kl_client *)wild, &err), KL_E_HANDLE);
  EXPECT(kl_ping((kl_client *)aligned, &err), KL_E_HANDLE);
  EXPECT(kl_ping((kl_client *)(void *)config, &err), KL_E_HANDLE);
  EXPECT(kl_ping((kl_client *)(void *)&err, &err), KL_E_HANDLE);
  EXPECT(kl_config_set((kl_config *)(void *)client, KL_KEY_APP_ID, "1", &err), KL_E_HANDLE);
  CHECK(strlen(err.message) > 0);

  /* A freed handle stays dead, and freeing it again does nothing. */
  kl_config *gone = NULL;
  EXPECT(kl_config_new(KL_PLATFORM_YOPOINT, &gone, &err), KL_OK);
  kl_config_free(gone);
  kl_config_free(gone);
  EXPECT(kl_config_set(gone, KL_KEY_APP_ID, "1", &err), KL_E_HANDLE);
  kl_client *none = (kl_client *)wild;
  EXPECT(kl_client_new(gone, &none, &err), KL_E_HANDLE);
  CHECK(none == NULL);

  /* Out-pointers are NULL after every error, that of a refused handle too. */
  kl_orders *orders = (kl_orders *)wild;
  kl_order_ref ref = KL_ORDER_REF_INIT;
  EXPECT(kl_order_get(NULL, &ref, &orders, &err), KL_E_NULL);
  CHECK(orders == NULL);
  kl_command *command = (kl_command *)wild;
  kl_door_request door = KL_DOOR_REQUEST_INIT;
  ACTED(kl_door_open((kl_client *)wild, &door, &command, &err), KL_NOT_DONE, KL_E_HANDLE);
  CHECK(command == NULL);
  ACTED(kl_door_open(client, &door, &command, &err), KL_NOT_DONE, KL_E_NULL);
  ACTED(kl_door_open(client, NULL, &command, &err), KL_NOT_DONE, KL_E_NULL);
  ACTED(kl_door_open(NULL, NULL, NULL, &err), KL_NOT_DONE, KL_E_NULL);

  /* What became of a name cannot be said where nobody can be asked. */
  door.request_id = "a-name";
  ACTED(kl_door_open((kl_client *)wild, &door, &command, &err), KL_UNKNOWN, KL_E_HANDLE);
  ACTED(kl_door_open(NULL, &door, &command, &err), KL_UNKNOWN, KL_E_NULL);
  ACTED(kl_command_resolve((kl_client *)wild, "a-name", &command, &err), KL_UNKNOWN, KL_E_HANDLE);
  ACTED(kl_command_resolve(client, NULL, &command, &err), KL_NOT_DONE, KL_E_NULL);
  /* The journal can: this one was never begun. */
  ACTED(kl_door_open(client, &door, &command, &err), KL_NOT_DONE, KL_E_NULL);
  ACTED(kl_door_open(client, &door, NULL, &err), KL_NOT_DONE, KL_E_NULL);
  ACTED(kl_command_resolve(client, "a-name", &command, &err), KL_NOT_DONE, KL_E_NOT_FOUND);
  door.struct_size = 0xffffffff;
  ACTED(kl_door_open(client, &door, &command, &err), KL_UNKNOWN, KL_E_ARGUMENT);
  door.struct_size = 9;
  ACTED(kl_door_open(client, &door, &command, &err), KL_NOT_DONE, KL_E_ARGUMENT);
  CHECK(kl_client_can(client, KL_VERB_DOOR_OPEN) == 1 && kl_client_can(client, KL_VERB_USER_GET) == 0);
  CHECK(kl_client_can(client, 0) == 0 && kl_client_can((kl_client *)wild, KL_VERB_PING) == 0);
  char name[KL_REQUEST_ID_MAX + 1] = "old", small[4] = "old";
  EXPECT(kl_request_id_new(client, name, sizeof name, &err), KL_OK);
  CHECK(strlen(name) > 8);
  EXPECT(kl_request_id_new(client, small, sizeof small, &err), KL_E_ARGUMENT);
  CHECK(small[0] == '\0');
  EXPECT(kl_request_id_new((kl_client *)wild, name, sizeof name, &err), KL_E_HANDLE);
  CHECK(name[0] == '\0');

  /* Results of no call. */
  CHECK(kl_stock_count(NULL) == 0 && kl_stock_at(NULL, 0) == NULL);
  CHECK(kl_stock_at((kl_stock *)wild, 0) == NULL && kl_orders_count((kl_orders *)wild) == 0);
  CHECK(kl_response_json(NULL) == NULL && kl_event_view(NULL) == NULL && kl_event_reply(NULL) == NULL);
  CHECK(kl_command_view((kl_command *)(void *)client) == NULL);
  kl_stock_free((kl_stock *)wild);
  kl_client_free((kl_client *)(void *)config);
  EXPECT(kl_ping(client, &err), KL_OK);
}

static void texts(kl_client *client, kl_config *config) {
  kl_error err = KL_ERROR_INIT;
  EXPECT(kl_config_set(config, KL_KEY_APP_ID, "\xff\xfe", &err), KL_E_UTF8);
  EXPECT(kl_config_set(config, "\xc3\x28", "1", &err), KL_E_UTF8);
  kl_stock *stock = NULL;
  EXPECT(kl_stock_fetch(client, "\x80", &stock, &err), KL_E_UTF8);
  EXPECT(kl_stock_fetch(client, "", &stock, &err), KL_E_ARGUMENT);
  kl_response *response = NULL;
  ACTED(kl_call(client, "cabinet.list", "{\"Page\":", &response, &err), KL_NOT_DONE, KL_E_ARGUMENT);
  ACTED(kl_call((kl_client *)(void *)config, "cabinet.list", NULL, &response, &err), KL_NOT_DONE, KL_E_HANDLE);
  ACTED(kl_call(client, "cabinet.list", NULL, &response, &err), KL_DONE, KL_OK);
  kl_response_free(response);
  kl_event *event = NULL;
  EXPECT(kl_event_parse(client, NULL, NULL, 5, &event, &err), KL_E_NULL);
  EXPECT(kl_event_parse(client, NULL, NULL, 0, &event, &err), KL_E_EVENT);
  EXPECT(kl_event_parse(client, NULL, (const uint8_t *)"x=1", 3, &event, &err), KL_E_EVENT_SIGNATURE);
  EXPECT(kl_event_parse(client, NULL, (const uint8_t *)"\xff\xff%", 3, &event, &err), KL_E_EVENT);
}

static void sizes(kl_client *client) {
  kl_error err = KL_ERROR_INIT;
  kl_orders *orders = NULL;
  kl_order_query query = KL_ORDER_QUERY_INIT;
  query.to = 4102444800;
  query.struct_size = 0; /* the first release's: what {0} says */
  EXPECT(kl_order_list(client, &query, NULL, &orders, &err), KL_OK);
  kl_orders_free(orders);
  const uint32_t wrong[] = {1, 4, 7, 9, sizeof query - 1, 4097, 0xffffffff};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    query.struct_size = wrong[i];
    EXPECT(kl_order_list(client, &query, NULL, &orders, &err), KL_E_ARGUMENT);
  }

  /* An older, shorter struct ends before extra_json: it reads as NULL. */
  query.struct_size = offsetof(kl_order_query, extra_json);
  query.extra_json = (const char *)(size_t)1;
  EXPECT(kl_order_list(client, &query, NULL, &orders, &err), KL_OK);
  kl_orders_free(orders);

  /* A newer, longer one is taken as long as what is new in it is not used. */
  struct {
    kl_order_query known;
    uint64_t newer;
  } longer = {KL_ORDER_QUERY_INIT, 0};
  longer.known.struct_size = sizeof longer;
  longer.known.to = 4102444800;
  EXPECT(kl_order_list(client, &longer.known, NULL, &orders, &err), KL_OK);
  kl_orders_free(orders);
  longer.newer = 1;
  EXPECT(kl_order_list(client, &longer.known, NULL, &orders, &err), KL_E_ARGUMENT);

  /* The lines of an order stand behind pointers, each with a size of its own. */
  struct {
    kl_order_create_line known;
    uint64_t newer;
  } line = {KL_ORDER_CREATE_LINE_INIT, 0};
  const kl_order_create_line *lines[2] = {&line.known, NULL};
  kl_order_create_request create = KL_ORDER_CREATE_REQUEST_INIT;
  create.cabinet_id = "x";
  create.line_count = 1;
  ACTED(kl_order_create(client, &create, &orders, &err), KL_NOT_DONE, KL_E_NULL);
  create.lines = lines;
  ACTED(kl_order_create(client, &create, &orders, &err), KL_NOT_DONE, KL_E_NULL); /* no product_id */
  line.known.product_id = "\xff";
  ACTED(kl_order_create(client, &create, &orders, &err), KL_NOT_DONE, KL_E_UTF8);
  line.known.product_id = "x";
  create.line_count = 2;
  ACTED(kl_order_create(client, &create, &orders, &err), KL_NOT_DONE, KL_E_NULL); /* no second line */
  create.line_count = 1;
  line.known.struct_size = 9;
  ACTED(kl_order_create(client, &create, &orders, &err), KL_NOT_DONE, KL_E_ARGUMENT);
  line.known.struct_size = sizeof line;
  line.newer = 1;
  ACTED(kl_order_create(client, &create, &orders, &err), KL_NOT_DONE, KL_E_ARGUMENT);
  CHECK(orders == NULL);

  /* An error struct that says it is short is not written past its end, and one of zeroes is written whole. */
  struct {
    uint32_t struct_size;
    kl_status status;
    char untouched[64];
  } shorter = {8, 0, "untouched"};
  EXPECT(kl_ping(NULL, (kl_error *)(void *)&shorter), KL_E_NULL);
  CHECK(shorter.status == KL_E_NULL && strcmp(shorter.untouched, "untouched") == 0);
  kl_error zero;
  memset(&zero, 0, sizeof zero);
  EXPECT(kl_ping(NULL, &zero), KL_E_NULL);
  CHECK(zero.status == KL_E_NULL && zero.message[0] != '\0' && zero.struct_size == 0);

  /* One that is no size of it is not written, and nothing is sent. */
  kl_stats before = KL_STATS_INIT, after = KL_STATS_INIT;
  EXPECT(kl_client_stats(client, &before, NULL), KL_OK);
  memset(&zero, 0x55, sizeof zero);
  EXPECT(kl_ping(client, &zero), KL_E_ARGUMENT);
  CHECK(zero.status == 0x55555555);
  after.struct_size = 0;
  EXPECT(kl_client_stats(client, &after, NULL), KL_OK);
  CHECK(after.requests == before.requests && before.requests > 0);
}

static void settings(void) {
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  EXPECT(kl_config_new("yopiont", &config, &err), KL_E_PLATFORM_NAME);
  CHECK(config == NULL && strstr(err.message, "yopoint") != NULL);
  EXPECT(kl_config_new("yopoint", &config, &err), KL_OK);
  EXPECT(kl_config_set(config, "app_secert", "x", &err), KL_E_CONFIG_KEY);
  CHECK(strstr(err.message, "app_secret") != NULL);
  EXPECT(kl_client_new(config, &client, &err), KL_E_CONFIG_MISSING);
  CHECK(strstr(err.message, "app_id") != NULL);
  EXPECT(kl_config_set(config, KL_KEY_APP_ID, "1", &err), KL_OK);
  EXPECT(kl_client_new(config, &client, &err), KL_E_CONFIG_MISSING);
  CHECK(strstr(err.message, "app_secret") != NULL);
  EXPECT(kl_config_set(config, KL_KEY_APP_SECRET, "s3cr3t-value", &err), KL_OK);
  EXPECT(kl_config_set(config, KL_KEY_BASE_URL, "http://localhost:1", &err), KL_OK);
  EXPECT(kl_client_new(config, &client, &err), KL_E_CONFIG_VALUE);
  CHECK(strstr(err.message, "allow_http") != NULL);
  EXPECT(kl_config_set(config, KL_KEY_BASE_URL, "https://localhost:1", &err), KL_OK);
  EXPECT(kl_config_set(config, KL_KEY_CA_FILE, "/nonexistent/ca.pem", &err), KL_OK);
  EXPECT(kl_client_new(config, &client, &err), KL_E_ROOTS);
  CHECK(err.os_errno == 2 && strstr(err.message, "/nonexistent/ca.pem") != NULL);
  EXPECT(kl_config_set(config, KL_KEY_CA_FILE, "/dev/null", &err), KL_OK);
  EXPECT(kl_client_new(config, &client, &err), KL_E_ROOTS);
  CHECK(client == NULL);
  kl_config_free(config);
  EXPECT(kl_config_load("/nonexistent.json", NULL, &config, &err), KL_E_CONFIG_FILE);
  CHECK(config == NULL && err.os_errno == 2);
  EXPECT(kl_set_time(5, &err), KL_E_ARGUMENT);
  EXPECT(kl_set_log(99, NULL, NULL, &err), KL_E_ARGUMENT);
}

static void logging(kl_client *client) {
  struct lines lines = {0};
  EXPECT(kl_set_log(KL_LOG_LEVEL_DEBUG, on_line, &lines, NULL), KL_OK);
  EXPECT(kl_ping(client, NULL), KL_OK);
  EXPECT(kl_set_log(KL_LOG_LEVEL_OFF, NULL, NULL, NULL), KL_OK);
  CHECK(lines.count > 0 && !lines.secret_seen && lines.busy_seen);
  int before = lines.count;
  EXPECT(kl_ping(client, NULL), KL_OK);
  CHECK(lines.count == before);
}

static void after_fork(kl_client *client, kl_config *config) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    kl_error err = KL_ERROR_INIT;
    failures = 0;
    EXPECT(kl_ping(client, &err), KL_E_FORKED);
    EXPECT(kl_config_set(config, KL_KEY_APP_ID, "1", &err), KL_E_FORKED);
    kl_client_free(client);
    /* The child can make its own, and use it. */
    kl_config *own = NULL;
    EXPECT(kl_config_new(KL_PLATFORM_YOPOINT, &own, &err), KL_OK);
    EXPECT(kl_config_set(own, KL_KEY_APP_ID, "1", &err), KL_OK);
    kl_config_free(own);
    EXPECT(kl_ping(client, &err), KL_E_FORKED);
    fflush(stdout);
    _exit(failures == 0 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT(kl_ping(client, NULL), KL_OK);
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  kl_config *config = NULL;
  kl_client *client = NULL;
  EXPECT(kl_config_load(argv[1], argv[2], &config, NULL), KL_OK);
  EXPECT(kl_client_new(config, &client, NULL), KL_OK);
  CHECK(kl_abi_version() == KL_ABI_VERSION && strlen(kl_version()) > 0);
  CHECK(strstr(kl_build_info(), kl_version()) != NULL);
  CHECK(strcmp(kl_status_name(KL_OK), "KL_OK") == 0 && strcmp(kl_status_name(-77), "KL_E_?") == 0);

  handles(client, config);
  handle_lines(client, config);
  stale();
  texts(client, config);
  sizes(client);
  settings();
  logging(client);
  after_fork(client, config);

  kl_config_free(NULL);
  kl_client_free(NULL);
  kl_cabinet_iter *iter = NULL;
  const kl_cabinet *cabinet = NULL;
  EXPECT(kl_cabinet_iter_new(client, 1, &iter, NULL), KL_OK);
  EXPECT(kl_cabinet_iter_next(iter, &cabinet, NULL), KL_OK);
  CHECK(cabinet != NULL);
  kl_client_free(client);
  /* An iterator does not outlive its client. */
  EXPECT(kl_cabinet_iter_next(iter, &cabinet, NULL), KL_E_HANDLE);
  CHECK(cabinet == NULL);
  kl_cabinet_iter_free(iter);
  kl_config_free(config);
  EXPECT(kl_ping(client, NULL), KL_E_HANDLE);
  printf(failures == 0 ? "no fault\n" : "%d faults\n", failures);
  return failures == 0 ? 0 : 1;
}
