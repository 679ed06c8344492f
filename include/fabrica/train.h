/* fabrica/train.h - layer 3: trains a network of the engine's kind on this machine, no Python.
 *
 * A recipe (docs/formats/training.md) holds the model card the network is to have, where its cases
 * come from and the schedule. Cases are label maps that images are made from on the way (synth.h),
 * or scans with label maps. Patch i of a run depends on the recipe's seed and i alone: a run that
 * was broken off and resumed sees the same patches. See docs/adr/0092-training.md.
 */
#ifndef FABRICA_TRAIN_H
#define FABRICA_TRAIN_H

#include "fabrica/json.h"
#include "fabrica/segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fab_train_options {
    const char *recipe;      /* JSON file */
    const char *data;        /* folder the recipe's paths begin at; NULL: the recipe's own */
    const char *run;         /* folder of the run; made, or gone on with if it holds a checkpoint */
    const char *start_from;  /* a model package whose weights a new run begins with, where names and
                                axes agree (as much of each axis as both have); NULL: random */
    int64_t iterations;      /* end of this call, counted from the run's first; 0: the recipe's */
    double minutes;          /* wall time this call may take; 0: any */
    const fab_progress *progress;
    void (*log)(void *ctx, const char *line); /* a line for people every 20 iterations, or NULL */
    void *log_ctx;
} fab_train_options;

/* Trains until the iterations or minutes are done or the owner cancels (which saves first, and is
 * FAB_ERR_CANCELLED). In the run's folder: checkpoint.json with the file of weights, averaged
 * weights and moments it names, written every five minutes and at the end; log.jsonl, a line every
 * 20 iterations; package/, a model package of the averaged weights that `fabrica segment --model`
 * takes. *summary (may be NULL): {"iterations","rate","cross_entropy","dice","cpu_s"}.
 * FAB_ERR_FORMAT naming recipe and field, FAB_ERR_NOTFOUND, FAB_ERR_INTEGRITY for a checkpoint
 * whose file is not the one it names. */
fab_status fab_train_run(const fab_train_options *o, fab_json **summary, fab_error *err);

/* One patch of the recipe's cases as training sees it, for looking at: `image` F32 as the network
 * gets it, `labels` U16 classes (65535: not counted), both on the network's spacing. */
fab_status fab_train_patch(const fab_train_options *o, int64_t index, fab_volume **image,
                           fab_volume **labels, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
