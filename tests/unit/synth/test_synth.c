/* test_synth.c - patients nobody has: the vocabulary, the prepared map, the patches. */
#include <pthread.h>

#include "harness.h"

#include "fabrica/phantom.h"
#include "synth_internal.h"

enum { NZ = 32, NY = 48, NX = 64, VOXELS = NZ * NY * NX };

static fab_synth_source *source; /* of a phantom; made by the first test that needs it */

static fab_synth_options small(uint64_t seed)
{
    fab_synth_options o;
    fab_synth_options_default(&o);
    o.size[0] = NZ, o.size[1] = NY, o.size[2] = NX;
    o.seed = seed;
    return o;
}

static const fab_synth_source *phantom_source(void)
{
    if (source) return source;
    fab_error err;
    fab_phantom p = {0};
    fab_phantom_options o;
    fab_phantom_options_default(&o);
    o.seed = 3;
    o.spacing_mm[0] = o.spacing_mm[1] = o.spacing_mm[2] = o.slice_thickness_mm = 2;
    o.range_mm[0] = -20, o.range_mm[1] = 200;
    CHECK_OK(fab_phantom_make(&o, &p, &err));
    fab_status s = fab_synth_source_make(p.labels, &p.set, NULL, &source, &err);
    fab_phantom_free(&p);
    CHECK_OK(s);
    return source;
}

static void vocabulary_is_one_to_one(void)
{
    int named = 0;
    for (int v = 0; v < 256; v++) {
        const char *name = fab_synth_name(v);
        if (!name) continue;
        named++;
        CHECK(fab_synth_value(name) == v);
        if (v >= 1 && v <= FAB_TOTAL_STRUCTURES) CHECK(fab_total_value(name) == v);
    }
    CHECK(named > 190);
    CHECK(!fab_synth_name(FAB_SYNTH_UNKNOWN) && !fab_synth_name(-1) && !fab_synth_name(256));
    CHECK(fab_synth_value("no such thing") == -1);
    CHECK(fab_synth_value("spinal_canal") == SY_CANAL &&
          fab_synth_value("metal_implant") == SY_METAL);
    CHECK(fab_synth_value("vertebral_arch_L6") == SY_ARCH_L6);
    CHECK(fab_synth_value("disc_C2_C3") == SY_DISC_C2_C3 &&
          fab_synth_value("soft_tissue") == SY_SOFT);
    for (int l = 0; l < SY_LEVELS; l++) {
        CHECK(fab_sy_level_of(fab_sy_body_of(l)) == l && fab_sy_level_of(fab_sy_arch_of(l)) == l);
        CHECK(!strncmp(fab_synth_name(fab_sy_body_of(l)), "vertebrae_", 10));
        CHECK(!strcmp(fab_synth_name(fab_sy_body_of(l)) + 10,
                      fab_synth_name(fab_sy_arch_of(l)) + 15));
    }
}

typedef struct two_patches {
    uint64_t seed;
    float hu[2][VOXELS];
    uint8_t fine[2][VOXELS];
    fab_status status;
} two_patches;

static void *make_two(void *ctx)
{
    two_patches *t = ctx;
    for (int i = 0; i < 2 && !t->status; i++) {
        const fab_synth_options o = small(t->seed + (uint64_t)i);
        t->status = fab_synth_patch(source, &o, t->hu[i], t->fine[i], NULL);
    }
    return NULL;
}

static void same_seed_same_bytes_in_any_thread(void)
{
    static two_patches work[3];
    pthread_t thread[2];
    phantom_source();
    for (int k = 0; k < 3; k++) work[k].seed = k == 2 ? 5 : 4;
    for (int k = 0; k < 2; k++) CHECK(!pthread_create(&thread[k], NULL, make_two, &work[k]));
    for (int k = 0; k < 2; k++) CHECK(!pthread_join(thread[k], NULL));
    make_two(&work[2]);
    for (int k = 0; k < 3; k++) CHECK(work[k].status == FAB_OK);
    CHECK(!memcmp(work[0].hu, work[1].hu, sizeof work[0].hu));
    CHECK(!memcmp(work[0].fine, work[1].fine, sizeof work[0].fine));
    CHECK(!memcmp(work[0].hu[1], work[2].hu[0], sizeof work[0].hu[1])); /* seed 5, alone */
    CHECK(memcmp(work[0].hu[0], work[0].hu[1], sizeof work[0].hu[1]) != 0);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(vocabulary_is_one_to_one),
        TEST(same_seed_same_bytes_in_any_thread),
    };
    const int result = fab_test_run(tests, sizeof tests / sizeof tests[0]);
    fab_synth_source_free(source);
    return result;
}
