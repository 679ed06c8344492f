/* names.c - the fine vocabulary: TotalSegmentator's 117, then the phantom's and synthesis' own. */
#include <string.h>

#include "synth_internal.h"

/* From 118 on; the first 43 are the phantom's in its order, so that its truth keeps its values. */
static const char *const ours[] = {
    "vertebrae_L6", "coccyx", "disc_C7_T1", "disc_T1_T2", "disc_T2_T3", "disc_T3_T4",
    "disc_T4_T5", "disc_T5_T6", "disc_T6_T7", "disc_T7_T8", "disc_T8_T9", "disc_T9_T10",
    "disc_T10_T11", "disc_T11_T12", "disc_T12_L1", "disc_L1_L2", "disc_L2_L3", "disc_L3_L4",
    "disc_L4_L5", "disc_L5_S1", "disc_L5_L6", "disc_L6_S1", "disc_L4_S1", "spinal_canal",
    "cerebrospinal_fluid", "ligamentum_flavum", "pulmonary_artery", "rectum", "uterus",
    "diaphragm", "skeletal_muscle", "torso_fat", "subcutaneous_fat", "skin", "metal_implant",
    "quadratus_lumborum_left", "quadratus_lumborum_right", "rectus_abdominis_left",
    "rectus_abdominis_right", "abdominal_oblique_left", "abdominal_oblique_right",
    "pectoralis_major_left", "pectoralis_major_right",
    "vertebral_arch_C1", "vertebral_arch_C2", "vertebral_arch_C3", "vertebral_arch_C4",
    "vertebral_arch_C5", "vertebral_arch_C6", "vertebral_arch_C7", "vertebral_arch_T1",
    "vertebral_arch_T2", "vertebral_arch_T3", "vertebral_arch_T4", "vertebral_arch_T5",
    "vertebral_arch_T6", "vertebral_arch_T7", "vertebral_arch_T8", "vertebral_arch_T9",
    "vertebral_arch_T10", "vertebral_arch_T11", "vertebral_arch_T12", "vertebral_arch_L1",
    "vertebral_arch_L2", "vertebral_arch_L3", "vertebral_arch_L4", "vertebral_arch_L5",
    "vertebral_arch_L6", "disc_C2_C3", "disc_C3_C4", "disc_C4_C5", "disc_C5_C6", "disc_C6_C7",
    "soft_tissue", "mass", "free_fluid",
};

enum { OURS = sizeof ours / sizeof *ours, FIRST = FAB_TOTAL_STRUCTURES + 1 };

const char *fab_synth_name(int value)
{
    if (value == 0) return "outside";
    if (value >= FIRST && value < FIRST + OURS) return ours[value - FIRST];
    return fab_total_name(value);
}

int fab_synth_value(const char *name)
{
    if (!strcmp(name, "outside")) return 0;
    for (int i = 0; i < OURS; i++)
        if (!strcmp(ours[i], name)) return FIRST + i;
    const int value = fab_total_value(name);
    return value ? value : -1;
}

static const char *const level_names[SY_LEVELS] = {
    "C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3", "T4", "T5", "T6",
    "T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6",
};

int fab_sy_body_of(int level)
{
    return level == SY_LEVELS ? SY_SACRUM : level == SY_LEVELS - 1 ? SY_L6 : SY_C1 - level;
}

int fab_sy_arch_of(int level)
{
    return level == SY_LEVELS ? SY_SACRUM : SY_ARCH_C1 + level;
}

int fab_sy_level_of(int value)
{
    if (value >= SY_ARCH_C1 && value <= SY_ARCH_L6) return value - SY_ARCH_C1;
    if (value >= SY_L5 && value <= SY_C1) return SY_C1 - value;
    return value == SY_L6 ? SY_LEVELS - 1 : -1;
}

int fab_sy_disc(int above, int below)
{
    char name[32] = "disc_";
    size_t at = 5;
    const char *part[3] = {level_names[above], "_", below == SY_LEVELS ? "S1" : level_names[below]};
    for (int i = 0; i < 3; i++)
        for (const char *c = part[i]; *c; c++) name[at++] = *c;
    name[at] = 0;
    const int value = fab_synth_value(name);
    return value > 0 ? value : 0;
}

bool fab_sy_matches(const char *name, const char *pattern)
{
    const size_t n = strlen(pattern);
    if (n && pattern[n - 1] == '*') return !strncmp(name, pattern, n - 1);
    return !strcmp(name, pattern);
}

bool fab_sy_matches_any(const char *name, const char *const *patterns)
{
    for (; name && *patterns; patterns++)
        if (fab_sy_matches(name, *patterns)) return true;
    return false;
}
