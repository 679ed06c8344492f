/* train.c - a trainer: memory, one patch forward and back, AdamW, its weights as tensors. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train_internal.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static float *floats(fab_trainer *t, size_t count)
{
    float *p = fab_alloc_aligned(64, (count + 64) * sizeof *p);
    if (p) memset(p, 0, (count + 64) * sizeof *p);
    t->bytes += (count + 64) * sizeof *p;
    return p;
}

static bool add_param(fab_trainer *t, int op, fab_param_kind kind, void *value, size_t count)
{
    fab_param *p = &t->params[op][kind];
    if (!value) return true;
    *p = (fab_param){value, floats(t, count), floats(t, count), floats(t, count), count};
    return p->gradient && p->first && p->second;
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
        const size_t points = (size_t)FAB_WINOGRAD_POINTS * (size_t)op->blocks *
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
    double rate, decay, beta1, beta2, eps, first, second;
} adam_run;

#define ADAM_PART 16384

static void adam_task(void *ctx, int64_t index, int worker)
{
    const adam_run *a = ctx;
    const size_t begin = (size_t)index * ADAM_PART;
    const size_t end = begin + ADAM_PART < a->p->count ? begin + ADAM_PART : a->p->count;
    const float b1 = (float)a->beta1, b2 = (float)a->beta2, keep = (float)(1 - a->rate * a->decay);
    const float rate = (float)(a->rate / a->first), second = (float)(1 / a->second);
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        const float g = a->p->gradient[i];
        const float m = a->p->first[i] = b1 * a->p->first[i] + (1 - b1) * g;
        const float v = a->p->second[i] = b2 * a->p->second[i] + (1 - b2) * g * g;
        a->p->value[i] = keep * a->p->value[i] - rate * m / (sqrtf(v * second) + (float)a->eps);
        a->p->gradient[i] = 0;
    }
}

void fab_trainer_update(fab_trainer *t, const fab_adamw *o)
{
    t->steps++;
    for (int i = 0; i < t->net->op_count; i++)
        for (int k = 0; k < FAB_PARAM_KINDS; k++) {
            const fab_param *p = &t->params[i][k];
            adam_run a = {p, o->rate, k == FAB_PARAM_WEIGHTS ? o->decay : 0, o->beta1, o->beta2,
                          o->eps, 1 - pow(o->beta1, (double)t->steps),
                          1 - pow(o->beta2, (double)t->steps)};
            if (p->count)
                fab_parallel_for((int64_t)((p->count + ADAM_PART - 1) / ADAM_PART), adam_task, &a);
        }
}

/* ---- tensors out ----------------------------------------------------------------------------- */

typedef struct tensor_list {
    fab_tensor items[FAB_NN_MAX_OPS * 4];
    char names[FAB_NN_MAX_OPS * 4][FAB_MAX_NAME_BYTES];
    size_t count, used, room;
    float *values;
} tensor_list;

static float *add_tensor(tensor_list *l, const char *name, const char *leaf, int rank,
                         const int64_t *shape)
{
    fab_tensor *item = &l->items[l->count];
    size_t n = 1;
    snprintf(l->names[l->count], sizeof l->names[0], "%s.%s", name, leaf);
    *item = (fab_tensor){.name = l->names[l->count], .rank = rank, .values = l->values + l->used};
    for (int i = 0; i < rank; i++) {
        item->shape[i] = shape[i];
        n *= (size_t)shape[i];
    }
    l->count++;
    l->used += n;
    return l->values ? l->values + l->used - n : NULL;
}

static void add_vector(tensor_list *l, const char *name, const char *leaf, int count,
                       const float *from)
{
    float *to = add_tensor(l, name, leaf, 1, (int64_t[]){count});
    for (int i = 0; to && i < count; i++) to[i] = from ? from[i] : 0.0f;
}

/* The packed values of an operation's kernel to [out][in][tap], or [in][out][tap] of UP. */
static void add_kernel(tensor_list *l, const fab_net_op *op, const char *name, const float *from)
{
    const int inputs = fab_nn_inputs(op), *k = op->kernel;
    const int taps = k[0] * k[1] * k[2];
    const bool up = op->kind == FAB_OP_UP;
    const int64_t shape[5] = {up ? inputs : op->outputs, up ? op->outputs : inputs, k[0], k[1],
                              k[2]};
    float *to = add_tensor(l, name, "weight", 5, shape);
    for (int64_t i = 0; to && i < (int64_t)inputs * op->outputs * taps; i++) {
        const int tap = (int)(i % taps), second = (int)(i / taps % shape[1]);
        const int first = (int)(i / taps / shape[1]), o = up ? second : first;
        int c = up ? first : second, block = 0;
        while (c >= op->channels[block]) c -= op->channels[block++];
        const int inner = up ? 1 : taps, ob = o / FAB_NN_BLOCK;
        const ptrdiff_t row = (ptrdiff_t)fab_nn_channels_before(op, block) * inner +
                              (up ? 0 : tap * op->channels[block]) + c;
        to[i] = from[(up ? tap * op->out_blocks + ob : ob) * op->weights_stride +
                     row * FAB_NN_BLOCK + o % FAB_NN_BLOCK];
    }
}

static const float *param_of(const fab_trainer *t, int op, fab_param_kind kind, bool gradients)
{
    const fab_param *p = &t->params[op][kind];
    return gradients ? p->gradient : p->value;
}

static void list_op(const fab_trainer *t, int i, const char *name, bool gradients, tensor_list *l)
{
    const fab_net_op *op = &t->net->ops[i];
    char inner[FAB_MAX_NAME_BYTES - 16];
    snprintf(inner, sizeof inner, "%s%s", name, op->kind == FAB_OP_CONV ? ".conv" : "");
    add_kernel(l, op, inner, param_of(t, i, FAB_PARAM_WEIGHTS, gradients));
    if (t->net->config.conv_bias || op->kind == FAB_OP_HEAD)
        add_vector(l, inner, "bias", op->outputs, param_of(t, i, FAB_PARAM_BIAS, gradients));
    if (op->kind != FAB_OP_CONV) return;
    snprintf(inner, sizeof inner, "%s.norm", name);
    add_vector(l, inner, "weight", op->outputs, param_of(t, i, FAB_PARAM_GAMMA, gradients));
    add_vector(l, inner, "bias", op->outputs, param_of(t, i, FAB_PARAM_BETA, gradients));
}

/* Once to count, once to fill. The order of operations is the builder's (net.c). */
static void list_all(const fab_trainer *t, bool gradients, tensor_list *l)
{
    char name[FAB_MAX_NAME_BYTES - 32]; /* room for what is put behind it */
    const fab_net *net = t->net;
    int stage = -1, decoder = -1, index = 0;
    l->count = l->used = 0;
    for (int i = 0; i < net->op_count; i++) {
        const fab_net_op *op = &net->ops[i];
        if (op->kind == FAB_OP_UP) {
            snprintf(name, sizeof name, "decoder.transpconvs.%d", ++decoder);
            index = 0;
        } else if (op->kind == FAB_OP_HEAD) {
            snprintf(name, sizeof name, "decoder.seg_layers.%d", net->config.stage_count - 2);
        } else if (decoder >= 0) {
            snprintf(name, sizeof name, "decoder.stages.%d.convs.%d", decoder, index++);
        } else {
            if (op->level != stage) index = 0;
            stage = op->level;
            snprintf(name, sizeof name, "encoder.stages.%d.0.convs.%d", stage, index++);
        }
        list_op(t, i, name, gradients, l);
    }
}

fab_status fab_trainer_export(const fab_trainer *t, bool gradients, fab_tensors **out,
                              fab_error *err)
{
    FAB_AUTO_FREE tensor_list *l = fab_calloc(1, sizeof *l);
    if (!l) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network's tensors");
    list_all(t, gradients, l);
    float *values = l->values = fab_alloc_array(l->used, sizeof *values);
    if (!values) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network's tensors");
    const size_t count = l->used;
    list_all(t, gradients, l);
    const fab_status status = fab_tensors_make(gradients ? "gradients" : "weights", l->items,
                                               l->count, &values, count, out, err);
    fab_free(values);
    return status;
}
