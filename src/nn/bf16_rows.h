/* bf16_rows.h - everything of the bf16 kernels that is no convolution; a template, included by one
 * file an instruction set. The includer defines row_vec, a vector of ROW_LANES (1, 8 or 16) floats,
 * and row_load, row_store, row_splat, row_fma (a * b + c), row_add, row_sub, row_mul, row_max,
 * row_widen (from bf16 at p) and row_round (to bf16 at p, as fab_bf16_round).
 */
#include "bf16.h"

#define ROW_INLINE static inline __attribute__((always_inline))
#define ROW static __attribute__((unused)) /* no file has a use for all of them */
#define ROW_PARTS for (int part = 0; part < FAB_NN_BLOCK; part += ROW_LANES)

ROW_INLINE row_vec row_leaky(row_vec y, row_vec slope)
{
    return row_max(y, row_mul(y, slope));
}

/* One voxel's lanes from a tensor to scratch, as the four functions below say. */
ROW_INLINE void load_lanes(const void *src, void *dst, row_vec scale, row_vec shift, row_vec slope,
                           ptrdiff_t low, bool normed, bool half_tensors, int planes)
{
    row_vec x = half_tensors ? row_widen((const uint16_t *)src) : row_load((const float *)src);
    if (normed) x = row_leaky(row_fma(x, scale, shift), slope);
    if (!planes) row_store((float *)dst, x);
    else row_round((uint16_t *)dst, x);
    if (planes > 1) row_round((uint16_t *)dst + low, row_sub(x, row_widen((uint16_t *)dst)));
}

/* The last three are constants at every call. */
ROW_INLINE void load_rows(const fab_load_row *r, bool normed, bool half_tensors, int planes)
{
    const ptrdiff_t from = half_tensors ? sizeof(uint16_t) : sizeof(float);
    const ptrdiff_t to = planes ? sizeof(uint16_t) : sizeof(float);
    const row_vec slope = row_splat(r->slope);
    ROW_PARTS {
        const row_vec scale = normed ? row_load(r->scale + part) : slope;
        const row_vec shift = normed ? row_load(r->shift + part) : slope;
        const char *src = (const char *)r->src + part * from;
        char *dst = (char *)r->dst + part * to;
        for (int v = 0; v < r->count; v++, src += FAB_NN_BLOCK * from, dst += r->dst_step * to)
            load_lanes(src, dst, scale, shift, slope, r->dst_low, normed, half_tensors, planes);
    }
}

/* bf16 tensors to bf16 records. */
ROW void load_bf16(const fab_load_row *r)
{
    if (r->scale) load_rows(r, true, true, 1);
    else load_rows(r, false, true, 1);
}

/* bf16 tensors to fp32 scratch. */
ROW void load_wide(const fab_load_row *r)
{
    if (r->scale) load_rows(r, true, true, 0);
    else load_rows(r, false, true, 0);
}

/* fp32 tensors to records of high and low parts. */
ROW void load_exact(const fab_load_row *r)
{
    if (r->scale) load_rows(r, true, false, 2);
    else load_rows(r, false, false, 2);
}

ROW void store_bf16(const fab_store_row *r)
{
    ROW_PARTS {
        uint16_t *dst = (uint16_t *)r->dst + part;
        for (int v = 0; v < r->count; v++, dst += r->dst_step)
            row_round(dst, row_load(r->src + v * FAB_NN_BLOCK + part));
    }
}

ROW void store_fp32(const fab_store_row *r)
{
    ROW_PARTS {
        float *dst = (float *)r->dst + part;
        for (int v = 0; v < r->count; v++, dst += r->dst_step)
            row_store(dst, row_load(r->src + v * FAB_NN_BLOCK + part));
    }
}

/* fab_add_row's sum of bf16 tensors. */
ROW void add_bf16(const fab_add_row *r)
{
    const row_vec slope = row_splat(r->slope), skip_slope = row_splat(r->skip_slope);
    const float *scales = r->skip_scale ? r->skip_scale : r->scale;
    const float *shifts = r->skip_scale ? r->skip_shift : r->shift;
    ROW_PARTS {
        const row_vec scale = row_load(r->scale + part), shift = row_load(r->shift + part);
        const row_vec skip_scale = row_load(scales + part), skip_shift = row_load(shifts + part);
        for (int v = 0; v < r->count; v++) {
            const ptrdiff_t at = v * FAB_NN_BLOCK + part;
            const row_vec x = row_widen((const uint16_t *)r->src + at);
            row_vec other = row_widen((const uint16_t *)r->skip + at);
            if (r->skip_scale)
                other = row_leaky(row_fma(other, skip_scale, skip_shift), skip_slope);
            row_round((uint16_t *)r->dst + at,
                      row_leaky(row_add(row_fma(x, scale, shift), other), slope));
        }
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
