/* regions.c - connected components of a whole label map in one pass (union-find).
 *
 * Every voxel is joined with its 13 neighbours that come earlier and hold the same value.
 */
#include "segment_internal.h"

static int32_t root_of(int32_t *parent, int32_t i)
{
    while (parent[i] != i) {
        parent[i] = parent[parent[i]]; /* halves the path */
        i = parent[i];
    }
    return i;
}

/* The smaller root stays, so that regions are numbered by their first voxel. */
static void join(int32_t *parent, int32_t a, int32_t b)
{
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a < b) parent[b] = a;
    else parent[a] = b;
}

static void join_earlier(const uint16_t *values, const int size[3], int32_t *parent, int z, int y,
                         int x)
{
    const int32_t at = (int32_t)(((int64_t)z * size[1] + y) * size[2] + x);
    for (int k = 0; k < 13; k++) { /* (-1,-1,-1) .. (0,0,-1) in memory order */
        const int dz = k / 9 - 1, dy = k / 3 % 3 - 1, dx = k % 3 - 1;
        const int nz = z + dz, ny = y + dy, nx = x + dx;
        if (nz < 0 || ny < 0 || ny >= size[1] || nx < 0 || nx >= size[2]) continue;
        const int32_t other = (int32_t)(((int64_t)nz * size[1] + ny) * size[2] + nx);
        if (values[other] == values[at]) join(parent, at, other);
    }
}

/* Numbers the roots and counts; `component` holds parents and becomes region indices. */
static fab_status number(const uint16_t *values, int64_t voxels, int32_t *component,
                         fab_region **regions, int32_t *count, fab_error *err)
{
    int32_t n = 0;
    for (int64_t i = 0; i < voxels; i++) n += values[i] != 0 && component[i] == i;
    fab_region *list = fab_calloc((size_t)n, sizeof *list);
    if (!list) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %d components", n);
    n = 0;
    for (int64_t i = 0; i < voxels; i++) {
        if (values[i] == 0) {
            component[i] = -1;
            continue;
        }
        /* Parents come earlier in memory, so theirs is already a region's index. */
        const int32_t index = component[i] == i ? n++ : component[component[i]];
        component[i] = index;
        list[index].value = values[i];
        list[index].voxels++;
    }
    *regions = list;
    *count = n;
    return FAB_OK;
}

fab_status fab_regions_find(const uint16_t *values, const int size[3], int32_t *component,
                            fab_region **regions, int32_t *count, fab_error *err)
{
    const int64_t voxels = (int64_t)size[0] * size[1] * size[2];
    if (voxels > INT32_MAX)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%lld network voxels, at most %d", (long long)voxels,
                 INT32_MAX);
    for (int64_t i = 0; i < voxels; i++) component[i] = (int32_t)i;
    for (int z = 0; z < size[0]; z++)
        for (int y = 0; y < size[1]; y++)
            for (int x = 0; x < size[2]; x++)
                if (values[((int64_t)z * size[1] + y) * size[2] + x] != 0)
                    join_earlier(values, size, component, z, y, x);
    for (int64_t i = 0; i < voxels; i++) component[i] = root_of(component, (int32_t)i);
    return number(values, voxels, component, regions, count, err);
}
