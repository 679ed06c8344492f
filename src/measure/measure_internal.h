/* measure_internal.h - vectors, frames, and a mask read between its voxels. */
#ifndef FAB_MEASURE_INTERNAL_H
#define FAB_MEASURE_INTERNAL_H

#include <math.h>

#include "fabrica/measure.h"

typedef struct me_vec { double x, y, z; } me_vec;

static inline me_vec me_v(double x, double y, double z) { return (me_vec){x, y, z}; }
static inline me_vec me_add(me_vec a, me_vec b) { return me_v(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline me_vec me_sub(me_vec a, me_vec b) { return me_v(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline me_vec me_mul(me_vec a, double k) { return me_v(a.x * k, a.y * k, a.z * k); }
static inline double me_dot(me_vec a, me_vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline double me_len(me_vec a) { return sqrt(me_dot(a, a)); }
static inline me_vec me_unit(me_vec a) { return me_mul(a, 1 / (me_len(a) + 1e-30)); }
static inline me_vec me_cross(me_vec a, me_vec b)
{
    return me_v(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
static inline me_vec me_from(const double v[3]) { return me_v(v[0], v[1], v[2]); }
static inline void me_to(me_vec v, double out[3]) { out[0] = v.x, out[1] = v.y, out[2] = v.z; }
#define ME_DEG (180 / 3.14159265358979323846)

/* Origin in the world and axes to the left, back and up of a vertebra: x cross y is z. */
typedef struct me_frame { me_vec o, x, y, z; } me_frame;
/* Up as given, back as near to `back` as that allows. */
me_frame fab_me_frame(me_vec o, me_vec up, me_vec back);
static inline me_vec me_world(const me_frame *f, double x, double y, double z)
{
    return me_add(f->o, me_add(me_mul(f->x, x), me_add(me_mul(f->y, y), me_mul(f->z, z))));
}
static inline me_vec me_local(const me_frame *f, me_vec w)
{
    me_vec d = me_sub(w, f->o);
    return me_v(me_dot(d, f->x), me_dot(d, f->y), me_dot(d, f->z));
}

/* ---- mask.c ------------------------------------------------------------------------------ */

/* Some values of a label map as 0 and 1, cut to their box with a margin of background. */
typedef struct me_mask {
    fab_volume *volume;      /* U8, owned; NULL: empty */
    const uint8_t *data;
    int32_t size[3];
    fab_mat34 voxel_from_world;
    double spacing[3];
    me_vec axis[3];          /* unit vectors along i, j, k */
    me_vec centroid;
    int64_t voxels;
} me_mask;
/* stats as of fab_labels_stats with `count` rows. largest: only the largest component. No voxel at
 * all leaves *out empty. */
fab_status fab_me_mask_make(const fab_volume *labels, const bool *member,
                            const fab_label_stats *stats, size_t count, bool largest,
                            me_mask *out, fab_error *err);
void fab_me_mask_free(me_mask *m);
double fab_me_at(const me_mask *m, me_vec world); /* 0..1, trilinear */
/* How far from p along the unit vector d the mask's surface lies, NaN if nowhere up to `reach`:
 * the last way out; the first way out after which `gap` mm are outside; the first way in. */
double fab_me_last_exit(const me_mask *m, me_vec p, me_vec d, double reach);
double fab_me_first_exit(const me_mask *m, me_vec p, me_vec d, double reach, double gap);
double fab_me_first_entry(const me_mask *m, me_vec p, me_vec d, double reach);
/* Middle of the thickest part and its half thickness, mm. */
fab_status fab_me_thickest(const me_mask *m, me_vec *centre, double *radius, fab_error *err);
double fab_me_voxel_along(const me_mask *m, me_vec d); /* size of a voxel along d, mm */
double fab_me_median(double *values, int count);       /* reorders; NaN of none */

/* ---- plane.c ----------------------------------------------------------------------------- */

typedef struct me_plane { double a, b, c, rms; int used; } me_plane; /* z = a + b x + c y */
/* Tukey's biweight, iterated; points that are NaN in z are left out. false: fewer than 12 left. */
bool fab_me_plane_fit(const double (*points)[3], int count, double floor_mm, me_plane *out);
/* Cholesky of the lower half of a, n by n, in place; false: not positive. Then a x = b. */
bool fab_me_factor(int n, double *a);
void fab_me_solve(int n, const double *a, const double *b, double *x);

/* ---- surface.c --------------------------------------------------------------------------- */

enum { ME_SURFACE_TERMS = 7 };
typedef struct me_surface {
    double p[ME_SURFACE_TERMS];
    double sigma[2];         /* of the slopes along x and y */
} me_surface;
/* The endplate of the part inside that lies below (sign 1) or above it (-1), from a first plane,
 * over `outer` of the footprint. false: too few voxels, or far from the first plane. */
bool fab_me_surface_fit(const me_mask *m, const me_frame *f, double half_width, double half_depth,
                        double outer, double sign, const me_plane *first, me_surface *out);
double fab_me_surface_at(const me_surface *s, double u, double v); /* u, v: shares of half sizes */
double fab_me_surface_zone(const me_surface *s, double v); /* mean over the zone about (0, v) */
void fab_me_surface_terms(double u, double v, double t[ME_SURFACE_TERMS]);

/* Heights are means over three zones of an endplate, in front, in the middle and behind: the middle
 * third of the width, and an eighth of the depth about 1/8, 1/2 and 7/8 of it. */
typedef struct me_zone { double half_x, half_y; } me_zone; /* mm */
enum { ME_ZONE_X = 6, ME_ZONE_Y = 4 };                     /* points that are averaged */
static inline me_zone me_zone_of(double half_width, double half_depth)
{
    return (me_zone){half_width / 3, half_depth / 8};
}
static inline double me_zone_x(me_zone z, int i)
{
    return z.half_x * ((2 * i + 1.0) / ME_ZONE_X - 1);
}
static inline double me_zone_y(me_zone z, int j)
{
    return z.half_y * ((2 * j + 1.0) / ME_ZONE_Y - 1);
}

/* Standard uncertainty of an endplate's tilt, degrees: the fit's own, what labels err in patches of
 * some millimetres, and the terraces of an endplate that lies along the slices. */
double fab_me_tilt_sigma(const me_mask *m, me_vec normal, double half_width, double half_depth,
                         double rms, const me_surface *s);

/* ---- body.c, turn.c ---------------------------------------------------------------------- */

enum { ME_MAX_ARCH = 12000 };

typedef struct me_body {
    me_frame f;              /* origin: middle of the body */
    double half_width, half_depth, radius;
    me_plane top, bottom;    /* in f */
    me_surface top_surface, bottom_surface;
    double turn_score;       /* 0..1: how much of the arch finds its mirror image */
    double (*arch)[3];       /* room for ME_MAX_ARCH points, the caller's */
} me_body;
/* b holds a first frame, radius and room; false if the body's walls or endplates are not found. */
bool fab_me_body_find(const me_mask *m, me_body *b);
/* Turns f about its up axis to the plane in which the vertebra is its own mirror image. */
void fab_me_turn(const me_mask *m, me_body *b, double reach_deg);
void fab_me_endplates(const me_mask *m, const me_body *b, fab_vertebra *v);
/* Axial rotation of `back` about `up` against the patient's own, degrees. */
double fab_me_rotation(me_vec up, me_vec back);

/* ---- gap.c, relief.c, plates.c, walls.c -------------------------------------------------- */

/* What one image shows alike in all gaps. blur: against what is to be expected. */
typedef struct me_usual { bool known; double blur, disc_hu, ridge_hu; } me_usual;

/* How far an endplate stands up from its smooth surface, mm: nodes ME_RELIEF_MM apart in a band
 * about the plane of symmetry, row by row from the front; beyond it nothing. */
enum { ME_RELIEF_COLUMNS = 7, ME_RELIEF_ROWS = 17, ME_RELIEF_NODES = 7 * 17 };
#define ME_RELIEF_MM 3.0
typedef struct me_relief { double up[ME_RELIEF_NODES]; } me_relief;

/* A disc between two endplates: [0] is the lower endplate of the body above it, [1] the upper one
 * of the body below. */
typedef struct me_gap {
    me_frame f;
    double half_width, half_depth;
    bool there[2];           /* one may be missing */
    double reach_mm[2];      /* how far into the bones to look */
    double beyond_mm;        /* how far beyond a plate without a partner */
    double search_mm, search_deg; /* how far off the first plates may be */
    me_surface plate[2];     /* in f; first the labels', then what was found */
    me_usual usual, seen;    /* in all this patient's gaps; in this one */
    bool sacral;             /* [1] is S1's: another bone */
    bool relieve;            /* look for the relief too */
    me_relief relief[2];
    bool found[2];
    double tilt_sigma_deg[2], offset_sigma_mm[2], contrast_hu[2], noise_hu;
} me_gap;
typedef struct me_gap_room me_gap_room; /* scratch; fab_free it */
fab_status fab_me_gap_room(me_gap_room **out, fab_error *err);
void fab_me_gap_fit(const fab_volume *image, const fab_mat34 *voxel_from_world, me_gap_room *room,
                    me_gap *g);
/* How high plate k lies about (x, y) of the gap's frame, with its relief: mean over a zone of these
 * half sizes. relief.c */
double fab_me_gap_height(const me_gap *g, int k, double x, double y, me_zone zone);

/* Endplates of all vertebrae and of S1 by the image, where it shows them. */
fab_status fab_me_plates(const fab_volume *image, bool sacrum, fab_spine_measures *s,
                         fab_error *err);
/* v's axes, tilts and heights from a frame and its endplates. */
void fab_me_frame_of(const me_frame *f, fab_vertebra *v);
/* Width, depth and middle of a body by the image. unsure: the sides may be far off. */
void fab_me_walls(const fab_volume *image, const fab_mat34 *voxel_from_world, bool unsure,
                  fab_vertebra *v);
double fab_me_sample(const fab_volume *v, const fab_mat34 *voxel_from_world, me_vec world);

/* ---- sacrum.c, canal.c, density.c, curves.c ---------------------------------------------- */

/* The endplate of S1 found below the lowest vertebra. */
bool fab_me_sacrum(const me_mask *sacrum, const fab_vertebra *lowest, fab_endplate *out,
                   double *depth_mm);
fab_status fab_me_pelvis(const fab_volume *labels, const fab_label_set *set,
                         const fab_label_stats *stats, size_t count, fab_spine_measures *s,
                         fab_error *err);
/* image: NULL, or HU. */
fab_status fab_me_canal(const me_mask *canal, const fab_volume *image, fab_spine_measures *s,
                        fab_error *err);

/* ---- tube.c ------------------------------------------------------------------------------ */

enum { ME_RAYS = 32 };
typedef struct me_tube me_tube;
/* A point of the canal's axis, `s` mm from the first, and which way is back there. */
typedef struct me_node { me_vec at, back; double s; } me_node;
/* The canal's border by the image, through count >= 2 nodes, head first. fab_me_tube_free it. */
fab_status fab_me_tube_make(const fab_volume *image, const me_mask *label, const me_node *node,
                            int count, me_tube **out, fab_error *err);
void fab_me_tube_free(me_tube *t);
/* Mean over the slab of `half` mm about `where` mm from the first node. */
void fab_me_tube_section(const me_tube *t, double where, double half, fab_canal_section *out);
/* Unit vector of ray k: 0 to the front, a quarter of them on to the left. */
me_vec fab_me_ray(const me_frame *f, int k);

void fab_me_density(const me_mask *m, const fab_volume *image, fab_vertebra *v);
void fab_me_curves(fab_spine_measures *s);
void fab_me_angles(fab_spine_measures *s);

#endif
