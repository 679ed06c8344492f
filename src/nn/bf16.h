/* bf16.h - bf16 values, and how convolutions on them sum.
 *
 * bf16 is the upper half of an fp32: 8 bits of exponent, 8 of significand. The product of two is
 * exact in fp32 (but for exponents at the end of its range), so only the order of sums matters.
 *
 * A voxel's record in scratch holds 32 channels, 64 bytes: one row of an AMX tile. With two planes
 * x is kept as high = bf16(x) and low = bf16(x - high), and a product is the sum of three:
 * high * high, high * low, low * high ("bf16x3", relative error about 2^-16).
 *
 *     weights  [out block][record][tap][plane][pair of channels: 16][16 outputs][2]
 *
 * Denormals count as zero, in and out; rounding is to nearest even. The order is the processor's:
 *
 *   vdpbf16ps   s = fma(a[1], w[1], s), then s = fma(a[0], w[0], s), pair after pair
 *   tdpbf16ps   over the 16 pairs of a record, from zero: odd = fma(a[1], w[1], odd) and
 *               even = fma(a[0], w[0], even); then s = s + (even + odd)
 *
 * (Intel, Architecture Instruction Set Extensions Programming Reference, VDPBF16PS, TDPBF16PS.)
 */
#ifndef FAB_NN_BF16_H
#define FAB_NN_BF16_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "nn_internal.h"

#define FAB_BF16_GROUP (2 * FAB_NN_BLOCK)                    /* channels of a record */
#define FAB_BF16_TILE (FAB_BF16_GROUP * FAB_NN_BLOCK)        /* values of a tap's weights */
#define FAB_BF16_LEAST FLT_MIN                               /* below are denormals */

static inline float fab_bf16_widen(uint16_t v)
{
    const uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* To nearest, ties to even; denormals to zero; not-a-numbers stay: vcvtneps2bf16. */
static inline uint16_t fab_bf16_round(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint32_t size = bits & 0x7fffffff;
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    const uint32_t nan = bits >> 16 | 0x40, zero = bits >> 16 & 0x8000;
    return (uint16_t)(size > 0x7f800000 ? nan : size < 0x00800000 ? zero : rounded);
}

/* What rounding left, rounded in turn. */
static inline uint16_t fab_bf16_rest(float f, uint16_t high)
{
    return fab_bf16_round(f - fab_bf16_widen(high));
}

static inline float fab_bf16_flush(float f)
{
    return fabsf(f) < FAB_BF16_LEAST ? copysignf(0.0f, f) : f;
}

/* fma(a, w, s) of widened bf16: where their product is exact, without fma(). */
static inline float fab_bf16_fma(float a, float w, float s)
{
    const float product = a * w, size = fabsf(product);
    const bool exact = (size >= FAB_BF16_LEAST && size <= FLT_MAX) || a == 0.0f || w == 0.0f;
    return exact ? s + product : fmaf(a, w, s);
}

#endif
