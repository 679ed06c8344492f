/* glb_headset.c - the glTF file a standalone headset loads: small, quantised, in levels of detail.
 *
 *   KHR_mesh_quantization     positions are unsigned 16-bit steps of one grid for the whole scene
 *                             (0.02 mm, coarser only beyond 1.3 m), so borders that neighbours
 *                             share stay shared; normals are octahedral, 8 bits
 *   EXT_meshopt_compression   one compressed view a level and stream; the views it unpacks to lie
 *                             in a fallback buffer that has no bytes
 *   MSFT_lod                  a structure's node names its coarser nodes
 *
 * All levels together hold at most FAB_EXPORT_HEADSET_TRIANGLES triangles: the full meshes are a
 * level where they fit, the scene's coarser sets are the others.
 *
 *     BIN chunk  | L0 positions | L0 normals | L0 u16 indices | (L0 u32) | L1 positions | ...
 */
#include <math.h>
#include <meshoptimizer.h>
#include <string.h>

#include "export_internal.h"

enum {
    LEVELS = FAB_EXPORT_HEADSET_LEVELS, POSITION_STRIDE = 8, NORMAL_STRIDE = 4,
    MAX_U16_VERTICES = 65535, OCTAHEDRAL_BITS = 8
};
static const double step_mm = 0.02;
static const uint32_t budgets[LEVELS] = {220000, 60000, 18000};
static const double screen_coverage[LEVELS] = {0.25, 0.05, 0};

uint32_t fab_export_headset_level_triangles(size_t level)
{
    return level < LEVELS ? budgets[level] : 0;
}

/* ---- levels ----------------------------------------------------------------------------- */

typedef struct level_list {
    size_t count;
    const fab_mesh_set *sets[LEVELS]; /* finest first */
} level_list;

static uint64_t triangles_of(const fab_mesh_set *set)
{
    uint64_t n = 0;
    for (size_t i = 0; i < set->count; i++) n += set->items[i].triangle_count;
    return n;
}

static void take_if_fitting(level_list *list, const fab_mesh_set *set, uint64_t *total)
{
    uint64_t n = triangles_of(set);
    bool coarser = !list->count || n < triangles_of(list->sets[list->count - 1]);
    if (list->count == LEVELS || !coarser || *total + n > FAB_EXPORT_HEADSET_TRIANGLES) return;
    list->sets[list->count++] = set;
    *total += n;
}

/* The full meshes and the given sets, finest first, as far as they fit. */
static fab_status choose_levels(const fab_export_scene *scene, level_list *list, fab_error *err)
{
    uint64_t total = 0, coarsest = triangles_of(scene->meshes);
    take_if_fitting(list, scene->meshes, &total);
    for (size_t i = 0; i < scene->lod_count; i++) {
        take_if_fitting(list, scene->lods[i], &total);
        coarsest = triangles_of(scene->lods[i]);
    }
    if (!list->count)
        FAB_FAIL(err, FAB_ERR_LIMIT, "export: no level of detail fits a headset's %d triangles "
                 "(the coarsest of %zu has %llu)", FAB_EXPORT_HEADSET_TRIANGLES,
                 scene->lod_count + 1, (unsigned long long)coarsest);
    return FAB_OK;
}

static const fab_mesh *mesh_with_label(const fab_mesh_set *set, int label)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].label == label && set->items[i].triangle_count) return &set->items[i];
    return NULL;
}

/* ---- quantisation ----------------------------------------------------------------------- */

/* glTF metres = origin + step * quantised. One grid for every part and level. */
typedef struct quantiser {
    double origin[3], step; /* metres */
} quantiser;

static void widen(const fab_export_parts *parts, const fab_mesh *mesh, double low[3],
                  double high[3])
{
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        float lps[3], p[3];
        fab_export_position(parts, mesh, v, lps);
        fab_export_to_gltf(lps, 1, p);
        for (int i = 0; i < 3; i++) {
            low[i] = fmin(low[i], p[i]);
            high[i] = fmax(high[i], p[i]);
        }
    }
}

static quantiser quantiser_for(const fab_export_parts *parts, const level_list *levels)
{
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (size_t l = 0; l < levels->count; l++)
        for (size_t i = 0; i < levels->sets[l]->count; i++)
            widen(parts, &levels->sets[l]->items[i], low, high);
    double extent = 0, step = step_mm;
    for (int i = 0; i < 3; i++) extent = fmax(extent, high[i] - low[i]);
    if (extent > step * 65535) step = extent / 65535;
    quantiser q = {.step = step * 0.001};
    for (int i = 0; i < 3; i++) q.origin[i] = floor(low[i]) * 0.001;
    if (extent + 1 > step * 65535)
        for (int i = 0; i < 3; i++) q.origin[i] = low[i] * 0.001;
    return q;
}

static void quantise(const quantiser *q, const float lps[3], uint16_t out[4])
{
    float p[3];
    fab_export_to_gltf(lps, 1, p);
    for (int i = 0; i < 3; i++) {
        double s = round((p[i] * 0.001 - q->origin[i]) / q->step);
        out[i] = (uint16_t)(s < 0 ? 0 : s > 65535 ? 65535 : s);
    }
    out[3] = 0;
}

/* ---- one level packed into streams ------------------------------------------------------ */

enum { POSITIONS, NORMALS, NARROW, WIDE, STREAMS };

/* Raw streams of a level: what the compressed views unpack to. */
typedef struct level_streams {
    fab_buf raw[STREAMS];
    uint32_t count[STREAMS]; /* elements: vertices, vertices, indices, indices */
    size_t view[STREAMS];    /* number of the view, set when it is written */
} level_streams;

static void level_streams_free(level_streams *s)
{
    for (int i = 0; i < STREAMS; i++) fab_buf_free(&s->raw[i]);
}

/* Where a part's data lies in its level, for the accessors. */
typedef struct part_span {
    bool present;
    uint32_t vertices, indices, first_vertex, first_index;
    bool wide;
    double low[3], high[3];
} part_span;

static fab_status put_mesh_vertices(const fab_export_parts *parts, const fab_export_part *shell,
                                    const quantiser *q, const uint32_t *old_of,
                                    level_streams *s, part_span *span, fab_error *err)
{
    for (int i = 0; i < 3; i++) span->low[i] = 65535, span->high[i] = 0;
    FAB_TRY(fab_buf_reserve(&s->raw[POSITIONS], (size_t)span->vertices * POSITION_STRIDE, err));
    FAB_TRY(fab_buf_reserve(&s->raw[NORMALS], (size_t)span->vertices * NORMAL_STRIDE, err));
    for (uint32_t v = 0; v < span->vertices; v++) {
        float lps[3], normal[4] = {0};
        uint16_t grid[4];
        uint8_t packed[NORMAL_STRIDE];
        fab_export_position(parts, &shell->shell, old_of[v], lps);
        quantise(q, lps, grid);
        for (int i = 0; i < 3; i++) {
            span->low[i] = fmin(span->low[i], grid[i]);
            span->high[i] = fmax(span->high[i], grid[i]);
        }
        fab_export_normal(parts, &shell->shell, old_of[v], lps);
        fab_export_to_gltf(lps, 1, normal);
        meshopt_encodeFilterOct(packed, 1, NORMAL_STRIDE, OCTAHEDRAL_BITS, normal);
        FAB_TRY(fab_buf_append(&s->raw[POSITIONS], grid, sizeof grid, err));
        FAB_TRY(fab_buf_append(&s->raw[NORMALS], packed, sizeof packed, err));
    }
    return FAB_OK;
}

/* Orders triangles for the vertex cache and vertices by first use; drops unused vertices. */
static uint32_t order_mesh(const fab_mesh *mesh, uint32_t *index, uint32_t *new_of,
                           uint32_t *old_of)
{
    size_t count = 3 * (size_t)mesh->triangle_count;
    meshopt_optimizeVertexCache(index, mesh->index, count, mesh->vertex_count);
    size_t used = meshopt_optimizeVertexFetchRemap(new_of, index, count, mesh->vertex_count);
    for (uint32_t v = 0; v < mesh->vertex_count; v++)
        if (new_of[v] != UINT32_MAX) old_of[new_of[v]] = v;
    for (size_t i = 0; i < count; i++) index[i] = new_of[index[i]];
    return (uint32_t)used;
}

static fab_status put_mesh(const fab_export_parts *parts, const fab_mesh *mesh, const quantiser *q,
                           level_streams *s, part_span *span, fab_error *err)
{
    uint32_t count = 3 * mesh->triangle_count;
    FAB_AUTO_FREE uint32_t *index = fab_alloc_array(count, sizeof *index);
    FAB_AUTO_FREE uint32_t *new_of = fab_alloc_array(mesh->vertex_count, sizeof *new_of);
    FAB_AUTO_FREE uint32_t *old_of = fab_alloc_array(mesh->vertex_count, sizeof *old_of);
    if (!index || !new_of || !old_of)
        FAB_FAIL(err, FAB_ERR_NOMEM, "export: no memory to order a mesh");
    *span = (part_span){.present = true, .indices = count};
    span->vertices = order_mesh(mesh, index, new_of, old_of);
    span->wide = span->vertices >= MAX_U16_VERTICES;
    int stream = span->wide ? WIDE : NARROW;
    span->first_vertex = s->count[POSITIONS];
    span->first_index = s->count[stream];
    fab_export_part shell = {0};
    FAB_TRY(fab_export_part_normals(&shell, mesh, err));
    fab_status status = put_mesh_vertices(parts, &shell, q, old_of, s, span, err);
    fab_free(shell.own_normals);
    FAB_TRY(status);
    FAB_TRY(fab_buf_append(&s->raw[stream], index, count * sizeof *index, err));
    s->count[POSITIONS] += span->vertices;
    s->count[NORMALS] += span->vertices;
    s->count[stream] += count;
    return FAB_OK;
}

/* ---- compressed views ------------------------------------------------------------------- */

static const struct {
    size_t stride;
    bool indices;
    const char *filter;
} streams[STREAMS] = {{POSITION_STRIDE, false, NULL},
                      {NORMAL_STRIDE, false, "OCTAHEDRAL"},
                      {2, true, NULL},
                      {4, true, NULL}};

static fab_status encode(const level_streams *s, int stream, fab_buf *binary, size_t *bytes,
                         fab_error *err)
{
    const fab_buf *raw = &s->raw[stream];
    uint32_t count = s->count[stream];
    size_t bound = streams[stream].indices
                       ? meshopt_encodeIndexBufferBound(count, s->count[POSITIONS])
                       : meshopt_encodeVertexBufferBound(count, streams[stream].stride);
    FAB_TRY(fab_buf_reserve(binary, bound + 8, err));
    uint8_t *at = binary->data + binary->size;
    *bytes = streams[stream].indices
                 ? meshopt_encodeIndexBuffer(at, bound, (const uint32_t *)(const void *)raw->data,
                                             count)
                 : meshopt_encodeVertexBuffer(at, bound, raw->data, count, streams[stream].stride);
    if (!*bytes) FAB_FAIL(err, FAB_ERR_LIMIT, "export: a stream of %u could not be packed", count);
    binary->size += *bytes;
    while (binary->size % 8) FAB_TRY(fab_buf_append(binary, "", 1, err));
    return FAB_OK;
}

static fab_status add_view(fab_gltf *doc, level_streams *s, int stream, fab_buf *binary,
                           size_t *fallback_bytes, fab_error *err)
{
    size_t start = binary->size, packed = 0, raw = s->count[stream] * streams[stream].stride;
    FAB_TRY(encode(s, stream, binary, &packed, err));
    fab_json *view, *extensions, *meshopt;
    s->view[stream] = fab_json_count(doc->views);
    FAB_TRY(fab_gltf_child(doc->views, NULL, false, &view, err));
    FAB_TRY(fab_gltf_set_count(view, "buffer", 1, err));
    FAB_TRY(fab_gltf_set_count(view, "byteOffset", *fallback_bytes, err));
    FAB_TRY(fab_gltf_set_count(view, "byteLength", raw, err));
    if (!streams[stream].indices)
        FAB_TRY(fab_gltf_set_count(view, "byteStride", streams[stream].stride, err));
    FAB_TRY(fab_gltf_set_count(view, "target", streams[stream].indices ? FAB_GLTF_ELEMENT_BUFFER
                                                                       : FAB_GLTF_ARRAY_BUFFER,
                               err));
    FAB_TRY(fab_gltf_child(view, "extensions", false, &extensions, err));
    FAB_TRY(fab_gltf_child(extensions, "EXT_meshopt_compression", false, &meshopt, err));
    FAB_TRY(fab_gltf_set_count(meshopt, "buffer", 0, err));
    FAB_TRY(fab_gltf_set_count(meshopt, "byteOffset", start, err));
    FAB_TRY(fab_gltf_set_count(meshopt, "byteLength", packed, err));
    FAB_TRY(fab_gltf_set_count(meshopt, "byteStride", streams[stream].stride, err));
    FAB_TRY(fab_gltf_set_count(meshopt, "count", s->count[stream], err));
    FAB_TRY(fab_gltf_set_text(meshopt, "mode", streams[stream].indices ? "TRIANGLES"
                                                                       : "ATTRIBUTES", err));
    FAB_TRY(fab_gltf_set_text(meshopt, "filter", streams[stream].filter, err));
    *fallback_bytes += (raw + 7) / 8 * 8;
    return FAB_OK;
}

/* ---- nodes ------------------------------------------------------------------------------ */

static fab_status add_accessors(fab_gltf *doc, const level_streams *s, const part_span *span,
                                fab_error *err)
{
    int stream = span->wide ? WIDE : NARROW;
    fab_gltf_accessor position = {
        .view = s->view[POSITIONS], .offset = (size_t)span->first_vertex * POSITION_STRIDE,
        .component = FAB_GLTF_U16, .count = span->vertices, .vec3 = true, .ranged = true};
    memcpy(position.low, span->low, sizeof position.low);
    memcpy(position.high, span->high, sizeof position.high);
    fab_gltf_accessor normal = {
        .view = s->view[NORMALS], .offset = (size_t)span->first_vertex * NORMAL_STRIDE,
        .component = FAB_GLTF_BYTE, .count = span->vertices, .vec3 = true, .normalized = true};
    fab_gltf_accessor index = {
        .view = s->view[stream], .offset = (size_t)span->first_index * streams[stream].stride,
        .component = span->wide ? FAB_GLTF_U32 : FAB_GLTF_U16, .count = span->indices};
    FAB_TRY(fab_gltf_add_accessor(doc, &position, err));
    FAB_TRY(fab_gltf_add_accessor(doc, &normal, err));
    return fab_gltf_add_accessor(doc, &index, err);
}

static fab_status set_dequantisation(fab_json *node, const quantiser *q, fab_error *err)
{
    fab_json *translation, *scale;
    FAB_TRY(fab_gltf_child(node, "translation", true, &translation, err));
    FAB_TRY(fab_gltf_child(node, "scale", true, &scale, err));
    for (int i = 0; i < 3; i++) {
        FAB_TRY(fab_json_append(translation, fab_json_real(q->origin[i]), err));
        FAB_TRY(fab_json_append(scale, fab_json_real(q->step), err));
    }
    return FAB_OK;
}

/* A node's coarser nodes and when to change to them. levels has the finest first. */
static fab_status set_lods(fab_json *node, const size_t *lod_nodes, size_t count, fab_error *err)
{
    fab_json *extensions, *lod, *ids, *extras, *coverage;
    FAB_TRY(fab_gltf_child(node, "extensions", false, &extensions, err));
    FAB_TRY(fab_gltf_child(extensions, "MSFT_lod", false, &lod, err));
    FAB_TRY(fab_gltf_child(lod, "ids", true, &ids, err));
    for (size_t i = 0; i < count; i++)
        FAB_TRY(fab_json_append(ids, fab_json_int((int64_t)lod_nodes[i]), err));
    extras = (fab_json *)(uintptr_t)fab_json_find(node, "extras");
    FAB_TRY(fab_gltf_child(extras, "MSFT_screencoverage", true, &coverage, err));
    for (size_t i = 0; i <= count; i++)
        FAB_TRY(fab_json_append(coverage, fab_json_real(i == count ? 0 : screen_coverage[i]),
                                err));
    return FAB_OK;
}

/* ---- the file --------------------------------------------------------------------------- */

typedef struct headset {
    fab_export_parts parts;
    level_list levels;
    quantiser grid;
    level_streams streams[LEVELS];
    part_span *spans; /* [level * parts.count + part] */
    fab_gltf doc;
    fab_buf binary;
    size_t fallback_bytes;
} headset;

static headset *headset_free(headset *h)
{
    if (!h) return NULL;
    for (size_t l = 0; l < LEVELS; l++) level_streams_free(&h->streams[l]);
    fab_gltf_free(&h->doc);
    fab_export_parts_free(&h->parts);
    fab_buf_free(&h->binary);
    fab_free(h->spans);
    return fab_free(h);
}
FAB_DEFINE_AUTO(headset, headset_free)

static part_span *span_of(headset *h, size_t level, size_t part)
{
    return &h->spans[level * h->parts.count + part];
}

static fab_status pack_levels(headset *h, fab_error *err)
{
    for (size_t l = 0; l < h->levels.count; l++) {
        for (size_t p = 0; p < h->parts.count; p++) {
            const fab_mesh *full = h->parts.items[p].mesh;
            const fab_mesh *mesh = mesh_with_label(h->levels.sets[l], full->label);
            if (!mesh && l == 0) mesh = full; /* a level that lost a structure */
            if (mesh)
                FAB_TRY(put_mesh(&h->parts, mesh, &h->grid, &h->streams[l], span_of(h, l, p),
                                 err));
        }
        for (int stream = 0; stream < STREAMS; stream++)
            if (h->streams[l].count[stream])
                FAB_TRY(add_view(&h->doc, &h->streams[l], stream, &h->binary,
                                 &h->fallback_bytes, err));
    }
    return FAB_OK;
}

/* Accessors and the mesh of one part at one level; returns the mesh's number. */
static fab_status add_level_mesh(headset *h, size_t level, size_t p, size_t *mesh, fab_error *err)
{
    size_t first = fab_json_count(h->doc.accessors);
    *mesh = fab_json_count(h->doc.meshes);
    FAB_TRY(add_accessors(&h->doc, &h->streams[level], span_of(h, level, p), err));
    return fab_gltf_add_mesh(&h->doc, h->parts.items[p].name, first, p, err);
}

static fab_status add_coarser(headset *h, size_t p, fab_json *node, fab_error *err)
{
    size_t ids[LEVELS], count = 0, mesh;
    for (size_t l = 1; l < h->levels.count; l++) {
        if (!span_of(h, l, p)->present) continue;
        fab_json *coarse;
        FAB_TRY(add_level_mesh(h, l, p, &mesh, err));
        ids[count++] = fab_json_count(h->doc.nodes);
        FAB_TRY(fab_gltf_child(h->doc.nodes, NULL, false, &coarse, err));
        FAB_TRY(fab_gltf_set_count(coarse, "mesh", mesh, err));
        FAB_TRY(set_dequantisation(coarse, &h->grid, err));
    }
    return count ? set_lods(node, ids, count, err) : FAB_OK;
}

static fab_status add_nodes(headset *h, fab_error *err)
{
    FAB_AUTO_FREE fab_json **nodes = fab_calloc(h->parts.count, sizeof *nodes);
    if (!nodes) FAB_FAIL(err, FAB_ERR_NOMEM, "export: no memory for nodes");
    for (size_t p = 0; p < h->parts.count; p++) {
        const part_span *span = span_of(h, 0, p);
        size_t mesh;
        FAB_TRY(add_level_mesh(h, 0, p, &mesh, err));
        FAB_TRY(fab_gltf_add_part_node(&h->doc, p, mesh, &nodes[p], err));
        FAB_TRY(set_dequantisation(nodes[p], &h->grid, err));
        fab_json *extras = (fab_json *)(uintptr_t)fab_json_find(nodes[p], "extras");
        FAB_TRY(fab_gltf_set_count(extras, "triangles", span->indices / 3, err));
    }
    for (size_t p = 0; p < h->parts.count; p++) FAB_TRY(add_coarser(h, p, nodes[p], err));
    return FAB_OK;
}

static fab_status add_buffers(headset *h, fab_error *err)
{
    fab_json *buffer, *extensions, *meshopt;
    FAB_TRY(fab_gltf_child(h->doc.buffers, NULL, false, &buffer, err));
    FAB_TRY(fab_gltf_set_count(buffer, "byteLength", h->binary.size, err));
    FAB_TRY(fab_gltf_child(h->doc.buffers, NULL, false, &buffer, err));
    FAB_TRY(fab_gltf_set_count(buffer, "byteLength", h->fallback_bytes, err));
    FAB_TRY(fab_gltf_child(buffer, "extensions", false, &extensions, err));
    FAB_TRY(fab_gltf_child(extensions, "EXT_meshopt_compression", false, &meshopt, err));
    return fab_json_set(meshopt, "fallback", fab_json_bool(true), err);
}

static fab_status name_extensions(headset *h, fab_error *err)
{
    static const char *const names[] = {"KHR_mesh_quantization", "EXT_meshopt_compression",
                                        "MSFT_lod"};
    fab_json *used, *required;
    FAB_TRY(fab_gltf_child(h->doc.root, "extensionsUsed", true, &used, err));
    FAB_TRY(fab_gltf_child(h->doc.root, "extensionsRequired", true, &required, err));
    for (size_t i = 0; i < 3; i++) {
        if (i == 2 && h->levels.count < 2) break;
        FAB_TRY(fab_json_append(used, fab_json_string(names[i]), err));
        if (i < 2) FAB_TRY(fab_json_append(required, fab_json_string(names[i]), err));
    }
    return FAB_OK;
}

static fab_status fill(headset *h, const fab_export_scene *scene, fab_error *err)
{
    FAB_TRY(choose_levels(scene, &h->levels, err));
    h->grid = quantiser_for(&h->parts, &h->levels);
    h->spans = fab_calloc(h->parts.count * LEVELS, sizeof *h->spans);
    if (!h->spans) FAB_FAIL(err, FAB_ERR_NOMEM, "export: no memory for the level table");
    FAB_TRY(pack_levels(h, err));
    FAB_TRY(add_nodes(h, err));
    FAB_TRY(add_buffers(h, err));
    return name_extensions(h, err);
}

fab_status fab_export_write_glb_headset(const fab_export_scene *scene, const char *path,
                                        fab_error *err)
{
    FAB_AUTO(headset_free) headset *h = fab_calloc(1, sizeof *h);
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    if (!h) FAB_FAIL(err, FAB_ERR_NOMEM, "export: no memory for a headset file");
    FAB_TRY(fab_export_parts_make(scene, &h->parts, err));
    FAB_TRY(fab_gltf_begin(&h->parts, &h->doc, err));
    if (h->parts.count) FAB_TRY(fill(h, scene, err));
    FAB_TRY(fab_atomic_open(path, &file, err));
    fab_writer *w = fab_atomic_writer(file);
    FAB_TRY(fab_gltf_write_head(&h->doc, h->binary.size, path, w, err));
    FAB_TRY(fab_writer_write(w, h->binary.data, h->binary.size, err));
    return fab_atomic_commit(&file, err);
}
