/* fabrica/totalseg.h - layer 3: TotalSegmentator's networks as it publishes them.
 *
 * Wasserthal et al., TotalSegmentator, Radiology AI 5 (2023). Its weights are nnU-Net result
 * folders (DatasetNNN_...), several of which together make one task. Around nnU-Net it resamples
 * the image to the networks' spacing itself and the labels back; that is this module. No
 * arithmetic of networks is here, and no network is shipped: a user brings the weights.
 */
#ifndef FABRICA_TOTALSEG_H
#define FABRICA_TOTALSEG_H

#include "fabrica/nnunet.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAB_TOTALSEG_MAX_PARTS 16

typedef enum fab_totalseg_quality {
    FAB_TOTALSEG_BEST,   /* the finest spacing there is (1.5 mm for "total") */
    FAB_TOTALSEG_FAST,   /* 3 mm */
    FAB_TOTALSEG_FASTEST /* 6 mm */
} fab_totalseg_quality;

/* Which of TotalSegmentator's tasks a data set's folder belongs to, by its name: "total" for
 * "Dataset297_TotalSegmentator_total_3mm_1559subj", "body" for "Dataset299_body_1559subj"; NULL if
 * it is none that it publishes. */
const char *fab_totalseg_task(const char *folder);

/* Its labels from this value on only helped to train and are no structures; 0: there are none. */
int fab_totalseg_auxiliary(const char *folder);

/* What TotalSegmentator looks for before a task's own network runs: that one sees only the box
 * around it. All lists end with NULL. */
typedef struct fab_totalseg_crop {
    const char *const *structures; /* the box is around all of them that are found */
    const char *task;              /* whose network finds them: "total" */
    fab_totalseg_quality quality;  /* which of that task's */
    double addon_mm;               /* the box is so much wider, to every side */
    const char *const *keep;       /* NULL; else of the result only what lies within keep_mm of */
    double keep_mm;                /* these stays */
} fab_totalseg_crop;
/* NULL: the networks of this data set see the whole image. */
const fab_totalseg_crop *fab_totalseg_crop_of(const char *folder);

/* The data sets of one task and spacing; holds plans and names, weights only while they run. */
typedef struct fab_totalseg fab_totalseg;

/* folder: where data set folders lie (or one of them). parts: NULL for all of them, or a
 * NULL-terminated list of those that count ("Dataset291_x", "Dataset291_x/TRAINER__..."), as a
 * model's card names them. All of one spacing are joined, in the order
 * of their numbers; a structure's value is TotalSegmentator's own where all names are among its
 * 117, else the names are numbered in the order of the parts. FAB_ERR_NOTFOUND says which
 * spacings there are. */
fab_status fab_totalseg_load(const char *folder, const char *const *parts,
                             fab_totalseg_quality quality, fab_totalseg **out, fab_error *err);
fab_totalseg *fab_totalseg_free(fab_totalseg *t);
FAB_DEFINE_AUTO(fab_totalseg, fab_totalseg_free)
int fab_totalseg_parts(const fab_totalseg *t);
const char *fab_totalseg_part_folder(const fab_totalseg *t, int part);
double fab_totalseg_spacing_mm(const fab_totalseg *t);
const fab_label_set *fab_totalseg_labels(const fab_totalseg *t); /* borrowed */

/* What is run on the whole image first. */
typedef struct fab_totalseg_look {
    const fab_totalseg *finder; /* knows all structures of `rule` */
    const fab_totalseg_crop *rule;
    const struct fab_totalseg_look *before; /* what the finder itself needs; NULL: nothing */
} fab_totalseg_look;

typedef struct fab_totalseg_seen {
    bool found;                /* false: none of the structures, and so no label */
    int32_t low[3], size[3];   /* the box, in the image's voxels */
    int64_t removed;           /* voxels that did not lie within keep_mm */
} fab_totalseg_seen;

typedef struct fab_totalseg_options {
    const char *const *structures; /* NULL-terminated: only these, and only parts that have some */
    double step;                   /* of the patch; 0: as TotalSegmentator, 0.8 for "total" of CT
                                      below 3 mm, else 0.5 */
    bool exact;                    /* nnU-Net's fp16 sums */
    size_t max_memory_bytes;       /* 0: no cap; else as fab_nnunet_options */
    fab_nnunet_soft *soft;         /* as fab_nnunet_options, of all parts, at their spacing */
    bool surfaces;
    fab_precision precision;       /* of the networks' arithmetic */
    const fab_totalseg_look *look; /* NULL: the whole image is seen */
    fab_totalseg_seen *seen;       /* with `look`, may be NULL */
    const fab_progress *progress;
} fab_totalseg_options;

/* Labels (U8, or U16 above 255) on the image's own grid; any orientation. With `look`, the finder
 * runs first and only the box of what it finds is segmented; where it finds nothing no label is
 * given and `soft` stays empty. With `structures` and without `look`, a 6 mm network of the same
 * folder (for MR: 3 mm) that knows them looks for them, with 20 mm around; where it finds nothing,
 * the whole image is segmented. Networks are not mirrored. parts_run and patches, of the networks
 * that look too, may be NULL. */
fab_status fab_totalseg_run(const fab_totalseg *t, const fab_volume *image,
                            const fab_totalseg_options *options, fab_volume **labels,
                            int *parts_run, int *patches, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
