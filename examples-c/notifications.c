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
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX (64 * 1024) /* head and body together */
#define REQUEST_MS 5000         /* from the connection to the last byte, and again for the answer */

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
static int refund(kl_event *event, kl_error *err) {
  const kl_event_info *info = kl_event_view(event);
  char result[200];
  if (!is_plain(info->order_no) || info->amount < 0) {
    printf("a refund without a number or an amount, ask again\n");
    return 0;
  }
  if (!info->duplicate) {
    /* Here the firmware pays back, once for an order and amount, as its books have it. */
    printf("order %s: refunded %" PRId64 " fen\n", info->order_no, info->amount);
  }
  snprintf(result, sizeof result, "{\"RefundsNo\":\"RF-%.60s\",\"RefundsPrice\":%" PRId64 "}", info->order_no,
           info->amount);
  return kl_event_set_reply(event, 0, "SUCCESS", result, err) == KL_OK;
}

/* Does what the callback asks for. 1 if it is done and need not come again. */
static int act(kl_client *client, kl_event *event, kl_error *err) {
  const kl_event_info *info = kl_event_view(event);
  if (info->kind == KL_EVENT_KIND_REFUND_APPROVED) return refund(event, err);
  if (info->duplicate) {
    printf("%s for %s: seen before, answered again\n", info->method, info->order_no);
    return 1;
  }
  switch (info->kind) {
    case KL_EVENT_KIND_DOOR_CLOSED:
      printf("order %s: the door %s\n", info->order_no,
             info->door == KL_DOOR_STATE_NEVER_OPENED ? "never opened, nothing is charged" : "is shut");
      return 1;
    case KL_EVENT_KIND_RECOGNIZED:
    case KL_EVENT_KIND_ORDER_REPLACED:
      return settle(client, info);
    case KL_EVENT_KIND_ORDER_PAID:
    case KL_EVENT_KIND_DELIVERY:
      return book(client, info);
    case KL_EVENT_KIND_TEST:
      printf("the platform tries this address\n");
      return 1;
    default:
      printf("%s: taken, nothing to do\n", info->method);
      return 1;
  }
}

/* ---- As much HTTP as a callback needs -------------------------------------------------------------------------- */

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

static void answer(int fd, const char *status, const char *type, const char *body) {
  char head[200];
  const char *parts[2] = {head, body};
  int64_t deadline = now_ms() + REQUEST_MS;
  snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
           status, type, strlen(body));
  for (int i = 0; i < 2; i++) {
    for (size_t sent = 0, length = strlen(parts[i]); sent < length;) {
      if (!ready(fd, POLLOUT, deadline)) return;
      ssize_t n = send(fd, parts[i] + sent, length - sent, MSG_NOSIGNAL);
      if (n <= 0) return;
      sent += (size_t)n;
    }
  }
}

/* The value of Content-Length in the head, -1 if there is none or it is no length. */
static long content_length(const char *head) {
  for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
    if (strncasecmp(line + 2, "Content-Length:", 15) == 0) {
      char *end;
      long length = strtol(line + 17, &end, 10);
      return end != line + 17 && *end == '\r' && length >= 0 && length <= REQUEST_MAX ? length : -1;
    }
  }
  return -1;
}

/* Reads one request into buffer, which has room for REQUEST_MAX and a NUL. Sets where its body begins and how long it
 * is, and ends the head with a NUL. NULL if all is well, else the status to answer with. */
static const char *receive(int fd, char *buffer, char **body, size_t *length) {
  int64_t deadline = now_ms() + REQUEST_MS;
  size_t got = 0;
  char *end = NULL;
  long expected = 0;
  while (end == NULL || got < (size_t)(end - buffer) + (size_t)expected) {
    if (got == REQUEST_MAX) return "413 Content Too Large";
    if (!ready(fd, POLLIN, deadline)) return "408 Request Timeout";
    ssize_t n = recv(fd, buffer + got, REQUEST_MAX - got, 0);
    if (n <= 0) return "400 Bad Request";
    got += (size_t)n;
    buffer[got] = '\0';
    if (end == NULL && (end = strstr(buffer, "\r\n\r\n")) != NULL) {
      end += 4;
      if (strncmp(buffer, "POST ", 5) != 0) return "405 Method Not Allowed";
      end[-2] = '\0';
      if ((expected = content_length(buffer)) < 0) return "411 Length Required";
    }
  }
  *body = end;
  *length = (size_t)expected;
  return NULL;
}

/* Takes one connection, and answers the one request on it. */
static void serve(kl_client *client, int fd) {
  static char buffer[REQUEST_MAX + 1];
  char *body = NULL;
  size_t length = 0;
  const char *refused = receive(fd, buffer, &body, &length);
  if (refused != NULL) {
    printf("no callback: %s\n", refused);
    answer(fd, refused, "text/plain", "");
    return;
  }
  kl_error err = KL_ERROR_INIT;
  kl_event *event = NULL;
  const char *headers = strstr(buffer, "\r\n"); /* behind the request line */
  if (kl_event_parse(client, headers, (const uint8_t *)body, length, &event, &err) != KL_OK) {
    explain("refused", &err);
    switch (err.status) {
      case KL_E_EVENT_SIGNATURE:
      case KL_E_EVENT_TIME: answer(fd, "403 Forbidden", "text/plain", ""); break;
      case KL_E_EVENT: answer(fd, "400 Bad Request", "text/plain", ""); break;
      default: answer(fd, "500 Internal Server Error", "text/plain", ""); break;
    }
    return;
  }
  if (!act(client, event, &err)) {
    /* Any code but 0: come again. The repetition then is no duplicate. */
    if (kl_event_set_reply(event, 1, "NOT_YET", NULL, &err) != KL_OK) explain("the answer cannot be changed", &err);
  }
  answer(fd, "200 OK", "application/json", kl_event_reply(event));
  kl_event_free(event);
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
