/* place.c - components that lie where their structure cannot be: a bladder far from the hip bones,
 * a rib cartilage far from ribs and sternum. Landmarks are what stays by all other rules; then the
 * largest of a structure are chosen again, so that a large mistake does not push out what is
 * right. */
#include <float.h>
#include <string.h>

#include "segment_internal.h"

static double ml_of(const fab_decision *d, const fab_region *r)
{
    const double *mm = d->model->spacing_mm;
    return (double)r->voxels * mm[0] * mm[1] * mm[2] / 1000.0;
}

/* Whether a component stays and is of a structure that `l` has to be near. */
static bool is_landmark(const fab_decision *d, const fab_model_label *l, const fab_region *r)
{
    const int row = d->row_of[r->value];
    for (int k = 0; k < l->near_count; k++)
        if (l->near[k] == row) return r->final != 0;
    return false;
}

/* 1 on landmarks of the network's lattice; *any: there is one. */
static fab_status landmarks_of(const fab_decision *d, const fab_model_label *l, fab_volume **out,
                               bool *any, fab_error *err)
{
    fab_grid g = {.size = {d->size[2], d->size[1], d->size[0]}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = d->model->spacing_mm[2 - a];
    FAB_TRY(fab_volume_create(&g, FAB_U8, out, err));
    uint8_t *mark = fab_volume_data_mut(*out);
    const int64_t voxels = fab_grid_voxels(&g);
    *any = false;
    for (int64_t i = 0; i < voxels; i++) {
        const int32_t c = d->component[i];
        mark[i] = c >= 0 && is_landmark(d, l, &d->regions[c]);
        *any = *any || mark[i];
    }
    return FAB_OK;
}

static fab_status check_row(fab_decision *d, int row, fab_error *err)
{
    const fab_model_label *l = &d->model->labels[row];
    FAB_AUTO(fab_volume_unref) fab_volume *marks = NULL, *near = NULL;
    bool any = false;
    FAB_TRY(landmarks_of(d, l, &marks, &any, err));
    if (!any) return FAB_OK; /* not in the picture: nothing to be near to */
    FAB_TRY(fab_labels_within(marks, 1, l->within_mm, &near, err));
    const uint8_t *is_near = fab_volume_data(near);
    const int64_t voxels = (int64_t)d->size[0] * d->size[1] * d->size[2];
    for (int32_t c = 0; c < d->region_count; c++)
        if (d->regions[c].value == l->value) d->regions[c].misplaced = true;
    for (int64_t i = 0; i < voxels; i++)
        if (d->winner[i] == l->value && is_near[i])
            d->regions[d->component[i]].misplaced = false;
    return FAB_OK;
}

fab_status fab_decide_places(fab_decision *d, fab_error *err)
{
    for (int row = 0; row < d->model->label_count; row++) {
        const fab_model_label *l = &d->model->labels[row];
        bool here = false;
        for (int32_t c = 0; c < d->region_count && l->near_count > 0 && !here; c++)
            here = d->regions[c].value == l->value;
        if (here) FAB_TRY(check_row(d, row, err));
    }
    for (int32_t c = 0; c < d->region_count; c++) {
        const fab_region *r = &d->regions[c];
        if (!r->misplaced || ml_of(d, r) < d->model->labels[d->row_of[r->value]].min_component_ml)
            continue;
        d->misplaced_ml[d->row_of[r->value]] += ml_of(d, r);
    }
    return FAB_OK;
}
