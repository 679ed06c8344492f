/* train.c - a trainer: memory, one patch forward and back, AdamW, its weights as tensors. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train_internal.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static float *floats(fab_trainer *t, size_t count)
{
    float *p = fab_alloc_large((count + 64) * sizeof *p);
    if (p) memset(p, 0, (count + 64) * sizeof *p);
    t->bytes += (count + 64) * sizeof *p;
    return p;
}

static bool add_param(fab_trainer *t, int op, fab_param_kind kind, void *value, size_t count)
{
    fab_param *p = &t->params[op][kind];
    if (!value) return true;
    *p = (fab_param){.value = value, .gradient = floats(t, count), .first = floats(t, count),
                     .second = floats(t, count), .average = floats(t, count), .count = count};
    if (!p->gradient || !p->first || !p->second || !p->average) return false;
    memcpy(p->average, p->value, count * sizeof *p->average);
    return true;
}

static bool add_params(fab_trainer *t)
{
    bool ok = true;
    for (int i = 0; i < t->net->op_count && ok; i++) {
        const fab_net_op *op = &t->net->ops[i];
        const size_t outs = (size_t)op->out_blocks * FAB_NN_BLOCK;
        const int positions =
            op->kind == FAB_OP_UP ? op->kernel[0] * op->kernel[1] * op->kernel[2] : 1;
        ok = add_param(t, i, FAB_PARAM_WEIGHTS, op->weights,
                       (size_t)(positions * op->out_blocks * op->weights_stride)) &&
             add_param(t, i, FAB_PARAM_BIAS, op->bias, outs) &&
             add_param(t, i, FAB_PARAM_GAMMA, op->gamma, outs) &&
             add_param(t, i, FAB_PARAM_BETA, op->beta, outs);
    }
    return ok;
}

static size_t tensor_floats(const fab_trainer *t, int tensor)
{
    return (size_t)fab_nn_volume(fab_train_plan(t, tensor - 1)->out_size) *
           (size_t)t->net->ops[tensor - 1].out_blocks * FAB_NN_BLOCK;
}

/* Gradients of concatenated tensors side by side, then the others, then the spare one. */
static void place_gradients(fab_trainer *t)
{
    bool placed[FAB_NN_MAX_OPS + 1] = {false};
    size_t largest = 0, at = 0;
    for (int i = 0; i < t->net->op_count; i++)
        for (int s = 0; t->net->ops[i].sources == 2 && s < 2; s++) {
            const int tensor = t->net->ops[i].source[s];
            t->gradient_at[tensor] = at;
            at += tensor_floats(t, tensor);
            placed[tensor] = true;
        }
    for (int tensor = 1; tensor <= t->net->op_count; tensor++) {
        const size_t n = tensor_floats(t, tensor);
        if (n > largest) largest = n;
        if (placed[tensor]) continue;
        t->gradient_at[tensor] = at;
        at += n;
    }
    t->spare = at;
    t->gradient_floats = at + largest;
}

/* What the largest operation takes. */
static void measure(fab_trainer *t, size_t *winograd, size_t *partials)
{
    fab_net_plan *plan = &t->mirror_session.plan;
    t->sums_count = fab_train_loss_sums(t);
    for (int i = 0; i < t->net->op_count; i++) {
        fab_op_plan p;
        const fab_net_op *op = &t->net->ops[i];
        const size_t in = fab_train_input_scratch(t, i), w = fab_train_weight_scratch(t, i);
        const size_t lanes = fab_train_weight_lanes(t, i);
        const size_t flipped = fab_train_flipped_floats(op);
        const size_t sums = (size_t)op->out_blocks * (size_t)fab_train_plan(t, i)->out_size[0] *
                            2 * FAB_NN_BLOCK;
        if (in > t->scratch_floats) t->scratch_floats = in;
        if (w > t->scratch_floats) t->scratch_floats = w;
        if (lanes > t->lanes_floats) t->lanes_floats = lanes;
        if (flipped > t->flipped_floats) t->flipped_floats = flipped;
        if (sums > t->sums_count) t->sums_count = sums;
        if (!fab_train_mirror_plan(t, i, &p)) continue;
        const size_t tiles = (size_t)fab_nn_volume(p.tiles) * (size_t)op->blocks;
        const size_t points = (size_t)fab_winograd_points(&p) * (size_t)op->blocks *
                              (size_t)op->outputs * FAB_NN_BLOCK;
        if (tiles > *partials) *partials = tiles;
        if (points > *winograd) *winograd = points;
        if (p.scratch > plan->scratch) plan->scratch = p.scratch;
    }
    t->scratch_floats = (t->scratch_floats + 15) / 16 * 16;
    plan->scratch = (plan->scratch + 15) / 16 * 16;
    if (plan->scratch > t->scratch_floats) t->scratch_floats = plan->scratch;
    plan->scratch = t->scratch_floats;
}

static bool allocate(fab_trainer *t)
{
    size_t winograd = 0, partials = 0;
    fab_net_session *m = &t->mirror_session;
    measure(t, &winograd, &partials);
    t->gradients = floats(t, t->gradient_floats);
    t->flipped = floats(t, t->flipped_floats);
    t->lanes = floats(t, t->lanes_floats);
    t->scratch = floats(t, t->scratch_floats * (size_t)t->workers);
    t->sums = fab_alloc_array(t->sums_count, sizeof *t->sums);
    m->winograd = floats(t, winograd);
    m->partials = fab_alloc_array(partials + 1, sizeof *m->partials);
    t->bytes += t->sums_count * sizeof *t->sums + (partials + 1) * sizeof *m->partials;
    t->mirror.kernels = t->net->kernels;
    t->mirror.config = t->net->config;
    t->mirror.op_count = 2;
    m->net = &t->mirror;
    m->arena = t->gradients;
    m->scratch = t->scratch;
    m->workers = t->workers;
    return t->gradients && t->flipped && t->lanes && t->scratch && t->sums && m->winograd &&
           m->partials;
}

fab_trainer *fab_trainer_free(fab_trainer *t)
{
    if (!t) return NULL;
    for (int i = 0; i < FAB_NN_MAX_OPS; i++)
        for (int k = 0; k < FAB_PARAM_KINDS; k++) {
            fab_free(t->params[i][k].gradient);
            fab_free(t->params[i][k].first);
            fab_free(t->params[i][k].second);
            fab_free(t->params[i][k].average);
        }
    fab_free(t->gradients);
    fab_free(t->flipped);
    fab_free(t->lanes);
    fab_free(t->scratch);
    fab_free(t->sums);
    fab_free(t->mirror_session.winograd);
    fab_free(t->mirror_session.partials);
    fab_net_session_free(t->session);
    fab_net_free(t->net);
    return fab_free(t);
}

fab_status fab_trainer_create(const fab_unet_config *c, const fab_tensors *weights,
                              const int patch[3], fab_isa isa, fab_trainer **out, fab_error *err)
{
    if (c->residual)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "networks with residual encoders are not trained here");
    FAB_AUTO(fab_trainer_free) fab_trainer *t = fab_calloc(1, sizeof *t);
    if (!t) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a trainer");
    FAB_TRY(fab_net_create_unet(c, weights, isa, &t->net, err));
    if (!t->net->kernels->train)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "training is in fp32, not by %s kernels",
                 t->net->kernels->name);
    FAB_TRY(fab_nn_session_create_kept(t->net, patch, &t->session, err));
    t->workers = fab_threads_get();
    place_gradients(t);
    if (!add_params(t) || !allocate(t))
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to train patches of %d x %d x %d voxels",
                 patch[0], patch[1], patch[2]);
    t->bytes += fab_net_bytes(t->net) + t->session->plan.arena * sizeof(float);
    *out = t;
    t = NULL;
    return FAB_OK;
}

size_t fab_trainer_bytes(const fab_trainer *t)
{
    return t->bytes;
}

/* ---- a patch --------------------------------------------------------------------------------- */

static void keep_logits(void *ctx, int z, int y, int x0, int count, const float *logits, int pitch)
{
    const fab_trainer *t = ctx;
    const int *size = t->session->plan.size[0], head = t->net->op_count;
    const ptrdiff_t voxels = (ptrdiff_t)fab_nn_volume(size);
    float *to = fab_train_gradient(t, head) +
                (((ptrdiff_t)z * size[1] + y) * size[2] + x0) * FAB_NN_BLOCK;
    for (int b = 0; b < t->net->ops[head - 1].out_blocks; b++)
        for (int x = 0; x < count; x++)
            memcpy(to + (b * voxels + x) * FAB_NN_BLOCK,
                   logits + (ptrdiff_t)x * pitch + b * FAB_NN_BLOCK,
                   FAB_NN_BLOCK * sizeof *to);
}

static fab_status check_labels(const fab_trainer *t, const uint16_t *labels, fab_error *err)
{
    const int64_t n = fab_nn_volume(t->session->plan.size[0]);
    for (int64_t i = 0; i < n; i++)
        if (labels[i] >= t->net->config.classes && labels[i] != FAB_TRAIN_IGNORE)
            FAB_FAIL(err, FAB_ERR_ARG, "label %d in training: the network has %d classes",
                     labels[i], t->net->config.classes);
    return FAB_OK;
}

fab_status fab_trainer_gradient(fab_trainer *t, const float *input, const uint16_t *labels,
                                const float *class_weights, double scale, fab_train_loss *out,
                                fab_error *err)
{
    FAB_TRY(check_labels(t, labels, err));
    if (fab_threads_get() > t->workers)
        FAB_FAIL(err, FAB_ERR_ARG, "a trainer for %d threads cannot run on %d", t->workers,
                 fab_threads_get());
    FAB_TRY(fab_net_session_run(t->session, input, keep_logits, t, err));
    fab_train_logits(t, labels, class_weights, scale, out);
    memset(t->written, 0, sizeof t->written);
    for (int i = t->net->op_count - 1; i >= 0; i--) {
        if (t->net->ops[i].kind == FAB_OP_CONV) fab_train_norm_gradient(t, i);
        fab_train_weight_gradient(t, i);
        fab_train_input_gradient(t, i);
    }
    return FAB_OK;
}

/* ---- AdamW ----------------------------------------------------------------------------------- */

typedef struct adam_run {
    const fab_param *p;
    double rate, decay, scale, first, second, average; /* first, second: bias corrections */
    const fab_adamw *o;
} adam_run;

#define ADAM_PART 16384

static void adam_task(void *ctx, int64_t index, int worker)
{
    const adam_run *a = ctx;
    const fab_param *p = a->p;
    const size_t begin = (size_t)index * ADAM_PART;
    const size_t end = begin + ADAM_PART < p->count ? begin + ADAM_PART : p->count;
    const float b1 = (float)a->o->beta1, b2 = (float)a->o->beta2, eps = (float)a->o->eps;
    const float rate = (float)(a->rate / a->first), second = (float)(1 / a->second);
    const float keep = (float)(1 - a->rate * a->decay), scale = (float)a->scale;
    const float slow = (float)a->average;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        const float g = p->gradient[i] * scale;
        const float m = p->first[i] = b1 * p->first[i] + (1 - b1) * g;
        const float v = p->second[i] = b2 * p->second[i] + (1 - b2) * g * g;
        p->value[i] = keep * p->value[i] - rate * m / (sqrtf(v * second) + eps);
        p->average[i] = slow * p->average[i] + (1 - slow) * p->value[i];
        p->gradient[i] = 0;
    }
}

static double gradient_norm(const fab_trainer *t)
{
    double sum = 0;
    for (int i = 0; i < t->net->op_count; i++)
        for (int k = 0; k < FAB_PARAM_KINDS; k++) {
            const fab_param *p = &t->params[i][k];
            for (size_t j = 0; j < p->count; j++) sum += (double)p->gradient[j] * p->gradient[j];
        }
    return sqrt(sum);
}

static void forget_gradients(fab_trainer *t)
{
    for (int i = 0; i < t->net->op_count; i++)
        for (int k = 0; k < FAB_PARAM_KINDS; k++) {
            const fab_param *p = &t->params[i][k];
            if (p->count) memset(p->gradient, 0, p->count * sizeof *p->gradient);
        }
}

double fab_trainer_update(fab_trainer *t, const fab_adamw *o)
{
    const double norm = gradient_norm(t);
    if (!isfinite(norm)) {
        forget_gradients(t);
        return norm;
    }
    t->steps++;
    const double early = (double)(t->steps + 1) / (double)(t->steps + 10);
    for (int i = 0; i < t->net->op_count; i++)
        for (int k = 0; k < FAB_PARAM_KINDS; k++) {
            const fab_param *p = &t->params[i][k];
            adam_run a = {p, o->rate, k == FAB_PARAM_WEIGHTS ? o->decay : 0,
                          o->clip > 0 && norm > o->clip ? o->clip / norm : 1,
                          1 - pow(o->beta1, (double)t->steps),
                          1 - pow(o->beta2, (double)t->steps),
                          o->average < early ? o->average : early, o};
            if (p->count)
                fab_parallel_for((int64_t)((p->count + ADAM_PART - 1) / ADAM_PART), adam_task, &a);
        }
    return norm;
}

int64_t fab_trainer_steps(const fab_trainer *t)
{
    return t->steps;
}

void fab_trainer_set_steps(fab_trainer *t, int64_t steps)
{
    t->steps = steps;
}
