/* kernels_amx.h - convolutions on AMX tiles; a template, included once with the processor's tile
 * instructions and once with their emulation.
 *
 * A tile is 16 rows of 64 bytes. Sixteen voxels' records are the rows of one (A), the weights of a
 * record, tap and output block another (B), 16 voxels x 16 outputs of sums a third (C). Two A and
 * two B make four C: each load is used twice.
 *
 *            B 6   B 7       weights: 16 pairs of channels x 16 outputs
 *     A 4  [ C 0   C 1 ]     A 4: voxels 0..15, A 5: voxels 16..31
 *     A 5  [ C 2   C 3 ]
 *
 * A tap is another first record, a stride another distance between rows: no data moves.
 *
 * The includer defines TILE_ZERO(t), TILE_LOAD(t, from, bytes between rows), TILE_STORE(t, to,
 * bytes), TILE_DOT(c, a, b) for constant tile numbers, tile_begin and tile_end (of a task),
 * AMX_FP32 (whose fp32 kernels do the rest), and AMX_BF16, AMX_EXACT, AMX_BF16_NAME,
 * AMX_EXACT_NAME.
 */
#define BF16_TASK .begin = tile_begin, .end = tile_end
#include "bf16_rows.h"

FORWARD_EXPANDED(AMX_FP32)

#define INLINE static inline __attribute__((always_inline))
#define TILE_VOXELS FAB_NN_ROW_VOXELS
#define WEIGHT_BYTES (FAB_BF16_GROUP * 2) /* of a pair of channels */

/* The sums' first values: of `rows` tiles of voxels and `blocks` output blocks (1 or 2 each). */
INLINE void start_sums(const float *bias, const int rows, const int blocks)
{
    if (bias) { /* the same 64 bytes for every row */
        TILE_LOAD(0, bias, 0);
        if (blocks > 1) TILE_LOAD(1, bias + FAB_NN_BLOCK, 0);
        if (rows > 1) TILE_LOAD(2, bias, 0);
        if (rows > 1 && blocks > 1) TILE_LOAD(3, bias + FAB_NN_BLOCK, 0);
        return;
    }
    TILE_ZERO(0);
    if (blocks > 1) TILE_ZERO(1);
    if (rows > 1) TILE_ZERO(2);
    if (rows > 1 && blocks > 1) TILE_ZERO(3);
}

/* One record and tap. */
INLINE void add_tap(const fab_conv_row *r, const uint16_t *in, const uint16_t *weights,
                    const int rows, const int blocks)
{
    const ptrdiff_t step = r->in_step;
    TILE_LOAD(6, weights, WEIGHT_BYTES);
    TILE_LOAD(4, in, step * 2);
    TILE_DOT(0, 4, 6);
    if (blocks > 1) TILE_LOAD(7, weights + r->pair_weights, WEIGHT_BYTES);
    if (blocks > 1) TILE_DOT(1, 4, 7);
    if (rows > 1) TILE_LOAD(5, in + TILE_VOXELS * step, step * 2);
    if (rows > 1) TILE_DOT(2, 5, 6);
    if (rows > 1 && blocks > 1) TILE_DOT(3, 5, 7);
}

INLINE void end_sums(const fab_conv_row *r, float *out, const int rows, const int blocks)
{
    const ptrdiff_t bytes = r->out_step * (ptrdiff_t)sizeof *out;
    float *below = out + TILE_VOXELS * r->out_step;
    TILE_STORE(0, out, bytes);
    if (blocks > 1) TILE_STORE(1, out + r->pair_out, bytes);
    if (rows > 1) TILE_STORE(2, below, bytes);
    if (rows > 1 && blocks > 1) TILE_STORE(3, below + r->pair_out, bytes);
}

/* `rows`, `blocks` and `planes` are constants at every call. */
INLINE void conv_tiles(const fab_conv_row *r, const uint16_t *in, float *out, const int rows,
                       const int blocks, const int planes)
{
    const uint16_t *w = r->weights;
    start_sums(r->bias, rows, blocks);
    for (int b = 0; b < r->blocks; b++)
        for (int t = 0; t < r->taps; t++, w += planes * FAB_BF16_TILE) {
            const uint16_t *p = in + b * r->in_block + r->tap[t];
            add_tap(r, p, w, rows, blocks);
            if (planes == 1) continue;
            add_tap(r, p, w + FAB_BF16_TILE, rows, blocks);
            add_tap(r, p + r->in_low, w, rows, blocks);
        }
    end_sums(r, out, rows, blocks);
}

/* A row in tiles of 16 voxels, two at a time; the last may go beyond the row's end. */
INLINE void conv_row(const fab_conv_row *r, const int blocks, const int planes)
{
    const uint16_t *in = r->in;
    float *out = r->out;
    int left = r->count;
    for (; left > TILE_VOXELS; left -= 2 * TILE_VOXELS) {
        conv_tiles(r, in, out, 2, blocks, planes);
        in += 2 * TILE_VOXELS * (ptrdiff_t)r->in_step;
        out += 2 * TILE_VOXELS * r->out_step;
    }
    if (left > 0) conv_tiles(r, in, out, 1, blocks, planes);
}

static void conv(const fab_conv_row *r)
{
    if (r->pair) conv_row(r, 2, 1);
    else conv_row(r, 1, 1);
}

static void conv_exact(const fab_conv_row *r)
{
    if (r->pair) conv_row(r, 2, 2);
    else conv_row(r, 1, 2);
}

/* Four independent sums, as in a convolution. */
static double peak(int64_t iterations)
{
    static const uint16_t values[TILE_VOXELS * FAB_BF16_GROUP];
    tile_begin();
    TILE_LOAD(4, values, WEIGHT_BYTES);
    TILE_LOAD(5, values, WEIGHT_BYTES);
    TILE_LOAD(6, values, WEIGHT_BYTES);
    TILE_LOAD(7, values, WEIGHT_BYTES);
    start_sums(NULL, 2, 2);
    for (int64_t i = 0; i < iterations; i++) {
        TILE_DOT(0, 4, 6);
        TILE_DOT(1, 4, 7);
        TILE_DOT(2, 5, 6);
        TILE_DOT(3, 5, 7);
    }
    tile_end();
    return 4.0 * 2.0 * TILE_VOXELS * FAB_BF16_TILE * (double)iterations;
}

/* Of products that take three. */
static double peak_exact(int64_t iterations) { return peak(iterations) / 3; }

const fab_nn_kernels AMX_BF16 = BF16_KERNELS(AMX_BF16_NAME, conv, peak);
const fab_nn_kernels AMX_EXACT = EXACT_KERNELS(AMX_EXACT_NAME, conv_exact, peak_exact);
