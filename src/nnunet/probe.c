/* probe.c - which builds of the kernels run here: found by running them, as nn does (hypervisors
 * hide features that work and advertise features that do not). */
#include <pthread.h>
#include <string.h>

#include "kernels.h"

#define PROBE 37 /* not a multiple of any vector's width */

typedef struct probe_data {
    uint16_t half[PROBE], sum[PROBE];
    uint16_t heads[11 * PROBE];
    float value[PROBE], best[PROBE], first[PROBE], second[PROBE], share[PROBE];
    double lines[PROBE * FAB_SPLINE_LANES], taken[3 * FAB_SPLINE_LANES], mixed[PROBE],
        spread[PROBE];
    int32_t label[PROBE];
    int16_t low[PROBE], high[PROBE], best_half[PROBE], index[PROBE];
    int span[2];
} probe_data;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const fab_nnunet_kernels *const built[FAB_NNUNET_KERNEL_SETS] = {
    &fab_nnunet_kernels_scalar,
#ifdef FAB_NNUNET_X86
    &fab_nnunet_kernels_avx2, &fab_nnunet_kernels_avx512,
#endif
};
static bool runs[FAB_NNUNET_KERNEL_SETS] = {true};

static void probe_run(const fab_nnunet_kernels *k, probe_data *d)
{
    static const int32_t first[3] = {0, 11, PROBE - 4};
    static const double weight[12] = {.1, .2, .3, .4, .5, .6, .7, .8, .9, 1, 1.1, 1.2};
    int32_t order[PROBE];
    double t[PROBE];
    memset(d, 0, sizeof *d);
    for (int i = 0; i < PROBE; i++) {
        d->value[i] = (float)((i * 37) % 101) * 0.013f - 0.6f;
        d->best[i] = (float)((i * 53) % 97) * 0.011f - 0.5f;
        order[i] = (i * 7) % PROBE;
        t[i] = (double)((i * 11) % PROBE) / PROBE;
    }
    for (int i = 0; i < PROBE * FAB_SPLINE_LANES; i++) d->lines[i] = (i * 29) % 83;
    k->float_to_half(d->value, d->half, PROBE);
    memcpy(d->sum, d->half, sizeof d->sum);
    k->add_weighted(d->value, d->best, d->sum, PROBE);
    k->add_logits(d->value, 1, 0.5f, d->best, d->heads, PROBE, 1, PROBE);
    k->add_logits(d->value, 12, 0.5f, d->best, d->heads, PROBE, 11, 3);
    k->rank(d->heads, PROBE, 11, d->first, d->second, d->label, PROBE);
    k->sum_exponentials(d->heads, PROBE, 11, d->first, d->second, PROBE);
    k->spline_filter(d->lines, PROBE);
    k->combine(d->lines, first, weight, 4, 3, d->taken);
    k->cell_range((const uint16_t *[4]){d->half, d->sum, d->half, d->sum}, d->low, d->high, PROBE);
    k->raise(d->low, d->high, PROBE / 2);
    k->reaches(d->low, d->high, PROBE, d->span);
    k->mix_half(d->half, d->sum, 0.3, d->mixed, PROBE);
    k->spread(d->mixed, order, order, t, d->spread, PROBE);
    k->keep_best(d->mixed, d->spread, 0.7, 5, d->best, d->label, PROBE);
    k->keep_best_half(d->half, 3, d->best_half, d->index, PROBE);
    k->keep_above(d->mixed, d->spread, 0.6, 7, 0.1f, d->label, PROBE);
    k->half_to_float(d->sum, d->value, PROBE);
    k->blend(d->mixed, d->spread, 0.4, d->first, PROBE);
    k->add_shares(d->first, 19, 2, false, d->share, 18);
    k->add_shares(d->second, 19, 2, true, d->share, 18);
    k->logits_of_shares(d->share, false, d->half, PROBE);
    k->logits_of_shares(d->share, true, d->sum, PROBE);
}

typedef struct probe {
    const fab_nnunet_kernels *kernels;
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
    probe_run(&fab_nnunet_kernels_scalar, &expected);
    for (int i = 1; i < FAB_NNUNET_KERNEL_SETS; i++) {
        got.kernels = built[i];
        runs[i] = got.kernels && fab_executes(probe_guarded, &got)
                  && memcmp(&got.data, &expected, sizeof expected) == 0;
    }
}

const fab_nnunet_kernels *fab_nnunet_kernels_at(int index)
{
    pthread_once(&once, probe_all);
    return index >= 0 && index < FAB_NNUNET_KERNEL_SETS && runs[index] ? built[index] : NULL;
}

const fab_nnunet_kernels *fab_nnunet_kernels_best(void)
{
    for (int i = FAB_NNUNET_KERNEL_SETS - 1; i > 0; i--)
        if (fab_nnunet_kernels_at(i)) return fab_nnunet_kernels_at(i);
    return &fab_nnunet_kernels_scalar;
}
