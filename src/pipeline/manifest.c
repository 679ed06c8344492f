/* manifest.c - manifest.json: what went in, what was done to it, what came out
 * (contract/manifest.schema.json). Everything but the last object, "run", follows from the input,
 * the options and the version alone; patient identifiers stand in "patient_identifiers" only. */
#include "network.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void hash_text(const char *text, char hex[65])
{
    fab_sha256 h;
    uint8_t digest[32];
    hex[0] = '\0';
    if (!text || !text[0]) return;
    fab_sha256_init(&h);
    fab_sha256_update(&h, text, strlen(text));
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, hex);
}

static fab_status put_software(fab_json *m, fab_error *err)
{
    fab_json *o = NULL;
    FAB_TRY(fab_put_object(m, "software", &o, err));
    FAB_TRY(fab_put_text(o, "name", "fabrica", err));
    FAB_TRY(fab_put_text(o, "version", FAB_VERSION, err));
    return fab_put_text(m, "notice", "Not for diagnostic use.", err);
}

static fab_status put_channels(fab_json *input, const fab_twin *t, fab_error *err)
{
    fab_json *list = NULL;
    if (!t->channels || t->channels->count < 2) return FAB_OK;
    FAB_TRY(fab_channels_json(t->channels, t->study->input_sha256, &list, err));
    return fab_json_set(input, "channels", list, err);
}

static fab_status put_input(fab_json *m, const fab_twin *t, fab_error *err)
{
    const fab_study *s = t->study;
    fab_json *o = NULL;
    char frame[65];
    FAB_TRY(fab_put_object(m, "input", &o, err));
    FAB_TRY(fab_put_text(o, "kind", s->series ? "dicom" : fab_input_kind_name(s->kind), err));
    FAB_TRY(fab_put_text(o, "sha256", s->input_sha256, err));
    FAB_TRY(fab_put_text_or_null(o, "modality", s->modality, err));
    FAB_TRY(put_channels(o, t, err));
    if (!s->series) return FAB_OK;
    const fab_series_info *i = &s->series->info;
    hash_text(i->frame_of_reference_uid, frame);
    FAB_TRY(fab_put_int(o, "files", i->files, err));
    FAB_TRY(fab_put_int(o, "frames", i->frames, err));
    FAB_TRY(fab_put_text_or_null(o, "manufacturer", i->manufacturer, err));
    FAB_TRY(fab_put_text_or_null(o, "kernel", i->kernel, err));
    FAB_TRY(fab_put_text_or_null(o, "body_part", i->body_part, err));
    FAB_TRY(fab_put_text_or_null(o, "transfer_syntax", i->transfer_syntax, err));
    return fab_put_text_or_null(o, "frame_of_reference_sha256", frame, err);
}

static fab_status put_identifiers(fab_json *m, const fab_study *s, fab_error *err)
{
    static const fab_series_info nobody;
    const fab_series_info *i = s->series ? &s->series->info : &nobody;
    const struct {
        const char *key, *text;
    } fields[] = {
        {"input_name", s->name},
        {"patient_id", i->patient_id},
        {"patient_name", i->patient_name},
        {"patient_sex", i->patient_sex},
        {"patient_birth_date", i->patient_birth_date},
        {"study_uid", i->study_uid},
        {"study_id", i->study_id},
        {"study_date", i->study_date},
        {"study_time", i->study_time},
        {"study_description", i->study_description},
        {"accession_number", i->accession_number},
        {"series_uid", i->series_uid},
        {"series_description", i->series_description},
        {"frame_of_reference_uid", i->frame_of_reference_uid},
    };
    fab_json *o = NULL;
    FAB_TRY(fab_put_object(m, "patient_identifiers", &o, err));
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
        FAB_TRY(fab_put_text_or_null(o, fields[f].key, fields[f].text, err));
    return FAB_OK;
}

static fab_status put_geometry(fab_json *m, const fab_study *s, fab_error *err)
{
    fab_json *o = NULL;
    const fab_series_info *i = s->series ? &s->series->info : NULL;
    FAB_TRY(fab_put_object(m, "geometry", &o, err));
    FAB_TRY(fab_put_text(o, "verdict",
                         fab_geometry_verdict_name(i ? i->verdict : FAB_GEOMETRY_OK), err));
    FAB_TRY(fab_put_text(o, "text", i ? i->verdict_text : "", err));
    FAB_TRY(fab_put_bool(o, "resampled", s->series && s->series->resampled, err));
    FAB_TRY(fab_put_text(o, "repairs", s->notes, err));
    return fab_put_grid(o, "grid", fab_volume_grid(s->volume), err);
}

/* The second look at the spine: which network, and the map of vertebrae's parts. */
static fab_status put_detail(fab_json *o, const fab_twin *t, fab_error *err)
{
    const fab_json *card = fab_network_detail_card(t->network);
    fab_json *detail = NULL;
    if (!card) return fab_json_set(o, "detail", fab_json_null(), err);
    FAB_TRY(fab_put_object(o, "detail", &detail, err));
    FAB_TRY(fab_put_text(detail, "name", fab_text_of(card, "name"), err));
    FAB_TRY(fab_put_text(detail, "version", fab_text_of(card, "version"), err));
    FAB_TRY(fab_put_text(detail, "weights_sha256",
                         fab_text_of(fab_json_find(card, "weights"), "sha256"), err));
    FAB_TRY(fab_put_bool(detail, "used", t->detail.parts != NULL, err));
    FAB_TRY(fab_put_real(detail, "agreement", t->detail.agreement, 3, err));
    FAB_TRY(fab_put_text_or_null(detail, "parts",
                                 t->detail.parts ? FAB_TWIN_PARTS ".nii.gz" : "", err));
    return fab_put_text(detail, "note", t->detail.note, err);
}

static fab_status put_segmentation(fab_json *m, const fab_twin *t, fab_error *err)
{
    fab_json *o = NULL, *model = NULL;
    FAB_TRY(fab_put_object(m, "segmentation", &o, err));
    FAB_TRY(fab_put_text(o, "source", t->network ? "network" : "labels", err));
    FAB_TRY(fab_put_text_or_null(o, "labels_sha256", t->labels_sha256, err));
    FAB_TRY(fab_put_text(o, "notes", t->found.notes, err));
    if (!t->network) return fab_json_set(o, "model", fab_json_null(), err);
    const fab_json *card = fab_network_card(t->network);
    FAB_TRY(fab_put_object(o, "model", &model, err));
    FAB_TRY(fab_put_text(model, "name", fab_network_name(t->network), err));
    FAB_TRY(fab_put_text(model, "version", fab_network_version(t->network), err));
    FAB_TRY(fab_put_text(model, "weights_sha256", fab_network_weights_sha256(t->network), err));
    FAB_TRY(fab_put_text(model, "precision",
                         fab_precision_name(fab_nn_isa_precision(t->found.isa)), err));
    FAB_TRY(fab_put_text(model, "kernels", fab_nn_isa_name(t->found.isa), err));
    FAB_TRY(put_detail(o, t, err));
    FAB_TRY(fab_network_put_finder(t->network, o, err));
    static const char *const copied[] = {"modality", "license", "limitations"};
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        const fab_json *value = fab_json_find(card, copied[i]);
        if (value) FAB_TRY(fab_json_set(model, copied[i], fab_json_retain((fab_json *)(uintptr_t)
                                                                         value), err));
    }
    return FAB_OK;
}

/* The number that chose the series; a UID is an identifier, so only that one was given is said. */
static const char *series_choice(const char *series)
{
    return series && strlen(series) > 6 ? "uid" : series;
}

static fab_status put_options(fab_json *m, const fab_twin *t, fab_error *err)
{
    static const char *const qualities[] = {"best", "fast", "fastest"};
    const fab_twin_options *o = t->o;
    fab_json *j = NULL;
    FAB_TRY(fab_put_object(m, "options", &j, err));
    FAB_TRY(fab_put_text_or_null(j, "series", series_choice(o->series), err));
    FAB_TRY(fab_put_text_or_null(j, "formats", o->formats, err));
    FAB_TRY(fab_put_int(j, "max_memory_bytes", (int64_t)o->max_memory_bytes, err));
    FAB_TRY(fab_put_real(j, "window_step", o->step > 0 ? o->step : NAN, 4, err));
    FAB_TRY(fab_put_text(j, "quality", qualities[o->quality], err));
    FAB_TRY(fab_put_text_or_null(j, "structures", o->structures, err));
    FAB_TRY(fab_put_bool(j, "postprocessing", !o->no_postprocessing, err));
    FAB_TRY(fab_put_bool(j, "crop", !o->no_crop, err));
    FAB_TRY(fab_put_text(j, "precision", fab_precision_name(o->precision), err));
    FAB_TRY(fab_put_int(j, "smoothing_iterations",
                        o->mesh.smoothing_iterations >= 0 ? o->mesh.smoothing_iterations : -1,
                        err));
    return fab_put_real(j, "mesh_target_error_mm",
                        o->mesh.target_error_mm >= 0 ? o->mesh.target_error_mm : NAN, 4, err);
}

/* ---- structures ------------------------------------------------------------------------- */

static fab_status put_code(fab_json *row, const fab_anatomy *a, fab_error *err)
{
    static const char *const sides[] = {"none", "left", "right"};
    fab_json *code = NULL;
    if (!a) {
        FAB_TRY(fab_json_set(row, "code", fab_json_null(), err));
        return fab_put_text(row, "laterality", "none", err);
    }
    FAB_TRY(fab_put_object(row, "code", &code, err));
    FAB_TRY(fab_put_text(code, "scheme", a->type.scheme, err));
    FAB_TRY(fab_put_text(code, "value", a->type.value, err));
    FAB_TRY(fab_put_text(code, "meaning", a->type.meaning, err));
    return fab_put_text(row, "laterality", sides[a->side], err);
}

/* What the review says of it: expected_dice, review_score and findings. */
static fab_status put_review(fab_json *row, const fab_twin *t, size_t index, fab_error *err)
{
    static const char *const keys[] = {"expected_dice", "review_score", "findings"};
    const fab_json *from = fab_json_at(t->reviewed, index);
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const fab_json *value = fab_json_find(from, keys[k]);
        FAB_TRY(fab_json_set(row, keys[k], fab_json_retain((fab_json *)(uintptr_t)value), err));
    }
    return FAB_OK;
}

static bool holds(const fab_mesh_set *set, int label)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].label == label) return true;
    return false;
}

static fab_status put_mesh(fab_json *row, const fab_twin *t, const fab_structure *s,
                           fab_error *err)
{
    fab_json *mesh = NULL, *files = NULL;
    char name[FAB_MAX_NAME_BYTES + 32];
    if (!s->mesh) return fab_json_set(row, "mesh", fab_json_null(), err);
    FAB_TRY(fab_put_object(row, "mesh", &mesh, err));
    FAB_TRY(fab_put_array(mesh, "files", &files, err));
    snprintf(name, sizeof name, "meshes/%s.ply", s->file_name);
    FAB_TRY(fab_add_text(files, name, err));
    for (int level = 0; level < FAB_TWIN_LODS; level++) {
        if (!holds(&t->lods[level], s->label->value)) break;
        snprintf(name, sizeof name, "meshes/lod%d/%s.ply", level + 1, s->file_name);
        FAB_TRY(fab_add_text(files, name, err));
    }
    return fab_mesh_report_json(s->mesh, s->report, mesh, err);
}

static fab_status put_structure(fab_json *list, const fab_twin *t, const fab_structure *s,
                                fab_error *err)
{
    static const char *const tissues[] = {"other", "bone", "organ", "vessel", "muscle",
                                          "nerve", "lung", "bowel", "disc", "skin"};
    const fab_anatomy *a = s->label->anatomy;
    fab_json *row = NULL, *color = NULL;
    FAB_TRY(fab_add_object(list, &row, err));
    FAB_TRY(fab_put_int(row, "value", s->label->value, err));
    FAB_TRY(fab_put_text(row, "name", s->label->name, err));
    FAB_TRY(fab_put_text(row, "display", a ? a->display : s->label->name, err));
    FAB_TRY(put_code(row, a, err));
    FAB_TRY(fab_put_text(row, "tissue", tissues[a ? a->tissue : FAB_TISSUE_OTHER], err));
    FAB_TRY(fab_put_array(row, "rgb", &color, err));
    for (int c = 0; c < 3; c++)
        FAB_TRY(fab_json_append(color, fab_json_int(s->label->rgb[c]), err));
    FAB_TRY(fab_put_int(row, "voxels", s->voxels, err));
    FAB_TRY(fab_put_real(row, "volume_ml", s->volume_ml, 4, err));
    FAB_TRY(fab_put_vector(row, "centroid_mm", s->centroid_mm, 3, 3, err));
    FAB_TRY(fab_put_real(row, "confidence", s->confidence, 4, err));
    FAB_TRY(put_review(row, t, (size_t)(s - t->structures), err));
    return put_mesh(row, t, s, err);
}

static fab_status put_structures(fab_json *m, const fab_twin *t, fab_error *err)
{
    fab_json *list = NULL, *missing = NULL;
    FAB_TRY(fab_put_array(m, "structures", &list, err));
    for (size_t i = 0; i < t->structure_count; i++)
        FAB_TRY(put_structure(list, t, &t->structures[i], err));
    FAB_TRY(fab_put_array(m, "not_found", &missing, err));
    for (size_t i = 0; i < t->found.set.count; i++) {
        bool found = false;
        for (size_t j = 0; j < t->structure_count && !found; j++)
            found = t->structures[j].label->value == t->found.set.items[i].value;
        if (!found) FAB_TRY(fab_add_text(missing, t->found.set.items[i].name, err));
    }
    return FAB_OK;
}

fab_status fab_twin_manifest(fab_twin *t, fab_error *err)
{
    static const char *const skip[] = {"manifest.json", "report.html", NULL};
    FAB_AUTO(fab_json_free) fab_json *m = fab_json_object();
    FAB_AUTO(fab_json_free) fab_json *files = NULL;
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_put_text(m, "format", FAB_CASE_FORMAT, err));
    FAB_TRY(fab_put_int(m, "format_version", FAB_CASE_FORMAT_VERSION, err));
    FAB_TRY(put_software(m, err));
    FAB_TRY(put_input(m, t, err));
    FAB_TRY(put_identifiers(m, t->study, err));
    FAB_TRY(put_geometry(m, t->study, err));
    FAB_TRY(put_segmentation(m, t, err));
    FAB_TRY(put_options(m, t, err));
    FAB_TRY(fab_review_put(m, &t->qa, &t->scan, &t->found.set, err));
    FAB_TRY(put_structures(m, t, err));
    if (fab_json_count(t->measurements))
        FAB_TRY(fab_json_set(m, "measurements", fab_json_retain(t->measurements), err));
    FAB_TRY(fab_json_set(m, "exports", fab_json_retain(t->exports), err));
    FAB_TRY(fab_case_list_files(fab_case_folder(t->writer), skip, &t->job.progress, &files, err));
    FAB_TRY(fab_json_set(m, "files", fab_json_retain(files), err));
    t->manifest = m;
    m = NULL;
    return FAB_OK;
}

fab_status fab_twin_add_run(fab_twin *t, fab_error *err)
{
    fab_json *run = NULL;
    char when[32];
    struct tm utc;
    time_t now = time(NULL);
    FAB_TRY(fab_job_run_json(&t->job, &run, err));
    gmtime_r(&now, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    fab_status status = fab_put_text(run, "finished", when, err);
    if (status < 0) {
        fab_json_free(run);
        return status;
    }
    return fab_json_set(t->manifest, "run", run, err);
}
