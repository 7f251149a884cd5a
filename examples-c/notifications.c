/* Receives Yopoint's callbacks and does what each asks for: the payment of what a customer took, the refund that
 * staff approved, the books.
 *
 *   notifications ACCOUNTS.json ACCOUNT [PORT [COUNT [SECONDS]]]
 *
 * Listens on 127.0.0.1, on a free port if PORT is 0 or absent, and says where. Real firmware sits behind a web server
 * that speaks TLS to the platform. Ends after COUNT answered requests (0, the default: no end) or after SECONDS (60)
 * without one.
 *
 * Exit: 0 COUNT requests were answered, 1 it cannot work, which is explained, 2 the time was up, 64 wrong use. */

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <kiosklink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX (64 * 1024)
#define REQUEST_MS 5000 /* from the connection to the last byte, and again for the answer */

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void explain(const char *what, const kl_error *err) {
  printf("%s: %s (%s)\n", what, err->message, kl_status_name(err->status));
}

/* ---- What a callback asks for --------------------------------------------------------------------------------- */

/* Here the firmware charges the customer. It must charge an order once however often it is asked, so it looks the
 * order up in its own books first; the channel's number is made from the order's for the same reason. */
static void charge(const kl_event_info *event, char trade_no[80]) {
  snprintf(trade_no, 80, "WX-%.60s", event->order_no);
}

/* Whether the platform holds the order for paid: the way to find out what became of a report without an answer. */
static int is_paid(kl_client *client, const char *order_no) {
  kl_error err = KL_ERROR_INIT;
  kl_order_ref ref = KL_ORDER_REF_INIT;
  kl_orders *orders = NULL;
  ref.order_no = order_no;
  int paid = kl_order_get(client, &ref, &orders, &err) == KL_OK && kl_orders_at(orders, 0)->payment == KL_PAYMENT_STATE_PAID;
  kl_orders_free(orders);
  return paid;
}

/* The goods are known: charge, then tell the platform, or the order stays unpaid. 1 if both are done. */
static int settle(kl_client *client, const kl_event_info *event) {
  kl_error err = KL_ERROR_INIT;
  kl_response *answer = NULL;
  char trade_no[80], report_id[KL_REQUEST_ID_MAX + 1];
  if (event->amount < 0 || event->report_url[0] == '\0') {
    printf("order %s: no amount or no report address, ask again\n", event->order_no);
    return 0;
  }
  charge(event, trade_no);
  kl_payment_report_request report = KL_PAYMENT_REPORT_REQUEST_INIT;
  report.result = KL_PAYMENT_RESULT_PAID;
  report.amount = event->amount;
  report.report_url = event->report_url;
  report.order_no = event->order_no;
  report.trade_no = trade_no;
  /* An order is paid once: its number names the report, which is sent at most once under it. */
  snprintf(report_id, sizeof report_id, "paid-%.100s", event->order_no);
  report.request_id = report_id;
  kl_outcome outcome = kl_payment_report(client, &report, &answer, &err);
  kl_response_free(answer);
  int done = outcome == KL_DONE;
  if (!done) explain("the payment report failed", &err);
  /* Asked, never sent again: what the order says decides, and is kept. */
  if (outcome == KL_UNKNOWN && is_paid(client, event->order_no)) {
    done = 1;
    if (kl_command_settle(client, report_id, KL_DONE, KL_SETTLED_BY_SENSOR, "the order is paid", &err) != KL_OK) {
      explain("what the order says could not be kept", &err);
    }
  }
  if (done) printf("order %s: charged %" PRId64 " fen and reported\n", event->order_no, event->amount);
  return done;
}

/* A paid order goes into the books with all it holds. 1 if it is there. */
static int book(kl_client *client, const kl_event_info *event) {
  kl_error err = KL_ERROR_INIT;
  kl_order_ref ref = KL_ORDER_REF_INIT;
  kl_orders *orders = NULL;
  ref.kind = event->kind == KL_EVENT_KIND_DELIVERY ? KL_ORDER_KIND_VENDING : KL_ORDER_KIND_CABINET;
  ref.order_no = event->order_no;
  if (kl_order_get(client, &ref, &orders, &err) != KL_OK) {
    explain("the order cannot be read", &err);
    return 0;
  }
  const kl_order *order = kl_orders_at(orders, 0);
  printf("order %s: booked, %" PRId64 " fen, %zu line(s), %s\n", order->order_no, order->amount, order->line_count,
         order->payment == KL_PAYMENT_STATE_PAID ? "paid" : "not paid");
  kl_orders_free(orders);
  return 1;
}

/* The order number goes into JSON and into a refund number, so only what needs no escape is taken. */
static int is_plain(const char *text) {
  return text[0] != '\0' &&
         strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") == strlen(text);
}

/* Staff approved a refund: pay back through your own channel, and answer with the result. A repetition gets the same
 * answer and no second refund. What the answer must hold is not published: ask the vendor. */
static int refund(const kl_event_info *event, char result[200]) {
  if (!is_plain(event->order_no) || event->amount < 0) {
    printf("a refund without a number or an amount, ask again\n");
    return 0;
  }
  if (!event->duplicate) {
    /* Here the firmware pays back, once for an order and amount, as its books have it. */
    printf("order %s: refunded %" PRId64 " fen\n", event->order_no, event->amount);
  }
  snprintf(result, 200, "{\"RefundsNo\":\"RF-%.60s\",\"RefundsPrice\":%" PRId64 "}", event->order_no, event->amount);
  return 1;
}

/* Does what the callback asks for. 1 if it is done and need not come again. */
static int act(kl_client *client, const kl_event_info *event, char result[200]) {
  if (event->kind == KL_EVENT_KIND_REFUND_APPROVED) return refund(event, result);
  if (event->duplicate) {
    printf("%s for %s: seen before, answered again\n", event->method, event->order_no);
    return 1;
  }
  switch (event->kind) {
    case KL_EVENT_KIND_DOOR_CLOSED:
      printf("order %s: the door %s\n", event->order_no,
             event->door == KL_DOOR_STATE_NEVER_OPENED ? "never opened, nothing is charged" : "is shut");
      return 1;
    case KL_EVENT_KIND_RECOGNIZED:
    case KL_EVENT_KIND_ORDER_REPLACED:
      return settle(client, event);
    case KL_EVENT_KIND_ORDER_PAID:
    case KL_EVENT_KIND_DELIVERY:
      return book(client, event);
    case KL_EVENT_KIND_TEST:
      printf("the platform tries this address\n");
      return 1;
    default:
      printf("%s: taken, nothing to do\n", event->method);
      return 1;
  }
}

/* ---- One connection -------------------------------------------------------------------------------------------- */

/* Waits until the socket is ready, but not past the deadline. */
static int ready(int fd, short events, int64_t deadline) {
  struct pollfd one = {fd, events, 0};
  for (;;) {
    int64_t left = deadline - now_ms();
    if (left <= 0) return 0;
    int n = poll(&one, 1, (int)left);
    if (n > 0) return 1;
    if (n == 0 || errno != EINTR) return 0;
  }
}

/* Writes all of it. 0 if the other side does not take it in time. */
static int put(int fd, const uint8_t *bytes, size_t length) {
  int64_t deadline = now_ms() + REQUEST_MS;
  while (length > 0) {
    if (!ready(fd, POLLOUT, deadline)) return 0;
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n <= 0) return 0;
    bytes += n;
    length -= (size_t)n;
  }
  return 1;
}

/* Reads what is left for a moment: what was sent and not read would turn the end into a reset, and the answer would be
 * lost with it. */
static void farewell(int fd) {
  char rest[1024];
  int64_t deadline = now_ms() + 500;
  shutdown(fd, SHUT_WR);
  while (ready(fd, POLLIN, deadline) && recv(fd, rest, sizeof rest, 0) > 0) {
  }
}

/* Takes one connection, and answers the one request on it: this program has one connection at a time. */
static void serve(kl_client *client, int fd) {
  uint8_t bytes[4096];
  kl_error err = KL_ERROR_INIT;
  kl_http *http = NULL;
  const kl_http_step *step = NULL;
  kl_http_options options = KL_HTTP_OPTIONS_INIT;
  options.max_body = BODY_MAX;
  options.timeout_ms = REQUEST_MS;
  options.one_request = 1;
  if (kl_http_new(&options, &http, &err) != KL_OK || kl_http_add(http, client, NULL, &err) != KL_OK ||
      kl_http_tick(http, &step, &err) != KL_OK) {
    explain("no connection can be served", &err);
  }
  while (step != NULL && put(fd, step->bytes, step->len)) {
    kl_status status;
    if (step->action == KL_HTTP_ACTION_CLOSE) {
      farewell(fd);
      break;
    }
    if (step->action == KL_HTTP_ACTION_EVENT) {
      char result[200] = "";
      int done = act(step->client, step->event, result);
      /* Any code but 0: come again. The repetition then is no duplicate. */
      status = kl_http_reply(http, done ? 0 : 1, done ? "SUCCESS" : "NOT_YET", result[0] ? result : NULL, &step, &err);
    } else if (ready(fd, POLLIN, now_ms() + step->wait_ms)) {
      ssize_t n = recv(fd, bytes, sizeof bytes, 0);
      status = kl_http_feed(http, bytes, n > 0 ? (size_t)n : 0, &step, &err);
    } else {
      status = kl_http_tick(http, &step, &err);
    }
    if (status != KL_OK) explain("refused", &err);
  }
  kl_http_free(http);
}

static int listen_on(long port) {
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  int yes = 1;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons((uint16_t)port);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 16) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
    printf("cannot listen on port %ld: %s\n", port, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
  }
  printf("listening on http://127.0.0.1:%u/\n", (unsigned)ntohs(address.sin_port));
  return fd;
}

static int loop(kl_client *client, long port, long count, long seconds) {
  int listener = listen_on(port);
  if (listener < 0) return 1;
  int result = 0;
  for (long answered = 0; count == 0 || answered < count;) {
    if (!ready(listener, POLLIN, now_ms() + seconds * 1000)) {
      printf("nothing came for %ld s\n", seconds);
      result = 2;
      break;
    }
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    serve(client, fd);
    close(fd);
    answered++;
  }
  close(listener);
  return result;
}

int main(int argc, char **argv) {
  long given[3] = {0, 0, 60};
  if (argc < 3 || argc > 6) {
    fprintf(stderr, "use: notifications ACCOUNTS.json ACCOUNT [PORT [COUNT [SECONDS]]]\n");
    return 64;
  }
  for (int i = 3; i < argc; i++) {
    char *end;
    given[i - 3] = strtol(argv[i], &end, 10);
    if (end == argv[i] || *end != '\0' || given[i - 3] < 0 || given[i - 3] > (i == 3 ? 65535 : 1000000)) {
      fprintf(stderr, "%s is no number that can be used here\n", argv[i]);
      return 64;
    }
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  kl_error err = KL_ERROR_INIT;
  kl_config *config = NULL;
  kl_client *client = NULL;
  int result = 1;
  if (kl_config_load(argv[1], argv[2], &config, &err) != KL_OK || kl_client_new(config, &client, &err) != KL_OK) {
    explain("the account cannot be used", &err);
  } else {
    result = loop(client, given[0], given[1], given[2]);
  }
  kl_client_free(client);
  kl_config_free(config);
  return result;
}
