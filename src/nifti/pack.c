/* pack.c - deflate (RFC 1951) for 16-bit images: Huffman codes for bytes, and runs of one value.
 *
 * The voxels of a scan are noise, in which a general compressor looks for repeats and finds hardly
 * any; what does repeat is the air around the patient, voxel after voxel. So the only matches are
 * with the voxel before (distance 2), which are found in passing: a third of the time of
 * libdeflate's fastest level and as many bytes. Nothing is held but one block.
 */
#include "pack.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian machines"
#endif

enum {
    BLOCK_CELLS = 1 << 14,
    LITERALS = 286, END_OF_BLOCK = 256, LENGTH_CODES = 257, DISTANCES = 2, ORDER = 19,
    MAX_BITS = 15, MAX_ORDER_BITS = 7,
    MIN_RUN = 4,    /* cells: shorter ones cost more than they save */
    MOST_CELLS = 129, /* of one match: 258 bytes */
    HEADER_BYTES = 2 * (LITERALS + DISTANCES) + 64
};

typedef struct run {
    uint32_t start, count; /* cells that equal the one before */
} run;

typedef struct tree {
    uint8_t length[LITERALS];
    uint32_t code[LITERALS]; /* the bits as they are written, the number of them << 16 */
} tree;

typedef struct packer {
    fab_writer *writer;
    uint64_t bits;
    unsigned used; /* of bits, below 8 between symbols */
    uint8_t *at;
    uint32_t crc, size;
    uint32_t frequency[2][LITERALS]; /* [1]: of high bytes, added to [0] */
    uint16_t length_symbol[259];     /* of a match's bytes */
    uint8_t extra_bits[LITERALS];
    uint16_t base[LITERALS];
    tree literal, distance, order;
    run runs[BLOCK_CELLS / MIN_RUN + 1];
    size_t run_count;
    uint8_t out[BLOCK_CELLS * 4 + HEADER_BYTES]; /* a cell takes 30 bits at most */
} packer;

/* ---- codes ---- */

typedef struct weight {
    uint32_t frequency;
    uint16_t symbol;
} weight;

static int by_frequency(const void *a, const void *b)
{
    const weight *x = a, *y = b;
    if (x->frequency != y->frequency) return x->frequency < y->frequency ? -1 : 1;
    return x->symbol < y->symbol ? -1 : 1;
}

/* Huffman's algorithm on sorted weights by two queues; the greatest length. */
static int find_lengths(const weight *leaf, int count, uint8_t *length)
{
    uint32_t sum[LITERALS];
    int parent[2 * LITERALS], depth[2 * LITERALS], next_leaf = 0, next_node = 0, most = 0;
    for (int node = 0; node < count - 1; node++) {
        sum[node] = 0;
        for (int child = 0; child < 2; child++) {
            bool take = next_leaf < count
                        && (next_node == node || leaf[next_leaf].frequency <= sum[next_node]);
            sum[node] += take ? leaf[next_leaf].frequency : sum[next_node];
            parent[take ? next_leaf++ : count + next_node++] = count + node;
        }
    }
    depth[2 * count - 2] = 0;
    for (int i = 2 * count - 3; i >= 0; i--) {
        depth[i] = depth[parent[i]] + 1;
        if (i < count) length[leaf[i].symbol] = (uint8_t)depth[i];
        if (i < count && depth[i] > most) most = depth[i];
    }
    return most;
}

/* Lengths of at most `limit` bits; frequencies are flattened until they fit. At least two symbols
 * must occur. */
static void make_lengths(const uint32_t *frequency, int symbols, int limit, uint8_t *length)
{
    weight leaf[LITERALS];
    int count = 0;
    for (int s = 0; s < symbols; s++)
        if (frequency[s]) leaf[count++] = (weight){frequency[s], (uint16_t)s};
    memset(length, 0, (size_t)symbols);
    qsort(leaf, (size_t)count, sizeof *leaf, by_frequency);
    while (find_lengths(leaf, count, length) > limit)
        for (int i = 0; i < count; i++) leaf[i].frequency = leaf[i].frequency / 2 + 1;
}

/* Canonical codes from lengths, bits reversed: deflate writes codes from their highest bit. */
static void make_codes(const uint8_t *lengths, int symbols, uint32_t *codes)
{
    uint32_t used[MAX_BITS + 1] = {0}, next[MAX_BITS + 1] = {0};
    for (int s = 0; s < symbols; s++) used[lengths[s]]++;
    used[0] = 0;
    for (int bits = 1; bits <= MAX_BITS; bits++) next[bits] = (next[bits - 1] + used[bits - 1]) * 2;
    for (int s = 0; s < symbols; s++) {
        uint32_t length = lengths[s], code = length ? next[length]++ : 0, turned = 0;
        for (uint32_t i = 0; i < length; i++) turned |= (code >> i & 1) << (length - 1 - i);
        codes[s] = turned | length << 16;
    }
}

/* Symbols of matches of 3 to 258 bytes (RFC 1951, 3.2.5). */
static void fill_length_symbols(packer *p)
{
    uint16_t length = 3;
    for (uint16_t s = LENGTH_CODES; s < LITERALS - 1; s++) {
        p->extra_bits[s] = (uint8_t)(s < 265 ? 0 : (s - 261) / 4);
        p->base[s] = length;
        for (int i = 0; i < 1 << p->extra_bits[s] && length < 258; i++)
            p->length_symbol[length++] = s;
    }
    p->base[LITERALS - 1] = 258;
    p->length_symbol[258] = LITERALS - 1;
}

/* ---- bits ---- */

static inline void put_bits(packer *p, uint32_t bits, unsigned count)
{
    p->bits |= (uint64_t)bits << p->used;
    p->used += count;
}

static inline void put_code(packer *p, uint32_t code)
{
    put_bits(p, code & 0xffff, code >> 16);
}

/* Whole bytes go out; up to 56 bits may be put between two calls. */
static inline void flush_bits(packer *p)
{
    memcpy(p->at, &p->bits, sizeof p->bits);
    p->at += p->used / 8;
    p->bits >>= p->used & ~7u;
    p->used &= 7;
}

/* ---- a block ---- */

static size_t run_length(const uint16_t *cells, size_t at, size_t count)
{
    const uint64_t same = cells[at - 1] * UINT64_C(0x0001000100010001);
    size_t end = at;
    for (uint64_t four; count - end >= 4; end += 4) {
        memcpy(&four, cells + end, sizeof four);
        if (four != same) break;
    }
    while (end < count && cells[end] == cells[at - 1]) end++;
    return end - at;
}

/* Cells of the next match of a run: none is left alone, which would be too short. */
static uint32_t next_match(uint32_t left)
{
    return left == MOST_CELLS + 1 ? MOST_CELLS - 1 : left < MOST_CELLS ? left : MOST_CELLS;
}

static void count_symbols(packer *p, const uint16_t *cells, size_t count)
{
    memset(p->frequency, 0, sizeof p->frequency);
    p->run_count = 0;
    for (size_t i = 0; i < count;) {
        size_t same = i && cells[i] == cells[i - 1] ? run_length(cells, i, count) : 0;
        if (same < MIN_RUN) {
            for (size_t end = i + (same ? same : 1); i < end; i++) {
                p->frequency[0][cells[i] & 0xff]++;
                p->frequency[1][cells[i] >> 8]++;
            }
            continue;
        }
        p->runs[p->run_count++] = (run){(uint32_t)i, (uint32_t)same};
        i += same;
        for (uint32_t left = (uint32_t)same, take; left; left -= take) {
            take = next_match(left);
            p->frequency[0][p->length_symbol[take * 2]]++;
        }
    }
    for (int s = 0; s < 256; s++) p->frequency[0][s] += p->frequency[1][s];
    p->frequency[0][END_OF_BLOCK] = 1;
}

/* The codes themselves, without the run lengths that deflate has for them. */
static void put_trees(packer *p, bool last)
{
    static const uint8_t order[ORDER] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14,
                                         1, 15};
    uint32_t frequency[ORDER] = {0};
    make_lengths(p->frequency[0], LITERALS, MAX_BITS, p->literal.length);
    make_codes(p->literal.length, LITERALS, p->literal.code);
    p->distance.length[1] = p->run_count > 0; /* code 1: two bytes back */
    make_codes(p->distance.length, DISTANCES, p->distance.code);
    for (int s = 0; s < LITERALS; s++) frequency[p->literal.length[s]]++;
    for (int s = 0; s < DISTANCES; s++) frequency[p->distance.length[s]]++;
    make_lengths(frequency, ORDER, MAX_ORDER_BITS, p->order.length);
    make_codes(p->order.length, ORDER, p->order.code);
    put_bits(p, last, 1);
    put_bits(p, 2, 2); /* dynamic codes */
    put_bits(p, LITERALS - 257, 5);
    put_bits(p, DISTANCES - 1, 5);
    put_bits(p, ORDER - 4, 4);
    flush_bits(p);
    for (int i = 0; i < ORDER; i++) {
        put_bits(p, p->order.length[order[i]], 3);
        flush_bits(p);
    }
    for (int s = 0; s < LITERALS + DISTANCES; s++) {
        put_code(p, p->order.code[s < LITERALS ? p->literal.length[s]
                                               : p->distance.length[s - LITERALS]]);
        flush_bits(p);
    }
}

static void put_cells(packer *p, const uint16_t *cells, size_t count)
{
    uint64_t bits = p->bits; /* in registers: flush_bits for one cell after the other */
    unsigned used = p->used;
    uint8_t *at = p->at;
    for (size_t i = 0; i < count; i++) {
        uint32_t low = p->literal.code[cells[i] & 0xff], high = p->literal.code[cells[i] >> 8];
        bits |= (uint64_t)(low & 0xffff) << used;
        used += low >> 16;
        bits |= (uint64_t)(high & 0xffff) << used;
        used += high >> 16;
        memcpy(at, &bits, sizeof bits);
        at += used / 8;
        bits >>= used & ~7u;
        used &= 7;
    }
    p->bits = bits;
    p->used = used;
    p->at = at;
}

static void put_run(packer *p, uint32_t left)
{
    for (uint32_t take; left; left -= take) {
        take = next_match(left);
        uint16_t symbol = p->length_symbol[take * 2];
        put_code(p, p->literal.code[symbol]);
        put_bits(p, take * 2 - p->base[symbol], p->extra_bits[symbol]);
        put_code(p, p->distance.code[1]);
        flush_bits(p);
    }
}

static fab_status put_block(packer *p, const uint16_t *cells, size_t count, bool last,
                            fab_error *err)
{
    size_t done = 0;
    p->at = p->out;
    count_symbols(p, cells, count);
    put_trees(p, last);
    for (size_t r = 0; r < p->run_count; r++) {
        put_cells(p, cells + done, p->runs[r].start - done);
        put_run(p, p->runs[r].count);
        done = p->runs[r].start + p->runs[r].count;
    }
    put_cells(p, cells + done, count - done);
    put_code(p, p->literal.code[END_OF_BLOCK]);
    if (last) p->used = (p->used + 7) / 8 * 8;
    flush_bits(p);
    p->crc = libdeflate_crc32(p->crc, cells, count * sizeof *cells);
    p->size += (uint32_t)(count * sizeof *cells);
    return fab_writer_write(p->writer, p->out, (size_t)(p->at - p->out), err);
}

fab_status fab_nifti_pack_16(const uint8_t *head, size_t head_bytes, const uint16_t *cells,
                             size_t count, fab_writer *w, fab_error *err)
{
    static const uint8_t start[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255}; /* no time, fastest */
    uint16_t first[BLOCK_CELLS / 64]; /* more than any header */
    uint8_t tail[8];
    if (head_bytes % 2 || head_bytes > sizeof first)
        FAB_FAIL(err, FAB_ERR_ARG, "a header of %zu bytes before 16-bit cells", head_bytes);
    FAB_AUTO_FREE packer *p = fab_calloc(1, sizeof *p);
    if (!p) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to compress an image");
    p->writer = w;
    p->crc = libdeflate_crc32(0, NULL, 0);
    fill_length_symbols(p);
    memcpy(first, head, head_bytes);
    FAB_TRY(fab_writer_write(w, start, sizeof start, err));
    FAB_TRY(put_block(p, first, head_bytes / 2, count == 0, err));
    for (size_t done = 0, now; done < count; done += now) {
        now = count - done < BLOCK_CELLS ? count - done : BLOCK_CELLS;
        FAB_TRY(put_block(p, cells + done, now, done + now == count, err));
    }
    for (size_t i = 0; i < 4; i++) {
        tail[i] = (uint8_t)(p->crc >> (8 * i));
        tail[4 + i] = (uint8_t)(p->size >> (8 * i));
    }
    return fab_writer_write(w, tail, sizeof tail, err);
}
