/* names.c - the fine vocabulary: TotalSegmentator's 117, then the phantom's and synthesis' own. */
#include <string.h>

#include "synth_internal.h"

/* Behind the names of a torso (fab_torso_name). */
static const char *const ours[] = {
    "vertebral_arch_C1", "vertebral_arch_C2", "vertebral_arch_C3", "vertebral_arch_C4",
    "vertebral_arch_C5", "vertebral_arch_C6", "vertebral_arch_C7", "vertebral_arch_T1",
    "vertebral_arch_T2", "vertebral_arch_T3", "vertebral_arch_T4", "vertebral_arch_T5",
    "vertebral_arch_T6", "vertebral_arch_T7", "vertebral_arch_T8", "vertebral_arch_T9",
    "vertebral_arch_T10", "vertebral_arch_T11", "vertebral_arch_T12", "vertebral_arch_L1",
    "vertebral_arch_L2", "vertebral_arch_L3", "vertebral_arch_L4", "vertebral_arch_L5",
    "vertebral_arch_L6", "disc_C2_C3", "disc_C3_C4", "disc_C4_C5", "disc_C5_C6", "disc_C6_C7",
    "soft_tissue", "mass", "free_fluid", "arch_pedicle", "arch_lamina", "arch_spinous_process",
    "arch_transverse_process", "arch_superior_articular_process",
    "arch_inferior_articular_process",
};

enum { OURS = sizeof ours / sizeof *ours, FIRST = FAB_TORSO_STRUCTURES + 1 };

const char *fab_synth_name(int value)
{
    if (value == 0) return "outside";
    if (value >= FIRST && value < FIRST + OURS) return ours[value - FIRST];
    return fab_torso_name(value);
}

int fab_synth_value(const char *name)
{
    if (!strcmp(name, "outside")) return 0;
    for (int i = 0; i < OURS; i++)
        if (!strcmp(ours[i], name)) return FIRST + i;
    const int value = fab_torso_value(name);
    return value ? value : -1;
}

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
    char name[FAB_MAX_NAME_BYTES];
    const int value = fab_spine_disc_name(above, below == SY_LEVELS ? -1 : below, name)
                          ? fab_synth_value(name) : 0;
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
