/* total.c - TotalSegmentator's 117 CT structures in its own order, value 1 is the first, and what a
 * torso has besides. */
#include <string.h>

#include "fabrica/anatomy.h"

static const char *const names[FAB_TOTAL_STRUCTURES] = {
    "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas",
    "adrenal_gland_right", "adrenal_gland_left", "lung_upper_lobe_left", "lung_lower_lobe_left",
    "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right", "esophagus",
    "trachea", "thyroid_gland", "small_bowel", "duodenum", "colon", "urinary_bladder", "prostate",
    "kidney_cyst_left", "kidney_cyst_right", "sacrum", "vertebrae_S1", "vertebrae_L5",
    "vertebrae_L4", "vertebrae_L3", "vertebrae_L2", "vertebrae_L1", "vertebrae_T12",
    "vertebrae_T11", "vertebrae_T10", "vertebrae_T9", "vertebrae_T8", "vertebrae_T7",
    "vertebrae_T6", "vertebrae_T5", "vertebrae_T4", "vertebrae_T3", "vertebrae_T2",
    "vertebrae_T1", "vertebrae_C7", "vertebrae_C6", "vertebrae_C5", "vertebrae_C4",
    "vertebrae_C3", "vertebrae_C2", "vertebrae_C1", "heart", "aorta", "pulmonary_vein",
    "brachiocephalic_trunk", "subclavian_artery_right", "subclavian_artery_left",
    "common_carotid_artery_right", "common_carotid_artery_left", "brachiocephalic_vein_left",
    "brachiocephalic_vein_right", "atrial_appendage_left", "superior_vena_cava",
    "inferior_vena_cava", "portal_vein_and_splenic_vein", "iliac_artery_left",
    "iliac_artery_right", "iliac_vena_left", "iliac_vena_right", "humerus_left", "humerus_right",
    "scapula_left", "scapula_right", "clavicula_left", "clavicula_right", "femur_left",
    "femur_right", "hip_left", "hip_right", "spinal_cord", "gluteus_maximus_left",
    "gluteus_maximus_right", "gluteus_medius_left", "gluteus_medius_right",
    "gluteus_minimus_left", "gluteus_minimus_right", "autochthon_left", "autochthon_right",
    "iliopsoas_left", "iliopsoas_right", "brain", "skull", "rib_left_1", "rib_left_2",
    "rib_left_3", "rib_left_4", "rib_left_5", "rib_left_6", "rib_left_7", "rib_left_8",
    "rib_left_9", "rib_left_10", "rib_left_11", "rib_left_12", "rib_right_1", "rib_right_2",
    "rib_right_3", "rib_right_4", "rib_right_5", "rib_right_6", "rib_right_7", "rib_right_8",
    "rib_right_9", "rib_right_10", "rib_right_11", "rib_right_12", "sternum",
    "costal_cartilages",
};

const char *fab_total_name(int value)
{
    return value >= 1 && value <= FAB_TOTAL_STRUCTURES ? names[value - 1] : NULL;
}

int fab_total_value(const char *name)
{
    for (int i = 0; i < FAB_TOTAL_STRUCTURES; i++)
        if (strcmp(names[i], name) == 0) return i + 1;
    return 0;
}

/* ---- what TotalSegmentator does not name ----------------------------------------------------- */

static const char *const more[] = { /* from 118 on */
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
enum { MORE = sizeof more / sizeof *more };
_Static_assert(FAB_TOTAL_STRUCTURES + MORE == FAB_TORSO_STRUCTURES, "names of the torso");

const char *fab_torso_name(int value)
{
    const int mine = value - FAB_TOTAL_STRUCTURES - 1;
    return mine >= 0 && mine < MORE ? more[mine] : fab_total_name(value);
}

int fab_torso_value(const char *name)
{
    for (int i = 0; i < MORE; i++)
        if (strcmp(more[i], name) == 0) return FAB_TOTAL_STRUCTURES + 1 + i;
    return fab_total_value(name);
}
