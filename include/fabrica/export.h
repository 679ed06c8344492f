/* fabrica/export.h - layer 3: one table row and one file a format. */
#ifndef FABRICA_EXPORT_H
#define FABRICA_EXPORT_H

#include "fabrica/anatomy.h"
#include "fabrica/json.h"
#include "fabrica/mesh.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Everything a format may need; members it does not need may be NULL. */
typedef struct fab_export_scene {
    const fab_mesh_set *meshes;         /* full detail, with normals */
    const fab_mesh_report *reports;     /* one per mesh, same order */
    const fab_mesh_set *const *lods;    /* coarser sets, finest first; for the headset file */
    size_t lod_count;
    const fab_label_set *set;
    const char *frame_of_reference_sha256; /* hash, never the UID itself */
    const char *source_sha256;
    const char *generator;              /* "fabrica 0.1.0" */
    fab_mat34 world_from_patient;       /* identity unless de-placed */
} fab_export_scene;

typedef struct fab_export_format {
    const char *name, *extension, *media_type, *description;
    bool per_structure; /* writes one file a structure into a folder */
    fab_status (*write)(const fab_export_scene *scene, const char *path, fab_error *err);
} fab_export_format;
size_t fab_export_count(void);
const fab_export_format *fab_export_at(size_t index);
const fab_export_format *fab_export_find(const char *name); /* glb, glb-headset, stl, obj, ply, 3mf */

#ifdef __cplusplus
}
#endif
#endif
