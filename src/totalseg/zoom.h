/* zoom.h - resampling as TotalSegmentator does it before and after its networks (this folder).
 *
 * scipy.ndimage.zoom: the centres of the first and last voxels keep their places, target i lies at
 * i * (n - 1) / (m - 1). Splines of order 0, 1 or 3; order 3 prefiltered with mirrored ends
 * (Unser, Splines: a perfect fit, 1999).
 */
#ifndef FAB_TOTALSEG_ZOOM_H
#define FAB_TOTALSEG_ZOOM_H

#include "fabrica/base.h"

/* Where the voxels come from: plane z as [y][x]. Called from several threads. */
typedef struct fab_zoom_source {
    void (*plane)(const void *ctx, int z, float *into);
    const void *ctx;
} fab_zoom_source;

/* Sizes are [z][y][x], x fastest. Results do not depend on the number of threads. whole: the
 * fraction is cut off, as a cast to int32 does. */
fab_status fab_zoom_image(const fab_zoom_source *from, const int size[3], int order, bool whole,
                          const int new_size[3], float *into, fab_error *err);
/* Bytes that takes beside the source and `into`, but for a few a row. */
size_t fab_zoom_bytes(const int size[3], const int new_size[3]);
/* index[i]: the nearest of `size` samples to target i of `count` (order 0). */
void fab_zoom_nearest(int size, int count, int32_t *index);

#endif
