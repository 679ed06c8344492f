/* fabrica/nn.h - layer 1: networks on the CPU. Knows tensors and weights, no medicine. */
#ifndef FABRICA_NN_H
#define FABRICA_NN_H

#include "fabrica/base.h"
#include "fabrica/json.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- instruction sets ------------------------------------------------------------------- */
typedef enum fab_isa { FAB_ISA_SCALAR, FAB_ISA_AVX2, FAB_ISA_AVX512 } fab_isa;
/* Best one that really executes here (probed once by running it under a SIGILL guard). */
fab_isa fab_nn_isa_best(void);
const char *fab_nn_isa_name(fab_isa isa);

/* ---- weights (safetensors) -------------------------------------------------------------- */
typedef struct fab_tensors fab_tensors;
/* Parses and bounds-checks everything; F32/F16/BF16 become F32. */
fab_status fab_tensors_read_safetensors(const fab_reader *r, fab_tensors **out, fab_error *err);
fab_tensors *fab_tensors_free(fab_tensors *t);
FAB_DEFINE_AUTO(fab_tensors, fab_tensors_free)
/* Borrowed pointer; FAB_ERR_NOTFOUND / FAB_ERR_FORMAT naming the tensor if missing or another shape. */
fab_status fab_tensors_get(const fab_tensors *t, const char *name, const int64_t *shape, int rank,
                           const float **out, fab_error *err);

/* ---- U-Net of nnU-Net's kind ------------------------------------------------------------ */
#define FAB_UNET_MAX_STAGES 8
#define FAB_UNET_MAX_CLASSES 512
typedef struct fab_unet_stage { int features, kernel[3], stride[3], convs; } fab_unet_stage;
typedef struct fab_unet_config {
    int input_channels, classes, stage_count;
    fab_unet_stage stages[FAB_UNET_MAX_STAGES];
    int decoder_convs[FAB_UNET_MAX_STAGES];
    double norm_eps, slope;
} fab_unet_config;
fab_status fab_unet_config_from_json(const fab_json *architecture, fab_unet_config *out,
                                     fab_error *err);

typedef struct fab_net fab_net; /* immutable once built; shared by threads */
fab_status fab_net_create_unet(const fab_unet_config *c, const fab_tensors *weights, fab_isa isa,
                               fab_net **out, fab_error *err);
fab_net *fab_net_free(fab_net *net);
FAB_DEFINE_AUTO(fab_net, fab_net_free)
/* Bytes of scratch a patch needs. */
size_t fab_net_workspace_bytes(const fab_net *net, const int patch[3]);
/* input: channels x D x H x W, logits: classes x D x H x W, fp32, caller's memory. patch must be
 * divisible by the strides' product. Uses all threads. */
fab_status fab_net_run(const fab_net *net, const int patch[3], const float *input, float *logits,
                       void *workspace, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
