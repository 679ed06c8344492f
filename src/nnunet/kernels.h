/* kernels.h - the inner loops of this folder, built once for every instruction set.
 *
 * kernels.c is compiled several times; every build gives the same bits (no fused multiply-add, fp16
 * rounded to nearest even in software or by F16C), so results do not depend on the machine.
 */
#ifndef FAB_NNUNET_KERNELS_H
#define FAB_NNUNET_KERNELS_H

#include "fabrica/base.h"

#define FAB_SPLINE_PAD 12   /* samples an edge is repeated before the cubic filter, as scipy does */
#define FAB_SPLINE_LANES 16 /* lines that are filtered together */

typedef struct fab_nnunet_kernels {
    const char *name;
    /* IEEE 754 binary16. NaNs keep the upper bits of their payload and become quiet. */
    void (*half_to_float)(const uint16_t *from, float *to, int64_t count);
    void (*float_to_half)(const float *from, uint16_t *to, int64_t count);
    /* sum = fp16(fp32(sum) + fp32(value * weight)) */
    void (*add_weighted)(const float *value, const float *weight, uint16_t *sum, int count);
    /* The same of every head: value = fp32(logits[voxel][pitch] * share), sum[head][step]. */
    void (*add_logits)(const float *logits, ptrdiff_t pitch, float share, const float *weight,
                       uint16_t *sum, ptrdiff_t step, int heads, int count);
    /* Of logits[head][step], fp16: the first head that is greatest, its logit, the next greatest
     * (-infinity where there is one head). */
    void (*rank)(const uint16_t *logits, ptrdiff_t step, int heads, float *best, float *second,
                 int32_t *head, int count);
    /* sum = of all heads e^(logit - best), those left out that are 17 below: less than 2^-24. */
    void (*sum_exponentials)(const uint16_t *logits, ptrdiff_t step, int heads, const float *best,
                             float *sum, int count);
    /* In place: samples of FAB_SPLINE_LANES lines, [n][lanes], to cubic B-spline coefficients,
     * lines continued by reflection about their ends (Unser, IEEE Trans. SP 41 (1993)). */
    void (*spline_filter)(double *lines, int n);
    /* to[k][lanes] = sum over `taps` (2 or 4) of weight[k][tap] * lines[first[k] + tap][lanes] */
    void (*combine)(const double *lines, const int32_t *first, const double *weight, int taps,
                    int count, double *to);
    /* low[i], high[i]: least and greatest of the fp16 values i and i + 1 (the last has none after
     * it) of four rows, as integers in the same order (-0 is one below 0). */
    void (*cell_range)(const uint16_t *const row[4], int16_t *low, int16_t *high, int count);
    /* floor = the greater of both */
    void (*raise)(const int16_t *low, int16_t *floor, int count);
    /* Whether some high[i] is at least floor[i]; span: the first and the last such i. */
    bool (*reaches)(const int16_t *high, const int16_t *floor, int count, int span[2]);
    /* to = a (1 - t) + b t, from fp16 */
    void (*mix_half)(const uint16_t *a, const uint16_t *b, double t, double *to, int count);
    /* to[i] = row[first[i]] (1 - t[i]) + row[second[i]] t[i] */
    void (*spread)(const double *row, const int32_t *first, const int32_t *second,
                   const double *t, double *to, int count);
    /* v = fp16(a (1 - t) + b t), rounded once. */
    void (*blend)(const double *a, const double *b, double t, float *v, int count);
    /* sum[head][step] += what softmax, or for regions the sigmoid, makes of logits[head][step] in
     * fp32; the logits are lost. */
    void (*add_shares)(float *logits, ptrdiff_t step, int heads, bool regions, float *sum,
                       int count);
    /* to = fp16(ln share), for regions fp16(ln (share / (1 - share))); shares are held 2^-24 away
     * from 0 and 1. */
    void (*logits_of_shares)(const float *share, bool regions, uint16_t *to, int count);
    /* v = fp16(a (1 - t) + b t), rounded once. Where v is above best: best = v, label = value. */
    void (*keep_best)(const double *a, const double *b, double t, int32_t value, float *best,
                      int32_t *label, int count);
    /* The same of fp16 values as they are: best holds them as integers in their order (0 and -0
     * the same), label is an index. */
    void (*keep_best_half)(const uint16_t *v, int16_t index, int16_t *best, int16_t *label,
                           int count);
    /* label = value where v is at least `from`. */
    void (*keep_above)(const double *a, const double *b, double t, int32_t value, float from,
                       int32_t *label, int count);
} fab_nnunet_kernels;

extern const fab_nnunet_kernels fab_nnunet_kernels_scalar;
#ifdef FAB_NNUNET_X86
extern const fab_nnunet_kernels fab_nnunet_kernels_avx2, fab_nnunet_kernels_avx512;
#endif

#define FAB_NNUNET_KERNEL_SETS 3
/* The set at this place, [0] the plain one; NULL if it was not built or does not run here. Found
 * out once by running it under a SIGILL guard. */
const fab_nnunet_kernels *fab_nnunet_kernels_at(int index);
const fab_nnunet_kernels *fab_nnunet_kernels_best(void);

#endif
