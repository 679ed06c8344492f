/* spacing.h - between an image's own grid and the networks' (this folder): axes R, A, S and their
 * spacing, which most have the same along all of them. */
#ifndef FAB_TOTALSEG_SPACING_H
#define FAB_TOTALSEG_SPACING_H

#include "fabrica/volume.h"

/* The image's voxels in R, A, S order: element (z, y, x) is at start + z step[0] + ... */
typedef struct fab_totalseg_view {
    int size[3];
    int64_t start, step[3];
    double spacing_mm[3];
    double direction[3][3]; /* [axis][LPS component], unit length */
    double origin[3];       /* LPS mm of element 0, 0, 0 */
} fab_totalseg_view;

fab_totalseg_view fab_totalseg_view_of(const fab_grid *grid);
/* The grid of a view at a spacing, by the view's axes; 0: as it is along that one. */
fab_grid fab_totalseg_grid_at(const fab_totalseg_view *v, const double mm[3]);

/* The image at that grid (F32): cubic splines, then whole numbers, as TotalSegmentator stores what
 * it resampled; if the grid is the view's own, its very values. cut: the image's values are cut to
 * whole numbers first, as TotalSegmentator stores an image that it cropped. */
fab_status fab_totalseg_to_grid(const fab_volume *image, const fab_totalseg_view *v,
                                const fab_grid *at, bool cut, fab_volume **out, fab_error *err);
/* Most bytes that takes, the result included, with the present number of threads. */
size_t fab_totalseg_to_grid_bytes(const fab_totalseg_view *v, const fab_grid *at);

/* Labels (U16, on fab_totalseg_grid_at) on the view's own grid by the nearest; U8 unless `wide`. */
fab_status fab_totalseg_labels_back(const fab_volume *labels, const fab_totalseg_view *v,
                                    const fab_grid *grid, bool wide, fab_volume **out,
                                    fab_error *err);

#endif
