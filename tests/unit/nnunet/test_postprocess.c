/* test_postprocess.c - postprocessing.json: read, applied, found; and files that lie. */
#include <sys/stat.h>

#include "harness.h"
#include "model_internal.h"

#define FN "remove_all_but_largest_component_from_segmentation"

static fab_error err;

static fab_status read_text(const char *text, fab_nnunet_postprocessing *out)
{
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    CHECK_OK(fab_json_parse(text, strlen(text), "pp", &json, &err));
    return fab_nnunet_postprocessing_read(json, "a/postprocessing.json", out, &err);
}

/* As nnU-Net 2 writes it: what it measured stands before and is not read. */
static void reads_what_nnunet_writes(void)
{
    fab_nnunet_postprocessing p = {.count = 0};
    CHECK_OK(read_text("{\"input_folder\": {\"mean\": {\"1\": {\"Dice\": 0.5}}}, "
                       "\"postprocessing_fns\": [\"" FN "\", \"" FN "\", \"" FN "\"],"
                       "\"postprocessing_kwargs\": [{\"labels_or_regions\": [1, 2, 3]},"
                       " {\"labels_or_regions\": 2},"
                       " {\"labels_or_regions\": [[1, 3], 2], \"background_label\": 4}]}", &p));
    CHECK(p.count == 3 && strcmp(p.file, "a/postprocessing.json") == 0);
    CHECK(p.step[0].count == 3 && p.step[0].value[2] == 3 && p.step[0].background == 0);
    CHECK(p.step[1].count == 1 && p.step[1].value[0] == 2);
    CHECK(p.step[2].count == 3 && p.step[2].value[1] == 3 && p.step[2].background == 4);
    fab_nnunet_postprocessing_free(&p);
    CHECK_OK(read_text("{\"postprocessing_fns\": [], \"postprocessing_kwargs\": []}", &p));
    CHECK(p.count == 0 && p.file[0]);
    fab_nnunet_postprocessing_free(&p);
}

static void files_that_lie(void)
{
    static const struct {
        fab_status status;
        const char *text, *message;
    } bad[] = {
        {FAB_ERR_FORMAT, "{}", "\"postprocessing_fns\" is missing"},
        {FAB_ERR_FORMAT, "{\"postprocessing_fns\": []}", "\"postprocessing_kwargs\" is missing"},
        {FAB_ERR_FORMAT, "{\"postprocessing_fns\": [\"" FN "\"], \"postprocessing_kwargs\": []}",
         "postprocessing_fns has 1 entry, postprocessing_kwargs 0"},
        {FAB_ERR_UNSUPPORTED,
         "{\"postprocessing_fns\": [\"os.system\"], \"postprocessing_kwargs\": [{}]}",
         "postprocessing_fns[0] \"os.system\" is not known"},
        {FAB_ERR_UNSUPPORTED, "{\"postprocessing_fns\": [7], \"postprocessing_kwargs\": [{}]}",
         "postprocessing_fns[0] \"\" is not known"},
    };
    static const struct {
        const char *kwargs, *message;
    } steps[] = {
        {"{}", "postprocessing_kwargs[0]: labels_or_regions is missing"},
        {"[1]", "postprocessing_kwargs[0]: labels_or_regions is missing"},
        {"{\"labels_or_regions\": \"1\"}", "must hold whole numbers from 0 to 65534"},
        {"{\"labels_or_regions\": 1.5}", "must hold whole numbers"},
        {"{\"labels_or_regions\": -1}", "must hold whole numbers"},
        {"{\"labels_or_regions\": 65535}", "must hold whole numbers"},
        {"{\"labels_or_regions\": []}", "a list is empty"},
        {"{\"labels_or_regions\": [[[1]]]}", "must hold whole numbers"},
        {"{\"labels_or_regions\": 1, \"background_label\": -1}", "background_label"},
        {"{\"labels_or_regions\": 1, \"background_label\": \"0\"}", "background_label"},
    };
    fab_nnunet_postprocessing p = {.count = 0};
    char text[400];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(read_text(bad[i].text, &p) == bad[i].status);
        CHECK(strstr(err.message, "a/postprocessing.json: ") && strstr(err.message,
                                                                       bad[i].message));
    }
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        snprintf(text, sizeof text, "{\"postprocessing_fns\": [\"" FN "\"], "
                 "\"postprocessing_kwargs\": [%s]}", steps[i].kwargs);
        CHECK_FAILS(FAB_ERR_FORMAT, steps[i].message, read_text(text, &p));
    }
    CHECK(p.count == 0 && !p.step);
}

/* ---- applied ---------------------------------------------------------------------------- */

static fab_volume *line(const char *digits)
{
    fab_grid g = {.size = {(int32_t)strlen(digits), 1, 1}};
    fab_volume *v = NULL;
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 1;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    uint8_t *data = fab_volume_data_mut(v);
    for (size_t i = 0; digits[i]; i++) data[i] = (uint8_t)(digits[i] - '0');
    return v;
}

static void apply(const char *kwargs, const char *before, const char *after)
{
    char text[600], functions[200] = "";
    fab_nnunet_postprocessing p = {.count = 0};
    int64_t removed = 0, expected = 0;
    for (const char *at = kwargs; (at = strstr(at, "labels_or")); at++)
        strcat(functions, functions[0] ? ",\"" FN "\"" : "\"" FN "\"");
    snprintf(text, sizeof text, "{\"postprocessing_fns\": [%s], \"postprocessing_kwargs\": [%s]}",
             functions, kwargs);
    CHECK_OK(read_text(text, &p));
    fab_volume *v = line(before), *wanted = line(after);
    CHECK_OK(fab_nnunet_postprocess(&p, v, &removed, &err));
    CHECK(memcmp(fab_volume_data(v), fab_volume_data(wanted), strlen(before)) == 0);
    for (size_t i = 0; before[i]; i++) expected += before[i] != after[i];
    CHECK(removed == expected);
    fab_volume_unref(v);
    fab_volume_unref(wanted);
    fab_nnunet_postprocessing_free(&p);
}

static void keeps_what_it_should(void)
{
    apply("{\"labels_or_regions\": 1}", "1101110111", "0001110111"); /* both largest stay */
    apply("{\"labels_or_regions\": 1}", "11021101", "11021100");     /* 2 is not asked about */
    apply("{\"labels_or_regions\": [1, 2]}", "1102110", "0002110");  /* taken together */
    apply("{\"labels_or_regions\": [[1, 2]]}", "1102110", "0002110");
    apply("{\"labels_or_regions\": 1, \"background_label\": 3}", "1011", "3011");
    apply("{\"labels_or_regions\": [1, 2]}, {\"labels_or_regions\": 1}", "1110121101",
          "0000021100"); /* one after the other: the first leaves 1211, the second 11 of it */
    apply("{\"labels_or_regions\": 5}", "1101", "1101");
    apply("{\"labels_or_regions\": 300}", "1101", "1101"); /* no value of this map */
}

/* ---- found ------------------------------------------------------------------------------ */

static char root[FAB_MAX_PATH_BYTES];

static void put(const char *name, const char *text)
{
    char path[FAB_MAX_PATH_BYTES], *slash;
    CHECK_OK(fab_path_join(path, sizeof path, root, name, &err));
    if ((slash = strrchr(path, '/'))) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    CHECK_OK(fab_file_write_atomic(path, text, strlen(text), &err));
}

/* A result without weights: its plan and what is beside it. */
static void make_result(void)
{
    static const char *const files[] = {"plans.json", "dataset.json"};
    const char *source = getenv("FAB_SOURCE_ROOT");
    snprintf(root, sizeof root, "%s/fabpp-XXXXXX", P_tmpdir);
    CHECK(mkdtemp(root));
    for (size_t i = 0; i < 2; i++) {
        char path[FAB_MAX_PATH_BYTES];
        fab_reader r;
        uint8_t *bytes = NULL;
        size_t size = 0;
        snprintf(path, sizeof path, "%s/tests/golden/nnunet_folder/Dataset900_Small/"
                 "nnUNetTrainer__nnUNetPlans__3d_fullres/%s", source ? source : ".", files[i]);
        CHECK_OK(fab_reader_open_file(path, &r, &err));
        CHECK_OK(fab_reader_read_all(&r, (size_t)1 << 20, &bytes, &size, &err));
        fab_reader_close(&r);
        CHECK_OK(fab_path_join(path, sizeof path, root, files[i], &err));
        CHECK_OK(fab_file_write_atomic(path, bytes, size, &err));
        fab_free(bytes);
    }
    put("fold_0/x", "");
    put("fold_1/x", "");
}

/* The file that is taken; "" if none. NULL: refused with that in the message. */
static void expect_found(const char *wanted, const char *message)
{
    const fab_nnunet_load_options only = {.plan_only = true},
                                  none = {.plan_only = true, .no_postprocessing = true};
    fab_nnunet *m = NULL;
    CHECK_OK(fab_nnunet_load(root, &none, &m, &err));
    CHECK(!fab_nnunet_postprocessing_of(m)->file[0]);
    m = fab_nnunet_free(m);
    const fab_status status = fab_nnunet_load(root, &only, &m, &err);
    if (!wanted) {
        CHECK(status == FAB_ERR_UNSUPPORTED && strstr(err.message, message));
        return;
    }
    CHECK_OK(status);
    const char *file = fab_nnunet_postprocessing_of(m)->file;
    CHECK(strcmp(file[0] ? file + strlen(root) + 1 : "", wanted) == 0);
    fab_nnunet_free(m);
}

static void is_found(void)
{
    static const char *const text = "{\"postprocessing_fns\": [], \"postprocessing_kwargs\": []}";
    make_result();
    expect_found("", NULL);
    put("crossval_results_folds_0_1_2/summary.json", "{}"); /* no postprocessing in there */
    expect_found("", NULL);
    put("crossval_results_folds_0_1_2/postprocessing.pkl", "cos\nsystem\n");
    expect_found(NULL, "folds_0_1_2/postprocessing.pkl holds Python functions");
    put("crossval_results_folds_0_1_2/postprocessing.json", text); /* the only one */
    expect_found("crossval_results_folds_0_1_2/postprocessing.json", NULL);
    put("crossval_results_folds_0/postprocessing.json", text);
    expect_found(NULL, "2 folders crossval_results_folds_...");
    put("crossval_results_folds_0_1/postprocessing.json", text); /* the folds that are there */
    expect_found("crossval_results_folds_0_1/postprocessing.json", NULL);
    put("postprocessing.json", text); /* chosen by a person */
    expect_found("postprocessing.json", NULL);
    CHECK_OK(fab_path_remove_tree(root, &err));
}

int main(void)
{
    fab_test tests[] = {TEST(reads_what_nnunet_writes), TEST(files_that_lie),
                        TEST(keeps_what_it_should), TEST(is_found)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
