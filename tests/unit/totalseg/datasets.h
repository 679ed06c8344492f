/* datasets.h - data sets of small networks (tests/golden) under other names, and images stored
 * along other axes: for the tests of this folder. */
#ifndef FAB_TEST_TOTALSEG_DATASETS_H
#define FAB_TEST_TOTALSEG_DATASETS_H

#include <sys/stat.h>

#include "fabrica/volume.h"
#include "harness.h"

#define RESULT "nnUNetTrainer__nnUNetPlans__3d_fullres"

static fab_error err;

static void copy_file(const char *from, const char *to, const char *replace, const char *by)
{
    fab_reader r;
    FAB_AUTO_BUF fab_buf out = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    CHECK_OK(fab_reader_open_file(from, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, (size_t)1 << 24, &bytes, &size, &err));
    fab_reader_close(&r);
    const char *at = replace ? strstr((const char *)bytes, replace) : NULL;
    CHECK(!replace || at);
    const size_t before = at ? (size_t)(at - (const char *)bytes) : size;
    CHECK_OK(fab_buf_append(&out, bytes, before, &err));
    if (at) {
        CHECK_OK(fab_buf_append(&out, by, strlen(by), &err));
        const size_t from_here = before + strlen(replace);
        CHECK_OK(fab_buf_append(&out, bytes + from_here, size - from_here, &err));
    }
    CHECK_OK(fab_file_write_atomic(to, out.data, out.size, &err));
    fab_free(bytes);
}

/* A data set again under another name, with one name or spacing changed. */
static void copy_from(const char *source, const char *dataset, const char *folder,
                      const char *name, const char *file, const char *replace, const char *by)
{
    static const char *const files[] = {"plans.json", "dataset.json",
                                        "fold_0/checkpoint_final.pth"};
    char from[FAB_MAX_PATH_BYTES + 200], to[FAB_MAX_PATH_BYTES + 200];
    static const char *const folders[] = {"", "/" RESULT, "/" RESULT "/fold_0"};
    for (int i = 0; i < 3; i++) {
        snprintf(to, sizeof to, "%s/%s%s", folder, name, folders[i]);
        CHECK(mkdir(to, 0700) == 0);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(from, sizeof from, "%s/%s/" RESULT "/%s", source, dataset, files[i]);
        snprintf(to, sizeof to, "%s/%s/" RESULT "/%s", folder, name, files[i]);
        copy_file(from, to, strcmp(file, files[i]) == 0 ? replace : NULL, by);
    }
}

/* The same voxels stored along other axes: new axis a is old axis order[a], turned if flip[a]. */
static fab_volume *stored_as(const fab_volume *v, const int order[3], const bool flip[3])
{
    const fab_grid *g = fab_volume_grid(v);
    fab_grid n = *g;
    fab_volume *out = NULL;
    for (int r = 0; r < 3; r++) {
        n.world_from_voxel.m[r][3] = g->world_from_voxel.m[r][3];
        for (int a = 0; a < 3; a++) {
            const double step = g->world_from_voxel.m[r][order[a]];
            n.world_from_voxel.m[r][a] = flip[a] ? -step : step;
            n.world_from_voxel.m[r][3] += flip[a] ? step * (g->size[order[a]] - 1) : 0;
        }
    }
    for (int a = 0; a < 3; a++) n.size[a] = g->size[order[a]];
    CHECK_OK(fab_volume_create(&n, FAB_I16, &out, &err));
    int16_t *to = fab_volume_data_mut(out);
    for (int k = 0; k < n.size[2]; k++)
        for (int j = 0; j < n.size[1]; j++)
            for (int i = 0; i < n.size[0]; i++) {
                const int at[3] = {i, j, k};
                int old[3];
                for (int a = 0; a < 3; a++)
                    old[order[a]] = flip[a] ? n.size[a] - 1 - at[a] : at[a];
                *to++ = (int16_t)fab_volume_get(v, old[0], old[1], old[2]);
            }
    return out;
}

#endif
