/* Every allocation of a scan, a load, a series and a SEG fails once: a status, no leak, no half
 * file. The decoder's own memory is its own business; DCMTK's `new` does not pass fab_malloc.
 */
#include <dirent.h>

#include "unit/dicom/series_build.h"

static char folder[FAB_MAX_PATH_BYTES];

static fab_volume *small_volume(void)
{
    static const double axes[3][3] = {{1, 0, 0}, {0, 0.9396926207859084, -0.3420201433256687},
                                      {0, 0, 1}};
    static const double spacing[3] = {4, 4, 5};
    static const int32_t size[3] = {12, 14, 4};
    fab_grid g = test_grid(axes, spacing, size, test_centre);
    return test_volume(&g);
}

static fab_status read_series(void *ctx)
{
    fab_error err = {0};
    size_t index = 0;
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    FAB_AUTO(fab_series_free) fab_series *s = NULL;
    FAB_TRY(fab_dicom_scan_path(ctx, NULL, &scan, &err));
    fab_status status = fab_dicom_scan_pick(scan, &index, &err);
    if (status == FAB_ERR_GEOMETRY || status == FAB_ERR_NOTFOUND) return FAB_ERR_NOMEM;
    FAB_TRY(status);
    return fab_dicom_load(scan, index, NULL, &s, &err);
}

static fab_status write_seg(void *ctx)
{
    const fab_series *s = ctx;
    fab_error err = {0};
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
    fab_label_set set = {0};
    fab_seg_write how = {.algorithm_name = "torture", .uid_seed = "torture"};
    FAB_TRY(fab_volume_create(fab_volume_grid(s->volume), FAB_U8, &labels, &err));
    uint8_t *v = fab_volume_data_mut(labels);
    for (size_t i = 0; i < fab_volume_bytes(labels); i++) v[i] = (uint8_t)(i / 7 % 3);
    FAB_TRY(fab_path_join(path, sizeof path, folder, "seg.dcm", &err));
    fab_status status = fab_label_set_add(&set, 1, "liver", &err);
    if (status == FAB_OK) status = fab_label_set_add(&set, 2, "spleen", &err);
    if (status == FAB_OK) status = fab_dicom_write_seg(s, labels, &set, &how, path, &err);
    fab_label_set_free(&set);
    return status;
}

static fab_status write_series(void *ctx)
{
    fab_error err = {0};
    char path[FAB_MAX_PATH_BYTES];
    fab_series_write how = test_how("torture");
    FAB_TRY(fab_path_join(path, sizeof path, folder, "out", &err));
    return fab_dicom_write_series(ctx, &how, path, &err);
}

/* No "IMG00001.dcm.tmp-XXXXXX" may be left. */
static void check_no_leftovers(void)
{
    char path[FAB_MAX_PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s/out", folder);
    DIR *d = opendir(path);
    CHECK(d != NULL);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) CHECK(!strstr(e->d_name, ".tmp-"));
    closedir(d);
}

static void all(void)
{
    fab_error err = {0};
    fab_threads_set(1);
    FAB_AUTO(fab_volume_unref) fab_volume *v = small_volume();
    fab_series_write how = test_how("torture");
    char ct[FAB_MAX_PATH_BYTES + 8];
    CHECK(fab_test_folder(folder));
    snprintf(ct, sizeof ct, "%s/ct", folder);
    CHECK_OK(fab_dicom_write_series(v, &how, ct, &err));
    fab_test_torture(read_series, ct);
    FAB_AUTO(fab_series_free) fab_series *s = test_load(ct);
    CHECK(s->resampled);
    fab_test_torture(write_seg, s);
    fab_test_torture(write_series, v);
    check_no_leftovers();
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    return FAB_RUN(TEST(all));
}
