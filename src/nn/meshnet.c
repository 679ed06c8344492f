/* meshnet.c - brainchop's own description of a MeshNet: a list of convolutions and a few switches
 * that hold for all of them. Tensors are named as torch's nn.Sequential numbers its modules. */
#include <stdio.h>
#include <string.h>

#include "nn_internal.h"

/* A switch that is false where it is not named. */
static fab_status get_switch(const fab_json *o, const char *key, bool *out, fab_error *err)
{
    *out = false;
    return fab_json_find(o, key) ? fab_json_get_bool(o, key, out, err) : FAB_OK;
}

static fab_status read_layer(const fab_json *o, int inputs, fab_sequential_layer *l,
                             fab_error *err)
{
    int64_t in = 0, out = 0, kernel = 0, padding = 0, stride = 0, dilation = 0;
    FAB_TRY(fab_json_get_int(o, "in_channels", 1, FAB_UNET_MAX_FEATURES, &in, err));
    FAB_TRY(fab_json_get_int(o, "out_channels", 1, FAB_UNET_MAX_FEATURES, &out, err));
    FAB_TRY(fab_json_get_int(o, "kernel_size", 1, 3, &kernel, err));
    FAB_TRY(fab_json_get_int(o, "dilation", 1, FAB_SEQUENTIAL_MAX_DILATION, &dilation, err));
    FAB_TRY(fab_json_get_int(o, "padding", 0, FAB_SEQUENTIAL_MAX_DILATION, &padding, err));
    FAB_TRY(fab_json_get_int(o, "stride", 1, 1, &stride, err));
    if (inputs && in != inputs)
        FAB_FAIL(err, FAB_ERR_FORMAT, "in_channels is %lld, the layer before has %d %s",
                 (long long)in, inputs, fab_plural(inputs, "output", "outputs"));
    if (kernel == 2 || padding != kernel / 2 * dilation)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
                 "kernel_size %lld with padding %lld and dilation %lld would change the size",
                 (long long)kernel, (long long)padding, (long long)dilation);
    l->outputs = (int)out;
    for (int a = 0; a < 3; a++) {
        l->kernel[a] = (int)kernel;
        l->dilation[a] = (int)dilation;
    }
    return FAB_OK;
}

typedef struct switches {
    bool norm, gelu, elu, bias;
    double dropout;
} switches;

static fab_status read_switches(const fab_json *o, switches *s, fab_error *err)
{
    FAB_TRY(get_switch(o, "bnorm", &s->norm, err));
    FAB_TRY(get_switch(o, "gelu", &s->gelu, err));
    FAB_TRY(get_switch(o, "elu", &s->elu, err));
    FAB_TRY(get_switch(o, "bias", &s->bias, err));
    if (fab_json_find(o, "dropout_p"))
        FAB_TRY(fab_json_get_real(o, "dropout_p", 0.0, 1.0, &s->dropout, err));
    if (s->norm)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
                 "bnorm is true: norms over the whole volume are not supported");
    if (s->gelu)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "gelu is true: only ReLU and ELU are supported");
    return FAB_OK;
}

static fab_status read_config(const fab_json *o, fab_sequential_config *c, fab_error *err)
{
    const fab_json *layers = NULL;
    switches s = {0};
    FAB_TRY(read_switches(o, &s, err));
    FAB_TRY(fab_json_get_array(o, "layers", &layers, err));
    const size_t count = fab_json_count(layers);
    if (count < 1 || count > FAB_SEQUENTIAL_MAX_LAYERS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "layers has %zu entries, 1 to %d are supported", count,
                 FAB_SEQUENTIAL_MAX_LAYERS);
    const int modules = s.dropout > 0 ? 3 : 2; /* conv, activation, dropout */
    for (size_t i = 0; i < count; i++) {
        fab_sequential_layer *l = &c->layers[i];
        const fab_json *item = fab_json_at(layers, i);
        if (read_layer(item, i ? c->layers[i - 1].outputs : 0, l, err) < 0)
            return fab_error_prefix(err, "layers[%zu]", i);
        snprintf(l->conv, sizeof l->conv, "model.%d", (int)i * modules);
        l->bias = s.bias;
        l->slope = s.elu ? 1 : 0;
        if (i + 1 < count)
            l->activation = s.elu ? FAB_ACTIVATION_ELU : FAB_ACTIVATION_LEAKY_RELU;
    }
    c->layer_count = (int)count;
    c->input_channels = (int)fab_json_number(fab_json_find(fab_json_at(layers, 0), "in_channels"));
    return fab_nn_sequential_check(c, err);
}

fab_status fab_sequential_read_meshnet(const fab_reader *model, fab_sequential_config *config,
                                       fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    FAB_AUTO_FREE fab_sequential_config *c = fab_calloc(1, sizeof *c);
    if (!c) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory", model->name);
    FAB_TRY(fab_json_load(model, &json, err));
    if (read_config(json, c, err) < 0) return fab_error_prefix(err, "%s", model->name);
    *config = *c;
    return FAB_OK;
}
