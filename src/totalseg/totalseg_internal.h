/* totalseg_internal.h - what load.c and published.c say and run.c uses. */
#ifndef FAB_TOTALSEG_INTERNAL_H
#define FAB_TOTALSEG_INTERNAL_H

#include "fabrica/nnunet.h"
#include "fabrica/totalseg.h"

typedef struct fab_totalseg_part {
    int number;                               /* of the data set */
    char folder[FAB_MAX_PATH_BYTES];
    int heads;
    int auxiliary;                            /* heads from here on are no structures; 0: none */
    uint16_t value_of[FAB_UNET_MAX_CLASSES];  /* a head's value in the task; 0: background */
} fab_totalseg_part;

struct fab_totalseg {
    double spacing_mm;    /* the smallest of the networks' own */
    double resample_mm[3]; /* of the image before them, axes S, A, R; 0: as it is */
    bool total;           /* task "total" of CT, as far as names and folders say: every name is
                             among the 117 */
    fab_totalseg *rough;  /* a coarser network of the same folder to find structures by; or NULL */
    int part_count;
    fab_totalseg_part part[FAB_TOTALSEG_MAX_PARTS];
    fab_label_set set;
};

/* published.c: what the image is resampled to before a network of a data set's folder (its name,
 * "Dataset297_x") sees it: axes S, A, R; 0: as it is. */
void fab_totalseg_resampling(const char *folder, const fab_nnunet_plan *p, double mm[3]);

#endif
