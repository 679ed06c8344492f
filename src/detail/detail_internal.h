/* detail_internal.h - what the files of src/detail share: the detail network's lattice. */
#ifndef FAB_DETAIL_INTERNAL_H
#define FAB_DETAIL_INTERNAL_H

#include "fabrica/detail.h"

/* What a class of the detail network is. */
typedef enum dt_kind {
    DT_NONE,
    DT_BODY, /* the parts of a vertebra from here */
    DT_PEDICLE,
    DT_LAMINA,
    DT_SPINOUS,
    DT_TRANSVERSE,
    DT_SUPERIOR,
    DT_INFERIOR, /* to here */
    DT_DISC,
    DT_CANAL,
    DT_SACRUM,
    DT_RIB,
    DT_KINDS
} dt_kind;

/* What a value of the first network's label set is. */
typedef enum dt_group { DT_OTHER, DT_VERTEBRA, DT_DISCS, DT_CANALS, DT_SACRA, DT_RIBS } dt_group;

enum { DT_NO_LEVEL = -1, DT_MAX_VALUES = 1024, DT_QUEUE_MAX_STEPS = 8 };

typedef struct dt_work {
    const fab_segment_result *r;
    fab_grid grid; /* of the lattice: axes to the left, back and up */
    int size[3];   /* x, y, z */
    int64_t count;
    double voxel_ml;
    const uint16_t *class;
    const float *probability; /* of the class's kind of structure */
    uint8_t kind_of[FAB_UNET_MAX_CLASSES];
    dt_group group_of[DT_MAX_VALUES]; /* of values of r->set */
    int8_t level_of[DT_MAX_VALUES];
    int value_of_level[FAB_SPINE_LEVELS], value_of_canal, value_of_sacrum;
    uint16_t *coarse;  /* value of the first network */
    uint16_t *name;    /* value after the second look */
    int8_t *level;     /* of voxels of a vertebra; DT_NO_LEVEL */
    uint8_t *near;     /* within reach of the first network's spine */
    float *strength;   /* log-odds of the kind, at least a little */
    int32_t *queue;
    double centre[FAB_SPINE_LEVELS][3]; /* of bodies, lattice voxels */
    int64_t bodies[FAB_SPINE_LEVELS];   /* voxels; 0: the level has no body here */
    bool sacrum;                        /* there is one */
} dt_work;

static inline bool dt_is_part(int kind)
{
    return kind >= DT_BODY && kind <= DT_INFERIOR;
}

static inline int dt_kind_at(const dt_work *w, int64_t i)
{
    return w->kind_of[w->class[i]];
}

typedef struct dt_frame { /* of a level, in lattice voxels: its body's middle and unit directions */
    double middle[3], left[3], back[3], up[3];
    bool found;
} dt_frame;

static inline void dt_voxel(const dt_work *w, int64_t i, double out[3])
{
    const int64_t row = w->size[0], plane = row * w->size[1];
    out[0] = (double)(i % row);
    out[1] = (double)(i / row % w->size[1]);
    out[2] = (double)(i / plane);
}

/* Indices of the voxels that share a face with i: at most 6. */
int fab_dt_neighbours(const dt_work *w, int64_t i, int64_t out[6]);

/* detail.c: what the values of w->r->set are; and, with kinds and values known, all that follows
 * the network: *v on one lattice, patches apart. */
fab_status fab_dt_values(dt_work *w, fab_error *err);
fab_status fab_dt_refine(dt_work *w, const fab_segment_view *v, fab_segment_result *r,
                         fab_detail *out, fab_error *err);
/* names.c: w->level, w->name and w->centre from classes and coarse names; how many levels keep the
 * first network's outline. */
fab_status fab_dt_name(dt_work *w, int *levels_kept, fab_error *err);
/* parts.c: the map of parts. */
fab_status fab_dt_parts(const dt_work *w, fab_detail *out, fab_error *err);
void fab_dt_frames(const dt_work *w, dt_frame frames[FAB_SPINE_LEVELS]);
/* modelled.c: ligaments, thecal sac and nerve roots into `parts`, with values after `last`. */
fab_status fab_dt_model(const dt_work *w, const dt_frame frames[FAB_SPINE_LEVELS], int last,
                        uint16_t *parts, fab_label_set *set, fab_error *err);
/* apply.c: names into labels on another grid; margin may be NULL. */
fab_status fab_dt_apply(const dt_work *w, fab_volume *labels, fab_volume *margin, fab_error *err);

#endif
