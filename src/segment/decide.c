/* decide.c - post-processing on the network's lattice: which components stay, and on which side.
 *
 * Decisions are made once, per component of the network's own label map, and then looked up for
 * every voxel of every other lattice, so that labels at different resolutions agree.
 */
#include <stdlib.h>
#include <string.h>

#include "segment_internal.h"

#define ONE_SIDED 0.85 /* a component with this share on one side belongs there as a whole */
#define BIG_SHARE 0.2  /* of the largest: a fragment worth a finding */

enum { SIDE_WHOLE, SIDE_LEFT, SIDE_RIGHT, SIDES };

static void number_values(fab_decision *d)
{
    int next = 1;
    for (int c = 0; c < FAB_UNET_MAX_CLASSES; c++) d->row_of[c] = -1;
    for (int i = 0; i < d->model->label_count; i++) {
        d->row_of[d->model->labels[i].value] = i;
        d->value_of[i] = next;
        next += fab_row_values(d->model, i);
    }
    for (int i = 0; i < d->model->label_count; i++) /* an arch has its vertebra's values */
        if (fab_row_kind_of(d->model, i) == FAB_ROW_ARCH)
            d->value_of[i] = d->value_of[d->row_of[d->model->spine.body]];
    d->value_count = next;
}

static void count_left(fab_decision *d)
{
    const int *n = d->size;
    int64_t at = 0;
    for (int z = 0; z < n[0]; z++)
        for (int y = 0; y < n[1]; y++) {
            const double middle = fab_midline_x(&d->midline, z, y);
            for (int x = 0; x < n[2]; x++, at++)
                if (d->component[at] >= 0 && x > middle) d->regions[d->component[at]].left++;
        }
}

/* HU are compared as the network saw them: resampled, clipped. */
static void count_dense(fab_decision *d, const fab_slide *s)
{
    const fab_model *m = d->model;
    int64_t at = 0;
    for (int z = 0; z < d->size[0]; z++)
        for (int y = 0; y < d->size[1]; y++) {
            const int64_t row = ((int64_t)(z + s->low[0]) * s->padded[1] + y + s->low[1]) *
                                    s->padded[2] + s->low[2];
            for (int x = 0; x < d->size[2]; x++, at++) {
                const int label = d->row_of[d->winner[at]];
                if (label < 0 || m->labels[label].needs_share <= 0) continue;
                const double hu = (double)s->image[row + x] * m->std + m->mean;
                if (hu > m->labels[label].needs_hu) d->regions[d->component[at]].dense++;
            }
        }
}

static int side_of(const fab_model_label *l, const fab_region *r)
{
    if (!l->split) return SIDE_WHOLE;
    const double share = (double)r->left / (double)r->voxels;
    return share >= ONE_SIDED ? SIDE_LEFT : share <= 1 - ONE_SIDED ? SIDE_RIGHT : SIDE_WHOLE;
}

typedef struct ranked {
    int32_t region;
    int row, side;
    int64_t voxels;
} ranked;

static int by_row_and_size(const void *a, const void *b)
{
    const ranked *p = a, *q = b;
    if (p->row != q->row) return p->row < q->row ? -1 : 1;
    if (p->voxels != q->voxels) return p->voxels > q->voxels ? -1 : 1;
    return p->region < q->region ? -1 : p->region > q->region;
}

static void decide_region(fab_decision *d, const ranked *item, int rank)
{
    const fab_model_label *l = &d->model->labels[item->row];
    const double *mm = d->model->spacing_mm;
    const double ml = (double)item->voxels * mm[0] * mm[1] * mm[2] / 1000.0;
    const int value = d->value_of[item->row];
    const fab_region *r = &d->regions[item->region];
    const bool drop = ml < l->min_component_ml ||
                      (double)r->dense < l->needs_share * (double)r->voxels ||
                      (l->keep_components > 0 && rank >= l->keep_components);
    const int stays = item->side == SIDE_RIGHT ? value + 1
                      : item->side == SIDE_WHOLE && l->split ? -1 : value;
    d->regions[item->region].final = drop ? 0 : stays;
}

/* Of components from large to small: how many before this one lie on its side or on both. Two hips
 * that have grown together come before a stray piece of one side, and two hips apart before a
 * stray piece across the middle. largest: the voxels of the first of them. */
static int rank_of(const ranked *item, int seen[SIDES], int64_t first[SIDES], int64_t *largest)
{
    int rank = 0;
    *largest = item->voxels;
    for (int side = 0; side < SIDES; side++) {
        if (side != item->side && side != SIDE_WHOLE && item->side != SIDE_WHOLE) continue;
        rank += seen[side];
        if (seen[side] && first[side] > *largest) *largest = first[side];
    }
    if (seen[item->side]++ == 0) first[item->side] = item->voxels;
    return rank;
}

static fab_status decide_regions(fab_decision *d, fab_error *err)
{
    int32_t count = 0;
    FAB_AUTO_FREE ranked *list = fab_alloc_array((size_t)d->region_count, sizeof *list);
    if (!list) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d components", d->region_count);
    for (int32_t i = 0; i < d->region_count; i++) {
        const fab_region *r = &d->regions[i];
        const int row = d->row_of[r->value];
        if (row < 0 || r->misplaced) continue; /* no structure, or not there: stays 0 */
        list[count++] = (ranked){i, row, side_of(&d->model->labels[row], r), r->voxels};
    }
    qsort(list, (size_t)count, sizeof *list, by_row_and_size);
    int seen[SIDES];
    int64_t first[SIDES], largest;
    for (int32_t i = 0; i < count; i++) {
        if (i == 0 || list[i].row != list[i - 1].row) memset(seen, 0, sizeof seen);
        const int rank = rank_of(&list[i], seen, first, &largest);
        d->fragments[list[i].row] +=
            rank > 0 && (double)list[i].voxels >= BIG_SHARE * (double)largest;
        decide_region(d, &list[i], rank);
    }
    return FAB_OK;
}

static fab_status decide(const fab_model *m, const fab_slide *s, fab_decision *d, fab_error *err)
{
    d->model = m;
    d->winner = s->winner;
    d->probability = s->probability;
    memcpy(d->size, s->size, sizeof d->size);
    number_values(d);
    FAB_TRY(fab_decide_evidence(d, s, err));
    FAB_TRY(fab_decide_necks(d, s, err));
    d->component = fab_alloc_array((size_t)d->size[0] * (size_t)d->size[1] * (size_t)d->size[2],
                                   sizeof *d->component);
    if (!d->component) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for components");
    FAB_TRY(fab_regions_find(d->winner, d->size, d->component, &d->regions, &d->region_count,
                             err));
    FAB_TRY(fab_midline_find(m, d->winner, d->size, &d->midline, err));
    count_left(d);
    count_dense(d, s);
    FAB_TRY(decide_regions(d, err));
    FAB_TRY(fab_decide_places(d, err));
    for (int32_t i = 0; i < d->region_count; i++) d->regions[i].final = 0;
    memset(d->fragments, 0, sizeof d->fragments);
    FAB_TRY(decide_regions(d, err));
    return m->counts_vertebrae ? fab_decide_spine(d, err) : FAB_OK;
}

void fab_decision_free(fab_decision *d)
{
    fab_free(d->removed);
    fab_free(d->renamed);
    fab_free(d->component);
    fab_free(d->regions);
    fab_midline_free(&d->midline);
    fab_spine_free(&d->spine);
    fab_free(d->spine_value);
    memset(d, 0, sizeof *d);
}

fab_status fab_decide(const fab_model *m, const fab_slide *s, fab_decision *out, fab_error *err)
{
    memset(out, 0, sizeof *out);
    fab_status status = decide(m, s, out, err);
    if (status < 0) fab_decision_free(out);
    return status;
}

/* ---- looking decisions up -------------------------------------------------------------------- */

/* A region's final value at a position of the network's lattice. */
static int value_at(const fab_decision *d, int row, int final, double z, double y, double x)
{
    if (final >= 0) return final;
    if (!d->model->labels[row].split) return d->value_of[row];
    return d->value_of[row] + (x > fab_midline_x(&d->midline, z, y) ? 0 : 1);
}

typedef struct apply_job {
    const fab_decision *d;
    fab_target *t;
} apply_job;

typedef struct place {
    int at[3];   /* network voxel at or before */
    double w[3]; /* share of the next one */
} place;

static void place_axis(const fab_axis *a, int i, place *p, int axis)
{
    p->at[axis] = a->first[i];
    p->w[axis] = a->taps > 1 ? (double)a->weight[i * a->taps + 1] : 0.0;
}

/* The nearest network voxel that holds the class, among those from `before` voxels before the
 * place to `after` after it; -1 if none does. */
static int64_t voxel_near(const fab_decision *d, const place *p, int class_value, int before,
                          int after)
{
    int64_t found = -1;
    double best = 1e300;
    for (int z = p->at[0] - before; z <= p->at[0] + after; z++)
        for (int y = p->at[1] - before; y <= p->at[1] + after; y++)
            for (int x = p->at[2] - before; x <= p->at[2] + after; x++) {
                if (z < 0 || z >= d->size[0] || y < 0 || y >= d->size[1] || x < 0 ||
                    x >= d->size[2])
                    continue;
                const int64_t i = ((int64_t)z * d->size[1] + y) * d->size[2] + x;
                const double dz = p->at[0] + p->w[0] - z, dy = p->at[1] + p->w[1] - y;
                const double dx = p->at[2] + p->w[2] - x, far = dz * dz + dy * dy + dx * dx;
                if (d->winner[i] != class_value || far >= best) continue;
                best = far;
                found = i;
            }
    return found;
}

/* The class where neck.c gave a part of this one to another organ: there, and at the seam. */
static int class_given(const fab_decision *d, const place *p, int64_t nearest, int class_value)
{
    const fab_model_label *l = &d->model->labels[d->row_of[class_value]];
    if (!d->renamed || l->neck_mm <= 0) return class_value;
    const int other = d->model->labels[l->yields_to].value;
    if (d->renamed[nearest]) return other;
    if (d->winner[nearest] != other) return class_value;
    return voxel_near(d, p, class_value, 1, 2) < 0 ? other : class_value;
}

/* The nearest voxel decides, mostly; else the nearest of the eight around, else of 4 x 4 x 4. A
 * class that wins between network voxels but at none of them is a component of its own that is
 * smaller than a voxel: it stays if nothing is too small for this structure. */
static int final_label(const fab_decision *d, const place *p, int class_value)
{
    int row = d->row_of[class_value];
    if (row < 0) return 0;
    const double z = p->at[0] + p->w[0], y = p->at[1] + p->w[1], x = p->at[2] + p->w[2];
    const int64_t i = ((int64_t)(p->at[0] + (p->w[0] > 0.5)) * d->size[1] + p->at[1] +
                       (p->w[1] > 0.5)) * d->size[2] + p->at[2] + (p->w[2] > 0.5);
    if (d->removed && d->removed[i]) return 0;
    class_value = class_given(d, p, i, class_value);
    row = d->row_of[class_value];
    int64_t voxel = d->winner[i] == class_value ? i : -1;
    if (voxel < 0) voxel = voxel_near(d, p, class_value, 0, 1);
    if (voxel < 0) voxel = voxel_near(d, p, class_value, 1, 2);
    if (fab_row_kind_of(d->model, row) != FAB_ROW_PLAIN)
        return voxel < 0 ? 0 : d->spine_value[voxel];
    if (voxel < 0) return value_at(d, row, d->model->labels[row].min_component_ml > 0 ? 0 : -1,
                                   z, y, x);
    return value_at(d, row, d->regions[d->component[voxel]].final, z, y, x);
}

static void apply_plane(void *ctx, int64_t index, int worker)
{
    (void)worker;
    const apply_job *job = ctx;
    fab_target *t = job->t;
    place p;
    place_axis(&t->axis[0], (int)index, &p, 0);
    for (int y = 0; y < t->size[1]; y++) {
        place_axis(&t->axis[1], y, &p, 1);
        for (int x = 0; x < t->size[2]; x++) {
            const int64_t at = t->start + index * t->step[0] + y * t->step[1] + x * t->step[2];
            const int was = t->wide ? ((uint16_t *)t->labels)[at] : ((uint8_t *)t->labels)[at];
            if (was == 0) continue;
            place_axis(&t->axis[2], x, &p, 2);
            const int is = final_label(job->d, &p, was);
            if (t->wide) ((uint16_t *)t->labels)[at] = (uint16_t)is;
            else ((uint8_t *)t->labels)[at] = (uint8_t)is;
        }
    }
}

void fab_decision_apply(const fab_decision *d, fab_target *t)
{
    apply_job job = {d, t};
    fab_parallel_for(t->size[0], apply_plane, &job);
}

void fab_decision_confidence(const fab_decision *d, double *sums, int64_t *voxels)
{
    int64_t at = 0;
    for (int z = 0; z < d->size[0]; z++)
        for (int y = 0; y < d->size[1]; y++)
            for (int x = 0; x < d->size[2]; x++, at++) {
                const int32_t region = d->component[at];
                const int row = region < 0 ? -1 : d->row_of[d->winner[at]];
                if (row < 0) continue;
                const int value = fab_row_kind_of(d->model, row) != FAB_ROW_PLAIN
                                      ? d->spine_value[at]
                                      : value_at(d, row, d->regions[region].final, z, y, x);
                sums[value] += (double)d->probability[at];
                voxels[value]++;
            }
}
