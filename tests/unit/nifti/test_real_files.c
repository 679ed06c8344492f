/* Files other programs wrote (development data; skipped where it is absent). */
#include "harness.h"

#include "fabrica/nifti.h"

static fab_error err;
static char path[FAB_MAX_PATH_BYTES], notes[400];

static fab_volume *read_nifti(const char *relative)
{
    fab_volume *v = NULL;
    if (!fab_test_data(relative, path)) SKIP("no shared data");
    CHECK_OK(fab_nifti_read(path, &v, notes, sizeof notes, &err));
    return v;
}

static void check_size(const fab_volume *v, int x, int y, int z)
{
    const fab_grid *g = fab_volume_grid(v);
    CHECK(g->size[0] == x && g->size[1] == y && g->size[2] == z);
}

static void int32_ct(void)
{
    fab_volume *v = read_nifti("labelled/totalsegmentator_example/example_ct.nii.gz");
    check_size(v, 122, 101, 112);
    CHECK(fab_volume_dtype(v) == FAB_I32);
    double low, high, spacing[3];
    fab_volume_minmax(v, &low, &high);
    CHECK(low >= -2000 && low <= -900 && high > 200);
    fab_grid_spacing(fab_volume_grid(v), spacing);
    CHECK_NEAR(spacing[0], 3, 0.01);
    fab_volume_unref(v);
}

static void float64_labels(void)
{
    fab_volume *v = read_nifti(
        "labelled/totalsegmentator_example/example_seg_full_v1_104cls_7fcc5698.nii.gz");
    CHECK(fab_volume_dtype(v) == FAB_F32);
    double low, high;
    fab_volume_minmax(v, &low, &high);
    CHECK(low == 0 && high <= 104 && high == rint(high));
    fab_volume_unref(v);
}

static void qform_only(void)
{
    fab_volume *v = read_nifti("labelled/verse/sub-verse006_ct.nii.gz");
    check_size(v, 100, 86, 37);
    fab_volume_unref(v);
}

static void rgb_is_refused_by_name(void)
{
    fab_volume *v = NULL;
    if (!fab_test_data("labelled/totalsegmentator_example/spine_report/example_ct_report/"
                       "spine_report.nii.gz", path)) SKIP("no shared data");
    CHECK_FAILS(FAB_ERR_UNSUPPORTED, "rgb24", fab_nifti_read(path, &v, notes, 400, &err));
}

static void vector_field_is_refused(void)
{
    fab_volume *v = NULL;
    if (!fab_test_data("mr/sct_testing/t2/warp_template2anat.nii.gz", path))
        SKIP("no shared data");
    CHECK_FAILS(FAB_ERR_UNSUPPORTED, "several values a voxel",
                fab_nifti_read(path, &v, notes, 400, &err));
}

static void slicer_nrrd(void)
{
    fab_volume *v = NULL;
    if (!fab_test_data("labelmaps/ct244_bone.nrrd", path)) SKIP("no shared data");
    CHECK_OK(fab_nrrd_read(path, &v, notes, 400, &err));
    check_size(v, 288, 288, 287);
    const fab_mat34 *m = &fab_volume_grid(v)->world_from_voxel;
    CHECK(fab_volume_dtype(v) == FAB_I16 && m->m[0][0] == -1.5 && m->m[1][1] == -1.5);
    CHECK_NEAR(m->m[0][3], 226.578125, 1e-9);
    fab_volume_unref(v);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(int32_ct), TEST(float64_labels), TEST(qform_only), TEST(rgb_is_refused_by_name),
        TEST(vector_field_is_refused), TEST(slicer_nrrd),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
