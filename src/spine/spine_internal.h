/* spine_internal.h - what the files of src/spine share.
 *
 * Everything is measured in world mm. The spine's curve runs through the middle of bodies and
 * discs from the head down; s is arc length along it.
 */
#ifndef FAB_SPINE_INTERNAL_H
#define FAB_SPINE_INTERNAL_H

#include <math.h>

#include "fabrica/spine.h"

typedef struct sp_vec { double x, y, z; } sp_vec;
static inline sp_vec sp_add(sp_vec a, sp_vec b)
{
    return (sp_vec){a.x + b.x, a.y + b.y, a.z + b.z};
}
static inline sp_vec sp_sub(sp_vec a, sp_vec b)
{
    return (sp_vec){a.x - b.x, a.y - b.y, a.z - b.z};
}
static inline sp_vec sp_mul(sp_vec a, double f) { return (sp_vec){a.x * f, a.y * f, a.z * f}; }
static inline double sp_dot(sp_vec a, sp_vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline double sp_len(sp_vec a) { return sqrt(sp_dot(a, a)); }
static inline sp_vec sp_unit(sp_vec a) { return sp_mul(a, 1 / fmax(sp_len(a), 1e-12)); }
static inline sp_vec sp_cross(sp_vec a, sp_vec b)
{
    return (sp_vec){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
static inline double sp_clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

typedef enum sp_role {
    SP_NONE, SP_BODY, SP_ARCH, SP_DISC, SP_CANAL, SP_SACRUM, SP_RIBS, SP_PSOAS, SP_LUNGS,
    SP_KIDNEYS, SP_HIPS, SP_ROLES
} sp_role;

/* A voxel of body, arch, disc, canal or cord, sacrum, rib or psoas. */
typedef struct sp_point {
    int32_t at[3];
    float p[3];         /* world mm */
    float weight;
    float s;            /* of the nearest point of the curve */
    float off;          /* mm from the curve */
    uint8_t role;       /* sp_role */
    bool cord;          /* SP_CANAL: it is the cord */
    uint8_t part;       /* body, arch: vertebra + 1; disc: + 1 of the vertebra below; 0: none */
} sp_point;

#define SP_CURVE_MAX 1600 /* nodes, 1 mm apart */

typedef struct sp_node {
    sp_vec p, t;        /* position, unit tangent (down) */
    sp_vec back;        /* unit, across the curve, to the canal */
} sp_node;

typedef struct sp_plane { sp_vec p, n; } sp_plane; /* n points down */

typedef struct sp_extent { /* of an organ, in world z */
    int64_t voxels;
    double z_low, z_high, z_mean;
} sp_extent;

typedef struct sp_work {
    const fab_volume *map;
    fab_grid grid;
    double voxel_ml, voxel_mm;  /* volume; cube root of it */
    sp_point *points;
    int32_t count;
    int32_t *index;             /* voxel -> point or -1 */
    sp_extent organ[SP_ROLES];
    double cord_end_s;          /* lowest cord seen while the canal goes on; NAN: not in view */
    int nodes;
    sp_node *curve;
    double data_s[2];           /* where the bodies begin and end */
    int cuts;                   /* between vertebrae: count - 1 */
    double cut_s[FAB_SPINE_MAX];
    sp_plane cut[FAB_SPINE_MAX];
    fab_spine *out;
} sp_work;

static inline sp_vec sp_at(const sp_point *p)
{
    return (sp_vec){(double)p->p[0], (double)p->p[1], (double)p->p[2]};
}
static inline sp_vec sp_from(const double v[3])
{
    return (sp_vec){v[0], v[1], v[2]};
}
static inline void sp_store(sp_vec v, double to[3])
{
    to[0] = v.x, to[1] = v.y, to[2] = v.z;
}
static inline int64_t sp_voxel(const sp_work *w, const int32_t at[3])
{
    return at[0] + (int64_t)w->grid.size[0] * (at[1] + (int64_t)w->grid.size[1] * at[2]);
}
/* The point at a neighbour of p, or -1. */
static inline int32_t sp_neighbour(const sp_work *w, const sp_point *p, int dx, int dy, int dz)
{
    const int32_t at[3] = {p->at[0] + dx, p->at[1] + dy, p->at[2] + dz};
    for (int a = 0; a < 3; a++)
        if (at[a] < 0 || at[a] >= w->grid.size[a]) return -1;
    return w->index[sp_voxel(w, at)];
}

/* points.c: the voxels of the spine, those that hang together. */
fab_status fab_spine_gather(sp_work *w, const fab_spine_classes *c, const fab_volume *probability,
                            fab_error *err);
/* curve.c: the curve through bodies and discs; false if there is too little of them. */
fab_status fab_spine_curve(sp_work *w, bool *found, fab_error *err);
sp_node fab_spine_node(const sp_work *w, double s); /* interpolated, ends continued straight */
/* bodies.c: cuts between bodies; parts of body and disc points; frames of the vertebrae. */
fab_status fab_spine_separate(sp_work *w, fab_error *err);
/* levels.c: names. */
void fab_spine_name(sp_work *w);
/* arch.c: parts of arch points. */
fab_status fab_spine_arches(sp_work *w, fab_error *err);

#endif
