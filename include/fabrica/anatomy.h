/* fabrica/anatomy.h - layer 1: names, codes, laterality and colours of structures.
 *
 * One table holds TotalSegmentator's 117 CT structure names, the grouped names of our own
 * networks, and the phantom's extra structures, each with its SNOMED CT code (CID 7150 category,
 * CID 7151 type), laterality modifier and display colour. A label set says which value of a label
 * map is which structure; it travels beside every label map.
 */
#ifndef FABRICA_ANATOMY_H
#define FABRICA_ANATOMY_H

#include "fabrica/base.h"
#include "fabrica/json.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fab_laterality { FAB_SIDE_NONE, FAB_SIDE_LEFT, FAB_SIDE_RIGHT } fab_laterality;

typedef enum fab_tissue {
    FAB_TISSUE_OTHER, FAB_TISSUE_BONE, FAB_TISSUE_ORGAN, FAB_TISSUE_VESSEL, FAB_TISSUE_MUSCLE,
    FAB_TISSUE_NERVE, FAB_TISSUE_LUNG, FAB_TISSUE_BOWEL, FAB_TISSUE_DISC, FAB_TISSUE_SKIN
} fab_tissue;

typedef struct fab_code {
    const char *scheme;  /* "SCT", "99FAB" */
    const char *value;   /* "15825003" */
    const char *meaning; /* "Aorta" */
} fab_code;

/* One row; static storage, never freed. */
typedef struct fab_anatomy {
    const char *name;        /* key: "kidney_left" */
    const char *display;     /* "Left kidney" */
    fab_code category, type; /* CID 7150, CID 7151 */
    fab_laterality side;     /* emitted as SegmentedPropertyTypeModifier */
    fab_tissue tissue;
    uint8_t rgb[3];          /* sRGB */
    fab_code region;         /* AnatomicRegionSequence (a cyst's organ, a disc's level); or NULLs */
} fab_anatomy;

size_t fab_anatomy_count(void);
const fab_anatomy *fab_anatomy_at(size_t index);
/* NULL if the name is not known; callers then carry the free name without a code and say so. */
const fab_anatomy *fab_anatomy_find(const char *name);
/* TotalSegmentator's numbers of its 117 CT structures (task "total", version 2): the name of value
 * 1..117 or NULL; the value of a name or 0. */
#define FAB_TOTAL_STRUCTURES 117
const char *fab_total_name(int value);
int fab_total_value(const char *name);
/* The same numbers, and behind them what a torso has that TotalSegmentator does not name (discs,
 * canal, muscles, fat, skin...): the phantom's truth has these values. */
#define FAB_TORSO_STRUCTURES 160
const char *fab_torso_name(int value);
int fab_torso_value(const char *name);

/* Levels of the spine from the head down: 0..6 C1-C7, 7..18 T1-T12, 19..24 L1-L6. */
#define FAB_SPINE_LEVELS 25
/* "C1".."L6"; NULL outside 0..FAB_SPINE_LEVELS - 1. */
const char *fab_spine_level_name(int level);
/* The level of "T12" or "vertebrae_T12"; -1 if it is none. */
int fab_spine_level_of(const char *name);
/* "disc_T12_L1" for the disc below `upper`; `lower` -1: the sacrum (disc_L5_S1). False, and an
 * empty name, where there is no such disc (C1) or the levels are no neighbours. */
bool fab_spine_disc_name(int upper, int lower, char name[FAB_MAX_NAME_BYTES]);
/* The modifier code of a side (SCT 7771000 / 24028007); NULL members for FAB_SIDE_NONE. */
fab_code fab_anatomy_side_code(fab_laterality side);
/* D50 CIELab of an sRGB colour scaled as DICOM wants it (PS3.3 C.10.7.1.1). */
void fab_anatomy_dicom_cielab(const uint8_t rgb[3], uint16_t lab[3]);

/* ---- label sets ------------------------------------------------------------------------- */

typedef struct fab_label {
    int value;                      /* in the label map, 1.. */
    char name[FAB_MAX_NAME_BYTES];  /* key in the table, or a free name */
    uint8_t rgb[3];
    const fab_anatomy *anatomy;     /* NULL if the name is free */
} fab_label;

typedef struct fab_label_set {
    size_t count;
    fab_label *items;               /* ascending value */
} fab_label_set;

/* Adds or replaces; colour and code from the table when the name is known (else a colour derived
 * from the name). FAB_ERR_ARG for a value outside 1..FAB_MAX_LABELS, a name already used by another
 * value, or one unfit as a file name (empty, '/', '\\', control characters, a leading dot). */
fab_status fab_label_set_add(fab_label_set *set, int value, const char *name, fab_error *err);
const fab_label *fab_label_set_find(const fab_label_set *set, int value);
const fab_label *fab_label_set_by_name(const fab_label_set *set, const char *name);
fab_status fab_label_set_copy(const fab_label_set *from, fab_label_set *to, fab_error *err);
void fab_label_set_free(fab_label_set *set); /* also as __attribute__((cleanup)) */

/* labels.json: {"format":"fabrica-labels","format_version":1,"labels":[{"value","name",
 * "display","rgb":[r,g,b],"code":{"scheme","value","meaning"},"region","laterality"}]}. "code",
 * "region" (if any) and "laterality" ("none", "left", "right") are there for names of the table;
 * reading takes value, name and rgb, and the rest from the table. *out is owned by the caller. */
fab_status fab_label_set_to_json(const fab_label_set *set, fab_json **out, fab_error *err);
fab_status fab_label_set_from_json(const fab_json *json, fab_label_set *out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
