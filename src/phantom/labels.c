/* labels.c - the phantom's label values: TotalSegmentator's 117 (its own numbers), then ours. */
#include <string.h>

#include "phantom_internal.h"

static const char *const ours[] = { /* from 118 on */
    "vertebrae_L6", "coccyx", "disc_C7_T1", "disc_T1_T2", "disc_T2_T3", "disc_T3_T4",
    "disc_T4_T5", "disc_T5_T6", "disc_T6_T7", "disc_T7_T8", "disc_T8_T9", "disc_T9_T10",
    "disc_T10_T11", "disc_T11_T12", "disc_T12_L1", "disc_L1_L2", "disc_L2_L3", "disc_L3_L4",
    "disc_L4_L5", "disc_L5_S1", "disc_L5_L6", "disc_L6_S1", "disc_L4_S1", "spinal_canal",
    "cerebrospinal_fluid", "ligamentum_flavum", "pulmonary_artery", "rectum", "uterus",
    "diaphragm", "skeletal_muscle", "torso_fat", "subcutaneous_fat", "skin", "metal_implant",
    "quadratus_lumborum_left", "quadratus_lumborum_right", "rectus_abdominis_left",
    "rectus_abdominis_right", "abdominal_oblique_left", "abdominal_oblique_right",
    "pectoralis_major_left", "pectoralis_major_right",
};

enum { OURS = sizeof ours / sizeof *ours };

int fab_ph_label(const char *name)
{
    for (int i = 0; i < OURS; i++)
        if (!strcmp(ours[i], name)) return FAB_TOTAL_STRUCTURES + 1 + i;
    return fab_total_value(name);
}

const char *fab_ph_label_name(int value)
{
    const int mine = value - FAB_TOTAL_STRUCTURES - 1;
    return mine >= 0 && mine < OURS ? ours[mine] : fab_total_name(value);
}
