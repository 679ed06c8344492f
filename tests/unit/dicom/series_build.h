/* series_build.h - test series in any orientation: a volume with a known structure in it. */
#ifndef FAB_TEST_SERIES_BUILD_H
#define FAB_TEST_SERIES_BUILD_H

#include "fabrica/dicom.h"
#include "harness.h"

/* A grid whose columns are i, j, k times the spacing, centred on `centre`. */
static inline fab_grid test_grid(const double axes[3][3], const double spacing[3],
                                 const int32_t size[3], const double centre[3])
{
    fab_grid g = {.size = {size[0], size[1], size[2]}};
    for (int r = 0; r < 3; r++) {
        double middle = 0;
        for (int c = 0; c < 3; c++) {
            g.world_from_voxel.m[r][c] = axes[c][r] * spacing[c];
            middle += g.world_from_voxel.m[r][c] * (size[c] - 1) / 2.0;
        }
        g.world_from_voxel.m[r][3] = centre[r] - middle;
    }
    return g;
}

/* -1000 outside, 500 inside an ellipsoid given in world coordinates: not symmetric to the grid. */
static const double test_centre[3] = {12.5, -31.0, 47.25}, test_radius[3] = {14, 20, 11};

static inline double test_value(const double p[3])
{
    double r = 0;
    for (int i = 0; i < 3; i++) r += pow((p[i] - test_centre[i]) / test_radius[i], 2);
    return r <= 1 ? 500 : -1000;
}

/* Partial volume by 4 x 4 x 4 samples a voxel, so that a structure's centroid is well defined. */
static inline double test_sample(const fab_grid *g, int32_t i, int32_t j, int32_t k)
{
    double sum = 0;
    for (int s = 0; s < 64; s++) {
        double p[3] = {i + ((s & 3) - 1.5) / 4, j + ((s >> 2 & 3) - 1.5) / 4,
                       k + ((s >> 4) - 1.5) / 4};
        fab_mat34_apply(&g->world_from_voxel, p, p);
        sum += test_value(p);
    }
    return sum / 64;
}

static inline fab_volume *test_volume(const fab_grid *g)
{
    fab_error err = {0};
    fab_volume *v = NULL;
    CHECK_OK(fab_volume_create(g, FAB_I16, &v, &err));
    int16_t *out = fab_volume_data_mut(v);
    size_t at = 0;
    for (int32_t k = 0; k < g->size[2]; k++)
        for (int32_t j = 0; j < g->size[1]; j++)
            for (int32_t i = 0; i < g->size[0]; i++, at++)
                out[at] = (int16_t)lround(test_sample(g, i, j, k));
    return v;
}

static inline fab_series_write test_how(const char *seed)
{
    return (fab_series_write){.modality = "CT", .patient_id = "P1", .patient_name = "Test^One",
                              .patient_sex = "O", .patient_birth_date = "19700101",
                              .study_description = "orientations", .series_description = seed,
                              .study_date = "20240102", .study_time = "030405",
                              .uid_seed = seed, .series_number = 3};
}

/* Weighted by how much of the structure a voxel holds; world mm. */
static inline void test_centroid(const fab_volume *v, double out[3])
{
    const fab_grid *g = fab_volume_grid(v);
    double sum = 0, p[3];
    out[0] = out[1] = out[2] = 0;
    for (int32_t k = 0; k < g->size[2]; k++)
        for (int32_t j = 0; j < g->size[1]; j++)
            for (int32_t i = 0; i < g->size[0]; i++) {
                double w = (fab_volume_get(v, i, j, k) + 1000) / 1500;
                if (w <= 0.01) continue;
                p[0] = i, p[1] = j, p[2] = k;
                fab_mat34_apply(&g->world_from_voxel, p, p);
                sum += w;
                for (int a = 0; a < 3; a++) out[a] += w * p[a];
            }
    CHECK(sum > 0);
    for (int a = 0; a < 3; a++) out[a] /= sum;
}

/* The same series in JPEG-LS Lossless, which we read but do not write (src/dicom/build.cc): 16 x 12
 * x 8 voxels of 4 x 4 x 2.5 mm of test_value, from tests/golden/jpeg_ls. */
static inline void test_copy_jpeg_ls(const char *folder)
{
    fab_error err = {0};
    const char *root = getenv("FAB_SOURCE_ROOT");
    for (int k = 1; k <= 8; k++) {
        char name[64], path[FAB_MAX_PATH_BYTES];
        fab_reader r;
        uint8_t *bytes = NULL;
        size_t size = 0;
        snprintf(name, sizeof name, "tests/golden/jpeg_ls/IMG%05d.dcm", k);
        CHECK_OK(fab_path_join(path, sizeof path, root ? root : ".", name, &err));
        CHECK_OK(fab_reader_open_file(path, &r, &err));
        CHECK_OK(fab_reader_read_all(&r, (size_t)1 << 20, &bytes, &size, &err));
        fab_reader_close(&r);
        CHECK_OK(fab_path_join(path, sizeof path, folder, strrchr(name, '/') + 1, &err));
        CHECK_OK(fab_file_write_atomic(path, bytes, size, &err));
        fab_free(bytes);
    }
}

/* Scans and loads the only series below a folder. */
static inline fab_series *test_load(const char *folder)
{
    fab_error err = {0};
    size_t index = 0;
    fab_dicom_scan *scan = NULL;
    fab_series *series = NULL;
    CHECK_OK(fab_dicom_scan_path(folder, NULL, &scan, &err));
    CHECK_OK(fab_dicom_scan_pick(scan, &index, &err));
    CHECK_OK(fab_dicom_load(scan, index, NULL, &series, &err));
    fab_dicom_scan_free(scan);
    return series;
}

#endif
