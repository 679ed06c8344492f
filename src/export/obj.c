/* obj.c - Wavefront OBJ, one group a structure, with its MTL beside it. LPS millimetres, said in
 * the comment at the top because the format has no field for it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "export_internal.h"

enum { CHUNK_BYTES = 1 << 16, LINE_BYTES = 160 };

/* Lines gathered before they go to the writer. */
typedef struct line_buffer {
    fab_writer *writer;
    size_t used;
    char text[CHUNK_BYTES];
} line_buffer;

static fab_status flush_lines(line_buffer *b, fab_error *err)
{
    size_t count = b->used;
    b->used = 0;
    return count ? fab_writer_write(b->writer, b->text, count, err) : FAB_OK;
}

static fab_status put_vector(line_buffer *b, const char *keyword, const float v[3],
                             fab_error *err)
{
    if (b->used + LINE_BYTES > sizeof b->text) FAB_TRY(flush_lines(b, err));
    for (; *keyword; keyword++) b->text[b->used++] = *keyword;
    for (int i = 0; i < 3; i++) {
        b->text[b->used++] = ' ';
        b->used += fab_export_put_number(b->text + b->used, v[i]);
    }
    b->text[b->used++] = '\n';
    return FAB_OK;
}

static fab_status put_face(line_buffer *b, const uint32_t index[3], uint64_t base, fab_error *err)
{
    if (b->used + LINE_BYTES > sizeof b->text) FAB_TRY(flush_lines(b, err));
    b->text[b->used++] = 'f';
    for (int i = 0; i < 3; i++) {
        char digits[FAB_EXPORT_NUMBER_BYTES];
        size_t n = fab_export_put_count(digits, base + index[i]);
        b->text[b->used++] = ' ';
        memcpy(b->text + b->used, digits, n);
        b->used += n;
        b->text[b->used++] = '/';
        b->text[b->used++] = '/';
        memcpy(b->text + b->used, digits, n);
        b->used += n;
    }
    b->text[b->used++] = '\n';
    return FAB_OK;
}

static fab_status write_part_figures(const fab_export_part *part, fab_writer *w, fab_error *err)
{
    FAB_TRY(fab_writer_printf(w, err, "g %s\n# %s\n", part->name, part->display));
    if (part->anatomy)
        FAB_TRY(fab_writer_printf(w, err, "# code %s %s (%s)\n", part->anatomy->type.scheme,
                                  part->anatomy->type.value, part->anatomy->type.meaning));
    if (part->report)
        FAB_TRY(fab_writer_printf(w, err, "# closed %s, volume_ml %.4f\n",
                                  part->report->closed ? "yes" : "no", part->report->volume_ml));
    if (part->report && isfinite(part->report->hd95_mm))
        FAB_TRY(fab_writer_printf(w, err, "# hd95_mm %.4f, volume_error_percent %.4f\n",
                                  part->report->hd95_mm, part->report->volume_error_percent));
    return fab_writer_printf(w, err, "usemtl %s\n", part->name);
}

static fab_status write_obj_part(const fab_export_parts *parts, const fab_export_part *part,
                                 line_buffer *b, uint64_t base, fab_error *err)
{
    float v[3];
    const fab_mesh *mesh = part->mesh;
    FAB_TRY(write_part_figures(part, b->writer, err));
    for (uint32_t i = 0; i < mesh->vertex_count; i++) {
        fab_export_position(parts, mesh, i, v);
        FAB_TRY(put_vector(b, "v", v, err));
    }
    for (uint32_t i = 0; i < mesh->vertex_count; i++) {
        fab_export_normal(parts, &part->shell, i, v);
        FAB_TRY(put_vector(b, "vn", v, err));
    }
    for (uint32_t t = 0; t < mesh->triangle_count; t++)
        FAB_TRY(put_face(b, mesh->index + 3 * (size_t)t, base, err));
    return flush_lines(b, err);
}

static fab_status write_obj_file(const fab_export_parts *parts, const char *path,
                                 const char *library, fab_error *err)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_AUTO_FREE line_buffer *lines = fab_malloc(sizeof *lines);
    if (!lines) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory for a line buffer", path);
    FAB_TRY(fab_atomic_open(path, &file, err));
    *lines = (line_buffer){.writer = fab_atomic_writer(file)};
    const fab_export_scene *s = parts->scene;
    FAB_TRY(fab_writer_printf(lines->writer, err,
                              "# %s\n# " FAB_EXPORT_NOTICE "\n# space LPS (x to the left, y to "
                              "the back, z to the head), unit mm\n", parts->generator));
    if (s->frame_of_reference_sha256)
        FAB_TRY(fab_writer_printf(lines->writer, err, "# frame_of_reference_sha256 %s\n",
                                  s->frame_of_reference_sha256));
    if (s->source_sha256)
        FAB_TRY(fab_writer_printf(lines->writer, err, "# source_sha256 %s\n", s->source_sha256));
    FAB_TRY(fab_writer_printf(lines->writer, err, "mtllib %s\n", library));
    uint64_t base = 1;
    for (size_t p = 0; p < parts->count; p++) {
        FAB_TRY(write_obj_part(parts, &parts->items[p], lines, base, err));
        base += parts->items[p].mesh->vertex_count;
    }
    return fab_atomic_commit(&file, err);
}

static fab_status write_mtl_file(const fab_export_parts *parts, const char *path, fab_error *err)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_TRY(fab_atomic_open(path, &file, err));
    fab_writer *w = fab_atomic_writer(file);
    FAB_TRY(fab_writer_printf(w, err, "# %s\n", parts->generator));
    for (size_t p = 0; p < parts->count; p++) {
        const fab_export_part *part = &parts->items[p];
        double c[3];
        for (int i = 0; i < 3; i++) c[i] = part->rgb[i] / 255.0;
        FAB_TRY(fab_writer_printf(w, err,
                                  "newmtl %s\nKd %.4f %.4f %.4f\nKa 0 0 0\nKs 0.1 0.1 0.1\n"
                                  "Ns 20\nd %s\nillum 2\n",
                                  part->name, c[0], c[1], c[2],
                                  part->tissue == FAB_TISSUE_SKIN ? "0.25" : "1"));
    }
    return fab_atomic_commit(&file, err);
}

fab_status fab_export_write_obj(const fab_export_scene *scene, const char *path, fab_error *err)
{
    FAB_AUTO_PARTS fab_export_parts parts = {0};
    FAB_TRY(fab_export_parts_make(scene, &parts, err));
    char library[FAB_MAX_PATH_BYTES];
    size_t stem = strlen(path);
    if (stem >= 4 && strcmp(path + stem - 4, ".obj") == 0) stem -= 4;
    int n = snprintf(library, sizeof library, "%.*s.mtl", (int)stem, path);
    if (n < 0 || (size_t)n >= sizeof library)
        FAB_FAIL(err, FAB_ERR_ARG, "%.80s...: path longer than %d bytes", path,
                 FAB_MAX_PATH_BYTES);
    const char *slash = strrchr(library, '/');
    FAB_TRY(write_mtl_file(&parts, library, err));
    return write_obj_file(&parts, path, slash ? slash + 1 : library, err);
}
