/* Chains of convolutions from any bytes: 4 bytes, of which 3 are the little-endian length of
 * model.json, then it, then the weights. Read as a TensorFlow.js model and as a MeshNet; a chain
 * that is accepted and small has to run. */
#include <stdlib.h>
#include <string.h>

#include "fabrica/nn.h"
#include "fuzz_target.h"

#define MAX_WEIGHT_BYTES 20000
#define MAX_CHANNELS 64

static void ignore_row(void *ctx, int z, int y, int x0, int count, const float *l, int pitch)
{
    (void)ctx, (void)z, (void)y, (void)x0, (void)count, (void)l, (void)pitch;
}

static void run(const fab_sequential_config *c, const fab_tensors *weights)
{
    static const int size[3] = {3, 4, 5};
    static const float input[60 * FAB_UNET_MAX_INPUT_CHANNELS];
    fab_error err;
    fab_net *net = NULL;
    fab_net_session *s = NULL;
    for (int i = 0; i < c->layer_count; i++)
        if (c->layers[i].outputs > MAX_CHANNELS) return;
    if (fab_net_create_sequential(c, weights, FAB_ISA_SCALAR, &net, &err) == FAB_OK &&
        fab_net_session_create(net, size, &s, &err) == FAB_OK &&
        fab_net_session_run(s, input, ignore_row, NULL, &err) != FAB_OK)
        abort();
    fab_net_session_free(s);
    fab_net_free(net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fab_sequential_config c; /* large */
    fab_error err;
    fab_reader model, weights;
    fab_tensors *tensors = NULL;
    if (size < 4) return 0;
    const size_t n = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;
    if (n > size - 4) return 0;
    fab_reader_from_memory(data + 4, n, "model.json", &model);
    fab_reader_from_memory(data + 4 + n, size - 4 - n, "model.bin", &weights);
    const fab_status status = fab_sequential_read_tfjs(&model, &weights, &c, &tensors, &err);
    if ((status == FAB_OK) != (tensors != NULL)) abort();
    if (tensors && size - 4 - n <= MAX_WEIGHT_BYTES) run(&c, tensors);
    tensors = fab_tensors_free(tensors);
    if (fab_sequential_read_meshnet(&model, &c, &err) == FAB_OK &&
        fab_tensors_read_safetensors(&weights, &tensors, &err) == FAB_OK &&
        size - 4 - n <= MAX_WEIGHT_BYTES)
        run(&c, tensors);
    fab_tensors_free(tensors);
    return 0;
}
