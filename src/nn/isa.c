/* isa.c - which kernels run here: found by running them, never by asking CPUID.
 *
 * Hypervisors hide features that work and advertise features that do not. Each variant runs a
 * small convolution, normalisations, a sum and a row's statistics on known data under a SIGILL
 * guard; it counts only if it gives the reference's bits.
 */
#include <pthread.h>
#include <string.h>

#include "nn_internal.h"

#define PROBE_VOXELS 29
#define PROBE_CHANNELS 5

typedef struct probe_data {
    float in[(PROBE_VOXELS + 2) * FAB_NN_BLOCK];
    float weights[2 * 3 * PROBE_CHANNELS * FAB_NN_BLOCK] __attribute__((aligned(64)));
    float out[2 * PROBE_VOXELS * FAB_NN_BLOCK] __attribute__((aligned(64)));
    float mean[FAB_NN_BLOCK], m2[FAB_NN_BLOCK];
} probe_data;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool runs[FAB_ISA_COUNT];

const fab_nn_kernels *fab_nn_kernels_of(fab_isa isa)
{
    switch (isa) {
    case FAB_ISA_SCALAR: return &fab_nn_kernels_scalar;
#ifdef FAB_NN_X86
    case FAB_ISA_AVX2: return &fab_nn_kernels_avx2;
    case FAB_ISA_WIDE_EMU: return &fab_nn_kernels_wide_emu;
    case FAB_ISA_AVX512: return &fab_nn_kernels_avx512;
#endif
    default: return NULL;
    }
}

static void probe_run(const fab_nn_kernels *k, probe_data *d)
{
    static const int32_t tap[3] = {0, FAB_NN_BLOCK, 2 * FAB_NN_BLOCK};
    static const int32_t channels[1] = {PROBE_CHANNELS};
    memset(d, 0, sizeof *d);
    for (int i = 0; i < (PROBE_VOXELS + 2) * FAB_NN_BLOCK; i++)
        d->in[i] = (float)((i * 37) % 101) * 0.013f - 0.6f;
    for (int i = 0; i < 2 * 3 * PROBE_CHANNELS * FAB_NN_BLOCK; i++)
        d->weights[i] = (float)((i * 53) % 97) * 0.011f - 0.5f;
    fab_conv_row row = {.in = d->in, .tap = tap, .channels = channels, .taps = 3, .blocks = 1,
                        .in_step = FAB_NN_BLOCK, .weights = d->weights, .out = d->out,
                        .out_step = FAB_NN_BLOCK, .count = PROBE_VOXELS, .pair = true,
                        .pair_weights = 3 * PROBE_CHANNELS * FAB_NN_BLOCK,
                        .pair_out = PROBE_VOXELS * FAB_NN_BLOCK};
    k->conv(&row);
    k->norm(&(fab_norm_row){d->out, d->out, d->weights, d->weights + 7, 0.01f, PROBE_VOXELS});
    k->elu(&(fab_norm_row){d->out, d->out, d->weights, d->weights + 5, 1.0f, PROBE_VOXELS});
    k->add(&(fab_add_row){d->out, d->in, d->out, d->weights, d->weights + 7, d->weights + 14,
                          d->weights + 21, 0.01f, 0.5f, PROBE_VOXELS});
    fab_stats_row stats = {.src = d->out, .count = PROBE_VOXELS};
    k->stats(&stats);
    memcpy(d->mean, stats.mean, sizeof d->mean);
    memcpy(d->m2, stats.m2, sizeof d->m2);
}

typedef struct probe {
    const fab_nn_kernels *kernels;
    probe_data data;
} probe;

static void probe_guarded(void *ctx)
{
    probe *p = ctx;
    probe_run(p->kernels, &p->data);
}

static void probe_all(void)
{
    static probe_data expected; /* too large for a small stack; guarded by `once` */
    static probe got;
    runs[FAB_ISA_SCALAR] = true;
    probe_run(&fab_nn_kernels_scalar, &expected);
    for (int isa = FAB_ISA_AVX2; isa < FAB_ISA_COUNT; isa++) {
        got.kernels = fab_nn_kernels_of((fab_isa)isa);
        runs[isa] = got.kernels && fab_executes(probe_guarded, &got)
                    && memcmp(&got.data, &expected, sizeof expected) == 0;
    }
}

bool fab_nn_isa_runs(fab_isa isa)
{
    pthread_once(&once, probe_all);
    return isa >= 0 && isa < FAB_ISA_COUNT && runs[isa];
}

fab_isa fab_nn_isa_best(void)
{
    if (fab_nn_isa_runs(FAB_ISA_AVX512)) return FAB_ISA_AVX512;
    return fab_nn_isa_runs(FAB_ISA_AVX2) ? FAB_ISA_AVX2 : FAB_ISA_SCALAR;
}

const char *fab_nn_isa_name(fab_isa isa)
{
    const fab_nn_kernels *k = fab_nn_kernels_of(isa);
    return k ? k->name : "none";
}

double fab_nn_isa_peak_flop(fab_isa isa, int64_t iterations)
{
    return fab_nn_isa_runs(isa) ? fab_nn_kernels_of(isa)->peak(iterations) : 0.0;
}
