/* brainchop_internal.h - what the files of this folder share. */
#ifndef FAB_BRAINCHOP_INTERNAL_H
#define FAB_BRAINCHOP_INTERNAL_H

#include "fabrica/brainchop.h"

struct fab_brainchop {
    fab_net *net;
    int classes;
    fab_label_set set;
    fab_brainchop_scale scale;
    char weights_sha256[65];
    char files[FAB_BRAINCHOP_FILES][FAB_MAX_NAME_BYTES]; /* "": none */
};

/* ---- names.c ---------------------------------------------------------------------------- */

/* "Left-Thalamus-Proper*" becomes "thalamus_left" and so on; a name the table of structures does
 * not know stays as it is. */
void fab_brainchop_name(const char *published, char name[FAB_MAX_NAME_BYTES]);
/* The names in a file's JSON: {"labels": [...], "R", "G", "B"} or {"0": "..."}; how many there are
 * with `set` NULL. */
size_t fab_brainchop_names_count(const fab_json *json);
fab_status fab_brainchop_names_read(const fab_json *json, fab_label_set *set, fab_error *err);

/* ---- conform.c -------------------------------------------------------------------------- */

/* The conformed cube. Its volume's axes run A, I, L, so that memory is the network's: x (to the
 * left) slowest. */
fab_status fab_brainchop_grid(const fab_grid *image, fab_grid *out, fab_error *err);
/* How values were brought to 0..255: v -> scale * (v - low), clipped. */
typedef struct fab_brainchop_range {
    double low, scale;
    bool as_is; /* the image is conformed already */
} fab_brainchop_range;
/* image's values on `grid`, whole numbers 0..255; 0 outside of the image. */
fab_status fab_brainchop_conform(const fab_volume *image, const fab_grid *grid,
                                 fab_brainchop_range *range, fab_volume **out, fab_error *err);
/* Linear interpolation between the sorted values, as numpy's quantile. histogram: 256 counts. */
double fab_brainchop_quantile(const int64_t histogram[256], double q);

#endif
