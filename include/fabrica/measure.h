/* fabrica/measure.h - layer 2: what a radiologist reads off a spine, measured on a label map.
 *
 * Input is a label map with named vertebrae ("vertebrae_T1" ... "vertebrae_L6", body and arch in
 * one label), "sacrum", discs ("disc_L1_L2"), "spinal_canal" and what lies in it; anything may be
 * missing, and what could not be measured says why. Everything is computed in world LPS mm on the
 * surface where the interpolated mask is one half, so that numbers do not depend on how the grid
 * lies. Definitions and their sources: docs/guide/measurements.md. Not for diagnosis.
 */
#ifndef FABRICA_MEASURE_H
#define FABRICA_MEASURE_H

#include "fabrica/anatomy.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FAB_MEASURE_VERTEBRAE = 24, FAB_MEASURE_CURVES = 6, FAB_MEASURE_WHY_BYTES = 160 };

typedef enum fab_measure_quality {
    FAB_MEASURE_NONE, /* not measured; `why` says so */
    FAB_MEASURE_POOR, FAB_MEASURE_FAIR, FAB_MEASURE_GOOD
} fab_measure_quality;
const char *fab_measure_quality_name(fab_measure_quality q); /* "none", "poor", "fair", "good" */

/* The plane fitted to an endplate without its rim. Points lie in the mid-sagittal plane at 1/8, 1/2
 * and 7/8 of the body's depth, as high as the surface itself is over a zone about each: the middle
 * third of the width and an eighth of the depth. */
typedef struct fab_endplate {
    double centre[3], normal[3];   /* normal points up for both endplates */
    double front[3], middle[3], back[3];
    double rms_mm;                 /* of the surface about the plane */
    double sigma_deg;              /* standard uncertainty of its tilt */
    double offset_sigma_mm;        /* and of its place along the normal */
    bool by_image;                 /* found in the image; else the labels' surface */
} fab_endplate;

typedef struct fab_canal_section {
    bool measured;
    double area_mm2, ap_mm, transverse_mm; /* perpendicular to the canal's axis */
    double centre[3];
    fab_measure_quality quality;
    double border_seen;            /* share of the border found in the image; NaN without one */
} fab_canal_section;

typedef struct fab_vertebra {
    char level[8];                 /* "T12" */
    int value;                     /* in the label map */
    fab_measure_quality quality;
    char why[FAB_MEASURE_WHY_BYTES]; /* why not measured, or what lowers the quality; or "" */
    double centre[3];              /* middle of the body */
    double left[3], back[3], up[3];/* its own axes, unit vectors */
    fab_endplate upper, lower;
    double height_front_mm, height_middle_mm, height_back_mm, height_sigma_mm;
    double width_mm, depth_mm;     /* at mid height */
    double rotation_deg;           /* axial: positive, the front is turned to the left */
    double rotation_canal_deg;     /* the same by Aaro and Dahlborn; NaN without a canal */
    double coronal_tilt_deg;       /* of `up`: positive, leaning to the left */
    double sagittal_tilt_deg;      /* of `up`: positive, leaning back */
    double hu_mean, hu_sd;         /* NaN without an image */
    int64_t hu_voxels;
    fab_canal_section canal;       /* at mid body */
} fab_vertebra;

/* Between two vertebrae, or the lowest one and the sacrum. */
typedef struct fab_disc_level {
    char name[16];                 /* "L4_L5", "L5_S1" */
    int above, below;              /* rows of `vertebra`; below is -1 for S1 */
    bool measured;
    char why[FAB_MEASURE_WHY_BYTES];
    double height_front_mm, height_middle_mm, height_back_mm, height_sigma_mm;
    double height_label_mm;        /* mean thickness of the disc's own label there; NaN */
    fab_canal_section canal;
} fab_disc_level;

typedef struct fab_coronal_curve {
    int upper, lower, apex;        /* rows of `vertebra`; apex -1: none between the ends */
    double cobb_deg, sigma_deg;
    bool convex_left, open_above, open_below; /* open: ends at the last vertebra measured */
} fab_coronal_curve;

typedef struct fab_angle {
    double deg, sigma_deg;         /* NaN: not measured */
    char why[FAB_MEASURE_WHY_BYTES];
} fab_angle;

typedef struct fab_spine_measures {
    int count;
    fab_vertebra vertebra[FAB_MEASURE_VERTEBRAE]; /* head first */
    int disc_count;
    fab_disc_level disc[FAB_MEASURE_VERTEBRAE];
    bool has_sacrum;               /* `sacrum` holds the upper endplate of S1 */
    fab_endplate sacrum;
    double sacrum_depth_mm;
    int curve_count;               /* the main curve first, only those of 10 degrees and more */
    fab_coronal_curve curve[FAB_MEASURE_CURVES];
    fab_angle largest_coronal;     /* between any two endplates, however small */
    fab_angle lordosis_l1_s1, kyphosis_t4_t12, kyphosis_t5_t12, sacral_slope;
    fab_angle pelvic_incidence, pelvic_tilt;
    double sagittal_vertical_axis_mm; /* C7 in front of S1's back corner; NaN */
    double coronal_balance_mm;     /* C7 to the left of the middle of S1; NaN */
    char balance_why[FAB_MEASURE_WHY_BYTES];
} fab_spine_measures;

/* labels U8 or U16; image (HU, any grid over the same patient) and progress may be NULL. *out is
 * plain data. Without a vertebra out->count is 0, which is no error. */
fab_status fab_measure_spine(const fab_volume *labels, const fab_label_set *set,
                             const fab_volume *image, const fab_progress *progress,
                             fab_spine_measures *out, fab_error *err);

/* As docs/formats/measurements.md says; *out is owned by the caller. */
fab_status fab_measure_spine_json(const fab_spine_measures *s, fab_json **out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
