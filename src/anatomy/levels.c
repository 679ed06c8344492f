/* levels.c - the levels of the spine, and the discs between them. */
#include <stdio.h>
#include <string.h>

#include "fabrica/anatomy.h"

const char *fab_spine_level_name(int level)
{
    static const char level_names[FAB_SPINE_LEVELS][4] = {
        "C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3", "T4", "T5", "T6",
        "T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6"};
    return level >= 0 && level < FAB_SPINE_LEVELS ? level_names[level] : NULL;
}

int fab_spine_level_of(const char *name)
{
    if (strncmp(name, "vertebrae_", 10) == 0) name += 10;
    for (int k = 0; k < FAB_SPINE_LEVELS; k++)
        if (strcmp(name, fab_spine_level_name(k)) == 0) return k;
    return -1;
}

bool fab_spine_disc_name(int upper, int lower, char name[FAB_MAX_NAME_BYTES])
{
    const bool last = upper >= FAB_SPINE_LEVELS - 3 && upper < FAB_SPINE_LEVELS; /* L4 to L6 */
    const bool sacral = lower < 0 && last;
    const bool pair = upper >= 1 && lower == upper + 1 && lower < FAB_SPINE_LEVELS;
    name[0] = 0;
    if (!sacral && !pair) return false;
    snprintf(name, FAB_MAX_NAME_BYTES, "disc_%s_%s", fab_spine_level_name(upper),
             sacral ? "S1" : fab_spine_level_name(lower));
    return true;
}
