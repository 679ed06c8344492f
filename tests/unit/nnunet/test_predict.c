/* test_predict.c - whole predictions against the label files nnU-Net's own code wrote
 * (golden_nnunet of the shared development data; skipped without it). */
#include "fabrica/nifti.h"
#include "harness.h"
#include "model_internal.h"

static fab_error err;

typedef struct golden {
    char root[FAB_MAX_PATH_BYTES];
    fab_json *meta;
    fab_nnunet *model;
    fab_volume *image[2];
} golden;

static void below(const golden *g, const char *name, char path[2 * FAB_MAX_PATH_BYTES])
{
    snprintf(path, 2 * FAB_MAX_PATH_BYTES, "%s/%s", g->root, name);
}

static fab_volume *read_volume(const golden *g, const char *name)
{
    char path[2 * FAB_MAX_PATH_BYTES];
    fab_volume *v = NULL;
    below(g, name, path);
    CHECK_OK(fab_nifti_read(path, &v, NULL, 0, &err));
    return v;
}

static void load(const char *name, golden *g)
{
    char relative[128], path[2 * FAB_MAX_PATH_BYTES];
    memset(g, 0, sizeof *g);
    snprintf(relative, sizeof relative, "golden_nnunet/%s", name);
    if (!fab_test_data(relative, g->root)) SKIP("golden_nnunet is not here");
    below(g, "meta.json", path);
    CHECK_OK(fab_json_load_file(path, &g->meta, &err));
    below(g, fab_json_text(fab_json_find(g->meta, "model_folder")), path);
    CHECK_OK(fab_nnunet_load(path, NULL, &g->model, &err));
    for (int i = 0; i < fab_nnunet_plan_of(g->model)->channels; i++) {
        char file[64];
        snprintf(file, sizeof file, "input/case_%04d.nii.gz", i);
        g->image[i] = read_volume(g, file);
    }
}

static void drop(golden *g)
{
    fab_nnunet_free(g->model);
    fab_volume_unref(g->image[0]);
    fab_volume_unref(g->image[1]);
    fab_json_free(g->meta);
}

static int64_t differing(const fab_volume *a, const fab_volume *b)
{
    CHECK(fab_volume_dtype(a) == FAB_U8 && fab_volume_dtype(b) == FAB_U8);
    CHECK(fab_grid_equal(fab_volume_grid(a), fab_volume_grid(b), 1e-4));
    const uint8_t *p = fab_volume_data(a), *q = fab_volume_data(b);
    int64_t different = 0;
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(a)); i++) different += p[i] != q[i];
    return different;
}

/* Labels may differ in 0.02 % of the voxels (ties; noise of 1e-5 on the network's outputs). Sums in
 * single precision are compared with labels made with such sums; there the logits were kept in
 * single precision too, ours are rounded to fp16 before they are resampled: 0.05 %. */
static void check_case(const char *name)
{
    golden g;
    load(name, &g);
    for (int exact = 1; exact >= 0; exact--) {
        fab_nnunet_options o = {.exact = exact};
        fab_volume *labels = NULL;
        fab_nnunet_report report = {0};
        CHECK_OK(fab_nnunet_predict(g.model, (const fab_volume *const *)g.image, NULL, &o, &labels,
                                    &report, &err));
        fab_volume *expected = read_volume(&g, exact ? "expected/label.nii.gz"
                                                     : "expected/label_fp32acc.nii.gz");
        const int64_t n = fab_grid_voxels(fab_volume_grid(labels));
        const int64_t different = differing(labels, expected);
        printf("  %s, %s sums: %d network runs, %lld of %lld labels differ\n", name,
               exact ? "fp16" : "fp32", report.patches, (long long)different, (long long)n);
        CHECK((double)different <= (exact ? 0.0002 : 0.0005) * (double)n);
        fab_volume_unref(labels);
        fab_volume_unref(expected);
    }
    drop(&g);
}

static void plain_ct(void) { check_case("plain_ct"); }
static void aniso_mr(void) { check_case("aniso_mr"); }
static void crop_transpose(void) { check_case("crop_transpose"); }
static void reorient_ct(void) { check_case("reorient_ct"); }

static void wrong_images(void)
{
    golden g;
    fab_volume *labels = NULL;
    load("crop_transpose", &g);
    fab_volume *other = NULL;
    const int32_t low[3] = {0, 0, 0}, size[3] = {20, 20, 20};
    CHECK_OK(fab_volume_crop(g.image[1], low, size, &other, &err));
    const fab_volume *mixed[2] = {g.image[0], other};
    CHECK_FAILS(FAB_ERR_GEOMETRY, "channel 1 is not on the first channel's grid",
                fab_nnunet_predict(g.model, mixed, NULL, NULL, &labels, NULL, &err));
    CHECK_FAILS(FAB_ERR_ARG, "is no cascade",
                fab_nnunet_predict(g.model, (const fab_volume *const *)g.image, g.image[0], NULL,
                                   &labels, NULL, &err));
    fab_volume_unref(other);
    drop(&g);
}

int main(void)
{
    fab_test tests[] = {TEST(plain_ct), TEST(aniso_mr), TEST(crop_transpose), TEST(reorient_ct),
                        TEST(wrong_images)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
