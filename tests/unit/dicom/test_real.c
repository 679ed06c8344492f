/* The real series under shared/data: what is in them, repaired, corrected or refused. */
#include "fabrica/dicom.h"
#include "harness.h"

static void show(const fab_dicom_scan *scan)
{
    for (size_t i = 0; i < fab_dicom_scan_series_count(scan); i++) {
        const fab_series_info *s = fab_dicom_scan_series(scan, i);
        printf("  %s %s %d files %d x %d x %d, %.4f %.4f %.4f mm %s, %s: %s; repairs: %s\n",
               s->modality, s->series_description, s->files, s->columns, s->rows, s->frames,
               s->spacing_mm[0], s->spacing_mm[1], s->spacing_mm[2], s->orientation,
               fab_geometry_verdict_name(s->verdict), s->verdict_text, s->repairs);
    }
    for (size_t i = 0; i < fab_dicom_scan_rejected_count(scan); i++) {
        const char *path, *reason;
        fab_dicom_scan_rejected(scan, i, &path, &reason);
        printf("  rejected %s: %s\n", path, reason);
    }
    if (fab_dicom_scan_note(scan)[0]) printf("  note: %s\n", fab_dicom_scan_note(scan));
}

static void any(const char *folder)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    if (!fab_test_data(folder, path)) SKIP("shared data absent");
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    double t = fab_time_wall_s(), cpu = fab_time_cpu_s();
    CHECK_OK(fab_dicom_scan_path(path, NULL, &scan, &err));
    printf("  scan %.3f s wall\n", fab_time_wall_s() - t);
    show(scan);
    size_t index = 0;
    fab_status s = fab_dicom_scan_pick(scan, &index, &err);
    if (s != FAB_OK) {
        printf("  pick: %s\n", err.message);
        return;
    }
    FAB_AUTO(fab_series_free) fab_series *series = NULL;
    t = fab_time_wall_s();
    CHECK_OK(fab_dicom_load(scan, index, NULL, &series, &err));
    printf("  load %.3f s wall, %.3f s CPU here; %s\n", fab_time_wall_s() - t,
           fab_time_cpu_s() - cpu, series->input_sha256);
    double low, high;
    fab_volume_minmax(series->volume, &low, &high);
    printf("  %s %g .. %g\n", fab_dtype_name(fab_volume_dtype(series->volume)), low, high);
}

static void toshiba(void) { any("ct_series/tcga_ov_toshiba"); }
static void siemens(void) { any("ct_series/siemens_j2k_20_empty_uids"); }
static void tilt(void) { any("ct_series/ge_tilt_head_28"); }
static void fixtures(void) { any("dicom_fixtures"); }

int main(void)
{
    return fab_test_run((fab_test[]){TEST(toshiba), TEST(siemens), TEST(tilt), TEST(fixtures)}, 4);
}
