/* dicom_edit.h - changes single elements of an Explicit VR Little Endian file that we wrote, for
 * tests that need a file with one thing wrong. Top level only; sequences have explicit lengths.
 */
#ifndef FAB_TEST_DICOM_EDIT_H
#define FAB_TEST_DICOM_EDIT_H

#include "harness.h"

typedef struct edit_file {
    char path[FAB_MAX_PATH_BYTES];
    uint8_t *bytes;
    size_t size;
} edit_file;

typedef struct edit_element {
    size_t start, value, length, end;
    uint32_t tag;
} edit_element;

static inline void edit_open(edit_file *f, const char *folder, const char *name)
{
    fab_error err = {0};
    fab_reader r;
    CHECK_OK(fab_path_join(f->path, sizeof f->path, folder, name, &err));
    CHECK_OK(fab_reader_open_file(f->path, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, (size_t)1 << 30, &f->bytes, &f->size, &err));
    fab_reader_close(&r);
}

static inline void edit_save_as(edit_file *f, const char *path)
{
    fab_error err = {0};
    CHECK_OK(fab_file_write_atomic(path, f->bytes, f->size, &err));
    f->bytes = fab_free(f->bytes);
}

static inline void edit_save(edit_file *f)
{
    edit_save_as(f, f->path);
}

static inline bool edit_at(const edit_file *f, size_t at, edit_element *e)
{
    const uint8_t *p = f->bytes + at;
    if (at + 8 > f->size) return false;
    e->start = at;
    e->tag = (uint32_t)(p[1] << 8 | p[0]) << 16 | (uint32_t)(p[3] << 8 | p[2]);
    bool wide = p[4] == 'O' || (p[4] == 'S' && p[5] == 'Q') || (p[4] == 'U' && p[5] != 'I' &&
                p[5] != 'S' && p[5] != 'L');
    e->value = at + (wide ? 12 : 8);
    e->length = wide ? (size_t)p[8] | (size_t)p[9] << 8 | (size_t)p[10] << 16 | (size_t)p[11] << 24
                     : (size_t)p[6] | (size_t)p[7] << 8;
    e->end = e->value + e->length;
    return true;
}

/* The element, or where it would have to be (then false). */
static inline bool edit_find(const edit_file *f, uint32_t tag, edit_element *e)
{
    for (size_t at = 132; edit_at(f, at, e); at = e->end)
        if (e->tag >= tag) return e->tag == tag;
    CHECK(!"ran off the file");
    return false;
}

static inline void edit_splice(edit_file *f, size_t at, size_t remove, const void *insert,
                               size_t count)
{
    uint8_t *out = fab_malloc(f->size - remove + count);
    CHECK(out != NULL);
    memcpy(out, f->bytes, at);
    if (count) memcpy(out + at, insert, count);
    memcpy(out + at + count, f->bytes + at + remove, f->size - at - remove);
    f->size = f->size - remove + count;
    fab_free(f->bytes);
    f->bytes = out;
}

static inline void edit_remove(edit_file *f, uint32_t tag)
{
    edit_element e;
    if (edit_find(f, tag, &e)) edit_splice(f, e.start, e.end - e.start, NULL, 0);
}

/* Replaces or adds an element of a short-form VR ("CS", "DS", "US"...). */
static inline void edit_set(edit_file *f, uint32_t tag, const char *vr, const void *value,
                            size_t count)
{
    uint8_t element[2048] = {(uint8_t)(tag >> 16), (uint8_t)(tag >> 24), (uint8_t)tag,
                             (uint8_t)(tag >> 8), (uint8_t)vr[0], (uint8_t)vr[1]};
    size_t even = (count + 1) / 2 * 2;
    CHECK(even + 8 <= sizeof element);
    memcpy(element + 8, value, count);
    if (even > count) element[8 + count] = strcmp(vr, "UI") == 0 ? 0 : ' ';
    element[6] = (uint8_t)even;
    element[7] = (uint8_t)(even >> 8);
    edit_remove(f, tag);
    edit_element e;
    (void)edit_find(f, tag, &e);
    edit_splice(f, e.start, 0, element, even + 8);
}

static inline void edit_text(const char *folder, const char *name, uint32_t tag, const char *vr,
                             const char *value)
{
    edit_file f;
    edit_open(&f, folder, name);
    edit_set(&f, tag, vr, value, strlen(value));
    edit_save(&f);
}

static inline void edit_u16(const char *folder, const char *name, uint32_t tag, unsigned value)
{
    edit_file f;
    uint8_t two[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
    edit_open(&f, folder, name);
    edit_set(&f, tag, "US", two, 2);
    edit_save(&f);
}

static inline void edit_cut(const char *folder, const char *name, size_t size)
{
    edit_file f;
    edit_open(&f, folder, name);
    CHECK(size <= f.size);
    f.size = size;
    edit_save(&f);
}

#endif
