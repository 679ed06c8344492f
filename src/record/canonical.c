/* canonical.c - JSON of integers, texts, lists and objects in one way only: keys by code point, no
 * spaces, escapes only where JSON demands them. */
#include <stdlib.h>
#include <string.h>

#include "scene_internal.h"

fab_status fab_put_json_text(fab_buf *into, const char *text, fab_error *err)
{
    static const char escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    FAB_TRY(fab_buf_append(into, "\"", 1, err));
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        const char *row = escapes;
        while (row[0] && row[0] != *text) row += 2;
        if (row[0]) FAB_TRY(fab_buf_appendf(into, err, "\\%c", row[1]));
        else if (c < 0x20) FAB_TRY(fab_buf_appendf(into, err, "\\u%04x", c));
        else FAB_TRY(fab_buf_append(into, text, 1, err));
    }
    return fab_buf_append(into, "\"", 1, err);
}

typedef struct field {
    const char *key;
    const fab_json *value;
} field;

/* UTF-8 sorts by byte as its code points do. */
static int by_key(const void *one, const void *other)
{
    return strcmp(((const field *)one)->key, ((const field *)other)->key);
}

static fab_status put_value(const fab_json *value, int depth, fab_buf *into, fab_error *err);

static fab_status put_object(const fab_json *value, int depth, fab_buf *into, fab_error *err)
{
    size_t count = fab_json_count(value);
    FAB_AUTO_FREE field *fields = fab_alloc_array(count + 1, sizeof *fields);
    void *cursor = NULL;
    if (!fields) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to sort keys");
    for (size_t i = 0; i < count; i++)
        fab_json_next(value, &cursor, &fields[i].key, &fields[i].value);
    qsort(fields, count, sizeof *fields, by_key);
    FAB_TRY(fab_buf_append(into, "{", 1, err));
    for (size_t i = 0; i < count; i++) {
        if (i) FAB_TRY(fab_buf_append(into, ",", 1, err));
        FAB_TRY(fab_put_json_text(into, fields[i].key, err));
        FAB_TRY(fab_buf_append(into, ":", 1, err));
        FAB_TRY(put_value(fields[i].value, depth + 1, into, err));
    }
    return fab_buf_append(into, "}", 1, err);
}

static fab_status put_array(const fab_json *value, int depth, fab_buf *into, fab_error *err)
{
    FAB_TRY(fab_buf_append(into, "[", 1, err));
    for (size_t i = 0; i < fab_json_count(value); i++) {
        if (i) FAB_TRY(fab_buf_append(into, ",", 1, err));
        FAB_TRY(put_value(fab_json_at(value, i), depth + 1, into, err));
    }
    return fab_buf_append(into, "]", 1, err);
}

static fab_status put_value(const fab_json *value, int depth, fab_buf *into, fab_error *err)
{
    if (depth > FAB_MAX_JSON_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "JSON nested deeper than %d", FAB_MAX_JSON_DEPTH);
    if (fab_json_is_object(value)) return put_object(value, depth, into, err);
    if (fab_json_is_array(value)) return put_array(value, depth, into, err);
    if (fab_json_is_string(value)) return fab_put_json_text(into, fab_json_text(value), err);
    if (fab_json_is_number(value))
        return fab_buf_appendf(into, err, "%lld", (long long)fab_json_integer(value));
    if (fab_json_is_null(value)) return fab_buf_appendf(into, err, "null");
    return fab_buf_appendf(into, err, "%s", fab_json_is_true(value) ? "true" : "false");
}

fab_status fab_json_dump_canonical(const fab_json *value, fab_buf *into, fab_error *err)
{
    return put_value(value, 0, into, err);
}
