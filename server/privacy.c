/* privacy.c - what a viewer (paired by the code) is not shown: who the patient is. Names, numbers,
 * dates and UIDs stand in three places of a case (docs/formats/case.md): the manifest's
 * patient_identifiers, report.html and DICOM objects. A viewer's manifest has none of the first;
 * of files it gets only kinds that are known to hold nobody's name. */
#include "server_internal.h"

#include <string.h>
#include <strings.h>

bool fab_privacy_file(const char *path)
{
    static const char *const endings[] = {".glb", ".stl", ".obj", ".mtl", ".ply", ".3mf", ".nii.gz",
                                          ".nii", ".png", "labels.json", "parts.json"};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);
        if (length >= n && strcasecmp(path + length - n, endings[i]) == 0) return true;
    }
    return false;
}

/* A deep copy. */
static fab_status copy_of(const fab_json *value, fab_json **out, fab_error *err)
{
    FAB_AUTO_BUF fab_buf text = {0};
    fab_writer w;
    fab_writer_to_buf(&text, &w);
    FAB_TRY(fab_json_dump(value, 0, &w, err));
    return fab_json_parse(text.data, text.size, "manifest.json", out, err);
}

static fab_status blank(const fab_json *object, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    const char *key = NULL;
    const fab_json *value = NULL;
    for (void *at = NULL; object && fab_json_next(object, &at, &key, &value);)
        FAB_TRY(fab_json_set(o, key, fab_json_null(), err));
    *out = o;
    o = NULL;
    return FAB_OK;
}

/* The list of files without those that a viewer does not get. */
static fab_status shown_files(const fab_json *rows, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *array = fab_json_array();
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        FAB_AUTO(fab_json_free) fab_json *row = NULL;
        if (!fab_privacy_file(fab_text_of(fab_json_at(rows, i), "path"))) continue;
        FAB_TRY(copy_of(fab_json_at(rows, i), &row, err));
        FAB_TRY(fab_json_append(array, fab_json_retain(row), err));
    }
    *out = array;
    array = NULL;
    return FAB_OK;
}

fab_status fab_privacy_manifest(const fab_json *manifest, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *m = NULL;
    fab_json *none = NULL, *files = NULL;
    FAB_TRY(copy_of(manifest, &m, err));
    FAB_TRY(blank(fab_json_find(manifest, "patient_identifiers"), &none, err));
    FAB_TRY(fab_json_set(m, "patient_identifiers", none, err));
    FAB_TRY(shown_files(fab_json_find(manifest, "files"), &files, err));
    FAB_TRY(fab_json_set(m, "files", files, err));
    fab_json *options = (fab_json *)(uintptr_t)fab_json_find(m, "options");
    if (fab_json_find(options, "series")) /* a UID, or what the study calls it */
        FAB_TRY(fab_json_set(options, "series", fab_json_null(), err));
    *out = m;
    m = NULL;
    return FAB_OK;
}

fab_status fab_privacy_open(const fab_json *manifest, fab_private *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *m = NULL;
    fab_buf text = {0};
    fab_writer w;
    fab_sha256 h;
    uint8_t digest[32];
    FAB_TRY(fab_privacy_manifest(manifest, &m, err));
    fab_writer_to_buf(&text, &w);
    fab_status status = fab_json_dump(m, 2, &w, err);
    if (status < 0) {
        fab_buf_free(&text);
        return status;
    }
    fab_sha256_init(&h);
    fab_sha256_update(&h, text.data, text.size);
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, out->sha256);
    out->raw = fab_bytes_own(text.data, text.size);
    out->gzip = out->raw ? fab_bytes_gzip(out->raw->data, out->raw->size, 6) : NULL;
    if (!out->gzip) {
        fab_privacy_close(out);
        FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory for the manifest");
    }
    return FAB_OK;
}

void fab_privacy_close(fab_private *p)
{
    p->raw = fab_bytes_unref(p->raw);
    p->gzip = fab_bytes_unref(p->gzip);
}

void fab_privacy_answer(const fab_private *p, const fab_request *q, fab_answer *a)
{
    char tag[80];
    bool packed = !q->range[0] && fab_parse_accepts_gzip(q->accept_encoding);
    fab_bytes *bytes = packed ? p->gzip : p->raw;
    if (packed) {
        memcpy(tag, p->sha256, 64);
        memcpy(tag + 64, "-gz", 4);
    } else memcpy(tag, p->sha256, 65);
    a->type = "application/json";
    fab_answer_header(a, "vary:", "accept-encoding");
    if (packed) fab_answer_header(a, "content-encoding:", "gzip");
    if (fab_answer_part(a, q, tag, bytes->size)) a->bytes = fab_bytes_ref(bytes);
}
