/* test_nn_threads.c - the same network gives the same bits with 1, 2, 3, 16 and 64 threads.
 *
 * One session goes through all counts, more and fewer again: its scratch has to follow. Plain and
 * residual U-Nets large enough for Winograd's algorithm and for tasks for many threads, of every
 * kind of kernels; a chain; and one network in two sessions at the same time.
 */
#include <pthread.h>

#include "harness.h"
#include "random_unet.h"

#include "fabrica/nn.h"

static fab_error err;
static const int counts[] = {1, 2, 3, 16, 64, 5, 1};
enum { COUNTS = sizeof counts / sizeof *counts };
static const int patch[3] = {24, 40, 48};

typedef struct sample {
    fab_net *net;
    float *input, *expected, *got;
    size_t logits;
} sample;

static void sample_make(sample *s, fab_net *net, int inputs, int classes)
{
    fab_rng rng;
    const size_t voxels = (size_t)(patch[0] * patch[1] * patch[2]);
    fab_rng_seed(&rng, 6, 1);
    *s = (sample){.net = net, .logits = voxels * (size_t)classes};
    s->input = fab_alloc_array(voxels * (size_t)inputs, sizeof *s->input);
    s->expected = fab_alloc_array(2 * s->logits, sizeof *s->expected);
    CHECK(s->input && s->expected);
    s->got = s->expected + s->logits;
    for (size_t i = 0; i < voxels * (size_t)inputs; i++) s->input[i] = (float)fab_rng_normal(&rng);
}

static void sample_free(sample *s)
{
    fab_net_free(s->net);
    fab_free(s->input);
    fab_free(s->expected);
}

static void check_counts(const sample *s)
{
    fab_net_session *session = NULL;
    for (int i = 0; i < COUNTS; i++) {
        fab_threads_set(counts[i]);
        if (!session) CHECK_OK(fab_net_session_create(s->net, patch, &session, &err));
        float *to = i ? s->got : s->expected;
        memset(to, 0xff, s->logits * sizeof *to);
        CHECK_OK(fab_net_session_logits(session, s->input, to, &err));
        CHECK(memcmp(to, s->expected, s->logits * sizeof *to) == 0);
    }
    fab_net_session_free(session);
    fab_threads_set(0);
}

static fab_net *unet(bool residual, fab_isa isa)
{
    const fab_unet_config c = {.input_channels = 2, .classes = 5, .stage_count = 3,
        .stages = {{16, {3, 3, 3}, {1, 1, 1}, 2}, {40, {3, 3, 3}, {2, 2, 2}, 2},
                   {72, {3, 3, 3}, {2, 2, 2}, 1}}, .blocks = {1, 2, 1},
        .decoder_convs = {1, 2}, .norm_eps = 1e-5, .slope = 0.01, .conv_bias = true,
        .residual = residual};
    fab_net *net = NULL;
    fab_tensors *t = random_unet_tensors(&c, 12);
    CHECK_OK(fab_net_create_unet(&c, t, isa, &net, &err));
    fab_tensors_free(t);
    return net;
}

/* References and emulations are slow, and run the same tasks. */
static bool is_quick(fab_isa isa)
{
    const char *name = fab_nn_isa_name(isa);
    return isa == fab_nn_isa_best(FAB_PRECISION_FP32) ||
           !(strstr(name, "scalar") || strstr(name, "emulated"));
}

static void unets_of_every_kind(void)
{
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++)
        for (int residual = 0; residual < 2; residual++) {
            sample s;
            if (!fab_nn_isa_runs((fab_isa)isa) || !is_quick((fab_isa)isa)) continue;
            sample_make(&s, unet(residual, (fab_isa)isa), 2, 5);
            check_counts(&s);
            sample_free(&s);
            printf("  %s, %s\n", fab_nn_isa_name((fab_isa)isa), residual ? "residual" : "plain");
        }
}

static void chains(void)
{
    fab_sequential_config c = {.input_channels = 1, .layer_count = 4};
    for (int i = 0; i < c.layer_count; i++) {
        const int d = 1 << i;
        c.layers[i] = (fab_sequential_layer){.outputs = i < 3 ? 20 : 3, .kernel = {3, 3, 3},
                                             .dilation = {d, d, d}, .bias = true,
                                             .activation = FAB_ACTIVATION_ELU, .slope = 1};
        snprintf(c.layers[i].conv, sizeof c.layers[i].conv, "net.%d", i);
    }
    fab_net *net = NULL;
    fab_tensors *t = random_sequential_tensors(&c, 3);
    CHECK_OK(fab_net_create_sequential(&c, t, fab_nn_isa_best(FAB_PRECISION_FP32), &net, &err));
    fab_tensors_free(t);
    sample s;
    sample_make(&s, net, 1, 3);
    check_counts(&s);
    sample_free(&s);
}

static void *run_session(void *ctx)
{
    const sample *s = ctx;
    fab_error e;
    fab_net_session *session = NULL;
    if (fab_net_session_create(s->net, patch, &session, &e) < 0) return NULL;
    const fab_status status = fab_net_session_logits(session, s->input, s->got, &e);
    fab_net_session_free(session);
    return status < 0 ? NULL : ctx;
}

/* A network is shared by threads; their loops take turns. */
static void two_sessions_at_once(void)
{
    for (int i = 0; i < COUNTS; i++) {
        sample s;
        sample_make(&s, unet(false, fab_nn_isa_best(FAB_PRECISION_FP32)), 2, 5);
        sample other = s;
        other.got = s.expected;
        pthread_t thread;
        void *done = NULL;
        fab_threads_set(counts[i]);
        CHECK(pthread_create(&thread, NULL, run_session, &other) == 0);
        CHECK(run_session(&s));
        CHECK(pthread_join(thread, &done) == 0 && done);
        CHECK(memcmp(s.got, s.expected, s.logits * sizeof *s.got) == 0);
        fab_threads_set(0);
        sample_free(&s);
    }
}

int main(void)
{
    return FAB_RUN(TEST(unets_of_every_kind), TEST(chains), TEST(two_sessions_at_once));
}
