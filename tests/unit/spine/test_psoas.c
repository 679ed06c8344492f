/* test_psoas.c - a crop of four vertebrae with psoas beside them and specks taken for ribs. */
#include "harness.h"

#include "fabrica/spine.h"

enum { BODY = 1, DISC, CANAL, RIB, PSOAS, NX = 40, NY = 34, NZ = 48, MM = 3 };
enum { L1 = 19 };

static fab_error err;

static void box(uint8_t *to, const int low[3], const int high[3], int value)
{
    for (int z = low[2]; z < high[2]; z++)
        for (int y = low[1]; y < high[1]; y++)
            for (int x = low[0]; x < high[0]; x++)
                to[(z * NY + y) * NX + x] = (uint8_t)value;
}

/* Bodies of 39 x 30 x 27 mm, discs of 9 mm; from the bottom of the crop to its top. */
static fab_volume *crop(void)
{
    fab_volume *v = NULL;
    fab_grid g = {.size = {NX, NY, NZ}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = MM;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    uint8_t *to = fab_volume_data_mut(v);
    memset(to, 0, fab_volume_bytes(v));
    box(to, (int[]){16, 21, 0}, (int[]){24, 26, NZ}, CANAL);
    box(to, (int[]){7, 10, 0}, (int[]){12, 18, NZ}, PSOAS);
    box(to, (int[]){28, 10, 0}, (int[]){33, 18, NZ}, PSOAS);
    for (int k = 0; k < 4; k++) {
        const int z = 12 * k;
        box(to, (int[]){13, 10, z}, (int[]){26, 20, z + 9}, BODY);
        box(to, (int[]){13, 10, z + 9}, (int[]){26, 20, z + 12}, DISC);
        if (k > 0) box(to, (int[]){26, 18, z + 2}, (int[]){28, 21, z + 4}, RIB);
    }
    return v;
}

static void psoas_makes_them_lumbar(void)
{
    fab_spine_classes c = {.body = BODY, .disc = DISC, .canal = CANAL, .ribs = RIB};
    fab_spine with = {0}, without = {0};
    fab_volume *v = crop();
    CHECK_OK(fab_spine_decode(v, &c, NULL, &without, &err));
    c.psoas[0] = PSOAS;
    CHECK_OK(fab_spine_decode(v, &c, NULL, &with, &err));
    CHECK(with.count == 4 && without.count == 4);
    CHECK(without.items[3].level < L1 + 1); /* the specks decide */
    CHECK(with.items[0].level >= L1 - 1 && with.items[3].level >= L1 + 2);
    fab_spine_free(&with);
    fab_spine_free(&without);
    fab_volume_unref(v);
}

static void a_class_has_one_meaning(void)
{
    fab_spine_classes c = {.body = BODY, .psoas = {BODY, 0}};
    fab_spine s = {0};
    fab_volume *v = crop();
    CHECK_FAILS(FAB_ERR_ARG, "given twice", fab_spine_decode(v, &c, NULL, &s, &err));
    fab_volume_unref(v);
}

int main(void)
{
    return FAB_RUN(TEST(psoas_makes_them_lumbar), TEST(a_class_has_one_meaning));
}
