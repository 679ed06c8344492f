/* segmentation.c - choosing a model and running it, or taking a given label map instead. */
#include "pipeline_internal.h"

#include <stdio.h>
#include <string.h>

/* NIfTI and NRRD do not say what made them. No CT is without a voxel below 0 HU (fat, air): that is
 * a label map, an MR, or a CT stored with an offset, and a network for CT would find nonsense. */
static fab_status check_hounsfield(const fab_model *m, const fab_study *study, fab_error *err)
{
    double low = 0, high = 0;
    fab_volume_minmax(study->volume, &low, &high);
    if (low < 0) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
             "model %s is for CT, and %s has values from %g to %g: not Hounsfield units (is it a "
             "label map, an MR, or stored with an offset?)", fab_model_name(m), study->name, low,
             high);
}

static fab_status check_modality(const fab_model *m, const fab_study *study, fab_error *err)
{
    const char *wants = fab_json_text(fab_json_find(fab_model_card(m), "modality"));
    if (wants && !study->modality[0] && strcmp(wants, "CT") == 0)
        return check_hounsfield(m, study, err);
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

/* ---- the rest of the body --------------------------------------------------------------- */

static void clear_value(fab_volume *v, int value)
{
    int64_t n = v ? fab_grid_voxels(fab_volume_grid(v)) : 0;
    void *data = v ? fab_volume_data_mut(v) : NULL;
    if (!data) return;
    if (fab_volume_dtype(v) == FAB_U8) {
        uint8_t *at = data;
        for (int64_t i = 0; i < n; i++) at[i] = at[i] == value ? 0 : at[i];
    } else {
        uint16_t *at = data;
        for (int64_t i = 0; i < n; i++) at[i] = at[i] == value ? 0 : at[i];
    }
}

static void remove_row(fab_segment_result *r, size_t row)
{
    clear_value(r->labels, r->set.items[row].value);
    clear_value(r->fine_labels, r->set.items[row].value);
    for (size_t i = row + 1; i < r->set.count; i++) {
        r->set.items[i - 1] = r->set.items[i];
        if (r->confidence) r->confidence[i - 1] = r->confidence[i];
    }
    r->set.count--;
}

/* A class whose "members" are an empty list is no structure but all that is left of the body: it
 * helps the network to tell tissue from air and has no place in a label map. */
void fab_drop_rest(const fab_model *m, fab_segment_result *r)
{
    const fab_json *labels = fab_json_find(fab_model_card(m), "labels");
    for (size_t i = 0; i < fab_json_count(labels); i++) {
        const fab_json *label = fab_json_at(labels, i), *members = fab_json_find(label, "members");
        const char *name = fab_json_text(fab_json_find(label, "name"));
        if (!name || !fab_json_is_array(members) || fab_json_count(members)) continue;
        for (size_t row = r->set.count; row-- > 0;)
            if (strcmp(r->set.items[row].name, name) == 0) remove_row(r, row);
    }
}

fab_status fab_twin_segment(fab_twin *t, fab_error *err)
{
    if (t->o->labels) return take_labels(t, err);
    fab_segment_options so = {t->o->step, t->o->max_memory_bytes, &t->job.progress};
    FAB_TRY(fab_segment(t->model, t->study->volume, &so, &t->found, err));
    fab_drop_rest(t->model, &t->found);
    for (size_t i = 0; i < t->found.finding_count; i++)
        if (t->found.findings[i].value == 0)
            fab_job_note(t->o->watch, "%s", t->found.findings[i].text);
    return FAB_OK;
}
