/* safetensors.c - named tensors from a safetensors file, trusting nothing in it.
 *
 *     | u64 LE n | n bytes of JSON {"name": {"dtype","shape","data_offsets":[a,b]}, ...} | data |
 *
 * As the format demands, the data has no holes and no overlap: sorted by offset, each tensor
 * begins where the one before ended and the last ends at the end of the file.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn_internal.h"

typedef struct entry {
    const char *name; /* in the header's JSON */
    int rank;
    int64_t shape[FAB_TENSOR_MAX_RANK];
    int64_t count;
    uint64_t begin, end; /* in the data part */
    fab_tensor_dtype dtype;
} entry;

static const struct dtype_row {
    const char *name;
    fab_tensor_dtype dtype;
} dtypes[] = {{"F32", FAB_TENSOR_F32}, {"F16", FAB_TENSOR_F16}, {"BF16", FAB_TENSOR_BF16}};

static fab_status parse_shape(const fab_json *shape, entry *t, fab_error *err)
{
    const size_t rank = fab_json_count(shape);
    if (rank > FAB_TENSOR_MAX_RANK)
        FAB_FAIL(err, FAB_ERR_LIMIT, "shape has %zu axes, at most %d are read", rank,
                 FAB_TENSOR_MAX_RANK);
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

static fab_status parse_offsets(const fab_json *offsets, uint64_t data_bytes, entry *t,
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
    const uint64_t expected = (uint64_t)t->count * fab_tensor_dtype_bytes(t->dtype);
    if (at[1] < at[0] || at[1] - at[0] != expected)
        FAB_FAIL(err, FAB_ERR_FORMAT,
                 "data_offsets [%llu, %llu] do not hold its shape, which needs %llu bytes",
                 (unsigned long long)at[0], (unsigned long long)at[1],
                 (unsigned long long)expected);
    t->begin = at[0];
    t->end = at[1];
    return FAB_OK;
}

static fab_status parse_entry(const fab_json *value, uint64_t data_bytes, entry *t,
                              fab_error *err)
{
    const char *dtype = NULL;
    const fab_json *shape = NULL, *offsets = NULL;
    const struct dtype_row *row = NULL;
    FAB_TRY(fab_json_get_string(value, "dtype", &dtype, err));
    FAB_TRY(fab_json_get_array(value, "shape", &shape, err));
    FAB_TRY(fab_json_get_array(value, "data_offsets", &offsets, err));
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtype, dtypes[i].name) == 0) row = &dtypes[i];
    if (!row)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "dtype %.20s is not read (F32, F16, BF16 are)", dtype);
    t->dtype = row->dtype;
    FAB_TRY(parse_shape(shape, t, err));
    return parse_offsets(offsets, data_bytes, t, err);
}

/* `entries` has room for one an item of the header. */
static fab_status parse_header(const fab_json *header, uint64_t data_bytes, entry *entries,
                               size_t *count, fab_error *err)
{
    void *cursor = NULL;
    const char *key = NULL;
    const fab_json *value = NULL;
    while (fab_json_next(header, &cursor, &key, &value)) {
        if (strcmp(key, "__metadata__") == 0) continue;
        entry *t = &entries[*count];
        t->name = key;
        if (parse_entry(value, data_bytes, t, err) < 0)
            return fab_error_prefix(err, "tensor %.100s", key);
        ++*count;
    }
    return FAB_OK;
}

static int by_offset(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* No holes, no overlap. Returns the number of values in all. */
static fab_status check_cover(entry *entries, size_t count, uint64_t data_bytes, int64_t *total,
                              fab_error *err)
{
    uint64_t at = 0;
    *total = 0;
    qsort(entries, count, sizeof *entries, by_offset);
    for (size_t i = 0; i < count; i++) {
        const entry *item = &entries[i];
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

static fab_status read_values(const fab_reader *r, uint64_t at, const entry *t, float *values,
                              fab_error *err)
{
    uint8_t chunk[8192];
    const size_t bytes = fab_tensor_dtype_bytes(t->dtype), most = sizeof chunk / bytes;
    for (size_t done = 0; done < (size_t)t->count;) {
        const size_t left = (size_t)t->count - done, n = left < most ? left : most;
        FAB_TRY(fab_reader_read(r, at + done * bytes, chunk, n * bytes, err));
        fab_tensor_to_f32(t->dtype, chunk, values + done, n);
        done += n;
    }
    return FAB_OK;
}

/* Entries are in the order of their data. */
static fab_status read_tensors(const fab_reader *r, uint64_t data_at, const entry *entries,
                               size_t count, int64_t total, fab_tensors **out, fab_error *err)
{
    FAB_AUTO_FREE fab_tensor *items = fab_calloc(count, sizeof *items);
    FAB_AUTO_FREE float *values = fab_alloc_array((size_t)total, sizeof *values);
    if (!items || !values)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %lld values", (long long)total);
    float *next = values;
    for (size_t i = 0; i < count; i++) {
        items[i] = (fab_tensor){.name = entries[i].name, .rank = entries[i].rank, .values = next};
        memcpy(items[i].shape, entries[i].shape, sizeof items[i].shape);
        FAB_TRY(read_values(r, data_at + entries[i].begin, &entries[i], next, err));
        next += entries[i].count;
    }
    return fab_tensors_make(r->name, items, count, &values, (size_t)total, out, err);
}

static fab_status read_all(const fab_reader *r, fab_tensors **out, fab_error *err)
{
    uint8_t head[8];
    if (r->size < sizeof head)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%llu %s: too short for safetensors",
                 (unsigned long long)r->size, fab_plural((int64_t)r->size, "byte", "bytes"));
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
    if (!fab_json_is_object(header)) FAB_FAIL(err, FAB_ERR_FORMAT, "the header is no JSON object");
    const size_t most = fab_json_count(header);
    if (most > FAB_MAX_TENSORS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%zu tensors, at most %d are read", most, FAB_MAX_TENSORS);
    FAB_AUTO_FREE entry *entries = fab_calloc(most, sizeof *entries);
    if (!entries) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu tensors", most);
    const uint64_t data_bytes = total_bytes - header_bytes;
    int64_t total = 0;
    size_t count = 0;
    FAB_TRY(parse_header(header, data_bytes, entries, &count, err));
    FAB_TRY(check_cover(entries, count, data_bytes, &total, err));
    return read_tensors(r, sizeof head + header_bytes, entries, count, total, out, err);
}

fab_status fab_tensors_read_safetensors(const fab_reader *r, fab_tensors **out, fab_error *err)
{
    const fab_status status = read_all(r, out, err);
    if (status < 0) fab_error_prefix(err, "%s", r->name);
    return status;
}
