/* glb.c - the plain glTF file: full detail, float positions and normals, no extension, so that any
 * viewer opens it. One buffer, four views:
 *
 *     | positions of all parts | normals | 32-bit indices | 16-bit indices | pad |
 *
 * The JSON in front needs the bounds, so the positions are walked twice and never copied. */
#include <math.h>
#include <string.h>

#include "export_internal.h"

enum { CHUNK_BYTES = 12 * 1024, MAX_U16_VERTICES = 65535 };

typedef struct glb_layout {
    uint64_t vertices, wide, narrow; /* vertices in all; indices of 32 and of 16 bits */
    size_t view_of_wide, view_of_narrow;
    uint64_t bytes;
} glb_layout;

static bool is_narrow(const fab_mesh *mesh)
{
    return mesh->vertex_count < MAX_U16_VERTICES; /* 65535 itself means primitive restart */
}

static glb_layout layout_of(const fab_export_parts *parts)
{
    glb_layout l = {0};
    for (size_t p = 0; p < parts->count; p++) {
        const fab_mesh *mesh = parts->items[p].mesh;
        l.vertices += mesh->vertex_count;
        *(is_narrow(mesh) ? &l.narrow : &l.wide) += 3ull * mesh->triangle_count;
    }
    l.view_of_wide = 2;
    l.view_of_narrow = l.wide ? 3 : 2;
    l.bytes = (24 * l.vertices + 4 * l.wide + 2 * l.narrow + 3) / 4 * 4;
    return l;
}

static fab_status add_view(fab_gltf *doc, uint64_t offset, uint64_t bytes, size_t stride,
                           size_t target, fab_error *err)
{
    fab_json *view;
    FAB_TRY(fab_gltf_child(doc->views, NULL, false, &view, err));
    FAB_TRY(fab_gltf_set_count(view, "buffer", 0, err));
    if (offset) FAB_TRY(fab_gltf_set_count(view, "byteOffset", (size_t)offset, err));
    FAB_TRY(fab_gltf_set_count(view, "byteLength", (size_t)bytes, err));
    if (stride) FAB_TRY(fab_gltf_set_count(view, "byteStride", stride, err));
    return fab_gltf_set_count(view, "target", target, err);
}

static fab_status add_views(fab_gltf *doc, const glb_layout *l, fab_error *err)
{
    uint64_t v = 12 * l->vertices;
    FAB_TRY(add_view(doc, 0, v, 12, FAB_GLTF_ARRAY_BUFFER, err));
    FAB_TRY(add_view(doc, v, v, 12, FAB_GLTF_ARRAY_BUFFER, err));
    if (l->wide) FAB_TRY(add_view(doc, 2 * v, 4 * l->wide, 0, FAB_GLTF_ELEMENT_BUFFER, err));
    if (l->narrow)
        FAB_TRY(add_view(doc, 2 * v + 4 * l->wide, 2 * l->narrow, 0, FAB_GLTF_ELEMENT_BUFFER,
                         err));
    fab_json *buffer;
    FAB_TRY(fab_gltf_child(doc->buffers, NULL, false, &buffer, err));
    return fab_gltf_set_count(buffer, "byteLength", (size_t)l->bytes, err);
}

static void gltf_vertex(const fab_export_parts *parts, const fab_mesh *mesh, uint32_t v,
                        float out[3])
{
    float lps[3];
    fab_export_position(parts, mesh, v, lps);
    fab_export_to_gltf(lps, 0.001, out);
}

static void bounds_of(const fab_export_parts *parts, const fab_mesh *mesh, double low[3],
                      double high[3])
{
    for (int i = 0; i < 3; i++) low[i] = INFINITY, high[i] = -INFINITY;
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        float p[3];
        gltf_vertex(parts, mesh, v, p);
        for (int i = 0; i < 3; i++) {
            if (p[i] < low[i]) low[i] = p[i];
            if (p[i] > high[i]) high[i] = p[i];
        }
    }
}

static fab_status add_parts(fab_gltf *doc, const glb_layout *l, fab_error *err)
{
    uint64_t vertex = 0, wide = 0, narrow = 0;
    for (size_t p = 0; p < doc->parts->count; p++) {
        const fab_export_part *part = &doc->parts->items[p];
        const fab_mesh *mesh = part->mesh;
        bool small = is_narrow(mesh);
        uint64_t *used = small ? &narrow : &wide;
        fab_gltf_accessor position = {.offset = (size_t)(12 * vertex), .component = FAB_GLTF_F32,
                                      .count = mesh->vertex_count, .vec3 = true, .ranged = true};
        bounds_of(doc->parts, mesh, position.low, position.high);
        fab_gltf_accessor normal = position;
        normal.view = 1, normal.ranged = false;
        fab_gltf_accessor index = {.view = small ? l->view_of_narrow : l->view_of_wide,
                                   .offset = (size_t)(*used * (small ? 2 : 4)),
                                   .component = small ? FAB_GLTF_U16 : FAB_GLTF_U32,
                                   .count = 3 * mesh->triangle_count};
        FAB_TRY(fab_gltf_add_accessor(doc, &position, err));
        FAB_TRY(fab_gltf_add_accessor(doc, &normal, err));
        FAB_TRY(fab_gltf_add_accessor(doc, &index, err));
        FAB_TRY(fab_gltf_add_mesh(doc, part->name, 3 * p, p, err));
        fab_json *node;
        FAB_TRY(fab_gltf_add_part_node(doc, p, p, &node, err));
        vertex += mesh->vertex_count;
        *used += 3ull * mesh->triangle_count;
    }
    return FAB_OK;
}

static fab_status write_vectors(const fab_export_parts *parts, const fab_export_part *part,
                                bool normals, fab_writer *w, fab_error *err)
{
    uint8_t chunk[CHUNK_BYTES], *at = chunk;
    for (uint32_t v = 0; v < part->mesh->vertex_count; v++) {
        float lps[3], out[3];
        if (normals) {
            fab_export_normal(parts, &part->shell, v, lps);
            fab_export_to_gltf(lps, 1, out);
        } else {
            gltf_vertex(parts, part->mesh, v, out);
        }
        for (int i = 0; i < 3; i++) at = fab_export_put_f32(at, out[i]);
        if (at < chunk + sizeof chunk && v + 1 < part->mesh->vertex_count) continue;
        FAB_TRY(fab_writer_write(w, chunk, (size_t)(at - chunk), err));
        at = chunk;
    }
    return FAB_OK;
}

static fab_status write_indices(const fab_mesh *mesh, fab_writer *w, fab_error *err)
{
    bool small = is_narrow(mesh);
    uint8_t chunk[CHUNK_BYTES], *at = chunk;
    uint64_t count = 3ull * mesh->triangle_count;
    for (uint64_t i = 0; i < count; i++) {
        at = small ? fab_export_put_u16(at, mesh->index[i])
                   : fab_export_put_u32(at, mesh->index[i]);
        if (at < chunk + sizeof chunk && i + 1 < count) continue;
        FAB_TRY(fab_writer_write(w, chunk, (size_t)(at - chunk), err));
        at = chunk;
    }
    return FAB_OK;
}

static fab_status write_binary(const fab_export_parts *parts, const glb_layout *l, fab_writer *w,
                               fab_error *err)
{
    for (int normals = 0; normals < 2; normals++)
        for (size_t p = 0; p < parts->count; p++)
            FAB_TRY(write_vectors(parts, &parts->items[p], normals, w, err));
    for (int narrow = 0; narrow < 2; narrow++)
        for (size_t p = 0; p < parts->count; p++)
            if (is_narrow(parts->items[p].mesh) == narrow)
                FAB_TRY(write_indices(parts->items[p].mesh, w, err));
    uint64_t pad = l->bytes - (24 * l->vertices + 4 * l->wide + 2 * l->narrow);
    return fab_writer_write(w, (const uint8_t[4]){0}, (size_t)pad, err);
}

fab_status fab_export_write_glb(const fab_export_scene *scene, const char *path, fab_error *err)
{
    FAB_AUTO_PARTS fab_export_parts parts = {0};
    FAB_AUTO_GLTF fab_gltf doc = {0};
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_TRY(fab_export_parts_make(scene, &parts, err));
    FAB_TRY(fab_gltf_begin(&parts, &doc, err));
    glb_layout layout = layout_of(&parts);
    if (parts.count) {
        FAB_TRY(add_views(&doc, &layout, err));
        FAB_TRY(add_parts(&doc, &layout, err));
    }
    FAB_TRY(fab_atomic_open(path, &file, err));
    fab_writer *w = fab_atomic_writer(file);
    FAB_TRY(fab_gltf_write_head(&doc, layout.bytes, path, w, err));
    if (parts.count) FAB_TRY(write_binary(&parts, &layout, w, err));
    return fab_atomic_commit(&file, err);
}
