/* model.c - loads a model package: model.json and its weights, trusting neither. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "segment_internal.h"

#define CARD_FILE "model.json"
#define DEFAULT_MIN_COMPONENT_ML 0.5

static fab_status copy_text(const fab_json *o, const char *key, size_t capacity, char *into,
                            fab_error *err)
{
    const char *text = NULL;
    FAB_TRY(fab_json_get_string(o, key, &text, err));
    if (text[0] == 0 || strlen(text) >= capacity)
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"%s\" is empty or longer than %zu bytes", key,
                 capacity - 1);
    memcpy(into, text, strlen(text) + 1);
    return FAB_OK;
}

static fab_status need_text(const fab_json *o, const char *key, const char *wanted, fab_error *err)
{
    const char *text = NULL;
    FAB_TRY(fab_json_get_string(o, key, &text, err));
    if (strcmp(text, wanted) != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "\"%s\" is \"%.60s\", only \"%s\" is supported", key,
                 text, wanted);
    return FAB_OK;
}

static fab_status read_preprocessing(const fab_json *card, fab_model *m, fab_error *err)
{
    const fab_json *o = NULL, *n = NULL;
    FAB_TRY(fab_json_get_object(card, "preprocessing", &o, err));
    FAB_TRY(need_text(o, "orientation", "LPS", err));
    FAB_TRY(need_text(o, "resampling", "fabrica-gauss-linear-1", err));
    FAB_TRY(fab_json_get_reals(o, "spacing_mm", 3, 0.1, 100.0, m->spacing_mm, err));
    FAB_TRY(fab_json_get_real(o, "padding_value_hu", -1e6, 1e6, &m->padding_hu, err));
    FAB_TRY(fab_json_get_object(o, "normalization", &n, err));
    FAB_TRY(need_text(n, "type", "ct", err));
    FAB_TRY(fab_json_get_reals(n, "clip_hu", 2, -1e6, 1e6, m->clip_hu, err));
    if (!(m->clip_hu[0] < m->clip_hu[1]))
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"clip_hu\" is empty: [%g, %g]", m->clip_hu[0],
                 m->clip_hu[1]);
    FAB_TRY(fab_json_get_real(n, "mean", -1e6, 1e6, &m->mean, err));
    return fab_json_get_real(n, "std", 1e-6, 1e6, &m->std, err);
}

static fab_status take_patch(const char *key, const double from[3], const int divisor[3],
                             int to[3], fab_error *err)
{
    for (int a = 0; a < 3; a++) {
        to[a] = (int)from[a];
        if ((double)to[a] != from[a] || to[a] % divisor[a] != 0)
            FAB_FAIL(err, FAB_ERR_FORMAT,
                     "\"%s\"[%d] is %g: not a multiple of the strides' product %d", key, a,
                     from[a], divisor[a]);
    }
    return FAB_OK;
}

static fab_status read_inference(const fab_json *card, fab_model *m, fab_error *err)
{
    const fab_json *o = NULL, *axes = NULL;
    double patch[3], most[3];
    int divisor[3];
    FAB_TRY(fab_json_get_object(card, "inference", &o, err));
    FAB_TRY(fab_json_get_reals(o, "patch_size", 3, 1, 1024, patch, err));
    memcpy(most, patch, sizeof most);
    if (fab_json_find(o, "patch_size_max"))
        FAB_TRY(fab_json_get_reals(o, "patch_size_max", 3, 1, 1024, most, err));
    FAB_TRY(fab_json_get_real(o, "step", 0.1, 1.0, &m->step, err));
    FAB_TRY(fab_json_get_real(o, "gaussian_sigma_scale", 0.01, 10.0, &m->sigma_scale, err));
    if (fab_json_find(o, "body_only"))
        FAB_TRY(fab_json_get_bool(o, "body_only", &m->body_only, err));
    FAB_TRY(fab_json_get_array(o, "mirror_axes", &axes, err));
    for (size_t i = 0; i < fab_json_count(axes); i++) {
        const double axis = fab_json_number(fab_json_at(axes, i));
        if (!fab_json_is_number(fab_json_at(axes, i)) ||
            !(axis == 0.0 || axis == 1.0 || axis == 2.0))
            FAB_FAIL(err, FAB_ERR_FORMAT, "\"mirror_axes\"[%zu] is not 0, 1 or 2", i);
        m->mirror[(int)axis] = true;
    }
    fab_unet_config_divisor(&m->config, divisor);
    FAB_TRY(take_patch("patch_size", patch, divisor, m->patch, err));
    FAB_TRY(take_patch("patch_size_max", most, divisor, m->patch_max, err));
    for (int a = 0; a < 3; a++)
        if (m->patch_max[a] < m->patch[a])
            FAB_FAIL(err, FAB_ERR_FORMAT, "\"patch_size_max\"[%d] is less than \"patch_size\"[%d]",
                     a, a);
    return FAB_OK;
}

static fab_status read_label(const fab_json *o, int classes, fab_model_label *l, fab_error *err)
{
    int64_t value = 0;
    FAB_TRY(fab_json_get_int(o, "value", 1, classes - 1, &value, err));
    FAB_TRY(copy_text(o, "name", sizeof l->name, l->name, err));
    FAB_TRY(fab_json_get_bool(o, "split_left_right", &l->split, err));
    l->value = (int)value;
    l->min_component_ml = DEFAULT_MIN_COMPONENT_ML;
    if (!l->split) return FAB_OK;
    FAB_TRY(copy_text(o, "left_name", sizeof l->left, l->left, err));
    return copy_text(o, "right_name", sizeof l->right, l->right, err);
}

/* Names must be usable and different: tried on a label set. */
static fab_status check_names(const fab_model *m, fab_error *err)
{
    __attribute__((cleanup(fab_label_set_free))) fab_label_set set = {0};
    int value = 0;
    for (int i = 0; i < m->label_count; i++) {
        const fab_model_label *l = &m->labels[i];
        for (int k = 0; k < fab_row_values(m, i); k++) {
            char buffer[FAB_MAX_NAME_BYTES];
            const char *name = fab_row_name(m, i, k, buffer);
            if (fab_label_set_by_name(&set, name))
                FAB_FAIL(err, FAB_ERR_FORMAT, "labels[%d]: the name \"%s\" occurs twice", i, name);
            if (fab_label_set_add(&set, ++value, name, err) < 0)
                return fab_error_prefix(err, "labels[%d]", i);
        }
        for (int j = 0; j < i; j++)
            if (m->labels[j].value == l->value)
                FAB_FAIL(err, FAB_ERR_FORMAT, "labels[%d].value %d occurs twice", i, l->value);
    }
    return FAB_OK;
}

static fab_status read_labels(const fab_json *card, fab_model *m, fab_error *err)
{
    const fab_json *list = NULL;
    FAB_TRY(fab_json_get_array(card, "labels", &list, err));
    const size_t count = fab_json_count(list);
    if (count == 0 || count >= (size_t)m->config.classes)
        FAB_FAIL(err, FAB_ERR_FORMAT, "labels has %zu %s, the network %d classes with background",
                 count, fab_plural((int64_t)count, "entry", "entries"), m->config.classes);
    for (size_t i = 0; i < count; i++)
        if (read_label(fab_json_at(list, i), m->config.classes, &m->labels[i], err) < 0)
            return fab_error_prefix(err, "labels[%zu]", i);
    m->label_count = (int)count;
    FAB_TRY(fab_model_read_spine(card, m, err));
    return check_names(m, err);
}

static fab_model_label *label_named(fab_model *m, const char *name)
{
    for (int i = 0; i < m->label_count; i++)
        if (strcmp(m->labels[i].name, name) == 0) return &m->labels[i];
    return NULL;
}

/* "near": names of labels, "within_mm". */
static fab_status read_near(const fab_json *rule, fab_model *m, fab_model_label *l, fab_error *err)
{
    const fab_json *names = NULL;
    FAB_TRY(fab_json_get_array(rule, "near", &names, err));
    FAB_TRY(fab_json_get_real(rule, "within_mm", 0.0, 1e4, &l->within_mm, err));
    const size_t count = fab_json_count(names);
    if (count == 0 || count > FAB_MODEL_MAX_NEAR)
        FAB_FAIL(err, FAB_ERR_FORMAT, "near has %zu names, 1 to %d are allowed", count,
                 FAB_MODEL_MAX_NEAR);
    for (size_t i = 0; i < count; i++) {
        const char *name = fab_json_text(fab_json_at(names, i));
        const fab_model_label *other = name ? label_named(m, name) : NULL;
        if (!other || other == l)
            FAB_FAIL(err, FAB_ERR_FORMAT, "near[%zu]: no other label of that name", i);
        l->near[i] = (int)(other - m->labels);
    }
    l->near_count = (int)count;
    return FAB_OK;
}

/* "yields_to": name of a label, "neck_mm". */
static fab_status read_neck(const fab_json *rule, fab_model *m, fab_model_label *l, fab_error *err)
{
    const char *name = NULL;
    FAB_TRY(fab_json_get_string(rule, "yields_to", &name, err));
    FAB_TRY(fab_json_get_real(rule, "neck_mm", 0.1, 1e3, &l->neck_mm, err));
    const fab_model_label *other = label_named(m, name);
    if (!other || other == l)
        FAB_FAIL(err, FAB_ERR_FORMAT, "yields_to: no other label is called \"%.60s\"", name);
    l->yields_to = (int)(other - m->labels);
    return FAB_OK;
}

/* One postprocess entry; what it leaves out stays. */
static fab_status read_rule(const fab_json *rule, fab_model_label *l, fab_error *err)
{
    int64_t keep = l->keep_components;
    if (fab_json_find(rule, "keep_components"))
        FAB_TRY(fab_json_get_int(rule, "keep_components", 0, 1000, &keep, err));
    if (fab_json_find(rule, "min_component_ml"))
        FAB_TRY(fab_json_get_real(rule, "min_component_ml", 0.0, 1e6, &l->min_component_ml, err));
    if (fab_json_find(rule, "needs_hu")) {
        FAB_TRY(fab_json_get_real(rule, "needs_hu", -1e6, 1e6, &l->needs_hu, err));
        FAB_TRY(fab_json_get_real(rule, "needs_share", 0.0, 1.0, &l->needs_share, err));
    }
    if (fab_json_find(rule, "fluid_below_hu"))
        FAB_TRY(fab_json_get_real(rule, "fluid_below_hu", 0.0, 1e6, &l->fluid_below_hu, err));
    if (fab_json_find(rule, "not_under_skin"))
        FAB_TRY(fab_json_get_bool(rule, "not_under_skin", &l->not_under_skin, err));
    l->keep_components = (int)keep;
    return FAB_OK;
}

/* Optional: {"outside_reaches_edge": bool, "default": {rule}, "labels": {"name": {rule}}}. */
static fab_status read_postprocess(const fab_json *card, fab_model *m, fab_error *err)
{
    const fab_json *o = NULL, *labels = NULL, *rule = NULL;
    const char *key = NULL;
    void *cursor = NULL;
    if (!fab_json_find(card, "postprocess")) return FAB_OK;
    FAB_TRY(fab_json_get_object(card, "postprocess", &o, err));
    if (fab_json_find(o, "outside_reaches_edge"))
        FAB_TRY(fab_json_get_bool(o, "outside_reaches_edge", &m->outside_reaches_edge, err));
    if (fab_json_find(o, "default")) {
        FAB_TRY(fab_json_get_object(o, "default", &rule, err));
        for (int i = 0; i < m->label_count; i++) FAB_TRY(read_rule(rule, &m->labels[i], err));
    }
    if (!fab_json_find(o, "labels")) return FAB_OK;
    FAB_TRY(fab_json_get_object(o, "labels", &labels, err));
    while (fab_json_next(labels, &cursor, &key, &rule)) {
        fab_model_label *l = label_named(m, key);
        if (!l || !fab_json_is_object(rule))
            FAB_FAIL(err, FAB_ERR_FORMAT, "postprocess.labels.%.60s: no such label, or no object",
                     key);
        FAB_TRY(read_rule(rule, l, err));
        if (fab_json_find(rule, "near") && read_near(rule, m, l, err) < 0)
            return fab_error_prefix(err, "postprocess.labels.%.60s", key);
        if (fab_json_find(rule, "yields_to") && read_neck(rule, m, l, err) < 0)
            return fab_error_prefix(err, "postprocess.labels.%.60s", key);
    }
    return FAB_OK;
}

static fab_status read_card(const fab_json *card, fab_model *m, fab_error *err)
{
    const fab_json *architecture = NULL;
    int64_t version = 0;
    if (!fab_json_is_object(card)) FAB_FAIL(err, FAB_ERR_FORMAT, "it is no JSON object");
    FAB_TRY(need_text(card, "format", "fabrica-model", err));
    FAB_TRY(fab_json_get_int(card, "format_version", 1, 1, &version, err));
    FAB_TRY(copy_text(card, "name", sizeof m->name, m->name, err));
    FAB_TRY(copy_text(card, "version", sizeof m->version, m->version, err));
    FAB_TRY(need_text(card, "modality", "CT", err));
    FAB_TRY(fab_json_get_object(card, "architecture", &architecture, err));
    if (fab_unet_config_from_json(architecture, &m->config, err) < 0)
        return fab_error_prefix(err, "architecture");
    if (m->config.input_channels != 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "architecture: input_channels is %d, CT needs 1",
                 m->config.input_channels);
    FAB_TRY(read_preprocessing(card, m, err));
    FAB_TRY(read_inference(card, m, err));
    FAB_TRY(read_labels(card, m, err));
    FAB_TRY(read_postprocess(card, m, err));
    FAB_AUTO(fab_calibration_free) fab_calibration *calibration = NULL; /* only to refuse early */
    return fab_calibration_read(card, &calibration, err);
}

/* The plain file name in weights.file: nothing that leaves the package's folder. */
static fab_status weights_of(const fab_json *card, const char **file, const char **sha256,
                             fab_error *err)
{
    const fab_json *o = NULL;
    FAB_TRY(fab_json_get_object(card, "weights", &o, err));
    FAB_TRY(fab_json_get_string(o, "file", file, err));
    FAB_TRY(fab_json_get_string(o, "sha256", sha256, err));
    const char *f = *file;
    if (f[0] == 0 || f[0] == '.' || strlen(f) > 200 || strchr(f, '/') || strchr(f, '\\'))
        FAB_FAIL(err, FAB_ERR_FORMAT,
                 "weights.file \"%.80s\" is not the name of a file beside the card", f);
    if (strlen(*sha256) != 64 || strspn(*sha256, "0123456789abcdef") != 64)
        FAB_FAIL(err, FAB_ERR_FORMAT, "weights.sha256 is not 64 lower-case hexadecimal digits");
    return FAB_OK;
}

static fab_status check_hash(const fab_reader *r, const char *expected, char hex[65],
                             fab_error *err)
{
    uint8_t chunk[16384], digest[32];
    fab_sha256 h;
    fab_sha256_init(&h);
    for (uint64_t at = 0; at < r->size;) {
        const uint64_t left = r->size - at;
        const size_t n = left < sizeof chunk ? (size_t)left : sizeof chunk;
        FAB_TRY(fab_reader_read(r, at, chunk, n, err));
        fab_sha256_update(&h, chunk, n);
        at += n;
    }
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, hex);
    if (strcmp(hex, expected) != 0)
        FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s: its SHA-256 is %s, the card says %s", r->name, hex,
                 expected);
    return FAB_OK;
}

fab_model *fab_model_free(fab_model *m)
{
    if (!m) return NULL;
    fab_net_free(m->net);
    fab_json_free(m->card);
    return fab_free(m);
}

fab_status fab_model_load_parts(const fab_json *card, const char *card_name,
                                const fab_reader *weights, fab_precision precision,
                                fab_model **out, fab_error *err)
{
    const char *file = NULL, *sha256 = NULL;
    FAB_AUTO(fab_model_free) fab_model *m = fab_calloc(1, sizeof *m);
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a model");
    fab_status status = read_card(card, m, err);
    if (status >= 0) status = weights_of(card, &file, &sha256, err);
    if (status < 0) {
        fab_error_prefix(err, "%s", card_name);
        return status;
    }
    FAB_TRY(check_hash(weights, sha256, m->sha256, err));
    FAB_AUTO(fab_tensors_free) fab_tensors *tensors = NULL;
    FAB_TRY(fab_tensors_read_safetensors(weights, &tensors, err));
    FAB_TRY(fab_net_create_unet(&m->config, tensors, fab_nn_isa_best(precision), &m->net,
                                err));
    m->card = fab_json_retain((fab_json *)(uintptr_t)card);
    *out = m;
    m = NULL;
    return FAB_OK;
}

/* Opens card and weights of a package folder. */
static fab_status open_package(const char *folder, char *card_path, fab_json **card,
                               fab_reader *weights, fab_error *err)
{
    const char *file = NULL, *sha256 = NULL;
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(card_path, FAB_MAX_PATH_BYTES, folder, CARD_FILE, err));
    FAB_TRY(fab_json_load_file(card_path, card, err));
    fab_status status = weights_of(*card, &file, &sha256, err);
    if (status < 0) {
        fab_error_prefix(err, "%s", card_path);
        return status;
    }
    FAB_TRY(fab_path_join(path, sizeof path, folder, file, err));
    return fab_reader_open_file(path, weights, err);
}

fab_status fab_model_load(const char *folder, fab_precision precision, fab_model **out,
                          fab_error *err)
{
    char card_path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    fab_reader weights = {0};
    FAB_TRY(open_package(folder, card_path, &card, &weights, err));
    fab_status status = fab_model_load_parts(card, card_path, &weights, precision,
                                             out, err);
    fab_reader_close(&weights);
    return status;
}

fab_status fab_model_verify(const char *folder, fab_error *err)
{
    char card_path[FAB_MAX_PATH_BYTES], hex[65];
    const char *file = NULL, *sha256 = NULL;
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    fab_reader weights = {0};
    FAB_TRY(open_package(folder, card_path, &card, &weights, err));
    fab_status status = weights_of(card, &file, &sha256, err);
    if (status >= 0) status = check_hash(&weights, sha256, hex, err);
    fab_reader_close(&weights);
    return status;
}

const char *fab_model_name(const fab_model *m)
{
    return m->name;
}

const char *fab_model_version(const fab_model *m)
{
    return m->version;
}

const char *fab_model_weights_sha256(const fab_model *m)
{
    return m->sha256;
}

const fab_json *fab_model_card(const fab_model *m)
{
    return m->card;
}
