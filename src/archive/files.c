/* files.c - a zip read entry by entry in memory, for formats that are zips inside. */
#include <stdlib.h>
#include <string.h>

#include "archive_internal.h"

typedef struct file {
    char *name;
    uint64_t bytes, index; /* index: libzip's */
} file;

struct fab_archive {
    zip_t *zip;
    char source[256];
    size_t count;
    file *files;
};

fab_archive *fab_archive_free(fab_archive *a)
{
    if (!a) return NULL;
    if (a->zip) zip_discard(a->zip);
    for (size_t i = 0; i < a->count; i++) fab_free(a->files[i].name);
    fab_free(a->files);
    return fab_free(a);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const file *)a)->name, ((const file *)b)->name);
}

static fab_status list_files(fab_archive *a, fab_error *err)
{
    fab_archive_entry entry;
    const zip_int64_t count = zip_get_num_entries(a->zip, 0);
    a->files = fab_calloc((size_t)count, sizeof *a->files);
    if (!a->files) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory for its entries", a->source);
    for (zip_int64_t i = 0; i < count; i++) {
        FAB_TRY(fab_archive_entry_read(a->zip, (uint64_t)i, a->source, &entry, err));
        if (entry.is_folder) continue;
        char *name = fab_strdup(entry.name);
        if (!name) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory for its entries", a->source);
        a->files[a->count++] = (file){name, entry.size, (uint64_t)i};
    }
    qsort(a->files, a->count, sizeof *a->files, by_name);
    for (size_t i = 1; i < a->count; i++)
        if (by_name(&a->files[i - 1], &a->files[i]) == 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: entry \"%.100s\" is there twice", a->source,
                     a->files[i].name);
    return FAB_OK;
}

fab_status fab_archive_open(const fab_reader *r, fab_archive **out, fab_error *err)
{
    uint64_t total = 0;
    FAB_AUTO(fab_archive_free) fab_archive *a = fab_calloc(1, sizeof *a);
    if (!a) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to open it", r->name);
    memcpy(a->source, r->name, sizeof a->source);
    FAB_TRY(fab_archive_zip_open(r, &a->zip, err));
    FAB_TRY(fab_archive_weigh(a->zip, r, &total, err));
    FAB_TRY(list_files(a, err));
    *out = a;
    a = NULL;
    return FAB_OK;
}

size_t fab_archive_count(const fab_archive *a)
{
    return a->count;
}

const char *fab_archive_name(const fab_archive *a, size_t index)
{
    return a->files[index].name;
}

uint64_t fab_archive_bytes(const fab_archive *a, size_t index)
{
    return a->files[index].bytes;
}

bool fab_archive_find(const fab_archive *a, const char *name, size_t *index)
{
    const file key = {.name = (char *)(uintptr_t)name};
    const file *found = bsearch(&key, a->files, a->count, sizeof key, by_name);
    if (found) *index = (size_t)(found - a->files);
    return found != NULL;
}

static fab_status open_file(const fab_archive *a, const file *f, zip_file_t **out, fab_error *err)
{
    *out = zip_fopen_index(a->zip, f->index, 0);
    if (!*out)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: entry \"%.100s\" cannot be opened (%s)", a->source,
                 f->name, zip_strerror(a->zip));
    return FAB_OK;
}

static fab_status wrong_size(const fab_archive *a, const file *f, const char *how, fab_error *err)
{
    FAB_FAIL(err, FAB_ERR_FORMAT, "%s: entry \"%.100s\" is %s than the %llu bytes it claims",
             a->source, f->name, how, (unsigned long long)f->bytes);
}

/* Nothing is left, and the checksum is right. */
static fab_status read_end(const fab_archive *a, const file *f, zip_file_t *from, fab_error *err)
{
    uint8_t more;
    size_t got = 0;
    FAB_TRY(fab_archive_entry_fill(from, a->source, f->name, &more, 1, &got, err));
    return got ? wrong_size(a, f, "longer", err) : FAB_OK;
}

static fab_status read_whole(const fab_archive *a, const file *f, zip_file_t *from, void *into,
                             fab_error *err)
{
    size_t got = 0;
    FAB_TRY(fab_archive_entry_fill(from, a->source, f->name, into, (size_t)f->bytes, &got, err));
    if (got < f->bytes) return wrong_size(a, f, "shorter", err);
    return read_end(a, f, from, err);
}

fab_status fab_archive_read(const fab_archive *a, size_t index, void *into, fab_error *err)
{
    const file *f = &a->files[index];
    zip_file_t *from = NULL;
    FAB_TRY(open_file(a, f, &from, err));
    const fab_status status = read_whole(a, f, from, into, err);
    zip_fclose(from);
    return status;
}

static fab_status copy_blocks(const fab_archive *a, const file *f, zip_file_t *from, fab_writer *w,
                              fab_error *err)
{
    uint8_t block[FAB_ARCHIVE_BLOCK_BYTES];
    for (uint64_t done = 0; done < f->bytes;) {
        const uint64_t left = f->bytes - done;
        const size_t n = left < sizeof block ? (size_t)left : sizeof block;
        size_t got = 0;
        FAB_TRY(fab_archive_entry_fill(from, a->source, f->name, block, n, &got, err));
        if (got < n) return wrong_size(a, f, "shorter", err);
        FAB_TRY(fab_writer_write(w, block, n, err));
        done += n;
    }
    return read_end(a, f, from, err);
}

fab_status fab_archive_copy(const fab_archive *a, size_t index, fab_writer *w, fab_error *err)
{
    const file *f = &a->files[index];
    zip_file_t *from = NULL;
    FAB_TRY(open_file(a, f, &from, err));
    const fab_status status = copy_blocks(a, f, from, w, err);
    zip_fclose(from);
    return status;
}
