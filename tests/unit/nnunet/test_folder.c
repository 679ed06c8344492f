/* test_folder.c - result folders: found, read, and their networks equal to torch's (tests/golden/
 * nnunet_folder, written by train/golden_folder.py). White box: it uses the module's own header. */
#include <sys/stat.h>

#include "harness.h"
#include "model_internal.h"

#define RESULT "nnUNetTrainer__nnUNetPlans__3d_fullres"
enum { CLASSES = 4, VOXELS = 8 * 12 * 16 };

static fab_error err;

static const char *golden(const char *name, char *into)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(into, FAB_MAX_PATH_BYTES, "%s/tests/golden/nnunet_folder/%s", root ? root : ".", name);
    return into;
}

static void read_floats(const char *name, float *into, size_t count)
{
    char path[FAB_MAX_PATH_BYTES];
    FILE *f = fopen(golden(name, path), "rb");
    CHECK(f && fread(into, sizeof *into, count, f) == count);
    fclose(f);
}

static double relative_rms(const float *a, const float *b, size_t n)
{
    double difference = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        square += pow((double)b[i], 2);
    }
    return sqrt(difference / square);
}

/* The data set's folder is enough; both folds give torch's logits. */
static void both_folds(void)
{
    static float patch[VOXELS], expected[2][CLASSES * VOXELS], got[CLASSES * VOXELS];
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    CHECK_OK(fab_nnunet_load(golden("Dataset900_Small", path), NULL, &m, &err));
    CHECK(strstr(fab_nnunet_folder(m), "/" RESULT) && fab_nnunet_folds(m) == 2);
    CHECK(strlen(fab_nnunet_weights_sha256(m)) == 64 && m->mirror[0] && m->mirror[2]);
    CHECK(strcmp(fab_nnunet_plan_of(m)->head[3].name, "aorta") == 0);
    read_floats("patch.bin", patch, VOXELS);
    read_floats("logits.bin", expected[0], 2 * CLASSES * VOXELS);
    for (int fold = 0; fold < 2; fold++) {
        FAB_AUTO(fab_net_session_free) fab_net_session *s = NULL;
        CHECK_OK(fab_net_session_create(m->net[fold], m->plan.patch, &s, &err));
        CHECK_OK(fab_net_session_logits(s, patch, got, &err));
        double rms = relative_rms(got, expected[fold], CLASSES * VOXELS);
        printf("  fold %d: relative RMS %.1e\n", fold, rms);
        CHECK(rms < 1e-5);
    }
}

static void one_fold_by_number(void)
{
    char path[FAB_MAX_PATH_BYTES];
    const fab_nnunet_load_options one = {.fold_count = 1, .fold = {1}};
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    CHECK_OK(fab_nnunet_load(golden("Dataset900_Small/" RESULT, path), &one, &m, &err));
    CHECK(fab_nnunet_folds(m) == 1 && m->fold[0] == 1);
}

static fab_status load_with(const char *name, const fab_nnunet_load_options *o)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_nnunet *m = NULL;
    fab_status status = fab_nnunet_load(golden(name, path), o, &m, &err);
    CHECK(!m || status == FAB_OK);
    fab_nnunet_free(m);
    return status;
}

static void what_is_not_there(void)
{
    fab_nnunet_load_options o = {.configuration = "3d_lowres"};
    CHECK_FAILS(FAB_ERR_ARG, "no nnU-Net results of configuration 3d_lowres",
                load_with("Dataset900_Small", &o));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "holds configuration 3d_fullres, not 3d_lowres",
                load_with("Dataset900_Small/" RESULT, &o));
    o = (fab_nnunet_load_options){.fold_count = 1, .fold = {4}};
    CHECK_FAILS(FAB_ERR_NOTFOUND, "fold_4/checkpoint_final.pth", load_with("Dataset900_Small", &o));
    o = (fab_nnunet_load_options){.checkpoint = "checkpoint_best.pth"};
    CHECK_FAILS(FAB_ERR_NOTFOUND, "fold_0/checkpoint_best.pth", load_with("Dataset900_Small", &o));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "no nnU-Net results", load_with("Dataset900_Small/" RESULT
                                                                  "/fold_0", NULL));
    CHECK_FAILS(FAB_ERR_IO, "no such folder", load_with("nothing", NULL));
}

static void copy_file(const char *from, const char *to)
{
    fab_reader r;
    uint8_t *bytes = NULL;
    size_t size = 0;
    CHECK_OK(fab_reader_open_file(from, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, (size_t)1 << 24, &bytes, &size, &err));
    fab_reader_close(&r);
    CHECK_OK(fab_file_write_atomic(to, bytes, size, &err));
    fab_free(bytes);
}

/* A copy of the result folder in a new place, under another name. */
static void copy_result(const char *folder, const char *name, char *into)
{
    static const char *const files[] = {"plans.json", "dataset.json",
                                        "fold_0/checkpoint_final.pth"};
    char from[FAB_MAX_PATH_BYTES], to[FAB_MAX_PATH_BYTES + 64];
    snprintf(into, FAB_MAX_PATH_BYTES, "%s/%s", folder, name);
    snprintf(to, sizeof to, "%s/fold_0", into);
    CHECK(mkdir(into, 0700) == 0 && mkdir(to, 0700) == 0);
    for (size_t i = 0; i < 3; i++) {
        char relative[200];
        snprintf(relative, sizeof relative, "Dataset900_Small/" RESULT "/%s", files[i]);
        snprintf(to, sizeof to, "%s/%s", into, files[i]);
        copy_file(golden(relative, from), to);
    }
}

static void replace_in(const char *path, const char *from, const char *to)
{
    fab_reader r;
    uint8_t *bytes = NULL;
    size_t size = 0;
    char text[20000];
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, sizeof text / 2, &bytes, &size, &err));
    fab_reader_close(&r);
    const char *at = strstr((const char *)bytes, from);
    CHECK(at);
    int n = snprintf(text, sizeof text, "%.*s%s%s", (int)(at - (const char *)bytes),
                     (const char *)bytes, to, at + strlen(from));
    CHECK_OK(fab_file_write_atomic(path, text, (size_t)n, &err));
    fab_free(bytes);
}

/* Plans that do not fit the weights name the checkpoint and the tensor. */
static void plans_that_do_not_fit(void)
{
    char folder[FAB_MAX_PATH_BYTES], result[FAB_MAX_PATH_BYTES], plans[FAB_MAX_PATH_BYTES + 20];
    fab_nnunet *m = NULL;
    CHECK(fab_test_folder(folder));
    copy_result(folder, "T__P__3d_fullres", result);
    snprintf(plans, sizeof plans, "%s/plans.json", result);
    replace_in(plans, "\"n_stages\": 3", "\"n_stages\": 2");
    CHECK_FAILS(FAB_ERR_FORMAT, "/fold_0: checkpoint_final.pth", fab_nnunet_load(result, NULL, &m,
                                                                                 &err));
    CHECK(strstr(err.message, "decoder.transpconvs.0.weight") && !m);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static void several_results(void)
{
    char folder[FAB_MAX_PATH_BYTES], one[FAB_MAX_PATH_BYTES], two[FAB_MAX_PATH_BYTES];
    const fab_nnunet_load_options low = {.configuration = "3d_lowres"};
    fab_nnunet *m = NULL;
    CHECK(fab_test_folder(folder));
    copy_result(folder, "T__P__3d_fullres", one);
    copy_result(folder, "U__P__3d_fullres", two);
    CHECK_FAILS(FAB_ERR_ARG, "several results", fab_nnunet_load(folder, NULL, &m, &err));
    CHECK_OK(fab_path_remove_tree(two, &err));
    copy_result(folder, "T__P__3d_lowres", two);
    CHECK_FAILS(FAB_ERR_FORMAT, "3d_lowres", fab_nnunet_load(folder, &low, &m, &err));
    CHECK_OK(fab_nnunet_load(folder, NULL, &m, &err)); /* 3d_fullres comes first */
    CHECK(strstr(fab_nnunet_folder(m), "3d_fullres"));
    m = fab_nnunet_free(m);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    fab_test tests[] = {TEST(both_folds), TEST(one_fold_by_number), TEST(what_is_not_there),
                        TEST(plans_that_do_not_fit), TEST(several_results)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
