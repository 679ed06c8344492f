/* recipe.c - reads a training recipe: card, classes, schedule (docs/formats/training.md). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train_internal.h"

static fab_status read_preprocessing(fab_recipe *r, fab_error *err)
{
    const fab_json *o = NULL, *n = NULL;
    double spacing[3];
    FAB_TRY(fab_json_get_object(r->card, "preprocessing", &o, err));
    FAB_TRY(fab_json_get_reals(o, "spacing_mm", 3, 0, 1e3, spacing, err));
    if (spacing[0] != spacing[1] || spacing[1] != spacing[2] || !(spacing[0] >= 0.5) ||
        spacing[0] > 10)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
                 "\"spacing_mm\" is %g, %g, %g: training wants one number of 0.5 to 10", spacing[0],
                 spacing[1], spacing[2]);
    r->spacing_mm = spacing[0];
    FAB_TRY(fab_json_get_object(o, "normalization", &n, err));
    FAB_TRY(fab_json_get_reals(n, "clip_hu", 2, -1e6, 1e6, r->clip_hu, err));
    FAB_TRY(fab_json_get_real(n, "mean", -1e6, 1e6, &r->mean, err));
    return fab_json_get_real(n, "std", 1e-6, 1e6, &r->std, err);
}

static fab_status add_rule(fab_recipe *r, size_t *room, const char *name, int class,
                           fab_error *err)
{
    if (!name || !name[0] || strlen(name) >= FAB_MAX_NAME_BYTES)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a structure's name is no text of 1 to %d bytes",
                 FAB_MAX_NAME_BYTES - 1);
    if (r->rule_count == *room) {
        const size_t more = *room ? 2 * *room : 64;
        fab_name_rule *grown = fab_realloc(r->rules, more * sizeof *grown);
        if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for names");
        r->rules = grown;
        *room = more;
    }
    fab_name_rule *rule = &r->rules[r->rule_count++];
    snprintf(rule->name, sizeof rule->name, "%s", name);
    rule->class = class;
    return FAB_OK;
}

static int class_named(const fab_recipe *r, const char *name)
{
    for (int i = 0; i < r->config.classes; i++)
        if (strcmp(r->class_names[i], name) == 0) return i;
    return -1;
}

/* {"class": ["name", "names_*"]}: what a class holds besides its own name. */
static fab_status read_names(fab_recipe *r, size_t *room, fab_error *err)
{
    const fab_json *o = fab_json_find(r->json, "names"), *list = NULL;
    const char *name = NULL;
    void *cursor = NULL;
    while (o && fab_json_next(o, &cursor, &name, &list)) {
        const int class = class_named(r, name);
        if (class < 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "\"names\": \"%.60s\" is no class", name);
        for (size_t i = 0; i < fab_json_count(list); i++)
            FAB_TRY(add_rule(r, room, fab_json_text(fab_json_at(list, i)), class, err));
    }
    return FAB_OK;
}

static fab_status read_classes(fab_recipe *r, fab_error *err)
{
    const fab_json *list = NULL, *unknown = fab_json_find(r->json, "unknown");
    const char *rest = NULL;
    size_t room = 0;
    FAB_TRY(fab_json_get_array(r->json, "classes", &list, err));
    if (fab_json_count(list) != (size_t)r->config.classes)
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"classes\" has %zu %s, the network %d classes",
                 fab_json_count(list),
                 fab_plural((int64_t)fab_json_count(list), "name", "names"), r->config.classes);
    for (int i = 0; i < r->config.classes; i++) {
        const char *name = fab_json_text(fab_json_at(list, (size_t)i));
        FAB_TRY(add_rule(r, &room, name, i, err));
        snprintf(r->class_names[i], FAB_MAX_NAME_BYTES, "%s", name);
    }
    FAB_TRY(read_names(r, &room, err));
    for (size_t i = 0; i < fab_json_count(unknown); i++)
        FAB_TRY(add_rule(r, &room, fab_json_text(fab_json_at(unknown, i)), FAB_CASE_IGNORE, err));
    r->rest = FAB_CASE_IGNORE;
    if (!fab_json_find(r->json, "rest")) return FAB_OK;
    FAB_TRY(fab_json_get_string(r->json, "rest", &rest, err));
    r->rest = class_named(r, rest);
    if (r->rest < 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"rest\" is \"%.60s\", which is none of the classes", rest);
    return FAB_OK;
}

/* {"name": number}: of the classes named; the others keep what `out` holds. */
static fab_status read_numbers(const fab_recipe *r, const char *key, double *out, fab_error *err)
{
    const fab_json *o = fab_json_find(r->json, key), *value = NULL;
    const char *name = NULL;
    void *cursor = NULL;
    while (o && fab_json_next(o, &cursor, &name, &value)) {
        const int class = class_named(r, name);
        const double n = fab_json_number(value);
        if (class < 0 || !fab_json_is_number(value) || !(n >= 0 && n <= 1e6))
            FAB_FAIL(err, FAB_ERR_FORMAT, "\"%s\": \"%.60s\" is no class with a number of 0 to 1e6",
                     key, name);
        out[class] = n;
    }
    return FAB_OK;
}

static fab_status read_schedule(fab_recipe *r, fab_error *err)
{
    const fab_json *o = NULL;
    fab_schedule *s = &r->schedule;
    double patch[3];
    int divisor[3];
    int64_t batch = 0, seed = 0;
    FAB_TRY(fab_json_get_object(r->json, "schedule", &o, err));
    FAB_TRY(fab_json_get_reals(o, "patch", 3, -1e9, 1e9, patch, err));
    FAB_TRY(fab_json_get_int(o, "batch", 1, 64, &batch, err));
    FAB_TRY(fab_json_get_int(o, "iterations", 1, 100000000, &s->iterations, err));
    FAB_TRY(fab_json_get_int(o, "warmup", 0, 1000000, &s->warmup, err));
    FAB_TRY(fab_json_get_int(o, "seed", 0, INT32_MAX, &seed, err));
    FAB_TRY(fab_json_get_real(o, "rate", 1e-9, 1, &s->rate, err));
    FAB_TRY(fab_json_get_real(o, "decay", 0, 1, &s->decay, err));
    FAB_TRY(fab_json_get_real(o, "clip", 0, 1e6, &s->clip, err));
    FAB_TRY(fab_json_get_real(o, "average", 0, 1, &s->average, err));
    FAB_TRY(fab_json_get_real(o, "even_out", 0, 1, &s->even_out, err));
    s->batch = (int)batch;
    s->seed = (uint64_t)seed;
    fab_unet_config_divisor(&r->config, divisor);
    for (int a = 0; a < 3; a++) {
        const bool whole = patch[a] >= 8 && patch[a] <= 512 && floor(patch[a]) == patch[a];
        s->patch[a] = whole ? (int)patch[a] : 0;
        if (!whole || s->patch[a] % divisor[a] != 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "\"patch\"[%d] is %g: not a multiple of %d from 8 to 512",
                     a, patch[a], divisor[a]);
    }
    return FAB_OK;
}

static fab_status read_all(fab_recipe *r, fab_error *err)
{
    const fab_json *architecture = NULL;
    const char *format = NULL;
    int64_t version = 0;
    FAB_TRY(fab_json_get_string(r->json, "format", &format, err));
    if (strcmp(format, "fabrica-training") != 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"format\" is not \"fabrica-training\"");
    FAB_TRY(fab_json_get_int(r->json, "format_version", 1, 1, &version, err));
    FAB_TRY(fab_json_get_object(r->json, "card", &r->card, err));
    FAB_TRY(fab_json_get_object(r->card, "architecture", &architecture, err));
    FAB_TRY(fab_unet_config_from_json(architecture, &r->config, err));
    if (r->config.input_channels != 1 || r->config.classes >= FAB_CASE_IGNORE)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "training wants one input channel, at most %d classes",
                 FAB_CASE_IGNORE - 1);
    FAB_TRY(read_preprocessing(r, err));
    FAB_TRY(read_classes(r, err));
    for (int i = 0; i < r->config.classes; i++) r->weight[i] = r->focus[i] = 1;
    r->focus[0] = 0;
    FAB_TRY(read_numbers(r, "weights", r->weight, err));
    FAB_TRY(read_numbers(r, "focus", r->focus, err));
    return read_schedule(r, err);
}

fab_status fab_recipe_load(const char *path, fab_recipe *out, fab_error *err)
{
    FAB_TRY(fab_json_load_file(path, &out->json, err));
    const fab_status status = read_all(out, err);
    if (status < 0) {
        fab_error_prefix(err, "%s", path);
        return status;
    }
    return fab_sha256_file(path, out->sha256, err);
}

void fab_recipe_free(fab_recipe *r)
{
    fab_json_free(r->json);
    fab_free(r->rules);
    *r = (fab_recipe){0};
}

int fab_recipe_class(const fab_recipe *r, const char *name)
{
    for (size_t i = 0; i < r->rule_count; i++)
        if (strcmp(r->rules[i].name, name) == 0) return r->rules[i].class;
    for (size_t i = 0; i < r->rule_count; i++) {
        const size_t n = strlen(r->rules[i].name) - 1;
        if (r->rules[i].name[n] == '*' && strncmp(name, r->rules[i].name, n) == 0)
            return r->rules[i].class;
    }
    return r->rest;
}

bool fab_recipe_wants_parts(const fab_recipe *r)
{
    return fab_recipe_class(r, "arch_pedicle") != fab_recipe_class(r, "arch_lamina");
}
