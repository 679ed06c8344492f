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
    o.range_mm[0] = -20, o.range_mm[1] = 300;
    CHECK_OK(fab_phantom_make(&o, &p, &err));
    fab_status s = fab_synth_source_make(p.labels, &p.set, NULL, false, &source, &err);
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

/* ---- the prepared map ---- */

/* Mean place (voxels) and number of a value in a map. */
static int64_t mean_of(const uint8_t *label, const int size[3], int value, double out[3])
{
    int64_t count = 0, i = 0;
    out[0] = out[1] = out[2] = 0;
    for (int z = 0; z < size[2]; z++)
        for (int y = 0; y < size[1]; y++)
            for (int x = 0; x < size[0]; x++, i++)
                if (label[i] == value) out[0] += x, out[1] += y, out[2] += z, count++;
    for (int a = 0; a < 3 && count; a++) out[a] /= (double)count;
    return count;
}

static void arch_lies_behind_canal_between(void)
{
    const fab_synth_source *s = phantom_source();
    int levels = 0;
    for (int i = 1; i + 1 < s->joints; i++) {
        const fab_sy_vertebra *v = &s->joint[i];
        double body[3], arch[3], d = 0, width = 0;
        const int64_t bodies = mean_of(s->label, s->size, fab_sy_body_of(v->level), body);
        const int64_t arches = mean_of(s->label, s->size, fab_sy_arch_of(v->level), arch);
        if (v->canal[2] < 20 || v->canal[2] > (float)s->size[2] * s->step - 25) continue; /* cut */
        CHECK(bodies > 1000 && arches > 300);
        for (int a = 0; a < 3; a++) {
            d += (arch[a] - body[a]) * (double)(v->back[a] * s->step);
            width += (double)((v->canal[a] - v->centre[a]) * v->back[a]);
        }
        CHECK(width > 12 && width < 35); /* mm from the body's middle to the canal's */
        CHECK(d > width - 2 && d < 60);  /* the arch's middle is at the canal or behind it */
        CHECK(v->wall > 3 && v->wall < 14);
        levels++;
    }
    CHECK(levels >= 4);
}

/* The phantom's map without its discs, canal, fat, muscle and skin: what is found against truth. */
static void discs_and_canal_are_found_again(void)
{
    fab_error err;
    fab_phantom p = {0};
    fab_phantom_options o;
    fab_phantom_options_default(&o);
    o.seed = 8, o.cobb_deg = 25;
    o.spacing_mm[0] = o.spacing_mm[1] = o.spacing_mm[2] = o.slice_thickness_mm = 2;
    o.range_mm[0] = -10, o.range_mm[1] = 160;
    CHECK_OK(fab_phantom_make(&o, &p, &err));
    FAB_AUTO(fab_volume_unref) fab_volume *bare = NULL;
    FAB_AUTO(fab_synth_source_free) fab_synth_source *full = NULL, *found = NULL;
    CHECK_OK(fab_synth_source_make(p.labels, &p.set, NULL, false, &full, &err));
    CHECK_OK(fab_volume_convert(p.labels, FAB_U16, &bare, &err));
    uint16_t *v = fab_volume_data_mut(bare);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(bare)); i++) {
        const fab_label *l = fab_label_set_find(&p.set, v[i]);
        static const char *const gone[] = {"disc_*",
                                           "spinal_canal",
                                           "cerebrospinal_fluid",
                                           "ligamentum_flavum",
                                           "torso_fat",
                                           "subcutaneous_fat",
                                           "skin",
                                           "skeletal_muscle",
                                           NULL};
        if (l && fab_sy_matches_any(l->name, gone)) v[i] = 0;
    }
    CHECK_OK(fab_synth_source_make(bare, &p.set, NULL, false, &found, &err));
    fab_phantom_free(&p);
    const int pad = (found->size[0] - full->size[0]) / 2;
    CHECK(pad == 30 && found->size[2] == full->size[2]);
    double both[2] = {0}, sum[2] = {0};
    int wrong = 0;
    for (int z = 0; z < full->size[2]; z++)
        for (int y = 0; y < full->size[1]; y++)
            for (int x = 0; x < full->size[0]; x++) {
                const int a = full->label[((int64_t)z * full->size[1] + y) * full->size[0] + x];
                const int b =
                    found
                        ->label[((int64_t)z * found->size[1] + y + pad) * found->size[0] + x + pad];
                const char *an = fab_synth_name(a), *bn = fab_synth_name(b);
                const bool disc[2] = {fab_sy_matches(an, "disc_*"), fab_sy_matches(bn, "disc_*")};
                const bool canal[2] = {a == SY_CANAL || a == SY_CSF || a == SY_CORD,
                                       b == SY_CANAL || b == SY_CSF || b == SY_CORD};
                both[0] += disc[0] && disc[1], sum[0] += disc[0] + disc[1];
                both[1] += canal[0] && canal[1], sum[1] += canal[0] + canal[1];
                wrong += disc[0] && disc[1] && a != b;
            }
    printf("Dice of discs %.3f, of the canal %.3f\n", 2 * both[0] / sum[0], 2 * both[1] / sum[1]);
    CHECK(2 * both[0] / sum[0] > 0.6);
    CHECK(2 * both[1] / sum[1] > 0.6);
    CHECK(wrong == 0);
}

static void maps_of_nothing_are_refused(void)
{
    fab_error err;
    fab_volume *v = NULL;
    fab_synth_source *s = NULL;
    __attribute__((cleanup(fab_label_set_free))) fab_label_set set = {0};
    const fab_grid g = {{20, 20, 20}, {{{2, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 2, 0}}}};
    CHECK_OK(fab_label_set_add(&set, 1, "liver", &err));
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    CHECK_FAILS(FAB_ERR_ARG, "nothing", fab_synth_source_make(v, &set, NULL, false, &s, &err));
    fab_volume_unref(v);
    CHECK_OK(fab_volume_create(&g, FAB_F32, &v, &err));
    CHECK_FAILS(FAB_ERR_ARG, "U8 or U16", fab_synth_source_make(v, &set, NULL, false, &s, &err));
    fab_volume_unref(v);
    CHECK(!s);
}

/* ---- patches ---- */

static void options_out_of_range_are_refused(void)
{
    static float hu[VOXELS];
    static uint8_t fine[VOXELS];
    fab_error err;
    const fab_synth_source *s = phantom_source();
    fab_synth_options o = small(1);
    o.size[1] = 7;
    CHECK_FAILS(FAB_ERR_ARG, "size", fab_synth_patch(s, &o, hu, fine, &err));
    o = small(1), o.spacing_mm = 0.5;
    CHECK_FAILS(FAB_ERR_ARG, "spacing_mm", fab_synth_patch(s, &o, hu, fine, &err));
    o = small(1), o.cobb_deg = 91;
    CHECK_FAILS(FAB_ERR_ARG, "cobb_deg", fab_synth_patch(s, &o, hu, fine, &err));
    o = small(1), o.deform = NAN;
    CHECK_FAILS(FAB_ERR_ARG, "deform", fab_synth_patch(s, &o, hu, fine, &err));
    o = small(1), o.contrast = 5;
    CHECK_FAILS(FAB_ERR_ARG, "contrast", fab_synth_patch(s, &o, hu, fine, &err));
    o = small(1), o.focus = "skull";
    CHECK_FAILS(FAB_ERR_NOTFOUND, "skull", fab_synth_patch(s, &o, hu, fine, &err));
}

/* A patient without noise, artefacts and cuts. */
static fab_synth_options plain(uint64_t seed, const char *focus)
{
    fab_synth_options o = small(seed);
    o.noise_hu = 0, o.contrast = 0, o.artefacts = 0, o.cut = 0;
    o.focus = focus;
    return o;
}

/* Mean of the voxels of a name whose face neighbours have it too; their number. */
static int core_mean(const float *hu, const uint8_t *fine, const char *pattern, double *mean)
{
    int count = 0;
    *mean = 0;
    for (int z = 1; z < NZ - 1; z++)
        for (int y = 1; y < NY - 1; y++)
            for (int x = 1; x < NX - 1; x++) {
                const int i = (z * NY + y) * NX + x, v = fine[i];
                const char *name = fab_synth_name(v);
                if (!name || !fab_sy_matches(name, pattern)) continue;
                if (fine[i - 1] != v || fine[i + 1] != v || fine[i - NX] != v ||
                    fine[i + NX] != v || fine[i - NX * NY] != v || fine[i + NX * NY] != v)
                    continue;
                *mean += (double)hu[i], count++;
            }
    if (count) *mean /= count;
    return count;
}

static void tissues_have_their_numbers(void)
{
    static float hu[VOXELS];
    static uint8_t fine[VOXELS];
    static const struct {
        const char *focus;
        double low, high;
    } rows[] = {
        {"liver", -20, 75},       {"subcutaneous_fat", -130, -80},
        {"vertebrae_*", 40, 500}, {"lung_*", -900, -350},
        {"aorta", 15, 65},        {"autochthon_*", -20, 80},
        {"spinal_cord", 5, 70},   {"sacrum", 30, 450},
        {"outside", -1024, -985},
    };
    const fab_synth_source *s = phantom_source();
    fab_error err;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        int seen = 0;
        for (uint64_t seed = 1; seed <= 4; seed++) {
            const bool air = !strcmp(rows[r].focus, "outside");
            const fab_synth_options o = plain(seed, air ? "skin" : rows[r].focus);
            double mean;
            CHECK_OK(fab_synth_patch(s, &o, hu, fine, &err));
            if (core_mean(hu, fine, rows[r].focus, &mean) < 8) continue;
            if (mean < rows[r].low || mean > rows[r].high)
                fprintf(stderr, "%s: %.1f HU\n", rows[r].focus, mean);
            CHECK(mean >= rows[r].low && mean <= rows[r].high);
            seen++;
        }
        if (!seen) fprintf(stderr, "%s: not seen\n", rows[r].focus);
        CHECK(seen >= 1);
    }
}

static void noise_is_as_asked(void)
{
    static float quiet[VOXELS], loud[VOXELS];
    static uint8_t fine[2][VOXELS];
    const fab_synth_source *s = phantom_source();
    fab_error err;
    for (uint64_t seed = 1; seed < 5; seed++) {
        fab_synth_options o = plain(seed, "liver");
        CHECK_OK(fab_synth_patch(s, &o, quiet, fine[0], &err));
        o.noise_hu = 20;
        CHECK_OK(fab_synth_patch(s, &o, loud, fine[1], &err));
        CHECK(!memcmp(fine[0], fine[1], sizeof fine[0]));
        double sum = 0;
        int count = 0;
        for (int i = 0; i < VOXELS; i++) {
            if (quiet[i] < -200) continue; /* clipped below */
            sum += (double)((loud[i] - quiet[i]) * (loud[i] - quiet[i])), count++;
        }
        CHECK(count > 1000);
        CHECK_NEAR(sqrt(sum / count), 20, 1);
    }
}

/* ---- the pose ---- */

static void pose_has_the_cobb_angle_asked_for(void)
{
    static const double ask[] = {0, 10, 35, 70};
    const fab_synth_source *s = phantom_source();
    for (size_t k = 0; k < 4; k++)
        for (uint64_t seed = 1; seed < 6; seed++) {
            fab_rng rng;
            fab_sy_pose p;
            fab_rng_seed(&rng, seed, 1);
            fab_sy_pose_draw(s, ask[k], &rng, &p);
            double low = 9, high = -9;
            for (int i = 0; i < p.joints; i++) {
                double up[3] = {0};
                for (int a = 0; a < 3; a++)
                    for (int b = 0; b < 3; b++) up[a] += (double)(p.turn[i][a][b] * p.up[i][b]);
                low = fmin(low, atan2(up[0], up[2])), high = fmax(high, atan2(up[0], up[2]));
            }
            CHECK_NEAR((high - low) * 57.29578, ask[k], 0.1);
        }
}

static void pose_is_rigid_in_a_vertebra_and_can_be_undone(void)
{
    const fab_synth_source *s = phantom_source();
    fab_rng rng;
    fab_sy_pose p;
    fab_rng_seed(&rng, 4, 1);
    fab_sy_pose_draw(s, 45, &rng, &p);
    memset(p.squash, 0, sizeof p.squash);
    for (int i = 1; i + 1 < p.joints; i++) {
        float at[2][3], back[2][3];
        for (int k = 0; k < 2; k++)
            for (int a = 0; a < 3; a++)
                at[k][a] =
                    p.to[i][a] + (k ? 3 : 0) * p.turn[i][a][0] + (k ? 4 : 0) * p.turn[i][a][1];
        for (int k = 0; k < 2; k++) fab_sy_pose_to_source(&p, at[k], back[k]);
        for (int a = 0; a < 3; a++) CHECK_NEAR(back[0][a], p.from[i][a], 0.01);
        CHECK_NEAR(back[1][0] - back[0][0], 3, 0.01);
        CHECK_NEAR(back[1][1] - back[0][1], 4, 0.01);
        fab_sy_pose_from_source(&p, back[1], at[0]);
        for (int a = 0; a < 3; a++) CHECK_NEAR(at[0][a], at[1][a], 0.5);
    }
}

/* Largest angle between the lines from body to body in a patch, coronal. */
static double chord_cobb(const fab_synth_source *s, double cobb, uint64_t seed)
{
    enum { SIDE = 96 };
    static float hu[SIDE * SIDE * SIDE];
    static uint8_t fine[SIDE * SIDE * SIDE];
    static const int size[3] = {SIDE, SIDE, SIDE};
    fab_synth_options o = plain(seed, "vertebrae_L1");
    fab_error err;
    o.size[0] = o.size[1] = o.size[2] = SIDE;
    o.deform = 0, o.cobb_deg = cobb;
    CHECK_OK(fab_synth_patch(s, &o, hu, fine, &err));
    double low = 9, high = -9, before[3] = {0}, here[3];
    bool first = true;
    for (int i = 1; i + 1 < s->joints; i++) {
        if (mean_of(fine, size, fab_sy_body_of(s->joint[i].level), here) < 300) continue;
        const double t = atan2(here[0] - before[0], here[2] - before[2]);
        if (!first) low = fmin(low, t), high = fmax(high, t);
        first = false;
        memcpy(before, here, sizeof here);
    }
    return (high - low) * 57.29578;
}

static void patches_show_the_curve(void)
{
    const fab_synth_source *s = phantom_source();
    for (uint64_t seed = 1; seed < 4; seed++) {
        const double straight = chord_cobb(s, 0, seed), bent = chord_cobb(s, 50, seed);
        printf("Cobb by chords: %.1f for 0, %.1f for 50\n", straight, bent);
        CHECK(straight < 10);
        CHECK(bent > 22 && bent < 60); /* chords see less than endplates, and not every level */
    }
}

static void metal_is_named_and_bright(void)
{
    static float hu[VOXELS];
    static uint8_t fine[VOXELS];
    const fab_synth_source *s = phantom_source();
    fab_error err;
    int metal = 0;
    float brightest = 0;
    for (uint64_t seed = 1; seed < 7; seed++) {
        fab_synth_options o = plain(seed, "vertebrae_*");
        o.artefacts = 1;
        CHECK_OK(fab_synth_patch(s, &o, hu, fine, &err));
        for (int i = 0; i < VOXELS; i++) {
            if (fine[i] != SY_METAL) continue;
            metal++;
            brightest = fmaxf(brightest, hu[i]);
        }
    }
    CHECK(metal > 60 && brightest > 1800);
}

/* Cuts, scan ends and fields of view leave something to learn from; numbers stay a scanner's. */
static void every_patch_shows_something(void)
{
    static float hu[VOXELS];
    static uint8_t fine[VOXELS];
    const fab_synth_source *s = phantom_source();
    fab_error err;
    for (uint64_t seed = 100; seed < 160; seed++) {
        const fab_synth_options o = small(seed);
        int body = 0;
        CHECK_OK(fab_synth_patch(s, &o, hu, fine, &err));
        for (int i = 0; i < VOXELS; i++) {
            CHECK(hu[i] >= -1024 && hu[i] <= 3071);
            CHECK(fine[i] == FAB_SYNTH_UNKNOWN || fab_synth_name(fine[i]));
            body += fine[i] != 0;
        }
        CHECK(body * 30 > VOXELS);
    }
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(vocabulary_is_one_to_one),
        TEST(same_seed_same_bytes_in_any_thread),
        TEST(arch_lies_behind_canal_between),
        TEST(discs_and_canal_are_found_again),
        TEST(maps_of_nothing_are_refused),
        TEST(options_out_of_range_are_refused),
        TEST(tissues_have_their_numbers),
        TEST(noise_is_as_asked),
        TEST(pose_has_the_cobb_angle_asked_for),
        TEST(pose_is_rigid_in_a_vertebra_and_can_be_undone),
        TEST(patches_show_the_curve),
        TEST(metal_is_named_and_bright),
        TEST(every_patch_shows_something),
    };
    const int result = fab_test_run(tests, sizeof tests / sizeof tests[0]);
    fab_synth_source_free(source);
    return result;
}
