/* apply.c - the second look's names on another grid: the image's, or the one meshes are made on.
 *
 * Names are mixed as logits would be: each of the eight lattice voxels around a point adds its
 * strength, by its trilinear weight, to its name, and the strongest wins.
 */
#include <math.h>

#include "detail_internal.h"

typedef struct target {
    fab_volume *labels;
    void *data;
    bool wide;
    float *margin;
    int size[3];
    fab_mat34 lattice_from_voxel;
} target;

typedef struct mix {
    int name[8], count;
    float strength[8];
} mix;

static void add(mix *m, int name, float strength)
{
    int k = 0;
    while (k < m->count && m->name[k] != name) k++;
    if (k == m->count) m->name[m->count] = name, m->strength[m->count++] = 0;
    m->strength[k] += strength;
}

/* False where a corner is beyond the lattice or was not looked at. */
static bool mix_at(const dt_work *w, const double p[3], mix *m)
{
    int first[3];
    float part[3];
    m->count = 0;
    for (int a = 0; a < 3; a++) {
        const double low = floor(p[a]);
        if (!(low >= 0 && low + 1 < w->size[a])) return false;
        first[a] = (int)low;
        part[a] = (float)(p[a] - low);
    }
    const int64_t row = w->size[0], plane = row * w->size[1];
    const int64_t at = first[2] * plane + first[1] * row + first[0];
    for (int c = 0; c < 8; c++) {
        const int64_t i = at + (c & 1) + (c >> 1 & 1) * row + (c >> 2) * plane;
        const float weight = (c & 1 ? part[0] : 1 - part[0]) * (c & 2 ? part[1] : 1 - part[1]) *
                             (c & 4 ? part[2] : 1 - part[2]);
        if (!w->near[i]) return false;
        add(m, w->name[i], weight * w->strength[i]);
    }
    return true;
}

static void put(const dt_work *w, const target *t, int64_t at, const mix *m)
{
    int best = 0;
    float second = 0;
    for (int k = 1; k < m->count; k++)
        if (m->strength[k] > m->strength[best]) best = k;
    for (int k = 0; k < m->count; k++)
        if (k != best && m->strength[k] > second) second = m->strength[k];
    const int now = t->wide ? ((uint16_t *)t->data)[at] : ((uint8_t *)t->data)[at];
    const dt_group was = w->group_of[now];
    if (m->name[best] == 0 && (was == DT_OTHER || was == DT_RIBS)) return;
    if (t->wide) ((uint16_t *)t->data)[at] = (uint16_t)m->name[best];
    else ((uint8_t *)t->data)[at] = (uint8_t)m->name[best];
    if (t->margin) t->margin[at] = m->strength[best] - second;
}

typedef struct apply_job {
    const dt_work *w;
    const target *t;
} apply_job;

/* The x of a row, starting at p in the lattice, that can lie inside it: [low, high). */
static void clip_row(const dt_work *w, const double p[3], const double step[3], int *low, int *high)
{
    double from = 0, to = *high;
    for (int a = 0; a < 3; a++) {
        if (fabs(step[a]) < 1e-9) {
            if (p[a] < 0 || p[a] >= w->size[a] - 1) to = 0;
            continue;
        }
        const double s = -p[a] / step[a], t = (w->size[a] - 1 - p[a]) / step[a];
        from = fmax(from, fmin(s, t));
        to = fmin(to, fmax(s, t) + 1);
    }
    *low = (int)from;
    *high = to > 0 ? (int)ceil(to) : 0;
}

static void apply_plane(void *ctx, int64_t z, int worker)
{
    (void)worker;
    const apply_job *job = ctx;
    const target *t = job->t;
    for (int y = 0; y < t->size[1]; y++) {
        const int64_t row = (z * t->size[1] + y) * t->size[0];
        double start[3] = {0, y, (double)z}, step[3] = {1, 0, 0};
        int low = 0, high = t->size[0];
        fab_mat34_apply(&t->lattice_from_voxel, start, start);
        fab_mat34_apply_vector(&t->lattice_from_voxel, step, step);
        clip_row(job->w, start, step, &low, &high);
        if (high > t->size[0]) high = t->size[0];
        for (int x = low; x < high; x++) {
            mix m;
            double p[3];
            for (int a = 0; a < 3; a++) p[a] = start[a] + x * step[a];
            if (mix_at(job->w, p, &m)) put(job->w, t, row + x, &m);
        }
    }
}

fab_status fab_dt_apply(const dt_work *w, fab_volume *labels, fab_volume *margin, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(labels);
    fab_mat34 lattice_from_world;
    target t = {.labels = labels, .data = fab_volume_data_mut(labels),
                .wide = fab_volume_dtype(labels) == FAB_U16,
                .margin = margin ? fab_volume_data_mut(margin) : NULL};
    if (!t.data) FAB_FAIL(err, FAB_ERR_ARG, "the labels are shared with someone else");
    FAB_TRY(fab_mat34_invert(&w->grid.world_from_voxel, &lattice_from_world, err));
    t.lattice_from_voxel = fab_mat34_multiply(&lattice_from_world, &g->world_from_voxel);
    for (int a = 0; a < 3; a++) t.size[a] = g->size[a];
    apply_job job = {w, &t};
    fab_parallel_for(g->size[2], apply_plane, &job);
    return FAB_OK;
}
