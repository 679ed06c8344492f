/* plan_internal.h - the parts of reading a plan: plans.c, network.c, labels.c. */
#ifndef FAB_NNUNET_PLAN_INTERNAL_H
#define FAB_NNUNET_PLAN_INTERNAL_H

#include <stdio.h>

#include "fabrica/nnunet.h"

/* network.c: the network a configuration asks for, of either format; classes and input channels
 * are left 0. axes: 3, or 2 for a network of slices, which becomes one of kernels 1 x k x k. */
fab_status fab_nnunet_network_read(const fab_json *configuration, int axes, fab_unet_config *out,
                                   fab_error *err);
/* labels.c: labels or regions of dataset.json. */
fab_status fab_nnunet_labels_read(const fab_json *dataset, fab_nnunet_plan *p, fab_error *err);

#endif
