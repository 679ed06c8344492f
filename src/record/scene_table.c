/* scene_table.c - contract/operations.json in C: types with their limits, operations with their
 * arguments, and what each does. tests/unit/record/test_scene.c reads the contract and compares. */
#include <string.h>

#include "scene_internal.h"

static const char *const axes[] = {"axial", "coronal", "sagittal", NULL};
static const char *const presets[] = {"bone", "vessels", "soft", "lung", NULL};
static const char *const measure_kinds[] = {"distance", "angle", "volume", "height", NULL};
static const char *const annotation_kinds[] = {"stroke", "arrow", "label", NULL};

#define INTEGER(name, low, high) {name, SCENE_INTEGER, low, high, 0, 0, NULL, NULL}
#define LIST(name, least, most, of) {name, SCENE_LIST, 0, 0, least, most, of, NULL}
#define CHOICE(list) {NULL, SCENE_CHOICE, 0, 0, 0, 0, NULL, list}

const scene_type fab_type_id = INTEGER("id", 0, 65535),
                 fab_type_name = {"name", SCENE_NAME, 0, 0, 1, 64, NULL, NULL},
                 fab_type_bool = {"bool", SCENE_BOOLEAN, 0, 0, 0, 0, NULL, NULL},
                 fab_type_permille = INTEGER("permille", 0, 1000),
                 fab_type_scale = INTEGER("scale", 100, 20000),
                 fab_type_tenth = INTEGER("tenth", -100000, 100000),
                 fab_type_unit = INTEGER("unit", -32767, 32767),
                 fab_type_hu = INTEGER("hu", -32768, 32767),
                 fab_type_byte = INTEGER("byte", 0, 255),
                 fab_type_text = {"text", SCENE_TEXT, 0, 0, 0, 2000, NULL, NULL},
                 fab_type_ids = LIST("ids", 0, 4096, &fab_type_id),
                 fab_type_point = LIST("point", 3, 3, &fab_type_tenth),
                 fab_type_points = LIST("points", 0, 20000, &fab_type_point),
                 fab_type_direction = LIST("direction", 3, 3, &fab_type_unit),
                 fab_type_rotation = LIST("rotation", 4, 4, &fab_type_unit),
                 fab_type_rgb = LIST("rgb", 3, 3, &fab_type_byte),
                 fab_type_plane = INTEGER(NULL, 0, 2), fab_type_window = INTEGER(NULL, 1, 65535),
                 fab_type_axis = CHOICE(axes), fab_type_preset = CHOICE(presets);
static const scene_type measure_kind = CHOICE(measure_kinds),
                        annotation_kind = CHOICE(annotation_kinds),
                        pen = INTEGER(NULL, 1, 500), seconds = INTEGER(NULL, 0, 3600),
                        reach = INTEGER(NULL, 1, 10000),
                        milliseconds = INTEGER(NULL, 0, 86400000);

/* ---- what they do --------------------------------------------------------------------------- */

typedef enum change { SHOW, FADE, PAINT, HIGHLIGHT } change;

static void change_one(scene_structure *e, change what, const fab_json *value)
{
    switch (what) {
    case SHOW: e->hidden = !fab_json_is_true(value); break;
    case FADE: e->opacity = (int32_t)fab_json_integer(value); break;
    case HIGHLIGHT: e->highlight = fab_json_is_true(value); break;
    case PAINT:
        e->painted = value != NULL;
        if (value) fab_scene_integers(value, e->rgb, 3);
        else memset(e->rgb, 0, sizeof e->rgb);
        break;
    }
}

static fab_status change_all(fab_scene *s, const fab_json *args, change what, const char *key,
                             fab_error *err)
{
    const fab_json *ids = fab_json_find(args, "ids");
    scene_structure *entry = NULL;
    fab_status status = FAB_OK;
    size_t i = 0, count = fab_json_count(ids);
    /* all entries first: then nothing can fail half way */
    for (; i < count && status == FAB_OK; i++)
        status = fab_scene_entry(s, (uint16_t)fab_json_integer(fab_json_at(ids, i)), &entry, err);
    for (i = 0; i < count && status == FAB_OK; i++) {
        status = fab_scene_entry(s, (uint16_t)fab_json_integer(fab_json_at(ids, i)), &entry, err);
        if (status == FAB_OK) change_one(entry, what, fab_json_find(args, key));
    }
    fab_scene_sweep(s);
    return status;
}

static fab_status show(fab_scene *s, const fab_json *args, fab_error *err)
{
    return change_all(s, args, SHOW, "visible", err);
}

static fab_status fade(fab_scene *s, const fab_json *args, fab_error *err)
{
    return change_all(s, args, FADE, "opacity", err);
}

static fab_status paint(fab_scene *s, const fab_json *args, fab_error *err)
{
    return change_all(s, args, PAINT, "rgb", err);
}

static fab_status highlight(fab_scene *s, const fab_json *args, fab_error *err)
{
    return change_all(s, args, HIGHLIGHT, "on", err);
}

/* Those of the model that are not named are hidden, or none if none is named. */
static fab_status only(fab_scene *s, const fab_json *args, fab_error *err)
{
    const fab_json *ids = fab_json_find(args, "ids");
    scene_structure *entry = NULL;
    size_t count = fab_json_count(ids);
    FAB_AUTO_FREE uint8_t *named = fab_calloc(65536, 1);
    fab_status status = FAB_OK;
    if (!named) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to isolate structures");
    for (size_t i = 0; i < count && status == FAB_OK; i++) {
        uint16_t id = (uint16_t)fab_json_integer(fab_json_at(ids, i));
        named[id] = 1;
        status = fab_scene_entry(s, id, &entry, err);
    }
    for (size_t i = 0; i < s->id_count && status == FAB_OK; i++) {
        status = fab_scene_entry(s, s->ids[i], &entry, err);
        named[s->ids[i]] |= 2;
    }
    for (size_t i = 0; i < s->structure_count && status == FAB_OK; i++) {
        scene_structure *e = &s->structures[i];
        if (named[e->id]) e->hidden = count && !(named[e->id] & 1);
    }
    fab_scene_sweep(s);
    return status;
}

static fab_status move(fab_scene *s, const fab_json *args, fab_error *err)
{
    scene_structure *entry = NULL;
    FAB_TRY(fab_scene_entry(s, (uint16_t)fab_json_integer(fab_json_find(args, "id")), &entry,
                            err));
    fab_scene_integers(fab_json_find(args, "offset"), entry->offset, 3);
    fab_scene_integers(fab_json_find(args, "turn"), entry->turn, 4);
    fab_scene_sweep(s);
    return FAB_OK;
}

static fab_status explode(fab_scene *s, const fab_json *args, fab_error *err)
{
    (void)err;
    s->plain.explode = (int32_t)fab_json_integer(fab_json_find(args, "amount"));
    return FAB_OK;
}

static fab_status place(fab_scene *s, const fab_json *args, fab_error *err)
{
    (void)err;
    fab_scene_integers(fab_json_find(args, "position"), s->plain.position, 3);
    fab_scene_integers(fab_json_find(args, "rotation"), s->plain.rotation, 4);
    s->plain.scale = (int32_t)fab_json_integer(fab_json_find(args, "scale"));
    return FAB_OK;
}

static fab_status clip(fab_scene *s, const fab_json *args, fab_error *err)
{
    scene_clip *c = &s->plain.clips[fab_json_integer(fab_json_find(args, "plane"))];
    (void)err;
    c->on = fab_json_is_true(fab_json_find(args, "on"));
    fab_scene_integers(fab_json_find(args, "point"), c->point, 3);
    fab_scene_integers(fab_json_find(args, "normal"), c->normal, 3);
    /* off at its first place is as never set; off elsewhere keeps its place */
    c->set = c->on || memcmp(c->point, fab_scene_clip_start.point, sizeof c->point) != 0 ||
             memcmp(c->normal, fab_scene_clip_start.normal, sizeof c->normal) != 0;
    return FAB_OK;
}

static fab_status slice(fab_scene *s, const fab_json *args, fab_error *err)
{
    int axis = fab_scene_choice(&fab_type_axis, fab_text_of(args, "axis"));
    (void)err;
    s->plain.slices[axis].on = fab_json_is_true(fab_json_find(args, "on"));
    s->plain.slices[axis].at = (int32_t)fab_json_integer(fab_json_find(args, "at"));
    return FAB_OK;
}

static fab_status window(fab_scene *s, const fab_json *args, fab_error *err)
{
    (void)err;
    s->plain.centre = (int32_t)fab_json_integer(fab_json_find(args, "centre"));
    s->plain.width = (int32_t)fab_json_integer(fab_json_find(args, "width"));
    return FAB_OK;
}

static fab_status volume(fab_scene *s, const fab_json *args, fab_error *err)
{
    (void)err;
    s->plain.volume_on = fab_json_is_true(fab_json_find(args, "on"));
    s->plain.preset = fab_scene_choice(&fab_type_preset, fab_text_of(args, "preset"));
    return FAB_OK;
}

static fab_status add_measure(fab_scene *s, const fab_json *args, fab_error *err)
{
    return fab_scene_put_item(s, &s->measures, FAB_SCENE_MAX_MEASURES, fab_text_of(args, "name"),
                              args, err);
}

static fab_status remove_measure(fab_scene *s, const fab_json *args, fab_error *err)
{
    (void)err;
    fab_scene_drop_item(s, &s->measures, fab_text_of(args, "name"));
    return FAB_OK;
}

static fab_status add_annotation(fab_scene *s, const fab_json *args, fab_error *err)
{
    return fab_scene_put_item(s, &s->annotations, FAB_SCENE_MAX_ANNOTATIONS,
                              fab_text_of(args, "name"), args, err);
}

static fab_status remove_annotation(fab_scene *s, const fab_json *args, fab_error *err)
{
    (void)err;
    fab_scene_drop_item(s, &s->annotations, fab_text_of(args, "name"));
    return FAB_OK;
}

static fab_status begin_chapter(fab_scene *s, const fab_json *args, fab_error *err)
{
    char *title = fab_strdup(fab_text_of(args, "title"));
    if (!title) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a chapter's title");
    fab_free(s->chapter);
    s->chapter = title;
    return FAB_OK;
}

static fab_status nothing(fab_scene *s, const fab_json *args, fab_error *err)
{
    (void)s;
    (void)args;
    (void)err;
    return FAB_OK; /* an event: the state does not hold it */
}

static fab_status reset(fab_scene *s, const fab_json *args, fab_error *err)
{
    (void)args;
    (void)err;
    s->structure_count = 0;
    s->plain = fab_scene_start;
    s->chapter = fab_free(s->chapter);
    return FAB_OK;
}

/* ---- the table ------------------------------------------------------------------------------ */

#define A(name, type) {name, &type, false}
#define OPTIONAL(name, type) {name, &type, true}

const scene_operation fab_scene_operations[] = {
    {"structure.show", true, {A("ids", fab_type_ids), A("visible", fab_type_bool)}, show},
    {"structure.only", true, {A("ids", fab_type_ids)}, only},
    {"structure.fade", true, {A("ids", fab_type_ids), A("opacity", fab_type_permille)}, fade},
    {"structure.paint", true, {A("ids", fab_type_ids), OPTIONAL("rgb", fab_type_rgb)}, paint},
    {"structure.highlight", true, {A("ids", fab_type_ids), A("on", fab_type_bool)}, highlight},
    {"structure.move", true,
     {A("id", fab_type_id), A("offset", fab_type_point), A("turn", fab_type_rotation)}, move},
    {"explode", true, {A("amount", fab_type_permille)}, explode},
    {"model.place", true,
     {A("position", fab_type_point), A("rotation", fab_type_rotation), A("scale", fab_type_scale)},
     place},
    {"clip.set", true,
     {A("plane", fab_type_plane), A("on", fab_type_bool), A("point", fab_type_point),
      A("normal", fab_type_direction)}, clip},
    {"slice.set", true,
     {A("axis", fab_type_axis), A("on", fab_type_bool), A("at", fab_type_tenth)}, slice},
    {"window.set", true, {A("centre", fab_type_hu), A("width", fab_type_window)}, window},
    {"volume.show", true, {A("on", fab_type_bool), A("preset", fab_type_preset)}, volume},
    {"measure.add", true,
     {A("name", fab_type_name), A("kind", measure_kind), A("points", fab_type_points),
      A("ids", fab_type_ids)}, add_measure},
    {"measure.remove", true, {A("name", fab_type_name)}, remove_measure},
    {"annotation.add", true,
     {A("name", fab_type_name), A("kind", annotation_kind), A("points", fab_type_points),
      OPTIONAL("text", fab_type_text), A("rgb", fab_type_rgb), A("width", pen),
      OPTIONAL("id", fab_type_id)}, add_annotation},
    {"annotation.remove", true, {A("name", fab_type_name)}, remove_annotation},
    {"chapter", false, {A("title", fab_type_text)}, begin_chapter},
    {"question.ask", false,
     {A("name", fab_type_name), A("text", fab_type_text), A("ids", fab_type_ids),
      A("seconds", seconds), OPTIONAL("near", fab_type_point), OPTIONAL("within", reach)},
     nothing},
    {"question.answer", false,
     {A("name", fab_type_name), A("point", fab_type_point), A("id", fab_type_id),
      A("right", fab_type_bool), A("ms", milliseconds)}, nothing},
    {"scene.reset", true, {{NULL, NULL, false}}, reset},
};
const size_t fab_scene_operation_count =
    sizeof fab_scene_operations / sizeof *fab_scene_operations;

const scene_operation *fab_scene_find_operation(const char *name)
{
    for (size_t i = 0; i < fab_scene_operation_count; i++)
        if (strcmp(fab_scene_operations[i].name, name) == 0) return &fab_scene_operations[i];
    return NULL;
}
