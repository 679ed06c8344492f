/* json_dump.c - JSON as text: keys in insertion order, reals in the fewest digits that read back to
 * the same double ("0.1", not "0.10000000000000001"). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabrica/json.h"

typedef struct dumper {
    fab_writer *w;
    fab_error *err;
    int indent;
} dumper;

static fab_status raw(const dumper *d, const char *text)
{
    return fab_writer_write(d->w, text, strlen(text), d->err);
}

static fab_status new_line(const dumper *d, int depth)
{
    if (!d->indent) return FAB_OK;
    return fab_writer_printf(d->w, d->err, "\n%*s", d->indent * depth, "");
}

static fab_status dump_string(const dumper *d, const char *text, size_t length)
{
    static const char escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    FAB_TRY(raw(d, "\""));
    for (size_t i = 0, plain = 0; i <= length; i++) {
        unsigned char c = i < length ? (unsigned char)text[i] : 0;
        if (i < length && c >= 0x20 && c != '"' && c != '\\') continue;
        FAB_TRY(fab_writer_write(d->w, text + plain, i - plain, d->err));
        plain = i + 1;
        if (i == length) break;
        const char *row = escapes;
        while (row[0] && (unsigned char)row[0] != c) row += 2;
        if (row[0]) FAB_TRY(fab_writer_printf(d->w, d->err, "\\%c", row[1]));
        else FAB_TRY(fab_writer_printf(d->w, d->err, "\\u%04x", c));
    }
    return raw(d, "\"");
}

static fab_status dump_real(const dumper *d, double value)
{
    char text[40];
    size_t length = 0;
    for (int digits = 15; digits <= 17; digits++) {
        length = (size_t)snprintf(text, sizeof text - 4, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    /* a real stays a real: "3.0", not "3" */
    if (!strpbrk(text, ".en")) memcpy(text + length, ".0", 3);
    return raw(d, text);
}

static fab_status dump_value(const dumper *d, const json_t *value, int depth);

static fab_status dump_array(const dumper *d, const json_t *array, int depth)
{
    size_t count = json_array_size(array);
    FAB_TRY(raw(d, "["));
    for (size_t i = 0; i < count; i++) {
        if (i) FAB_TRY(raw(d, ","));
        FAB_TRY(new_line(d, depth + 1));
        FAB_TRY(dump_value(d, json_array_get(array, i), depth + 1));
    }
    if (count) FAB_TRY(new_line(d, depth));
    return raw(d, "]");
}

static fab_status dump_object(const dumper *d, const json_t *object, int depth)
{
    json_t *o = (json_t *)(uintptr_t)object;
    bool first = true;
    FAB_TRY(raw(d, "{"));
    for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at)) {
        const char *key = json_object_iter_key(at);
        if (!first) FAB_TRY(raw(d, ","));
        first = false;
        FAB_TRY(new_line(d, depth + 1));
        FAB_TRY(dump_string(d, key, strlen(key)));
        FAB_TRY(raw(d, d->indent ? ": " : ":"));
        FAB_TRY(dump_value(d, json_object_iter_value(at), depth + 1));
    }
    if (!first) FAB_TRY(new_line(d, depth));
    return raw(d, "}");
}

static fab_status dump_value(const dumper *d, const json_t *value, int depth)
{
    if (depth > FAB_MAX_JSON_DEPTH)
        FAB_FAIL(d->err, FAB_ERR_LIMIT, "JSON nested deeper than %d", FAB_MAX_JSON_DEPTH);
    if (!value) FAB_FAIL(d->err, FAB_ERR_NOMEM, "no memory to write JSON");
    switch (json_typeof(value)) {
    case JSON_OBJECT: return dump_object(d, value, depth);
    case JSON_ARRAY: return dump_array(d, value, depth);
    case JSON_STRING: return dump_string(d, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return fab_writer_printf(d->w, d->err, "%lld", (long long)json_integer_value(value));
    case JSON_REAL: return dump_real(d, json_real_value(value));
    case JSON_TRUE: return raw(d, "true");
    case JSON_FALSE: return raw(d, "false");
    default: return raw(d, "null");
    }
}

fab_status fab_json_dump(const fab_json *value, int indent, fab_writer *w, fab_error *err)
{
    dumper d = {w, err, indent};
    FAB_TRY(dump_value(&d, value, 0));
    return raw(&d, "\n");
}
