/* change.c - a scan seen again is another: density, brightness, sharpness, noise, field of view. */
#include <math.h>
#include <string.h>

#include "train_internal.h"

typedef struct box {
    const int *size;
    float *hu;
    uint8_t *classes;
    int64_t voxels;
} box;

/* Everything outside [low, high) of an axis lies beyond the scan. */
static void cut_axis(const box *b, int axis, int low, int high)
{
    for (int z = 0; z < b->size[0]; z++)
        for (int y = 0; y < b->size[1]; y++)
            for (int x = 0; x < b->size[2]; x++) {
                const int at = axis == 0 ? z : axis == 1 ? y : x;
                if (at >= low && at < high) continue;
                const ptrdiff_t i = ((ptrdiff_t)z * b->size[1] + y) * b->size[2] + x;
                b->hu[i] = -1024;
                b->classes[i] = 0;
            }
}

/* The field of view: a share of each axis. */
static void cut_view(const box *b, fab_rng *rng)
{
    for (int a = 0; a < 3; a++) {
        if (fab_rng_uniform(rng) < 0.5) continue;
        const int keep = (int)fab_rng_range(rng, b->size[a] / 3.0, b->size[a]);
        const int low = (int)fab_rng_range(rng, 0, b->size[a] - keep);
        cut_axis(b, a, low, low + keep);
    }
}

/* A box of 90 to 180 mm around the patch's middle, as scans of the spine have. */
static void cut_crop(const box *b, double mm, fab_rng *rng)
{
    for (int a = 0; a < 3; a++) {
        const double half = fab_rng_range(rng, 45, 90) / mm, middle = b->size[a] / 2.0;
        cut_axis(b, a, (int)(middle - half), (int)(middle + half));
    }
}

/* Dense tissue denser or paler, everything a little lighter or darker. */
static void change_density(const box *b, fab_rng *rng)
{
    const float gain = (float)fab_rng_range(rng, 0.75, 1.4);
    const float scale = (float)fab_rng_range(rng, 0.93, 1.07);
    const float shift = (float)fab_rng_range(rng, -20, 20);
    for (int64_t i = 0; i < b->voxels; i++) {
        float v = b->hu[i];
        if (v > 130) v = 130 + (v - 130) * gain;
        b->hu[i] = v > -1000 ? v * scale + shift : v;
    }
}

static void add_noise(const box *b, fab_rng *rng)
{
    const double sd = fab_rng_range(rng, 0, 22);
    uint64_t state = (uint64_t)fab_rng_u32(rng) << 32 | fab_rng_u32(rng) | 1;
    for (int64_t i = 0; i < b->voxels; i++) {
        float sum = 0; /* of four uniforms: near enough to normal, and quick */
        state = state * 6364136223846793005u + 1442695040888963407u;
        for (int k = 0; k < 4; k++) sum += (float)((state >> (16 * k)) & 0xffff);
        b->hu[i] += (float)sd * (sum / 65536.0f - 2.0f) * 1.7320508f;
    }
}

/* Neighbours along an axis by k each: softer, or sharper with k below 0. */
static void blend(const box *b, int axis, float k, float *spare)
{
    const ptrdiff_t step = axis == 0   ? (ptrdiff_t)b->size[1] * b->size[2]
                           : axis == 1 ? b->size[2] : 1;
    memcpy(spare, b->hu, (size_t)b->voxels * sizeof *spare);
    for (int64_t i = step; i < b->voxels - step; i++)
        b->hu[i] = (1 - 2 * k) * spare[i] + k * (spare[i - step] + spare[i + step]);
}

void fab_patch_change(const fab_recipe *r, fab_rng *rng, float *hu, float *spare,
                      uint8_t *classes)
{
    const int *size = r->schedule.patch;
    const box b = {size, hu, classes, (int64_t)size[0] * size[1] * size[2]};
    if (fab_rng_uniform(rng) < 0.7) change_density(&b, rng);
    if (fab_rng_uniform(rng) < 0.35) {
        const float k = (float)fab_rng_range(rng, -0.08, 0.22);
        const bool all = fab_rng_uniform(rng) < 0.5;
        for (int a = 0; a < (all ? 3 : 1); a++) blend(&b, a, k, spare);
    }
    if (fab_rng_uniform(rng) < 0.3) add_noise(&b, rng);
    const double view = fab_rng_uniform(rng);
    if (view < 0.12) cut_crop(&b, r->spacing_mm, rng);
    else if (view < 0.35) cut_view(&b, rng);
}
