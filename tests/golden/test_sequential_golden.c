/* test_sequential_golden.c - a small TensorFlow.js chain of dilated convolutions (batch norm, ELU,
 * ReLU) against what PyTorch made of it: tests/golden/sequential_tiny, written by
 * train/golden_sequential.py. Relative RMS of the logits at most 1e-5; every instruction set gives
 * the same bits.
 */
#include "fabrica/nn.h"
#include "harness.h"

#define VOXELS (9 * 11 * 13)
#define INPUTS 2
#define CLASSES 5

static fab_error err;
static fab_sequential_config config; /* large */

static fab_reader open_golden(const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    const char *root = getenv("FAB_SOURCE_ROOT");
    fab_reader r = {0};
    snprintf(path, sizeof path, "%s/tests/golden/sequential_tiny/%s", root ? root : ".", name);
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    return r;
}

static float *read_floats(const char *name, size_t expected)
{
    fab_reader r = open_golden(name);
    uint8_t *bytes = NULL;
    size_t count = 0;
    CHECK_OK(fab_reader_read_all(&r, 1u << 26, &bytes, &count, &err));
    fab_reader_close(&r);
    CHECK(count == expected * sizeof(float));
    return (float *)(void *)bytes;
}

static void equals_pytorch_on_every_isa(void)
{
    const int size[3] = {9, 11, 13};
    fab_reader model = open_golden("model.json"), data = open_golden("model.bin");
    fab_tensors *weights = NULL;
    static float logits[CLASSES * VOXELS], first[CLASSES * VOXELS];
    float *input = read_floats("input.bin", INPUTS * VOXELS);
    float *expected = read_floats("logits.bin", CLASSES * VOXELS);
    CHECK_OK(fab_sequential_read_tfjs(&model, &data, &config, &weights, &err));
    fab_reader_close(&model);
    fab_reader_close(&data);
    CHECK(config.layer_count == 4 && config.layers[3].outputs == CLASSES);
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++) {
        fab_net *net = NULL;
        fab_net_session *session = NULL;
        if (!fab_nn_isa_runs((fab_isa)isa)) continue;
        if (fab_nn_isa_precision((fab_isa)isa) != FAB_PRECISION_FP32) {
            CHECK_FAILS(FAB_ERR_UNSUPPORTED, "run in fp32 only",
                        fab_net_create_sequential(&config, weights, (fab_isa)isa, &net, &err));
            continue;
        }
        CHECK_OK(fab_net_create_sequential(&config, weights, (fab_isa)isa, &net, &err));
        CHECK_OK(fab_net_session_create(net, size, &session, &err));
        memset(logits, 0xff, sizeof logits);
        CHECK_OK(fab_net_session_logits(session, input, logits, &err));
        double difference = 0, sum = 0;
        for (int i = 0; i < CLASSES * VOXELS; i++) {
            const double d = (double)logits[i] - (double)expected[i];
            difference += d * d;
            sum += (double)expected[i] * (double)expected[i];
        }
        printf("  %-14s relative RMS %.3g\n", fab_nn_isa_name((fab_isa)isa),
               sqrt(difference / sum));
        CHECK(sqrt(difference / sum) <= 1e-5);
        if (isa == 0) memcpy(first, logits, sizeof first);
        CHECK(memcmp(first, logits, sizeof first) == 0);
        fab_net_session_free(session);
        fab_net_free(net);
    }
    fab_tensors_free(weights);
    fab_free(input);
    fab_free(expected);
}

int main(void)
{
    return FAB_RUN(TEST(equals_pytorch_on_every_isa));
}
