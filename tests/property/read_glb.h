/* read_glb.h - a glTF reader for tests, plain and compressed files alike: it walks the scene graph
 * with every node's transform, unpacks EXT_meshopt_compression, and takes metres back to the
 * patient's LPS millimetres by the matrix the file itself states (asset.extras). */
#ifndef FAB_TEST_READ_GLB_H
#define FAB_TEST_READ_GLB_H

#include <meshoptimizer.h>

#include "fabrica/volume.h"
#include "unit/export/readers.h"

enum { GLB_VIEWS = 64 };

typedef struct glb {
    file_bytes file;
    fab_json *doc;
    uint8_t *view[GLB_VIEWS]; /* unpacked */
    size_t stride[GLB_VIEWS], views;
    fab_mat34 lps_from_gltf;
} glb;

static inline double json_or(const fab_json *object, const char *key, double otherwise)
{
    const fab_json *v = fab_json_find(object, key);
    return v ? fab_json_number(v) : otherwise;
}

static inline const fab_json *glb_item(const fab_json *doc, const char *array, double index)
{
    return fab_json_at(fab_json_find(doc, array), (size_t)index);
}

/* glTF writes matrices column after column. */
static inline fab_mat34 glb_matrix(const fab_json *sixteen)
{
    fab_mat34 m;
    CHECK(fab_json_count(sixteen) == 16);
    for (size_t c = 0; c < 4; c++)
        for (size_t r = 0; r < 3; r++)
            m.m[r][c] = fab_json_number(fab_json_at(sixteen, 4 * c + r));
    return m;
}

static inline void glb_open_view(glb *g, const fab_json *view, const uint8_t *bin, size_t index)
{
    const fab_json *packed =
        fab_json_find(fab_json_find(view, "extensions"), "EXT_meshopt_compression");
    const fab_json *from = packed ? packed : view;
    const uint8_t *bytes = bin + (size_t)json_or(from, "byteOffset", 0);
    size_t length = (size_t)json_number(from, "byteLength"), count, stride;
    CHECK(json_number(from, "buffer") == 0);
    g->stride[index] = (size_t)json_or(view, "byteStride", 0);
    g->view[index] = fab_malloc((size_t)json_number(view, "byteLength"));
    CHECK(g->view[index]);
    if (!packed) {
        memcpy(g->view[index], bytes, length);
        return;
    }
    count = (size_t)json_number(packed, "count");
    stride = (size_t)json_number(packed, "byteStride");
    CHECK(count * stride == (size_t)json_number(view, "byteLength"));
    bool indices = strcmp(fab_json_text(fab_json_find(packed, "mode")), "TRIANGLES") == 0;
    CHECK((indices ? meshopt_decodeIndexBuffer(g->view[index], count, stride, bytes, length)
                   : meshopt_decodeVertexBuffer(g->view[index], count, stride, bytes, length)) ==
          0);
}

static inline void glb_open(glb *g, const char *path)
{
    const uint8_t *bin;
    *g = (glb){.file = read_file(path)};
    g->doc = glb_json(&g->file, &bin);
    const fab_json *views = fab_json_find(g->doc, "bufferViews");
    g->views = fab_json_count(views);
    CHECK(g->views > 0 && g->views <= GLB_VIEWS);
    for (size_t v = 0; v < g->views; v++) glb_open_view(g, fab_json_at(views, v), bin, v);
    const fab_json *extras = fab_json_find(fab_json_find(g->doc, "asset"), "extras");
    g->lps_from_gltf = glb_matrix(fab_json_find(extras, "world_lps_mm_from_gltf"));
    static const double documented[3][4] = {{1000, 0, 0, 0}, {0, 0, -1000, 0}, {0, 1000, 0, 0}};
    CHECK(memcmp(&g->lps_from_gltf, documented, sizeof documented) == 0); /* meshes-out.md */
}

static inline void glb_close(glb *g)
{
    for (size_t v = 0; v < g->views; v++) fab_free(g->view[v]);
    fab_json_free(g->doc);
    fab_free(g->file.data);
}

/* parent_from_node: a matrix, or translation * rotation * scale. */
static inline fab_mat34 glb_local(const fab_json *node)
{
    const fab_json *t = fab_json_find(node, "translation"), *s = fab_json_find(node, "scale");
    const fab_json *r = fab_json_find(node, "rotation"), *m = fab_json_find(node, "matrix");
    double q[4] = {0, 0, 0, 1};
    if (m) return glb_matrix(m);
    for (size_t i = 0; r && i < 4; i++) q[i] = fab_json_number(fab_json_at(r, i));
    double x = q[0], y = q[1], z = q[2], w = q[3];
    fab_mat34 out = {{{1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), 0},
                      {2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), 0},
                      {2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), 0}}};
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; s && k < 3; k++)
            out.m[k][i] *= fab_json_number(fab_json_at(s, i));
        if (t) out.m[i][3] = fab_json_number(fab_json_at(t, i));
    }
    return out;
}

/* Component `at` of element `index` of an accessor, as stored. */
static inline double glb_value(const glb *g, const fab_json *accessor, size_t index, size_t at)
{
    size_t view = (size_t)json_number(accessor, "bufferView");
    int type = (int)json_number(accessor, "componentType");
    size_t bytes = type == 5123 ? 2 : 4;
    const char *shape = fab_json_text(fab_json_find(accessor, "type"));
    size_t stride = g->stride[view] ? g->stride[view]
                                    : bytes * (strcmp(shape, "VEC3") == 0 ? 3 : 1);
    const uint8_t *p = g->view[view] + (size_t)json_or(accessor, "byteOffset", 0) +
                       stride * index + bytes * at;
    CHECK(type == 5123 || type == 5125 || type == 5126);
    return type == 5126 ? f32_at(p) : type == 5125 ? u32_at(p) : (double)(p[0] | p[1] << 8);
}

static inline void glb_add_mesh(const glb *g, const fab_json *mesh, const fab_mat34 *lps_from_node,
                                solid *s)
{
    const fab_json *prim = fab_json_at(fab_json_find(mesh, "primitives"), 0);
    CHECK(json_or(prim, "mode", 4) == 4);
    const fab_json *position = glb_item(
        g->doc, "accessors", json_number(fab_json_find(prim, "attributes"), "POSITION"));
    const fab_json *index = glb_item(g->doc, "accessors", json_number(prim, "indices"));
    for (size_t t = 0; t < (size_t)json_number(index, "count"); t += 3) {
        double corner[3][3];
        for (size_t c = 0; c < 3; c++) {
            size_t v = (size_t)glb_value(g, index, t + c, 0);
            CHECK(v < (size_t)json_number(position, "count"));
            for (size_t i = 0; i < 3; i++) corner[c][i] = glb_value(g, position, v, i);
            fab_mat34_apply(lps_from_node, corner[c], corner[c]);
        }
        solid_add(s, corner[0], corner[1], corner[2]);
    }
}

/* Looks below node `number` for the one called name; adds its mesh at level 0 (the node's own) or
 * its MSFT_lod substitute. Substitutes stand in the same parent. */
static inline bool glb_search(const glb *g, double number, const fab_mat34 *lps_from_parent,
                              const char *name, size_t level, solid *s)
{
    const fab_json *node = glb_item(g->doc, "nodes", number), *use = node;
    fab_mat34 local = glb_local(node), map = fab_mat34_multiply(lps_from_parent, &local);
    const char *called = fab_json_text(fab_json_find(node, "name"));
    if (called && strcmp(called, name) == 0 && fab_json_find(node, "mesh")) {
        if (level) {
            const fab_json *ids = fab_json_find(
                fab_json_find(fab_json_find(node, "extensions"), "MSFT_lod"), "ids");
            if (level > fab_json_count(ids)) return false;
            use = glb_item(g->doc, "nodes", fab_json_number(fab_json_at(ids, level - 1)));
            local = glb_local(use);
            map = fab_mat34_multiply(lps_from_parent, &local);
        }
        glb_add_mesh(g, glb_item(g->doc, "meshes", json_number(use, "mesh")), &map, s);
        return true;
    }
    const fab_json *children = fab_json_find(node, "children");
    for (size_t c = 0; c < fab_json_count(children); c++)
        if (glb_search(g, fab_json_number(fab_json_at(children, c)), &map, name, level, s))
            return true;
    return false;
}

/* The structure called name, in LPS mm; no triangles if the file has none of that name or level. */
static inline solid glb_solid(const glb *g, const char *name, size_t level)
{
    solid s = {0};
    const fab_json *scene = glb_item(g->doc, "scenes", json_or(g->doc, "scene", 0));
    const fab_json *roots = fab_json_find(scene, "nodes");
    for (size_t r = 0; r < fab_json_count(roots); r++)
        if (glb_search(g, fab_json_number(fab_json_at(roots, r)), &g->lps_from_gltf, name, level,
                       &s))
            break;
    if (s.triangles) solid_finish(&s);
    return s;
}

#endif
