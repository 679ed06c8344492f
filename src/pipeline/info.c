/* info.c - what is in a folder, archive or file, as JSON: patients, studies, series, the geometry
 * verdict of each series and why one would be refused. */
#include "pipeline_internal.h"

#include <stdio.h>
#include <string.h>

#include "fabrica/nifti.h"

enum { MAX_REJECTED_LISTED = 200 };

static fab_status put_series(fab_json *o, const fab_series_info *s, size_t number, fab_error *err)
{
    FAB_TRY(fab_put_int(o, "number", (int64_t)number, err));
    FAB_TRY(fab_put_text(o, "series_uid", s->series_uid, err));
    FAB_TRY(fab_put_text(o, "modality", s->modality, err));
    FAB_TRY(fab_put_text(o, "description", s->series_description, err));
    FAB_TRY(fab_put_int(o, "series_number", s->series_number, err));
    FAB_TRY(fab_put_text(o, "body_part", s->body_part, err));
    FAB_TRY(fab_put_text(o, "kernel", s->kernel, err));
    FAB_TRY(fab_put_text(o, "manufacturer", s->manufacturer, err));
    FAB_TRY(fab_put_int(o, "files", s->files, err));
    FAB_TRY(fab_put_int(o, "frames", s->frames, err));
    FAB_TRY(fab_put_int(o, "columns", s->columns, err));
    FAB_TRY(fab_put_int(o, "rows", s->rows, err));
    FAB_TRY(fab_put_vector(o, "spacing_mm", s->spacing_mm, 3, 4, err));
    FAB_TRY(fab_put_real(o, "slice_thickness_mm", s->slice_thickness_mm, 4, err));
    FAB_TRY(fab_put_text(o, "orientation", s->orientation, err));
    FAB_TRY(fab_put_text(o, "transfer_syntax", s->transfer_syntax, err));
    FAB_TRY(fab_put_text(o, "verdict", fab_geometry_verdict_name(s->verdict), err));
    FAB_TRY(fab_put_bool(o, "usable", fab_geometry_verdict_usable(s->verdict), err));
    FAB_TRY(fab_put_text(o, "verdict_text", s->verdict_text, err));
    return fab_put_text(o, "repairs", s->repairs, err);
}

static fab_json *find_row(fab_json *array, const char *key, const char *value)
{
    for (size_t i = 0; i < fab_json_count(array); i++) {
        const fab_json *row = fab_json_at(array, i);
        const char *text = fab_json_text(fab_json_find(row, key));
        if (text && strcmp(text, value) == 0) return (fab_json *)(uintptr_t)row;
    }
    return NULL;
}

static fab_json *child_array(fab_json *o, const char *key)
{
    return (fab_json *)(uintptr_t)fab_json_find(o, key);
}

static fab_status add_series(fab_json *patients, const fab_series_info *s, size_t number,
                             fab_error *err)
{
    fab_json *patient = find_row(patients, "id", s->patient_id), *studies = NULL, *list = NULL;
    if (!patient) {
        FAB_TRY(fab_add_object(patients, &patient, err));
        FAB_TRY(fab_put_text(patient, "id", s->patient_id, err));
        FAB_TRY(fab_put_text(patient, "name", s->patient_name, err));
        FAB_TRY(fab_put_text(patient, "sex", s->patient_sex, err));
        FAB_TRY(fab_put_text(patient, "birth_date", s->patient_birth_date, err));
        FAB_TRY(fab_put_array(patient, "studies", &studies, err));
    }
    studies = child_array(patient, "studies");
    fab_json *study = find_row(studies, "study_uid", s->study_uid), *row = NULL;
    if (!study) {
        FAB_TRY(fab_add_object(studies, &study, err));
        FAB_TRY(fab_put_text(study, "study_uid", s->study_uid, err));
        FAB_TRY(fab_put_text(study, "date", s->study_date, err));
        FAB_TRY(fab_put_text(study, "description", s->study_description, err));
        FAB_TRY(fab_put_array(study, "series", &list, err));
    }
    list = child_array(study, "series");
    FAB_TRY(fab_add_object(list, &row, err));
    return put_series(row, s, number, err);
}

static fab_status put_rejected(fab_json *o, const fab_dicom_scan *scan, fab_error *err)
{
    fab_json *list = NULL;
    size_t count = fab_dicom_scan_rejected_count(scan);
    FAB_TRY(fab_put_int(o, "rejected_count", (int64_t)count, err));
    FAB_TRY(fab_put_array(o, "rejected", &list, err));
    for (size_t i = 0; i < count && i < MAX_REJECTED_LISTED; i++) {
        const char *path = NULL, *reason = NULL;
        fab_json *row = NULL;
        fab_dicom_scan_rejected(scan, i, &path, &reason);
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_text(row, "path", path, err));
        FAB_TRY(fab_put_text(row, "reason", reason, err));
    }
    return FAB_OK;
}

static fab_status put_scan(fab_json *o, const fab_dicom_scan *scan, fab_error *err)
{
    fab_json *patients = NULL;
    fab_error why = {0};
    size_t picked = 0;
    FAB_TRY(fab_put_array(o, "patients", &patients, err));
    for (size_t i = 0; i < fab_dicom_scan_series_count(scan); i++)
        FAB_TRY(add_series(patients, fab_dicom_scan_series(scan, i), i + 1, err));
    FAB_TRY(put_rejected(o, scan, err));
    bool found = fab_dicom_scan_pick(scan, &picked, &why) == FAB_OK;
    FAB_TRY(fab_json_set(o, "picked", found ? fab_json_int((int64_t)picked + 1) : fab_json_null(),
                         err));
    const char *reason = !found ? why.message
                         : fab_json_count(patients) > 1
                             ? "several patients: twin and segment ask for --series"
                             : "the usable CT or MR series with most slices";
    return fab_put_text(o, "pick_reason", reason, err);
}

static fab_status info_dicom(const char *path, fab_job *job, fab_json *o, fab_error *err)
{
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    char scratch[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_input_open_scan(path, job->watch, &job->progress, &scan, scratch, sizeof scratch,
                                err));
    fab_status status = put_scan(o, scan, err);
    if (scratch[0]) {
        (void)fab_path_remove_tree(scratch, NULL);
        fab_job_scratch(job->watch, scratch, false);
    }
    return status;
}

static fab_status info_file(const char *path, fab_input_kind kind, fab_json *o, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    char notes[1024] = "";
    fab_json *volume = NULL;
    double low = 0, high = 0;
    FAB_TRY((kind == FAB_INPUT_NRRD ? fab_nrrd_read : fab_nifti_read)(path, &v, notes,
                                                                      sizeof notes, err));
    fab_volume_minmax(v, &low, &high);
    FAB_TRY(fab_put_object(o, "volume", &volume, err));
    FAB_TRY(fab_put_grid(volume, "grid", fab_volume_grid(v), err));
    FAB_TRY(fab_put_text(volume, "type", fab_dtype_name(fab_volume_dtype(v)), err));
    FAB_TRY(fab_put_real(volume, "lowest", low, 4, err));
    FAB_TRY(fab_put_real(volume, "highest", high, 4, err));
    return fab_put_text(volume, "notes", notes, err);
}

fab_status fab_job_info(const char *path, const fab_job_watch *watch, fab_json **out,
                        fab_error *err)
{
    static const fab_step_def steps[] = {{"read", "Reading headers", 1}};
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    fab_input_kind kind;
    fab_job job;
    fab_job_start(&job, watch, steps, 1);
    FAB_TRY(fab_job_enter(&job, 0, err));
    FAB_TRY(fab_input_detect(path, &kind, err));
    FAB_TRY(fab_put_text(o, "input", path, err));
    FAB_TRY(fab_put_text(o, "kind", fab_input_kind_name(kind), err));
    if (kind == FAB_INPUT_NIFTI || kind == FAB_INPUT_NRRD)
        FAB_TRY(info_file(path, kind, o, err));
    else FAB_TRY(info_dicom(path, &job, o, err));
    fab_job_finish(&job);
    *out = o;
    o = NULL;
    return FAB_OK;
}
