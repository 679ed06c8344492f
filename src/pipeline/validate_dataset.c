/* validate_dataset.c - a folder of labelled cases in one of the layouts in use, recognised by what
 * is in it:
 *
 *     dataset.json or cases.json with "format": "fabrica-dataset" (docs/formats/dossier.md)
 *     nnU-Net          dataset.json, imagesTs + labelsTs, else imagesTr + labelsTr
 *     TotalSegmentator CASE/ct.nii.gz (or mri.nii.gz) + CASE/segmentations/STRUCTURE.nii.gz
 *     VerSe            .../X_ct.nii.gz + .../X_seg-vert_msk.nii.gz, in any folders below
 */
#include "validate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *fab_layout_name(fab_layout layout)
{
    static const char *const names[] = {
        [FAB_LAYOUT_MANIFEST] = "fabrica-dataset", [FAB_LAYOUT_NNUNET] = "nnU-Net",
        [FAB_LAYOUT_TOTALSEGMENTATOR] = "TotalSegmentator", [FAB_LAYOUT_VERSE] = "VerSe"};
    return names[layout];
}

static void free_case(fab_val_case *c)
{
    char *all[] = {c->name, c->image, c->labels, c->table, c->series};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) fab_free(all[i]);
}

void fab_dataset_close(fab_dataset *d)
{
    for (size_t i = 0; i < d->count; i++) free_case(&d->cases[i]);
    fab_free(d->cases);
    fab_label_set_free(&d->names);
    fab_json_free(d->json);
    *d = (fab_dataset){0};
}

static bool present(const char *path) { return access(path, F_OK) == 0; }

/* Texts are copied; NULL stays NULL. */
static fab_status add_case(fab_dataset *d, const fab_val_case *from, fab_error *err)
{
    if (d->count >= FAB_MAX_CASES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: more than %d cases", d->folder, FAB_MAX_CASES);
    fab_val_case *grown = fab_realloc(d->cases, (d->count + 1) * sizeof *grown);
    if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of cases");
    d->cases = grown;
    fab_val_case made = {.labelled = from->labelled};
    const char *texts[] = {from->name, from->image, from->labels, from->table, from->series};
    char **to[] = {&made.name, &made.image, &made.labels, &made.table, &made.series};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        if (!texts[i]) continue;
        *to[i] = fab_strdup(texts[i]);
        if (*to[i]) continue;
        free_case(&made);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of cases");
    }
    d->cases[d->count++] = made;
    return FAB_OK;
}

static void take_text(const fab_json *o, const char *key, char *into, size_t capacity)
{
    const char *text = fab_json_text(fab_json_find(o, key));
    if (text) snprintf(into, capacity, "%s", text);
}

static void take_facts(fab_dataset *d)
{
    take_text(d->json, "name", d->name, sizeof d->name);
    take_text(d->json, "licence", d->license, sizeof d->license);
    take_text(d->json, "license", d->license, sizeof d->license);
    take_text(d->json, "description", d->notes, sizeof d->notes);
    take_text(d->json, "notes", d->notes, sizeof d->notes);
}

/* {"liver": 5} or {"5": "liver"} */
static fab_status take_names(fab_dataset *d, const fab_json *table, const char *path,
                             fab_error *err)
{
    void *cursor = NULL;
    const char *key = NULL;
    const fab_json *value = NULL;
    while (fab_json_next(table, &cursor, &key, &value)) {
        const char *name = fab_json_text(value) ? fab_json_text(value) : key, *end = key;
        double number = fab_json_number(value);
        if (fab_json_is_array(value))
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: \"%.60s\" is a region (a list of values); "
                     "regions need a mapping, see docs/formats/dossier.md", path, key);
        if (fab_json_text(value)) number = strtod(key, (char **)&end);
        if (fab_json_text(value) ? (end == key || *end) : !fab_json_is_number(value)) number = -1;
        if (!(number >= 0 && number <= FAB_MAX_LABELS) || number != floor(number))
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: \"%.60s\" is neither a label value nor a name with "
                     "one", path, key);
        if (number > 0) FAB_TRY(fab_label_set_add(&d->names, (int)number, name, err));
    }
    return FAB_OK;
}

/* ---- our own manifest --------------------------------------------------------------------- */

static const char *optional_path(const fab_dataset *d, const fab_json *row, const char *key,
                                 char into[FAB_MAX_PATH_BYTES])
{
    const char *text = fab_json_text(fab_json_find(row, key));
    if (!text) return NULL;
    if (text[0] == '/') snprintf(into, FAB_MAX_PATH_BYTES, "%s", text);
    else if (fab_path_join(into, FAB_MAX_PATH_BYTES, d->folder, text, NULL) < 0) return NULL;
    return into;
}

static fab_status manifest_case(fab_dataset *d, const fab_json *row, fab_error *err)
{
    char image[FAB_MAX_PATH_BYTES], labels[FAB_MAX_PATH_BYTES], table[FAB_MAX_PATH_BYTES];
    const char *given = NULL, *name = NULL;
    FAB_TRY(fab_json_get_string(row, "name", &name, err));
    FAB_TRY(fab_json_get_string(row, "image", &given, err));
    const fab_json *labelled = fab_json_find(row, "labelled");
    if (labelled && !fab_json_is_array(labelled))
        FAB_FAIL(err, FAB_ERR_FORMAT, "case %.60s: \"labelled\" is a list of names", name);
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->cases[i].name, name) == 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "two cases are called \"%.80s\"", name);
    const fab_val_case c = {.name = (char *)name,
                            .image = (char *)optional_path(d, row, "image", image),
                            .labels = (char *)optional_path(d, row, "labels", labels),
                            .table = (char *)optional_path(d, row, "table", table),
                            .series = (char *)fab_json_text(fab_json_find(row, "series")),
                            .labelled = labelled};
    if (!c.image) FAB_FAIL(err, FAB_ERR_LIMIT, "case %.60s: the path of its image is too long",
                           name);
    return add_case(d, &c, err);
}

static fab_status open_manifest(fab_dataset *d, const char *path, fab_error *err)
{
    const fab_json *rows = NULL, *table = fab_json_find(d->json, "labels");
    int64_t version = 0;
    d->layout = FAB_LAYOUT_MANIFEST;
    take_facts(d);
    fab_status status = fab_json_get_int(d->json, "format_version", 1, 1, &version, err);
    if (status == FAB_OK) status = fab_json_get_array(d->json, "cases", &rows, err);
    for (size_t i = 0; i < fab_json_count(rows) && status == FAB_OK; i++)
        status = manifest_case(d, fab_json_at(rows, i), err);
    if (status < 0) (void)fab_error_prefix(err, "%s", path);
    FAB_TRY(status);
    d->mapping = fab_json_find(d->json, "structures");
    if (d->mapping && !fab_json_is_array(d->mapping))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: \"structures\" is a list of rows", path);
    return fab_json_is_object(table) ? take_names(d, table, path, err) : FAB_OK;
}

/* ---- nnU-Net ------------------------------------------------------------------------------ */

static fab_status nnunet_split(fab_dataset *d, const char *split, fab_error *err)
{
    __attribute__((cleanup(fab_text_list_free))) fab_text_list files = {0};
    char images[FAB_MAX_PATH_BYTES], truths[FAB_MAX_PATH_BYTES], name[64];
    snprintf(name, sizeof name, "images%s", split);
    FAB_TRY(fab_path_join(images, sizeof images, d->folder, name, err));
    snprintf(name, sizeof name, "labels%s", split);
    FAB_TRY(fab_path_join(truths, sizeof truths, d->folder, name, err));
    FAB_TRY(fab_folder_list(images, &files, err));
    for (size_t i = 0; i < files.count; i++) {
        char image[FAB_MAX_PATH_BYTES], truth[FAB_MAX_PATH_BYTES], id[256], file[300];
        size_t stem = fab_volume_stem(files.items[i]);
        if (stem < 6 || stem - 5 >= sizeof id ||
            strncmp(files.items[i] + stem - 5, "_0000", 5) != 0)
            continue;
        snprintf(id, sizeof id, "%.*s", (int)(stem - 5), files.items[i]);
        snprintf(file, sizeof file, "%s%.20s", id, files.items[i] + stem);
        FAB_TRY(fab_path_join(image, sizeof image, images, files.items[i], err));
        FAB_TRY(fab_path_join(truth, sizeof truth, truths, file, err));
        const fab_val_case c = {.name = id, .image = image,
                                .labels = present(truth) ? truth : NULL};
        FAB_TRY(add_case(d, &c, err));
    }
    return FAB_OK;
}

static bool has_folder(const fab_dataset *d, const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    return fab_path_join(path, sizeof path, d->folder, name, NULL) == FAB_OK &&
           fab_is_folder(path);
}

static fab_status open_nnunet(fab_dataset *d, const char *path, fab_error *err)
{
    const fab_json *labels = NULL;
    d->layout = FAB_LAYOUT_NNUNET;
    take_facts(d);
    fab_status status = fab_json_get_object(d->json, "labels", &labels, err);
    if (status < 0) (void)fab_error_prefix(err, "%s", path);
    FAB_TRY(status);
    FAB_TRY(take_names(d, labels, path, err));
    bool test = has_folder(d, "imagesTs") && has_folder(d, "labelsTs");
    if (test || !has_folder(d, "imagesTr")) return nnunet_split(d, "Ts", err);
    return nnunet_split(d, "Tr", err);
}

static fab_status open_json(fab_dataset *d, fab_error *err)
{
    static const char *const files[] = {"dataset.json", "cases.json"};
    char path[FAB_MAX_PATH_BYTES];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        FAB_TRY(fab_path_join(path, sizeof path, d->folder, files[i], err));
        if (!present(path)) continue;
        FAB_TRY(fab_json_load_file(path, &d->json, err));
        const char *format = fab_json_text(fab_json_find(d->json, "format"));
        if (format && strcmp(format, "fabrica-dataset") == 0) return open_manifest(d, path, err);
        if (has_folder(d, "imagesTs") || has_folder(d, "imagesTr"))
            return open_nnunet(d, path, err);
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: neither \"format\": \"fabrica-dataset\" nor beside it "
                 "imagesTs or imagesTr, as nnU-Net has them", path);
    }
    return FAB_OK;
}

/* ---- TotalSegmentator --------------------------------------------------------------------- */

static fab_status totalsegmentator_case(fab_dataset *d, const char *folder, const char *name,
                                        fab_error *err)
{
    static const char *const images[] = {"ct.nii.gz", "mri.nii.gz", "ct.nii", "mri.nii"};
    char image[FAB_MAX_PATH_BYTES], truth[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(truth, sizeof truth, folder, "segmentations", err));
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        FAB_TRY(fab_path_join(image, sizeof image, folder, images[i], err));
        if (!present(image)) continue;
        const fab_val_case c = {.name = (char *)name, .image = image,
                                .labels = fab_is_folder(truth) ? truth : NULL};
        return add_case(d, &c, err);
    }
    return FAB_OK;
}

static fab_status open_totalsegmentator(fab_dataset *d, fab_error *err)
{
    __attribute__((cleanup(fab_text_list_free))) fab_text_list names = {0};
    bool truth = false;
    d->layout = FAB_LAYOUT_TOTALSEGMENTATOR;
    FAB_TRY(fab_folder_list(d->folder, &names, err));
    for (size_t i = 0; i < names.count; i++) {
        char folder[FAB_MAX_PATH_BYTES];
        FAB_TRY(fab_path_join(folder, sizeof folder, d->folder, names.items[i], err));
        if (fab_is_folder(folder))
            FAB_TRY(totalsegmentator_case(d, folder, names.items[i], err));
    }
    for (size_t i = 0; i < d->count; i++) truth |= d->cases[i].labels != NULL;
    if (truth) return FAB_OK;
    for (size_t i = 0; i < d->count; i++) free_case(&d->cases[i]);
    d->count = 0;
    return FAB_OK;
}

/* ---- VerSe -------------------------------------------------------------------------------- */

/* Values of VerSe's masks: 1..7 cervical, 8..19 thoracic, 20..25 lumbar, 28 a thirteenth thoracic
 * (github.com/anjany/verse). 26 and 27, sacrum and coccyx, are not drawn. */
static fab_status verse_names(fab_dataset *d, fab_error *err)
{
    for (int level = 0; level < FAB_LEVELS; level++) {
        int value = level + 1 <= 25 ? level + 1 : 28;
        FAB_TRY(fab_label_set_add(&d->names, value, fab_level_name(level), err));
    }
    return FAB_OK;
}

static const char *find_prefixed(const fab_text_list *files, const char *prefix, size_t length,
                                 const char *ending)
{
    for (size_t i = 0; i < files->count; i++) {
        const char *name = fab_path_name(files->items[i]);
        if (strncmp(name, prefix, length) == 0 && strcmp(name + length, ending) == 0)
            return files->items[i];
    }
    return NULL;
}

static fab_status open_verse(fab_dataset *d, fab_error *err)
{
    static const char image_end[] = "_ct.nii.gz", truth_end[] = "_seg-vert_msk.nii.gz";
    __attribute__((cleanup(fab_text_list_free))) fab_text_list files = {0};
    bool any = false;
    d->layout = FAB_LAYOUT_VERSE;
    FAB_TRY(fab_folder_walk(d->folder, &files, err));
    for (size_t i = 0; i < files.count && !any; i++) any = fab_text_ends(files.items[i], truth_end);
    for (size_t i = 0; i < files.count && any; i++) {
        char image[FAB_MAX_PATH_BYTES], labels[FAB_MAX_PATH_BYTES], id[256];
        const char *name = fab_path_name(files.items[i]);
        size_t stem = strlen(name) - (sizeof image_end - 1);
        if (!fab_text_ends(name, image_end) || stem >= sizeof id || stem == 0) continue;
        snprintf(id, sizeof id, "%.*s", (int)stem, name);
        const char *truth = find_prefixed(&files, id, stem, truth_end);
        FAB_TRY(fab_path_join(image, sizeof image, d->folder, files.items[i], err));
        if (truth) FAB_TRY(fab_path_join(labels, sizeof labels, d->folder, truth, err));
        const fab_val_case c = {.name = id, .image = image, .labels = truth ? labels : NULL};
        FAB_TRY(add_case(d, &c, err));
    }
    return any ? verse_names(d, err) : FAB_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const fab_val_case *)a)->name, ((const fab_val_case *)b)->name);
}

static fab_status open_any(fab_dataset *d, fab_error *err)
{
    FAB_TRY(open_json(d, err));
    if (!d->json) FAB_TRY(open_totalsegmentator(d, err));
    if (!d->json && !d->count) FAB_TRY(open_verse(d, err));
    if (!d->count)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s holds no case in a known layout: dataset.json with "
                 "\"cases\", or with imagesTs and labelsTs (nnU-Net); CASE/ct.nii.gz with "
                 "CASE/segmentations (TotalSegmentator); X_ct.nii.gz with X_seg-vert_msk.nii.gz "
                 "(VerSe)", d->folder);
    qsort(d->cases, d->count, sizeof *d->cases, by_name);
    return FAB_OK;
}

fab_status fab_dataset_open(const char *folder, fab_dataset *out, fab_error *err)
{
    fab_dataset d = {0};
    if (!present(folder)) FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s does not exist", folder);
    if (!fab_is_folder(folder))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s is not a folder of labelled cases", folder);
    snprintf(d.folder, sizeof d.folder, "%s", folder);
    for (size_t n = strlen(d.folder); n > 1 && d.folder[n - 1] == '/';) d.folder[--n] = '\0';
    snprintf(d.name, sizeof d.name, "%s", fab_path_name(d.folder));
    fab_status status = open_any(&d, err);
    if (status < 0) {
        fab_dataset_close(&d);
        return status;
    }
    *out = d;
    return FAB_OK;
}
