/* window.c - where nnU-Net puts its windows and how it weighs them. */
#include <math.h>

#include "segment_internal.h"

#define MIN_WEIGHT 1e-12 /* never 0: weights are divided by their sum */

int fab_window_starts(int size, int patch, double step, int *starts)
{
    if (size <= patch) {
        if (starts) starts[0] = 0;
        return 1;
    }
    const double target = patch * step;
    const int count = (int)ceil((size - patch) / (target < 1 ? 1 : target)) + 1;
    const double actual = (size - patch) / (double)(count - 1);
    for (int i = 0; starts && i < count; i++) starts[i] = (int)nearbyint(i * actual);
    return count;
}

int fab_window_fit(int size, int patch, int most, int by, double step)
{
    int best = patch;
    int64_t least = (int64_t)patch * fab_window_starts(size, patch, step, NULL);
    for (int p = patch + by; p <= most; p += by) {
        const int64_t covered = (int64_t)p * fab_window_starts(size, p, step, NULL);
        if (covered < least) least = covered, best = p;
    }
    return best;
}

void fab_window_gaussian(int patch, double scale, float *out)
{
    const double sigma = patch * scale;
    for (int i = 0; i < patch; i++) {
        const double d = (i - patch / 2) / sigma; /* the centre nnU-Net takes: patch // 2 */
        out[i] = (float)fmax(exp(-0.5 * d * d), MIN_WEIGHT);
    }
}
