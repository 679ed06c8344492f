/* bench_nn.c - how near the network engine comes to the machine's peak, as JSON.
 *
 *   bench_nn [ISA|best [PATCH_Z PATCH_Y PATCH_X [FEATURES,... [CLASSES [ROUNDS [BLOCKS,...]]]]]]
 *
 * With BLOCKS the encoder is residual and the decoder has one convolution a stage, as in nnU-Net's
 * ResEnc presets.
 *
 * Peak (a loop of independent FMAs) and network alternate in one process; all times are CPU time
 * of the threads that worked, so a busy machine distorts the figures less.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random_unet.h"

#define PEAK_ITERATIONS 20000000

typedef struct setup {
    fab_isa isa;
    int patch[3], rounds;
    fab_unet_config config;
} setup;

static void ignore_logits(void *ctx, int z, int y, int x0, int count, const float *l, int pitch)
{
    (void)ctx, (void)z, (void)y, (void)x0, (void)count, (void)l, (void)pitch;
}

static fab_isa isa_named(const char *name)
{
    for (int i = 0; i < FAB_ISA_COUNT; i++)
        if (strcmp(fab_nn_isa_name((fab_isa)i), name) == 0) return (fab_isa)i;
    return fab_nn_isa_best(FAB_PRECISION_FP32);
}

static setup parse(int argc, char **argv)
{
    setup s = {.isa = isa_named(argc > 1 ? argv[1] : "best"), .patch = {64, 64, 96}, .rounds = 3};
    char *list = argc > 5 ? argv[5] : (char[]){"16,32,64,128,192"};
    fab_unet_config *c = &s.config;
    *c = (fab_unet_config){.input_channels = 1, .classes = 23, .norm_eps = 1e-5, .slope = 0.01,
                           .conv_bias = true};
    for (int a = 0; argc > 4 && a < 3; a++) s.patch[a] = (int)strtol(argv[2 + a], NULL, 10);
    for (char *end = list; c->stage_count < FAB_UNET_MAX_STAGES; list = end + 1) {
        const int stride = c->stage_count ? 2 : 1;
        c->stages[c->stage_count++] = (fab_unet_stage){(int)strtol(list, &end, 10), {3, 3, 3},
                                                       {stride, stride, stride}, 2};
        if (*end != ',') break;
    }
    for (int i = 0; i + 1 < c->stage_count; i++) c->decoder_convs[i] = 2;
    if (argc > 6) c->classes = (int)strtol(argv[6], NULL, 10);
    if (argc > 7) s.rounds = (int)strtol(argv[7], NULL, 10);
    c->residual = argc > 8;
    list = argc > 8 ? argv[8] : list;
    for (int i = 0; i < c->stage_count && c->residual; i++) {
        c->blocks[i] = (int)strtol(list, &list, 10);
        c->decoder_convs[i] = 1;
        if (*list == ',') list++;
    }
    return s;
}

static int run(const setup *s, fab_error *err)
{
    FAB_AUTO(fab_tensors_free) fab_tensors *weights = random_unet_tensors(&s->config, 11);
    FAB_AUTO(fab_net_free) fab_net *net = NULL;
    FAB_AUTO(fab_net_session_free) fab_net_session *session = NULL;
    FAB_TRY(fab_net_create_unet(&s->config, weights, s->isa, &net, err));
    FAB_TRY(fab_net_session_create(net, s->patch, &session, err));
    const size_t n = (size_t)s->patch[0] * (size_t)s->patch[1] * (size_t)s->patch[2];
    FAB_AUTO_FREE float *input = fab_alloc_array(n, sizeof *input);
    fab_rng rng;
    fab_rng_seed(&rng, 5, 5);
    for (size_t i = 0; input && i < n; i++) input[i] = (float)fab_rng_normal(&rng);
    if (!input) return FAB_ERR_NOMEM;
    double best_cpu = 1e300, best_wall = 1e300, peak = 0;
    FAB_TRY(fab_net_session_run(session, input, ignore_logits, NULL, err)); /* warm up */
    for (int i = 0; i < s->rounds; i++) {
        double cpu = fab_time_cpu_s();
        const double flop = fab_nn_isa_peak_flop(s->isa, PEAK_ITERATIONS);
        const double rate = flop / (fab_time_cpu_s() - cpu);
        if (rate > peak) peak = rate;
        cpu = fab_time_cpu_s();
        double wall = fab_time_wall_s();
        FAB_TRY(fab_net_session_run(session, input, ignore_logits, NULL, err));
        cpu = fab_time_cpu_s() - cpu;
        wall = fab_time_wall_s() - wall;
        if (cpu < best_cpu) best_cpu = cpu;
        if (wall < best_wall) best_wall = wall;
    }
    FAB_AUTO_FREE fab_net_profile *rows =
        fab_alloc_array((size_t)fab_net_operations(net), sizeof *rows);
    if (!rows) return FAB_ERR_NOMEM;
    const double flop = fab_net_patch_flop(net, s->patch);
    double executed = 0;
    fab_net_session_profile(session, rows, false);
    for (int i = 0; i < fab_net_operations(net); i++) executed += rows[i].executed;
    printf("{\"isa\": \"%s\", \"threads\": %d, \"patch\": [%d, %d, %d], \"classes\": %d,\n"
           " \"gflop\": %.3f, \"executed_gflop\": %.3f, \"cpu_s\": %.4f, \"wall_s\": %.4f,\n"
           " \"gflops_per_cpu_s\": %.2f, \"peak_gflops_per_cpu_s\": %.2f,\n"
           " \"percent_of_peak\": %.1f, \"session_mib\": %.1f}\n",
           fab_nn_isa_name(s->isa), fab_threads_get(), s->patch[0], s->patch[1], s->patch[2],
           s->config.classes, flop * 1e-9, executed * 1e-9, best_cpu, best_wall,
           flop * 1e-9 / best_cpu, peak * 1e-9, 100 * executed / best_cpu / peak,
           (double)fab_net_session_bytes(net, s->patch) / 1048576.0);
    return FAB_OK;
}

int main(int argc, char **argv)
{
    const setup s = parse(argc, argv);
    fab_error err = {0};
    if (run(&s, &err) == FAB_OK) return 0;
    fprintf(stderr, "%s\n", err.message);
    return 1;
}
