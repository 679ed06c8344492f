/* plan.c - where tensors lie and how each operation is cut into tasks, for one patch shape.
 *
 * Nothing here depends on the number of threads, so neither do results. Tensors share one arena:
 * each is placed at the lowest offset that does not meet a tensor alive at the same time.
 */
#include <string.h>

#include "run_internal.h"

/* Floats of scratch a task should stay below: half of a 1 MiB second-level cache, the weights of
 * an output block need the rest. */
#define SCRATCH_TARGET (160 * 1024)
#define TILE_X_MAX 64
#define TASKS_WANTED 48

static void set_halo(const fab_net_op *op, fab_op_plan *p)
{
    for (int a = 0; a < 3; a++) {
        p->reach[a] = op->kind == FAB_OP_CONV ? (p->tile[a] - 1) * op->stride[a] + op->kernel[a]
                                              : p->tile[a];
        p->halo[a] = op->lowered ? p->tile[a] : p->reach[a];
    }
}

static size_t floats_of(const fab_nn_kernels *k, size_t values)
{
    const size_t bytes = values * fab_nn_scratch_bytes(k);
    return (bytes + 63) / 64 * (64 / sizeof(float));
}

/* Floats of scratch for the records, and behind them for what else the kernels need. */
static size_t scratch_of(const fab_nn_kernels *k, const fab_net_op *op, fab_op_plan *p)
{
    const int planes = k->planes ? k->planes : 1;
    size_t values = (size_t)fab_nn_volume(p->halo) * (size_t)(p->pitch * op->groups * planes);
    if (!k->store && op->kind != FAB_OP_HEAD) return values;
    if (k->planes) values += FAB_NN_ROW_VOXELS * (size_t)(p->pitch * p->step[2]);
    p->planar = floats_of(k, values);
    p->row = p->planar;
    if (op->lowered) /* and what the last gathering of a row reads too much */
        p->row += floats_of(k, (size_t)fab_nn_volume(p->reach) *
                                   (size_t)(fab_nn_inputs(op) * planes) + 4);
    const int blocks = op->kind == FAB_OP_HEAD ? op->out_blocks : 2;
    const int room = k->store ? FAB_NN_ROW_VOXELS : 1;
    return p->row + (size_t)(fab_nn_ceil_div(p->tile[2], room) * room) * (size_t)blocks *
                        FAB_NN_BLOCK;
}

/* The tile with the least input read per output among those that fit the scratch target and
 * leave enough tasks. */
static void choose_tile(const fab_nn_kernels *k, const fab_net_op *op, const int size[3],
                        fab_op_plan *p)
{
    double best = 1e300;
    fab_op_plan chosen = *p, t = *p;
    t.tile[2] = fab_nn_ceil_div(size[2], fab_nn_ceil_div(size[2], TILE_X_MAX));
    for (int z = 1; z <= 8; z *= 2)
        for (int y = 1; y <= 16; y *= 2) {
            t.tile[0] = fab_nn_least(z, size[0]);
            t.tile[1] = fab_nn_least(y, size[1]);
            set_halo(op, &t);
            const double cost = (double)fab_nn_volume(t.reach) / (double)fab_nn_volume(t.tile);
            const int64_t tasks = (int64_t)fab_nn_ceil_div(size[0], t.tile[0]) *
                                  fab_nn_ceil_div(size[1], t.tile[1]) *
                                  fab_nn_ceil_div(size[2], t.tile[2]);
            const bool fits = scratch_of(k, op, &t) <= SCRATCH_TARGET && tasks >= TASKS_WANTED;
            if ((z == 1 && y == 1) || (fits && cost < best)) {
                best = z == 1 && y == 1 && !fits ? 1e299 : cost;
                chosen = t;
            }
        }
    *p = chosen;
}

/* Sums and means go plane by plane of each channel block. */
static void plan_planes(const fab_net_op *op, const int size[3], fab_op_plan *p)
{
    for (int a = 0; a < 3; a++) {
        p->tile[a] = a ? size[a] : 1;
        p->tiles[a] = a ? 1 : size[a];
    }
    p->group = 1;
    p->groups = op->out_blocks;
}

static void set_taps(const fab_net_op *op, fab_op_plan *p)
{
    int n = 0;
    p->taps = op->lowered ? 1 : op->taps;
    if (op->lowered) return;
    for (int z = 0; z < op->kernel[0] && op->kind == FAB_OP_CONV; z++)
        for (int y = 0; y < op->kernel[1]; y++)
            for (int x = 0; x < op->kernel[2]; x++)
                p->tap[n++] = ((z * p->halo[1] + y) * p->halo[2] + x) * p->pitch;
}

static void plan_tasks(const fab_nn_kernels *k, const fab_net_op *op, const int size[3],
                       fab_op_plan *p)
{
    if (!k->planes && fab_winograd_plan(op, size, k->store, false, p)) return;
    p->pitch = op->source[0] == 0 && !op->lowered ? op->channels[0] : fab_nn_group(k);
    for (int a = 0; a < 3; a++)
        p->step[a] = op->kind == FAB_OP_CONV && !op->lowered ? op->stride[a] : 1;
    choose_tile(k, op, size, p);
    for (int a = 0; a < 3; a++) p->tiles[a] = fab_nn_ceil_div(size[a], p->tile[a]);
    const int64_t tiles = fab_nn_volume(p->tiles);
    p->groups = 1;
    if (op->kind == FAB_OP_CONV && tiles < TASKS_WANTED)
        p->groups = fab_nn_least(fab_nn_ceil_div(TASKS_WANTED, (int)tiles),
                                 fab_nn_ceil_div(op->out_blocks, 2));
    p->group = fab_nn_ceil_div(op->out_blocks, p->groups);
    p->group += p->group > 1 && p->group % 2; /* whole pairs */
    p->groups = fab_nn_ceil_div(op->out_blocks, p->group);
    p->scratch = scratch_of(k, op, p);
    set_taps(op, p);
}

/* Index of the last operation that reads what operation i makes. */
static int last_use(const fab_net *net, int i)
{
    int last = i;
    for (int j = i + 1; j < net->op_count; j++)
        for (int s = 0; s < net->ops[j].sources; s++)
            if (net->ops[j].source[s] == i + 1) last = j;
    return last;
}

static size_t tensor_values(const fab_net *net, const fab_net_plan *plan, int i)
{
    if (net->ops[i].kind == FAB_OP_HEAD) return 0; /* its rows go to the sink */
    return (size_t)fab_nn_volume(plan->size[net->ops[i].level]) * (size_t)net->ops[i].out_blocks *
           FAB_NN_BLOCK;
}

/* Lowest offset where tensor i does not overlap one placed before it and alive with it. A sum
 * takes the place of its first term, which nothing else reads. */
static size_t place(const fab_net *net, const fab_net_plan *plan, int i, bool keep)
{
    size_t at = 0;
    if (net->ops[i].kind == FAB_OP_ADD) return plan->ops[net->ops[i].source[0] - 1].out_offset;
    const size_t need = tensor_values(net, plan, i);
    for (bool moved = true; moved;) {
        moved = false;
        for (int j = 0; j < i; j++) {
            const size_t begin = plan->ops[j].out_offset;
            const size_t end = begin + tensor_values(net, plan, j);
            if ((keep || last_use(net, j) >= i) && at < end && begin < at + need) {
                at = end;
                moved = true;
            }
        }
    }
    return at;
}

static fab_status plan_sizes(const fab_net *net, const int patch[3], fab_net_plan *p,
                             fab_error *err)
{
    int divisor[3];
    fab_unet_config_divisor(&net->config, divisor);
    for (int a = 0; a < 3; a++) {
        if (patch[a] < 1 || patch[a] > FAB_MAX_DIM || patch[a] % divisor[a] != 0)
            FAB_FAIL(err, FAB_ERR_ARG,
                     "patch size %d on axis %d (z, y, x) is not a multiple of the network's %d",
                     patch[a], a, divisor[a]);
        p->size[0][a] = patch[a];
        for (int s = 1; s < net->config.stage_count; s++)
            p->size[s][a] = p->size[s - 1][a] / net->config.stages[s].stride[a];
    }
    if (fab_nn_volume(patch) > FAB_MAX_PATCH_VOXELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a patch of %d x %d x %d voxels is above the limit of %lld",
                 patch[0], patch[1], patch[2], (long long)FAB_MAX_PATCH_VOXELS);
    return FAB_OK;
}

fab_status fab_net_plan_make(const fab_net *net, const int patch[3], bool keep, fab_net_plan *out,
                             fab_error *err)
{
    memset(out, 0, sizeof *out);
    FAB_TRY(plan_sizes(net, patch, out, err));
    for (int i = 0; i < net->op_count; i++) {
        const fab_net_op *op = &net->ops[i];
        fab_op_plan *p = &out->ops[i];
        memcpy(p->out_size, out->size[op->level], sizeof p->out_size);
        memcpy(p->in_size, out->size[fab_net_tensor_level(net, op->source[0])],
               sizeof p->in_size);
        if (op->kind == FAB_OP_POOL || op->kind == FAB_OP_ADD) plan_planes(op, p->out_size, p);
        else plan_tasks(net->kernels, op, op->kind == FAB_OP_UP ? p->in_size : p->out_size, p);
        p->out_offset = place(net, out, i, keep);
        const size_t end = p->out_offset + tensor_values(net, out, i);
        const size_t winograd = p->side ? fab_winograd_weights(op, p) : 0;
        const size_t partials = (size_t)fab_nn_volume(p->tiles) * (size_t)op->out_blocks;
        if (end > out->arena) out->arena = end;
        if (winograd > out->winograd) out->winograd = winograd;
        if (p->scratch > out->scratch) out->scratch = p->scratch;
        if (op->kind == FAB_OP_CONV && partials > out->partials) out->partials = partials;
    }
    if (out->arena > FAB_MAX_ALLOC_BYTES / fab_nn_tensor_bytes(net->kernels))
        FAB_FAIL(err, FAB_ERR_LIMIT, "the network's patch needs %zu values of memory", out->arena);
    return FAB_OK;
}
