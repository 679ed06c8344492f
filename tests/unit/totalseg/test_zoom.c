/* test_zoom.c - the zoom against what scipy.ndimage.zoom made (tests/golden/zoom, written by
 * train/golden_zoom.py). White box: it uses the module's own header. */
#include "harness.h"

#include "zoom.h"

static fab_error err;

typedef struct golden {
    int n[3], m[3], order;
    float *in;
    double *out;
    size_t count;
} golden;

static golden load(int number)
{
    golden g = {{0}};
    char path[FAB_MAX_PATH_BYTES];
    int32_t head[7];
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/zoom/zoom%d.bin", root ? root : ".", number);
    FILE *f = fopen(path, "rb");
    CHECK(f && fread(head, sizeof head, 1, f) == 1);
    size_t inputs = 1;
    g.count = 1;
    for (int a = 0; a < 3; a++) {
        inputs *= (size_t)(g.n[a] = head[a]);
        g.count *= (size_t)(g.m[a] = head[3 + a]);
    }
    g.order = head[6];
    g.in = malloc(inputs * sizeof *g.in);
    g.out = malloc(g.count * sizeof *g.out);
    CHECK(g.in && g.out && fread(g.in, sizeof *g.in, inputs, f) == inputs);
    CHECK(fread(g.out, sizeof *g.out, g.count, f) == g.count);
    fclose(f);
    return g;
}

typedef struct array {
    const float *values;
    size_t plane;
} array;

static void array_plane(const void *ctx, int z, float *into)
{
    const array *a = ctx;
    memcpy(into, a->values + (size_t)z * a->plane, a->plane * sizeof *into);
}

static fab_status zoom(const float *from, const int n[3], int order, bool whole, const int m[3],
                       float *into)
{
    const array a = {from, (size_t)n[1] * (size_t)n[2]};
    const fab_zoom_source source = {array_plane, &a};
    return fab_zoom_image(&source, n, order, whole, m, into, &err);
}

/* Values of some 400; the middle array is in single precision. */
static void equals_scipy(void)
{
    for (int number = 0; number < 6; number++) {
        golden g = load(number);
        float *got = malloc(g.count * sizeof *got);
        double worst = 0;
        CHECK_OK(zoom(g.in, g.n, g.order, false, g.m, got));
        for (size_t i = 0; i < g.count; i++) worst = fmax(worst, fabs((double)got[i] - g.out[i]));
        printf("  order %d, %d x %d x %d to %d x %d x %d: within %.1e\n", g.order, g.n[0], g.n[1],
               g.n[2], g.m[0], g.m[1], g.m[2], worst);
        CHECK(worst < 5e-4);
        free(got);
        free(g.in);
        free(g.out);
    }
}

static void whole_numbers_are_cut_off(void)
{
    golden g = load(0);
    float *got = malloc(g.count * sizeof *got);
    CHECK_OK(zoom(g.in, g.n, 3, true, g.m, got));
    for (size_t i = 0; i < g.count; i++) CHECK((double)got[i] == trunc(g.out[i]));
    free(got);
    free(g.in);
    free(g.out);
}

/* A constant stays what it is: splines must not turn -1024 into -1023.99. */
static void constants_stay(void)
{
    const int n[3] = {7, 11, 13}, m[3] = {5, 20, 9};
    float in[7 * 11 * 13], out[5 * 20 * 9];
    for (int i = 0; i < 7 * 11 * 13; i++) in[i] = -1024;
    CHECK_OK(zoom(in, n, 3, true, m, out));
    for (int i = 0; i < 5 * 20 * 9; i++) CHECK(out[i] == -1024);
}

static void labels_by_the_nearest(void)
{
    golden g = load(2); /* order 0 */
    int32_t at[3][16];
    for (int a = 0; a < 3; a++) fab_zoom_nearest(g.n[a], g.m[a], at[a]);
    for (int i = 0; i < (int)g.count; i++) {
        const int z = at[0][i / g.m[2] / g.m[1]], y = at[1][i / g.m[2] % g.m[1]],
                  x = at[2][i % g.m[2]];
        CHECK((double)g.in[(z * g.n[1] + y) * g.n[2] + x] == g.out[i]);
    }
    free(g.in);
    free(g.out);
}

static void threads_do_not_matter(void)
{
    golden g = load(0);
    float one[8 * 6 * 11], many[8 * 6 * 11];
    const int threads = fab_threads_get();
    fab_threads_set(1);
    CHECK_OK(zoom(g.in, g.n, 3, false, g.m, one));
    fab_threads_set(3);
    CHECK_OK(zoom(g.in, g.n, 3, false, g.m, many));
    fab_threads_set(threads);
    CHECK(memcmp(one, many, sizeof one) == 0);
    free(g.in);
    free(g.out);
}

int main(void)
{
    fab_test tests[] = {TEST(equals_scipy), TEST(whole_numbers_are_cut_off), TEST(constants_stay),
                        TEST(labels_by_the_nearest), TEST(threads_do_not_matter)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
