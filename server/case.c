/* case.c - the twin: what it holds, its files, its volume and labels at three resolutions. */
#include "server_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- GET /api/v1/case ------------------------------------------------------------------- */

static bool is_manifest(const fab_file *f) { return strcmp(f->path, "manifest.json") == 0; }

fab_json *fab_case_file_json(const fab_file *f)
{
    fab_json *row = fab_json_object();
    bool good = fab_json_set(row, "path", fab_json_string(f->path), NULL) == FAB_OK &&
                fab_json_set(row, "bytes", fab_json_int((int64_t)f->bytes), NULL) == FAB_OK &&
                fab_json_set(row, "sha256", fab_json_string(f->sha256), NULL) == FAB_OK &&
                fab_json_set(row, "type", fab_json_string(fab_files_type(f->path, false)),
                             NULL) == FAB_OK;
    return good ? row : fab_json_free(row);
}

/* What this role gets; a viewer's manifest is another one. */
static fab_json *files_json(const fab_server *s, fab_role role)
{
    const fab_file_table *t = &s->files;
    fab_json *array = fab_json_array();
    for (size_t i = 0; i < t->count; i++) {
        const fab_file *f = &t->items[i];
        bool shown = role < FAB_ROLE_OWNER && is_manifest(f);
        if (role < FAB_ROLE_OWNER && !shown && !fab_privacy_file(f->path)) continue;
        const char *sha256 = shown ? s->shown.sha256 : f->sha256;
        uint64_t bytes = shown ? s->shown.raw->size : f->bytes;
        fab_file as = *f;
        as.bytes = bytes;
        memcpy(as.sha256, sha256, sizeof as.sha256);
        if (fab_json_append(array, fab_case_file_json(&as), NULL) < 0) return fab_json_free(array);
    }
    return array;
}

static fab_json *numbers(const double *values, size_t count, bool whole)
{
    fab_json *array = fab_json_array();
    for (size_t i = 0; i < count; i++) {
        fab_json *n = whole ? fab_json_int((int64_t)values[i]) : fab_json_real(values[i]);
        if (fab_json_append(array, n, NULL) < 0) return fab_json_free(array);
    }
    return array;
}

fab_json *fab_case_level_json(int index, const fab_level *l)
{
    static const char *const types[] = {[FAB_U8] = "uint8", [FAB_I16] = "int16",
                                        [FAB_U16] = "uint16"};
    const fab_grid *g = &l->grid;
    double size[3] = {g->size[0], g->size[1], g->size[2]};
    int64_t bytes = fab_grid_voxels(g) * (int64_t)fab_dtype_bytes(l->type);
    fab_json *o = fab_json_object();
    bool good = fab_json_set(o, "level", fab_json_int(index), NULL) == FAB_OK &&
                fab_json_set(o, "type", fab_json_string(types[l->type]), NULL) == FAB_OK &&
                fab_json_set(o, "size", numbers(size, 3, true), NULL) == FAB_OK &&
                fab_json_set(o, "world_from_voxel",
                             numbers(&g->world_from_voxel.m[0][0], 12, false), NULL) == FAB_OK &&
                fab_json_set(o, "bytes", fab_json_int(bytes), NULL) == FAB_OK &&
                fab_json_set(o, "low", l->measured ? fab_json_int((int64_t)l->low)
                                                   : fab_json_null(), NULL) == FAB_OK &&
                fab_json_set(o, "high", l->measured ? fab_json_int((int64_t)l->high)
                                                    : fab_json_null(), NULL) == FAB_OK;
    return good ? o : fab_json_free(o);
}

/* {"levels":[...]}, null where the case has none; FAB_OK, 1 (later) or a failure. */
static fab_status levels_json(fab_server *s, fab_level_kind kind, double now_s, fab_json **out,
                              fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *array = fab_json_array(), *o = NULL;
    for (int i = 0; i < FAB_LEVELS; i++) {
        fab_level l = {0};
        fab_status status = fab_levels_get(s->levels, kind, i, false, now_s, &l, err);
        if (status == FAB_ERR_NOTFOUND) {
            *out = fab_json_null();
            return FAB_OK;
        }
        if (status != FAB_OK) return status;
        FAB_TRY(fab_json_append(array, fab_case_level_json(i, &l), err));
    }
    o = fab_json_object();
    FAB_TRY(fab_json_set(o, "levels", fab_json_retain(array), err));
    *out = o;
    o = NULL;
    return FAB_OK;
}

static fab_status case_json(fab_server *s, const fab_request *q, fab_json *o, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *volume = NULL, *labels = NULL;
    fab_status status = levels_json(s, FAB_LEVEL_VOLUME, q->now_s, &volume, err);
    if (status != FAB_OK) return status;
    status = levels_json(s, FAB_LEVEL_LABELS, q->now_s, &labels, err);
    if (status != FAB_OK) return status;
    FAB_TRY(fab_json_set(o, "format", fab_json_string("fabrica-case-view"), err));
    FAB_TRY(fab_json_set(o, "format_version", fab_json_int(1), err));
    /* a folder's name is often a person's */
    const char *name = q->role == FAB_ROLE_OWNER ? fab_path_name(s->twin.path) : "Twin";
    FAB_TRY(fab_json_set(o, "name", fab_json_string(name), err));
    FAB_TRY(fab_json_set(o, "manifest", fab_json_string("/api/v1/case/files/manifest.json"), err));
    FAB_TRY(fab_json_set(o, "manifest_sha256", fab_json_string(s->studio.manifest_sha256), err));
    FAB_TRY(fab_json_set(o, "files", files_json(s, q->role), err));
    FAB_TRY(fab_json_set(o, "volume", fab_json_retain(volume), err));
    FAB_TRY(fab_json_set(o, "labels", fab_json_retain(labels), err));
    FAB_TRY(fab_json_set(o, "role", fab_json_string(fab_role_name(q->role)), err));
    return fab_json_set(o, "read_only", fab_json_bool(true), err);
}

/* Why names the case's folder: that is the owner's to see. */
static void cannot_read(const fab_request *q, fab_status status, const fab_error *err,
                        fab_answer *a)
{
    fab_answer_error(a, 500, fab_status_name(status), "%s",
                     q->role == FAB_ROLE_OWNER ? err->message
                                               : "the case cannot be read; its owner sees why");
}

void fab_case_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)rest;
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    fab_status status = case_json(s, q, o, &err);
    if (status > 0) a->wait = true;
    else if (status < 0) cannot_read(q, status, &err, a);
    else fab_answer_json(a, 200, fab_json_retain(o));
}

/* ---- files ------------------------------------------------------------------------------ */

void fab_case_file(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    const fab_file *f = fab_files_find(&s->files, rest);
    a->sandbox = true;
    if (!f) {
        fab_answer_error(a, 404, "not-found", "the manifest lists no such file");
        return;
    }
    if (q->role < FAB_ROLE_OWNER && is_manifest(f)) fab_privacy_answer(&s->shown, q, a);
    else if (q->role < FAB_ROLE_OWNER && !fab_privacy_file(f->path)) {
        fab_answer_error(a, 403, "role", "this file may name the patient: it is the owner's");
        a->sandbox = true;
        return;
    } else fab_files_answer(&s->files, f, q, fab_files_type(f->path, false), a);
    a->sandbox = true;
    fab_answer_header(a, "cache-control:", "private, no-cache");
}

/* ---- volume and labels ------------------------------------------------------------------ */

static void send_level(const fab_level *l, const char *file_tag, int index, const fab_request *q,
                       fab_answer *a)
{
    char tag[64];
    bool packed = l->gzip && !q->range[0] && fab_parse_accepts_gzip(q->accept_encoding);
    fab_bytes *bytes = packed ? l->gzip : l->raw;
    snprintf(tag, sizeof tag, "%s-1-%d%s", file_tag, index, packed ? "-gz" : "");
    a->type = "application/octet-stream";
    fab_answer_header(a, "vary:", "accept-encoding");
    if (packed) fab_answer_header(a, "content-encoding:", "gzip");
    if (fab_answer_part(a, q, tag, bytes->size)) a->bytes = fab_bytes_ref(bytes);
    fab_answer_header(a, "cache-control:", "private, no-cache");
}

static void answer_level(fab_server *s, fab_level_kind kind, const char *file_tag,
                         const fab_request *q, const char *rest, fab_answer *a)
{
    fab_error err = {0};
    fab_level l = {0};
    bool named = rest[0] >= '0' && rest[0] < '0' + FAB_LEVELS && !rest[1];
    fab_status status =
        named ? fab_levels_get(s->levels, kind, rest[0] - '0', true, q->now_s, &l, &err)
              : fab_error_set(&err, FAB_ERR_NOTFOUND, "levels are 0, 1 and 2");
    if (status > 0) a->wait = true;
    else if (status == FAB_ERR_NOTFOUND) fab_answer_error(a, 404, "not-found", "%s", err.message);
    else if (status < 0) cannot_read(q, status, &err, a);
    else send_level(&l, file_tag, rest[0] - '0', q, a);
    fab_bytes_unref(l.raw);
    fab_bytes_unref(l.gzip);
}

void fab_case_volume(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    answer_level(s, FAB_LEVEL_VOLUME, s->volume_tag, q, rest, a);
}

void fab_case_labels(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    answer_level(s, FAB_LEVEL_LABELS, s->labels_tag, q, rest, a);
}
