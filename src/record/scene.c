/* scene.c - the state of a scene: held as what differs from the start, given as canonical JSON and
 * its SHA-256 (ADR 0111), and taken back from a keyframe. */
#include <stdlib.h>
#include <string.h>

#include "scene_internal.h"

const scene_plain fab_scene_start = {.rotation = {0, 0, 0, 32767}, .scale = 1000, .centre = 40,
                                     .width = 400};
const scene_clip fab_scene_clip_start = {.normal = {0, 0, 32767}};
const scene_structure fab_scene_structure_start = {.opacity = 1000, .turn = {0, 0, 0, 32767}};

static int by_id(const void *one, const void *other)
{
    return (int)*(const uint16_t *)one - (int)*(const uint16_t *)other;
}

fab_status fab_scene_create(const uint16_t *ids, size_t count, fab_scene **out, fab_error *err)
{
    if (count > FAB_MAX_LABELS + 1)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a model of %zu structures, at most %d", count,
                 FAB_MAX_LABELS);
    FAB_AUTO(fab_scene_free) fab_scene *s = fab_calloc(1, sizeof *s);
    if (s) s->ids = fab_alloc_array(count + 1, sizeof *ids);
    if (!s || !s->ids) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a scene");
    s->plain = fab_scene_start;
    if (count) {
        memcpy(s->ids, ids, count * sizeof *ids);
        qsort(s->ids, count, sizeof *ids, by_id);
    }
    for (size_t i = 0; i < count; i++)
        if (!i || s->ids[i] != s->ids[i - 1]) s->ids[s->id_count++] = s->ids[i];
    *out = s;
    s = NULL;
    return FAB_OK;
}

static void free_items(scene_items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        fab_free(items->rows[i].name);
        fab_free(items->rows[i].json);
    }
    fab_free(items->rows);
    *items = (scene_items){0};
}

fab_scene *fab_scene_free(fab_scene *s)
{
    if (!s) return NULL;
    free_items(&s->measures);
    free_items(&s->annotations);
    fab_free(s->ids);
    fab_free(s->structures);
    fab_free(s->chapter);
    return fab_free(s);
}

/* ---- structures ----------------------------------------------------------------------------- */

static size_t place_of(const fab_scene *s, uint16_t id)
{
    size_t low = 0, high = s->structure_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->structures[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return low;
}

fab_status fab_scene_entry(fab_scene *s, uint16_t id, scene_structure **out, fab_error *err)
{
    size_t at = place_of(s, id);
    if (at < s->structure_count && s->structures[at].id == id) {
        *out = &s->structures[at];
        return FAB_OK;
    }
    if (s->structure_count == s->structure_capacity) {
        size_t more = s->structure_capacity ? 2 * s->structure_capacity : 64;
        scene_structure *grown = fab_realloc(s->structures, more * sizeof *grown);
        if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu structures", more);
        s->structures = grown;
        s->structure_capacity = more;
    }
    memmove(s->structures + at + 1, s->structures + at,
            (s->structure_count - at) * sizeof *s->structures);
    s->structures[at] = fab_scene_structure_start;
    s->structures[at].id = id;
    s->structure_count++;
    *out = &s->structures[at];
    return FAB_OK;
}

static bool as_at_the_start(const scene_structure *e)
{
    const scene_structure *start = &fab_scene_structure_start;
    return !e->hidden && !e->highlight && !e->painted && e->opacity == start->opacity &&
           memcmp(e->offset, start->offset, sizeof e->offset) == 0 &&
           memcmp(e->turn, start->turn, sizeof e->turn) == 0;
}

void fab_scene_sweep(fab_scene *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->structure_count; i++)
        if (!as_at_the_start(&s->structures[i])) s->structures[kept++] = s->structures[i];
    s->structure_count = kept;
}

/* ---- measures and annotations --------------------------------------------------------------- */

static size_t item_place(const scene_items *items, const char *name, bool *there)
{
    size_t at = 0;
    while (at < items->count && strcmp(items->rows[at].name, name) < 0) at++;
    *there = at < items->count && strcmp(items->rows[at].name, name) == 0;
    return at;
}

/* Canonical JSON of an object but for its "name"; owned by the caller. */
static fab_status item_json(const fab_json *value, fab_buf *into, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *rest = fab_json_object();
    const char *key = NULL;
    const fab_json *field = NULL;
    if (!rest) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for an annotation");
    for (void *cursor = NULL; fab_json_next(value, &cursor, &key, &field);) {
        fab_json *kept = (fab_json *)(uintptr_t)field;
        if (strcmp(key, "name") != 0) FAB_TRY(fab_json_set(rest, key, fab_json_retain(kept), err));
    }
    FAB_TRY(fab_json_dump_canonical(rest, into, err));
    return fab_buf_append(into, "", 1, err);
}

fab_status fab_scene_put_item(fab_scene *s, scene_items *items, size_t most, const char *name,
                              const fab_json *value, fab_error *err)
{
    FAB_AUTO_BUF fab_buf json = {0};
    bool there = false;
    size_t at = item_place(items, name, &there);
    if (!there && items->count >= most)
        FAB_FAIL(err, FAB_ERR_LIMIT, "name: more than %zu of them", most);
    FAB_TRY(item_json(value, &json, err));
    size_t before = there ? items->rows[at].bytes : 0;
    if (s->item_bytes - before + json.size > FAB_SCENE_MAX_BYTES / 2)
        FAB_FAIL(err, FAB_ERR_LIMIT, "points: annotations of more than %u bytes in all",
                 FAB_SCENE_MAX_BYTES / 2);
    if (!there) {
        char *copy = fab_strdup(name);
        scene_item *grown =
            copy ? fab_realloc(items->rows, (items->count + 1) * sizeof *grown) : NULL;
        if (!grown) {
            fab_free(copy);
            FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for an annotation");
        }
        items->rows = grown;
        memmove(grown + at + 1, grown + at, (items->count - at) * sizeof *grown);
        grown[at] = (scene_item){copy, NULL, 0};
        items->count++;
    }
    fab_free(items->rows[at].json);
    items->rows[at].json = (char *)json.data;
    items->rows[at].bytes = json.size;
    s->item_bytes += json.size - before;
    json = (fab_buf){0};
    return FAB_OK;
}

void fab_scene_drop_item(fab_scene *s, scene_items *items, const char *name)
{
    bool there = false;
    size_t at = item_place(items, name, &there);
    if (!there) return;
    s->item_bytes -= items->rows[at].bytes;
    fab_free(items->rows[at].name);
    fab_free(items->rows[at].json);
    items->count--;
    memmove(items->rows + at, items->rows + at + 1, (items->count - at) * sizeof *items->rows);
}

/* ---- canonical JSON ------------------------------------------------------------------------- */

static fab_status put_list(fab_buf *into, const int32_t *values, size_t count, fab_error *err)
{
    for (size_t i = 0; i < count; i++)
        FAB_TRY(fab_buf_appendf(into, err, "%s%d", i ? "," : "[", values[i]));
    return fab_buf_append(into, "]", 1, err);
}

static fab_status put_structure(fab_buf *into, const scene_structure *e, fab_error *err)
{
    FAB_TRY(fab_buf_appendf(into, err, "\"%d\":{\"highlight\":%s,\"offset\":", e->id,
                            e->highlight ? "true" : "false"));
    FAB_TRY(put_list(into, e->offset, 3, err));
    FAB_TRY(fab_buf_appendf(into, err, ",\"opacity\":%d,\"rgb\":", e->opacity));
    if (e->painted) FAB_TRY(put_list(into, e->rgb, 3, err));
    else FAB_TRY(fab_buf_appendf(into, err, "null"));
    FAB_TRY(fab_buf_appendf(into, err, ",\"turn\":"));
    FAB_TRY(put_list(into, e->turn, 4, err));
    return fab_buf_appendf(into, err, ",\"visible\":%s}", e->hidden ? "false" : "true");
}

/* As text, for "10" comes before "2". */
static int by_text(const void *one, const void *other)
{
    uint16_t a = (*(const scene_structure *const *)one)->id,
             b = (*(const scene_structure *const *)other)->id;
    uint32_t x = a, y = b;
    int digits_a = a > 9999 ? 5 : a > 999 ? 4 : a > 99 ? 3 : a > 9 ? 2 : 1;
    int digits_b = b > 9999 ? 5 : b > 999 ? 4 : b > 99 ? 3 : b > 9 ? 2 : 1;
    for (int i = digits_a; i < 5; i++) x *= 10;
    for (int i = digits_b; i < 5; i++) y *= 10;
    if (x != y) return x < y ? -1 : 1;
    return digits_a - digits_b;
}

static fab_status put_structures(const fab_scene *s, fab_buf *into, fab_error *err)
{
    FAB_AUTO_FREE const scene_structure **order =
        fab_alloc_array(s->structure_count + 1, sizeof *order);
    if (!order) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to sort structures");
    for (size_t i = 0; i < s->structure_count; i++) order[i] = &s->structures[i];
    qsort(order, s->structure_count, sizeof *order, by_text);
    FAB_TRY(fab_buf_append(into, "{", 1, err));
    for (size_t i = 0; i < s->structure_count; i++) {
        if (i) FAB_TRY(fab_buf_append(into, ",", 1, err));
        FAB_TRY(put_structure(into, order[i], err));
    }
    return fab_buf_append(into, "}", 1, err);
}

static fab_status put_items(const scene_items *items, fab_buf *into, fab_error *err)
{
    FAB_TRY(fab_buf_append(into, "{", 1, err));
    for (size_t i = 0; i < items->count; i++) {
        FAB_TRY(fab_buf_appendf(into, err, "%s\"%s\":", i ? "," : "", items->rows[i].name));
        FAB_TRY(fab_buf_append(into, items->rows[i].json, items->rows[i].bytes - 1, err));
    }
    return fab_buf_append(into, "}", 1, err);
}

static fab_status put_clips(const scene_plain *p, fab_buf *into, fab_error *err)
{
    const char *comma = "";
    FAB_TRY(fab_buf_append(into, "{", 1, err));
    for (int i = 0; i < SCENE_CLIPS; i++) {
        const scene_clip *c = &p->clips[i];
        if (!c->set) continue;
        FAB_TRY(fab_buf_appendf(into, err, "%s\"%d\":{\"normal\":", comma, i));
        FAB_TRY(put_list(into, c->normal, 3, err));
        FAB_TRY(fab_buf_appendf(into, err, ",\"on\":%s,\"point\":", c->on ? "true" : "false"));
        FAB_TRY(put_list(into, c->point, 3, err));
        FAB_TRY(fab_buf_append(into, "}", 1, err));
        comma = ",";
    }
    return fab_buf_append(into, "}", 1, err);
}

static fab_status put_model(const scene_plain *p, fab_buf *into, fab_error *err)
{
    FAB_TRY(fab_buf_appendf(into, err, "{\"position\":"));
    FAB_TRY(put_list(into, p->position, 3, err));
    FAB_TRY(fab_buf_appendf(into, err, ",\"rotation\":"));
    FAB_TRY(put_list(into, p->rotation, 4, err));
    return fab_buf_appendf(into, err, ",\"scale\":%d}", p->scale);
}

static fab_status put_slices(const scene_plain *p, fab_buf *into, fab_error *err)
{
    for (int i = 0; i < SCENE_AXES; i++)
        FAB_TRY(fab_buf_appendf(into, err, "%s\"%s\":{\"at\":%d,\"on\":%s}", i ? "," : "{",
                                fab_type_axis.choices[i], p->slices[i].at,
                                p->slices[i].on ? "true" : "false"));
    return fab_buf_append(into, "}", 1, err);
}

fab_status fab_scene_dump(const fab_scene *s, fab_buf *into, fab_error *err)
{
    const scene_plain *p = &s->plain;
    FAB_TRY(fab_buf_appendf(into, err, "{\"annotations\":"));
    FAB_TRY(put_items(&s->annotations, into, err));
    FAB_TRY(fab_buf_appendf(into, err, ",\"chapter\":"));
    if (s->chapter) FAB_TRY(fab_put_json_text(into, s->chapter, err));
    else FAB_TRY(fab_buf_appendf(into, err, "null"));
    FAB_TRY(fab_buf_appendf(into, err, ",\"clips\":"));
    FAB_TRY(put_clips(p, into, err));
    FAB_TRY(fab_buf_appendf(into, err, ",\"explode\":%d,\"measures\":", p->explode));
    FAB_TRY(put_items(&s->measures, into, err));
    FAB_TRY(fab_buf_appendf(into, err, ",\"model\":"));
    FAB_TRY(put_model(p, into, err));
    FAB_TRY(fab_buf_appendf(into, err, ",\"slices\":"));
    FAB_TRY(put_slices(p, into, err));
    FAB_TRY(fab_buf_appendf(into, err, ",\"structures\":"));
    FAB_TRY(put_structures(s, into, err));
    return fab_buf_appendf(into, err,
                           ",\"volume\":{\"on\":%s,\"preset\":\"%s\"},"
                           "\"window\":{\"centre\":%d,\"width\":%d}}",
                           p->volume_on ? "true" : "false", fab_type_preset.choices[p->preset],
                           p->centre, p->width);
}

fab_status fab_scene_hash(const fab_scene *s, char hex[65], fab_error *err)
{
    FAB_AUTO_BUF fab_buf text = {0};
    fab_sha256 h;
    uint8_t digest[32];
    FAB_TRY(fab_scene_dump(s, &text, err));
    fab_sha256_init(&h);
    fab_sha256_update(&h, text.data, text.size);
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, hex);
    return FAB_OK;
}
