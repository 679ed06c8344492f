/* net.c - builds a U-Net as a list of operations and repacks its weights for the kernels.
 *
 *     encoder                         decoder
 *     input -> conv..conv ----------- (up, skip) -> conv..conv -> head
 *                    \-> conv..conv -/
 *                               \-> ...
 *
 * With residual blocks, `conv` above is
 *
 *     x -> conv -> conv -(+)->
 *      \-> pool -> conv -/        pool and conv only where stride and width ask for them
 *
 * A convolution's bias is not used: an instance norm follows, which subtracts it again.
 */
#include <stdio.h>
#include <string.h>

#include "bf16.h"

int fab_net_tensor_channels(const fab_net *net, int tensor)
{
    return tensor == 0 ? net->config.input_channels : net->ops[tensor - 1].outputs;
}

bool fab_net_tensor_raw(const fab_net *net, int tensor)
{
    return tensor > 0 && net->ops[tensor - 1].kind == FAB_OP_CONV;
}

int fab_net_tensor_level(const fab_net *net, int tensor)
{
    return tensor == 0 ? 0 : net->ops[tensor - 1].level;
}

float *fab_nn_alloc_floats(fab_net_build *b, size_t count)
{
    float *p = count <= FAB_MAX_ALLOC_BYTES / sizeof *p
                   ? fab_alloc_large(count * sizeof *p) : NULL;
    if (!p) {
        fab_error_set(b->err, FAB_ERR_NOMEM, "no memory for %zu weights", count);
        return NULL;
    }
    memset(p, 0, count * sizeof *p);
    b->net->bytes += count * sizeof *p;
    return p;
}

fab_status fab_nn_pad_vector(fab_net_build *b, const float *values, int count, float **out)
{
    float *p = fab_nn_alloc_floats(b, (size_t)fab_nn_blocks(count) * FAB_NN_BLOCK);
    if (!p) return FAB_ERR_NOMEM;
    memcpy(p, values, (size_t)count * sizeof *p);
    *out = p;
    return FAB_OK;
}

static fab_status get_vector(fab_net_build *b, const char *prefix, const char *name, int count,
                             float **out)
{
    char full[160];
    const float *values = NULL;
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    FAB_TRY(fab_tensors_get(b->weights, full, (int64_t[]){count}, 1, &values, b->err));
    return out ? fab_nn_pad_vector(b, values, count, out) : FAB_OK;
}

fab_status fab_nn_list_channels(fab_net_build *b, fab_net_op *op)
{
    op->blocks = 0;
    for (int s = 0; s < op->sources; s++)
        op->blocks += fab_nn_blocks(fab_net_tensor_channels(b->net, op->source[s]));
    op->channels = fab_alloc_array((size_t)op->blocks, sizeof *op->channels);
    if (!op->channels) FAB_FAIL(b->err, FAB_ERR_NOMEM, "no memory for a layer");
    int at = 0;
    for (int s = 0; s < op->sources; s++)
        for (int left = fab_net_tensor_channels(b->net, op->source[s]); left > 0;
             left -= FAB_NN_BLOCK)
            op->channels[at++] = left < FAB_NN_BLOCK ? left : FAB_NN_BLOCK;
    return FAB_OK;
}

/* How many records a voxel has in scratch and how much of each is used. bf16 records hold two
 * blocks; those of a lowered operation all that its kernel reads. */
static fab_status list_records(fab_net_build *b, fab_net_op *op)
{
    const bool paired = b->net->kernels->planes > 0;
    const int group = fab_nn_group(b->net->kernels);
    op->lowered = paired && op->source[0] == 0;
    const int lowered = op->lowered ? fab_nn_inputs(op) * op->taps : 0;
    op->groups = op->lowered ? (lowered + group - 1) / group
                 : paired    ? (op->blocks + 1) / 2 : op->blocks;
    op->spans = fab_alloc_array((size_t)op->groups, sizeof *op->spans);
    if (!op->spans) FAB_FAIL(b->err, FAB_ERR_NOMEM, "no memory for a layer");
    for (int i = 0; i < op->groups; i++)
        if (op->lowered) op->spans[i] = lowered - i * group < group ? lowered - i * group : group;
        else if (!paired) op->spans[i] = op->channels[i];
        else if (2 * i + 1 < op->blocks) op->spans[i] = FAB_NN_BLOCK + op->channels[2 * i + 1];
        else op->spans[i] = op->channels[2 * i];
    return FAB_OK;
}

/* One value of a kernel in a file: its tap `tap` from input channel c to output o. */
typedef struct kernel_file {
    const float *from;
    int inputs, outputs, taps;
    bool transposed;
} kernel_file;

static float kernel_value(const kernel_file *k, int o, int c, int tap)
{
    const int64_t row = k->transposed ? (int64_t)c * k->outputs + o : (int64_t)o * k->inputs + c;
    return o < k->outputs ? k->from[row * k->taps + tap] : 0.0f;
}

/* An operation's weights being packed: tasks are output blocks (UP: of all positions). */
typedef struct packing {
    const fab_net_op *op;
    const kernel_file *file;
    int planes;
} packing;

static void pack_fp32(void *ctx, int64_t i, int worker)
{
    const packing *p = ctx;
    const fab_net_op *op = p->op;
    const int first_output = (int)(i % op->out_blocks) * FAB_NN_BLOCK;
    const int tap = (int)(i / op->out_blocks);
    float *to = (float *)op->weights + i * op->weights_stride;
    (void)worker;
    for (int block = 0, first = 0; block < op->blocks; first += op->channels[block++])
        for (int t = 0; t < op->taps; t++)
            for (int c = first; c < first + op->channels[block]; c++, to += FAB_NN_BLOCK)
                for (int o = 0; o < FAB_NN_BLOCK; o++)
                    to[o] = kernel_value(p->file, first_output + o, c, tap + t);
}

/* The file's channel that lies at place `q` of a bf16 record, or -1. */
static int record_channel(const fab_net_op *op, int group, int q)
{
    const int block = 2 * group + q / FAB_NN_BLOCK;
    return block < op->blocks && q % FAB_NN_BLOCK < op->channels[block]
               ? fab_nn_channels_before(op, block) + q % FAB_NN_BLOCK : -1;
}

/* One record's weights for one tap and 16 outputs from `first` on; a lowered record has, in place
 * of channels, every channel's taps. */
static void pack_record(const fab_net_op *op, const kernel_file *k, const int channel[], int first,
                        int tap, int planes, uint16_t *to)
{
    for (int n = 0; n < FAB_BF16_TILE; n++) {
        const int c = channel[n / FAB_BF16_GROUP * 2 + n % 2];
        const int o = first + n % FAB_BF16_GROUP / 2;
        const float w = c < 0         ? 0.0f
                        : op->lowered ? kernel_value(k, o, c / k->taps, c % k->taps)
                                      : kernel_value(k, o, c, tap);
        to[n] = fab_bf16_round(w);
        if (planes > 1) to[n + FAB_BF16_TILE] = fab_bf16_rest(w, to[n]);
    }
}

static void pack_bf16(void *ctx, int64_t i, int worker)
{
    const packing *p = ctx;
    const fab_net_op *op = p->op;
    const kernel_file *k = p->file;
    const int taps = op->lowered ? 1 : op->taps, first_tap = (int)(i / op->out_blocks);
    const int first_output = (int)(i % op->out_blocks) * FAB_NN_BLOCK;
    uint16_t *to = (uint16_t *)op->weights + i * op->weights_stride;
    (void)worker;
    for (int g = 0; g < op->groups; g++) {
        int channel[FAB_BF16_GROUP];
        for (int q = 0; q < FAB_BF16_GROUP; q++) {
            const int place = g * FAB_BF16_GROUP + q;
            if (!op->lowered) channel[q] = record_channel(op, g, q);
            else channel[q] = place < k->inputs * k->taps ? place : -1;
        }
        for (int t = 0; t < taps; t++, to += p->planes * FAB_BF16_TILE)
            pack_record(op, k, channel, first_output, first_tap + t, p->planes, to);
    }
}

fab_status fab_nn_repack(fab_net_build *b, fab_net_op *op, const float *from, int kernel_taps,
                         bool transposed)
{
    const int positions = kernel_taps / op->taps, planes = b->net->kernels->planes;
    const kernel_file k = {from, fab_nn_inputs(op), op->outputs, kernel_taps, transposed};
    FAB_TRY(list_records(b, op));
    op->weights_stride = planes ? (ptrdiff_t)op->groups * (op->lowered ? 1 : op->taps) * planes *
                                      FAB_BF16_TILE
                                : (ptrdiff_t)op->taps * k.inputs * FAB_NN_BLOCK;
    const size_t values = (size_t)positions * (size_t)op->out_blocks * (size_t)op->weights_stride;
    op->weights = fab_nn_alloc_floats(b, planes ? values / 2 : values);
    if (!op->weights) return FAB_ERR_NOMEM;
    packing p = {op, &k, planes};
    fab_parallel_for((int64_t)positions * op->out_blocks, planes ? pack_bf16 : pack_fp32, &p);
    return FAB_OK;
}

fab_net_op *fab_nn_next_op(fab_net_build *b, fab_op_kind kind, int level, int outputs, int source0,
                           int source1)
{
    fab_net_op *op = &b->net->ops[b->net->op_count];
    op->kind = kind;
    op->level = level;
    op->outputs = outputs;
    op->out_blocks = fab_nn_blocks(outputs);
    op->source[0] = source0;
    op->source[1] = source1;
    op->sources = source1 < 0 ? 1 : 2;
    op->taps = 1;
    for (int a = 0; a < 3; a++) op->kernel[a] = op->stride[a] = 1;
    b->net->op_count++; /* from here on fab_net_free sees it */
    return op;
}

static int product(const int n[3])
{
    return n[0] * n[1] * n[2];
}

static const int one[3] = {1, 1, 1};

typedef struct conv_shape {
    int features, level;
    const int *kernel, *stride;
    bool bias;   /* there is one in the file, and its shape is checked */
    bool linear; /* no activation follows */
} conv_shape;

/* conv + norm; returns through *tensor the tensor it makes. */
static fab_status add_conv(fab_net_build *b, const char *prefix, const conv_shape *s, int source0,
                           int source1, int *tensor)
{
    char conv[144], norm[144];
    const float *values = NULL;
    fab_net_op *op = fab_nn_next_op(b, FAB_OP_CONV, s->level, s->features, source0, source1);
    memcpy(op->kernel, s->kernel, sizeof op->kernel);
    memcpy(op->stride, s->stride, sizeof op->stride);
    op->taps = product(op->kernel);
    op->linear = s->linear;
    FAB_TRY(fab_nn_list_channels(b, op));
    snprintf(conv, sizeof conv, "%s.conv.weight", prefix);
    const int64_t shape[5] = {op->outputs, fab_nn_inputs(op), op->kernel[0], op->kernel[1],
                              op->kernel[2]};
    FAB_TRY(fab_tensors_get(b->weights, conv, shape, 5, &values, b->err));
    FAB_TRY(fab_nn_repack(b, op, values, op->taps, false));
    snprintf(conv, sizeof conv, "%s.conv", prefix);
    if (s->bias) FAB_TRY(get_vector(b, conv, "bias", op->outputs, NULL));
    snprintf(norm, sizeof norm, "%s.norm", prefix);
    FAB_TRY(get_vector(b, norm, "weight", op->outputs, &op->gamma));
    FAB_TRY(get_vector(b, norm, "bias", op->outputs, &op->beta));
    *tensor = b->net->op_count;
    return FAB_OK;
}

static fab_status add_stage(fab_net_build *b, const char *prefix, const fab_unet_stage *stage,
                            int convs, const int stride[3], int level, int source0, int source1,
                            int *tensor)
{
    for (int i = 0; i < convs; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s.convs.%d", prefix, i);
        const conv_shape shape = {stage->features, level, stage->kernel, i == 0 ? stride : one,
                                  b->net->config.conv_bias, false};
        FAB_TRY(add_conv(b, name, &shape, source0, source1, tensor));
        source0 = *tensor;
        source1 = -1;
    }
    return FAB_OK;
}

/* What a residual block adds to its second convolution's result: the block's input, pooled where
 * it is strided, projected where the width changes. The projection's place in torch's
 * nn.Sequential, and so its name, depends on whether there is a pool. */
static fab_status add_skip(fab_net_build *b, const char *prefix, const fab_unet_stage *stage,
                           const int stride[3], int level, int source, int *tensor)
{
    char name[128];
    const bool strided = product(stride) > 1;
    const int inputs = fab_net_tensor_channels(b->net, source);
    *tensor = source;
    if (strided) {
        fab_net_op *op = fab_nn_next_op(b, FAB_OP_POOL, level, inputs, source, -1);
        memcpy(op->kernel, stride, sizeof op->kernel);
        memcpy(op->stride, stride, sizeof op->stride);
        *tensor = b->net->op_count;
    }
    if (inputs == stage->features) return FAB_OK;
    snprintf(name, sizeof name, "%s.skip.%d", prefix, strided);
    const conv_shape shape = {stage->features, level, one, one, false, true};
    return add_conv(b, name, &shape, *tensor, -1, tensor);
}

/* BasicBlockD; *tensor is its input and becomes its output. */
static fab_status add_block(fab_net_build *b, const char *prefix, const fab_unet_stage *stage,
                            const int stride[3], int level, int *tensor)
{
    char name[128];
    int skip = 0, sum = 0;
    const bool bias = b->net->config.conv_bias;
    FAB_TRY(add_skip(b, prefix, stage, stride, level, *tensor, &skip));
    snprintf(name, sizeof name, "%s.conv1", prefix);
    const conv_shape first = {stage->features, level, stage->kernel, stride, bias, false};
    FAB_TRY(add_conv(b, name, &first, *tensor, -1, &sum));
    snprintf(name, sizeof name, "%s.conv2", prefix);
    const conv_shape second = {stage->features, level, stage->kernel, one, bias, true};
    FAB_TRY(add_conv(b, name, &second, sum, -1, &sum));
    fab_nn_next_op(b, FAB_OP_ADD, level, stage->features, sum, skip);
    *tensor = b->net->op_count;
    return FAB_OK;
}

static fab_status add_up(fab_net_build *b, int index, const fab_unet_stage *below, int features,
                         int level, int source, int *tensor)
{
    char name[96], full[128];
    const float *values = NULL;
    fab_net_op *op = fab_nn_next_op(b, FAB_OP_UP, level, features, source, -1);
    memcpy(op->kernel, below->stride, sizeof op->kernel);
    memcpy(op->stride, below->stride, sizeof op->stride);
    FAB_TRY(fab_nn_list_channels(b, op));
    snprintf(name, sizeof name, "decoder.transpconvs.%d", index);
    snprintf(full, sizeof full, "%s.weight", name);
    const int64_t shape[5] = {fab_nn_inputs(op), features, op->kernel[0], op->kernel[1],
                              op->kernel[2]};
    FAB_TRY(fab_tensors_get(b->weights, full, shape, 5, &values, b->err));
    FAB_TRY(fab_nn_repack(b, op, values, product(op->kernel), true));
    if (b->net->config.conv_bias) FAB_TRY(get_vector(b, name, "bias", features, &op->bias));
    *tensor = b->net->op_count;
    return FAB_OK;
}

static fab_status add_head(fab_net_build *b, int source)
{
    char name[96], full[128];
    const float *values = NULL;
    const fab_unet_config *c = &b->net->config;
    fab_net_op *op = fab_nn_next_op(b, FAB_OP_HEAD, 0, c->classes, source, -1);
    FAB_TRY(fab_nn_list_channels(b, op));
    snprintf(name, sizeof name, "decoder.seg_layers.%d", c->stage_count - 2);
    snprintf(full, sizeof full, "%s.weight", name);
    const int64_t shape[5] = {c->classes, fab_nn_inputs(op), 1, 1, 1};
    FAB_TRY(fab_tensors_get(b->weights, full, shape, 5, &values, b->err));
    FAB_TRY(fab_nn_repack(b, op, values, 1, false));
    return get_vector(b, name, "bias", c->classes, &op->bias);
}

static fab_status build_encoder(fab_net_build *b, int skip[FAB_UNET_MAX_STAGES])
{
    const fab_unet_config *c = &b->net->config;
    char name[96];
    for (int s = 0, tensor = 0; s < c->stage_count; s++) {
        snprintf(name, sizeof name, "encoder.stages.%d.0", s);
        FAB_TRY(add_stage(b, name, &c->stages[s], c->stages[s].convs, c->stages[s].stride, s,
                          tensor, -1, &skip[s]));
        tensor = skip[s];
    }
    return FAB_OK;
}

static fab_status build_residual_encoder(fab_net_build *b, int skip[FAB_UNET_MAX_STAGES])
{
    const fab_unet_config *c = &b->net->config;
    int tensor = 0;
    char name[96];
    FAB_TRY(add_stage(b, "encoder.stem", &c->stages[0], 1, one, 0, 0, -1, &tensor));
    for (int s = 0; s < c->stage_count; s++) {
        for (int i = 0; i < c->blocks[s]; i++) {
            snprintf(name, sizeof name, "encoder.stages.%d.blocks.%d", s, i);
            FAB_TRY(add_block(b, name, &c->stages[s], i == 0 ? c->stages[s].stride : one, s,
                              &tensor));
        }
        skip[s] = tensor;
    }
    return FAB_OK;
}

static fab_status build_unet(fab_net_build *b)
{
    const fab_unet_config *c = &b->net->config;
    int skip[FAB_UNET_MAX_STAGES];
    char name[96];
    FAB_TRY(c->residual ? build_residual_encoder(b, skip) : build_encoder(b, skip));
    int tensor = skip[c->stage_count - 1];
    for (int t = 0; t + 1 < c->stage_count; t++) {
        const int level = c->stage_count - 2 - t;
        const fab_unet_stage *stage = &c->stages[level];
        FAB_TRY(add_up(b, t, &c->stages[level + 1], stage->features, level, tensor, &tensor));
        snprintf(name, sizeof name, "decoder.stages.%d", t);
        FAB_TRY(add_stage(b, name, stage, c->decoder_convs[t], one, level, tensor, skip[level],
                          &tensor));
    }
    return add_head(b, tensor);
}

fab_status fab_nn_new_net(fab_isa isa, fab_net **out, fab_error *err)
{
    if (!fab_nn_isa_runs(isa))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s kernels do not run on this machine",
                 fab_nn_isa_name(isa));
    fab_net *net = fab_calloc(1, sizeof *net);
    if (!net) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network");
    net->isa = isa;
    net->kernels = fab_nn_kernels_of(isa);
    *out = net;
    return FAB_OK;
}

fab_status fab_net_create_unet(const fab_unet_config *c, const fab_tensors *weights, fab_isa isa,
                               fab_net **out, fab_error *err)
{
    FAB_AUTO(fab_net_free) fab_net *net = NULL;
    FAB_TRY(fab_nn_unet_check(c, err));
    FAB_TRY(fab_nn_new_net(isa, &net, err));
    net->config = *c;
    FAB_TRY(build_unet(&(fab_net_build){net, weights, err}));
    *out = net;
    net = NULL;
    return FAB_OK;
}

fab_net *fab_net_free(fab_net *net)
{
    if (!net) return NULL;
    for (int i = 0; i < net->op_count; i++) {
        fab_net_op *op = &net->ops[i];
        fab_free(op->channels);
        fab_free(op->spans);
        fab_free(op->weights);
        fab_free(op->bias);
        fab_free(op->gamma);
        fab_free(op->beta);
    }
    return fab_free(net);
}

fab_isa fab_net_isa(const fab_net *net)
{
    return net->isa;
}

size_t fab_net_bytes(const fab_net *net)
{
    return sizeof *net + net->bytes;
}

int fab_net_logit_pitch(const fab_net *net)
{
    return fab_nn_blocks(net->config.classes) * FAB_NN_BLOCK;
}

double fab_net_op_flop(const fab_net *net, int i, const int patch[3])
{
    const fab_net_op *op = &net->ops[i];
    double voxels = (double)patch[0] * patch[1] * patch[2];
    for (int s = 1; s <= op->level; s++) voxels /= product(net->config.stages[s].stride);
    return 2.0 * voxels * op->outputs * fab_nn_inputs(op) * op->taps;
}

double fab_net_patch_flop(const fab_net *net, const int patch[3])
{
    double sum = 0;
    for (int i = 0; i < net->op_count; i++) sum += fab_net_op_flop(net, i, patch);
    return sum;
}
