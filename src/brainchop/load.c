/* load.c - a brainchop folder: which files it holds, which network they describe. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "brainchop_internal.h"

/* Its command line scales so where nothing is said. */
static const fab_brainchop_scale torch_scale = {0.02, 0.98, 1e-3, true};
static const fab_brainchop_scale tfjs_scale = {0, 1, 0, false};

static const char *const name_files[] = {"colormap.json", "colormap3.json", "labels.json"};
static const char *const weight_files[] = {"model.safetensors", "model.pth"};

static bool is_tfjs(const fab_json *model)
{
    return fab_json_find(model, "weightsManifest") || fab_json_find(model, "modelTopology");
}

static bool is_brainchop(const fab_json *model)
{
    return is_tfjs(model) || fab_json_is_array(fab_json_find(model, "layers"));
}

bool fab_brainchop_is_folder(const char *folder)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *model = NULL;
    return fab_path_join(path, sizeof path, folder, "model.json", NULL) == FAB_OK &&
           access(path, R_OK) == 0 && fab_json_load_file(path, &model, NULL) == FAB_OK &&
           is_brainchop(model);
}

/* ---- scaling ----------------------------------------------------------------------------- */

/* "min = 5% quantile, max = 95% quantile", as model.json's _comment says it. */
static bool scale_of_comment(const char *comment, fab_brainchop_scale *out)
{
    const char *low = comment ? strstr(comment, "min = ") : NULL;
    const char *high = comment ? strstr(comment, "max = ") : NULL;
    char *end = NULL;
    if (!low || !high) return false;
    const double from = strtod(low + 6, &end);
    if (strncmp(end, "% quantile", 10) != 0) return false;
    const double to = strtod(high + 6, &end);
    if (strncmp(end, "% quantile", 10) != 0 || !(from >= 0 && from < to && to <= 100)) return false;
    *out = (fab_brainchop_scale){from / 100, to / 100, 0, false};
    return true;
}

/* "_normalize": {"type": "minmax" | "quantile", "min": 5, "max": 95} */
static fab_status scale_of_field(const fab_json *field, fab_brainchop_scale *out, fab_error *err)
{
    const char *type = NULL;
    double from = 5, to = 95;
    FAB_TRY(fab_json_get_string(field, "type", &type, err));
    if (strcmp(type, "minmax") == 0) {
        *out = tfjs_scale;
        return FAB_OK;
    }
    if (strcmp(type, "quantile") != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "_normalize.type is \"%.40s\": minmax and quantile are "
                 "supported", type);
    if (fab_json_find(field, "min"))
        FAB_TRY(fab_json_get_real(field, "min", 0, 100, &from, err));
    if (fab_json_find(field, "max"))
        FAB_TRY(fab_json_get_real(field, "max", 0, 100, &to, err));
    if (!(from < to)) FAB_FAIL(err, FAB_ERR_FORMAT, "_normalize: min %g is not below max %g", from,
                               to);
    *out = (fab_brainchop_scale){from / 100, to / 100, 0, false};
    return FAB_OK;
}

static fab_status read_scale(const fab_json *model, fab_brainchop_scale *out, fab_error *err)
{
    const fab_json *field = fab_json_find(model, "_normalize");
    *out = is_tfjs(model) ? tfjs_scale : torch_scale;
    if (field) return scale_of_field(field, out, err);
    (void)scale_of_comment(fab_json_text(fab_json_find(model, "_comment")), out);
    return FAB_OK;
}

/* ---- the network ------------------------------------------------------------------------- */

static bool plain_name(const char *name)
{
    return name && name[0] && name[0] != '.' && !strpbrk(name, "/\\") &&
           strlen(name) < FAB_MAX_NAME_BYTES;
}

static fab_status find_weights(const char *folder, const fab_json *model, char *name,
                               fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    if (is_tfjs(model)) {
        const fab_json *group = fab_json_at(fab_json_find(model, "weightsManifest"), 0);
        const char *file = fab_json_text(fab_json_at(fab_json_find(group, "paths"), 0));
        if (!plain_name(file))
            FAB_FAIL(err, FAB_ERR_FORMAT, "weightsManifest[0].paths names no file beside it");
        snprintf(name, FAB_MAX_NAME_BYTES, "%s", file);
        return FAB_OK;
    }
    for (size_t i = 0; i < sizeof weight_files / sizeof *weight_files; i++) {
        FAB_TRY(fab_path_join(path, sizeof path, folder, weight_files[i], err));
        snprintf(name, FAB_MAX_NAME_BYTES, "%s", weight_files[i]);
        if (access(path, F_OK) == 0) return FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_NOTFOUND, "no model.safetensors or model.pth beside it");
}

static fab_status read_tensors(const fab_reader *weights, fab_tensors **out, fab_error *err)
{
    char head[2] = "";
    if (weights->size >= 2) FAB_TRY(fab_reader_read(weights, 0, head, 2, err));
    if (memcmp(head, "PK", 2) == 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: a torch checkpoint (zip); brainchop's networks are "
                 "read from safetensors", weights->name);
    return fab_tensors_read_safetensors(weights, out, err);
}

static fab_status build(fab_brainchop *m, const fab_json *json, const fab_reader *model,
                        const fab_reader *weights, fab_error *err)
{
    FAB_AUTO_FREE fab_sequential_config *c = fab_calloc(1, sizeof *c);
    FAB_AUTO(fab_tensors_free) fab_tensors *tensors = NULL;
    if (!c) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory", model->name);
    if (is_tfjs(json)) FAB_TRY(fab_sequential_read_tfjs(model, weights, c, &tensors, err));
    else {
        FAB_TRY(fab_sequential_read_meshnet(model, c, err));
        FAB_TRY(read_tensors(weights, &tensors, err));
    }
    if (c->input_channels != 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: the network wants %d images at once, 1 is "
                 "supported", model->name, c->input_channels);
    m->classes = c->layers[c->layer_count - 1].outputs;
    if (m->classes < 2 || m->classes > FAB_MAX_STRUCTURES)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: %d %s, 2 to %d are supported", model->name,
                 m->classes, fab_plural(m->classes, "class", "classes"), FAB_MAX_STRUCTURES);
    return fab_net_create_sequential(c, tensors, fab_nn_isa_best(FAB_PRECISION_FP32), &m->net,
                                     err);
}

static fab_status load_network(fab_brainchop *m, const char *folder, const fab_json *json,
                               const char *model_path, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_reader model = {0}, weights = {0};
    if (read_scale(json, &m->scale, err) < 0 ||
        find_weights(folder, json, m->files[1], err) < 0)
        return fab_error_prefix(err, "%s", model_path);
    FAB_TRY(fab_path_join(path, sizeof path, folder, m->files[1], err));
    FAB_TRY(fab_reader_open_file(model_path, &model, err));
    fab_status status = fab_reader_open_file(path, &weights, err);
    if (status == FAB_OK) status = build(m, json, &model, &weights, err);
    fab_reader_close(&weights);
    fab_reader_close(&model);
    FAB_TRY(status);
    return fab_sha256_file(path, m->weights_sha256, err);
}

/* ---- names of the classes ---------------------------------------------------------------- */

static fab_status number_classes(fab_brainchop *m, fab_error *err)
{
    for (int c = 1; c < m->classes; c++) {
        char name[32];
        snprintf(name, sizeof name, "class_%d", c);
        FAB_TRY(fab_label_set_add(&m->set, c, name, err));
    }
    return FAB_OK;
}

/* The first file whose names are as many as the classes. A file that does not fit is passed over
 * for one that does (model5_gw_ae has both), but not for no names at all. */
static fab_status load_names(fab_brainchop *m, const char *folder, fab_error *err)
{
    char misfit[FAB_MAX_PATH_BYTES] = "";
    size_t named = 0;
    for (size_t i = 0; i < sizeof name_files / sizeof *name_files; i++) {
        char path[FAB_MAX_PATH_BYTES];
        FAB_AUTO(fab_json_free) fab_json *json = NULL;
        FAB_TRY(fab_path_join(path, sizeof path, folder, name_files[i], err));
        if (access(path, F_OK) != 0) continue;
        FAB_TRY(fab_json_load_file(path, &json, err));
        named = fab_brainchop_names_count(json);
        snprintf(misfit, sizeof misfit, "%s", path);
        if (named != (size_t)m->classes) continue;
        if (fab_brainchop_names_read(json, &m->set, err) < 0)
            return fab_error_prefix(err, "%s", path);
        snprintf(m->files[2], sizeof m->files[2], "%s", name_files[i]);
        return FAB_OK;
    }
    if (misfit[0])
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: %zu %s, the network has %d classes", misfit, named,
                 fab_plural((int64_t)named, "name", "names"), m->classes);
    return number_classes(m, err);
}

fab_status fab_brainchop_load(const char *folder, fab_brainchop **out, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    FAB_AUTO(fab_brainchop_free) fab_brainchop *m = fab_calloc(1, sizeof *m);
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a model");
    FAB_TRY(fab_path_join(path, sizeof path, folder, "model.json", err));
    FAB_TRY(fab_json_load_file(path, &json, err));
    if (!is_brainchop(json))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: neither a TensorFlow.js model (modelTopology, "
                 "weightsManifest) nor a list of layers", path);
    snprintf(m->files[0], sizeof m->files[0], "model.json");
    FAB_TRY(load_network(m, folder, json, path, err));
    FAB_TRY(load_names(m, folder, err));
    *out = m;
    m = NULL;
    return FAB_OK;
}

fab_brainchop *fab_brainchop_free(fab_brainchop *m)
{
    if (!m) return NULL;
    fab_net_free(m->net);
    fab_label_set_free(&m->set);
    return fab_free(m);
}

const fab_label_set *fab_brainchop_labels(const fab_brainchop *m)
{
    return &m->set;
}

const fab_brainchop_scale *fab_brainchop_scale_of(const fab_brainchop *m)
{
    return &m->scale;
}

const char *fab_brainchop_weights_sha256(const fab_brainchop *m)
{
    return m->weights_sha256;
}

const char *fab_brainchop_file(const fab_brainchop *m, int index)
{
    return index >= 0 && index < FAB_BRAINCHOP_FILES && m->files[index][0] ? m->files[index]
                                                                           : NULL;
}
