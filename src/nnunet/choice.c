/* choice.c - inference_information.json of a data set's results, which configuration or ensemble
 * nnUNetv2_find_best_configuration found to be the best:
 *
 *   {"folds": [0, 1, 2, 3, 4],
 *    "best_model_or_ensemble": {
 *      "selected_model_or_models": [
 *        {"trainer": "nnUNetTrainer", "plans_identifier": "nnUNetPlans", "configuration": "2d"},
 *        {"configuration": "3d_fullres", ...}],
 *      "postprocessing_file": "/where/it/was/trained/ensembles/ensemble___.../postprocessing.pkl"}}
 *
 * Paths are those of the machine that trained: only the name of the file's folder means anything
 * here. Names become names of folders, so none may lead out of the data set's.
 */
#include <stdio.h>
#include <string.h>

#include "model_internal.h"

/* A folder's name: no path, nothing hidden. */
static bool is_name(const char *text, size_t length)
{
    if (length == 0 || text[0] == '.') return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] == '/' || text[i] == '\\' || (unsigned char)text[i] < ' ') return false;
    return true;
}

static fab_status get_name(const fab_json *model, const char *key, const char **out,
                           fab_error *err)
{
    FAB_TRY(fab_json_get_string(model, key, out, err));
    if (!is_name(*out, strlen(*out)))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s \"%.80s\" is no name", key, *out);
    return FAB_OK;
}

static fab_status add_member(const fab_json *model, fab_nnunet_choice *c, fab_error *err)
{
    const char *trainer = NULL, *plans = NULL, *configuration = NULL;
    char *name = c->member[c->count];
    if (!fab_json_is_object(model)) FAB_FAIL(err, FAB_ERR_FORMAT, "is no object");
    FAB_TRY(get_name(model, "trainer", &trainer, err));
    FAB_TRY(get_name(model, "plans_identifier", &plans, err));
    FAB_TRY(get_name(model, "configuration", &configuration, err));
    const int n = snprintf(name, sizeof c->member[0], "%s__%s__%s", trainer, plans, configuration);
    if (n < 0 || (size_t)n >= sizeof c->member[0])
        FAB_FAIL(err, FAB_ERR_LIMIT, "%.60s...: the name is too long", trainer);
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->member[i], name) == 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s is named twice", name);
    c->count++;
    return FAB_OK;
}

static fab_status get_members(const fab_json *best, fab_nnunet_choice *c, fab_error *err)
{
    const fab_json *models = NULL;
    FAB_TRY(fab_json_get_array(best, "selected_model_or_models", &models, err));
    const size_t count = fab_json_count(models);
    if (count < 1 || count > FAB_NNUNET_MAX_MEMBERS)
        FAB_FAIL(err, count ? FAB_ERR_LIMIT : FAB_ERR_FORMAT, "selected_model_or_models has %zu "
                 "%s, 1 to %d are supported", count,
                 fab_plural((int64_t)count, "entry", "entries"), FAB_NNUNET_MAX_MEMBERS);
    for (size_t i = 0; i < count; i++)
        if (add_member(fab_json_at(models, i), c, err) < 0)
            return fab_error_prefix(err, "selected_model_or_models[%zu]", i);
    return FAB_OK;
}

static fab_status get_folds(const fab_json *json, fab_nnunet_choice *c, fab_error *err)
{
    const fab_json *folds = NULL;
    FAB_TRY(fab_json_get_array(json, "folds", &folds, err));
    const size_t count = fab_json_count(folds);
    if (count < 1 || count > FAB_NNUNET_MAX_FOLDS)
        FAB_FAIL(err, count ? FAB_ERR_LIMIT : FAB_ERR_FORMAT, "folds has %zu %s, 1 to %d are "
                 "supported", count, fab_plural((int64_t)count, "entry", "entries"),
                 FAB_NNUNET_MAX_FOLDS);
    for (size_t i = 0; i < count; i++) {
        const fab_json *item = fab_json_at(folds, i);
        const char *text = fab_json_text(item);
        const double n = text && strcmp(text, "all") == 0 ? FAB_NNUNET_FOLD_ALL
                         : fab_json_is_number(item)       ? fab_json_number(item)
                                                          : 1000;
        if (!(n >= FAB_NNUNET_FOLD_ALL && n < 1000) || n != (double)(int)n)
            FAB_FAIL(err, FAB_ERR_FORMAT, "folds[%zu] is no fold", i);
        for (int k = 0; k < c->fold_count; k++)
            if (c->fold[k] == (int)n)
                FAB_FAIL(err, FAB_ERR_FORMAT, "folds[%zu] is named twice", i);
        c->fold[c->fold_count++] = (int)n;
    }
    return FAB_OK;
}

/* The folder's name in "/a/b/FOLDER/postprocessing.pkl", or with backslashes. */
static fab_status get_postprocessing(const fab_json *best, fab_nnunet_choice *c, fab_error *err)
{
    const fab_json *item = fab_json_find(best, "postprocessing_file");
    const char *path = NULL;
    if (!item || fab_json_is_null(item)) return FAB_OK;
    FAB_TRY(fab_json_get_string(best, "postprocessing_file", &path, err));
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] != '/' && path[end - 1] != '\\') end--;
    if (end > 0) end--;
    size_t from = end;
    while (from > 0 && path[from - 1] != '/' && path[from - 1] != '\\') from--;
    if (!is_name(path + from, end - from) || end - from >= sizeof c->postprocessing)
        FAB_FAIL(err, FAB_ERR_FORMAT, "postprocessing_file \"%.80s\" is no file in a folder", path);
    memcpy(c->postprocessing, path + from, end - from);
    c->postprocessing[end - from] = '\0';
    return FAB_OK;
}

static fab_status read_choice(const fab_json *json, fab_nnunet_choice *c, fab_error *err)
{
    const fab_json *best = NULL;
    if (!fab_json_is_object(json)) FAB_FAIL(err, FAB_ERR_FORMAT, "not a JSON object");
    FAB_TRY(get_folds(json, c, err));
    FAB_TRY(fab_json_get_object(json, "best_model_or_ensemble", &best, err));
    if (get_members(best, c, err) < 0 || get_postprocessing(best, c, err) < 0)
        return fab_error_prefix(err, "best_model_or_ensemble");
    return FAB_OK;
}

fab_status fab_nnunet_choice_read(const fab_json *json, const char *name, fab_nnunet_choice *out,
                                  fab_error *err)
{
    fab_nnunet_choice c = {.count = 0};
    if (read_choice(json, &c, err) < 0) return fab_error_prefix(err, "%s", name);
    *out = c;
    return FAB_OK;
}
