/* things.c - what does not belong: masses, free fluid, metal. Painted over fine voxels' names. */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

static bool gives_way(int value)
{
    return value == SY_TORSO_FAT || value == SY_SOFT || value == 18 || value == 20; /* bowel */
}

/* An ellipsoid of no organ where fat and bowel were. */
static void add_mass(fab_sy_patch *p)
{
    int at[3] = {0, 0, 0};
    bool found = false;
    for (int k = 0; k < 60 && !found; k++) {
        for (int a = 0; a < 3; a++) at[a] = (int)(fab_rng_u32(&p->rng) % (uint32_t)p->size[a]);
        found = gives_way(p->label[((int64_t)at[2] * p->size[1] + at[1]) * p->size[0] + at[0]]);
    }
    if (!found) return;
    float radius[3];
    int low[3], high[3];
    for (int a = 0; a < 3; a++) {
        radius[a] = fab_sy_range(&p->rng, 15, 75) / p->step;
        low[a] = (int)fmaxf(0, (float)at[a] - radius[a]);
        high[a] = (int)fminf((float)p->size[a] - 1, (float)at[a] + radius[a]);
    }
    const uint8_t name = fab_rng_uniform(&p->rng) < 0.5 ? SY_MASS : SY_FLUID;
    for (int z = low[2]; z <= high[2]; z++)
        for (int y = low[1]; y <= high[1]; y++) {
            const float dz = (float)(z - at[2]) / radius[2], dy = (float)(y - at[1]) / radius[1];
            const int64_t row = ((int64_t)z * p->size[1] + y) * p->size[0];
            for (int x = low[0]; x <= high[0]; x++) {
                const float dx = (float)(x - at[0]) / radius[0];
                if (dx * dx + dy * dy + dz * dz > 1 || !gives_way(p->label[row + x])) continue;
                p->label[row + x] = name, p->depth[row + x] = 0;
            }
        }
}

/* Fluid that has run to the back: of the belly's fat, or of the lungs' space. */
static void add_fluid(fab_sy_patch *p)
{
    const bool chest = fab_rng_uniform(&p->rng) < 0.5;
    const float level = fab_sy_range(&p->rng, 0.45, 0.8) * (float)p->size[1];
    const float slope = fab_sy_range(&p->rng, -0.15, 0.15);
    for (int z = 0; z < p->size[2]; z++)
        for (int y = 0; y < p->size[1]; y++) {
            const float down = p->gravity > 0 ? (float)y : (float)(p->size[1] - y);
            if (down < level + slope * (float)z) continue;
            const int64_t row = ((int64_t)z * p->size[1] + y) * p->size[0];
            for (int x = 0; x < p->size[0]; x++) {
                const int v = p->label[row + x];
                const bool lung = v >= 10 && v <= 14 && p->depth[row + x] < 60;
                if (chest ? !lung : v != SY_SOFT && v != SY_TORSO_FAT) continue;
                p->label[row + x] = SY_FLUID, p->depth[row + x] = 0;
            }
        }
}

void fab_sy_add_things(fab_sy_patch *p)
{
    if (!p->options->artefacts) return;
    if (fab_rng_uniform(&p->rng) < 0.2) add_mass(p);
    if (fab_rng_uniform(&p->rng) < 0.06) add_fluid(p);
}
