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
