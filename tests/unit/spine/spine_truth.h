/* spine_truth.h - class maps with known answers, made from label maps whose vertebrae are named:
 * phantoms, and real label maps where the shared data is there. */
#ifndef FAB_SPINE_TRUTH_H
#define FAB_SPINE_TRUTH_H

#include "fabrica/spine.h"

/* Values of a truth map: TRUTH_BODY + level, TRUTH_ARCH + level, TRUTH_DISC + upper level. */
enum { TRUTH_BODY = 1, TRUTH_ARCH = 33, TRUTH_DISC = 65, TRUTH_CANAL = 100, TRUTH_CORD,
       TRUTH_SACRUM, TRUTH_RIBS, TRUTH_LUNGS, TRUTH_KIDNEYS, TRUTH_HIPS };
/* Values of a class map. */
enum { CLASS_BODY = 1, CLASS_ARCH, CLASS_DISC, CLASS_CANAL, CLASS_CORD, CLASS_SACRUM, CLASS_RIBS,
       CLASS_LUNGS, CLASS_KIDNEYS, CLASS_HIPS };
extern const fab_spine_classes truth_classes;

/* A U8 truth map at `mm` (0: labels' own grid) from named labels (U8 or U16). Each vertebra is
 * divided into body and arch at the back wall of its body; discs that have no label are what lies
 * between two bodies. name_of gives the name of a value (or NULL). */
fab_status spine_truth_make(const fab_volume *labels, const char *(*name_of)(void *ctx, int value),
                            void *ctx, double mm, fab_volume **out, fab_error *err);
/* The classes of a truth map, as a network would give them. */
fab_status spine_truth_classes(const fab_volume *truth, fab_volume **out, fab_error *err);

typedef struct spine_score {
    int vertebrae, found;     /* in the truth with at least 3 ml of body; rightly named */
    double dice[FAB_SPINE_LEVELS]; /* of the whole vertebra; -1: not in the truth */
    double arch[FAB_SPINE_LEVELS]; /* of its arch */
    double worst, mean;
    int worst_level;
    int body_voxels, body_other, body_none; /* in the truth; given another name; given none */
    int discs_wrong;          /* voxels of discs with another name than the truth's */
    int disc_voxels;
} spine_score;
/* Scores by name against the truth, both on the same grid. */
void spine_truth_score(const fab_volume *truth, const fab_spine *s, spine_score *out);

#endif
