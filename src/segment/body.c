/* body.c - the part of an image that the patient is in, so that the network looks at no couch.
 *
 * Cells of about 6 mm mostly denser than -300 HU; the pieces of them (6 neighbours) that
 * are at least a fiftieth of the largest are the patient, arms too: couch shells are thinner than
 * a cell, foam is lighter. What is further than a cell from them becomes air, and 12 mm on every
 * side stay.
 */
#include <math.h>
#include <string.h>

#include "segment_internal.h"

#define CELL_MM 6.0
#define MARGIN_MM 12.0
#define DENSE_HU (-300.0f)
#define PIECE_SHARE 0.02
#define AIR_HU (-1024)

/* Cell of each voxel along an axis, and how many cells there are. */
typedef struct cell_axis {
    int32_t *cell;
    int32_t count, voxels; /* of an axis; of a cell */
} cell_axis;

typedef struct cells {
    cell_axis axis[3];
    int32_t *dense, *voxels; /* of each cell */
    int64_t count;
} cells;

static void free_cells(cells *c)
{
    for (int a = 0; a < 3; a++) fab_free(c->axis[a].cell);
    fab_free(c->dense);
    fab_free(c->voxels);
}

static fab_status make_cells(const fab_grid *g, cells *c, fab_error *err)
{
    double spacing[3];
    fab_grid_spacing(g, spacing);
    c->count = 1;
    for (int a = 0; a < 3; a++) {
        int32_t per = (int32_t)lrint(CELL_MM / spacing[a]);
        if (per < 1) per = 1;
        c->axis[a].voxels = per;
        c->axis[a].count = (g->size[a] + per - 1) / per;
        c->axis[a].cell = fab_alloc_array((size_t)g->size[a], sizeof *c->axis[a].cell);
        if (!c->axis[a].cell) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to find the body");
        for (int32_t i = 0; i < g->size[a]; i++) c->axis[a].cell[i] = i / per;
        c->count *= c->axis[a].count;
    }
    c->dense = fab_calloc((size_t)c->count, sizeof *c->dense);
    c->voxels = fab_calloc((size_t)c->count, sizeof *c->voxels);
    if (!c->dense || !c->voxels) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to find the body");
    return FAB_OK;
}

#define COUNT_ROW(type)                                                                           \
    do {                                                                                          \
        const type *p = (const type *)data + at;                                                  \
        for (int32_t i = 0; i < n; i++) {                                                         \
            dense[cell[i]] += (float)p[i] > DENSE_HU;                                             \
            voxels[cell[i]]++;                                                                    \
        }                                                                                         \
    } while (0)

static void count_row(const fab_volume *image, int64_t at, const cells *c, int64_t first)
{
    const void *data = fab_volume_data(image);
    const int32_t n = fab_volume_grid(image)->size[0], *cell = c->axis[0].cell;
    int32_t *dense = c->dense + first, *voxels = c->voxels + first;
    switch (fab_volume_dtype(image)) {
    case FAB_U8: COUNT_ROW(uint8_t); break;
    case FAB_I16: COUNT_ROW(int16_t); break;
    case FAB_U16: COUNT_ROW(uint16_t); break;
    case FAB_I32: COUNT_ROW(int32_t); break;
    case FAB_F32: COUNT_ROW(float); break;
    }
}

/* Cells that are mostly dense, as a label map of its own. */
static fab_status dense_cells(const fab_volume *image, cells *c, fab_volume **out, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(image);
    fab_grid small = *g;
    for (int a = 0; a < 3; a++) small.size[a] = c->axis[a].count;
    for (int32_t k = 0; k < g->size[2]; k++)
        for (int32_t j = 0; j < g->size[1]; j++)
            count_row(image, ((int64_t)k * g->size[1] + j) * g->size[0], c,
                      ((int64_t)c->axis[2].cell[k] * small.size[1] + c->axis[1].cell[j]) *
                          small.size[0]);
    FAB_TRY(fab_volume_create(&small, FAB_U8, out, err));
    uint8_t *mask = fab_volume_data_mut(*out);
    for (int64_t i = 0; i < c->count; i++) mask[i] = 2 * c->dense[i] > c->voxels[i];
    return FAB_OK;
}

/* Cells of the patient, and their box; false if there are none. */
static bool mark_patient(const fab_volume *components, int32_t pieces, uint8_t *patient,
                         int32_t low[3], int32_t high[3])
{
    const int32_t *id = fab_volume_data(components), *size = fab_volume_grid(components)->size;
    for (int a = 0; a < 3; a++) {
        low[a] = size[a];
        high[a] = -1;
    }
    for (int32_t k = 0; k < size[2]; k++)
        for (int32_t j = 0; j < size[1]; j++)
            for (int32_t i = 0; i < size[0]; i++, id++, patient++) {
                const int32_t at[3] = {i, j, k};
                *patient = *id > 0 && *id <= pieces;
                for (int a = 0; *patient && a < 3; a++) {
                    if (at[a] < low[a]) low[a] = at[a];
                    if (at[a] > high[a]) high[a] = at[a];
                }
            }
    return high[0] >= 0;
}

/* One cell more along an axis. */
static void grow(uint8_t *mask, const uint8_t *from, const int32_t size[3], int axis)
{
    const int64_t step = axis == 0 ? 1 : axis == 1 ? size[0] : (int64_t)size[0] * size[1];
    const int64_t n = (int64_t)size[0] * size[1] * size[2];
    for (int64_t i = 0; i < n; i++) {
        const int32_t at = (int32_t)(i / step % size[axis]);
        mask[i] = from[i] || (at > 0 && from[i - step]) || (at + 1 < size[axis] && from[i + step]);
    }
}

typedef struct patient {
    cells c;
    int32_t size[3];          /* cells */
    uint8_t *mask, *spare;    /* cells of the patient, one more on every side */
    int32_t low[3], high[3];  /* without that one */
    bool found;
} patient;

static fab_status find_patient(const fab_volume *image, patient *p, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *mask = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *components = NULL;
    FAB_AUTO_FREE int64_t *sizes = NULL;
    int32_t count = 0, pieces = 0;
    FAB_TRY(make_cells(fab_volume_grid(image), &p->c, err));
    FAB_TRY(dense_cells(image, &p->c, &mask, err));
    FAB_TRY(fab_labels_components(mask, 1, true, &components, &count, &sizes, err));
    while (pieces < count && (double)sizes[pieces] >= PIECE_SHARE * (double)sizes[0]) pieces++;
    p->mask = fab_alloc_array((size_t)p->c.count, 1);
    p->spare = fab_alloc_array((size_t)p->c.count, 1);
    if (!p->mask || !p->spare) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to find the body");
    for (int a = 0; a < 3; a++) p->size[a] = p->c.axis[a].count;
    p->found = mark_patient(components, pieces, p->mask, p->low, p->high);
    for (int a = 0; a < 3; a++) {
        memcpy(p->spare, p->mask, (size_t)p->c.count);
        grow(p->mask, p->spare, p->size, a);
    }
    return FAB_OK;
}

#define AIR_ROW(type, air)                                                                        \
    do {                                                                                          \
        type *row = (type *)data + at;                                                            \
        for (int32_t i = 0; i < n; i++)                                                           \
            if (!keep[cell[i]]) row[i] = (air);                                                   \
    } while (0)

/* What is far from the patient becomes air, which unsigned types cannot hold. */
static void clear_row(fab_volume *crop, int64_t at, const int32_t *cell, const uint8_t *keep)
{
    void *data = fab_volume_data_mut(crop);
    const int32_t n = fab_volume_grid(crop)->size[0];
    switch (fab_volume_dtype(crop)) {
    case FAB_I16: AIR_ROW(int16_t, AIR_HU); break;
    case FAB_I32: AIR_ROW(int32_t, AIR_HU); break;
    case FAB_F32: AIR_ROW(float, AIR_HU); break;
    case FAB_U8:
    case FAB_U16: break;
    }
}

static void clear_surroundings(fab_volume *crop, const int32_t low[3], const patient *p)
{
    const int32_t *size = fab_volume_grid(crop)->size;
    for (int32_t k = 0; k < size[2]; k++)
        for (int32_t j = 0; j < size[1]; j++) {
            const int64_t cells_at =
                ((int64_t)p->c.axis[2].cell[k + low[2]] * p->size[1] +
                 p->c.axis[1].cell[j + low[1]]) * p->size[0];
            clear_row(crop, ((int64_t)k * size[1] + j) * size[0], p->c.axis[0].cell + low[0],
                      p->mask + cells_at);
        }
}

static fab_status crop_to(const fab_volume *image, const patient *p, int32_t low[3],
                          fab_volume **out, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(image);
    int32_t size[3];
    double spacing[3];
    fab_grid_spacing(g, spacing);
    for (int a = 0; a < 3; a++) {
        const int32_t per = p->c.axis[a].voxels;
        const int32_t margin = (int32_t)ceil(MARGIN_MM / spacing[a]);
        const int32_t from = p->found ? p->low[a] * per - margin : 0;
        const int32_t to = p->found ? (p->high[a] + 1) * per + margin : g->size[a];
        low[a] = from < 0 ? 0 : from;
        size[a] = (to > g->size[a] ? g->size[a] : to) - low[a];
    }
    FAB_TRY(fab_volume_crop(image, low, size, out, err));
    if (p->found) clear_surroundings(*out, low, p);
    return FAB_OK;
}

fab_status fab_body_crop(const fab_volume *image, int32_t low[3], fab_volume **out, fab_error *err)
{
    patient p = {0};
    fab_status status = find_patient(image, &p, err);
    if (status == FAB_OK) status = crop_to(image, &p, low, out, err);
    free_cells(&p.c);
    fab_free(p.mask);
    fab_free(p.spare);
    return status;
}

fab_status fab_body_paste(const fab_volume *crop, const int32_t low[3], const fab_grid *whole,
                          fab_volume **out, fab_error *err)
{
    const size_t bytes = fab_dtype_bytes(fab_volume_dtype(crop));
    const int32_t *size = fab_volume_grid(crop)->size;
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_TRY(fab_volume_create(whole, fab_volume_dtype(crop), &v, err));
    uint8_t *to = fab_volume_data_mut(v);
    const uint8_t *from = fab_volume_data(crop);
    memset(to, 0, fab_volume_bytes(v));
    for (int32_t k = 0; k < size[2]; k++)
        for (int32_t j = 0; j < size[1]; j++, from += (size_t)size[0] * bytes)
            memcpy(to + (size_t)(((int64_t)(k + low[2]) * whole->size[1] + j + low[1]) *
                                     whole->size[0] + low[0]) * bytes,
                   from, (size_t)size[0] * bytes);
    *out = v;
    v = NULL;
    return FAB_OK;
}
