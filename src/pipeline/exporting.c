/* exporting.c - formats made again from a case, or from a bare label map. */
#include "pipeline_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fabrica/nifti.h"

enum { READ, MESH, WRITE, STEP_COUNT };

static const fab_step_def steps[] = {
    [READ] = {"read", "Reading", 20},
    [MESH] = {"mesh", "Building surfaces", 40},
    [WRITE] = {"export", "Exporting", 40},
};

typedef struct export_work {
    fab_job job;
    fab_case opened;
    fab_volume *labels;
    fab_label_set set;
    fab_mesh_set meshes, lods[FAB_TWIN_LODS];
    fab_mesh_report *reports;
    fab_study *source;
    fab_case_writer *writer;
} export_work;

static void work_free(export_work *w, const fab_job_watch *watch)
{
    fab_job_abort_folder(watch, w->writer);
    fab_study_free(w->source);
    fab_free(w->reports);
    for (int i = 0; i < FAB_TWIN_LODS; i++) fab_mesh_set_free(&w->lods[i]);
    fab_mesh_set_free(&w->meshes);
    fab_label_set_free(&w->set);
    fab_volume_unref(w->labels);
    fab_case_close(&w->opened);
}

static const fab_json *structure_of(const fab_case *c, int label)
{
    const fab_json *rows = fab_json_find(c->manifest, "structures");
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        const fab_json *value = fab_json_find(fab_json_at(rows, i), "value");
        if (fab_json_is_number(value) && (int)fab_json_number(value) == label)
            return fab_json_at(rows, i);
    }
    return NULL;
}

static fab_status normals(fab_mesh_set *set, fab_error *err)
{
    for (size_t i = 0; i < set->count; i++)
        FAB_TRY(fab_mesh_compute_normals(&set->items[i], err));
    return FAB_OK;
}

/* Meshes, levels and their measurements exactly as the case holds them. */
static fab_status open_case(export_work *w, const char *path, fab_error *err)
{
    char file[FAB_MAX_PATH_BYTES];
    bool has_table = false;
    FAB_TRY(fab_case_open(path, &w->opened, err));
    FAB_TRY(fab_path_join(file, sizeof file, path, "labels.nii.gz", err));
    FAB_TRY(fab_labels_load(file, NULL, &w->labels, &w->set, &has_table, err));
    FAB_TRY(fab_case_load_meshes(&w->opened, 0, &w->meshes, err));
    FAB_TRY(normals(&w->meshes, err));
    w->reports = fab_calloc(w->meshes.count + 1, sizeof *w->reports);
    if (!w->reports) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < w->meshes.count; i++) {
        const fab_json *row = structure_of(&w->opened, w->meshes.items[i].label);
        FAB_TRY(fab_mesh_report_from_json(fab_json_find(row, "mesh"), &w->reports[i], err));
    }
    for (int level = 0; level < FAB_TWIN_LODS; level++) {
        if (level + 1 >= fab_case_mesh_levels(&w->opened)) break;
        FAB_TRY(fab_case_load_meshes(&w->opened, level + 1, &w->lods[level], err));
        FAB_TRY(normals(&w->lods[level], err));
    }
    return FAB_OK;
}

static fab_status mesh_labels(export_work *w, const char *path, fab_error *err)
{
    bool has_table = false;
    FAB_TRY(fab_labels_load(path, NULL, &w->labels, &w->set, &has_table, err));
    FAB_TRY(fab_job_enter(&w->job, MESH, err));
    FAB_TRY(fab_meshes_build(w->labels, NULL, NULL, &w->job, &w->meshes, err));
    FAB_TRY(fab_meshes_detail(&w->meshes, fab_volume_grid(w->labels), NULL, &w->job, w->lods,
                              err));
    return fab_meshes_measure(&w->meshes, w->labels, &w->job, &w->reports, err);
}

static fab_status open_input(const fab_export_job *o, export_work *w, fab_error *err)
{
    struct stat st;
    if (stat(o->input, &st) != 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s does not exist", o->input);
    if (S_ISDIR(st.st_mode)) FAB_TRY(open_case(w, o->input, err));
    else FAB_TRY(mesh_labels(w, o->input, err));
    if (!o->source) return FAB_OK;
    FAB_TRY(fab_study_read(o->source, o->series, &w->job, &w->source, err));
    if (!w->source->series)
        FAB_FAIL(err, FAB_ERR_ARG, "%s is not DICOM: a segmentation object needs its series",
                 o->source);
    if (!fab_grid_equal(fab_volume_grid(w->labels), fab_volume_grid(w->source->volume), 0.01))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "the labels of %s are not on the grid of %s", o->input,
                 o->source);
    return FAB_OK;
}

static const char *model_text(const export_work *w, const char *key, const char *otherwise)
{
    const fab_json *s = w->opened.manifest ? fab_json_find(w->opened.manifest, "segmentation")
                                           : NULL;
    const char *text = fab_json_text(fab_json_find(fab_json_find(s, "model"), key));
    return text ? text : otherwise;
}

/* As the twin that the case holds: of the weights, or of the label map that was given. */
static const char *origin_sha256(const export_work *w)
{
    const fab_json *s = w->opened.manifest ? fab_json_find(w->opened.manifest, "segmentation")
                                           : NULL;
    const char *labels = fab_json_text(fab_json_find(s, "labels_sha256"));
    return model_text(w, "weights_sha256", labels ? labels : "");
}

static const char *input_text(const export_work *w, const char *key)
{
    const fab_json *in = w->opened.manifest ? fab_json_find(w->opened.manifest, "input") : NULL;
    return fab_json_text(fab_json_find(in, key));
}

static fab_status write_all(const fab_export_job *o, export_work *w, uint32_t mask,
                            fab_json *summary, fab_error *err)
{
    const fab_mesh_set *lods[FAB_TWIN_LODS];
    size_t lod_count = 0;
    fab_json *list = NULL;
    char path[FAB_MAX_PATH_BYTES];
    for (int i = 0; i < FAB_TWIN_LODS; i++)
        if (w->lods[i].count) lods[lod_count++] = &w->lods[i];
    fab_export_scene scene = {.meshes = &w->meshes, .reports = w->reports, .lods = lods,
                              .lod_count = lod_count, .set = &w->set,
                              .frame_of_reference_sha256 =
                                  input_text(w, "frame_of_reference_sha256"),
                              .source_sha256 = input_text(w, "sha256"),
                              .generator = FAB_GENERATOR};
    for (int i = 0; i < 3; i++) scene.world_from_patient.m[i][i] = 1;
    fab_output_set outputs = {.scene = &scene, .labels = w->labels, .set = &w->set,
                              .series = w->source ? w->source->series : NULL,
                              .algorithm_name = model_text(w, "name", NULL),
                              .algorithm_version = model_text(w, "version", NULL),
                              .origin_sha256 = origin_sha256(w),
                              .structures = w->opened.manifest
                                                ? fab_json_find(w->opened.manifest, "structures")
                                                : NULL};
    FAB_TRY(fab_job_enter(&w->job, WRITE, err));
    FAB_TRY(fab_put_text(summary, "output", o->output, err));
    FAB_TRY(fab_put_array(summary, "exports", &list, err));
    const char *folder = fab_case_folder(w->writer);
    FAB_TRY(fab_outputs_write(&outputs, mask, folder, "", &w->job, list, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "export.json", err));
    FAB_TRY(fab_json_save_file(list, path, err));
    return fab_job_commit_folder(o->watch, &w->writer, err);
}

static fab_status export_into(const fab_export_job *o, export_work *w, fab_json *summary,
                              fab_error *err)
{
    uint32_t mask = 0;
    FAB_TRY(fab_formats_parse(o->formats, &mask, err));
    if (o->formats && strstr(o->formats, "seg") && !o->source)
        FAB_FAIL(err, FAB_ERR_ARG, "seg refers to the images it was made from: give their DICOM "
                 "series with --source");
    FAB_TRY(fab_job_begin_folder(o->watch, o->output, "export.json", o->replace, &w->writer, err));
    FAB_TRY(fab_job_enter(&w->job, READ, err));
    FAB_TRY(open_input(o, w, err));
    return write_all(o, w, mask, summary, err);
}

fab_status fab_job_export(const fab_export_job *o, fab_json **summary, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *s = fab_json_object();
    export_work w = {0};
    fab_job_start(&w.job, o->watch, steps, STEP_COUNT);
    fab_status status = export_into(o, &w, s, err);
    if (status == FAB_OK) fab_job_finish(&w.job);
    work_free(&w, o->watch);
    FAB_TRY(status);
    *summary = s;
    s = NULL;
    return FAB_OK;
}
