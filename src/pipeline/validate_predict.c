/* validate_predict.c - what the model says of a case, kept in a cache so that a validation that was
 * broken off goes on. An entry's name is the hash of everything its content follows from: image,
 * model, options and program. */
#include "validate.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fabrica/nifti.h"

void fab_prediction_free(fab_prediction *p)
{
    fab_volume_unref(p->labels);
    fab_label_set_free(&p->set);
    fab_free(p->confidence);
    *p = (fab_prediction){0};
}

bool fab_val_is_local(fab_status status)
{
    return status < 0 && status != FAB_ERR_CANCELLED && status != FAB_ERR_NOMEM &&
           status != FAB_ERR_NOSPACE && status != FAB_ERR_ARG;
}

static void copy_text(const fab_json *o, const char *key, char *into, size_t capacity)
{
    const char *text = fab_json_text(fab_json_find(o, key));
    snprintf(into, capacity, "%s", text ? text : "");
}

/* ---- the cache ---------------------------------------------------------------------------- */

static fab_status hash_json(fab_sha256 *h, const fab_json *value, fab_error *err)
{
    FAB_AUTO_BUF fab_buf buf = {0};
    fab_writer w;
    fab_writer_to_buf(&buf, &w);
    FAB_TRY(fab_json_dump(value, 0, &w, err));
    fab_sha256_update(h, buf.data, buf.size);
    return FAB_OK;
}

static fab_status cache_key(const fab_validation *v, const fab_channels *c, const fab_study *study,
                            char hex[65], fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *channels = NULL;
    const char *texts[] = {study->input_sha256, fab_network_weights_sha256(v->network),
                           v->program_sha256, v->options_text, study->modality,
                           v->o->structures ? v->o->structures : ""};
    uint8_t digest[32];
    fab_sha256 h;
    fab_sha256_init(&h);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        fab_sha256_update(&h, texts[i], strlen(texts[i]) + 1);
    FAB_TRY(hash_json(&h, fab_network_card(v->network), err));
    if (fab_network_detail_card(v->network))
        FAB_TRY(hash_json(&h, fab_network_detail_card(v->network), err));
    for (int i = 0; fab_network_finder_card(v->network, i); i++)
        FAB_TRY(hash_json(&h, fab_network_finder_card(v->network, i), err));
    if (c->count > 1) {
        FAB_TRY(fab_channels_json(c, study->input_sha256, &channels, err));
        FAB_TRY(hash_json(&h, channels, err));
    }
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, hex);
    return FAB_OK;
}

static fab_status read_entry(const char *folder, const fab_grid *grid, fab_prediction *p,
                             fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *facts = NULL, *labels = NULL;
    FAB_TRY(fab_path_join(path, sizeof path, folder, "prediction.json", err));
    FAB_TRY(fab_json_load_file(path, &facts, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "labels.json", err));
    FAB_TRY(fab_json_load_file(path, &labels, err));
    FAB_TRY(fab_label_set_from_json(labels, &p->set, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "labels.nii.gz", err));
    FAB_TRY(fab_nifti_read(path, &p->labels, NULL, 0, err));
    FAB_TRY(fab_labels_onto(&p->labels, grid, path, err));
    copy_text(facts, "notes", p->notes, sizeof p->notes);
    copy_text(facts, "kernels", p->kernels, sizeof p->kernels);
    copy_text(facts, "precision", p->precision, sizeof p->precision);
    FAB_TRY(fab_json_get_real(facts, "wall_s", 0, 1e9, &p->wall_s, err));
    FAB_TRY(fab_json_get_real(facts, "cpu_s", 0, 1e9, &p->cpu_s, err));
    FAB_TRY(fab_json_get_int(facts, "peak_rss_bytes", 0, INT64_MAX, &p->peak_bytes, err));
    const fab_json *confidence = fab_json_find(facts, "confidence");
    if (fab_json_count(confidence) == p->set.count && p->set.count) {
        p->confidence = fab_calloc(p->set.count, sizeof *p->confidence);
        if (!p->confidence) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
        for (size_t i = 0; i < p->set.count; i++)
            p->confidence[i] = fab_json_number(fab_json_at(confidence, i));
    }
    p->cached = true;
    return FAB_OK;
}

static fab_status write_facts(const fab_prediction *p, const char *path, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *facts = fab_json_object();
    fab_json *list = NULL;
    FAB_TRY(fab_put_text(facts, "format", "fabrica-prediction", err));
    FAB_TRY(fab_put_text(facts, "notes", p->notes, err));
    FAB_TRY(fab_put_text(facts, "kernels", p->kernels, err));
    FAB_TRY(fab_put_text(facts, "precision", p->precision, err));
    FAB_TRY(fab_put_real(facts, "wall_s", p->wall_s, 3, err));
    FAB_TRY(fab_put_real(facts, "cpu_s", p->cpu_s, 3, err));
    FAB_TRY(fab_put_int(facts, "peak_rss_bytes", p->peak_bytes, err));
    FAB_TRY(fab_put_array(facts, "confidence", &list, err));
    for (size_t i = 0; i < p->set.count && p->confidence; i++)
        FAB_TRY(fab_json_append(list, fab_json_real(p->confidence[i]), err));
    return fab_json_save_file(facts, path, err);
}

static fab_status write_entry(const fab_validation *v, const char *folder,
                              const fab_prediction *p, fab_error *err)
{
    fab_case_writer *w = NULL;
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *labels = NULL;
    FAB_TRY(fab_path_make_folder(v->cache, err));
    FAB_TRY(fab_job_begin_folder(v->o->watch, folder, "prediction.json", true, &w, err));
    fab_status status = fab_path_join(path, sizeof path, fab_case_folder(w), "labels.nii.gz", err);
    if (status == FAB_OK) status = fab_nifti_write(p->labels, path, FAB_GENERATOR " labels", err);
    if (status == FAB_OK) status = fab_label_set_to_json(&p->set, &labels, err);
    if (status == FAB_OK)
        status = fab_path_join(path, sizeof path, fab_case_folder(w), "labels.json", err);
    if (status == FAB_OK) status = fab_json_save_file(labels, path, err);
    if (status == FAB_OK)
        status = fab_path_join(path, sizeof path, fab_case_folder(w), "prediction.json", err);
    if (status == FAB_OK) status = write_facts(p, path, err);
    if (status == FAB_OK) status = fab_job_commit_folder(v->o->watch, &w, err);
    fab_job_abort_folder(v->o->watch, w);
    return status;
}

/* ---- the network -------------------------------------------------------------------------- */

/* From here the peak counts anew (proc(5), clear_refs); where that is not allowed it is that of the
 * program so far. */
static void reset_peak(void)
{
    int f = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (f < 0) return;
    (void)!write(f, "5", 1);
    close(f);
}

static fab_status run_network(fab_validation *v, const fab_channels *c, fab_prediction *p,
                              fab_error *err)
{
    const fab_validate_job *o = v->o;
    fab_detail detail = {0};
    const fab_network_run how = {o->step, o->max_memory_bytes, o->quality, o->structures,
                                 o->no_postprocessing, false, o->precision,
                                 &detail, &v->job.progress, o->watch};
    fab_segment_result found = {0};
    double wall = fab_time_wall_s(), cpu = fab_time_cpu_s();
    reset_peak();
    fab_status status = fab_network_segment(v->network, c->image, &how, &found, err);
    if (status == FAB_OK) {
        p->labels = found.labels;
        p->set = found.set;
        p->confidence = found.confidence;
        found.labels = NULL;
        found.set = (fab_label_set){0};
        found.confidence = NULL;
        snprintf(p->notes, sizeof p->notes, "%s", found.notes);
        snprintf(p->kernels, sizeof p->kernels, "%s", fab_nn_isa_name(found.isa));
        snprintf(p->precision, sizeof p->precision, "%s",
                 fab_precision_name(fab_nn_isa_precision(found.isa)));
        p->wall_s = fab_time_wall_s() - wall;
        p->cpu_s = fab_time_cpu_s() - cpu;
        p->peak_bytes = (int64_t)fab_peak_rss_bytes();
    }
    fab_segment_result_free(&found);
    fab_detail_free(&detail);
    return status;
}

static fab_status by_network(fab_validation *v, const fab_channels *c, const fab_study *study,
                             fab_prediction *p, fab_error *err)
{
    char key[65], folder[FAB_MAX_PATH_BYTES], facts[FAB_MAX_PATH_BYTES];
    FAB_TRY(cache_key(v, c, study, key, err));
    FAB_TRY(fab_path_join(folder, sizeof folder, v->cache, key, err));
    FAB_TRY(fab_path_join(facts, sizeof facts, folder, "prediction.json", err));
    if (access(facts, F_OK) == 0) {
        fab_error why = {0};
        if (read_entry(folder, fab_volume_grid(study->volume), p, &why) == FAB_OK) return FAB_OK;
        fab_job_note(v->o->watch, "a cached prediction is not usable and is made again: %s",
                     why.message);
        fab_prediction_free(p);
    }
    FAB_TRY(run_network(v, c, p, err));
    return write_entry(v, folder, p, err);
}

/* One model for all cases: where none is named, the first case's modality chooses. */
static fab_status have_network(fab_validation *v, const fab_study *study, fab_error *err)
{
    if (v->network) return fab_network_check(v->network, study, true, err);
    const fab_network_choice choice = {v->o->model_folders, v->o->model, v->o->precision,
                                       !v->o->no_detail, !v->o->no_crop};
    return fab_network_choose(&choice, study, &v->network, err);
}

/* ---- made elsewhere ----------------------------------------------------------------------- */

static fab_status given(const fab_validation *v, const fab_val_case *c, const fab_study *study,
                        fab_prediction *p, fab_error *err)
{
    static const char *const endings[] = {".nii.gz", ".nii", ".nrrd"};
    char path[FAB_MAX_PATH_BYTES], name[300];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        bool has_table = false;
        snprintf(name, sizeof name, "%.280s%s", c->name, endings[i]);
        FAB_TRY(fab_path_join(path, sizeof path, v->o->predictions, name, err));
        if (access(path, F_OK) != 0) continue;
        FAB_TRY(fab_labels_load(path, NULL, &p->labels, &p->set, &has_table, err));
        if (!has_table)
            FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: neither a JSON of its name nor labels.json beside "
                     "it says what its values are called", path);
        FAB_TRY(fab_sha256_file(path, p->file_sha256, err));
        return fab_labels_onto(&p->labels, fab_volume_grid(study->volume), path, err);
    }
    FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s holds no %s.nii.gz, .nii or .nrrd", v->o->predictions,
             c->name);
}

fab_status fab_val_predict(fab_validation *v, const fab_val_case *c, const fab_study *study,
                           fab_prediction *out, fab_error *err)
{
    fab_prediction p = {0};
    fab_channels channels = {0};
    fab_status status;
    if (v->o->predictions) status = given(v, c, study, &p, err);
    else {
        status = have_network(v, study, err);
        if (status == FAB_OK)
            status = fab_channels_read(v->network, c->image, study, NULL, &v->job, &channels, err);
        if (status == FAB_OK) status = by_network(v, &channels, study, &p, err);
        fab_channels_free(&channels);
    }
    if (status < 0) {
        fab_prediction_free(&p);
        return status;
    }
    *out = p;
    return FAB_OK;
}
