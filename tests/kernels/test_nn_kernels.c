/* test_nn_kernels.c - every instruction set's kernels against their scalar reference.
 *
 * Random networks walk through kernels of 1 and 3, strides of 1 and 2 on every axis, channel
 * counts that fill blocks and that do not, input channels from one to three blocks of them, odd
 * sizes, plain and residual encoders. The result has to be the reference's bits (AMX, which sums
 * in its own order: near them), and the same with one thread and with three; references of bf16
 * have to be near fp32. The time each took is printed.
 */
#include "nn_internal.h"
#include "harness.h"
#include "random_unet.h"

#define NETWORKS 40

static fab_error err;

static int pick(fab_rng *rng, const int *from, int count)
{
    return from[fab_rng_u32(rng) % (uint32_t)count];
}

static fab_unet_config random_config(fab_rng *rng, int patch[3])
{
    static const int features[] = {1, 3, 4, 8, 15, 16, 17, 24, 32, 33, 48};
    static const int inputs[] = {1, 1, 1, 2, 3, 5, 17, 20, 33};
    static const int sizes[] = {1, 2, 3, 5, 7, 9};
    fab_unet_config c = {.input_channels = pick(rng, inputs, 9), .norm_eps = 1e-5, .slope = 0.01,
                         .classes = 2 + (int)(fab_rng_u32(rng) % 40), .conv_bias = true,
                         .stage_count = 2 + (int)(fab_rng_u32(rng) % 2)};
    int divisor[3];
    for (int s = 0; s < c.stage_count; s++) {
        c.stages[s].features = pick(rng, features, 11);
        c.stages[s].convs = 1 + (int)(fab_rng_u32(rng) % 2);
        c.decoder_convs[s] = 1 + (int)(fab_rng_u32(rng) % 2);
        c.blocks[s] = 1 + (int)(fab_rng_u32(rng) % 3);
        for (int a = 0; a < 3; a++) {
            c.stages[s].kernel[a] = pick(rng, (int[]){1, 3, 3}, 3);
            c.stages[s].stride[a] = s ? pick(rng, (int[]){1, 2, 2}, 3) : 1;
        }
    }
    c.residual = fab_rng_u32(rng) % 2;
    if (c.residual && c.stage_count > 2 && fab_rng_u32(rng) % 2) /* widths that stay the same */
        c.stages[2].features = c.stages[1].features;
    fab_unet_config_divisor(&c, divisor);
    for (int a = 0; a < 3; a++) patch[a] = divisor[a] * pick(rng, sizes, 6);
    /* an instance norm of two voxels is a sign, which any rounding may turn */
    if (patch[0] * patch[1] * patch[2] < 4 * divisor[0] * divisor[1] * divisor[2])
        patch[2] = divisor[2] * sizes[5];
    return c;
}

/* Logits, and the CPU seconds they took. */
static double run(const fab_unet_config *c, const fab_tensors *weights, fab_isa isa,
                  const int patch[3], const float *input, float *logits)
{
    fab_net *net = NULL;
    fab_net_session *session = NULL;
    CHECK_OK(fab_net_create_unet(c, weights, isa, &net, &err));
    CHECK_OK(fab_net_session_create(net, patch, &session, &err));
    double cpu = fab_time_cpu_s();
    CHECK_OK(fab_net_session_logits(session, input, logits, &err));
    cpu = fab_time_cpu_s() - cpu;
    fab_net_session_free(session);
    fab_net_free(net);
    return cpu;
}

/* Sizes large and even enough for Winograd's algorithm, on one level or on two, with whole and cut
 * columns of tiles; `large` ones, 1 and 2, for four outputs along every axis, or along y and x. */
static fab_unet_config winograd_config(fab_rng *rng, int large, int patch[3])
{
    static const int large_patches[][3] = {{36, 44, 140}, {38, 52, 44}};
    static const int features[] = {4, 8, 17, 16, 33, 70};
    fab_unet_config c = {.input_channels = 1, .norm_eps = 1e-5, .slope = 0.01, .classes = 3,
                         .conv_bias = true, .stage_count = 2, .decoder_convs = {2},
                         .blocks = {1, 1}, .residual = fab_rng_u32(rng) % 2};
    for (int s = 0; s < 2; s++)
        c.stages[s] = (fab_unet_stage){
            pick(rng, features, large ? 3 : 6), {3, 3, 3}, {1 + s, 1 + s, 1}, 2};
    patch[0] = large ? large_patches[large - 1][0] : pick(rng, (int[]){8, 16, 20}, 3);
    patch[1] = large ? large_patches[large - 1][1] : pick(rng, (int[]){12, 16, 28}, 3);
    patch[2] = large ? large_patches[large - 1][2] : pick(rng, (int[]){22, 24, 36}, 3);
    return c;
}

/* What a network gave, and what every other instruction set's result is held against. */
typedef struct comparison {
    const fab_unet_config *config;
    const fab_tensors *weights;
    const int *patch;
    const float *input;
    size_t count;
    float *fp32, *expected, *got, *again;
    double *seconds, *rms; /* of each instruction set; rms: the largest */
} comparison;

static double relative_rms(const float *got, const float *expected, size_t count)
{
    double sum = 0, square = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = (double)got[i] - (double)expected[i];
        sum += d * d;
        square += (double)expected[i] * (double)expected[i];
    }
    return sqrt(sum / square);
}

/* How far a family may be from fp32, and within it what sums in another order, on any network. */
static double bound(fab_precision p)
{
    return p == FAB_PRECISION_FP32 ? 0 : p == FAB_PRECISION_BF16 ? 0.03 : 1e-4;
}

/* With one thread against the reference, with three against itself. */
static void compare_isa(const comparison *c, fab_isa isa)
{
    fab_threads_set(1);
    memset(c->got, 0xff, c->count * sizeof *c->got);
    c->seconds[isa] += run(c->config, c->weights, isa, c->patch, c->input, c->got);
    if (fab_nn_isa_in_order(isa))
        CHECK(memcmp(c->got, c->expected, c->count * sizeof *c->got) == 0);
    c->rms[isa] = fmax(c->rms[isa], relative_rms(c->got, c->expected, c->count));
    fab_threads_set(3);
    memset(c->again, 0xff, c->count * sizeof *c->again);
    run(c->config, c->weights, isa, c->patch, c->input, c->again);
    CHECK(memcmp(c->again, c->got, c->count * sizeof *c->got) == 0);
}

/* A reference, held against fp32's; then all whose reference it is. */
static void compare_family(const comparison *c, fab_isa reference)
{
    fab_threads_set(1);
    c->seconds[reference] += run(c->config, c->weights, reference, c->patch, c->input,
                                 c->expected);
    if (reference == FAB_ISA_SCALAR) memcpy(c->fp32, c->expected, c->count * sizeof *c->fp32);
    c->rms[reference] = fmax(c->rms[reference], relative_rms(c->expected, c->fp32, c->count));
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++)
        if (fab_nn_isa_reference((fab_isa)isa) == reference && isa != (int)reference &&
            fab_nn_isa_runs((fab_isa)isa))
            compare_isa(c, (fab_isa)isa);
}

static void compare_one(uint64_t seed, double seconds[FAB_ISA_COUNT], double rms[FAB_ISA_COUNT])
{
    fab_rng rng;
    int patch[3];
    fab_rng_seed(&rng, seed, 3);
    const bool winograd = seed % 8 == 0;
    const int large = seed % 16 == 0 ? (int)seed / 16 : 0;
    const fab_unet_config config = winograd ? winograd_config(&rng, large, patch)
                                            : random_config(&rng, patch);
    fab_tensors *weights = random_unet_tensors(&config, seed);
    const size_t voxels = (size_t)patch[0] * (size_t)patch[1] * (size_t)patch[2];
    const size_t count = voxels * (size_t)config.classes;
    const size_t inputs = voxels * (size_t)config.input_channels;
    float *input = fab_alloc_array(inputs, sizeof *input);
    float *logits = fab_alloc_array(4 * count, sizeof *logits);
    CHECK(input && logits);
    for (size_t i = 0; i < inputs; i++) input[i] = (float)fab_rng_normal(&rng);
    const comparison c = {&config, weights, patch, input, count, logits, logits + count,
                          logits + 2 * count, logits + 3 * count, seconds, rms};
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++) /* products of bf16 go by the definition */
        if (fab_nn_isa_reference((fab_isa)isa) == (fab_isa)isa &&
            !(winograd && fab_nn_kernels_of((fab_isa)isa)->planes))
            compare_family(&c, (fab_isa)isa);
    for (size_t i = 0; i < count; i++) CHECK(isfinite(c.fp32[i]));
    fab_threads_set(0);
    fab_free(input);
    fab_free(logits);
    fab_tensors_free(weights);
}

static void every_isa_gives_the_references_bits(void)
{
    double seconds[FAB_ISA_COUNT] = {0}, rms[FAB_ISA_COUNT] = {0};
    for (uint64_t seed = 1; seed <= NETWORKS; seed++) compare_one(seed, seconds, rms);
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++) {
        const fab_isa reference = fab_nn_isa_reference((fab_isa)isa);
        CHECK(rms[isa] <= bound(fab_nn_isa_precision((fab_isa)isa)));
        if (fab_nn_isa_runs((fab_isa)isa))
            printf("  %-20s %8.1f ms, %5.1f times the reference's speed, off by %.2g\n",
                   fab_nn_isa_name((fab_isa)isa), 1e3 * seconds[isa],
                   seconds[reference] / seconds[isa], rms[isa]);
        else
            printf("  %-20s does not run on this machine: not checked\n",
                   fab_nn_isa_name((fab_isa)isa));
    }
}

/* A plain convolution network written again, straight from its definition, in double. */
typedef struct naive {
    int channels, size[3];
    double *v;
} naive;

static naive naive_new(int channels, const int size[3])
{
    naive n = {channels, {size[0], size[1], size[2]}, NULL};
    n.v = calloc((size_t)channels * (size_t)size[0] * (size_t)size[1] * (size_t)size[2],
                 sizeof *n.v);
    CHECK(n.v);
    return n;
}

static double *naive_at(const naive *n, int c, int z, int y, int x)
{
    return n->v + (((ptrdiff_t)c * n->size[0] + z) * n->size[1] + y) * n->size[2] + x;
}

static double naive_sum(const naive *in, const float *w, const int k[3], const int s[3], int o,
                        const int at[3])
{
    double sum = 0;
    for (int c = 0; c < in->channels; c++)
        for (int i = 0; i < k[0] * k[1] * k[2]; i++) {
            const int d[3] = {i / (k[1] * k[2]), i / k[2] % k[1], i % k[2]};
            int p[3];
            bool inside = true;
            for (int a = 0; a < 3; a++) {
                p[a] = at[a] * s[a] + d[a] - k[a] / 2;
                inside = inside && p[a] >= 0 && p[a] < in->size[a];
            }
            if (inside)
                sum += *naive_at(in, c, p[0], p[1], p[2]) *
                       (double)w[((ptrdiff_t)o * in->channels + c) * k[0] * k[1] * k[2] + i];
        }
    return sum;
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

static naive naive_conv(const fab_tensors *t, const char *prefix, naive in,
                        const fab_unet_stage *st, const int stride[3])
{
    int size[3];
    const int64_t shape[5] = {st->features, in.channels, st->kernel[0], st->kernel[1],
                              st->kernel[2]};
    const float *w = tensor(t, prefix, "conv.weight", shape, 5);
    const float *bias = tensor(t, prefix, "conv.bias", shape, 1);
    const float *gamma = tensor(t, prefix, "norm.weight", shape, 1);
    const float *beta = tensor(t, prefix, "norm.bias", shape, 1);
    for (int a = 0; a < 3; a++) size[a] = (in.size[a] + stride[a] - 1) / stride[a];
    naive out = naive_new(st->features, size);
    const int n = size[0] * size[1] * size[2];
    for (int o = 0; o < st->features; o++) {
        double mean = 0, m2 = 0, *v = naive_at(&out, o, 0, 0, 0);
        for (int i = 0; i < n; i++) {
            const int at[3] = {i / (size[1] * size[2]), i / size[2] % size[1], i % size[2]};
            v[i] = naive_sum(&in, w, st->kernel, stride, o, at) + (double)bias[o];
            mean += v[i] / n;
        }
        for (int i = 0; i < n; i++) m2 += (v[i] - mean) * (v[i] - mean) / n;
        for (int i = 0; i < n; i++) {
            v[i] = (v[i] - mean) / sqrt(m2 + 1e-5) * (double)gamma[o] + (double)beta[o];
            if (v[i] < 0) v[i] *= 0.01;
        }
    }
    free(in.v);
    return out;
}

/* The decoder's concatenation: the transposed convolution of `deep` by the second stage's stride,
 * then the skip. */
static naive naive_up(const fab_tensors *t, const fab_unet_config *c, const naive *deep,
                      const naive *skip)
{
    const fab_unet_stage *st = &c->stages[1];
    const int *s = st->stride, *size = skip->size, plane = size[1] * size[2], n = size[0] * plane;
    const int outputs = skip->channels;
    const float *up = tensor(t, "decoder.transpconvs.0", "weight",
                             (int64_t[]){st->features, outputs, s[0], s[1], s[2]}, 5);
    const float *bias = tensor(t, "decoder.transpconvs.0", "bias", (int64_t[]){outputs}, 1);
    naive both = naive_new(2 * outputs, size);
    for (int i = 0; i < outputs * n; i++) {
        const int o = i / n, z = i / plane % size[0], y = i / size[2] % size[1], x = i % size[2];
        const int tap = (z % s[0] * s[1] + y % s[1]) * s[2] + x % s[2];
        double sum = (double)bias[o];
        for (int k = 0; k < st->features; k++)
            sum += *naive_at(deep, k, z / s[0], y / s[1], x / s[2]) *
                   (double)up[(k * outputs + o) * s[0] * s[1] * s[2] + tap];
        both.v[i] = sum;
        both.v[outputs * n + i] = skip->v[i];
    }
    return both;
}

/* A U-Net of two stages of one convolution each; takes `in`. */
static naive naive_unet(const fab_tensors *t, const fab_unet_config *c, naive in)
{
    static const int one[3] = {1, 1, 1};
    const int features = c->stages[0].features;
    const int64_t shape[5] = {c->classes, features, 1, 1, 1};
    naive skip = naive_conv(t, "encoder.stages.0.0.convs.0", in, &c->stages[0],
                            c->stages[0].stride);
    const int n = skip.size[0] * skip.size[1] * skip.size[2];
    naive copy = naive_new(features, skip.size), logits = naive_new(c->classes, skip.size);
    memcpy(copy.v, skip.v, (size_t)(features * n) * sizeof *copy.v);
    naive deep = naive_conv(t, "encoder.stages.1.0.convs.0", copy, &c->stages[1],
                            c->stages[1].stride);
    naive last = naive_conv(t, "decoder.stages.0.convs.0", naive_up(t, c, &deep, &skip),
                            &c->stages[0], one);
    const float *head = tensor(t, "decoder.seg_layers.0", "weight", shape, 5);
    const float *bias = tensor(t, "decoder.seg_layers.0", "bias", shape, 1);
    for (int i = 0; i < c->classes * n; i++) {
        double sum = (double)bias[i / n];
        for (int k = 0; k < features; k++)
            sum += (double)head[i / n * features + k] * last.v[k * n + i % n];
        logits.v[i] = sum;
    }
    free(skip.v);
    free(deep.v);
    free(last.v);
    return logits;
}

/* One instruction set against the definition; fp32 also value by value. */
static void check_near(fab_isa isa, const float *got, const naive *expected)
{
    const int *size = expected->size, count = expected->channels * size[0] * size[1] * size[2];
    const fab_precision precision = fab_nn_isa_precision(isa);
    double difference = 0, square = 0;
    for (int i = 0; i < count; i++) {
        const double d = (double)got[i] - expected->v[i];
        if (precision == FAB_PRECISION_FP32) CHECK_NEAR(got[i], expected->v[i], 5e-5);
        difference += d * d;
        square += expected->v[i] * expected->v[i];
    }
    CHECK(sqrt(difference / square) <= fmax(bound(precision), 5e-6));
}

/* Every instruction set against the definition: two stages, concatenation and all. */
static void compare_with_definition(const int patch[3], int kernel_y, int inputs)
{
    const fab_unet_config c = {.input_channels = inputs, .classes = 3, .stage_count = 2,
        .stages = {{5, {3, kernel_y, 3}, {1, 1, 1}, 1}, {18, {3, 3, 3}, {2, 1, 2}, 1}},
        .decoder_convs = {1}, .norm_eps = 1e-5, .slope = 0.01, .conv_bias = true};
    const size_t n = (size_t)(patch[0] * patch[1] * patch[2]);
    fab_tensors *t = random_unet_tensors(&c, 77);
    naive in = naive_new(inputs, patch);
    float *input = fab_alloc_array(n * (size_t)inputs, sizeof *input);
    float *logits = fab_alloc_array(n * 3, sizeof *logits);
    CHECK(input && logits);
    fab_rng rng;
    fab_rng_seed(&rng, 4, 4);
    for (size_t i = 0; i < n * (size_t)inputs; i++)
        in.v[i] = (double)(input[i] = (float)fab_rng_normal(&rng));
    naive expected = naive_unet(t, &c, in);
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++)
        if (fab_nn_isa_runs((fab_isa)isa)) {
            memset(logits, 0xff, n * 3 * sizeof *logits);
            run(&c, t, (fab_isa)isa, patch, input, logits);
            check_near((fab_isa)isa, logits, &expected);
        }
    fab_free(input);
    fab_free(logits);
    free(expected.v);
    fab_tensors_free(t);
}

static void all_equal_the_definition(void)
{
    compare_with_definition((int[]){4, 6, 10}, 1, 2);
}

/* The decoder's convolution, of two sources, goes by Winograd's algorithm in tiles of 2x2x2, 2x4x4
 * and 4x4x4 outputs. */
static void winograd_equals_the_definition(void)
{
    compare_with_definition((int[]){8, 12, 22}, 3, 2);
    compare_with_definition((int[]){14, 28, 24}, 3, 2);
    compare_with_definition((int[]){32, 48, 44}, 3, 2);
}

/* More input channels than a block holds, or a record, or two; the most there may be. */
static void many_inputs_equal_the_definition(void)
{
    static const int inputs[] = {15, 16, 17, 20, 32, 33, 64, 118, FAB_UNET_MAX_INPUT_CHANNELS};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        for (int kernel_y = 1; kernel_y <= 3; kernel_y += 2)
            compare_with_definition((int[]){4, 5, 10}, kernel_y, inputs[i]);
}

static void unknown_isa_is_refused(void)
{
    const fab_unet_config c = {.input_channels = 1, .classes = 2, .stage_count = 2,
        .stages = {{2, {1, 1, 1}, {1, 1, 1}, 1}, {2, {1, 1, 1}, {1, 1, 1}, 1}},
        .decoder_convs = {1}, .norm_eps = 1e-5, .slope = 0.01, .conv_bias = true};
    fab_tensors *t = random_unet_tensors(&c, 1);
    fab_net *net = NULL;
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++)
        if (!fab_nn_isa_runs((fab_isa)isa))
            CHECK_FAILS(FAB_ERR_UNSUPPORTED, "do not run on this machine",
                        fab_net_create_unet(&c, t, (fab_isa)isa, &net, &err));
    CHECK(net == NULL);
    fab_tensors_free(t);
}

/* A network built with the best kernels runs on the widest that passed, never on the emulation. */
static void the_widest_is_chosen(void)
{
    const fab_unet_config c = {.input_channels = 1, .classes = 2, .stage_count = 2,
        .stages = {{2, {1, 1, 1}, {1, 1, 1}, 1}, {2, {1, 1, 1}, {1, 1, 1}, 1}},
        .decoder_convs = {1}, .norm_eps = 1e-5, .slope = 0.01, .conv_bias = true};
    const fab_isa expected = fab_nn_isa_runs(FAB_ISA_AVX512) ? FAB_ISA_AVX512
                             : fab_nn_isa_runs(FAB_ISA_AVX2) ? FAB_ISA_AVX2
                                                             : FAB_ISA_SCALAR;
    fab_tensors *t = random_unet_tensors(&c, 1);
    fab_net *net = NULL;
    CHECK(fab_nn_isa_runs(FAB_ISA_SCALAR));
    CHECK_OK(fab_net_create_unet(&c, t, fab_nn_isa_best(FAB_PRECISION_FP32), &net, &err));
    printf("  %s is used\n", fab_nn_isa_name(fab_net_isa(net)));
    CHECK(fab_net_isa(net) == expected);
    fab_net_free(net);
    fab_tensors_free(t);
}

int main(void)
{
    return FAB_RUN(TEST(all_equal_the_definition), TEST(winograd_equals_the_definition),
                   TEST(many_inputs_equal_the_definition),
                   TEST(every_isa_gives_the_references_bits), TEST(unknown_isa_is_refused),
                   TEST(the_widest_is_chosen));
}
