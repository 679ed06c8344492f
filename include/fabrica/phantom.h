/* fabrica/phantom.h - layer 2: a parametric patient with known truth. Same seed, same bytes. */
#ifndef FABRICA_PHANTOM_H
#define FABRICA_PHANTOM_H

#include "fabrica/anatomy.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fab_phantom_modality { FAB_PHANTOM_CT, FAB_PHANTOM_MR_T1, FAB_PHANTOM_MR_T2 }
    fab_phantom_modality;

typedef enum fab_phantom_kernel { FAB_PHANTOM_SOFT, FAB_PHANTOM_BONE } fab_phantom_kernel;

/* Out of range values are FAB_ERR_ARG naming the field. NaN where it says so: drawn or derived. */
typedef struct fab_phantom_options {
    uint64_t seed;
    double cobb_deg;          /* 0..90, apex near T12-L1 unless the seed says otherwise */
    double axial_rotation_deg;/* at the apex; NaN: follows Cobb */
    double age_years, height_mm;
    bool female;
    int lumbar_count;         /* 4, 5 or 6 */
    double lordosis_deg, kyphosis_deg;
    double stenosis;          /* 0..1, at stenosis_level */
    int stenosis_level;       /* 1..6: canal at L1..L6 */
    bool metal;               /* pedicle screws */
    fab_phantom_modality modality;
    int contrast_phase;       /* 0 native, 1 arterial, 2 portal venous */
    double noise_hu;          /* sd at the centre; < 0: default; 0: none */
    double spacing_mm[3];     /* x, y, z */
    double slice_thickness_mm;
    double range_mm[2];       /* z kept, 0 = sacral endplate, up; NaN: T4 to upper femur */
    fab_phantom_kernel kernel;
    double apex;              /* of the curve, levels above T12-L1 (-1.5 = L2, 4 = T9); NaN: seed */
    int convex_side;          /* 1 left, -1 right, 0: as usual for the apex */
    double fat;               /* subcutaneous fat, 1 = average man; NaN: by sex and seed */
    double fov_mm[2];         /* width, depth of the image; NaN: the whole body and the couch */
    const fab_progress *progress;
} fab_phantom_options;
void fab_phantom_options_default(fab_phantom_options *o);

#define FAB_PHANTOM_TEXT_BYTES 2048
/* "name=value" a line for every option (all but progress): texts are equal only if the phantoms
 * are. */
void fab_phantom_options_text(const fab_phantom_options *o, char text[FAB_PHANTOM_TEXT_BYTES]);

typedef struct fab_phantom {
    fab_volume *image;   /* I16, HU for CT */
    fab_volume *labels;  /* U8/U16 truth on the same grid */
    fab_label_set set;
    fab_json *truth;     /* Cobb, per vertebra: name, centre, axes, rotation; landmarks, mm LPS */
} fab_phantom;
fab_status fab_phantom_make(const fab_phantom_options *o, fab_phantom *out, fab_error *err);
void fab_phantom_free(fab_phantom *p);

#ifdef __cplusplus
}
#endif
#endif
