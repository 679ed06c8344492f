/* ply.c - binary little-endian PLY, one file a structure: position, normal and colour a vertex;
 * what the mesh is and how far it is from its mask stands in the header's comments. */
#include <math.h>
#include <string.h>

#include "export_internal.h"

enum { VERTEX_BYTES = 6 * 4 + 3, FACE_BYTES = 1 + 3 * 4, CHUNK = 1024 };

static fab_status write_comments(const fab_export_parts *parts, const fab_export_part *part,
                                 fab_writer *w, fab_error *err)
{
    const fab_export_scene *s = parts->scene;
    FAB_TRY(fab_writer_printf(w, err,
                              "comment generator %s\ncomment " FAB_EXPORT_NOTICE "\n"
                              "comment space LPS\ncomment unit mm\n"
                              "comment structure %s\ncomment label %d\n",
                              parts->generator, part->name, part->mesh->label));
    if (part->anatomy)
        FAB_TRY(fab_writer_printf(w, err, "comment code %s %s (%s)\n", part->anatomy->type.scheme,
                                  part->anatomy->type.value, part->anatomy->type.meaning));
    if (s->frame_of_reference_sha256)
        FAB_TRY(fab_writer_printf(w, err, "comment frame_of_reference_sha256 %s\n",
                                  s->frame_of_reference_sha256));
    if (s->source_sha256)
        FAB_TRY(fab_writer_printf(w, err, "comment source_sha256 %s\n", s->source_sha256));
    if (!part->report) return FAB_OK;
    FAB_TRY(fab_writer_printf(w, err, "comment closed %s\ncomment volume_ml %.4f\n",
                              part->report->closed ? "yes" : "no", part->report->volume_ml));
    if (isfinite(part->report->hd95_mm))
        FAB_TRY(fab_writer_printf(w, err, "comment hd95_mm %.4f\n", part->report->hd95_mm));
    if (isfinite(part->report->volume_error_percent))
        FAB_TRY(fab_writer_printf(w, err, "comment volume_error_percent %.4f\n",
                                  part->report->volume_error_percent));
    return FAB_OK;
}

static fab_status write_header(const fab_export_parts *parts, const fab_export_part *part,
                               fab_writer *w, fab_error *err)
{
    FAB_TRY(fab_writer_printf(w, err, "ply\nformat binary_little_endian 1.0\n"));
    FAB_TRY(write_comments(parts, part, w, err));
    return fab_writer_printf(w, err,
                             "element vertex %u\n"
                             "property float x\nproperty float y\nproperty float z\n"
                             "property float nx\nproperty float ny\nproperty float nz\n"
                             "property uchar red\nproperty uchar green\nproperty uchar blue\n"
                             "element face %u\nproperty list uchar int vertex_indices\n"
                             "end_header\n",
                             part->mesh->vertex_count, part->mesh->triangle_count);
}

static uint8_t *put_vertex(uint8_t *at, const fab_export_parts *parts,
                           const fab_export_part *part, uint32_t v)
{
    float p[3], n[3];
    fab_export_position(parts, part->mesh, v, p);
    fab_export_normal(parts, &part->shell, v, n);
    for (int i = 0; i < 3; i++) at = fab_export_put_f32(at, p[i]);
    for (int i = 0; i < 3; i++) at = fab_export_put_f32(at, n[i]);
    memcpy(at, part->rgb, 3);
    return at + 3;
}

static uint8_t *put_face(uint8_t *at, const fab_mesh *mesh, uint32_t triangle)
{
    *at++ = 3;
    for (size_t c = 0; c < 3; c++)
        at = fab_export_put_u32(at, mesh->index[3 * (size_t)triangle + c]);
    return at;
}

static fab_status write_ply_part(const fab_export_parts *parts, const fab_export_part *part,
                                 fab_writer *w, fab_error *err)
{
    FAB_TRY(write_header(parts, part, w, err));
    const fab_mesh *mesh = part->mesh;
    uint8_t chunk[CHUNK * VERTEX_BYTES], *at = chunk;
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        at = put_vertex(at, parts, part, v);
        if (at < chunk + sizeof chunk && v + 1 < mesh->vertex_count) continue;
        FAB_TRY(fab_writer_write(w, chunk, (size_t)(at - chunk), err));
        at = chunk;
    }
    for (uint32_t t = 0; t < mesh->triangle_count; t++) {
        at = put_face(at, mesh, t);
        if (at < chunk + CHUNK * FACE_BYTES && t + 1 < mesh->triangle_count) continue;
        FAB_TRY(fab_writer_write(w, chunk, (size_t)(at - chunk), err));
        at = chunk;
    }
    return FAB_OK;
}

fab_status fab_export_write_ply(const fab_export_scene *scene, const char *path, fab_error *err)
{
    return fab_export_each_part(scene, path, ".ply", write_ply_part, err);
}
