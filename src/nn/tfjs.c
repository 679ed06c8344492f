/* tfjs.c - a TensorFlow.js layers model that is a chain of 3D convolutions: model.json and its
 * weight file, trusting nothing in either.
 *
 * Each Keras layer is a row of `classes`. A convolution starts a layer of ours; the batch norm and
 * the activation after it complete it, in that order. Weights lie in the file as the manifest lists
 * them; kernels are [z][y][x][in][out] and become torch's [out][in][z][y][x]. Tensors keep their
 * layer's name: conv/kernel is conv.weight, norm/moving_mean norm.running_mean.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn_internal.h"

/* A layer has a kernel, a bias, and four of a norm. */
#define MAX_TENSORS (6 * FAB_SEQUENTIAL_MAX_LAYERS)
#define MAX_MANIFEST (6 * FAB_SEQUENTIAL_MAX_LAYERS + 16)

typedef enum progress { PART_CONV, PART_NORM, PART_ACTIVATION } progress;

typedef struct chain {
    fab_sequential_config *config;
    char last[FAB_MAX_NAME_BYTES]; /* the Keras layer before */
    bool has_input;
    progress part;                 /* what the present convolution has already */
    const char *name;              /* of the Keras layer being read */
} chain;

static fab_sequential_layer *present(const chain *c)
{
    return c->config->layer_count ? &c->config->layers[c->config->layer_count - 1] : NULL;
}

/* ---- Keras layers ---------------------------------------------------------------------------- */

static fab_status get_axes(const fab_json *o, const char *key, int most, int out[3],
                           fab_error *err)
{
    const fab_json *list = NULL;
    FAB_TRY(fab_json_get_array(o, key, &list, err));
    for (size_t a = 0; a < 3; a++) {
        const double n = fab_json_number(fab_json_at(list, a));
        if (fab_json_count(list) != 3 || !(n >= 1 && n <= most) || n != floor(n))
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s must be three whole numbers from 1 to %d", key,
                     most);
        out[a] = (int)n;
    }
    return FAB_OK;
}

/* A member that, if it is there, must be this text. */
static fab_status need_text(const fab_json *o, const char *key, const char *wanted, fab_error *err)
{
    const char *is = NULL;
    if (!fab_json_find(o, key)) return FAB_OK;
    FAB_TRY(fab_json_get_string(o, key, &is, err));
    if (strcmp(is, wanted) != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s is \"%.40s\", only \"%s\" is supported", key, is,
                 wanted);
    return FAB_OK;
}

static fab_status set_activation(chain *c, fab_activation kind, double slope, fab_error *err)
{
    fab_sequential_layer *l = present(c);
    if (!l || c->part == PART_ACTIVATION)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "an activation that does not follow a convolution");
    l->activation = kind;
    l->slope = slope;
    c->part = PART_ACTIVATION;
    return FAB_OK;
}

static fab_status read_activation(chain *c, const fab_json *config, fab_error *err)
{
    static const struct {
        const char *name;
        fab_activation kind;
        double slope;
    } known[] = {{"relu", FAB_ACTIVATION_LEAKY_RELU, 0}, {"elu", FAB_ACTIVATION_ELU, 1}};
    const char *name = NULL;
    FAB_TRY(fab_json_get_string(config, "activation", &name, err));
    if (strcmp(name, "linear") == 0) return FAB_OK;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0)
            return set_activation(c, known[i].kind, known[i].slope, err);
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
             "activation is \"%.40s\", \"linear\", \"relu\" and \"elu\" are supported", name);
}

static fab_status read_input(chain *c, const fab_json *config, fab_error *err)
{
    const fab_json *shape = fab_json_find(config, "batch_input_shape");
    if (!shape) shape = fab_json_find(config, "batch_shape");
    if (c->has_input || c->config->layer_count)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a second input");
    const double channels = fab_json_number(fab_json_at(shape, 4));
    if (fab_json_count(shape) != 5 || !(channels >= 1 && channels <= FAB_UNET_MAX_INPUT_CHANNELS) ||
        channels != floor(channels))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
                 "batch_input_shape must be [batch, z, y, x, channels] with 1 to %d channels",
                 FAB_UNET_MAX_INPUT_CHANNELS);
    c->config->input_channels = (int)channels;
    c->has_input = true;
    return FAB_OK;
}

static fab_status read_conv(chain *c, const fab_json *config, fab_error *err)
{
    int64_t filters = 0, groups = 1;
    int strides[3];
    fab_sequential_config *out = c->config;
    /* Sequential models may put the input's shape into their first layer */
    if (!c->has_input) FAB_TRY(read_input(c, config, err));
    if (out->layer_count == FAB_SEQUENTIAL_MAX_LAYERS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d convolutions", FAB_SEQUENTIAL_MAX_LAYERS);
    fab_sequential_layer *l = &out->layers[out->layer_count];
    *l = (fab_sequential_layer){.slope = 1};
    FAB_TRY(fab_json_get_int(config, "filters", 1, FAB_UNET_MAX_FEATURES, &filters, err));
    FAB_TRY(get_axes(config, "kernel_size", 3, l->kernel, err));
    FAB_TRY(get_axes(config, "strides", 1, strides, err));
    FAB_TRY(get_axes(config, "dilation_rate", FAB_SEQUENTIAL_MAX_DILATION, l->dilation, err));
    FAB_TRY(need_text(config, "padding", "same", err));
    FAB_TRY(need_text(config, "data_format", "channels_last", err));
    FAB_TRY(fab_json_get_bool(config, "use_bias", &l->bias, err));
    if (fab_json_find(config, "groups"))
        FAB_TRY(fab_json_get_int(config, "groups", 1, 1, &groups, err));
    l->outputs = (int)filters;
    snprintf(l->conv, sizeof l->conv, "%s", c->name);
    out->layer_count++;
    c->part = PART_CONV;
    return read_activation(c, config, err);
}

static fab_status read_norm(chain *c, const fab_json *config, fab_error *err)
{
    fab_sequential_layer *l = present(c);
    const fab_json *axis = fab_json_find(config, "axis");
    if (!l || c->part != PART_CONV)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a batch norm that does not follow a convolution");
    if (fab_json_is_array(axis) && fab_json_count(axis) == 1) axis = fab_json_at(axis, 0);
    const double at = fab_json_number(axis);
    if (!fab_json_is_number(axis) || (at != -1.0 && at != 4.0))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "axis must be the channels', 4");
    FAB_TRY(fab_json_get_real(config, "epsilon", 0.0, 1.0, &l->norm_eps, err));
    FAB_TRY(fab_json_get_bool(config, "scale", &l->norm_weight, err));
    FAB_TRY(fab_json_get_bool(config, "center", &l->norm_bias, err));
    snprintf(l->norm, sizeof l->norm, "%s", c->name);
    c->part = PART_NORM;
    return FAB_OK;
}

static fab_status read_relu(chain *c, const fab_json *config, fab_error *err)
{
    static const char *const without[] = {"max_value", "negative_slope", "threshold"};
    for (size_t i = 0; i < 3; i++) {
        const fab_json *v = fab_json_find(config, without[i]);
        if (v && !fab_json_is_null(v) && !(fab_json_is_number(v) && fab_json_number(v) == 0.0))
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s is set", without[i]);
    }
    return set_activation(c, FAB_ACTIVATION_LEAKY_RELU, 0, err);
}

static fab_status read_leaky_relu(chain *c, const fab_json *config, fab_error *err)
{
    double alpha = 0;
    FAB_TRY(fab_json_get_real(config, "alpha", 0.0, 0.999, &alpha, err));
    return set_activation(c, FAB_ACTIVATION_LEAKY_RELU, alpha, err);
}

static fab_status read_elu(chain *c, const fab_json *config, fab_error *err)
{
    double alpha = 1;
    if (fab_json_find(config, "alpha"))
        FAB_TRY(fab_json_get_real(config, "alpha", 0.0, 10.0, &alpha, err));
    return set_activation(c, FAB_ACTIVATION_ELU, alpha, err);
}

static fab_status read_nothing(chain *c, const fab_json *config, fab_error *err)
{
    (void)c, (void)config, (void)err;
    return FAB_OK;
}

static const struct layer_class {
    const char *name;
    fab_status (*read)(chain *c, const fab_json *config, fab_error *err);
} classes[] = {{"InputLayer", read_input},        {"Conv3D", read_conv},
               {"BatchNormalization", read_norm}, {"Activation", read_activation},
               {"ReLU", read_relu},               {"LeakyReLU", read_leaky_relu},
               {"ELU", read_elu},                 {"Dropout", read_nothing},
               {"SpatialDropout3D", read_nothing}};

/* ---- topology -------------------------------------------------------------------------------- */

/* inbound_nodes of a functional model: [[[layer, node, tensor, {}]]], and nothing else. Those of a
 * sequential model are missing. */
static fab_status check_inbound(const chain *c, const fab_json *layer, fab_error *err)
{
    const fab_json *nodes = fab_json_find(layer, "inbound_nodes");
    if (fab_json_count(nodes) == 0) {
        if (nodes && c->last[0])
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "inbound_nodes is empty behind the first layer");
        return FAB_OK;
    }
    const fab_json *node = fab_json_at(nodes, 0), *from = fab_json_at(node, 0);
    const char *name = fab_json_text(fab_json_at(from, 0));
    if (fab_json_count(nodes) != 1 || fab_json_count(node) != 1 || !name ||
        strcmp(name, c->last) != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
                 "inbound_nodes is not \"%s\" alone: only chains are supported", c->last);
    return FAB_OK;
}

static fab_status read_layer(chain *c, const fab_json *layer, fab_error *err)
{
    const char *class_name = NULL;
    const fab_json *config = NULL;
    FAB_TRY(fab_json_get_string(layer, "class_name", &class_name, err));
    FAB_TRY(fab_json_get_object(layer, "config", &config, err));
    FAB_TRY(fab_json_get_string(config, "name", &c->name, err));
    if (!c->name[0] || strlen(c->name) >= sizeof c->last)
        FAB_FAIL(err, FAB_ERR_FORMAT, "config.name has no or more than %zu bytes",
                 sizeof c->last - 1);
    FAB_TRY(check_inbound(c, layer, err));
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strcmp(class_name, classes[i].name) != 0) continue;
        if (classes[i].read(c, config, err) < 0)
            return fab_error_prefix(err, "%s \"%s\"", class_name, c->name);
        snprintf(c->last, sizeof c->last, "%s", c->name);
        return FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "class_name is \"%.60s\": that layer is not supported",
             class_name);
}

static fab_status read_topology(const fab_json *model, fab_sequential_config *out, fab_error *err)
{
    const fab_json *o = NULL, *layers = NULL;
    const char *kind = NULL;
    chain c = {.config = out};
    FAB_TRY(fab_json_get_object(model, "modelTopology", &o, err));
    FAB_TRY(fab_json_get_object(o, "model_config", &o, err));
    FAB_TRY(fab_json_get_string(o, "class_name", &kind, err));
    if (strcmp(kind, "Functional") != 0 && strcmp(kind, "Model") != 0 &&
        strcmp(kind, "Sequential") != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "model_config.class_name is \"%.60s\"", kind);
    FAB_TRY(fab_json_get_object(o, "config", &o, err));
    FAB_TRY(fab_json_get_array(o, "layers", &layers, err));
    for (size_t i = 0; i < fab_json_count(layers); i++)
        if (read_layer(&c, fab_json_at(layers, i), err) < 0)
            return fab_error_prefix(err, "layers[%zu]", i);
    if (out->layer_count == 0) FAB_FAIL(err, FAB_ERR_FORMAT, "layers has no Conv3D");
    const fab_json *ends = fab_json_find(o, "output_layers");
    const char *end = fab_json_text(fab_json_at(fab_json_at(ends, 0), 0));
    if (ends && (fab_json_count(ends) != 1 || !end || strcmp(end, c.last) != 0))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "output_layers is not the last layer, \"%s\"", c.last);
    return FAB_OK;
}

/* ---- weights --------------------------------------------------------------------------------- */

typedef struct entry {
    const char *name;
    int rank;
    int64_t shape[5], count;
    uint64_t offset;
} entry;

typedef struct manifest {
    entry entries[MAX_MANIFEST];
    size_t count;
    uint64_t bytes;
} manifest;

static fab_status read_entry(const fab_json *o, manifest *m, fab_error *err)
{
    entry *e = &m->entries[m->count];
    const fab_json *shape = NULL;
    const char *dtype = NULL;
    FAB_TRY(fab_json_get_string(o, "name", &e->name, err));
    if (fab_json_find(o, "quantization"))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%.100s: quantization is not supported", e->name);
    FAB_TRY(fab_json_get_string(o, "dtype", &dtype, err));
    if (strcmp(dtype, "float32") != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
                 "%.100s: dtype is \"%.40s\", only \"float32\" is supported", e->name, dtype);
    FAB_TRY(fab_json_get_array(o, "shape", &shape, err));
    if (fab_json_count(shape) < 1 || fab_json_count(shape) > 5)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%.100s: shape has %zu axes, 1 to 5 are supported",
                 e->name, fab_json_count(shape));
    e->rank = (int)fab_json_count(shape);
    e->count = 1;
    for (int i = 0; i < e->rank; i++) {
        const double n = fab_json_number(fab_json_at(shape, (size_t)i));
        if (!(n >= 1 && n <= FAB_UNET_MAX_FEATURES) || n != floor(n))
            FAB_FAIL(err, FAB_ERR_FORMAT, "%.100s: shape[%d] is not from 1 to %d", e->name, i,
                     FAB_UNET_MAX_FEATURES);
        e->shape[i] = (int64_t)n;
        e->count *= e->shape[i]; /* at most 2048^5 < 2^55 */
    }
    e->offset = m->bytes;
    if (e->count > FAB_MAX_WEIGHTS ||
        m->bytes + (uint64_t)e->count * 4 > (uint64_t)FAB_MAX_WEIGHTS * 4)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%.100s: more than %lld values", e->name,
                 (long long)FAB_MAX_WEIGHTS);
    m->bytes += (uint64_t)e->count * 4;
    m->count++;
    return FAB_OK;
}

static fab_status read_manifest(const fab_json *model, manifest *m, fab_error *err)
{
    const fab_json *groups = NULL, *list = NULL;
    FAB_TRY(fab_json_get_array(model, "weightsManifest", &groups, err));
    if (fab_json_count(groups) != 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "weightsManifest has %zu groups, 1 is supported",
                 fab_json_count(groups));
    const fab_json *group = fab_json_at(groups, 0);
    FAB_TRY(fab_json_get_array(group, "paths", &list, err));
    if (fab_json_count(list) != 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "weightsManifest[0].paths has %zu files, 1 is supported",
                 fab_json_count(list));
    FAB_TRY(fab_json_get_array(group, "weights", &list, err));
    if (fab_json_count(list) > MAX_MANIFEST)
        FAB_FAIL(err, FAB_ERR_LIMIT, "weightsManifest[0].weights has %zu entries, at most %d",
                 fab_json_count(list), MAX_MANIFEST);
    for (size_t i = 0; i < fab_json_count(list); i++)
        if (read_entry(fab_json_at(list, i), m, err) < 0)
            return fab_error_prefix(err, "weightsManifest[0].weights[%zu]", i);
    return FAB_OK;
}

/* The tensors under construction: `values` holds the whole file. */
typedef struct bundle {
    const manifest *manifest;
    const char *model_name;
    float *values;
    fab_tensor items[MAX_TENSORS];
    char names[MAX_TENSORS][FAB_MAX_NAME_BYTES + 16];
    size_t count;
} bundle;

static fab_status read_data(const fab_reader *data, float *values, fab_error *err)
{
    uint8_t chunk[8192];
    const size_t bytes = (size_t)data->size;
    for (size_t at = 0; at < bytes;) {
        const size_t n = bytes - at < sizeof chunk ? bytes - at : sizeof chunk;
        FAB_TRY(fab_reader_read(data, at, chunk, n, err));
        fab_tensor_to_f32(FAB_TENSOR_F32, chunk, values + at / 4, n / 4);
        at += n;
    }
    return FAB_OK;
}

static fab_status find_entry(const bundle *b, const char *layer, const char *part,
                             const int64_t *shape, int rank, const entry **out, fab_error *err)
{
    char name[FAB_MAX_NAME_BYTES + 32];
    snprintf(name, sizeof name, "%s/%s", layer, part);
    for (size_t i = 0; i < b->manifest->count; i++) {
        const entry *e = &b->manifest->entries[i];
        if (strcmp(e->name, name) != 0) continue;
        bool same = e->rank == rank;
        for (int a = 0; same && a < rank; a++) same = e->shape[a] == shape[a];
        if (!same)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: weightsManifest: %s has another shape than its "
                     "layer needs", b->model_name, name);
        *out = e;
        return FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: weightsManifest: %s is missing", b->model_name, name);
}

static void put(bundle *b, const char *layer, const char *name, const int64_t *shape, int rank,
                const entry *e)
{
    fab_tensor *t = &b->items[b->count];
    snprintf(b->names[b->count], sizeof b->names[0], "%s.%s", layer, name);
    *t = (fab_tensor){b->names[b->count], rank, {0}, b->values + e->offset / 4};
    memcpy(t->shape, shape, (size_t)rank * sizeof *shape);
    b->count++;
}

static fab_status put_vector(bundle *b, const char *layer, const char *part, const char *name,
                             int outputs, bool wanted, fab_error *err)
{
    const entry *e = NULL;
    const int64_t shape[1] = {outputs};
    if (!wanted) return FAB_OK;
    FAB_TRY(find_entry(b, layer, part, shape, 1, &e, err));
    put(b, layer, name, shape, 1, e);
    return FAB_OK;
}

/* [z][y][x][in][out] becomes [out][in][z][y][x] where it lies. */
static fab_status put_kernel(bundle *b, const fab_sequential_layer *l, int inputs, fab_error *err)
{
    const entry *e = NULL;
    const int *k = l->kernel;
    const int64_t from[5] = {k[0], k[1], k[2], inputs, l->outputs};
    const int64_t to[5] = {l->outputs, inputs, k[0], k[1], k[2]};
    FAB_TRY(find_entry(b, l->conv, "kernel", from, 5, &e, err));
    float *values = b->values + e->offset / 4;
    FAB_AUTO_FREE float *copy = fab_alloc_array((size_t)e->count, sizeof *copy);
    if (!copy) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %lld weights", (long long)e->count);
    memcpy(copy, values, (size_t)e->count * sizeof *copy);
    const int64_t taps = from[0] * from[1] * from[2], pairs = (int64_t)inputs * l->outputs;
    for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < pairs; i++)
            values[(i % l->outputs * inputs + i / l->outputs) * taps + t] = copy[t * pairs + i];
    put(b, l->conv, "weight", to, 5, e);
    return FAB_OK;
}

static fab_status put_layer(bundle *b, int inputs, const fab_sequential_layer *l, fab_error *err)
{
    const int n = l->outputs;
    FAB_TRY(put_kernel(b, l, inputs, err));
    FAB_TRY(put_vector(b, l->conv, "bias", "bias", n, l->bias, err));
    if (!l->norm[0]) return FAB_OK;
    FAB_TRY(put_vector(b, l->norm, "gamma", "weight", n, l->norm_weight, err));
    FAB_TRY(put_vector(b, l->norm, "beta", "bias", n, l->norm_bias, err));
    FAB_TRY(put_vector(b, l->norm, "moving_mean", "running_mean", n, true, err));
    return put_vector(b, l->norm, "moving_variance", "running_var", n, true, err);
}

static fab_status make_tensors(const manifest *m, const fab_reader *model, const fab_reader *data,
                               const fab_sequential_config *c, fab_tensors **out, fab_error *err)
{
    const size_t count = (size_t)(m->bytes / 4);
    FAB_AUTO_FREE bundle *b = fab_calloc(1, sizeof *b);
    FAB_AUTO_FREE float *values = fab_alloc_array(count + 1, sizeof *values);
    if (!b || !values) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory for its weights", data->name);
    b->manifest = m;
    b->model_name = model->name;
    b->values = values;
    FAB_TRY(read_data(data, values, err));
    for (int i = 0; i < c->layer_count; i++)
        FAB_TRY(put_layer(b, i ? c->layers[i - 1].outputs : c->input_channels, &c->layers[i],
                          err));
    if (fab_tensors_make(data->name, b->items, b->count, &values, count, out, err) < 0)
        return fab_error_prefix(err, "%s", data->name);
    return FAB_OK;
}

fab_status fab_sequential_read_tfjs(const fab_reader *model, const fab_reader *data,
                                    fab_sequential_config *config, fab_tensors **weights,
                                    fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    FAB_AUTO_FREE fab_sequential_config *c = fab_calloc(1, sizeof *c);
    FAB_AUTO_FREE manifest *m = fab_calloc(1, sizeof *m);
    if (!c || !m) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory", model->name);
    FAB_TRY(fab_json_load(model, &json, err));
    if (need_text(json, "format", "layers-model", err) < 0 || read_topology(json, c, err) < 0 ||
        fab_nn_sequential_check(c, err) < 0 || read_manifest(json, m, err) < 0)
        return fab_error_prefix(err, "%s", model->name);
    if (m->bytes != data->size)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: %llu bytes, weightsManifest of %s needs %llu",
                 data->name, (unsigned long long)data->size, model->name,
                 (unsigned long long)m->bytes);
    FAB_TRY(make_tensors(m, model, data, c, weights, err));
    *config = *c;
    return FAB_OK;
}
