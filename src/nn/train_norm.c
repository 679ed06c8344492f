/* train_norm.c - back through leaky ReLU and instance norm.
 *
 * With y the raw sums of a channel, x = (y - mean) / deviation, z = gamma x + beta and g = dL/dz:
 *     dL/dgamma = sum g x,  dL/dbeta = sum g,
 *     dL/dy = gamma / deviation (g - mean(g) - x mean(g x)).
 */
#include "train_internal.h"

typedef struct norm_run {
    fab_trainer *t;
    const fab_op_plan *p;
    const float *raw, *scale, *shift, *mean, *factor; /* factor: 1 / deviation */
    float *gradient;
    float slope;
} norm_run;

static norm_run norm_of(fab_trainer *t, int op)
{
    const fab_net_session *s = t->session;
    const ptrdiff_t pad = (ptrdiff_t)t->net->ops[op].out_blocks * FAB_NN_BLOCK;
    const float *affine = s->affine + s->affine_offset[op + 1];
    const float *norms = s->norms + s->affine_offset[op + 1];
    return (norm_run){.t = t, .p = fab_train_plan(t, op), .raw = fab_nn_tensor_at(s, op + 1, 0),
                      .scale = affine, .shift = affine + pad, .mean = norms,
                      .factor = norms + pad, .gradient = fab_train_gradient(t, op + 1),
                      .slope = (float)t->net->config.slope};
}

static fab_back_row row_of(const norm_run *r, int64_t plane_index)
{
    const int at = (int)(plane_index / r->p->out_size[0]) * FAB_NN_BLOCK;
    const int64_t plane = (int64_t)r->p->out_size[1] * r->p->out_size[2] * FAB_NN_BLOCK;
    return (fab_back_row){.raw = r->raw + plane_index * plane,
                          .gradient = r->gradient + plane_index * plane,
                          .scale = r->scale + at, .shift = r->shift + at, .mean = r->mean + at,
                          .factor = r->factor + at, .slope = r->slope,
                          .count = r->p->out_size[2]};
}

/* A plane of a channel block: through the activation; sums of g and of g x. */
static void sums_task(void *ctx, int64_t index, int worker)
{
    const norm_run *r = ctx;
    double *sums = r->t->sums + index * 2 * FAB_NN_BLOCK;
    fab_back_row row = row_of(r, index);
    (void)worker;
    for (int c = 0; c < 2 * FAB_NN_BLOCK; c++) sums[c] = 0;
    for (int y = 0; y < r->p->out_size[1]; y++) {
        r->t->net->kernels->train->activation_back(&row);
        for (int c = 0; c < FAB_NN_BLOCK; c++) {
            sums[c] += (double)row.first[c];
            sums[FAB_NN_BLOCK + c] += (double)row.second[c];
        }
        row.raw += row.count * FAB_NN_BLOCK;
        row.gradient += row.count * FAB_NN_BLOCK;
    }
}

static void apply_task(void *ctx, int64_t index, int worker)
{
    const norm_run *r = ctx;
    const int planes = r->p->out_size[0];
    const double count = (double)fab_nn_volume(r->p->out_size);
    const double *sums = r->t->sums + index / planes * planes * 2 * FAB_NN_BLOCK;
    fab_back_row row = row_of(r, index);
    (void)worker;
    row.count *= r->p->out_size[1];
    for (int c = 0; c < FAB_NN_BLOCK; c++) {
        row.first[c] = (float)(sums[c] / count);
        row.second[c] = (float)(sums[FAB_NN_BLOCK + c] / count);
    }
    r->t->net->kernels->train->norm_back(&row);
}

void fab_train_norm_gradient(fab_trainer *t, int op)
{
    norm_run r = norm_of(t, op);
    const int blocks = t->net->ops[op].out_blocks, planes = r.p->out_size[0];
    fab_parallel_for((int64_t)blocks * planes, sums_task, &r);
    for (int block = 0; block < blocks; block++) {
        double *sums = t->sums + (int64_t)block * planes * 2 * FAB_NN_BLOCK;
        for (int z = 1; z < planes; z++)
            for (int c = 0; c < 2 * FAB_NN_BLOCK; c++) sums[c] += sums[z * 2 * FAB_NN_BLOCK + c];
        for (int c = 0; c < FAB_NN_BLOCK; c++) {
            t->params[op][FAB_PARAM_BETA].gradient[block * FAB_NN_BLOCK + c] += (float)sums[c];
            t->params[op][FAB_PARAM_GAMMA].gradient[block * FAB_NN_BLOCK + c] +=
                (float)sums[FAB_NN_BLOCK + c];
        }
    }
    fab_parallel_for((int64_t)blocks * planes, apply_task, &r);
}

typedef struct addition {
    float *to;
    const float *from;
    int64_t count;
} addition;

#define ADD_PART 65536

static void add_task(void *ctx, int64_t index, int worker)
{
    const addition *a = ctx;
    const int64_t end = (index + 1) * ADD_PART < a->count ? (index + 1) * ADD_PART : a->count;
    (void)worker;
    for (int64_t i = index * ADD_PART; i < end; i++) a->to[i] += a->from[i];
}

void fab_train_add(float *to, const float *from, int64_t count)
{
    fab_parallel_for((count + ADD_PART - 1) / ADD_PART, add_task, &(addition){to, from, count});
}
