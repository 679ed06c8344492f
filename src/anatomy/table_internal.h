/* table_internal.h - how a row is written, and the five parts the table is split into. */
#ifndef FAB_ANATOMY_TABLE_INTERNAL_H
#define FAB_ANATOMY_TABLE_INTERNAL_H

#include "fabrica/anatomy.h"

#define SCT(value, meaning) {"SCT", value, meaning}
#define DCM(value, meaning) {"DCM", value, meaning} /* of the DICOM standard itself */
#define FAB(value, meaning) {"99FAB", value, meaning} /* only where SNOMED CT has no concept */
#define NO_REGION {NULL, NULL, NULL}

/* Categories of DICOM CID 7150. */
#define ANATOMICAL SCT("123037004", "Anatomical Structure")
#define TISSUE SCT("85756007", "Tissue")
#define ALTERED SCT("49755003", "Morphologically Altered Structure")
#define OBJECT SCT("260787004", "Physical object")
#define SUBSTANCE SCT("91720002", "Body Substance")

extern const fab_anatomy fab_anatomy_bones[], fab_anatomy_brain[], fab_anatomy_organs[],
    fab_anatomy_vessels[], fab_anatomy_soft[];
extern const size_t fab_anatomy_bones_count, fab_anatomy_brain_count,
    fab_anatomy_organs_count, fab_anatomy_vessels_count, fab_anatomy_soft_count;

#endif
