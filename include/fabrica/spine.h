/* fabrica/spine.h - layer 2: single vertebrae out of a class map: found, counted and named.
 *
 * A network that knows "body", "arch" and "disc" but no levels leaves three questions: where one
 * vertebra ends and the next begins, which arch belongs to which body, and what each is called.
 * The answer is a chain along the spine: names are consecutive by construction, so that no level
 * can be left out or occur twice. docs/adr/0093 tells how.
 */
#ifndef FABRICA_SPINE_H
#define FABRICA_SPINE_H

#include "fabrica/anatomy.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAB_SPINE_MAX 32 /* vertebrae in one scan: more than a person has */

/* What the values of a class map mean; 0: the map does not have it. Only body is needed. Several
 * values may be given for lungs, kidneys, hips and psoas (their left and right). */
typedef struct fab_spine_classes {
    int body, arch, disc, canal, cord, sacrum, ribs;
    int lungs[2], kidneys[2], hips[2], psoas[2];
} fab_spine_classes;

/* One vertebra, from the head down. Positions in world mm (LPS). */
typedef struct fab_spine_vertebra {
    int level, second;          /* best name, and the best other name for this vertebra */
    double confidence;          /* posterior probability of the name, 0..1 */
    double margin;              /* log-likelihood of the best naming minus that of the best one
                                   that names this vertebra otherwise */
    bool cut;                   /* the scan's edge runs through its body */
    double centre[3];           /* of the body */
    double left[3], back[3], up[3]; /* local frame, orthonormal: patient's left, back, up */
    double pitch_mm;            /* along the spine, from the disc above to the disc below */
    double width_mm;            /* square root of the body's mean cross-section */
    double ribs_ml;             /* rib within reach of the body */
    int64_t body_voxels, arch_voxels;
    char evidence[160];         /* for a person */
} fab_spine_vertebra;

typedef struct fab_spine {
    int count;                  /* vertebrae; 0: no spine was found */
    fab_spine_vertebra items[FAB_SPINE_MAX];
    int lumbar;                 /* lumbar vertebrae in the best naming: 4, 5 or 6 */
    double lumbar_confidence;   /* posterior probability of that number */
    bool sacrum_below;          /* the last vertebra lies on the sacrum */
    bool ribs_end;              /* the lowest rib-bearing vertebra is in view */
    bool transitional;          /* sacrum and ribs do not fit five lumbar vertebrae */
    bool uncertain;             /* the naming's margin is small */
    fab_volume *instances;      /* U8 on the map's grid: k + 1 for body and arch of items[k],
                                   FAB_SPINE_DISC + k for the disc above items[k] (k = count: the
                                   disc below the last); 0: elsewhere, and what belongs to none */
    char note[240];             /* why the names are as they are, for a person */
} fab_spine;
#define FAB_SPINE_DISC 64

/* `map`: U8 or U16, spacing 0.5-6 mm, any orientation. `probability` (F32 on the same grid, may
 * be NULL): the network's, weighs the voxels. A map without vertebral bodies, or with more in a
 * row than a person has, is no error: count is 0. The caller frees *out with fab_spine_free.
 * FAB_ERR_ARG: a dtype, spacing or class that makes no sense. Results do not depend on threads. */
fab_status fab_spine_decode(const fab_volume *map, const fab_spine_classes *classes,
                            const fab_volume *probability, fab_spine *out, fab_error *err);
void fab_spine_free(fab_spine *s);

#ifdef __cplusplus
}
#endif
#endif
