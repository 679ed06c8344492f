/* neck.c - a part of an organ that hangs on by a neck within another organ is that other organ.
 *
 * Where the network is torn between two names, one organ gets a part of its neighbour: connected
 * with it, so that no rule for components sees it. Taken thin, the label falls into cores; what
 * lies nearest to a lesser core, along the label, and touches the other organ by far more than the
 * rest of its own takes the other's name. On the network's lattice.
 */
#include <string.h>

#include "segment_internal.h"

enum { LEAST_CORE = 4, TIMES = 4 }; /* voxels; the other's contact over the neck's */

typedef struct neck {
    fab_decision *d;
    uint16_t *winner;        /* of the lattice: class */
    int64_t voxels, step[3]; /* of z, y, x */
    int value, other;        /* classes */
    int32_t cores;
    const int64_t *size_of;   /* voxels of core id - 1 */
    int32_t *owner;           /* of a voxel: core id, 0 none */
    int32_t *largest;         /* of core id - 1: the largest core of its component */
    int64_t *to_other, *to_own; /* of core id - 1: faces */
} neck;

/* The voxel across a face, -1 beyond the lattice. */
static int64_t across(const neck *n, int64_t i, int face)
{
    const int *size = n->d->size;
    const int at[3] = {(int)(i / n->step[0]), (int)(i / n->step[1] % size[1]), (int)(i % size[2])};
    const int to = at[face / 2] + (face % 2 ? 1 : -1);
    if (to < 0 || to >= size[face / 2]) return -1;
    return i + (face % 2 ? n->step[face / 2] : -n->step[face / 2]);
}

/* owner of every voxel of the label: the core that is nearest along the label. */
static void spread(const neck *n, int64_t *queue)
{
    int64_t head = 0, tail = 0;
    for (int64_t i = 0; i < n->voxels; i++)
        if (n->owner[i]) queue[tail++] = i;
    while (head < tail) {
        const int64_t i = queue[head++];
        for (int f = 0; f < 6; f++) {
            const int64_t j = across(n, i, f);
            if (j < 0 || n->owner[j] || n->winner[j] != n->value) continue;
            n->owner[j] = n->owner[i];
            queue[tail++] = j;
        }
    }
}

/* What the parts touch, and which core leads where parts meet. Ids are in order of size. */
static void count_faces(const neck *n)
{
    for (int32_t c = 0; c < n->cores; c++) n->largest[c] = c + 1;
    for (int64_t i = 0; i < n->voxels; i++) {
        const int32_t mine = n->owner[i];
        for (int f = 0; mine && f < 6; f++) {
            const int64_t j = across(n, i, f);
            if (j < 0) continue;
            const int32_t theirs = n->owner[j];
            if (n->winner[j] == n->other) n->to_other[mine - 1]++;
            if (!theirs || theirs == mine) continue;
            n->to_own[mine - 1]++;
            if (theirs < n->largest[mine - 1]) n->largest[mine - 1] = theirs;
        }
    }
}

static bool yields(const neck *n, int32_t core)
{
    return n->size_of[core - 1] >= LEAST_CORE && n->largest[core - 1] != core &&
           n->to_other[core - 1] > 0 && n->to_other[core - 1] >= TIMES * n->to_own[core - 1];
}

static void rename_parts(const neck *n, int row)
{
    const double *mm = n->d->model->spacing_mm;
    for (int64_t i = 0; i < n->voxels; i++) {
        if (!n->owner[i] || !yields(n, n->owner[i])) continue;
        n->winner[i] = (uint16_t)n->other;
        n->d->renamed[i] = (uint8_t)n->other;
        n->d->yielded_ml[row] += mm[0] * mm[1] * mm[2] / 1000.0;
    }
}

/* Voxels of the label deeper than half the neck: `cores` of them, 26-connected, largest first. */
static fab_status find_cores(const neck *n, double neck_mm, fab_volume **ids, int32_t *cores,
                             int64_t **sizes, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *out = NULL, *near = NULL;
    fab_grid g = {.size = {n->d->size[2], n->d->size[1], n->d->size[0]}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = n->d->model->spacing_mm[2 - a];
    FAB_TRY(fab_volume_create(&g, FAB_U8, &out, err));
    uint8_t *outside = fab_volume_data_mut(out);
    for (int64_t i = 0; i < n->voxels; i++) outside[i] = n->winner[i] != n->value;
    FAB_TRY(fab_labels_within(out, 1, neck_mm / 2, &near, err));
    return fab_labels_components(near, 0, false, ids, cores, sizes, err);
}

static fab_status look_at_row(fab_decision *d, const fab_slide *s, int row, fab_error *err)
{
    const fab_model_label *l = &d->model->labels[row];
    FAB_AUTO(fab_volume_unref) fab_volume *ids = NULL;
    FAB_AUTO_FREE int64_t *sizes = NULL;
    const int64_t x = d->size[2], area = x * d->size[1];
    neck n = {.d = d, .winner = s->winner, .voxels = area * d->size[0], .step = {area, x, 1},
              .value = l->value, .other = d->model->labels[l->yields_to].value};
    FAB_TRY(find_cores(&n, l->neck_mm, &ids, &n.cores, &sizes, err));
    if (n.cores < 2) return FAB_OK;
    FAB_AUTO_FREE int64_t *queue = fab_alloc_array((size_t)n.voxels, sizeof *queue);
    FAB_AUTO_FREE int64_t *faces = fab_calloc((size_t)n.cores * 2, sizeof *faces);
    FAB_AUTO_FREE int32_t *largest = fab_alloc_array((size_t)n.cores, sizeof *largest);
    if (!d->renamed) d->renamed = fab_calloc((size_t)n.voxels, 1);
    if (!queue || !faces || !largest || !d->renamed)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for parts of %.60s", l->name);
    n.size_of = sizes, n.largest = largest, n.to_other = faces, n.to_own = faces + n.cores;
    n.owner = fab_volume_data_mut(ids);
    spread(&n, queue);
    count_faces(&n);
    rename_parts(&n, row);
    return FAB_OK;
}

bool fab_wants_necks(const fab_model *m)
{
    for (int row = 0; row < m->label_count; row++)
        if (m->labels[row].neck_mm > 0) return true;
    return false;
}

fab_status fab_decide_necks(fab_decision *d, const fab_slide *s, fab_error *err)
{
    for (int row = 0; row < d->model->label_count; row++)
        if (d->model->labels[row].neck_mm > 0) FAB_TRY(look_at_row(d, s, row, err));
    return FAB_OK;
}
