/* train_loss.c - cross-entropy and soft Dice, and what they say to the logits.
 *
 * With p the softmax, y the labels, w the class weights and K the classes present:
 *     CE = sum_v w[y_v] -log p_v[y_v] / sum_v w[y_v]
 *     Dice = mean over K of D_k = (2 I_k + 1) / (P_k + Y_k + 1), I_k = sum p_k [y = k], P_k = sum p_k
 *     d(CE + 1 - Dice)/dlogit_k = w[y] (p_k - [y = k]) / sum w + p_k (q_k - sum_j p_j q_j),
 *     q_k = -(2 [y = k] (P_k + Y_k + 1) - (2 I_k + 1)) / ((P_k + Y_k + 1)^2 |K|) for k in K, else 0.
 */
#include <math.h>

#include "train_internal.h"

#define LEAST_VOXELS 8 /* of a class whose Dice counts: more */

typedef struct loss_run {
    const fab_trainer *t;
    const uint16_t *labels;
    const float *weights;
    float *logits; /* [block][D][H][W][16], then p, then the gradient */
    int classes, planes;
    int64_t plane, voxels;
    double scale, weight;
    double hit[FAB_UNET_MAX_CLASSES], miss[FAB_UNET_MAX_CLASSES]; /* q_k with y = k, and without */
} loss_run;

/* A plane's sums: CE, weight, then I, P and Y of each class. */
static double *plane_sums(const loss_run *r, int64_t plane)
{
    return r->t->sums + plane * (2 + 3 * (int64_t)r->classes);
}

static float *value_of(const loss_run *r, int64_t voxel, int k)
{
    return r->logits + (k / FAB_NN_BLOCK * r->voxels + voxel) * FAB_NN_BLOCK + k % FAB_NN_BLOCK;
}

/* Logits to probabilities; returns log p of the label. */
static double softmax(const loss_run *r, int64_t voxel, int label)
{
    float most = *value_of(r, voxel, 0);
    double sum = 0;
    for (int k = 1; k < r->classes; k++) most = fmaxf(most, *value_of(r, voxel, k));
    const double own = label < r->classes ? (double)(*value_of(r, voxel, label) - most) : 0;
    for (int k = 0; k < r->classes; k++) {
        float *v = value_of(r, voxel, k);
        *v = expf(*v - most);
        sum += (double)*v;
    }
    const float factor = (float)(1 / sum);
    for (int k = 0; k < r->classes; k++) *value_of(r, voxel, k) *= factor;
    return own - log(sum);
}

static void softmax_task(void *ctx, int64_t index, int worker)
{
    const loss_run *r = ctx;
    double *sums = plane_sums(r, index), *inter = sums + 2, *all = inter + r->classes;
    double *count = all + r->classes;
    (void)worker;
    for (int64_t i = 0; i < 2 + 3 * (int64_t)r->classes; i++) sums[i] = 0;
    for (int64_t v = index * r->plane; v < (index + 1) * r->plane; v++) {
        const int label = r->labels[v];
        const double log_p = softmax(r, v, label);
        if (label == FAB_TRAIN_IGNORE) continue;
        const double w = r->weights ? (double)r->weights[label] : 1.0;
        sums[0] -= w * log_p;
        sums[1] += w;
        inter[label] += (double)*value_of(r, v, label);
        count[label]++;
        for (int k = 0; k < r->classes; k++) all[k] += (double)*value_of(r, v, k);
    }
}

static void gradient_task(void *ctx, int64_t index, int worker)
{
    const loss_run *r = ctx;
    (void)worker;
    for (int64_t v = index * r->plane; v < (index + 1) * r->plane; v++) {
        const int label = r->labels[v];
        const bool ignored = label == FAB_TRAIN_IGNORE;
        double mean = 0;
        const double w = ignored ? 0 : (r->weights ? (double)r->weights[label] : 1) / r->weight;
        for (int k = 0; k < r->classes && !ignored; k++)
            mean += (double)*value_of(r, v, k) * (k == label ? r->hit[k] : r->miss[k]);
        for (int k = 0; k < r->classes; k++) {
            float *at = value_of(r, v, k);
            const double p = (double)*at, q = k == label ? r->hit[k] : r->miss[k];
            *at = ignored ? 0
                          : (float)(r->scale * (w * (p - (k == label)) + p * (q - mean)));
        }
    }
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
        r->hit[k] = -(2 * below - above) / (below * below) / present;
        r->miss[k] = above / (below * below) / present;
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
                  .classes = t->net->config.classes, .planes = size[0],
                  .plane = (int64_t)size[1] * size[2], .voxels = fab_train_volume(size),
                  .scale = scale};
    fab_parallel_for(size[0], softmax_task, &r);
    double *sums = plane_sums(&r, 0);
    for (int z = 1; z < size[0]; z++)
        for (int i = 0; i < 2 + 3 * r.classes; i++) sums[i] += plane_sums(&r, z)[i];
    finish(&r, sums, out);
    fab_parallel_for(size[0], gradient_task, &r);
}
