/*
 * Decimal digits to text, for the hot loops that write millions of numbers and instants: eight
 * digits at once, or two a step out of a table. Inside of core only; nothing here writes a NUL.
 */
#ifndef PERIODCLOSE_CORE_DIGITS_H
#define PERIODCLOSE_CORE_DIGITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern const char digits_pairs[201];    /* "000102…99" */
extern const uint64_t digits_power[20]; /* 10^0 … 10^19 */

static inline void digits_write_pair(char *at, uint64_t value) {
    memcpy(at, digits_pairs + value * 2, 2);
}

/* The first numbers of more than four and of more than eight digits. */
enum { DIGITS_FOUR = 10000, DIGITS_EIGHT = 100000000 };

#define DIGITS_ZEROS UINT64_C(0x3030303030303030)

/*
 * The eight digits of a number as the bytes of a word, the first in the lowest: the value is halved
 * into lanes of four, two and one digits, each by a multiplication that divides all lanes together
 * (by 100, then by 10).
 */
static inline uint64_t digits_of_eight(uint32_t value) {
    uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
    uint64_t hundreds = fours * 10486 >> 20 & UINT64_C(0x0000007f0000007f);
    uint64_t twos = hundreds | (fours - hundreds * 100) << 16;
    uint64_t tens = twos * 103 >> 10 & UINT64_C(0x000f000f000f000f);
    return tens | (twos - tens * 10) << 8;
}

/* Eight digits at once, zeros in front. */
static inline void digits_write_eight(char *at, uint32_t value) {
    uint64_t digits = digits_of_eight(value) + DIGITS_ZEROS;
    memcpy(at, &digits, sizeof digits);
}

/* No zeros in front, "0" for zero; value < DIGITS_FOUR. Returns the end; three bytes behind it may
 * be written over. */
static inline char *digits_write_up_to_four(char *at, uint32_t value) {
    unsigned zeros = 3u - (value >= 10) - (value >= 100) - (value >= 1000);
    char digits[4];
    uint32_t word;
    digits_write_pair(digits, value / 100);
    digits_write_pair(digits + 2, value % 100);
    memcpy(&word, digits, sizeof word);
    word >>= zeros * 8;
    memcpy(at, &word, sizeof word);
    return at + 4 - zeros;
}

/* No zeros in front, "0" for zero; value < DIGITS_EIGHT. Returns the end; seven bytes behind it may
 * be written over. */
static inline char *digits_write_up_to_eight(char *at, uint32_t value) {
    uint64_t digits = digits_of_eight(value);
    /* The last digit counts as one even if it is zero. */
    unsigned zeros = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8;
    digits = (digits + DIGITS_ZEROS) >> (zeros * 8);
    memcpy(at, &digits, sizeof digits);
    return at + 8 - zeros;
}

/* Exactly count digits, zeros in front; value has no more. Returns the end. */
static inline char *digits_write_fixed(char *at, uint64_t value, size_t count) {
    char *end = at + count;
    char *writing = end;
    for (; count >= 8; count -= 8) {
        writing -= 8;
        digits_write_eight(writing, (uint32_t)(value % 100000000));
        value /= 100000000;
    }
    for (; count >= 2; count -= 2) {
        writing -= 2;
        digits_write_pair(writing, value % 100);
        value /= 100;
    }
    if (count == 1) {
        *at = (char)('0' + value % 10);
    }
    return end;
}

static inline size_t digits_count(uint64_t value) {
    /* 1233 / 4096 is a hair above log10(2): right, or one too many, which the table tells. */
    size_t bits = 64 - (size_t)__builtin_clzll(value | 1);
    size_t guess = bits * 1233 >> 12;
    return guess + (value >= digits_power[guess]) + (value == 0);
}

/* The same for any value; most are small. */
static inline char *digits_write(char *at, uint64_t value) {
    if (value < DIGITS_FOUR) {
        return digits_write_up_to_four(at, (uint32_t)value);
    }
    if (value < DIGITS_EIGHT) {
        return digits_write_up_to_eight(at, (uint32_t)value);
    }
    uint64_t high = value / DIGITS_EIGHT;
    if (high < DIGITS_EIGHT) {
        at = digits_write_up_to_eight(at, (uint32_t)high);
    } else {
        at = digits_write_up_to_eight(at, (uint32_t)(high / DIGITS_EIGHT));
        digits_write_eight(at, (uint32_t)(high % DIGITS_EIGHT));
        at += 8;
    }
    digits_write_eight(at, (uint32_t)(value % DIGITS_EIGHT));
    return at + 8;
}

#endif
