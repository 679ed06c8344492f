/* test_nn_bf16.c - rows of the bf16 and exact kernels, one at a time.
 *
 * Convolutions by vdpbf16ps must give the bits of the reference; on emulated tiles those of
 * tdpbf16ps's order of sums, written here again from Intel's description; and AMX's own machine
 * code, its tile instructions trapped and emulated (amx_trap.h), those of the emulated tiles.
 * Loads, stores and sums must give the scalar kernels' bits for every kind of value.
 */
#include "nn_internal.h"

#if defined(__x86_64__) && defined(__linux__)
#include "amx_trap.h"
#else
#include "bf16.h"
#endif
#include "harness.h"

#define ROUNDS 300
#define MOST_VOXELS 64
#define MOST_GROUPS 3
#define MOST_TAPS 9
#define RECORDS (2 * (MOST_VOXELS + 2 * FAB_NN_ROW_VOXELS) + MOST_TAPS)

typedef struct row_case {
    uint16_t in[MOST_GROUPS * 2 * RECORDS * FAB_BF16_GROUP];
    uint16_t weights[2 * MOST_GROUPS * MOST_TAPS * 2 * FAB_BF16_TILE];
    float bias[2 * FAB_NN_BLOCK], out[2 * (MOST_VOXELS + FAB_NN_ROW_VOXELS) * FAB_NN_BLOCK];
    int32_t tap[MOST_TAPS], channels[MOST_GROUPS];
    fab_conv_row row;
    int planes;
} row_case;

static int below(fab_rng *rng, int n)
{
    return (int)(fab_rng_u32(rng) % (uint32_t)n);
}

/* Usual numbers, with zeros and, sometimes, denormals and numbers near the end of the range. */
static uint16_t random_bf16(fab_rng *rng, bool wild)
{
    const int kind = below(rng, wild ? 12 : 200);
    const uint16_t sign = fab_rng_u32(rng) & 1 ? 0x8000 : 0;
    if (kind == 0) return sign;
    if (kind == 1 && wild) return sign | (uint16_t)below(rng, 128);
    if (kind == 2 && wild) return sign | (uint16_t)(below(rng, 40) << 7 | below(rng, 128));
    return fab_bf16_round((float)fab_rng_normal(rng));
}

static void make_case(row_case *c, fab_rng *rng, int planes, bool wild)
{
    static fab_conv_row none;
    const int step = 1 + below(rng, 2);
    fab_conv_row *r = &c->row;
    *r = none;
    c->planes = planes;
    for (size_t i = 0; i < sizeof c->in / sizeof *c->in; i++) c->in[i] = random_bf16(rng, wild);
    for (size_t i = 0; i < sizeof c->weights / sizeof *c->weights; i++)
        c->weights[i] = random_bf16(rng, wild);
    for (int i = 0; i < 2 * FAB_NN_BLOCK; i++) c->bias[i] = (float)fab_rng_normal(rng);
    r->blocks = 1 + below(rng, MOST_GROUPS);
    r->taps = 1 + below(rng, MOST_TAPS);
    for (int t = 0; t < r->taps; t++) c->tap[t] = below(rng, MOST_TAPS) * FAB_BF16_GROUP;
    for (int b = 0; b < r->blocks; b++) c->channels[b] = FAB_BF16_GROUP;
    r->in = c->in;
    r->in_low = RECORDS * FAB_BF16_GROUP;
    r->in_block = r->in_low * planes;
    r->tap = c->tap;
    r->channels = c->channels;
    r->in_step = step * FAB_BF16_GROUP;
    r->weights = c->weights;
    r->bias = below(rng, 2) ? c->bias : NULL;
    r->out = c->out;
    r->out_step = FAB_NN_BLOCK;
    r->count = 1 + below(rng, MOST_VOXELS);
    r->pair = below(rng, 2);
    r->pair_weights = (ptrdiff_t)r->blocks * r->taps * planes * FAB_BF16_TILE;
    r->pair_out = (MOST_VOXELS + FAB_NN_ROW_VOXELS) * FAB_NN_BLOCK;
}

static void run(row_case *c, const fab_nn_kernels *k, float *out)
{
    memset(c->out, 0xff, sizeof c->out);
    if (k->begin) k->begin();
    k->conv(&c->row);
    if (k->end) k->end();
    memcpy(out, c->out, sizeof c->out);
}

/* The row's voxels and both blocks; what lies beyond them is nobody's. */
static void check_same(const row_case *c, const float *a, const float *b)
{
    for (int k = 0; k <= c->row.pair; k++)
        CHECK(memcmp(a + k * c->row.pair_out, b + k * c->row.pair_out,
                     (size_t)c->row.count * FAB_NN_BLOCK * sizeof *a) == 0);
}

/* ---- tdpbf16ps, from its description -------------------------------------------------------- */

static float value(uint16_t bits)
{
    const float v = fab_bf16_widen(bits);
    return fabsf(v) < FLT_MIN ? copysignf(0, v) : v;
}

static float flushed(float v)
{
    return fabsf(v) < FLT_MIN ? copysignf(0, v) : v;
}

static float tile_step(const uint16_t *in, const uint16_t *weights, int o, float sum)
{
    float even = 0, odd = 0;
    for (int k = 0; k < 16; k++) {
        const uint16_t *w = weights + k * 32 + 2 * o;
        even = flushed(fmaf(value(in[2 * k]), value(w[0]), even));
        odd = flushed(fmaf(value(in[2 * k + 1]), value(w[1]), odd));
    }
    return flushed(flushed(sum) + flushed(even + odd));
}

static void by_tiles(const row_case *c, float *out)
{
    const fab_conv_row *r = &c->row;
    for (int i = 0; i < r->count * FAB_NN_BLOCK * (1 + r->pair); i++) {
        const int o = i % FAB_NN_BLOCK, v = i / FAB_NN_BLOCK % r->count;
        const int k = i / FAB_NN_BLOCK / r->count;
        float sum = r->bias ? r->bias[k * FAB_NN_BLOCK + o] : 0.0f;
        const uint16_t *w = c->weights + k * r->pair_weights;
        for (int b = 0; b < r->blocks; b++)
            for (int t = 0; t < r->taps; t++, w += c->planes * FAB_BF16_TILE) {
                const uint16_t *p = c->in + b * r->in_block + r->tap[t] + v * r->in_step;
                sum = tile_step(p, w, o, sum);
                if (c->planes == 1) continue;
                sum = tile_step(p, w + FAB_BF16_TILE, o, sum);
                sum = tile_step(p + r->in_low, w, o, sum);
            }
        out[k * r->pair_out + v * r->out_step + o] = sum;
    }
}

/* ---- convolutions --------------------------------------------------------------------------- */

static row_case c;
static float expected[sizeof c.out / sizeof *c.out], got[sizeof c.out / sizeof *c.out];

static void for_rows(uint64_t seed, void (*check)(void))
{
    fab_rng rng;
    fab_rng_seed(&rng, seed, 1);
    for (int i = 0; i < ROUNDS; i++) {
        make_case(&c, &rng, 1 + i % 2, i % 3 == 0);
        check();
    }
}

static const fab_nn_kernels *bf16_or_exact(fab_isa bf16, fab_isa exact)
{
    return fab_nn_kernels_of(c.planes == 1 ? bf16 : exact);
}

static void check_vdp(void)
{
    for (int b = 0; b < c.row.blocks; b++) c.channels[b] = 1 + (b * 7 + c.row.taps) % 32;
    run(&c, bf16_or_exact(FAB_ISA_BF16_SCALAR, FAB_ISA_EXACT_SCALAR), expected);
    run(&c, bf16_or_exact(FAB_ISA_BF16_AVX512, FAB_ISA_EXACT_AVX512), got);
    check_same(&c, expected, got);
}

static void vdpbf16ps_gives_the_references_bits(void)
{
    if (fab_nn_isa_runs(FAB_ISA_BF16_AVX512)) for_rows(1, check_vdp);
    else printf("  not checked: no AVX512_BF16\n");
}

static void check_emulated(void)
{
    by_tiles(&c, expected);
    run(&c, bf16_or_exact(FAB_ISA_BF16_AMX_EMU, FAB_ISA_EXACT_AMX_EMU), got);
    check_same(&c, expected, got);
}

static void emulated_tiles_sum_as_stated(void)
{
    /* it is AVX2 code: where that runs, only a wrong result can keep the probe from taking it */
    const bool runs = fab_nn_isa_runs(FAB_ISA_BF16_AMX_EMU);
    CHECK(runs == fab_nn_isa_runs(FAB_ISA_AVX2));
    CHECK(runs == fab_nn_isa_runs(FAB_ISA_EXACT_AMX_EMU));
    if (runs) for_rows(2, check_emulated);
    else printf("  not checked: no AVX2\n");
}

#if defined(__x86_64__) && defined(__linux__)
static void check_amx(void)
{
    run(&c, bf16_or_exact(FAB_ISA_BF16_AMX_EMU, FAB_ISA_EXACT_AMX_EMU), expected);
    run(&c, bf16_or_exact(FAB_ISA_BF16_AMX, FAB_ISA_EXACT_AMX), got);
    check_same(&c, expected, got);
}

/* Last: SIGILL stays with the handler. */
static void amx_code_gives_the_emulations_bits(void)
{
    const bool real = fab_nn_isa_runs(FAB_ISA_BF16_AMX);
    if (!fab_nn_isa_runs(FAB_ISA_BF16_AVX512) || !fab_nn_isa_runs(FAB_ISA_BF16_AMX_EMU)) {
        printf("  not checked: the code around the tile instructions needs AVX-512\n");
        return;
    }
    if (!real) amx_trap_install();
    for_rows(3, check_amx);
    CHECK(real == (amx_trap.instructions == 0));
    if (real) printf("  AMX runs here\n");
    else printf("  %ld tile instructions trapped and emulated\n", amx_trap.instructions);
    CHECK(!amx_trap.configured); /* every task gave its tiles back */
}
#else
static void amx_code_gives_the_emulations_bits(void)
{
    printf("  not checked: not Linux on x86-64\n");
}
#endif

/* ---- everything else ------------------------------------------------------------------------ */

#define VOXELS 37

typedef struct rows {
    float fp32[VOXELS * FAB_NN_BLOCK], affine[4 * FAB_NN_BLOCK];
    uint16_t bf16[2][VOXELS * FAB_NN_BLOCK];
} rows;

static float random_fp32(fab_rng *rng)
{
    static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, FLT_MIN, 1e-39f, -1e-42f,
                                    FLT_MAX, -FLT_MAX, 0x1.01p0f, 0x1.03p0f, -0x1.01p-126f,
                                    0x1.fffp-127f};
    const int kind = below(rng, 40);
    return kind < 14 ? special[kind] : (float)fab_rng_normal(rng);
}

static void make_rows(rows *r, fab_rng *rng)
{
    for (int i = 0; i < VOXELS * FAB_NN_BLOCK; i++) {
        r->fp32[i] = random_fp32(rng);
        for (int k = 0; k < 2; k++) r->bf16[k][i] = random_bf16(rng, true);
    }
    for (int i = 0; i < 4 * FAB_NN_BLOCK; i++) r->affine[i] = (float)fab_rng_normal(rng);
}

/* Everything the kernels write, into a block compared as bytes. */
typedef struct written {
    uint16_t stored[VOXELS * 2 * FAB_NN_BLOCK * 2], sum[2][VOXELS * FAB_NN_BLOCK];
    float loaded[2][VOXELS * 2 * FAB_NN_BLOCK * 2];
} written;

static void write_all(const fab_nn_kernels *k, const rows *r, written *w)
{
    memset(w, 0, sizeof *w);
    const ptrdiff_t step = k->planes ? FAB_BF16_GROUP : FAB_NN_BLOCK, low = VOXELS * step;
    const void *tensor = k->half_tensors ? (const void *)r->bf16[0] : r->fp32;
    const float *scale = r->affine, *shift = scale + FAB_NN_BLOCK;
    k->store(&(fab_store_row){r->fp32, w->stored, 2 * FAB_NN_BLOCK, VOXELS});
    k->load(&(fab_load_row){tensor, w->loaded[0], scale, shift, 0.01f, VOXELS, step, low});
    k->load(&(fab_load_row){tensor, w->loaded[1], NULL, NULL, 0.01f, VOXELS, step, low});
    for (int raw = 0; raw < 2 && k->half_tensors; raw++)
        k->add(&(fab_add_row){r->bf16[0], r->bf16[1], w->sum[raw], scale, shift,
                              raw ? shift + FAB_NN_BLOCK : NULL, shift + 2 * FAB_NN_BLOCK, 0.01f,
                              1.0f, VOXELS});
}

static void rows_give_the_references_bits(void)
{
    static rows r;
    static written expect, is;
    fab_rng rng;
    fab_rng_seed(&rng, 4, 1);
    for (int i = 0; i < 50; i++) {
        make_rows(&r, &rng);
        for (int isa = 0; isa < FAB_ISA_COUNT; isa++) {
            const fab_nn_kernels *k = fab_nn_kernels_of((fab_isa)isa);
            if (!k || !k->load || !fab_nn_isa_runs((fab_isa)isa)) continue;
            write_all(fab_nn_kernels_of(fab_nn_isa_reference((fab_isa)isa)), &r, &expect);
            write_all(k, &r, &is);
            CHECK(memcmp(&expect, &is, sizeof is) == 0);
        }
    }
}

static void rounding_is_to_nearest_even(void)
{
    CHECK(fab_bf16_round(1.0f) == 0x3f80 && fab_bf16_round(-2.0f) == 0xc000);
    CHECK(fab_bf16_round(0x1.01p0f) == 0x3f80 && fab_bf16_round(0x1.03p0f) == 0x3f82);
    CHECK(fab_bf16_round(0x1.010002p0f) == 0x3f81 && fab_bf16_round(FLT_MAX) == 0x7f80);
    CHECK(fab_bf16_round(1e-40f) == 0 && fab_bf16_round(-1e-40f) == 0x8000);
    CHECK((fab_bf16_round(NAN) & 0x7fff) > 0x7f80);
    for (int i = 0; i < 1000; i++) { /* high and low together hold 16 bits of a number */
        const float v = 1.0f + (float)i * 0.000731f;
        const uint16_t high = fab_bf16_round(v), low = fab_bf16_rest(v, high);
        CHECK_NEAR(fab_bf16_widen(high) + fab_bf16_widen(low), v, 0x1p-16);
    }
}

int main(void)
{
    return FAB_RUN(TEST(rounding_is_to_nearest_even), TEST(vdpbf16ps_gives_the_references_bits),
                   TEST(emulated_tiles_sum_as_stated), TEST(rows_give_the_references_bits),
                   TEST(amx_code_gives_the_emulations_bits));
}
