/* classes_cli PACKAGE IMAGE.nii.gz PREFIX [STEP]: what a network says before any post-processing:
 * PREFIX_hu, _classes, _probability .nii.gz on its own grid. For looking at trainings. */
#include <stdio.h>
#include <stdlib.h>

#include "fabrica/nifti.h"
#include "fabrica/segment.h"

static fab_status run(char **argv, double step, fab_error *err)
{
    FAB_AUTO(fab_model_free) fab_model *m = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *image = NULL;
    __attribute__((cleanup(fab_segment_view_free))) fab_segment_view v = {0};
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_model_load(argv[1], FAB_PRECISION_AUTO, &m, err));
    FAB_TRY(fab_nifti_read(argv[2], &image, NULL, 0, err));
    FAB_TRY(fab_segment_classes(m, image, &(fab_segment_options){.step = step}, &v, err));
    const fab_volume *const volumes[3] = {v.hu, v.classes, v.probability};
    static const char *const names[3] = {"hu", "classes", "probability"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s_%s.nii.gz", argv[3], names[i]);
        FAB_TRY(fab_nifti_write(volumes[i], path, NULL, err));
    }
    return FAB_OK;
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    if (argc >= 4 && run(argv, argc > 4 ? strtod(argv[4], NULL) : 0, &err) == FAB_OK) return 0;
    fprintf(stderr, "classes_cli: %s\n", argc >= 4 ? err.message : "wrong arguments");
    return 1;
}
