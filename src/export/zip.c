/* zip.c - a small deterministic zip writer (PKWARE APPNOTE 6.3.10) on zlib's deflate: fixed date,
 * no extra fields, no data descriptors, no zip64. An entry is deflated into memory and written
 * when its sizes are known, which keeps every reader of OPC packages happy. */
#include <string.h>
#include <zlib.h>

#include "export_internal.h"

enum {
    LEVEL = 4, STAGE_BYTES = 1 << 16, MAX_ENTRIES = 16, MAX_ENTRY_NAME = 64,
    VERSION_NEEDED = 20, METHOD_DEFLATE = 8, DATE_1980_01_01 = 0x21
};

typedef struct zip_entry {
    char name[MAX_ENTRY_NAME];
    uint32_t crc, packed, unpacked, offset;
} zip_entry;

struct fab_zip {
    fab_writer *out;
    fab_writer entry_writer;
    z_stream stream;
    bool open;
    uint64_t unpacked, position;
    uint32_t crc;
    fab_buf packed;
    size_t count;
    zip_entry entries[MAX_ENTRIES];
    uint8_t stage[STAGE_BYTES];
};

static void *zip_alloc(void *opaque, unsigned count, unsigned size)
{
    (void)opaque;
    return fab_calloc(count, size);
}

static void zip_release(void *opaque, void *block)
{
    (void)opaque;
    fab_free(block);
}

fab_status fab_zip_create(fab_writer *w, fab_zip **out, fab_error *err)
{
    fab_zip *zip = fab_calloc(1, sizeof *zip);
    if (!zip) FAB_FAIL(err, FAB_ERR_NOMEM, "export: no memory for a zip writer");
    zip->out = w;
    zip->stream.zalloc = zip_alloc;
    zip->stream.zfree = zip_release;
    if (deflateInit2(&zip->stream, LEVEL, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        fab_free(zip);
        FAB_FAIL(err, FAB_ERR_NOMEM, "export: no memory for deflate");
    }
    *out = zip;
    return FAB_OK;
}

fab_zip *fab_zip_free(fab_zip *zip)
{
    if (!zip) return NULL;
    deflateEnd(&zip->stream);
    fab_buf_free(&zip->packed);
    return fab_free(zip);
}

/* Runs deflate until the input is used up (or, finishing, until the stream ended). */
static fab_status pump(fab_zip *zip, int flush, fab_error *err)
{
    int state;
    do {
        zip->stream.next_out = zip->stage;
        zip->stream.avail_out = sizeof zip->stage;
        state = deflate(&zip->stream, flush);
        size_t made = sizeof zip->stage - zip->stream.avail_out;
        FAB_TRY(fab_buf_append(&zip->packed, zip->stage, made, err));
    } while (flush == Z_FINISH ? state != Z_STREAM_END : zip->stream.avail_in != 0);
    return FAB_OK;
}

static fab_status entry_write(void *ctx, const void *bytes, size_t count, fab_error *err)
{
    fab_zip *zip = ctx;
    const uint8_t *from = bytes;
    zip->unpacked += count;
    while (count) {
        unsigned part = count > (1u << 30) ? 1u << 30 : (unsigned)count;
        zip->crc = (uint32_t)crc32(zip->crc, from, part);
        zip->stream.next_in = (unsigned char *)(uintptr_t)from;
        zip->stream.avail_in = part;
        FAB_TRY(pump(zip, Z_NO_FLUSH, err));
        from += part;
        count -= part;
    }
    return FAB_OK;
}

fab_status fab_zip_begin(fab_zip *zip, const char *name, fab_writer **entry, fab_error *err)
{
    if (zip->open || zip->count == MAX_ENTRIES || strlen(name) >= MAX_ENTRY_NAME)
        FAB_FAIL(err, FAB_ERR_ARG, "export: zip entry %s cannot be begun", name);
    deflateReset(&zip->stream);
    zip->open = true;
    zip->unpacked = 0;
    zip->crc = (uint32_t)crc32(0, NULL, 0);
    zip->packed.size = 0;
    zip_entry *e = &zip->entries[zip->count];
    memcpy(e->name, name, strlen(name) + 1);
    zip->entry_writer = (fab_writer){.ctx = zip, .write = entry_write};
    *entry = &zip->entry_writer;
    return FAB_OK;
}

/* The 26 bytes that local header and central directory have in common. */
static uint8_t *put_common(uint8_t *at, const zip_entry *e)
{
    at = fab_export_put_u16(at, VERSION_NEEDED);
    at = fab_export_put_u16(at, 0); /* flags */
    at = fab_export_put_u16(at, METHOD_DEFLATE);
    at = fab_export_put_u16(at, 0); /* time */
    at = fab_export_put_u16(at, DATE_1980_01_01);
    at = fab_export_put_u32(at, e->crc);
    at = fab_export_put_u32(at, e->packed);
    at = fab_export_put_u32(at, e->unpacked);
    at = fab_export_put_u16(at, (uint32_t)strlen(e->name));
    return fab_export_put_u16(at, 0); /* extra */
}

static fab_status put_out(fab_zip *zip, const void *bytes, size_t count, fab_error *err)
{
    zip->position += count;
    return fab_writer_write(zip->out, bytes, count, err);
}

fab_status fab_zip_end(fab_zip *zip, fab_error *err)
{
    zip_entry *e = &zip->entries[zip->count];
    FAB_TRY(pump(zip, Z_FINISH, err));
    uint64_t end = zip->position + 30 + strlen(e->name) + zip->packed.size;
    if (zip->unpacked > UINT32_MAX || end > UINT32_MAX)
        FAB_FAIL(err, FAB_ERR_LIMIT, "export: zip entry %s of %llu bytes, at most 4294967295 can "
                 "be written", e->name, (unsigned long long)zip->unpacked);
    e->crc = zip->crc;
    e->packed = (uint32_t)zip->packed.size;
    e->unpacked = (uint32_t)zip->unpacked;
    e->offset = (uint32_t)zip->position;
    uint8_t head[30];
    put_common(fab_export_put_u32(head, 0x04034B50), e);
    FAB_TRY(put_out(zip, head, sizeof head, err));
    FAB_TRY(put_out(zip, e->name, strlen(e->name), err));
    FAB_TRY(put_out(zip, zip->packed.data, zip->packed.size, err));
    zip->count++;
    zip->open = false;
    return FAB_OK;
}

fab_status fab_zip_finish(fab_zip *zip, fab_error *err)
{
    uint64_t start = zip->position;
    for (size_t i = 0; i < zip->count; i++) {
        const zip_entry *e = &zip->entries[i];
        uint8_t head[46] = {0}, *at = fab_export_put_u32(head, 0x02014B50);
        at = put_common(fab_export_put_u16(at, VERSION_NEEDED), e);
        fab_export_put_u32(at + 10, e->offset); /* comment, disk, attributes stay 0 */
        FAB_TRY(put_out(zip, head, sizeof head, err));
        FAB_TRY(put_out(zip, e->name, strlen(e->name), err));
    }
    uint8_t tail[22] = {0};
    fab_export_put_u32(tail, 0x06054B50);
    fab_export_put_u16(tail + 8, (uint32_t)zip->count);
    fab_export_put_u16(tail + 10, (uint32_t)zip->count);
    fab_export_put_u32(tail + 12, (uint32_t)(zip->position - start));
    fab_export_put_u32(tail + 16, (uint32_t)start);
    return put_out(zip, tail, sizeof tail, err);
}
