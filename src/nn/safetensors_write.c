/* safetensors_write.c - named tensors to a safetensors file, and sets taken out of one. */
#include <stdio.h>
#include <string.h>

#include "nn_internal.h"

static size_t values_of(const fab_tensor *t)
{
    size_t n = 1;
    for (int a = 0; a < t->rank; a++) n *= (size_t)t->shape[a];
    return n;
}

static fab_status put_entry(fab_buf *header, const char *prefix, const fab_tensor *t,
                            uint64_t *at, fab_error *err)
{
    const uint64_t end = *at + values_of(t) * sizeof(float);
    FAB_TRY(fab_buf_appendf(header, err, "%s\"%s%s\":{\"dtype\":\"F32\",\"shape\":[",
                            *at ? "," : "", prefix, t->name));
    for (int a = 0; a < t->rank; a++)
        FAB_TRY(fab_buf_appendf(header, err, "%s%lld", a ? "," : "", (long long)t->shape[a]));
    FAB_TRY(fab_buf_appendf(header, err, "],\"data_offsets\":[%llu,%llu]}",
                            (unsigned long long)*at, (unsigned long long)end));
    *at = end;
    return FAB_OK;
}

/* "{...}" padded with spaces to a multiple of eight bytes. */
static fab_status make_header(const fab_tensors_named *sets, size_t count, fab_buf *header,
                              fab_error *err)
{
    uint64_t at = 0;
    FAB_TRY(fab_buf_append(header, "{", 1, err));
    for (size_t s = 0; s < count; s++)
        for (size_t i = 0; i < fab_tensors_count(sets[s].tensors); i++)
            FAB_TRY(put_entry(header, sets[s].prefix, fab_tensors_at(sets[s].tensors, i), &at,
                              err));
    FAB_TRY(fab_buf_append(header, "}", 1, err));
    while (header->size % 8) FAB_TRY(fab_buf_append(header, " ", 1, err));
    return FAB_OK;
}

static fab_status write_all(const fab_tensors_named *sets, size_t count, const fab_buf *header,
                            fab_writer *w, fab_error *err)
{
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)header->size >> 8 * i);
    FAB_TRY(fab_writer_write(w, length, sizeof length, err));
    FAB_TRY(fab_writer_write(w, header->data, header->size, err));
    for (size_t s = 0; s < count; s++)
        for (size_t i = 0; i < fab_tensors_count(sets[s].tensors); i++) {
            const fab_tensor *t = fab_tensors_at(sets[s].tensors, i);
            FAB_TRY(fab_writer_write(w, t->values, values_of(t) * sizeof(float), err));
        }
    return FAB_OK;
}

fab_status fab_tensors_write_safetensors(const fab_tensors_named *sets, size_t count,
                                         const char *path, fab_error *err)
{
    FAB_AUTO_BUF fab_buf header = {0};
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_TRY(make_header(sets, count, &header, err));
    FAB_TRY(fab_atomic_open(path, &file, err));
    FAB_TRY(write_all(sets, count, &header, fab_atomic_writer(file), err));
    return fab_atomic_commit(&file, err);
}

fab_status fab_tensors_take(const fab_tensors *t, const char *prefix, fab_tensors **out,
                            fab_error *err)
{
    const size_t skip = strlen(prefix);
    size_t count = 0, used = 0;
    FAB_AUTO_FREE fab_tensor *items = fab_calloc(fab_tensors_count(t) + 1, sizeof *items);
    if (!items) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for tensors of %s", prefix);
    for (size_t i = 0; i < fab_tensors_count(t); i++) {
        const fab_tensor *one = fab_tensors_at(t, i);
        if (strncmp(one->name, prefix, skip) != 0) continue;
        items[count++] = *one;
        used += values_of(one);
    }
    if (!count)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no tensor's name begins with \"%s\"",
                 fab_tensors_source(t), prefix);
    float *values = fab_alloc_array(used, sizeof *values);
    if (!values) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for tensors of %s", prefix);
    for (size_t i = 0, at = 0; i < count; i++) {
        const size_t n = values_of(&items[i]);
        memcpy(values + at, items[i].values, n * sizeof *values);
        items[i].name += skip;
        items[i].values = values + at;
        at += n;
    }
    const fab_status status =
        fab_tensors_make(fab_tensors_source(t), items, count, &values, used, out, err);
    fab_free(values);
    return status;
}
