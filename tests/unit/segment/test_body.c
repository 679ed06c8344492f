/* test_body.c - the part of an image that the patient is in: couch and air go, arms stay. */
#include "harness.h"
#include "segment_internal.h"

static fab_error err;

enum { NX = 100, NY = 80, NZ = 30 };
static const fab_grid grid = {
    {NX, NY, NZ}, {{{3, 0, 0, -10}, {0, 3, 0, 20}, {0, 0, 3, 5}}}};

static bool in_trunk(int x, int y)
{
    const double dx = (x - 50) / 25.0, dy = (y - 35) / 18.0;
    return dx * dx + dy * dy < 1;
}

static bool in_arm(int x, int y)
{
    return (x - 15) * (x - 15) + (y - 35) * (y - 35) < 25;
}

/* Trunk and one arm beside it, a couch shell two voxels thick 8 voxels below, a speck of wood. */
static fab_volume *patient(fab_dtype type)
{
    fab_volume *v = NULL, *typed = NULL;
    CHECK_OK(fab_volume_create(&grid, FAB_F32, &v, &err));
    float *hu = fab_volume_data_mut(v);
    for (int z = 0; z < NZ; z++)
        for (int y = 0; y < NY; y++)
            for (int x = 0; x < NX; x++, hu++) {
                const bool couch = y >= 61 && y < 62 && x > 5 && x < 95;
                const bool speck = x >= 90 && x < 96 && y >= 6 && y < 12 && z >= 6 && z < 12;
                *hu = in_trunk(x, y) || in_arm(x, y) ? 40 : couch ? 0 : speck ? 100 : -1000;
            }
    if (type == FAB_F32) return v;
    CHECK_OK(fab_volume_convert(v, type, &typed, &err));
    fab_volume_unref(v);
    return typed;
}

static void crops_to_the_patient(void)
{
    static const fab_dtype types[] = {FAB_I16, FAB_I32, FAB_F32};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        fab_volume *image = patient(types[t]), *crop = NULL;
        int32_t low[3];
        double at[3];
        CHECK_OK(fab_body_crop(image, low, &crop, &err));
        const fab_grid *g = fab_volume_grid(crop);
        CHECK(g->size[2] == NZ && low[2] == 0);
        CHECK(low[0] > 0 && low[0] <= 10 && low[0] + g->size[0] >= 75 && low[0] + g->size[0] < 90);
        CHECK(low[1] > 0 && low[1] <= 17 && low[1] + g->size[1] >= 53);
        fab_mat34_apply(&g->world_from_voxel, (const double[3]){0, 0, 0}, at);
        CHECK_NEAR(at[0], -10 + 3 * low[0], 1e-9);
        CHECK_NEAR(at[1], 20 + 3 * low[1], 1e-9);
        for (int z = 0; z < NZ; z++)
            for (int j = 0; j < g->size[1]; j++)
                for (int i = 0; i < g->size[0]; i++) {
                    const int x = i + low[0], y = j + low[1];
                    const double hu = fab_volume_get(crop, i, j, z);
                    if (in_trunk(x, y) || in_arm(x, y)) CHECK(hu == 40);
                    else CHECK(hu <= -1000); /* no couch */
                }
        fab_volume_unref(crop);
        fab_volume_unref(image);
    }
}

static void nothing_to_find(void)
{
    fab_volume *image = NULL, *crop = NULL;
    int32_t low[3];
    CHECK_OK(fab_volume_create(&grid, FAB_I16, &image, &err));
    int16_t *hu = fab_volume_data_mut(image);
    for (int i = 0; i < NX * NY * NZ; i++) hu[i] = -1000;
    CHECK_OK(fab_body_crop(image, low, &crop, &err));
    CHECK(fab_grid_equal(fab_volume_grid(crop), &grid, 1e-9));
    CHECK(low[0] == 0 && low[1] == 0 && low[2] == 0);
    fab_volume_unref(crop);
    fab_volume_unref(image);
}

static void pastes_back(void)
{
    static const int32_t low[3] = {7, 11, 3}, size[3] = {20, 9, 4};
    for (int wide = 0; wide < 2; wide++) {
        fab_volume *whole = NULL, *crop = NULL, *back = NULL;
        CHECK_OK(fab_volume_create(&grid, wide ? FAB_U16 : FAB_U8, &whole, &err));
        for (int i = 0; i < NX * NY * NZ; i++) {
            const int v = 1 + i % 250;
            if (wide) ((uint16_t *)fab_volume_data_mut(whole))[i] = (uint16_t)(v + 300);
            else ((uint8_t *)fab_volume_data_mut(whole))[i] = (uint8_t)v;
        }
        CHECK_OK(fab_volume_crop(whole, low, size, &crop, &err));
        CHECK_OK(fab_body_paste(crop, low, &grid, &back, &err));
        for (int z = 0; z < NZ; z++)
            for (int y = 0; y < NY; y++)
                for (int x = 0; x < NX; x++) {
                    const bool inside = x >= 7 && x < 27 && y >= 11 && y < 20 && z >= 3 && z < 7;
                    CHECK(fab_volume_get(back, x, y, z) ==
                          (inside ? fab_volume_get(whole, x, y, z) : 0));
                }
        fab_volume_unref(back);
        fab_volume_unref(crop);
        fab_volume_unref(whole);
    }
}

int main(void)
{
    return FAB_RUN(TEST(crops_to_the_patient), TEST(nothing_to_find), TEST(pastes_back));
}
