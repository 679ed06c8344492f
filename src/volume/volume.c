/* volume.c - reference-counted voxels: create, convert, reorient, crop. */
#include <math.h>
#include <string.h>

#include "volume_internal.h"

static const struct { const char *name; size_t bytes; } dtypes[] = {
    [FAB_U8] = {"uint8", 1}, [FAB_I16] = {"int16", 2}, [FAB_U16] = {"uint16", 2},
    [FAB_I32] = {"int32", 4}, [FAB_F32] = {"float32", 4},
};

size_t fab_dtype_bytes(fab_dtype t)
{
    return dtypes[t].bytes;
}

const char *fab_dtype_name(fab_dtype t)
{
    return dtypes[t].name;
}

fab_status fab_volume_create(const fab_grid *g, fab_dtype t, fab_volume **out, fab_error *err)
{
    FAB_TRY(fab_grid_check(g, err));
    size_t bytes = (size_t)fab_grid_voxels(g) * dtypes[t].bytes;
    fab_volume *v = fab_malloc(sizeof *v);
    void *data = v ? fab_alloc_aligned(64, bytes) : NULL;
    if (!data) {
        fab_free(v);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a volume of %d x %d x %d %s", g->size[0],
                 g->size[1], g->size[2], dtypes[t].name);
    }
    memset(data, 0, bytes);
    atomic_init(&v->refs, 1);
    v->grid = *g;
    v->dtype = t;
    v->data = data;
    *out = v;
    return FAB_OK;
}

fab_volume *fab_volume_ref(fab_volume *v)
{
    if (v) atomic_fetch_add(&v->refs, 1);
    return v;
}

fab_volume *fab_volume_unref(fab_volume *v)
{
    if (!v || atomic_fetch_sub(&v->refs, 1) != 1) return NULL;
    fab_free(v->data);
    return fab_free(v);
}

const fab_grid *fab_volume_grid(const fab_volume *v)
{
    return &v->grid;
}

fab_dtype fab_volume_dtype(const fab_volume *v)
{
    return v->dtype;
}

const void *fab_volume_data(const fab_volume *v)
{
    return v->data;
}

void *fab_volume_data_mut(fab_volume *v)
{
    return atomic_load(&v->refs) == 1 ? v->data : NULL;
}

size_t fab_volume_bytes(const fab_volume *v)
{
    return (size_t)fab_grid_voxels(&v->grid) * dtypes[v->dtype].bytes;
}

double fab_volume_at(const fab_volume *v, int64_t index)
{
    return fab_volume_load_(v->dtype, v->data, index);
}

double fab_volume_get(const fab_volume *v, int32_t i, int32_t j, int32_t k)
{
    int64_t index = i + (int64_t)v->grid.size[0] * (j + (int64_t)v->grid.size[1] * k);
    return fab_volume_load_(v->dtype, v->data, index);
}

typedef struct convert_job {
    const fab_volume *from;
    fab_volume *to;
    int64_t plane;
} convert_job;

static void convert_plane(void *ctx, int64_t k, int worker)
{
    (void)worker;
    const convert_job *job = ctx;
    for (int64_t at = k * job->plane; at < (k + 1) * job->plane; at++)
        fab_volume_store_(job->to->dtype, job->to->data, at,
                          fab_volume_load_(job->from->dtype, job->from->data, at));
}

fab_status fab_volume_convert(const fab_volume *v, fab_dtype t, fab_volume **out, fab_error *err)
{
    fab_volume *r = NULL;
    FAB_TRY(fab_volume_create(&v->grid, t, &r, err));
    if (t == v->dtype) {
        memcpy(r->data, v->data, fab_volume_bytes(v));
    } else {
        convert_job job = {v, r, (int64_t)v->grid.size[0] * v->grid.size[1]};
        fab_parallel_for(v->grid.size[2], convert_plane, &job);
    }
    *out = r;
    return FAB_OK;
}

static void copy_voxel(uint8_t *to, const uint8_t *from, size_t bytes)
{
    switch (bytes) {
    case 1: *to = *from; break;
    case 2: memcpy(to, from, 2); break;
    default: memcpy(to, from, 4); break;
    }
}

typedef struct permute_job {
    const fab_volume *from;
    fab_volume *to;
    int64_t start, step[3]; /* in voxels of `from` */
} permute_job;

static void permute_plane(void *ctx, int64_t k, int worker)
{
    (void)worker;
    const permute_job *job = ctx;
    const int32_t *size = job->to->grid.size;
    size_t bytes = dtypes[job->to->dtype].bytes;
    uint8_t *to = (uint8_t *)job->to->data + (size_t)(k * size[0] * size[1]) * bytes;
    for (int32_t j = 0; j < size[1]; j++) {
        int64_t at = job->start + k * job->step[2] + j * job->step[1];
        if (job->step[0] == 1) { /* the row as it is */
            const size_t row = (size_t)size[0] * bytes;
            memcpy(to, (const uint8_t *)job->from->data + at * (int64_t)bytes, row);
            to += row;
            continue;
        }
        for (int32_t i = 0; i < size[0]; i++, at += job->step[0], to += bytes)
            copy_voxel(to, (const uint8_t *)job->from->data + at * (int64_t)bytes, bytes);
    }
}

/* to's grid is from's with permuted, flipped or cropped axes: start and step say how. */
static fab_status permute(const fab_volume *v, const fab_grid *grid, int64_t start,
                          const int64_t step[3], fab_volume **out, fab_error *err)
{
    fab_volume *r = NULL;
    FAB_TRY(fab_volume_create(grid, v->dtype, &r, err));
    permute_job job = {v, r, start, {step[0], step[1], step[2]}};
    fab_parallel_for(grid->size[2], permute_plane, &job);
    *out = r;
    return FAB_OK;
}

fab_status fab_volume_canonical(const fab_volume *v, fab_volume **out, fab_error *err)
{
    int axis_of[3];
    bool flip[3];
    fab_grid grid = fab_grid_canonical(&v->grid, axis_of, flip);
    int64_t stride[3] = {1, v->grid.size[0], (int64_t)v->grid.size[0] * v->grid.size[1]};
    int64_t start = 0, step[3];
    for (int w = 0; w < 3; w++) {
        int a = axis_of[w];
        step[w] = flip[w] ? -stride[a] : stride[a];
        if (flip[w]) start += (v->grid.size[a] - 1) * stride[a];
    }
    return permute(v, &grid, start, step, out, err);
}

fab_status fab_volume_crop(const fab_volume *v, const int32_t low[3], const int32_t size[3],
                           fab_volume **out, fab_error *err)
{
    int64_t stride[3] = {1, v->grid.size[0], (int64_t)v->grid.size[0] * v->grid.size[1]};
    fab_grid grid = v->grid;
    int64_t start = 0;
    double origin[3];
    for (int a = 0; a < 3; a++) {
        if (low[a] < 0 || size[a] < 1 || low[a] > v->grid.size[a] - size[a])
            FAB_FAIL(err, FAB_ERR_ARG, "crop of %d voxels from %d on axis %d of %d", size[a],
                     low[a], a, v->grid.size[a]);
        grid.size[a] = size[a];
        start += low[a] * stride[a];
        origin[a] = low[a];
    }
    fab_mat34_apply(&v->grid.world_from_voxel, origin, origin);
    for (int a = 0; a < 3; a++) grid.world_from_voxel.m[a][3] = origin[a];
    return permute(v, &grid, start, stride, out, err);
}

/* What CT and label maps are held in: integers the compiler can compare many at a time. */
#define FAB_MINMAX(type, least, most)                                                             \
    do {                                                                                          \
        const type *value = v->data;                                                              \
        type a = (most), b = (least);                                                             \
        for (int64_t i = 0; i < count; i++) {                                                     \
            a = value[i] < a ? value[i] : a;                                                      \
            b = value[i] > b ? value[i] : b;                                                      \
        }                                                                                         \
        *low = a;                                                                                 \
        *high = b;                                                                                \
    } while (0)

static bool integer_minmax(const fab_volume *v, double *low, double *high)
{
    int64_t count = fab_grid_voxels(&v->grid);
    if (v->dtype == FAB_U8) FAB_MINMAX(uint8_t, 0, UINT8_MAX);
    else if (v->dtype == FAB_U16) FAB_MINMAX(uint16_t, 0, UINT16_MAX);
    else if (v->dtype == FAB_I16) FAB_MINMAX(int16_t, INT16_MIN, INT16_MAX);
    else return false;
    return true;
}
#undef FAB_MINMAX

void fab_volume_minmax(const fab_volume *v, double *low, double *high)
{
    if (integer_minmax(v, low, high)) return;
    int64_t count = fab_grid_voxels(&v->grid);
    double a = INFINITY, b = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        double value = fab_volume_load_(v->dtype, v->data, i);
        if (value < a) a = value;
        if (value > b) b = value;
    }
    *low = a;
    *high = b;
}

fab_status fab_volume_need_labels_(const fab_volume *v, fab_error *err)
{
    if (v->dtype != FAB_U8 && v->dtype != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "a label map must be uint8 or uint16, this is %s",
                 dtypes[v->dtype].name);
    return FAB_OK;
}
