/* lanes.h - four numbers worked on together (vectors of GCC and clang). Every lane's result is that
 * of the same operations on one number. */
#ifndef FAB_RENDER_LANES_H
#define FAB_RENDER_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

enum { LANES = 4 };
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t lane_bits __attribute__((vector_size(4 * LANES)));   /* -1: yes, 0: no */
typedef int16_t lane_shorts __attribute__((vector_size(2 * LANES)));

static inline lanes lanes_load(const float *from)
{
    lanes v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void lanes_store(float *to, lanes v)
{
    memcpy(to, &v, sizeof v);
}

static inline lane_shorts lanes_load_shorts(const int16_t *from)
{
    lane_shorts v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void lanes_store_shorts(int16_t *to, lane_shorts v)
{
    memcpy(to, &v, sizeof v);
}

static inline lanes lanes_from_shorts(lane_shorts v)
{
    return __builtin_convertvector(v, lanes);
}

static inline lanes lanes_of(float x)
{
    return (lanes){x, x, x, x};
}

/* A lane of v where `yes`, else 0. */
static inline lanes lanes_only(lane_bits yes, lanes v)
{
    return (lanes)((lane_bits)v & yes);
}

static inline lanes lanes_pick(lane_bits yes, lanes a, lanes b)
{
    return (lanes)(((lane_bits)a & yes) | ((lane_bits)b & ~yes));
}

static inline lanes lanes_least(lanes a, lanes b)
{
    return lanes_pick(a < b, a, b);
}

static inline lanes lanes_most(lanes a, lanes b)
{
    return lanes_pick(a > b, a, b);
}

/* A bit a lane, the first lowest. */
static inline int lanes_where(lane_bits yes)
{
#ifdef __SSE__
    return _mm_movemask_ps((__m128)yes);
#else
    int bits = 0;
    for (int i = 0; i < LANES; i++) bits |= yes[i] ? 1 << i : 0;
    return bits;
#endif
}

static inline lanes lanes_root(lanes v)
{
#ifdef __SSE__
    return (lanes)_mm_sqrt_ps((__m128)v);
#else
    for (int i = 0; i < LANES; i++) v[i] = sqrtf(v[i]);
    return v;
#endif
}

#endif
