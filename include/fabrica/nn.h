/* fabrica/nn.h - layer 1: networks on the CPU. Knows tensors and weights, no medicine.
 *
 * Arithmetic is fp32 with fused multiply-add in one fixed order, so results are the same bits on
 * every instruction set and with every number of threads; or, on request, of bf16 products summed
 * in fp32, where results depend on the instruction set's order of sums but never on the number of
 * threads.
 */
#ifndef FABRICA_NN_H
#define FABRICA_NN_H

#include "fabrica/base.h"
#include "fabrica/json.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- instruction sets ------------------------------------------------------------------- */

/* How much a result may differ from fp32's. */
typedef enum fab_precision {
    FAB_PRECISION_FP32,  /* the same bits everywhere */
    FAB_PRECISION_BF16,  /* tensors of bf16: half the memory; about 1 % relative RMS in logits */
    FAB_PRECISION_EXACT, /* below 1e-4: three bf16 products for one where AMX runs, else fp32 */
    FAB_PRECISION_AUTO   /* what is best for most: fp32 for now (ADR 0085) */
} fab_precision;
#define FAB_PRECISION_COUNT 4
const char *fab_precision_name(fab_precision p);
/* "auto", "fp32", "bf16", "exact". */
fab_status fab_precision_from_name(const char *name, fab_precision *out, fab_error *err);

/* An instruction set and what is computed with it. */
typedef enum fab_isa {
    /* fp32 */
    FAB_ISA_SCALAR,   /* plain C with fmaf(): the reference */
    FAB_ISA_AVX2,     /* AVX2 + FMA, 8 floats */
    FAB_ISA_WIDE_EMU, /* the AVX-512 kernels with every vector as two AVX2 halves: for tests */
    FAB_ISA_AVX512,   /* AVX-512F, 16 floats */
    /* bf16: products of bf16, sums in fp32 */
    FAB_ISA_BF16_SCALAR,  /* the reference */
    FAB_ISA_BF16_AVX512,  /* AVX512_BF16: vdpbf16ps; the reference's bits */
    FAB_ISA_BF16_AMX_EMU, /* the AMX kernels over emulated tiles: for tests */
    FAB_ISA_BF16_AMX,     /* tdpbf16ps; its own order of sums */
    /* bf16 as tensors are kept, arithmetic in fp32: where there are no bf16 instructions */
    FAB_ISA_BF16_TENSORS_SCALAR, /* the reference */
    FAB_ISA_BF16_TENSORS_AVX2,
    FAB_ISA_BF16_TENSORS_AVX512,
    /* exact: tensors in fp32, values split into two bf16, three products for one */
    FAB_ISA_EXACT_SCALAR, /* the reference */
    FAB_ISA_EXACT_AVX512, /* the reference's bits; slower than fp32: for tests */
    FAB_ISA_EXACT_AMX_EMU,
    FAB_ISA_EXACT_AMX
} fab_isa;
#define FAB_ISA_COUNT 15

/* Whether the kernels of `isa` execute and give the reference's result here. Found out once by
 * running them under a SIGILL guard; CPUID is not asked (hypervisors get it wrong both ways). */
bool fab_nn_isa_runs(fab_isa isa);
/* The fastest that runs and meets `precision`: it need not be of that precision (EXACT, AUTO). */
fab_isa fab_nn_isa_best(fab_precision precision);
const char *fab_nn_isa_name(fab_isa isa);
fab_precision fab_nn_isa_precision(fab_isa isa); /* never AUTO */
/* Runs `iterations` rounds of independent multiply-adds of those kernels on the calling thread and
 * returns the floating point operations done (2 per multiply-add; three bf16 products count as one
 * where they make one): divided by the time it took, the peak that convolutions are held
 * against. */
double fab_nn_isa_peak_flop(fab_isa isa, int64_t iterations);

/* ---- weights ---------------------------------------------------------------------------- */

#define FAB_TENSOR_MAX_RANK 8

/* Named fp32 tensors; immutable. Several names may share values. */
typedef struct fab_tensors fab_tensors;
/* One of them; values in C order, shape[i] >= 1; rank 0 is a single value. */
typedef struct fab_tensor {
    const char *name;
    int rank;
    int64_t shape[FAB_TENSOR_MAX_RANK];
    const float *values;
} fab_tensor;
/* Named tensors from `count` items whose values all lie in the block values[0 .. value_count - 1]
 * (from fab_alloc_array) and may overlap. Items and names are copied; the block is taken over and
 * *values set to NULL on success only. `source` is the file's name in messages. A name twice or
 * empty, values outside the block or not finite: FAB_ERR_FORMAT; FAB_MAX_TENSORS: FAB_ERR_LIMIT. */
fab_status fab_tensors_make(const char *source, const fab_tensor *items, size_t count,
                            float **values, size_t value_count, fab_tensors **out,
                            fab_error *err);

/* How files hold values; all become fp32. */
typedef enum fab_tensor_dtype {
    FAB_TENSOR_F32,
    FAB_TENSOR_F16,
    FAB_TENSOR_BF16,
    FAB_TENSOR_F64 /* rounded to nearest; beyond fp32's range becomes infinite */
} fab_tensor_dtype;
size_t fab_tensor_dtype_bytes(fab_tensor_dtype dtype);
/* Little-endian values to fp32; `from` need not be aligned and may not overlap `to`. */
void fab_tensor_to_f32(fab_tensor_dtype dtype, const void *from, float *to, size_t count);

/* Reads a safetensors file (8 bytes little-endian header length, JSON header, tensor bytes) and
 * bounds-checks everything: known dtype (F32, F16, BF16; all become F32), shape and size agree,
 * the data is covered without holes or overlap, every value is finite. Messages name the file and
 * the tensor. */
fab_status fab_tensors_read_safetensors(const fab_reader *r, fab_tensors **out, fab_error *err);
/* Several sets in one file, F32, each name behind its set's prefix. Atomic. */
typedef struct fab_tensors_named {
    const char *prefix; /* "" or "average." */
    const fab_tensors *tensors;
} fab_tensors_named;
fab_status fab_tensors_write_safetensors(const fab_tensors_named *sets, size_t count,
                                         const char *path, fab_error *err);
/* Those of t whose names begin with prefix, without it. Values are copied. */
fab_status fab_tensors_take(const fab_tensors *t, const char *prefix, fab_tensors **out,
                            fab_error *err);
fab_tensors *fab_tensors_free(fab_tensors *t);
FAB_DEFINE_AUTO(fab_tensors, fab_tensors_free)
size_t fab_tensors_count(const fab_tensors *t);
/* The index-th, sorted by name; borrowed from t. */
const fab_tensor *fab_tensors_at(const fab_tensors *t, size_t index);
const char *fab_tensors_source(const fab_tensors *t); /* the file's name in messages */
/* Borrowed pointer to C-ordered values; FAB_ERR_NOTFOUND / FAB_ERR_FORMAT naming file and tensor
 * if it is missing or has another shape. */
fab_status fab_tensors_get(const fab_tensors *t, const char *name, const int64_t *shape, int rank,
                           const float **out, fab_error *err);

/* ---- U-Net of nnU-Net's kind ------------------------------------------------------------ */

#define FAB_UNET_MAX_STAGES 8
#define FAB_UNET_MAX_CLASSES 512
#define FAB_UNET_MAX_CONVS 8        /* convolutions in one stage */
#define FAB_UNET_MAX_BLOCKS 8       /* residual blocks in one stage */
#define FAB_UNET_MAX_FEATURES 2048
#define FAB_UNET_MAX_INPUT_CHANNELS 528 /* a cascade's: 16 images and 512 labels */

/* Axes are (z, y, x) everywhere in this header. */
typedef struct fab_unet_stage {
    int features, kernel[3], stride[3], convs;
} fab_unet_stage;

/* PlainConvUNet of dynamic_network_architectures: per stage `convs` times convolution (zero
 * padded by kernel / 2), instance norm (affine), leaky ReLU; the first convolution of a stage
 * carries its stride; the decoder upsamples by a transposed convolution with kernel = stride,
 * concatenates (upsampled, skip) and convolves; a 1x1x1 convolution makes the logits.
 *
 * ResidualEncoderUNet (`residual`): the encoder is a stem (one convolution to the first stage's
 * width) and per stage `blocks` BasicBlockD (He et al. 2019, ResNet-D):
 *   x -> conv, norm, leaky ReLU, conv, norm -> + skip(x) -> leaky ReLU
 * where skip is x, averaged over the stride where there is one, then, where the width changes,
 * convolved (1x1x1, without bias) and normed. Stage 0 has stride 1; stages[].convs is not used. */
typedef struct fab_unet_config {
    int input_channels, classes, stage_count;
    fab_unet_stage stages[FAB_UNET_MAX_STAGES];
    int decoder_convs[FAB_UNET_MAX_STAGES]; /* [0] is the deepest; stage_count - 1 of them */
    double norm_eps, slope;
    bool conv_bias;
    bool residual;
    int blocks[FAB_UNET_MAX_STAGES]; /* of each encoder stage, if residual */
} fab_unet_config;

/* Reads the "architecture" object of a model card (docs/formats/model.md); refuses what the
 * engine cannot run, naming the field. */
fab_status fab_unet_config_from_json(const fab_json *architecture, fab_unet_config *out,
                                     fab_error *err);
/* Product of the strides an axis sees: patches must be multiples of it. */
void fab_unet_config_divisor(const fab_unet_config *c, int divisor[3]);

typedef struct fab_net fab_net; /* immutable once built; shared by threads */
/* Random weights, uniform in -0.5..0.5, for every tensor of such a network under nnU-Net's names.
 * All share one block of values: the engine copies and repacks what it takes. */
fab_status fab_unet_random_weights(const fab_unet_config *c, fab_tensors **out, fab_error *err);
/* Takes the tensors it needs (names as nnU-Net writes them) and repacks them; `weights` may be
 * freed afterwards. `isa` must run here (FAB_ERR_UNSUPPORTED else); every field of `c` is checked
 * against what is stated above. */
fab_status fab_net_create_unet(const fab_unet_config *c, const fab_tensors *weights, fab_isa isa,
                               fab_net **out, fab_error *err);
fab_net *fab_net_free(fab_net *net);
FAB_DEFINE_AUTO(fab_net, fab_net_free)
fab_isa fab_net_isa(const fab_net *net);
size_t fab_net_bytes(const fab_net *net); /* of its repacked weights */
/* Floats from one voxel's logits to the next in fab_net_sink rows: classes rounded up to 16. */
int fab_net_logit_pitch(const fab_net *net);
/* Multiply-adds times two of one patch by the definition of its operations. */
double fab_net_patch_flop(const fab_net *net, const int patch[3]);

/* ---- chains of convolutions (MeshNet's kind) --------------------------------------------- */

#define FAB_SEQUENTIAL_MAX_LAYERS 64
#define FAB_SEQUENTIAL_MAX_DILATION 128

typedef enum fab_activation {
    FAB_ACTIVATION_LINEAR,
    FAB_ACTIVATION_LEAKY_RELU, /* x >= 0: x, else slope * x; slope 0 is ReLU */
    FAB_ACTIVATION_ELU         /* x >= 0: x, else slope * (exp(x) - 1) */
} fab_activation;

/* Convolution with stride 1, zero padded by dilation * (kernel / 2) so that sizes stay; then, if
 * `norm` names one, batch norm as in inference; then the activation. */
typedef struct fab_sequential_layer {
    char conv[FAB_MAX_NAME_BYTES]; /* tensors <conv>.weight [out][in][z][y][x], <conv>.bias */
    char norm[FAB_MAX_NAME_BYTES]; /* <norm>.{running_mean,running_var}, .{weight,bias}; "": none */
    int outputs, kernel[3], dilation[3]; /* kernel 1 or 3 per axis */
    bool bias, norm_weight, norm_bias;
    double norm_eps;
    fab_activation activation;
    double slope; /* 0..10; leaky ReLU: below 1 */
} fab_sequential_layer;

typedef struct fab_sequential_config {
    int input_channels, layer_count; /* the last layer's outputs are the classes */
    fab_sequential_layer layers[FAB_SEQUENTIAL_MAX_LAYERS];
} fab_sequential_config;

/* A TensorFlow.js layers model that is a chain of Conv3D (channels last, padding "same"),
 * BatchNormalization, Activation (linear, relu, elu), ReLU, LeakyReLU, ELU and dropout (nothing at
 * inference): its model.json and its one weight file, float32. Anything else, quantised weights
 * too, is refused by name. *weights: the caller frees. */
fab_status fab_sequential_read_tfjs(const fab_reader *model, const fab_reader *data,
                                    fab_sequential_config *config, fab_tensors **weights,
                                    fab_error *err);
/* brainchop's own description of a MeshNet: {"bnorm", "elu", "gelu", "bias", "dropout_p",
 * "layers": [{"in_channels", "out_channels", "kernel_size", "padding", "stride", "dilation"}]}; its
 * weights are safetensors with torch's names ("model.0.weight"). Networks with norms over the
 * volume (bnorm) and GELU are refused. */
fab_status fab_sequential_read_meshnet(const fab_reader *model, fab_sequential_config *config,
                                       fab_error *err);
/* As fab_net_create_unet, with kernels of fp32 only (FAB_ERR_UNSUPPORTED else). A session of such
 * a net takes any patch, the whole volume as a rule, and streams it plane by plane along z: it
 * holds 2 * dilation + 1 planes of each layer's input, never a layer's whole output, and the
 * result is the whole volume's, bit for bit. */
fab_status fab_net_create_sequential(const fab_sequential_config *c, const fab_tensors *weights,
                                     fab_isa isa, fab_net **out, fab_error *err);

/* ---- running a net ------------------------------------------------------------------------ */

/* A session holds the memory for one patch shape; one fab_session_run at a time. The net must
 * outlive it. */
typedef struct fab_net_session fab_net_session;
/* Bytes a session of this shape takes with the present number of threads; 0 if the shape is
 * refused by fab_net_session_create. */
size_t fab_net_session_bytes(const fab_net *net, const int patch[3]);
/* patch must be a multiple of the divisor on every axis (U-Nets). */
fab_status fab_net_session_create(const fab_net *net, const int patch[3], fab_net_session **out,
                                  fab_error *err);
fab_net_session *fab_net_session_free(fab_net_session *s);
FAB_DEFINE_AUTO(fab_net_session, fab_net_session_free)

/* Gets the logits of voxels x0 .. x0 + count - 1 of row (z, y), `pitch` floats apart, as soon as
 * they exist; entries at and after `classes` are 0. Called from several threads, once for every
 * voxel of the patch. */
typedef void (*fab_net_sink)(void *ctx, int z, int y, int x0, int count, const float *logits,
                             int pitch);
/* Chains of convolutions: tells `progress` (step "segment") and stops when it says so; NULL: no
 * more. It must stay until then. */
void fab_net_session_progress(fab_net_session *s, const fab_progress *progress);
/* input: channels x D x H x W, fp32. Uses all threads. */
fab_status fab_net_session_run(fab_net_session *s, const float *input, fab_net_sink sink,
                               void *ctx, fab_error *err);
/* The same with logits as classes x D x H x W, fp32, caller's memory. */
fab_status fab_net_session_logits(fab_net_session *s, const float *input, float *logits,
                                  fab_error *err);

/* One operation of a net and what it cost, summed over the runs since fab_net_session_profile. */
typedef struct fab_net_profile {
    char name[FAB_MAX_NAME_BYTES]; /* "encoder 0.1 conv 3x3x3 32->32": stage, place in it; unique */
    const char *kind; /* "conv", "up", "head", "pool", "add"; static */
    int level;        /* of resolution; 0 is the input's */
    double flop;      /* of one run; the sum over operations is fab_net_patch_flop */
    double executed;  /* of them: fewer where a faster algorithm has fewer products; its sums of
                         inputs and outputs are not counted */
    double wall_s, cpu_s;
    double load_cpu_s; /* of a second loading of the input, with norm and activation, alone */
} fab_net_profile;
/* Entries that fab_net_session_profile wants. */
int fab_net_operations(const fab_net *net);
/* From now on every run of the session adds its times to rows[0 .. operations - 1], which are
 * set here, belong to the caller and must stay until this is called again or the session ends; NULL
 * switches it off. Results are the same bits. `loads` (U-Nets): every operation's input is loaded
 * once more to time that, so the run takes longer. */
void fab_net_session_profile(fab_net_session *s, fab_net_profile *rows, bool loads);

/* ---- training ------------------------------------------------------------------------------ */

/* Gradients are fp32 and sums in one fixed order: the same bits on every instruction set and with
 * every number of threads. Plain encoders only. */
#define FAB_TRAIN_IGNORE 0xffffu /* a label that neither loss nor gradient sees */

typedef struct fab_trainer fab_trainer;
/* Takes its first weights from `weights` (names as nnU-Net writes them), for patches of one shape
 * (z, y, x), multiples of the network's divisor. Holds every activation and its gradient:
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
 * or FAB_TRAIN_IGNORE. class_weights: of the cross-entropy, one a class, >= 0; NULL: all 1. Soft
 * Dice counts classes above 0 with more than 8 voxels: (2 sum p y + 1) / (sum p + sum y + 1). */
fab_status fab_trainer_gradient(fab_trainer *t, const float *input, const uint16_t *labels,
                                const float *class_weights, double scale, fab_train_loss *out,
                                fab_error *err);

/* AdamW (Loshchilov and Hutter 2019). */
typedef struct fab_adamw {
    double rate, beta1, beta2, eps, decay; /* decay: of weights only, not of bias, gamma, beta */
    double clip;    /* largest norm of the whole gradient, which is scaled down to it; 0: any */
    double average; /* what the average of the weights keeps of itself a step, less in the first
                       hundred (Polyak and Juditsky 1992) */
} fab_adamw;
/* One step with the gradients added up, which are zero afterwards. Returns their norm; where it is
 * not finite nothing else happens. */
double fab_trainer_update(fab_trainer *t, const fab_adamw *o);
int64_t fab_trainer_steps(const fab_trainer *t);

/* What a trainer holds for every weight, under nnU-Net's names. A convolution's bias is cancelled
 * by its norm: 0. */
typedef enum fab_trainer_part {
    FAB_TRAINER_WEIGHTS,
    FAB_TRAINER_AVERAGE,
    FAB_TRAINER_GRADIENTS, /* added up since the last update */
    FAB_TRAINER_FIRST,     /* AdamW's moments */
    FAB_TRAINER_SECOND
} fab_trainer_part;
fab_status fab_trainer_export(const fab_trainer *t, fab_trainer_part part, fab_tensors **out,
                              fab_error *err);
/* The other way; to go on with a run, together with the steps made. FAB_ERR_NOTFOUND or
 * FAB_ERR_FORMAT naming the tensor that is missing or of another shape; the part may be half
 * filled then. */
fab_status fab_trainer_import(fab_trainer *t, fab_trainer_part part, const fab_tensors *from,
                              fab_error *err);
void fab_trainer_set_steps(fab_trainer *t, int64_t steps);

#ifdef __cplusplus
}
#endif
#endif
