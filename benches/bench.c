/* Does one kind of work so many times over one client, and prints what it took as a line of JSON.
 *
 *   bench work=ping calls=10 url=... ca=... id=... secret=... [cabinet=] [state=] [from=] [to=] [first=] [start=] [threads=]
 *         [idle=1] [quiet=1]
 *
 * start= is CLOCK_MONOTONIC in nanoseconds when the process was started, first= the number of the first cabinet.
 * threads= divides the calls but the first among so many. idle=1 stays, with a line on stdout, until stdin ends.
 * quiet=1 ends at the last answer, with nothing printed or freed: for counting instructions.
 *
 * Exit: 0 done, 1 not done, 64 wrong use. */

#include "bench.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Thread_local int64_t checksum;

static int64_t now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A line of /proc/self/status in kB. */
static long status_kb(const char *name) {
  char line[256];
  long kb = -1;
  FILE *f = fopen("/proc/self/status", "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL) {
    if (strncmp(line, name, strlen(name)) == 0) kb = strtol(line + strlen(name) + 1, NULL, 10);
  }
  if (f != NULL) fclose(f);
  return kb;
}

static int by_size(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static long once(const char *work, long number) {
  if (strcmp(work, "ping") == 0) return ping();
  if (strcmp(work, "stock") == 0) return stock_page();
  if (strcmp(work, "stock-all") == 0) return stock_all();
  if (strcmp(work, "stock-whole") == 0) return stock_whole();
  if (strcmp(work, "orders") == 0) return orders();
  if (strcmp(work, "door") == 0) return open_door(number);
  if (strcmp(work, "client") == 0) return 0;
  fprintf(stderr, "there is no work %s\n", work);
  return -1;
}

/* Every call but the first: what callgrind is told to look at. */
__attribute__((noinline)) static long again(const char *work, long number) { return once(work, number); }

struct part {
  pthread_t thread;
  const char *work;
  long first, calls, items;
};

static void *do_part(void *user) {
  struct part *part = user;
  for (long i = 0; i < part->calls; i++) {
    long more = again(part->work, part->first + i);
    if (more < 0) {
      part->items = -1;
      break;
    }
    part->items += more;
  }
  return NULL;
}

/* The calls of several threads at once; how many items they read, or -1. */
static long divided(const char *work, long first, long calls, long threads) {
  struct part parts[64] = {{0}};
  long items = 0;
  if (threads > 64) return -1;
  for (long i = 0; i < threads; i++) {
    parts[i].work = work;
    parts[i].first = first + i * (calls / threads);
    parts[i].calls = calls / threads;
    if (pthread_create(&parts[i].thread, NULL, do_part, &parts[i]) != 0) return -1;
  }
  for (long i = 0; i < threads; i++) {
    pthread_join(parts[i].thread, NULL);
    items = items < 0 || parts[i].items < 0 ? -1 : items + parts[i].items;
  }
  return items;
}

static const char *given(int argc, char **argv, const char *name) {
  size_t length = strlen(name);
  for (int i = 1; i < argc; i++) {
    if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=') return argv[i] + length + 1;
  }
  return "";
}

int main(int argc, char **argv) {
  struct setup s = {
    .url = given(argc, argv, "url"), .ca_file = given(argc, argv, "ca"), .app_id = given(argc, argv, "id"),
    .secret = given(argc, argv, "secret"), .cabinet = given(argc, argv, "cabinet"),
    .state_dir = given(argc, argv, "state"), .from = strtoll(given(argc, argv, "from"), NULL, 10),
    .to = strtoll(given(argc, argv, "to"), NULL, 10),
  };
  const char *work = given(argc, argv, "work");
  long calls = strtol(given(argc, argv, "calls"), NULL, 10);
  long cabinet = strtol(given(argc, argv, "first"), NULL, 10);
  int64_t start = strtoll(given(argc, argv, "start"), NULL, 10);
  if (calls < 1) {
    fprintf(stderr, "use: bench work=... calls=... url=... ca=... id=... secret=...\n");
    return 64;
  }
  int64_t *took = calloc((size_t)calls, sizeof *took);
  if (took == NULL || make_client(&s) < 0) return 1;

  long items = once(work, cabinet);
  if (items < 0) return 1;
  int64_t first = now(CLOCK_MONOTONIC), first_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
  long kb = status_kb("VmHWM"), threads = strtol(given(argc, argv, "threads"), NULL, 10);
  int64_t before = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), cpu_before = cpu, cpu_most = 0;
  if (threads > 0) {
    long more = divided(work, cabinet + 1, calls - 1, threads);
    if (more < 0) return 1;
    items += more;
  }
  for (long i = 1; i < calls && threads == 0; i++) {
    long more = again(work, cabinet + i);
    if (more < 0) return 1;
    items += more;
    int64_t after = now(CLOCK_MONOTONIC), cpu_after = now(CLOCK_PROCESS_CPUTIME_ID);
    took[i - 1] = after - before;
    if (cpu_after - cpu_before > cpu_most) cpu_most = cpu_after - cpu_before;
    before = after;
    cpu_before = cpu_after;
  }
  cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  if (strcmp(given(argc, argv, "quiet"), "1") == 0) _exit(0);

  if (strcmp(given(argc, argv, "idle"), "1") == 0) {
    puts("idle");
    fflush(stdout);
    (void)getchar();
  }

  long warm = calls - 1;
  struct journal journal = {0};
  read_journal(&journal);
  qsort(took, (size_t)warm, sizeof *took, by_size);
  printf("{\"library\":\"%s\",\"items\":%ld,\"checksum\":%" PRId64 ",\"first_ns\":%" PRId64 ",\"first_cpu_ns\":%" PRId64
         ",\"first_kb\":%ld,\"warm_ns\":%" PRId64 ",\"warm_cpu_ns\":%" PRId64 ",\"cpu_most_ns\":%" PRId64,
         library(), items, checksum, first - start, first_cpu, kb, warm > 0 ? took[warm / 2] : 0, warm > 0 ? cpu / warm : 0,
         cpu_most);
  printf(",\"peak_kb\":%ld,\"anon_kb\":%ld,\"syncs\":%" PRId64 ",\"sync_us\":%" PRId64 ",\"sync_last_us\":%" PRId64
         ",\"names\":%" PRId64 "}\n",
         status_kb("VmHWM"), status_kb("RssAnon"), journal.syncs, journal.sync_us, journal.sync_last_us, journal.names);
  fflush(stdout);
  _exit(0);
}
