/* text.c - text of others: UTF-8 checked, and made fit for a terminal or a report. */
#include <string.h>

#include "fabrica/base.h"

const char *fab_plural(int64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

/* Second bytes that would make a sequence overlong, a surrogate or above U+10FFFF. */
static bool bad_second(const unsigned char *text)
{
    switch (text[0]) {
    case 0xE0: return text[1] < 0xA0;
    case 0xED: return text[1] > 0x9F;
    case 0xF0: return text[1] < 0x90;
    case 0xF4: return text[1] > 0x8F;
    default: return false;
    }
}

size_t fab_utf8_length(const char *utf8)
{
    static const struct { unsigned char mask, value, low, high; } rows[] = {
        {0x80, 0x00, 0, 0}, {0xE0, 0xC0, 0xC2, 0xDF}, {0xF0, 0xE0, 0xE0, 0xEF},
        {0xF8, 0xF0, 0xF0, 0xF4}};
    const unsigned char *text = (const unsigned char *)utf8;
    for (size_t more = 0; more < 4; more++) {
        if ((text[0] & rows[more].mask) != rows[more].value) continue;
        if (more && (text[0] < rows[more].low || text[0] > rows[more].high)) return 0;
        for (size_t i = 1; i <= more; i++)
            if ((text[i] & 0xC0) != 0x80) return 0;
        return more && bad_second(text) ? 0 : more + 1;
    }
    return 0;
}

bool fab_utf8_valid(const char *utf8)
{
    while (*utf8) {
        size_t n = fab_utf8_length(utf8);
        if (n == 0) return false;
        utf8 += n;
    }
    return true;
}

/* C0, DEL and C1: some terminals obey the last too, though it is two bytes of UTF-8. */
static bool is_control(const unsigned char *text)
{
    return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xC2 && text[1] < 0xA0);
}

char *fab_text_clean(const char *from, char instead, char *into, size_t capacity)
{
    size_t at = 0;
    while (from && *from) {
        size_t n = fab_utf8_length(from);
        bool plain = n > 0 && !is_control((const unsigned char *)from);
        size_t put = plain ? n : 1;
        if (at + put >= capacity) break;
        if (plain) memcpy(into + at, from, n);
        else into[at] = instead;
        at += put;
        from += n ? n : 1;
    }
    into[at] = 0;
    return into;
}
