/* tensors.c - named fp32 tensors, whatever file they came from, and the values files hold.
 *
 * All values lie in one block that the reader of a file filled; names point into it, several to
 * the same place if the file says so. Items are sorted by name, so finding one is a bisection.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn_internal.h"

struct fab_tensors {
    char source[256];
    size_t count;
    fab_tensor *items;
    char *names;
    float *values;
};

/* ---- values of files -------------------------------------------------------------------- */

static void f32_from_f32(const uint8_t *from, float *to, size_t count)
{
    memcpy(to, from, count * sizeof *to);
}

static void f32_from_bf16(const uint8_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = ((uint32_t)from[2 * i] << 16) | ((uint32_t)from[2 * i + 1] << 24);
        memcpy(to + i, &bits, sizeof bits);
    }
}

/* IEC 60559 binary16 to binary32, which holds all of its values. */
static float half_value(unsigned bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    const uint32_t exponent = bits >> 10 & 31, mantissa = bits & 1023;
    uint32_t to = (exponent == 31 ? 255 : exponent + 112) << 23 | mantissa << 13;
    float value = (float)mantissa * 0x1p-24f;
    if (exponent == 0) memcpy(&to, &value, sizeof to);
    to |= sign;
    memcpy(&value, &to, sizeof value);
    return value;
}

static void f32_from_f16(const uint8_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = half_value((unsigned)from[2 * i] | (unsigned)from[2 * i + 1] << 8);
}

static void f32_from_f64(const uint8_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, from + 8 * i, sizeof value);
        to[i] = (float)value; /* IEC 60559: infinite beyond the range */
    }
}

static const struct dtype_row {
    size_t bytes;
    void (*to_f32)(const uint8_t *from, float *to, size_t count);
} dtypes[] = {
    [FAB_TENSOR_F32] = {4, f32_from_f32},
    [FAB_TENSOR_F16] = {2, f32_from_f16},
    [FAB_TENSOR_BF16] = {2, f32_from_bf16},
    [FAB_TENSOR_F64] = {8, f32_from_f64},
};

size_t fab_tensor_dtype_bytes(fab_tensor_dtype dtype)
{
    return dtypes[dtype].bytes;
}

void fab_tensor_to_f32(fab_tensor_dtype dtype, const void *from, float *to, size_t count)
{
    dtypes[dtype].to_f32(from, to, count);
}

/* ---- making ----------------------------------------------------------------------------- */

fab_tensors *fab_tensors_free(fab_tensors *t)
{
    if (!t) return NULL;
    fab_free(t->items);
    fab_free(t->names);
    fab_free(t->values);
    return fab_free(t);
}

size_t fab_tensors_count(const fab_tensors *t)
{
    return t->count;
}

const fab_tensor *fab_tensors_at(const fab_tensors *t, size_t index)
{
    return index < t->count ? &t->items[index] : NULL;
}

const char *fab_tensors_source(const fab_tensors *t)
{
    return t->source;
}

/* Values of its shape; 0 if that is none or more than `most`. */
static size_t value_count(const fab_tensor *t, size_t most)
{
    size_t count = 1;
    if (t->rank < 0 || t->rank > FAB_TENSOR_MAX_RANK) return 0;
    for (int i = 0; i < t->rank; i++) {
        if (t->shape[i] < 1 || (uint64_t)t->shape[i] > most / count) return 0;
        count *= (size_t)t->shape[i];
    }
    return count <= most ? count : 0;
}

static int by_values(const void *a, const void *b)
{
    const float *x = ((const fab_tensor *)a)->values, *y = ((const fab_tensor *)b)->values;
    return x < y ? -1 : x > y;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const fab_tensor *)a)->name, ((const fab_tensor *)b)->name);
}

/* Index of the first value that is not finite, or `count`. */
static size_t first_not_finite(const float *values, size_t count)
{
    size_t i = 0;
    while (i < count && isfinite(values[i])) i++;
    return i;
}

/* Items in the order of their values: what was looked at under one name is not looked at again. */
static fab_status check_values(const fab_tensors *t, size_t block, fab_error *err)
{
    const float *checked = t->values;
    for (size_t i = 0; i < t->count; i++) {
        const fab_tensor *item = &t->items[i];
        const size_t at = (size_t)(item->values - t->values);
        const size_t count = at < block ? value_count(item, block - at) : 0;
        if (!count)
            FAB_FAIL(err, FAB_ERR_FORMAT, "tensor %.100s lies outside the %zu values there are",
                     item->name, block);
        const float *end = item->values + count;
        const float *begin = item->values > checked ? item->values : checked;
        if (begin >= end) continue;
        const size_t bad = first_not_finite(begin, (size_t)(end - begin));
        if (begin + bad < end)
            FAB_FAIL(err, FAB_ERR_FORMAT, "tensor %.100s: value %zu is not a finite number",
                     item->name, (size_t)(begin - item->values) + bad);
        checked = end;
    }
    return FAB_OK;
}

static fab_status check_names(const fab_tensors *t, fab_error *err)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!t->items[i].name[0]) FAB_FAIL(err, FAB_ERR_FORMAT, "a tensor without a name");
        if (i && by_name(&t->items[i - 1], &t->items[i]) == 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "tensor %.100s is there twice", t->items[i].name);
    }
    return FAB_OK;
}

static fab_status copy_items(fab_tensors *t, const fab_tensor *items, size_t count, fab_error *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += strlen(items[i].name) + 1;
    t->items = fab_alloc_array(count, sizeof *items);
    t->names = fab_malloc(bytes);
    if (!t->items || !t->names) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu tensors", count);
    char *name = t->names;
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(items[i].name) + 1;
        memcpy(name, items[i].name, length);
        t->items[i] = items[i];
        t->items[i].name = name;
        name += length;
    }
    t->count = count;
    return FAB_OK;
}

fab_status fab_tensors_make(const char *source, const fab_tensor *items, size_t count,
                            float **values, size_t block, fab_tensors **out, fab_error *err)
{
    if (count > FAB_MAX_TENSORS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%zu tensors, at most %d are read", count, FAB_MAX_TENSORS);
    FAB_AUTO(fab_tensors_free) fab_tensors *t = fab_calloc(1, sizeof *t);
    if (!t) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for tensors");
    snprintf(t->source, sizeof t->source, "%s", source);
    FAB_TRY(copy_items(t, items, count, err));
    qsort(t->items, count, sizeof *t->items, by_values);
    t->values = *values;
    fab_status status = check_values(t, block, err);
    if (status == FAB_OK) {
        qsort(t->items, count, sizeof *t->items, by_name);
        status = check_names(t, err);
    }
    if (status < 0) {
        t->values = NULL; /* still the caller's */
        return status;
    }
    *values = NULL;
    *out = t;
    t = NULL;
    return FAB_OK;
}

/* ---- finding ---------------------------------------------------------------------------- */

static void shape_text(const int64_t *shape, int rank, char *into, size_t capacity)
{
    size_t at = 0;
    into[0] = 0;
    for (int i = 0; i < rank && at < capacity; i++) {
        int n = snprintf(into + at, capacity - at, "%s%lld", i ? "," : "", (long long)shape[i]);
        at += n > 0 ? (size_t)n : 0;
    }
}

fab_status fab_tensors_get(const fab_tensors *t, const char *name, const int64_t *shape, int rank,
                           const float **out, fab_error *err)
{
    const fab_tensor key = {.name = name};
    const fab_tensor *found = bsearch(&key, t->items, t->count, sizeof key, by_name);
    if (!found)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: tensor %s is missing", t->source, name);
    bool same = found->rank == rank;
    for (int i = 0; same && i < rank; i++) same = found->shape[i] == shape[i];
    if (!same) {
        char is[96], wanted[96];
        shape_text(found->shape, found->rank, is, sizeof is);
        shape_text(shape, rank, wanted, sizeof wanted);
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: tensor %s has shape [%s], the architecture needs [%s]",
                 t->source, name, is, wanted);
    }
    *out = found->values;
    return FAB_OK;
}
