/* phantom_internal.h - what the phantom's files share.
 *
 * A patient is a list of shapes in painting order: the first shape that covers a point owns it. A
 * shape is a fold of primitives (signed distances, smooth unions, cuts) in one of three spaces:
 *
 *   canonical   an upright average torso, mm, origin at the centre of L3's body, axes L, P, S.
 *               World points reach it by fab_ph_canonical (curve.c), which undoes size, scoliosis
 *               and the sagittal curve; so ribs, organs, muscles and skin follow the spine.
 *   along       x to the left of and y behind the centreline (canonical mm), z arc length (mm)
 *   frame       a rigid frame in the world: vertebrae, sacrum, screws. Truth stays exact there.
 *
 * Distances are negative inside, in mm of the patient.
 */
#ifndef FABRICA_PHANTOM_INTERNAL_H
#define FABRICA_PHANTOM_INTERNAL_H

#include <math.h>

#include "fabrica/phantom.h"

typedef struct ph_vec { double x, y, z; } ph_vec;
#define V(x_, y_, z_) ((ph_vec){(x_), (y_), (z_)})

static inline ph_vec ph_add(ph_vec a, ph_vec b) { return V(a.x + b.x, a.y + b.y, a.z + b.z); }
static inline ph_vec ph_sub(ph_vec a, ph_vec b) { return V(a.x - b.x, a.y - b.y, a.z - b.z); }
static inline ph_vec ph_mul(ph_vec a, double s) { return V(a.x * s, a.y * s, a.z * s); }
static inline double ph_dot(ph_vec a, ph_vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline double ph_len(ph_vec a) { return sqrt(ph_dot(a, a)); }
static inline ph_vec ph_cross(ph_vec a, ph_vec b)
{
    return V(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
static inline ph_vec ph_unit(ph_vec a) { return ph_mul(a, 1 / (ph_len(a) + 1e-30)); }
static inline ph_vec ph_lerp(ph_vec a, ph_vec b, double t)
{
    return ph_add(a, ph_mul(ph_sub(b, a), t));
}
static inline double ph_mix(double a, double b, double t) { return a + (b - a) * t; }
static inline double ph_min(double a, double b) { return a < b ? a : b; }
static inline double ph_max(double a, double b) { return a > b ? a : b; }
static inline double ph_clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

/* world = o + scale * (x * ax + y * ay + z * az) */
typedef struct ph_frame { ph_vec o, ax, ay, az; double scale; } ph_frame;
ph_vec fab_ph_to_world(const ph_frame *f, ph_vec local);
ph_vec fab_ph_to_local(const ph_frame *f, ph_vec world);

/* ---- primitives and shapes (sdf.c, loft.c) ----------------------------------------------- */

typedef struct ph_knot { double z, cx, cy, rx, ry_front, ry_back; } ph_knot;

#define PH_LOFT_STEP 4.0
#define PH_LOFT_ROWS 220
/* A stack of superellipses along z; rows every PH_LOFT_STEP mm, with the slope's correction. */
typedef struct ph_loft {
    int rows;
    double z_low, z_high, exponent;
    struct ph_loft_row { double cx, cy, rx, front, back, shrink; } row[PH_LOFT_ROWS];
} ph_loft;

typedef enum ph_kind {
    PH_ELLIPSOID, PH_CONE, PH_FLAT, PH_TRIANGLE, PH_BOX, PH_LOFT, PH_FIELD
} ph_kind;
typedef enum ph_op { PH_JOIN, PH_CUT, PH_CLIP } ph_op; /* union, subtract, intersect */

struct ph_scene;
typedef double (*ph_field_fn)(const struct ph_scene *s, const double *par, ph_vec p);

typedef struct ph_prim {
    ph_kind kind;
    ph_op op;
    double blend;        /* mm of smooth union or cut */
    ph_vec a, b, c;      /* ends, corners, centre */
    double r[3];         /* radii: per end, corner or axis */
    ph_vec axis[3];      /* local axes of ellipsoid, box; [0]: normal of PH_FLAT */
    int loft;
    ph_field_fn field;
    double par[8];
    ph_vec centre;       /* bounding ball; radius < 0: none */
    double radius;
} ph_prim;

typedef enum ph_tissue {
    PH_AIR, PH_LUNG, PH_FAT, PH_MUSCLE, PH_SKIN, PH_WATER, PH_CSF, PH_CORD, PH_NUCLEUS,
    PH_ANNULUS, PH_LIGAMENT, PH_CARTILAGE, PH_CORTICAL, PH_CANCELLOUS, PH_MARROW, PH_ARTERY,
    PH_VEIN, PH_PORTAL, PH_MYOCARDIUM, PH_LIVER, PH_SPLEEN, PH_CORTEX, PH_MEDULLA, PH_PANCREAS,
    PH_ADRENAL, PH_GUT, PH_CHYME, PH_STOOL, PH_GAS, PH_BILE, PH_URINE, PH_PROSTATE, PH_UTERUS,
    PH_THYROID, PH_METAL, PH_COUCH, PH_FOAM, PH_TISSUES
} ph_tissue;

#define PH_CANONICAL (-1)
#define PH_ALONG (-2)

typedef struct ph_shape {
    int label, frame;            /* PH_CANONICAL, PH_ALONG or an index into frames */
    uint32_t seed;               /* of its wobble: the same whatever other labels are painted */
    int first, count;            /* prims */
    ph_tissue core, wall;
    double wall_mm;              /* 0: all core */
    bool soft;                   /* wall_mm is how far the wall fades into the core */
    double gain;                 /* of the core's brightness, 1 unless said */
    double gas_y;                /* canonical: gas anterior of this (core); NAN: none */
    double stool;                /* 0..1 amount of gas bubbles */
    double wobble_mm, wobble_scale_mm;
    ph_vec low, high;            /* box in the shape's space */
} ph_shape;

/* ---- the spine (curve.c) ----------------------------------------------------------------- */

#define PH_DISC_BITE 3.5          /* arc mm a disc reaches past a plane; bodies win, S1 not */
#define PH_MAX_VERTEBRAE 19      /* C7, T1..T12, L1..L6 */
#define PH_CURVE_MAX 1400        /* rows of the centreline, 0.5 mm apart */

typedef struct ph_vertebra_size {
    const char *name;
    double height, disc;         /* body height, disc below, mm (canonical) */
    double w_sup, w_inf, d_sup, d_inf;
    double ped_w, ped_h, canal_w, canal_d;
    double tp_x, tp_y, tp_z, spin_y, spin_z;
    double lumbar;               /* 0 thoracic .. 1 lumbar: shape of arch and facets */
} ph_vertebra_size;

typedef struct ph_vertebra {
    ph_vertebra_size size;
    int label, disc_label;       /* disc_label: the disc below */
    char name[16], disc_name[20];
    double s_low, s_high;        /* arc length of the endplates */
    ph_frame frame;              /* origin: body centre */
    double rotation_deg;         /* axial, about frame.az; positive: front turns to the left */
    double wedge_x, wedge_y;     /* slope of each endplate against mid plane, in local x and y */
} ph_vertebra;

typedef struct ph_curve_row {
    ph_vec p, t;                 /* centreline, unit tangent (up) */
    double coronal, sagittal, rotation; /* rad: tilt to the left, tilt to the back, axial */
    double z_ref;                /* canonical height */
} ph_curve_row;

#define PH_BINS 512

typedef struct ph_spine {
    int count;                   /* vertebrae, 0 = lowest lumbar */
    ph_vertebra v[PH_MAX_VERTEBRAE];
    int rows;
    double length, step;
    ph_curve_row row[PH_CURVE_MAX];
    uint16_t bin[PH_BINS + 1];   /* first row at or below each of PH_BINS even heights */
    double apex_s, up_mm, down_mm, amplitude;
    int side;                    /* +1 convex left, -1 right */
    int end_upper, end_lower;
    double cobb_deg;             /* measured */
    double slope_s1;             /* rad, tilt of the sacral endplate */
} ph_spine;

/* ---- the patient ------------------------------------------------------------------------- */

typedef struct ph_scene {
    const fab_phantom_options *o;
    double scale;                /* patient mm per canonical mm */
    double fat;                  /* subcutaneous fat factor */
    double wide;                 /* 0 male pelvis .. 1 female */
    double age;
    uint32_t hash;
    ph_spine spine, ref;         /* ref: the canonical straight patient, scale 1 */
    ph_vec canonical_s1;         /* S1 endplate centre in canonical mm; world origin */
    ph_frame *frames;
    int frame_count, frame_max;
    ph_prim *prims;
    int prim_count, prim_max;
    ph_shape *shapes;
    int shape_count, shape_max;
    ph_loft *lofts;
    int loft_count, loft_max;
    int cavity, body, skin;      /* lofts: inner wall of the trunk, muscle surface, skin */
    bool failed;                 /* out of memory while building */
    double mirror;               /* +1, -1: x of what is added */
    fab_rng rng;
    uint8_t label_used[256];     /* shapes of a label so far, modulo 256 */
    double hu[PH_TISSUES], texture[PH_TISSUES];
} ph_scene;

/* Building. Failures are sticky in scene->failed. x is multiplied by scene->mirror. */
int fab_ph_frame_add(ph_scene *s, const ph_frame *f);
ph_shape *fab_ph_shape(ph_scene *s, const char *label, int frame, ph_tissue core);
ph_prim *fab_ph_ball(ph_scene *s, ph_vec c, ph_vec r);
/* As ball, turned: degrees about x, then y, then z (mirrored with the side). */
ph_prim *fab_ph_ball_turned(ph_scene *s, ph_vec c, ph_vec r, ph_vec deg);
ph_prim *fab_ph_cone(ph_scene *s, ph_vec a, ph_vec b, double ra, double rb);
ph_prim *fab_ph_flat(ph_scene *s, ph_vec a, ph_vec b, double thin, double tall, ph_vec normal);
ph_prim *fab_ph_triangle(ph_scene *s, ph_vec a, ph_vec b, ph_vec c, double ra, double rb,
                         double rc);
ph_prim *fab_ph_box(ph_scene *s, ph_vec c, ph_vec half, double round, ph_vec deg);
ph_prim *fab_ph_field(ph_scene *s, ph_field_fn fn, const double *par, int count, ph_vec centre,
                      double radius);
ph_prim *fab_ph_loft_prim(ph_scene *s, int loft);
/* Knots are points of a smooth tube: x, y, z, radius each. */
void fab_ph_tube(ph_scene *s, const double (*knots)[4], int count, int pieces);
int fab_ph_loft(ph_scene *s, const ph_knot *knots, int count, double exponent, bool on_spine);
void fab_ph_blend(ph_scene *s, double blend); /* for prims of the last shape joined so far */
void fab_ph_close(ph_scene *s); /* box of the last shape, after its last prim */
double fab_ph_loft_distance(const ph_loft *l, ph_vec p);
double fab_ph_prim_distance(const ph_scene *s, const ph_prim *prim, ph_vec p);
double fab_ph_fold(double d, const ph_prim *prim, double x);
double fab_ph_shape_distance(const ph_scene *s, const ph_shape *shape, ph_vec p);
double fab_ph_wobble(const ph_scene *s, const ph_shape *shape, ph_vec p); /* added to distance */
double fab_ph_noise(uint32_t seed, ph_vec p); /* smooth, about -1..1, period 1 per lattice cell */
uint32_t fab_ph_hash(uint32_t a, uint32_t b, uint32_t c, uint32_t d);
double fab_ph_spline(const double *x, const double *y, int count, int stride, double at);

/* options.c */
fab_status fab_ph_options_check(const fab_phantom_options *o, fab_error *err);

/* curve.c */
fab_status fab_ph_spine_build(ph_scene *s, fab_error *err);
ph_vec fab_ph_canonical(const ph_scene *s, ph_vec world);
ph_vec fab_ph_spine_ref(const ph_scene *s, double z); /* canonical centreline at a height */
/* Along the patient's centreline: x left, y behind it (canonical mm), z arc length (mm). */
ph_vec fab_ph_along(const ph_scene *s, ph_vec world);
void fab_ph_spine_at(const ph_spine *sp, double s, ph_curve_row *out);
ph_frame fab_ph_curve_frame(const ph_curve_row *r);

/* regions: each adds its shapes; the order of calls in phantom.c is the painting order */
void fab_ph_add_metal(ph_scene *s);
void fab_ph_add_spine(ph_scene *s);
void fab_ph_add_cage(ph_scene *s);
void fab_ph_add_shoulder(ph_scene *s);
void fab_ph_add_pelvis(ph_scene *s);
void fab_ph_add_vessels(ph_scene *s);
void fab_ph_add_chest(ph_scene *s);
void fab_ph_add_lungs(ph_scene *s);
void fab_ph_add_abdomen(ph_scene *s);
void fab_ph_add_bowel(ph_scene *s);
void fab_ph_add_muscles(ph_scene *s);
void fab_ph_add_wall(ph_scene *s);
ph_shape *fab_ph_muscle(ph_scene *s, const char *stem, int side);
int fab_ph_thigh(ph_scene *s); /* loft of the thigh's muscle */
void fab_ph_make_envelopes(ph_scene *s);
double fab_ph_dome(const ph_scene *s, ph_vec p); /* height above the diaphragm, mm */
double fab_ph_canal(const ph_scene *s, double z, double half[2], double *behind);
double fab_ph_body_edge(const ph_scene *s, const ph_vertebra *v, const ph_shape *rough, ph_vec p,
                        ph_vec d);
double fab_ph_field_cavity(const ph_scene *s, const double *par, ph_vec p);

/* tissue.c */
void fab_ph_tissues(ph_scene *s);
double fab_ph_value(const ph_scene *s, const ph_shape *shape, double d, ph_vec q, ph_vec local,
                    double pixel);

/* raster.c */
typedef struct ph_image { fab_grid grid; float *value; uint8_t *label; } ph_image;
fab_status fab_ph_raster(const ph_scene *s, ph_image *image, fab_error *err);

/* acquire.c */
fab_status fab_ph_acquire(const ph_scene *s, ph_image *image, fab_error *err);

/* truth.c */
fab_status fab_ph_truth(const ph_scene *s, fab_json **out, fab_error *err);
double fab_ph_canal_area(const ph_scene *s, int vertebra); /* mm2 at the mid plane */
void fab_ph_endplate(const ph_vertebra *v, bool upper, ph_vec *centre, ph_vec *normal);
double fab_ph_measure_cobb(const ph_spine *sp, int *upper, int *lower);

#endif
