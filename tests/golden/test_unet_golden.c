/* test_unet_golden.c - small networks against what PyTorch made of them: tests/golden/unet_tiny,
 * written by train/golden.py, and resenc_tiny, by train/golden_resenc.py (anisotropic kernels and
 * strides). Relative RMS of the logits at most 1e-5, on every instruction set of fp32; all of them
 * give the same bits. In bf16 at most 1.5e-2, exact 1e-4, here and, against fp32, with a trained
 * network.
 */
#include "fabrica/nn.h"
#include "harness.h"

typedef struct golden {
    fab_json *card;
    fab_unet_config config;
    fab_tensors *weights;
    float *input, *logits;
    int patch[3];
} golden;

static void path_of(const char *folder, const char *name, char *into)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(into, FAB_MAX_PATH_BYTES, "%s/tests/golden/%s/%s", root ? root : ".", folder, name);
}

static float *read_floats(const char *folder, const char *name, size_t expected)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    fab_reader r = {0};
    uint8_t *bytes = NULL;
    size_t count = 0;
    path_of(folder, name, path);
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, 1u << 26, &bytes, &count, &err));
    fab_reader_close(&r);
    CHECK(count == expected * sizeof(float));
    return (float *)(void *)bytes;
}

/* Card and weights; the number of voxels of a patch. */
static size_t load_network(const char *folder, golden *g)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    fab_reader r = {0};
    const fab_json *part = NULL;
    path_of(folder, "model.json", path);
    CHECK_OK(fab_json_load_file(path, &g->card, &err));
    CHECK_OK(fab_json_get_object(g->card, "architecture", &part, &err));
    CHECK_OK(fab_unet_config_from_json(part, &g->config, &err));
    path_of(folder, "weights.safetensors", path);
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_tensors_read_safetensors(&r, &g->weights, &err));
    fab_reader_close(&r);
    CHECK_OK(fab_json_get_object(g->card, "inference", &part, &err));
    CHECK_OK(fab_json_get_array(part, "patch_size", &part, &err));
    size_t voxels = 1;
    for (size_t a = 0; a < 3; a++) {
        g->patch[a] = (int)fab_json_number(fab_json_at(part, a));
        voxels *= (size_t)g->patch[a];
    }
    return voxels;
}

static golden load(const char *folder)
{
    golden g = {0};
    const size_t voxels = load_network(folder, &g);
    g.input = read_floats(folder, "input.bin", voxels * (size_t)g.config.input_channels);
    g.logits = read_floats(folder, "logits.bin", voxels * (size_t)g.config.classes);
    return g;
}

static void drop(golden *g)
{
    fab_json_free(g->card);
    fab_tensors_free(g->weights);
    fab_free(g->input);
    fab_free(g->logits);
}

static double relative_rms(const float *is, const float *expected, size_t count)
{
    double difference = 0, sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = (double)is[i] - (double)expected[i];
        difference += d * d;
        sum += (double)expected[i] * (double)expected[i];
    }
    return sqrt(difference / sum);
}

static void compare(const char *folder)
{
    static const double bound[FAB_PRECISION_COUNT] = {
        [FAB_PRECISION_FP32] = 1e-5, [FAB_PRECISION_BF16] = 0.015, [FAB_PRECISION_EXACT] = 1e-4};
    golden g = load(folder);
    fab_error err;
    const size_t count = (size_t)g.patch[0] * (size_t)g.patch[1] * (size_t)g.patch[2] *
                         (size_t)g.config.classes;
    float *logits = fab_alloc_array(count, sizeof *logits);
    float *first = fab_alloc_array(count, sizeof *first);
    CHECK(logits && first);
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++) {
        if (!fab_nn_isa_runs((fab_isa)isa)) {
            printf("  %s does not run on this machine: not checked\n",
                   fab_nn_isa_name((fab_isa)isa));
            continue;
        }
        fab_net *net = NULL;
        fab_net_session *session = NULL;
        CHECK_OK(fab_net_create_unet(&g.config, g.weights, (fab_isa)isa, &net, &err));
        CHECK_OK(fab_net_session_create(net, g.patch, &session, &err));
        memset(logits, 0xff, count * sizeof *logits);
        CHECK_OK(fab_net_session_logits(session, g.input, logits, &err));
        const double rms = relative_rms(logits, g.logits, count);
        printf("  %-20s relative RMS %.3g\n", fab_nn_isa_name((fab_isa)isa), rms);
        CHECK(rms <= bound[fab_nn_isa_precision((fab_isa)isa)]);
        if (isa == 0) memcpy(first, logits, count * sizeof *first);
        if (fab_nn_isa_precision((fab_isa)isa) == FAB_PRECISION_FP32)
            CHECK(memcmp(first, logits, count * sizeof *first) == 0);
        fab_net_session_free(session);
        fab_net_free(net);
    }
    fab_free(logits);
    fab_free(first);
    drop(&g);
}

/* A body of soft tissue with lungs, a spine and noise, as CT normalised by the model's card. */
static float body(const golden *g, size_t i, fab_rng *rng)
{
    const size_t row = (size_t)g->patch[2], plane = row * (size_t)g->patch[1];
    const double z = (double)(i / plane) / g->patch[0] - 0.5;
    const double y = (double)(i % plane / row) / g->patch[1] - 0.5;
    const double x = (double)(i % row) / g->patch[2] - 0.5;
    const double side = fabs(x) - 0.2;
    double hu = x * x / 0.18 + y * y / 0.16 > 1 ? -1000 : 40;
    if (side * side / 0.015 + y * y / 0.06 + z * z / 0.16 < 1) hu = -800;
    if (x * x + (y - 0.25) * (y - 0.25) < 0.008) hu = fmod(fabs(z) * 10, 1) < 0.3 ? 80 : 350;
    return (float)((fmin(fmax(hu + 12 * fab_rng_normal(rng), -1000), 600) + 100) / 250);
}

static void infer(const golden *g, fab_isa isa, float *logits)
{
    fab_error err;
    fab_net *net = NULL;
    fab_net_session *session = NULL;
    CHECK_OK(fab_net_create_unet(&g->config, g->weights, isa, &net, &err));
    CHECK_OK(fab_net_session_create(net, g->patch, &session, &err));
    CHECK_OK(fab_net_session_logits(session, g->input, logits, &err));
    fab_net_session_free(session);
    fab_net_free(net);
}

/* What the small random networks above cannot show: a trained one's logits in bf16. */
static void trained_network_in_every_precision(void)
{
    static const double bound[FAB_PRECISION_COUNT] = {
        [FAB_PRECISION_FP32] = 0, [FAB_PRECISION_BF16] = 0.015, [FAB_PRECISION_EXACT] = 1e-4};
    golden g = {0};
    fab_rng rng;
    const size_t voxels = load_network("../../models/torso-ct", &g);
    const size_t count = voxels * (size_t)g.config.classes;
    g.input = fab_alloc_array(voxels, sizeof *g.input);
    g.logits = fab_alloc_array(count, sizeof *g.logits);
    float *logits = fab_alloc_array(count, sizeof *logits);
    CHECK(g.input && g.logits && logits);
    fab_rng_seed(&rng, 3, 1);
    for (size_t i = 0; i < voxels; i++) g.input[i] = body(&g, i, &rng);
    infer(&g, fab_nn_isa_best(FAB_PRECISION_FP32), g.logits);
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++) {
        const char *name = fab_nn_isa_name((fab_isa)isa);
        const bool slow = strstr(name, "scalar") || isa == FAB_ISA_EXACT_AMX_EMU;
        if (!fab_nn_isa_runs((fab_isa)isa) || slow) continue;
        infer(&g, (fab_isa)isa, logits);
        const double rms = relative_rms(logits, g.logits, count);
        printf("  trained, %-20s relative RMS to fp32 %.3g\n", name, rms);
        CHECK(rms <= bound[fab_nn_isa_precision((fab_isa)isa)]);
    }
    fab_free(logits);
    drop(&g);
}

static void plain_equals_pytorch(void)
{
    compare("unet_tiny");
}

static void residual_equals_pytorch(void)
{
    compare("resenc_tiny");
}

int main(void)
{
    return FAB_RUN(TEST(plain_equals_pytorch), TEST(residual_equals_pytorch),
                   TEST(trained_network_in_every_precision));
}
