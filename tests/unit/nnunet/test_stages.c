/* test_stages.c - preparing, sliding and finishing against the same thing written down plainly:
 * whole arrays, one voxel at a time. */
#include "kernels.h"
#include "nnunet_internal.h"
#include "harness.h"

static fab_error err;

static float as_half(double v) /* by the plain kernels, which test_small_golden holds to numpy */
{
    float best = -INFINITY;
    int32_t label = 0;
    fab_nnunet_kernels_at(0)->keep_best(&v, &v, 0.0, 1, &best, &label, 1);
    return best;
}

static uint16_t half_bits(float v)
{
    uint16_t h;
    fab_nnunet_kernels_at(0)->float_to_half(&v, &h, 1);
    return h;
}

static float half_value(uint16_t h)
{
    float v;
    fab_nnunet_kernels_at(0)->half_to_float(&h, &v, 1);
    return v;
}

static fab_nnunet_plan small_plan(int heads)
{
    fab_nnunet_plan p = {.channels = 1, .transpose_forward = {0, 1, 2},
                         .transpose_backward = {0, 1, 2}, .spacing_mm = {1, 1, 1},
                         .patch = {6, 8, 10}, .data = {3, 0, -1}, .probabilities = {1, 0, -1},
                         .ignore_value = -1, .head_count = heads};
    p.net.classes = heads;
    p.channel[0].norm = FAB_NNUNET_NONE;
    for (int h = 0; h < heads; h++) p.head[h].value = h;
    return p;
}

static fab_volume *image(int x, int y, int z, const double spacing[3], fab_dtype type)
{
    fab_grid g = {.size = {x, y, z}};
    fab_volume *v = NULL;
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = spacing[a];
    CHECK_OK(fab_volume_create(&g, type, &v, &err));
    memset(fab_volume_data_mut(v), 0, fab_volume_bytes(v));
    return v;
}

static const double ones[3] = {1, 1, 1};

/* ---- prepare ---------------------------------------------------------------------------- */

static fab_nnunet_case prepared(const fab_nnunet_plan *plan, fab_volume *v)
{
    fab_nnunet_case c;
    CHECK_OK(fab_nnunet_prepare(plan, (const fab_volume *const[]){v}, NULL, &c, &err));
    return c;
}

static void crops_to_what_is_not_zero(void)
{
    fab_nnunet_plan plan = small_plan(2);
    fab_volume *v = image(9, 8, 7, ones, FAB_I16);
    int16_t *data = fab_volume_data_mut(v);
    data[2 + 9 * (3 + 8 * 1)] = 5;
    data[6 + 9 * (4 + 8 * 3)] = -7;
    fab_nnunet_case c = prepared(&plan, v);
    static const int box[3][2] = {{1, 4}, {3, 5}, {2, 7}};
    CHECK(memcmp(c.box, box, sizeof box) == 0);
    CHECK(c.size[0] == 3 && c.size[1] == 2 && c.size[2] == 5);
    CHECK(c.data[0] == 5.0f && c.data[3 * 2 * 5 - 1] == -7.0f);
    fab_nnunet_case_free(&c);
    memset(data, 0, fab_volume_bytes(v)); /* nothing at all: the whole image */
    c = prepared(&plan, v);
    CHECK(c.box[0][0] == 0 && c.box[0][1] == 7 && c.box[2][1] == 9);
    fab_nnunet_case_free(&c);
    fab_volume_unref(v);
}

static void axes_follow_reader_and_transpose(void)
{
    fab_nnunet_plan plan = small_plan(2);
    memcpy(plan.transpose_forward, (int[]){2, 0, 1}, sizeof plan.transpose_forward);
    memcpy(plan.spacing_mm, (double[]){1, 3, 2}, sizeof plan.spacing_mm);
    fab_volume *v = image(4, 3, 2, (double[]){1, 2, 3}, FAB_F32); /* i to L, j to P, k to S */
    float *data = fab_volume_data_mut(v);
    for (int i = 0; i < 24; i++) data[i] = (float)(i + 1);
    fab_nnunet_case c = prepared(&plan, v);
    CHECK(c.size[0] == 4 && c.size[1] == 2 && c.size[2] == 3); /* x, z, y */
    for (int x = 0; x < 4; x++)
        for (int z = 0; z < 2; z++)
            for (int y = 0; y < 3; y++)
                CHECK(c.data[(x * 2 + z) * 3 + y] == data[x + 4 * (y + 3 * z)]);
    fab_nnunet_case_free(&c);
    plan.reorients = true; /* RAS: x and y run the other way */
    c = prepared(&plan, v);
    for (int x = 0; x < 4; x++)
        for (int z = 0; z < 2; z++)
            for (int y = 0; y < 3; y++)
                CHECK(c.data[(x * 2 + z) * 3 + y] == data[3 - x + 4 * (2 - y + 3 * z)]);
    fab_nnunet_case_free(&c);
    fab_volume_unref(v);
}

static void masked_score_fills_holes(void)
{
    fab_nnunet_plan plan = small_plan(2);
    plan.channel[0] = (fab_nnunet_channel){.norm = FAB_NNUNET_ZSCORE, .use_mask = true};
    fab_volume *v = image(7, 7, 7, ones, FAB_F32);
    float *data = fab_volume_data_mut(v);
    for (int i = 0; i < 343; i++) { /* a cube with a hole, and a notch open to the outside */
        const int x = i % 7, y = i / 7 % 7, z = i / 49;
        data[i] = (float)(1 + (i * 31) % 17);
        if (x == 3 && y == 3 && z == 3) data[i] = 0;
        if (x <= 2 && y == 2 && z == 2) data[i] = 0;
    }
    double sum = 0, squares = 0;
    int inside = 0;
    for (int i = 0; i < 343; i++) {
        if (i % 7 <= 2 && i / 7 % 7 == 2 && i / 49 == 2) continue;
        sum += data[i];
        inside++;
    }
    for (int i = 0; i < 343; i++)
        if (!(i % 7 <= 2 && i / 7 % 7 == 2 && i / 49 == 2))
            squares += (data[i] - sum / inside) * (data[i] - sum / inside);
    fab_nnunet_case c = prepared(&plan, v);
    const double deviation = sqrt(squares / inside);
    for (int i = 0; i < 343; i++) {
        const bool outside = i % 7 <= 2 && i / 7 % 7 == 2 && i / 49 == 2;
        CHECK_NEAR(c.data[i], outside ? 0.0 : (data[i] - sum / inside) / deviation, 1e-6);
    }
    fab_threads_set(3);
    fab_nnunet_case again = prepared(&plan, v);
    fab_threads_set(0);
    CHECK(memcmp(again.data, c.data, 343 * sizeof *c.data) == 0);
    fab_nnunet_case_free(&again);
    fab_nnunet_case_free(&c);
    fab_volume_unref(v);
}

static void other_normalisations(void)
{
    fab_nnunet_plan plan = small_plan(2);
    fab_volume *v = image(3, 2, 2, ones, FAB_I16);
    int16_t *data = fab_volume_data_mut(v);
    for (int i = 0; i < 12; i++) data[i] = (int16_t)(10 + 20 * i);
    plan.channel[0] = (fab_nnunet_channel){.norm = FAB_NNUNET_RESCALE_01};
    fab_nnunet_case c = prepared(&plan, v);
    CHECK(c.data[0] == 0.0f && c.data[11] == 1.0f && c.data[1] == 20.0f / 220.0f);
    fab_nnunet_case_free(&c);
    plan.channel[0].norm = FAB_NNUNET_RGB_01;
    c = prepared(&plan, v);
    CHECK(c.data[1] == 30.0f / 255.0f);
    fab_nnunet_case_free(&c);
    plan.channel[0] = (fab_nnunet_channel){.norm = FAB_NNUNET_CT, .mean = 50, .std = 4, .low = 20,
                                           .high = 100};
    c = prepared(&plan, v);
    CHECK(c.data[0] == -7.5f && c.data[1] == -5.0f && c.data[11] == 12.5f);
    fab_nnunet_case_free(&c);
    data[0] = -1;
    plan.channel[0].norm = FAB_NNUNET_RGB_01;
    CHECK_FAILS(FAB_ERR_UNSUPPORTED, "RGB",
                fab_nnunet_prepare(&plan, (const fab_volume *const[]){v}, NULL, &c, &err));
    fab_volume_unref(v);
}

static void refuses_sizes_the_network_cannot_see(void)
{
    fab_nnunet_plan plan = small_plan(2);
    fab_nnunet_case c;
    fab_volume *v = image(3, 1, 2, ones, FAB_I16);
    plan.spacing_mm[1] = 2; /* round(0.5) is 0 */
    CHECK_FAILS(FAB_ERR_LIMIT, "needs 1 to",
                fab_nnunet_prepare(&plan, (const fab_volume *const[]){v}, NULL, &c, &err));
    fab_volume_unref(v);
}

/* ---- slide ------------------------------------------------------------------------------ */

enum { STAGE_LABELS = 3 }; /* of a cascade's case, beside its one image */

typedef struct fake_net {
    const fab_nnunet_plan *plan;
    int calls;
} fake_net;

/* A "network" that tells places apart: value depends on the patch's content around the voxel. */
static float fake_logit(const float *patch, const int *size, int z, int y, int x, int head)
{
    const int before = x ? x - 1 : x, above = y ? y - 1 : y;
    const float a = patch[(z * size[1] + y) * size[2] + x];
    const float b = patch[(z * size[1] + y) * size[2] + before];
    const float c = patch[(z * size[1] + above) * size[2] + x];
    const float is = patch[(((1 + head % STAGE_LABELS) * size[0] + z) * size[1] + y) * size[2] + x];
    return 0.3f * is + a * (float)(head + 1) - b * 0.7f + c * 0.01f * (float)(head * head) + 0.1f;
}

static fab_status fake_run(void *ctx, const float *patch, fab_net_sink sink, void *sink_ctx,
                           fab_error *e)
{
    fake_net *net = ctx;
    const int *size = net->plan->patch;
    enum { PITCH = 16 };
    float logits[5 * PITCH];
    (void)e;
    net->calls++;
    for (int z = 0; z < size[0]; z++)
        for (int y = 0; y < size[1]; y++)
            for (int x = 0; x < size[2]; x += 5) { /* rows come in pieces */
                for (int i = 0; i < 5; i++)
                    for (int h = 0; h < PITCH; h++)
                        logits[i * PITCH + h] =
                            h < net->plan->head_count
                                ? fake_logit(patch, size, z, y, x + i, h) : 0;
                sink(sink_ctx, z, y, x, 5, logits, PITCH);
            }
    return FAB_OK;
}

/* One view of the window at `at`, its logits where the window has them. */
static void plain_view(const fab_nnunet_plan *plan, const fab_nnunet_case *c, const int at[3],
                       const bool flip[3], float *view, float *into, bool add)
{
    const int *p = plan->patch;
    for (int i = 0; i < p[0] * p[1] * p[2]; i++) {
        int v[3] = {i / p[2] / p[1], i / p[2] % p[1], i % p[2]};
        bool inside = true;
        for (int a = 0; a < 3; a++) {
            const int low = (p[a] > c->size[a] ? p[a] - c->size[a] : 0) / 2;
            v[a] = at[a] - low + (flip[a] ? p[a] - 1 - v[a] : v[a]);
            inside = inside && v[a] >= 0 && v[a] < c->size[a];
        }
        const int voxel = (v[0] * c->size[1] + v[1]) * c->size[2] + v[2];
        view[i] = inside ? c->data[voxel] : 0;
        for (int k = 1; k <= STAGE_LABELS; k++)
            view[k * p[0] * p[1] * p[2] + i] = inside && c->stage[voxel] == k ? 1.0f : 0.0f;
    }
    for (int h = 0; h < plan->head_count; h++)
        for (int i = 0; i < p[0] * p[1] * p[2]; i++) {
            int v[3] = {i / p[2] / p[1], i / p[2] % p[1], i % p[2]};
            const float logit = fake_logit(view, p, v[0], v[1], v[2], h);
            for (int a = 0; a < 3; a++) v[a] = flip[a] ? p[a] - 1 - v[a] : v[a];
            float *to = &into[((h * p[0] + v[0]) * p[1] + v[1]) * p[2] + v[2]];
            *to = add ? *to + logit : logit;
        }
}

/* nnU-Net's way: padded arrays of everything. */
static void plain_slide(const fab_nnunet_plan *plan, const fab_nnunet_case *c, const bool *mirror,
                        uint16_t *logits)
{
    static const bool views[8][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1},
                                     {1, 1, 0}, {1, 0, 1}, {0, 1, 1}, {1, 1, 1}};
    const int *p = plan->patch, heads = plan->head_count;
    const int patch = p[0] * p[1] * p[2];
    int full[3], low[3], starts[3][32], count[3], used = 0;
    for (int a = 0; a < 3; a++) {
        full[a] = c->size[a] > p[a] ? c->size[a] : p[a];
        low[a] = (full[a] - c->size[a]) / 2;
        count[a] = fab_nnunet_window_starts(full[a], p[a], 0.5, starts[a]);
    }
    const size_t voxels = (size_t)full[0] * (size_t)full[1] * (size_t)full[2];
    float *sum = fab_calloc(voxels * (size_t)heads, sizeof *sum), *weight = fab_calloc(voxels, 4);
    float *view = fab_alloc_array((size_t)patch * (1 + STAGE_LABELS), 4);
    float *out = fab_calloc((size_t)(patch * heads), 4);
    uint16_t *gauss = fab_alloc_array((size_t)patch, sizeof *gauss);
    CHECK(sum && weight && view && out && gauss);
    CHECK_OK(fab_nnunet_gaussian(p, gauss, &err));
    for (int w = 0; w < count[0] * count[1] * count[2]; w++) {
        const int at[3] = {starts[0][w / count[2] / count[1]], starts[1][w / count[2] % count[1]],
                           starts[2][w % count[2]]};
        used = 0;
        for (int v = 0; v < 8; v++) {
            bool allowed = true;
            for (int a = 0; a < 3; a++) allowed = allowed && (!views[v][a] || mirror[a]);
            if (!allowed) continue;
            plain_view(plan, c, at, views[v], view, out, used > 0);
            used++;
        }
        for (int i = 0; i < patch; i++) {
            const int z = at[0] + i / p[2] / p[1], y = at[1] + i / p[2] % p[1],
                      x = at[2] + i % p[2];
            const size_t to = ((size_t)z * (size_t)full[1] + (size_t)y) * (size_t)full[2] +
                              (size_t)x;
            const float g = half_value(gauss[i]);
            weight[to] = as_half(weight[to] + g);
            for (int h = 0; h < heads; h++) {
                float *s = &sum[(size_t)h * voxels + to];
                const float product = out[h * patch + i] / (float)used * g;
                *s = half_value(half_bits(*s + product));
            }
        }
    }
    size_t n = 0;
    for (int z = 0; z < c->size[0]; z++)
        for (int y = 0; y < c->size[1]; y++)
            for (int h = 0; h < heads; h++)
                for (int x = 0; x < c->size[2]; x++) {
                    const size_t from = ((size_t)(z + low[0]) * (size_t)full[1] +
                                         (size_t)(y + low[1])) * (size_t)full[2] +
                                        (size_t)(x + low[2]);
                    logits[n++] = half_bits(sum[(size_t)h * voxels + from] / weight[from]);
                }
    fab_free(sum);
    fab_free(weight);
    fab_free(view);
    fab_free(out);
    fab_free(gauss);
}

static fab_nnunet_case random_case(const int size[3], uint64_t seed)
{
    fab_nnunet_case c = {.channels = 1, .stage_labels = STAGE_LABELS};
    fab_rng rng;
    fab_rng_seed(&rng, seed, 1);
    const size_t count = (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
    c.data = fab_alloc_array(count, sizeof *c.data);
    c.stage = fab_alloc_array(count, sizeof *c.stage);
    CHECK(c.data && c.stage);
    for (size_t i = 0; i < count; i++) {
        c.data[i] = (float)fab_rng_normal(&rng);
        c.stage[i] = (uint16_t)(fab_rng_u32(&rng) % (STAGE_LABELS + 1));
    }
    for (int a = 0; a < 3; a++) c.size[a] = size[a];
    return c;
}

typedef struct ring_check {
    const uint16_t *expected, *ring;
    const int *size;
    int heads, depth, before, calls;
} ring_check;

/* Planes that have become final, and the one before them, are where they should be. */
static fab_status check_ring(void *ctx, int planes, fab_error *e)
{
    ring_check *r = ctx;
    const int plane = r->heads * r->size[1] * r->size[2];
    (void)e;
    CHECK(planes > r->before && planes <= r->size[0]);
    for (int z = r->before ? r->before - 1 : 0; z < planes; z++)
        CHECK(memcmp(r->ring + z % r->depth * plane, r->expected + z * plane,
                     (size_t)plane * 2) == 0);
    r->before = planes;
    r->calls++;
    return FAB_OK;
}

/* The same logits when only the fewest planes are kept, for either kind of sums. */
static void check_slide_ring(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                             fab_nnunet_slide_options o, const uint16_t *expected)
{
    const int depth = fab_nnunet_slide_depth(plan, c), heads = plan->head_count;
    const size_t count = (size_t)(heads * depth * c->size[1] * c->size[2]);
    uint16_t *ring = fab_alloc_array(count, 2);
    CHECK(ring && depth <= plan->patch[0] + 1);
    memset(ring, 0xff, count * 2);
    fake_net net = {.plan = plan};
    ring_check check = {expected, ring, c->size, heads, depth, 0, 0};
    o.depth = depth;
    o.ready = check_ring;
    o.ready_ctx = &check;
    CHECK_OK(fab_nnunet_slide(plan, c, &o, fake_run, &net, ring, &err));
    CHECK(check.before == c->size[0]);
    const int rows = c->size[0] <= plan->patch[0]
                         ? 1 : fab_nnunet_window_starts(c->size[0], plan->patch[0], 0.5, NULL);
    CHECK(check.calls == rows);
    fab_free(ring);
}

static void check_slide(const int size[3], const bool mirror[3], int heads)
{
    fab_nnunet_plan plan = small_plan(heads);
    fab_nnunet_case c = random_case(size, (uint64_t)(size[0] + heads));
    const size_t count = (size_t)heads * (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
    uint16_t *expected = fab_alloc_array(count, 2), *got = fab_alloc_array(count, 2);
    CHECK(expected && got);
    plain_slide(&plan, &c, mirror, expected);
    fake_net net = {.plan = &plan};
    fab_nnunet_slide_options o = {.step = 0.5, .exact = true,
                                  .mirror = {mirror[0], mirror[1], mirror[2]}};
    memset(got, 0xff, count * 2);
    CHECK_OK(fab_nnunet_slide(&plan, &c, &o, fake_run, &net, got, &err));
    CHECK(memcmp(got, expected, count * 2) == 0);
    check_slide_ring(&plan, &c, o, expected);
    o.add = true; /* a second fold of the same weights, through the ring, then the mean */
    CHECK_OK(fab_nnunet_slide(&plan, &c, &o, fake_run, &net, got, &err));
    for (size_t i = 0; i < count; i++)
        CHECK(got[i] == half_bits(half_value(expected[i]) + half_value(expected[i])));
    fab_nnunet_mean_of_folds(got, (int64_t)count, 2);
    CHECK(memcmp(got, expected, count * 2) == 0);
    o.add = o.exact = false; /* fp32 sums lie near */
    CHECK_OK(fab_nnunet_slide(&plan, &c, &o, fake_run, &net, got, &err));
    for (size_t i = 0; i < count; i++)
        CHECK_NEAR(half_value(got[i]), half_value(expected[i]), 0.6);
    check_slide_ring(&plan, &c, o, got);
    fab_free(expected);
    fab_free(got);
    fab_nnunet_case_free(&c);
}

static void slides_as_written_down(void)
{
    check_slide((int[]){6, 8, 10}, (bool[]){false, false, false}, 2);
    check_slide((int[]){13, 19, 31}, (bool[]){false, false, false}, 3);
    check_slide((int[]){40, 8, 10}, (bool[]){false, false, false}, 2);
    check_slide((int[]){3, 11, 7}, (bool[]){true, false, true}, 4); /* padded, odd */
    check_slide((int[]){11, 8, 12}, (bool[]){true, true, true}, 5);
}

static fab_status huge_run(void *ctx, const float *patch, fab_net_sink sink, void *sink_ctx,
                           fab_error *e)
{
    const fake_net *net = ctx;
    const int *size = net->plan->patch;
    float logits[20];
    (void)patch;
    (void)e;
    for (int i = 0; i < 20; i++) logits[i] = 7000; /* times 10 at the peak of the Gaussian */
    for (int z = 0; z < size[0]; z++)
        for (int y = 0; y < size[1]; y++) sink(sink_ctx, z, y, 0, size[2], logits, 2);
    return FAB_OK;
}

static void overflow_is_told(void)
{
    fab_nnunet_plan plan = small_plan(2);
    fab_nnunet_case c = random_case(plan.patch, 3);
    uint16_t logits[2 * 6 * 8 * 10];
    fake_net net = {.plan = &plan};
    fab_nnunet_slide_options o = {.step = 0.5, .exact = true};
    CHECK_FAILS(FAB_ERR_LIMIT, "too large",
                fab_nnunet_slide(&plan, &c, &o, huge_run, &net, logits, &err));
    o.step = 0;
    CHECK_FAILS(FAB_ERR_ARG, "step",
                fab_nnunet_slide(&plan, &c, &o, huge_run, &net, logits, &err));
    fab_nnunet_case_free(&c);
}

/* ---- finish ----------------------------------------------------------------------------- */

/* Order 1 along one axis, or nearest. */
static void line_at(int k, int n, int m, bool nearest, int place[2], double *t)
{
    const double x = fmin(fmax(fab_nnunet_coordinate(k, n, m), 0.0), n - 1.0);
    place[0] = nearest ? fab_nnunet_nearest(k, n, m) : (int)floor(x);
    place[1] = nearest || place[0] + 1 >= n ? place[0] : place[0] + 1;
    *t = nearest ? 0.0 : x - place[0];
}

static double mix(double a, double b, double t) { return a * (1.0 - t) + b * t; }

/* logits: the head's first row; rows of one head are `row_step` apart */
static float plain_logit(const uint16_t *logits, int row_step, const int *size, const int to[3],
                         const int v[3], int separate)
{
    int p[3][2];
    double t[3], row[2];
    for (int a = 0; a < 3; a++) line_at(v[a], size[a], to[a], a == separate, p[a], &t[a]);
    for (int y = 0; y < 2; y++) {
        double pair[2];
        for (int x = 0; x < 2; x++) {
            const int at = p[1][y] * row_step + p[2][x], plane = size[1] * row_step;
            pair[x] = mix(half_value(logits[p[0][0] * plane + at]),
                          half_value(logits[p[0][1] * plane + at]), t[0]);
        }
        row[y] = mix(pair[0], pair[1], t[2]);
    }
    return as_half(mix(row[0], row[1], t[1]));
}

static int plain_label(const fab_nnunet_plan *plan, const uint16_t *logits, const int *size,
                       const int to[3], const int v[3], int separate)
{
    int label = 0;
    float best = -INFINITY;
    for (int h = 0; h < plan->head_count; h++) {
        const float l = plain_logit(logits + h * size[2], plan->head_count * size[2], size, to,
                                    v, separate);
        if (plan->regions ? 1.0f / (1.0f + expf(-l)) > 0.5f : l > best) label = plan->head[h].value;
        best = l > best ? l : best;
    }
    return label;
}

/* Smooth fields of few values, so that ties and certain cells both happen. */
static void fill_logits(uint16_t *logits, int heads, const int *size, uint64_t seed)
{
    fab_rng rng;
    fab_rng_seed(&rng, seed, 2);
    for (int h = 0; h < heads; h++) {
        const double z0 = fab_rng_range(&rng, 0, size[0]), y0 = fab_rng_range(&rng, 0, size[1]),
                     x0 = fab_rng_range(&rng, 0, size[2]);
        for (int i = 0; i < size[0] * size[1] * size[2]; i++) {
            const double z = i / size[2] / size[1] - z0, y = i / size[2] % size[1] - y0,
                         x = i % size[2] - x0;
            const double v = 4 - 0.1 * (x * x + y * y + z * z) + 0.3 * fab_rng_normal(&rng);
            logits[(i / size[2] * heads + h) * size[2] + i % size[2]] =
                half_bits((float)(floor(v * 4) / 4));
        }
    }
}

typedef struct finish_shape {
    int size[3], to[3], heads, values; /* values: the first label */
    bool regions;
    double spacing0_mm;
} finish_shape;

/* The same labels when logits come plane by plane and only two are kept. */
static void check_finish_ring(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                              const uint16_t *logits, const fab_volume *expected)
{
    const size_t plane = (size_t)(plan->head_count * c->size[1] * c->size[2]);
    uint16_t *ring = fab_calloc(2 * plane, 2);
    fab_nnunet_finisher *f = NULL;
    CHECK(ring);
    CHECK_OK(fab_nnunet_finisher_create(plan, c, ring, 2, NULL, &f, &err));
    for (int z = 0; z < c->size[0]; z++) {
        memcpy(ring + (size_t)(z % 2) * plane, logits + (size_t)z * plane, plane * 2);
        CHECK_OK(fab_nnunet_finisher_planes(f, z + 1, &err));
    }
    fab_volume *labels = fab_nnunet_finisher_take(f);
    CHECK(fab_volume_bytes(labels) == fab_volume_bytes(expected));
    CHECK(memcmp(fab_volume_data(labels), fab_volume_data(expected), fab_volume_bytes(labels)) ==
          0);
    fab_volume_unref(labels);
    fab_nnunet_finisher_free(f);
    fab_free(ring);
}

static void check_finish(const finish_shape *f)
{
    fab_nnunet_plan plan = small_plan(f->heads);
    plan.regions = f->regions;
    for (int h = 0; h < f->heads; h++) plan.head[h].value = h || f->regions ? h + f->values : 0;
    memcpy(plan.transpose_forward, (int[]){1, 0, 2}, sizeof plan.transpose_forward);
    fab_nnunet_case c = {.axis_of = {2, 1, 0}, .flipped = {false, true, true},
                         .spacing_mm = {f->spacing0_mm, 1, 1}};
    for (int a = 0; a < 3; a++) {
        c.size[a] = f->size[a];
        c.box[a][0] = a; /* pasted off the corner */
        c.box[a][1] = a + f->to[a];
        c.whole[a] = a + f->to[a] + 1;
        c.grid.size[c.axis_of[plan.transpose_forward[a]]] = c.whole[a];
        c.grid.world_from_voxel.m[a][a] = 1;
    }
    const int separate = f->spacing0_mm > 3 ? 0 : -1;
    const size_t count = (size_t)(f->heads * f->size[0] * f->size[1] * f->size[2]);
    uint16_t *logits = fab_alloc_array(count, 2);
    CHECK(logits);
    fill_logits(logits, f->heads, f->size, count);
    fab_volume *labels = NULL;
    CHECK_OK(fab_nnunet_finish(&plan, &c, logits, NULL, &labels, &err));
    CHECK(fab_volume_dtype(labels) == (f->values + f->heads > 256 ? FAB_U16 : FAB_U8));
    int wrong = 0, seen = 0;
    for (int z = 0; z < c.whole[0]; z++)
        for (int y = 0; y < c.whole[1]; y++)
            for (int x = 0; x < c.whole[2]; x++) {
                const int v[3] = {z - c.box[0][0], y - c.box[1][0], x - c.box[2][0]};
                int expected = 0;
                if (v[0] >= 0 && v[1] >= 0 && v[2] >= 0 && v[0] < f->to[0] && v[1] < f->to[1] &&
                    v[2] < f->to[2])
                    expected = plain_label(&plan, logits, f->size, f->to, v, separate);
                /* transposed (z, y, x) is nnU-Net's (y, z, x); its axes 1 and 2 are flipped */
                wrong += (int)fab_volume_get(labels, c.whole[2] - 1 - x, c.whole[0] - 1 - z, y) !=
                         expected;
                seen += expected != 0;
            }
    CHECK(wrong == 0 && seen > 0);
    check_finish_ring(&plan, &c, logits, labels);
    fab_volume_unref(labels);
    fab_free(logits);
}

static void finishes_as_written_down(void)
{
    static const finish_shape shapes[] = {
        {{7, 9, 11}, {12, 15, 20}, 5, 0, false, 1},     {{8, 8, 20}, {8, 8, 20}, 3, 0, false, 1},
        {{9, 14, 13}, {5, 6, 7}, 30, 0, false, 1},      {{6, 7, 8}, {13, 90, 9}, 4, 300, false, 1},
        {{7, 9, 11}, {12, 15, 20}, 6, 2, true, 1},      {{10, 9, 8}, {4, 17, 16}, 4, 0, false, 5},
        {{1, 1, 1}, {3, 4, 5}, 2, 1, true, 1},
        {{4, 30, 70}, {9, 45, 141}, 12, 0, false, 1},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int threads = 1; threads <= 64; threads *= 8) {
            fab_threads_set(threads);
            check_finish(&shapes[i]);
        }
    fab_threads_set(0);
}

/* Region heads count from 2^-23 on: every fp16 value by its own sigmoid. */
static void regions_where_the_sigmoid_says(void)
{
    for (int i = 0; i < 0x10000; i++) {
        const float v = half_value((uint16_t)i);
        if (isnan(v)) continue;
        CHECK((1.0f / (1.0f + expf(-v)) > 0.5f) == (v >= 0x1p-23f));
    }
}

int main(void)
{
    return fab_test_run(
        (fab_test[]){TEST(crops_to_what_is_not_zero), TEST(axes_follow_reader_and_transpose),
                     TEST(masked_score_fills_holes), TEST(other_normalisations),
                     TEST(refuses_sizes_the_network_cannot_see), TEST(slides_as_written_down),
                     TEST(overflow_is_told), TEST(finishes_as_written_down),
                     TEST(regions_where_the_sigmoid_says)}, 9);
}
