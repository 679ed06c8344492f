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
    double mm;
} known[] = {
    {8, "HepaticVessel", AS_IT_IS},
    {150, "icb", AS_IT_IS},
    {258, "lung_vessels", AS_IT_IS},
    {260, "hip_implant", AS_IT_IS},
    {299, "body", 1.5},
    {300, "body", 6},
    {301, "heart", AS_IT_IS},
    {315, "thoraxCT", AS_IT_IS},
    {351, "oculomotor_muscles", OF_PLANS},
    {527, "breasts", OF_PLANS},
    {570, "ct_liver_segments", OF_PLANS},
    {597, "mri_body", 1.5},
    {598, "mri_body", 6},
    {756, "mri_vertebrae", 1.5},
    {775, "head_glands_cavities", OF_PLANS},
    {776, "headneck_bones_vessels", OF_PLANS},
    {777, "head_muscles", OF_PLANS},
    {778, "headneck_muscles", OF_PLANS},
    {779, "headneck_muscles", OF_PLANS},
    {789, "kidney_cyst", OF_PLANS},
    {913, "lung_nodules", OF_PLANS},
};

static const struct published *find_published(const char *folder)
{
    char *end = NULL;
    if (strncmp(folder, "Dataset", 7) != 0) return NULL;
    const long number = strtol(folder + 7, &end, 10);
    if (end == folder + 7 || *end != '_') return NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == number &&
            strncmp(end + 1, known[i].name, strlen(known[i].name)) == 0)
            return &known[i];
    return NULL;
}

bool fab_totalseg_publishes(const char *folder)
{
    return strstr(folder, "TotalSeg") || find_published(folder);
}

void fab_totalseg_resampling(const char *folder, const fab_nnunet_plan *p, double mm[3])
{
    const struct published *known_as = find_published(folder);
    for (int a = 0; a < 3; a++) /* the plan's axes are transposed */
        mm[p->transpose_forward[a]] =
            known_as && known_as->mm != OF_PLANS ? known_as->mm : p->spacing_mm[a];
}
