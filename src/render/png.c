/* png.c - images as PNG (ISO 15948): each row by the filter that leaves the least, libdeflate for
 * the rest. Rows are filtered independently, so the bytes do not depend on the number of threads.
 */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "render_internal.h"

enum { LEVEL = 5, NONE = 0, SUB = 1, UP = 2, PAETH = 4, SRGB_PERCEPTUAL = 0 };

typedef struct png_job {
    const fab_image *image;
    size_t step, bytes; /* of a pixel; of a row */
    uint8_t *plain;     /* rows after one of zeros, each after a pixel of zeros */
    uint8_t *filtered;  /* rows, each after its filter's number */
} png_job;

static bool is_opaque(const fab_image *image)
{
    size_t count = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < count; i++)
        if (image->rgba[4 * i + 3] != 255) return false;
    return true;
}

static uint8_t *plain_row(const png_job *job, int64_t y)
{
    return job->plain + (size_t)(y + 1) * (job->step + job->bytes) + job->step;
}

static void fill_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    const png_job *job = ctx;
    const uint8_t *from = job->image->rgba + 4 * (size_t)y * (size_t)job->image->width;
    uint8_t *to = plain_row(job, y);
    for (int x = 0; x < job->image->width; x++, from += 4, to += job->step)
        memcpy(to, from, job->step);
}

/* left, above, above left */
static inline int paeth(int a, int b, int c)
{
    int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
    int rest = pb <= pc ? b : c;
    return (pa <= pb) & (pa <= pc) ? a : rest;
}

/* Filters n bytes; the sum of what is left, each byte as a signed one. */
static inline uint32_t apply(int filter, const uint8_t *now, const uint8_t *above, size_t step,
                             size_t n, uint8_t *out)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const int a = now[i - step], b = above[i], c = above[i - step];
        const int guess = filter == SUB ? a : filter == UP ? b : filter == PAETH ? paeth(a, b, c)
                                                                                 : 0;
        const int left = (int8_t)(uint8_t)(now[i] - guess);
        out[i] = (uint8_t)left;
        sum += (uint32_t)abs(left);
    }
    return sum;
}

static uint32_t apply_numbered(int filter, const uint8_t *now, const uint8_t *above, size_t step,
                               size_t n, uint8_t *out)
{
    switch (filter) { /* each its own loop */
    case SUB: return apply(SUB, now, above, step, n, out);
    case UP: return apply(UP, now, above, step, n, out);
    case PAETH: return apply(PAETH, now, above, step, n, out);
    default: return apply(NONE, now, above, step, n, out);
    }
}

static void filter_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    static const uint8_t filters[] = {NONE, SUB, UP, PAETH};
    const png_job *job = ctx;
    const uint8_t *now = plain_row(job, y), *above = plain_row(job, y - 1);
    uint8_t *out = job->filtered + (size_t)y * (job->bytes + 1), best = NONE;
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < sizeof filters; i++) {
        uint32_t sum = apply_numbered(filters[i], now, above, job->step, job->bytes, out + 1);
        if (sum >= least) continue;
        least = sum;
        best = filters[i];
    }
    out[0] = best;
    if (best != PAETH) apply_numbered(best, now, above, job->step, job->bytes, out + 1);
}

static void put_u32(uint8_t out[4], uint32_t v)
{
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(v >> (24 - 8 * i));
}

static fab_status put_chunk(fab_buf *out, const char *type, const void *bytes, size_t count,
                            fab_error *err)
{
    uint8_t head[8], tail[4];
    put_u32(head, (uint32_t)count);
    memcpy(head + 4, type, 4);
    uint32_t crc = libdeflate_crc32(libdeflate_crc32(0, head + 4, 4), bytes, count);
    put_u32(tail, crc);
    FAB_TRY(fab_buf_append(out, head, sizeof head, err));
    FAB_TRY(fab_buf_append(out, bytes, count, err));
    return fab_buf_append(out, tail, sizeof tail, err);
}

static fab_status put_pixels(const png_job *job, fab_buf *out, fab_error *err)
{
    const size_t count = (job->bytes + 1) * (size_t)job->image->height;
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(LEVEL);
    const size_t bound = c ? libdeflate_zlib_compress_bound(c, count) : 0;
    FAB_AUTO_FREE uint8_t *packed = c ? fab_malloc(bound) : NULL;
    const size_t size =
        packed ? libdeflate_zlib_compress(c, job->filtered, count, packed, bound) : 0;
    libdeflate_free_compressor(c);
    if (!size) FAB_FAIL(err, FAB_ERR_NOMEM, "PNG: no memory to compress %zu bytes", count);
    if (size > INT32_MAX) FAB_FAIL(err, FAB_ERR_LIMIT, "PNG: %zu bytes in one chunk", size);
    return put_chunk(out, "IDAT", packed, size, err);
}

fab_status fab_image_encode_png(const fab_image *image, fab_buf *out, fab_error *err)
{
    static const uint8_t signature[8] = {137, 'P', 'N', 'G', '\r', '\n', 26, '\n'};
    static const uint8_t intent[1] = {SRGB_PERCEPTUAL};
    const size_t height = (size_t)image->height, step = is_opaque(image) ? 3 : 4;
    png_job job = {.image = image, .step = step, .bytes = step * (size_t)image->width};
    FAB_AUTO_FREE uint8_t *plain = fab_calloc(height + 1, step + job.bytes);
    FAB_AUTO_FREE uint8_t *filtered = fab_alloc_array(height, job.bytes + 1);
    if (!plain || !filtered) FAB_FAIL(err, FAB_ERR_NOMEM, "PNG: no memory for the rows");
    job.plain = plain;
    job.filtered = filtered;
    fab_parallel_for(image->height, fill_row, &job);
    fab_parallel_for(image->height, filter_row, &job);
    uint8_t head[13] = {[8] = 8, [9] = step == 3 ? 2 : 6}; /* bits; RGB or RGBA */
    put_u32(head, (uint32_t)image->width);
    put_u32(head + 4, (uint32_t)image->height);
    FAB_TRY(fab_buf_append(out, signature, sizeof signature, err));
    FAB_TRY(put_chunk(out, "IHDR", head, sizeof head, err));
    FAB_TRY(put_chunk(out, "sRGB", intent, sizeof intent, err));
    FAB_TRY(put_pixels(&job, out, err));
    return put_chunk(out, "IEND", "", 0, err);
}
