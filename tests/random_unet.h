/* random_unet.h - safetensors bytes with random weights for a U-Net, for tests and benchmarks.
 *
 * Weights have the variance that keeps activations near unit size (He et al. 2015).
 */
#ifndef FAB_TEST_RANDOM_UNET_H
#define FAB_TEST_RANDOM_UNET_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabrica/nn.h"

typedef struct random_unet {
    fab_buf header, data;
    fab_rng rng;
    int count;
} random_unet;

static inline void random_tensor(random_unet *u, const char *name, const int *shape, int rank,
                                 double mean, double sd)
{
    fab_error err;
    size_t values = 1;
    const size_t begin = u->data.size;
    fab_status s = fab_buf_appendf(&u->header, &err, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[",
                                   u->count++ ? "," : "{", name);
    for (int i = 0; i < rank; i++) {
        values *= (size_t)shape[i];
        s |= fab_buf_appendf(&u->header, &err, "%s%d", i ? "," : "", shape[i]);
    }
    for (size_t i = 0; i < values; i++) {
        const float v = (float)(mean + sd * fab_rng_normal(&u->rng));
        s |= fab_buf_append(&u->data, &v, sizeof v, &err);
    }
    s |= fab_buf_appendf(&u->header, &err, "],\"data_offsets\":[%zu,%zu]}", begin, u->data.size);
    if (s != FAB_OK) abort();
}

static inline void random_conv(random_unet *u, const char *prefix, int in, const fab_unet_stage *s)
{
    char name[160];
    const int n = in * s->kernel[0] * s->kernel[1] * s->kernel[2];
    snprintf(name, sizeof name, "%s.conv.weight", prefix);
    random_tensor(u, name, (int[]){s->features, in, s->kernel[0], s->kernel[1], s->kernel[2]}, 5,
                  0, sqrt(2.0 / n));
    snprintf(name, sizeof name, "%s.conv.bias", prefix);
    random_tensor(u, name, &s->features, 1, 0, 0.3);
    snprintf(name, sizeof name, "%s.norm.weight", prefix);
    random_tensor(u, name, &s->features, 1, 1, 0.2);
    snprintf(name, sizeof name, "%s.norm.bias", prefix);
    random_tensor(u, name, &s->features, 1, 0, 0.3);
}

static inline void random_stage(random_unet *u, const char *prefix, int in,
                                const fab_unet_stage *s, int convs)
{
    char name[96];
    for (int i = 0; i < convs; i++) {
        snprintf(name, sizeof name, "%.60s.convs.%d", prefix, i);
        random_conv(u, name, i ? s->features : in, s);
    }
}

static inline void random_block(random_unet *u, const char *prefix, int in, bool strided,
                                const fab_unet_stage *s)
{
    char name[96];
    snprintf(name, sizeof name, "%.60s.conv1", prefix);
    random_conv(u, name, in, s);
    snprintf(name, sizeof name, "%.60s.conv2", prefix);
    random_conv(u, name, s->features, s);
    if (in == s->features) return;
    snprintf(name, sizeof name, "%.60s.skip.%d.conv.weight", prefix, strided);
    random_tensor(u, name, (int[]){s->features, in, 1, 1, 1}, 5, 0, sqrt(1.0 / in));
    snprintf(name, sizeof name, "%.60s.skip.%d.norm.weight", prefix, strided);
    random_tensor(u, name, &s->features, 1, 1, 0.2);
    snprintf(name, sizeof name, "%.60s.skip.%d.norm.bias", prefix, strided);
    random_tensor(u, name, &s->features, 1, 0, 0.3);
}

/* Stem and residual blocks. */
static inline void random_residual_encoder(random_unet *u, const fab_unet_config *c)
{
    char name[64];
    int in = c->stages[0].features;
    random_stage(u, "encoder.stem", c->input_channels, &c->stages[0], 1);
    for (int s = 0; s < c->stage_count; s++)
        for (int b = 0; b < c->blocks[s]; b++) {
            const int *stride = c->stages[s].stride;
            snprintf(name, sizeof name, "encoder.stages.%d.blocks.%d", s, b);
            random_block(u, name, in, b == 0 && stride[0] * stride[1] * stride[2] > 1,
                         &c->stages[s]);
            in = c->stages[s].features;
        }
}

static inline void random_decoder(random_unet *u, const fab_unet_config *c, int t)
{
    char name[64];
    const fab_unet_stage *low = &c->stages[c->stage_count - 1 - t], *skip = low - 1;
    snprintf(name, sizeof name, "decoder.transpconvs.%d.weight", t);
    random_tensor(u, name, (int[]){low->features, skip->features, low->stride[0], low->stride[1],
                                   low->stride[2]}, 5, 0, sqrt(1.0 / low->features));
    snprintf(name, sizeof name, "decoder.transpconvs.%d.bias", t);
    random_tensor(u, name, &skip->features, 1, 0, 0.3);
    snprintf(name, sizeof name, "decoder.stages.%d", t);
    random_stage(u, name, 2 * skip->features, skip, c->decoder_convs[t]);
    if (t + 2 < c->stage_count) return;
    snprintf(name, sizeof name, "decoder.seg_layers.%d.weight", t);
    random_tensor(u, name, (int[]){c->classes, skip->features, 1, 1, 1}, 5, 0,
                  sqrt(1.0 / skip->features));
    snprintf(name, sizeof name, "decoder.seg_layers.%d.bias", t);
    random_tensor(u, name, &c->classes, 1, 0, 0.3);
}

/* The file of what has been put into u, which it frees. */
static inline void random_finish(random_unet *u, fab_buf *out)
{
    fab_error err;
    uint8_t size[8];
    fab_status s = fab_buf_appendf(&u->header, &err, "}");
    for (int i = 0; i < 8; i++) size[i] = (uint8_t)((uint64_t)u->header.size >> (8 * i));
    s |= fab_buf_append(out, size, sizeof size, &err);
    s |= fab_buf_append(out, u->header.data, u->header.size, &err);
    s |= fab_buf_append(out, u->data.data, u->data.size, &err);
    if (s != FAB_OK) abort();
    fab_buf_free(&u->header);
    fab_buf_free(&u->data);
}

/* A whole safetensors file in *out (free with fab_buf_free). */
static inline void random_unet_file(const fab_unet_config *c, uint64_t seed, fab_buf *out)
{
    random_unet u = {0};
    char name[64];
    fab_rng_seed(&u.rng, seed, 1);
    if (c->residual) random_residual_encoder(&u, c);
    for (int s = 0; s < c->stage_count && !c->residual; s++) {
        snprintf(name, sizeof name, "encoder.stages.%d.0", s);
        random_stage(&u, name, s ? c->stages[s - 1].features : c->input_channels, &c->stages[s],
                     c->stages[s].convs);
    }
    for (int t = 0; t + 1 < c->stage_count; t++) random_decoder(&u, c, t);
    random_finish(&u, out);
}

/* Tensors of a file, which it frees. */
static inline fab_tensors *random_read(fab_buf *file)
{
    fab_error err = {0};
    fab_reader r = {0};
    fab_tensors *t = NULL;
    fab_reader_from_memory(file->data, file->size, "random.safetensors", &r);
    if (fab_tensors_read_safetensors(&r, &t, &err) != FAB_OK) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    fab_reader_close(&r);
    fab_buf_free(file);
    return t;
}

static inline fab_tensors *random_unet_tensors(const fab_unet_config *c, uint64_t seed)
{
    fab_buf file = {0};
    random_unet_file(c, seed, &file);
    return random_read(&file);
}

/* Tensors for a chain of convolutions; variances of batch norms are positive. */
static inline fab_tensors *random_sequential_tensors(const fab_sequential_config *c, uint64_t seed)
{
    random_unet u = {0};
    fab_buf file = {0};
    char name[FAB_MAX_NAME_BYTES + 16];
    int in = c->input_channels;
    fab_rng_seed(&u.rng, seed, 1);
    for (int i = 0; i < c->layer_count; i++) {
        const fab_sequential_layer *l = &c->layers[i];
        const int *k = l->kernel;
        snprintf(name, sizeof name, "%s.weight", l->conv);
        random_tensor(&u, name, (int[]){l->outputs, in, k[0], k[1], k[2]}, 5, 0,
                      sqrt(2.0 / (in * k[0] * k[1] * k[2])));
        snprintf(name, sizeof name, "%s.bias", l->conv);
        if (l->bias) random_tensor(&u, name, &l->outputs, 1, 0, 0.3);
        in = l->outputs;
        if (!l->norm[0]) continue;
        static const char *const parts[] = {"running_mean", "running_var", "weight", "bias"};
        for (int p = 0; p < 4; p++) {
            snprintf(name, sizeof name, "%s.%s", l->norm, parts[p]);
            random_tensor(&u, name, &l->outputs, 1, p == 1 ? 2 : p == 2, p == 1 ? 0.2 : 0.3);
        }
    }
    random_finish(&u, &file);
    return random_read(&file);
}

#endif
