/* readers.h - small readers of what the writers made, for tests only: the first moment and the
 * signed volume of a structure from binary STL and from a plain GLB. */
#ifndef FAB_EXPORT_READERS_H
#define FAB_EXPORT_READERS_H

#include "fabrica/json.h"
#include "harness.h"

typedef struct file_bytes {
    uint8_t *data;
    size_t size;
} file_bytes;

static inline file_bytes read_file(const char *path)
{
    file_bytes f = {0};
    fab_reader r;
    fab_error err;
    if (fab_reader_open_file(path, &r, &err) != FAB_OK) return f;
    if (fab_reader_read_all(&r, (size_t)1 << 31, &f.data, &f.size, &err) != FAB_OK) f.data = NULL;
    fab_reader_close(&r);
    return f;
}

static inline uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline double f32_at(const uint8_t *p)
{
    union { uint32_t u; float f; } bits = {.u = u32_at(p)};
    return (double)bits.f;
}

/* Signed volume (mm3) and centroid (LPS mm) of a closed triangle mesh, by tetrahedra. */
typedef struct solid {
    double volume, centroid[3];
    uint64_t triangles;
} solid;

static inline void solid_add(solid *s, const double a[3], const double b[3], const double c[3])
{
    double v = (a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) +
                a[2] * (b[0] * c[1] - b[1] * c[0])) / 6;
    s->volume += v;
    for (int i = 0; i < 3; i++) s->centroid[i] += v * (a[i] + b[i] + c[i]) / 4;
    s->triangles++;
}

static inline void solid_finish(solid *s)
{
    for (int i = 0; i < 3; i++) s->centroid[i] /= s->volume;
}

static inline solid solid_of_stl(const char *path)
{
    solid s = {0};
    file_bytes f = read_file(path);
    CHECK(f.data && f.size >= 84 && memcmp(f.data, "solid", 5) != 0);
    CHECK(f.size == 84 + 50 * (size_t)u32_at(f.data + 80));
    for (const uint8_t *t = f.data + 84; t < f.data + f.size; t += 50) {
        double p[3][3];
        for (int c = 0; c < 3; c++)
            for (int i = 0; i < 3; i++) p[c][i] = f32_at(t + 12 + 12 * c + 4 * i);
        solid_add(&s, p[0], p[1], p[2]);
    }
    fab_free(f.data);
    solid_finish(&s);
    return s;
}

static inline double json_number(const fab_json *object, const char *key)
{
    return fab_json_number(fab_json_find(object, key));
}

/* Start of accessor `index`'s data inside the BIN chunk. */
static inline const uint8_t *accessor_data(const fab_json *doc, const uint8_t *bin, double index,
                                           const fab_json **accessor)
{
    *accessor = fab_json_at(fab_json_find(doc, "accessors"), (size_t)index);
    const fab_json *view = fab_json_at(fab_json_find(doc, "bufferViews"),
                                       (size_t)json_number(*accessor, "bufferView"));
    return bin + (size_t)json_number(view, "byteOffset") +
           (size_t)json_number(*accessor, "byteOffset");
}

static inline void glb_vertex(const uint8_t *positions, uint32_t v, double lps[3])
{
    double g[3];
    for (int i = 0; i < 3; i++) g[i] = f32_at(positions + 12 * (size_t)v + 4 * i);
    lps[0] = 1000 * g[0], lps[1] = -1000 * g[2], lps[2] = 1000 * g[1];
}

/* JSON chunk of a GLB; the caller frees it. *bin is where the BIN chunk's bytes begin. */
static inline fab_json *glb_json(const file_bytes *f, const uint8_t **bin)
{
    fab_json *doc = NULL;
    fab_error err;
    CHECK(f->data && f->size >= 20 && u32_at(f->data) == 0x46546C67);
    CHECK(u32_at(f->data + 8) == f->size);
    CHECK_OK(fab_json_parse(f->data + 20, u32_at(f->data + 12), "glb", &doc, &err));
    *bin = f->data + 20 + u32_at(f->data + 12) + 8;
    return doc;
}

/* The structure called name in a plain GLB. */
static inline solid solid_of_glb(const char *path, const char *name)
{
    solid s = {0};
    const uint8_t *bin;
    file_bytes f = read_file(path);
    fab_json *doc = glb_json(&f, &bin);
    const fab_json *meshes = fab_json_find(doc, "meshes");
    for (size_t m = 0; m < fab_json_count(meshes); m++) {
        const fab_json *mesh = fab_json_at(meshes, m), *position, *index;
        if (strcmp(fab_json_text(fab_json_find(mesh, "name")), name) != 0) continue;
        const fab_json *prim = fab_json_at(fab_json_find(mesh, "primitives"), 0);
        const uint8_t *p = accessor_data(
            doc, bin, json_number(fab_json_find(prim, "attributes"), "POSITION"), &position);
        const uint8_t *at = accessor_data(doc, bin, json_number(prim, "indices"), &index);
        bool wide = json_number(index, "componentType") > 5124;
        for (size_t t = 0; t < (size_t)json_number(index, "count"); t += 3) {
            double corner[3][3];
            for (size_t c = 0; c < 3; c++)
                glb_vertex(p, wide ? u32_at(at + 4 * (t + c))
                                   : (uint32_t)(at[2 * (t + c)] | at[2 * (t + c) + 1] << 8),
                           corner[c]);
            solid_add(&s, corner[0], corner[1], corner[2]);
        }
    }
    fab_json_free(doc);
    fab_free(f.data);
    if (s.triangles) solid_finish(&s);
    return s;
}

#endif
