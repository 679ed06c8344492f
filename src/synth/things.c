/* things.c - what does not belong: masses, free fluid, metal. Painted over fine voxels' names. */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

static bool gives_way(int value)
{
    return value == SY_TORSO_FAT || value == SY_SOFT || value == 18 || value == 20; /* bowel */
}

/* What a mass is made of: solid, a cyst, or chambers of fluid in solid tissue. */
typedef enum mass_kind { MASS_SOLID, MASS_CYST, MASS_CHAMBERS } mass_kind;

typedef struct mass {
    int at[3];
    float radius[3];          /* fine voxels */
    float uneven, fluid_from; /* of the surface; noise above which a chamber lies */
    bool pushes;              /* bladder and stomach lie under it, too */
    fab_sy_noise shape, chambers;
} mass;

static bool mass_takes(const mass *m, int value)
{
    return gives_way(value) || (m->pushes && (value == 6 || value == 21)); /* stomach, bladder */
}

static bool find_place(fab_sy_patch *p, int at[3])
{
    for (int k = 0; k < 60; k++) {
        for (int a = 0; a < 3; a++) at[a] = (int)(fab_rng_u32(&p->rng) % (uint32_t)p->size[a]);
        if (gives_way(p->label[((int64_t)at[2] * p->size[1] + at[1]) * p->size[0] + at[0]]))
            return true;
    }
    return false;
}

static void mass_row(fab_sy_patch *p, mass *m, int y, int z, float *surface, float *inside)
{
    const float dz = (float)(z - m->at[2]) / m->radius[2];
    const float dy = (float)(y - m->at[1]) / m->radius[1];
    const float off = dy * dy + dz * dz, wide = 1 + 2 * m->uneven;
    const int64_t row = ((int64_t)z * p->size[1] + y) * p->size[0];
    if (off > wide * wide) return;
    fab_sy_noise_row(&m->shape, y, z, surface);
    fab_sy_noise_row(&m->chambers, y, z, inside);
    for (int x = 0; x < p->size[0]; x++) {
        const float dx = (float)(x - m->at[0]) / m->radius[0];
        const float edge = 1 + m->uneven * surface[x];
        if (edge <= 0 || dx * dx + off > edge * edge || !mass_takes(m, p->label[row + x])) continue;
        p->label[row + x] = inside[x] > m->fluid_from ? SY_FLUID : SY_MASS;
        p->depth[row + x] = 0;
    }
}

/* A body of no organ where fat and bowel were, uneven, up to the size of an ovarian tumour. */
static fab_status add_mass(fab_sy_patch *p, fab_error *err)
{
    mass m = {.uneven = fab_sy_range(&p->rng, 0, 0.3)};
    const double kind = fab_rng_uniform(&p->rng);
    const bool large = fab_rng_uniform(&p->rng) < 0.4;
    if (!find_place(p, m.at)) return FAB_OK;
    for (int a = 0; a < 3; a++)
        m.radius[a] = fab_sy_range(&p->rng, large ? 40 : 12, large ? 110 : 60) / p->step;
    const mass_kind made = kind < 0.4 ? MASS_SOLID : kind < 0.6 ? MASS_CYST : MASS_CHAMBERS;
    const float share = fab_sy_range(&p->rng, -0.8, 1);
    m.fluid_from = made == MASS_SOLID ? 99 : made == MASS_CYST ? -99 : share;
    m.pushes = large && fab_rng_uniform(&p->rng) < 0.5;
    const float grain = fab_sy_range(&p->rng, 8, 30) / p->step;
    FAB_AUTO_FREE float *row = fab_alloc_array((size_t)(p->size[0] + SY_LATTICE) * 2, sizeof *row);
    if (!row) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a mass");
    fab_status status = fab_sy_noise_make(&m.shape, p->size, 25 / p->step, &p->rng, err);
    if (status == FAB_OK) status = fab_sy_noise_make(&m.chambers, p->size, grain, &p->rng, err);
    for (int z = 0; z < p->size[2] && status == FAB_OK; z++)
        for (int y = 0; y < p->size[1]; y++)
            mass_row(p, &m, y, z, row, row + p->size[0] + SY_LATTICE);
    fab_sy_noise_free(&m.shape);
    fab_sy_noise_free(&m.chambers);
    return status;
}

/* Whether fluid takes a voxel: free room, or the border of an organ pushed back by retreat mm. */
static bool floods(const fab_sy_patch *p, int64_t i, float retreat)
{
    const int v = p->label[i];
    if (v == SY_SOFT || v == SY_TORSO_FAT) return true;
    const bool organ = v == 1 || v == 5; /* spleen, liver */
    return organ && ((float)p->depth[i] - 0.5f) * p->source->step / 3 < retreat;
}

/* Ascites: fluid wherever the belly has room, some of its fat left as islands; in half of them
 * liver and spleen have drawn back from the wall. */
static fab_status add_ascites(fab_sy_patch *p, fab_error *err)
{
    fab_sy_noise noise = {0};
    const bool drawn_back = fab_rng_uniform(&p->rng) < 0.5;
    const float retreat = drawn_back ? fab_sy_range(&p->rng, 4, 25) : -1;
    const float from = fab_sy_range(&p->rng, -1.5, 0.6);
    FAB_AUTO_FREE float *row = fab_alloc_array((size_t)p->size[0] + SY_LATTICE, sizeof *row);
    if (!row) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for ascites");
    FAB_TRY(fab_sy_noise_make(&noise, p->size, fab_sy_range(&p->rng, 15, 60) / p->step, &p->rng,
                              err));
    int64_t i = 0;
    for (int z = 0; z < p->size[2]; z++)
        for (int y = 0; y < p->size[1]; y++) {
            fab_sy_noise_row(&noise, y, z, row);
            for (int x = 0; x < p->size[0]; x++, i++) {
                if (row[x] > from && floods(p, i, retreat * fab_sy_clamp(0.6f + row[x], 0, 1)))
                    p->label[i] = SY_FLUID, p->depth[i] = 0;
            }
        }
    fab_sy_noise_free(&noise);
    return FAB_OK;
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

fab_status fab_sy_add_things(fab_sy_patch *p, fab_error *err)
{
    if (!p->options->artefacts) return FAB_OK;
    if (fab_rng_uniform(&p->rng) < 0.12) FAB_TRY(add_ascites(p, err));
    for (int k = 0; k < 3 && fab_rng_uniform(&p->rng) < 0.25; k++) FAB_TRY(add_mass(p, err));
    if (fab_rng_uniform(&p->rng) < 0.06) add_fluid(p);
    return FAB_OK;
}
