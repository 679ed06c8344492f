/* meta.c - what stands before the data set: preamble, file meta information, and for the deflated
 * syntax the inflating of what follows.
 */
#include <string.h>
#include <zlib.h>

#include "worker.h"

#define PREAMBLE_BYTES 128u

static uint16_t u16_le(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32_le(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Length of one explicit-VR little-endian element's header and value, 0 if it does not fit. */
static size_t element_extent(const uint8_t *p, size_t room, size_t *value_offset, size_t *bytes)
{
    static const char long_forms[][3] = {"OB", "OW", "OF", "SQ", "UT", "UN", "OD", "OL", "UC"};
    if (room < 8) return 0;
    *value_offset = 8;
    *bytes = u16_le(p + 6);
    for (size_t i = 0; i < sizeof long_forms / sizeof long_forms[0]; i++) {
        if (memcmp(p + 4, long_forms[i], 2) != 0) continue;
        if (room < 12) return 0;
        *value_offset = 12;
        *bytes = u32_le(p + 8);
    }
    if (*bytes > room - *value_offset) return 0;
    return *value_offset + *bytes;
}

static void copy_uid(const uint8_t *value, size_t bytes, char uid[68])
{
    if (bytes > 67) bytes = 67;
    while (bytes > 0 && (value[bytes - 1] == 0 || value[bytes - 1] == ' ')) bytes--;
    memcpy(uid, value, bytes);
    uid[bytes] = 0;
}

/* Bytes without a preamble that start like a data set: group 0008, even element, either order. */
static bool looks_bare(const uint8_t *p, size_t size)
{
    if (size < 16) return false;
    bool little = u16_le(p) == 0x0008 && u16_le(p + 2) <= 0x0100;
    bool big = p[0] == 0 && p[1] == 8 && p[2] <= 1;
    return little || big;
}

fab_status fab_worker_meta(const uint8_t *bytes, size_t size, char uid[68], size_t *offset,
                           fab_error *err)
{
    uid[0] = 0;
    *offset = 0;
    if (size == 0) FAB_FAIL(err, FAB_ERR_FORMAT, "the file is empty (0 bytes)");
    size_t at = 0;
    bool magic = size >= PREAMBLE_BYTES + 4 && memcmp(bytes + PREAMBLE_BYTES, "DICM", 4) == 0;
    if (magic) at = PREAMBLE_BYTES + 4;
    else if (!(size >= 16 && u16_le(bytes) == 2 && u16_le(bytes + 2) <= 0x0102)) {
        if (looks_bare(bytes, size)) return FAB_OK;
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "not a DICOM file (no DICM at byte 128)");
    }
    while (at + 8 <= size && u16_le(bytes + at) == 2) {
        size_t value = 0, count = 0, extent = element_extent(bytes + at, size - at, &value, &count);
        if (extent == 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "the file meta information breaks off at byte %zu", at);
        if (u16_le(bytes + at + 2) == 0x0010) copy_uid(bytes + at + value, count, uid);
        at += extent;
    }
    *offset = at;
    if (at >= size) FAB_FAIL(err, FAB_ERR_FORMAT, "the file ends after %zu bytes, no data set", at);
    return FAB_OK;
}

fab_status fab_worker_inflate(const uint8_t *bytes, size_t size, size_t max_bytes, uint8_t **out,
                              size_t *count, fab_error *err)
{
    z_stream z = {0};
    if (size > UINT32_MAX) FAB_FAIL(err, FAB_ERR_LIMIT, "a deflated part of %zu bytes", size);
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to inflate");
    fab_buf into = {.max_bytes = max_bytes};
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)size;
    int state = Z_OK;
    fab_status s = FAB_OK;
    uint8_t part[16384];
    while (state == Z_OK && s == FAB_OK) {
        z.next_out = part;
        z.avail_out = sizeof part;
        state = inflate(&z, Z_NO_FLUSH);
        s = fab_buf_append(&into, part, sizeof part - z.avail_out, err);
        if (state == Z_OK && z.avail_in == 0 && z.avail_out > 0) state = Z_BUF_ERROR;
    }
    (void)inflateEnd(&z);
    if (s == FAB_OK && state != Z_STREAM_END)
        s = fab_error_set(err, FAB_ERR_FORMAT, "the deflated data is damaged or breaks off");
    if (s != FAB_OK) {
        fab_buf_free(&into);
        return s;
    }
    *out = into.data;
    *count = into.size;
    return FAB_OK;
}
