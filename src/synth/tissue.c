/* tissue.c - one patient's CT numbers. Ranges are of real scans by contrast phase (train/synth.py
 * calibrated them against the development volumes). */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

enum { AORTA, CAVA, PORTAL, LIVER, SPLEEN, CORTEX, MEDULLA, PANCREAS, HEART, ORGANS };

static const float phase_range[4][ORGANS][2] = {
    {{30, 52}, {28, 50}, {28, 48}, {38, 68}, {35, 56}, {18, 42}, {15, 38}, {5, 45}, {30, 50}},
    {{200, 400},
     {40, 120},
     {50, 120},
     {50, 85},
     {70, 160},
     {110, 230},
     {40, 100},
     {60, 120},
     {110, 300}},
    {{110, 200},
     {90, 180},
     {120, 200},
     {80, 135},
     {90, 145},
     {130, 230},
     {110, 230},
     {60, 120},
     {90, 180}},
    {{80, 130},
     {80, 130},
     {80, 130},
     {65, 105},
     {70, 110},
     {90, 160},
     {120, 260},
     {50, 90},
     {80, 120}},
};

/* Which organ's number a structure takes, times and plus. */
static const struct {
    const char *pattern;
    int organ;
    float times[2], plus[2];
} vessel_rows[] = {
    {"liver", LIVER, {1, 1}, {0, 0}},
    {"spleen", SPLEEN, {1, 1}, {0, 0}},
    {"kidney_*", CORTEX, {1, 1}, {0, 0}},
    {"pancreas", PANCREAS, {1, 1}, {0, 0}},
    {"aorta", AORTA, {1, 1}, {0, 0}},
    {"inferior_vena_cava", CAVA, {1, 1}, {0, 0}},
    {"heart", HEART, {1, 1}, {0, 0}},
    {"atrial_appendage_left", HEART, {1, 1}, {0, 0}},
    {"pulmonary_*", HEART, {1, 1.2f}, {-10, 20}},
    {"portal_vein_and_splenic_vein", PORTAL, {1, 1}, {0, 0}},
    {"superior_vena_cava", CAVA, {0.7f, 2.2f}, {0, 0}},
    {"iliac_artery_*", AORTA, {0.9f, 1.05f}, {0, 0}},
    {"iliac_vena_*", CAVA, {0.75f, 1}, {0, 0}},
    {"subclavian_*", AORTA, {0.9f, 1}, {0, 0}},
    {"common_carotid_*", AORTA, {0.9f, 1}, {0, 0}},
    {"brachiocephalic_trunk", AORTA, {0.9f, 1}, {0, 0}},
    {"brachiocephalic_vein_*", CAVA, {0.7f, 2.2f}, {0, 0}},
};

static const struct {
    const char *pattern;
    float low, high;
} range_rows[] = {
    {"kidney_cyst_*", 0, 20},
    {"gallbladder", -5, 25},
    {"stomach", 15, 60},
    {"small_bowel", 10, 50},
    {"duodenum", 10, 50},
    {"colon", 5, 45},
    {"rectum", 5, 45},
    {"urinary_bladder", -5, 22},
    {"prostate", 25, 60},
    {"uterus", 30, 90},
    {"esophagus", 20, 60},
    {"trachea", -990, -940},
    {"thyroid_gland", 60, 160},
    {"adrenal_gland_*", 5, 50},
    {"spinal_cord", 22, 55},
    {"costal_cartilages", 60, 140},
    {"lung_*", -890, -720},
    {"skull", 500, 900},
    {"brain", 28, 42},
    {"torso_fat", -118, -88},
    {"skin", -30, 50},
    {"disc_*", 55, 115},
    {"spinal_canal", -25, 35},
    {"cerebrospinal_fluid", 0, 25},
    {"ligamentum_flavum", 30, 70},
    {"diaphragm", 30, 60},
    {"soft_tissue", -60, 40},
    {"mass", 0, 75},
    {"free_fluid", -5, 35},
    {"metal_implant", 2500, 3071},
};

static const struct {
    const char *pattern;
    fab_sy_kind kind;
} kind_rows[] = {
    {"outside", SY_K_AIR},           {"torso_fat", SY_K_FAT},
    {"subcutaneous_fat", SY_K_FAT},  {"skeletal_muscle", SY_K_MUSCLE},
    {"gluteus_*", SY_K_MUSCLE},      {"autochthon_*", SY_K_MUSCLE},
    {"iliopsoas_*", SY_K_MUSCLE},    {"quadratus_*", SY_K_MUSCLE},
    {"rectus_*", SY_K_MUSCLE},       {"abdominal_oblique_*", SY_K_MUSCLE},
    {"pectoralis_*", SY_K_MUSCLE},   {"soft_tissue", SY_K_MIXED},
    {"lung_*", SY_K_LUNG},           {"kidney_right", SY_K_KIDNEY},
    {"kidney_left", SY_K_KIDNEY},    {"heart", SY_K_HEART},
    {"colon", SY_K_BOWEL},           {"small_bowel", SY_K_BOWEL},
    {"stomach", SY_K_BOWEL},         {"duodenum", SY_K_BOWEL},
    {"rectum", SY_K_BOWEL},          {"gallbladder", SY_K_FLUID},
    {"urinary_bladder", SY_K_FLUID}, {"free_fluid", SY_K_FLUID},
    {"kidney_cyst_*", SY_K_FLUID},   {"trachea", SY_K_FLUID},
    {"metal_implant", SY_K_METAL},
};

static const struct {
    const char *pattern;
    float inner, outer[2];
} bone_rows[] = {
    {"vertebra*", 170, {260, 560}}, {"arch_*", 170, {260, 560}}, {"sacrum", 120, {260, 520}},
    {"coccyx", 120, {200, 400}},    {"hip_*", 150, {330, 620}},
    {"scapula_*", 150, {330, 620}}, {"clavicula_*", 170, {330, 650}},
    {"femur_*", 180, {350, 750}},   {"humerus_*", 180, {350, 750}},
    {"rib_*", 170, {300, 600}},     {"sternum", 110, {180, 320}},
    {"skull", 400, {600, 1200}},
};

static float within(fab_rng *rng, const float range[2])
{
    return fab_sy_range(rng, (double)range[0], (double)range[1]);
}

static void set(fab_sy_tissue *t, const char *pattern, float hu)
{
    for (int v = 0; v < SY_CLOTH; v++) {
        const char *name = fab_synth_name(v);
        if (name && fab_sy_matches(name, pattern)) t->mean[v] = hu;
    }
}

static void set_kind(fab_sy_tissue *t, const char *pattern, fab_sy_kind kind)
{
    for (int v = 0; v < SY_CLOTH; v++) {
        const char *name = fab_synth_name(v);
        if (name && fab_sy_matches(name, pattern)) t->kind[v] = (uint8_t)kind;
    }
}

static void draw_means(fab_rng *rng, int phase, fab_sy_tissue *t)
{
    float organ[ORGANS];
    for (int v = 0; v < 256; v++) t->mean[v] = 35;
    for (int k = 0; k < ORGANS; k++) organ[k] = within(rng, phase_range[phase][k]);
    if (fab_rng_uniform(rng) < 0.2) organ[LIVER] -= fab_sy_range(rng, 15, 50); /* fatty */
    for (size_t i = 0; i < sizeof range_rows / sizeof *range_rows; i++)
        set(t, range_rows[i].pattern,
            fab_sy_range(rng, (double)range_rows[i].low, (double)range_rows[i].high));
    for (size_t i = 0; i < sizeof vessel_rows / sizeof *vessel_rows; i++)
        set(t, vessel_rows[i].pattern,
            organ[vessel_rows[i].organ] * within(rng, vessel_rows[i].times) +
                within(rng, vessel_rows[i].plus));
    t->mean[SY_SKIN_FAT] = t->mean[SY_TORSO_FAT] + fab_sy_range(rng, -6, 4);
    const float muscle = fab_sy_range(rng, 25, 65) + (phase ? 10 : 0);
    for (int v = 0; v < SY_CLOTH; v++)
        if (t->kind[v] == SY_K_MUSCLE) t->mean[v] = muscle + fab_sy_range(rng, -14, 5);
    set(t, "autochthon_*", muscle + fab_sy_range(rng, -35, 5));
    set(t, "gluteus_*", muscle + fab_sy_range(rng, -35, 5));
    t->mean[SY_MUSCLE] = muscle - fab_sy_range(rng, 0, 20);
    if (phase == 3 && fab_rng_uniform(rng) < 0.5)
        set(t, "urinary_bladder", fab_sy_range(rng, 60, 400));
    t->mean[SY_OUTSIDE] = -1000, t->mean[SY_BEYOND] = -1024;
    t->mean[SY_CLOTH] = fab_sy_range(rng, -960, -600);
    t->mean[SY_UNKNOWN] = fab_sy_range(rng, -20, 40);
    t->medulla = organ[MEDULLA];
    t->myocardium = phase ? fab_sy_range(rng, 0.5, 0.9) : 1;
}

static void draw_kinds(fab_sy_tissue *t)
{
    memset(t->kind, SY_K_SOFT, sizeof t->kind);
    t->kind[SY_OUTSIDE] = t->kind[SY_BEYOND] = t->kind[SY_CLOTH] = SY_K_AIR;
    for (size_t i = 0; i < sizeof kind_rows / sizeof *kind_rows; i++)
        set_kind(t, kind_rows[i].pattern, kind_rows[i].kind);
    for (size_t i = 0; i < sizeof bone_rows / sizeof *bone_rows; i++)
        set_kind(t, bone_rows[i].pattern, SY_K_BONE);
}

static void draw_bones(fab_rng *rng, fab_sy_tissue *t)
{
    const float density = fab_sy_range(rng, 0.45, 1.8);
    for (size_t i = 0; i < sizeof bone_rows / sizeof *bone_rows; i++) {
        const float outer = within(rng, bone_rows[i].outer),
                    inner = bone_rows[i].inner * fab_sy_range(rng, 0.85, 1.15);
        for (int v = 0; v < SY_CLOTH; v++) {
            const char *name = fab_synth_name(v);
            if (!name || !fab_sy_matches(name, bone_rows[i].pattern)) continue;
            t->outer[v] = outer * (0.55f + 0.45f * density);
            t->inner[v] = inner * density * fab_sy_range(rng, 0.92, 1.08);
        }
    }
    for (int v = SY_ARCH_C1; v <= SY_INFERIOR; v++) { /* arches are nearly all cortex */
        if (v > SY_ARCH_L6 && v < SY_PEDICLE) continue;
        t->inner[v] += 0.45f * (t->outer[v] - t->inner[v]), t->outer[v] *= 1.25f;
    }
    t->shell_mm = fab_sy_range(rng, 0.9, 2.2);
    t->trabecula = fab_sy_range(rng, 0.08, 0.25);
    t->marrow_at = fab_rng_uniform(rng) < 0.5 ? fab_sy_range(rng, 0.9, 2.0) : 9;
    t->marrow = fab_sy_range(rng, 0.1, 0.6);
    t->use_bone_hu = fab_rng_uniform(rng) < 0.6;
    t->bone_gain = fab_sy_range(rng, 0.7, 1.35);
    t->bone_shift = fab_sy_range(rng, -60, 60);
}

static void draw_bowels(fab_rng *rng, fab_sy_tissue *t)
{
    static const struct {
        const char *pattern;
        float gas;
    } rows[4] = {{"colon", 0.75f}, {"small_bowel", 0.35f}, {"stomach", 0.65f}, {"duodenum", 0.2f}};
    memset(t->bowel_of, 0, sizeof t->bowel_of);
    for (int k = 0; k < 4; k++) {
        fab_sy_bowel *b = &t->bowel[k];
        for (int v = 0; v < SY_CLOTH; v++)
            if (fab_synth_name(v) && fab_sy_matches(fab_synth_name(v), rows[k].pattern))
                t->bowel_of[v] = (uint8_t)k;
        b->gas = fab_rng_uniform(rng) < (double)rows[k].gas ? fab_sy_range(rng, 0.2, 1.5) : 99;
        b->rise = fab_sy_range(rng, 0.3, 2.2);
        b->texture = fab_rng_uniform(rng) < 0.85 ? fab_sy_range(rng, -70, 20) : 0;
        b->stool = k == 0 && fab_rng_uniform(rng) < 0.7 ? fab_sy_range(rng, 0.7, 2) : 99;
        b->stool_hu = fab_sy_range(rng, -700, -150);
        b->contrast = k > 0 && fab_rng_uniform(rng) < 0.3 ? fab_sy_range(rng, -0.5, 1) : -99;
        b->contrast_hu = fab_sy_range(rng, 100, 400);
        if (k == 0 && fab_rng_uniform(rng) < 0.1) b->contrast = fab_sy_range(rng, -0.5, 1);
    }
}

/* Strands and water in fat: of hanging bellies, after operations, with ascites. */
static void draw_fat(fab_rng *rng, fab_sy_tissue *t)
{
    if (fab_rng_uniform(rng) < 0.5) t->strand_hu = fab_sy_range(rng, 15, 140);
    t->strand_width = fab_sy_range(rng, 0.06, 0.3);
    t->strand_from = fab_sy_range(rng, -1.5, 1);
    if (fab_rng_uniform(rng) < 0.3) t->oedema_hu = fab_sy_range(rng, 10, 80);
    t->oedema_from = fab_sy_range(rng, -1, 1);
}

/* Free contrast: another number for every tissue, then another curve over all numbers. */
static void draw_free(fab_rng *rng, fab_sy_tissue *t)
{
    const bool falling = fab_rng_uniform(rng) < 0.3;
    for (int v = 1; v < SY_CLOTH; v++)
        if (t->kind[v] != SY_K_AIR && t->kind[v] != SY_K_BONE && t->kind[v] != SY_K_LUNG)
            t->mean[v] += 90 * (float)fab_rng_normal(rng);
    float at = -1000;
    for (int i = 0; i < 17; i++) {
        t->curve[i] = at;
        const float step = fab_sy_range(rng, 0, 220);
        at += falling && i >= 8 ? -0.5f * step : step;
    }
}

void fab_sy_tissue_draw(fab_rng *rng, int contrast, fab_sy_tissue *t)
{
    static const double chance[3] = {0.4, 0.55, 0.9}; /* native, arterial, portal; else late */
    const double which = fab_rng_uniform(rng), free = fab_rng_uniform(rng);
    int phase = contrast;
    if (phase < 0 || phase > 3)
        phase = which < chance[0] ? 0 : which < chance[1] ? 1 : which < chance[2] ? 2 : 3;
    memset(t, 0, sizeof *t);
    draw_kinds(t);
    draw_means(rng, phase, t);
    draw_bones(rng, t);
    draw_bowels(rng, t);
    draw_fat(rng, t);
    t->soft_fine = 5 * fab_sy_range(rng, 0, 1.5), t->soft_broad = 4;
    t->streak = fab_sy_range(rng, 0.9, 2.6), t->streak_hu = -80;
    t->medulla_at = fab_sy_range(rng, 0, 0.8);
    t->chamber_at = fab_sy_range(rng, -0.5, 0.8);
    t->vessel_at = fab_sy_range(rng, 1.7, 2.6), t->vessel_hu = fab_sy_range(rng, -100, 60);
    t->collapse_at = fab_rng_uniform(rng) < 0.3 ? fab_sy_range(rng, 0.1, 0.7) : 9;
    t->collapse = fab_sy_range(rng, 0.1, 0.8);
    t->free_contrast = contrast == 4 || (contrast < 0 && free < 0.1);
    if (t->free_contrast) draw_free(rng, t);
}
