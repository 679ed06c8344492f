/* outputs.c - the files of export/: one table row a format, whoever asks for them. */
#include "pipeline_internal.h"

#include <stdio.h>
#include <string.h>

#include "fabrica/nifti.h"

typedef struct output_row {
    const char *name;     /* on the command line */
    const char *exporter; /* of fab_export_find, NULL for the two below */
    const char *path;     /* in export/; a folder for formats with one file a structure */
    const char *description;
} output_row;

static const output_row rows[] = {
    {"glb", "glb", "twin.glb", "glTF 2.0 binary, full detail"},
    {"glb-headset", "glb-headset", "twin.headset.glb", "glTF 2.0 for a headset: compressed, LODs"},
    {"stl", "stl", "stl", "binary STL, one file a structure (mm, LPS)"},
    {"obj", "obj", "twin.obj", "Wavefront OBJ with its MTL (mm, LPS)"},
    {"ply", "ply", "ply", "binary PLY, one file a structure (mm, LPS)"},
    {"3mf", "3mf", "twin.3mf", "3MF for printing, one object a structure (mm)"},
    {"nifti", NULL, "labels.nii.gz", "label map as NIfTI with its table"},
    {"seg", NULL, "seg.dcm", "DICOM segmentation of the source series"},
};

static const char labels_description[] = FAB_GENERATOR " labels";

enum { ROW_COUNT = sizeof rows / sizeof *rows, ROW_NIFTI = 6, ROW_SEG = 7 };

static fab_status parse_one(const char *name, size_t length, uint32_t *mask, fab_error *err)
{
    char known[200] = "";
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0) {
            *mask |= 1u << i;
            return FAB_OK;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", rows[i].name);
    }
    FAB_FAIL(err, FAB_ERR_ARG, "no export format is called \"%.*s\"; there are %s", (int)length,
             name, known);
}

fab_status fab_formats_parse(const char *list, uint32_t *mask, fab_error *err)
{
    uint32_t found = 0;
    for (const char *at = list; at && *at;) {
        size_t length = strcspn(at, ",");
        if (length) FAB_TRY(parse_one(at, length, &found, err));
        at += length + (at[length] == ',');
    }
    if (list && !found) FAB_FAIL(err, FAB_ERR_ARG, "no export format is named");
    *mask = list ? found : (1u << ROW_COUNT) - 1;
    return FAB_OK;
}

fab_status fab_job_export_formats(fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *list = fab_json_array();
    for (size_t i = 0; i < ROW_COUNT; i++) {
        fab_json *row = NULL;
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_text(row, "name", rows[i].name, err));
        FAB_TRY(fab_put_text(row, "description", rows[i].description, err));
        FAB_TRY(fab_put_text(row, "file", rows[i].path, err));
    }
    *out = list;
    list = NULL;
    return FAB_OK;
}

static fab_status save_table(const fab_label_set *set, const char *folder, const char *name,
                             fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *table = NULL;
    FAB_TRY(fab_path_join(path, sizeof path, folder, name, err));
    FAB_TRY(fab_label_set_to_json(set, &table, err));
    return fab_json_save_file(table, path, err);
}

static void hash_label_set(fab_sha256 *h, const fab_label_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        const fab_label *l = &set->items[i];
        uint8_t number[4] = {(uint8_t)(l->value >> 8), l->rgb[0], l->rgb[1], l->rgb[2]};
        uint8_t low = (uint8_t)l->value;
        fab_sha256_update(h, number, sizeof number);
        fab_sha256_update(h, &low, 1);
        fab_sha256_update(h, l->name, strlen(l->name) + 1);
    }
}

/* What a segmentation object's UIDs follow from: the series, who segmented it, and every voxel
 * and name in it. The same segmentation gets the same UIDs, any other one different ones. */
static void seg_seed(const fab_output_set *s, char hex[65])
{
    const char *const texts[] = {s->series->info.series_uid, s->series->input_sha256,
                                 s->algorithm_name, s->algorithm_version, s->origin_sha256};
    int64_t voxels = fab_grid_voxels(fab_volume_grid(s->labels));
    fab_sha256 h;
    uint8_t digest[32];
    fab_sha256_init(&h);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i]) fab_sha256_update(&h, texts[i], strlen(texts[i]) + 1);
    hash_label_set(&h, s->set);
    fab_sha256_update(&h, fab_volume_data(s->labels),
                      (size_t)voxels * fab_dtype_bytes(fab_volume_dtype(s->labels)));
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, hex);
}

/* What is known about a segment, for whoever opens the object elsewhere. */
static void describe_segment(const void *ctx, int value, char *into, size_t capacity)
{
    const fab_json *list = ctx;
    into[0] = 0;
    for (size_t i = 0; i < fab_json_count(list); i++) {
        const fab_json *row = fab_json_at(list, i);
        if ((int)fab_json_number(fab_json_find(row, "value")) != value) continue;
        fab_review_describe(row, into, capacity);
        return;
    }
}

static fab_status write_seg(const fab_output_set *s, const char *path, fab_error *err)
{
    char seed[65];
    seg_seed(s, seed);
    fab_seg_write how = {.algorithm_name = s->algorithm_name,
                         .algorithm_version = s->algorithm_version,
                         .series_description = "Fabrica segmentation",
                         .uid_seed = seed,
                         .content_label = "FABRICA",
                         .describe = s->structures ? describe_segment : NULL,
                         .describe_ctx = s->structures};
    return fab_dicom_write_seg(s->series, s->labels, s->set, &how, path, err);
}

static fab_status copy_file(const char *from, const char *to, fab_error *err)
{
    fab_reader r;
    size_t count = 0;
    FAB_AUTO_FREE uint8_t *bytes = NULL;
    FAB_TRY(fab_reader_open_file(from, &r, err));
    fab_status status = fab_reader_read_all(&r, SIZE_MAX, &bytes, &count, err);
    fab_reader_close(&r);
    FAB_TRY(status);
    return fab_file_write_atomic(to, bytes, count, err);
}

static fab_status write_labels(const fab_output_set *s, const char *path, fab_error *err)
{
    if (s->labels_file) return copy_file(s->labels_file, path, err);
    return fab_nifti_write(s->labels, path, labels_description, err);
}

static fab_status write_row(const fab_output_set *s, size_t index, const char *folder,
                            fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(path, sizeof path, folder, rows[index].path, err));
    if (index == ROW_NIFTI) {
        FAB_TRY(write_labels(s, path, err));
        return save_table(s->set, folder, "labels.json", err);
    }
    if (index == ROW_SEG) return write_seg(s, path, err);
    const fab_export_format *format = fab_export_find(rows[index].exporter);
    if (!format)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "this build cannot write %s", rows[index].name);
    if (format->per_structure) FAB_TRY(fab_path_make_subfolder(path, err));
    return format->write(s->scene, path, err);
}

static bool has_no_voxel(const fab_volume *labels)
{
    double low = 0, high = 0;
    fab_volume_minmax(labels, &low, &high);
    return high <= 0;
}

/* SEG refers to the source frames, so it needs a DICOM series whose own grid the labels are on,
 * and at least one segment. */
static const char *cannot(const fab_output_set *s, size_t index)
{
    if (index == ROW_SEG && !s->series) return "the input is not DICOM";
    if (index == ROW_SEG && s->series->resampled) return "the series was resampled";
    if (index == ROW_SEG && has_no_voxel(s->labels)) return "no structure was found";
    if (index < ROW_NIFTI && (!s->scene || !s->scene->meshes || !s->scene->meshes->count))
        return "no structure was found";
    return NULL;
}

fab_status fab_outputs_write(const fab_output_set *s, uint32_t mask, const char *folder,
                             const char *prefix, fab_job *job, fab_json *list, fab_error *err)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char path[FAB_MAX_PATH_BYTES];
        fab_json *row = NULL;
        FAB_TRY(fab_job_part(job, i, ROW_COUNT, err));
        if (!(mask & 1u << i)) continue;
        const char *why = cannot(s, i);
        if (why) {
            fab_job_note(job->watch, "%s is not written: %s", rows[i].path, why);
            continue;
        }
        FAB_TRY(write_row(s, i, folder, err));
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_text(row, "format", rows[i].name, err));
        snprintf(path, sizeof path, "%s%s", prefix, rows[i].path);
        FAB_TRY(fab_put_text(row, "path", path, err));
    }
    return FAB_OK;
}

/* ---- the parts of a case that are not exports ------------------------------------------- */

static fab_status save_mesh(const fab_twin *t, const fab_mesh *mesh, const char *folder,
                            fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES], name[FAB_MAX_NAME_BYTES + 8];
    for (size_t i = 0; i < t->structure_count; i++) {
        if (t->structures[i].label->value != mesh->label) continue;
        snprintf(name, sizeof name, "%s.ply", t->structures[i].file_name);
        FAB_TRY(fab_path_join(path, sizeof path, folder, name, err));
        return fab_case_mesh_save(mesh, path, err);
    }
    FAB_FAIL(err, FAB_ERR_ARG, "a mesh has label %d, which no structure has", mesh->label);
}

static fab_status save_meshes(fab_twin *t, const fab_mesh_set *set, const char *name,
                              fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(folder, sizeof folder, fab_case_folder(t->writer), name, err));
    FAB_TRY(fab_path_make_subfolder(folder, err));
    for (size_t i = 0; i < set->count; i++) {
        FAB_TRY(fab_progress_step(&t->job.progress, "meshes", (double)i / (double)set->count, err));
        FAB_TRY(save_mesh(t, &set->items[i], folder, err));
    }
    return FAB_OK;
}

fab_status fab_twin_write(fab_twin *t, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES], name[32];
    const char *folder = fab_case_folder(t->writer);
    FAB_TRY(fab_job_part(&t->job, 0, 4, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "volume.nii.gz", err));
    FAB_TRY(fab_nifti_write(t->study->volume, path, FAB_GENERATOR " volume", err));
    FAB_TRY(fab_job_part(&t->job, 1, 4, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "labels.nii.gz", err));
    FAB_TRY(fab_nifti_write(t->found.labels, path, labels_description, err));
    FAB_TRY(save_table(&t->found.set, folder, "labels.json", err));
    if (t->detail.parts) {
        FAB_TRY(fab_path_join(path, sizeof path, folder, FAB_TWIN_PARTS ".nii.gz", err));
        FAB_TRY(fab_nifti_write(t->detail.parts, path, FAB_GENERATOR " spine parts", err));
        FAB_TRY(save_table(&t->detail.set, folder, FAB_TWIN_PARTS ".json", err));
    }
    FAB_TRY(fab_job_part(&t->job, 2, 4, err));
    FAB_TRY(save_meshes(t, &t->meshes, "meshes", err));
    FAB_TRY(fab_job_part(&t->job, 3, 4, err));
    for (int level = 0; level < FAB_TWIN_LODS; level++) {
        snprintf(name, sizeof name, "meshes/lod%d", level + 1);
        FAB_TRY(save_meshes(t, &t->lods[level], name, err));
    }
    return FAB_OK;
}
