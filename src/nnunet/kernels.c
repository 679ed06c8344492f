/* kernels.c - the inner loops, written so that the compiler turns each into vectors. */
#include <math.h>
#include <string.h>

#include "kernels.h"

#ifdef __F16C__
#include <immintrin.h>
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define LANES FAB_SPLINE_LANES

static inline uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* ---- fp16 in software: selects instead of branches, so that loops vectorise ------------- */

#define FLOAT_QUIET 0x00400000u
#define FLOAT_INFINITY 0x7f800000u
#define REBIAS 0x38000000u          /* exponent 127 - 15 */
#define SMALLEST_NORMAL 0x38800000u /* 2^-14 */
#define TOO_LARGE 0x477ff000u       /* 65520: rounds to infinity */

static inline float from_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = (uint32_t)(h & 0x7fff);
    const uint32_t shifted = magnitude << 13;
    const uint32_t small = bits_of((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t u = magnitude < 0x0400 ? small : shifted + REBIAS;
    u = magnitude >= 0x7c00 ? shifted | FLOAT_INFINITY : u;
    u = magnitude > 0x7c00 ? u | FLOAT_QUIET : u;
    return float_of(u | sign);
}

static inline uint16_t to_half(float f)
{
    const uint32_t u = bits_of(f), a = u & 0x7fffffffu;
    const uint32_t normal = (a + 0xfffu + (a >> 13 & 1u) - REBIAS) >> 13;
    const uint32_t small = bits_of(float_of(a) + 0.5f) - bits_of(0.5f); /* 0.5 has ulp 2^-24 */
    uint32_t h = a < SMALLEST_NORMAL ? small : normal;
    h = a >= TOO_LARGE ? 0x7c00u : h;
    h = a > FLOAT_INFINITY ? 0x7e00u | (a >> 13 & 0x3ffu) : h;
    return (uint16_t)(h | (u >> 16 & 0x8000u));
}

/* fp16(f) as a float. */
static inline float half_precision(float f)
{
    const uint32_t u = bits_of(f), a = u & 0x7fffffffu;
    const uint32_t normal = (a + 0xfffu + (a >> 13 & 1u)) & ~0x1fffu;
    const uint32_t small = bits_of((float_of(a) + 0.5f) - 0.5f);
    uint32_t r = a < SMALLEST_NORMAL ? small : normal;
    r = a >= TOO_LARGE ? FLOAT_INFINITY : r;
    r = a > FLOAT_INFINITY ? a : r;
    return float_of(r | (u & 0x80000000u));
}

static void half_to_float(const uint16_t *restrict from, float *restrict to, int64_t count)
{
    int64_t i = 0;
#ifdef __F16C__
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + i))));
#endif
    for (; i < count; i++) to[i] = from_half(from[i]);
}

static void float_to_half(const float *restrict from, uint16_t *restrict to, int64_t count)
{
    int64_t i = 0;
#ifdef __F16C__
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((__m128i *)(to + i), _mm256_cvtps_ph(_mm256_loadu_ps(from + i), 0));
#endif
    for (; i < count; i++) to[i] = to_half(from[i]);
}

static void add_weighted(const float *restrict value, const float *restrict weight,
                         uint16_t *restrict sum, int count)
{
    int i = 0;
#ifdef __F16C__
    for (; i + 8 <= count; i += 8) {
        const __m256 product = _mm256_mul_ps(_mm256_loadu_ps(value + i),
                                             _mm256_loadu_ps(weight + i));
        const __m256 before = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(sum + i)));
        _mm_storeu_si128((__m128i *)(sum + i),
                         _mm256_cvtps_ph(_mm256_add_ps(before, product), 0));
    }
#endif
    for (; i < count; i++) sum[i] = to_half(from_half(sum[i]) + value[i] * weight[i]);
}

#ifdef __F16C__
/* Eight voxels of eight heads, [voxel][head], as rows of heads: v[head] over voxels. Lanes of
 * heads at and beyond `heads` are 0. */
static inline void turn_eight(const float *logits, ptrdiff_t pitch, int heads, __m256 v[8])
{
    static const int32_t on[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    __m256 a[8], b[8];
    const __m256i some = _mm256_loadu_si256((const __m256i *)(on + 8 - heads));
    for (int i = 0; i < 8; i++)
        a[i] = heads == 8 ? _mm256_loadu_ps(logits + i * pitch)
                          : _mm256_maskload_ps(logits + i * pitch, some);
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            a[i + 2 * k] = _mm256_shuffle_ps(b[i + k], b[i + k + 2], 0x44);
            a[i + 2 * k + 1] = _mm256_shuffle_ps(b[i + k], b[i + k + 2], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x31);
    }
}

static inline void add_eight(const float *logits, ptrdiff_t pitch, int heads, __m256 share,
                             __m256 weight, uint16_t *sum, ptrdiff_t step)
{
    __m256 v[8];
    turn_eight(logits, pitch, heads, v);
    for (int h = 0; h < heads; h++, sum += step) {
        const __m256 product = _mm256_mul_ps(_mm256_mul_ps(v[h], share), weight);
        const __m256 before = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)sum));
        _mm_storeu_si128((__m128i *)sum, _mm256_cvtps_ph(_mm256_add_ps(before, product), 0));
    }
}
#endif

static void add_logits(const float *restrict logits, ptrdiff_t pitch, float share,
                       const float *restrict weight, uint16_t *restrict sum, ptrdiff_t step,
                       int heads, int count)
{
    int done = 0;
#ifdef __F16C__
    const __m256 shares = _mm256_set1_ps(share);
    done = count / 8 * 8;
    for (int h = 0; h < heads; h += 8)
        for (int i = 0; i < done; i += 8) {
            const float *from = logits + i * pitch + h;
            const __m256 weights = _mm256_loadu_ps(weight + i);
            if (h + 8 <= heads)
                add_eight(from, pitch, 8, shares, weights, sum + h * step + i, step);
            else add_eight(from, pitch, heads - h, shares, weights, sum + h * step + i, step);
        }
#endif
    for (int i = done; i < count; i++)
        for (int h = 0; h < heads; h++) {
            uint16_t *to = &sum[h * step + i];
            *to = to_half(from_half(*to) + logits[i * pitch + h] * share * weight[i]);
        }
}

/* ---- cubic splines ---------------------------------------------------------------------- */

static void spline_filter(double *restrict lines, int n)
{
    const double pole = sqrt(3.0) - 2.0, pole_n = pow(pole, n);
    const double gain = (1.0 - pole) * (1.0 - 1.0 / pole);
    double first[LANES], start[LANES];
    for (int64_t i = 0; i < (int64_t)n * LANES; i++) lines[i] *= gain;
    const double *last = lines + (ptrdiff_t)(n - 1) * LANES;
    for (int l = 0; l < LANES; l++) {
        first[l] = lines[l];
        start[l] = lines[l] + pole_n * last[l];
    }
    double power = pole;
    for (int i = 1; i < n && power != 0.0; i++, power *= pole) {
        const double *a = lines + (ptrdiff_t)i * LANES, *b = lines + (ptrdiff_t)(n - 1 - i) * LANES;
        for (int l = 0; l < LANES; l++) start[l] += power * (a[l] + pole_n * b[l]);
        if (fabs(power) < 1e-30) break; /* nothing a double can still see */
    }
    for (int l = 0; l < LANES; l++)
        lines[l] = start[l] * (pole / (1.0 - pole_n * pole_n)) + first[l];
    for (int i = 1; i < n; i++) {
        double *c = lines + (ptrdiff_t)i * LANES;
        for (int l = 0; l < LANES; l++) c[l] += pole * c[l - LANES];
    }
    double *end = lines + (ptrdiff_t)(n - 1) * LANES;
    for (int l = 0; l < LANES; l++) end[l] *= pole / (pole - 1.0);
    for (int i = n - 2; i >= 0; i--) {
        double *c = lines + (ptrdiff_t)i * LANES;
        for (int l = 0; l < LANES; l++) c[l] = pole * (c[l + LANES] - c[l]);
    }
}

static void combine(const double *restrict lines, const int32_t *restrict first,
                    const double *restrict weight, int taps, int count, double *restrict to)
{
    for (int k = 0; k < count; k++, to += LANES) {
        const double *from = lines + (ptrdiff_t)first[k] * LANES;
        const double *w = weight + (ptrdiff_t)k * taps;
        if (taps == 4)
            for (int l = 0; l < LANES; l++)
                to[l] = from[l] * w[0] + from[l + LANES] * w[1] + from[l + 2 * LANES] * w[2] +
                        from[l + 3 * LANES] * w[3];
        else
            for (int l = 0; l < LANES; l++) to[l] = from[l] * w[0] + from[l + LANES] * w[1];
    }
}

#define RUN 64 /* values of a row at a time: loops over one width of number become vectors */

/* ---- how sure a network is -------------------------------------------------------------- */

#define VOXELS 16   /* of a row that go through all heads together */
#define FAINT 17.0f /* below the best: adds less than 2^-24 of its share */

/* e^x, -87 <= x <= 88, to 2 units in the last place: 2^n e^r, |r| <= ln 2 / 2, e^r by a polynomial
 * of the sixth degree (Cephes, expf). ln 2 is two numbers, so that n ln 2 is exact enough. */
static inline float exponential(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: rounds to a whole number */
    const float n = (x * 1.44269504f + magic) - magic;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return (p * (r * r) + r + 1.0f) * float_of((uint32_t)((int32_t)n + 127) << 23);
}

static inline void rank_voxels(const uint16_t *logits, ptrdiff_t step, int heads, float *best,
                               float *second, int32_t *head, int count)
{
    float b[VOXELS], s[VOXELS], v[VOXELS];
    int32_t first[VOXELS];
    for (int i = 0; i < count; i++) {
        b[i] = s[i] = -INFINITY;
        first[i] = 0;
    }
    for (int h = 0; h < heads; h++, logits += step) {
        half_to_float(logits, v, count);
        for (int i = 0; i < count; i++) {
            const float least = v[i] > b[i] ? b[i] : v[i];
            s[i] = least > s[i] ? least : s[i];
            first[i] = v[i] > b[i] ? h : first[i];
            b[i] = v[i] > b[i] ? v[i] : b[i];
        }
    }
    memcpy(best, b, (size_t)count * sizeof *b);
    memcpy(second, s, (size_t)count * sizeof *s);
    memcpy(head, first, (size_t)count * sizeof *first);
}

static void rank(const uint16_t *restrict logits, ptrdiff_t step, int heads, float *restrict best,
                 float *restrict second, int32_t *restrict head, int count)
{
    int i = 0;
    for (; i + VOXELS <= count; i += VOXELS)
        rank_voxels(logits + i, step, heads, best + i, second + i, head + i, VOXELS);
    if (i < count) rank_voxels(logits + i, step, heads, best + i, second + i, head + i, count - i);
}

static inline void sum_voxels(const uint16_t *logits, ptrdiff_t step, int heads, const float *best,
                              float *sum, int count)
{
    float b[VOXELS], s[VOXELS] = {0}, v[VOXELS];
    int32_t near[VOXELS];
    memcpy(b, best, (size_t)count * sizeof *b);
    for (int h = 0; h < heads; h++, logits += step) {
        int some = 0;
        half_to_float(logits, v, count);
        for (int i = 0; i < count; i++) v[i] -= b[i];
        for (int i = 0; i < count; i++) near[i] = v[i] > -FAINT ? 1 : 0;
        for (int i = 0; i < count; i++) some |= near[i];
        if (!some) continue;
        for (int i = 0; i < count; i++) v[i] = v[i] > -FAINT ? v[i] : -FAINT;
        for (int i = 0; i < count; i++) s[i] += exponential(v[i]) * (float)near[i];
    }
    memcpy(sum, s, (size_t)count * sizeof *s);
}

static void sum_exponentials(const uint16_t *restrict logits, ptrdiff_t step, int heads,
                             const float *restrict best, float *restrict sum, int count)
{
    int i = 0;
    for (; i + VOXELS <= count; i += VOXELS)
        sum_voxels(logits + i, step, heads, best + i, sum + i, VOXELS);
    if (i < count) sum_voxels(logits + i, step, heads, best + i, sum + i, count - i);
}

/* ---- means of probabilities ------------------------------------------------------------- */

#define LOWEST -87.0f /* e^x is a normal number from there ... */
#define HIGHEST 88.0f /* ... to here */

/* In PyTorch's order: e^(v - best) summed from the first head to the last, then each divided. */
static inline void softmax_voxels(float *v, ptrdiff_t step, int heads, float *sum, int count)
{
    float best[VOXELS], total[VOXELS] = {0};
    for (int i = 0; i < count; i++) best[i] = -INFINITY;
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < count; i++)
            best[i] = v[h * step + i] > best[i] ? v[h * step + i] : best[i];
    for (int h = 0; h < heads; h++) {
        float *at = v + h * step, x[VOXELS];
        for (int i = 0; i < count; i++) x[i] = at[i] - best[i];
        for (int i = 0; i < count; i++) x[i] = x[i] > LOWEST ? x[i] : LOWEST;
        for (int i = 0; i < count; i++) at[i] = exponential(x[i]);
        for (int i = 0; i < count; i++) total[i] += at[i];
    }
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < count; i++) sum[h * step + i] += v[h * step + i] / total[i];
}

static inline void sigmoid_voxels(const float *v, ptrdiff_t step, int heads, float *sum, int count)
{
    for (int h = 0; h < heads; h++, v += step, sum += step) {
        float x[VOXELS];
        for (int i = 0; i < count; i++) x[i] = -v[i] > LOWEST ? -v[i] : LOWEST;
        for (int i = 0; i < count; i++) x[i] = x[i] < HIGHEST ? x[i] : HIGHEST;
        for (int i = 0; i < count; i++) sum[i] += 1.0f / (1.0f + exponential(x[i]));
    }
}

static void add_shares(float *restrict logits, ptrdiff_t step, int heads, bool regions,
                       float *restrict sum, int count)
{
    for (int i = 0; i < count; i += VOXELS) {
        const int n = count - i < VOXELS ? count - i : VOXELS;
        if (regions) sigmoid_voxels(logits + i, step, heads, sum + i, n);
        else if (n == VOXELS) softmax_voxels(logits + i, step, heads, sum + i, VOXELS);
        else softmax_voxels(logits + i, step, heads, sum + i, n);
    }
}

/* ln x of a normal number above 0: x = 2^n m, sqrt(1/2) <= m < sqrt(2), ln m by a polynomial of the
 * eighth degree (Cephes, logf). */
static inline float logarithm(float x)
{
    const uint32_t u = bits_of(x) - 0x3f3504f3u + 0x3f800000u; /* n + 127, then m - sqrt(1/2) */
    const float n = (float)((int32_t)(u >> 23) - 127);
    const float r = float_of((u & 0x007fffffu) + 0x3f3504f3u) - 1.0f, square = r * r;
    float p = 7.0376836292e-2f;
    p = p * r - 1.1514610310e-1f;
    p = p * r + 1.1676998740e-1f;
    p = p * r - 1.2420140846e-1f;
    p = p * r + 1.4249322787e-1f;
    p = p * r - 1.6668057665e-1f;
    p = p * r + 2.0000714765e-1f;
    p = p * r - 2.4999993993e-1f;
    p = p * r + 3.3333331174e-1f;
    p = p * r * square - n * 2.12194440e-4f - 0.5f * square;
    return r + p + n * 0.693359375f;
}

static void logits_of_shares(const float *restrict share, bool regions, uint16_t *restrict to,
                             int count)
{
    float x[RUN];
    for (int at = 0; at < count; at += RUN, share += RUN, to += RUN) {
        const int n = count - at < RUN ? count - at : RUN;
        for (int i = 0; i < n; i++) x[i] = share[i] > 0x1p-24f ? share[i] : 0x1p-24f;
        for (int i = 0; i < n; i++) x[i] = x[i] < 1.0f - 0x1p-24f ? x[i] : 1.0f - 0x1p-24f;
        if (regions)
            for (int i = 0; i < n; i++) x[i] /= 1.0f - x[i];
        for (int i = 0; i < n; i++) x[i] = logarithm(x[i]);
        for (int i = 0; i < n; i++) to[i] = to_half(x[i]);
    }
}

/* ---- logits to labels ------------------------------------------------------------------- */

/* fp16(a (1 - t) + b t) as floats, rounded once: the low 29 bits that a float has no room for go
 * into its last bit ("round to odd"), so that the second rounding still knows them. */
static inline void mixed_halves(const double *restrict a, const double *restrict b, double t,
                                float *restrict v, int count)
{
    const uint64_t lost = 0x1fffffffu;
    double odd[RUN];
    for (int i = 0; i < count; i++) {
        const double d = a[i] * (1.0 - t) + b[i] * t;
        uint64_t w;
        memcpy(&w, &d, sizeof w);
        w = (w | ((w & lost) + lost)) & ~lost;
        memcpy(&odd[i], &w, sizeof w);
    }
    for (int i = 0; i < count; i++) v[i] = (float)odd[i];
    for (int i = 0; i < count; i++) v[i] = half_precision(v[i]);
}

static inline int16_t ordered(uint16_t half)
{
    return (int16_t)(half & 0x8000 ? ~half ^ 0x8000 : half);
}

static inline int16_t least(int16_t a, int16_t b) { return a < b ? a : b; }
static inline int16_t most(int16_t a, int16_t b) { return a > b ? a : b; }

static void cell_range(const uint16_t *const row[4], int16_t *restrict low,
                       int16_t *restrict high, int count)
{
    const uint16_t *restrict a = row[0], *restrict b = row[1], *restrict c = row[2],
                   *restrict d = row[3];
    for (int i = 0; i < count; i++) {
        const int16_t va = ordered(a[i]), vb = ordered(b[i]), vc = ordered(c[i]),
                      vd = ordered(d[i]);
        low[i] = least(least(va, vb), least(vc, vd));
        high[i] = most(most(va, vb), most(vc, vd));
    }
    for (int i = 0; i + 1 < count; i++) {
        low[i] = least(low[i], low[i + 1]);
        high[i] = most(high[i], high[i + 1]);
    }
}

static void raise_floor(const int16_t *restrict low, int16_t *restrict floor_, int count)
{
    for (int i = 0; i < count; i++) floor_[i] = most(low[i], floor_[i]);
}

static bool any_reaches(const int16_t *high, const int16_t *floor_, int count)
{
    int16_t any = 0;
    for (int i = 0; i < count; i++) any |= (int16_t)(high[i] >= floor_[i]);
    return any != 0;
}

static bool reaches(const int16_t *high, const int16_t *floor_, int count, int span[2])
{
    enum { BLOCK = 64 };
    int first = 0, last = count - 1;
    while (first + BLOCK <= count && !any_reaches(high + first, floor_ + first, BLOCK))
        first += BLOCK;
    while (first < count && high[first] < floor_[first]) first++;
    if (first == count) return false;
    while (last >= BLOCK && !any_reaches(high + last - BLOCK + 1, floor_ + last - BLOCK + 1, BLOCK))
        last -= BLOCK;
    while (high[last] < floor_[last]) last--;
    span[0] = first;
    span[1] = last;
    return true;
}

static void mix_half(const uint16_t *restrict a, const uint16_t *restrict b, double t,
                     double *restrict to, int count)
{
    float fa[RUN], fb[RUN];
    for (int i = 0; i < count; i += RUN) {
        const int n = count - i < RUN ? count - i : RUN;
        half_to_float(a + i, fa, n);
        half_to_float(b + i, fb, n);
        for (int k = 0; k < n; k++) to[i + k] = (double)fa[k] * (1.0 - t) + (double)fb[k] * t;
    }
}

static void spread(const double *restrict row, const int32_t *restrict first,
                   const int32_t *restrict second, const double *restrict t, double *restrict to,
                   int count)
{
    for (int i = 0; i < count; i++)
        to[i] = row[first[i]] * (1.0 - t[i]) + row[second[i]] * t[i];
}

static void blend(const double *restrict a, const double *restrict b, double t, float *restrict v,
                  int count)
{
    for (int at = 0; at < count; at += RUN)
        mixed_halves(a + at, b + at, t, v + at, count - at < RUN ? count - at : RUN);
}

static void keep_best(const double *restrict a, const double *restrict b, double t, int32_t value,
                      float *restrict best, int32_t *restrict label, int count)
{
    float v[RUN];
    for (int at = 0; at < count; at += RUN, best += RUN, label += RUN) {
        const int n = count - at < RUN ? count - at : RUN;
        mixed_halves(a + at, b + at, t, v, n);
        for (int i = 0; i < n; i++) label[i] = v[i] > best[i] ? value : label[i];
        for (int i = 0; i < n; i++) best[i] = v[i] > best[i] ? v[i] : best[i];
    }
}

static void keep_best_half(const uint16_t *restrict v, int16_t index, int16_t *restrict best,
                           int16_t *restrict label, int count)
{
    for (int i = 0; i < count; i++) {
        const int16_t value = ordered(v[i] & 0x7fff ? v[i] : 0);
        label[i] = value > best[i] ? index : label[i];
        best[i] = most(value, best[i]);
    }
}

static void keep_above(const double *restrict a, const double *restrict b, double t, int32_t value,
                       float from, int32_t *restrict label, int count)
{
    float v[RUN];
    for (int at = 0; at < count; at += RUN, label += RUN) {
        const int n = count - at < RUN ? count - at : RUN;
        mixed_halves(a + at, b + at, t, v, n);
        for (int i = 0; i < n; i++) label[i] = v[i] >= from ? value : label[i];
    }
}

#define NAME_TEXT_(x) #x
#define NAME_TEXT(x) NAME_TEXT_(x)
const fab_nnunet_kernels JOIN(fab_nnunet_kernels_, FAB_NNUNET_ISA) = {
    .name = NAME_TEXT(FAB_NNUNET_ISA),
    .half_to_float = half_to_float,
    .float_to_half = float_to_half,
    .add_weighted = add_weighted,
    .add_logits = add_logits,
    .rank = rank,
    .sum_exponentials = sum_exponentials,
    .spline_filter = spline_filter,
    .combine = combine,
    .cell_range = cell_range,
    .raise = raise_floor,
    .reaches = reaches,
    .mix_half = mix_half,
    .spread = spread,
    .blend = blend,
    .add_shares = add_shares,
    .logits_of_shares = logits_of_shares,
    .keep_best = keep_best,
    .keep_best_half = keep_best_half,
    .keep_above = keep_above,
};
