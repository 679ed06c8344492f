/* model_add.c - networks that others published become a model package.
 *
 *   a result folder, a data set's folder, a folder of data sets, or a zip of one of these
 *     -> NAME.tmp-XXXXXX/DatasetNNN_x/TRAINER__PLANS__CONFIGURATION/{plans.json, dataset.json,
 *        fold_N/checkpoint_final.pth}, every weight read and fitted to its plan, model.json; an
 *        ensemble's members beside each other, with ensembles/postprocessing.json
 *     -> NAME
 *   a folder of brainchop's, or a zip of it
 *     -> NAME.tmp-XXXXXX/brainchop/{model.json, weights, names}, read whole, model.json
 *     -> NAME
 */
#include "network.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fabrica/archive.h"
#include "fabrica/brainchop.h"
#include "fabrica/nnunet.h"
#include "members.h"

enum { MAX_PARTS = 64, COPY_BYTES = 1 << 20 };

typedef struct adding {
    const fab_model_add *o;
    fab_case_writer *writer;
    fab_progress stop; /* asks the watcher, reports nothing */
    char source[FAB_MAX_PATH_BYTES];
    char *dataset[MAX_PARTS]; /* folders that hold a result; sorted */
    int count;
    bool totalseg, brainchop; /* brainchop: dataset[0] is its folder */
    fab_json *parts, *labels;
    fab_json *ensemble; /* of the card; NULL: none */
    const char *modality;
    fab_sha256 hash;
} adding;

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- what is there ------------------------------------------------------------------------ */

static fab_status holds_result(const adding *a, const char *path, fab_error *err)
{
    char told[600];
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    return fab_members_find(path, a->o->configuration, &m, told, err);
}

/* The path without slashes at its end, as a shell's completion leaves them. */
static void copy_path(const char *path, char *out, size_t room)
{
    snprintf(out, room, "%s", path);
    for (size_t n = strlen(out); n > 1 && out[n - 1] == '/'; n--) out[n - 1] = '\0';
}

static fab_status keep(adding *a, const char *path, fab_error *err)
{
    if (a->count == MAX_PARTS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: more than %d data sets", a->o->path, MAX_PARTS);
    a->dataset[a->count] = fab_strdup(path);
    if (!a->dataset[a->count]) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    a->count++;
    return FAB_OK;
}

static fab_status find_datasets(adding *a, const char *path, int depth, fab_error *err);

static fab_status look_below(adding *a, const char *path, int depth, fab_error *err)
{
    fab_status status = FAB_OK;
    DIR *dir = opendir(path);
    if (!dir) FAB_FAIL(err, FAB_ERR_IO, "%s: cannot be read", path);
    for (struct dirent *e; status == FAB_OK && (e = readdir(dir));) {
        char below[FAB_MAX_PATH_BYTES];
        if (e->d_name[0] == '.') continue;
        status = fab_path_join(below, sizeof below, path, e->d_name, err);
        if (status == FAB_OK && is_folder(below)) status = find_datasets(a, below, depth + 1, err);
    }
    closedir(dir);
    return status;
}

/* A zip may hold a folder around brainchop's files. */
static fab_status find_brainchop(adding *a, const char *path, fab_error *err)
{
    char below[FAB_MAX_PATH_BYTES];
    fab_status status = FAB_OK;
    if (fab_brainchop_is_folder(path)) {
        a->brainchop = true;
        return keep(a, path, err);
    }
    DIR *dir = is_folder(a->o->path) ? NULL : opendir(path);
    if (!dir) return FAB_OK;
    for (struct dirent *e; status == FAB_OK && !a->count && (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        status = fab_path_join(below, sizeof below, path, e->d_name, err);
        if (status < 0 || !fab_brainchop_is_folder(below)) continue;
        a->brainchop = true;
        status = keep(a, below, err);
    }
    closedir(dir);
    return status;
}

/* Data sets at most two levels down: a zip may hold a folder of its own around them. One that is
 * there and cannot be read is an error: left out, its structures would be missed by nobody. */
static fab_status find_datasets(adding *a, const char *path, int depth, fab_error *err)
{
    fab_error why = {0};
    const int before = a->count;
    const fab_status status = holds_result(a, path, &why);
    const bool dataset = depth > 0 && strncmp(fab_path_name(path), "Dataset", 7) == 0;
    if (status == FAB_OK) return keep(a, path, err);
    if (status == FAB_ERR_NOTFOUND && depth < 2) FAB_TRY(look_below(a, path, depth, err));
    if (a->count > before || (status == FAB_ERR_NOTFOUND && !dataset)) return FAB_OK;
    if (strstr(why.message, path)) return fab_error_set(err, status, "%s", why.message);
    return fab_error_set(err, status, "%s: %s", path, why.message);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *task_of(const char *dataset)
{
    const char *task = fab_totalseg_task(fab_path_name(dataset));
    return task ? task : "none of its own";
}

/* "body, total" of the data sets, which are sorted by number, each once. */
static void list_tasks(const adding *a, char *into, size_t room)
{
    into[0] = '\0';
    for (int i = 0; i < a->count; i++) {
        const char *task = task_of(a->dataset[i]);
        bool before = false;
        for (int k = 0; k < i && !before; k++) before = strcmp(task, task_of(a->dataset[k])) == 0;
        const size_t used = strlen(into);
        if (!before) snprintf(into + used, room - used, "%s%s", used ? ", " : "", task);
    }
}

/* A folder of TotalSegmentator's may hold networks of many tasks, which are no one model. */
static fab_status choose_task(adding *a, fab_error *err)
{
    char tasks[400];
    int kept = 0, alike = 0;
    list_tasks(a, tasks, sizeof tasks);
    for (int i = 0; i < a->count; i++)
        alike += strcmp(task_of(a->dataset[i]), task_of(a->dataset[0])) == 0;
    if (!a->o->task && alike < a->count)
        FAB_FAIL(err, FAB_ERR_ARG, "%s holds networks of several of TotalSegmentator's tasks (%s): "
                 "choose with --task NAME", a->o->path, tasks);
    for (int i = 0; a->o->task && i < a->count; i++) {
        if (strcmp(task_of(a->dataset[i]), a->o->task) == 0) a->dataset[kept++] = a->dataset[i];
        else fab_free(a->dataset[i]);
    }
    if (!a->o->task) return FAB_OK;
    a->count = kept;
    if (kept == 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no networks of task %s; there are: %s", a->o->path,
                 a->o->task, tasks);
    return FAB_OK;
}

/* A model.json that cannot be read says why; it might have been brainchop's. */
static fab_status nothing_found(const adding *a, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *model = NULL;
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(path, sizeof path, a->source, "model.json", err));
    if (access(path, F_OK) == 0) FAB_TRY(fab_json_load_file(path, &model, err));
    FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no nnU-Net result (plans.json, dataset.json and "
             "fold_N/checkpoint_final.pth), no folder of such, and no network of brainchop's "
             "(model.json)", a->o->path);
}

static fab_status find_source(adding *a, fab_error *err)
{
    copy_path(a->o->path, a->source, sizeof a->source);
    if (!is_folder(a->o->path)) {
        FAB_TRY(fab_path_join(a->source, sizeof a->source, fab_case_folder(a->writer), "unpacked",
                              err));
        FAB_TRY(fab_path_make_subfolder(a->source, err));
        FAB_TRY(fab_archive_unpack(a->o->path, a->source, &a->stop, err));
    }
    FAB_TRY(find_brainchop(a, a->source, err));
    if (a->brainchop) return FAB_OK;
    FAB_TRY(find_datasets(a, a->source, 0, err));
    if (a->count == 0) return nothing_found(a, err);
    qsort(a->dataset, (size_t)a->count, sizeof *a->dataset, by_text);
    return choose_task(a, err);
}

/* ---- copying ------------------------------------------------------------------------------ */

static fab_status copy_bytes(const adding *a, const fab_reader *from, fab_writer *to,
                             fab_error *err)
{
    FAB_AUTO_FREE uint8_t *buffer = fab_malloc(COPY_BYTES);
    if (!buffer) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    for (uint64_t at = 0; at < from->size; at += COPY_BYTES) {
        const uint64_t left = from->size - at;
        const size_t n = left < COPY_BYTES ? (size_t)left : COPY_BYTES;
        FAB_TRY(fab_progress_step(&a->stop, "copy", (double)at / (double)from->size, err));
        FAB_TRY(fab_reader_read(from, at, buffer, n, err));
        FAB_TRY(fab_writer_write(to, buffer, n, err));
    }
    return FAB_OK;
}

static fab_status copy_file(const adding *a, const char *from_folder, const char *to_folder,
                            const char *name, fab_error *err)
{
    char from[FAB_MAX_PATH_BYTES], to[FAB_MAX_PATH_BYTES];
    fab_reader r;
    fab_atomic_file *file = NULL;
    FAB_TRY(fab_path_join(from, sizeof from, from_folder, name, err));
    FAB_TRY(fab_path_join(to, sizeof to, to_folder, name, err));
    FAB_TRY(fab_reader_open_file(from, &r, err));
    fab_status status = fab_atomic_open(to, &file, err);
    if (status == FAB_OK) status = copy_bytes(a, &r, fab_atomic_writer(file), err);
    if (status == FAB_OK) status = fab_atomic_commit(&file, err);
    fab_atomic_abort(file);
    fab_reader_close(&r);
    return status;
}

static fab_status copy_folds(const adding *a, const fab_nnunet *m, const char *to, fab_error *err)
{
    for (int i = 0; i < fab_nnunet_folds(m); i++) {
        char source[FAB_MAX_PATH_BYTES], target[FAB_MAX_PATH_BYTES], fold[16];
        fab_nnunet_fold_name(m, i, fold);
        FAB_TRY(fab_path_join(source, sizeof source, fab_nnunet_folder(m), fold, err));
        FAB_TRY(fab_path_join(target, sizeof target, to, fold, err));
        FAB_TRY(fab_path_make_subfolder(target, err));
        FAB_TRY(copy_file(a, source, target, "checkpoint_final.pth", err));
    }
    return FAB_OK;
}

/* ---- one data set ------------------------------------------------------------------------- */

/* heads: of them those that are structures. */
static fab_status add_labels(adding *a, const fab_nnunet_plan *p, int heads, fab_error *err)
{
    for (int h = p->regions ? 0 : 1; h < heads; h++) {
        fab_json *row = NULL;
        bool known = false;
        for (size_t i = 0; i < fab_json_count(a->labels) && !known; i++)
            known = strcmp(fab_json_text(fab_json_find(fab_json_at(a->labels, i), "name")),
                           p->head[h].name) == 0;
        if (known) continue;
        FAB_TRY(fab_add_object(a->labels, &row, err));
        FAB_TRY(fab_put_text(row, "name", p->head[h].name, err));
    }
    return FAB_OK;
}

static fab_status add_part(adding *a, const char *folder, const fab_nnunet *m, fab_error *err)
{
    fab_json *row = NULL, *names = NULL;
    const fab_nnunet_plan *p = fab_nnunet_plan_of(m);
    const int first = p->regions ? 0 : 1, auxiliary = fab_totalseg_auxiliary(folder);
    const int heads = auxiliary && auxiliary < p->head_count ? auxiliary : p->head_count;
    FAB_TRY(fab_add_object(a->parts, &row, err));
    FAB_TRY(fab_put_text(row, "folder", folder, err));
    FAB_TRY(fab_put_text(row, "weights_sha256", fab_nnunet_weights_sha256(m), err));
    FAB_TRY(fab_put_int(row, "folds", fab_nnunet_folds(m), err));
    FAB_TRY(fab_put_int(row, "structures", heads - first, err));
    FAB_TRY(fab_put_real(row, "spacing_mm", p->spacing_mm[p->flat ? 1 : 0], 6, err));
    FAB_TRY(fab_put_text(row, "configuration", p->configuration, err));
    FAB_TRY(fab_put_bool(row, "postprocessing", fab_nnunet_postprocessing_of(m)->count > 0, err));
    FAB_TRY(fab_put_array(row, "channels", &names, err));
    for (int i = 0; i < p->channels; i++)
        FAB_TRY(fab_add_text(names, p->channel[i].name, err));
    fab_sha256_update(&a->hash, fab_nnunet_weights_sha256(m), 64);
    return add_labels(a, p, heads, err);
}

/* The data set's folder in the package. Its name may come from plans.json: "../.." is none. */
static fab_status make_own_folder(const adding *a, const char *own, char *out, size_t room,
                                  fab_error *err)
{
    if (!own[0] || own[0] == '.' || strchr(own, '/'))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: dataset_name \"%.80s\" is no folder's name", a->o->path,
                 own);
    FAB_TRY(fab_path_join(out, room, fab_case_folder(a->writer), own, err));
    if (is_folder(out))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: two data sets are called %s", a->o->path, own);
    return fab_path_make_subfolder(out, err);
}

/* What the first image must be, "" if nothing says: CT by its normalisation, others by a word of
 * what the data set calls it, which is free text ("T1", "MRI (ADC)", "t2w_0"). */
static const char *modality_of(const fab_nnunet_plan *p)
{
    static const struct {
        const char *word, *modality;
    } known[] = {{"mr", "MR"}, {"mri", "MR"}, {"t1", "MR"}, {"t1w", "MR"}, {"t1c", "MR"},
                 {"t1ce", "MR"}, {"t1gd", "MR"}, {"t1n", "MR"}, {"t2", "MR"}, {"t2w", "MR"},
                 {"t2f", "MR"}, {"flair", "MR"}, {"adc", "MR"}, {"dwi", "MR"}, {"swi", "MR"},
                 {"pd", "MR"}, {"pet", "PT"}, {"ct", "CT"}};
    const char *at = p->channel[0].name;
    if (p->channel[0].norm == FAB_NNUNET_CT) return "CT";
    while (*at) {
        size_t n = 0;
        while (isalnum((unsigned char)at[n])) n++;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (strlen(known[i].word) == n && strncasecmp(at, known[i].word, n) == 0)
                return known[i].modality;
        at += n + (at[n] != '\0');
    }
    return "";
}

/* Names that a label map cannot have are refused here, not after hours of a run. */
static fab_status check_names(const fab_nnunet_plan *p, const char *path, fab_error *err)
{
    fab_error why = {0};
    fab_label_set set = {0};
    fab_status status = FAB_OK;
    for (int h = p->regions ? 0 : 1; h < p->head_count && status == FAB_OK; h++)
        status = fab_label_set_add(&set, h + 1, p->head[h].name, &why);
    fab_label_set_free(&set);
    if (status < 0) FAB_FAIL(err, FAB_ERR_FORMAT, "%s: %s", path, why.message);
    return FAB_OK;
}

static fab_status copy_postprocessing(const adding *a, const fab_nnunet *m, const char *to,
                                      fab_error *err)
{
    char from[FAB_MAX_PATH_BYTES], target[FAB_MAX_PATH_BYTES];
    const char *file = fab_nnunet_postprocessing_of(m)->file;
    if (!file[0]) return FAB_OK;
    snprintf(from, sizeof from, "%.*s", (int)(strrchr(file, '/') - file), file);
    if (strcmp(from, fab_nnunet_folder(m)) == 0)
        return copy_file(a, from, to, "postprocessing.json", err);
    FAB_TRY(fab_path_join(target, sizeof target, to, fab_path_name(from), err));
    FAB_TRY(fab_path_make_subfolder(target, err));
    return copy_file(a, from, target, "postprocessing.json", err);
}

/* One result's folder below `middle`; a cascade's first stage beside it, which may be a member of
 * the ensemble and there already. */
static fab_status copy_result(const adding *a, const fab_nnunet *m, const char *middle,
                              fab_error *err)
{
    char to[FAB_MAX_PATH_BYTES];
    const char *from = fab_nnunet_folder(m);
    if (fab_nnunet_previous(m)) FAB_TRY(copy_result(a, fab_nnunet_previous(m), middle, err));
    FAB_TRY(fab_path_join(to, sizeof to, middle, fab_path_name(from), err));
    if (is_folder(to)) return FAB_OK;
    FAB_TRY(fab_path_make_subfolder(to, err));
    FAB_TRY(copy_file(a, from, to, "plans.json", err));
    FAB_TRY(copy_file(a, from, to, "dataset.json", err));
    FAB_TRY(copy_postprocessing(a, m, to, err));
    return copy_folds(a, m, to, err);
}

/* Copies one result, then reads every weight of the copy. */
static fab_status add_result(adding *a, const fab_nnunet *plan, const char *own,
                             const char *middle, fab_error *err)
{
    const fab_nnunet_load_options all = {.no_postprocessing = a->ensemble != NULL};
    char relative[FAB_MAX_PATH_BYTES], target[FAB_MAX_PATH_BYTES];
    const char *name = fab_path_name(fab_nnunet_folder(plan));
    FAB_AUTO(fab_nnunet_free) fab_nnunet *whole = NULL;
    FAB_TRY(copy_result(a, plan, middle, err));
    FAB_TRY(fab_path_join(target, sizeof target, middle, name, err));
    FAB_TRY(fab_nnunet_load(target, &all, &whole, err));
    FAB_TRY(fab_path_join(relative, sizeof relative, own, name, err));
    a->modality = modality_of(fab_nnunet_plan_of(whole));
    return add_part(a, relative, whole, err);
}

static fab_status begin_ensemble(adding *a, const fab_nnunet *m, const char *own,
                                 const char *middle, fab_error *err)
{
    char target[FAB_MAX_PATH_BYTES], from[FAB_MAX_PATH_BYTES];
    const char *file = fab_nnunet_postprocessing_of(m)->file;
    if (a->o->totalsegmentator || fab_totalseg_task(own))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s is TotalSegmentator's, which has no ensembles: name "
                 "one configuration by --configuration", own);
    a->ensemble = fab_json_object();
    if (!a->ensemble) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_put_int(a->ensemble, "members", fab_nnunet_members(m), err));
    FAB_TRY(fab_put_bool(a->ensemble, "postprocessing", file[0] != '\0', err));
    if (!file[0]) return FAB_OK;
    snprintf(from, sizeof from, "%.*s", (int)(strrchr(file, '/') - file), file);
    FAB_TRY(fab_path_join(target, sizeof target, middle, FAB_MEMBERS_ENSEMBLES, err));
    FAB_TRY(fab_path_make_subfolder(target, err));
    return copy_file(a, from, target, "postprocessing.json", err);
}

/* The result that is used, or several as an ensemble. */
static fab_status add_dataset(adding *a, const char *path, fab_error *err)
{
    char middle[FAB_MAX_PATH_BYTES], told[600];
    FAB_AUTO(fab_nnunet_free) fab_nnunet *plan = NULL;
    FAB_TRY(fab_members_find(path, a->o->configuration, &plan, told, err));
    FAB_TRY(check_names(fab_nnunet_plan_of(plan), path, err));
    if (told[0]) fab_job_note(a->o->watch, "%s", told);
    const char *dataset = fab_nnunet_plan_of(plan)->dataset;
    const char *name = fab_path_name(path), *own = strncmp(name, "Dataset", 7) ? dataset : name;
    FAB_TRY(make_own_folder(a, own, middle, sizeof middle, err));
    a->totalseg = a->totalseg && (a->o->totalsegmentator || fab_totalseg_task(own));
    if (!fab_nnunet_members(plan)) return add_result(a, plan, own, middle, err);
    FAB_TRY(begin_ensemble(a, plan, own, middle, err));
    for (int i = 0; i < fab_nnunet_members(plan); i++)
        FAB_TRY(add_result(a, fab_nnunet_member(plan, i), own, middle, err));
    return FAB_OK;
}

static fab_status add_datasets(adding *a, fab_error *err)
{
    a->totalseg = true;
    a->modality = "CT";
    for (int i = 0; i < a->count; i++) FAB_TRY(add_dataset(a, a->dataset[i], err));
    if (a->count > 1 && !a->totalseg)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s holds %d data sets that are not TotalSegmentator's: "
                 "add them one by one", a->o->path, a->count);
    return FAB_OK;
}

/* ---- brainchop's ------------------------------------------------------------------------- */

static fab_status add_brainchop_part(adding *a, const fab_brainchop *m, fab_error *err)
{
    fab_json *row = NULL;
    const fab_label_set *set = fab_brainchop_labels(m);
    const fab_brainchop_scale *scale = fab_brainchop_scale_of(m);
    FAB_TRY(fab_add_object(a->parts, &row, err));
    FAB_TRY(fab_put_text(row, "folder", "brainchop", err));
    FAB_TRY(fab_put_text(row, "weights_sha256", fab_brainchop_weights_sha256(m), err));
    FAB_TRY(fab_put_int(row, "structures", (int64_t)set->count, err));
    FAB_TRY(fab_put_real(row, "spacing_mm", 1, 6, err));
    FAB_TRY(fab_put_real(row, "scale_low_quantile", scale->low, 6, err));
    FAB_TRY(fab_put_real(row, "scale_high_quantile", scale->high, 6, err));
    FAB_TRY(fab_put_bool(row, "scale_clips", scale->clip, err));
    fab_sha256_update(&a->hash, fab_brainchop_weights_sha256(m), 64);
    for (size_t i = 0; i < set->count; i++) {
        FAB_TRY(fab_add_object(a->labels, &row, err));
        FAB_TRY(fab_put_text(row, "name", set->items[i].name, err));
    }
    return FAB_OK;
}

/* Reads all of it, copies the files that were read, and reads the copy. */
static fab_status add_brainchop(adding *a, fab_error *err)
{
    char target[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_brainchop_free) fab_brainchop *first = NULL, *copy = NULL;
    a->modality = "MR";
    FAB_TRY(fab_brainchop_load(a->dataset[0], &first, err));
    FAB_TRY(fab_path_join(target, sizeof target, fab_case_folder(a->writer), "brainchop", err));
    FAB_TRY(fab_path_make_subfolder(target, err));
    for (int i = 0; i < FAB_BRAINCHOP_FILES; i++)
        if (fab_brainchop_file(first, i))
            FAB_TRY(copy_file(a, a->dataset[0], target, fab_brainchop_file(first, i), err));
    FAB_TRY(fab_brainchop_load(target, &copy, err));
    if (!fab_brainchop_file(copy, 2))
        fab_job_note(a->o->watch, "%s: no colormap.json or labels.json: structures are called "
                     "class_N", a->o->path);
    return add_brainchop_part(a, copy, err);
}

/* ---- the card ----------------------------------------------------------------------------- */

static fab_status put_weights(adding *a, fab_json *card, fab_error *err)
{
    uint8_t digest[32];
    char hex[65];
    fab_json *weights = NULL;
    fab_sha256_final(&a->hash, digest);
    fab_sha256_hex(digest, hex);
    FAB_TRY(fab_put_object(card, "weights", &weights, err));
    return fab_put_text(weights, "sha256", hex, err);
}

static fab_status write_card(adding *a, const char *name, fab_json **out, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *card = fab_json_object();
    if (!card) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_put_text(card, "format", a->brainchop ? FAB_NETWORK_BRAINCHOP : FAB_NETWORK_NNUNET,
                         err));
    FAB_TRY(fab_put_int(card, "format_version", 1, err));
    FAB_TRY(fab_put_text(card, "name", name, err));
    FAB_TRY(fab_put_text(card, "version", "1", err));
    FAB_TRY(fab_put_text(card, "modality", a->modality, err));
    FAB_TRY(fab_put_text(card, "license", "as its publisher says", err));
    if (a->ensemble)
        FAB_TRY(fab_json_set(card, "ensemble", fab_json_retain(a->ensemble), err));
    if (!a->brainchop)
        FAB_TRY(fab_put_text(card, "resampling", a->totalseg ? "totalsegmentator" : "nnunet", err));
    FAB_TRY(put_weights(a, card, err));
    FAB_TRY(fab_json_set(card, "parts", fab_json_retain(a->parts), err));
    FAB_TRY(fab_json_set(card, "labels", fab_json_retain(a->labels), err));
    FAB_TRY(fab_path_join(path, sizeof path, fab_case_folder(a->writer), "model.json", err));
    FAB_TRY(fab_json_save_file(card, path, err));
    *out = card;
    card = NULL;
    return FAB_OK;
}

static fab_status drop_unpacked(const adding *a, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(path, sizeof path, fab_case_folder(a->writer), "unpacked", err));
    return fab_path_remove_tree(path, err);
}

static fab_status run(adding *a, const char *name, fab_json **card, fab_error *err)
{
    char target[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_make_folder(a->o->models, err));
    FAB_TRY(fab_path_join(target, sizeof target, a->o->models, name, err));
    FAB_TRY(fab_job_begin_folder(a->o->watch, target, "model.json", a->o->replace, &a->writer,
                                 err));
    FAB_TRY(find_source(a, err));
    a->parts = fab_json_array();
    a->labels = fab_json_array();
    if (!a->parts || !a->labels) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    fab_sha256_init(&a->hash);
    FAB_TRY(a->brainchop ? add_brainchop(a, err) : add_datasets(a, err));
    if (!is_folder(a->o->path)) FAB_TRY(drop_unpacked(a, err));
    FAB_TRY(write_card(a, name, card, err));
    return fab_job_commit_folder(a->o->watch, &a->writer, err);
}

/* "weights/Dataset297_x.zip" is called Dataset297_x. */
static fab_status name_of(const fab_model_add *o, char *name, size_t room, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    copy_path(o->path, path, sizeof path);
    const char *from = o->name ? o->name : fab_path_name(path);
    size_t n = strlen(from);
    if (!o->name && n > 4 && strcmp(from + n - 4, ".zip") == 0) n -= 4;
    if (n == 0 || n >= room || from[0] == '.' || memchr(from, '/', n))
        FAB_FAIL(err, FAB_ERR_ARG, "\"%s\" cannot be a model's name", from);
    memcpy(name, from, n);
    name[n] = '\0';
    return FAB_OK;
}

fab_status fab_models_add(const fab_model_add *o, fab_json **card, fab_error *err)
{
    char name[FAB_MAX_NAME_BYTES];
    adding a = {.o = o};
    *card = NULL;
    FAB_TRY(name_of(o, name, sizeof name, err));
    if (o->watch) a.stop = (fab_progress){o->watch->ctx, NULL, o->watch->cancelled};
    fab_status status = run(&a, name, card, err);
    fab_job_abort_folder(o->watch, a.writer);
    if (status < 0) {
        fab_json_free(*card);
        *card = NULL;
    }
    for (int i = 0; i < a.count; i++) fab_free(a.dataset[i]);
    fab_json_free(a.parts);
    fab_json_free(a.labels);
    fab_json_free(a.ensemble);
    return status;
}

/* ---- verifying ---------------------------------------------------------------------------- */

/* The SHA-256 of the weights in a part's folder, all of them read. */
static fab_status hash_part(const char *path, bool brainchop, char sha256[65], fab_error *err)
{
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    FAB_AUTO(fab_brainchop_free) fab_brainchop *b = NULL;
    if (brainchop) FAB_TRY(fab_brainchop_load(path, &b, err));
    else FAB_TRY(fab_nnunet_load(path, NULL, &m, err));
    snprintf(sha256, 65, "%s", b ? fab_brainchop_weights_sha256(b) : fab_nnunet_weights_sha256(m));
    return FAB_OK;
}

static fab_status verify_parts(const char *folder, const fab_json *card, bool brainchop,
                               fab_error *err)
{
    const fab_json *parts = NULL;
    FAB_TRY(fab_json_get_array(card, "parts", &parts, err));
    if (!fab_json_count(parts)) FAB_FAIL(err, FAB_ERR_FORMAT, "%s: no parts in the card", folder);
    for (size_t i = 0; i < fab_json_count(parts); i++) {
        char path[FAB_MAX_PATH_BYTES], sha256[65];
        const char *wanted = NULL;
        FAB_TRY(fab_json_get_string(fab_json_at(parts, i), "weights_sha256", &wanted, err));
        FAB_TRY(fab_network_part_folder(folder, card, i, path, sizeof path, err));
        FAB_TRY(hash_part(path, brainchop, sha256, err));
        if (strcmp(sha256, wanted) != 0)
            FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s: the weights are not those that were added", path);
    }
    return FAB_OK;
}

fab_status fab_models_verify(const char *folder, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    const char *format = NULL;
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    FAB_TRY(fab_path_join(path, sizeof path, folder, "model.json", err));
    FAB_TRY(fab_json_load_file(path, &card, err));
    format = fab_json_text(fab_json_find(card, "format"));
    const bool brainchop = format && strcmp(format, FAB_NETWORK_BRAINCHOP) == 0;
    const bool nnunet = format && strcmp(format, FAB_NETWORK_NNUNET) == 0;
    return brainchop || nnunet ? verify_parts(folder, card, brainchop, err)
                               : fab_model_verify(folder, err);
}
