/* points.c - the voxels that make the spine.
 *
 * A network leaves islands: a femoral head taken for a vertebra, a speck in a lung. The spine is
 * what hangs together in cells of 12 mm, so that a missing disc or a vertebra that was not seen
 * (its canal was) does not break it, and an island 25 mm away is none of it.
 */
#include <string.h>

#include "spine_internal.h"

#define CELL_MM 12.0
#define CELL_ML 0.15 /* of spine that makes a cell part of it */

static void set_role(uint8_t *role, int value, sp_role r)
{
    if (value > 0 && value <= FAB_MAX_LABELS) role[value] = (uint8_t)r;
}

static void set_roles(const fab_spine_classes *c, uint8_t *role)
{
    for (int k = 0; k < 2; k++) {
        set_role(role, c->lungs[k], SP_LUNGS);
        set_role(role, c->kidneys[k], SP_KIDNEYS);
        set_role(role, c->hips[k], SP_HIPS);
        set_role(role, c->psoas[k], SP_PSOAS);
    }
    set_role(role, c->ribs, SP_RIBS);
    set_role(role, c->sacrum, SP_SACRUM);
    set_role(role, c->cord, SP_CANAL);
    set_role(role, c->canal, SP_CANAL);
    set_role(role, c->disc, SP_DISC);
    set_role(role, c->arch, SP_ARCH);
    set_role(role, c->body, SP_BODY);
}

static int value_at(const fab_volume *map, int64_t i)
{
    return fab_volume_dtype(map) == FAB_U8 ? ((const uint8_t *)fab_volume_data(map))[i]
                                           : ((const uint16_t *)fab_volume_data(map))[i];
}

static bool is_point(int role)
{
    return role >= SP_BODY && role <= SP_PSOAS;
}

static void add_extent(sp_extent *e, double z)
{
    if (e->voxels == 0 || z < e->z_low) e->z_low = z;
    if (e->voxels == 0 || z > e->z_high) e->z_high = z;
    e->z_mean += (z - e->z_mean) / (double)++e->voxels;
}

static void add_point(sp_work *w, const int32_t at[3], int64_t voxel, int role, bool cord,
                      const fab_volume *probability)
{
    sp_point *p = &w->points[w->count];
    double world[3] = {at[0], at[1], at[2]};
    fab_mat34_apply(&w->grid.world_from_voxel, world, world);
    add_extent(&w->organ[role], world[2]);
    if (!is_point(role)) return;
    *p = (sp_point){.at = {at[0], at[1], at[2]}, .role = (uint8_t)role, .cord = cord, .weight = 1};
    for (int a = 0; a < 3; a++) p->p[a] = (float)world[a];
    if (probability)
        p->weight = (float)sp_clamp(fab_volume_at(probability, voxel), 0.05, 1.0);
    w->index[voxel] = w->count++;
}

/* ---- what hangs together -------------------------------------------------------------------- */

typedef struct cells {
    int size[3];
    double mm[3]; /* spacing of a voxel */
    float *ml;
    int32_t *id, *queue;
} cells;

static int32_t cell_of(const cells *c, const sp_point *p)
{
    int at[3];
    for (int a = 0; a < 3; a++) {
        at[a] = (int)(p->at[a] * c->mm[a] / CELL_MM);
        if (at[a] >= c->size[a]) at[a] = c->size[a] - 1;
    }
    return at[0] + c->size[0] * (at[1] + c->size[1] * at[2]);
}

static void flood(cells *c, int32_t from, int32_t id)
{
    int32_t head = 0, tail = 0;
    c->queue[tail++] = from;
    c->id[from] = id;
    while (head < tail) {
        const int32_t i = c->queue[head++];
        const int x = i % c->size[0], y = i / c->size[0] % c->size[1];
        const int z = i / c->size[0] / c->size[1];
        for (int k = 0; k < 27; k++) {
            const int nx = x + k % 3 - 1, ny = y + k / 3 % 3 - 1, nz = z + k / 9 - 1;
            if (nx < 0 || ny < 0 || nz < 0 || nx >= c->size[0] || ny >= c->size[1] ||
                nz >= c->size[2])
                continue;
            const int32_t n = nx + c->size[0] * (ny + c->size[1] * nz);
            if (c->id[n] || (double)c->ml[n] < CELL_ML) continue;
            c->id[n] = id;
            c->queue[tail++] = n;
        }
    }
}

/* The component with the most body; its number, 0 if there is none. */
static int32_t largest_component(const sp_work *w, cells *c, int64_t n, double *body_ml)
{
    int32_t ids = 0, best = 0;
    for (int32_t i = 0; i < n; i++)
        if ((double)c->ml[i] >= CELL_ML && !c->id[i]) flood(c, i, ++ids);
    memset(body_ml, 0, (size_t)n * sizeof *body_ml);
    for (int32_t i = 0; i < w->count; i++)
        if (w->points[i].role == SP_BODY) body_ml[c->id[cell_of(c, &w->points[i])]] += w->voxel_ml;
    for (int32_t k = 1; k <= ids; k++)
        if (best == 0 || body_ml[k] > body_ml[best]) best = k;
    return best;
}

/* A point is of the spine if its cell or one beside it is: the fringe of a bone fills no cell. */
static bool belongs(const cells *c, const sp_point *p, int32_t spine)
{
    const int32_t i = cell_of(c, p);
    const int x = i % c->size[0], y = i / c->size[0] % c->size[1], z = i / c->size[0] / c->size[1];
    for (int k = 0; spine > 0 && k < 27; k++) {
        const int nx = x + k % 3 - 1, ny = y + k / 3 % 3 - 1, nz = z + k / 9 - 1;
        if (nx >= 0 && ny >= 0 && nz >= 0 && nx < c->size[0] && ny < c->size[1] &&
            nz < c->size[2] && c->id[nx + c->size[0] * (ny + c->size[1] * nz)] == spine)
            return true;
    }
    return false;
}

/* Points of body, arch, disc and canal outside the spine lose their role. */
static fab_status drop_islands(sp_work *w, fab_error *err)
{
    cells c = {0};
    int64_t n = 1;
    fab_grid_spacing(&w->grid, c.mm);
    for (int a = 0; a < 3; a++) {
        c.size[a] = (int)(w->grid.size[a] * c.mm[a] / CELL_MM) + 1;
        n *= c.size[a];
    }
    if (n > (int64_t)1 << 26) FAB_FAIL(err, FAB_ERR_LIMIT, "the class map covers too much space");
    FAB_AUTO_FREE float *ml = fab_calloc((size_t)n, sizeof *ml);
    FAB_AUTO_FREE int32_t *id = fab_calloc((size_t)n, sizeof *id);
    FAB_AUTO_FREE int32_t *queue = fab_alloc_array((size_t)n, sizeof *queue);
    FAB_AUTO_FREE double *body_ml = fab_alloc_array((size_t)n + 1, sizeof *body_ml);
    if (!ml || !id || !queue || !body_ml) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine");
    c.ml = ml, c.id = id, c.queue = queue;
    for (int32_t i = 0; i < w->count; i++)
        if (w->points[i].role <= SP_CANAL) ml[cell_of(&c, &w->points[i])] += (float)w->voxel_ml;
    const int32_t best = largest_component(w, &c, n, body_ml);
    for (int32_t i = 0; i < w->count; i++)
        if (w->points[i].role <= SP_CANAL && !belongs(&c, &w->points[i], best))
            w->points[i].role = SP_NONE;
    return FAB_OK;
}

fab_status fab_spine_gather(sp_work *w, const fab_spine_classes *c, const fab_volume *probability,
                            fab_error *err)
{
    const int64_t voxels = fab_grid_voxels(&w->grid);
    int64_t n = 0;
    FAB_AUTO_FREE uint8_t *role = fab_calloc(FAB_MAX_LABELS + 1, 1);
    if (!role) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine");
    set_roles(c, role);
    for (int64_t i = 0; i < voxels; i++) n += is_point(role[value_at(w->map, i)]);
    if (n > INT32_MAX / 2) FAB_FAIL(err, FAB_ERR_LIMIT, "%lld spine voxels", (long long)n);
    w->points = fab_alloc_array((size_t)n + 1, sizeof *w->points);
    w->index = fab_alloc_array((size_t)voxels, sizeof *w->index);
    if (!w->points || !w->index) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine");
    int64_t i = 0;
    for (int32_t z = 0; z < w->grid.size[2]; z++)
        for (int32_t y = 0; y < w->grid.size[1]; y++)
            for (int32_t x = 0; x < w->grid.size[0]; x++, i++) {
                const int value = value_at(w->map, i);
                w->index[i] = -1;
                if (role[value] != SP_NONE)
                    add_point(w, (int32_t[]){x, y, z}, i, role[value],
                              value == c->cord && value > 0, probability);
            }
    return drop_islands(w, err);
}
