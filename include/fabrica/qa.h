/* fabrica/qa.h - layer 2: what a person should know before trusting a label map.
 *
 * Two looks. The first is at the image alone, before any network: is this a CT, and of a torso? The
 * second is at image and label map together: what is cut, swapped, in pieces, too large, of a
 * tissue it cannot be. Both only tell; nothing here changes a voxel. Places are LPS millimetres.
 * Where a bound comes from the literature, the table that holds it names the paper
 * (src/qa/norms.c); what the others are and how they were found: docs/adr/0095.
 */
#ifndef FABRICA_QA_H
#define FABRICA_QA_H

#include "fabrica/anatomy.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fab_severity { FAB_INFO, FAB_WARNING, FAB_ERROR } fab_severity;
const char *fab_severity_name(fab_severity s); /* "info", "warning", "error" */

/* ---- what kind of image it is ------------------------------------------------------------ */

typedef enum fab_scan_verdict {
    FAB_SCAN_TORSO,  /* CT of a torso */
    FAB_SCAN_PARTLY, /* CT, and what is seen of the body could be a torso: a small field of view, a
                        head with the chest */
    FAB_SCAN_UNSURE, /* CT, but nothing says torso: results are not to be trusted */
    FAB_SCAN_OTHER   /* surely something else */
} fab_scan_verdict;
const char *fab_scan_verdict_name(fab_scan_verdict v); /* "torso", "partly", "unsure", "other" */

/* What the file says of itself; NULL or "": nothing. */
typedef struct fab_scan_facts {
    const char *modality;  /* DICOM (0008,0060) */
    const char *body_part; /* DICOM (0018,0015) */
} fab_scan_facts;

/* What was measured on up to 64 axial slices about 3 mm apart in the plane. */
typedef struct fab_scan {
    fab_scan_verdict verdict;
    bool hounsfield;         /* the values are CT numbers */
    char looks_like[64];     /* "a CT of the torso", "a CT of the head", "an MR" ... */
    char reasons[400];       /* sentences for a person */
    double body_area_cm2;    /* of the cross-section, median over the slices with a body */
    double body_width_mm;    /* left to right, the same */
    double air, fat, soft, bone; /* shares of the voxels, reconstruction padding left out */
    int slices, body, torso, inside, head, limbs; /* slices looked at; with a body; of the size of a
                        torso; where the body fills the picture; with a ring of skull; like limbs */
    bool has_padding;        /* voxels outside the reconstruction circle hold padding_hu */
    double padding_hu;
    char body_part_note[96]; /* "" or how the image differs from what the file says */
} fab_scan;
/* `image` in HU if it is a CT. 0.07 s of CPU measured on 512 x 512 x 160. */
fab_status fab_scan_look(const fab_volume *image, const fab_scan_facts *facts, fab_scan *out,
                         fab_error *err);

/* ---- findings ---------------------------------------------------------------------------- */

typedef struct fab_qa_finding {
    const char *code;      /* "touches-scan-edge"; docs/formats/case.md lists them; static */
    fab_severity severity;
    int value, other;      /* label values it is about; 0: the whole scan; 0: no second */
    bool located;
    double low_mm[3], high_mm[3]; /* a box, or a point if they are equal */
    char text[256];        /* for a person, without the structure's name */
} fab_qa_finding;

/* One structure that occurs. */
typedef struct fab_qa_structure {
    const fab_label *label; /* borrowed from the set */
    fab_label_stats stats;
    double volume_ml, centroid_mm[3];
    double confidence;     /* as given, NaN if there is none */
    double expected;       /* Dice to expect of that confidence (calibrated), NaN: unknown */
    double hu[3];          /* 10th, 50th and 90th percentile; NaN without a CT */
    double uncertain;      /* share of it where another label is nearly as likely; NaN: unknown */
    bool cut;              /* by the end of the scan or the reconstruction circle */
    bool scrap;            /* so little of something large that it is a sliver or a stray piece */
    double score;          /* what orders the review: 0 is nothing to look at */
} fab_qa_structure;

typedef struct fab_qa {
    size_t structure_count;
    fab_qa_structure *structures; /* ascending value */
    size_t *order;                /* indices of them, the worst first */
    size_t finding_count, finding_capacity;
    fab_qa_finding *findings;     /* after fab_qa_rank: the worst first */
    fab_scan_verdict verdict;     /* of image and structures together */
} fab_qa;
void fab_qa_free(fab_qa *qa);

typedef struct fab_qa_input {
    const fab_volume *image;     /* on the labels' grid, or NULL */
    const fab_scan *scan;        /* of the image, or NULL */
    bool judge;                  /* it should be a CT of the torso: say so if it is not */
    const fab_volume *labels;    /* U8 or U16 */
    const fab_label_set *set;
    const double *confidence;    /* a row of the set, 0..1; NULL: none */
    const fab_volume *fine_labels, *fine_margin; /* fab_segment_result's, or NULL */
    const fab_progress *progress;
} fab_qa_input;

/* Looks at everything; *out is owned by the caller (fab_qa_free). Findings of others can be added
 * before fab_qa_rank orders them. */
fab_status fab_qa_check(const fab_qa_input *in, fab_qa *out, fab_error *err);
fab_status fab_qa_add(fab_qa *qa, const char *code, fab_severity severity, int value,
                      fab_error *err, const char *format, ...) FAB_PRINTF(6, 7);
bool fab_qa_has(const fab_qa *qa, const char *code, int value);
/* How many of the 12 kinds of structure that every torso shows some of ("vertebra", "lung", "liver"
 * ...) a set names: a network that knows five or more is one for torsos. */
int fab_qa_torso_anchors(const fab_label_set *set);
/* Scores the structures and orders them and the findings, the worst first. Every structure of a
 * scan that is not to be trusted gets the finding "not-trusted". */
fab_status fab_qa_rank(fab_qa *qa, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
