/* Preloaded, it refuses memory. A program says by memory_arm(1) from where on pieces are counted, in all threads, and by
 * memory_arm(0) that no more are; MEMORY_REFUSE=<n> refuses the n-th, MEMORY_REFUSE=<n>+ all from the n-th on. memory_count() is how
 * many there were. Memory from mmap, as for stacks of threads, is not counted. */

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);

static atomic_int armed;
static atomic_long count;
static long first;
static int all;

void memory_arm(int on) {
  const char *rule = getenv("MEMORY_REFUSE");
  first = rule != NULL ? atol(rule) : 0;
  all = rule != NULL && strchr(rule, '+') != NULL;
  armed = on;
}

long memory_count(void) { return count; }

static int refused(void) {
  if (!armed) return 0;
  long n = atomic_fetch_add(&count, 1) + 1;
  if (first == 0 || n < first || (n > first && !all)) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) { return refused() ? NULL : __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return refused() ? NULL : __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { return refused() ? NULL : __libc_realloc(old, size); }
void *aligned_alloc(size_t align, size_t size) { return refused() ? NULL : __libc_memalign(align, size); }

int posix_memalign(void **out, size_t align, size_t size) {
  if (refused()) return ENOMEM;
  void *got = __libc_memalign(align, size);
  if (got == NULL) return ENOMEM;
  *out = got;
  return 0;
}
