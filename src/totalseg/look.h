/* look.h - boxes and neighbourhoods of labels (this folder). member: which values count, of
 * FAB_MAX_STRUCTURES + 1; NULL: all but 0. Label maps are U8 or U16. */
#ifndef FAB_TOTALSEG_LOOK_H
#define FAB_TOTALSEG_LOOK_H

#include "fabrica/volume.h"

/* The box of the members, wider by the whole voxels of addon_mm, within the image; false: there are
 * none. */
bool fab_totalseg_box(const fab_volume *labels, const bool *member, double addon_mm,
                      int32_t low[3], int32_t size[3]);
/* The part's labels at `low` of a map of `grid`, 0 elsewhere. */
fab_status fab_totalseg_paste(const fab_volume *part, const int32_t low[3], const fab_grid *grid,
                              fab_volume **out, fab_error *err);

/* How many steps from voxel to voxel through faces mm are by TotalSegmentator's rule: whole ones,
 * of the mean spacing; 254 at most. */
int fab_totalseg_reach_voxels(const fab_grid *grid, double mm);
/* U8: steps to the nearest member; most + 1 where that is more. most: 0 to 254. */
fab_status fab_totalseg_steps(const fab_volume *labels, const bool *member, int most,
                              fab_volume **out, fab_error *err);
/* Labels more than `most` steps away become 0; how many voxels that were. */
int64_t fab_totalseg_keep_near(fab_volume *labels, const fab_volume *steps, int most);

#endif
