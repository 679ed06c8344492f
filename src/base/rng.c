/* rng.c - PCG32 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good
 * Algorithms for Random Number Generation", 2014): XSH-RR output on a 64-bit LCG. */
#include <math.h>

#include "fabrica/base.h"

void fab_rng_seed(fab_rng *rng, uint64_t seed, uint64_t stream)
{
    rng->stream = (stream << 1) | 1;
    rng->state = 0;
    (void)fab_rng_u32(rng);
    rng->state += seed;
    (void)fab_rng_u32(rng);
}

uint32_t fab_rng_u32(fab_rng *rng)
{
    uint64_t old = rng->state;
    rng->state = old * 6364136223846793005ULL + rng->stream;
    uint32_t shifted = (uint32_t)(((old >> 18) ^ old) >> 27);
    uint32_t turn = (uint32_t)(old >> 59);
    return (shifted >> turn) | (shifted << ((32 - turn) & 31));
}

double fab_rng_uniform(fab_rng *rng)
{
    uint64_t high = fab_rng_u32(rng) >> 5, low = fab_rng_u32(rng) >> 6; /* 53 bits */
    return (double)(high * 67108864ULL + low) / 9007199254740992.0;
}

double fab_rng_range(fab_rng *rng, double low, double high)
{
    return low + (high - low) * fab_rng_uniform(rng);
}

double fab_rng_normal(fab_rng *rng)
{
    double u = 1.0 - fab_rng_uniform(rng), v = fab_rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v); /* Box and Muller 1958 */
}
