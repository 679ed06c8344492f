/* nn_internal.h - what the files of src/nn share.
 *
 * Tensors are channel-blocked: [C/16][D][H][W][16]. Sixteen fp32 channels of a voxel are one
 * 64-byte line: one AVX-512 register, two AVX2 registers. Channels beyond C are zero.
 *
 * What a value is depends on the kernels (fab_nn_kernels): fp32, or bf16 kept as uint16_t. Offsets
 * and strides count values, whatever their size.
 */
#ifndef FAB_NN_INTERNAL_H
#define FAB_NN_INTERNAL_H

#include "fabrica/nn.h"

#define FAB_NN_BLOCK 16
#define FAB_NN_AHEAD 16 /* voxels before it is read, memory is asked for where it is read in rows */
#define FAB_NN_MAX_TAPS 27
/* A stage: at most 3 operations a residual block and 2 for the first one's skip; its decoder. */
#define FAB_NN_MAX_OPS \
    (FAB_UNET_MAX_STAGES * (3 * FAB_UNET_MAX_BLOCKS + 2 + FAB_UNET_MAX_CONVS + 1) + 2)

static inline int fab_nn_least(int a, int b)
{
    return a < b ? a : b;
}

static inline int fab_nn_most(int a, int b)
{
    return a > b ? a : b;
}

static inline int fab_nn_ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

static inline int64_t fab_nn_volume(const int n[3])
{
    return (int64_t)n[0] * n[1] * n[2];
}

static inline int fab_nn_blocks(int channels)
{
    return (channels + FAB_NN_BLOCK - 1) / FAB_NN_BLOCK;
}

/* One row of outputs of a convolution:
 *   out[v][o] = bias[o] + sum over block, tap, c of in[block][tap][v][c] * weights[...][c][o]
 * summed in exactly that order by fused multiply-adds (fp32; bf16: bf16.h), for v < count and 16
 * outputs o; `pair` says that the next 16 outputs are wanted too. */
typedef struct fab_conv_row {
    const void *in;           /* voxel 0, tap offset 0, block 0 */
    ptrdiff_t in_block;       /* values from a channel block to the next */
    const int32_t *tap;       /* offset of each tap from `in`, values */
    const int32_t *channels;  /* of each block, 1 .. the kernels' group */
    int taps, blocks;
    int in_step;              /* values from an output voxel's input to its neighbour's */
    ptrdiff_t in_low;         /* values from the high parts to the low ones, if there are any */
    const void *weights;      /* [block][tap][c][16]; bf16: bf16.h */
    const float *bias;        /* 16, or NULL: zero */
    float *out;
    ptrdiff_t out_step;       /* floats from an output voxel to the next */
    int count;
    bool pair;
    bool half;                /* the last 8 outputs of the last block are padding: zero */
    ptrdiff_t pair_weights, pair_out; /* values to the second 16 outputs' */
} fab_conv_row;

/* dst[v][c] = leaky(src[v][c] * scale[c] + shift[c]) for 16 channels; dst may be src. */
typedef struct fab_norm_row {
    const float *src;
    float *dst;
    const float *scale, *shift;
    float slope;
    int count;
} fab_norm_row;

/* Between tensors and scratch where the two differ, 16 channels of `count` voxels: into scratch as
 * fab_norm_row says (without scale: as it is), rounded to bf16, what is left rounded again into
 * the low parts if there are any; and sums out of it. */
typedef struct fab_load_row {
    const void *src;
    void *dst;
    const float *scale, *shift;
    float slope;
    int count;
    ptrdiff_t dst_step, dst_low; /* values from a voxel to the next, and to its low parts */
} fab_load_row;

typedef struct fab_store_row {
    const float *src;
    void *dst;
    ptrdiff_t dst_step; /* values from a voxel to the next */
    int count;
} fab_store_row;

/* dst[v][c] = leaky(src[v][c] * scale[c] + shift[c] + other), other being skip[v][c] or, with
 * scales, leaky(skip[v][c] * skip_scale[c] + skip_shift[c]) by its own slope. dst may be src. */
typedef struct fab_add_row {
    const void *src, *skip;
    void *dst;
    const float *scale, *shift;
    const float *skip_scale, *skip_shift; /* NULL: skip as it is */
    float slope, skip_slope;
    int count;
} fab_add_row;

/* Mean and sum of squared differences from it, per channel of 16, over a row of voxels. */
typedef struct fab_stats_row {
    const float *src;
    int count;
    float mean[FAB_NN_BLOCK], m2[FAB_NN_BLOCK];
} fab_stats_row;

/* exp(x) - 1 for x <= 0, the same bits everywhere: x is held at NN_EXP_LEAST, where the result is
 * -1 already; n = x / ln 2 rounded to even by adding and subtracting NN_ROUND; r = x - n ln 2 in
 * two parts; q = r + r^2 (1/2 + r/6 + ... + r^5/5040), below half a unit in the last place off;
 * 2^n from the bits of n; the result is q 2^n + (2^n - 1). Every product and sum is fused. */
#define NN_EXP_LEAST (-30.0f)
#define NN_ROUND 12582912.0f /* 1.5 * 2^23 */
#define NN_LOG2_E 1.44269504088896341f
#define NN_LN2_HIGH 0.693359375f
#define NN_LN2_LOW (-2.12194440e-4f)
#define NN_ONE_BITS 0x3f800000 /* of 1.0f */
#define NN_EXPM1_COEFFICIENTS                                                                     \
    1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 1.0f / 2

/* Winograd's minimal filtering (Lavin and Gray 2016): a tile's outputs of a 3x3x3 convolution, d
 * along z and w along y and x, from (d + 2) (w + 2)^2 products instead of 27 d w^2. Its inputs
 * become as many points (z, y, x; x fastest), where the convolution is one product a pair of
 * channels; the outputs come out of their sums. Tiles of 2x2x2, 2x4x4 and 4x4x4 outputs: 64, 144,
 * 216 points. An axis is interpolated at 0, 1, -1, infinity for two outputs; at 0, +-A, +-B,
 * infinity for four (ADR 0121). */
#define FAB_WINOGRAD_MOST_POINTS 216
#define FAB_WINOGRAD_A 0.625f
#define FAB_WINOGRAD_B 1.5f

/* A row of tiles of one channel block, `side` voxels apart along x, to the points. */
typedef struct fab_winograd_in {
    int deep, side;        /* outputs of a tile along z; along y and x */
    const float *plane[6]; /* first voxel of the first tile in its deep + 2 planes */
    ptrdiff_t row;         /* floats from a row of voxels to the next */
    float *to;             /* [point][tile][16] */
    ptrdiff_t point;       /* floats from a point to the next */
    int tiles;
} fab_winograd_in;

/* And back: the points of a row of tiles to `deep` planes of `side` rows of side * tiles voxels. */
typedef struct fab_winograd_out {
    int deep, side;
    const float *from;     /* [point][tile][16] */
    ptrdiff_t point;
    float *to;             /* first voxel */
    ptrdiff_t plane, row;  /* floats from a plane, a row of voxels, to the next */
    int tiles;
} fab_winograd_out;

/* Training: to[block][c][o] += sum over rows and voxels of
 * in[row][v][c] * result[block][row][v][o], one voxel after the other by fused multiply-adds. */
typedef struct fab_outer {
    const float *in;
    ptrdiff_t in_row, in_step; /* floats from a row, a voxel to the next; channels are neighbours */
    const float *result;       /* [row][voxel][16] */
    ptrdiff_t result_pair;     /* floats to the second block's, if `pair` */
    float *to;                 /* [c][16] */
    ptrdiff_t to_pair;
    int rows, count, channels; /* voxels of a row; channels: 1..16 */
    bool pair;
} fab_outer;

/* Training, 16 channels of `count` voxels: back through the activation, which takes the sums of g
 * and of g x; and through the norm, which wants their means (train_norm.c). */
typedef struct fab_back_row {
    const float *raw;
    float *gradient;
    const float *scale, *shift, *mean, *factor;
    float slope;
    int count;
    float first[FAB_NN_BLOCK], second[FAB_NN_BLOCK];
} fab_back_row;

/* Training: two planes of two rows of 2 * tiles voxels to the points of a row of tiles, by the
 * transpose of what fab_winograd_out does. */
typedef struct fab_winograd_back {
    const float *from;
    ptrdiff_t plane, row;
    float *to;
    ptrdiff_t point;
    int tiles;
} fab_winograd_back;

typedef struct fab_nn_train_kernels {
    void (*outer)(const fab_outer *o);
    void (*winograd_back)(const fab_winograd_back *row);
    void (*activation_back)(fab_back_row *row);
    void (*norm_back)(const fab_back_row *row);
} fab_nn_train_kernels;

/* One instruction set and arithmetic: a table row and a file.
 *
 *                    tensors   scratch: a voxel's record        conv writes
 *     fp32           fp32      16 channels fp32                 the tensor
 *     bf16           bf16      32 channels bf16                 an fp32 row in scratch, `store`
 *     bf16 tensors   bf16      16 channels fp32                 an fp32 row in scratch, `store`
 *     exact          fp32      32 channels bf16, high and low   an fp32 row in scratch, `store`
 *
 * A convolution that writes rows may write up to 15 voxels beyond the row's end, and read as many
 * records. */
typedef struct fab_nn_kernels {
    const char *name;
    void (*conv)(const fab_conv_row *row);
    void (*norm)(const fab_norm_row *row);
    void (*elu)(const fab_norm_row *row); /* slope is alpha; as norm, with ELU */
    void (*add)(const fab_add_row *row);
    void (*stats)(fab_stats_row *row);
    void (*winograd_in)(const fab_winograd_in *row);
    void (*winograd_out)(const fab_winograd_out *row);
    double (*peak)(int64_t iterations);
    fab_precision precision;
    bool half_tensors;                    /* tensors are bf16 */
    int planes;                           /* of bf16 in scratch, 1 or 2; 0: scratch is fp32 */
    void (*load)(const fab_load_row *row);   /* NULL: norm, or a copy */
    void (*store)(const fab_store_row *row); /* NULL: conv writes tensors itself */
    void (*begin)(void), (*end)(void);    /* around a task on its thread, or NULL */
    const fab_nn_train_kernels *train;    /* NULL: not for training */
} fab_nn_kernels;

#define FAB_NN_ROW_VOXELS 16 /* convolutions that write rows work in multiples of it */

static inline size_t fab_nn_tensor_bytes(const fab_nn_kernels *k)
{
    return k->half_tensors ? sizeof(uint16_t) : sizeof(float);
}

static inline size_t fab_nn_scratch_bytes(const fab_nn_kernels *k)
{
    return k->planes ? sizeof(uint16_t) : sizeof(float);
}

/* Channels of a record in scratch. */
static inline int fab_nn_group(const fab_nn_kernels *k)
{
    return k->planes ? 2 * FAB_NN_BLOCK : FAB_NN_BLOCK;
}

extern const fab_nn_kernels fab_nn_kernels_scalar, fab_nn_kernels_avx2, fab_nn_kernels_wide_emu,
    fab_nn_kernels_avx512, fab_nn_kernels_bf16_scalar, fab_nn_kernels_bf16_avx512,
    fab_nn_kernels_bf16_amx_emu, fab_nn_kernels_bf16_amx, fab_nn_kernels_half_scalar,
    fab_nn_kernels_half_avx2, fab_nn_kernels_half_avx512, fab_nn_kernels_exact_scalar,
    fab_nn_kernels_exact_avx512, fab_nn_kernels_exact_amx_emu, fab_nn_kernels_exact_amx;
/* NULL if not built for this machine's architecture. */
const fab_nn_kernels *fab_nn_kernels_of(fab_isa isa);
/* Whose results it has to give, and whether it sums in the same order and so gives its bits. */
fab_isa fab_nn_isa_reference(fab_isa isa);
bool fab_nn_isa_in_order(fab_isa isa);

/* ---- the network as a list of operations ------------------------------------------------ */

typedef enum fab_op_kind {
    FAB_OP_CONV, /* raw sums; the norm is applied by whoever reads them */
    FAB_OP_UP,   /* transposed convolution */
    FAB_OP_HEAD, /* logits, to the sink */
    FAB_OP_POOL, /* mean over kernel = stride */
    FAB_OP_ADD   /* leaky(source 0, normed, + source 1), in source 0's place */
} fab_op_kind;

/* Operation i makes tensor i + 1; tensor 0 is the input. */
typedef struct fab_net_op {
    fab_op_kind kind;
    int source[2], sources;     /* tensors; concatenated in this order */
    int level;                  /* of the output; 0 is full resolution */
    int kernel[3], stride[3];   /* UP, POOL: kernel = stride */
    int outputs, out_blocks;
    int blocks;                 /* of all sources together */
    int taps;                   /* CONV, HEAD: of the kernel; UP: 1 */
    bool linear;                /* CONV: no activation after its norm: a term of a sum */
    int dilation[3];            /* chains only, as the next two */
    fab_activation activation;
    float slope;
    int32_t *channels;          /* of each input block; ADD, POOL: NULL */
    int groups;                 /* records a voxel has in scratch; fp32: blocks */
    int32_t *spans;             /* channels of each that are used; fp32: channels */
    bool lowered;               /* a voxel's record holds all taps of the network's input (bf16) */
    void *weights;              /* [UP: position][out block][block][tap][c][16]; bf16: bf16.h */
    ptrdiff_t weights_stride;   /* values per out block */
    float *bias;                /* padded to 16, or NULL; CONV of a U-Net: cancels in the norm */
    float *gamma, *beta;        /* CONV: padded with zeros; chains: scale and shift */
} fab_net_op;

struct fab_net {
    fab_unet_config config;     /* chains: input_channels and classes only */
    bool sequential;            /* a chain of convolutions, run by stream.c */
    fab_isa isa;
    const fab_nn_kernels *kernels;
    int op_count;
    fab_net_op ops[FAB_NN_MAX_OPS];
    size_t bytes;
};

/* Input channels of an operation in its blocks before `block`. */
static inline int fab_nn_channels_before(const fab_net_op *op, int block)
{
    int sum = 0;
    for (int i = 0; i < block; i++) sum += op->channels[i];
    return sum;
}

static inline int fab_nn_inputs(const fab_net_op *op)
{
    return fab_nn_channels_before(op, op->blocks);
}

/* Channels of a tensor, and whether it is a convolution's raw output, normalised when read. */
int fab_net_tensor_channels(const fab_net *net, int tensor);
bool fab_net_tensor_raw(const fab_net *net, int tensor);
int fab_net_tensor_level(const fab_net *net, int tensor);

/* ---- building (net.c; chains: sequential.c) ----------------------------------------------- */

typedef struct fab_net_build {
    fab_net *net;
    const fab_tensors *weights;
    fab_error *err;
} fab_net_build;

/* An empty net for `isa`, which must run here. */
fab_status fab_nn_new_net(fab_isa isa, fab_net **out, fab_error *err);
/* The next free operation, reading source0 (and source1 if it is not negative). */
fab_net_op *fab_nn_next_op(fab_net_build *b, fab_op_kind kind, int level, int outputs, int source0,
                           int source1);
/* The channel counts of an operation's input blocks: every source starts a new block. */
fab_status fab_nn_list_channels(fab_net_build *b, fab_net_op *op);
/* Zeros; NULL with the error set if there is no memory. */
float *fab_nn_alloc_floats(fab_net_build *b, size_t count);
/* `values` padded with zeros to whole blocks. */
fab_status fab_nn_pad_vector(fab_net_build *b, const float *values, int count, float **out);
/* [out][in][tap] (or [in][out][tap] if `transposed`) to [position][out block][block][tap][c][16],
 * or to bf16 as bf16.h says.
 * A convolution has one position and op->taps taps; a transposed one as many positions as its
 * kernel has taps, with one tap each. */
fab_status fab_nn_repack(fab_net_build *b, fab_net_op *op, const float *from, int kernel_taps,
                         bool transposed);
/* Every field of a description, whoever filled it in. */
fab_status fab_nn_unet_check(const fab_unet_config *c, fab_error *err);
fab_status fab_nn_sequential_check(const fab_sequential_config *c, fab_error *err);

/* ---- chains: the whole volume, plane by plane (stream.c) ---------------------------------- */

typedef struct fab_stream fab_stream;
size_t fab_stream_bytes(const fab_net *net, const int size[3]); /* 0 if it would be refused */
fab_status fab_stream_create(const fab_net *net, const int size[3], fab_stream **out,
                             fab_error *err);
fab_stream *fab_stream_free(fab_stream *s);
FAB_DEFINE_AUTO(fab_stream, fab_stream_free)
/* `owner`, whose profile (if any) gets the planes' times. */
fab_status fab_stream_run(fab_stream *s, const fab_net_session *owner, const float *input,
                          fab_net_sink sink, void *sink_ctx, fab_error *err);

/* ---- a plan: where everything lies for one patch shape ---------------------------------- */

typedef struct fab_op_plan {
    int in_size[3], out_size[3]; /* voxels of the sources and of the result */
    int tile[3];                 /* outputs of one task along z, y, x (UP: inputs) */
    int tiles[3];
    int halo[3];                 /* records of a full tile in scratch; as a rule, inputs it reads */
    int reach[3];                /* inputs it reads */
    int step[3];                 /* records from an output to its neighbour */
    int taps;
    int group;                   /* output blocks of one task */
    int groups;
    int pitch;                   /* values per record in scratch */
    int deep, side;              /* CONV by winograd.c: a tile's outputs, or 0; tile, halo: there */
    int32_t tap[FAB_NN_MAX_TAPS];
    size_t out_offset;           /* of the result in the arena, values */
    size_t scratch;              /* floats a worker needs */
    size_t planar;               /* lowered: floats before the input as bf16 in scratch */
    size_t row;                  /* floats before the row of sums in scratch */
} fab_op_plan;

/* Points of a tile by winograd.c; and the products executed of those by definition. */
static inline int fab_winograd_points(const fab_op_plan *p)
{
    return (p->deep + 2) * (p->side + 2) * (p->side + 2);
}

static inline double fab_winograd_part(const fab_op_plan *p)
{
    return p->side ? fab_winograd_points(p) / (27.0 * p->deep * p->side * p->side) : 1;
}

typedef struct fab_net_plan {
    int size[FAB_UNET_MAX_STAGES][3];
    fab_op_plan ops[FAB_NN_MAX_OPS];
    size_t arena;        /* values for tensors */
    size_t scratch;      /* floats per worker */
    size_t partials;     /* row statistics: entries of the largest operation */
    size_t winograd;     /* floats of the largest operation's transformed weights */
} fab_net_plan;

/* `keep`: every tensor has a place of its own, for training. */
fab_status fab_net_plan_make(const fab_net *net, const int patch[3], bool keep, fab_net_plan *out,
                             fab_error *err);

/* Running statistics of a tile, per channel of one output block. */
typedef struct fab_tile_stats {
    double count;
    double mean[FAB_NN_BLOCK], m2[FAB_NN_BLOCK];
} fab_tile_stats;

struct fab_net_session {
    const fab_net *net;
    fab_stream *stream;     /* chains: does it all */
    fab_net_plan plan;
    int workers;
    void *arena;            /* tensors, of fp32 or bf16 */
    float *scratch;
    float *winograd;        /* the running operation's transformed weights */
    fab_tile_stats *partials;
    float *affine;          /* per tensor: scale then shift, 2 * padded channels */
    size_t affine_offset[FAB_NN_MAX_OPS + 1];
    bool keep;              /* tensors and norms, for training */
    float *norms;           /* as affine: mean, then 1 / standard deviation; NULL unless kept */
    const float *input;
    fab_net_sink sink;
    void *sink_ctx;
    fab_net_profile *profile; /* the caller's rows, one an operation, or NULL */
    bool profile_loads;
    const fab_progress *progress; /* of chains */
};

/* ---- where the time goes (profile.c) -------------------------------------------------------- */

typedef struct fab_nn_clock {
    double wall_s, cpu_s;
} fab_nn_clock;
/* Nothing without a profile; the time since `c` goes to row `op`. */
void fab_nn_profile_begin(const fab_net_session *s, fab_nn_clock *c);
void fab_nn_profile_end(const fab_net_session *s, int op, const fab_nn_clock *c);
/* Of one operation, as fab_net_patch_flop, which is the sum of these. */
double fab_net_op_flop(const fab_net *net, int op, const int patch[3]);

#endif
