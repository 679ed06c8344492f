/* segmentation.c - choosing a model and running it, or taking a given label map instead. */
#include "pipeline_internal.h"

#include <stdio.h>
#include <string.h>

static fab_status check_modality(const fab_model *m, const fab_study *study, fab_error *err)
{
    const char *wants = fab_json_text(fab_json_find(fab_model_card(m), "modality"));
    if (!wants || !study->modality[0] || strcmp(wants, study->modality) == 0) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "model %s is for %s; %s is %s", fab_model_name(m), wants,
             study->name, study->modality);
}

fab_status fab_model_choose(const char *const *folders, const char *name, const fab_study *study,
                            fab_model **out, fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_model_free) fab_model *m = NULL;
    FAB_TRY(fab_models_find(folders, name, study->modality, folder, sizeof folder, err));
    FAB_TRY(fab_model_load(folder, &m, err));
    FAB_TRY(check_modality(m, study, err));
    *out = m;
    m = NULL;
    return FAB_OK;
}

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
    fab_segment_options so = {t->o->step, t->o->max_memory_bytes, &t->job.progress};
    FAB_TRY(fab_segment(t->model, t->study->volume, &so, &t->found, err));
    for (size_t i = 0; i < t->found.finding_count; i++)
        if (t->found.findings[i].value == 0)
            fab_job_note(t->o->watch, "%s", t->found.findings[i].text);
    return FAB_OK;
}
