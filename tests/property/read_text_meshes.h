/* read_text_meshes.h - OBJ, PLY and 3MF for tests: each structure's volume and centroid. */
#ifndef FAB_TEST_READ_TEXT_MESHES_H
#define FAB_TEST_READ_TEXT_MESHES_H

#include "fabrica/archive.h"
#include "unit/export/readers.h"

/* Vertices gathered from a file, and the solid they make. */
typedef struct vertex_list {
    double (*at)[3];
    size_t count, room;
} vertex_list;

static inline void vertex_add(vertex_list *v, const double p[3])
{
    if (v->count == v->room) {
        v->room = v->room ? 2 * v->room : 4096;
        v->at = fab_realloc(v->at, v->room * sizeof *v->at);
        CHECK(v->at);
    }
    memcpy(v->at[v->count++], p, sizeof *v->at);
}

static inline void vertex_triangle(const vertex_list *v, const unsigned long index[3], solid *s)
{
    for (int c = 0; c < 3; c++) CHECK(index[c] < v->count);
    solid_add(s, v->at[index[0]], v->at[index[1]], v->at[index[2]]);
}

/* A file as text with a 0 at its end. */
static inline char *read_text(const char *path)
{
    file_bytes f = read_file(path);
    CHECK(f.data);
    char *text = fab_realloc(f.data, f.size + 1);
    CHECK(text);
    text[f.size] = 0;
    return text;
}

/* ---- OBJ ----------------------------------------------------------------------------------- */

/* One pass over the file: solids[i] of the group called names[i]. */
static inline void solids_of_obj(const char *path, const char *const *names, size_t count,
                                 solid *solids)
{
    char *text = read_text(path), *end;
    vertex_list v = {0};
    solid *now = NULL;
    for (char *line = text; *line; line = end + 1) {
        end = strchr(line, '\n');
        CHECK(end);
        *end = 0;
        if (line[0] == 'g' && line[1] == ' ') {
            now = NULL;
            for (size_t i = 0; i < count; i++)
                if (strcmp(names[i], line + 2) == 0) now = &solids[i];
            CHECK(now);
        } else if (line[0] == 'v' && line[1] == ' ') {
            double p[3];
            char *at = line + 1;
            for (int i = 0; i < 3; i++) p[i] = strtod(at, &at);
            vertex_add(&v, p);
        } else if (line[0] == 'f') {
            unsigned long index[3];
            char *at = line + 1;
            for (int c = 0; c < 3; c++) {
                index[c] = strtoul(at, &at, 10) - 1;
                while (*at && *at != ' ') at++;
            }
            CHECK(now);
            vertex_triangle(&v, index, now);
        }
    }
    for (size_t i = 0; i < count; i++)
        if (solids[i].triangles) solid_finish(&solids[i]);
    fab_free(v.at);
    fab_free(text);
}

/* ---- PLY, as ply.c lays it out -------------------------------------------------------------- */

static inline solid solid_of_ply(const char *path)
{
    enum { VERTEX = 27, FACE = 13 };
    solid s = {0};
    char *text = read_text(path);
    char *vertices = strstr(text, "element vertex "), *faces = strstr(text, "element face ");
    char *body = strstr(text, "end_header\n");
    CHECK(vertices && faces && body && strstr(text, "comment space LPS\ncomment unit mm\n"));
    size_t n = strtoul(vertices + 15, NULL, 10), m = strtoul(faces + 13, NULL, 10);
    const uint8_t *p = (const uint8_t *)body + 11, *f = p + VERTEX * n;
    for (size_t t = 0; t < m; t++, f += FACE) {
        double corner[3][3];
        CHECK(f[0] == 3);
        for (int c = 0; c < 3; c++) {
            size_t v = u32_at(f + 1 + 4 * c);
            CHECK(v < n);
            for (int i = 0; i < 3; i++) corner[c][i] = f32_at(p + VERTEX * v + 4 * i);
        }
        solid_add(&s, corner[0], corner[1], corner[2]);
    }
    fab_free(text);
    if (s.triangles) solid_finish(&s);
    return s;
}

/* ---- 3MF ------------------------------------------------------------------------------------ */

/* strstr; but under the sanitizers that one reads to the end of the whole text each time. */
static inline char *find_text(char *text, const char *key)
{
    size_t n = strlen(key);
    for (; *text; text++)
        if (*text == *key && strncmp(text, key, n) == 0) return text;
    return NULL;
}

/* The number after the next `key="`; *at moves on behind it. */
static inline double xml_number(char **at, const char *key)
{
    *at = find_text(*at, key);
    CHECK(*at);
    return strtod(*at + strlen(key), at);
}

static inline solid solid_of_object(char *object, const char *end)
{
    solid s = {0};
    vertex_list v = {0};
    char *at = object, *triangles = strstr(object, "<triangles>");
    CHECK(triangles && triangles < end);
    while ((at = find_text(at, "<vertex ")) && at < triangles) {
        double p[3] = {xml_number(&at, "x=\""), xml_number(&at, "y=\""), xml_number(&at, "z=\"")};
        vertex_add(&v, p);
    }
    at = triangles;
    while ((at = find_text(at, "<triangle ")) && at < end) {
        unsigned long index[3];
        static const char *const key[3] = {"v1=\"", "v2=\"", "v3=\""};
        for (int c = 0; c < 3; c++) index[c] = (unsigned long)xml_number(&at, key[c]);
        vertex_triangle(&v, index, &s);
    }
    fab_free(v.at);
    if (s.triangles) solid_finish(&s);
    return s;
}

/* folder is an empty place to unpack into. Items of the build section must not move anything. */
static inline void solids_of_3mf(const char *path, const char *folder, const char *const *names,
                                 size_t count, solid *solids)
{
    char model[FAB_MAX_PATH_BYTES], part[FAB_MAX_NAME_BYTES + 32];
    fab_error err;
    CHECK_OK(fab_archive_unpack(path, folder, NULL, &err));
    CHECK_OK(fab_path_join(model, sizeof model, folder, "3D/3dmodel.model", &err));
    char *text = read_text(model);
    CHECK(strstr(text, "<model unit=\"millimeter\"") && !strstr(text, "transform="));
    for (size_t i = 0; i < count; i++) {
        snprintf(part, sizeof part, "partnumber=\"%s\"", names[i]);
        char *object = strstr(text, part);
        if (!object) continue;
        char *end = strstr(object, "</object>");
        CHECK(end);
        *end = 0; /* keeps the searches short */
        solids[i] = solid_of_object(object, end);
        *end = '<';
    }
    fab_free(text);
}

#endif
