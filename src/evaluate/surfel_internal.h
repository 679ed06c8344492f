/* surfel_internal.h - area of the surface inside one cell of eight voxel centres. */
#ifndef FAB_SURFEL_INTERNAL_H
#define FAB_SURFEL_INTERNAL_H

/* area[code], mm^2. Bit b of the code is the voxel at (b & 1, b >> 1 & 1, b >> 2 & 1). */
void fab_surfel_areas(const double spacing_mm[3], double area[256]);

#endif
