/* run_internal.h - an operation being run over a patch: what load.c and run.c share. */
#ifndef FAB_NN_RUN_INTERNAL_H
#define FAB_NN_RUN_INTERNAL_H

#include "nn_internal.h"

typedef struct fab_run_op {
    fab_net_session *s;
    const fab_net_op *op;
    const fab_op_plan *p;
    int index;
} fab_run_op;

typedef struct fab_task {
    int tile;            /* of all tiles */
    int at[3], size[3];  /* outputs (UP: inputs) along z, y, x */
    int halo[3];         /* input voxels needed */
    int from[3];         /* first input voxel, may be negative */
    int group;
    float *scratch;
} fab_task;

/* Value `at` of the arena, and of a tensor that an operation has made. */
static inline void *fab_nn_arena_at(const fab_net_session *s, size_t at)
{
    return (char *)s->arena + at * fab_nn_tensor_bytes(s->net->kernels);
}

static inline void *fab_nn_tensor_at(const fab_net_session *s, int tensor, ptrdiff_t at)
{
    return fab_nn_arena_at(s, s->plan.ops[tensor - 1].out_offset + (size_t)at);
}

/* Value `at` of a task's scratch. */
static inline void *fab_nn_scratch_at(const fab_run_op *r, const fab_task *t, ptrdiff_t at)
{
    return (char *)t->scratch + at * (ptrdiff_t)fab_nn_scratch_bytes(r->s->net->kernels);
}

/* The task's input voxels into its scratch, zero outside the volume; normalised where the tensor
 * is a convolution's raw sums. */
void fab_nn_load_tile(const fab_run_op *r, const fab_task *t);
/* A session as fab_net_session_create's, in which every tensor stays after a run. */
fab_status fab_nn_session_create_kept(const fab_net *net, const int patch[3],
                                      fab_net_session **out, fab_error *err);
/* Task `index` of an operation, in the scratch of `worker`. */
fab_task fab_nn_task_of(const fab_run_op *r, int64_t index, int worker);
/* One operation, all its tasks. */
void fab_nn_run_op(fab_net_session *s, int op);
/* `count` voxels of one output block into the running statistics of their tile. */
void fab_nn_add_row_stats(const fab_net_session *s, const float *row, int count,
                          fab_tile_stats *into);

/* ---- winograd.c ----------------------------------------------------------------------------- */

/* Makes the plan of a convolution that is better done so; false for the others. `rows`: sums go
 * to tensors by way of rows in scratch. `small`: tiles of 2x2x2 outputs only. */
bool fab_winograd_plan(const fab_net_op *op, const int size[3], bool rows, bool small,
                       fab_op_plan *p);
size_t fab_winograd_weights(const fab_net_op *op, const fab_op_plan *p); /* floats */
/* Tasks of fab_parallel_for, one an input block of an output block: the weights' transform. */
void fab_winograd_weights_task(void *ctx, int64_t index, int worker);
void fab_winograd_task(const fab_run_op *r, const fab_task *t);
/* The weights' gradient the same way, for training: a plan of whole columns, or false; a lane's
 * floats; a tile into a lane from the result's gradient; the lanes' sum into the gradient of one
 * output and one input block. */
bool fab_winograd_gradient_plan(const fab_net_op *op, const fab_op_plan *forward, fab_op_plan *p);
size_t fab_winograd_gradient_floats(const fab_net_op *op);
void fab_winograd_gradient_task(const fab_run_op *r, const fab_task *t, const float *result,
                                float *lane);
void fab_winograd_gradient_finish(const fab_net_op *op, int ob, int block, const float *lane,
                                  float *gradient);
/* The task's loading alone, for the profile. */
void fab_winograd_load(const fab_run_op *r, const fab_task *t);

#endif
