/* test_mean.c - the mean of several networks' probabilities against the same written down plainly,
 * a voxel at a time: lattices of other sizes, axes turned and run backwards, labels and regions,
 * and networks that are sure of different things. */
#include "harness.h"
#include "kernels.h"
#include "nnunet_internal.h"

enum { HEADS = 4, VOICES = 3, MOST = 20 * 20 * 20 };

static fab_error err;
static fab_nnunet_plan plans[VOICES];
static fab_nnunet_voice voices[VOICES];
static uint16_t logits[VOICES][HEADS * MOST];
static const int grid_size[3] = {13, 11, 12}, low[3] = {2, 1, 0}, high[3] = {12, 11, 8};

static uint16_t half_of(float v)
{
    uint16_t h;
    fab_nnunet_kernels_at(0)->float_to_half(&v, &h, 1);
    return h;
}

static float float_of_half(uint16_t h)
{
    float v;
    fab_nnunet_kernels_at(0)->half_to_float(&h, &v, 1);
    return v;
}

/* Sizes are half, the same or twice the crop's, so that every weight is a quarter and every
 * interpolated logit a number that fp32 holds. */
static void make_voice(int i, const int forward[3], const bool flipped[3], const double scale[3],
                       bool regions)
{
    fab_nnunet_plan *p = &plans[i];
    fab_nnunet_case *c = &voices[i].c;
    *p = (fab_nnunet_plan){.head_count = HEADS, .regions = regions, .probabilities = {1, 0, 0},
                           .spacing_mm = {1, 1, 1}};
    *c = (fab_nnunet_case){.axis_of = {2, 1, 0}, .spacing_mm = {1, 1, 1}};
    for (int a = 0; a < 3; a++) {
        const int axis = c->axis_of[forward[a]];
        const bool back = flipped[forward[a]];
        p->transpose_forward[a] = forward[a];
        p->transpose_backward[forward[a]] = a;
        c->flipped[a] = flipped[a];
        c->grid.size[a] = grid_size[a];
        c->grid.world_from_voxel.m[a][a] = 1;
        c->whole[a] = grid_size[axis];
        c->box[a][0] = back ? grid_size[axis] - high[axis] : low[axis];
        c->box[a][1] = back ? grid_size[axis] - low[axis] : high[axis];
        c->size[a] = (int)(scale[a] * (high[axis] - low[axis]));
    }
    for (int h = 0; h < HEADS; h++) p->head[h].value = regions ? (h + 1) * 100 : h;
    voices[i].plan = p;
    voices[i].logits = logits[i];
}

/* Quarters, so that sums of weighted ones are exact; `sure`: far apart, and often equal. */
static void fill(uint64_t seed, bool sure)
{
    fab_rng rng;
    fab_rng_seed(&rng, seed, 11);
    for (int i = 0; i < VOICES; i++)
        for (int k = 0; k < HEADS * MOST; k++) {
            const int v = (int)(fab_rng_u32(&rng) % 17) - 8;
            logits[i][k] = half_of(sure ? (float)v * 5.0f : (float)v * 0.25f);
        }
}

/* Where `at` (a position among `m` of the result) lies among n. */
static int between(double at, int n, int m, double *t)
{
    const double x = fmin(fmax((at + 0.5) * n / m - 0.5, 0), n - 1);
    *t = x - floor(x);
    return (int)floor(x);
}

/* The voice's logit at a place of the crop, counted along the image's axes from its low ends. */
static float logit_at(const fab_nnunet_voice *v, int head, const double place[3])
{
    int first[3];
    double t[3], sum = 0;
    for (int a = 0; a < 3; a++) {
        const int before = v->plan->transpose_forward[a], axis = v->c.axis_of[before];
        const int m = high[axis] - low[axis];
        const double at = v->c.flipped[before] ? m - 1 - place[axis] : place[axis];
        first[a] = between(at, v->c.size[a], m, &t[a]);
    }
    for (int corner = 0; corner < 8; corner++) {
        double w = 1;
        int at[3];
        for (int a = 0; a < 3; a++) {
            const int up = corner >> a & 1;
            w *= up ? t[a] : 1 - t[a];
            at[a] = first[a] + (first[a] + up < v->c.size[a] ? up : 0);
        }
        const int row = (at[0] * v->c.size[1] + at[1]) * HEADS + head;
        sum += w * (double)float_of_half(v->logits[row * v->c.size[2] + at[2]]);
    }
    return float_of_half(half_of((float)sum));
}

/* nnU-Net's arithmetic, but for e^x, which the C library rounds. */
static void mean_at(const double place[3], int count, float mean[HEADS])
{
    float v[HEADS], best = -INFINITY, total = 0;
    for (int h = 0; h < HEADS; h++) mean[h] = 0;
    for (int i = 0; i < count; i++, best = -INFINITY, total = 0) {
        for (int h = 0; h < HEADS; h++) v[h] = logit_at(&voices[i], h, place);
        if (plans[i].regions) {
            for (int h = 0; h < HEADS; h++) mean[h] += 1.0f / (1.0f + expf(-v[h]));
            continue;
        }
        for (int h = 0; h < HEADS; h++) best = fmaxf(best, v[h]);
        for (int h = 0; h < HEADS; h++) {
            v[h] = expf(v[h] - best);
            total += v[h];
        }
        for (int h = 0; h < HEADS; h++) mean[h] += v[h] / total;
    }
    for (int h = 0; h < HEADS; h++) mean[h] /= (float)count;
}

static int label_of(const float mean[HEADS], bool regions)
{
    int label = 0, best = 0;
    for (int h = 0; h < HEADS; h++) {
        if (regions && mean[h] > 0.5f) label = plans[0].head[h].value;
        if (mean[h] > mean[best]) best = h;
    }
    return regions ? label : plans[0].head[best].value;
}

/* How near another label was: what a unit in the last place of e^x may turn. */
static float lead_of(const float mean[HEADS], bool regions)
{
    float first = -1, second = -1, lead = 1;
    for (int h = 0; h < HEADS; h++) {
        second = mean[h] > first ? first : fmaxf(second, mean[h]);
        first = fmaxf(first, mean[h]);
        lead = fminf(lead, fabsf(mean[h] - 0.5f));
    }
    return regions ? lead : first - second;
}

static void check_labels(int count, int64_t most_near)
{
    fab_volume *map = NULL;
    int64_t near = 0, found = 0, at = 0;
    const bool regions = plans[0].regions;
    CHECK_OK(fab_nnunet_mean_labels(voices, count, NULL, &map, &err));
    CHECK(fab_volume_dtype(map) == (regions ? FAB_U16 : FAB_U8));
    for (int k = 0; k < grid_size[2]; k++)
        for (int j = 0; j < grid_size[1]; j++)
            for (int i = 0; i < grid_size[0]; i++, at++) {
                const int p[3] = {i, j, k}, got = (int)fab_volume_at(map, at);
                double place[3];
                bool inside = true;
                float mean[HEADS];
                for (int a = 0; a < 3; a++) {
                    inside = inside && p[a] >= low[a] && p[a] < high[a];
                    place[a] = p[a] - low[a];
                }
                if (!inside) CHECK(got == 0);
                if (!inside) continue;
                mean_at(place, count, mean);
                found += got > 0;
                if (got == label_of(mean, regions)) continue;
                near++;
                CHECK(lead_of(mean, regions) < 3e-7f);
            }
    printf("  %d networks%s: %lld labels of 800, %lld ties fell otherwise\n", count,
           regions ? ", regions" : "", (long long)found, (long long)near);
    CHECK(near <= most_near && found > 200);
    fab_volume_unref(map);
}

static const int straight[3] = {0, 1, 2}, turned[3] = {1, 2, 0}, swapped[3] = {2, 1, 0};
static const bool forwards[3] = {false, false, false}, backwards[3] = {true, false, true};
static const double as_is[3] = {1, 1, 1}, coarse[3] = {0.5, 1, 0.5}, fine[3] = {2, 0.5, 1};

static void labels_of_the_mean(void)
{
    for (int regions = 0; regions < 2; regions++) {
        make_voice(0, straight, forwards, coarse, regions);
        make_voice(1, straight, forwards, as_is, regions);
        make_voice(2, straight, forwards, fine, regions);
        fill(1 + (uint64_t)regions, false);
        check_labels(1, 0);
        check_labels(2, 8);
        check_labels(3, 8);
    }
}

static void axes_of_other_plans(void)
{
    make_voice(0, turned, forwards, coarse, false);
    make_voice(1, straight, backwards, fine, false);
    make_voice(2, swapped, backwards, as_is, false);
    fill(3, false);
    check_labels(3, 8);
    make_voice(0, straight, backwards, as_is, false);
    make_voice(1, turned, backwards, as_is, false);
    check_labels(2, 8);
}

/* Both probabilities are 1 in fp32 and their mean one half: the lower label, in either order. */
static void sure_of_different_labels(void)
{
    make_voice(0, straight, forwards, as_is, false);
    make_voice(1, straight, forwards, as_is, false);
    make_voice(2, straight, forwards, as_is, false);
    fill(4, true);
    check_labels(2, 0);
    check_labels(3, 0);
    for (int order = 0; order < 2; order++) {
        fab_volume *map = NULL;
        for (int k = 0; k < HEADS * MOST; k++) {
            const int head = k / voices[0].c.size[2] % HEADS;
            logits[order][k] = half_of(head == 3 ? 30 : 0);
            logits[!order][k] = half_of(head == 2 ? 25 : -1);
        }
        CHECK_OK(fab_nnunet_mean_labels(voices, 2, NULL, &map, &err));
        int64_t two = 0;
        for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(map)); i++)
            two += fab_volume_at(map, i) == 2;
        CHECK(two == 800);
        fab_volume_unref(map);
    }
}

/* On a lattice: logits whose softmax or sigmoid is the mean. */
static void logits_of_the_mean(void)
{
    static uint16_t before[VOICES][HEADS * MOST];
    for (int regions = 0; regions < 2; regions++) {
        make_voice(0, swapped, backwards, as_is, regions);
        make_voice(1, straight, forwards, as_is, regions);
        make_voice(2, turned, forwards, as_is, regions);
        fill(5, false);
        memcpy(before, logits, sizeof before);
        CHECK_OK(fab_nnunet_mean_logits(voices, VOICES, 1, NULL, &err));
        CHECK(memcmp(before[0], logits[0], sizeof before[0]) == 0);
        const int *n = voices[1].c.size; /* axes z, y, x of the image, forwards */
        double worst = 0;
        for (int i = 0; i < n[0] * n[1] * n[2]; i++) {
            const double place[3] = {i % n[2], i / n[2] % n[1], (double)(i / n[2] / n[1])};
            float mean[HEADS], got[HEADS];
            for (int h = 0; h < HEADS; h++)
                got[h] = float_of_half(logits[1][(i / n[2] * HEADS + h) * n[2] + i % n[2]]);
            voices[1].logits = before[1];
            mean_at(place, VOICES, mean);
            voices[1].logits = logits[1];
            for (int h = 0; h < HEADS; h++) {
                const double p = regions ? 1 / (1 + exp(-(double)got[h])) : exp((double)got[h]);
                worst = fmax(worst, fabs(p - (double)mean[h]));
            }
        }
        printf("  probabilities are kept to %.1e\n", worst);
        CHECK(worst < 6e-4);
    }
}

int main(void)
{
    fab_test tests[] = {TEST(labels_of_the_mean), TEST(axes_of_other_plans),
                        TEST(sure_of_different_labels), TEST(logits_of_the_mean)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
