/* measuring.c - measurements of a twin's labels, and the job that makes them of a case or a label
 * map alone. */
#include "pipeline_internal.h"

#include <string.h>
#include <sys/stat.h>

#include "fabrica/measure.h"
#include "fabrica/nifti.h"

/* {"spine": {...}}, or without "spine" if no label is a named vertebra. */
static fab_status measure(const fab_volume *labels, const fab_label_set *set,
                          const fab_volume *image, const fab_progress *progress, fab_json *into,
                          fab_error *err)
{
    FAB_AUTO_FREE fab_spine_measures *s = fab_calloc(1, sizeof *s);
    fab_json *json = NULL;
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for measurements");
    FAB_TRY(fab_measure_spine(labels, set, image, progress, s, err));
    if (!s->count) return FAB_OK;
    FAB_TRY(fab_measure_spine_json(s, &json, err));
    return fab_json_set(into, "spine", json, err);
}

fab_status fab_twin_measure(fab_twin *t, fab_error *err)
{
    const fab_volume *hu = strcmp(t->study->modality, "CT") ? NULL : t->study->volume;
    t->measurements = fab_json_object();
    if (!t->measurements) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for measurements");
    return measure(t->found.labels, &t->found.set, hu, &t->job.progress, t->measurements, err);
}

/* ---- the job ------------------------------------------------------------------------------ */

typedef struct measuring {
    fab_job job;
    fab_case opened;
    fab_volume *labels, *image;
    fab_label_set set;
} measuring;

static fab_status open_case(measuring *w, const char *folder, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    bool has_table = false;
    FAB_TRY(fab_case_open(folder, &w->opened, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "labels.nii.gz", err));
    FAB_TRY(fab_labels_load(path, NULL, &w->labels, &w->set, &has_table, err));
    const fab_json *in = fab_json_find(w->opened.manifest, "input");
    if (strcmp(fab_text_of(in, "modality"), "CT") != 0) return FAB_OK; /* no HU in an MR */
    FAB_TRY(fab_path_join(path, sizeof path, folder, "volume.nii.gz", err));
    return fab_nifti_read(path, &w->image, NULL, 0, err);
}

static fab_status open_image(measuring *w, const char *path, fab_error *err)
{
    fab_study *study = NULL;
    FAB_TRY(fab_study_read(path, NULL, &w->job, &study, err));
    if (!strcmp(study->modality, "MR")) {
        fab_study_free(study);
        FAB_FAIL(err, FAB_ERR_ARG, "%s is an MR: its values are not Hounsfield units", path);
    }
    w->image = fab_volume_ref(study->volume);
    fab_study_free(study);
    return FAB_OK;
}

static fab_status open_input(const fab_measure_job *o, measuring *w, fab_error *err)
{
    struct stat st;
    bool has_table = false;
    if (stat(o->input, &st) != 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s does not exist", o->input);
    if (S_ISDIR(st.st_mode)) FAB_TRY(open_case(w, o->input, err));
    else FAB_TRY(fab_labels_load(o->input, o->table, &w->labels, &w->set, &has_table, err));
    return o->image ? open_image(w, o->image, err) : FAB_OK;
}

static fab_status run(const fab_measure_job *o, measuring *w, fab_json *out, fab_error *err)
{
    FAB_TRY(fab_job_enter(&w->job, 0, err));
    FAB_TRY(open_input(o, w, err));
    FAB_TRY(fab_job_enter(&w->job, 1, err));
    FAB_TRY(measure(w->labels, &w->set, w->image, &w->job.progress, out, err));
    if (!fab_json_find(out, "spine"))
        FAB_FAIL(err, FAB_ERR_ARG, "%s: no label is a vertebra with a name (vertebrae_L1, ...); "
                 "--labels gives a table of names", o->input);
    fab_job_finish(&w->job);
    return FAB_OK;
}

fab_status fab_job_measure(const fab_measure_job *o, fab_json **out, fab_error *err)
{
    static const fab_step_def steps[] = {{"read", "Reading the labels", 1},
                                         {"measure", "Measuring the spine", 2}};
    FAB_AUTO(fab_json_free) fab_json *json = fab_json_object();
    if (!json) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for measurements");
    measuring w = {0};
    fab_job_start(&w.job, o->watch, steps, 2);
    fab_status status = run(o, &w, json, err);
    fab_volume_unref(w.labels);
    fab_volume_unref(w.image);
    fab_label_set_free(&w.set);
    fab_case_close(&w.opened);
    FAB_TRY(status);
    if (o->output) FAB_TRY(fab_json_save_file(json, o->output, err));
    *out = json;
    json = NULL;
    return FAB_OK;
}
