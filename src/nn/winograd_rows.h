/* winograd_rows.h - the transforms of Winograd's F(2x2x2, 3x3x3); a template, one include an ISA.
 *
 * The includer defines the type wino_vec of WINO_LANES floats and wino_load, wino_store, wino_add,
 * wino_sub. Sums are taken in the order written here, so results are the same bits everywhere.
 */
#include "nn_internal.h"

#define WINO_INLINE static inline __attribute__((always_inline))
#define WINO_CHUNK 8 /* tiles whose half-transformed columns stay in the first-level cache */

/* One axis of the input's transform: B^T d. */
WINO_INLINE void wino_in_axis(const wino_vec d[4], wino_vec t[4])
{
    t[0] = wino_sub(d[0], d[2]);
    t[1] = wino_add(d[1], d[2]);
    t[2] = wino_sub(d[2], d[1]);
    t[3] = wino_sub(d[1], d[3]);
}

/* Column x of the tile row, transformed along z and y, to columns[16 (z, y)][x]. */
WINO_INLINE void wino_in_column(const fab_winograd_in *r, ptrdiff_t at,
                                wino_vec columns[16][2 * WINO_CHUNK + 2], int x)
{
    wino_vec a[4][4], b[4], c[4]; /* a[y][z] */
#pragma GCC unroll 4
    for (int y = 0; y < 4; y++) {
#pragma GCC unroll 4
        for (int z = 0; z < 4; z++) b[z] = wino_load(r->plane[z] + y * r->row + at);
        wino_in_axis(b, a[y]);
    }
#pragma GCC unroll 4
    for (int z = 0; z < 4; z++) {
#pragma GCC unroll 4
        for (int y = 0; y < 4; y++) b[y] = a[y][z];
        wino_in_axis(b, c);
#pragma GCC unroll 4
        for (int y = 0; y < 4; y++) columns[4 * z + y][x] = c[y];
    }
}

static void winograd_in(const fab_winograd_in *r)
{
    wino_vec columns[16][2 * WINO_CHUNK + 2], t[4];
    for (int lane = 0; lane < FAB_NN_BLOCK; lane += WINO_LANES)
        for (int first = 0; first < r->tiles; first += WINO_CHUNK) {
            const int n = r->tiles - first < WINO_CHUNK ? r->tiles - first : WINO_CHUNK;
            const ptrdiff_t at = (ptrdiff_t)2 * first * FAB_NN_BLOCK + lane;
            for (int x = 0; x < 2 * n + 2; x++)
                wino_in_column(r, at + (ptrdiff_t)x * FAB_NN_BLOCK, columns, x);
            for (int k = 0; k < 16; k++) {
                float *to = r->to + 4 * k * r->point + (ptrdiff_t)first * FAB_NN_BLOCK + lane;
                for (int i = 0; i < n; i++, to += FAB_NN_BLOCK) {
                    wino_in_axis(columns[k] + 2 * i, t);
#pragma GCC unroll 4
                    for (int x = 0; x < 4; x++) wino_store(to + x * r->point, t[x]);
                }
            }
        }
}

/* One axis of the result's transform: A^T m. */
WINO_INLINE void wino_out_axis(const wino_vec m[4], wino_vec t[2])
{
    t[0] = wino_add(wino_add(m[0], m[1]), m[2]);
    t[1] = wino_sub(wino_sub(m[1], m[2]), m[3]);
}

/* The 16 (z, y) points of one x, from `from` on, to q[z][y]. */
WINO_INLINE void wino_out_slice(const fab_winograd_out *r, const float *from, wino_vec q[2][2])
{
    wino_vec m[4], a[4][2], b[4];
#pragma GCC unroll 4
    for (int y = 0; y < 4; y++) {
#pragma GCC unroll 4
        for (int z = 0; z < 4; z++) m[z] = wino_load(from + (16 * z + 4 * y) * r->point);
        wino_out_axis(m, a[y]);
    }
#pragma GCC unroll 2
    for (int z = 0; z < 2; z++) {
#pragma GCC unroll 4
        for (int y = 0; y < 4; y++) b[y] = a[y][z];
        wino_out_axis(b, q[z]);
    }
}

static void winograd_out(const fab_winograd_out *r)
{
    for (int lane = 0; lane < FAB_NN_BLOCK; lane += WINO_LANES)
        for (int i = 0; i < r->tiles; i++) {
            const float *from = r->from + (ptrdiff_t)i * FAB_NN_BLOCK + lane;
            float *to = r->to + (ptrdiff_t)2 * i * FAB_NN_BLOCK + lane;
            wino_vec q[4][2][2], m[4], t[2];
#pragma GCC unroll 4
            for (int x = 0; x < 4; x++) wino_out_slice(r, from + x * r->point, q[x]);
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++) {
                float *row = to + (k >> 1) * r->plane + (k & 1) * r->row;
#pragma GCC unroll 4
                for (int x = 0; x < 4; x++) m[x] = q[x][k >> 1][k & 1];
                wino_out_axis(m, t);
                wino_store(row, t[0]);
                wino_store(row + FAB_NN_BLOCK, t[1]);
            }
        }
}
