/* unet_random.c - random weights in memory for a U-Net of any shape: to measure its speed, to begin
 * training. */
#include <stdio.h>
#include <string.h>

#include "nn_internal.h"

enum {
    CONV_TENSORS = 4, /* weight, bias, norm.weight, norm.bias */
    /* stem; three convolutions a residual block; both sides' stages; transposed; head */
    TENSORS_MAX = CONV_TENSORS * (1 + FAB_UNET_MAX_STAGES *
                                  (3 * FAB_UNET_MAX_BLOCKS + 2 * FAB_UNET_MAX_CONVS)) +
                  2 * FAB_UNET_MAX_STAGES + 2
};

typedef char tensor_name[64];

typedef struct weights {
    const fab_unet_config *c;
    fab_tensor *items;
    tensor_name *names;
    size_t count, largest; /* values of the largest tensor */
} weights;

static void add(weights *w, const char *prefix, const char *part, int rank, const int64_t *shape)
{
    size_t values = 1;
    fab_tensor *t = &w->items[w->count];
    snprintf(w->names[w->count], sizeof *w->names, "%.45s.%.14s", prefix, part);
    *t = (fab_tensor){.name = w->names[w->count], .rank = rank};
    for (int i = 0; i < rank; i++) {
        t->shape[i] = shape[i];
        values *= (size_t)shape[i];
    }
    if (values > w->largest) w->largest = values;
    w->count++;
}

static void add_conv(weights *w, const char *prefix, int inputs, int outputs, const int k[3])
{
    const int64_t n = outputs;
    add(w, prefix, "conv.weight", 5, (int64_t[]){n, inputs, k[0], k[1], k[2]});
    add(w, prefix, "conv.bias", 1, &n);
    add(w, prefix, "norm.weight", 1, &n);
    add(w, prefix, "norm.bias", 1, &n);
}

static void add_stage(weights *w, const char *prefix, int inputs, const fab_unet_stage *s,
                      int convs)
{
    tensor_name name;
    for (int i = 0; i < convs; i++) {
        snprintf(name, sizeof name, "%.32s.convs.%d", prefix, i);
        add_conv(w, name, i ? s->features : inputs, s->features, s->kernel);
    }
}

static void add_blocks(weights *w, int stage, int inputs)
{
    static const int one[3] = {1, 1, 1};
    const fab_unet_stage *s = &w->c->stages[stage];
    tensor_name name;
    for (int b = 0; b < w->c->blocks[stage]; b++) {
        const int in = b ? s->features : inputs;
        const bool strided = b == 0 && s->stride[0] * s->stride[1] * s->stride[2] > 1;
        for (int k = 1; k <= 2; k++) {
            snprintf(name, sizeof name, "encoder.stages.%d.blocks.%d.conv%d", stage, b, k);
            add_conv(w, name, k == 1 ? in : s->features, s->features, s->kernel);
        }
        snprintf(name, sizeof name, "encoder.stages.%d.blocks.%d.skip.%d", stage, b, strided);
        if (in != s->features) add_conv(w, name, in, s->features, one);
    }
}

static void add_encoder(weights *w)
{
    const fab_unet_config *c = w->c;
    tensor_name name;
    if (c->residual) add_stage(w, "encoder.stem", c->input_channels, &c->stages[0], 1);
    for (int s = 0; s < c->stage_count; s++) {
        const int before = s                ? c->stages[s - 1].features
                           : c->residual ? c->stages[0].features : c->input_channels;
        snprintf(name, sizeof name, "encoder.stages.%d.0", s);
        if (c->residual) add_blocks(w, s, before);
        else add_stage(w, name, before, &c->stages[s], c->stages[s].convs);
    }
}

static void add_decoder(weights *w)
{
    const fab_unet_config *c = w->c;
    tensor_name name;
    for (int t = 0; t + 1 < c->stage_count; t++) {
        const fab_unet_stage *below = &c->stages[c->stage_count - 1 - t], *s = below - 1;
        const int64_t n = s->features;
        const int *k = below->stride;
        snprintf(name, sizeof name, "decoder.transpconvs.%d", t);
        add(w, name, "weight", 5, (int64_t[]){below->features, n, k[0], k[1], k[2]});
        add(w, name, "bias", 1, &n);
        snprintf(name, sizeof name, "decoder.stages.%d", t);
        add_stage(w, name, 2 * s->features, s, c->decoder_convs[t]);
    }
    const int64_t classes = c->classes;
    snprintf(name, sizeof name, "decoder.seg_layers.%d", c->stage_count - 2);
    add(w, name, "weight", 5, (int64_t[]){classes, c->stages[0].features, 1, 1, 1});
    add(w, name, "bias", 1, &classes);
}

fab_status fab_unet_random_weights(const fab_unet_config *c, fab_tensors **out, fab_error *err)
{
    FAB_AUTO_FREE fab_tensor *items = fab_alloc_array(TENSORS_MAX, sizeof *items);
    FAB_AUTO_FREE tensor_name *names = fab_alloc_array(TENSORS_MAX, sizeof *names);
    weights w = {.c = c, .items = items, .names = names};
    fab_rng rng;
    if (!items || !names) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for names of weights");
    add_encoder(&w);
    add_decoder(&w);
    FAB_AUTO_FREE float *values = fab_alloc_array(w.largest, sizeof *values);
    if (!values) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu weights", w.largest);
    fab_rng_seed(&rng, 84, 1);
    for (size_t i = 0; i < w.largest; i++) values[i] = (float)fab_rng_range(&rng, -0.5, 0.5);
    for (size_t i = 0; i < w.count; i++) items[i].values = values;
    return fab_tensors_make("random weights", items, w.count, &values, w.largest, out, err);
}
