/* evidence.c - what the image says against a label, voxel by voxel of the network's lattice.
 *
 * Free fluid against a solid organ: where contrast medium has made the organ much brighter than
 * fluid, what is as dark as fluid, 9 mm thick and reaches the organ's border lies beside it. Cysts
 * within and lesions that take up some contrast stay.
 *
 * Fat under the skin against an organ of the belly: the fat that a ball of 6 mm can reach from the
 * skin, and what is thinner than 30 mm in it (a closing), if it is as dark as fat there. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "segment_internal.h"

enum {
    FLUID_GAP_HU = 30, /* the organ's brightest tenth is at least so far above fluid_below_hu */
    MOST = 20,         /* of the 27 voxels around one */
    NOT_FAT_HU = -20, /* brighter */
    MIXED_HU = 20,    /* a strand, or the border of something in fat, may be as bright */
    GAS_HU = -250,    /* darker: of a bowel in a hernia, say */
    FAT_HU = -50,
    LEAST_FLUID_HU = -20,
    AIR_HU = -400
};
#define UNDER_SKIN_MM 12.0
#define BALL_MM 6.0
#define CLOSING_MM 15.0

typedef struct evidence {
    const fab_model *model;
    const fab_slide *s;
    fab_grid grid;
    int64_t voxels, step[3]; /* of z, y, x */
    uint8_t *removed;
} evidence;

static float hu_at(const evidence *e, int z, int y, int x)
{
    const fab_slide *s = e->s;
    const int64_t row = ((int64_t)(z + s->low[0]) * s->padded[1] + y + s->low[1]) * s->padded[2];
    return s->image[row + s->low[2] + x] * (float)e->model->std + (float)e->model->mean;
}

typedef void visit_voxel(void *ctx, int64_t i, const int at[3]);

static void each_voxel(const evidence *e, visit_voxel *visit, void *ctx)
{
    int64_t i = 0;
    for (int z = 0; z < e->s->size[0]; z++)
        for (int y = 0; y < e->s->size[1]; y++)
            for (int x = 0; x < e->s->size[2]; x++, i++) visit(ctx, i, (int[]){z, y, x});
}

/* How many of the 27 around a voxel are set; those beyond the lattice are not. */
static int around(const evidence *e, const uint8_t *set, const int at[3])
{
    const int *n = e->s->size;
    int count = 0;
    for (int z = at[0] > 0 ? at[0] - 1 : 0; z <= at[0] + 1 && z < n[0]; z++)
        for (int y = at[1] > 0 ? at[1] - 1 : 0; y <= at[1] + 1 && y < n[1]; y++)
            for (int x = at[2] > 0 ? at[2] - 1 : 0; x <= at[2] + 1 && x < n[2]; x++)
                count += set[z * e->step[0] + y * e->step[1] + x];
    return count;
}

/* From every seed (value 2) through value 1, which becomes 2. stack holds a voxel once. */
static void flood(const evidence *e, uint8_t *set, int64_t *stack)
{
    const int *n = e->s->size;
    int64_t top = 0;
    for (int64_t i = 0; i < e->voxels; i++)
        if (set[i] == 2) stack[top++] = i;
    while (top > 0) {
        const int64_t i = stack[--top];
        const int at[3] = {(int)(i / e->step[0]), (int)(i / e->step[1] % n[1]), (int)(i % n[2])};
        for (int k = 0; k < 6; k++) {
            const int to = at[k / 2] + (k % 2 ? 1 : -1);
            const int64_t j = i + (k % 2 ? e->step[k / 2] : -e->step[k / 2]);
            if (to < 0 || to >= n[k / 2] || set[j] != 1) continue;
            set[j] = 2;
            stack[top++] = j;
        }
    }
}

/* ---- fluid beside a solid organ ---- */

typedef struct fluid {
    const evidence *e;
    int value;
    float below;
    uint8_t *dark, *thick;
    int64_t histogram[512]; /* of 4 HU, from -1024 */
    int64_t count;
} fluid;

static void count_hu(void *ctx, int64_t i, const int at[3])
{
    fluid *f = ctx;
    if (f->e->s->winner[i] != f->value) return;
    const int bin = (int)((hu_at(f->e, at[0], at[1], at[2]) + 1024) / 4);
    f->histogram[bin < 0 ? 0 : bin > 511 ? 511 : bin]++;
    f->count++;
}

static void mark_dark(void *ctx, int64_t i, const int at[3])
{
    fluid *f = ctx;
    f->dark[i] = f->e->s->winner[i] == f->value && hu_at(f->e, at[0], at[1], at[2]) < f->below;
}

static void mark_thick(void *ctx, int64_t i, const int at[3])
{
    fluid *f = ctx;
    f->thick[i] = f->dark[i] && around(f->e, f->dark, at) >= MOST;
}

/* Whether two steps along a direction the image is fluid that has another name: the label ends in
 * the middle of it. What lies behind a cyst's own wall is fat or another organ. */
static bool ends_in_fluid(const fluid *f, int64_t i, const int at[3], int axis, int step)
{
    const evidence *e = f->e;
    for (int k = 1; k <= 2; k++) {
        int to[3] = {at[0], at[1], at[2]};
        to[axis] += k * step;
        if (to[axis] < 0 || to[axis] >= e->s->size[axis]) return false;
        const float hu = hu_at(e, to[0], to[1], to[2]);
        if (e->s->winner[i + k * step * e->step[axis]] == f->value) return false;
        if (hu < LEAST_FLUID_HU || hu >= f->below) return false;
    }
    return true;
}

/* Thick dark voxels and the dark ones round them: 1; those where the label ends in fluid: 2. */
static void mark_seeds(void *ctx, int64_t i, const int at[3])
{
    fluid *f = ctx;
    const evidence *e = f->e;
    if (!f->dark[i] || around(e, f->thick, at) == 0) return;
    e->removed[i] = 1;
    for (int k = 0; k < 6; k++)
        if (ends_in_fluid(f, i, at, k / 2, k % 2 ? 1 : -1)) e->removed[i] = 2;
}

/* The HU that a tenth of the voxels reach: of the organ, however much fluid goes by its name. */
static double bright_hu(const fluid *f)
{
    int64_t seen = 0;
    int bin = 511;
    while (bin > 0 && (seen += f->histogram[bin]) * 10 < f->count) bin--;
    return bin * 4 - 1022;
}

/* Leaves 2 in e->removed where fluid is. scratch: two bytes a voxel. */
static void find_fluid(const evidence *e, const fab_model_label *l, uint8_t *scratch,
                       int64_t *stack)
{
    fluid f = {.e = e, .value = l->value, .below = (float)l->fluid_below_hu, .dark = scratch,
               .thick = scratch + e->voxels};
    each_voxel(e, count_hu, &f);
    if (f.count == 0 || bright_hu(&f) < l->fluid_below_hu + FLUID_GAP_HU) return;
    each_voxel(e, mark_dark, &f);
    each_voxel(e, mark_thick, &f);
    each_voxel(e, mark_seeds, &f);
    flood(e, e->removed, stack);
    for (int64_t i = 0; i < e->voxels; i++) e->removed[i] &= 2;
}

/* ---- fat under the skin ---- */

typedef struct fat {
    const evidence *e;
    uint8_t *dark, *mark;
} fat;

/* Air that a plane's border reaches in the plane: 1 of air, 2 of what is reached. */
static void find_outside(const evidence *e, uint8_t *air, int64_t *stack)
{
    const int *n = e->s->size;
    for (int64_t i = 0; i < e->voxels; i++) {
        const int z = (int)(i / e->step[0]), y = (int)(i / e->step[1] % n[1]), x = (int)(i % n[2]);
        const bool edge = y == 0 || x == 0 || y == n[1] - 1 || x == n[2] - 1;
        air[i] = hu_at(e, z, y, x) < AIR_HU ? (edge ? 2 : 1) : 0;
    }
    evidence plane = *e;
    fab_slide one = *e->s;
    plane.s = &one, plane.voxels = e->step[0], one.size[0] = 1;
    for (int z = 0; z < n[0]; z++) flood(&plane, air + z * e->step[0], stack);
    for (int64_t i = 0; i < e->voxels; i++) air[i] = air[i] == 2;
}

/* set = distance to `from` is within mm (or beyond it). */
static fab_status grow(const evidence *e, const uint8_t *from, double mm, bool beyond, uint8_t *set,
                       fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL, *near = NULL;
    FAB_TRY(fab_volume_create(&e->grid, FAB_U8, &v, err));
    memcpy(fab_volume_data_mut(v), from, (size_t)e->voxels);
    FAB_TRY(fab_labels_within(v, 1, mm, &near, err));
    const uint8_t *is_near = fab_volume_data(near);
    for (int64_t i = 0; i < e->voxels; i++) set[i] = (is_near[i] != 0) != beyond;
    return FAB_OK;
}

/* mark: 1 where the trunk ends: air outside, skin, the fat under it and what is thin in it. */
static fab_status find_under_skin(const evidence *e, uint8_t *mark, uint8_t *other, int64_t *stack,
                                  fab_error *err)
{
    FAB_AUTO_FREE uint8_t *core = fab_malloc((size_t)e->voxels);
    if (!core) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to find the skin");
    find_outside(e, mark, stack);
    for (int64_t i = 0; i < e->voxels; i++) { /* neither air outside nor fat: a wall */
        const int z = (int)(i / e->step[0]), y = (int)(i / e->step[1] % e->s->size[1]);
        const float hu = hu_at(e, z, y, (int)(i % e->s->size[2]));
        other[i] = !mark[i] && (hu > FAT_HU || hu < AIR_HU);
    }
    FAB_TRY(grow(e, other, BALL_MM, true, core, err)); /* the ball's centre fits here */
    FAB_TRY(grow(e, mark, UNDER_SKIN_MM, false, other, err));
    for (int64_t i = 0; i < e->voxels; i++)
        core[i] = (uint8_t)(core[i] ? 1 + (other[i] != 0) : 0);
    flood(e, core, stack);
    for (int64_t i = 0; i < e->voxels; i++) core[i] = core[i] == 2 || mark[i];
    FAB_TRY(grow(e, core, BALL_MM + CLOSING_MM, false, mark, err));
    for (int64_t i = 0; i < e->voxels; i++) other[i] = !mark[i];
    return grow(e, other, CLOSING_MM, true, mark, err);
}

/* dark holds the air outside; afterwards what is no tissue of a bowel, and no gas in one. */
static void mark_no_tissue(void *ctx, int64_t i, const int at[3])
{
    fat *f = ctx;
    const float hu = hu_at(f->e, at[0], at[1], at[2]);
    f->dark[i] = f->mark[i] && hu < NOT_FAT_HU && (hu > GAS_HU || f->dark[i]);
}

static void remove_in_fat(void *ctx, int64_t i, const int at[3])
{
    fat *f = ctx;
    const int row = f->e->s->winner[i];
    for (int k = 0; k < f->e->model->label_count; k++) {
        const fab_model_label *l = &f->e->model->labels[k];
        if (l->value != row || !l->not_under_skin || !f->mark[i]) continue;
        const int dark = around(f->e, f->dark, at); /* a strand goes with the fat around it */
        if (dark >= (hu_at(f->e, at[0], at[1], at[2]) < MIXED_HU ? 27 / 2 : MOST))
            f->e->removed[i] = 2;
    }
}

static fab_status find_fat(const evidence *e, uint8_t *scratch, int64_t *stack, fab_error *err)
{
    fat f = {.e = e, .mark = scratch, .dark = scratch + e->voxels};
    FAB_TRY(find_under_skin(e, f.mark, f.dark, stack, err));
    find_outside(e, f.dark, stack);
    each_voxel(e, mark_no_tissue, &f);
    each_voxel(e, remove_in_fat, &f);
    return FAB_OK;
}

static fab_status look(evidence *e, fab_error *err)
{
    FAB_AUTO_FREE uint8_t *scratch = fab_malloc(2 * (size_t)e->voxels);
    FAB_AUTO_FREE int64_t *stack = fab_alloc_array((size_t)e->voxels, sizeof *stack);
    bool skin = false;
    if (!scratch || !stack) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the image's evidence");
    for (int k = 0; k < e->model->label_count; k++) {
        const fab_model_label *l = &e->model->labels[k];
        if (l->fluid_below_hu > 0) find_fluid(e, l, scratch, stack);
        skin = skin || l->not_under_skin;
    }
    return skin ? find_fat(e, scratch, stack, err) : FAB_OK;
}

bool fab_wants_evidence(const fab_model *m)
{
    for (int k = 0; k < m->label_count; k++)
        if (m->labels[k].fluid_below_hu > 0 || m->labels[k].not_under_skin) return true;
    return false;
}

fab_status fab_decide_evidence(fab_decision *d, const fab_slide *s, fab_error *err)
{
    const int64_t x = s->size[2], area = x * s->size[1];
    evidence e = {.model = d->model, .s = s, .voxels = area * s->size[0], .step = {area, x, 1}};
    if (!fab_wants_evidence(d->model)) return FAB_OK;
    e.grid = (fab_grid){.size = {s->size[2], s->size[1], s->size[0]}};
    for (int a = 0; a < 3; a++) e.grid.world_from_voxel.m[a][a] = d->model->spacing_mm[2 - a];
    e.removed = d->removed = fab_calloc((size_t)e.voxels, 1);
    if (!d->removed) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the image's evidence");
    FAB_TRY(look(&e, err));
    const double ml = d->model->spacing_mm[0] * d->model->spacing_mm[1] *
                      d->model->spacing_mm[2] / 1000.0;
    for (int64_t i = 0; i < e.voxels; i++) {
        if (!d->removed[i]) continue;
        d->denied_ml[d->row_of[s->winner[i]]] += ml;
        s->winner[i] = 0;
    }
    return FAB_OK;
}
