/* The centroid property: a structure stays where it is in the patient, whatever way its slices
 * lie. A series is written from a grid in each orientation, read back through the geometry gate,
 * and the structure's centroid compared with the known one (within 0.1 voxel).
 */
#include "series_build.h"

typedef struct orientation {
    const char *name;
    double axes[3][3]; /* directions of i, j, k */
    double spacing[3];
    int32_t size[3];
    fab_geometry_verdict verdict;
} orientation;

#define C20 0.9396926207859084
#define S20 0.3420201433256687
#define C35 0.8191520442889918
#define S35 0.5735764363510461

static const orientation orientations[] = {
    {"axial", {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, {1, 1, 2.5}, {48, 56, 20}, FAB_GEOMETRY_OK},
    {"coronal", {{1, 0, 0}, {0, 0, -1}, {0, 1, 0}}, {1, 1.2, 2}, {48, 40, 32}, FAB_GEOMETRY_OK},
    {"sagittal", {{0, 1, 0}, {0, 0, -1}, {1, 0, 0}}, {1.1, 1.1, 3}, {56, 40, 18}, FAB_GEOMETRY_OK},
    {"oblique", {{C20, S20, 0}, {-S20 * C35, C20 * C35, S35}, {S20 * S35, -C20 * S35, C35}},
     {1, 1, 2}, {56, 64, 36}, FAB_GEOMETRY_OK},
    {"feet first", {{1, 0, 0}, {0, 1, 0}, {0, 0, -1}}, {1, 1, 2.5}, {48, 56, 20}, FAB_GEOMETRY_OK},
    {"prone", {{-1, 0, 0}, {0, -1, 0}, {0, 0, 1}}, {1, 1, 2.5}, {48, 56, 20}, FAB_GEOMETRY_OK},
    {"column 0,-1,0", {{1, 0, 0}, {0, -1, 0}, {0, 0, 1}}, {1, 1, 2.5}, {48, 56, 20},
     FAB_GEOMETRY_OK},
    {"tilted", {{1, 0, 0}, {0, C20, -S20}, {0, 0, 1}}, {1, 1, 2.5}, {48, 80, 30},
     FAB_GEOMETRY_CORRECTED_TILT},
    {"tilted feet first", {{1, 0, 0}, {0, C20, S20}, {0, 0, -1}}, {1, 1, 2.5}, {48, 80, 30},
     FAB_GEOMETRY_CORRECTED_TILT},
    {"tilted sideways", {{C20, 0, S20}, {0, -1, 0}, {0, 0, 1}}, {1, 1, 2.5}, {80, 56, 30},
     FAB_GEOMETRY_CORRECTED_TILT},
};

static void check_one(const orientation *o)
{
    char folder[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    fab_grid g = test_grid(o->axes, o->spacing, o->size, test_centre);
    /* off the middle, so that a flip cannot hide */
    for (int i = 0; i < 3; i++) g.world_from_voxel.m[i][3] += 1.5 - 0.7 * i;
    FAB_AUTO(fab_volume_unref) fab_volume *v = test_volume(&g);
    fab_series_write how = test_how(o->name);
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_dicom_write_series(v, &how, folder, &err));
    FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
    CHECK_OK(fab_path_remove_tree(folder, &err));
    CHECK(s->info.verdict == o->verdict);
    CHECK(s->resampled == (o->verdict != FAB_GEOMETRY_OK));
    CHECK((int)s->slice_count == o->size[2]);
    CHECK(fab_mat34_determinant(&fab_volume_grid(s->volume)->world_from_voxel) > 0);
    double before[3], after[3], spacing[3];
    test_centroid(v, before);
    test_centroid(s->volume, after);
    fab_grid_spacing(fab_volume_grid(s->volume), spacing);
    double worst = fmin(fmin(spacing[0], spacing[1]), spacing[2]) * 0.1;
    printf("  %-18s %s centroid off by %.4f mm, from truth by %.4f mm (allowed %.3f)\n", o->name,
           s->info.orientation,
           sqrt(pow(after[0] - before[0], 2) + pow(after[1] - before[1], 2) +
                pow(after[2] - before[2], 2)),
           sqrt(pow(after[0] - test_centre[0], 2) + pow(after[1] - test_centre[1], 2) +
                pow(after[2] - test_centre[2], 2)),
           worst);
    for (int i = 0; i < 3; i++) {
        CHECK_NEAR(after[i], before[i], worst);
        CHECK_NEAR(after[i], test_centre[i], worst);
    }
}

/* Voxel for voxel where nothing is resampled: the same world point has the same value. */
static void check_voxels(const orientation *o)
{
    char folder[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    fab_mat34 inverse;
    fab_grid g = test_grid(o->axes, o->spacing, o->size, test_centre);
    FAB_AUTO(fab_volume_unref) fab_volume *v = test_volume(&g);
    fab_series_write how = test_how(o->name);
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_dicom_write_series(v, &how, folder, &err));
    FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
    CHECK_OK(fab_path_remove_tree(folder, &err));
    CHECK_OK(fab_mat34_invert(&g.world_from_voxel, &inverse, &err));
    const fab_grid *h = fab_volume_grid(s->volume);
    for (int32_t k = 0; k < h->size[2]; k++)
        for (int32_t j = 0; j < h->size[1]; j += 3)
            for (int32_t i = 0; i < h->size[0]; i += 3) {
                double p[3] = {i, j, k};
                fab_mat34_apply(&h->world_from_voxel, p, p);
                fab_mat34_apply(&inverse, p, p);
                int32_t at[3] = {(int32_t)lround(p[0]), (int32_t)lround(p[1]),
                                 (int32_t)lround(p[2])};
                for (int a = 0; a < 3; a++) CHECK_NEAR(p[a], at[a], 1e-6);
                CHECK(fab_volume_get(s->volume, i, j, k) == fab_volume_get(v, at[0], at[1], at[2]));
            }
}

static void centroids(void)
{
    for (size_t i = 0; i < sizeof orientations / sizeof orientations[0]; i++)
        check_one(&orientations[i]);
}

static void voxels(void)
{
    for (size_t i = 0; i < sizeof orientations / sizeof orientations[0]; i++)
        if (orientations[i].verdict == FAB_GEOMETRY_OK) check_voxels(&orientations[i]);
}

/* The order of the files, and their names, mean nothing. */
static void shuffled(void)
{
    char folder[FAB_MAX_PATH_BYTES], a[FAB_MAX_PATH_BYTES + 32], b[FAB_MAX_PATH_BYTES + 32];
    fab_error err = {0};
    const orientation *o = &orientations[0];
    fab_grid g = test_grid(o->axes, o->spacing, o->size, test_centre);
    FAB_AUTO(fab_volume_unref) fab_volume *v = test_volume(&g);
    fab_series_write how = test_how("shuffled");
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_dicom_write_series(v, &how, folder, &err));
    FAB_AUTO(fab_series_free) fab_series *first = test_load(folder);
    for (int k = 1; k <= o->size[2]; k++) {
        snprintf(a, sizeof a, "%s/IMG%05d.dcm", folder, k);
        snprintf(b, sizeof b, "%s/%c%03d", folder, "qxa"[k % 3], (k * 7) % 20);
        CHECK(rename(a, b) == 0);
    }
    FAB_AUTO(fab_series_free) fab_series *second = test_load(folder);
    CHECK_OK(fab_path_remove_tree(folder, &err));
    CHECK(strcmp(first->input_sha256, second->input_sha256) == 0);
    CHECK(fab_grid_equal(fab_volume_grid(first->volume), fab_volume_grid(second->volume), 0));
    CHECK(memcmp(fab_volume_data(first->volume), fab_volume_data(second->volume),
                 fab_volume_bytes(first->volume)) == 0);
    for (size_t i = 0; i < first->slice_count; i++)
        CHECK(strcmp(first->sop_instance_uid[i], second->sop_instance_uid[i]) == 0);
}

int main(void)
{
    return FAB_RUN(TEST(centroids), TEST(voxels), TEST(shuffled));
}
