/* Which values are compared with which, and what a miss counts. */
#include "fabrica/nifti.h"
#include "tests.h"

static const box reference[] = {{1, {5, 5, 5}, {9, 9, 9}}, {2, {5, 5, 15}, {9, 9, 19}},
                                {3, {20, 20, 20}, {29, 29, 29}}, {4, {35, 5, 5}, {40, 9, 9}}};
static const box predicted[] = {{7, {5, 5, 5}, {9, 9, 9}}, {7, {5, 5, 15}, {9, 9, 19}},
                                {8, {20, 20, 20}, {29, 29, 24}}};

static void write_pair(void)
{
    write_labels(root, "ref", reference, 4,
                 "{\"1\":\"vertebrae_L1\",\"2\":\"vertebrae_L2\",\"3\":\"liver\","
                 "\"4\":\"spleen\"}");
    write_labels(root, "pred", predicted, 3,
                 "{\"7\":\"vertebrae\",\"8\":\"liver\",\"9\":\"heart\"}");
}

static double number(const fab_json *rows, size_t index, const char *key)
{
    return fab_json_number(fab_json_find(fab_json_at(rows, index), key));
}

void evaluate_by_name_and_mapping(void)
{
    static const char map[] =
        "{\"structures\":[{\"name\":\"vertebrae\",\"reference\":[\"vertebrae_*\"],\"predicted\":"
        "[\"vertebrae\"]},{\"name\":\"liver\",\"reference\":[3],\"predicted\":[8]},"
        "{\"name\":\"spleen\",\"reference\":[\"spleen\"],\"predicted\":[\"spleen\"]}]}";
    fab_error err;
    fresh();
    write_pair();
    fab_evaluate_job o = {.reference = in(root, "ref.nii.gz"), .predicted = in(root, "pred.nii.gz"),
                          .tolerance_mm = 3};
    FAB_AUTO(fab_json_free) fab_json *by_name = NULL;
    FAB_AUTO(fab_json_free) fab_json *mapped = NULL;
    CHECK_OK(fab_job_evaluate(&o, &by_name, &err));
    const fab_json *rows = fab_json_find(by_name, "structures");
    CHECK(fab_json_count(rows) == 1); /* liver alone is called the same */
    CHECK_NEAR(number(rows, 0, "dice"), 2.0 / 3.0, 1e-6);
    const fab_json *unmatched = fab_json_find(by_name, "unmatched");
    CHECK(fab_json_count(fab_json_find(unmatched, "reference")) == 3);
    CHECK(fab_json_count(fab_json_find(unmatched, "predicted")) == 2);

    CHECK_OK(fab_file_write_atomic(in(root, "map.json"), map, strlen(map), &err));
    o.mapping = in(root, "map.json");
    o.reference = in(root, "ref.nii.gz");
    o.predicted = in(root, "pred.nii.gz");
    CHECK_OK(fab_job_evaluate(&o, &mapped, &err));
    rows = fab_json_find(mapped, "structures");
    CHECK(number(rows, 0, "dice") == 1 && number(rows, 0, "hd95_mm") == 0);
    CHECK_NEAR(number(rows, 1, "volume_difference_percent"), -50, 1e-6);
    const fab_json *mean = fab_json_find(mapped, "mean");
    CHECK_NEAR(fab_json_number(fab_json_find(mean, "dice")), (1 + 2.0 / 3.0 + 0) / 3, 1e-5);

    CHECK_OK(fab_file_write_atomic(in(root, "map.json"), "{}", 2, &err));
    fab_json *none = NULL;
    CHECK_FAILS(FAB_ERR_FORMAT, "neither a mapping", fab_job_evaluate(&o, &none, &err));
    clean();
}

void evaluate_on_another_grid(void)
{
    fab_error err;
    fresh();
    write_pair();
    FAB_AUTO(fab_volume_unref) fab_volume *whole = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *part = NULL;
    FAB_AUTO(fab_json_free) fab_json *out = NULL;
    static const int32_t low[3] = {2, 2, 2}, size[3] = {44, 44, 44};
    CHECK_OK(fab_nifti_read(in(root, "ref.nii.gz"), &whole, NULL, 0, &err));
    CHECK_OK(fab_volume_crop(whole, low, size, &part, &err));
    CHECK_OK(fab_nifti_write(part, in(root, "part.nii.gz"), "part", &err));
    fab_evaluate_job o = {.reference = in(root, "ref.nii.gz"), .predicted = in(root, "part.nii.gz"),
                          .predicted_table = in(root, "ref.json"), .tolerance_mm = 3};
    CHECK_OK(fab_job_evaluate(&o, &out, &err));
    bool resampled = false;
    CHECK_OK(fab_json_get_bool(out, "resampled", &resampled, &err));
    CHECK(resampled);
    const fab_json *rows = fab_json_find(out, "structures");
    CHECK(fab_json_count(rows) == 4);
    for (size_t i = 0; i < 4; i++) CHECK(number(rows, i, "dice") == 1);
    clean();
}
