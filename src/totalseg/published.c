/* published.c - which data sets are TotalSegmentator's, and what it resamples images to for each.
 *
 * Names and spacings as its releases and its table of tasks have them (2026). Data sets that are
 * called TotalSeg... are its own by name; others are known by number and beginning of the name,
 * because anybody may have a data set 299.
 */
#include <stdlib.h>
#include <string.h>

#include "totalseg_internal.h"

#define OF_PLANS (-1.0) /* the network's own spacing */
#define AS_IT_IS 0.0    /* not resampled before nnU-Net does it */

static const struct published {
    int number;
    const char *name; /* how it begins, after "DatasetNNN_" */
    const char *task;
    double mm;
} known[] = {
    {8, "HepaticVessel", "liver_vessels", AS_IT_IS},
    {150, "icb", "cerebral_bleed", AS_IT_IS},
    {258, "lung_vessels", "lung_vessels", AS_IT_IS},
    {260, "hip_implant", "hip_implant", AS_IT_IS},
    {299, "body", "body", 1.5},
    {300, "body", "body", 6},
    {301, "heart", "heartchambers_highres", AS_IT_IS},
    {315, "thoraxCT", "pleural_pericard_effusion", AS_IT_IS},
    {351, "oculomotor_muscles", "oculomotor_muscles", OF_PLANS},
    {527, "breasts", "breasts", OF_PLANS},
    {570, "ct_liver_segments", "liver_segments", OF_PLANS},
    {597, "mri_body", "body_mr", 1.5},
    {598, "mri_body", "body_mr", 6},
    {756, "mri_vertebrae", "vertebrae_mr", 1.5},
    {775, "head_glands_cavities", "head_glands_cavities", OF_PLANS},
    {776, "headneck_bones_vessels", "headneck_bones_vessels", OF_PLANS},
    {777, "head_muscles", "head_muscles", OF_PLANS},
    {778, "headneck_muscles", "headneck_muscles", OF_PLANS},
    {779, "headneck_muscles", "headneck_muscles", OF_PLANS},
    {789, "kidney_cyst", "kidney_cysts", OF_PLANS},
    {913, "lung_nodules", "lung_nodules", OF_PLANS},
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
