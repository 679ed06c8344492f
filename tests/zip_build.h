/* zip_build.h - zip files made byte by byte for tests: stored entries whose names, sizes, checksums
 * and attributes can be anything. */
#ifndef FAB_TEST_ZIP_BUILD_H
#define FAB_TEST_ZIP_BUILD_H

#include <ftw.h>
#include <sys/stat.h>

#include "harness.h"

typedef struct zip_entry {
    const char *name;
    const char *text;          /* stored content; NULL: none */
    size_t bytes;              /* of the content; 0: text ends with a zero */
    uint32_t unix_mode;        /* 0: made on DOS */
    uint16_t flags, method;    /* flags bit 0: encrypted */
    uint32_t claimed_size;     /* 0: the true one */
    uint32_t crc_change;       /* xor-ed into the checksum */
    int same_as;               /* 1 + index of the entry whose bytes it shares; 0: its own */
} zip_entry;

typedef struct zip_bytes {
    uint8_t *data;
    size_t size;
} zip_bytes;

static inline void zip_put(zip_bytes *z, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) z->data[z->size++] = (uint8_t)(value >> (8 * i));
}

static inline void zip_put_text(zip_bytes *z, const void *text, size_t n)
{
    memcpy(z->data + z->size, text, n);
    z->size += n;
}

static inline uint32_t zip_crc(const char *text, size_t n)
{
    static uint32_t table[256];
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 0; !table[255] && i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        table[i] = c;
    }
    for (size_t i = 0; i < n; i++) crc = crc >> 8 ^ table[(crc ^ (uint8_t)text[i]) & 255];
    return ~crc;
}

static inline size_t zip_content_bytes(const zip_entry *e)
{
    return e->bytes ? e->bytes : e->text ? strlen(e->text) : 0;
}

/* The fields that local and central headers share, from "version needed" to "extra length". */
static inline void zip_put_common(zip_bytes *z, const zip_entry *e, const zip_entry *content)
{
    size_t n = zip_content_bytes(content);
    uint32_t crc = content->text ? zip_crc(content->text, n) : 0;
    zip_put(z, 20, 2);
    zip_put(z, e->flags, 2);
    zip_put(z, e->method, 2);
    zip_put(z, 0x5a210000, 4); /* 2025-01-01 */
    zip_put(z, crc ^ e->crc_change, 4);
    zip_put(z, (uint32_t)n, 4);
    zip_put(z, e->claimed_size ? e->claimed_size : (uint32_t)n, 4);
    zip_put(z, (uint32_t)strlen(e->name), 2);
    zip_put(z, 0, 2);
}

/* into has capacity for it all (512 bytes an entry and its text). */
static inline size_t zip_build(const zip_entry *e, size_t count, uint8_t *into)
{
    zip_bytes z = {into, 0};
    uint32_t at[4096] = {0};
    for (size_t i = 0; i < count; i++) {
        at[i] = e[i].same_as ? at[e[i].same_as - 1] : (uint32_t)z.size;
        if (e[i].same_as) continue;
        zip_put(&z, 0x04034b50, 4);
        zip_put_common(&z, &e[i], &e[i]);
        zip_put_text(&z, e[i].name, strlen(e[i].name));
        if (e[i].text) zip_put_text(&z, e[i].text, zip_content_bytes(&e[i]));
    }
    size_t start = z.size;
    for (size_t i = 0; i < count; i++) {
        zip_put(&z, 0x02014b50, 4);
        zip_put(&z, e[i].unix_mode ? 0x0314 : 0x0014, 2);
        zip_put_common(&z, &e[i], e[i].same_as ? &e[e[i].same_as - 1] : &e[i]);
        zip_put(&z, 0, 2); /* comment */
        zip_put(&z, 0, 2); /* disk */
        zip_put(&z, 0, 2); /* internal attributes */
        zip_put(&z, e[i].unix_mode << 16, 4);
        zip_put(&z, at[i], 4);
        zip_put_text(&z, e[i].name, strlen(e[i].name));
    }
    size_t size = z.size - start;
    zip_put(&z, 0x06054b50, 4);
    zip_put(&z, 0, 4);
    zip_put(&z, (uint32_t)count, 2);
    zip_put(&z, (uint32_t)count, 2);
    zip_put(&z, (uint32_t)size, 4);
    zip_put(&z, (uint32_t)start, 4);
    zip_put(&z, 0, 2);
    return z.size;
}

static int zip_seen_;

static inline int zip_count_one_(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)path, (void)st, (void)type;
    zip_seen_ += at->level > 0;
    return 0;
}

/* Files and folders below the folder. */
static inline int zip_folder_count(const char *folder)
{
    zip_seen_ = 0;
    CHECK(nftw(folder, zip_count_one_, 8, FTW_PHYS) == 0);
    return zip_seen_;
}

#endif
