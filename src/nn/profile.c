/* profile.c - where a network's time goes, operation by operation.
 *
 * Clocks are read before and after each operation, never inside its tasks, so a run costs a few
 * clock reads an operation more. What loading (with the norm and activation it applies) costs
 * cannot be seen that way: it is part of every task. With `loads` each operation's tiles are
 * loaded once more, alone, after the operation itself, and that is timed.
 */
#include <stdio.h>

#include "nn_internal.h"

static const char *const kinds[] = {
    [FAB_OP_CONV] = "conv", [FAB_OP_UP] = "up", [FAB_OP_HEAD] = "head", [FAB_OP_POOL] = "pool",
    [FAB_OP_ADD] = "add"};

/* Place, index and channel counts: "decoder 3.1 conv 3x3x3 512->256". */
static void name_op(const fab_net *net, int i, bool decoder, int index, fab_net_profile *row)
{
    const fab_net_op *op = &net->ops[i];
    const int *k = op->kernel, *s = op->stride, *d = op->dilation;
    char place[40], stride[40] = "", dilation[40] = "";
    int inputs = 0;
    for (int n = 0; n < op->sources; n++) inputs += fab_net_tensor_channels(net, op->source[n]);
    if (net->sequential) snprintf(place, sizeof place, "layer %d ", i);
    else if (op->kind == FAB_OP_HEAD) place[0] = '\0';
    else
        snprintf(place, sizeof place, "%s %d.%d ", decoder ? "decoder" : "encoder", op->level,
                 index);
    if (op->kind == FAB_OP_CONV && s[0] * s[1] * s[2] > 1)
        snprintf(stride, sizeof stride, " stride %dx%dx%d", s[0], s[1], s[2]);
    if (net->sequential && (d[0] > 1 || d[1] > 1 || d[2] > 1))
        snprintf(dilation, sizeof dilation, " dilation %dx%dx%d", d[0], d[1], d[2]);
    if (op->kind == FAB_OP_ADD)
        snprintf(row->name, sizeof row->name, "%sadd %d", place, op->outputs);
    else
        snprintf(row->name, sizeof row->name, "%s%s %dx%dx%d%s%s %d->%d", place, kinds[op->kind],
                 k[0], k[1], k[2], stride, dilation, inputs, op->outputs);
}

int fab_net_operations(const fab_net *net)
{
    return net->op_count;
}

void fab_net_session_profile(fab_net_session *s, fab_net_profile *rows, bool loads)
{
    const fab_net *net = s->net;
    bool decoder = false;
    int level = -1, index = 0;
    s->profile = rows;
    s->profile_loads = rows && loads && !net->sequential;
    for (int i = 0; rows && i < net->op_count; i++) {
        const fab_net_op *op = &net->ops[i];
        decoder = decoder || op->kind == FAB_OP_UP;
        if (op->level != level) index = 0;
        level = op->level;
        rows[i] = (fab_net_profile){.kind = kinds[op->kind], .level = level,
                                    .flop = fab_net_op_flop(net, i, s->plan.size[0])};
        rows[i].executed = rows[i].flop * fab_winograd_part(&s->plan.ops[i]);
        name_op(net, i, decoder, index++, &rows[i]);
    }
}

void fab_nn_profile_begin(const fab_net_session *s, fab_nn_clock *c)
{
    if (s->profile) *c = (fab_nn_clock){fab_time_wall_s(), fab_time_cpu_s()};
}

void fab_nn_profile_end(const fab_net_session *s, int op, const fab_nn_clock *c)
{
    if (!s->profile) return;
    s->profile[op].wall_s += fab_time_wall_s() - c->wall_s;
    s->profile[op].cpu_s += fab_time_cpu_s() - c->cpu_s;
}
