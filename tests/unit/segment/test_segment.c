/* test_segment.c - the whole step on the small golden network: windows, lattices, labels. */
#include "harness.h"
#include "segment_internal.h"

#define CLASSES 5

static fab_error err;

static const char *package(const char *name, char *into)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(into, FAB_MAX_PATH_BYTES, "%s/tests/golden/unet_tiny/%s", root ? root : ".", name);
    return into;
}

static float *read_floats(const char *name, size_t count)
{
    char path[FAB_MAX_PATH_BYTES];
    FILE *f = fopen(package(name, path), "rb");
    CHECK(f);
    float *values = malloc(count * sizeof *values);
    CHECK(values && fread(values, sizeof *values, count, f) == count);
    fclose(f);
    return values;
}

/* The golden package with every component kept, whatever its size; optionally mirrored. */
static fab_model *load_mirrored(bool mirror)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_json *card = NULL, *post = fab_json_object(), *rule = fab_json_object();
    fab_reader weights = {0};
    fab_model *m = NULL;
    CHECK_OK(fab_json_load_file(package("model.json", path), &card, &err));
    CHECK_OK(fab_json_set(rule, "min_component_ml", fab_json_real(0.0), &err));
    CHECK_OK(fab_json_set(post, "default", rule, &err));
    CHECK_OK(fab_json_set(card, "postprocess", post, &err));
    fab_json *axes = fab_json_array();
    for (int a = 0; mirror && a < 3; a++) CHECK_OK(fab_json_append(axes, fab_json_int(a), &err));
    const fab_json *inference = fab_json_find(card, "inference");
    CHECK_OK(fab_json_set((fab_json *)(uintptr_t)inference, "mirror_axes", axes, &err));
    CHECK_OK(fab_reader_open_file(package("weights.safetensors", path), &weights, &err));
    CHECK_OK(fab_model_load_parts(card, "model.json", &weights, FAB_PRECISION_FP32, &m, &err));
    fab_reader_close(&weights);
    fab_json_free(card);
    return m;
}

static fab_model *load_model(void)
{
    return load_mirrored(false);
}

static fab_grid grid_of(int nx, int ny, int nz, double mm)
{
    fab_grid g = {.size = {nx, ny, nz}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = mm;
    return g;
}

static fab_volume *volume_of(const fab_grid *g, const float *values)
{
    fab_volume *v = NULL;
    CHECK_OK(fab_volume_create(g, FAB_F32, &v, &err));
    float *to = fab_volume_data_mut(v);
    for (int64_t i = 0; i < fab_grid_voxels(g); i++) to[i] = values[i] * 300.0f - 50.0f;
    return v;
}

/* Class of a result's value: values are 1, 2, {3, 4} for the split third class, 5. */
static int class_of(int value)
{
    return value <= 3 ? value : value - 1;
}

static int argmax(const float *logits, size_t stride)
{
    int best = 0;
    for (int c = 1; c < CLASSES; c++)
        if (logits[(size_t)c * stride] > logits[(size_t)best * stride]) best = c;
    return best;
}

static void one_window_gives_pytorchs_classes(void)
{
    const size_t n = 8 * 12 * 16;
    float *input = read_floats("input.bin", n), *logits = read_floats("logits.bin", n * CLASSES);
    fab_grid g = grid_of(16, 12, 8, 4.0);
    fab_volume *image = volume_of(&g, input);
    fab_model *m = load_model();
    fab_segment_result r;
    CHECK_OK(fab_segment(m, image, NULL, &r, &err));
    CHECK(r.patches == 1 && r.set.count == 5);
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        const int is = (int)((const uint8_t *)fab_volume_data(r.labels))[i];
        wrong += class_of(is) != argmax(logits + i, n);
    }
    CHECK(wrong == 0);
    CHECK(fab_grid_equal(fab_volume_grid(r.labels), &g, 1e-9));
    fab_segment_result_free(&r);
    fab_model_free(m);
    fab_volume_unref(image);
    free(input);
    free(logits);
}


/* ---- many windows, against a direct restatement ------------------------------------------- */

static fab_volume *noise_volume(const fab_grid *g, uint64_t seed)
{
    fab_volume *v = NULL;
    fab_rng rng;
    fab_rng_seed(&rng, seed, 8);
    CHECK_OK(fab_volume_create(g, FAB_I16, &v, &err));
    int16_t *to = fab_volume_data_mut(v);
    for (int64_t i = 0; i < fab_grid_voxels(g); i++) to[i] = (int16_t)(400 * fab_rng_normal(&rng));
    fab_volume *smooth = NULL, *result = NULL;
    CHECK_OK(fab_volume_gaussian(v, (double[]){1, 1, 1}, &smooth, &err));
    CHECK_OK(fab_volume_convert(smooth, FAB_I16, &result, &err));
    fab_volume_unref(v);
    fab_volume_unref(smooth);
    return result;
}

typedef struct whole {
    const fab_model *m;
    int size[3];
    float *logits; /* of one patch, classes x patch */
    double *sum, *weight;
} whole;

/* All windows' logits in one double array: what the sliding window must amount to. */
static void add_window(whole *w, const float *image, const int at[3])
{
    const int *p = w->m->patch, *n = w->size, count = p[0] * p[1] * p[2];
    fab_net_session *session = NULL;
    float *in = malloc((size_t)count * sizeof *in);
    CHECK(in);
    for (int i = 0; i < count; i++) {
        const int z = at[0] + i / (p[1] * p[2]), y = at[1] + i / p[2] % p[1], x = at[2] + i % p[2];
        in[i] = image[(z * n[1] + y) * n[2] + x];
    }
    CHECK_OK(fab_net_session_create(w->m->net, p, &session, &err));
    CHECK_OK(fab_net_session_logits(session, in, w->logits, &err));
    for (int i = 0; i < count; i++) {
        const int d[3] = {i / (p[1] * p[2]), i / p[2] % p[1], i % p[2]};
        double g = 1;
        for (int a = 0; a < 3; a++) {
            const double far = (d[a] - p[a] / 2) / (0.125 * p[a]);
            g *= exp(-0.5 * far * far);
        }
        const int to = ((at[0] + d[0]) * n[1] + at[1] + d[1]) * n[2] + at[2] + d[2];
        w->weight[to] += g;
        for (int c = 0; c < CLASSES; c++)
            w->sum[to * CLASSES + c] += g * (double)w->logits[c * count + i];
    }
    fab_net_session_free(session);
    free(in);
}

/* Class at a voxel of the image: all logits interpolated, the largest taken. */
static int class_at(const whole *w, const int image[3], const double mm[3], const int v[3])
{
    double sum[CLASSES] = {0};
    for (int k = 0; k < 8; k++) {
        double share = 1;
        int at[3];
        for (int a = 0; a < 3; a++) {
            const double p = (v[a] - (image[a] - 1) / 2.0) * mm[a] / 4 + (w->size[a] - 1) / 2.0;
            const double inside = fmin(fmax(p, 0), w->size[a] - 1);
            const int low = (int)fmin(floor(inside), w->size[a] - 2);
            at[a] = low + (k >> a & 1);
            share *= k >> a & 1 ? inside - low : 1 - (inside - low);
        }
        const int i = (at[0] * w->size[1] + at[1]) * w->size[2] + at[2];
        for (int c = 0; c < CLASSES; c++) sum[c] += share * w->sum[i * CLASSES + c] / w->weight[i];
    }
    int best = 0;
    for (int c = 1; c < CLASSES; c++)
        if (sum[c] > sum[best]) best = c;
    return best;
}

static void many_windows_equal_a_direct_restatement(void)
{
    const double mm[3] = {5, 3, 2.5};
    const int n[3] = {14, 33, 50}; /* z, y, x */
    fab_grid g = {.size = {n[2], n[1], n[0]}};
    for (int w = 0; w < 3; w++) g.world_from_voxel.m[w][w] = mm[2 - w];
    fab_volume *image = noise_volume(&g, 3);
    fab_model *m = load_model();
    const fab_view view = fab_view_of(&g);
    whole w = {.m = m};
    float *net_image = NULL;
    CHECK_OK(fab_network_size(m, &view, w.size, &err));
    CHECK(w.size[0] == 18 && w.size[1] == 25 && w.size[2] == 32);
    CHECK_OK(fab_preprocess(m, image, &view, w.size, w.size, (int[]){0, 0, 0}, &net_image, &err));
    const size_t voxels = (size_t)w.size[0] * (size_t)w.size[1] * (size_t)w.size[2];
    w.logits = malloc(CLASSES * 8 * 12 * 16 * sizeof *w.logits);
    w.sum = calloc(voxels * CLASSES, sizeof *w.sum);
    w.weight = calloc(voxels, sizeof *w.weight);
    CHECK(w.logits && w.sum && w.weight);
    static const int z[4] = {0, 3, 7, 10}, y[4] = {0, 4, 9, 13}, x[3] = {0, 8, 16};
    for (int i = 0; i < 48; i++)
        add_window(&w, net_image, (int[]){z[i / 12], y[i / 3 % 4], x[i % 3]});
    fab_segment_result r;
    CHECK_OK(fab_segment(m, image, NULL, &r, &err));
    CHECK(r.patches == 48);
    int wrong = 0;
    for (int i = 0; i < n[0] * n[1] * n[2]; i++) {
        const int v[3] = {i / (n[1] * n[2]), i / n[2] % n[1], i % n[2]};
        wrong += class_of(((const uint8_t *)fab_volume_data(r.labels))[i]) !=
                 class_at(&w, n, mm, v);
    }
    printf("  %d of %d voxels differ\n", wrong, n[0] * n[1] * n[2]);
    CHECK(wrong <= 2); /* ties */
    fab_segment_result_free(&r);
    fab_free(net_image);
    free(w.logits);
    free(w.sum);
    free(w.weight);
    fab_model_free(m);
    fab_volume_unref(image);
}

/* ---- properties ---------------------------------------------------------------------------- */

static fab_segment_result segment(const fab_model *m, const fab_volume *v)
{
    fab_segment_result r;
    CHECK_OK(fab_segment(m, v, NULL, &r, &err));
    return r;
}

static bool same_bytes(const fab_volume *a, const fab_volume *b)
{
    return fab_volume_bytes(a) == fab_volume_bytes(b) &&
           memcmp(fab_volume_data(a), fab_volume_data(b), fab_volume_bytes(a)) == 0;
}

static void threads_do_not_change_results(void)
{
    fab_grid g = grid_of(30, 29, 28, 3.0);
    fab_volume *v = noise_volume(&g, 5);
    fab_model *m = load_model();
    fab_threads_set(1);
    fab_segment_result one = segment(m, v);
    static const int counts[] = {2, 3, 16, 64};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        fab_threads_set(counts[i]);
        fab_segment_result more = segment(m, v);
        CHECK(same_bytes(one.labels, more.labels));
        CHECK(same_bytes(one.fine_labels, more.fine_labels));
        CHECK(same_bytes(one.fine_margin, more.fine_margin));
        CHECK(memcmp(one.confidence, more.confidence, one.set.count * sizeof(double)) == 0);
        fab_segment_result_free(&more);
    }
    fab_threads_set(0);
    fab_segment_result_free(&one);
    fab_model_free(m);
    fab_volume_unref(v);
}

/* The same body stored with other axes gives the same label at every place. */
static void orientation_does_not_change_results(void)
{
    fab_grid g = grid_of(30, 24, 20, 3.0), turned = {.size = {20, 30, 24}};
    fab_volume *v = noise_volume(&g, 6), *t = NULL;
    /* i runs down (-z), j to the right (-x), k to the back (+y) */
    turned.world_from_voxel = (fab_mat34){{{0, -3, 0, 87}, {0, 0, 3, 0}, {-3, 0, 0, 57}}};
    CHECK_OK(fab_volume_resample(v, &turned, FAB_NEAREST, 0, &t, &err));
    fab_model *m = load_model();
    fab_segment_result a = segment(m, v), b = segment(m, t);
    fab_volume *back = NULL;
    CHECK_OK(fab_volume_resample(b.labels, &g, FAB_NEAREST, 99, &back, &err));
    CHECK(same_bytes(a.labels, back));
    CHECK(same_bytes(a.fine_labels, b.fine_labels));
    CHECK(fab_grid_equal(fab_volume_grid(a.fine_labels), fab_volume_grid(b.fine_labels), 1e-6));
    fab_volume_unref(back);
    fab_segment_result_free(&a);
    fab_segment_result_free(&b);
    fab_model_free(m);
    fab_volume_unref(v);
    fab_volume_unref(t);
}

/* Fine voxels sit at quarter points of network voxels; margins are leads, so never negative; the
 * label at a place is the same on both grids. */
static void fine_labels_agree_with_labels(void)
{
    fab_grid g = grid_of(64, 48, 32, 2.0); /* 32 x 24 x 16 network voxels: fine = own */
    fab_volume *v = noise_volume(&g, 7);
    fab_model *m = load_model();
    fab_segment_result r = segment(m, v);
    CHECK(fab_grid_equal(fab_volume_grid(r.fine_labels), &g, 1e-6));
    CHECK(same_bytes(r.labels, r.fine_labels));
    const float *margin = fab_volume_data(r.fine_margin);
    double largest = 0;
    for (int64_t i = 0; i < fab_grid_voxels(&g); i++) {
        CHECK(margin[i] >= 0);
        largest = fmax(largest, (double)margin[i]);
    }
    CHECK(largest > 0.5);
    fab_segment_result_free(&r);
    fab_model_free(m);
    fab_volume_unref(v);
}

static void memory_cap_is_checked_before_the_start(void)
{
    fab_grid g = grid_of(40, 40, 40, 4.0);
    fab_volume *v = noise_volume(&g, 8);
    fab_model *m = load_model();
    fab_segment_result r = {0};
    size_t planned = 0;
    CHECK_OK(fab_segment_plan_bytes(m, v, 0, &planned, &err));
    fab_segment_options o = {.max_memory_bytes = planned - 1};
    CHECK_FAILS(FAB_ERR_LIMIT, "needs", fab_segment(m, v, &o, &r, &err));
    CHECK(r.labels == NULL);
    o.max_memory_bytes = planned;
    CHECK_OK(fab_segment(m, v, &o, &r, &err));
    CHECK(r.planned_bytes == planned);
    fab_segment_result_free(&r);
    fab_model_free(m);
    fab_volume_unref(v);
}

static bool stop_at_fifth(void *ctx)
{
    return ++*(int *)ctx > 5;
}

static void cancel_stops_between_patches(void)
{
    fab_grid g = grid_of(40, 40, 40, 4.0);
    fab_volume *v = noise_volume(&g, 9);
    fab_model *m = load_model();
    fab_segment_result r = {0};
    int calls = 0;
    fab_progress p = {.ctx = &calls, .cancelled = stop_at_fifth};
    fab_segment_options o = {.progress = &p};
    CHECK_FAILS(FAB_ERR_CANCELLED, "", fab_segment(m, v, &o, &r, &err));
    CHECK(r.labels == NULL && calls > 5);
    o = (fab_segment_options){.step = 1.5};
    CHECK_FAILS(FAB_ERR_ARG, "step", fab_segment(m, v, &o, &r, &err));
    fab_model_free(m);
    fab_volume_unref(v);
}

/* What is not a number is outside air, not a poison that spreads through the norm. */
static void not_a_number_is_air(void)
{
    fab_grid g = grid_of(16, 12, 8, 4.0);
    fab_volume *a = NULL, *b = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_F32, &a, &err));
    CHECK_OK(fab_volume_create(&g, FAB_F32, &b, &err));
    float *x = fab_volume_data_mut(a), *y = fab_volume_data_mut(b);
    for (int i = 0; i < 16 * 12 * 8; i++) {
        x[i] = y[i] = (float)(i % 97 * 20 - 900);
        if (i % 50 == 7) {
            x[i] = i % 100 == 7 ? NAN : INFINITY;
            y[i] = -1024;
        }
    }
    fab_model *m = load_model();
    fab_segment_result r = segment(m, a), s = segment(m, b);
    CHECK(same_bytes(r.labels, s.labels));
    fab_segment_result_free(&r);
    fab_segment_result_free(&s);
    fab_model_free(m);
    fab_volume_unref(a);
    fab_volume_unref(b);
}

/* Averaged over all mirrored views, a mirrored image gives mirrored classes; else it does not. */
static int not_mirrored(const fab_model *m, int axis, int patches)
{
    fab_grid g = grid_of(16, 12, 8, 4.0);
    fab_volume *v = noise_volume(&g, 10), *w = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_I16, &w, &err));
    const int16_t *from = fab_volume_data(v);
    int16_t *to = fab_volume_data_mut(w);
    int mirror_of[16 * 12 * 8], wrong = 0;
    for (int i = 0; i < 16 * 12 * 8; i++) {
        int at[3] = {i % 16, i / 16 % 12, i / 192};
        at[axis] = g.size[axis] - 1 - at[axis];
        mirror_of[i] = at[0] + 16 * (at[1] + 12 * at[2]);
        to[i] = from[mirror_of[i]];
    }
    fab_segment_result a = segment(m, v), b = segment(m, w);
    CHECK(a.patches == patches);
    const uint8_t *x = fab_volume_data(a.labels), *y = fab_volume_data(b.labels);
    for (int i = 0; i < 16 * 12 * 8; i++) wrong += class_of(x[mirror_of[i]]) != class_of(y[i]);
    fab_segment_result_free(&a);
    fab_segment_result_free(&b);
    fab_volume_unref(v);
    fab_volume_unref(w);
    return wrong;
}

static void mirrored_views_are_averaged(void)
{
    fab_model *plain = load_model(), *mirrored = load_mirrored(true);
    for (int axis = 0; axis < 3; axis++) {
        CHECK(not_mirrored(mirrored, axis, 8) <= 1); /* ties */
        CHECK(not_mirrored(plain, axis, 1) > 100);
    }
    fab_model_free(plain);
    fab_model_free(mirrored);
}

/* ---- the network's own view ----------------------------------------------------------------- */

static fab_segment_view look(const fab_model *m, const fab_volume *image, const uint8_t *groups,
                             const fab_volume *wanted)
{
    fab_segment_view v = {0};
    const fab_segment_options o = {.groups = groups, .wanted = wanted};
    CHECK_OK(fab_segment_classes(m, image, &o, &v, &err));
    return v;
}

/* Class 0 by itself, the others one group: their probabilities add up. */
static void classes_of_a_group_add_up(void)
{
    const fab_grid g = grid_of(40, 30, 20, 4.0);
    fab_volume *image = noise_volume(&g, 5);
    fab_model *m = load_model();
    uint8_t group[FAB_UNET_MAX_CLASSES], all[FAB_UNET_MAX_CLASSES] = {0};
    memset(group, 1, sizeof group);
    group[0] = 0;
    fab_segment_view alone = look(m, image, NULL, NULL), two = look(m, image, group, NULL),
                     one = look(m, image, all, NULL);
    const uint16_t *a = fab_volume_data(alone.classes), *b = fab_volume_data(two.classes);
    const float *p = fab_volume_data(alone.probability), *q = fab_volume_data(two.probability);
    const float *r = fab_volume_data(one.probability);
    int moved = 0;
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(alone.classes)); i++) {
        CHECK_NEAR(r[i], 1, 1e-5);
        CHECK(q[i] >= 0.5f - 1e-5f);            /* of two groups the larger */
        if (a[i] > 0) CHECK(b[i] == a[i] && q[i] >= p[i] - 1e-5f);
        moved += a[i] == 0 && b[i] != 0;        /* the others won together */
        if (a[i] == 0 && b[i] == 0) CHECK_NEAR(q[i], p[i], 1e-5);
    }
    CHECK(moved > 0 && memcmp(fab_volume_data(one.classes), a, fab_volume_bytes(one.classes)) == 0);
    fab_segment_view_free(&alone);
    fab_segment_view_free(&two);
    fab_segment_view_free(&one);
    fab_model_free(m);
    fab_volume_unref(image);
}

/* Windows away from what is wanted are left out; the others give what they gave before. */
static void unwanted_windows_are_left_out(void)
{
    const fab_grid g = grid_of(64, 40, 32, 4.0);
    fab_volume *image = noise_volume(&g, 6), *wanted = NULL;
    fab_model *m = load_model();
    CHECK_OK(fab_volume_create(&g, FAB_U8, &wanted, &err));
    memset(fab_volume_data_mut(wanted), 0, fab_volume_bytes(wanted));
    fab_segment_view all = look(m, image, NULL, NULL), none = look(m, image, NULL, wanted);
    ((uint8_t *)fab_volume_data_mut(wanted))[(10 * 40 + 12) * 64 + 20] = 1;
    fab_segment_view some = look(m, image, NULL, wanted);
    const int64_t at = (10 * 40 + 12) * 64 + 20;
    CHECK(none.patches == 0 && some.patches > 0 && some.patches < all.patches);
    CHECK(fab_volume_at(some.classes, at) == fab_volume_at(all.classes, at));
    CHECK(fab_volume_at(some.probability, at) == fab_volume_at(all.probability, at));
    fab_segment_view_free(&all);
    fab_segment_view_free(&none);
    fab_segment_view_free(&some);
    fab_model_free(m);
    fab_volume_unref(image);
    fab_volume_unref(wanted);
}

int main(void)
{
    return FAB_RUN(TEST(one_window_gives_pytorchs_classes),
                   TEST(many_windows_equal_a_direct_restatement),
                   TEST(threads_do_not_change_results), TEST(orientation_does_not_change_results),
                   TEST(fine_labels_agree_with_labels),
                   TEST(memory_cap_is_checked_before_the_start), TEST(cancel_stops_between_patches),
                   TEST(not_a_number_is_air), TEST(mirrored_views_are_averaged),
                   TEST(classes_of_a_group_add_up), TEST(unwanted_windows_are_left_out));
}
