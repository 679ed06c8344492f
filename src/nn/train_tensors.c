/* train_tensors.c - a trainer's weights, gradients and moments as named tensors, and back. */
#include <stdio.h>
#include <string.h>

#include "train_internal.h"

/* Every tensor in the order of operations; values either go out to `values` or come in from a set.
 * Without values and set: only counted. */
typedef struct tensor_list {
    fab_tensor items[FAB_NN_MAX_OPS * 4];
    char names[FAB_NN_MAX_OPS * 4][FAB_MAX_NAME_BYTES];
    size_t count, used;
    float *values;
    fab_trainer_part part;
    const fab_tensors *from;
    fab_status status;
    fab_error *err;
} tensor_list;

static fab_tensor *add_tensor(tensor_list *l, const char *name, const char *leaf, int rank,
                              const int64_t *shape)
{
    fab_tensor *item = &l->items[l->count];
    size_t n = 1;
    snprintf(l->names[l->count], sizeof l->names[0], "%s.%s", name, leaf);
    *item = (fab_tensor){.name = l->names[l->count], .rank = rank,
                         .values = l->values ? l->values + l->used : NULL};
    for (int i = 0; i < rank; i++) {
        item->shape[i] = shape[i];
        n *= (size_t)shape[i];
    }
    l->count++;
    l->used += n;
    return item;
}

/* Values of the set that the tensor's come from; NULL if they go out, or are missing. */
static const float *incoming(tensor_list *l, const fab_tensor *item)
{
    const float *from = NULL;
    if (l->from && l->status == FAB_OK)
        l->status = fab_tensors_get(l->from, item->name, item->shape, item->rank, &from, l->err);
    return from;
}

static float *part_of(const fab_trainer *t, int op, fab_param_kind kind, fab_trainer_part part)
{
    const fab_param *p = &t->params[op][kind];
    float *const parts[] = {[FAB_TRAINER_WEIGHTS] = p->value, [FAB_TRAINER_AVERAGE] = p->average,
                            [FAB_TRAINER_GRADIENTS] = p->gradient, [FAB_TRAINER_FIRST] = p->first,
                            [FAB_TRAINER_SECOND] = p->second};
    return parts[part];
}

static void add_vector(tensor_list *l, const char *name, const char *leaf, int count,
                       float *packed)
{
    const fab_tensor *item = add_tensor(l, name, leaf, 1, (int64_t[]){count});
    const float *in = incoming(l, item);
    float *out = l->values ? l->values + l->used - count : NULL;
    for (int i = 0; out && i < count; i++) out[i] = packed ? packed[i] : 0.0f;
    for (int i = 0; in && packed && i < count; i++) packed[i] = in[i];
}

/* The packed values of an operation's kernel as [out][in][tap], or [in][out][tap] of UP. */
static void add_kernel(tensor_list *l, const fab_net_op *op, const char *name, float *packed)
{
    const int inputs = fab_nn_inputs(op), *k = op->kernel;
    const int taps = k[0] * k[1] * k[2];
    const bool up = op->kind == FAB_OP_UP;
    const int64_t shape[5] = {up ? inputs : op->outputs, up ? op->outputs : inputs, k[0], k[1],
                              k[2]};
    const int64_t n = (int64_t)inputs * op->outputs * taps;
    const fab_tensor *item = add_tensor(l, name, "weight", 5, shape);
    const float *in = incoming(l, item);
    float *out = l->values ? l->values + l->used - n : NULL;
    for (int64_t i = 0; (in || out) && i < n; i++) {
        const int tap = (int)(i % taps), second = (int)(i / taps % shape[1]);
        const int first = (int)(i / taps / shape[1]), o = up ? second : first;
        int c = up ? first : second, block = 0;
        while (c >= op->channels[block]) c -= op->channels[block++];
        const int inner = up ? 1 : taps, ob = o / FAB_NN_BLOCK;
        const ptrdiff_t row = (ptrdiff_t)fab_nn_channels_before(op, block) * inner +
                              (up ? 0 : tap * op->channels[block]) + c;
        float *at = packed + (up ? tap * op->out_blocks + ob : ob) * op->weights_stride +
                    row * FAB_NN_BLOCK + o % FAB_NN_BLOCK;
        if (out) out[i] = *at;
        if (in) *at = in[i];
    }
}

static void list_op(const fab_trainer *t, int i, const char *name, tensor_list *l)
{
    const fab_net_op *op = &t->net->ops[i];
    char inner[FAB_MAX_NAME_BYTES - 16];
    snprintf(inner, sizeof inner, "%s%s", name, op->kind == FAB_OP_CONV ? ".conv" : "");
    add_kernel(l, op, inner, part_of(t, i, FAB_PARAM_WEIGHTS, l->part));
    if (t->net->config.conv_bias || op->kind == FAB_OP_HEAD)
        add_vector(l, inner, "bias", op->outputs, part_of(t, i, FAB_PARAM_BIAS, l->part));
    if (op->kind != FAB_OP_CONV) return;
    snprintf(inner, sizeof inner, "%s.norm", name);
    add_vector(l, inner, "weight", op->outputs, part_of(t, i, FAB_PARAM_GAMMA, l->part));
    add_vector(l, inner, "bias", op->outputs, part_of(t, i, FAB_PARAM_BETA, l->part));
}

/* The order of operations is the builder's (net.c). */
static void list_all(const fab_trainer *t, tensor_list *l)
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
        list_op(t, i, name, l);
    }
}

fab_status fab_trainer_export(const fab_trainer *t, fab_trainer_part part, fab_tensors **out,
                              fab_error *err)
{
    static const char *const names[] = {"weights", "average", "gradients", "first moments",
                                        "second moments"};
    FAB_AUTO_FREE tensor_list *l = fab_calloc(1, sizeof *l);
    if (!l) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network's tensors");
    l->part = part;
    list_all(t, l);
    float *values = l->values = fab_alloc_array(l->used, sizeof *values);
    if (!values) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network's tensors");
    const size_t count = l->used;
    list_all(t, l);
    const fab_status status =
        fab_tensors_make(names[part], l->items, l->count, &values, count, out, err);
    fab_free(values);
    return status;
}

fab_status fab_trainer_import(fab_trainer *t, fab_trainer_part part, const fab_tensors *from,
                              fab_error *err)
{
    FAB_AUTO_FREE tensor_list *l = fab_calloc(1, sizeof *l);
    if (!l) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a network's tensors");
    l->part = part;
    l->from = from;
    l->err = err;
    list_all(t, l);
    return l->status;
}
