/* winograd_rows.h - the transforms of Winograd's minimal filtering; a template, one include an ISA.
 *
 * The includer defines the type wino_vec of WINO_LANES floats and wino_load, wino_store, wino_add,
 * wino_sub, wino_splat (a number to all lanes), wino_fma (a * b + c, rounded once). Sums are taken
 * in the order written here, so results are the same bits everywhere.
 *
 * `deep` outputs of a tile along z and `side` ones along y and x are constants wherever a function
 * is inlined, so that its loops unroll.
 */
#include "nn_internal.h"

#define WINO_INLINE static inline __attribute__((always_inline))
#define WINO_A FAB_WINOGRAD_A
#define WINO_B FAB_WINOGRAD_B
#define WINO_MOST 6        /* points of an axis */
#define WINO_COLUMNS 432   /* vectors of half-transformed columns, in the first-level cache */

/* ---- one axis -------------------------------------------------------------------------------- */

/* B^T d for two outputs. */
WINO_INLINE void wino_in_two(const wino_vec *d, wino_vec *t)
{
    t[0] = wino_sub(d[0], d[2]);
    t[1] = wino_add(d[1], d[2]);
    t[2] = wino_sub(d[2], d[1]);
    t[3] = wino_sub(d[1], d[3]);
}

/* And for four: Lagrange's polynomials of 0, +-a, +-b and infinity, without their divisors. */
WINO_INLINE void wino_in_four(const wino_vec *d, wino_vec *t)
{
    const wino_vec less_a2 = wino_splat(-WINO_A * WINO_A), less_b2 = wino_splat(-WINO_B * WINO_B);
    const wino_vec both = wino_splat(WINO_A * WINO_A * WINO_B * WINO_B);
    const wino_vec less_sum = wino_splat(-(WINO_A * WINO_A + WINO_B * WINO_B));
    const wino_vec even_a = wino_fma(less_b2, d[2], d[4]), odd_a = wino_fma(less_b2, d[1], d[3]);
    const wino_vec even_b = wino_fma(less_a2, d[2], d[4]), odd_b = wino_fma(less_a2, d[1], d[3]);
    t[0] = wino_fma(both, d[0], wino_fma(less_sum, d[2], d[4]));
    t[1] = wino_fma(wino_splat(WINO_A), odd_a, even_a);
    t[2] = wino_fma(wino_splat(-WINO_A), odd_a, even_a);
    t[3] = wino_fma(wino_splat(WINO_B), odd_b, even_b);
    t[4] = wino_fma(wino_splat(-WINO_B), odd_b, even_b);
    t[5] = wino_fma(both, d[1], wino_fma(less_sum, d[3], d[5]));
}

/* A^T m for two outputs. */
WINO_INLINE void wino_out_two(const wino_vec *m, wino_vec *t)
{
    t[0] = wino_add(wino_add(m[0], m[1]), m[2]);
    t[1] = wino_sub(wino_sub(m[1], m[2]), m[3]);
}

/* And for four: output k sums the k-th powers of the points. */
WINO_INLINE void wino_out_four(const wino_vec *m, wino_vec *t)
{
    const float a = WINO_A, b = WINO_B;
    const wino_vec sum_a = wino_add(m[1], m[2]), less_a = wino_sub(m[1], m[2]);
    const wino_vec sum_b = wino_add(m[3], m[4]), less_b = wino_sub(m[3], m[4]);
    t[0] = wino_add(wino_add(m[0], sum_a), sum_b);
    t[1] = wino_fma(wino_splat(a), less_a, wino_mul(wino_splat(b), less_b));
    t[2] = wino_fma(wino_splat(a * a), sum_a, wino_mul(wino_splat(b * b), sum_b));
    t[3] = wino_fma(wino_splat(a * a * a), less_a, wino_fma(wino_splat(b * b * b), less_b, m[5]));
}

WINO_INLINE void wino_in_axis(const wino_vec *d, wino_vec *t, const int outputs)
{
    if (outputs == 4) wino_in_four(d, t);
    else wino_in_two(d, t);
}

WINO_INLINE void wino_out_axis(const wino_vec *m, wino_vec *t, const int outputs)
{
    if (outputs == 4) wino_out_four(m, t);
    else wino_out_two(m, t);
}

/* ---- to the points --------------------------------------------------------------------------- */

/* Column x of the tile row, transformed along z and y, to columns[(z, y)][x]. */
WINO_INLINE void wino_in_column(const fab_winograd_in *r, ptrdiff_t at, wino_vec *columns,
                                int pitch, const int deep, const int side)
{
    wino_vec a[WINO_MOST][WINO_MOST], b[WINO_MOST], c[WINO_MOST]; /* a[y][z] */
#pragma GCC unroll 6
    for (int y = 0; y < side + 2; y++) {
#pragma GCC unroll 6
        for (int z = 0; z < deep + 2; z++) b[z] = wino_load(r->plane[z] + y * r->row + at);
        wino_in_axis(b, a[y], deep);
    }
#pragma GCC unroll 6
    for (int z = 0; z < deep + 2; z++) {
#pragma GCC unroll 6
        for (int y = 0; y < side + 2; y++) b[y] = a[y][z];
        wino_in_axis(b, c, side);
#pragma GCC unroll 6
        for (int y = 0; y < side + 2; y++) columns[((side + 2) * z + y) * pitch] = c[y];
    }
}

/* `chunk` tiles at a time. */
WINO_INLINE void wino_in_tiles(const fab_winograd_in *r, const int deep, const int side,
                               const int chunk)
{
    const int pitch = side * chunk + 2;
    wino_vec columns[WINO_COLUMNS], t[WINO_MOST];
    for (int lane = 0; lane < FAB_NN_BLOCK; lane += WINO_LANES)
        for (int first = 0; first < r->tiles; first += chunk) {
            const int n = fab_nn_least(chunk, r->tiles - first);
            const ptrdiff_t at = (ptrdiff_t)side * first * FAB_NN_BLOCK + lane;
            for (int x = 0; x < side * n + 2; x++)
                wino_in_column(r, at + (ptrdiff_t)x * FAB_NN_BLOCK, columns + x, pitch, deep, side);
            for (int k = 0; k < (deep + 2) * (side + 2); k++) {
                float *to = r->to + (side + 2) * k * r->point + (ptrdiff_t)first * FAB_NN_BLOCK +
                            lane;
                for (int i = 0; i < n; i++, to += FAB_NN_BLOCK) {
                    wino_in_axis(columns + k * pitch + side * i, t, side);
#pragma GCC unroll 6
                    for (int x = 0; x < side + 2; x++) wino_store(to + x * r->point, t[x]);
                }
            }
        }
}

static void winograd_in(const fab_winograd_in *r)
{
    if (r->deep == 4) wino_in_tiles(r, 4, 4, 2);
    else if (r->side == 4) wino_in_tiles(r, 2, 4, 4);
    else wino_in_tiles(r, 2, 2, 8);
}

/* ---- and back -------------------------------------------------------------------------------- */

/* The (z, y) points of one x, from `from` on, to q[(z, y)]. */
WINO_INLINE void wino_out_slice(const fab_winograd_out *r, const float *from, wino_vec *q,
                                const int deep, const int side)
{
    wino_vec m[WINO_MOST], a[WINO_MOST][4], b[WINO_MOST];
#pragma GCC unroll 6
    for (int y = 0; y < side + 2; y++) {
#pragma GCC unroll 6
        for (int z = 0; z < deep + 2; z++)
            m[z] = wino_load(from + (z * (side + 2) + y) * (side + 2) * r->point);
        wino_out_axis(m, a[y], deep);
    }
#pragma GCC unroll 4
    for (int z = 0; z < deep; z++) {
#pragma GCC unroll 6
        for (int y = 0; y < side + 2; y++) b[y] = a[y][z];
        wino_out_axis(b, q + z * side, side);
    }
}

WINO_INLINE void wino_out_tiles(const fab_winograd_out *r, const int deep, const int side,
                                const int chunk)
{
    wino_vec q[WINO_COLUMNS], m[WINO_MOST], t[4];
    const int rows = deep * side, tile = (side + 2) * rows;
    for (int lane = 0; lane < FAB_NN_BLOCK; lane += WINO_LANES)
        for (int first = 0; first < r->tiles; first += chunk) {
            const int n = fab_nn_least(chunk, r->tiles - first);
            const float *from = r->from + (ptrdiff_t)first * FAB_NN_BLOCK + lane;
            for (int x = 0; x < side + 2; x++)
                for (int i = 0; i < n; i++)
                    wino_out_slice(r, from + x * r->point + (ptrdiff_t)i * FAB_NN_BLOCK,
                                   q + i * tile + x * rows, deep, side);
            for (int k = 0; k < rows; k++) {
                float *to = r->to + k / side * r->plane + k % side * r->row +
                            (ptrdiff_t)side * first * FAB_NN_BLOCK + lane;
                for (int i = 0; i < n; i++, to += side * FAB_NN_BLOCK) {
#pragma GCC unroll 6
                    for (int x = 0; x < side + 2; x++) m[x] = q[i * tile + x * rows + k];
                    wino_out_axis(m, t, side);
#pragma GCC unroll 4
                    for (int x = 0; x < side; x++) wino_store(to + x * FAB_NN_BLOCK, t[x]);
                }
            }
        }
}

static void winograd_out(const fab_winograd_out *r)
{
    if (r->deep == 4) wino_out_tiles(r, 4, 4, 2);
    else if (r->side == 4) wino_out_tiles(r, 2, 4, 4);
    else wino_out_tiles(r, 2, 2, 4);
}
