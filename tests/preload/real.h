/* REAL(TYPE, NAME) in a function that stands before the system's: `real` is that one. TYPE declares it by that name. */

#include <dlfcn.h>

#define REAL(type, name) \
  type;                  \
  *(void **)&real = dlsym(RTLD_NEXT, name)
