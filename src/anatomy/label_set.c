/* label_set.c - which value of a label map is which structure, and labels.json.
 *
 * Names become file names (stl/NAME.stl), so a name that could leave its folder is refused here,
 * once, for everybody. A free name (not in the table) gets a colour derived from the name, so
 * that the same name looks the same in every case. */
#include <math.h>
#include <string.h>

#include "fabrica/anatomy.h"

#define LABELS_FORMAT "fabrica-labels"
#define LABELS_VERSION 1

/* A hue from an FNV-1a hash of the name, at medium saturation. */
static void free_color(const char *name, uint8_t rgb[3])
{
    uint32_t hash = 2166136261u;
    for (const char *c = name; *c; c++) hash = (hash ^ (uint8_t)*c) * 16777619u;
    double hue = (double)(hash % 3600u) / 600.0;
    for (int i = 0; i < 3; i++) {
        double d = fabs(fmod(hue + 6.0 - 2.0 * i, 6.0) - 3.0) - 1.0;
        double share = d < 0 ? 0 : d > 1 ? 1 : d;
        rgb[i] = (uint8_t)lround(90 + 130 * share);
    }
}

static fab_status check_name(const char *name, fab_error *err)
{
    size_t length = name ? strnlen(name, FAB_MAX_NAME_BYTES) : 0;
    if (length == 0) FAB_FAIL(err, FAB_ERR_ARG, "a label has no name");
    if (length >= FAB_MAX_NAME_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "label name \"%.40s...\" is longer than %d bytes", name,
                 FAB_MAX_NAME_BYTES - 1);
    if (name[0] == '.')
        FAB_FAIL(err, FAB_ERR_ARG, "label name \"%s\" starts with a dot", name);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
            FAB_FAIL(err, FAB_ERR_ARG, "label name has the character 0x%02x, not allowed", c);
    }
    return FAB_OK;
}

/* First item with value >= the one sought. */
static size_t lower_bound(const fab_label_set *set, int value)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->items[middle].value < value) low = middle + 1;
        else high = middle;
    }
    return low;
}

const fab_label *fab_label_set_find(const fab_label_set *set, int value)
{
    size_t at = lower_bound(set, value);
    return at < set->count && set->items[at].value == value ? &set->items[at] : NULL;
}

const fab_label *fab_label_set_by_name(const fab_label_set *set, const char *name)
{
    for (size_t i = 0; name && i < set->count; i++)
        if (!strcmp(set->items[i].name, name)) return &set->items[i];
    return NULL;
}

static fab_status make_room(fab_label_set *set, size_t at, fab_error *err)
{
    if (set->count >= FAB_MAX_STRUCTURES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d structures in a label set", FAB_MAX_STRUCTURES);
    fab_label *items = fab_realloc(set->items, (set->count + 1) * sizeof *items);
    if (!items) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a label set");
    memmove(&items[at + 1], &items[at], (set->count - at) * sizeof *items);
    set->items = items;
    set->count++;
    return FAB_OK;
}

fab_status fab_label_set_add(fab_label_set *set, int value, const char *name, fab_error *err)
{
    FAB_TRY(check_name(name, err));
    if (value < 1 || value > FAB_MAX_LABELS)
        FAB_FAIL(err, FAB_ERR_ARG, "label \"%s\" has the value %d, outside 1..%d", name, value,
                 FAB_MAX_LABELS);
    const fab_label *same = fab_label_set_by_name(set, name);
    if (same && same->value != value)
        FAB_FAIL(err, FAB_ERR_ARG, "label name \"%s\" is used by the values %d and %d", name,
                 same->value, value);
    fab_label label = {.value = value, .anatomy = fab_anatomy_find(name)};
    memcpy(label.name, name, strlen(name) + 1);
    if (label.anatomy) memcpy(label.rgb, label.anatomy->rgb, 3);
    else free_color(name, label.rgb);
    size_t at = lower_bound(set, value);
    if (at == set->count || set->items[at].value != value) FAB_TRY(make_room(set, at, err));
    set->items[at] = label;
    return FAB_OK;
}

fab_status fab_label_set_copy(const fab_label_set *from, fab_label_set *to, fab_error *err)
{
    fab_label_set copy = {.count = from->count};
    if (from->count) {
        copy.items = fab_alloc_array(from->count, sizeof *copy.items);
        if (!copy.items) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a label set");
        memcpy(copy.items, from->items, from->count * sizeof *copy.items);
    }
    *to = copy;
    return FAB_OK;
}

void fab_label_set_free(fab_label_set *set)
{
    if (!set) return;
    set->items = fab_free(set->items);
    set->count = 0;
}

/* ---- labels.json ------------------------------------------------------------------------ */

static fab_status add_color(fab_json *object, const uint8_t rgb[3], fab_error *err)
{
    fab_json *color = fab_json_array();
    FAB_TRY(fab_json_set(object, "rgb", color, err));
    for (int i = 0; i < 3; i++) FAB_TRY(fab_json_append(color, fab_json_int(rgb[i]), err));
    return FAB_OK;
}

static fab_status add_code(fab_json *object, const char *key, const fab_code *code,
                           fab_error *err)
{
    fab_json *json = fab_json_object();
    FAB_TRY(fab_json_set(object, key, json, err));
    FAB_TRY(fab_json_set(json, "scheme", fab_json_string(code->scheme), err));
    FAB_TRY(fab_json_set(json, "value", fab_json_string(code->value), err));
    return fab_json_set(json, "meaning", fab_json_string(code->meaning), err);
}

static fab_status add_label(fab_json *array, const fab_label *label, fab_error *err)
{
    static const char *const side_names[] = {"none", "left", "right"};
    const fab_anatomy *a = label->anatomy;
    fab_json *object = fab_json_object();
    FAB_TRY(fab_json_append(array, object, err));
    FAB_TRY(fab_json_set(object, "value", fab_json_int(label->value), err));
    FAB_TRY(fab_json_set(object, "name", fab_json_string(label->name), err));
    FAB_TRY(fab_json_set(object, "display", fab_json_string(a ? a->display : label->name), err));
    FAB_TRY(add_color(object, label->rgb, err));
    if (!a) return FAB_OK;
    FAB_TRY(add_code(object, "code", &a->type, err));
    if (a->region.value) FAB_TRY(add_code(object, "region", &a->region, err));
    return fab_json_set(object, "laterality", fab_json_string(side_names[a->side]), err);
}

fab_status fab_label_set_to_json(const fab_label_set *set, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *root = fab_json_object();
    if (!root) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for labels.json");
    FAB_TRY(fab_json_set(root, "format", fab_json_string(LABELS_FORMAT), err));
    FAB_TRY(fab_json_set(root, "format_version", fab_json_int(LABELS_VERSION), err));
    fab_json *labels = fab_json_array();
    FAB_TRY(fab_json_set(root, "labels", labels, err));
    for (size_t i = 0; i < set->count; i++) FAB_TRY(add_label(labels, &set->items[i], err));
    *out = root;
    root = NULL;
    return FAB_OK;
}

static fab_status read_color(const fab_json *object, fab_label *label, fab_error *err)
{
    const fab_json *color = NULL;
    if (!fab_json_find(object, "rgb")) return FAB_OK;
    FAB_TRY(fab_json_get_array(object, "rgb", &color, err));
    if (fab_json_count(color) != 3)
        FAB_FAIL(err, FAB_ERR_FORMAT, "label \"%s\": rgb must have 3 numbers", label->name);
    uint8_t rgb[3];
    for (size_t i = 0; i < 3; i++) {
        const fab_json *channel = fab_json_at(color, i);
        double v = fab_json_is_number(channel) ? fab_json_number(channel) : -1;
        if (!(v >= 0 && v <= 255))
            FAB_FAIL(err, FAB_ERR_FORMAT, "label \"%s\": rgb holds a value outside 0..255",
                     label->name);
        rgb[i] = (uint8_t)lround(v);
    }
    memcpy(label->rgb, rgb, sizeof rgb);
    return FAB_OK;
}

static fab_status read_label(const fab_json *object, fab_label_set *set, fab_error *err)
{
    const char *name = NULL;
    int64_t value = 0;
    if (!fab_json_is_object(object))
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"labels\" holds something that is not an object");
    FAB_TRY(fab_json_get_int(object, "value", 1, FAB_MAX_LABELS, &value, err));
    FAB_TRY(fab_json_get_string(object, "name", &name, err));
    if (fab_label_set_find(set, (int)value))
        FAB_FAIL(err, FAB_ERR_FORMAT, "the label value %d appears twice", (int)value);
    FAB_TRY(fab_label_set_add(set, (int)value, name, err));
    return read_color(object, &set->items[lower_bound(set, (int)value)], err);
}

static fab_status read_labels(const fab_json *json, fab_label_set *set, fab_error *err)
{
    const char *format = NULL;
    const fab_json *labels = NULL;
    int64_t version = 0;
    FAB_TRY(fab_json_get_string(json, "format", &format, err));
    if (strcmp(format, LABELS_FORMAT))
        FAB_FAIL(err, FAB_ERR_FORMAT, "format is \"%.60s\", not \"" LABELS_FORMAT "\"", format);
    FAB_TRY(fab_json_get_int(json, "format_version", 1, INT32_MAX, &version, err));
    if (version > LABELS_VERSION)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "labels of format_version %d; this program reads %d",
                 (int)version, LABELS_VERSION);
    FAB_TRY(fab_json_get_array(json, "labels", &labels, err));
    for (size_t i = 0; i < fab_json_count(labels); i++)
        FAB_TRY(read_label(fab_json_at(labels, i), set, err));
    return FAB_OK;
}

fab_status fab_label_set_from_json(const fab_json *json, fab_label_set *out, fab_error *err)
{
    fab_label_set set = {0};
    if (!fab_json_is_object(json))
        FAB_FAIL(err, FAB_ERR_FORMAT, "labels must be a JSON object");
    fab_status status = read_labels(json, &set, err);
    if (status < 0) fab_label_set_free(&set);
    else *out = set;
    return status;
}
