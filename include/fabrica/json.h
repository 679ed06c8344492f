/* fabrica/json.h - JSON in and out (RFC 8259), a thin layer over jansson that keeps key order,
 * bounds what it reads, and names the field in its messages.
 *
 * fab_json is jansson's value: objects and arrays own their children; a new value is owned by the
 * caller until given to a parent by fab_json_set/append, which take ownership even on failure.
 */
#ifndef FABRICA_JSON_H
#define FABRICA_JSON_H

#include "fabrica/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct json_t fab_json;

fab_status fab_json_parse(const void *bytes, size_t count, const char *name, fab_json **out,
                          fab_error *err);
fab_status fab_json_load(const fab_reader *r, fab_json **out, fab_error *err);
fab_status fab_json_load_file(const char *path, fab_json **out, fab_error *err);
/* indent spaces, 0 = compact. Keys in insertion order; reals in the fewest digits that read back
 * the same: same value, same bytes. A newline ends it. */
fab_status fab_json_dump(const fab_json *value, int indent, fab_writer *w, fab_error *err);
fab_status fab_json_save_file(const fab_json *value, const char *path, fab_error *err);
fab_json *fab_json_free(fab_json *value);
fab_json *fab_json_retain(fab_json *value);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_json, fab_json_free)
#endif

/* Building. Constructors return NULL when out of memory; set/append then report FAB_ERR_NOMEM. */
fab_json *fab_json_object(void);
fab_json *fab_json_array(void);
fab_json *fab_json_string(const char *utf8); /* invalid UTF-8 is replaced by U+FFFD */
fab_json *fab_json_int(int64_t value);
fab_json *fab_json_real(double value); /* NaN and infinities become null */
fab_json *fab_json_bool(bool value);
fab_json *fab_json_null(void);
fab_status fab_json_set(fab_json *object, const char *key, fab_json *value, fab_error *err);
fab_status fab_json_append(fab_json *array, fab_json *value, fab_error *err);

/* Reading; borrowed results. Missing key or wrong type: FAB_ERR_FORMAT naming the key. */
bool fab_json_is_object(const fab_json *value);
bool fab_json_is_array(const fab_json *value);
bool fab_json_is_string(const fab_json *value);
bool fab_json_is_number(const fab_json *value);
bool fab_json_is_null(const fab_json *value);
bool fab_json_is_bool(const fab_json *value);
bool fab_json_is_true(const fab_json *value);
size_t fab_json_count(const fab_json *value); /* of an array or object; 0 else */
const fab_json *fab_json_at(const fab_json *array, size_t index); /* NULL outside */
const fab_json *fab_json_find(const fab_json *object, const char *key); /* NULL if none */
const char *fab_json_text(const fab_json *value);  /* NULL unless a string */
double fab_json_number(const fab_json *value);     /* 0 unless a number */
const char *fab_text_of(const fab_json *object, const char *key); /* "" unless a string */
double fab_real_of(const fab_json *object, const char *key);      /* NaN unless a number */
/* Walk of an object: *cursor starts NULL; returns false at the end. */
bool fab_json_next(const fab_json *object, void **cursor, const char **key,
                   const fab_json **value);
fab_status fab_json_get_object(const fab_json *o, const char *key, const fab_json **out,
                               fab_error *err);
fab_status fab_json_get_array(const fab_json *o, const char *key, const fab_json **out,
                              fab_error *err);
fab_status fab_json_get_string(const fab_json *o, const char *key, const char **out,
                               fab_error *err);
fab_status fab_json_get_int(const fab_json *o, const char *key, int64_t low, int64_t high,
                            int64_t *out, fab_error *err);
fab_status fab_json_get_real(const fab_json *o, const char *key, double low, double high,
                             double *out, fab_error *err);
/* An array of `count` numbers from low to high, into out[count]. */
fab_status fab_json_get_reals(const fab_json *o, const char *key, size_t count, double low,
                              double high, double *out, fab_error *err);
fab_status fab_json_get_bool(const fab_json *o, const char *key, bool *out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
