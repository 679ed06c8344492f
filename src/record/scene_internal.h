/* scene_internal.h - the table of operations and the state it changes. */
#ifndef FAB_RECORD_SCENE_INTERNAL_H
#define FAB_RECORD_SCENE_INTERNAL_H

#include "fabrica/record.h"

typedef enum scene_kind {
    SCENE_INTEGER, SCENE_BOOLEAN, SCENE_NAME, SCENE_TEXT, SCENE_CHOICE, SCENE_LIST
} scene_kind;

typedef struct scene_type {
    const char *name;    /* in the contract's types; NULL: described at the argument */
    scene_kind kind;
    int64_t low, high;   /* of an integer */
    size_t least, most;  /* items of a list; most: code points of a text */
    const struct scene_type *of;
    const char *const *choices;
} scene_type;

enum { SCENE_MAX_ARGUMENTS = 8, SCENE_CLIPS = 3, SCENE_AXES = 3 };

typedef struct scene_argument {
    const char *name;
    const scene_type *type;
    bool optional;
} scene_argument;

typedef struct scene_operation {
    const char *name;
    bool undo;
    scene_argument arguments[SCENE_MAX_ARGUMENTS]; /* ends with a NULL name */
    fab_status (*apply)(fab_scene *s, const fab_json *args, fab_error *err);
} scene_operation;

extern const scene_operation fab_scene_operations[];
extern const size_t fab_scene_operation_count;
extern const scene_type fab_type_id, fab_type_name, fab_type_bool, fab_type_permille,
    fab_type_scale, fab_type_tenth, fab_type_unit, fab_type_hu, fab_type_byte, fab_type_text,
    fab_type_ids, fab_type_point, fab_type_points, fab_type_direction, fab_type_rotation,
    fab_type_rgb, fab_type_plane, fab_type_axis, fab_type_preset, fab_type_window;
const scene_operation *fab_scene_find_operation(const char *name);

/* Is value of that type? The message names the field. */
fab_status fab_scene_check_value(const fab_json *value, const scene_type *type, const char *field,
                                 fab_error *err);
/* Are the keys of args those of the list, and their values of their types? */
fab_status fab_scene_check_arguments(const scene_argument *list, const fab_json *args,
                                     fab_error *err);

typedef struct scene_structure {
    uint16_t id;
    bool hidden, highlight, painted;
    int32_t opacity, rgb[3], offset[3], turn[4];
} scene_structure;

/* A measure or an annotation: canonical JSON under its name. */
typedef struct scene_item {
    char *name, *json;
    size_t bytes;
} scene_item;

typedef struct scene_items {
    scene_item *rows; /* by name */
    size_t count;
} scene_items;

typedef struct scene_clip {
    bool set, on;
    int32_t point[3], normal[3];
} scene_clip;

typedef struct scene_slice {
    bool on;
    int32_t at;
} scene_slice;

/* All that needs no memory of its own: reset by assignment. */
typedef struct scene_plain {
    int32_t explode, position[3], rotation[4], scale, centre, width;
    scene_clip clips[SCENE_CLIPS];
    scene_slice slices[SCENE_AXES]; /* axial, coronal, sagittal */
    bool volume_on;
    int preset; /* index of fab_type_preset's choices */
} scene_plain;

struct fab_scene {
    uint16_t *ids; /* of the model, ascending, each once */
    size_t id_count;
    scene_structure *structures; /* by id; none is as at the start */
    size_t structure_count, structure_capacity;
    scene_plain plain;
    char *chapter; /* NULL: none */
    scene_items measures, annotations;
    size_t item_bytes;
};

extern const scene_plain fab_scene_start;
extern const scene_clip fab_scene_clip_start;
extern const scene_structure fab_scene_structure_start;

/* Any JSON of a checked row, canonical. */
fab_status fab_json_dump_canonical(const fab_json *value, fab_buf *into, fab_error *err);
fab_status fab_put_json_text(fab_buf *into, const char *text, fab_error *err);
int64_t fab_json_integer(const fab_json *value); /* of one that was checked */
void fab_scene_integers(const fab_json *list, int32_t *into, size_t count);
int fab_scene_choice(const scene_type *type, const char *text); /* -1: none */
/* Entry of id, made if it is not there. */
fab_status fab_scene_entry(fab_scene *s, uint16_t id, scene_structure **out, fab_error *err);
void fab_scene_sweep(fab_scene *s); /* takes out entries that are as at the start */
fab_status fab_scene_put_item(fab_scene *s, scene_items *items, size_t most, const char *name,
                              const fab_json *value, fab_error *err);
void fab_scene_drop_item(fab_scene *s, scene_items *items, const char *name);

#endif
