/* zoom.h - resampling as TotalSegmentator does it before and after its networks (this folder).
 *
 * scipy.ndimage.zoom: the centres of the first and last voxels keep their places, target i lies at
 * i * (n - 1) / (m - 1). Splines of order 0, 1 or 3; order 3 prefiltered with mirrored ends
 * (Unser, Splines: a perfect fit, 1999).
 */
#ifndef FAB_TOTALSEG_ZOOM_H
#define FAB_TOTALSEG_ZOOM_H

#include "fabrica/base.h"

/* Sizes are [z][y][x], x fastest. from and into may not overlap. Results do not depend on the
 * number of threads. whole: the fraction is cut off, as a cast to int32 does. */
fab_status fab_zoom_image(const float *from, const int size[3], int order, bool whole,
                          const int new_size[3], float *into, fab_error *err);
/* Nearest voxel of a label map. */
fab_status fab_zoom_labels(const uint16_t *from, const int size[3], const int new_size[3],
                           uint16_t *into, fab_error *err);

#endif
