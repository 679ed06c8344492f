#include "tests.h"

#include <unistd.h>

#include "fabrica/nifti.h"

static fab_grid grid_of(int x, int y, int z, double dx, double dy, double dz)
{
    return (fab_grid){{x, y, z},
                      {{{dx, 0, 0, -10}, {0, dy, 0, 20}, {0, 0, dz, 5}}}};
}

/* The outer corners of both are the same points. */
static void same_box(const fab_grid *a, const fab_grid *b)
{
    for (int corner = 0; corner < 8; corner++) {
        double pa[3], pb[3];
        for (int k = 0; k < 3; k++) {
            pa[k] = corner >> k & 1 ? a->size[k] - 0.5 : -0.5;
            pb[k] = corner >> k & 1 ? b->size[k] - 0.5 : -0.5;
        }
        fab_mat34_apply(&a->world_from_voxel, pa, pa);
        fab_mat34_apply(&b->world_from_voxel, pb, pb);
        for (int k = 0; k < 3; k++) CHECK_NEAR(pa[k], pb[k], 1e-9);
    }
}

void coarser_grids(void)
{
    fab_grid ct = grid_of(512, 512, 100, 0.8, 0.8, 5), small = grid_of(10, 20, 30, 2, 2, 2);
    fab_grid one = fab_levels_grid(&ct, 256), two = fab_levels_grid(&ct, 96);
    CHECK(one.size[0] == 210 && one.size[1] == 210 && one.size[2] == 256);
    same_box(&ct, &one);
    CHECK(two.size[0] == 79 && two.size[2] == 96);
    same_box(&ct, &two);
    fab_grid same = fab_levels_grid(&small, 256);
    CHECK(fab_grid_equal(&small, &same, 1e-12));
    same = fab_levels_grid(&ct, 0);
    CHECK(fab_grid_equal(&ct, &same, 1e-12));
}

static fab_volume *ramp(const fab_grid *g)
{
    fab_error err;
    fab_volume *v = NULL;
    CHECK_OK(fab_volume_create(g, FAB_I16, &v, &err));
    int16_t *at = fab_volume_data_mut(v);
    for (int k = 0; k < g->size[2]; k++)
        for (int j = 0; j < g->size[1]; j++)
            for (int i = 0; i < g->size[0]; i++) *at++ = (int16_t)(10 * i - 20 * j + 30 * k);
    return v;
}

/* Means of a linear field are its values at the coarse centres; also where an axis is refined. */
void means(void)
{
    fab_error err;
    fab_grid g = grid_of(12, 8, 5, 1, 1, 4), to = g;
    const int size[3] = {4, 3, 9}; /* 12/4, 8/3 with shares, 5/9 refined */
    for (int a = 0; a < 3; a++) {
        double ratio = (double)g.size[a] / size[a];
        to.size[a] = size[a];
        to.world_from_voxel.m[a][a] *= ratio;
        to.world_from_voxel.m[a][3] += 0.5 * (ratio - 1) * g.world_from_voxel.m[a][a];
    }
    fab_volume *v = ramp(&g), *out = NULL;
    CHECK_OK(fab_levels_average(v, &to, &out, &err));
    for (int k = 1; k + 1 < size[2]; k++)
        for (int j = 0; j < size[1]; j++)
            for (int i = 0; i < size[0]; i++) {
                double x = (i + 0.5) * 3 - 0.5, y = (j + 0.5) * 8 / 3 - 0.5;
                double z = (k + 0.5) * 5 / 9 - 0.5;
                CHECK_NEAR(fab_volume_get(out, i, j, k), 10 * x - 20 * y + 30 * z, 1.8);
            }
    fab_volume_unref(v);
    fab_volume_unref(out);
}

static atomic_int woken;
static void on_wake(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&woken, 1);
}

static fab_status wait_for(fab_levels *l, fab_level_kind kind, int level, fab_level *out,
                           fab_error *err)
{
    for (int n = 0; n < 3000; n++) {
        fab_status status = fab_levels_get(l, kind, level, true, 5, out, err);
        if (status <= 0) return status;
        usleep(10000);
    }
    return 1;
}

/* Native bytes are the file's voxels; they are let go, and come again when asked for. */
void levels_of_files(void)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    fab_error err;
    fab_levels *l = NULL;
    fab_level got = {0};
    fab_grid g = grid_of(40, 30, 20, 1, 1, 1);
    fab_volume *v = ramp(&g);
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_path_join(path, sizeof path, folder, "v.nii.gz", &err));
    CHECK_OK(fab_nifti_write(v, path, NULL, &err));
    const char *const paths[] = {path, NULL};
    CHECK_OK(fab_levels_open(paths, false, on_wake, NULL, &l, &err));
    for (int again = 0; again < 2; again++) {
        CHECK_OK(wait_for(l, FAB_LEVEL_VOLUME, 0, &got, &err));
        CHECK(got.type == FAB_I16 && got.low == -580 && got.high == 960);
        CHECK(got.raw->size == fab_volume_bytes(v));
        CHECK(memcmp(got.raw->data, fab_volume_data(v), got.raw->size) == 0);
        fab_bytes_unref(got.raw);
        fab_levels_tidy(l, 5 + FAB_NATIVE_KEEP_S + 1);
    }
    CHECK_OK(wait_for(l, FAB_LEVEL_VOLUME, 2, &got, &err));
    CHECK(got.raw->size == fab_volume_bytes(v) && got.gzip && got.gzip->size < got.raw->size);
    fab_bytes_unref(got.raw);
    fab_bytes_unref(got.gzip);
    CHECK_FAILS(FAB_ERR_NOTFOUND, "none", wait_for(l, FAB_LEVEL_LABELS, 1, &got, &err));
    l = fab_levels_close(l);
    CHECK(atomic_load(&woken) > 0);
    CHECK_OK(fab_file_write_atomic(path, "no volume", 9, &err));
    CHECK_OK(fab_levels_open(paths, false, on_wake, NULL, &l, &err));
    CHECK(wait_for(l, FAB_LEVEL_VOLUME, 1, &got, &err) < 0 && strstr(err.message, "v.nii.gz"));
    fab_levels_close(l);
    fab_volume_unref(v);
    CHECK(fab_path_remove_tree(folder, NULL) == FAB_OK);
}

/* Grids and types are known from the header, before a voxel was read. */
void announced_levels(void)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    fab_error err;
    fab_grid g = grid_of(140, 30, 20, 1, 1, 2);
    fab_volume *v = ramp(&g), *labels = NULL;
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_path_join(path, sizeof path, folder, "v.nii.gz", &err));
    CHECK_OK(fab_volume_create(&g, FAB_U8, &labels, &err));
    for (int i = 0; i < 4; i++) { /* a volume; labels: bytes, wide and not so wide numbers */
        const char *const paths[] = {i ? NULL : path, i ? path : NULL};
        fab_level_kind kind = i ? FAB_LEVEL_LABELS : FAB_LEVEL_VOLUME;
        fab_levels *l = NULL;
        fab_level now = {0}, then = {0};
        fab_volume *stored = i < 2 ? NULL : labels;
        if (i >= 2) CHECK_OK(fab_volume_convert(labels, FAB_U16, &stored, &err));
        CHECK_OK(fab_nifti_write(i == 0 ? v : i == 1 ? labels : stored, path, NULL, &err));
        CHECK_OK(fab_levels_open(paths, i == 1 || i == 2, on_wake, NULL, &l, &err));
        for (int level = 0; level < FAB_LEVELS; level++) {
            CHECK_OK(fab_levels_get(l, kind, level, false, 5, &now, &err));
            CHECK(now.type == (i == 0 ? FAB_I16 : i == 2 ? FAB_U16 : FAB_U8));
            CHECK_OK(wait_for(l, kind, level, &then, &err));
            CHECK(fab_grid_equal(&now.grid, &then.grid, 1e-4) && now.type == then.type);
            CHECK(then.measured && then.raw->size == (size_t)fab_grid_voxels(&now.grid) *
                                                         fab_dtype_bytes(now.type));
            fab_bytes_unref(then.raw);
            fab_bytes_unref(then.gzip);
        }
        fab_levels_close(l);
        if (i >= 2) fab_volume_unref(stored);
    }
    fab_volume_unref(v);
    fab_volume_unref(labels);
    CHECK(fab_path_remove_tree(folder, NULL) == FAB_OK);
}
