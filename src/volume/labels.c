/* labels.c - per-label counts, centroids and boxes in one pass. */
#include <string.h>

#include "volume_internal.h"

static void add_voxel(fab_label_stats *s, const int32_t at[3])
{
    if (s->voxels++ == 0) {
        memcpy(s->low, at, sizeof s->low);
        memcpy(s->high, at, sizeof s->high);
    }
    for (int a = 0; a < 3; a++) {
        s->centroid_voxel[a] += at[a];
        if (at[a] < s->low[a]) s->low[a] = at[a];
        if (at[a] > s->high[a]) s->high[a] = at[a];
    }
}

static void finish(fab_label_stats *s, const int32_t size[3])
{
    if (!s->voxels) return;
    for (int a = 0; a < 3; a++) {
        s->centroid_voxel[a] /= (double)s->voxels;
        s->touches_edge[2 * a] = s->low[a] == 0;
        s->touches_edge[2 * a + 1] = s->high[a] == size[a] - 1;
    }
}

fab_status fab_labels_stats(const fab_volume *labels, size_t count, fab_label_stats *stats,
                            fab_error *err)
{
    FAB_TRY(fab_volume_need_labels_(labels, err));
    const int32_t *size = labels->grid.size;
    memset(stats, 0, count * sizeof *stats);
    int64_t index = 0;
    for (int32_t k = 0; k < size[2]; k++) {
        for (int32_t j = 0; j < size[1]; j++) {
            for (int32_t i = 0; i < size[0]; i++, index++) {
                int value = fab_volume_label_(labels, index);
                if ((size_t)value >= count)
                    FAB_FAIL(err, FAB_ERR_LIMIT, "label value %d at voxel (%d, %d, %d), below %zu "
                                                 "expected", value, i, j, k, count);
                int32_t at[3] = {i, j, k};
                add_voxel(&stats[value], at);
            }
        }
    }
    for (size_t v = 0; v < count; v++) finish(&stats[v], size);
    return FAB_OK;
}
