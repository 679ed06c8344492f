/* tile_emulation.h - what AMX's tile instructions do to tiles of 16 rows of 64 bytes (Intel,
 * Architecture Instruction Set Extensions Programming Reference, chapter 3). */
#ifndef FAB_NN_TILE_EMULATION_H
#define FAB_NN_TILE_EMULATION_H

#include "bf16.h"

#define FAB_TILE_ROWS 16
#define FAB_TILE_ROW_BYTES 64

typedef struct fab_tile {
    uint8_t row[FAB_TILE_ROWS][FAB_TILE_ROW_BYTES];
} fab_tile;

/* TILELOADD, TILESTORED: `bytes` from one row in memory to the next. */
static inline void fab_tile_load(fab_tile *t, const void *from, ptrdiff_t bytes)
{
    for (int i = 0; i < FAB_TILE_ROWS; i++)
        memcpy(t->row[i], (const uint8_t *)from + i * bytes, FAB_TILE_ROW_BYTES);
}

static inline void fab_tile_store(const fab_tile *t, void *to, ptrdiff_t bytes)
{
    for (int i = 0; i < FAB_TILE_ROWS; i++)
        memcpy((uint8_t *)to + i * bytes, t->row[i], FAB_TILE_ROW_BYTES);
}

/* TDPBF16PS: c[m][n] += sum over k of a[m][2k] b[k][2n] + a[m][2k + 1] b[k][2n + 1], even and odd
 * terms summed apart from zero by fused multiply-adds, then together, then to c; denormals are
 * zero, rounding is to nearest even, whatever MXCSR says. */
static inline void fab_tile_dot(fab_tile *c, const fab_tile *a, const fab_tile *b)
{
    enum { N = FAB_TILE_ROW_BYTES / 4 };
    float weights[FAB_TILE_ROWS][2][N];
    uint16_t pair[2 * N];
    for (int k = 0; k < FAB_TILE_ROWS; k++) {
        memcpy(pair, b->row[k], sizeof pair);
        for (int n = 0; n < 2 * N; n++)
            weights[k][n % 2][n / 2] = fab_bf16_flush(fab_bf16_widen(pair[n]));
    }
    for (int m = 0; m < FAB_TILE_ROWS; m++) {
        float sum[2][N] = {{0}}, total[N];
        memcpy(pair, a->row[m], sizeof pair);
        for (int k = 0; k < FAB_TILE_ROWS; k++)
            for (int h = 0; h < 2; h++) {
                const float s = fab_bf16_flush(fab_bf16_widen(pair[2 * k + h]));
                for (int n = 0; n < N; n++)
                    sum[h][n] = fab_bf16_flush(fmaf(s, weights[k][h][n], sum[h][n]));
            }
        memcpy(total, c->row[m], sizeof total);
        for (int n = 0; n < N; n++)
            total[n] = fab_bf16_flush(fab_bf16_flush(total[n]) +
                                      fab_bf16_flush(sum[0][n] + sum[1][n]));
        memcpy(c->row[m], total, sizeof total);
    }
}

#endif
