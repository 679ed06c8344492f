/* published.c - which data sets are TotalSegmentator's, what it resamples images to for each, what
 * it looks for first and which labels it throws away.
 *
 * Names and rules as its releases and its table of tasks have them (2026; ADR 0122). Data sets that
 * are called TotalSeg... are its own by name; others are known by number and beginning of the name,
 * because anybody may have a data set 299.
 */
#include <stdlib.h>
#include <string.h>

#include "totalseg_internal.h"

#define OF_PLANS (-1.0) /* the network's own spacing */
#define AS_IT_IS 0.0    /* not resampled before nnU-Net does it */

/* ---- what is looked for first ------------------------------------------------------------- */

static const char *const lungs[] = {"lung_upper_lobe_left", "lung_lower_lobe_left",
                                    "lung_upper_lobe_right", "lung_middle_lobe_right",
                                    "lung_lower_lobe_right", NULL};
static const char *const neck[] = {"clavicula_left", "clavicula_right", "vertebrae_C1",
                                   "vertebrae_C5", "vertebrae_T1", "vertebrae_T4", NULL};
static const char *const belly[] = {"kidney_left", "kidney_right", "liver", "spleen", "colon",
                                    NULL};
static const char *const hips[] = {"femur_left", "femur_right", "hip_left", "hip_right", NULL};
static const char *const teeth[] = {"teeth_lower", "teeth_upper", NULL};
static const char *const about_heart[] = {"heart", "aorta", "inferior_vena_cava", NULL};
static const char *const trunk[] = {"body_trunc", NULL}, *const brain[] = {"brain", NULL},
                        *const heart[] = {"heart", NULL}, *const liver[] = {"liver", NULL},
                        *const skull[] = {"skull", NULL};

/* Its table of tasks names other widths (0 to 50 mm), but where a network of total or body does the
 * looking its program puts 20 mm in their place. */
#define COARSE(names) {names, "total", FAB_TOTALSEG_FASTEST, 20, NULL, 0}
#define ROBUST(names) {names, "total", FAB_TOTALSEG_FAST, 20, NULL, 0}
#define IN_MR(names) {names, "total_mr", FAB_TOTALSEG_FAST, 20, NULL, 0}
static const fab_totalseg_crop
    coarse_lungs = COARSE(lungs), coarse_neck = COARSE(neck), coarse_belly = COARSE(belly),
    coarse_hips = COARSE(hips), coarse_brain = COARSE(brain), coarse_heart = COARSE(heart),
    coarse_liver = COARSE(liver), coarse_skull = COARSE(skull), robust_lungs = ROBUST(lungs),
    robust_liver = ROBUST(liver), mr_liver = IN_MR(liver),
    robust_heart = {heart, "total", FAB_TOTALSEG_FAST, 20, about_heart, 10},
    coarse_trunk = {trunk, "body", FAB_TOTALSEG_FASTEST, 20, NULL, 0},
    fine_teeth = {teeth, "craniofacial_structures", FAB_TOTALSEG_BEST, 10, NULL, 0};

/* ---- data sets ---------------------------------------------------------------------------- */

static const struct published {
    int number;
    const char *name; /* how it begins, after "DatasetNNN_" */
    const char *task;
    double mm;
    const fab_totalseg_crop *crop; /* NULL: sees the whole image */
    int auxiliary; /* labels from this value on only helped to train; 0: there are none */
} known[] = {
    {8, "HepaticVessel", "liver_vessels", AS_IT_IS, &coarse_liver, 0},
    {113, "ToothFairy", "teeth", OF_PLANS, &fine_teeth, 0},
    {115, "mandible", "craniofacial_structures", OF_PLANS, &coarse_skull, 0},
    {117, "lung_airways", "lung_vessels", OF_PLANS, &robust_lungs, 0},
    {150, "icb", "cerebral_bleed", AS_IT_IS, &coarse_brain, 0},
    {258, "lung_vessels", "lung_vessels_LEGACY", AS_IT_IS, &coarse_lungs, 0},
    {260, "hip_implant", "hip_implant", AS_IT_IS, &coarse_hips, 0},
    {299, "body", "body", 1.5, NULL, 0},
    {300, "body", "body", 6, NULL, 0},
    {301, "heart", "heartchambers_highres", AS_IT_IS, &robust_heart, 0},
    {303, "face", "face", 1.5, NULL, 0},
    {304, "appendicular_bones", "appendicular_bones", 1.5, NULL, 12},
    {305, "vertebrae_discs", "vertebrae_body", 1.5, NULL, 0},
    {315, "thoraxCT", "pleural_pericard_effusion", AS_IT_IS, &coarse_lungs, 0},
    {343, "mediastinum", "trunk_cavities", OF_PLANS, NULL, 0},
    {351, "oculomotor_muscles", "oculomotor_muscles", OF_PLANS, &coarse_skull, 0},
    {409, "neuro", "brain_structures", OF_PLANS, &coarse_brain, 0},
    {481, "tissue", "tissue_types", 1.5, NULL, 0},
    {485, "tissue_4types", "tissue_4_types", 1.5, NULL, 0},
    {507, "coronary_arteries", "coronary_arteries_LEGACY", OF_PLANS, &coarse_heart, 0},
    {509, "coronary_arteries", "coronary_arteries", OF_PLANS, &coarse_heart, 0},
    {514, "annulus_pulmonary", "pulmonary_artery_landmarks", OF_PLANS, NULL, 0},
    {527, "breasts", "breasts", OF_PLANS, NULL, 0},
    {552, "ventricle_parts", "ventricle_parts", OF_PLANS, &coarse_brain, 0},
    {570, "ct_liver_segments", "liver_segments", OF_PLANS, &coarse_liver, 0},
    {576, "mri_liver_segments", "liver_segments_mr", OF_PLANS, &mr_liver, 0},
    {589, "ct_mri_liver_lesions", "liver_lesions_mr", OF_PLANS, &mr_liver, 0},
    {591, "ct_liver_lesions", "liver_lesions", OF_PLANS, &robust_liver, 0},
    {597, "mri_body", "body_mr", 1.5, NULL, 0},
    {598, "mri_body", "body_mr", 6, NULL, 0},
    {615, "MAXIMUS", "brain_aneurysm", OF_PLANS, NULL, 0},
    {710, "renal_arteries", "renal_arteries", 1.5, NULL, 4},
    {713, "annulus_proper", "aorta_annulus", OF_PLANS, NULL, 0},
    {716, "aorta_true_false_lumen", "aortic_dissection", OF_PLANS, NULL, 0},
    {756, "mri_vertebrae", "vertebrae_mr", 1.5, NULL, 0},
    {775, "head_glands_cavities", "head_glands_cavities", OF_PLANS, &coarse_skull, 0},
    {776, "headneck_bones_vessels", "headneck_bones_vessels", OF_PLANS, &coarse_neck, 0},
    {777, "head_muscles", "head_muscles", OF_PLANS, &coarse_skull, 0},
    {778, "headneck_muscles", "headneck_muscles", OF_PLANS, &coarse_neck, 0},
    {779, "headneck_muscles", "headneck_muscles", OF_PLANS, &coarse_neck, 0},
    {789, "kidney_cyst", "kidney_cysts", OF_PLANS, &coarse_belly, 3},
    {803, "TotalSegmentator_vertebrae", "vertebrae_pp", 1.5, NULL, 0},
    {855, "TotalSegMRI_appendicular", "appendicular_bones_mr", 1.5, NULL, 9},
    {856, "TotalSegMRI_face", "face_mr", 1.5, NULL, 2},
    {857, "TotalSegMRI_thigh", "thigh_shoulder_muscles", 1.5, NULL, 0},
    {913, "lung_nodules", "lung_nodules", OF_PLANS, &coarse_lungs, 0},
    {920, "aortic_sinuses", "aortic_sinuses", OF_PLANS, &coarse_heart, 0},
    {925, "MRI_tissue", "tissue_types_mr", 1.5, NULL, 0},
    {952, "abdominal_muscles", "abdominal_muscles", OF_PLANS, &coarse_trunk, 0},
};

/* NNN of "DatasetNNN_name", and where the name begins; -1 for any other folder. */
static long number_of(const char *folder, const char **name)
{
    char *end = NULL;
    if (strncmp(folder, "Dataset", 7) != 0) return -1;
    const long number = strtol(folder + 7, &end, 10);
    if (end == folder + 7 || *end != '_') return -1;
    *name = end + 1;
    return number;
}

static const struct published *find_published(const char *folder)
{
    const char *name = "";
    const long number = number_of(folder, &name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == number &&
            strncmp(name, known[i].name, strlen(known[i].name)) == 0)
            return &known[i];
    return NULL;
}

const char *fab_totalseg_task(const char *folder)
{
    const char *name = NULL;
    const struct published *row = find_published(folder);
    if (row) return row->task;
    if (!strstr(folder, "TotalSeg")) return NULL;
    const long number = number_of(folder, &name);
    if (number >= 831 && number <= 837) return "total_v3";
    return strstr(folder, "MRI") || (number >= 730 && number <= 733) ? "total_mr" : "total";
}

void fab_totalseg_resampling(const char *folder, const fab_nnunet_plan *p, double mm[3])
{
    const struct published *known_as = find_published(folder);
    for (int a = 0; a < 3; a++) /* the plan's axes are transposed */
        mm[p->transpose_forward[a]] =
            known_as && known_as->mm != OF_PLANS ? known_as->mm : p->spacing_mm[a];
}

const fab_totalseg_crop *fab_totalseg_crop_of(const char *folder)
{
    const struct published *known_as = find_published(folder);
    return known_as ? known_as->crop : NULL;
}

int fab_totalseg_auxiliary(const char *folder)
{
    const struct published *known_as = find_published(folder);
    return known_as ? known_as->auxiliary : 0;
}
