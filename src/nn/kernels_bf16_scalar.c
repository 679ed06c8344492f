/* kernels_bf16_scalar.c - the reference of the bf16 kernels, in vdpbf16ps's order (bf16.h). */
#include "bf16_scalar.h"

#include "bf16_rows.h"

FORWARD(scalar)

/* One record's pairs of one tap, 16 outputs. */
static void add_pairs(const uint16_t *in, const uint16_t *weights, int pairs,
                      float sum[FAB_NN_BLOCK])
{
    for (int i = 0; i < pairs; i++, weights += FAB_BF16_GROUP)
        for (int h = 1; h >= 0; h--) {
            const float a = fab_bf16_flush(fab_bf16_widen(in[2 * i + h]));
            for (int o = 0; o < FAB_NN_BLOCK; o++) {
                const float w = fab_bf16_flush(fab_bf16_widen(weights[2 * o + h]));
                sum[o] = fab_bf16_flush(fab_bf16_fma(a, w, sum[o]));
            }
        }
}

static void conv_voxel(const fab_conv_row *r, const uint16_t *in, const uint16_t *weights,
                       const float *bias, int planes, float *out)
{
    float sum[FAB_NN_BLOCK] = {0};
    for (int o = 0; o < FAB_NN_BLOCK && bias; o++) sum[o] = fab_bf16_flush(bias[o]);
    for (int b = 0; b < r->blocks; b++)
        for (int t = 0; t < r->taps; t++, weights += planes * FAB_BF16_TILE) {
            const uint16_t *p = in + b * r->in_block + r->tap[t];
            const int pairs = (r->channels[b] + 1) / 2;
            add_pairs(p, weights, pairs, sum);
            if (planes == 1) continue;
            add_pairs(p, weights + FAB_BF16_TILE, pairs, sum);
            add_pairs(p + r->in_low, weights, pairs, sum);
        }
    memcpy(out, sum, sizeof sum);
}

static void conv_planes(const fab_conv_row *r, int planes)
{
    const uint16_t *in = r->in, *weights = r->weights;
    for (int k = 0; k <= r->pair; k++)
        for (int v = 0; v < r->count; v++)
            conv_voxel(r, in + (ptrdiff_t)v * r->in_step, weights + k * r->pair_weights,
                       r->bias ? r->bias + k * FAB_NN_BLOCK : NULL, planes,
                       r->out + k * r->pair_out + v * r->out_step);
}

static void conv(const fab_conv_row *r) { conv_planes(r, 1); }
static void conv_exact(const fab_conv_row *r) { conv_planes(r, 2); }

const fab_nn_kernels fab_nn_kernels_bf16_scalar = BF16_KERNELS("bf16-scalar", conv, peak_fp32);
const fab_nn_kernels fab_nn_kernels_exact_scalar =
    EXACT_KERNELS("exact-scalar", conv_exact, peak_fp32);
const fab_nn_kernels fab_nn_kernels_half_scalar = BF16_TENSORS_KERNELS("bf16-tensors-scalar");
