/* phantom_job.c - a synthetic patient on disk: a DICOM series and the truth about it. */
#include "pipeline_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fabrica/nifti.h"

enum { MAKE, WRITE, STEP_COUNT };

static const fab_step_def steps[] = {
    [MAKE] = {"phantom", "Shaping the patient", 70},
    [WRITE] = {"write", "Writing DICOM and truth", 30},
};

/* Dates are the phantom's own, fixed: the same options give the same bytes on any day. */
static const int study_year = 2025;

/* Same options, same UIDs; a UID never names two images, not even those of two versions of the
 * phantom: every option, and all voxels of image and labels, are in its seed. */
static void uid_seed(const fab_phantom_options *o, const fab_phantom *p, char hex[65])
{
    char text[FAB_PHANTOM_TEXT_BYTES];
    uint8_t digest[32];
    fab_sha256 hash;
    fab_phantom_options_text(o, text);
    fab_sha256_init(&hash);
    fab_sha256_update(&hash, text, strlen(text));
    fab_sha256_update(&hash, fab_volume_data(p->image), fab_volume_bytes(p->image));
    fab_sha256_update(&hash, fab_volume_data(p->labels), fab_volume_bytes(p->labels));
    fab_sha256_final(&hash, digest);
    fab_sha256_hex(digest, hex);
}

static fab_status write_series(const fab_phantom_options *o, const fab_phantom *p,
                               const char *folder, fab_error *err)
{
    char id[40], name[48], born[16], seed[65], path[FAB_MAX_PATH_BYTES];
    bool ct = o->modality == FAB_PHANTOM_CT;
    snprintf(id, sizeof id, "PHANTOM-%llu", (unsigned long long)o->seed);
    snprintf(name, sizeof name, "Phantom^Seed %llu", (unsigned long long)o->seed);
    snprintf(born, sizeof born, "%04d0101", study_year - (int)floor(o->age_years));
    uid_seed(o, p, seed);
    static const char *const series[] = {"Torso CT (synthetic)", "Torso T1 (synthetic)",
                                         "Torso T2 (synthetic)"};
    fab_series_write how = {.modality = ct ? "CT" : "MR", .patient_id = id, .patient_name = name,
                            .patient_sex = o->female ? "F" : "M", .patient_birth_date = born,
                            .study_description = "Synthetic patient",
                            .series_description = series[o->modality],
                            .study_date = "20250601", .study_time = "120000",
                            .manufacturer = "Fabrica phantom", .uid_seed = seed,
                            .series_number = 1 + (int)o->modality,
                            .slice_thickness_mm = o->slice_thickness_mm};
    FAB_TRY(fab_path_join(path, sizeof path, folder, "dicom", err));
    FAB_TRY(fab_path_make_folder(path, err));
    return fab_dicom_write_series(p->image, &how, path, err);
}

static fab_status write_truth(const fab_phantom *p, const char *folder, fab_error *err)
{
    char truth[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *table = NULL;
    FAB_TRY(fab_path_join(truth, sizeof truth, folder, "truth", err));
    FAB_TRY(fab_path_make_folder(truth, err));
    FAB_TRY(fab_path_join(path, sizeof path, truth, "labels.nii.gz", err));
    FAB_TRY(fab_nifti_write(p->labels, path, FAB_GENERATOR " phantom truth", err));
    FAB_TRY(fab_label_set_to_json(&p->set, &table, err));
    FAB_TRY(fab_path_join(path, sizeof path, truth, "labels.json", err));
    FAB_TRY(fab_json_save_file(table, path, err));
    FAB_TRY(fab_path_join(path, sizeof path, truth, "truth.json", err));
    return fab_json_save_file(p->truth, path, err);
}

static fab_status summarise(const fab_phantom_job *o, const fab_phantom *p, fab_json *s,
                            fab_error *err)
{
    FAB_TRY(fab_put_text(s, "output", o->output, err));
    FAB_TRY(fab_put_int(s, "structures", (int64_t)p->set.count, err));
    return fab_put_grid(s, "grid", fab_volume_grid(p->image), err);
}

static fab_status make_into(const fab_phantom_job *o, fab_job *job, fab_case_writer **writer,
                            fab_phantom *p, fab_json *summary, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_case_begin_folder(o->output, "phantom.json", o->replace, writer, err));
    fab_job_scratch(o->watch, fab_case_folder(*writer), true);
    FAB_TRY(fab_job_enter(job, MAKE, err));
    fab_phantom_options options = o->phantom;
    options.progress = &job->progress;
    FAB_TRY(fab_phantom_make(&options, p, err));
    FAB_TRY(fab_job_enter(job, WRITE, err));
    FAB_TRY(write_series(&options, p, fab_case_folder(*writer), err));
    FAB_TRY(fab_progress_step(&job->progress, "write", 0.7, err));
    FAB_TRY(write_truth(p, fab_case_folder(*writer), err));
    FAB_TRY(summarise(o, p, summary, err));
    FAB_TRY(fab_path_join(path, sizeof path, fab_case_folder(*writer), "phantom.json", err));
    FAB_TRY(fab_json_save_file(fab_json_find(summary, "grid"), path, err));
    FAB_TRY(fab_progress_step(&job->progress, "write", 1, err));
    return fab_case_commit(writer, err);
}

fab_status fab_job_phantom(const fab_phantom_job *o, fab_json **summary, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *s = fab_json_object();
    fab_phantom p = {0};
    fab_case_writer *writer = NULL;
    fab_job job;
    fab_job_start(&job, o->watch, steps, STEP_COUNT);
    fab_status status = make_into(o, &job, &writer, &p, s, err);
    if (writer) fab_job_scratch(o->watch, fab_case_folder(writer), false);
    fab_case_abort(writer);
    fab_phantom_free(&p);
    FAB_TRY(status);
    fab_job_finish(&job);
    *summary = s;
    s = NULL;
    return FAB_OK;
}
