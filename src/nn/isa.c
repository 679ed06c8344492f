/* isa.c - which kernels run here: found by running them, never by asking CPUID.
 *
 * Hypervisors hide features that work and advertise features that do not. Each variant runs a
 * small convolution, normalisations, a sum and a row's statistics on known data under a SIGILL
 * guard; it counts only if it gives its reference's bits. AMX sums in an order of its own: bf16
 * data are small whole numbers, whose sums are exact in any order.
 */
#include <pthread.h>
#include <string.h>
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "bf16.h"

#define PROBE_VOXELS 29
#define PROBE_ROOM 32 /* voxels that a row of outputs has room for */
#define PROBE_CHANNELS 5
#define PROBE_TAPS 3
#define PROBE_RECORDS (PROBE_ROOM + PROBE_TAPS - 1)

typedef struct isa_row {
    const fab_nn_kernels *kernels;
    fab_isa reference;
} isa_row;

static const isa_row isas[FAB_ISA_COUNT] = {
    [FAB_ISA_SCALAR] = {&fab_nn_kernels_scalar, FAB_ISA_SCALAR},
    [FAB_ISA_BF16_SCALAR] = {&fab_nn_kernels_bf16_scalar, FAB_ISA_BF16_SCALAR},
    [FAB_ISA_BF16_TENSORS_SCALAR] = {&fab_nn_kernels_half_scalar, FAB_ISA_BF16_TENSORS_SCALAR},
    [FAB_ISA_EXACT_SCALAR] = {&fab_nn_kernels_exact_scalar, FAB_ISA_EXACT_SCALAR},
#ifdef FAB_NN_X86
    [FAB_ISA_AVX2] = {&fab_nn_kernels_avx2, FAB_ISA_SCALAR},
    [FAB_ISA_WIDE_EMU] = {&fab_nn_kernels_wide_emu, FAB_ISA_SCALAR},
    [FAB_ISA_AVX512] = {&fab_nn_kernels_avx512, FAB_ISA_SCALAR},
    [FAB_ISA_BF16_AVX512] = {&fab_nn_kernels_bf16_avx512, FAB_ISA_BF16_SCALAR},
    [FAB_ISA_BF16_AMX_EMU] = {&fab_nn_kernels_bf16_amx_emu, FAB_ISA_BF16_SCALAR},
    [FAB_ISA_BF16_AMX] = {&fab_nn_kernels_bf16_amx, FAB_ISA_BF16_SCALAR},
    [FAB_ISA_BF16_TENSORS_AVX2] = {&fab_nn_kernels_half_avx2, FAB_ISA_BF16_TENSORS_SCALAR},
    [FAB_ISA_BF16_TENSORS_AVX512] = {&fab_nn_kernels_half_avx512, FAB_ISA_BF16_TENSORS_SCALAR},
    [FAB_ISA_EXACT_AVX512] = {&fab_nn_kernels_exact_avx512, FAB_ISA_EXACT_SCALAR},
    [FAB_ISA_EXACT_AMX_EMU] = {&fab_nn_kernels_exact_amx_emu, FAB_ISA_EXACT_SCALAR},
    [FAB_ISA_EXACT_AMX] = {&fab_nn_kernels_exact_amx, FAB_ISA_EXACT_SCALAR},
#endif
};

/* Room for every format's records, weights and tensors. */
typedef struct probe_data {
    _Alignas(64) float in[PROBE_RECORDS * 2 * FAB_NN_BLOCK];
    float weights[2 * PROBE_TAPS * FAB_BF16_TILE], out[2 * PROBE_ROOM * FAB_NN_BLOCK];
    float tensor[PROBE_ROOM * FAB_NN_BLOCK];
    float mean[FAB_NN_BLOCK], m2[FAB_NN_BLOCK];
} probe_data;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool runs[FAB_ISA_COUNT];

const fab_nn_kernels *fab_nn_kernels_of(fab_isa isa)
{
    return isa >= 0 && isa < FAB_ISA_COUNT ? isas[isa].kernels : NULL;
}

fab_isa fab_nn_isa_reference(fab_isa isa)
{
    return isas[isa].reference;
}

bool fab_nn_isa_in_order(fab_isa isa)
{
    return isa != FAB_ISA_BF16_AMX && isa != FAB_ISA_BF16_AMX_EMU && isa != FAB_ISA_EXACT_AMX &&
           isa != FAB_ISA_EXACT_AMX_EMU;
}

/* Numbers of no special kind; as bf16, small whole ones. */
static void fill(const fab_nn_kernels *k, void *to, size_t bytes, int a, int b)
{
    float *floats = to;
    uint16_t *halves = to;
    for (int i = 0; k->planes && i < (int)(bytes / sizeof *halves); i++)
        halves[i] = fab_bf16_round((float)(i * a % b % 17 - 8));
    for (int i = 0; !k->planes && i < (int)(bytes / sizeof *floats); i++)
        floats[i] = (float)(i * a % b) * 0.012f - 0.55f;
}

static void probe_conv(const fab_nn_kernels *k, probe_data *d)
{
    const int group = fab_nn_group(k), planes = k->planes ? k->planes : 1;
    const int32_t tap[PROBE_TAPS] = {0, group, 2 * group};
    const int32_t channels[1] = {PROBE_CHANNELS};
    fill(k, d->in, sizeof d->in, 37, 101);
    fill(k, d->weights, sizeof d->weights, 53, 97);
    const fab_conv_row row = {
        .in = d->in, .tap = tap, .channels = channels, .taps = PROBE_TAPS, .blocks = 1,
        .in_step = group, .in_low = (ptrdiff_t)PROBE_RECORDS * group, .weights = d->weights,
        .out = d->out, .out_step = FAB_NN_BLOCK, .count = PROBE_VOXELS, .pair = true,
        .pair_weights = PROBE_TAPS * (k->planes ? planes * FAB_BF16_TILE
                                                : PROBE_CHANNELS * FAB_NN_BLOCK),
        .pair_out = PROBE_ROOM * FAB_NN_BLOCK};
    /* AMX multiplies whole records: what is not used is zero, there or in the weights */
    uint16_t *records = (uint16_t *)(void *)d->in;
    for (int i = 0; k->planes && i < PROBE_RECORDS * planes * group; i++)
        if (i % group >= PROBE_CHANNELS) records[i] = 0;
    if (k->begin) k->begin();
    k->conv(&row);
    if (k->end) k->end();
    for (int block = 0; block < 2; block++) /* what is written beyond the row's end is no matter */
        memset(d->out + (block * PROBE_ROOM + PROBE_VOXELS) * FAB_NN_BLOCK, 0,
               (PROBE_ROOM - PROBE_VOXELS) * FAB_NN_BLOCK * sizeof *d->out);
}

static void probe_rows(const fab_nn_kernels *k, probe_data *d)
{
    float scale[4 * FAB_NN_BLOCK];
    for (int i = 0; i < 4 * FAB_NN_BLOCK; i++) scale[i] = (float)(i * 53 % 97) * 0.011f - 0.5f;
    k->norm(&(fab_norm_row){d->out, d->out, scale, scale + 7, 0.01f, PROBE_VOXELS});
    k->elu(&(fab_norm_row){d->out, d->out, scale, scale + 5, 1.0f, PROBE_VOXELS});
    if (k->store) k->store(&(fab_store_row){d->out, d->tensor, FAB_NN_BLOCK, PROBE_VOXELS});
    else memcpy(d->tensor, d->out, sizeof d->tensor);
    k->add(&(fab_add_row){d->tensor, d->tensor, d->tensor, scale, scale + 7, scale + 14,
                          scale + 21, 0.01f, 0.5f, PROBE_VOXELS});
    const int group = fab_nn_group(k);
    if (k->load)
        k->load(&(fab_load_row){d->tensor, d->in, scale, scale + 7, 0.01f, PROBE_VOXELS, group,
                                (ptrdiff_t)PROBE_RECORDS * group});
    fab_stats_row stats = {.src = d->out, .count = PROBE_VOXELS};
    k->stats(&stats);
    memcpy(d->mean, stats.mean, sizeof d->mean);
    memcpy(d->m2, stats.m2, sizeof d->m2);
}

static void probe_run(const fab_nn_kernels *k, probe_data *d)
{
    memset(d, 0, sizeof *d);
    probe_conv(k, d);
    probe_rows(k, d);
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

/* A process must ask the kernel for AMX's registers before it uses them; without them, or without
 * an answer, the first tile instruction is illegal. */
static void ask_for_tiles(void)
{
#if defined(__linux__) && defined(__x86_64__) && defined(SYS_arch_prctl)
    enum { REQUEST_COMPONENT = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM */
    syscall(SYS_arch_prctl, REQUEST_COMPONENT, TILE_DATA);
#endif
}

static void probe_all(void)
{
    static probe_data expected; /* too large for a small stack; guarded by `once` */
    static probe got;
    ask_for_tiles();
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++) {
        got.kernels = isas[isa].kernels;
        runs[isa] = got.kernels && (int)isas[isa].reference == isa;
        if (!got.kernels || runs[isa]) continue;
        probe_run(isas[isas[isa].reference].kernels, &expected);
        runs[isa] = fab_executes(probe_guarded, &got)
                    && memcmp(&got.data, &expected, sizeof expected) == 0;
    }
}

bool fab_nn_isa_runs(fab_isa isa)
{
    pthread_once(&once, probe_all);
    return isa >= 0 && isa < FAB_ISA_COUNT && runs[isa];
}

fab_isa fab_nn_isa_best(fab_precision precision)
{
    /* Scalar ends a list: it runs. vdpbf16ps, at best twice fp32's rate, loses to fp32 on bf16
     * tensors by Winograd's algorithm, which is closer too: it is there for comparison. */
    static const fab_isa order[FAB_PRECISION_COUNT][4] = {
        [FAB_PRECISION_AUTO] = {FAB_ISA_AVX512, FAB_ISA_AVX2, FAB_ISA_SCALAR},
        [FAB_PRECISION_FP32] = {FAB_ISA_AVX512, FAB_ISA_AVX2, FAB_ISA_SCALAR},
        [FAB_PRECISION_BF16] = {FAB_ISA_BF16_AMX, FAB_ISA_BF16_TENSORS_AVX512,
                                FAB_ISA_BF16_TENSORS_AVX2, FAB_ISA_BF16_TENSORS_SCALAR},
        [FAB_PRECISION_EXACT] = {FAB_ISA_EXACT_AMX, FAB_ISA_AVX512, FAB_ISA_AVX2,
                                 FAB_ISA_SCALAR}};
    int i = 0;
    while (!fab_nn_isa_runs(order[precision][i])) i++;
    return order[precision][i];
}

const char *fab_nn_isa_name(fab_isa isa)
{
    const fab_nn_kernels *k = fab_nn_kernels_of(isa);
    return k ? k->name : "none";
}

fab_precision fab_nn_isa_precision(fab_isa isa)
{
    const fab_nn_kernels *k = fab_nn_kernels_of(isa);
    return k ? k->precision : FAB_PRECISION_FP32;
}

double fab_nn_isa_peak_flop(fab_isa isa, int64_t iterations)
{
    return fab_nn_isa_runs(isa) ? fab_nn_kernels_of(isa)->peak(iterations) : 0.0;
}

static const char *const precisions[FAB_PRECISION_COUNT] = {"fp32", "bf16", "exact", "auto"};

const char *fab_precision_name(fab_precision p)
{
    return precisions[p];
}

fab_status fab_precision_from_name(const char *name, fab_precision *out, fab_error *err)
{
    for (int i = 0; i < FAB_PRECISION_COUNT; i++)
        if (strcmp(name, precisions[i]) == 0) {
            *out = (fab_precision)i;
            return FAB_OK;
        }
    FAB_FAIL(err, FAB_ERR_ARG, "no precision \"%s\"; these are: auto, fp32, bf16, exact", name);
}
