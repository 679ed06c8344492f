/* The real series under shared/data: what is in them, repaired, corrected or refused. */
#include <dirent.h>
#include <unistd.h>

#include "fabrica/dicom.h"
#include "harness.h"

/* Scans a folder of the shared data, shows its series and loads the picked one. */
static fab_series *load(const char *folder, fab_dicom_scan **scan)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    size_t index = 0;
    fab_series *series = NULL;
    if (!fab_test_data(folder, path)) SKIP("shared data absent");
    double start = fab_time_wall_s();
    CHECK_OK(fab_dicom_scan_path(path, NULL, scan, &err));
    double scanned = fab_time_wall_s();
    CHECK_OK(fab_dicom_scan_pick(*scan, &index, &err));
    CHECK_OK(fab_dicom_load(*scan, index, NULL, &series, &err));
    printf("  %s: scan %.2f s, load %.2f s (wall)\n  %s\n  %s\n", folder, scanned - start,
           fab_time_wall_s() - scanned, series->info.verdict_text, series->info.repairs);
    return series;
}

static void expect_size(const fab_series *s, int32_t i, int32_t j, int32_t k)
{
    const int32_t *size = fab_volume_grid(s->volume)->size;
    CHECK(size[0] == i && size[1] == j && size[2] == k);
}

static void toshiba(void)
{
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    FAB_AUTO(fab_series_free) fab_series *s = load("ct_series/tcga_ov_toshiba", &scan);
    double low, high;
    CHECK(s->info.verdict == FAB_GEOMETRY_OK && !s->resampled && s->info.repairs[0] == 0);
    expect_size(s, 512, 512, 160);
    CHECK_NEAR(s->info.spacing_mm[0], 1.03, 1e-3);
    CHECK_NEAR(s->info.spacing_mm[2], 3.0, 1e-6);
    CHECK(strcmp(s->info.orientation, "LPS") == 0 && strcmp(s->info.modality, "CT") == 0);
    CHECK(fab_volume_dtype(s->volume) == FAB_I16);
    fab_volume_minmax(s->volume, &low, &high);
    CHECK(low == -2048 && high == 3968);
    CHECK(s->slice_count == 160 && s->slice_position[0][2] < s->slice_position[159][2]);
}

static void siemens(void)
{
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL, *again = NULL;
    FAB_AUTO(fab_series_free) fab_series *s = load("ct_series/siemens_j2k_20_empty_uids", &scan);
    FAB_AUTO(fab_series_free) fab_series *t = load("ct_series/siemens_j2k_20_empty_uids", &again);
    CHECK(s->info.verdict == FAB_GEOMETRY_OK);
    expect_size(s, 512, 512, 20);
    CHECK(strstr(s->info.repairs, "20 empty SOP Instance UIDs derived by hash"));
    CHECK(strstr(s->info.repairs, "empty Series Instance UID derived by hash"));
    CHECK(strstr(s->info.repairs, "empty Study Instance UID derived by hash"));
    CHECK(strncmp(s->info.series_uid, "2.25.", 5) == 0);
    CHECK(strcmp(s->info.series_uid, t->info.series_uid) == 0);
    for (size_t i = 0; i < s->slice_count; i++) {
        CHECK(strcmp(s->sop_instance_uid[i], t->sop_instance_uid[i]) == 0);
        CHECK(i == 0 || strcmp(s->sop_instance_uid[i], s->sop_instance_uid[i - 1]) != 0);
    }
}

/* The corrected values are checked by tests/interop/dicom/check_tilt.py. */
static void tilt(void)
{
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    FAB_AUTO(fab_series_free) fab_series *s = load("ct_series/ge_tilt_head_28", &scan);
    CHECK(s->info.verdict == FAB_GEOMETRY_CORRECTED_TILT && s->resampled);
    CHECK(strstr(s->info.verdict_text, "gantry tilt of 18.500 degrees"));
    expect_size(s, 512, 611, 37);
}

static void fixtures(void)
{
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    FAB_AUTO(fab_series_free) fab_series *s = load("dicom_fixtures", &scan);
    const char *path, *reason;
    expect_size(s, 256, 128, 4); /* the one enhanced MR with a place for every frame */
    CHECK(s->frame_number[0] > 0 && s->slice_count == 4);
    for (size_t i = 0; i < fab_dicom_scan_rejected_count(scan); i++) {
        fab_dicom_scan_rejected(scan, i, &path, &reason);
        CHECK(reason[0] && !strstr(reason, "the decoder died"));
    }
}

/* A real series with one slice taken away is refused. */
static void one_removed(void)
{
    char data[FAB_MAX_PATH_BYTES], folder[FAB_MAX_PATH_BYTES], from[FAB_MAX_PATH_BYTES + 300];
    char to[FAB_MAX_PATH_BYTES + 300];
    fab_error err = {0};
    size_t index = 0;
    if (!fab_test_data("ct_series/tcga_ov_toshiba", data)) SKIP("shared data absent");
    CHECK(fab_test_folder(folder));
    DIR *d = opendir(data);
    CHECK(d != NULL);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, "080.dcm") == 0) continue;
        snprintf(from, sizeof from, "%s%s/%s", data[0] == '/' ? "" : "./", data, e->d_name);
        snprintf(to, sizeof to, "%s/%s", folder, e->d_name);
        CHECK(symlink(from, to) == 0);
    }
    closedir(d);
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    CHECK_OK(fab_dicom_scan_path(folder, NULL, &scan, &err));
    CHECK_FAILS(FAB_ERR_GEOMETRY, "missing-slice: 1 slice is missing between",
                fab_dicom_scan_pick(scan, &index, &err));
    CHECK(strstr(err.message, "079.dcm") && strstr(err.message, "081.dcm"));
    printf("  %s\n", err.message);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    return FAB_RUN(TEST(toshiba), TEST(siemens), TEST(tilt), TEST(fixtures), TEST(one_removed));
}
