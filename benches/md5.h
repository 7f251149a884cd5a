/* MD5 (RFC 1321), for the programs that measure. */

#ifndef MD5_H
#define MD5_H

#include <stdint.h>
#include <string.h>

struct md5 {
  uint32_t state[4];
  uint64_t length;
  unsigned char block[64];
};

static const uint32_t md5_sines[64] = {
  0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
  0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
  0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
  0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
  0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
  0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
  0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
  0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static inline uint32_t md5_turn(uint32_t x, unsigned n) { return x << n | x >> (32 - n); }

static void md5_block(struct md5 *m, const unsigned char *p) {
  static const unsigned char turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  uint32_t x[16], a = m->state[0], b = m->state[1], c = m->state[2], d = m->state[3];
  for (int i = 0; i < 16; i++)
    x[i] = (uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 | (uint32_t)p[4 * i + 2] << 16 | (uint32_t)p[4 * i + 3] << 24;
  for (unsigned i = 0; i < 64; i++) {
    uint32_t f;
    unsigned k;
    switch (i / 16) {
      case 0: f = (b & c) | (~b & d), k = i; break;
      case 1: f = (d & b) | (~d & c), k = 5 * i + 1; break;
      case 2: f = b ^ c ^ d, k = 3 * i + 5; break;
      default: f = c ^ (b | ~d), k = 7 * i;
    }
    uint32_t next = b + md5_turn(a + f + md5_sines[i] + x[k % 16], turns[i / 16][i % 4]);
    a = d, d = c, c = b, b = next;
  }
  m->state[0] += a, m->state[1] += b, m->state[2] += c, m->state[3] += d;
}

static void md5_begin(struct md5 *m) {
  static const uint32_t start[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  memcpy(m->state, start, sizeof start);
  m->length = 0;
}

static void md5_add(struct md5 *m, const void *data, size_t length) {
  const unsigned char *p = data;
  while (length > 0) {
    size_t at = m->length % 64, take = 64 - at < length ? 64 - at : length;
    memcpy(m->block + at, p, take);
    m->length += take;
    p += take;
    length -= take;
    if (at + take == 64) md5_block(m, m->block);
  }
}

/* In lower-case hex, with its end. */
static void md5_end(struct md5 *m, char out[33]) {
  uint64_t bits = m->length * 8;
  unsigned char tail[8];
  for (int i = 0; i < 8; i++) tail[i] = (unsigned char)(bits >> (8 * i));
  md5_add(m, "\x80", 1);
  while (m->length % 64 != 56) md5_add(m, "", 1);
  md5_add(m, tail, 8);
  for (int i = 0; i < 16; i++) {
    unsigned byte = m->state[i / 4] >> (8 * (i % 4)) & 255;
    out[2 * i] = "0123456789abcdef"[byte >> 4];
    out[2 * i + 1] = "0123456789abcdef"[byte & 15];
  }
  out[32] = '\0';
}

#endif
