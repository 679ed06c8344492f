/* synth_internal.h - what the files of src/synth share: the prepared map, and how a patch is made.
 *
 * Source space: millimetres from the map's first voxel centre, x to the left, y to the back, z to
 * the head (LPS). Posed space: the same patient with the spine bent; a patch is a box in it. A
 * patch is worked out on a grid of half its spacing ("fine" voxels), row by row: whatever varies
 * slowly (the map into source space, distance fields) is known at every LATTICE-th fine voxel and
 * interpolated along rows. */
#ifndef FAB_SYNTH_INTERNAL_H
#define FAB_SYNTH_INTERNAL_H

#include "fabrica/synth.h"

/* Values of the vocabulary that code names. */
enum {
    SY_OUTSIDE = 0,
    SY_SACRUM = 25,
    SY_S1 = 26,
    SY_L5 = 27,
    SY_C1 = 50,
    SY_CORD = 79,
    SY_L6 = 118,
    SY_DISC_C7_T1 = 120,
    SY_DISC_L5_S1 = 137,
    SY_DISC_L5_L6 = 138,
    SY_DISC_L6_S1 = 139,
    SY_DISC_L4_S1 = 140,
    SY_CANAL = 141,
    SY_CSF = 142,
    SY_FLAVUM = 143,
    SY_MUSCLE = 148,
    SY_TORSO_FAT = 149,
    SY_SKIN_FAT = 150,
    SY_SKIN = 151,
    SY_METAL = 152,
    SY_ARCH_C1 = 161,
    SY_ARCH_L6 = 185,
    SY_DISC_C2_C3 = 186,
    SY_SOFT = 191,
    SY_MASS = 192,
    SY_FLUID = 193,
    SY_PEDICLE = 194,
    SY_LAMINA = 195,
    SY_SPINOUS = 196,
    SY_TRANSVERSE = 197,
    SY_SUPERIOR = 198,
    SY_INFERIOR = 199,
    SY_CLOTH = 253 /* only while a patch is made: outside, with threads */,
    SY_BEYOND = 254 /* only while a patch is made: above or below the map */,
    SY_UNKNOWN = FAB_SYNTH_UNKNOWN
};

/* Signed distances (mm, int8) on a coarse grid: to the trunk's and the cavity's hull, and to
 * bones that muscle lies on. */
enum {
    SY_HULL,
    SY_CAVITY,
    SY_PELVIS,
    SY_FEMUR,
    SY_SHOULDER,
    SY_RIBS,
    SY_FIELDS,
    SY_FIELD_BYTES = 8
};
enum { SY_FIELD_STEP = 3 /* voxels of the map */, SY_MAX_JOINTS = 32, SY_LEVELS = 25 };

/* What a vertebral level is called, C1 first, L6 last. */
int fab_sy_body_of(int level);         /* vertebrae_* */
int fab_sy_arch_of(int level);         /* vertebral_arch_* */
int fab_sy_level_of(int value);        /* of a body or arch, or -1 */
int fab_sy_disc(int above, int below); /* between two levels; SY_LEVELS is the sacrum; or 0 */
bool fab_sy_matches(const char *name, const char *pattern);             /* "rib_*" */
bool fab_sy_matches_any(const char *name, const char *const *patterns); /* NULL at the end */

/* A level of the spine in source space. */
typedef struct fab_sy_vertebra {
    int level;       /* SY_LEVELS: the sacrum */
    float centre[3]; /* of its body */
    float canal[3];  /* of the canal behind it */
    float up[3], back[3];
    float wall;        /* mm from canal to the canal's front wall, along -back */
    float half_height; /* of the body along up */
    bool found;
} fab_sy_vertebra;

struct fab_synth_source {
    int size[3];           /* x, y, z */
    float step;            /* mm */
    float low[3], high[3]; /* mm: the box of what has a name */
    uint8_t *label;        /* fine values */
    uint8_t *depth; /* below the surface of bone, lung, kidney...: a third of a voxel; 2 at it */
    int16_t *bone;  /* HU inside bone or INT16_MIN; NULL if none were given */
    int field_size[3];
    int8_t *field; /* SY_FIELD_BYTES a cell */
    bool complete; /* the map names fat and skin itself */
    int joints;    /* of the spine, the sacrum first; 0: too few to bend it */
    fab_sy_vertebra joint[SY_MAX_JOINTS];
    uint32_t *point; /* voxel indices by value, every third voxel of each axis */
    uint32_t first[257];
};

static inline bool fab_sy_is_air(int value)
{
    return value == SY_OUTSIDE || value == SY_BEYOND || value == SY_CLOTH;
}

static inline int64_t fab_sy_count(const int size[3])
{
    return (int64_t)size[0] * size[1] * size[2];
}

/* ---- preparing a map ---- */

typedef struct fab_sy_grid { /* an unfinished map */
    int size[3];
    float step;
    uint8_t *label;
} fab_sy_grid;

/* Finds the spine's levels, splits arches off, names discs and the canal. v: SY_LEVELS + 1. */
fab_status fab_sy_derive(fab_sy_grid *g, fab_sy_vertebra *v, fab_error *err);
/* Splits the arches that fab_sy_derive named into their parts. */
void fab_sy_parts(const fab_sy_grid *g, const fab_sy_vertebra *levels);
fab_status fab_sy_fields(const fab_sy_grid *g, int size[3], int8_t **out, fab_error *err);
fab_status fab_sy_depth(const fab_sy_grid *g, uint8_t **out, fab_error *err);
/* Joints of the rod from the levels found. */
int fab_sy_rod(const fab_sy_vertebra *levels, fab_sy_vertebra joint[SY_MAX_JOINTS]);

/* ---- noise ---- */

uint32_t fab_sy_hash(uint32_t x);
/* Near-normal numbers, mean 0, sd 1 (sums of four uniforms), from counters: any order. */
void fab_sy_normals(uint32_t key, int64_t first, int64_t count, float *out);

/* White noise on a lattice, read trilinearly: unit variance, smooth over `cell` points. */
typedef struct fab_sy_noise {
    int n[3], count; /* lattice, points of a row */
    float cell, phase[3];
    float *value;
    float *row;      /* n[0]: a row between lattice rows */
    uint16_t *index; /* of the lattice point before each point of a row */
    float *part;
} fab_sy_noise;
fab_status fab_sy_noise_make(fab_sy_noise *n, const int size[3], float cell, fab_rng *rng,
                             fab_error *err);
void fab_sy_noise_row(fab_sy_noise *n, int y, int z, float *out);
void fab_sy_noise_free(fab_sy_noise *n);

/* ---- the pose ---- */

typedef struct fab_sy_pose { /* the rod of one patient */
    int joints;
    float from[SY_MAX_JOINTS][3];    /* body centres in source space */
    float to[SY_MAX_JOINTS][3];      /* ... in posed space */
    float axis[SY_MAX_JOINTS][3];    /* points of the rod itself, a little behind them */
    float turn[SY_MAX_JOINTS][3][3]; /* posed = turn * (source - from) + to */
    float up[SY_MAX_JOINTS][3], back[SY_MAX_JOINTS][3]; /* of the bodies in source space */
    float squash[SY_MAX_JOINTS]; /* share of height lost at the front of the body */
    float half[SY_MAX_JOINTS];   /* of its height */
} fab_sy_pose;
void fab_sy_pose_draw(const fab_synth_source *s, double cobb_deg, fab_rng *rng, fab_sy_pose *out);
void fab_sy_pose_to_source(const fab_sy_pose *p, const float posed[3], float source[3]);
/* The posed point whose source point is `source`. */
void fab_sy_pose_from_source(const fab_sy_pose *p, const float source[3], float posed[3]);

/* ---- the patch ---- */

enum { SY_LATTICE = 4, SY_CHANNELS = 3 + SY_FIELDS };

typedef struct fab_sy_map { /* at every SY_LATTICE-th fine voxel */
    int n[3];
    float *channel[SY_CHANNELS]; /* source voxel x, y, z; fields */
    float *store;
    float patch_mm[3];  /* extent, x, y, z */
    float centre[3];    /* posed point in the middle of the patch */
    float matrix[3][3]; /* posed = matrix * (mm from the middle) + centre */
} fab_sy_map;

typedef struct fab_sy_body { /* how fat and muscle lie in one patient; mm */
    float fat, fat_front, wall, wall_in, marbling, shoulder, pelvis, femur, ribs, mixed;
    float cloth_from, cloth_to; /* above the skin; none if to <= from */
} fab_sy_body;

typedef enum fab_sy_kind {
    SY_K_AIR,
    SY_K_SOFT,
    SY_K_FAT,
    SY_K_MUSCLE,
    SY_K_MIXED,
    SY_K_LUNG,
    SY_K_KIDNEY,
    SY_K_HEART,
    SY_K_BONE,
    SY_K_BOWEL,
    SY_K_FLUID,
    SY_K_METAL
} fab_sy_kind;

typedef struct fab_sy_bowel {
    float gas, rise, texture, stool, stool_hu, contrast, contrast_hu;
} fab_sy_bowel;

typedef struct fab_sy_tissue { /* one patient's CT numbers */
    float mean[256];
    uint8_t kind[256];
    float inner[256], outer[256]; /* bone */
    uint8_t bowel_of[256];
    fab_sy_bowel bowel[4];
    float soft_fine, soft_broad, streak, streak_hu, medulla, medulla_at, myocardium, chamber_at;
    float vessel_at, vessel_hu, collapse_at, collapse;
    float strand_hu, strand_width, strand_from; /* sheets in fat; where, by broad noise */
    float oedema_hu, oedema_from;
    float shell_mm, marrow_at, marrow, trabecula, bone_gain, bone_shift;
    bool use_bone_hu, free_contrast;
    float curve[17]; /* free contrast: value for -1024, -896, ... 1024 */
} fab_sy_tissue;

typedef struct fab_sy_capsule { /* a rod of metal in fine voxels of the patch */
    float from[3], to[3], radius;
} fab_sy_capsule;
enum { SY_MAX_CAPSULES = 40 };

typedef struct fab_sy_patch { /* one patch in the making */
    const fab_synth_source *source;
    const fab_synth_options *options;
    int size[3]; /* fine voxels, x, y, z */
    float step;  /* mm of a fine voxel */
    fab_rng rng;
    fab_sy_pose pose;
    fab_sy_map map;
    uint8_t *label, *depth; /* fine voxels */
    int16_t *bone;          /* NULL or HU inside bone */
    fab_sy_capsule metal[SY_MAX_CAPSULES];
    int metals;
    bool free_contrast;
    float gravity;            /* 1: on the back; -1: prone */
} fab_sy_patch;

fab_status fab_sy_map_make(fab_sy_patch *p, fab_error *err);
/* A row of `channel`; out has SY_LATTICE * (n[0] - 1) values, scratch n[0]. */
void fab_sy_map_row(const fab_sy_map *m, int channel, int y, int z, float *scratch, float *out);
void fab_sy_map_free(fab_sy_map *m);
void fab_sy_body_draw(fab_rng *rng, fab_sy_body *b);
fab_status fab_sy_lay_out(fab_sy_patch *p, fab_error *err);
fab_status fab_sy_add_things(fab_sy_patch *p, fab_error *err); /* masses and fluid: names */
void fab_sy_add_metal(fab_sy_patch *p);  /* screws, hips: names and p->metal */
/* The fine voxel that shows a source point (mm), near enough; false if the patch does not reach. */
bool fab_sy_find(const fab_sy_patch *p, const float source[3], float voxel[3]);
void fab_sy_tissue_draw(fab_rng *rng, int contrast, fab_sy_tissue *t);
/* CT numbers of the fine voxels, scanned onto the patch's grid (without noise). */
fab_status fab_sy_paint(fab_sy_patch *p, const fab_sy_tissue *t, float *hu, fab_error *err);
/* Noise, streaks, field of view, in place. */
fab_status fab_sy_scan(fab_sy_patch *p, float *hu, fab_error *err);
void fab_sy_cut(fab_sy_patch *p, float *hu, uint8_t *fine);

static inline float fab_sy_range(fab_rng *rng, double low, double high)
{
    return (float)fab_rng_range(rng, low, high);
}

static inline float fab_sy_clamp(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

static inline float fab_sy_smoothstep(float low, float high, float x)
{
    const float t = fab_sy_clamp((x - low) / (high - low), 0, 1);
    return t * t * (3 - 2 * t);
}

#endif
