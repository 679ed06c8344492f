/* train_loss.c - cross-entropy and soft Dice, and what they say to the logits.
 *
 * With p the softmax, y the labels, w the class weights and K the classes present:
 *     CE = sum_v w[y_v] -log p_v[y_v] / sum_v w[y_v]
 *     Dice = mean over K of D_k = (2 I_k + 1) / (P_k + Y_k + 1), I_k = sum p_k [y = k],
 *     P_k = sum p_k, Y_k = sum [y = k]
 *     d(CE + 1 - Dice)/dlogit_k = w[y] (p_k - [y = k]) / sum w + p_k (q_k - sum p_j q_j),
 *     q_k = (2 I_k + 1 - 2 [y = k] (P_k + Y_k + 1)) / ((P_k + Y_k + 1)^2 |K|) for k in K, else 0.
 */
#include <math.h>
#include <string.h>

#include "train_internal.h"

#define LEAST_VOXELS 8 /* of a class whose Dice counts: more */
#define CHUNK 64       /* voxels at a time, in the first-level cache */
#define PADDED (FAB_UNET_MAX_CLASSES + FAB_NN_BLOCK)

typedef struct loss_run {
    const fab_trainer *t;
    const uint16_t *labels;
    const float *weights;
    float *logits; /* [block][D][H][W][16], then p, then the gradient */
    int classes, blocks;
    int64_t plane, voxels;
    double scale, weight;
    float hit[PADDED], miss[PADDED]; /* q_k with y = k, and without */
} loss_run;

/* Voxels of one plane, one after the other. */
typedef struct chunk {
    int64_t first;
    int count;
    float own[CHUNK], log_sum[CHUNK]; /* own: the label's logit less the largest */
} chunk;

/* A plane's sums: CE, weight, then I, P and Y of each class. */
static double *plane_sums(const loss_run *r, int64_t plane)
{
    return r->t->sums + plane * (2 + 3 * (int64_t)r->classes);
}

static float *block_of(const loss_run *r, int64_t voxel, int block)
{
    return r->logits + (block * r->voxels + voxel) * FAB_NN_BLOCK;
}

static float *value_of(const loss_run *r, int64_t voxel, int k)
{
    return block_of(r, voxel, k / FAB_NN_BLOCK) + k % FAB_NN_BLOCK;
}

/* Logits less the largest; padding far below. */
static void subtract_largest(const loss_run *r, chunk *c)
{
    for (int i = 0; i < c->count; i++) {
        const int label = r->labels[c->first + i];
        float most[FAB_NN_BLOCK], largest;
        for (int k = r->classes; k < r->blocks * FAB_NN_BLOCK; k++)
            *value_of(r, c->first + i, k) = -1e30f;
        memcpy(most, block_of(r, c->first + i, 0), sizeof most);
        for (int b = 1; b < r->blocks; b++) {
            const float *v = block_of(r, c->first + i, b);
            for (int k = 0; k < FAB_NN_BLOCK; k++) most[k] = v[k] > most[k] ? v[k] : most[k];
        }
        largest = most[0];
        for (int k = 1; k < FAB_NN_BLOCK; k++) largest = most[k] > largest ? most[k] : largest;
        for (int b = 0; b < r->blocks; b++) {
            float *v = block_of(r, c->first + i, b);
            for (int k = 0; k < FAB_NN_BLOCK; k++) v[k] -= largest;
        }
        c->own[i] = label < r->classes ? *value_of(r, c->first + i, label) : 0.0f;
    }
}

/* To probabilities: exp(x) = ELU(x) + 1 for x <= 0. */
static void exponentiate(const loss_run *r, chunk *c)
{
    static const float one[FAB_NN_BLOCK] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const float zero[FAB_NN_BLOCK];
    for (int b = 0; b < r->blocks; b++) {
        float *v = block_of(r, c->first, b);
        r->t->net->kernels->elu(&(fab_norm_row){v, v, one, zero, 1.0f, c->count});
    }
    for (int i = 0; i < c->count; i++) {
        float sums[FAB_NN_BLOCK] = {0}, sum = 0;
        for (int b = 0; b < r->blocks; b++) {
            float *v = block_of(r, c->first + i, b);
            for (int k = 0; k < FAB_NN_BLOCK; k++) sums[k] += v[k] += 1.0f;
        }
        for (int k = 0; k < FAB_NN_BLOCK; k++) sum += sums[k];
        c->log_sum[i] = logf(sum);
        for (int b = 0; b < r->blocks; b++) {
            float *v = block_of(r, c->first + i, b);
            for (int k = 0; k < FAB_NN_BLOCK; k++) v[k] *= 1.0f / sum;
        }
    }
}

static void add_sums(const loss_run *r, const chunk *c, double *sums)
{
    double *inter = sums + 2, *all = inter + r->classes, *count = all + r->classes;
    float p[PADDED] = {0};
    for (int i = 0; i < c->count; i++) {
        const int label = r->labels[c->first + i];
        if (label == FAB_TRAIN_IGNORE) continue;
        const double w = r->weights ? (double)r->weights[label] : 1.0;
        sums[0] -= w * (double)(c->own[i] - c->log_sum[i]);
        sums[1] += w;
        inter[label] += (double)*value_of(r, c->first + i, label);
        count[label]++;
        for (int b = 0; b < r->blocks; b++) {
            const float *v = block_of(r, c->first + i, b);
            for (int k = 0; k < FAB_NN_BLOCK; k++) p[b * FAB_NN_BLOCK + k] += v[k];
        }
    }
    for (int k = 0; k < r->classes; k++) all[k] += (double)p[k];
}

static void softmax_task(void *ctx, int64_t index, int worker)
{
    const loss_run *r = ctx;
    double *sums = plane_sums(r, index);
    chunk c;
    (void)worker;
    for (int64_t i = 0; i < 2 + 3 * (int64_t)r->classes; i++) sums[i] = 0;
    for (int64_t v = 0; v < r->plane; v += CHUNK) {
        c.first = index * r->plane + v;
        c.count = r->plane - v < CHUNK ? (int)(r->plane - v) : CHUNK;
        subtract_largest(r, &c);
        exponentiate(r, &c);
        add_sums(r, &c, sums);
    }
}

static void gradient_of(const loss_run *r, int64_t voxel, int label)
{
    const double weight = (r->weights ? (double)r->weights[label] : 1.0) / r->weight;
    const float w = (float)weight, own = *value_of(r, voxel, label);
    float sums[FAB_NN_BLOCK] = {0}, mean = own * (r->hit[label] - r->miss[label]);
    for (int b = 0; b < r->blocks; b++) {
        const float *v = block_of(r, voxel, b), *q = r->miss + b * FAB_NN_BLOCK;
        for (int k = 0; k < FAB_NN_BLOCK; k++) sums[k] += v[k] * q[k];
    }
    for (int k = 0; k < FAB_NN_BLOCK; k++) mean += sums[k];
    for (int b = 0; b < r->blocks; b++) {
        float *v = block_of(r, voxel, b);
        const float *q = r->miss + b * FAB_NN_BLOCK;
        for (int k = 0; k < FAB_NN_BLOCK; k++) v[k] *= (float)r->scale * (w + q[k] - mean);
    }
    *value_of(r, voxel, label) =
        (float)r->scale * (w * (own - 1) + own * (r->hit[label] - mean));
}

static void gradient_task(void *ctx, int64_t index, int worker)
{
    const loss_run *r = ctx;
    (void)worker;
    for (int64_t v = index * r->plane; v < (index + 1) * r->plane; v++)
        if (r->labels[v] != FAB_TRAIN_IGNORE) gradient_of(r, v, r->labels[v]);
        else
            for (int b = 0; b < r->blocks; b++)
                memset(block_of(r, v, b), 0, FAB_NN_BLOCK * sizeof(float));
}

static void finish(loss_run *r, const double *sums, fab_train_loss *out)
{
    const double *inter = sums + 2, *all = inter + r->classes, *count = all + r->classes;
    int present = 0;
    double dice = 0;
    r->weight = sums[1] > 0 ? sums[1] : 1;
    for (int k = 1; k < r->classes; k++) present += count[k] > LEAST_VOXELS;
    for (int k = 1; k < r->classes; k++) {
        const double below = all[k] + count[k] + 1, above = 2 * inter[k] + 1;
        if (count[k] <= LEAST_VOXELS) continue;
        dice += above / below / present;
        r->hit[k] = (float)(-(2 * below - above) / (below * below) / present);
        r->miss[k] = (float)(above / (below * below) / present);
    }
    *out = (fab_train_loss){sums[0] / r->weight, present ? dice : 1};
}

size_t fab_train_loss_sums(const fab_trainer *t)
{
    return (size_t)t->session->plan.size[0][0] * (2 + 3 * (size_t)t->net->config.classes);
}

void fab_train_logits(fab_trainer *t, const uint16_t *labels, const float *class_weights,
                    double scale, fab_train_loss *out)
{
    const int *size = t->session->plan.size[0];
    loss_run r = {.t = t, .labels = labels, .weights = class_weights,
                  .logits = fab_train_gradient(t, t->net->op_count),
                  .classes = t->net->config.classes,
                  .blocks = fab_nn_blocks(t->net->config.classes),
                  .plane = (int64_t)size[1] * size[2], .voxels = fab_nn_volume(size),
                  .scale = scale};
    fab_parallel_for(size[0], softmax_task, &r);
    double *sums = plane_sums(&r, 0);
    for (int z = 1; z < size[0]; z++)
        for (int i = 0; i < 2 + 3 * r.classes; i++) sums[i] += plane_sums(&r, z)[i];
    finish(&r, sums, out);
    fab_parallel_for(size[0], gradient_task, &r);
}
