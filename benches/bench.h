/* What the two libraries are asked to do, so that one program can measure either. */

#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

struct setup {
  const char *url;       /* up to the platform's prefix, as in base_url */
  const char *ca_file;   /* empty: kiosklink's built-in roots */
  const char *app_id;
  const char *secret;
  const char *cabinet;
  const char *state_dir; /* empty: none */
  int64_t from, to;      /* of the orders */
};

/* All answer a number of items, or -1 when they said on stderr what is wrong. */
long make_client(const struct setup *s);
long ping(void);
long stock_page(void);           /* the first hundred */
long stock_all(void);            /* page by page, one in memory */
long stock_whole(void);          /* everything in memory at once; only kiosklink has a call for that */
long orders(void);               /* page by page, one in memory */
long open_door(long number);     /* that of a generated cabinet */

const char *library(void);       /* its name and version */
/* How often commands were synced to the disk, how long all of that and the last one took, and how many done names are
 * remembered; zeroes without state_dir. */
struct journal {
  int64_t syncs, sync_us, sync_last_us, names;
};
void read_journal(struct journal *journal);

/* What was read of the items goes in here, so that no reading is left out. */
extern _Thread_local int64_t checksum;

#endif
