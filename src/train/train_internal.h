/* train_internal.h - what the files of src/train share. Axes are z, y, x. */
#ifndef FAB_TRAIN_INTERNAL_H
#define FAB_TRAIN_INTERNAL_H

#include "fabrica/synth.h"
#include "fabrica/train.h"

#define FAB_CASE_IGNORE 255 /* class of a voxel nobody knows */
enum { FAB_CASE_POINTS = 256, FAB_TRAIN_MAX_SOURCES = 4096 };

/* A name, or what its names begin with before a final '*'. */
typedef struct fab_name_rule {
    char name[FAB_MAX_NAME_BYTES];
    int class; /* FAB_CASE_IGNORE: unknown */
} fab_name_rule;

typedef struct fab_schedule {
    int patch[3], batch;
    int64_t iterations, warmup;
    double rate, decay, clip, average;
    double even_out; /* 0..1: how much of the classes' weights is gone at the end */
    uint64_t seed;
} fab_schedule;

typedef struct fab_recipe {
    fab_json *json;
    const fab_json *card; /* borrowed from json */
    fab_unet_config config;
    double spacing_mm, clip_hu[2], mean, std;
    char class_names[FAB_UNET_MAX_CLASSES][FAB_MAX_NAME_BYTES]; /* 0: outside */
    double weight[FAB_UNET_MAX_CLASSES], focus[FAB_UNET_MAX_CLASSES];
    fab_name_rule *rules;
    size_t rule_count;
    int rest; /* class of names that no rule has, FAB_CASE_IGNORE if none */
    fab_schedule schedule;
    char sha256[65];
} fab_recipe;
fab_status fab_recipe_load(const char *path, fab_recipe *out, fab_error *err);
void fab_recipe_free(fab_recipe *r);
/* Class of a structure's name: the rule with exactly this name, else the first whose beginning
 * fits, else the rest. */
int fab_recipe_class(const fab_recipe *r, const char *name);
/* Whether it tells the parts of a vertebral arch apart. */
bool fab_recipe_wants_parts(const fab_recipe *r);

/* ---- cases ------------------------------------------------------------------------------ */

/* A scan on the network's spacing with its classes; or a source of synthetic ones. */
typedef struct fab_case {
    double weight;
    fab_synth_source *synth;
    uint8_t fine_class[256]; /* of the fine vocabulary, with `synth` */
    int size[3];
    int16_t *hu;
    uint8_t *classes;
    int32_t *points[FAB_CASE_IGNORE]; /* voxels of a class, drawn at random; NULL: none */
    int point_count[FAB_CASE_IGNORE];
} fab_case;

typedef struct fab_cases {
    fab_case *items;
    size_t count, room;
    double weight;
} fab_cases;
fab_status fab_cases_load(const fab_recipe *r, const char *data, const fab_progress *progress,
                          fab_cases *out, fab_error *err);
void fab_cases_free(fab_cases *c);

/* ---- patches ---------------------------------------------------------------------------- */

typedef struct fab_train_patch_buffers {
    float *hu, *spare; /* patch voxels each; hu becomes the network's input */
    uint8_t *classes;
    uint16_t *labels;
} fab_train_patch_buffers;
/* Patch `index` of the run: image normalised in b->hu, labels in b->labels. Thread safe. */
fab_status fab_patch_make(const fab_recipe *r, const fab_cases *c, int64_t index,
                          fab_train_patch_buffers *b, fab_error *err);
fab_status fab_patch_buffers(const int patch[3], fab_train_patch_buffers *b, fab_error *err);
void fab_patch_buffers_free(fab_train_patch_buffers *b);
/* Around a voxel of a class drawn by focus, turned, scaled, bent; -1024 and class 0 outside. */
void fab_patch_cut(const fab_recipe *r, const fab_case *c, fab_rng *rng, float *hu,
                   uint8_t *classes);
/* Other density, brightness, sharpness, noise, field of view: a scan seen again is not the same. */
void fab_patch_change(const fab_recipe *r, fab_rng *rng, float *hu, float *spare,
                      uint8_t *classes);

/* ---- the run's state -------------------------------------------------------------------- */

/* Weights of a new run: He initialisation (He et al. 2015), then those of start_from. */
fab_status fab_state_begin(const fab_recipe *r, const char *start_from, fab_trainer *t,
                           fab_error *err);
/* FAB_ERR_NOTFOUND: there is no checkpoint. */
fab_status fab_state_load(const char *run, fab_trainer *t, fab_error *err);
/* The checkpoint, then the package. */
fab_status fab_state_save(const char *run, const fab_recipe *r, const fab_trainer *t,
                          fab_error *err);

#endif
