/* norms.c - what is published about the size and the CT numbers of structures. A structure without
 * a source has no row and is not judged. Sex and height are not known, so that a row is the union
 * of both sexes and of all adults: mean - 3 SD of the smaller to mean + 3 SD of the larger, in
 * logarithms where the source gives quartiles (docs/adr/0095). */
#include <string.h>

#include "qa_internal.h"

/* TLC of men 7.99 h - 7.08 (SD 0.70), FRC of women 2.24 h + 0.001 a - 1.00 (SD 0.50), litres; the
 * scan may be at any breath, so from FRC - 2 SD at 1.50 m to TLC + 2 SD at 2.00 m, and 45 and 55 %
 * of both for the left and the right. */
#define LUNGS "Stocks and Quanjer, Eur Respir J 1995;8:492-506"
#define KIDNEY "renal volume by MRI in a general population, J Clin Med 2024;13:769"

static const fab_norm volumes[] = {
    {"liver", 350, 2660, "SHIP, 2773 adults: 1505 +- 385 ml; Eur J Radiol 2018;106:32-37"},
    {"spleen", 48, 794, "1520 adults: women 164 (126-218), men 214 (158-285) ml; Curr Med Imaging "
                        "2026, doi 10.2174/0115734056472787260516112449"},
    {"kidney_left", 75, 310, KIDNEY},
    {"kidney_right", 75, 310, KIDNEY},
    {"kidneys", 150, 620, KIDNEY},
    {"pancreas", 20, 150, "Saisho et al., Clin Anat 2007;20:933-942: 72 +- 26 ml"},
    {"heart", 300, 1100, "ICRP Publication 89 (2002): 620 g with its blood, woman, less a half; "
                         "97.5 % of four chambers and wall, man of 2.3 m2: Fuchs et al., Eur "
                         "Heart J Cardiovasc Imaging 2016;17:1009-1017"},
    {"lung_left", 600, 4700, LUNGS},
    {"lung_right", 750, 5700, LUNGS},
    {"lungs", 1350, 10300, LUNGS},
    {"urinary_bladder", 0, 1000, "NICE CG97: retention above 1000 ml"},
};

/* The middle voxel of the structure, its border left out. Bounds are those of extreme disease or
 * contrast, not of health: beyond them the label is on the wrong tissue, or the units are wrong. */
#define BLOOD "plasma without contrast is above 0 HU; CT angiography stays below 700 HU"
#define MUSCLE "-29 to 150 HU: Aubrey et al., Acta Physiol 2014;210:489-497"
static const fab_norm numbers[] = {
    {"liver", -20, 250, "below 0 only in the severest steatosis: Kodama et al., AJR "
                        "2007;188:1307-1312"},
    {"spleen", 20, 300, BLOOD},
    {"kidney_left", 0, 400, BLOOD},
    {"kidney_right", 0, 400, BLOOD},
    {"kidneys", 0, 400, BLOOD},
    {"heart", 0, 600, BLOOD},
    {"aorta", 0, 800, BLOOD},
    {"inferior_vena_cava", -10, 700, BLOOD},
    {"urinary_bladder", -20, 3071, "urine is water; excreted contrast may saturate"},
};
static const fab_norm by_tissue[] = {
    [FAB_TISSUE_LUNG] = {"", -980, -400, "normally aerated -900 to -500 HU: Gattinoni et al., "
                                         "AJRCCM 2001;164:1701-1711"},
    [FAB_TISSUE_BONE] = {"", 70, 2500, "trabecular bone below 90 HU is osteoporotic: Pickhardt et "
                                       "al., Ann Intern Med 2013;158:588-595; cortex adds to it"},
    [FAB_TISSUE_MUSCLE] = {"", -29, 150, MUSCLE},
};

static const fab_norm *find(const fab_norm *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

const fab_norm *fab_norm_volume(const char *name)
{
    return find(volumes, sizeof volumes / sizeof *volumes, name);
}

const fab_norm *fab_norm_hounsfield(const fab_label *label)
{
    const fab_norm *n = find(numbers, sizeof numbers / sizeof *numbers, label->name);
    if (n || !label->anatomy) return n;
    const size_t tissue = (size_t)label->anatomy->tissue;
    if (tissue >= sizeof by_tissue / sizeof *by_tissue || !by_tissue[tissue].source) return NULL;
    if (strstr(label->name, "trachea") || strstr(label->name, "vessels")) return NULL;
    return &by_tissue[tissue];
}
