/* export_internal.h - what the format writers share: a checked scene, number text, glTF pieces. */
#ifndef FAB_EXPORT_INTERNAL_H
#define FAB_EXPORT_INTERNAL_H

#include "fabrica/export.h"

#define FAB_EXPORT_NOTICE "Not for diagnostic use."

/* ---- the scene, checked once ------------------------------------------------------------- */

typedef struct fab_export_part {
    const fab_mesh *mesh;
    fab_mesh shell;                /* mesh, or a copy of its members with own normals */
    float *own_normals;            /* what the part must free; NULL if the mesh had normals */
    const fab_mesh_report *report; /* NULL: not measured */
    const fab_anatomy *anatomy;    /* NULL: free name */
    char name[FAB_MAX_NAME_BYTES + 16]; /* safe as a file name, unique in the scene */
    char display[FAB_MAX_NAME_BYTES + 16]; /* for people */
    uint8_t rgb[3];
    fab_tissue tissue;
} fab_export_part;

/* Only structures that have triangles. */
typedef struct fab_export_parts {
    const fab_export_scene *scene;
    fab_mat34 map; /* world_from_patient */
    bool moved;    /* false: map is the identity and positions pass bit for bit */
    size_t count;
    fab_export_part *items;
    const char *generator;
} fab_export_parts;

fab_status fab_export_parts_make(const fab_export_scene *scene, fab_export_parts *out,
                                 fab_error *err);
void fab_export_parts_free(fab_export_parts *parts);
#define FAB_AUTO_PARTS __attribute__((cleanup(fab_export_parts_free)))

/* Fills part->shell with normals for a mesh (computed when it has none). */
fab_status fab_export_part_normals(fab_export_part *part, const fab_mesh *mesh, fab_error *err);

/* Vertex v in world LPS mm; its unit normal (never zero, never NaN). */
void fab_export_position(const fab_export_parts *parts, const fab_mesh *mesh, uint32_t v,
                         float out[3]);
void fab_export_normal(const fab_export_parts *parts, const fab_mesh *mesh, uint32_t v,
                       float out[3]);
/* LPS to glTF axes: x = L, y = S, z = -P (a rotation: winding is kept). */
static inline void fab_export_to_gltf(const float lps[3], double scale, float out[3])
{
    out[0] = (float)(lps[0] * scale);
    out[1] = (float)(lps[2] * scale);
    out[2] = (float)(-(double)lps[1] * scale);
}

/* ---- numbers as text, fast and free of locale ------------------------------------------- */

enum { FAB_EXPORT_NUMBER_BYTES = 32 };
/* Writes value with at most 6 decimals, no trailing zeros, no "-0"; returns the length. |value| is
 * taken as at most 1e12. */
size_t fab_export_put_number(char *into, double value);
size_t fab_export_put_count(char *into, uint64_t value);

/* ---- little-endian bytes ---------------------------------------------------------------- */

static inline uint8_t *fab_export_put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) *p++ = (uint8_t)(v >> (8 * i));
    return p;
}
static inline uint8_t *fab_export_put_u16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8);
    return p + 2;
}
static inline uint8_t *fab_export_put_f32(uint8_t *p, float v)
{
    union { float f; uint32_t u; } bits = {.f = v};
    return fab_export_put_u32(p, bits.u);
}

/* ---- glTF document ---------------------------------------------------------------------- */

enum { FAB_GLTF_BYTE = 5120, FAB_GLTF_U16 = 5123, FAB_GLTF_U32 = 5125, FAB_GLTF_F32 = 5126 };
enum { FAB_GLTF_ARRAY_BUFFER = 34962, FAB_GLTF_ELEMENT_BUFFER = 34963 };

/* Arrays are kept apart until the end because glTF forbids empty ones. */
typedef struct fab_gltf {
    const fab_export_parts *parts;
    fab_json *root, *nodes, *meshes, *materials, *accessors, *views, *buffers;
} fab_gltf;

/* asset, scene, root node, one node a tissue group, one material a part. */
fab_status fab_gltf_begin(const fab_export_parts *parts, fab_gltf *out, fab_error *err);
void fab_gltf_free(fab_gltf *doc);
#define FAB_AUTO_GLTF __attribute__((cleanup(fab_gltf_free)))

typedef struct fab_gltf_accessor {
    size_t view, offset;
    int component;
    uint32_t count;
    bool vec3, normalized, ranged;
    double low[3], high[3];
} fab_gltf_accessor;
fab_status fab_gltf_add_accessor(fab_gltf *doc, const fab_gltf_accessor *a, fab_error *err);
/* A mesh of one primitive over accessors first (POSITION), +1 (NORMAL), +2 (indices). */
fab_status fab_gltf_add_mesh(fab_gltf *doc, const char *name, size_t first, size_t material,
                             fab_error *err);
/* The node of part p showing mesh `mesh`; borrowed, to be decorated by the caller. */
fab_status fab_gltf_add_part_node(fab_gltf *doc, size_t p, size_t mesh, fab_json **node,
                                  fab_error *err);
/* Attaches what is not empty, and writes the GLB header and JSON chunk. The caller then writes
 * binary_bytes bytes (a multiple of 4) of BIN chunk; 0: no such chunk. */
fab_status fab_gltf_write_head(fab_gltf *doc, uint64_t binary_bytes, const char *path,
                               fab_writer *w, fab_error *err);
/* New empty object or array put into parent (under key, or appended when key is NULL). */
fab_status fab_gltf_child(fab_json *parent, const char *key, bool array, fab_json **out,
                          fab_error *err);
fab_status fab_gltf_set_count(fab_json *object, const char *key, size_t value, fab_error *err);
fab_status fab_gltf_set_text(fab_json *object, const char *key, const char *text, fab_error *err);

/* ---- zip (PKWARE APPNOTE 6.3), deterministic --------------------------------------------- */

typedef struct fab_zip fab_zip;
fab_status fab_zip_create(fab_writer *w, fab_zip **out, fab_error *err);
/* Begins an entry; then write to the returned writer; then end it. */
fab_status fab_zip_begin(fab_zip *zip, const char *name, fab_writer **entry, fab_error *err);
fab_status fab_zip_end(fab_zip *zip, fab_error *err);
fab_status fab_zip_finish(fab_zip *zip, fab_error *err); /* central directory */
fab_zip *fab_zip_free(fab_zip *zip);
FAB_DEFINE_AUTO(fab_zip, fab_zip_free)

/* ---- writers, one a format -------------------------------------------------------------- */

fab_status fab_export_write_glb(const fab_export_scene *, const char *path, fab_error *err);
fab_status fab_export_write_glb_headset(const fab_export_scene *, const char *path,
                                        fab_error *err);
fab_status fab_export_write_stl(const fab_export_scene *, const char *path, fab_error *err);
fab_status fab_export_write_obj(const fab_export_scene *, const char *path, fab_error *err);
fab_status fab_export_write_ply(const fab_export_scene *, const char *path, fab_error *err);
fab_status fab_export_write_3mf(const fab_export_scene *, const char *path, fab_error *err);

/* Calls write_one for each part on "<folder>/<name><extension>", opened and committed here. */
typedef fab_status (*fab_export_part_writer)(const fab_export_parts *parts,
                                             const fab_export_part *part, fab_writer *w,
                                             fab_error *err);
fab_status fab_export_each_part(const fab_export_scene *scene, const char *folder,
                                const char *extension, fab_export_part_writer write_one,
                                fab_error *err);

#endif
