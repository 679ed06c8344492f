/* phantom.c - the order in which the patient is painted, and the result. */
#include <string.h>

#include "phantom_internal.h"

static void free_scene(ph_scene *s)
{
    (void)fab_free(s->frames);
    (void)fab_free(s->prims);
    (void)fab_free(s->shapes);
    (void)fab_free(s->lofts);
}

static fab_status build(ph_scene *s, const fab_phantom_options *o, fab_error *err)
{
    s->o = o;
    s->scale = o->height_mm / 1750;
    s->wide = o->female ? 1 : 0;
    s->age = o->age_years;
    s->mirror = 1;
    s->hash = fab_ph_hash((uint32_t)o->seed, (uint32_t)(o->seed >> 32), 17, 4);
    fab_rng_seed(&s->rng, o->seed, 1);
    double draw = fab_rng_normal(&s->rng);
    s->fat = isnan(o->fat) ? ph_clamp((o->female ? 1.25 : 1) * (1 + 0.22 * draw), 0.5, 2) : o->fat;
    FAB_TRY(fab_ph_spine_build(s, err));
    fab_ph_tissues(s);
    fab_ph_make_envelopes(s);
    if (o->metal) fab_ph_add_metal(s);
    fab_ph_add_spine(s);
    fab_ph_add_pelvis(s);
    fab_ph_add_cage(s);
    fab_ph_add_shoulder(s);
    fab_ph_add_vessels(s);
    fab_ph_add_chest(s);
    fab_ph_add_muscles(s);
    fab_ph_add_abdomen(s);
    fab_ph_add_bowel(s);
    fab_ph_add_lungs(s);
    fab_ph_add_wall(s);
    if (s->failed) FAB_FAIL(err, FAB_ERR_NOMEM, "phantom: no memory for the patient's shapes");
    return FAB_OK;
}

/* World is centred on the sacral endplate; x about the spine, y so that the couch is seen. */
static fab_status make_grid(const ph_scene *s, fab_grid *g, fab_error *err)
{
    const fab_phantom_options *o = s->o;
    const ph_spine *sp = &s->spine;
    double low[3], high[3], half = 212 * s->scale, lean = 0, back = 0;
    for (int i = 0; i < sp->rows; i++) lean = fmax(lean, fabs(sp->row[i].p.x));
    half += 0.4 * lean + 26 * fmax(s->fat - 1, 0);
    back = (165 + 34 * ph_max(s->fat - 1, 0) - s->canonical_s1.y) * s->scale + 0.3 * o->cobb_deg;
    low[0] = -half, high[0] = half;
    low[1] = (-172 - 24 * fmax(s->fat - 1, 0) - s->canonical_s1.y) * s->scale, high[1] = back + 12;
    for (int a = 0; a < 2; a++) {
        if (isnan(o->fov_mm[a])) continue;
        double mid = a ? (-10 - s->canonical_s1.y) * s->scale : 0;
        low[a] = mid - o->fov_mm[a] / 2, high[a] = mid + o->fov_mm[a] / 2;
    }
    int t4 = sp->count - 5;
    low[2] = isnan(o->range_mm[0]) ? -235 * s->scale : o->range_mm[0];
    high[2] = isnan(o->range_mm[1]) ? sp->v[t4].frame.o.z + 12 * s->scale : o->range_mm[1];
    if (!(high[2] > low[2]))
        FAB_FAIL(err, FAB_ERR_ARG, "phantom: range %g to %g mm is empty", low[2], high[2]);
    *g = (fab_grid){0};
    for (int a = 0; a < 3; a++) {
        double n = fmax(round((high[a] - low[a]) / o->spacing_mm[a]), 1);
        if (n > FAB_MAX_DIM) FAB_FAIL(err, FAB_ERR_LIMIT, "phantom: %g voxels along an axis", n);
        g->size[a] = (int32_t)n;
        g->world_from_voxel.m[a][a] = o->spacing_mm[a];
        g->world_from_voxel.m[a][3] = low[a] + o->spacing_mm[a] / 2;
    }
    return fab_grid_check(g, err);
}

static fab_status label_table(const ph_image *image, fab_label_set *set, fab_error *err)
{
    bool seen[256] = {false};
    int64_t n = fab_grid_voxels(&image->grid);
    for (int64_t i = 0; i < n; i++) seen[image->label[i]] = true;
    for (int v = 1; v < 256; v++)
        if (seen[v]) FAB_TRY(fab_label_set_add(set, v, fab_torso_name(v), err));
    return FAB_OK;
}

typedef struct rounding { const float *from; int16_t *to; int64_t row; double low, high; } rounding;

static void round_row(void *ctx, int64_t index, int worker)
{
    (void)worker;
    const rounding *r = ctx;
    for (int64_t i = index * r->row; i < (index + 1) * r->row; i++)
        r->to[i] = (int16_t)floor(ph_clamp((double)r->from[i], r->low, r->high) + 0.5);
}

static fab_status scan(const ph_scene *s, fab_phantom *out, fab_error *err)
{
    fab_grid g;
    FAB_TRY(make_grid(s, &g, err));
    FAB_TRY(fab_volume_create(&g, FAB_I16, &out->image, err));
    FAB_TRY(fab_volume_create(&g, FAB_U8, &out->labels, err));
    FAB_AUTO_FREE float *value = fab_alloc_array((size_t)fab_grid_voxels(&g), sizeof *value);
    if (!value) FAB_FAIL(err, FAB_ERR_NOMEM, "phantom: no memory for %d slices", g.size[2]);
    ph_image image = {g, value, fab_volume_data_mut(out->labels)};
    FAB_TRY(fab_ph_raster(s, &image, err));
    FAB_TRY(fab_ph_acquire(s, &image, err));
    bool ct = s->o->modality == FAB_PHANTOM_CT;
    rounding r = {value, fab_volume_data_mut(out->image), (int64_t)g.size[0] * g.size[1],
                  ct ? -1024 : 0, ct ? 3071 : 4095};
    fab_parallel_for(g.size[2], round_row, &r);
    return label_table(&image, &out->set, err);
}

fab_status fab_phantom_make(const fab_phantom_options *o, fab_phantom *out, fab_error *err)
{
    FAB_TRY(fab_ph_options_check(o, err));
    ph_scene *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "phantom: no memory");
    fab_phantom made = {0};
    fab_status status = build(s, o, err);
    if (status >= 0) status = scan(s, &made, err);
    if (status >= 0) status = fab_ph_truth(s, &made.truth, err);
    free_scene(s);
    (void)fab_free(s);
    if (status < 0) {
        fab_phantom_free(&made);
        return status;
    }
    *out = made;
    return FAB_OK;
}

void fab_phantom_free(fab_phantom *p)
{
    if (!p) return;
    (void)fab_volume_unref(p->image);
    (void)fab_volume_unref(p->labels);
    fab_label_set_free(&p->set);
    (void)fab_json_free(p->truth);
    *p = (fab_phantom){0};
}
