/* text.c - decimal numbers without printf: locale-free, deterministic, and several times faster,
 * which matters when a 3MF or OBJ holds millions of them. */
#include <math.h>
#include <string.h>

#include "export_internal.h"

enum { DECIMALS = 6, SCALE = 1000000 };

size_t fab_export_put_count(char *into, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++) into[i] = digits[n - 1 - i];
    return n;
}

size_t fab_export_put_number(char *into, double value)
{
    double limited = value > 1e12 ? 1e12 : value < -1e12 ? -1e12 : value == value ? value : 0;
    int64_t fixed = llround(limited * SCALE);
    size_t n = 0;
    if (fixed < 0) into[n++] = '-';
    uint64_t size = fixed < 0 ? (uint64_t)-fixed : (uint64_t)fixed;
    n += fab_export_put_count(into + n, size / SCALE);
    uint64_t rest = size % SCALE;
    if (!rest) return n;
    into[n++] = '.';
    for (uint64_t unit = SCALE / 10; rest; unit /= 10) {
        into[n++] = (char)('0' + rest / unit);
        rest %= unit;
    }
    return n;
}
