/* text.c - strings and UIDs: character sets, UIDs derived by hash, notes in fixed rooms. */
#include <iconv.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dicom_internal.h"

#define END(member) h->member[sizeof h->member - 1] = 0

void fab_dicom_header_terminate(fab_wire_header *h)
{
    END(charset); END(patient_id); END(patient_name); END(patient_sex); END(birth_date);
    END(study_uid); END(series_uid); END(frame_uid); END(sop_class); END(sop_instance);
    END(transfer_syntax); END(study_date); END(study_time); END(study_id); END(accession);
    END(study_description); END(modality); END(series_description); END(manufacturer);
    END(body_part); END(kernel); END(image_type); END(photometric); END(series_date);
    END(series_time); END(protocol);
}

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80 || *text == 0x1b) return false;
    return true;
}

/* ---- ISO 2022 of Japan, Korea and China, which DCMTK over glibc does not know ------------ */

typedef struct iso2022 {
    const char *term;    /* in Specific Character Set */
    const char *escape;  /* taken out first; NULL: iconv reads the escapes itself */
    const char *encoding;
} iso2022;

/* PS3.3 C.12.1.1.2; the Korean and Chinese sets are eight bits wide once their escape is gone */
static const iso2022 multi_byte[] = {
    {"ISO 2022 IR 87", NULL, "ISO-2022-JP-2"},
    {"ISO 2022 IR 159", NULL, "ISO-2022-JP-2"},
    {"ISO 2022 IR 149", "\x1b$)C", "EUC-KR"},
    {"ISO 2022 IR 58", "\x1b$)A", "GB2312"},
    {"ISO_IR 13", NULL, "JIS_X0201"},
    {"ISO 2022 IR 13", NULL, "JIS_X0201"},
};

static void copy_without(const char *raw, const char *escape, char *into, size_t capacity)
{
    size_t at = 0, n = escape ? strlen(escape) : 0;
    while (*raw && at + 1 < capacity) {
        if (n > 0 && strncmp(raw, escape, n) == 0) raw += n;
        else into[at++] = *raw++;
    }
    into[at] = 0;
}

static bool convert_iso2022(const char *charset, const char *raw, char *into, size_t capacity)
{
    char plain[1024];
    for (size_t i = 0; i < sizeof multi_byte / sizeof multi_byte[0]; i++) {
        if (!strstr(charset, multi_byte[i].term)) continue;
        iconv_t cd = iconv_open("UTF-8", multi_byte[i].encoding);
        if (cd == (iconv_t)-1) continue;
        copy_without(raw, multi_byte[i].escape, plain, sizeof plain);
        char *in = plain, *out = into;
        size_t in_left = strlen(plain), out_left = capacity - 1;
        bool fine = iconv(cd, &in, &in_left, &out, &out_left) != (size_t)-1;
        iconv_close(cd);
        *out = 0;
        if (fine) return true;
    }
    return false;
}

void fab_dicom_text(const char *charset, const char *raw, char *into, size_t capacity)
{
    char utf8[4096];
    bool is_utf8 = strstr(charset, "ISO_IR 192") != NULL;
    if (!is_ascii(raw) && !is_utf8 && charset[0] &&
        (fab_dicom_charset_convert(charset, raw, utf8, sizeof utf8) ||
         convert_iso2022(charset, raw, utf8, sizeof utf8))) {
        fab_text_clean(utf8, '?', into, capacity);
        return;
    }
    fab_text_clean(raw, '?', into, capacity);
}

bool fab_dicom_uid_valid(const char *uid)
{
    size_t n = strlen(uid);
    return n > 0 && n <= 64 && strspn(uid, "0123456789.") == n && uid[0] != '.';
}

/* Decimal digits of a 128-bit number, big-endian bytes. */
static void decimal(const uint8_t bytes[16], char *into)
{
    uint32_t word[4];
    char digits[48];
    int count = 0;
    for (int i = 0; i < 4; i++)
        word[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 |
                  (uint32_t)bytes[4 * i + 2] << 8 | bytes[4 * i + 3];
    do {
        uint64_t rest = 0;
        for (int i = 0; i < 4; i++) {
            uint64_t v = rest << 32 | word[i];
            word[i] = (uint32_t)(v / 10);
            rest = v % 10;
        }
        digits[count++] = (char)('0' + rest);
    } while (word[0] | word[1] | word[2] | word[3]);
    while (count > 0) *into++ = digits[--count];
    *into = 0;
}

void fab_dicom_uid_derive(char into[FAB_UID_BYTES], const char *kind, const char *seed,
                          int64_t number)
{
    fab_sha256 h;
    uint8_t digest[32];
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, number);
    fab_sha256_init(&h);
    fab_sha256_update(&h, "fabrica-uid-1", 14);
    fab_sha256_update(&h, kind, strlen(kind) + 1);
    fab_sha256_update(&h, seed, strlen(seed) + 1);
    fab_sha256_update(&h, text, strlen(text) + 1);
    fab_sha256_final(&h, digest);
    digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x80);
    digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
    memcpy(into, "2.25.", 5);
    decimal(digest, into + 5);
}

void fab_dicom_note(char *list, size_t capacity, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t used = strlen(list);
    int n = snprintf(list + used, capacity - used, "%s%s", used ? "; " : "", text);
    if (n > 0 && (size_t)n >= capacity - used && capacity > 4)
        memcpy(list + capacity - 4, "...", 4);
}
