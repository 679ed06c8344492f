/* segmentation.c - running a network, or taking a given label map instead. */
#include "network.h"

#include <stdio.h>
#include <string.h>

/* A label map made elsewhere must lie on the series' own grid: shifting it is not ours to guess. */
static fab_status take_labels(fab_twin *t, fab_error *err)
{
    bool has_table = false;
    FAB_TRY(fab_labels_load(t->o->labels, NULL, &t->found.labels, &t->found.set, &has_table, err));
    FAB_TRY(fab_sha256_file(t->o->labels, t->labels_sha256, err));
    const fab_grid *l = fab_volume_grid(t->found.labels), *v = fab_volume_grid(t->study->volume);
    if (!fab_grid_equal(l, v, 0.01))
        FAB_FAIL(err, FAB_ERR_GEOMETRY,
                 "%s is not on the grid of %s (%d x %d x %d and %d x %d x %d voxels%s)",
                 t->o->labels, t->study->name, l->size[0], l->size[1], l->size[2], v->size[0],
                 v->size[1], v->size[2],
                 memcmp(l->size, v->size, sizeof l->size) ? "" : ", elsewhere in the patient");
    if (!has_table)
        fab_job_note(t->o->watch, "%s has no label table beside it: structures are called label_N",
                     t->o->labels);
    return FAB_OK;
}

fab_status fab_twin_segment(fab_twin *t, fab_error *err)
{
    if (t->o->labels) return take_labels(t, err);
    const fab_network_run how = {t->o->step, t->o->max_memory_bytes, t->o->quality,
                                 t->o->structures, t->o->no_postprocessing, true,
                                 t->o->precision, &t->detail,
                                 &t->job.progress, t->o->watch};
    FAB_TRY(fab_network_segment(t->network, t->channels->image, &how, &t->found, err));
    for (size_t i = 0; i < t->found.finding_count; i++)
        if (t->found.findings[i].value == 0)
            fab_job_note(t->o->watch, "%s", t->found.findings[i].text);
    if (t->detail.note[0]) fab_job_note(t->o->watch, "%s", t->detail.note);
    return FAB_OK;
}
