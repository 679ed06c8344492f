/* Conforming: where the cube lies, what its voxels become, quantiles; restated here. */
#include "harness.h"

#include "brainchop_internal.h"

static fab_error err;

static fab_grid grid_of(const int size[3], const double mm[3])
{
    fab_grid g = {0};
    for (int a = 0; a < 3; a++) {
        g.size[a] = size[a];
        g.world_from_voxel.m[a][a] = mm[a];
        g.world_from_voxel.m[a][3] = 3.5 - a;
    }
    return g;
}

static void the_cube_is_centred(void)
{
    const fab_grid image = grid_of((int[]){100, 80, 120}, (double[]){2, 1.5, 1.25});
    fab_grid cube;
    char axes[4];
    double middle[3] = {50, 40, 60}, centre[3] = {128, 128, 128};
    CHECK_OK(fab_brainchop_grid(&image, &cube, &err));
    fab_grid_orientation(&cube, axes);
    CHECK(strcmp(axes, "AIL") == 0);
    for (int a = 0; a < 3; a++) CHECK(cube.size[a] == 256);
    fab_mat34_apply(&image.world_from_voxel, middle, middle);
    fab_mat34_apply(&cube.world_from_voxel, centre, centre);
    for (int a = 0; a < 3; a++) CHECK_NEAR(middle[a], centre[a], 1e-9);
}

static void the_cube_grows_with_the_image(void)
{
    fab_grid image = grid_of((int[]){300, 300, 180}, (double[]){1, 0.9, 1}), cube;
    CHECK_OK(fab_brainchop_grid(&image, &cube, &err));
    CHECK(cube.size[0] == 300 && cube.size[1] == 300 && cube.size[2] == 300);
    image.size[2] = 321;
    CHECK_FAILS(FAB_ERR_LIMIT, "spans 300 x 270 x 321 mm",
                fab_brainchop_grid(&image, &cube, &err));
}

/* 16 bit, turned about z by 30 degrees, a quarter of it zero. */
static fab_volume *slanted(void)
{
    fab_volume *v = NULL;
    fab_grid g = grid_of((int[]){40, 30, 25}, (double[]){1.3, 1.1, 2.2});
    const double c = cos(0.5235987755982988), s = sin(0.5235987755982988);
    g.world_from_voxel.m[0][0] = 1.3 * c;
    g.world_from_voxel.m[1][0] = 1.3 * s;
    g.world_from_voxel.m[0][1] = -1.1 * s;
    g.world_from_voxel.m[1][1] = 1.1 * c;
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    int16_t *data = fab_volume_data_mut(v);
    fab_rng rng;
    fab_rng_seed(&rng, 4, 1);
    for (int i = 0; i < 40 * 30 * 25; i++)
        data[i] = fab_rng_u32(&rng) % 4 ? (int16_t)(fab_rng_u32(&rng) % 900) : 0;
    return v;
}

static int by_value(const void *a, const void *b)
{
    const int16_t p = *(const int16_t *)a, q = *(const int16_t *)b;
    return (p > q) - (p < q);
}

/* The upper end by sorting instead of counting: the bin before that of the value below which all
 * but 2 % of what is not zero lie. */
static double expected_top(const fab_volume *v, double low, double high)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(v));
    const double bin = (high - low) / 1000;
    int16_t *sorted = fab_alloc_array((size_t)n, sizeof *sorted);
    int64_t not_zero = 0;
    CHECK(sorted);
    memcpy(sorted, fab_volume_data(v), (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    for (int64_t i = 0; i < n; i++) not_zero += sorted[i] != 0;
    const int64_t wanted = n - (int64_t)((1.0 - 0.98) * (double)not_zero);
    const double at = floor((sorted[wanted - 1] - low) / bin);
    fab_free(sorted);
    return low + (fmin(at, 999) - 1) * bin;
}

/* Linear along i, then j, then k, of clipped values; 0 outside. */
static double mixed(const fab_volume *v, const double p[3], double low, double top)
{
    const int32_t *n = fab_volume_grid(v)->size;
    double plane[2][2][2];
    for (int a = 0; a < 3; a++)
        if (p[a] < 0 || p[a] > n[a] - 1) return 0;
    for (int c = 0; c < 8; c++) {
        int q[3];
        for (int a = 0; a < 3; a++) {
            q[a] = (int)floor(p[a]) + (c >> a & 1);
            if (q[a] > n[a] - 1) q[a] = n[a] - 1;
        }
        const double x = (fab_volume_get(v, q[0], q[1], q[2]) - low) * 255 / (top - low);
        plane[c >> 2][c >> 1 & 1][c & 1] = x < 0 ? 0 : x > 255 ? 255 : x;
    }
    double t[3], line[2][2], point[2];
    for (int a = 0; a < 3; a++) t[a] = p[a] - floor(p[a]);
    for (int k = 0; k < 2; k++)
        for (int j = 0; j < 2; j++)
            line[k][j] = plane[k][j][0] + (plane[k][j][1] - plane[k][j][0]) * t[0];
    for (int k = 0; k < 2; k++) point[k] = line[k][0] + (line[k][1] - line[k][0]) * t[1];
    return point[0] + (point[1] - point[0]) * t[2];
}

static void values_are_those_restated(void)
{
    fab_grid cube;
    fab_brainchop_range range;
    fab_mat34 inverse;
    FAB_AUTO(fab_volume_unref) fab_volume *image = slanted();
    FAB_AUTO(fab_volume_unref) fab_volume *out = NULL;
    double low, high;
    fab_volume_minmax(image, &low, &high);
    const double top = expected_top(image, low, high);
    CHECK_OK(fab_brainchop_grid(fab_volume_grid(image), &cube, &err));
    CHECK_OK(fab_brainchop_conform(image, &cube, &range, &out, &err));
    CHECK(!range.as_is && top > 100 && top < high);
    CHECK_NEAR(range.low + 255 / range.scale, top, 1e-6);
    CHECK_OK(fab_mat34_invert(&fab_volume_grid(image)->world_from_voxel, &inverse, &err));
    int inside = 0;
    for (int k = 90; k < 170; k++)
        for (int j = 95; j < 160; j++)
            for (int i = 90; i < 170; i++) {
                double p[3] = {i, j, k};
                fab_mat34_apply(&cube.world_from_voxel, p, p);
                fab_mat34_apply(&inverse, p, p);
                const double is = fab_volume_get(out, i, j, k), should = mixed(image, p, low, top);
                CHECK(is == floor(is) && is >= 0 && is <= 255);
                CHECK_NEAR(is, should, 0.5 + 1e-4);
                inside += should > 0;
            }
    CHECK(inside > 40000);
    CHECK(fab_volume_get(out, 3, 4, 5) == 0);
}

/* A conformed image keeps its values; stored the other way round it is only turned. */
static void a_conformed_image_stays(void)
{
    fab_grid g = {.size = {256, 256, 256}}, cube;
    fab_brainchop_range range;
    FAB_AUTO(fab_volume_unref) fab_volume *image = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *out = NULL;
    g.world_from_voxel = (fab_mat34){{{1, 0, 0, -127}, {0, 0, -1, 130}, {0, -1, 0, 120}}};
    CHECK_OK(fab_volume_create(&g, FAB_U8, &image, &err));
    uint8_t *data = fab_volume_data_mut(image);
    for (size_t i = 0; i < 1u << 24; i++) data[i] = (uint8_t)(i * 2654435761u >> 25);
    CHECK_OK(fab_brainchop_grid(&g, &cube, &err));
    CHECK_OK(fab_brainchop_conform(image, &cube, &range, &out, &err));
    CHECK(range.as_is);
    for (int n = 0; n < 5000; n++) {
        const int i = n * 7 % 256, j = n * 13 % 256, k = n * 29 % 256;
        CHECK(fab_volume_get(out, i, j, k) == fab_volume_get(image, k, j, i));
    }
}

static void one_value_is_no_head(void)
{
    fab_grid g = grid_of((int[]){20, 20, 20}, (double[]){1, 1, 1}), cube;
    fab_brainchop_range range;
    FAB_AUTO(fab_volume_unref) fab_volume *image = NULL, *out = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_F32, &image, &err));
    float *data = fab_volume_data_mut(image);
    for (int i = 0; i < 8000; i++) data[i] = 5;
    CHECK_OK(fab_brainchop_grid(&g, &cube, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "every voxel of the image is 5",
                fab_brainchop_conform(image, &cube, &range, &out, &err));
    CHECK(!out);
}

static void quantiles_are_numpys(void)
{
    /* numpy.quantile([0, 0, 3, 7, 7, 7, 200, 255], q) */
    int64_t h[256] = {0};
    h[0] = 2;
    h[3] = h[200] = h[255] = 1;
    h[7] = 3;
    CHECK_NEAR(fab_brainchop_quantile(h, 0), 0, 0);
    CHECK_NEAR(fab_brainchop_quantile(h, 1), 255, 0);
    CHECK_NEAR(fab_brainchop_quantile(h, 0.25), 2.25, 1e-12);
    CHECK_NEAR(fab_brainchop_quantile(h, 0.5), 7, 0);
    CHECK_NEAR(fab_brainchop_quantile(h, 0.95), 235.75, 1e-9);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(the_cube_is_centred), TEST(the_cube_grows_with_the_image),
        TEST(values_are_those_restated), TEST(a_conformed_image_stays),
        TEST(one_value_is_no_head), TEST(quantiles_are_numpys)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
