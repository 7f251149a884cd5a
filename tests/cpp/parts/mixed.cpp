// One half of a program: compiled twice, with exceptions and without, and linked into one. Each half keeps its own classes.
//   mixed   (needs no platform)

#include <kiosklink.hpp>

#include <cstdio>
#include <cstring>

#if KIOSKLINK_EXCEPTIONS
#define HALF throwing
#define OTHER bare
#else
#define HALF bare
#define OTHER throwing
#endif

// What a part of a program offers to another. Defined by the half that throws, asked for by the other with -DCROSS.
int status_of(const kiosklink::Error &err);

namespace {

// As a program does that was compiled with an older, shorter header: the end of its kl_error is not there to be read.
bool takes_what_is_there() {
  struct {
    kl_error raw;
    char behind[4];
  } small = {KL_ERROR_INIT, {'x', 'y', 'z', 0}};
  small.raw.status = KL_E_DNS;
  std::memset(small.raw.message, 'm', sizeof small.raw.message - 1);
  small.raw.struct_size = static_cast<std::uint32_t>(offsetof(kl_error, message));
  kiosklink::Error shorter(small.raw);
  small.raw.struct_size = 0;
  kiosklink::Error first(small.raw);
  small.raw.struct_size = 4096;
  kiosklink::Error longer(small.raw);
  return shorter.status() == KL_E_DNS && shorter.message()[0] == '\0' && shorter.raw()->struct_size == sizeof(kl_error) &&
         first.message()[0] == 'm' && longer.message()[0] == 'm' && longer.raw()->struct_size == sizeof(kl_error);
}

}  // namespace

int HALF() {
  kiosklink::Error err;
  kiosklink::Client nobody;
  nobody.ping(err);
  if (err.status() != KL_E_NULL || !takes_what_is_there()) return 1;
#if KIOSKLINK_EXCEPTIONS
  try {
    nobody.ping();
  } catch (const kiosklink::Error &thrown) {
    return thrown.status() == KL_E_NULL ? 0 : 2;
  }
  return 3;
#else
  return 0;
#endif
}

#if KIOSKLINK_EXCEPTIONS
int status_of(const kiosklink::Error &err) { return err.status(); }
#elif defined(CROSS)
int crossed() { return status_of(kiosklink::Error()); }
#endif

#if KIOSKLINK_EXCEPTIONS
int OTHER();
int main() {
  int bad = HALF() * 10 + OTHER();
  std::puts(bad == 0 ? "no fault" : "fault");
  return bad;
}
#endif
