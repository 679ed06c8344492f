/* sequential.c - builds a chain of dilated convolutions (MeshNet: Fedorov et al. 2017) as a list
 * of operations, from a configuration whose every field is checked here.
 *
 * Batch norm is a scale and a shift a channel at inference, applied to a row of sums together with
 * the activation while it is in cache (stream.c).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn_internal.h"

static bool within(const int n[3], int low, int high, bool odd)
{
    for (int a = 0; a < 3; a++)
        if (n[a] < low || n[a] > high || (odd && n[a] % 2 == 0)) return false;
    return true;
}

static bool name_ok(const char *name, size_t capacity, bool needed)
{
    return memchr(name, 0, capacity) && (name[0] || !needed);
}

/* Norm and activation. */
static fab_status check_activation(const fab_sequential_layer *l, fab_error *err)
{
    if (l->norm[0] && !(l->norm_eps >= 0 && l->norm_eps <= 1))
        FAB_FAIL(err, FAB_ERR_ARG, "the norm's epsilon %g is not from 0 to 1", l->norm_eps);
    if (l->activation != FAB_ACTIVATION_LINEAR && l->activation != FAB_ACTIVATION_LEAKY_RELU &&
        l->activation != FAB_ACTIVATION_ELU)
        FAB_FAIL(err, FAB_ERR_ARG, "activation %d is not known", (int)l->activation);
    const double most = l->activation == FAB_ACTIVATION_LEAKY_RELU ? 0.999 : 10;
    if (l->activation != FAB_ACTIVATION_LINEAR && !(l->slope >= 0 && l->slope <= most))
        FAB_FAIL(err, FAB_ERR_ARG, "the activation's slope %g is not from 0 to %g", l->slope, most);
    return FAB_OK;
}

static fab_status check_layer(const fab_sequential_layer *l, fab_error *err)
{
    if (!name_ok(l->conv, sizeof l->conv, true) || !name_ok(l->norm, sizeof l->norm, false))
        FAB_FAIL(err, FAB_ERR_ARG, "a name is empty or has no end");
    if (l->outputs < 1 || l->outputs > FAB_UNET_MAX_FEATURES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%d outputs: 1 to %d are supported", l->outputs,
                 FAB_UNET_MAX_FEATURES);
    if (!within(l->kernel, 1, 3, true))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "kernel %d x %d x %d: 1 or 3 per axis is supported",
                 l->kernel[0], l->kernel[1], l->kernel[2]);
    if (!within(l->dilation, 1, FAB_SEQUENTIAL_MAX_DILATION, false))
        FAB_FAIL(err, FAB_ERR_LIMIT, "dilation %d x %d x %d: 1 to %d per axis is supported",
                 l->dilation[0], l->dilation[1], l->dilation[2], FAB_SEQUENTIAL_MAX_DILATION);
    return check_activation(l, err);
}

fab_status fab_nn_sequential_check(const fab_sequential_config *c, fab_error *err)
{
    if (c->input_channels < 1 || c->input_channels > FAB_UNET_MAX_INPUT_CHANNELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%d input channels: 1 to %d are supported",
                 c->input_channels, FAB_UNET_MAX_INPUT_CHANNELS);
    if (c->layer_count < 1 || c->layer_count > FAB_SEQUENTIAL_MAX_LAYERS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%d convolutions: 1 to %d are supported", c->layer_count,
                 FAB_SEQUENTIAL_MAX_LAYERS);
    for (int i = 0; i < c->layer_count; i++)
        if (check_layer(&c->layers[i], err) < 0)
            return fab_error_prefix(err, "layer %d (%.60s)", i, c->layers[i].conv);
    const int classes = c->layers[c->layer_count - 1].outputs;
    if (classes > FAB_UNET_MAX_CLASSES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%d classes: at most %d are supported", classes,
                 FAB_UNET_MAX_CLASSES);
    return FAB_OK;
}

/* `<name>.<part>`, `count` values, or NULL in *out if it is not wanted. */
static fab_status get(const fab_net_build *b, const char *name, const char *part, int count,
                      bool wanted, const float **out)
{
    char full[FAB_MAX_NAME_BYTES + 16];
    *out = NULL;
    if (!wanted) return FAB_OK;
    snprintf(full, sizeof full, "%s.%s", name, part);
    return fab_tensors_get(b->weights, full, (int64_t[]){count}, 1, out, b->err);
}

/* Batch norm as gamma (scale) and beta (shift); 1 and 0 without one. */
static fab_status set_scale(fab_net_build *b, const fab_sequential_layer *l, fab_net_op *op)
{
    const float *mean, *variance, *weight, *bias;
    const bool norm = l->norm[0] != 0;
    const size_t padded = (size_t)op->out_blocks * FAB_NN_BLOCK;
    FAB_TRY(get(b, l->norm, "running_mean", op->outputs, norm, &mean));
    FAB_TRY(get(b, l->norm, "running_var", op->outputs, norm, &variance));
    FAB_TRY(get(b, l->norm, "weight", op->outputs, norm && l->norm_weight, &weight));
    FAB_TRY(get(b, l->norm, "bias", op->outputs, norm && l->norm_bias, &bias));
    op->gamma = fab_nn_alloc_floats(b, padded);
    op->beta = fab_nn_alloc_floats(b, padded);
    if (!op->gamma || !op->beta) return FAB_ERR_NOMEM;
    for (int o = 0; o < op->outputs; o++) {
        if (norm && !((double)variance[o] + l->norm_eps > 0))
            FAB_FAIL(b->err, FAB_ERR_FORMAT, "%s: tensor %s.running_var: value %d is %g",
                     fab_tensors_source(b->weights), l->norm, o, (double)variance[o]);
        const double scale = (weight ? (double)weight[o] : 1.0) /
                             (norm ? sqrt((double)variance[o] + l->norm_eps) : 1.0);
        op->gamma[o] = (float)scale;
        op->beta[o] = (float)((bias ? (double)bias[o] : 0.0) -
                              (norm ? (double)mean[o] * scale : 0.0));
        if (!isfinite(op->gamma[o]) || !isfinite(op->beta[o]))
            FAB_FAIL(b->err, FAB_ERR_FORMAT, "%s: tensor %s: channel %d scales without bound",
                     fab_tensors_source(b->weights), l->norm, o);
    }
    return FAB_OK;
}

static fab_status add_layer(fab_net_build *b, const fab_sequential_layer *l)
{
    char name[FAB_MAX_NAME_BYTES + 16];
    const float *values = NULL;
    fab_net_op *op = fab_nn_next_op(b, FAB_OP_CONV, 0, l->outputs, b->net->op_count, -1);
    memcpy(op->kernel, l->kernel, sizeof op->kernel);
    memcpy(op->dilation, l->dilation, sizeof op->dilation);
    op->taps = op->kernel[0] * op->kernel[1] * op->kernel[2];
    op->activation = l->activation;
    op->slope = l->activation == FAB_ACTIVATION_LINEAR ? 1.0f : (float)l->slope;
    FAB_TRY(fab_nn_list_channels(b, op));
    const int inputs = fab_net_tensor_channels(b->net, op->source[0]);
    const int64_t shape[5] = {op->outputs, inputs, op->kernel[0], op->kernel[1], op->kernel[2]};
    snprintf(name, sizeof name, "%s.weight", l->conv);
    FAB_TRY(fab_tensors_get(b->weights, name, shape, 5, &values, b->err));
    FAB_TRY(fab_nn_repack(b, op, values, op->taps, false));
    FAB_TRY(get(b, l->conv, "bias", op->outputs, l->bias, &values));
    if (values) FAB_TRY(fab_nn_pad_vector(b, values, op->outputs, &op->bias));
    return set_scale(b, l, op);
}

fab_status fab_net_create_sequential(const fab_sequential_config *c, const fab_tensors *weights,
                                     fab_isa isa, fab_net **out, fab_error *err)
{
    FAB_AUTO(fab_net_free) fab_net *net = NULL;
    FAB_TRY(fab_nn_sequential_check(c, err));
    if (fab_nn_isa_precision(isa) != FAB_PRECISION_FP32)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "chains of convolutions run in fp32 only, not on %s",
                 fab_nn_isa_name(isa));
    FAB_TRY(fab_nn_new_net(isa, &net, err));
    net->sequential = true;
    net->config.input_channels = c->input_channels;
    net->config.classes = c->layers[c->layer_count - 1].outputs;
    fab_net_build b = {net, weights, err};
    for (int i = 0; i < c->layer_count; i++) FAB_TRY(add_layer(&b, &c->layers[i]));
    *out = net;
    net = NULL;
    return FAB_OK;
}
