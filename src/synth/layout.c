/* layout.c - what lies at every fine voxel: the map's names, and fat, muscle and skin between. */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

void fab_sy_body_draw(fab_rng *rng, fab_sy_body *b)
{
    const double build = fab_rng_uniform(rng);
    b->fat = build < 0.25   ? fab_sy_range(rng, 4, 14)
             : build < 0.7 ? fab_sy_range(rng, 10, 30)
                           : fab_sy_range(rng, 25, 50);
    b->fat_front = 0.25f * (float)fab_rng_normal(rng);
    if (fab_rng_uniform(rng) < 0.12) b->fat_front = -fab_sy_range(rng, 0.5, 1.4); /* an apron */
    b->wall = fab_sy_range(rng, 8, 20);
    b->wall_in = fab_sy_range(rng, 0, 3);
    b->marbling = fab_sy_range(rng, 0.8, 1.8);
    b->shoulder = fab_sy_range(rng, 12, 24);
    b->pelvis = fab_sy_range(rng, 6, 18);
    b->femur = fab_sy_range(rng, 28, 45);
    b->ribs = fab_sy_range(rng, 5, 12);
    b->mixed = fab_sy_range(rng, 0.3, 1.6);
    b->cloth_from = fab_sy_range(rng, 0, 8);
    b->cloth_to = b->cloth_from + (fab_rng_uniform(rng) < 0.25 ? fab_sy_range(rng, 1.5, 7) : -1);
}

enum { ROWS = SY_FIELDS + 5 }; /* fields, two noises, x, y, z */

typedef struct layout {
    fab_sy_patch *p;
    fab_sy_body body;
    fab_sy_noise broad, fine;
    float *row[ROWS], *scratch;
} layout;

/* Whether muscle lies on the wall of the trunk or on a bone near by. */
static bool muscle_near(const fab_sy_body *b, const float f[SY_FIELDS], float n1)
{
    const bool wall = f[SY_CAVITY] < b->wall * (1 + 0.2f * n1) && f[SY_CAVITY] > -b->wall_in;
    return wall || f[SY_SHOULDER] < b->shoulder + 4 * n1 || f[SY_PELVIS] < b->pelvis + 4 * n1 ||
           f[SY_FEMUR] < b->femur + 6 * n1 || (f[SY_RIBS] < b->ribs && f[SY_CAVITY] > -4);
}

/* The name of an unnamed voxel from its distances. n1 broad, n2 fine noise; y in -1..1, front to
 * back of the map. */
static uint8_t unnamed(const fab_sy_body *b, const float f[SY_FIELDS], float n1, float n2, float y)
{
    const float fat = b->fat * fab_sy_clamp(1 + 0.25f * n1 + b->fat_front * y, 0.2f, 2.5f);
    const float limb = fminf(45 + 6 * n1 - f[SY_FEMUR], 60 - f[SY_HULL]);
    const float inside = fmaxf(fat - f[SY_HULL], limb); /* mm below the skin */
    if (inside <= 0) {
        const float above = -inside + 3 * n1; /* in folds */
        return above > b->cloth_from && above < b->cloth_to ? SY_CLOTH : SY_OUTSIDE;
    }
    if (inside < 1.8f) return SY_SKIN;
    if (n2 < b->marbling && muscle_near(b, f, n1)) return SY_MUSCLE;
    if (f[SY_CAVITY] < 0) return n2 > b->mixed ? SY_SOFT : SY_TORSO_FAT;
    return f[SY_CAVITY] < b->wall ? SY_TORSO_FAT : SY_SKIN_FAT;
}

/* Names and depths of a row; true if some voxels lie in the map without a name. */
static bool named_row(const layout *l, int64_t at)
{
    const fab_synth_source *s = l->p->source;
    const float *x = l->row[0], *y = l->row[1], *z = l->row[2];
    const unsigned nx = (unsigned)s->size[0], ny = (unsigned)s->size[1], nz = (unsigned)s->size[2];
    uint8_t *label = l->p->label + at, *depth = l->p->depth + at;
    bool free = false;
    for (int i = 0; i < l->p->size[0]; i++) {
        const unsigned u = (unsigned)(int)(x[i] + 1.5f) - 1, v = (unsigned)(int)(y[i] + 1.5f) - 1;
        const unsigned w = (unsigned)(int)(z[i] + 1.5f) - 1;
        label[i] = w >= nz ? SY_BEYOND : SY_OUTSIDE;
        depth[i] = 0;
        if (u >= nx || v >= ny || w >= nz) continue;
        const size_t from = ((size_t)w * ny + v) * nx + u;
        label[i] = s->label[from];
        depth[i] = s->depth[from];
        if (l->p->bone) l->p->bone[at + i] = s->bone[from];
        free = free || label[i] == SY_OUTSIDE;
    }
    return free;
}

static void fill_row(layout *l, int64_t at, int y, int z)
{
    const fab_sy_map *m = &l->p->map;
    const float ny = (float)l->p->source->size[1];
    for (int k = 0; k < SY_FIELDS; k++) fab_sy_map_row(m, 3 + k, y, z, l->scratch, l->row[3 + k]);
    float *n1 = l->row[3 + SY_FIELDS], *n2 = l->row[4 + SY_FIELDS];
    fab_sy_noise_row(&l->broad, y, z, n1);
    fab_sy_noise_row(&l->fine, y, z, n2);
    uint8_t *label = l->p->label + at;
    for (int i = 0; i < l->p->size[0]; i++) {
        if (label[i] != SY_OUTSIDE || l->row[3 + SY_HULL][i] > 100) continue;
        float f[SY_FIELDS];
        for (int k = 0; k < SY_FIELDS; k++) f[k] = l->row[3 + k][i];
        label[i] = unnamed(&l->body, f, n1[i], n2[i], 2 * l->row[1][i] / ny - 1);
    }
}

/* Scans end in a plane: a slice that lies beyond the map in part shows nothing. */
static void end_flat(fab_sy_patch *p)
{
    const int64_t area = (int64_t)p->size[0] * p->size[1];
    for (int z = 0; z < p->size[2]; z++) {
        uint8_t *slice = p->label + z * area;
        int64_t beyond = 0;
        for (int64_t i = 0; i < area; i++) beyond += slice[i] == SY_BEYOND;
        if (beyond > area / 16) memset(slice, SY_BEYOND, (size_t)area);
    }
}

static fab_status lay_out(layout *l, fab_error *err)
{
    fab_sy_patch *p = l->p;
    const int wide = p->map.n[0] * SY_LATTICE;
    FAB_AUTO_FREE float *store = fab_alloc_array((size_t)wide * (ROWS + 1), sizeof *store);
    if (!store) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for rows");
    for (int k = 0; k < ROWS; k++) l->row[k] = store + k * wide;
    l->scratch = store + ROWS * wide;
    FAB_TRY(fab_sy_noise_make(&l->broad, p->size, 48 / p->step, &p->rng, err));
    FAB_TRY(fab_sy_noise_make(&l->fine, p->size, 14 / p->step, &p->rng, err));
    int64_t at = 0;
    for (int z = 0; z < p->size[2]; z++)
        for (int y = 0; y < p->size[1]; y++, at += p->size[0]) {
            for (int a = 0; a < 3; a++) fab_sy_map_row(&p->map, a, y, z, l->scratch, l->row[a]);
            const bool free = named_row(l, at);
            if (free && !p->source->complete) fill_row(l, at, y, z);
        }
    end_flat(p);
    return FAB_OK;
}

fab_status fab_sy_lay_out(fab_sy_patch *p, fab_error *err)
{
    layout l = {.p = p};
    fab_sy_body_draw(&p->rng, &l.body);
    if (!p->options->artefacts) l.body.cloth_to = 0;
    const fab_status status = lay_out(&l, err);
    fab_sy_noise_free(&l.broad);
    fab_sy_noise_free(&l.fine);
    return status;
}
