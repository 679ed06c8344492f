/* The profile of a session: every operation once and by name, all FLOP, and the same results. */
#include "../../random_unet.h"
#include "fabrica/nn.h"
#include "harness.h"

static fab_error err;
enum { EDGE = 8, VOXELS = EDGE * EDGE * EDGE, CLASSES = 3, MAX_ROWS = 256 };
static const int patch[3] = {EDGE, EDGE, EDGE};

static fab_unet_config config_of(bool residual)
{
    fab_unet_config c = {.input_channels = 1, .classes = CLASSES, .stage_count = 2,
                         .norm_eps = 1e-5, .slope = 0.01, .conv_bias = true, .residual = residual,
                         .decoder_convs = {2}, .blocks = {1, 2}};
    c.stages[0] = (fab_unet_stage){8, {3, 3, 3}, {1, 1, 1}, 2};
    c.stages[1] = (fab_unet_stage){20, {1, 3, 3}, {1, 2, 2}, 2};
    return c;
}

static fab_net *net_of(const fab_unet_config *c)
{
    fab_net *net = NULL;
    fab_tensors *weights = random_unet_tensors(c, 3);
    CHECK_OK(fab_net_create_unet(c, weights, fab_nn_isa_best(FAB_PRECISION_FP32), &net, &err));
    fab_tensors_free(weights);
    return net;
}

static void check_rows(const fab_net *net, const fab_net_profile *rows, bool ran, bool loads)
{
    double flop = 0;
    for (int i = 0; i < fab_net_operations(net); i++) {
        flop += rows[i].flop;
        CHECK(strstr(rows[i].name, rows[i].kind));
        CHECK(ran ? rows[i].wall_s > 0 && rows[i].cpu_s >= 0
                  : rows[i].wall_s == 0 && rows[i].cpu_s == 0);
        const bool reads = strcmp(rows[i].kind, "add") && strcmp(rows[i].kind, "pool");
        CHECK(loads && reads ? rows[i].load_cpu_s > 0 : rows[i].load_cpu_s == 0);
        for (int j = 0; j < i; j++) CHECK(strcmp(rows[i].name, rows[j].name));
    }
    CHECK(flop > 0);
    CHECK_NEAR(flop, fab_net_patch_flop(net, patch), 0);
}

static void names(void)
{
    static const char *const plain[] = {
        "encoder 0.0 conv 3x3x3 1->8", "encoder 0.1 conv 3x3x3 8->8",
        "encoder 1.0 conv 1x3x3 stride 1x2x2 8->20", "encoder 1.1 conv 1x3x3 20->20",
        "decoder 0.0 up 1x2x2 20->8", "decoder 0.1 conv 3x3x3 16->8", "decoder 0.2 conv 3x3x3 8->8",
        "head 1x1x1 8->3"};
    static const int levels[] = {0, 0, 1, 1, 0, 0, 0, 0};
    const fab_unet_config c = config_of(false);
    fab_net_profile rows[MAX_ROWS];
    fab_net_session *s = NULL;
    fab_net *net = net_of(&c);
    CHECK(fab_net_operations(net) == 8);
    CHECK_OK(fab_net_session_create(net, patch, &s, &err));
    fab_net_session_profile(s, rows, false);
    for (int i = 0; i < 8; i++) {
        CHECK(strcmp(rows[i].name, plain[i]) == 0);
        CHECK(rows[i].level == levels[i]);
    }
    CHECK_NEAR(rows[2].flop, 2.0 * VOXELS / 4 * 8 * 20 * 9, 0);
    CHECK_NEAR(rows[4].flop, 2.0 * VOXELS * 20 * 8, 0);
    fab_net_session_free(s);
    fab_net_free(net);
}

static void run_with(fab_net_session *s, const float *input, const float *expected)
{
    static float got[CLASSES * VOXELS];
    memset(got, 0, sizeof got);
    CHECK_OK(fab_net_session_logits(s, input, got, &err));
    CHECK(memcmp(got, expected, sizeof got) == 0);
}

static void same_bits(bool residual)
{
    static float input[VOXELS], expected[CLASSES * VOXELS];
    const fab_unet_config c = config_of(residual);
    fab_net_profile rows[MAX_ROWS];
    fab_net_session *s = NULL;
    fab_net *net = net_of(&c);
    fab_rng rng;
    fab_rng_seed(&rng, 1, 2);
    for (int i = 0; i < VOXELS; i++) input[i] = (float)fab_rng_normal(&rng);
    CHECK(fab_net_operations(net) <= MAX_ROWS);
    CHECK_OK(fab_net_session_create(net, patch, &s, &err));
    CHECK_OK(fab_net_session_logits(s, input, expected, &err));
    fab_net_session_profile(s, rows, false);
    check_rows(net, rows, false, false);
    run_with(s, input, expected);
    check_rows(net, rows, true, false);
    const double once_s = rows[0].wall_s;
    run_with(s, input, expected);
    CHECK(rows[0].wall_s > once_s); /* runs add up */
    fab_net_session_profile(s, rows, true);
    run_with(s, input, expected);
    check_rows(net, rows, true, true);
    memset(rows, 0, sizeof rows);
    fab_net_session_profile(s, NULL, true);
    run_with(s, input, expected);
    CHECK(rows[0].wall_s == 0 && !rows[0].kind); /* off: nobody writes there */
    fab_net_session_free(s);
    fab_net_free(net);
}

static void plain_same_bits(void) { same_bits(false); }

static void residual_same_bits(void) { same_bits(true); }

static void chain(void)
{
    fab_sequential_config c = {.input_channels = 1, .layer_count = 2};
    fab_net_profile rows[2];
    fab_net *net = NULL;
    fab_net_session *s = NULL;
    static float input[VOXELS], logits[CLASSES * VOXELS];
    c.layers[0] = (fab_sequential_layer){.conv = "a", .outputs = 5, .kernel = {3, 3, 3},
                                         .dilation = {2, 2, 2}};
    c.layers[1] = (fab_sequential_layer){.conv = "b", .outputs = CLASSES, .kernel = {1, 1, 1},
                                         .dilation = {1, 1, 1}};
    fab_tensors *weights = random_sequential_tensors(&c, 5);
    CHECK_OK(fab_net_create_sequential(&c, weights, fab_nn_isa_best(FAB_PRECISION_FP32), &net,
                                       &err));
    CHECK_OK(fab_net_session_create(net, patch, &s, &err));
    CHECK(fab_net_operations(net) == 2);
    fab_net_session_profile(s, rows, true);
    CHECK_OK(fab_net_session_logits(s, input, logits, &err));
    check_rows(net, rows, true, false);
    CHECK(strcmp(rows[0].name, "layer 0 conv 3x3x3 dilation 2x2x2 1->5") == 0);
    CHECK(strcmp(rows[1].name, "layer 1 conv 1x1x1 5->3") == 0);
    fab_net_session_free(s);
    fab_net_free(net);
    fab_tensors_free(weights);
}

int main(void)
{
    return FAB_RUN(TEST(names), TEST(plain_same_bits), TEST(residual_same_bits), TEST(chain));
}
