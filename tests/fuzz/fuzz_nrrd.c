/* NRRD reader on any bytes. What it accepts must have geometry that passes the check. */
#include <stdlib.h>

#include "fabrica/nifti.h"
#include "fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fab_reader r;
    fab_error err;
    fab_volume *v = NULL;
    char notes[64];
    fab_reader_from_memory(data, size, "fuzz.nrrd", &r);
    fab_status status = fab_nrrd_read_from(&r, &v, notes, sizeof notes, &err);
    if ((status == FAB_OK) != (v != NULL)) abort();
    if (v && fab_grid_check(fab_volume_grid(v), &err) < 0) abort();
    fab_volume_unref(v);
    return 0;
}
