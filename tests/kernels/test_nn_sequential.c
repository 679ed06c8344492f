/* test_nn_sequential.c - chains of dilated convolutions, streamed plane by plane, against the same
 * chain computed layer by layer over the whole volume, written again from its definition.
 *
 * Without ELU the two must agree in every bit: the definition sums in the order nn_internal.h
 * states. ELU itself is held against expm1() in double. Every instruction set, with one and three
 * threads, must give the reference's bits.
 */
#include "fabrica/nn.h"
#include "harness.h"
#include "random_unet.h"

#define NETWORKS 30

static fab_error err;

static int pick(fab_rng *rng, const int *from, int count)
{
    return from[fab_rng_u32(rng) % (uint32_t)count];
}

static void random_config(fab_rng *rng, bool elu, fab_sequential_config *c, int size[3])
{
    static const int features[] = {1, 3, 8, 9, 16, 20, 30, 33};
    static const int dilations[] = {1, 1, 2, 3, 4, 8};
    static const int sizes[] = {1, 2, 5, 7, 11, 13};
    static const double slopes[] = {0, 0, 0.1};
    static const int inputs[] = {1, 2, 3, 1, 17, 40};
    *c = (fab_sequential_config){.input_channels = pick(rng, inputs, 6),
                                 .layer_count = 1 + (int)(fab_rng_u32(rng) % 5)};
    for (int i = 0; i < c->layer_count; i++) {
        fab_sequential_layer *l = &c->layers[i];
        snprintf(l->conv, sizeof l->conv, "net.%d", i);
        if (fab_rng_u32(rng) % 3 == 0) snprintf(l->norm, sizeof l->norm, "net.%d.norm", i);
        l->outputs = pick(rng, features, 8);
        l->bias = fab_rng_u32(rng) % 4 > 0;
        l->norm_weight = fab_rng_u32(rng) % 2;
        l->norm_bias = fab_rng_u32(rng) % 2;
        l->norm_eps = 1e-3;
        const uint32_t kind = fab_rng_u32(rng) % 3;
        l->activation = kind == 0 ? FAB_ACTIVATION_LINEAR
                        : elu     ? FAB_ACTIVATION_ELU
                                  : FAB_ACTIVATION_LEAKY_RELU;
        l->slope = elu ? 1 + 0.5 * (kind == 1) : slopes[fab_rng_u32(rng) % 3];
        for (int a = 0; a < 3; a++) {
            l->kernel[a] = pick(rng, (int[]){1, 3, 3}, 3);
            l->dilation[a] = pick(rng, dilations, 6);
        }
    }
    for (int a = 0; a < 3; a++) size[a] = pick(rng, sizes, 6);
}

/* ---- the definition ------------------------------------------------------------------------- */

typedef struct cube {
    const int *size;
    int channels;
    float *v;
} cube;

static float at(const cube *in, int c, const int p[3])
{
    for (int a = 0; a < 3; a++)
        if (p[a] < 0 || p[a] >= in->size[a]) return 0.0f;
    return in->v[(((ptrdiff_t)c * in->size[0] + p[0]) * in->size[1] + p[1]) * in->size[2] + p[2]];
}

static const float *tensor(const fab_tensors *t, const char *prefix, const char *name,
                           const int64_t *shape, int rank)
{
    char full[160];
    const float *values = NULL;
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    CHECK_OK(fab_tensors_get(t, full, shape, rank, &values, &err));
    return values;
}

static float sum_at(const cube *in, const fab_sequential_layer *l, const float *w, float start,
                    const int o[3])
{
    const int *k = l->kernel, taps = k[0] * k[1] * k[2];
    float sum = start;
    for (int first = 0; first < in->channels; first += 16)
        for (int t = 0; t < taps; t++) {
            const int tap[3] = {t / (k[1] * k[2]), t / k[2] % k[1], t % k[2]};
            int p[3];
            for (int a = 0; a < 3; a++) p[a] = o[a] + (tap[a] - k[a] / 2) * l->dilation[a];
            for (int c = first; c < in->channels && c < first + 16; c++)
                sum = fmaf(at(in, c, p), w[c * taps + t], sum);
        }
    return sum;
}

static cube layer(const fab_tensors *t, const fab_sequential_layer *l, cube in)
{
    const int *n = in.size, voxels = n[0] * n[1] * n[2];
    const int64_t shape[5] = {l->outputs, in.channels, l->kernel[0], l->kernel[1], l->kernel[2]};
    const int64_t row = (int64_t)in.channels * l->kernel[0] * l->kernel[1] * l->kernel[2];
    const bool norm = l->norm[0];
    const float *w = tensor(t, l->conv, "weight", shape, 5);
    const float *bias = l->bias ? tensor(t, l->conv, "bias", shape, 1) : NULL;
    const float *mean = norm ? tensor(t, l->norm, "running_mean", shape, 1) : NULL;
    const float *var = norm ? tensor(t, l->norm, "running_var", shape, 1) : NULL;
    const float *gamma = norm && l->norm_weight ? tensor(t, l->norm, "weight", shape, 1) : NULL;
    const float *beta = norm && l->norm_bias ? tensor(t, l->norm, "bias", shape, 1) : NULL;
    cube out = {n, l->outputs, malloc((size_t)voxels * (size_t)l->outputs * sizeof(float))};
    CHECK(out.v);
    for (int o = 0; o < l->outputs; o++) {
        const double k = norm ? (gamma ? (double)gamma[o] : 1) / sqrt((double)var[o] + l->norm_eps)
                              : 1;
        const double b = (beta ? (double)beta[o] : 0) - (norm ? (double)mean[o] * k : 0);
        for (int i = 0; i < voxels; i++) {
            const int p[3] = {i / (n[1] * n[2]), i / n[2] % n[1], i % n[2]};
            float y = sum_at(&in, l, w + o * row, bias ? bias[o] : 0.0f, p);
            y = fmaf(y, (float)k, (float)b);
            if (l->activation == FAB_ACTIVATION_LEAKY_RELU && y < 0) y *= (float)l->slope;
            if (l->activation == FAB_ACTIVATION_ELU && y < 0)
                y = (float)(l->slope * expm1((double)y));
            out.v[(ptrdiff_t)o * voxels + i] = y;
        }
    }
    free(in.v);
    return out;
}

/* ---- the engine ----------------------------------------------------------------------------- */

static void run(const fab_sequential_config *c, const fab_tensors *weights, fab_isa isa,
                const int size[3], const float *input, float *logits)
{
    fab_net *net = NULL;
    fab_net_session *session = NULL;
    CHECK_OK(fab_net_create_sequential(c, weights, isa, &net, &err));
    CHECK_OK(fab_net_session_create(net, size, &session, &err));
    CHECK(fab_net_session_bytes(net, size) > 0);
    for (int again = 0; again < 2; again++) /* a session can be used again */
        CHECK_OK(fab_net_session_logits(session, input, logits, &err));
    fab_net_session_free(session);
    fab_net_free(net);
}

static void compare_isas(const fab_sequential_config *c, const fab_tensors *t, const int size[3],
                         const float *input, const float *expected, size_t count)
{
    float *got = malloc(count * sizeof *got);
    CHECK(got);
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++)
        for (int threads = 1; threads <= 3 && fab_nn_isa_runs((fab_isa)isa); threads += 2) {
            if (fab_nn_isa_precision((fab_isa)isa) != FAB_PRECISION_FP32) continue;
            fab_threads_set(threads);
            memset(got, 0xff, count * sizeof *got);
            run(c, t, (fab_isa)isa, size, input, got);
            CHECK(memcmp(got, expected, count * sizeof *got) == 0);
        }
    fab_threads_set(0);
    free(got);
}

/* -0 and 0 count as the same: the border's zeros are summed in one and the other way. */
static void compare_bits(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++) CHECK(a[i] == b[i]);
}

static void compare_near(const float *a, const float *b, size_t count)
{
    double difference = 0, sum = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        sum += (double)b[i] * (double)b[i];
    }
    CHECK(sqrt(difference / sum) <= 1e-6);
}

static void one_network(uint64_t seed, bool elu)
{
    fab_rng rng;
    int size[3];
    fab_sequential_config c;
    fab_rng_seed(&rng, seed, 9);
    random_config(&rng, elu, &c, size);
    fab_tensors *t = random_sequential_tensors(&c, seed);
    const size_t voxels = (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
    const size_t inputs = voxels * (size_t)c.input_channels;
    const size_t count = voxels * (size_t)c.layers[c.layer_count - 1].outputs;
    float *input = malloc(inputs * sizeof *input), *expected = malloc(count * sizeof *expected);
    cube whole = {size, c.input_channels, malloc(inputs * sizeof(float))};
    CHECK(input && expected && whole.v);
    for (size_t i = 0; i < inputs; i++) input[i] = whole.v[i] = (float)fab_rng_normal(&rng);
    for (int i = 0; i < c.layer_count; i++) whole = layer(t, &c.layers[i], whole);
    fab_threads_set(1);
    run(&c, t, FAB_ISA_SCALAR, size, input, expected);
    (elu ? compare_near : compare_bits)(expected, whole.v, count);
    compare_isas(&c, t, size, input, expected, count);
    free(whole.v);
    free(input);
    free(expected);
    fab_tensors_free(t);
}

static void streamed_equals_the_whole_volume(void)
{
    for (uint64_t seed = 1; seed <= NETWORKS; seed++) one_network(seed, false);
}

static void with_elu_too(void)
{
    for (uint64_t seed = 1; seed <= NETWORKS; seed++) one_network(seed, true);
}

/* An identity with ELU over numbers of every size. */
static void elu_equals_expm1(void)
{
    enum { COUNT = 20000 };
    const int size[3] = {1, 20, COUNT / 20};
    const fab_sequential_config c = {.input_channels = 1, .layer_count = 1,
        .layers = {{.conv = "one", .outputs = 1, .kernel = {1, 1, 1}, .dilation = {1, 1, 1},
                    .activation = FAB_ACTIVATION_ELU, .slope = 1}}};
    random_unet u = {0};
    fab_buf file = {0};
    float *x = malloc(COUNT * sizeof *x), *y = malloc(COUNT * sizeof *y);
    CHECK(x && y);
    random_tensor(&u, "one.weight", (int[]){1, 1, 1, 1, 1}, 5, 1, 0);
    random_finish(&u, &file);
    fab_tensors *t = random_read(&file);
    for (int i = 0; i < COUNT; i++) {
        const double e = pow(10, -30 + 32.5 * i / COUNT);
        x[i] = (float)(i % 4 ? -e : e);
    }
    run(&c, t, FAB_ISA_SCALAR, size, x, y);
    double worst = 0;
    for (int i = 0; i < COUNT; i++) {
        const double expected = x[i] > 0 ? (double)x[i] : expm1((double)x[i]);
        const double off = fabs((double)y[i] - expected) / fabs(expected);
        if (off > worst) worst = off;
    }
    printf("  largest relative error %.3g\n", worst);
    CHECK(worst <= 1.5e-7);
    compare_isas(&c, t, size, x, y, COUNT);
    free(x);
    free(y);
    fab_tensors_free(t);
}

/* Memory grows with the planes a chain needs, not with the volume's depth. */
static void memory_does_not_grow_with_depth(void)
{
    fab_sequential_config c = {.input_channels = 1, .layer_count = 3};
    for (int i = 0; i < 3; i++) {
        fab_sequential_layer *l = &c.layers[i];
        *l = (fab_sequential_layer){.outputs = 20, .kernel = {3, 3, 3}, .dilation = {4, 4, 4}};
        snprintf(l->conv, sizeof l->conv, "net.%d", i);
    }
    fab_tensors *t = random_sequential_tensors(&c, 1);
    fab_net *net = NULL;
    CHECK_OK(fab_net_create_sequential(&c, t, FAB_ISA_SCALAR, &net, &err));
    CHECK(fab_net_session_bytes(net, (int[]){16, 40, 40}) ==
          fab_net_session_bytes(net, (int[]){400, 40, 40}));
    CHECK(fab_net_patch_flop(net, (int[]){2, 3, 4}) ==
          2.0 * 24 * 27 * 20 * (1 + 20 + 20));
    CHECK(fab_net_logit_pitch(net) == 32);
    fab_net_free(net);
    fab_tensors_free(t);
}

int main(void)
{
    return FAB_RUN(TEST(streamed_equals_the_whole_volume), TEST(with_elu_too),
                   TEST(elu_equals_expm1), TEST(memory_does_not_grow_with_depth));
}
