/* fabrica/twin.h - layer 3: the case on disk: passive, versioned, written atomically.
 *
 * docs/formats/case.md describes the folder; contract/manifest.schema.json its manifest.
 */
#ifndef FABRICA_TWIN_H
#define FABRICA_TWIN_H

#include "fabrica/anatomy.h"
#include "fabrica/json.h"
#include "fabrica/mesh.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAB_CASE_FORMAT "fabrica-case"
#define FAB_CASE_FORMAT_VERSION 1

/* ---- writing ---------------------------------------------------------------------------- */

/* A folder being written as "<path>.tmp-XXXXXX" beside path; commit fsyncs it and renames it to
 * path, abort removes it. The temporary folder is locked while its writer lives; begin removes
 * unlocked ones that a killed run left for the same path.
 *
 * path must not exist, be an empty folder, or (with `replace`) be a folder that holds a file named
 * `marker`, so that no folder of another kind is ever replaced; else FAB_ERR_ARG. The parent must
 * exist (FAB_ERR_NOTFOUND). */
typedef struct fab_case_writer fab_case_writer;
fab_status fab_case_begin(const char *path, bool replace, fab_case_writer **out, fab_error *err);
fab_status fab_case_begin_folder(const char *path, const char *marker, bool replace,
                                 fab_case_writer **out, fab_error *err);
/* Files below path/name, which others put there, stay when path is replaced: they are in the new
 * folder from the moment it appears, and at no time in neither. Call it after begin; name is kept
 * by pointer. FAB_ERR_ARG, FAB_ERR_FORMAT: it holds something that is neither file nor folder. */
fab_status fab_case_keep(fab_case_writer *w, const char *name, fab_error *err);
const char *fab_case_folder(const fab_case_writer *w); /* the temporary folder to write into */
/* On success *w is NULL and path is complete on disk. On failure *w is still the caller's. */
fab_status fab_case_commit(fab_case_writer **w, fab_error *err);
fab_case_writer *fab_case_abort(fab_case_writer *w);
FAB_DEFINE_AUTO(fab_case_writer, fab_case_abort)

/* [{"path","bytes","sha256"}...] of every file below folder, sorted by path, except the names in
 * `skip` (NULL-terminated, may be NULL). Progress may be NULL. */
fab_status fab_case_list_files(const char *folder, const char *const *skip,
                               const fab_progress *progress, fab_json **out, fab_error *err);

/* ---- meshes of a case ------------------------------------------------------------------- */

/* meshes/NAME.ply and meshes/lodN/NAME.ply: binary little-endian PLY that any tool opens, with a
 * fixed header so that reading it back is exact (docs/formats/case.md). Normals are not stored. */
fab_status fab_case_mesh_write(const fab_mesh *mesh, fab_writer *w, fab_error *err);
fab_status fab_case_mesh_save(const fab_mesh *mesh, const char *path, fab_error *err);
/* FAB_ERR_FORMAT for any other PLY, an index out of range or a coordinate that is not finite. */
fab_status fab_case_mesh_read(const fab_reader *r, fab_mesh *out, fab_error *err);
fab_status fab_case_mesh_load(const char *path, fab_mesh *out, fab_error *err);

/* ---- reading ---------------------------------------------------------------------------- */

/* A case read back: manifest checked against its format version and for every field later parts
 * read; set comes from labels.json. */
typedef struct fab_case {
    char path[FAB_MAX_PATH_BYTES];
    fab_json *manifest;
    fab_label_set set;
} fab_case;
fab_status fab_case_open(const char *path, fab_case *out, fab_error *err);
void fab_case_close(fab_case *c);
/* Re-hashes every file the manifest lists: FAB_ERR_INTEGRITY names the first that differs. */
fab_status fab_case_verify(const fab_case *c, const fab_progress *progress, fab_error *err);
/* Level 0 (full detail) to the manifest's last; the set is ascending by label. */
fab_status fab_case_load_meshes(const fab_case *c, int level, fab_mesh_set *out, fab_error *err);
/* How many levels the case holds, full detail included. */
int fab_case_mesh_levels(const fab_case *c);

#ifdef __cplusplus
}
#endif
#endif
