/* train_internal.h - what the files of training share. */
#ifndef FAB_NN_TRAIN_INTERNAL_H
#define FAB_NN_TRAIN_INTERNAL_H

#include "run_internal.h"

/* Parameters of an operation, in the engine's packed layout; padding stays zero. */
typedef enum fab_param_kind {
    FAB_PARAM_WEIGHTS,
    FAB_PARAM_BIAS,
    FAB_PARAM_GAMMA,
    FAB_PARAM_BETA,
    FAB_PARAM_KINDS
} fab_param_kind;

typedef struct fab_param {
    float *value; /* the net's own */
    float *gradient, *first, *second; /* first, second: AdamW's moments */
    float *average;                   /* of the values, decaying */
    size_t count;
} fab_param;

/* Gradients are [block][D][H][W][16] like the tensors they belong to. Those of a concatenation's
 * sources lie one behind the other. */
struct fab_trainer {
    fab_net *net;
    fab_net_session *session; /* keeps every tensor */
    fab_param params[FAB_NN_MAX_OPS][FAB_PARAM_KINDS];
    float *gradients;         /* of all tensors, then a spare one */
    size_t gradient_at[FAB_NN_MAX_OPS + 1]; /* of tensor i, floats */
    bool written[FAB_NN_MAX_OPS + 1];
    size_t spare, gradient_floats;
    float *flipped;           /* the running operation's weights for its input's gradient */
    float *lanes;             /* partial sums of a weight gradient */
    float *scratch;           /* of workers */
    size_t scratch_floats, flipped_floats, lanes_floats;
    int workers;
    double *sums;             /* partial sums of norms and of the loss */
    size_t sums_count;
    fab_net mirror;           /* two operations: a gradient, and the convolution that reads it */
    fab_net_session mirror_session;
    size_t bytes;
    int64_t steps;
};

#define FAB_TRAIN_LANES 8 /* partial sums of weight gradients: fixed, so are the results */

/* Sizes of an operation's sources and result; of a tensor's gradient, floats. */
static inline const fab_op_plan *fab_train_plan(const fab_trainer *t, int op)
{
    return &t->session->plan.ops[op];
}

static inline float *fab_train_gradient(const fab_trainer *t, int tensor)
{
    return t->gradients + t->gradient_at[tensor];
}

/* Gradient of operation `op`'s sources from that of its result, added where there is one already;
 * nothing for the network's input. */
void fab_train_input_gradient(fab_trainer *t, int op);
size_t fab_train_input_scratch(const fab_trainer *t, int op);  /* floats a worker */
size_t fab_train_flipped_floats(const fab_net_op *op);
/* Winograd's floats, and statistics', of the mirrored convolution: the session's are grown. */
bool fab_train_mirror_plan(const fab_trainer *t, int op, fab_op_plan *p);

/* Adds the gradient of operation `op`'s weights, and bias if it has one. */
void fab_train_weight_gradient(fab_trainer *t, int op);
size_t fab_train_weight_scratch(const fab_trainer *t, int op);
size_t fab_train_weight_lanes(const fab_trainer *t, int op); /* floats of all lanes */

/* Through leaky ReLU and instance norm, in place; adds the gradients of gamma and beta. */
void fab_train_norm_gradient(fab_trainer *t, int op);
/* to[i] += from[i] */
void fab_train_add(float *to, const float *from, int64_t count);

/* The logits that lie in the head's gradient become their gradient. */
void fab_train_logits(fab_trainer *t, const uint16_t *labels, const float *class_weights,
                    double scale, fab_train_loss *out);
size_t fab_train_loss_sums(const fab_trainer *t);

#endif
