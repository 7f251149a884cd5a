/* Told line by line what to do with a connection on which callbacks come.
 *   http ACCOUNTS.json ACCOUNT...
 *     new MAX_HEAD MAX_BODY TIMEOUT_MS ONE_REQUEST | add NUMBER PATH (- for none) | feed FILE PIECE | end | tick |
 *     reply CODE DATA (- for none) | free | freed NUMBER | misuse
 * Each line is answered by one that says the result; a connection that was never made is NULL. */

#include <inttypes.h>
#include <kiosklink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNTS 4

static kl_error err;
static kl_client *clients[ACCOUNTS];

/* What the last step says, on one line. */
static void show(kl_status status, const kl_http_step *step) {
  printf("%s", kl_status_name(status));
  if (err.http_status != 0) printf(" http %d", (int)err.http_status);
  if (status != err.status) printf(" NOT THE STATUS OF ERR");
  if (step == NULL) {
    printf(" no step\n");
    return;
  }
  printf(" %s", step->action == KL_HTTP_ACTION_READ    ? "read"
                : step->action == KL_HTTP_ACTION_EVENT ? "event"
                : step->action == KL_HTTP_ACTION_CLOSE ? "close"
                                                : "?");
  if ((step->wait_ms != 0) != (step->action == KL_HTTP_ACTION_READ)) printf(" WAIT %u", (unsigned)step->wait_ms);
  if ((step->bytes == NULL) != (step->len == 0)) printf(" BYTES WITHOUT A LENGTH");
  if ((step->event != NULL) != (step->action == KL_HTTP_ACTION_EVENT)) printf(" EVENT OR NO EVENT");
  if (step->event != NULL) {
    int which = 0;
    while (which < ACCOUNTS && clients[which] != step->client) which++;
    printf(" %d %s %s duplicate %d", which, step->event->method, step->event->order_no, (int)step->event->duplicate);
  } else if (step->client != NULL) {
    printf(" A CLIENT");
  }
  if (step->len > 0) printf(" ");
  for (size_t i = 0; i < step->len; i++) {
    if (step->bytes[i] == '\r') continue;
    putchar(step->bytes[i] == '\n' ? '|' : step->bytes[i]);
  }
  printf("\n");
}

/* Feeds a file in pieces, until something comes of it, and shows that. */
static void feed(kl_http *http, const char *name, size_t piece) {
  static uint8_t bytes[1 << 20];
  const kl_http_step *step = NULL;
  kl_status status = KL_OK;
  FILE *file = fopen(name, "rb");
  size_t length = file == NULL ? 0 : fread(bytes, 1, sizeof bytes, file);
  if (file != NULL) fclose(file);
  for (size_t at = 0; at < length; at += piece) {
    /* A copy that ends where the piece does: valgrind sees who reads further. */
    size_t n = length - at < piece ? length - at : piece;
    uint8_t *copy = malloc(n);
    if (copy == NULL) abort();
    memcpy(copy, bytes + at, n);
    status = kl_http_feed(http, copy, n, &step, &err);
    free(copy);
    if (status != KL_OK || step == NULL || step->len > 0 || step->action != KL_HTTP_ACTION_READ) break;
  }
  show(status, step);
}

#define CHECK(condition)                                       \
  do {                                                         \
    if (!(condition)) {                                        \
      printf("line %d: %s is false; ", __LINE__, #condition);  \
      faults++;                                                \
    }                                                          \
  } while (0)

/* Everything that can be done wrong: an error each time, and no step. */
static void misuse(void) {
  int faults = 0;
  kl_http *http = NULL, *gone = NULL, *none = (kl_http *)(size_t)1;
  const kl_http_step *step = (const kl_http_step *)(size_t)1;
  uint8_t byte = 'P';
  kl_http_options options = KL_HTTP_OPTIONS_INIT;
  CHECK(kl_http_new(NULL, NULL, &err) == KL_E_NULL);
  options.max_head = 100;
  CHECK(kl_http_new(&options, &none, &err) == KL_E_ARGUMENT && none == NULL);
  options.max_head = 0;
  options.struct_size = 10;
  CHECK(kl_http_new(&options, &none, &err) == KL_E_ARGUMENT);
  options.struct_size = 0;
  CHECK(kl_http_new(&options, &gone, NULL) == KL_OK);
  kl_http_free(gone);
  kl_http_free(gone);
  kl_http_free(NULL);
  CHECK(kl_http_new(NULL, &http, &err) == KL_OK);
  CHECK(kl_http_add(http, NULL, NULL, &err) == KL_E_NULL && kl_http_add(NULL, clients[0], NULL, &err) == KL_E_NULL);
  CHECK(kl_http_add(gone, clients[0], NULL, &err) == KL_E_HANDLE);
  CHECK(kl_http_add(http, (kl_client *)(void *)http, NULL, &err) == KL_E_HANDLE);
  CHECK(kl_http_add(http, clients[0], "\xff", &err) == KL_E_UTF8);
  CHECK(kl_http_add(http, clients[0], "no/slash", &err) == KL_E_ARGUMENT);
  CHECK(kl_http_feed(http, &byte, 1, NULL, &err) == KL_E_NULL);
  CHECK(kl_http_feed(http, NULL, 1, &step, &err) == KL_E_NULL && step == NULL);
  CHECK(kl_http_feed(http, &byte, (size_t)-1, &step, &err) == KL_E_ARGUMENT && step == NULL);
  kl_http *wrong[] = {NULL, gone, (kl_http *)(void *)clients[0], (kl_http *)(size_t)0x1234};
  for (int i = 0; i < 4; i++) {
    kl_status expected = i == 0 ? KL_E_NULL : KL_E_HANDLE;
    step = (const kl_http_step *)(size_t)1;
    CHECK(kl_http_feed(wrong[i], &byte, 1, &step, &err) == expected && step == NULL);
    CHECK(kl_http_tick(wrong[i], &step, &err) == expected && step == NULL);
    CHECK(kl_http_reply(wrong[i], 0, NULL, NULL, &step, &err) == expected && step == NULL);
  }
  CHECK(kl_http_reply(http, 0, NULL, NULL, &step, &err) == KL_E_ARGUMENT && step == NULL);
  CHECK(kl_http_reply(http, 0, "\xff", NULL, &step, &err) == KL_E_UTF8);
  /* The connection has not noticed. */
  CHECK(kl_http_feed(http, &byte, 1, &step, &err) == KL_OK && step != NULL && step->action == KL_HTTP_ACTION_READ);
  kl_http_free(http);
  printf("%d faults\n", faults);
}

int main(int argc, char **argv) {
  char line[1024], first[512], second[512];
  kl_http *http = NULL;
  if (argc < 3 || argc > 2 + ACCOUNTS) return 64;
  for (int i = 2; i < argc; i++) {
    kl_config *config = NULL;
    if (kl_config_load(argv[1], argv[i], &config, &err) != KL_OK || kl_client_new(config, &clients[i - 2], &err) != KL_OK) {
      fprintf(stderr, "%s\n", err.message);
      return 1;
    }
    kl_config_free(config);
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin) != NULL) {
    const kl_http_step *step = NULL;
    unsigned long n[4];
    if (sscanf(line, "new %lu %lu %lu %lu", &n[0], &n[1], &n[2], &n[3]) == 4) {
      kl_http_options options = KL_HTTP_OPTIONS_INIT;
      options.max_head = (uint32_t)n[0];
      options.max_body = (uint32_t)n[1];
      options.timeout_ms = (uint32_t)n[2];
      options.one_request = (int32_t)n[3];
      kl_http_free(http);
      printf("%s\n", kl_status_name(kl_http_new(&options, &http, &err)));
    } else if (sscanf(line, "add %lu %511s", &n[0], first) == 2) {
      printf("%s\n", kl_status_name(kl_http_add(http, clients[n[0]], first[0] == '-' ? NULL : first, &err)));
    } else if (sscanf(line, "feed %511s %lu", first, &n[0]) == 2) {
      feed(http, first, n[0]);
    } else if (strcmp(line, "end\n") == 0) {
      kl_status status = kl_http_feed(http, NULL, 0, &step, &err);
      show(status, step);
    } else if (strcmp(line, "tick\n") == 0) {
      kl_status status = kl_http_tick(http, &step, &err);
      show(status, step);
    } else if (sscanf(line, "reply %lu %511s", &n[0], second) == 2) {
      kl_status status = kl_http_reply(http, (int32_t)n[0], NULL, second[0] == '-' ? NULL : second, &step, &err);
      show(status, step);
    } else if (strcmp(line, "free\n") == 0) {
      kl_http_free(http);
      printf("freed\n");
    } else if (sscanf(line, "freed %lu", &n[0]) == 1) {
      kl_client_free(clients[n[0]]);
      printf("freed\n");
    } else if (strcmp(line, "misuse\n") == 0) {
      misuse();
    } else {
      printf("what is %s", line);
    }
  }
  kl_http_free(http);
  for (int i = 0; i < ACCOUNTS; i++) kl_client_free(clients[i]);
  return 0;
}
