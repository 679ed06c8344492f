/* nifti_cli copy IN OUT   reads a NIfTI file and writes it again
 * nifti_cli show IN RAW   prints size, type and matrix (JSON), writes the voxels to RAW
 * for nifti.py. */
#include <stdio.h>
#include <string.h>

#include "fabrica/nifti.h"

static fab_status show(const fab_volume *v, const char *raw, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(v);
    printf("{\"size\": [%d, %d, %d], \"type\": %d, \"matrix\": [", g->size[0], g->size[1],
           g->size[2], (int)fab_volume_dtype(v));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            printf("%s%.17g", i + j ? ", " : "", g->world_from_voxel.m[i][j]);
    printf("]}\n");
    return fab_file_write_atomic(raw, fab_volume_data(v), fab_volume_bytes(v), err);
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    fab_volume *v = NULL;
    char notes[400];
    if (argc != 4) return 2;
    fab_status status = fab_nifti_read(argv[2], &v, notes, sizeof notes, &err);
    if (status == FAB_OK && !strcmp(argv[1], "copy"))
        status = fab_nifti_write(v, argv[3], "copy", &err);
    else if (status == FAB_OK) status = show(v, argv[3], &err);
    fab_volume_unref(v);
    if (status < 0) fprintf(stderr, "%s\n", err.message);
    return status < 0;
}
