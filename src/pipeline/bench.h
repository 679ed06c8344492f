/* bench.h - a network to measure: its shape, and weights that nobody trained. */
#ifndef FAB_PIPELINE_BENCH_H
#define FAB_PIPELINE_BENCH_H

#include "pipeline_internal.h"

/* Random weights for every tensor of the network, as nnU-Net names them. All convolutions share
 * one block of values: the engine copies and repacks what it takes, and instance norms make the
 * scale of a layer's weights irrelevant. */
fab_status fab_bench_weights(const fab_unet_config *c, fab_tensors **out, fab_error *err);

#endif
