/* test_soft.c - labels, probabilities, and the fine layer that surfaces are made from, against the
 * same thing written down plainly in double precision, one voxel at a time. */
#include "harness.h"
#include "kernels.h"
#include "nnunet_internal.h"

enum { HEADS = 4, N0 = 6, N1 = 5, N2 = 7, VOXELS = N0 * N1 * N2 };

static fab_error err;
static uint16_t logits[HEADS * VOXELS]; /* [z][y][head][x] */

static uint16_t *logit_at(int head, int z, int y, int x)
{
    return &logits[((z * N1 + y) * HEADS + head) * N2 + x];
}

static float logit(int head, int z, int y, int x)
{
    float v;
    fab_nnunet_kernels_at(0)->half_to_float(logit_at(head, z, y, x), &v, 1);
    return v;
}

/* Smooth enough that most neighbours agree, and blobs of every head. */
static void fill_logits(uint64_t seed)
{
    fab_rng rng;
    fab_rng_seed(&rng, seed, 7);
    for (int h = 0; h < HEADS; h++) {
        double at[3], slope[3];
        for (int a = 0; a < 3; a++) {
            at[a] = fab_rng_range(&rng, 0, 6);
            slope[a] = fab_rng_range(&rng, 0.3, 2);
        }
        for (int i = 0; i < VOXELS; i++) {
            const int p[3] = {i / (N1 * N2), i / N2 % N1, i % N2};
            double v = fab_rng_range(&rng, -0.3, 0.3);
            for (int a = 0; a < 3; a++) v -= slope[a] * fabs(p[a] - at[a]);
            const float value = (float)v + 4;
            fab_nnunet_kernels_at(0)->float_to_half(&value, logit_at(h, p[0], p[1], p[2]), 1);
        }
    }
}

static fab_nnunet_plan plan_of(const double mm[3], bool regions)
{
    static const int values[HEADS] = {0, 3, 1, 200};
    fab_nnunet_plan p = {.transpose_forward = {0, 1, 2}, .transpose_backward = {0, 1, 2},
                         .head_count = HEADS, .regions = regions, .probabilities = {1, 0, -1}};
    memcpy(p.spacing_mm, mm, sizeof p.spacing_mm);
    for (int h = 0; h < HEADS; h++) p.head[h].value = regions ? h + 1 : values[h];
    return p;
}

/* An image of the lattice's own size: i is the network's last axis. */
static fab_nnunet_case case_of(const double mm[3])
{
    fab_nnunet_case c = {.axis_of = {2, 1, 0}, .size = {N0, N1, N2}, .whole = {N0, N1, N2},
                         .box = {{0, N0}, {0, N1}, {0, N2}}};
    memcpy(c.spacing_mm, mm, sizeof c.spacing_mm);
    for (int a = 0; a < 3; a++) {
        c.grid.size[a] = c.size[2 - a];
        c.grid.world_from_voxel.m[a][a] = mm[2 - a];
        c.grid.world_from_voxel.m[a][3] = 10 * a;
    }
    return c;
}

static fab_nnunet_soft soften(const fab_nnunet_plan *p, const fab_nnunet_case *c, bool surfaces)
{
    FAB_AUTO(fab_nnunet_softener_free) fab_nnunet_softener *s = NULL;
    CHECK_OK(fab_nnunet_softener_create(p, c, logits, c->size[0], surfaces, &s, &err));
    fab_nnunet_softener_planes(s, c->size[0]);
    return fab_nnunet_softener_take(s);
}

static int winner(const fab_nnunet_plan *p, int z, int y, int x, double *share)
{
    int best = 0;
    double sum = 0;
    for (int h = 1; h < HEADS; h++)
        if (logit(h, z, y, x) > logit(best, z, y, x)) best = h;
    for (int h = 0; h < HEADS; h++)
        sum += exp((double)logit(h, z, y, x) - (double)logit(best, z, y, x));
    *share = 1 / sum;
    (void)p;
    return best;
}

static void codes_keep_their_precision(void)
{
    CHECK(fab_nnunet_margin(0) == 0 && fab_nnunet_margin_code(0) == 0);
    CHECK(fab_nnunet_margin_code(NAN) == 0 && fab_nnunet_margin_code(-1) == 0);
    CHECK(fab_nnunet_margin_code(1e9f) == 255 && fab_nnunet_margin_code(1e-9f) == 1);
    for (int code = 1; code < 256; code++)
        CHECK(fab_nnunet_margin_code(fab_nnunet_margin((uint8_t)code)) == code);
    for (float m = 0.001f; m < 58; m *= 1.013f)
        CHECK_NEAR(fab_nnunet_margin(fab_nnunet_margin_code(m)) / m, 1, 0.023);
}

static void labels_and_shares(void)
{
    const double mm[3] = {1, 1, 1};
    const fab_nnunet_plan p = plan_of(mm, false);
    const fab_nnunet_case c = case_of(mm);
    fill_logits(1);
    fab_nnunet_soft s = soften(&p, &c, false);
    CHECK(!s.fine_labels && !s.fine_margin);
    CHECK(fab_grid_equal(fab_volume_grid(s.labels), &c.grid, 1e-9));
    for (int i = 0; i < VOXELS; i++) {
        double share;
        const int head = winner(&p, i / (N1 * N2), i / N2 % N1, i % N2, &share);
        CHECK((int)fab_volume_at(s.labels, i) == p.head[head].value);
        CHECK_NEAR(fab_volume_at(s.share, i) / 255, share, 0.5 / 255 + 1e-6);
    }
    fab_nnunet_soft_free(&s);
}

/* The labels of the eight lattice voxels around decide by their interpolated logits. */
static int expected_at(const fab_nnunet_plan *p, const double at[3], double *lead)
{
    static const int n[3] = {N0, N1, N2};
    int low[3], head[8];
    double w[3], best = -1e9, second = -1e9, unused;
    for (int a = 0; a < 3; a++) {
        const double x = fmin(fmax(at[a], 0), n[a] - 1);
        low[a] = x >= n[a] - 1 ? n[a] - 2 : (int)x;
        w[a] = x - low[a];
    }
    for (int k = 0; k < 8; k++)
        head[k] = winner(p, low[0] + (k >> 2), low[1] + (k >> 1 & 1), low[2] + (k & 1), &unused);
    int value = -1;
    for (int k = 0; k < 8; k++) {
        bool counts = true; /* a corner of no weight is none; each head once */
        for (int a = 0; a < 3; a++) counts &= (k >> (2 - a) & 1) ? w[a] > 0 : w[a] < 1;
        for (int d = 0; d < k && counts; d++) {
            bool there = head[d] == head[k];
            for (int a = 0; a < 3; a++) there &= (d >> (2 - a) & 1) ? w[a] > 0 : w[a] < 1;
            counts = !there;
        }
        if (!counts) continue;
        double l = 0;
        for (int d = 0; d < 8; d++) {
            double share = 1;
            for (int a = 0; a < 3; a++) share *= d >> (2 - a) & 1 ? w[a] : 1 - w[a];
            l += share * (double)logit(head[k], low[0] + (d >> 2), low[1] + (d >> 1 & 1),
                                       low[2] + (d & 1));
        }
        if (l > best) {
            second = best;
            best = l;
            value = p->head[head[k]].value;
        } else if (l > second) second = l;
    }
    *lead = second > -1e9 ? best - second : NAN;
    return value;
}

static void check_fine(const double mm[3], const int parts[3])
{
    const fab_nnunet_plan p = plan_of(mm, false);
    const fab_nnunet_case c = case_of(mm);
    fab_nnunet_soft s = soften(&p, &c, true);
    const int32_t *n = fab_volume_grid(s.fine_labels)->size;
    int borders = 0;
    for (int a = 0; a < 3; a++) CHECK(n[2 - a] == c.size[a] * parts[a]);
    for (int k = 0; k < n[2]; k++)
        for (int j = 0; j < n[1]; j++)
            for (int i = 0; i < n[0]; i++) {
                const int index[3] = {k, j, i};
                double at[3], lead, here[3] = {i, j, k}, world[3];
                for (int a = 0; a < 3; a++) at[a] = (index[a] + 0.5) / parts[a] - 0.5;
                const int value = expected_at(&p, at, &lead);
                const uint8_t code = (uint8_t)fab_volume_get(s.fine_margin, i, j, k);
                fab_mat34_apply(&fab_volume_grid(s.fine_labels)->world_from_voxel, here, world);
                for (int a = 0; a < 3; a++)
                    CHECK_NEAR(world[a], 10 * a + mm[2 - a] * at[2 - a], 1e-9);
                if (lead < 1e-3) continue; /* a tie */
                CHECK((int)fab_volume_get(s.fine_labels, i, j, k) == value);
                if (isnan(lead)) continue;
                CHECK_NEAR(fab_nnunet_margin(code) / lead, 1, 0.03);
                borders++;
            }
    printf("  %d voxels on borders\n", borders);
    CHECK(borders >= 30);
    fab_nnunet_soft_free(&s);
}

static void the_fine_layer_is_that_written_down(void)
{
    fill_logits(2);
    check_fine((double[]){3, 3, 3}, (int[]){2, 2, 2});
    check_fine((double[]){5, 0.7, 0.7}, (int[]){2, 1, 1});
    fill_logits(3);
    check_fine((double[]){1.5, 2, 1.5}, (int[]){1, 2, 1});
}

/* Where nothing is halved the lattice is the fine layer, and leads are over the second best. */
static void a_fine_lattice_stays(void)
{
    const double mm[3] = {1.5, 1.5, 1.5};
    const fab_nnunet_plan p = plan_of(mm, false);
    const fab_nnunet_case c = case_of(mm);
    fill_logits(4);
    fab_nnunet_soft s = soften(&p, &c, true);
    CHECK(s.fine_labels == s.labels);
    for (int i = 0; i < VOXELS; i++) {
        const int z = i / (N1 * N2), y = i / N2 % N1, x = i % N2;
        double share, second = -1e9;
        const int head = winner(&p, z, y, x, &share);
        for (int h = 0; h < HEADS; h++)
            if (h != head) second = fmax(second, (double)logit(h, z, y, x));
        const double lead = (double)logit(head, z, y, x) - second;
        CHECK_NEAR(fab_nnunet_margin((uint8_t)fab_volume_at(s.fine_margin, i)), lead,
                   0.03 * lead + 1e-3);
    }
    fab_nnunet_soft_free(&s);
}

/* Logits that are alive for three planes only, given plane by plane, make the same bytes. */
static void rings_make_the_same(void)
{
    enum { DEPTH = 3 };
    const double mm[3] = {3, 1, 3};
    const fab_nnunet_plan p = plan_of(mm, false);
    const fab_nnunet_case c = case_of(mm);
    static uint16_t ring[HEADS * DEPTH * N1 * N2];
    fill_logits(5);
    fab_nnunet_soft whole = soften(&p, &c, true);
    fab_nnunet_softener *s = NULL;
    CHECK_OK(fab_nnunet_softener_create(&p, &c, ring, DEPTH, true, &s, &err));
    for (int z = 0; z < N0; z++) {
        memcpy(ring + z % DEPTH * HEADS * N1 * N2, logits + z * HEADS * N1 * N2,
               HEADS * N1 * N2 * sizeof *ring);
        if (z % 2 == 0 || z == N0 - 1) fab_nnunet_softener_planes(s, z + 1);
    }
    fab_nnunet_soft parts = fab_nnunet_softener_take(s);
    fab_nnunet_softener_free(s);
    const fab_volume *a[4] = {whole.labels, whole.share, whole.fine_labels, whole.fine_margin};
    const fab_volume *b[4] = {parts.labels, parts.share, parts.fine_labels, parts.fine_margin};
    for (int i = 0; i < 4; i++)
        CHECK(memcmp(fab_volume_data(a[i]), fab_volume_data(b[i]), fab_volume_bytes(a[i])) == 0);
    fab_nnunet_soft_free(&whole);
    fab_nnunet_soft_free(&parts);
}

/* Regions: the last head above 0 writes its value; its lead is what would change that. */
static void regions_lead_until_a_change(void)
{
    const double mm[3] = {1, 1, 1};
    const fab_nnunet_plan p = plan_of(mm, true);
    const fab_nnunet_case c = case_of(mm);
    int found = 0;
    fill_logits(6);
    fab_nnunet_soft s = soften(&p, &c, true);
    for (int i = 0; i < VOXELS; i++) {
        int value = 0;
        double lead = 1e9;
        for (int h = 0; h < HEADS; h++) {
            const double l = (double)logit(h, i / (N1 * N2), i / N2 % N1, i % N2);
            if (l > 0) value = h + 1;
            lead = l > 0 ? l : fmin(lead, -l);
        }
        CHECK((int)fab_volume_at(s.labels, i) == value);
        CHECK_NEAR(fab_nnunet_margin((uint8_t)fab_volume_at(s.fine_margin, i)), lead,
                   0.03 * lead + 1e-3);
        CHECK_NEAR(fab_volume_at(s.share, i) / 255, 1 / (1 + exp(-lead)), 0.5 / 255 + 1e-6);
        found += value > 0;
    }
    CHECK(found > 20 && found < VOXELS - 20);
    fab_nnunet_soft_free(&s);
}

/* Turned, cropped and transposed: the lattice lies where finish.c puts its labels. */
static void the_lattice_lies_where_the_labels_do(void)
{
    const double mm[3] = {1.2, 0.9, 1.4};
    fab_nnunet_plan p = plan_of(mm, false);
    fab_nnunet_case c = case_of(mm);
    memcpy(p.transpose_forward, (int[]){1, 2, 0}, sizeof p.transpose_forward);
    memcpy(c.flipped, (bool[]){false, true, true}, sizeof c.flipped);
    memcpy(c.box, (int[3][2]){{1, 1 + N0}, {2, 2 + N1}, {0, N2}}, sizeof c.box);
    const int around[3] = {N0 + 3, N1 + 2, N2}; /* of the transposed axes */
    for (int a = 0; a < 3; a++) c.grid.size[c.axis_of[p.transpose_forward[a]]] = around[a];
    c.grid.world_from_voxel = (fab_mat34){{{0.1, 1, 0, 5}, {-1, 0.1, 0.2, -3}, {0, 0.2, 1.5, 8}}};
    fab_volume *labels = NULL, *back = NULL;
    fill_logits(7);
    fab_nnunet_soft s = soften(&p, &c, true);
    CHECK_OK(fab_nnunet_finish(&p, &c, logits, NULL, &labels, &err));
    CHECK_OK(fab_volume_resample(s.labels, &c.grid, FAB_NEAREST, 0, &back, &err));
    CHECK(memcmp(fab_volume_data(labels), fab_volume_data(back), fab_volume_bytes(labels)) == 0);
    fab_volume_unref(labels);
    fab_volume_unref(back);
    fab_nnunet_soft_free(&s);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(codes_keep_their_precision), TEST(labels_and_shares),
        TEST(the_fine_layer_is_that_written_down), TEST(a_fine_lattice_stays),
        TEST(rings_make_the_same), TEST(regions_lead_until_a_change),
        TEST(the_lattice_lies_where_the_labels_do)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
