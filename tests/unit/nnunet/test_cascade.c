/* test_cascade.c - a cascade of two channels, stage by stage, against an independent restatement of
 * nnU-Net in numpy, scipy and torch (tests/golden/nnunet_cascade, written by
 * train/golden_cascade.py); its postprocessing; and cascades that lack a stage. */
#include <sys/stat.h>

#include "fabrica/nifti.h"
#include "model_internal.h"
#include "nnunet_internal.h"
#include "npy_read.h"

#define DATASET "Dataset901_Cascade"
#define RESULT(stage) DATASET "/nnUNetTrainer__nnUNetPlans__" stage

static fab_error err;

static const char *golden(const char *name)
{
    static char path[FAB_MAX_PATH_BYTES];
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/nnunet_cascade/%s", root ? root : ".", name);
    return path;
}

static fab_volume *read_volume(const char *name)
{
    fab_volume *v = NULL;
    CHECK_OK(fab_nifti_read(golden(name), &v, NULL, 0, &err));
    return v;
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

static void read_images(fab_volume *image[2])
{
    image[0] = read_volume("input/case_0000.nii.gz");
    image[1] = read_volume("input/case_0001.nii.gz");
}

static void prepared_channels(void)
{
    fab_nnunet *m = NULL;
    fab_volume *image[2];
    fab_nnunet_case c = {0};
    CHECK_OK(fab_nnunet_load(golden(RESULT("3d_cascade_fullres")), NULL, &m, &err));
    CHECK(m->plan.stage_labels == 3 && m->plan.net.input_channels == 5 && m->previous);
    read_images(image);
    fab_volume *first = read_volume("expected_3d_lowres.nii.gz");
    CHECK_OK(fab_nnunet_prepare(&m->plan, (const fab_volume *const *)image, NULL, &c, &err));
    CHECK_OK(fab_nnunet_add_stage(&m->plan, first, &c, &err));
    npy expected = npz_read(golden("prepared_3d_cascade_fullres.npz"), "data");
    CHECK(expected.rank == 4 && expected.shape[0] == 5 && c.channels == 2 && c.stage_labels == 3);
    for (int a = 0; a < 3; a++) CHECK(expected.shape[a + 1] == c.size[a]);
    const float *e = expected.data;
    const int64_t count = expected.count / 5;
    for (int channel = 0; channel < 5; channel++) {
        double worst = 0;
        int64_t set = 0;
        for (int64_t i = 0; i < count; i++) {
            const double got = channel < 2 ? (double)c.data[channel * count + i]
                                           : c.stage[i] == channel - 1;
            worst = fmax(worst, fabs((double)e[channel * count + i] - got));
            set += c.stage[i] == channel - 1;
        }
        printf("  channel %d: differs by %.2g at most\n", channel, worst);
        CHECK(worst <= (channel < 2 ? 1e-6 : 0) && (channel < 2 || set > count / 50));
    }
    npy_free(&expected);
    fab_nnunet_case_free(&c);
    fab_volume_unref(first);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
}

typedef struct expectation {
    const char *path, *labels;
    bool no_postprocessing, given; /* given: the first stage's labels are the golden ones */
} expectation;

static void check(const expectation *x)
{
    const fab_nnunet_load_options load = {.no_postprocessing = x->no_postprocessing};
    const fab_nnunet_options o = {.exact = true};
    fab_nnunet_report report = {0};
    fab_nnunet *m = NULL;
    fab_volume *image[2], *labels = NULL, *first = NULL;
    CHECK_OK(fab_nnunet_load(golden(x->path), &load, &m, &err));
    read_images(image);
    if (x->given) first = read_volume("expected_3d_lowres.nii.gz");
    CHECK_OK(fab_nnunet_predict(m, (const fab_volume *const *)image, first, &o, &labels, &report,
                                &err));
    fab_volume *expected = read_volume(x->labels);
    const int64_t n = fab_grid_voxels(fab_volume_grid(labels)), d = differing(labels, expected);
    printf("  %s: %d network runs, %lld of %lld labels differ, %lld removed\n", x->labels,
           report.patches, (long long)d, (long long)n, (long long)report.removed_voxels);
    CHECK(d <= n / 5000);
    fab_volume_unref(expected);
    fab_volume_unref(labels);
    fab_volume_unref(first);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
}

static void first_stage(void)
{
    check(&(expectation){RESULT("3d_lowres"), "expected_3d_lowres.nii.gz", false, false});
}

static void second_stage(void)
{
    check(&(expectation){RESULT("3d_cascade_fullres"), "expected_3d_cascade_fullres.nii.gz", true,
                         true});
}

/* Slice by slice, mirrored inside the slice; the distance of slices is nobody's business. */
static void slices(void)
{
    fab_nnunet *m = NULL;
    const fab_nnunet_load_options two = {.configuration = "2d"};
    CHECK_OK(fab_nnunet_load(golden(DATASET), &two, &m, &err));
    CHECK(m->plan.flat && m->plan.patch[0] == 1 && m->plan.patch[1] == 16);
    CHECK(!m->mirror[0] && m->mirror[1] && m->mirror[2]);
    CHECK(m->plan.net.stages[1].kernel[0] == 1 && m->plan.net.stages[1].stride[0] == 1);
    fab_volume *image[2];
    fab_nnunet_case c = {0};
    read_images(image);
    CHECK_OK(fab_nnunet_prepare(&m->plan, (const fab_volume *const *)image, NULL, &c, &err));
    npy expected = npz_read(golden("prepared_2d.npz"), "data");
    for (int a = 0; a < 3; a++) CHECK(expected.shape[a + 1] == c.size[a]);
    CHECK(c.size[0] == c.box[0][1] - c.box[0][0]);
    for (int64_t i = 0; i < expected.count; i++)
        CHECK(fabs((double)((const float *)expected.data)[i] - (double)c.data[i]) < 1e-6);
    npy_free(&expected);
    fab_nnunet_case_free(&c);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
    check(&(expectation){RESULT("2d"), "expected_2d.nii.gz", false, false});
}

/* From the data set's folder: the cascade is taken, both stages run, components go. */
static void whole_cascade(void)
{
    check(&(expectation){DATASET, "expected_postprocessed.nii.gz", false, false});
}

/* The second stage sees what it is given: other labels, another result. */
static void labels_matter(void)
{
    fab_nnunet *m = NULL;
    fab_volume *image[2], *labels = NULL;
    const fab_nnunet_load_options load = {.no_postprocessing = true};
    CHECK_OK(fab_nnunet_load(golden(DATASET), &load, &m, &err));
    read_images(image);
    fab_volume *first = read_volume("expected_3d_lowres.nii.gz");
    uint8_t *data = fab_volume_data_mut(first);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(first)); i++) data[i] = 2;
    CHECK_OK(fab_nnunet_predict(m, (const fab_volume *const *)image, first, NULL, &labels, NULL,
                                &err));
    fab_volume *expected = read_volume("expected_3d_cascade_fullres.nii.gz");
    CHECK(differing(labels, expected) > 500);
    fab_volume_unref(labels);
    fab_volume_unref(expected);
    const int32_t low[3] = {0, 0, 0}, size[3] = {5, 5, 5};
    fab_volume *part = NULL;
    CHECK_OK(fab_volume_crop(first, low, size, &part, &err));
    CHECK_FAILS(FAB_ERR_GEOMETRY, "the labels of 3d_lowres are not on the images' grid",
                fab_nnunet_predict(m, (const fab_volume *const *)image, part, NULL, &labels, NULL,
                                   &err));
    fab_volume_unref(part);
    fab_volume_unref(first);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
}

/* ---- folders that lie ------------------------------------------------------------------- */

static char root[FAB_MAX_PATH_BYTES];

static void put_copy(const char *from, const char *folder, const char *name, const char *find,
                     const char *replace)
{
    char below[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    fab_reader r;
    uint8_t *bytes = NULL;
    size_t size = 0;
    CHECK_OK(fab_reader_open_file(golden(from), &r, &err));
    CHECK_OK(fab_reader_read_all(&r, (size_t)1 << 20, &bytes, &size, &err));
    fab_reader_close(&r);
    char *text = fab_calloc(size + 200, 1);
    memcpy(text, bytes, size);
    char *at = find ? strstr(text, find) : NULL;
    CHECK(!find || at);
    if (find) {
        memmove(at + strlen(replace), at + strlen(find), strlen(at + strlen(find)) + 1);
        memcpy(at, replace, strlen(replace));
    }
    CHECK_OK(fab_path_join(below, sizeof below, root, folder, &err));
    mkdir(below, 0700);
    CHECK_OK(fab_path_join(path, sizeof path, below, name, &err));
    CHECK_OK(fab_file_write_atomic(path, text, strlen(text), &err));
    fab_free(text);
    fab_free(bytes);
}

static void put_result(const char *stage, const char *folder, const char *find,
                       const char *replace)
{
    char plans[300], dataset[300];
    snprintf(plans, sizeof plans, RESULT("%s") "/plans.json", stage);
    snprintf(dataset, sizeof dataset, RESULT("%s") "/dataset.json", stage);
    put_copy(plans, folder, "plans.json", find, replace);
    put_copy(dataset, folder, "dataset.json", NULL, NULL);
}

static void expect_refused(const char *folder, fab_status status, const char *message)
{
    char path[FAB_MAX_PATH_BYTES];
    const fab_nnunet_load_options only = {.plan_only = true};
    fab_nnunet *m = NULL;
    CHECK_OK(fab_path_join(path, sizeof path, root, folder, &err));
    CHECK_FAILS(status, message, fab_nnunet_load(path, &only, &m, &err));
}

static void stages_that_are_not_there(void)
{
    CHECK(fab_test_folder(root));
    put_result("3d_cascade_fullres", "t__p__3d_cascade_fullres", NULL, NULL);
    expect_refused("t__p__3d_cascade_fullres", FAB_ERR_UNSUPPORTED,
                   "3d_cascade_fullres needs the results of 3d_lowres, and ");
    put_result("3d_lowres", "other__p__3d_lowres", NULL, NULL); /* another trainer's is not it */
    expect_refused("t__p__3d_cascade_fullres", FAB_ERR_UNSUPPORTED,
                   "/t__p__3d_lowres is not there");
    put_result("3d_cascade_fullres", "renamed", "3d_fullres\": {", "3d_fullres\": {"
               " \"previous_stage\": \"3d_lowres\",");
    expect_refused("renamed", FAB_ERR_UNSUPPORTED,
                   "beside a folder called TRAINER__PLANS__3d_full");
    put_result("3d_cascade_fullres", "u__p__3d_cascade_fullres",
               "\"previous_stage\": \"3d_lowres\"", "\"previous_stage\": \"../t__p__x\"");
    expect_refused("u__p__3d_cascade_fullres", FAB_ERR_UNSUPPORTED, "is not there");
    put_result("3d_lowres", "t__p__3d_lowres", "\"next_stage\": \"3d_cascade_fullres\"",
               "\"previous_stage\": \"3d_cascade_fullres\"");
    expect_refused("t__p__3d_cascade_fullres", FAB_ERR_UNSUPPORTED, "cascades have two");
    CHECK_OK(fab_path_remove_tree(root, &err));
}

int main(void)
{
    fab_test tests[] = {TEST(prepared_channels), TEST(first_stage), TEST(second_stage),
                        TEST(whole_cascade), TEST(slices), TEST(labels_matter),
                        TEST(stages_that_are_not_there)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
