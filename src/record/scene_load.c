/* scene_load.c - a state taken from JSON: checked field by field, into a scene of its own first, so
 * that a bad one leaves the old state. */
#include <stdlib.h>
#include <string.h>

#include "scene_internal.h"

static const scene_argument structure_fields[] = {
    {"visible", &fab_type_bool, false}, {"opacity", &fab_type_permille, false},
    {"rgb", &fab_type_rgb, true}, {"highlight", &fab_type_bool, false},
    {"offset", &fab_type_point, false}, {"turn", &fab_type_rotation, false}, {NULL, NULL, false}};
static const scene_argument model_fields[] = {
    {"position", &fab_type_point, false}, {"rotation", &fab_type_rotation, false},
    {"scale", &fab_type_scale, false}, {NULL, NULL, false}};
static const scene_argument clip_fields[] = {
    {"on", &fab_type_bool, false}, {"point", &fab_type_point, false},
    {"normal", &fab_type_direction, false}, {NULL, NULL, false}};
static const scene_argument slice_fields[] = {
    {"on", &fab_type_bool, false}, {"at", &fab_type_tenth, false}, {NULL, NULL, false}};
static const scene_argument window_fields[] = {
    {"centre", &fab_type_hu, false}, {"width", &fab_type_window, false}, {NULL, NULL, false}};
static const scene_argument volume_fields[] = {
    {"on", &fab_type_bool, false}, {"preset", &fab_type_preset, false}, {NULL, NULL, false}};

static fab_status get(const fab_json *o, const char *key, const scene_argument *fields,
                      const fab_json **out, fab_error *err)
{
    FAB_TRY(fab_json_get_object(o, key, out, err));
    if (fields && fab_scene_check_arguments(fields, *out, err) < 0)
        return fab_error_prefix(err, "%s", key);
    return FAB_OK;
}

/* A decimal number as it is written in one way only; -1 else. */
static long number_of(const char *key, long most)
{
    long value = 0;
    if (!*key || (key[0] == '0' && key[1])) return -1;
    for (; *key; key++) {
        if (*key < '0' || *key > '9' || value > most) return -1;
        value = 10 * value + (*key - '0');
    }
    return value <= most ? value : -1;
}

static fab_status load_structure(fab_scene *s, const char *key, const fab_json *value,
                                 fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *fields = fab_json_object();
    scene_structure *e = NULL;
    const char *name = NULL;
    const fab_json *field = NULL;
    long id = number_of(key, 65535);
    if (id < 0 || !fab_json_is_object(value))
        FAB_FAIL(err, FAB_ERR_FORMAT, "structures: \"%.40s\" is no structure's number", key);
    if (!fields) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a state");
    for (void *cursor = NULL; fab_json_next(value, &cursor, &name, &field);)
        if (!fab_json_is_null(field)) /* rgb: none */
            FAB_TRY(fab_json_set(fields, name, fab_json_retain((fab_json *)(uintptr_t)field), err));
    FAB_TRY(fab_scene_check_arguments(structure_fields, fields, err));
    FAB_TRY(fab_scene_entry(s, (uint16_t)id, &e, err));
    e->hidden = !fab_json_is_true(fab_json_find(fields, "visible"));
    e->highlight = fab_json_is_true(fab_json_find(fields, "highlight"));
    e->opacity = (int32_t)fab_json_integer(fab_json_find(fields, "opacity"));
    e->painted = fab_json_find(fields, "rgb") != NULL;
    if (e->painted) fab_scene_integers(fab_json_find(fields, "rgb"), e->rgb, 3);
    fab_scene_integers(fab_json_find(fields, "offset"), e->offset, 3);
    fab_scene_integers(fab_json_find(fields, "turn"), e->turn, 4);
    return FAB_OK;
}

static fab_status load_structures(fab_scene *s, const fab_json *state, fab_error *err)
{
    const fab_json *all = NULL, *value = NULL;
    const char *key = NULL;
    FAB_TRY(get(state, "structures", NULL, &all, err));
    for (void *cursor = NULL; fab_json_next(all, &cursor, &key, &value);)
        FAB_TRY(load_structure(s, key, value, err));
    fab_scene_sweep(s);
    return FAB_OK;
}

/* The row that would have made it is what is checked. */
static fab_status load_items(fab_scene *s, const fab_json *state, const char *group,
                             const char *operation, fab_error *err)
{
    const scene_operation *op = fab_scene_find_operation(operation);
    const fab_json *all = NULL, *value = NULL, *field = NULL;
    const char *key = NULL, *name = NULL;
    FAB_TRY(get(state, group, NULL, &all, err));
    for (void *cursor = NULL; fab_json_next(all, &cursor, &key, &value);) {
        FAB_AUTO(fab_json_free) fab_json *args = fab_json_object();
        if (!args) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a state");
        for (void *inner = NULL; fab_json_next(value, &inner, &name, &field);)
            FAB_TRY(fab_json_set(args, name, fab_json_retain((fab_json *)(uintptr_t)field), err));
        FAB_TRY(fab_json_set(args, "name", fab_json_string(key), err));
        if (fab_scene_check_arguments(op->arguments, args, err) < 0)
            return fab_error_prefix(err, "%s: %.64s", group, key);
        FAB_TRY(op->apply(s, args, err));
    }
    return FAB_OK;
}

static fab_status load_clips(fab_scene *s, const fab_json *state, fab_error *err)
{
    const fab_json *clips = NULL, *one = NULL;
    const char *key = NULL;
    FAB_TRY(get(state, "clips", NULL, &clips, err));
    for (void *cursor = NULL; fab_json_next(clips, &cursor, &key, &one);) {
        long plane = number_of(key, SCENE_CLIPS - 1);
        if (plane < 0) FAB_FAIL(err, FAB_ERR_FORMAT, "clips: there is no plane \"%.40s\"", key);
        FAB_TRY(get(clips, key, clip_fields, &one, err));
        scene_clip *c = &s->plain.clips[plane];
        c->set = true;
        c->on = fab_json_is_true(fab_json_find(one, "on"));
        fab_scene_integers(fab_json_find(one, "point"), c->point, 3);
        fab_scene_integers(fab_json_find(one, "normal"), c->normal, 3);
    }
    return FAB_OK;
}

static fab_status load_plain(fab_scene *s, const fab_json *state, fab_error *err)
{
    static const scene_argument tops[] = {{"explode", &fab_type_permille, false}};
    const fab_json *o = NULL, *slices = NULL, *amount = fab_json_find(state, "explode");
    scene_plain *p = &s->plain;
    FAB_TRY(fab_scene_check_value(amount, tops[0].type, "explode", err));
    p->explode = (int32_t)fab_json_integer(amount);
    FAB_TRY(get(state, "model", model_fields, &o, err));
    fab_scene_integers(fab_json_find(o, "position"), p->position, 3);
    fab_scene_integers(fab_json_find(o, "rotation"), p->rotation, 4);
    p->scale = (int32_t)fab_json_integer(fab_json_find(o, "scale"));
    FAB_TRY(get(state, "window", window_fields, &o, err));
    p->centre = (int32_t)fab_json_integer(fab_json_find(o, "centre"));
    p->width = (int32_t)fab_json_integer(fab_json_find(o, "width"));
    FAB_TRY(get(state, "volume", volume_fields, &o, err));
    p->volume_on = fab_json_is_true(fab_json_find(o, "on"));
    p->preset = fab_scene_choice(&fab_type_preset, fab_text_of(o, "preset"));
    FAB_TRY(get(state, "slices", NULL, &slices, err));
    for (int i = 0; i < SCENE_AXES; i++) {
        FAB_TRY(get(slices, fab_type_axis.choices[i], slice_fields, &o, err));
        p->slices[i].on = fab_json_is_true(fab_json_find(o, "on"));
        p->slices[i].at = (int32_t)fab_json_integer(fab_json_find(o, "at"));
    }
    return FAB_OK;
}

static fab_status load_chapter(fab_scene *s, const fab_json *state, fab_error *err)
{
    const fab_json *title = fab_json_find(state, "chapter");
    if (!title) FAB_FAIL(err, FAB_ERR_FORMAT, "chapter: is missing");
    if (fab_json_is_null(title)) return FAB_OK;
    FAB_TRY(fab_scene_check_value(title, &fab_type_text, "chapter", err));
    s->chapter = fab_strdup(fab_json_text(title));
    if (!s->chapter) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a state");
    return FAB_OK;
}

static fab_status load_all(fab_scene *s, const fab_json *state, fab_error *err)
{
    if (fab_json_count(state) != 10)
        FAB_FAIL(err, FAB_ERR_FORMAT, "state: %zu fields, not 10", fab_json_count(state));
    FAB_TRY(load_plain(s, state, err));
    FAB_TRY(load_chapter(s, state, err));
    FAB_TRY(load_clips(s, state, err));
    FAB_TRY(load_structures(s, state, err));
    FAB_TRY(load_items(s, state, "measures", "measure.add", err));
    return load_items(s, state, "annotations", "annotation.add", err);
}

fab_status fab_scene_load(fab_scene *s, const fab_json *state, fab_error *err)
{
    FAB_AUTO(fab_scene_free) fab_scene *fresh = NULL;
    FAB_TRY(fab_scene_create(s->ids, s->id_count, &fresh, err));
    FAB_TRY(load_all(fresh, state, err));
    fab_scene old = *s;
    *s = *fresh;
    *fresh = old; /* freed at the end of the scope */
    return FAB_OK;
}
