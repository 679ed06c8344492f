/* twin.c - the main job: a series in, a complete case out, or nothing. */
#include "network.h"

#include <stdio.h>
#include <string.h>

enum { READ, SEGMENT, CHECK, MESH, DETAIL, MEASURE, WRITE, EXPORT, REPORT, STEP_COUNT };

/* Weights: shares of the CPU time of a 512x512x160 CT with the shipped network. */
static const fab_step_def steps[] = {
    [READ] = {"read", "Reading the series", 6},
    [SEGMENT] = {"segment", "Finding structures", 50},
    [CHECK] = {"check", "Checking plausibility", 2},
    [MESH] = {"mesh", "Building surfaces", 7},
    [DETAIL] = {"detail", "Levels of detail", 12},
    [MEASURE] = {"measure", "Measuring surfaces", 7},
    [WRITE] = {"write", "Writing volume and meshes", 6},
    [EXPORT] = {"export", "Exporting", 6},
    [REPORT] = {"report", "Pictures and report", 4},
};

static void twin_free(fab_twin *t)
{
    t->writer = fab_job_abort_folder(t->o->watch, t->writer);
    fab_json_free(t->manifest);
    fab_json_free(t->exports);
    fab_json_free(t->measurements);
    fab_free(t->reports);
    for (int i = 0; i < FAB_TWIN_LODS; i++) fab_mesh_set_free(&t->lods[i]);
    fab_mesh_set_free(&t->meshes);
    fab_free(t->structures);
    fab_json_free(t->reviewed);
    fab_qa_free(&t->qa);
    fab_segment_result_free(&t->found);
    fab_detail_free(&t->detail);
    if (t->channels) fab_channels_free(t->channels);
    fab_free(t->channels);
    fab_network_free(t->network);
    fab_study_free(t->study);
}

/* Everything that can be refused is refused before any long work starts. */
static fab_status prepare(fab_twin *t, uint32_t *formats, fab_error *err)
{
    const fab_twin_options *o = t->o;
    fab_input_kind kind;
    FAB_TRY(fab_formats_parse(o->formats, formats, err));
    FAB_TRY(fab_input_detect(o->input, &kind, err));
    FAB_TRY(fab_job_begin_folder(o->watch, o->output, "manifest.json", o->replace, &t->writer,
                                 err));
    FAB_TRY(fab_case_keep(t->writer, "lessons", err));
    FAB_TRY(fab_job_enter(&t->job, READ, err));
    FAB_TRY(fab_study_read(o->input, o->series, &t->job, &t->study, err));
    FAB_TRY(fab_study_declare(t->study, o->modality, err));
    if (o->labels) return fab_scan_check(t->study, NULL, false, o->watch, &t->scan, err);
    const fab_network_choice choice = {o->model_folders, o->model, o->precision, !o->no_detail,
                                       !o->no_crop};
    FAB_TRY(fab_network_choose(&choice, t->study, &t->network, err));
    FAB_TRY(fab_scan_check(t->study, t->network, o->force, o->watch, &t->scan, err));
    t->channels = fab_calloc(1, sizeof *t->channels);
    if (!t->channels) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of images");
    return fab_channels_read(t->network, o->input, t->study, o->channels, &t->job, t->channels,
                             err);
}

static fab_status find_structures(fab_twin *t, fab_error *err)
{
    FAB_TRY(fab_job_enter(&t->job, SEGMENT, err));
    FAB_TRY(fab_twin_segment(t, err));
    FAB_TRY(fab_job_enter(&t->job, CHECK, err));
    const fab_review_input review = {&t->found, t->study, &t->scan, t->network};
    FAB_TRY(fab_review_make(&review, &t->job, &t->qa, &t->structures, &t->structure_count, err));
    FAB_TRY(fab_review_rows_json(&t->qa, &t->reviewed, err));
    if (!t->structure_count)
        fab_job_note(t->o->watch, "no structure was found in %s", t->study->name);
    return fab_twin_measure(t, err);
}

static void link_meshes(fab_twin *t)
{
    for (size_t i = 0; i < t->meshes.count; i++)
        for (size_t j = 0; j < t->structure_count; j++)
            if (t->structures[j].label->value == t->meshes.items[i].label) {
                t->structures[j].mesh = &t->meshes.items[i];
                t->structures[j].report = &t->reports[i];
            }
}

/* A value that occurs on the meshing grid alone (a structure thinner than the scan's voxels) has
 * no mask to be measured against: its surface is dropped. */
static void drop_orphans(fab_twin *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->meshes.count; i++) {
        bool known = false;
        for (size_t j = 0; j < t->structure_count && !known; j++)
            known = t->structures[j].label->value == t->meshes.items[i].label;
        if (known) t->meshes.items[kept++] = t->meshes.items[i];
        else fab_mesh_free(&t->meshes.items[i]);
    }
    t->meshes.count = kept;
}

static fab_status build_surfaces(fab_twin *t, fab_error *err)
{
    const fab_volume *fine = t->found.fine_labels ? t->found.fine_labels : t->found.labels;
    FAB_TRY(fab_job_enter(&t->job, MESH, err));
    FAB_TRY(fab_meshes_build(fine, t->found.fine_margin, &t->o->mesh, &t->job, &t->meshes, err));
    drop_orphans(t);
    t->found.fine_margin = fab_volume_unref(t->found.fine_margin);
    FAB_TRY(fab_job_enter(&t->job, DETAIL, err));
    FAB_TRY(fab_meshes_detail(&t->meshes, fab_volume_grid(fine), &t->o->mesh, &t->job, t->lods,
                              err));
    FAB_TRY(fab_job_enter(&t->job, MEASURE, err));
    FAB_TRY(fab_meshes_measure(&t->meshes, fine, &t->job, &t->reports, err));
    link_meshes(t);
    t->found.fine_labels = fab_volume_unref(t->found.fine_labels);
    return FAB_OK;
}

static fab_status write_exports(fab_twin *t, uint32_t formats, fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES], labels[FAB_MAX_PATH_BYTES], frame[65] = "";
    const fab_mesh_set *lods[FAB_TWIN_LODS];
    for (int i = 0; i < FAB_TWIN_LODS; i++) lods[i] = &t->lods[i];
    if (t->study->series && t->study->series->info.frame_of_reference_uid[0]) {
        const char *uid = t->study->series->info.frame_of_reference_uid;
        fab_sha256 h;
        uint8_t digest[32];
        fab_sha256_init(&h);
        fab_sha256_update(&h, uid, strlen(uid));
        fab_sha256_final(&h, digest);
        fab_sha256_hex(digest, frame);
    }
    fab_export_scene scene = {.meshes = &t->meshes, .reports = t->reports, .lods = lods,
                              .lod_count = FAB_TWIN_LODS, .set = &t->found.set,
                              .frame_of_reference_sha256 = frame[0] ? frame : NULL,
                              .source_sha256 = t->study->input_sha256,
                              .generator = FAB_GENERATOR};
    for (int i = 0; i < 3; i++) scene.world_from_patient.m[i][i] = 1;
    fab_output_set outputs = {.scene = &scene, .labels = t->found.labels, .set = &t->found.set,
                              .series = t->study->series,
                              .algorithm_name = t->network ? fab_network_name(t->network)
                                                           : NULL,
                              .algorithm_version =
                                  t->network ? fab_network_version(t->network) : NULL,
                              .origin_sha256 =
                                  t->network ? fab_network_weights_sha256(t->network)
                                             : t->labels_sha256,
                              .structures = t->reviewed, .labels_file = labels};
    FAB_TRY(fab_path_join(labels, sizeof labels, fab_case_folder(t->writer), "labels.nii.gz",
                          err));
    FAB_TRY(fab_path_join(folder, sizeof folder, fab_case_folder(t->writer), "export", err));
    FAB_TRY(fab_path_make_subfolder(folder, err));
    t->exports = fab_json_array();
    if (!t->exports) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    return fab_outputs_write(&outputs, formats, folder, "export/", &t->job, t->exports, err);
}

static fab_status save_preview(const fab_twin *t, const fab_pictures *p, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO_BUF fab_buf png = {0};
    FAB_TRY(fab_path_join(path, sizeof path, fab_case_folder(t->writer), "preview.png", err));
    FAB_TRY(fab_image_encode_png(&p->preview, &png, err));
    return fab_file_write_atomic(path, png.data, png.size, err);
}

static fab_status write_report(fab_twin *t, const fab_pictures *p, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    const char *folder = fab_case_folder(t->writer);
    FAB_TRY(save_preview(t, p, err));
    FAB_TRY(fab_twin_manifest(t, err));
    fab_job_finish(&t->job);
    FAB_TRY(fab_twin_add_run(t, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "report.html", err));
    FAB_TRY(fab_report_write(t, p, path, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "manifest.json", err));
    return fab_json_save_file(t->manifest, path, err);
}

static fab_status run(fab_twin *t, fab_error *err)
{
    uint32_t formats = 0;
    fab_pictures pictures = {0};
    FAB_TRY(prepare(t, &formats, err));
    FAB_TRY(find_structures(t, err));
    FAB_TRY(build_surfaces(t, err));
    FAB_TRY(fab_job_enter(&t->job, WRITE, err));
    FAB_TRY(fab_twin_write(t, err));
    FAB_TRY(fab_job_enter(&t->job, EXPORT, err));
    FAB_TRY(write_exports(t, formats, err));
    FAB_TRY(fab_job_enter(&t->job, REPORT, err));
    FAB_TRY(fab_job_part(&t->job, 0, 2, err));
    FAB_TRY(fab_pictures_make(t, &pictures, err));
    fab_status status = fab_job_part(&t->job, 1, 2, err);
    if (status == FAB_OK) status = write_report(t, &pictures, err);
    fab_pictures_free(&pictures);
    FAB_TRY(status);
    if (fab_progress_cancelled(&t->job.progress))
        FAB_FAIL(err, FAB_ERR_CANCELLED, "stopped before the case was complete");
    return fab_job_commit_folder(t->o->watch, &t->writer, err);
}

fab_status fab_job_twin(const fab_twin_options *o, fab_json **manifest, fab_error *err)
{
    fab_twin t = {.o = o};
    fab_job_start(&t.job, o->watch, steps, STEP_COUNT);
    fab_status status = run(&t, err);
    if (status == FAB_OK && manifest) {
        *manifest = t.manifest;
        t.manifest = NULL;
    }
    twin_free(&t);
    return status;
}
