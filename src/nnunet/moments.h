/* moments.h - numpy's mean and standard deviation of float32, for prepare.c. */
#ifndef FAB_NNUNET_MOMENTS_H
#define FAB_NNUNET_MOMENTS_H

#include "fabrica/base.h"

typedef struct fab_nnunet_rows {
    int (*read)(const void *ctx, int64_t index, float *into); /* returns how many values */
    const void *ctx;
    int width;     /* most values in a row */
    int64_t count; /* values in all rows */
} fab_nnunet_rows;

/* Both 0 if there are no values. FAB_ERR_NOMEM. */
fab_status fab_nnunet_moments(const fab_nnunet_rows *rows, float *mean, float *deviation,
                              fab_error *err);

#endif
