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

/* Inline: where the type is known while compiling, nothing is asked for each voxel. */
static inline double fab_volume_load_(fab_dtype t, const void *data, int64_t index)
{
    switch (t) {
    case FAB_U8: return ((const uint8_t *)data)[index];
    case FAB_I16: return ((const int16_t *)data)[index];
    case FAB_U16: return ((const uint16_t *)data)[index];
    case FAB_I32: return ((const int32_t *)data)[index];
    case FAB_F32: return (double)((const float *)data)[index];
    }
    return 0;
}

/* To the nearest whole number from low to high, halves away from zero; NaN becomes 0. What is added
 * is the largest number below one half, so that the next one below a half stays below. */
static inline double fab_volume_whole_(double value, double low, double high)
{
    if (!(value > low)) return value <= low ? low : 0;
    if (value >= high) return high;
    return (double)(int64_t)(value + (value < 0 ? -0.49999999999999994 : 0.49999999999999994));
}

static inline void fab_volume_store_(fab_dtype t, void *data, int64_t index, double v)
{
    switch (t) {
    case FAB_U8: ((uint8_t *)data)[index] = (uint8_t)fab_volume_whole_(v, 0, 255); break;
    case FAB_I16: ((int16_t *)data)[index] = (int16_t)fab_volume_whole_(v, -32768, 32767); break;
    case FAB_U16: ((uint16_t *)data)[index] = (uint16_t)fab_volume_whole_(v, 0, 65535); break;
    case FAB_I32:
        ((int32_t *)data)[index] = (int32_t)fab_volume_whole_(v, -2147483648.0, 2147483647.0);
        break;
    case FAB_F32: ((float *)data)[index] = (float)v; break;
    }
}

/* Value of a U8 or U16 label map. */
static inline int fab_volume_label_(const fab_volume *v, int64_t index)
{
    return v->dtype == FAB_U8 ? ((const uint8_t *)v->data)[index]
                              : ((const uint16_t *)v->data)[index];
}
fab_status fab_volume_need_labels_(const fab_volume *v, fab_error *err);

#endif
