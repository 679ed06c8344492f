/* state.c - a run's checkpoint and package; the weights it begins with.
 *
 * checkpoint.json names the file that holds everything (and its SHA-256): it is written last, so
 * that at any time it and that file belong together. The file before is removed afterwards.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "train_internal.h"

static const struct part_row {
    fab_trainer_part part;
    const char *prefix;
} parts[] = {{FAB_TRAINER_WEIGHTS, "weights."},
             {FAB_TRAINER_AVERAGE, "average."},
             {FAB_TRAINER_FIRST, "first."},
             {FAB_TRAINER_SECOND, "second."}};
enum { PARTS = sizeof parts / sizeof *parts };

/* ---- the beginning -------------------------------------------------------------------------- */

static size_t values_of(const fab_tensor *t)
{
    size_t n = 1;
    for (int a = 0; a < t->rank; a++) n *= (size_t)t->shape[a];
    return n;
}

/* Normal, variance 2 / fan-in, for kernels; 1 for a norm's weight; 0 for what is added. */
static void initialise(const fab_tensor *t, fab_rng *rng, float *to)
{
    const size_t n = values_of(t);
    const size_t length = strlen(t->name);
    const bool bias = length > 5 && strcmp(t->name + length - 5, ".bias") == 0;
    double deviation = 0;
    if (t->rank == 5) {
        const bool up = strstr(t->name, "transpconvs") != NULL;
        const int64_t taps = t->shape[2] * t->shape[3] * t->shape[4];
        deviation = sqrt(2.0 / (double)(up ? t->shape[0] : t->shape[1] * taps));
    }
    for (size_t i = 0; i < n; i++)
        to[i] = t->rank == 5 ? (float)(fab_rng_normal(rng) * deviation) : bias ? 0.0f : 1.0f;
}

/* As much of every axis as both have. */
static void overlay(const fab_tensor *from, const fab_tensor *t, float *to)
{
    int64_t at[FAB_TENSOR_MAX_RANK] = {0};
    if (from->rank != t->rank) return;
    for (;;) {
        int64_t source = 0, target = 0;
        for (int a = 0; a < t->rank; a++) {
            source = source * from->shape[a] + at[a];
            target = target * t->shape[a] + at[a];
        }
        to[target] = from->values[source];
        int a = t->rank - 1;
        while (a >= 0 && ++at[a] == (from->shape[a] < t->shape[a] ? from->shape[a] : t->shape[a]))
            at[a--] = 0;
        if (a < 0) return;
    }
}

static const fab_tensor *named(const fab_tensors *set, const char *name)
{
    for (size_t i = 0; i < fab_tensors_count(set); i++)
        if (strcmp(fab_tensors_at(set, i)->name, name) == 0) return fab_tensors_at(set, i);
    return NULL;
}

static fab_status read_package(const char *folder, fab_json **card, fab_tensors **out,
                               fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    const fab_json *weights = NULL;
    const char *file = NULL;
    fab_reader r = {0};
    FAB_TRY(fab_path_join(path, sizeof path, folder, "model.json", err));
    FAB_TRY(fab_json_load_file(path, card, err));
    FAB_TRY(fab_json_get_object(*card, "weights", &weights, err));
    FAB_TRY(fab_json_get_string(weights, "file", &file, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, file, err));
    FAB_TRY(fab_reader_open_file(path, &r, err));
    const fab_status status = fab_tensors_read_safetensors(&r, out, err);
    fab_reader_close(&r);
    return status;
}

/* The head's rows follow the names of classes; a class that the other network lacks begins with
 * the row of what its name says it is part of, if the recipe says so ("heirs"), else at random. */
static int row_of(const fab_json *labels, const char *name)
{
    for (size_t i = 0; i < fab_json_count(labels); i++) {
        const fab_json *label = fab_json_at(labels, i);
        const char *text = fab_json_text(fab_json_find(label, "name"));
        if (text && strcmp(text, name) == 0)
            return (int)fab_json_number(fab_json_find(label, "value"));
    }
    return -1;
}

static void overlay_head(const fab_recipe *r, const fab_json *labels, const fab_tensor *from,
                         const fab_tensor *t, float *to)
{
    const size_t row = values_of(t) / (size_t)t->shape[0];
    const size_t theirs = values_of(from) / (size_t)from->shape[0];
    const fab_json *heirs = fab_json_find(r->json, "heirs");
    for (int k = 0; k < r->config.classes; k++) {
        const char *heir = fab_json_text(fab_json_find(heirs, r->class_names[k]));
        int source = k ? row_of(labels, r->class_names[k]) : 0;
        if (source < 0 && heir) source = row_of(labels, heir);
        if (source < 0 || source >= from->shape[0]) continue;
        memcpy(to + (size_t)k * row, from->values + (size_t)source * theirs,
               (row < theirs ? row : theirs) * sizeof *to);
    }
}

fab_status fab_state_begin(const fab_recipe *r, const char *start_from, fab_trainer *t,
                           fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *shapes = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *before = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *first = NULL;
    fab_rng rng;
    size_t total = 0, at = 0;
    FAB_TRY(fab_trainer_export(t, FAB_TRAINER_WEIGHTS, &shapes, err));
    if (start_from) FAB_TRY(read_package(start_from, &card, &before, err));
    const size_t count = fab_tensors_count(shapes);
    for (size_t i = 0; i < count; i++) total += values_of(fab_tensors_at(shapes, i));
    FAB_AUTO_FREE fab_tensor *items = fab_alloc_array(count, sizeof *items);
    float *values = fab_alloc_array(total, sizeof *values);
    if (!items || !values) {
        fab_free(values);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for first weights");
    }
    fab_rng_seed(&rng, r->schedule.seed, 3);
    for (size_t i = 0; i < count; i++) {
        items[i] = *fab_tensors_at(shapes, i);
        const fab_tensor *from = before ? named(before, items[i].name) : NULL;
        initialise(&items[i], &rng, values + at);
        if (from && strncmp(items[i].name, "decoder.seg_layers", 18) == 0)
            overlay_head(r, fab_json_find(card, "labels"), from, &items[i], values + at);
        else if (from)
            overlay(from, &items[i], values + at);
        items[i].values = values + at;
        at += values_of(&items[i]);
    }
    const fab_status status =
        fab_tensors_make("first weights", items, count, &values, total, &first, err);
    fab_free(values);
    FAB_TRY(status);
    FAB_TRY(fab_trainer_import(t, FAB_TRAINER_WEIGHTS, first, err));
    return fab_trainer_import(t, FAB_TRAINER_AVERAGE, first, err);
}

/* ---- going on ------------------------------------------------------------------------------- */

static fab_status import_all(fab_trainer *t, const fab_tensors *all, fab_error *err)
{
    for (int i = 0; i < PARTS; i++) {
        FAB_AUTO(fab_tensors_free) fab_tensors *one = NULL;
        FAB_TRY(fab_tensors_take(all, parts[i].prefix, &one, err));
        FAB_TRY(fab_trainer_import(t, parts[i].part, one, err));
    }
    return FAB_OK;
}

/* The file that checkpoint.json names, below the run. */
static fab_status read_note(const char *run, char *file, char sha256[65], int64_t *iterations,
                            fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    const char *name = NULL, *hash = NULL;
    FAB_AUTO(fab_json_free) fab_json *note = NULL;
    FAB_TRY(fab_path_join(path, sizeof path, run, "checkpoint.json", err));
    if (access(path, F_OK) != 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: there is no checkpoint", run);
    FAB_TRY(fab_json_load_file(path, &note, err));
    FAB_TRY(fab_json_get_string(note, "file", &name, err));
    FAB_TRY(fab_json_get_string(note, "sha256", &hash, err));
    FAB_TRY(fab_json_get_int(note, "iterations", 0, INT32_MAX, iterations, err));
    if (strchr(name, '/') || strlen(hash) != 64)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: \"file\" or \"sha256\" is not as a run writes it", path);
    snprintf(sha256, 65, "%s", hash);
    return fab_path_join(file, FAB_MAX_PATH_BYTES, run, name, err);
}

fab_status fab_state_load(const char *run, fab_trainer *t, fab_error *err)
{
    char file[FAB_MAX_PATH_BYTES], expected[65], found[65];
    int64_t iterations = 0;
    fab_reader r = {0};
    FAB_AUTO(fab_tensors_free) fab_tensors *all = NULL;
    FAB_TRY(read_note(run, file, expected, &iterations, err));
    FAB_TRY(fab_sha256_file(file, found, err));
    if (strcmp(found, expected) != 0)
        FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s: not the file that checkpoint.json names (SHA-256)",
                 file);
    FAB_TRY(fab_reader_open_file(file, &r, err));
    const fab_status status = fab_tensors_read_safetensors(&r, &all, err);
    fab_reader_close(&r);
    FAB_TRY(status);
    FAB_TRY(import_all(t, all, err));
    fab_trainer_set_steps(t, iterations);
    return FAB_OK;
}

/* ---- saving --------------------------------------------------------------------------------- */

static fab_status write_note(const char *run, const char *file, const char *sha256,
                             const fab_recipe *r, int64_t iterations, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *note = fab_json_object();
    FAB_TRY(fab_json_set(note, "iterations", fab_json_int(iterations), err));
    FAB_TRY(fab_json_set(note, "file", fab_json_string(file), err));
    FAB_TRY(fab_json_set(note, "sha256", fab_json_string(sha256), err));
    FAB_TRY(fab_json_set(note, "recipe_sha256", fab_json_string(r->sha256), err));
    FAB_TRY(fab_path_join(path, sizeof path, run, "checkpoint.json", err));
    return fab_json_save_file(note, path, err);
}

static fab_status write_everything(const char *path, const fab_trainer *t, fab_error *err)
{
    fab_tensors *sets[PARTS] = {NULL};
    fab_tensors_named named_sets[PARTS];
    fab_status status = FAB_OK;
    for (int i = 0; i < PARTS && status == FAB_OK; i++) {
        status = fab_trainer_export(t, parts[i].part, &sets[i], err);
        named_sets[i] = (fab_tensors_named){parts[i].prefix, sets[i]};
    }
    if (status == FAB_OK) status = fab_tensors_write_safetensors(named_sets, PARTS, path, err);
    for (int i = 0; i < PARTS; i++) fab_tensors_free(sets[i]);
    return status;
}

/* Averaged weights with the recipe's card; the card is written last. */
static fab_status write_package(const char *run, const fab_recipe *r, const fab_trainer *t,
                                fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES], sha256[65];
    FAB_AUTO(fab_tensors_free) fab_tensors *average = NULL;
    FAB_AUTO(fab_json_free) fab_json *card = fab_json_object();
    fab_json *weights = fab_json_object();
    const fab_json *value = NULL;
    const char *key = NULL;
    void *cursor = NULL;
    FAB_TRY(fab_path_join(folder, sizeof folder, run, "package", err));
    FAB_TRY(fab_path_make_folder(folder, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "weights.safetensors", err));
    FAB_TRY(fab_trainer_export(t, FAB_TRAINER_AVERAGE, &average, err));
    FAB_TRY(fab_tensors_write_safetensors(&(fab_tensors_named){"", average}, 1, path, err));
    FAB_TRY(fab_sha256_file(path, sha256, err));
    FAB_TRY(fab_json_set(weights, "file", fab_json_string("weights.safetensors"), err));
    FAB_TRY(fab_json_set(weights, "sha256", fab_json_string(sha256), err));
    while (fab_json_next(r->card, &cursor, &key, &value))
        FAB_TRY(fab_json_set(card, key, fab_json_retain((fab_json *)(uintptr_t)value), err));
    value = fab_json_find(r->json, "classes");
    FAB_TRY(fab_json_set(card, "classes", fab_json_retain((fab_json *)(uintptr_t)value), err));
    FAB_TRY(fab_json_set(card, "weights", weights, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "model.json", err));
    return fab_json_save_file(card, path, err);
}

fab_status fab_state_save(const char *run, const fab_recipe *r, const fab_trainer *t,
                          fab_error *err)
{
    char name[64], path[FAB_MAX_PATH_BYTES], before[FAB_MAX_PATH_BYTES] = "", sha256[65];
    int64_t iterations = 0;
    if (read_note(run, before, sha256, &iterations, NULL) < 0) before[0] = 0;
    snprintf(name, sizeof name, "state-%lld.safetensors", (long long)fab_trainer_steps(t));
    FAB_TRY(fab_path_join(path, sizeof path, run, name, err));
    FAB_TRY(write_everything(path, t, err));
    FAB_TRY(fab_sha256_file(path, sha256, err));
    FAB_TRY(write_note(run, name, sha256, r, fab_trainer_steps(t), err));
    if (before[0] && strcmp(before, path) != 0) (void)unlink(before);
    return write_package(run, r, t, err);
}
