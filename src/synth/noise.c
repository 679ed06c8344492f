/* noise.c - random fields: white noise on a coarse lattice, read trilinearly. */
#include <math.h>

#include "synth_internal.h"

/* A bijective mixer (Wellons, "lowbias32"). */
uint32_t fab_sy_hash(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ (x >> 16);
}

static inline float normal_of(uint32_t key, uint32_t counter)
{
    const uint32_t a = fab_sy_hash(counter ^ key), b = fab_sy_hash(a + 0x9e3779b9U);
    const int32_t sum = (int32_t)((a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16)) - 131070;
    return (float)sum * (1.0f / 37837.2f); /* sd of four uniforms of 16 bits */
}

void fab_sy_normals(uint32_t key, int64_t first, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++) out[i] = normal_of(key, (uint32_t)(first + i));
}

fab_status fab_sy_noise_make(fab_sy_noise *n, const int size[3], float cell, fab_rng *rng,
                             fab_error *err)
{
    fab_sy_noise made = {.cell = cell, .count = size[0]};
    for (int a = 0; a < 3; a++) {
        made.n[a] = (int)ceilf((float)size[a] / cell) + 2;
        made.phase[a] = (float)fab_rng_uniform(rng);
    }
    const int64_t values = fab_sy_count(made.n);
    made.value = fab_alloc_array((size_t)(values + made.n[0]), sizeof *made.value);
    made.index = fab_alloc_array((size_t)size[0], sizeof *made.index);
    made.part = fab_alloc_array((size_t)size[0], sizeof *made.part);
    if (!made.value || !made.index || !made.part) {
        fab_sy_noise_free(&made);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for noise");
    }
    made.row = made.value + values;
    fab_sy_normals(fab_rng_u32(rng), 0, values, made.value);
    /* the mean variance of a trilinear mix is (2/3)^3 */
    for (int64_t i = 0; i < values; i++) made.value[i] *= 1.8371f;
    for (int x = 0; x < size[0]; x++) {
        const float at = (float)x / cell + made.phase[0];
        made.index[x] = (uint16_t)at;
        made.part[x] = at - (float)made.index[x];
    }
    *n = made;
    return FAB_OK;
}

void fab_sy_noise_free(fab_sy_noise *n)
{
    n->value = fab_free(n->value);
    n->index = fab_free(n->index);
    n->part = fab_free(n->part);
}

void fab_sy_noise_row(fab_sy_noise *n, int y, int z, float *out)
{
    const float v = (float)y / n->cell + n->phase[1], w = (float)z / n->cell + n->phase[2];
    const int j = (int)v, k = (int)w;
    const float fy = v - (float)j, fz = w - (float)k;
    const float *a = n->value + ((int64_t)k * n->n[1] + j) * n->n[0], *b = a + n->n[0];
    const float *c = a + (int64_t)n->n[1] * n->n[0], *d = c + n->n[0];
    const float wa = (1 - fy) * (1 - fz), wb = fy * (1 - fz), wc = (1 - fy) * fz, wd = fy * fz;
    float *row = n->row;
    for (int i = 0; i < n->n[0]; i++) row[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
    for (int x = 0; x < n->count; x++) {
        const float *p = row + n->index[x];
        out[x] = p[0] + (p[1] - p[0]) * n->part[x];
    }
}
