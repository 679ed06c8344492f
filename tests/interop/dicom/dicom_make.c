/* dicom_make FOLDER KIND - a small CT series, a label map on the loaded series' grid, and its SEG,
 * for tools of others to read (check_seg.py, check_seg.mjs). KIND: axial, oblique, coronal, feet,
 * tilted. Writes FOLDER/ct/, FOLDER/seg.dcm, FOLDER/labels.bin (uint16, x fastest) and
 * FOLDER/grid.txt (sizes, 3x4 matrix, resampled).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/dicom/series_build.h"

#define C20 0.9396926207859084
#define S20 0.3420201433256687

typedef struct kind {
    const char *name;
    double axes[3][3];
} kind;

static const kind kinds[] = {
    {"axial", {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
    {"feet", {{1, 0, 0}, {0, 1, 0}, {0, 0, -1}}},
    {"coronal", {{1, 0, 0}, {0, 0, -1}, {0, 1, 0}}},
    {"oblique", {{C20, S20, 0}, {-S20, C20, 0}, {0, 0, 1}}},
    {"tilted", {{1, 0, 0}, {0, C20, -S20}, {0, 0, 1}}},
};

/* Five structures, one of them with a free name, one in the set but absent. */
static fab_status make_labels(const fab_series *s, fab_volume **out, fab_label_set *set,
                              fab_error *err)
{
    const fab_grid *g = fab_volume_grid(s->volume);
    FAB_TRY(fab_label_set_add(set, 3, "kidney_left", err));
    FAB_TRY(fab_label_set_add(set, 5, "kidney_right", err));
    FAB_TRY(fab_label_set_add(set, 7, "vertebrae_L3", err));
    FAB_TRY(fab_label_set_add(set, 300, "liver", err));
    FAB_TRY(fab_label_set_add(set, 9, "spleen", err));
    FAB_TRY(fab_label_set_add(set, 11, "a free name, with commas", err));
    FAB_TRY(fab_volume_create(g, FAB_U16, out, err));
    uint16_t *v = fab_volume_data_mut(*out);
    static const uint16_t values[5] = {3, 5, 7, 300, 11};
    size_t at = 0;
    for (int32_t k = 0; k < g->size[2]; k++)
        for (int32_t j = 0; j < g->size[1]; j++)
            for (int32_t i = 0; i < g->size[0]; i++, at++) {
                int32_t box = (i / 7 + 2 * (j / 9) + 3 * (k / 4)) % 11;
                v[at] = box < 5 && i > 2 && k > 1 ? values[box] : 0;
            }
    return FAB_OK;
}

static fab_status write_text(const fab_series *s, const fab_volume *labels, const char *folder,
                             fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    const fab_grid *g = fab_volume_grid(labels);
    FAB_AUTO_BUF fab_buf text = {0};
    FAB_TRY(fab_buf_appendf(&text, err, "%d %d %d\n", g->size[0], g->size[1], g->size[2]));
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++)
            FAB_TRY(fab_buf_appendf(&text, err, "%.17g\n", g->world_from_voxel.m[r][c]));
    FAB_TRY(fab_buf_appendf(&text, err, "%d\n", s->resampled));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "grid.txt", err));
    FAB_TRY(fab_file_write_atomic(path, text.data, text.size, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "labels.bin", err));
    return fab_file_write_atomic(path, fab_volume_data(labels), fab_volume_bytes(labels), err);
}

static fab_status make(const char *folder, const kind *k, fab_error *err)
{
    static const double spacing[3] = {1.25, 0.9, 2.5};
    static const int32_t size[3] = {45, 51, 14}; /* odd: frames do not end at a byte */
    char ct[FAB_MAX_PATH_BYTES], seg[FAB_MAX_PATH_BYTES];
    size_t index = 0;
    fab_grid g = test_grid(k->axes, spacing, size, test_centre);
    FAB_AUTO(fab_volume_unref) fab_volume *v = test_volume(&g), *labels = NULL;
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    FAB_AUTO(fab_series_free) fab_series *series = NULL;
    fab_label_set set = {0};
    fab_series_write how = test_how(k->name);
    fab_seg_write seg_how = {.algorithm_name = "test boxes", .algorithm_version = "1.0",
                             .uid_seed = "seg-test", .series_description = "Boxes",
                             .algorithm_parameters = "sha256 0123"};
    FAB_TRY(fab_path_join(ct, sizeof ct, folder, "ct", err));
    FAB_TRY(fab_path_join(seg, sizeof seg, folder, "seg.dcm", err));
    FAB_TRY(fab_dicom_write_series(v, &how, ct, err));
    FAB_TRY(fab_dicom_scan_path(ct, NULL, &scan, err));
    FAB_TRY(fab_dicom_scan_pick(scan, &index, err));
    FAB_TRY(fab_dicom_load(scan, index, NULL, &series, err));
    fab_status s = make_labels(series, &labels, &set, err);
    if (s == FAB_OK) s = fab_dicom_write_seg(series, labels, &set, &seg_how, seg, err);
    if (s == FAB_OK) s = write_text(series, labels, folder, err);
    fab_label_set_free(&set);
    return s;
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    for (size_t i = 0; argc == 3 && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(argv[2], kinds[i].name) != 0) continue;
        if (make(argv[1], &kinds[i], &err) == FAB_OK) return 0;
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    fprintf(stderr, "usage: dicom_make FOLDER axial|feet|coronal|oblique|tilted\n");
    return 2;
}
