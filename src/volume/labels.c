/* labels.c - per-label counts, centroids and boxes in one pass. */
#include <string.h>

#include "volume_internal.h"

/* Voxels begin..end - 1 of row (j, k). The sums are of whole numbers below 2^53: exact. */
static void add_run(fab_label_stats *s, int32_t begin, int32_t end, int32_t j, int32_t k)
{
    const int32_t low[3] = {begin, j, k}, high[3] = {end - 1, j, k};
    const double count = end - begin;
    if (s->voxels == 0) {
        memcpy(s->low, low, sizeof s->low);
        memcpy(s->high, high, sizeof s->high);
    }
    s->voxels += end - begin;
    s->centroid_voxel[0] += 0.5 * (low[0] + high[0]) * count;
    s->centroid_voxel[1] += j * count;
    s->centroid_voxel[2] += k * count;
    for (int a = 0; a < 3; a++) {
        if (low[a] < s->low[a]) s->low[a] = low[a];
        if (high[a] > s->high[a]) s->high[a] = high[a];
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
            for (int32_t i = 0, end; i < size[0]; i = end) {
                int value = fab_volume_label_(labels, index + i);
                if ((size_t)value >= count)
                    FAB_FAIL(err, FAB_ERR_LIMIT, "label value %d at voxel (%d, %d, %d), below %zu "
                                                 "expected", value, i, j, k, count);
                for (end = i + 1; end < size[0]; end++)
                    if (fab_volume_label_(labels, index + end) != value) break;
                add_run(&stats[value], i, end, j, k);
            }
            index += size[0];
        }
    }
    for (size_t v = 0; v < count; v++) finish(&stats[v], size);
    return FAB_OK;
}
