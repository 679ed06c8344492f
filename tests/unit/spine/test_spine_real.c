/* test_spine_real.c - the two real label maps of the shared data (TotalSegmentator cases s0327 and
 * s0328): vertebrae merged into classes at 3 mm, then counted, named and separated again. Skipped
 * where the data is not there. */
#include "fabrica/nifti.h"
#include "harness.h"
#include "spine_truth.h"

static fab_error err;

static const char *total_name(void *ctx, int value)
{
    (void)ctx;
    return fab_total_name(value);
}

static void check_case(const char *file, int vertebrae, double mean, double worst)
{
    char relative[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    fab_volume *labels = NULL, *truth = NULL, *map = NULL;
    fab_spine s = {0};
    spine_score score;
    snprintf(relative, sizeof relative, "labelmaps/%s", file);
    if (!fab_test_data(relative, path)) SKIP("the shared label maps are not there");
    CHECK_OK(fab_nifti_read(path, &labels, NULL, 0, &err));
    CHECK_OK(spine_truth_make(labels, total_name, NULL, 3, &truth, &err));
    CHECK_OK(spine_truth_classes(truth, &map, &err));
    CHECK_OK(fab_spine_decode(map, &truth_classes, NULL, &s, &err));
    spine_truth_score(truth, &s, &score);
    printf("  %s: %d of %d named right, Dice mean %.3f, worst %.3f (%s)\n", file, score.found,
           score.vertebrae, score.mean, score.worst, fab_spine_level_name(score.worst_level));
    CHECK(score.vertebrae == vertebrae && score.found == vertebrae);
    CHECK(score.mean >= mean && score.worst >= worst);
    CHECK(s.sacrum_below && s.lumbar == 5 && !s.transitional);
    fab_spine_free(&s);
    fab_volume_unref(labels);
    fab_volume_unref(truth);
    fab_volume_unref(map);
}

static void c7_to_l5(void)
{
    check_case("s0327_total117.nii.gz", 17, 0.965, 0.90);
}

static void t10_to_l5(void)
{
    check_case("s0328_total117.nii.gz", 8, 0.97, 0.95);
}

int main(void)
{
    return FAB_RUN(TEST(c7_to_l5), TEST(t10_to_l5));
}
