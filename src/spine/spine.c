/* spine.c - from a class map to named vertebrae: the steps in order, and the map that comes out. */
#include <string.h>

#include "spine_internal.h"

static fab_status check_classes(const fab_spine_classes *c, fab_error *err)
{
    const int value[] = {c->body, c->arch, c->disc, c->canal, c->cord, c->sacrum, c->ribs,
                           c->lungs[0], c->lungs[1], c->kidneys[0], c->kidneys[1], c->hips[0],
                           c->hips[1], c->psoas[0], c->psoas[1]};
    const int count = sizeof value / sizeof *value;
    if (c->body < 1) FAB_FAIL(err, FAB_ERR_ARG, "the class of vertebral bodies is not given");
    for (int i = 0; i < count; i++) {
        if (value[i] < 0 || value[i] > FAB_MAX_LABELS)
            FAB_FAIL(err, FAB_ERR_ARG, "class value %d", value[i]);
        for (int k = 0; k < i; k++)
            if (value[i] && value[i] == value[k])
                FAB_FAIL(err, FAB_ERR_ARG, "class value %d is given twice", value[i]);
    }
    return FAB_OK;
}

static fab_status check(const fab_volume *map, const fab_spine_classes *c,
                        const fab_volume *probability, fab_error *err)
{
    double mm[3];
    const fab_dtype t = fab_volume_dtype(map);
    if (t != FAB_U8 && t != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "a class map of %s: it must be u8 or u16", fab_dtype_name(t));
    FAB_TRY(fab_grid_check(fab_volume_grid(map), err));
    fab_grid_spacing(fab_volume_grid(map), mm);
    for (int a = 0; a < 3; a++)
        if (!(mm[a] >= 0.5 && mm[a] <= 6))
            FAB_FAIL(err, FAB_ERR_ARG, "a class map with voxels of %g x %g x %g mm: vertebrae are "
                     "separated at 0.5 to 6 mm", mm[0], mm[1], mm[2]);
    if (probability && (fab_volume_dtype(probability) != FAB_F32 ||
                        !fab_grid_equal(fab_volume_grid(map), fab_volume_grid(probability), 1e-3)))
        FAB_FAIL(err, FAB_ERR_ARG, "probabilities must be f32 on the class map's grid");
    return check_classes(c, err);
}

/* A vertebra whose body touches a face of the volume was cut by it. */
static void mark_cut(sp_work *w)
{
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        if (p->role != SP_BODY || p->part == 0) continue;
        for (int a = 0; a < 3; a++)
            if (p->at[a] == 0 || p->at[a] == w->grid.size[a] - 1)
                w->out->items[p->part - 1].cut = true;
    }
}

static fab_status write_instances(const sp_work *w, fab_error *err)
{
    fab_volume *v = NULL;
    FAB_TRY(fab_volume_create(&w->grid, FAB_U8, &v, err));
    uint8_t *to = fab_volume_data_mut(v);
    memset(to, 0, fab_volume_bytes(v));
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        if (p->part == 0) continue;
        to[sp_voxel(w, p->at)] = (uint8_t)(p->role == SP_DISC ? FAB_SPINE_DISC + p->part - 1
                                                               : p->part);
    }
    w->out->instances = v;
    return FAB_OK;
}

/* Arches lie higher or lower by level, and ribs are told by the arches they touch: names first,
 * then arches, then names again, and arches again if the names have moved. */
static fab_status name_and_share(sp_work *w, fab_error *err)
{
    fab_spine_name(w);
    const int first = w->out->items[0].level;
    FAB_TRY(fab_spine_arches(w, err));
    fab_spine_name(w);
    return w->out->items[0].level == first ? FAB_OK : fab_spine_arches(w, err);
}

static fab_status decode(sp_work *w, const fab_spine_classes *c, const fab_volume *probability,
                         fab_error *err)
{
    bool found = false;
    FAB_TRY(fab_spine_gather(w, c, probability, err));
    FAB_TRY(fab_spine_curve(w, &found, err));
    if (found) FAB_TRY(fab_spine_separate(w, err));
    if (w->out->count > FAB_SPINE_LEVELS - 2) { /* more in a row than a spine has: it is none */
        for (int32_t i = 0; i < w->count; i++) w->points[i].part = 0;
        memset(w->out, 0, sizeof *w->out);
    }
    if (w->out->count > 0) {
        mark_cut(w);
        FAB_TRY(name_and_share(w, err));
    }
    return write_instances(w, err);
}

fab_status fab_spine_decode(const fab_volume *map, const fab_spine_classes *classes,
                            const fab_volume *probability, fab_spine *out, fab_error *err)
{
    fab_spine result = {0};
    FAB_TRY(check(map, classes, probability, err));
    sp_work w = {.map = map, .grid = *fab_volume_grid(map), .out = &result};
    w.voxel_ml = fab_grid_voxel_volume_mm3(&w.grid) / 1000;
    w.voxel_mm = cbrt(w.voxel_ml * 1000);
    const fab_status status = decode(&w, classes, probability, err);
    fab_free(w.points);
    fab_free(w.index);
    fab_free(w.curve);
    if (status < 0) {
        fab_spine_free(&result);
        return status;
    }
    *out = result;
    return FAB_OK;
}

void fab_spine_free(fab_spine *s)
{
    fab_volume_unref(s->instances);
    memset(s, 0, sizeof *s);
}
