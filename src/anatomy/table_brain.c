/* Rows for the brain, sorted by name: what FreeSurfer segments and parcellates (Desikan-Killiany
 * atlas), which networks for T1 brain MR are taught. Codes are those of DICOM CID 7140 and 7153. A
 * gyrus is "cerebral cortex" with its lobe as Anatomic Region: concepts of the gyri could not be
 * verified in a source that is free to read (docs/adr/0050); lobes as FreeSurfer groups them
 * (rostral and caudal anterior cingulate: frontal; posterior and isthmus: parietal). Colours are
 * FreeSurfer's, the right side a little darker. */
#include "table_internal.h"

#define CORTEX SCT("40146001", "Cerebral cortex")
#define NONE {NULL, NULL, NULL}
#define FRONTAL SCT("83251001", "Frontal lobe")
#define PARIETAL SCT("16630005", "Parietal lobe")
#define TEMPORAL SCT("78277001", "Temporal lobe")
#define OCCIPITAL SCT("31065004", "Occipital lobe")
#define INSULA SCT("36169008", "Insula")

#define ROW(name, display, code, r, g, b) \
    {name, display, ANATOMICAL, code, FAB_SIDE_NONE, FAB_TISSUE_NERVE, {r, g, b}, NO_REGION}
/* NAME, NAME_left and NAME_right: they follow one another in the order of names. */
#define SIDES(name, display, small, code, region, r, g, b) \
    {name, display, ANATOMICAL, code, FAB_SIDE_NONE, FAB_TISSUE_NERVE, {r, g, b}, region}, \
    {name "_left", "Left " small, ANATOMICAL, code, FAB_SIDE_LEFT, FAB_TISSUE_NERVE, \
     {r, g, b}, region}, \
    {name "_right", "Right " small, ANATOMICAL, code, FAB_SIDE_RIGHT, FAB_TISSUE_NERVE, \
     {(r) * 4 / 5, (g) * 4 / 5, (b) * 4 / 5}, region}

const fab_anatomy fab_anatomy_brain[] = {
    SIDES("accumbens", "Nucleus accumbens", "nucleus accumbens",
          SCT("427667007", "Nucleus accumbens"), NONE, 255, 165, 0),
    SIDES("amygdala", "Amygdala", "amygdala", SCT("4958002", "Amygdala"), NONE, 103, 255, 255),
    ROW("brain_stem", "Brain stem", SCT("119238007", "Brain stem"), 119, 159, 176),
    ROW("brain_ventricles", "Ventricles of the brain", SCT("35764002", "Brain ventricle"),
        150, 40, 190),
    SIDES("caudate", "Caudate nucleus", "caudate nucleus", SCT("11000004", "Caudate nucleus"),
          NONE, 122, 186, 220),
    ROW("cerebellum", "Cerebellum", SCT("113305005", "Cerebellum"), 226, 156, 60),
    SIDES("cerebellum_cortex", "Cerebellar cortex", "cerebellar cortex",
          SCT("25991003", "Cerebellar cortex"), NONE, 230, 148, 34),
    SIDES("cerebellum_white_matter", "Cerebellar white matter", "cerebellar white matter",
          SCT("33060004", "Cerebellar white matter"), NONE, 220, 248, 164),
    SIDES("cerebral_cortex", "Cerebral cortex", "cerebral cortex", CORTEX, NONE, 205, 62, 78),
    SIDES("cerebral_white_matter", "Cerebral white matter", "cerebral white matter",
          SCT("68523003", "Cerebral white matter"), NONE, 245, 245, 245),
    ROW("corpus_callosum", "Corpus callosum", SCT("88442005", "Corpus callosum"), 0, 0, 208),
    ROW("corpus_callosum_anterior", "Corpus callosum, anterior fifth",
        SCT("88442005", "Corpus callosum"), 0, 0, 255),
    ROW("corpus_callosum_central", "Corpus callosum, central fifth",
        SCT("88442005", "Corpus callosum"), 0, 0, 160),
    ROW("corpus_callosum_mid_anterior", "Corpus callosum, middle anterior fifth",
        SCT("88442005", "Corpus callosum"), 0, 0, 232),
    ROW("corpus_callosum_mid_posterior", "Corpus callosum, middle posterior fifth",
        SCT("88442005", "Corpus callosum"), 0, 0, 112),
    ROW("corpus_callosum_posterior", "Corpus callosum, posterior fifth",
        SCT("88442005", "Corpus callosum"), 0, 0, 64),
    SIDES("cortex_bankssts", "Banks of the superior temporal sulcus",
          "banks of the superior temporal sulcus", CORTEX, TEMPORAL, 25, 100, 40),
    SIDES("cortex_caudalanteriorcingulate", "Caudal anterior cingulate cortex",
          "caudal anterior cingulate cortex", CORTEX, FRONTAL, 125, 100, 160),
    SIDES("cortex_caudalmiddlefrontal", "Caudal middle frontal gyrus",
          "caudal middle frontal gyrus", CORTEX, FRONTAL, 100, 25, 0),
    SIDES("cortex_cuneus", "Cuneus", "cuneus", CORTEX, OCCIPITAL, 220, 20, 100),
    SIDES("cortex_entorhinal", "Entorhinal cortex", "entorhinal cortex", CORTEX, TEMPORAL,
          220, 20, 10),
    SIDES("cortex_frontalpole", "Frontal pole", "frontal pole", CORTEX, FRONTAL, 100, 0, 100),
    SIDES("cortex_fusiform", "Fusiform gyrus", "fusiform gyrus", CORTEX, TEMPORAL,
          180, 220, 140),
    SIDES("cortex_inferiorparietal", "Inferior parietal cortex", "inferior parietal cortex",
          CORTEX, PARIETAL, 220, 60, 220),
    SIDES("cortex_inferiortemporal", "Inferior temporal gyrus", "inferior temporal gyrus",
          CORTEX, TEMPORAL, 180, 40, 120),
    SIDES("cortex_insula", "Insula", "insula", CORTEX, INSULA, 255, 192, 32),
    SIDES("cortex_isthmuscingulate", "Isthmus of the cingulate gyrus",
          "isthmus of the cingulate gyrus", CORTEX, PARIETAL, 140, 20, 140),
    SIDES("cortex_lateraloccipital", "Lateral occipital cortex", "lateral occipital cortex",
          CORTEX, OCCIPITAL, 20, 30, 140),
    SIDES("cortex_lateralorbitofrontal", "Lateral orbitofrontal cortex",
          "lateral orbitofrontal cortex", CORTEX, FRONTAL, 35, 75, 50),
    SIDES("cortex_lingual", "Lingual gyrus", "lingual gyrus", CORTEX, OCCIPITAL, 225, 140, 140),
    SIDES("cortex_medialorbitofrontal", "Medial orbitofrontal cortex",
          "medial orbitofrontal cortex", CORTEX, FRONTAL, 200, 35, 75),
    SIDES("cortex_middletemporal", "Middle temporal gyrus", "middle temporal gyrus", CORTEX,
          TEMPORAL, 160, 100, 50),
    SIDES("cortex_paracentral", "Paracentral lobule", "paracentral lobule", CORTEX, FRONTAL,
          60, 220, 60),
    SIDES("cortex_parahippocampal", "Parahippocampal gyrus", "parahippocampal gyrus", CORTEX,
          TEMPORAL, 20, 220, 60),
    SIDES("cortex_parsopercularis", "Pars opercularis", "pars opercularis", CORTEX, FRONTAL,
          220, 180, 140),
    SIDES("cortex_parsorbitalis", "Pars orbitalis", "pars orbitalis", CORTEX, FRONTAL,
          20, 100, 50),
    SIDES("cortex_parstriangularis", "Pars triangularis", "pars triangularis", CORTEX, FRONTAL,
          220, 60, 20),
    SIDES("cortex_pericalcarine", "Pericalcarine cortex", "pericalcarine cortex", CORTEX,
          OCCIPITAL, 120, 100, 60),
    SIDES("cortex_postcentral", "Postcentral gyrus", "postcentral gyrus", CORTEX, PARIETAL,
          220, 20, 20),
    SIDES("cortex_posteriorcingulate", "Posterior cingulate cortex",
          "posterior cingulate cortex", CORTEX, PARIETAL, 220, 180, 220),
    SIDES("cortex_precentral", "Precentral gyrus", "precentral gyrus", CORTEX, FRONTAL,
          60, 20, 220),
    SIDES("cortex_precuneus", "Precuneus", "precuneus", CORTEX, PARIETAL, 160, 140, 180),
    SIDES("cortex_rostralanteriorcingulate", "Rostral anterior cingulate cortex",
          "rostral anterior cingulate cortex", CORTEX, FRONTAL, 80, 20, 140),
    SIDES("cortex_rostralmiddlefrontal", "Rostral middle frontal gyrus",
          "rostral middle frontal gyrus", CORTEX, FRONTAL, 75, 50, 125),
    SIDES("cortex_superiorfrontal", "Superior frontal gyrus", "superior frontal gyrus", CORTEX,
          FRONTAL, 20, 220, 160),
    SIDES("cortex_superiorparietal", "Superior parietal cortex", "superior parietal cortex",
          CORTEX, PARIETAL, 20, 180, 140),
    SIDES("cortex_superiortemporal", "Superior temporal gyrus", "superior temporal gyrus",
          CORTEX, TEMPORAL, 140, 220, 220),
    SIDES("cortex_supramarginal", "Supramarginal gyrus", "supramarginal gyrus", CORTEX,
          PARIETAL, 80, 160, 20),
    SIDES("cortex_temporalpole", "Temporal pole", "temporal pole", CORTEX, TEMPORAL,
          70, 70, 70),
    SIDES("cortex_transversetemporal", "Transverse temporal gyrus", "transverse temporal gyrus",
          CORTEX, TEMPORAL, 150, 150, 200),
    ROW("fourth_ventricle", "Fourth ventricle", SCT("35918002", "Fourth ventricle"),
        42, 204, 164),
    ROW("gray_matter", "Gray matter", SCT("389081007", "Gray matter"), 205, 62, 78),
    SIDES("hippocampus", "Hippocampus", "hippocampus", SCT("5366008", "Hippocampus"), NONE,
          220, 216, 20),
    SIDES("inferior_lateral_ventricle", "Inferior horn of lateral ventricle",
          "inferior horn of lateral ventricle",
          SCT("53118009", "Inferior horn of lateral ventricle"), NONE, 196, 58, 250),
    SIDES("lateral_ventricle", "Lateral ventricle", "lateral ventricle",
          SCT("66720007", "Lateral ventricle"), NONE, 120, 18, 134),
    SIDES("pallidum", "Globus pallidus", "globus pallidus", SCT("14738005", "Globus pallidus"),
          NONE, 12, 48, 255),
    SIDES("putamen", "Putamen", "putamen", SCT("89278009", "Putamen"), NONE, 236, 13, 176),
    SIDES("thalamus", "Thalamus", "thalamus", SCT("42695009", "Thalamus"), NONE, 0, 118, 14),
    ROW("third_ventricle", "Third ventricle", SCT("49841001", "Third ventricle"),
        204, 182, 142),
    SIDES("ventral_diencephalon", "Ventral diencephalon", "ventral diencephalon",
          DCM("110700", "Ventral diencephalon"), NONE, 165, 42, 42),
    ROW("white_matter", "White matter", SCT("389080008", "White matter"), 245, 240, 235),
};
const size_t fab_anatomy_brain_count = sizeof fab_anatomy_brain / sizeof fab_anatomy_brain[0];
