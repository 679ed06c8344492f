/* fixture.h - a small twin for the export tests: label map, meshes, reports, names. Structures
 * touch each other and the faces of the volume, as real ones do; the grid is oblique. */
#ifndef FAB_EXPORT_FIXTURE_H
#define FAB_EXPORT_FIXTURE_H

#include "fabrica/export.h"
#include "harness.h"

typedef struct fixture {
    fab_volume *labels;
    fab_label_set names;
    fab_mesh_set meshes, coarse; /* coarse: of the same labels at twice the voxel */
    const fab_mesh_set *lods[1];
    fab_mesh_report *reports;
    fab_export_scene scene;
} fixture;

static const char *const fixture_names[] = {
    "vertebrae_L1", "vertebrae_L2", "kidney_left", "kidney_right", "aorta", "body",
    "my <odd> & \"free\" name", "lung_upper_lobe_left"};
enum { FIXTURE_NAMES = sizeof fixture_names / sizeof *fixture_names };

static inline int fixture_label(int i, int j, int k)
{
    static const double ball[][4] = {{20, 30, 14, 8}, {20, 30, 28, 8}, {33, 26, 20, 6},
                                     {7, 26, 20, 6}, {20, 18, 20, 4}, {0, 0, 0, 0},
                                     {33, 38, 38, 5}, {10, 10, 37, 7}};
    for (int l = 0; l < FIXTURE_NAMES; l++) {
        double x = i - ball[l][0], y = j - ball[l][1], z = l == 4 ? 0 : k - ball[l][2];
        if (x * x + y * y + z * z <= ball[l][3] * ball[l][3] && ball[l][3] > 0) return l + 1;
    }
    double x = (i - 20) / 19.0, y = (j - 22) / 20.0;
    return x * x + y * y < 1 ? 6 : 0;
}

static inline fab_status fixture_volume(fab_volume **out, fab_error *err)
{
    /* 40 x 45 x 42 voxels of 1.2 x 1.1 x 2 mm, turned 20 degrees about x, off the origin */
    double c = 0.93969262078590843, s = 0.34202014332566871;
    fab_grid g = {.size = {40, 45, 42},
                  .world_from_voxel = {{{1.2, 0, 0, -60}, {0, 1.1 * c, -2 * s, 85},
                                        {0, 1.1 * s, 2 * c, -310}}}};
    FAB_TRY(fab_volume_create(&g, FAB_U8, out, err));
    uint8_t *v = fab_volume_data_mut(*out);
    for (int k = 0; k < g.size[2]; k++)
        for (int j = 0; j < g.size[1]; j++)
            for (int i = 0; i < g.size[0]; i++) *v++ = (uint8_t)fixture_label(i, j, k);
    return FAB_OK;
}

static inline void fixture_free(fixture *f)
{
    fab_mesh_set_free(&f->meshes);
    fab_mesh_set_free(&f->coarse);
    fab_label_set_free(&f->names);
    fab_volume_unref(f->labels);
    fab_free(f->reports);
    *f = (fixture){0};
}

static inline fab_status fixture_coarse(fixture *f, const fab_mesh_options *options,
                                        fab_error *err)
{
    fab_volume *half = NULL;
    fab_grid g = *fab_volume_grid(f->labels);
    for (int a = 0; a < 3; a++) {
        for (int r = 0; r < 3; r++) {
            g.world_from_voxel.m[r][3] += g.world_from_voxel.m[r][a] / 2;
            g.world_from_voxel.m[r][a] *= 2;
        }
        g.size[a] = (g.size[a] + 1) / 2;
    }
    FAB_TRY(fab_volume_resample(f->labels, &g, FAB_NEAREST, 0, &half, err));
    fab_status status = fab_mesh_extract(half, NULL, options, &f->coarse, err);
    fab_volume_unref(half);
    f->lods[0] = &f->coarse;
    return status;
}

static inline fab_status fixture_fill(fixture *f, fab_error *err)
{
    fab_mesh_options options;
    fab_mesh_options_default(&options);
    FAB_TRY(fixture_volume(&f->labels, err));
    for (int l = 0; l < FIXTURE_NAMES; l++)
        FAB_TRY(fab_label_set_add(&f->names, l + 1, fixture_names[l], err));
    FAB_TRY(fab_mesh_extract(f->labels, NULL, &options, &f->meshes, err));
    FAB_TRY(fixture_coarse(f, &options, err));
    f->reports = fab_calloc(f->meshes.count, sizeof *f->reports);
    if (!f->reports) return fab_error_set(err, FAB_ERR_NOMEM, "no memory");
    for (size_t i = 0; i < f->meshes.count; i++) {
        if (i != 1) FAB_TRY(fab_mesh_compute_normals(&f->meshes.items[i], err));
        f->reports[i] = (fab_mesh_report){.closed = true, .manifold = true, .components = 1,
                                          .self_intersections = 0, .volume_ml = 1.5,
                                          .area_mm2 = 9, .hd95_mm = 0.25, .mean_mm = 0.125,
                                          .volume_error_percent = i == 2 ? NAN : -0.5};
    }
    f->scene = (fab_export_scene){
        .meshes = &f->meshes, .lods = f->lods, .lod_count = 1, .reports = f->reports,
        .set = &f->names,
        .frame_of_reference_sha256 =
            "1f0e2d3c4b5a69788796a5b4c3d2e1f01f0e2d3c4b5a69788796a5b4c3d2e1f0",
        .source_sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        .generator = "fabrica test"};
    return FAB_OK;
}

#endif
