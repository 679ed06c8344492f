/* validate.c - a model against a labelled data set: case by case, structure by structure, and a
 * dossier of it. A case that fails is listed with its error and does not stop the others. */
#include "validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CASES, PICTURES, WRITE, STEP_COUNT };

static const fab_step_def steps[] = {
    [CASES] = {"cases", "Segmenting and comparing", 92},
    [PICTURES] = {"pictures", "Pictures of the worst", 6},
    [WRITE] = {"write", "Writing the dossier", 2},
};

/* ---- one case in memory ------------------------------------------------------------------- */

void fab_val_close_case(fab_val_open *c)
{
    c->study = fab_study_free(c->study);
    fab_truth_free(&c->truth);
    fab_prediction_free(&c->predicted);
}

static fab_status read_case(fab_validation *v, const fab_val_case *c, fab_val_open *out,
                            fab_error *err)
{
    FAB_TRY(fab_study_read(c->image, c->series, &v->job, &out->study, err));
    FAB_TRY(fab_study_declare(out->study, v->o->modality, err));
    return fab_truth_load(&v->data, c, fab_volume_grid(out->study->volume), &out->truth, err);
}

fab_status fab_val_open_case(fab_validation *v, size_t index, fab_val_open *out, fab_error *err)
{
    const fab_val_case *c = &v->data.cases[index];
    fab_val_open made = {0};
    fab_status status = read_case(v, c, &made, err);
    if (status == FAB_ERR_ARG) { /* of this case's files, not of what was asked for */
        status = FAB_ERR_FORMAT;
        if (err) err->status = status;
    }
    if (status == FAB_OK) status = fab_val_predict(v, c, made.study, &made.predicted, err);
    if (status < 0) {
        fab_val_close_case(&made);
        return status;
    }
    *out = made;
    return FAB_OK;
}

/* ---- its data card ------------------------------------------------------------------------ */

static fab_status put_scanner(fab_json *o, const fab_series_info *info, fab_error *err)
{
    fab_json *s = NULL;
    FAB_TRY(fab_put_object(o, "scanner", &s, err));
    FAB_TRY(fab_put_text_or_null(s, "manufacturer", info->manufacturer, err));
    FAB_TRY(fab_put_text_or_null(s, "kernel", info->kernel, err));
    FAB_TRY(fab_put_text_or_null(s, "body_part", info->body_part, err));
    FAB_TRY(fab_put_real(s, "slice_thickness_mm", info->slice_thickness_mm, 3, err));
    FAB_TRY(fab_put_int(s, "slices", info->frames, err));
    return fab_put_text(s, "geometry", fab_geometry_verdict_name(info->verdict), err);
}

static fab_status make_facts(const fab_validation *v, const fab_val_case *c, fab_val_open *open,
                             fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    const fab_study *s = open->study;
    size_t n = strlen(v->data.folder);
    bool below = strncmp(c->image, v->data.folder, n) == 0 && c->image[n] == '/';
    FAB_TRY(fab_put_text(o, "image", below ? c->image + n + 1 : c->image, err));
    FAB_TRY(fab_put_text(o, "kind", fab_input_kind_name(s->kind), err));
    FAB_TRY(fab_put_text(o, "image_sha256", s->input_sha256, err));
    FAB_TRY(fab_put_text_or_null(o, "modality", s->modality, err));
    FAB_TRY(fab_put_grid(o, "grid", fab_volume_grid(s->volume), err));
    FAB_TRY(fab_put_text_or_null(o, "notes", s->notes, err));
    if (s->series) FAB_TRY(put_scanner(o, &s->series->info, err));
    FAB_TRY(fab_json_set(o, "truth", fab_json_retain(open->truth.files), err));
    FAB_TRY(fab_put_int(o, "truth_overlap_voxels", open->truth.overlaps, err));
    FAB_TRY(fab_put_text_or_null(o, "prediction_sha256", open->predicted.file_sha256, err));
    *out = o;
    o = NULL;
    return FAB_OK;
}

const fab_json *fab_val_card(const fab_validation *v)
{
    return v->network ? fab_network_card(v->network) : v->card;
}

/* ---- measuring ---------------------------------------------------------------------------- */

static fab_status structure_index(fab_validation *v, const char *name, size_t *out,
                                  fab_error *err)
{
    for (*out = 0; *out < v->structures.count; ++*out)
        if (strcmp(v->structures.items[*out], name) == 0) return FAB_OK;
    return fab_text_list_add(&v->structures, name, err);
}

static fab_status add_row(fab_validation *v, const fab_val_row *row, fab_error *err)
{
    if (v->row_count == v->row_capacity) {
        size_t capacity = v->row_capacity ? 2 * v->row_capacity : 64;
        fab_val_row *rows = fab_realloc(v->rows, capacity * sizeof *rows);
        if (!rows) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for results");
        v->rows = rows;
        v->row_capacity = capacity;
    }
    v->rows[v->row_count++] = *row;
    return FAB_OK;
}

/* stats[0..*count) by value */
static fab_status stats_of(const fab_volume *labels, fab_label_stats **out, size_t *count,
                           fab_error *err)
{
    double low = 0, high = 0;
    fab_volume_minmax(labels, &low, &high);
    FAB_AUTO_FREE fab_label_stats *stats = fab_calloc((size_t)high + 1, sizeof *stats);
    if (!stats) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_labels_stats(labels, (size_t)high + 1, stats, err));
    *count = (size_t)high + 1;
    *out = stats;
    stats = NULL;
    return FAB_OK;
}

typedef struct both_stats {
    fab_label_stats *truth, *predicted;
    size_t truth_count, predicted_count;
} both_stats;

static bool is_cut(const both_stats *s, const fab_pair *p)
{
    for (size_t i = 0; i < p->truth_count; i++) {
        if ((size_t)p->truth[i] >= s->truth_count || !s->truth[p->truth[i]].voxels) continue;
        for (int face = 0; face < 6; face++)
            if (s->truth[p->truth[i]].touches_edge[face]) return true;
    }
    return false;
}

/* The network's own, weighted by voxels where several labels make up the structure. */
static double confidence_of(const both_stats *s, const fab_prediction *p, const fab_pair *pair)
{
    double sum = 0, voxels = 0;
    for (size_t i = 0; i < p->set.count && p->confidence; i++)
        for (size_t j = 0; j < pair->predicted_count; j++) {
            int value = p->set.items[i].value;
            if (value != pair->predicted[j] || (size_t)value >= s->predicted_count) continue;
            sum += (double)s->predicted[value].voxels * p->confidence[i];
            voxels += (double)s->predicted[value].voxels;
        }
    return voxels > 0 ? sum / voxels : NAN;
}

static fab_status measure_pair(fab_validation *v, size_t index, const fab_val_open *c,
                               const both_stats *s, const fab_pair *p, fab_error *err)
{
    double spacing[3], nsd[2];
    fab_val_row row = {.case_index = index, .state = FAB_ROW_NOT_EVALUATED,
                       .nsd_voxel = NAN, .confidence = confidence_of(s, &c->predicted, p)};
    FAB_TRY(structure_index(v, p->name, &row.structure, err));
    snprintf(row.text, sizeof row.text, "%s", p->reason[0] ? p->reason : p->remark);
    if (p->reason[0]) return add_row(v, &row, err);
    fab_grid_spacing(fab_volume_grid(c->truth.labels), spacing);
    const double within[2] = {v->o->tolerance_mm, fmax(spacing[0], fmax(spacing[1], spacing[2]))};
    FAB_TRY(fab_evaluate_within(c->truth.labels, p->truth, p->truth_count, c->predicted.labels,
                                p->predicted, p->predicted_count, within, 2, nsd, &row.a, err));
    row.nsd_voxel = nsd[1];
    row.cut = is_cut(s, p);
    row.state = row.a.reference_voxels ? FAB_ROW_EVALUATED
                : row.a.predicted_voxels ? FAB_ROW_FALSE_POSITIVE : FAB_ROW_ABSENT;
    return add_row(v, &row, err);
}

/* What the truth draws in this case and nothing was compared with. */
static fab_status find_unused(fab_case_result *r, const fab_val_open *c, const both_stats *s,
                              const fab_pair_list *pairs, fab_error *err)
{
    for (size_t i = 0; i < c->truth.set.count; i++) {
        const fab_label *label = &c->truth.set.items[i];
        bool used = (size_t)label->value >= s->truth_count || !s->truth[label->value].voxels;
        for (size_t p = 0; p < pairs->count && !used; p++)
            for (size_t k = 0; k < pairs->items[p].truth_count && !used; k++)
                used = pairs->items[p].truth[k] == label->value;
        if (!used) FAB_TRY(fab_text_list_add(&r->unused, label->name, err));
    }
    return FAB_OK;
}

static fab_status measure_all(fab_validation *v, size_t index, const fab_val_open *c,
                              const both_stats *s, const fab_pair_list *pairs, fab_error *err)
{
    for (size_t i = 0; i < pairs->count; i++) {
        double done = (double)i / (double)pairs->count;
        FAB_TRY(fab_progress_step(&v->job.progress, "compare", 0.9 + 0.1 * done, err));
        FAB_TRY(measure_pair(v, index, c, s, &pairs->items[i], err));
    }
    FAB_TRY(find_unused(&v->results[index], c, s, pairs, err));
    return fab_levels_measure(c->truth.labels, &c->truth.set, c->predicted.labels,
                              &c->predicted.set, &v->results[index].levels, err);
}

static fab_status measure_case(fab_validation *v, size_t index, const fab_val_open *c,
                               fab_error *err)
{
    fab_pair_list pairs = {0};
    both_stats s = {0};
    fab_status status = fab_pairs_make(&v->data, &v->data.cases[index], fab_val_card(v),
                                       &c->truth.set, &c->predicted.set, &pairs, err);
    if (status == FAB_OK) status = stats_of(c->truth.labels, &s.truth, &s.truth_count, err);
    if (status == FAB_OK)
        status = stats_of(c->predicted.labels, &s.predicted, &s.predicted_count, err);
    if (status == FAB_OK) status = measure_all(v, index, c, &s, &pairs, err);
    fab_free(s.truth);
    fab_free(s.predicted);
    fab_pairs_free(&pairs);
    return status;
}

static fab_status run_open_case(fab_validation *v, size_t index, fab_error *err)
{
    fab_case_result *r = &v->results[index];
    const fab_val_case *c = &v->data.cases[index];
    fab_val_open open = {0};
    size_t rows = v->row_count;
    FAB_TRY(fab_val_open_case(v, index, &open, err));
    const fab_prediction *p = &open.predicted;
    r->wall_s = p->wall_s;
    r->cpu_s = p->cpu_s;
    r->peak_bytes = p->peak_bytes;
    r->cached = p->cached;
    snprintf(r->notes, sizeof r->notes, "%s", p->notes);
    snprintf(r->kernels, sizeof r->kernels, "%s", p->kernels);
    snprintf(r->precision, sizeof r->precision, "%s", p->precision);
    fab_status status = make_facts(v, c, &open, &r->facts, err);
    if (status == FAB_OK) status = measure_case(v, index, &open, err);
    if (status < 0) v->row_count = rows; /* all of a case or nothing */
    fab_val_close_case(&open);
    return status;
}

static fab_status run_case(fab_validation *v, size_t index, fab_error *err)
{
    fab_case_result *r = &v->results[index];
    fab_error why = {0};
    if (!v->data.cases[index].labels) {
        r->status = 1;
        return FAB_OK;
    }
    r->status = run_open_case(v, index, &why);
    if (r->status == FAB_OK) return FAB_OK;
    if (!fab_val_is_local(r->status)) {
        FAB_FAIL(err, r->status, "case %.100s: %s", v->data.cases[index].name, why.message);
    }
    snprintf(r->error, sizeof r->error, "%s", why.message);
    fab_job_note(v->o->watch, "case %s failed: %s", v->data.cases[index].name, why.message);
    return FAB_OK;
}

/* A dossier of nothing is none: the first failure is the answer then. */
static fab_status run_cases(fab_validation *v, fab_error *err)
{
    size_t good = 0, truths = 0;
    const char *first = NULL;
    fab_status status = FAB_OK;
    FAB_TRY(fab_job_enter(&v->job, CASES, err));
    for (size_t i = 0; i < v->data.count; i++) {
        FAB_TRY(fab_job_part(&v->job, i, v->data.count, err));
        FAB_TRY(run_case(v, i, err));
        good += v->results[i].status == FAB_OK;
        truths += v->results[i].status <= FAB_OK;
        if (v->results[i].status >= 0 || first) continue;
        first = v->results[i].error;
        status = v->results[i].status;
    }
    if (good) return FAB_OK;
    if (!truths)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: none of its cases has a truth (%zu in all)",
                 v->data.folder, v->data.count);
    FAB_FAIL(err, status, "no case could be evaluated; the first failed with: %s", first);
}

/* ---- the job ------------------------------------------------------------------------------ */

static fab_status prepare(fab_validation *v, fab_error *err)
{
    const fab_validate_job *o = v->o;
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    size_t n = strlen(o->output);
    if (!(o->tolerance_mm >= 0))
        FAB_FAIL(err, FAB_ERR_ARG, "a tolerance of %g mm makes no sense", o->tolerance_mm);
    while (n > 1 && o->output[n - 1] == '/') n--;
    if (o->cache) snprintf(v->cache, sizeof v->cache, "%s", o->cache);
    else snprintf(v->cache, sizeof v->cache, "%.*s.cache", (int)n, o->output);
    snprintf(v->options_text, sizeof v->options_text,
             "step %.6g quality %d postprocessing %d precision %d detail %d", o->step,
             (int)o->quality, !o->no_postprocessing, (int)o->precision, !o->no_detail);
    FAB_TRY(fab_dataset_open(o->dataset, &v->data, err));
    if (o->predictions && !fab_is_folder(o->predictions))
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s is not a folder of label maps", o->predictions);
    if (o->model) {
        FAB_TRY(fab_models_find(o->model_folders, o->model, "", folder, sizeof folder, err));
        FAB_TRY(fab_path_join(path, sizeof path, folder, "model.json", err));
        if (o->predictions) FAB_TRY(fab_json_load_file(path, &v->card, err));
    }
    if (o->program) FAB_TRY(fab_sha256_file(o->program, v->program_sha256, err));
    v->results = fab_calloc(v->data.count, sizeof *v->results);
    if (!v->results) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for results");
    return fab_job_begin_folder(o->watch, o->output, "dossier.json", o->replace, &v->writer, err);
}

static fab_status write_files(fab_validation *v, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO_BUF fab_buf lines = {0};
    const char *folder = fab_case_folder(v->writer);
    FAB_TRY(fab_job_enter(&v->job, WRITE, err));
    FAB_TRY(fab_val_dossier(v, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "dossier.json", err));
    FAB_TRY(fab_json_save_file(v->dossier, path, err));
    FAB_TRY(fab_val_confidence_lines(v, &lines, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "confidence.jsonl", err));
    FAB_TRY(fab_file_write_atomic(path, lines.data, lines.size, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "dossier.html", err));
    FAB_TRY(fab_val_page(v, path, err));
    FAB_TRY(fab_progress_step(&v->job.progress, "write", 1, err));
    return fab_job_commit_folder(v->o->watch, &v->writer, err);
}

static fab_status run(fab_validation *v, fab_error *err)
{
    FAB_TRY(prepare(v, err));
    FAB_TRY(run_cases(v, err));
    FAB_TRY(fab_job_enter(&v->job, PICTURES, err));
    FAB_TRY(fab_val_pictures(v, err));
    return write_files(v, err);
}

static void validation_free(fab_validation *v)
{
    v->writer = fab_job_abort_folder(v->o->watch, v->writer);
    for (size_t i = 0; i < v->data.count && v->results; i++) {
        fab_json_free(v->results[i].facts);
        fab_text_list_free(&v->results[i].unused);
    }
    for (size_t i = 0; i < v->picture_count; i++) fab_image_free(&v->pictures[i].image);
    fab_free(v->pictures);
    fab_free(v->results);
    fab_free(v->rows);
    fab_text_list_free(&v->structures);
    fab_dataset_close(&v->data);
    fab_network_free(v->network);
    fab_json_free(v->dossier);
    fab_json_free(v->card);
    fab_free(v);
}

fab_status fab_job_validate(const fab_validate_job *o, fab_json **dossier, fab_error *err)
{
    fab_validation *v = fab_calloc(1, sizeof *v);
    if (!v) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    v->o = o;
    fab_job_start(&v->job, o->watch, steps, STEP_COUNT);
    fab_status status = run(v, err);
    if (status == FAB_OK) {
        fab_job_finish(&v->job);
        *dossier = v->dossier;
        v->dossier = NULL;
    }
    validation_free(v);
    return status;
}
