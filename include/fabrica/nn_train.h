/* fabrica/nn_train.h - layer 1: training U-Nets of nnU-Net's kind on the CPU.
 *
 * The network is fabrica/nn.h's, its arithmetic fp32. Gradients are sums in one fixed order: the
 * same bits with every number of threads. Plain encoders only.
 */
#ifndef FABRICA_NN_TRAIN_H
#define FABRICA_NN_TRAIN_H

#include "fabrica/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAB_TRAIN_IGNORE 0xffffu /* a label that neither loss nor gradient sees */

typedef struct fab_trainer fab_trainer;
/* Takes its first weights from `weights` (names as nnU-Net writes them), for patches of one shape,
 * z, y, x, multiples of the network's divisor. Holds every activation and its gradient:
 * fab_trainer_bytes. Residual encoders: FAB_ERR_UNSUPPORTED. */
fab_status fab_trainer_create(const fab_unet_config *c, const fab_tensors *weights,
                              const int patch[3], fab_isa isa, fab_trainer **out, fab_error *err);
fab_trainer *fab_trainer_free(fab_trainer *t);
FAB_DEFINE_AUTO(fab_trainer, fab_trainer_free)
size_t fab_trainer_bytes(const fab_trainer *t);

typedef struct fab_train_loss {
    double cross_entropy; /* mean of -log p of the label, by the labels' weights */
    double dice;          /* mean soft Dice of the classes present; 1 if none is */
} fab_train_loss;

/* One patch forward and back; adds its gradient of cross_entropy + 1 - dice, times `scale`, to what
 * was added since the last update. input: channels x D x H x W. labels: D x H x W, below classes
 * or FAB_TRAIN_IGNORE. class_weights: of the cross-entropy, one a class, >= 0; NULL: all 1. Soft Dice
 * counts classes above 0 with more than 8 voxels: (2 sum p y + 1) / (sum p + sum y + 1). */
fab_status fab_trainer_gradient(fab_trainer *t, const float *input, const uint16_t *labels,
                                const float *class_weights, double scale, fab_train_loss *out,
                                fab_error *err);

/* AdamW (Loshchilov and Hutter 2019). */
typedef struct fab_adamw {
    double rate, beta1, beta2, eps, decay; /* decay: of weights only, not of bias, gamma, beta */
} fab_adamw;
/* One step with the gradients added up, which are zero afterwards. */
void fab_trainer_update(fab_trainer *t, const fab_adamw *o);

/* Weights as they are, or the gradients added up since the last update, under nnU-Net's names. A
 * convolution's bias is cancelled by its norm: 0. */
fab_status fab_trainer_export(const fab_trainer *t, bool gradients, fab_tensors **out,
                              fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
