/* codec_jpegls.c - lossless JPEG-LS (ISO/IEC 14495-1, ITU-T T.87) of one component, as CTs come.
 *
 * Only what is plain and whole is decoded here, for speed (ADR 0106): all else (near-lossless
 * coding, several components, restart markers, mapping tables, 7 bits or fewer, a largest value of
 * its own, bytes that do not decode) is left to DCMTK, whose word on a frame is the last. */
#include <stdlib.h>
#include <string.h>

#include "worker.h"

enum { CONTEXTS = 365, RUN_CONTEXTS = 2, DEFAULT_RESET = 64, MAX_RUN_INDEX = 31,
       SOI = 0xD8, LSE = 0xF8, SOF55 = 0xF7, SOS = 0xDA, APP0 = 0xE0, APP15 = 0xEF, COM = 0xFE };

/* ---- bits ------------------------------------------------------------------------------- */

/* After a byte FF the next one has seven bits; FF and a byte with the eighth is a marker: the end.
 * Beyond it zeros are read, and counted. */
typedef struct bit_reader {
    const uint8_t *at, *end;
    uint64_t cache; /* the next bit is the highest */
    int bits, beyond;
    bool stuffed;   /* the byte before was FF */
} bit_reader;

static bool at_marker(const bit_reader *r)
{
    return r->end - r->at >= 2 && r->at[0] == 0xFF && r->at[1] & 0x80;
}

static void fill_bytes(bit_reader *r)
{
    while (r->bits <= 56) {
        const bool over = r->at == r->end || at_marker(r);
        const int count = r->stuffed ? 7 : 8;
        const uint64_t byte = over ? 0 : *r->at++;
        if (over) r->beyond += count;
        r->cache |= byte << (64 - count - r->bits);
        r->bits += count;
        r->stuffed = byte == 0xFF;
    }
}

/* At least 57 bits afterwards. Four bytes at once if none of them is FF. */
static inline void fill(bit_reader *r)
{
    if (r->bits > 56) return;
    if (r->bits <= 32 && !r->stuffed && r->end - r->at >= 4) {
        const uint32_t word = (uint32_t)r->at[0] << 24 | (uint32_t)r->at[1] << 16
                              | (uint32_t)r->at[2] << 8 | r->at[3];
        const uint32_t rest = ~word;
        if (!((rest - 0x01010101u) & ~rest & 0x80808080u)) {
            r->cache |= (uint64_t)word << (32 - r->bits);
            r->bits += 32;
            r->at += 4;
        }
    }
    fill_bytes(r);
}

/* 0 to 32 bits, of those that are there. */
static inline uint32_t take(bit_reader *r, int count)
{
    const uint32_t v = (uint32_t)((r->cache >> 32) >> (32 - count));
    r->cache <<= count;
    r->bits -= count;
    return v;
}

/* Fewer than 57. */
static inline void skip(bit_reader *r, int count)
{
    r->cache <<= count;
    r->bits -= count;
}

/* ---- contexts --------------------------------------------------------------------------- */

typedef struct context {
    int32_t a, b, c, n; /* as in the standard; of a run's end, b is Nn */
} context;

typedef struct decoder {
    bit_reader in;
    int max, range, reset, limit, qbpp, t[3];
    int run_index;
    bool failed;
    context at[CONTEXTS + RUN_CONTEXTS];
    int8_t *level;  /* [2 t[2] + 1], from -t[2]: which of nine a gradient is, -4 to 4 */
} decoder;

static const uint8_t run_bits[MAX_RUN_INDEX + 1] = {0, 0, 0, 0, 1, 1, 1, 1, 2,  2,  2,
                                                    2, 3, 3, 3, 3, 4, 4, 5, 5,  6,  6,
                                                    7, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* The least k with n << k >= a. */
static inline int golomb_k(int32_t n, int32_t a)
{
    if (a <= n) return 0;
    const int k = __builtin_clz((uint32_t)n) - __builtin_clz((uint32_t)a);
    return k + (((int64_t)n << k) < a);
}

static inline int zeros_ahead(const bit_reader *r)
{
    return r->cache ? __builtin_clzll(r->cache) : 64;
}

/* Limited Golomb code (A.5.3): below 2^30. Most are short: bits are asked for if some may lack. */
static inline int32_t golomb(decoder *d, int k, int limit)
{
    enum { MOST_K = 24, ENOUGH = 40 };
    bit_reader *r = &d->in;
    int zeros = zeros_ahead(r);
    if (r->bits < ENOUGH || zeros > ENOUGH - MOST_K - 1) {
        fill(r);
        zeros = zeros_ahead(r);
    }
    const int most = limit - d->qbpp - 1; /* 47 at 16 bits */
    if (zeros > most || k > MOST_K) {
        d->failed = true;
        return 0;
    }
    skip(r, zeros + 1);
    if (r->bits < MOST_K) fill(r);
    if (zeros == most) return (int32_t)take(r, d->qbpp) + 1;
    return (int32_t)((uint32_t)zeros << k | take(r, k));
}

/* Into 0..max, from at most one range away. */
static inline int32_t wrapped(decoder *d, int32_t x)
{
    x += x < 0 ? d->range : x > d->max ? -d->range : 0;
    d->failed |= x < 0 || x > d->max;
    return x;
}

static inline void halve(const decoder *d, context *q)
{
    if (q->n != d->reset) return;
    q->a >>= 1;
    q->b >>= 1; /* towards minus infinity, as the standard's formula does */
    q->n >>= 1;
}

/* A.6.2: the mean error is kept near zero by c. */
static inline void correct_bias(context *q)
{
    if (q->b <= -q->n) {
        q->b += q->n;
        q->c -= q->c > -128;
        if (q->b <= -q->n) q->b = -q->n + 1;
    } else if (q->b > 0) {
        q->b -= q->n;
        q->c += q->c < 127;
        if (q->b > 0) q->b = 0;
    }
}

static inline int32_t predicted(int32_t a, int32_t b, int32_t c)
{
    const int32_t low = a < b ? a : b, high = a < b ? b : a;
    return c >= high ? low : c <= low ? high : a + b - c;
}

/* A sample in regular mode; context is that of the gradients, -364 to 364. */
static inline int32_t regular(decoder *d, int which, int32_t prediction)
{
    const int sign = which < 0 ? -1 : 1;
    context *q = &d->at[which < 0 ? -which : which];
    int32_t px = prediction + sign * q->c;
    px = px < 0 ? 0 : px > d->max ? d->max : px;
    const int k = golomb_k(q->n, q->a);
    const int32_t m = golomb(d, k, d->limit);
    int32_t error = m & 1 ? -((m + 1) >> 1) : m >> 1;
    if (k == 0 && 2 * q->b <= -q->n) error = -error - 1;
    q->b += error;
    q->a += error < 0 ? -error : error;
    halve(d, q);
    q->n++;
    correct_bias(q);
    return wrapped(d, px + sign * error);
}

/* ---- runs ------------------------------------------------------------------------------- */

/* A.7.2: the sample that ends a run. */
static int32_t run_end(decoder *d, int32_t a, int32_t b)
{
    const int type = a == b;
    context *q = &d->at[CONTEXTS + type];
    const int k = golomb_k(q->n, q->a + (type ? q->n >> 1 : 0));
    const int32_t m = golomb(d, k, d->limit - run_bits[d->run_index] - 1);
    const int32_t twice = m + type, map = twice & 1, size = (twice + map) / 2;
    const int32_t error = (k != 0 || 2 * q->b >= q->n) == map ? -size : size;
    q->b += error < 0;
    q->a += (m + 1 - type) >> 1;
    halve(d, q);
    q->n++;
    if (d->run_index > 0) d->run_index--;
    return wrapped(d, (type ? a : b) + (!type && a > b ? -error : error));
}

/* Samples from x on that are as the one before, and the one that ends them; where it stopped. */
static int run(decoder *d, int32_t *row, const int32_t *above, int x, int width)
{
    const int32_t value = row[x - 1];
    int until = x;
    for (;;) {
        fill(&d->in);
        if (!take(&d->in, 1)) break;
        const int length = 1 << run_bits[d->run_index], left = width - until;
        until += length < left ? length : left;
        if (length <= left && d->run_index < MAX_RUN_INDEX) d->run_index++;
        if (until == width) break;
    }
    if (until < width) {
        until += (int)take(&d->in, run_bits[d->run_index]);
        d->failed |= until >= width;
        if (d->failed) return width;
        while (x < until) row[x++] = value;
        row[x] = run_end(d, value, above[x]);
        return x + 1;
    }
    while (x < until) row[x++] = value;
    return x;
}

static inline int level_of(const decoder *d, int gradient)
{
    const int most = d->t[2];
    const int g = gradient < -most ? -most : gradient > most ? most : gradient;
    return d->level[most + g];
}

static void decode_row(decoder *restrict d, int32_t *restrict row, const int32_t *restrict above,
                       int width)
{
    for (int x = 0; x < width && !d->failed;) {
        const int32_t a = row[x - 1], b = above[x], c = above[x - 1], e = above[x + 1];
        const int which = (level_of(d, e - b) * 9 + level_of(d, b - c)) * 9
                          + level_of(d, c - a);
        if (which == 0) x = run(d, row, above, x, width);
        else {
            row[x] = regular(d, which, predicted(a, b, c));
            x++;
        }
    }
    d->failed |= d->in.beyond > d->in.bits; /* bits that are not there were used */
}

/* ---- the frame -------------------------------------------------------------------------- */

/* Clamps as the standard's CLAMP: out of bounds is `low`. */
static int bound(int v, int low, int max)
{
    return v > max || v < low ? low : v;
}

typedef struct parameters {
    int precision, width, height, max, t[3], reset; /* 0: the default */
} parameters;

static int log2_up(int v)
{
    int bits = 0;
    while ((1 << bits) < v) bits++;
    return bits;
}

static bool start(const parameters *p, decoder *d)
{
    d->max = (1 << p->precision) - 1;
    if (p->max && p->max != d->max) return false;
    d->range = d->max + 1;
    d->reset = p->reset ? p->reset : DEFAULT_RESET;
    d->qbpp = log2_up(d->range);
    d->limit = 2 * (d->qbpp + (d->qbpp > 8 ? d->qbpp : 8));
    const int factor = ((d->max < 4095 ? d->max : 4095) + 128) / 256;
    const int usual[3] = {factor + 2, 4 * factor + 3, 17 * factor + 4};
    for (int i = 0; i < 3; i++) {
        const int low = i ? d->t[i - 1] : 1;
        d->t[i] = p->t[i] ? p->t[i] : bound(usual[i], low, d->max);
        if (d->t[i] < low || d->t[i] > d->max) return false;
    }
    const int first = (d->range + 32) / 64;
    for (int i = 0; i < CONTEXTS + RUN_CONTEXTS; i++)
        d->at[i] = (context){.a = first > 2 ? first : 2, .n = 1};
    for (int g = -d->t[2]; g <= d->t[2]; g++) {
        const int size = abs(g);
        const int l = (size > 0) + (size >= d->t[0]) + (size >= d->t[1]) + (size >= d->t[2]);
        d->level[d->t[2] + g] = (int8_t)(g < 0 ? -l : l);
    }
    return true;
}

static void put_row(const int32_t *row, int width, bool wide, uint8_t *out)
{
    for (int x = 0; x < width; x++) {
        if (!wide) {
            out[x] = (uint8_t)row[x];
            continue;
        }
        out[2 * x] = (uint8_t)row[x];
        out[2 * x + 1] = (uint8_t)(row[x] >> 8);
    }
}

/* Has the scan been read to its marker, but for less than a byte of zeros? */
static bool is_read(bit_reader *r)
{
    fill(r);
    return r->bits - r->beyond < 8 && r->cache == 0 && at_marker(r);
}

/* One more sample on each side of a row: what is above the first and the last. */
static bool decode_rows(decoder *d, const parameters *p, bool wide, uint8_t *out)
{
    const size_t pitch = (size_t)p->width + 2;
    FAB_AUTO_FREE int32_t *rows = fab_calloc(2 * pitch, sizeof *rows);
    if (!rows) return false;
    for (int y = 0; y < p->height && !d->failed; y++) {
        int32_t *row = rows + (size_t)(y & 1) * pitch + 1;
        int32_t *above = rows + (size_t)(~y & 1) * pitch + 1;
        above[p->width] = above[p->width - 1];
        row[-1] = above[0];
        decode_row(d, row, above, p->width);
        put_row(row, p->width, wide, out);
        out += (size_t)p->width * (wide ? 2 : 1);
    }
    return !d->failed && is_read(&d->in);
}

static int word_at(const uint8_t *at)
{
    return at[0] << 8 | at[1];
}

static bool read_size(const uint8_t *at, size_t count, parameters *p)
{
    if (count != 9 || at[5] != 1) return false; /* one component */
    p->precision = at[0];
    p->height = word_at(at + 1);
    p->width = word_at(at + 3);
    return p->precision >= 8 && p->precision <= 16;
}

static bool read_presets(const uint8_t *at, size_t count, parameters *p)
{
    if (count != 11 || at[0] != 1) return false; /* presets, not tables */
    p->max = word_at(at + 1);
    for (int i = 0; i < 3; i++) p->t[i] = word_at(at + 3 + 2 * i);
    p->reset = word_at(at + 9);
    return p->reset == 0 || p->reset >= 3;
}

/* A marker segment's `count` bytes; false: not for us. */
static bool read_segment(int marker, const uint8_t *at, size_t count, parameters *p)
{
    if (marker == SOF55) return read_size(at, count, p);
    if (marker == LSE) return read_presets(at, count, p);
    if (marker == SOS) return count == 6 && at[0] == 1 && !at[3] && !at[4] && !at[5];
    return (marker >= APP0 && marker <= APP15) || marker == COM; /* nothing to know */
}

/* Reads up to the scan's first byte. */
static bool read_head(const uint8_t *bytes, size_t size, parameters *p, size_t *scan)
{
    size_t at = 2;
    if (size < 4 || bytes[0] != 0xFF || bytes[1] != SOI) return false;
    while (at + 4 <= size && bytes[at] == 0xFF) {
        const int marker = bytes[at + 1];
        const size_t length = (size_t)word_at(bytes + at + 2);
        if (length < 2 || length > size - at - 2) return false;
        if (!read_segment(marker, bytes + at + 4, length - 2, p)) return false;
        at += 2 + length;
        *scan = at;
        if (marker == SOS) return p->precision > 0;
    }
    return false;
}

/* Is the frame the one that the header tells of, in cells of one or two bytes? */
static bool fits(const parameters *p, const fab_wire_header *h, size_t out_bytes)
{
    const size_t samples = (size_t)p->width * (size_t)p->height;
    if (h->bits_allocated != (p->precision > 8 ? 16 : 8)) return false;
    return samples && (uint32_t)p->width == h->columns && (uint32_t)p->height == h->rows &&
           samples * (p->precision > 8 ? 2 : 1) <= out_bytes;
}

bool fab_worker_codec_jpegls(const fab_codec_job *job, uint8_t *out, size_t out_bytes)
{
    const fab_wire_header *h = job->header;
    parameters p = {0};
    size_t scan = 0;
    if (job->fragment_count != 1 || h->samples != 1 || h->high_bit + 1 != h->bits_stored)
        return false;
    const uint8_t *bytes = job->base + job->fragments[0].offset;
    const size_t size = job->fragments[0].bytes;
    if (!read_head(bytes, size, &p, &scan) || !fits(&p, h, out_bytes)) return false;
    FAB_AUTO_FREE decoder *d = fab_calloc(1, sizeof *d);
    FAB_AUTO_FREE int8_t *level = fab_alloc_array((size_t)2 << p.precision, sizeof *level);
    if (!d || !level) return false;
    d->level = level;
    d->in = (bit_reader){.at = bytes + scan, .end = bytes + size};
    return start(&p, d) && decode_rows(d, &p, p.precision > 8, out);
}
