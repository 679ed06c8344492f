/* bf16_rows.h - everything of the bf16 kernels that is no convolution; a template, included by one
 * file an instruction set and left to the compiler to vectorise: 16 lanes at a time, the same bits
 * whatever it makes of them.
 */
#include "bf16.h"

#define ROW_INLINE static inline __attribute__((always_inline))
#define ROW static __attribute__((unused)) /* no file has a use for all of them */

/* leaky(src * scale + shift), 16 channels of a voxel. */
ROW_INLINE void normed(const float *src, const fab_load_row *r, float *out)
{
    for (int c = 0; c < FAB_NN_BLOCK; c++) {
        const float y = fmaf(src[c], r->scale[c], r->shift[c]), low = y * r->slope;
        out[c] = y > low ? y : low;
    }
}

ROW_INLINE void widened(const uint16_t *src, float *out)
{
    for (int c = 0; c < FAB_NN_BLOCK; c++) out[c] = fab_bf16_widen(src[c]);
}

ROW_INLINE void rounded(const float *src, uint16_t *out)
{
    for (int c = 0; c < FAB_NN_BLOCK; c++) out[c] = fab_bf16_round(src[c]);
}

/* bf16 tensors to bf16 records. */
ROW void load_bf16(const fab_load_row *r)
{
    const uint16_t *src = r->src;
    uint16_t *dst = r->dst;
    for (int v = 0; v < r->count; v++, src += FAB_NN_BLOCK, dst += r->dst_step) {
        float x[FAB_NN_BLOCK], y[FAB_NN_BLOCK];
        if (!r->scale) {
            memcpy(dst, src, FAB_NN_BLOCK * sizeof *dst);
            continue;
        }
        widened(src, x);
        normed(x, r, y);
        rounded(y, dst);
    }
}

/* bf16 tensors to fp32 scratch. */
ROW void load_wide(const fab_load_row *r)
{
    const uint16_t *src = r->src;
    float *dst = r->dst;
    for (int v = 0; v < r->count; v++, src += FAB_NN_BLOCK, dst += r->dst_step) {
        float x[FAB_NN_BLOCK];
        widened(src, x);
        if (r->scale) normed(x, r, dst);
        else memcpy(dst, x, sizeof x);
    }
}

/* fp32 tensors to records of high and low parts. */
ROW void load_exact(const fab_load_row *r)
{
    const float *src = r->src;
    uint16_t *dst = r->dst;
    for (int v = 0; v < r->count; v++, src += FAB_NN_BLOCK, dst += r->dst_step) {
        float y[FAB_NN_BLOCK], rest[FAB_NN_BLOCK];
        if (r->scale) normed(src, r, y);
        else memcpy(y, src, sizeof y);
        rounded(y, dst);
        for (int c = 0; c < FAB_NN_BLOCK; c++) rest[c] = y[c] - fab_bf16_widen(dst[c]);
        rounded(rest, dst + r->dst_low);
    }
}

ROW void store_bf16(const fab_store_row *r)
{
    const float *src = r->src;
    uint16_t *dst = r->dst;
    for (int v = 0; v < r->count; v++, src += FAB_NN_BLOCK, dst += r->dst_step)
        rounded(src, dst);
}

ROW void store_fp32(const fab_store_row *r)
{
    const float *src = r->src;
    float *dst = r->dst;
    for (int v = 0; v < r->count; v++, src += FAB_NN_BLOCK, dst += r->dst_step)
        memcpy(dst, src, FAB_NN_BLOCK * sizeof *dst);
}

/* fab_add_row's sum of bf16 tensors. */
ROW void add_bf16(const fab_add_row *r)
{
    const uint16_t *src = r->src, *from = r->skip;
    uint16_t *dst = r->dst;
    const fab_load_row first = {.scale = r->scale, .shift = r->shift, .slope = 1.0f};
    const fab_load_row second = {.scale = r->skip_scale, .shift = r->skip_shift,
                                 .slope = r->skip_slope};
    for (int v = 0; v < r->count; v++) {
        float x[FAB_NN_BLOCK], y[FAB_NN_BLOCK], other[FAB_NN_BLOCK];
        widened(src + v * FAB_NN_BLOCK, x);
        normed(x, &first, y);
        widened(from + v * FAB_NN_BLOCK, other);
        if (r->skip_scale) normed(other, &second, other);
        for (int c = 0; c < FAB_NN_BLOCK; c++) {
            const float sum = y[c] + other[c], low = sum * r->slope;
            y[c] = sum > low ? sum : low;
        }
        rounded(y, dst + v * FAB_NN_BLOCK);
    }
}

/* The rest of a row of kernels is that of the fp32 kernels of the same instruction set; with the
 * convolution and the peak too that makes tensors of bf16 and arithmetic in fp32. */
#define FORWARD(isa)                                                                              \
    ROW void norm(const fab_norm_row *r) { fab_nn_kernels_##isa.norm(r); }                        \
    ROW void elu(const fab_norm_row *r) { fab_nn_kernels_##isa.elu(r); }                          \
    ROW void stats(fab_stats_row *r) { fab_nn_kernels_##isa.stats(r); }                           \
    ROW void add_fp32(const fab_add_row *r) { fab_nn_kernels_##isa.add(r); }                      \
    ROW void conv_fp32(const fab_conv_row *r) { fab_nn_kernels_##isa.conv(r); }                   \
    ROW void points_in(const fab_winograd_in *r) { fab_nn_kernels_##isa.winograd_in(r); }         \
    ROW void points_out(const fab_winograd_out *r) { fab_nn_kernels_##isa.winograd_out(r); }      \
    ROW double peak_fp32(int64_t iterations) { return fab_nn_kernels_##isa.peak(iterations); }
#define FORWARD_EXPANDED(isa) FORWARD(isa)

#define BF16_KERNELS(kernels, convolution, loop)                                                  \
    {.name = kernels, .conv = convolution, .norm = norm, .elu = elu, .add = add_bf16,             \
     .stats = stats, .peak = loop, .precision = FAB_PRECISION_BF16, .half_tensors = true,         \
     .planes = 1, .load = load_bf16, .store = store_bf16, BF16_TASK}
#define EXACT_KERNELS(kernels, convolution, loop)                                                 \
    {.name = kernels, .conv = convolution, .norm = norm, .elu = elu, .add = add_fp32,             \
     .stats = stats, .peak = loop, .precision = FAB_PRECISION_EXACT, .planes = 2,                 \
     .load = load_exact, .store = store_fp32, BF16_TASK}
#define BF16_TENSORS_KERNELS(kernels)                                                             \
    {.name = kernels, .conv = conv_fp32, .norm = norm, .elu = elu, .add = add_bf16,               \
     .stats = stats, .winograd_in = points_in, .winograd_out = points_out, .peak = peak_fp32,     \
     .precision = FAB_PRECISION_BF16, .half_tensors = true, .load = load_wide,                    \
     .store = store_bf16}
#ifndef BF16_TASK /* kernels that need it define how tasks begin and end */
#define BF16_TASK .begin = NULL, .end = NULL
#endif
