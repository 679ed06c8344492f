/* metal.c - what is denser than any bone: where, how much, and whether it streaks. Screws are
 * smaller than the lattice, so that every voxel is looked at; cells of about 4 mm then hold the
 * counts and are joined into objects. Contrast in a bladder or a bowel can be as dense. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qa_internal.h"

enum { METAL_HU = 2500, MAX_OBJECTS = 6, STREAK_HU = -250 };
static const double cell_mm = 4.0, least_ml = 0.1, near_mm = 60.0, streak_share = 0.04;

typedef struct object {
    int64_t voxels;
    int low[3], high[3];
} object;

typedef struct cells {
    int n[3], size[3]; /* cells; voxels a cell */
    int64_t *count;
    int64_t total;
} cells;

static void put(cells *m, const int32_t size[3], int64_t at)
{
    const int64_t i = at % size[0], row = at / size[0], j = row % size[1], k = row / size[1];
    m->count[i / m->size[0] + m->n[0] * (j / m->size[1] + (int64_t)m->n[1] * (k / m->size[2]))]++;
    m->total++;
}

static fab_status count_metal(const fab_volume *image, cells *m, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(image);
    const int64_t n = fab_grid_voxels(g);
    double spacing[3];
    fab_grid_spacing(g, spacing);
    for (int a = 0; a < 3; a++) {
        m->size[a] = (int)fmax(1, round(cell_mm / spacing[a]));
        m->n[a] = (g->size[a] - 1) / m->size[a] + 1;
    }
    m->count = fab_calloc((size_t)m->n[0] * (size_t)m->n[1], (size_t)m->n[2] * sizeof *m->count);
    if (!m->count) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to look for metal");
    if (fab_volume_dtype(image) == FAB_I16) {
        const int16_t *v = fab_volume_data(image);
        for (int64_t at = 0; at < n; at++)
            if (v[at] > METAL_HU) put(m, g->size, at);
    } else {
        for (int64_t at = 0; at < n; at++)
            if (fab_volume_at(image, at) > METAL_HU) put(m, g->size, at);
    }
    return FAB_OK;
}

/* Takes the object that cell `start` belongs to (26 neighbours) out of the cells. */
static void take(cells *m, int64_t *queue, int64_t start, object *o)
{
    const int64_t nx = m->n[0], ny = m->n[1];
    int64_t head = 0, tail = 0;
    *o = (object){.low = {m->n[0], m->n[1], m->n[2]}, .high = {-1, -1, -1}};
    queue[tail++] = start;
    o->voxels = m->count[start];
    m->count[start] = 0;
    while (head < tail) {
        const int64_t at = queue[head++];
        const int here[3] = {(int)(at % nx), (int)(at / nx % ny), (int)(at / (nx * ny))};
        for (int a = 0; a < 3; a++) {
            o->low[a] = here[a] < o->low[a] ? here[a] : o->low[a];
            o->high[a] = here[a] > o->high[a] ? here[a] : o->high[a];
        }
        for (int d = 0; d < 27; d++) {
            const int to[3] = {here[0] + d % 3 - 1, here[1] + d / 3 % 3 - 1, here[2] + d / 9 - 1};
            if (to[0] < 0 || to[1] < 0 || to[2] < 0 || to[0] >= m->n[0] || to[1] >= m->n[1] ||
                to[2] >= m->n[2])
                continue;
            const int64_t next = to[0] + nx * (to[1] + ny * to[2]);
            if (!m->count[next]) continue;
            o->voxels += m->count[next];
            m->count[next] = 0;
            queue[tail++] = next;
        }
    }
}

static void world_box(const fab_check *c, const cells *m, const object *o, double low_mm[3],
                      double high_mm[3])
{
    const fab_grid *g = fab_volume_grid(c->in->image);
    const fab_lattice l = {.grid = *g};
    int low[3], high[3];
    for (int a = 0; a < 3; a++) {
        low[a] = o->low[a] * m->size[a];
        high[a] = (o->high[a] + 1) * m->size[a] - 1;
        if (high[a] >= g->size[a]) high[a] = g->size[a] - 1;
    }
    fab_check_box(&l, low, high, low_mm, high_mm);
}

/* Share of what is labelled and holds no air, close to the metal in its planes, that is as dark as
 * only streaks make it. */
static double dark_share(const fab_check *c, const double low_mm[3], const double high_mm[3])
{
    const fab_lattice *l = &c->lattice;
    int64_t all = 0, dark = 0, at = 0;
    for (int k = 0; k < l->n[2]; k++)
        for (int j = 0; j < l->n[1]; j++)
            for (int i = 0; i < l->n[0]; i++, at++) {
                double p[3] = {i, j, k};
                if (!c->row[at]) continue;
                const fab_anatomy *a = c->qa->structures[c->row[at] - 1].label->anatomy;
                if (!a || a->tissue == FAB_TISSUE_LUNG || a->tissue == FAB_TISSUE_BOWEL) continue;
                fab_mat34_apply(&l->grid.world_from_voxel, p, p);
                if (p[2] < low_mm[2] || p[2] > high_mm[2]) continue;
                if (p[0] < low_mm[0] - near_mm || p[0] > high_mm[0] + near_mm ||
                    p[1] < low_mm[1] - near_mm || p[1] > high_mm[1] + near_mm)
                    continue;
                all++;
                dark += c->hu[at] < STREAK_HU;
            }
    return all > 100 ? (double)dark / (double)all : 0;
}

/* The structure most of the object lies in or beside. */
static const fab_qa_structure *host(const fab_check *c, const double low_mm[3],
                                    const double high_mm[3])
{
    const fab_lattice *l = &c->lattice;
    FAB_AUTO_FREE int64_t *votes = fab_calloc(c->qa->structure_count + 1, sizeof *votes);
    size_t best = 0;
    int64_t at = 0;
    if (!votes) return NULL;
    for (int k = 0; k < l->n[2]; k++)
        for (int j = 0; j < l->n[1]; j++)
            for (int i = 0; i < l->n[0]; i++, at++) {
                double p[3] = {i, j, k};
                if (!c->row[at]) continue;
                fab_mat34_apply(&l->grid.world_from_voxel, p, p);
                bool inside = true;
                for (int a = 0; a < 3; a++)
                    inside = inside && p[a] >= low_mm[a] - 2 && p[a] <= high_mm[a] + 2;
                votes[c->row[at]] += inside;
            }
    for (size_t i = 1; i <= c->qa->structure_count; i++)
        if (votes[i] > votes[best]) best = i;
    return best ? &c->qa->structures[best - 1] : NULL;
}

static fab_status report(fab_check *c, const cells *m, const object *o, fab_error *err)
{
    double low[3], high[3];
    world_box(c, m, o, low, high);
    const double ml = (double)o->voxels *
                      fab_grid_voxel_volume_mm3(fab_volume_grid(c->in->image)) / 1000;
    const fab_qa_structure *in = host(c, low, high);
    const double dark = dark_share(c, low, high);
    FAB_TRY(fab_check_add(c, "metal", FAB_WARNING, NULL, in, low, high, err,
                          "metal or very dense contrast: %.1f ml above %d HU%s%s", ml,
                          (int)METAL_HU, in ? ", in or beside " : "", in ? in->label->name : ""));
    if (dark < streak_share) return FAB_OK;
    return fab_check_add(c, "streaks", FAB_WARNING, NULL, in, low, high, err,
                         "streaks around metal: %.0f %% of what is labelled nearby is as dark as "
                         "air", 100 * dark);
}

static int larger(const void *a, const void *b)
{
    const int64_t x = ((const object *)a)->voxels, y = ((const object *)b)->voxels;
    return (x < y) - (x > y);
}

static fab_status gather(fab_check *c, cells *m, fab_error *err)
{
    const int64_t n = (int64_t)m->n[0] * m->n[1] * m->n[2];
    const double voxel_ml = fab_grid_voxel_volume_mm3(fab_volume_grid(c->in->image)) / 1000;
    FAB_AUTO_FREE int64_t *queue = fab_alloc_array((size_t)m->total, sizeof *queue);
    FAB_AUTO_FREE object *found = NULL;
    size_t count = 0, room = 0;
    if (!queue) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to look for metal");
    for (int64_t at = 0; at < n; at++) {
        object o;
        if (!m->count[at]) continue;
        take(m, queue, at, &o);
        if ((double)o.voxels * voxel_ml < least_ml) continue;
        if (count == room) {
            object *more = fab_realloc(found, (room = 2 * room + 16) * sizeof *more);
            if (!more) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for metal");
            found = more;
        }
        found[count++] = o;
    }
    if (count > 1) qsort(found, count, sizeof *found, larger);
    for (size_t i = 0; i < count && i < MAX_OBJECTS; i++) FAB_TRY(report(c, m, &found[i], err));
    if (count <= MAX_OBJECTS) return FAB_OK;
    return fab_check_add(c, "metal", FAB_WARNING, NULL, NULL, NULL, NULL, err,
                         "and %zu smaller %s of metal", count - MAX_OBJECTS,
                         fab_plural((int64_t)(count - MAX_OBJECTS), "piece", "pieces"));
}

fab_status fab_check_metal(fab_check *c, fab_error *err)
{
    cells m = {0};
    if (!c->hu || !c->hounsfield) return FAB_OK;
    fab_status status = count_metal(c->in->image, &m, err);
    if (status == FAB_OK && m.total) status = gather(c, &m, err);
    fab_free(m.count);
    return status;
}
