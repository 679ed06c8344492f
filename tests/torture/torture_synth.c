/* Every allocation of preparing a map and of a patch fails once: an error, no leak. */
#include "harness.h"

#include "fabrica/synth.h"

static fab_error err;
static fab_volume *labels, *bone;
static fab_label_set set;

/* Three vertebrae with holes in a block of liver. */
static void build(void)
{
    const fab_grid g = {{24, 24, 40}, {{{2, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 2, 0}}}};
    static const char *const names[] = {"liver", "vertebrae_L3", "vertebrae_L2", "vertebrae_L1",
                                        "spinal_cord"};
    for (int i = 0; i < 5; i++) CHECK_OK(fab_label_set_add(&set, i + 1, names[i], &err));
    CHECK_OK(fab_volume_create(&g, FAB_U8, &labels, &err));
    CHECK_OK(fab_volume_create(&g, FAB_I16, &bone, &err));
    uint8_t *v = fab_volume_data_mut(labels);
    int16_t *b = fab_volume_data_mut(bone);
    for (int z = 0; z < 40; z++)
        for (int y = 0; y < 24; y++)
            for (int x = 0; x < 24; x++, v++, b++) {
                const bool spine = x >= 6 && x < 18 && y >= 4 && y < 20, cord = abs(x - 12) < 3;
                *v = y < 3 ? 1 : 0;
                if (spine && z % 13 < 10) *v = (uint8_t)(2 + (z < 13 ? 0 : z < 26 ? 1 : 2));
                if (cord && abs(y - 14) < 3) *v = 5;
                *b = *v >= 2 && *v <= 4 ? 200 : -1024;
            }
}

static fab_status whole(void *ctx)
{
    static float hu[8 * 16 * 16];
    static uint8_t fine[8 * 16 * 16];
    FAB_AUTO(fab_synth_source_free) fab_synth_source *s = NULL;
    FAB_TRY(fab_synth_source_make(labels, &set, bone, false, &s, &err));
    fab_synth_options o;
    fab_synth_options_default(&o);
    o.size[0] = 8, o.size[1] = 16, o.size[2] = 16;
    o.seed = *(const uint64_t *)ctx;
    o.contrast = 4;
    o.noise_hu = 5;
    return fab_synth_patch(s, &o, hu, fine, &err);
}

static void map_and_patch(void)
{
    uint64_t seed = 2;
    build();
    fab_test_torture(whole, &seed);
    fab_volume_unref(labels);
    fab_volume_unref(bone);
    fab_label_set_free(&set);
}

int main(void)
{
    static const fab_test tests[] = {TEST(map_and_patch)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
