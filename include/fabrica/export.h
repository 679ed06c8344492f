/* fabrica/export.h - layer 3: one table row and one file a format.
 *
 * Every file is written through fab_atomic_file: it appears whole or not at all, and a full disk is
 * FAB_ERR_NOSPACE. Same scene, same bytes: no dates, no host names, no pointers in any output.
 * No output holds patient data: the frame of reference and the source travel as hashes.
 */
#ifndef FABRICA_EXPORT_H
#define FABRICA_EXPORT_H

#include "fabrica/anatomy.h"
#include "fabrica/json.h"
#include "fabrica/mesh.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The headset file holds at most this many triangles, all its levels of detail together. Its levels
 * are those of scene.meshes and scene.lods that fit, finest first; if none fits: FAB_ERR_LIMIT. */
#define FAB_EXPORT_HEADSET_TRIANGLES 300000
/* Triangles a level should have (finest first) so that three levels fit; for fab_mesh_simplify. */
#define FAB_EXPORT_HEADSET_LEVELS 3
uint32_t fab_export_headset_level_triangles(size_t level); /* 220000, 60000, 18000; 0 beyond */

/* Everything a format may need. Only `meshes` must be set; every other member may be zero. */
typedef struct fab_export_scene {
    const fab_mesh_set *meshes;         /* full detail; normals are computed where NULL */
    const fab_mesh_report *reports;     /* one per mesh, same order; NULL: no figures written */
    const fab_mesh_set *const *lods;    /* coarser sets, finest first; for the headset file */
    size_t lod_count;                   /* may be 0 */
    const fab_label_set *set;           /* names and colours; NULL: "structure_<label>", grey */
    const char *frame_of_reference_sha256; /* hash, never the UID itself; or NULL */
    const char *source_sha256;          /* or NULL */
    const char *generator;              /* "fabrica 0.1.0"; NULL: this library's version */
    /* Rigid. The written geometry is world_from_patient * mesh position (LPS mm); identity unless
     * de-placed. All zeros means identity. */
    fab_mat34 world_from_patient;
} fab_export_scene;

typedef struct fab_export_format {
    const char *name, *extension, *media_type, *description;
    /* path is a folder, made if missing; one file a structure, "<name><extension>", is written
     * into it. Else path is the file (obj: its .mtl is written beside it). */
    bool per_structure;
    /* FAB_ERR_ARG: a mesh with an index out of range, a position that is not finite, or a map that
     * is not rigid; FAB_ERR_LIMIT: more than the format can hold; FAB_ERR_IO, FAB_ERR_NOSPACE. */
    fab_status (*write)(const fab_export_scene *scene, const char *path, fab_error *err);
} fab_export_format;
size_t fab_export_count(void);
const fab_export_format *fab_export_at(size_t index); /* NULL outside */
/* glb, glb-headset, stl, obj, ply, 3mf; NULL if there is none of that name. */
const fab_export_format *fab_export_find(const char *name);

/* The file name (without folder and extension) a per-structure format gives to
 * meshes->items[index]: the label's name with everything but [A-Za-z0-9._-] replaced by '_',
 * "_<label>" added where two would be the same. FAB_ERR_ARG if the index is out of range. */
fab_status fab_export_file_stem(const fab_export_scene *scene, size_t index, char *into,
                                size_t capacity, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
