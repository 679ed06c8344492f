/* evaluate_cli REF PRED TOLERANCE: fab_evaluate of label 1 in two NIfTI files, for evaluate.py. */
#include <stdio.h>
#include <stdlib.h>

#include "fabrica/evaluate.h"
#include "fabrica/nifti.h"

int main(int argc, char **argv)
{
    static const int one[] = {1};
    fab_error err = {0};
    fab_volume *v[2] = {NULL, NULL};
    fab_agreement r;
    if (argc != 4) return 2;
    fab_status status = fab_nifti_read(argv[1], &v[0], NULL, 0, &err);
    if (status == FAB_OK) status = fab_nifti_read(argv[2], &v[1], NULL, 0, &err);
    if (status == FAB_OK)
        status = fab_evaluate(v[0], one, 1, v[1], one, 1, atof(argv[3]), &r, &err);
    fab_volume_unref(v[0]);
    fab_volume_unref(v[1]);
    if (status < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("{\"dice\": %.17g, \"hd95\": %.17g, \"assd\": %.17g, \"nsd\": %.17g}\n", r.dice,
           r.hd95_mm, r.assd_mm, r.nsd);
    return 0;
}
