/* safetensors.c - named tensors from a safetensors file, trusting nothing in it.
 *
 *     | u64 LE n | n bytes of JSON {"name": {"dtype","shape","data_offsets":[a,b]}, ...} | data |
 *
 * As the format demands, the data has no holes and no overlap: sorted by offset, each tensor
 * begins where the one before ended and the last ends at the end of the file.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn_internal.h"

#define MAX_RANK 8

typedef struct tensor {
    char *name;
    int rank;
    int64_t shape[MAX_RANK];
    int64_t count;
    uint64_t begin, end; /* in the data part */
    int dtype;           /* index into dtypes */
    float *values;       /* inside fab_tensors.values */
} tensor;

struct fab_tensors {
    char source[256];
    size_t count;
    tensor *items;
    float *values;
};

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

static float half_value(unsigned bits)
{
    const int exponent = (int)(bits >> 10 & 31);
    const float mantissa = (float)(bits & 1023);
    float value = exponent == 31  ? (mantissa > 0 ? NAN : INFINITY)
                  : exponent == 0 ? ldexpf(mantissa, -24)
                                  : ldexpf(mantissa + 1024.0f, exponent - 25);
    return bits & 0x8000 ? -value : value;
}

static void f32_from_f16(const uint8_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = half_value((unsigned)from[2 * i] | (unsigned)from[2 * i + 1] << 8);
}

static const struct dtype_row {
    const char *name;
    unsigned bytes;
    void (*to_f32)(const uint8_t *from, float *to, size_t count);
} dtypes[] = {{"F32", 4, f32_from_f32}, {"F16", 2, f32_from_f16}, {"BF16", 2, f32_from_bf16}};

fab_tensors *fab_tensors_free(fab_tensors *t)
{
    if (!t) return NULL;
    for (size_t i = 0; i < t->count; i++) fab_free(t->items[i].name);
    fab_free(t->items);
    fab_free(t->values);
    return fab_free(t);
}

size_t fab_tensors_count(const fab_tensors *t)
{
    return t->count;
}

const char *fab_tensors_source(const fab_tensors *t)
{
    return t->source;
}

static fab_status parse_shape(const fab_json *shape, tensor *t, fab_error *err)
{
    const size_t rank = fab_json_count(shape);
    if (rank > MAX_RANK)
        FAB_FAIL(err, FAB_ERR_LIMIT, "shape has %zu axes, at most %d are read", rank, MAX_RANK);
    t->rank = (int)rank;
    t->count = 1;
    for (size_t i = 0; i < rank; i++) {
        const double n = fab_json_number(fab_json_at(shape, i));
        if (!fab_json_is_number(fab_json_at(shape, i)) || n < 1 || n != floor(n) || n > 1e9)
            FAB_FAIL(err, FAB_ERR_FORMAT, "shape[%zu] is not a whole number from 1 to 1e9", i);
        t->shape[i] = (int64_t)n;
        if (t->count > FAB_MAX_WEIGHTS / t->shape[i])
            FAB_FAIL(err, FAB_ERR_LIMIT, "shape asks for more than %lld values",
                     (long long)FAB_MAX_WEIGHTS);
        t->count *= t->shape[i];
    }
    return FAB_OK;
}

static fab_status parse_offsets(const fab_json *offsets, uint64_t data_bytes, tensor *t,
                                fab_error *err)
{
    if (fab_json_count(offsets) != 2)
        FAB_FAIL(err, FAB_ERR_FORMAT, "data_offsets is not [begin, end]");
    uint64_t at[2];
    for (size_t i = 0; i < 2; i++) {
        const double n = fab_json_number(fab_json_at(offsets, i));
        if (!fab_json_is_number(fab_json_at(offsets, i)) || n < 0 || n != floor(n) ||
            n > (double)data_bytes)
            FAB_FAIL(err, FAB_ERR_FORMAT, "data_offsets[%zu] is outside the file's %llu data bytes",
                     i, (unsigned long long)data_bytes);
        at[i] = (uint64_t)n;
    }
    const uint64_t expected = (uint64_t)t->count * dtypes[t->dtype].bytes;
    if (at[1] < at[0] || at[1] - at[0] != expected)
        FAB_FAIL(err, FAB_ERR_FORMAT,
                 "data_offsets [%llu, %llu] do not hold its shape, which needs %llu bytes",
                 (unsigned long long)at[0], (unsigned long long)at[1],
                 (unsigned long long)expected);
    t->begin = at[0];
    t->end = at[1];
    return FAB_OK;
}

static fab_status parse_tensor(const fab_json *entry, uint64_t data_bytes, tensor *t,
                               fab_error *err)
{
    const char *dtype = NULL;
    const fab_json *shape = NULL, *offsets = NULL;
    FAB_TRY(fab_json_get_string(entry, "dtype", &dtype, err));
    FAB_TRY(fab_json_get_array(entry, "shape", &shape, err));
    FAB_TRY(fab_json_get_array(entry, "data_offsets", &offsets, err));
    t->dtype = -1;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtype, dtypes[i].name) == 0) t->dtype = (int)i;
    if (t->dtype < 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "dtype %.20s is not read (F32, F16, BF16 are)", dtype);
    FAB_TRY(parse_shape(shape, t, err));
    return parse_offsets(offsets, data_bytes, t, err);
}

static fab_status parse_header(const fab_json *header, uint64_t data_bytes, fab_tensors *t,
                               fab_error *err)
{
    void *cursor = NULL;
    const char *key = NULL;
    const fab_json *entry = NULL;
    const size_t most = fab_json_count(header);
    if (!fab_json_is_object(header)) FAB_FAIL(err, FAB_ERR_FORMAT, "the header is no JSON object");
    if (most > FAB_MAX_TENSORS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%zu tensors, at most %d are read", most, FAB_MAX_TENSORS);
    t->items = fab_calloc(most, sizeof *t->items);
    if (!t->items) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu tensors", most);
    while (fab_json_next(header, &cursor, &key, &entry)) {
        if (strcmp(key, "__metadata__") == 0) continue;
        tensor *item = &t->items[t->count];
        if (parse_tensor(entry, data_bytes, item, err) < 0)
            return fab_error_prefix(err, "tensor %.100s", key);
        item->name = fab_strdup(key);
        if (!item->name) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a tensor's name");
        t->count++;
    }
    return FAB_OK;
}

static int by_offset(const void *a, const void *b)
{
    const tensor *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tensor *)a)->name, ((const tensor *)b)->name);
}

/* No holes, no overlap. Returns the number of values in all. */
static fab_status check_cover(fab_tensors *t, uint64_t data_bytes, int64_t *total, fab_error *err)
{
    uint64_t at = 0;
    *total = 0;
    qsort(t->items, t->count, sizeof *t->items, by_offset);
    for (size_t i = 0; i < t->count; i++) {
        const tensor *item = &t->items[i];
        if (item->begin != at)
            FAB_FAIL(err, FAB_ERR_FORMAT,
                     "tensor %.100s begins at %llu, the data before it ends at %llu", item->name,
                     (unsigned long long)item->begin, (unsigned long long)at);
        at = item->end;
        *total += item->count;
        if (*total > FAB_MAX_WEIGHTS)
            FAB_FAIL(err, FAB_ERR_LIMIT, "more than %lld values", (long long)FAB_MAX_WEIGHTS);
    }
    if (at != data_bytes)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%llu data bytes, the tensors cover %llu",
                 (unsigned long long)data_bytes, (unsigned long long)at);
    return FAB_OK;
}

static fab_status read_values(const fab_reader *r, uint64_t data_at, tensor *t, fab_error *err)
{
    uint8_t chunk[8192];
    const struct dtype_row *d = &dtypes[t->dtype];
    const size_t most = sizeof chunk / d->bytes;
    for (size_t done = 0; done < (size_t)t->count;) {
        const size_t left = (size_t)t->count - done, n = left < most ? left : most;
        FAB_TRY(fab_reader_read(r, data_at + t->begin + done * d->bytes, chunk, n * d->bytes,
                                err));
        d->to_f32(chunk, t->values + done, n);
        for (size_t i = done; i < done + n; i++)
            if (!isfinite(t->values[i]))
                FAB_FAIL(err, FAB_ERR_FORMAT, "tensor %.100s: value %zu is not a finite number",
                         t->name, i);
        done += n;
    }
    return FAB_OK;
}

static fab_status read_all(const fab_reader *r, fab_tensors *t, fab_error *err)
{
    uint8_t head[8];
    if (r->size < sizeof head)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%llu bytes: too short for safetensors",
                 (unsigned long long)r->size);
    FAB_TRY(fab_reader_read(r, 0, head, sizeof head, err));
    uint64_t header_bytes = 0, total_bytes = r->size - sizeof head;
    for (int i = 7; i >= 0; i--) header_bytes = header_bytes << 8 | head[i];
    if (header_bytes > total_bytes || header_bytes > FAB_MAX_TENSOR_HEADER_BYTES)
        FAB_FAIL(err, FAB_ERR_FORMAT, "the header claims %llu bytes, the file has %llu",
                 (unsigned long long)header_bytes, (unsigned long long)r->size);
    FAB_AUTO_FREE uint8_t *text = fab_malloc((size_t)header_bytes);
    if (!text) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the header");
    FAB_TRY(fab_reader_read(r, sizeof head, text, (size_t)header_bytes, err));
    FAB_AUTO(fab_json_free) fab_json *header = NULL;
    FAB_TRY(fab_json_parse(text, (size_t)header_bytes, "header", &header, err));
    const uint64_t data_bytes = total_bytes - header_bytes;
    int64_t total = 0;
    FAB_TRY(parse_header(header, data_bytes, t, err));
    FAB_TRY(check_cover(t, data_bytes, &total, err));
    t->values = fab_alloc_array((size_t)total, sizeof *t->values);
    if (!t->values) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %lld values", (long long)total);
    float *next = t->values;
    for (size_t i = 0; i < t->count; i++) {
        t->items[i].values = next;
        next += t->items[i].count;
        FAB_TRY(read_values(r, sizeof head + header_bytes, &t->items[i], err));
    }
    qsort(t->items, t->count, sizeof *t->items, by_name);
    return FAB_OK;
}

fab_status fab_tensors_read_safetensors(const fab_reader *r, fab_tensors **out, fab_error *err)
{
    FAB_AUTO(fab_tensors_free) fab_tensors *t = fab_calloc(1, sizeof *t);
    if (!t) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory", r->name);
    memcpy(t->source, r->name, sizeof t->source);
    t->source[sizeof t->source - 1] = 0;
    fab_status status = read_all(r, t, err);
    if (status < 0) {
        fab_error_prefix(err, "%s", r->name);
        return status;
    }
    *out = t;
    t = NULL;
    return FAB_OK;
}

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
    const tensor key = {.name = (char *)(uintptr_t)name};
    const tensor *found = bsearch(&key, t->items, t->count, sizeof key, by_name);
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
