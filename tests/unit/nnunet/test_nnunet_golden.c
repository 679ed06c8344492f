/* test_nnunet_golden.c - every stage against what nnU-Net's own code made of four small cases
 * (golden_nnunet of the shared development data; skipped without it). */
#include "fabrica/checkpoint.h"
#include "fabrica/nifti.h"
#include "nnunet_internal.h"
#include "npy_read.h"

static fab_error err;

typedef struct golden {
    char root[FAB_MAX_PATH_BYTES];
    fab_nnunet_plan plan;
    fab_volume *image[2];
    fab_json *meta;
    fab_nnunet_case c;
} golden;

static char *below(const golden *g, const char *name)
{
    static char path[2 * FAB_MAX_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", g->root, name);
    return path;
}

static void load(const char *name, golden *g)
{
    char relative[128], file[FAB_MAX_PATH_BYTES];
    memset(g, 0, sizeof *g);
    snprintf(relative, sizeof relative, "golden_nnunet/%s", name);
    if (!fab_test_data(relative, g->root)) SKIP("golden_nnunet is not here");
    CHECK_OK(fab_json_load_file(below(g, "meta.json"), &g->meta, &err));
    const char *folder = fab_json_text(fab_json_find(g->meta, "model_folder"));
    fab_json *plans = NULL, *dataset = NULL;
    snprintf(file, sizeof file, "%s/plans.json", folder);
    CHECK_OK(fab_json_load_file(below(g, file), &plans, &err));
    snprintf(file, sizeof file, "%s/dataset.json", folder);
    CHECK_OK(fab_json_load_file(below(g, file), &dataset, &err));
    CHECK_OK(fab_nnunet_plan_read(plans, "plans.json", dataset, "dataset.json", "3d_fullres",
                                  &g->plan, &err));
    fab_json_free(plans);
    fab_json_free(dataset);
    for (int i = 0; i < g->plan.channels; i++) {
        snprintf(file, sizeof file, "input/case_%04d.nii.gz", i);
        CHECK_OK(fab_nifti_read(below(g, file), &g->image[i], NULL, 0, &err));
    }
    CHECK_OK(fab_nnunet_prepare(&g->plan, (const fab_volume *const *)g->image, NULL, &g->c, &err));
}

static void drop(golden *g)
{
    fab_nnunet_case_free(&g->c);
    fab_volume_unref(g->image[0]);
    fab_volume_unref(g->image[1]);
    fab_json_free(g->meta);
}

static double number_at(const fab_json *array, size_t i, int j)
{
    const fab_json *row = fab_json_at(array, i);
    return fab_json_number(j < 0 ? row : fab_json_at(row, (size_t)j));
}

static void check_geometry(const golden *g)
{
    const fab_json *box = fab_json_find(g->meta, "bbox_used_for_cropping"),
                   *whole = fab_json_find(g->meta, "shape_before_cropping"),
                   *spacing = fab_json_find(g->meta, "read_spacing_zyx");
    for (size_t a = 0; a < 3; a++) {
        CHECK(g->c.whole[a] == (int)number_at(whole, a, -1));
        CHECK(g->c.box[a][0] == (int)number_at(box, a, 0));
        CHECK(g->c.box[a][1] == (int)number_at(box, a, 1));
        const size_t before = (size_t)g->plan.transpose_forward[a];
        CHECK(g->c.spacing_mm[a] == number_at(spacing, before, -1));
    }
}

static void check_windows(const golden *g)
{
    const fab_json *expected = fab_json_find(g->meta, "patch_starts"),
                   *padded = fab_json_find(g->meta, "padded_shape");
    int starts[3][64], count[3];
    for (size_t a = 0; a < 3; a++)
        count[a] = fab_nnunet_window_starts((int)number_at(padded, a + 1, -1), g->plan.patch[a],
                                            0.5, starts[a]);
    CHECK((size_t)(count[0] * count[1] * count[2]) == fab_json_count(expected));
    for (int i = 0; i < count[0] * count[1] * count[2]; i++) {
        const int at[3] = {i / count[2] / count[1], i / count[2] % count[1], i % count[2]};
        for (int a = 0; a < 3; a++)
            CHECK(starts[a][at[a]] == (int)number_at(expected, (size_t)i, a));
    }
}

static void check_prepared(const golden *g)
{
    npy expected = npz_read(below(g, "expected/preprocessed.npz"), "data");
    CHECK(expected.rank == 4 && expected.shape[0] == g->c.channels);
    for (int a = 0; a < 3; a++) CHECK(expected.shape[a + 1] == g->c.size[a]);
    const float *e = expected.data;
    double worst = 0;
    int64_t different = 0;
    for (int64_t i = 0; i < expected.count; i++) {
        worst = fmax(worst, fabs((double)e[i] - (double)g->c.data[i]));
        different += e[i] != g->c.data[i];
    }
    printf("  prepared: %lld of %lld differ, by %.3g at most\n", (long long)different,
           (long long)expected.count, worst);
    CHECK(worst <= 2.4e-7); /* on other machines' libm: a last bit here and there */
    CHECK(different <= expected.count / 10000);
    npy_free(&expected);
}

static void check_gaussian(const golden *g)
{
    npy expected = npz_read(below(g, "expected/gaussian.npz"), "gaussian");
    CHECK(!strcmp(expected.type, "f2"));
    uint16_t *importance = fab_alloc_array((size_t)expected.count, sizeof *importance);
    CHECK(importance);
    CHECK_OK(fab_nnunet_gaussian(g->plan.patch, importance, &err));
    const uint16_t *e = expected.data;
    int64_t different = 0;
    for (int64_t i = 0; i < expected.count; i++) different += e[i] != importance[i];
    printf("  Gaussian: %lld of %lld differ\n", (long long)different, (long long)expected.count);
    CHECK(different == 0);
    fab_free(importance);
    npy_free(&expected);
}

static int64_t labels_different(const golden *g, const fab_volume *labels)
{
    fab_volume *expected = NULL;
    CHECK_OK(fab_nifti_read(below(g, "expected/label.nii.gz"), &expected, NULL, 0, &err));
    CHECK(fab_volume_dtype(expected) == FAB_U8 && fab_volume_dtype(labels) == FAB_U8);
    CHECK(fab_grid_equal(fab_volume_grid(expected), fab_volume_grid(labels), 1e-4));
    const uint8_t *a = fab_volume_data(expected), *b = fab_volume_data(labels);
    const int64_t voxels = fab_grid_voxels(fab_volume_grid(labels));
    int64_t different = 0;
    for (int64_t i = 0; i < voxels; i++) different += a[i] != b[i];
    printf("  labels: %lld of %lld differ\n", (long long)different, (long long)voxels);
    fab_volume_unref(expected);
    return different;
}

/* nnU-Net's logits, [head][z][y][x], as they lie here: [z][y][head][x]. The caller frees. */
static uint16_t *by_rows(const golden *g, const npy *logits)
{
    const int *size = g->c.size, heads = g->plan.head_count;
    uint16_t *rows = fab_alloc_array((size_t)logits->count, sizeof *rows);
    CHECK(rows && logits->count == (int64_t)heads * size[0] * size[1] * size[2]);
    const uint16_t *from = logits->data;
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < size[0] * size[1]; i++, from += size[2])
            memcpy(rows + ((ptrdiff_t)i * heads + h) * size[2], from, (size_t)size[2] * 2);
    return rows;
}

static void check_finished(const golden *g)
{
    npy logits = npz_read(below(g, "expected/logits.npz"), "logits");
    CHECK(logits.shape[0] == g->plan.head_count && !strcmp(logits.type, "f2"));
    fab_volume *labels = NULL;
    uint16_t *rows = by_rows(g, &logits);
    CHECK_OK(fab_nnunet_finish(&g->plan, &g->c, rows, NULL, &labels, &err));
    CHECK(labels_different(g, labels) == 0);
    fab_volume_unref(labels);
    fab_free(rows);
    npy_free(&logits);
}

/* ---- the network itself ----------------------------------------------------------------- */

static void open_network(const golden *g, fab_isa isa, fab_net **net, fab_net_session **session)
{
    char file[FAB_MAX_PATH_BYTES];
    fab_reader r = {0};
    fab_checkpoint *checkpoint = NULL;
    fab_tensors *weights = NULL;
    snprintf(file, sizeof file, "%s/fold_0/checkpoint_final.pth",
             fab_json_text(fab_json_find(g->meta, "model_folder")));
    CHECK_OK(fab_reader_open_file(below(g, file), &r, &err));
    CHECK_OK(fab_checkpoint_read(&r, &checkpoint, &err));
    CHECK_OK(fab_checkpoint_tensors(checkpoint, "network_weights", &weights, &err));
    fab_checkpoint_free(checkpoint);
    fab_reader_close(&r);
    CHECK_OK(fab_net_create_unet(&g->plan.net, weights, isa, net, &err));
    fab_tensors_free(weights);
    CHECK_OK(fab_net_session_create(*net, g->plan.patch, session, &err));
}

static void check_one_patch(const golden *g, fab_isa isa, fab_net_session *session)
{
    /* small random networks amplify noise: PyTorch's own bf16 is 1.5 to 4.0 % off (ADR 0085) */
    static const double bound[FAB_PRECISION_COUNT] = {
        [FAB_PRECISION_FP32] = 1e-5, [FAB_PRECISION_BF16] = 0.045, [FAB_PRECISION_EXACT] = 1e-4};
    npy input = npz_read(below(g, "expected/one_patch.npz"), "input"),
        expected = npz_read(below(g, "expected/one_patch.npz"), "logits");
    const size_t voxels = (size_t)g->plan.patch[0] * (size_t)g->plan.patch[1] *
                          (size_t)g->plan.patch[2];
    float *logits = fab_alloc_array(voxels * (size_t)g->plan.head_count, sizeof *logits);
    CHECK(logits && (size_t)expected.count <= voxels * (size_t)g->plan.head_count);
    CHECK((size_t)input.count == voxels * (size_t)g->plan.channels);
    CHECK_OK(fab_net_session_logits(session, input.data, logits, &err));
    const float *e = expected.data; /* the first heads */
    double difference = 0, sum = 0;
    for (int64_t i = 0; i < expected.count; i++) {
        const double d = (double)logits[i] - (double)e[i];
        difference += d * d;
        sum += (double)e[i] * (double)e[i];
    }
    printf("  one patch, %s: relative RMS %.3g\n", fab_nn_isa_name(isa), sqrt(difference / sum));
    CHECK(sqrt(difference / sum) <= bound[fab_nn_isa_precision(isa)]);
    fab_free(logits);
    npy_free(&input);
    npy_free(&expected);
}

/* All kernels but those that take too long. */
static void check_precisions(const golden *g)
{
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++) {
        fab_net *net = NULL;
        fab_net_session *session = NULL;
        const bool slow = strstr(fab_nn_isa_name((fab_isa)isa), "scalar") ||
                          isa == FAB_ISA_EXACT_AMX_EMU;
        if (!fab_nn_isa_runs((fab_isa)isa) || slow) continue;
        open_network(g, (fab_isa)isa, &net, &session);
        check_one_patch(g, (fab_isa)isa, session);
        fab_net_session_free(session);
        fab_net_free(net);
    }
}

static fab_status run_session(void *ctx, const float *patch, fab_net_sink sink, void *sink_ctx,
                              fab_error *e)
{
    return fab_net_session_run(ctx, patch, sink, sink_ctx, e);
}

/* Sums of 4e-6 relative noise in fp16: most logits equal, some far off at the volume's edges. */
static void compare_logits(const golden *g, const uint16_t *logits)
{
    npy expected = npz_read(below(g, "expected/logits.npz"), "logits");
    uint16_t *e = by_rows(g, &expected);
    int64_t different = 0;
    for (int64_t i = 0; i < expected.count; i++) different += e[i] != logits[i];
    const double share = (double)different / (double)expected.count;
    printf("  logits: %.2f %% differ\n", 100 * share);
    CHECK(share <= 0.05);
    fab_free(e);
    npy_free(&expected);
}

static void check_slide(const char *name)
{
    golden g;
    fab_net *net = NULL;
    fab_net_session *session = NULL;
    load(name, &g);
    check_precisions(&g);
    open_network(&g, fab_nn_isa_best(FAB_PRECISION_FP32), &net, &session);
    fab_nnunet_slide_options o = {.step = 0.5, .exact = true};
    const fab_json *axes = fab_json_find(g.meta, "allowed_mirroring_axes");
    for (size_t i = 0; i < fab_json_count(axes); i++) o.mirror[(int)number_at(axes, i, -1)] = true;
    const size_t count = (size_t)g.plan.head_count * (size_t)g.c.size[0] * (size_t)g.c.size[1] *
                         (size_t)g.c.size[2];
    uint16_t *logits = fab_alloc_array(count, sizeof *logits);
    CHECK(logits);
    CHECK_OK(fab_nnunet_slide(&g.plan, &g.c, &o, run_session, session, logits, &err));
    compare_logits(&g, logits);
    fab_volume *labels = NULL;
    CHECK_OK(fab_nnunet_finish(&g.plan, &g.c, logits, NULL, &labels, &err));
    CHECK((double)labels_different(&g, labels) <=
          2e-4 * (double)fab_grid_voxels(fab_volume_grid(labels)));
    fab_volume_unref(labels);
    fab_free(logits);
    fab_net_session_free(session);
    fab_net_free(net);
    drop(&g);
}

static void check_case(const char *name)
{
    golden g;
    load(name, &g);
    check_geometry(&g);
    check_windows(&g);
    check_gaussian(&g);
    check_prepared(&g);
    check_finished(&g);
    drop(&g);
}

static void plain_ct(void) { check_case("plain_ct"); }
static void aniso_mr(void) { check_case("aniso_mr"); }
static void crop_transpose(void) { check_case("crop_transpose"); }
static void reorient_ct(void) { check_case("reorient_ct"); }

static void slide_plain_ct(void) { check_slide("plain_ct"); }
static void slide_aniso_mr(void) { check_slide("aniso_mr"); }
static void slide_crop_transpose(void) { check_slide("crop_transpose"); }
static void slide_reorient_ct(void) { check_slide("reorient_ct"); }

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "slide"))
        return FAB_RUN(TEST(slide_plain_ct), TEST(slide_aniso_mr), TEST(slide_crop_transpose),
                       TEST(slide_reorient_ct));
    return FAB_RUN(TEST(plain_ct), TEST(aniso_mr), TEST(crop_transpose), TEST(reorient_ct));
}
