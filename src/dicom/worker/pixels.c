/* pixels.c - finds Pixel Data (7FE0,0010), its fragments and frames, and turns one frame into
 * stored values. PS3.5 A.4 (encapsulated), 8.1.1 (native cells), C.7.6.3.1.
 *
 *   native        | frame 0 | frame 1 | ...            bit-packed frames have no padding between
 *   encapsulated  | item: offset table | item | item | ... | sequence delimiter
 */
#include <inttypes.h>
#include <string.h>

#include "worker.h"

typedef struct element {
    uint16_t group, number;
    bool words;
    size_t value;
    uint64_t bytes; /* UINT32_MAX: undefined */
} element;

static uint16_t u16_of(const uint8_t *p, bool big)
{
    return (uint16_t)(big ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

static uint32_t u32_of(const uint8_t *p, bool big)
{
    uint32_t a = u16_of(p, big), b = u16_of(p + 2, big);
    return big ? a << 16 | b : b << 16 | a;
}

/* Header of the element at `at` of the data set. False if the bytes end first. */
static bool read_element(const fab_worker_file *f, size_t at, element *e)
{
    const uint8_t *p = f->data + at;
    bool big = f->header.big_endian != 0;
    if (at > f->data_size || f->data_size - at < 12) return false;
    e->group = u16_of(p, big);
    e->number = u16_of(p + 2, big);
    e->words = true;
    if (f->implicit_vr) {
        e->bytes = u32_of(p + 4, big);
        e->value = at + 8;
        return true;
    }
    /* everything in group 7FE0 has a VR of the long form (OB OW OF OD OV UL is short) */
    bool short_form = memcmp(p + 4, "UL", 2) == 0 || memcmp(p + 4, "US", 2) == 0;
    e->words = memcmp(p + 4, "OB", 2) != 0;
    e->bytes = short_form ? u16_of(p + 6, big) : u32_of(p + 8, big);
    e->value = at + (short_form ? 8u : 12u);
    return true;
}

/* Walks group 7FE0 from f->pixel_offset to the Pixel Data element. */
static fab_status locate(fab_worker_file *f, fab_error *err)
{
    element e;
    size_t at = f->pixel_offset;
    for (int guard = 0; guard < 16 && read_element(f, at, &e); guard++) {
        if (e.group != 0x7fe0 || e.number > 0x0010) break;
        if (e.number == 0x0010) {
            f->pixel_words = e.words;
            f->pixel_offset = e.value;
            f->encapsulated = e.bytes == UINT32_MAX;
            f->pixel_bytes = f->encapsulated ? f->data_size - e.value : (size_t)e.bytes;
            if (f->pixel_bytes > f->data_size - e.value)
                FAB_FAIL(err, FAB_ERR_FORMAT,
                         "the file is truncated: Pixel Data (7FE0,0010) says %zu bytes, %zu are "
                         "there", f->pixel_bytes, f->data_size - e.value);
            return FAB_OK;
        }
        if (e.bytes > f->data_size - e.value) break;
        at = e.value + (size_t)e.bytes;
    }
    FAB_FAIL(err, FAB_ERR_FORMAT, "there is no Pixel Data (7FE0,0010); the file may be truncated");
}

/* Checks the cell description against what we read. */
static fab_status check_cells(const fab_wire_header *h, fab_error *err)
{
    if (h->rows == 0 || h->columns == 0 || h->rows > FAB_MAX_DIM || h->columns > FAB_MAX_DIM)
        FAB_FAIL(err, FAB_ERR_LIMIT,
                 "Rows (0028,0010) x Columns (0028,0011) is %u x %u; 1 to %d are read", h->rows,
                 h->columns, FAB_MAX_DIM);
    if (h->samples != 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "Samples per Pixel (0028,0002) is %u; only 1 is read",
                 h->samples);
    if (strncmp(h->photometric, "MONOCHROME", 10) != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
                 "Photometric Interpretation (0028,0004) is \"%s\"; only MONOCHROME1 and "
                 "MONOCHROME2 are read", h->photometric);
    bool known = h->bits_allocated == 1 || h->bits_allocated == 8 || h->bits_allocated == 16;
    if (!known)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "Bits Allocated (0028,0100) is %u; 1, 8 and 16 are read",
                 h->bits_allocated);
    if (h->bits_stored < 1 || h->bits_stored > h->bits_allocated ||
        h->high_bit >= h->bits_allocated || h->high_bit + 1 < h->bits_stored || h->is_signed > 1)
        FAB_FAIL(err, FAB_ERR_FORMAT,
                 "Bits Stored (0028,0101) %u, High Bit (0028,0102) %u and Pixel Representation "
                 "(0028,0103) %u contradict Bits Allocated %u",
                 h->bits_stored, h->high_bit, h->is_signed, h->bits_allocated);
    return FAB_OK;
}

size_t fab_worker_frame_bytes(const fab_wire_header *h)
{
    size_t cells = (size_t)h->rows * h->columns;
    return h->bits_allocated == 1 ? (cells + 7) / 8 : cells * (h->bits_allocated / 8u);
}

static fab_status check_native(const fab_worker_file *f, fab_error *err)
{
    const fab_wire_header *h = &f->header;
    uint64_t bits = (uint64_t)h->rows * h->columns * h->bits_allocated * h->frames;
    uint64_t need = (bits + 7) / 8;
    if (need > f->pixel_bytes)
        FAB_FAIL(err, FAB_ERR_FORMAT,
                 "Pixel Data (7FE0,0010) has %zu bytes; %u x %u x %u %s of %u bits need "
                 "%" PRIu64, f->pixel_bytes, h->columns, h->rows, h->frames,
                 fab_plural(h->frames, "frame", "frames"), h->bits_allocated, need);
    return FAB_OK;
}

/* Counts the items from the first fragment on; fills f->fragments when it is not NULL. */
static fab_status walk_items(fab_worker_file *f, size_t at, size_t *count, fab_error *err)
{
    size_t n = 0;
    while (f->data_size - at >= 8) {
        uint32_t tag =
            (uint32_t)u16_of(f->data + at, false) << 16 | u16_of(f->data + at + 2, false);
        uint32_t bytes = u32_of(f->data + at + 4, false);
        if (tag == 0xfffee0ddu) break;
        if (tag != 0xfffee000u)
            FAB_FAIL(err, FAB_ERR_FORMAT,
                     "the compressed Pixel Data (7FE0,0010) is damaged at fragment %zu", n + 1);
        if (bytes > f->data_size - at - 8)
            FAB_FAIL(err, FAB_ERR_FORMAT,
                     "the file is truncated: fragment %zu of Pixel Data (7FE0,0010) says %u bytes, "
                     "%zu are there", n + 1, bytes, f->data_size - at - 8);
        if (f->fragments) f->fragments[n] = (struct fab_fragment){at + 8, bytes};
        n++;
        at += 8 + (size_t)bytes;
    }
    *count = n;
    return FAB_OK;
}

/* Frame starts from the Basic Offset Table: offsets count from the first fragment's item tag. */
static bool frames_from_table(fab_worker_file *f, const uint8_t *table, size_t entries,
                              size_t first_item)
{
    if (entries != f->header.frames) return false;
    size_t fragment = 0;
    for (uint32_t i = 0; i < f->header.frames; i++) {
        size_t wanted = first_item + u32_of(table + 4u * i, false) + 8;
        while (fragment < f->fragment_count && f->fragments[fragment].offset < wanted) fragment++;
        if (fragment == f->fragment_count || f->fragments[fragment].offset != wanted) return false;
        f->first_fragment[i] = (uint32_t)fragment;
    }
    f->first_fragment[f->header.frames] = (uint32_t)f->fragment_count;
    return f->first_fragment[0] == 0;
}

static fab_status assign_frames(fab_worker_file *f, size_t table, uint32_t table_bytes,
                                fab_error *err)
{
    uint32_t frames = f->header.frames;
    f->first_fragment = fab_calloc((size_t)frames + 1, sizeof *f->first_fragment);
    if (!f->first_fragment) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u frames", frames);
    if (f->fragment_count == frames || frames == 1) {
        for (uint32_t i = 0; i < frames; i++) f->first_fragment[i] = i;
        f->first_fragment[frames] = (uint32_t)f->fragment_count;
        return FAB_OK;
    }
    if (frames_from_table(f, f->data + table, table_bytes / 4, table + table_bytes)) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_FORMAT,
             "%zu %s cannot be given to %u %s (no usable Basic Offset Table)", f->fragment_count,
             fab_plural((int64_t)f->fragment_count, "fragment", "fragments"), frames,
             fab_plural(frames, "frame", "frames"));
}

static fab_status find_fragments(fab_worker_file *f, fab_error *err)
{
    size_t at = f->pixel_offset, count = 0;
    if (f->data_size - at < 8 || u16_of(f->data + at, false) != 0xfffe ||
        u16_of(f->data + at + 2, false) != 0xe000)
        FAB_FAIL(err, FAB_ERR_FORMAT, "the compressed Pixel Data (7FE0,0010) has no offset table");
    uint32_t table_bytes = u32_of(f->data + at + 4, false);
    if (table_bytes > f->data_size - at - 8)
        FAB_FAIL(err, FAB_ERR_FORMAT, "the file is truncated inside the Basic Offset Table");
    size_t table = at + 8, first = table + table_bytes;
    FAB_TRY(walk_items(f, first, &count, err));
    if (count == 0 || count > UINT32_MAX / 2)
        FAB_FAIL(err, FAB_ERR_FORMAT, "the compressed Pixel Data (7FE0,0010) has %zu fragments",
                 count);
    f->fragments = fab_alloc_array(count, sizeof *f->fragments);
    if (!f->fragments) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu fragments", count);
    FAB_TRY(walk_items(f, first, &f->fragment_count, err));
    return assign_frames(f, table, table_bytes, err);
}

fab_status fab_worker_find_pixels(fab_worker_file *f, fab_error *err)
{
    FAB_TRY(check_cells(&f->header, err));
    FAB_TRY(locate(f, err));
    bool native = f->syntax->kind == FAB_SYNTAX_NATIVE || f->syntax->kind == FAB_SYNTAX_DEFLATED;
    if (native == f->encapsulated)
        FAB_FAIL(err, FAB_ERR_FORMAT, "Pixel Data (7FE0,0010) is %s, but the transfer syntax is %s",
                 f->encapsulated ? "compressed" : "not compressed", f->syntax->name);
    return native ? check_native(f, err) : find_fragments(f, err);
}

/* ---- cells to stored values -------------------------------------------------------------- */

/* Moves the stored bits down and extends the sign (PS3.5 8.1.1). */
static int32_t stored_value(uint32_t cell, const fab_wire_header *h)
{
    uint32_t mask = (1u << h->bits_stored) - 1u;
    uint32_t v = (cell >> (h->high_bit + 1u - h->bits_stored)) & mask;
    if (h->is_signed && (v >> (h->bits_stored - 1u)) != 0) return (int32_t)(v | ~mask);
    return (int32_t)v;
}

static void unpack_u16(const uint8_t *p, bool big, const fab_wire_header *h, int32_t *out)
{
    size_t cells = (size_t)h->rows * h->columns;
    if (!big && h->bits_stored == 16 && h->is_signed) {
        for (size_t i = 0; i < cells; i++) out[i] = (int16_t)(p[2 * i] | p[2 * i + 1] << 8);
        return;
    }
    for (size_t i = 0; i < cells; i++) out[i] = stored_value(u16_of(p + 2 * i, big), h);
}

/* swap_base: the bytes' offset in a big-endian OW value (pairs are swapped), or SIZE_MAX. */
static void unpack_u8(const uint8_t *base, size_t offset, bool swapped, const fab_wire_header *h,
                      int32_t *out)
{
    size_t cells = (size_t)h->rows * h->columns;
    for (size_t i = 0; i < cells; i++) {
        size_t at = offset + i;
        out[i] = stored_value(base[swapped ? at ^ 1u : at], h);
    }
}

static void unpack_bits(const uint8_t *base, uint64_t first_bit, bool swapped,
                        const fab_wire_header *h, int32_t *out)
{
    size_t cells = (size_t)h->rows * h->columns;
    for (size_t i = 0; i < cells; i++) {
        uint64_t bit = first_bit + i;
        size_t at = (size_t)(bit / 8);
        out[i] = base[swapped ? at ^ 1u : at] >> (bit % 8) & 1;
    }
}

static void unpack_native(const fab_worker_file *f, uint32_t index, int32_t *out)
{
    const fab_wire_header *h = &f->header;
    const uint8_t *base = f->data + f->pixel_offset;
    size_t cells = (size_t)h->rows * h->columns;
    bool swapped = h->big_endian && f->pixel_words;
    if (h->bits_allocated == 1) unpack_bits(base, (uint64_t)cells * index, swapped, h, out);
    else if (h->bits_allocated == 8) unpack_u8(base, cells * index, swapped, h, out);
    else unpack_u16(base + 2 * cells * index, h->big_endian != 0, h, out);
}

static void unpack_frame(const uint8_t *bytes, const fab_wire_header *h, int32_t *out)
{
    if (h->bits_allocated == 1) unpack_bits(bytes, 0, false, h, out);
    else if (h->bits_allocated == 8) unpack_u8(bytes, 0, false, h, out);
    else unpack_u16(bytes, false, h, out);
}

/* A Deflated Image Frame fragment (PS3.5 A.4.13) may be padded to an even length. */
static fab_status inflate_frame(const fab_worker_file *f, const fab_codec_job *job, size_t bytes,
                                int32_t *out, fab_error *err)
{
    FAB_AUTO_FREE uint8_t *plain = NULL;
    size_t count = 0;
    if (job->fragment_count != 1)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a deflated frame has %zu fragments", job->fragment_count);
    FAB_TRY(fab_worker_inflate(f->data + job->fragments[0].offset, job->fragments[0].bytes,
                               bytes + 2, &plain, &count, err));
    if (count < bytes)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a deflated frame has %zu bytes of %zu", count, bytes);
    unpack_frame(plain, &f->header, out);
    return FAB_OK;
}

/* RLE of bit-packed frames, which DCMTK does not know: one PackBits segment (PS3.5 G.3). */
static fab_status unpack_rle_bits(const fab_codec_job *job, uint8_t *out, size_t bytes,
                                  fab_error *err)
{
    const uint8_t *p = job->base + job->fragments[0].offset;
    size_t size = job->fragments[0].bytes, at = 64, have = 0;
    bool known = job->fragment_count == 1 && size >= 64 && u32_of(p, false) == 1 &&
                 u32_of(p + 4, false) == 64;
    if (!known)
        FAB_FAIL(err, FAB_ERR_FORMAT, "RLE Lossless does not decode: not one segment of bits");
    while (have < bytes && at < size) {
        uint8_t code = p[at++];
        size_t run = code < 128 ? code + 1u : 257u - code, step = code < 128 ? run : 1;
        if (code == 128) continue;
        if (step > size - at) break;
        size_t keep = run < bytes - have ? run : bytes - have;
        if (code < 128) memcpy(out + have, p + at, keep);
        else memset(out + have, p[at], keep);
        at += step;
        have += keep;
    }
    if (have < bytes)
        FAB_FAIL(err, FAB_ERR_FORMAT, "RLE Lossless does not decode: %zu bytes of %zu", have,
                 bytes);
    return FAB_OK;
}

static fab_status decode_cells(const fab_worker_file *f, const fab_codec_job *job, uint8_t *cells,
                               size_t bytes, fab_error *err)
{
    if (f->header.bits_allocated != 1)
        return fab_worker_codec_dcmtk(job, f->syntax->uid, cells, (bytes + 1) / 2 * 2, err);
    if (strcmp(f->syntax->uid, "1.2.840.10008.1.2.5") == 0)
        return unpack_rle_bits(job, cells, bytes, err);
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s with 1 bit a voxel is not read", f->syntax->name);
}

fab_status fab_worker_decode(const fab_worker_file *f, uint32_t index, int32_t *out,
                             fab_error *err)
{
    const fab_wire_header *h = &f->header;
    if (index >= h->frames) FAB_FAIL(err, FAB_ERR_ARG, "frame %u of %u", index + 1, h->frames);
    if (!f->encapsulated) {
        unpack_native(f, index, out);
        return FAB_OK;
    }
    size_t first = f->first_fragment[index];
    fab_codec_job job = {h, f->data, f->fragments + first, f->first_fragment[index + 1] - first};
    size_t bytes = fab_worker_frame_bytes(h);
    if (f->syntax->kind == FAB_SYNTAX_JPEG2000) return fab_worker_codec_jpeg2000(&job, out, err);
    if (f->syntax->kind == FAB_SYNTAX_DEFLATED_FRAME)
        return inflate_frame(f, &job, bytes, out, err);
    FAB_AUTO_FREE uint8_t *cells = fab_calloc(bytes + 1, 1); /* DCMTK wants an even length */
    if (!cells) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a frame of %zu bytes", bytes);
    FAB_TRY(decode_cells(f, &job, cells, bytes, err));
    unpack_frame(cells, h, out);
    return FAB_OK;
}
