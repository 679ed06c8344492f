/* sequential_cli tfjs|meshnet MODEL WEIGHTS INPUT LABELS LOGITS|- Z Y X: a chain of convolutions
 * over one volume (raw fp32); the class of the largest logit of every voxel as bytes, and all
 * logits, classes first, if wanted. Prints time and memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabrica/nn.h"

typedef struct output {
    uint8_t *labels;
    float *logits; /* or NULL */
    int size[3], classes;
} output;

static void sink(void *ctx, int z, int y, int x0, int count, const float *logits, int pitch)
{
    const output *o = ctx;
    const ptrdiff_t voxels = (ptrdiff_t)o->size[0] * o->size[1] * o->size[2];
    const ptrdiff_t at = ((ptrdiff_t)z * o->size[1] + y) * o->size[2] + x0;
    for (int x = 0; x < count; x++) {
        const float *l = logits + (ptrdiff_t)x * pitch;
        int best = 0;
        for (int c = 0; c < o->classes; c++) {
            if (l[c] > l[best]) best = c;
            if (o->logits) o->logits[c * voxels + at + x] = l[c];
        }
        o->labels[at + x] = (uint8_t)best;
    }
}

static fab_status load(char **argv, fab_sequential_config *c, fab_net **net, fab_error *err)
{
    FAB_AUTO(fab_tensors_free) fab_tensors *tensors = NULL;
    fab_reader model = {0}, weights = {0};
    FAB_TRY(fab_reader_open_file(argv[2], &model, err));
    fab_status s = fab_reader_open_file(argv[3], &weights, err);
    if (s == FAB_OK && strcmp(argv[1], "tfjs") == 0)
        s = fab_sequential_read_tfjs(&model, &weights, c, &tensors, err);
    else if (s == FAB_OK) {
        s = fab_sequential_read_meshnet(&model, c, err);
        if (s == FAB_OK) s = fab_tensors_read_safetensors(&weights, &tensors, err);
    }
    fab_reader_close(&model);
    fab_reader_close(&weights);
    FAB_TRY(s);
    return fab_net_create_sequential(c, tensors, fab_nn_isa_best(FAB_PRECISION_FP32), net, err);
}

static fab_status read_input(const char *path, size_t floats, uint8_t **out, fab_error *err)
{
    fab_reader r = {0};
    size_t bytes = 0;
    FAB_TRY(fab_reader_open_file(path, &r, err));
    const fab_status s = fab_reader_read_all(&r, (size_t)1 << 30, out, &bytes, err);
    fab_reader_close(&r);
    FAB_TRY(s);
    if (bytes != floats * sizeof(float)) FAB_FAIL(err, FAB_ERR_ARG, "%s: %zu bytes", path, bytes);
    return FAB_OK;
}

static fab_status run(char **argv, fab_error *err)
{
    FAB_AUTO(fab_net_free) fab_net *net = NULL;
    FAB_AUTO(fab_net_session_free) fab_net_session *session = NULL;
    FAB_AUTO_FREE uint8_t *input = NULL;
    FAB_AUTO_FREE fab_sequential_config *c = fab_calloc(1, sizeof *c);
    output o = {0};
    size_t voxels = 1;
    if (!c) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory");
    for (int a = 0; a < 3; a++) voxels *= (size_t)(o.size[a] = (int)strtol(argv[7 + a], NULL, 10));
    FAB_TRY(load(argv, c, &net, err));
    FAB_TRY(read_input(argv[4], voxels * (size_t)c->input_channels, &input, err));
    o.classes = c->layers[c->layer_count - 1].outputs;
    const size_t count = strcmp(argv[6], "-") == 0 ? 0 : voxels * (size_t)o.classes;
    FAB_AUTO_FREE uint8_t *labels = fab_malloc(voxels);
    FAB_AUTO_FREE float *logits = count ? fab_alloc_array(count, sizeof *logits) : NULL;
    if (!labels || (count && !logits)) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory");
    o.labels = labels;
    o.logits = logits;
    FAB_TRY(fab_net_session_create(net, o.size, &session, err));
    const double wall = fab_time_wall_s(), cpu = fab_time_cpu_s();
    FAB_TRY(fab_net_session_run(session, (const float *)(const void *)input, sink, &o, err));
    printf("%s, %d threads: %.1f GFLOP, %.2f s, %.2f CPU s, session %zu MiB, peak %llu MiB\n",
           fab_nn_isa_name(fab_net_isa(net)), fab_threads_get(),
           fab_net_patch_flop(net, o.size) * 1e-9, fab_time_wall_s() - wall,
           fab_time_cpu_s() - cpu, fab_net_session_bytes(net, o.size) >> 20,
           (unsigned long long)fab_peak_rss_bytes() >> 20);
    FAB_TRY(fab_file_write_atomic(argv[5], labels, voxels, err));
    return count ? fab_file_write_atomic(argv[6], logits, count * sizeof *logits, err) : FAB_OK;
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    if (argc == 10 && run(argv, &err) == FAB_OK) return 0;
    fprintf(stderr, "sequential_cli: %s\n", argc == 10 ? err.message : "wrong arguments");
    return 1;
}
