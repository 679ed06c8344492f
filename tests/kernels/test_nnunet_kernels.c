/* test_nnunet_kernels.c - every build of nnunet's inner loops against the plain one: the same
 * bits, for any length. The time each takes is printed. */
#include "kernels.h"
#include "harness.h"

#define MOST 700
#define LANES FAB_SPLINE_LANES

static const fab_nnunet_kernels *plain;
static fab_rng rng;

static uint16_t halves[4][MOST];
static float floats[3][MOST];
static double doubles[3][MOST];
static int32_t places[2][MOST];

static void fill(void)
{
    for (int i = 0; i < MOST; i++) {
        for (int k = 0; k < 4; k++) { /* any bits but infinities and NaNs, often near each other */
            const uint32_t bits = fab_rng_u32(&rng);
            halves[k][i] = (uint16_t)(bits & 1 ? 0x3c00 + (bits >> 1 & 7) : bits >> 8 & 0xfbff);
            if ((halves[k][i] & 0x7c00) == 0x7c00) halves[k][i] = 0;
        }
        for (int k = 0; k < 3; k++) {
            floats[k][i] = (float)(fab_rng_normal(&rng) * pow(10, fab_rng_range(&rng, -7, 4)));
            doubles[k][i] = fab_rng_normal(&rng) * pow(10, fab_rng_range(&rng, -7, 4));
        }
        doubles[2][i] = fab_rng_uniform(&rng);
        places[0][i] = (int32_t)(fab_rng_u32(&rng) % MOST);
        places[1][i] = (int32_t)(fab_rng_u32(&rng) % MOST);
    }
}

static void check_halves(const fab_nnunet_kernels *k)
{
    static uint16_t all[0x10000], a16[0x10000], b16[0x10000];
    static float a[0x10000], b[0x10000];
    for (int i = 0; i < 0x10000; i++) all[i] = (uint16_t)i;
    plain->half_to_float(all, a, 0x10000);
    k->half_to_float(all, b, 0x10000);
    CHECK(memcmp(a, b, sizeof a) == 0);
    plain->float_to_half(a, a16, 0x10000);
    for (int i = 0; i < 0x10000; i++) /* there and back; NaNs become quiet */
        CHECK(a16[i] == i || ((i & 0x7fff) > 0x7c00 && a16[i] == (i | 0x200)));
    for (int step = -1; step <= 1; step++) { /* the floats between two halves */
        for (int i = 0; i < 0x10000; i++) {
            uint32_t bits;
            memcpy(&bits, &a[i], 4);
            bits += 0x1000u + (uint32_t)step;
            memcpy(&b[i], &bits, 4);
        }
        plain->float_to_half(b, a16, 0x10000);
        k->float_to_half(b, b16, 0x10000);
        CHECK(memcmp(a16, b16, sizeof a16) == 0);
    }
}

static void check_sums(const fab_nnunet_kernels *k, int n)
{
    uint16_t a[MOST], b[MOST];
    memcpy(a, halves[0], sizeof a);
    memcpy(b, halves[0], sizeof b);
    plain->add_weighted(floats[0], floats[1], a, n);
    k->add_weighted(floats[0], floats[1], b, n);
    CHECK(memcmp(a, b, sizeof a) == 0);
}

/* Sums of all heads at once are those of one head after the other. */
static void check_logits(const fab_nnunet_kernels *k, int n)
{
    enum { HEADS = 21, PITCH = 24, STEP = MOST + 3 };
    static float logits[MOST * PITCH];
    static uint16_t a[HEADS * STEP], b[HEADS * STEP];
    for (int i = 0; i < n * PITCH; i++) logits[i] = floats[i % 2][i / 2 % MOST];
    for (int heads = 1; heads <= HEADS; heads += heads < 9 ? 1 : 6) {
        float value[MOST];
        for (int i = 0; i < HEADS * STEP; i++) a[i] = b[i] = halves[i % 4][i / 4 % MOST];
        for (int h = 0; h < heads; h++) {
            for (int i = 0; i < n; i++) value[i] = logits[i * PITCH + h] * 0.25f;
            plain->add_weighted(value, floats[2], a + h * STEP, n);
        }
        k->add_logits(logits, PITCH, 0.25f, floats[2], b, STEP, heads, n);
        CHECK(memcmp(a, b, sizeof a) == 0);
    }
}

/* First and second place as written down; sums of exponentials near those of doubles, the same of
 * every build. */
static void check_ranks(const fab_nnunet_kernels *k, int n)
{
    enum { HEADS = 4 };
    static uint16_t rows[HEADS * MOST];
    float best[MOST], second[MOST], sum[MOST], expected[MOST];
    int32_t head[MOST];
    for (int i = 0; i < HEADS * MOST; i++) rows[i] = halves[i / MOST][i % MOST];
    for (int heads = 1; heads <= HEADS; heads++) {
        float v[HEADS];
        k->rank(rows, MOST, heads, best, second, head, n);
        k->sum_exponentials(rows, MOST, heads, best, sum, n);
        plain->sum_exponentials(rows, MOST, heads, best, expected, n);
        CHECK(memcmp(sum, expected, (size_t)n * sizeof *sum) == 0);
        for (int i = 0; i < n; i++) {
            int first = 0;
            float next = -INFINITY;
            double all = 0;
            for (int h = 0; h < heads; h++) plain->half_to_float(&rows[h * MOST + i], &v[h], 1);
            for (int h = 1; h < heads; h++) first = v[h] > v[first] ? h : first;
            for (int h = 0; h < heads; h++) {
                next = h != first && v[h] > next ? v[h] : next;
                all += exp((double)v[h] - (double)v[first]);
            }
            CHECK(head[i] == first && best[i] == v[first] && second[i] == next);
            CHECK_NEAR(sum[i], all, 4e-7 * all);
        }
    }
}

/* Rows of probabilities against doubles; the same bits of every build. */
static void check_shares(const fab_nnunet_kernels *k, int n, int heads, bool regions)
{
    static float logits[2][4 * MOST], sum[2][4 * MOST];
    static uint16_t back[2][4 * MOST];
    for (int i = 0; i < 4 * MOST; i++) {
        plain->half_to_float(&halves[i / MOST][i % MOST], &logits[0][i], 1);
        logits[1][i] = logits[0][i];
        sum[0][i] = sum[1][i] = i % 3 ? 0.0f : 0.25f;
    }
    plain->add_shares(logits[0], MOST, heads, regions, sum[0], n);
    k->add_shares(logits[1], MOST, heads, regions, sum[1], n);
    for (int h = 0; h < heads; h++)
        CHECK(memcmp(sum[0] + h * MOST, sum[1] + h * MOST, (size_t)n * sizeof **sum) == 0);
    for (int i = 0; i < n; i++) {
        float v[4];
        double all = 0, best = -INFINITY;
        for (int h = 0; h < heads; h++) plain->half_to_float(&halves[h][i], &v[h], 1);
        for (int h = 0; h < heads; h++) best = fmax(best, (double)v[h]);
        for (int h = 0; h < heads; h++) all += exp((double)v[h] - best);
        for (int h = 0; h < heads; h++) {
            const double share = regions ? 1 / (1 + exp(-(double)v[h]))
                                         : exp((double)v[h] - best) / all;
            CHECK_NEAR(sum[0][h * MOST + i], share + ((h * MOST + i) % 3 ? 0.0 : 0.25), 2.5e-7);
        }
    }
    for (int i = 0; i < 4 * MOST; i++) sum[0][i] = fabsf(floats[0][i % MOST]);
    plain->logits_of_shares(sum[0], regions, back[0], n);
    k->logits_of_shares(sum[0], regions, back[1], n);
    CHECK(memcmp(back[0], back[1], (size_t)n * sizeof **back) == 0);
    for (int i = 0; i < n; i++) {
        const double least = 0x1p-24, p = fmin(fmax((double)sum[0][i], least), 1 - least);
        const double expected = regions ? log(p / (1 - p)) : log(p);
        float got;
        plain->half_to_float(&back[0][i], &got, 1);
        CHECK_NEAR(got, expected, 5e-4 * fabs(expected) + 1e-6);
    }
}

static void check_splines(const fab_nnunet_kernels *k, int n)
{
    static double a[MOST * LANES], b[MOST * LANES], to_a[MOST * LANES], to_b[MOST * LANES];
    double weight[4 * MOST];
    int32_t first[MOST];
    const size_t bytes = (size_t)n * LANES * sizeof *a;
    for (int i = 0; i < n * LANES; i++) a[i] = b[i] = fab_rng_normal(&rng);
    plain->spline_filter(a, n);
    k->spline_filter(b, n);
    CHECK(memcmp(a, b, bytes) == 0);
    for (int i = 0; i < n; i++) first[i] = (int32_t)(fab_rng_u32(&rng) % (uint32_t)(n - 3));
    for (int i = 0; i < 4 * n; i++) weight[i] = doubles[0][i % MOST];
    for (int taps = 2; taps <= 4; taps += 2) {
        plain->combine(a, first, weight, taps, n, to_a);
        k->combine(a, first, weight, taps, n, to_b);
        CHECK(memcmp(to_a, to_b, bytes) == 0);
    }
}

static void check_cells(const fab_nnunet_kernels *k, int n)
{
    const uint16_t *const row[4] = {halves[0], halves[1], halves[2], halves[3]};
    int16_t low[2][MOST], high[2][MOST];
    int span[2][2] = {{0}};
    plain->cell_range(row, low[0], high[0], n);
    k->cell_range(row, low[1], high[1], n);
    CHECK(memcmp(low[0], low[1], (size_t)n * 2) == 0);
    CHECK(memcmp(high[0], high[1], (size_t)n * 2) == 0);
    plain->raise(high[0], low[0], n / 2);
    k->raise(high[1], low[1], n / 2);
    CHECK(memcmp(low[0], low[1], (size_t)n * 2) == 0);
    for (int i = 0; i < n; i++) high[0][i] = (int16_t)(low[0][i] < -32000 ? low[0][i]
                                                                          : low[0][i] - 1);
    for (int i = n / 3; i < n / 2; i += 3) high[0][i] = low[0][i];
    const bool a = plain->reaches(high[0], low[0], n, span[0]);
    CHECK(a && (n < 4 || span[0][0] <= n / 3));
    CHECK(k->reaches(high[0], low[0], n, span[1]) == a);
    CHECK(memcmp(span[0], span[1], sizeof span[0]) == 0);
}

/* Three heads of every kind of value, against comparing floats. */
static void check_best_half(const fab_nnunet_kernels *k, int n)
{
    int16_t best[MOST], label[MOST];
    uint16_t head[3][MOST];
    float value[3][MOST];
    for (int i = 0; i < n; i++) best[i] = INT16_MIN;
    for (int h = 0; h < 3; h++) {
        for (int i = 0; i < n; i++) { /* many ties, zeros of both signs, nothing infinite */
            head[h][i] = (uint16_t)(halves[h & 1][(i * (h + 3)) % MOST] & 0xbbff);
            if ((i + h) % 5 == 0) head[h][i] = i % 2 == h % 2 ? 0x8000 : 0;
        }
        plain->half_to_float(head[h], value[h], n);
        k->keep_best_half(head[h], (int16_t)h, best, label, n);
    }
    for (int i = 0; i < n; i++) {
        int expected = 0;
        for (int h = 1; h < 3; h++)
            if (value[h][i] > value[expected][i]) expected = h;
        CHECK(label[i] == expected);
    }
}

static void check_labels(const fab_nnunet_kernels *k, int n)
{
    double a[MOST], b[MOST];
    float best[2][MOST];
    int32_t label[2][MOST] = {{0}};
    plain->mix_half(halves[0], halves[1], 0.3, a, n);
    k->mix_half(halves[0], halves[1], 0.3, b, n);
    CHECK(memcmp(a, b, (size_t)n * sizeof *a) == 0);
    plain->spread(doubles[0], places[0], places[1], doubles[2], a, n);
    k->spread(doubles[0], places[0], places[1], doubles[2], b, n);
    CHECK(memcmp(a, b, (size_t)n * sizeof *a) == 0);
    check_best_half(k, n);
    memcpy(best[0], floats[0], sizeof best[0]);
    memcpy(best[1], floats[0], sizeof best[1]);
    plain->keep_best(doubles[0], doubles[1], 0.7, 3, best[0], label[0], n);
    k->keep_best(doubles[0], doubles[1], 0.7, 3, best[1], label[1], n);
    plain->keep_above(doubles[1], doubles[0], 0.2, 4, 0x1p-23f, label[0], n);
    k->keep_above(doubles[1], doubles[0], 0.2, 4, 0x1p-23f, label[1], n);
    CHECK(memcmp(best[0], best[1], sizeof best[0]) == 0);
    plain->blend(doubles[0], doubles[1], 0.6, best[0], n);
    k->blend(doubles[0], doubles[1], 0.6, best[1], n);
    CHECK(memcmp(best[0], best[1], (size_t)n * sizeof **best) == 0);
    CHECK(memcmp(label[0], label[1], sizeof label[0]) == 0);
}

static void time_of(const fab_nnunet_kernels *k)
{
    enum { ROUNDS = 20000, N = 512 };
    static double lines[536 * LANES];
    float best[N] = {0};
    int32_t label[N] = {0};
    uint16_t sum[N] = {0};
    double t[4];
    t[0] = fab_time_cpu_s();
    for (int i = 0; i < ROUNDS; i++) k->add_weighted(floats[0], floats[1], sum, N);
    t[1] = fab_time_cpu_s();
    for (int i = 0; i < ROUNDS; i++) k->keep_best(doubles[0], doubles[1], 0.3, i, best, label, N);
    t[2] = fab_time_cpu_s();
    for (int i = 0; i < ROUNDS / 50; i++) k->spline_filter(lines, 536);
    t[3] = fab_time_cpu_s();
    printf("  %-7s add_weighted %.2f, keep_best %.2f, spline_filter %.2f ns a value\n", k->name,
           (t[1] - t[0]) * 1e9 / ROUNDS / N, (t[2] - t[1]) * 1e9 / ROUNDS / N,
           (t[3] - t[2]) * 1e9 / (ROUNDS / 50) / (536 * LANES));
}

static void every_build_gives_the_same_bits(void)
{
    static const int lengths[] = {4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 127, 512, 699};
    plain = fab_nnunet_kernels_at(0);
    for (int set = 0; set < FAB_NNUNET_KERNEL_SETS; set++) {
        const fab_nnunet_kernels *k = fab_nnunet_kernels_at(set);
        if (!k) {
            printf("  set %d does not run on this machine: not checked\n", set);
            continue;
        }
        fab_rng_seed(&rng, 82, (uint64_t)set);
        check_halves(k);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            fill();
            check_sums(k, lengths[i]);
            check_logits(k, lengths[i]);
            check_ranks(k, lengths[i]);
            for (int heads = 1; heads <= 4; heads++) {
                check_shares(k, lengths[i], heads, false);
                check_shares(k, lengths[i], heads, true);
            }
            check_splines(k, lengths[i]);
            check_cells(k, lengths[i]);
            check_labels(k, lengths[i]);
        }
        time_of(k);
    }
}

int main(void)
{
    return FAB_RUN(TEST(every_build_gives_the_same_bits));
}
