/* plain.c - a checkpoint's plain values as JSON.
 *
 * A pickle's values are a graph: one list may stand in ten places, or in itself. JSON is a tree,
 * so what is made is counted, and the way down is limited; both ends a graph that never would.
 */
#include <stdio.h>
#include <string.h>

#include "checkpoint_internal.h"

typedef struct conversion {
    const fab_pickle *p;
    size_t values, text; /* made so far; bytes of text */
    int depth;
} conversion;

static fab_status convert(conversion *c, const fab_pickle_node *node, fab_json **out,
                          fab_error *err);

/* JSON's constructors return NULL when there is no memory. */
static fab_status made(fab_json *value, fab_json **out, fab_error *err)
{
    if (!value) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for JSON");
    *out = value;
    return FAB_OK;
}

static fab_status copy_text(conversion *c, const fab_pickle_node *node, char **out, fab_error *err)
{
    c->text += node->count;
    if (c->text > FAB_MAX_JSON_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %u bytes of text", FAB_MAX_JSON_BYTES);
    if (node->count && memchr(node->as.text, 0, node->count))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a str that holds a zero byte");
    char *text = fab_malloc((size_t)node->count + 1);
    if (!text) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a str");
    if (node->count) memcpy(text, node->as.text, node->count);
    text[node->count] = 0;
    *out = text;
    return FAB_OK;
}

static fab_status convert_text(conversion *c, const fab_pickle_node *node, fab_json **out,
                               fab_error *err)
{
    FAB_AUTO_FREE char *text = NULL;
    FAB_TRY(copy_text(c, node, &text, err));
    return made(fab_json_string(text), out, err);
}

/* "cuda:0" */
static fab_status convert_device(conversion *c, const fab_pickle_node *node, fab_json **out,
                                 fab_error *err)
{
    FAB_AUTO_FREE char *type = NULL;
    char name[64];
    FAB_TRY(copy_text(c, fab_pickle_item(c->p, node, 0), &type, err));
    if (node->count == 1) return made(fab_json_string(type), out, err);
    snprintf(name, sizeof name, "%.32s:%lld", type,
             (long long)fab_pickle_item(c->p, node, 1)->as.integer);
    return made(fab_json_string(name), out, err);
}

static fab_status convert_items(conversion *c, const fab_pickle_node *node, fab_json **out,
                                fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *array = NULL;
    FAB_TRY(made(fab_json_array(), &array, err));
    for (size_t i = 0; i < node->count; i++) {
        fab_json *item = NULL;
        const fab_status status = convert(c, fab_pickle_item(c->p, node, i), &item, err);
        if (status < 0) {
            fab_error_prefix(err, "[%zu]", i);
            return status;
        }
        FAB_TRY(fab_json_append(array, item, err));
    }
    *out = array;
    array = NULL;
    return FAB_OK;
}

/* Strings as they are, whole numbers in digits, as Python's json does. */
static fab_status key_text(conversion *c, const fab_pickle_node *key, char **out, fab_error *err)
{
    if (key->kind == FAB_PICKLE_STR) return copy_text(c, key, out, err);
    if (key->kind != FAB_PICKLE_INT)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a dict with %s as a key",
                 fab_pickle_describe(key).text);
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)key->as.integer);
    *out = fab_strdup(digits);
    if (!*out) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a key");
    return FAB_OK;
}

static fab_status convert_pair(conversion *c, const fab_pickle_node *dict, size_t i,
                               fab_json *object, fab_error *err)
{
    FAB_AUTO_FREE char *key = NULL;
    fab_json *item = NULL;
    FAB_TRY(key_text(c, fab_pickle_item(c->p, dict, i), &key, err));
    const fab_status status = convert(c, fab_pickle_item(c->p, dict, i + 1), &item, err);
    if (status < 0) {
        fab_error_prefix(err, "%s", fab_pickle_printable(key, strlen(key)).text);
        return status;
    }
    return fab_json_set(object, key, item, err);
}

static fab_status convert_dict(conversion *c, const fab_pickle_node *node, fab_json **out,
                               fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *object = NULL;
    FAB_TRY(made(fab_json_object(), &object, err));
    for (size_t i = 0; i < node->count; i += 2) FAB_TRY(convert_pair(c, node, i, object, err));
    *out = object;
    object = NULL;
    return FAB_OK;
}

static fab_status convert_kind(conversion *c, const fab_pickle_node *node, fab_json **out,
                               fab_error *err)
{
    switch (node->kind) {
    case FAB_PICKLE_NONE: return made(fab_json_null(), out, err);
    case FAB_PICKLE_BOOL: return made(fab_json_bool(node->as.integer != 0), out, err);
    case FAB_PICKLE_INT: return made(fab_json_int(node->as.integer), out, err);
    case FAB_PICKLE_FLOAT: return made(fab_json_real(node->as.real), out, err);
    case FAB_PICKLE_STR: return convert_text(c, node, out, err);
    case FAB_PICKLE_DEVICE: return convert_device(c, node, out, err);
    case FAB_PICKLE_LIST:
    case FAB_PICKLE_TUPLE: return convert_items(c, node, out, err);
    case FAB_PICKLE_DICT: return convert_dict(c, node, out, err);
    default:
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s is no plain value",
                 fab_pickle_describe(node).text);
    }
}

static fab_status convert(conversion *c, const fab_pickle_node *node, fab_json **out,
                          fab_error *err)
{
    if (++c->values > FAB_MAX_CHECKPOINT_VALUES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %u values", FAB_MAX_CHECKPOINT_VALUES);
    if (c->depth >= FAB_MAX_PICKLE_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "nested deeper than %d, or holds itself",
                 FAB_MAX_PICKLE_DEPTH);
    c->depth++;
    const fab_status status = convert_kind(c, node, out, err);
    c->depth--;
    return status;
}

fab_status fab_checkpoint_json(const fab_checkpoint *c, const char *key, fab_json **out,
                               fab_error *err)
{
    conversion state = {.p = &c->pickle};
    const fab_pickle_node *node = NULL;
    FAB_TRY(fab_checkpoint_find(c, key, &node, err));
    const fab_status status = convert(&state, node, out, err);
    if (status < 0) fab_error_prefix(err, "%s: %s", c->source, key);
    return status;
}
