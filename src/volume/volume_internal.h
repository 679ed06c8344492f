/* volume_internal.h - the voxel container, for this module only. */
#ifndef FAB_VOLUME_INTERNAL_H
#define FAB_VOLUME_INTERNAL_H

#include <stdatomic.h>

#include "fabrica/volume.h"

struct fab_volume {
    atomic_int refs;
    fab_grid grid;
    fab_dtype dtype;
    void *data; /* 64-byte aligned */
};

double fab_volume_load_(fab_dtype t, const void *data, int64_t index);
void fab_volume_store_(fab_dtype t, void *data, int64_t index, double value); /* round, clamp */
/* Value of a U8 or U16 label map. */
static inline int fab_volume_label_(const fab_volume *v, int64_t index)
{
    return v->dtype == FAB_U8 ? ((const uint8_t *)v->data)[index]
                              : ((const uint16_t *)v->data)[index];
}
fab_status fab_volume_need_labels_(const fab_volume *v, fab_error *err);

#endif
