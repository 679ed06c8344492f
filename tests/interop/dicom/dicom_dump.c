/* dicom_dump frames FILE OUT | dicom_dump series FOLDER OUT - what we read, for tools of others.
 * frames: OUT gets the stored values, int32; prints "columns rows count bits signed syntax".
 * series: OUT gets the voxels, float32; prints sizes, the 3x4 matrix, verdict and text.
 */
#include <stdio.h>
#include <string.h>

#include "fabrica/dicom.h"

static fab_status dump_frames(const char *path, const char *out, fab_error *err)
{
    FAB_AUTO(fab_frames_free) fab_frames *f = NULL;
    FAB_TRY(fab_dicom_read_frames(path, &f, err));
    printf("%d %d %d %d %d %s\n", f->columns, f->rows, f->count, f->bits_stored, f->is_signed,
           f->transfer_syntax);
    size_t n = (size_t)f->columns * (size_t)f->rows * (size_t)f->count;
    return fab_file_write_atomic(out, f->values, n * sizeof *f->values, err);
}

static fab_status dump_series(const char *folder, const char *out, fab_error *err)
{
    size_t index = 0;
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    FAB_AUTO(fab_series_free) fab_series *s = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_TRY(fab_dicom_scan_path(folder, NULL, &scan, err));
    FAB_TRY(fab_dicom_scan_pick(scan, &index, err));
    FAB_TRY(fab_dicom_load(scan, index, NULL, &s, err));
    FAB_TRY(fab_volume_convert(s->volume, FAB_F32, &v, err));
    const fab_grid *g = fab_volume_grid(v);
    printf("%d %d %d\n", g->size[0], g->size[1], g->size[2]);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++) printf("%.17g\n", g->world_from_voxel.m[r][c]);
    printf("%s\n%s\n", fab_geometry_verdict_name(s->info.verdict), s->info.verdict_text);
    return fab_file_write_atomic(out, fab_volume_data(v), fab_volume_bytes(v), err);
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    fab_status s = FAB_ERR_ARG;
    if (argc == 4 && strcmp(argv[1], "frames") == 0) s = dump_frames(argv[2], argv[3], &err);
    else if (argc == 4 && strcmp(argv[1], "series") == 0) s = dump_series(argv[2], argv[3], &err);
    if (s < 0) printf("error %s: %s\n", fab_status_name(s), err.message);
    return s < 0;
}
