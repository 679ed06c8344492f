/* single.c - the steps of a twin alone: a label map from a series, surfaces from a label map. */
#include "network.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabrica/nifti.h"

/* ---- segment ---------------------------------------------------------------------------- */

/* "liver.nii.gz" -> "liver.json"; other endings are refused before any work. */
static fab_status table_path(const char *output, char *into, size_t capacity, fab_error *err)
{
    static const char *const endings[] = {".nii.gz", ".nii"};
    size_t length = strlen(output);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t e = strlen(endings[i]);
        if (length <= e || strcmp(output + length - e, endings[i]) != 0) continue;
        snprintf(into, capacity, "%.*s.json", (int)(length - e), output);
        return FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_ARG, "%s: the label map is written as .nii.gz or .nii", output);
}

static fab_status check_output_file(const char *path, bool replace, fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    if (!replace && access(path, F_OK) == 0)
        FAB_FAIL(err, FAB_ERR_ARG, "%s exists already (--replace writes over it)", path);
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    if (access(folder, F_OK) != 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "the folder %s does not exist", folder);
    return FAB_OK;
}

static fab_status structure_rows(const fab_qa *qa, fab_json *summary, fab_error *err)
{
    fab_json *list = NULL;
    FAB_TRY(fab_put_array(summary, "structures", &list, err));
    for (size_t i = 0; i < qa->structure_count; i++) {
        const fab_qa_structure *s = &qa->structures[i];
        fab_json *row = NULL, *findings = NULL;
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_int(row, "value", s->label->value, err));
        FAB_TRY(fab_put_text(row, "name", s->label->name, err));
        FAB_TRY(fab_put_real(row, "volume_ml", s->volume_ml, 4, err));
        FAB_TRY(fab_put_real(row, "confidence", s->confidence, 4, err));
        FAB_TRY(fab_put_real(row, "expected_dice", s->expected, 4, err));
        FAB_TRY(fab_put_array(row, "findings", &findings, err));
        for (size_t f = 0; f < qa->finding_count; f++)
            if (qa->findings[f].value == s->label->value)
                FAB_TRY(fab_add_text(findings, qa->findings[f].text, err));
    }
    return FAB_OK;
}

static fab_status put_in_place(const char *from, const char *to, fab_error *err)
{
    if (rename(from, to) == 0) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_IO, "cannot rename the finished file to %s: %s", to, strerror(errno));
}

static fab_status write_into(const fab_volume *v, const fab_label_set *set, const char *output,
                             const char *folder, const char *table, fab_error *err)
{
    char map[FAB_MAX_PATH_BYTES], names[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *labels = NULL;
    FAB_TRY(fab_path_join(map, sizeof map, folder, fab_path_name(output), err));
    FAB_TRY(fab_path_join(names, sizeof names, folder, fab_path_name(table), err));
    FAB_TRY(fab_label_set_to_json(set, &labels, err));
    FAB_TRY(fab_nifti_write(v, map, FAB_GENERATOR " labels", err));
    FAB_TRY(fab_json_save_file(labels, names, err));
    FAB_TRY(put_in_place(map, output, err));
    fab_status status = put_in_place(names, table, err);
    if (status < 0) (void)fab_path_remove_tree(output, NULL); /* both or neither */
    return status;
}

/* Both files are written in a folder beside them that the watcher knows of, so that a run that is
 * stopped while it compresses leaves nothing. */
static fab_status write_labels(const fab_segment_job *o, const fab_volume *v,
                               const fab_label_set *set, const char *output, fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES], table[FAB_MAX_PATH_BYTES];
    FAB_TRY(table_path(output, table, sizeof table, err));
    int n = snprintf(folder, sizeof folder, "%s.tmp-XXXXXX", output);
    if (n < 0 || (size_t)n >= sizeof folder)
        FAB_FAIL(err, FAB_ERR_ARG, "the output path is too long");
    if (!mkdtemp(folder))
        FAB_FAIL(err, errno == ENOSPC ? FAB_ERR_NOSPACE : FAB_ERR_IO,
                 "cannot make a folder beside %s: %s", output, strerror(errno));
    fab_job_scratch(o->watch, folder, true);
    fab_status status = write_into(v, set, output, folder, table, err);
    (void)fab_path_remove_tree(folder, NULL);
    fab_job_scratch(o->watch, folder, false);
    return status;
}

enum { SEG_READ, SEG_RUN, SEG_CHECK, SEG_WRITE, SEG_COUNT };

static const fab_step_def segment_steps[] = {
    [SEG_READ] = {"read", "Reading the series", 8},
    [SEG_RUN] = {"segment", "Finding structures", 80},
    [SEG_CHECK] = {"check", "Checking plausibility", 5},
    [SEG_WRITE] = {"write", "Writing the label map", 5},
};

static fab_status run_network(const fab_segment_job *o, const fab_network *network,
                              const fab_study *study, fab_job *job, fab_segment_result *found,
                              fab_detail *detail, fab_json *summary, fab_error *err)
{
    fab_channels c = {0};
    fab_json *list = NULL;
    FAB_TRY(fab_channels_read(network, o->input, study, o->channels, job, &c, err));
    fab_status status = fab_job_enter(job, SEG_RUN, err);
    const fab_network_run how = {o->step, o->max_memory_bytes, o->quality, o->structures,
                                 o->no_postprocessing, false, o->precision,
                                 detail, &job->progress, o->watch};
    if (status == FAB_OK) status = fab_network_segment(network, c.image, &how, found, err);
    if (status == FAB_OK && c.count > 1) {
        status = fab_channels_json(&c, study->input_sha256, &list, err);
        if (status == FAB_OK) status = fab_json_set(summary, "channels", list, err);
    }
    fab_channels_free(&c);
    return status;
}

static fab_status put_review(const fab_segment_result *found, const fab_study *study,
                             const fab_network *network, const fab_scan *scan, fab_job *job,
                             fab_json *summary, fab_error *err)
{
    FAB_AUTO_FREE fab_structure *rows = NULL;
    size_t count = 0;
    fab_qa qa = {0};
    const fab_review_input review = {found, study, scan, network};
    fab_status status = fab_review_make(&review, job, &qa, &rows, &count, err);
    if (status == FAB_OK) status = structure_rows(&qa, summary, err);
    if (status == FAB_OK) status = fab_review_put(summary, &qa, scan, &found->set, err);
    fab_qa_free(&qa);
    return status;
}

/* The map of vertebrae's parts, if it is wanted and there is one. */
static fab_status write_parts(const fab_segment_job *o, const fab_network *network,
                              const fab_detail *detail, fab_json *summary, fab_error *err)
{
    const fab_json *card = fab_network_detail_card(network);
    if (card) {
        FAB_TRY(fab_put_text(summary, "detail_model", fab_text_of(card, "name"), err));
        FAB_TRY(fab_put_text(summary, "detail_note", detail->note, err));
    }
    if (!o->parts) return FAB_OK;
    if (!detail->parts) {
        fab_job_note(o->watch, "%s is not written: no spine's parts were found", o->parts);
        return FAB_OK;
    }
    FAB_TRY(write_labels(o, detail->parts, &detail->set, o->parts, err));
    return fab_put_text(summary, "parts", o->parts, err);
}

static fab_status segment_into(const fab_segment_job *o, fab_job *job, fab_segment_result *found,
                               fab_detail *detail, fab_json *summary, fab_error *err)
{
    FAB_AUTO(fab_study_free) fab_study *study = NULL;
    FAB_AUTO(fab_network_free) fab_network *network = NULL;
    fab_scan scan;
    char table[FAB_MAX_PATH_BYTES];
    FAB_TRY(check_output_file(o->output, o->replace, err));
    if (o->parts) FAB_TRY(table_path(o->parts, table, sizeof table, err));
    if (o->parts) FAB_TRY(check_output_file(o->parts, o->replace, err));
    if (o->parts && strcmp(o->parts, o->output) == 0)
        FAB_FAIL(err, FAB_ERR_ARG, "%s cannot hold both the labels and the parts", o->parts);
    FAB_TRY(table_path(o->output, table, sizeof table, err));
    FAB_TRY(fab_job_enter(job, SEG_READ, err));
    FAB_TRY(fab_study_read(o->input, o->series, job, &study, err));
    FAB_TRY(fab_study_declare(study, o->modality, err));
    const fab_network_choice choice = {o->model_folders, o->model, o->precision, !o->no_detail,
                                       !o->no_crop};
    FAB_TRY(fab_network_choose(&choice, study, &network, err));
    FAB_TRY(fab_scan_check(study, network, o->force, o->watch, &scan, err));
    FAB_TRY(run_network(o, network, study, job, found, detail, summary, err));
    FAB_TRY(fab_job_enter(job, SEG_CHECK, err));
    FAB_TRY(put_review(found, study, network, &scan, job, summary, err));
    FAB_TRY(fab_job_enter(job, SEG_WRITE, err));
    FAB_TRY(write_labels(o, found->labels, &found->set, o->output, err));
    FAB_TRY(write_parts(o, network, detail, summary, err));
    FAB_TRY(fab_put_text(summary, "output", o->output, err));
    FAB_TRY(fab_put_text(summary, "table", table, err));
    FAB_TRY(fab_put_text(summary, "model", fab_network_name(network), err));
    FAB_TRY(fab_put_text(summary, "model_version", fab_network_version(network), err));
    FAB_TRY(fab_put_text(summary, "weights_sha256", fab_network_weights_sha256(network), err));
    FAB_TRY(fab_network_put_finder(network, summary, err));
    FAB_TRY(fab_put_text(summary, "precision",
                         fab_precision_name(fab_nn_isa_precision(found->isa)), err));
    FAB_TRY(fab_put_text(summary, "kernels", fab_nn_isa_name(found->isa), err));
    FAB_TRY(fab_put_text(summary, "input_sha256", study->input_sha256, err));
    return fab_put_text(summary, "notes", found->notes, err);
}

fab_status fab_job_segment(const fab_segment_job *o, fab_json **summary, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *s = fab_json_object();
    fab_segment_result found = {0};
    fab_detail detail = {0};
    fab_json *run = NULL;
    fab_job job;
    fab_job_start(&job, o->watch, segment_steps, SEG_COUNT);
    fab_status status = segment_into(o, &job, &found, &detail, s, err);
    fab_segment_result_free(&found);
    fab_detail_free(&detail);
    FAB_TRY(status);
    fab_job_finish(&job);
    FAB_TRY(fab_job_run_json(&job, &run, err));
    FAB_TRY(fab_json_set(s, "run", run, err));
    *summary = s;
    s = NULL;
    return FAB_OK;
}

/* ---- mesh ------------------------------------------------------------------------------- */

enum { MESH_READ, MESH_BUILD, MESH_MEASURE, MESH_WRITE, MESH_COUNT };

static const fab_step_def mesh_steps[] = {
    [MESH_READ] = {"read", "Reading labels", 5},
    [MESH_BUILD] = {"mesh", "Building surfaces", 50},
    [MESH_MEASURE] = {"measure", "Measuring surfaces", 35},
    [MESH_WRITE] = {"write", "Writing", 10},
};

typedef struct mesh_work {
    fab_job job;
    fab_volume *labels;
    fab_label_set set;
    fab_mesh_set meshes;
    fab_mesh_report *reports;
    fab_case_writer *writer;
} mesh_work;

static fab_status write_one(mesh_work *w, size_t index, fab_json *list, fab_error *err)
{
    const fab_mesh *mesh = &w->meshes.items[index];
    const fab_label *label = fab_label_set_find(&w->set, mesh->label);
    char safe[FAB_MAX_NAME_BYTES], name[FAB_MAX_NAME_BYTES + 16], path[FAB_MAX_PATH_BYTES];
    fab_json *row = NULL;
    if (label) fab_safe_name(label->name, safe, sizeof safe);
    else snprintf(safe, sizeof safe, "label_%d", mesh->label);
    snprintf(name, sizeof name, "%s.ply", safe);
    FAB_TRY(fab_path_join(path, sizeof path, fab_case_folder(w->writer), name, err));
    if (access(path, F_OK) == 0) { /* two names alike once made safe */
        snprintf(name, sizeof name, "%.90s_%d.ply", safe, mesh->label);
        FAB_TRY(fab_path_join(path, sizeof path, fab_case_folder(w->writer), name, err));
    }
    FAB_TRY(fab_case_mesh_save(mesh, path, err));
    FAB_TRY(fab_add_object(list, &row, err));
    FAB_TRY(fab_put_int(row, "value", mesh->label, err));
    FAB_TRY(fab_put_text(row, "name", label ? label->name : safe, err));
    FAB_TRY(fab_put_text(row, "file", name, err));
    return fab_mesh_report_json(mesh, &w->reports[index], row, err);
}

static fab_status mesh_into(const fab_mesh_job *o, mesh_work *w, fab_json *summary, fab_error *err)
{
    bool has_table = false;
    char path[FAB_MAX_PATH_BYTES];
    fab_json *list = NULL;
    FAB_TRY(fab_job_begin_folder(o->watch, o->output, "meshes.json", o->replace, &w->writer, err));
    FAB_TRY(fab_job_enter(&w->job, MESH_READ, err));
    FAB_TRY(fab_labels_load(o->labels, o->table, &w->labels, &w->set, &has_table, err));
    FAB_TRY(fab_job_enter(&w->job, MESH_BUILD, err));
    FAB_TRY(fab_meshes_build(w->labels, NULL, &o->mesh, &w->job, &w->meshes, err));
    FAB_TRY(fab_meshes_detail(&w->meshes, fab_volume_grid(w->labels), &o->mesh, &w->job, NULL,
                              err));
    FAB_TRY(fab_job_enter(&w->job, MESH_MEASURE, err));
    FAB_TRY(fab_meshes_measure(&w->meshes, w->labels, &w->job, &w->reports, err));
    FAB_TRY(fab_job_enter(&w->job, MESH_WRITE, err));
    FAB_TRY(fab_put_text(summary, "format", "fabrica-meshes", err));
    FAB_TRY(fab_put_int(summary, "format_version", 1, err));
    FAB_TRY(fab_put_array(summary, "meshes", &list, err));
    for (size_t i = 0; i < w->meshes.count; i++) FAB_TRY(write_one(w, i, list, err));
    FAB_TRY(fab_path_join(path, sizeof path, fab_case_folder(w->writer), "meshes.json", err));
    FAB_TRY(fab_json_save_file(summary, path, err));
    FAB_TRY(fab_progress_step(&w->job.progress, "write", 1, err));
    return fab_job_commit_folder(o->watch, &w->writer, err);
}

fab_status fab_job_mesh(const fab_mesh_job *o, fab_json **summary, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *s = fab_json_object();
    mesh_work w = {0};
    fab_job_start(&w.job, o->watch, mesh_steps, MESH_COUNT);
    fab_status status = mesh_into(o, &w, s, err);
    fab_job_abort_folder(o->watch, w.writer);
    fab_free(w.reports);
    fab_mesh_set_free(&w.meshes);
    fab_label_set_free(&w.set);
    fab_volume_unref(w.labels);
    FAB_TRY(status);
    fab_job_finish(&w.job);
    *summary = s;
    s = NULL;
    return FAB_OK;
}
