/* json.c - jansson behind our names; only this file and json_dump.c include it. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "fabrica/json.h"

fab_status fab_json_parse(const void *bytes, size_t count, const char *name, fab_json **out,
                          fab_error *err)
{
    if (count > FAB_MAX_JSON_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: JSON of %zu bytes, at most %u are read", name, count,
                 FAB_MAX_JSON_BYTES);
    json_error_t where;
    json_t *value = json_loadb(bytes, count, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (!value)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: not valid JSON: line %d column %d: %s", name,
                 where.line, where.column, where.text);
    *out = value;
    return FAB_OK;
}

fab_status fab_json_load(const fab_reader *r, fab_json **out, fab_error *err)
{
    FAB_AUTO_FREE uint8_t *bytes = NULL;
    size_t count = 0;
    FAB_TRY(fab_reader_read_all(r, FAB_MAX_JSON_BYTES, &bytes, &count, err));
    return fab_json_parse(bytes, count, r->name, out, err);
}

fab_status fab_json_load_file(const char *path, fab_json **out, fab_error *err)
{
    fab_reader r = {0};
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = fab_json_load(&r, out, err);
    fab_reader_close(&r);
    return status;
}

fab_status fab_json_save_file(const fab_json *value, const char *path, fab_error *err)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *f = NULL;
    FAB_TRY(fab_atomic_open(path, &f, err));
    FAB_TRY(fab_json_dump(value, 2, fab_atomic_writer(f), err));
    return fab_atomic_commit(&f, err);
}

fab_json *fab_json_free(fab_json *value)
{
    json_decref(value);
    return NULL;
}

fab_json *fab_json_retain(fab_json *value)
{
    return json_incref(value);
}

fab_json *fab_json_object(void)
{
    return json_object();
}

fab_json *fab_json_array(void)
{
    return json_array();
}

fab_json *fab_json_string(const char *utf8)
{
    json_t *value = json_string(utf8);
    if (value) return value;
    fab_buf clean = {0};
    for (const char *p = utf8; *p;) {
        size_t n = fab_utf8_length(p);
        fab_status s = n ? fab_buf_append(&clean, p, n, NULL)
                         : fab_buf_append(&clean, "\xEF\xBF\xBD", 3, NULL);
        if (s < 0) break;
        p += n ? n : 1;
    }
    value = json_stringn((const char *)clean.data, clean.size);
    fab_buf_free(&clean);
    return value;
}

fab_json *fab_json_int(int64_t value)
{
    return json_integer(value);
}

fab_json *fab_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

fab_json *fab_json_bool(bool value)
{
    return json_boolean(value);
}

fab_json *fab_json_null(void)
{
    return json_null();
}

fab_status fab_json_set(fab_json *object, const char *key, fab_json *value, fab_error *err)
{
    if (json_object_set_new(object, key, value) != 0)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for JSON field \"%s\"", key);
    return FAB_OK;
}

fab_status fab_json_append(fab_json *array, fab_json *value, fab_error *err)
{
    if (json_array_append_new(array, value) != 0)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a JSON array");
    return FAB_OK;
}

bool fab_json_is_object(const fab_json *value)
{
    return json_is_object(value);
}

bool fab_json_is_array(const fab_json *value)
{
    return json_is_array(value);
}

bool fab_json_is_string(const fab_json *value)
{
    return json_is_string(value);
}

bool fab_json_is_number(const fab_json *value)
{
    return json_is_number(value);
}

bool fab_json_is_null(const fab_json *value)
{
    return json_is_null(value);
}

bool fab_json_is_bool(const fab_json *value)
{
    return json_is_boolean(value);
}

bool fab_json_is_true(const fab_json *value)
{
    return json_is_true(value);
}

size_t fab_json_count(const fab_json *value)
{
    return json_is_array(value) ? json_array_size(value) : json_object_size(value);
}

const fab_json *fab_json_at(const fab_json *array, size_t index)
{
    return json_array_get(array, index);
}

const fab_json *fab_json_find(const fab_json *object, const char *key)
{
    return json_object_get(object, key);
}

const char *fab_json_text(const fab_json *value)
{
    return json_string_value(value);
}

double fab_json_number(const fab_json *value)
{
    return json_number_value(value);
}

const char *fab_text_of(const fab_json *object, const char *key)
{
    const char *text = fab_json_text(fab_json_find(object, key));
    return text ? text : "";
}

double fab_real_of(const fab_json *object, const char *key)
{
    const fab_json *value = fab_json_find(object, key);
    return fab_json_is_number(value) ? fab_json_number(value) : NAN;
}

bool fab_json_next(const fab_json *object, void **cursor, const char **key,
                   const fab_json **value)
{
    json_t *o;
    memcpy(&o, &object, sizeof o); /* jansson's iterators are not const-correct */
    *cursor = *cursor ? json_object_iter_next(o, *cursor) : json_object_iter(o);
    if (!*cursor) return false;
    *key = json_object_iter_key(*cursor);
    *value = json_object_iter_value(*cursor);
    return true;
}

static fab_status find_typed(const fab_json *o, const char *key, bool (*is)(const fab_json *),
                             const char *what, const fab_json **out, fab_error *err)
{
    const fab_json *value = json_object_get(o, key);
    if (!value) FAB_FAIL(err, FAB_ERR_FORMAT, "field \"%s\" is missing", key);
    if (!is(value)) FAB_FAIL(err, FAB_ERR_FORMAT, "field \"%s\" is not %s", key, what);
    *out = value;
    return FAB_OK;
}

fab_status fab_json_get_object(const fab_json *o, const char *key, const fab_json **out,
                               fab_error *err)
{
    return find_typed(o, key, fab_json_is_object, "an object", out, err);
}

fab_status fab_json_get_array(const fab_json *o, const char *key, const fab_json **out,
                              fab_error *err)
{
    return find_typed(o, key, fab_json_is_array, "an array", out, err);
}

fab_status fab_json_get_string(const fab_json *o, const char *key, const char **out,
                               fab_error *err)
{
    const fab_json *value = NULL;
    FAB_TRY(find_typed(o, key, fab_json_is_string, "a string", &value, err));
    *out = json_string_value(value);
    return FAB_OK;
}

static bool is_integer(const fab_json *value)
{
    return json_is_integer(value);
}

fab_status fab_json_get_int(const fab_json *o, const char *key, int64_t low, int64_t high,
                            int64_t *out, fab_error *err)
{
    const fab_json *value = NULL;
    FAB_TRY(find_typed(o, key, is_integer, "a whole number", &value, err));
    int64_t got = json_integer_value(value);
    if (got < low || got > high)
        FAB_FAIL(err, FAB_ERR_FORMAT, "field \"%s\" is %lld, outside %lld..%lld", key,
                 (long long)got, (long long)low, (long long)high);
    *out = got;
    return FAB_OK;
}

fab_status fab_json_get_real(const fab_json *o, const char *key, double low, double high,
                             double *out, fab_error *err)
{
    const fab_json *value = NULL;
    FAB_TRY(find_typed(o, key, fab_json_is_number, "a number", &value, err));
    double got = json_number_value(value);
    if (!(got >= low && got <= high))
        FAB_FAIL(err, FAB_ERR_FORMAT, "field \"%s\" is %g, outside %g..%g", key, got, low, high);
    *out = got;
    return FAB_OK;
}

fab_status fab_json_get_reals(const fab_json *o, const char *key, size_t count, double low,
                              double high, double *out, fab_error *err)
{
    const fab_json *list = NULL;
    FAB_TRY(fab_json_get_array(o, key, &list, err));
    if (fab_json_count(list) != count)
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"%s\" has %zu %s instead of %zu", key,
                 fab_json_count(list),
                 fab_plural((int64_t)fab_json_count(list), "entry", "entries"), count);
    for (size_t i = 0; i < count; i++) {
        const fab_json *item = fab_json_at(list, i);
        const double n = fab_json_number(item);
        if (!fab_json_is_number(item) || !(n >= low && n <= high))
            FAB_FAIL(err, FAB_ERR_FORMAT, "\"%s\"[%zu] is not a number from %g to %g", key, i, low,
                     high);
        out[i] = n;
    }
    return FAB_OK;
}

fab_status fab_json_get_bool(const fab_json *o, const char *key, bool *out, fab_error *err)
{
    const fab_json *value = NULL;
    FAB_TRY(find_typed(o, key, fab_json_is_bool, "true or false", &value, err));
    *out = json_is_true(value);
    return FAB_OK;
}
