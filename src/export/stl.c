/* stl.c - binary STL, one file a structure. The format knows no unit and no axes, so the 80-byte
 * header says them; it never starts with "solid", by which readers take a file for ASCII. Facet
 * normals are computed from the written float positions, counter-clockwise seen from outside. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "export_internal.h"

enum { HEADER_BYTES = 80, FACET_BYTES = 50, CHUNK_FACETS = 1024 };

static void facet_normal(const float p[3][3], float out[3])
{
    double a[3], b[3], n[3];
    for (int i = 0; i < 3; i++) a[i] = (double)p[1][i] - p[0][i], b[i] = (double)p[2][i] - p[0][i];
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        n[i] = a[j] * b[k] - a[k] * b[j];
    }
    double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int i = 0; i < 3; i++) out[i] = length > 0 ? (float)(n[i] / length) : 0;
}

static uint8_t *put_facet(uint8_t *at, const fab_export_parts *parts, const fab_mesh *mesh,
                          uint32_t triangle)
{
    float p[3][3], n[3];
    for (int c = 0; c < 3; c++)
        fab_export_position(parts, mesh, mesh->index[3 * (size_t)triangle + (size_t)c], p[c]);
    facet_normal((const float(*)[3])p, n);
    for (int i = 0; i < 3; i++) at = fab_export_put_f32(at, n[i]);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 3; i++) at = fab_export_put_f32(at, p[c][i]);
    return fab_export_put_u16(at, 0);
}

static fab_status write_stl_part(const fab_export_parts *parts, const fab_export_part *part,
                                 fab_writer *w, fab_error *err)
{
    uint8_t head[HEADER_BYTES + 4] = {0}, chunk[CHUNK_FACETS * FACET_BYTES];
    char text[HEADER_BYTES + 1] = {0};
    snprintf(text, sizeof text, "binary STL, LPS mm, not for diagnostic use: %.35s", part->name);
    memcpy(head, text, HEADER_BYTES);
    fab_export_put_u32(head + HEADER_BYTES, part->mesh->triangle_count);
    FAB_TRY(fab_writer_write(w, head, sizeof head, err));
    uint8_t *at = chunk;
    for (uint32_t t = 0; t < part->mesh->triangle_count; t++) {
        at = put_facet(at, parts, part->mesh, t);
        if (at < chunk + sizeof chunk && t + 1 < part->mesh->triangle_count) continue;
        FAB_TRY(fab_writer_write(w, chunk, (size_t)(at - chunk), err));
        at = chunk;
    }
    return FAB_OK;
}

fab_status fab_export_write_stl(const fab_export_scene *scene, const char *path, fab_error *err)
{
    return fab_export_each_part(scene, path, ".stl", write_stl_part, err);
}
