/* threemf.c - 3MF (core specification 1.3): an OPC package of three parts. One object a structure
 * with its colour as a base material; coordinates stay LPS millimetres (z to the head), so several
 * files of one patient fit each other. Names and figures travel as metadata; no patient data. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "export_internal.h"

enum { STAGE_BYTES = 1 << 16, LINE_BYTES = 200 };

static const char content_types[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">"
    "<Default Extension=\"rels\" "
    "ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>"
    "<Default Extension=\"model\" "
    "ContentType=\"application/vnd.ms-package.3dmanufacturing-3dmodel+xml\"/></Types>\n";
static const char relationships[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
    "<Relationship Target=\"/3D/3dmodel.model\" Id=\"rel0\" "
    "Type=\"http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel\"/></Relationships>\n";

/* Text for XML: the five special characters escaped, control characters dropped. */
static fab_status put_text(fab_writer *w, const char *text, fab_error *err)
{
    for (; *text; text++) {
        const char *escaped = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ?
                              "&gt;" : *text == '"' ? "&quot;" : *text == '\'' ? "&apos;" : NULL;
        if (escaped) FAB_TRY(fab_writer_write(w, escaped, strlen(escaped), err));
        else if ((unsigned char)*text >= 0x20) FAB_TRY(fab_writer_write(w, text, 1, err));
    }
    return FAB_OK;
}

static fab_status put_metadata(fab_writer *w, const char *name, const char *text, fab_error *err)
{
    if (!text) return FAB_OK;
    FAB_TRY(fab_writer_printf(w, err, "<metadata name=\"%s\">", name));
    FAB_TRY(put_text(w, text, err));
    return fab_writer_printf(w, err, "</metadata>\n");
}

/* One line of figures a structure, at the model's level: metadatagroup (core 1.1) would be the
 * place, but lib3mf before 2.0 refuses it. */
static fab_status put_part_metadata(const fab_export_part *part, fab_writer *w, fab_error *err)
{
    FAB_TRY(fab_writer_printf(w, err, "<metadata name=\"fab:structure_%d\">%s",
                              part->mesh->label, part->name));
    if (part->anatomy)
        FAB_TRY(fab_writer_printf(w, err, "; code %s %s", part->anatomy->type.scheme,
                                  part->anatomy->type.value));
    const fab_mesh_report *r = part->report;
    if (r)
        FAB_TRY(fab_writer_printf(w, err, "; closed %s; volume_ml %.4f", r->closed ? "yes" : "no",
                                  r->volume_ml));
    if (r && isfinite(r->hd95_mm)) FAB_TRY(fab_writer_printf(w, err, "; hd95_mm %.4f", r->hd95_mm));
    if (r && isfinite(r->volume_error_percent))
        FAB_TRY(fab_writer_printf(w, err, "; volume_error_percent %.4f", r->volume_error_percent));
    return fab_writer_printf(w, err, "</metadata>\n");
}

static fab_status put_document_metadata(const fab_export_parts *parts, fab_writer *w,
                                        fab_error *err)
{
    const fab_export_scene *s = parts->scene;
    FAB_TRY(put_metadata(w, "Title", "Anatomical model", err));
    FAB_TRY(put_metadata(w, "Application", parts->generator, err));
    FAB_TRY(put_metadata(w, "Description", FAB_EXPORT_NOTICE " Coordinates are LPS, mm.", err));
    FAB_TRY(put_metadata(w, "fab:frame_of_reference_sha256", s->frame_of_reference_sha256, err));
    FAB_TRY(put_metadata(w, "fab:source_sha256", s->source_sha256, err));
    for (size_t p = 0; p < parts->count; p++)
        FAB_TRY(put_part_metadata(&parts->items[p], w, err));
    return FAB_OK;
}

static fab_status put_materials(const fab_export_parts *parts, fab_writer *w, fab_error *err)
{
    if (!parts->count) return FAB_OK;
    FAB_TRY(fab_writer_printf(w, err, "<basematerials id=\"1\">\n"));
    for (size_t p = 0; p < parts->count; p++) {
        const fab_export_part *part = &parts->items[p];
        FAB_TRY(fab_writer_printf(w, err, "<base name=\""));
        FAB_TRY(put_text(w, part->display, err));
        FAB_TRY(fab_writer_printf(w, err, "\" displaycolor=\"#%02X%02X%02X\"/>\n", part->rgb[0],
                                  part->rgb[1], part->rgb[2]));
    }
    return fab_writer_printf(w, err, "</basematerials>\n");
}

static char *put(char *at, const char *text)
{
    while (*text) *at++ = *text++;
    return at;
}

static fab_status put_vertices(const fab_export_parts *parts, const fab_mesh *mesh, char *stage,
                               fab_writer *w, fab_error *err)
{
    static const char *const axis[3] = {"<vertex x=\"", "\" y=\"", "\" z=\""};
    char *at = put(stage, "<mesh><vertices>\n");
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        float p[3];
        fab_export_position(parts, mesh, v, p);
        for (int i = 0; i < 3; i++) {
            at = put(at, axis[i]);
            at += fab_export_put_number(at, p[i]);
        }
        at = put(at, "\"/>\n");
        if (at < stage + STAGE_BYTES - LINE_BYTES) continue;
        FAB_TRY(fab_writer_write(w, stage, (size_t)(at - stage), err));
        at = stage;
    }
    at = put(at, "</vertices>\n");
    return fab_writer_write(w, stage, (size_t)(at - stage), err);
}

static fab_status put_triangles(const fab_mesh *mesh, char *stage, fab_writer *w, fab_error *err)
{
    static const char *const corner[3] = {"<triangle v1=\"", "\" v2=\"", "\" v3=\""};
    char *at = put(stage, "<triangles>\n");
    for (uint32_t t = 0; t < mesh->triangle_count; t++) {
        for (size_t i = 0; i < 3; i++) {
            at = put(at, corner[i]);
            at += fab_export_put_count(at, mesh->index[3 * (size_t)t + i]);
        }
        at = put(at, "\"/>\n");
        if (at < stage + STAGE_BYTES - LINE_BYTES) continue;
        FAB_TRY(fab_writer_write(w, stage, (size_t)(at - stage), err));
        at = stage;
    }
    at = put(at, "</triangles></mesh>\n");
    return fab_writer_write(w, stage, (size_t)(at - stage), err);
}

static fab_status put_model(const fab_export_parts *parts, fab_writer *w, fab_error *err)
{
    FAB_AUTO_FREE char *stage = fab_malloc(STAGE_BYTES);
    if (!stage) FAB_FAIL(err, FAB_ERR_NOMEM, "export: no memory for a text buffer");
    FAB_TRY(fab_writer_printf(w, err,
                              "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                              "<model unit=\"millimeter\" xml:lang=\"en-US\" "
                              "xmlns=\"http://schemas.microsoft.com/3dmanufacturing/core/2015/02\""
                              " xmlns:fab=\"urn:fabrica:metadata:1\">\n"));
    FAB_TRY(put_document_metadata(parts, w, err));
    FAB_TRY(fab_writer_printf(w, err, "<resources>\n"));
    FAB_TRY(put_materials(parts, w, err));
    for (size_t p = 0; p < parts->count; p++) {
        const fab_export_part *part = &parts->items[p];
        FAB_TRY(fab_writer_printf(w, err, "<object id=\"%zu\" type=\"model\" pid=\"1\" "
                                  "pindex=\"%zu\" partnumber=\"%s\" name=\"", p + 2, p,
                                  part->name));
        FAB_TRY(put_text(w, part->display, err));
        FAB_TRY(fab_writer_printf(w, err, "\">\n"));
        FAB_TRY(put_vertices(parts, part->mesh, stage, w, err));
        FAB_TRY(put_triangles(part->mesh, stage, w, err));
        FAB_TRY(fab_writer_printf(w, err, "</object>\n"));
    }
    FAB_TRY(fab_writer_printf(w, err, "</resources>\n<build>\n"));
    for (size_t p = 0; p < parts->count; p++)
        FAB_TRY(fab_writer_printf(w, err, "<item objectid=\"%zu\"/>\n", p + 2));
    return fab_writer_printf(w, err, "</build>\n</model>\n");
}

static fab_status put_fixed_part(fab_zip *zip, const char *name, const char *text, fab_error *err)
{
    fab_writer *w = NULL;
    FAB_TRY(fab_zip_begin(zip, name, &w, err));
    FAB_TRY(fab_writer_write(w, text, strlen(text), err));
    return fab_zip_end(zip, err);
}

fab_status fab_export_write_3mf(const fab_export_scene *scene, const char *path, fab_error *err)
{
    FAB_AUTO_PARTS fab_export_parts parts = {0};
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_AUTO(fab_zip_free) fab_zip *zip = NULL;
    fab_writer *w = NULL;
    FAB_TRY(fab_export_parts_make(scene, &parts, err));
    FAB_TRY(fab_atomic_open(path, &file, err));
    FAB_TRY(fab_zip_create(fab_atomic_writer(file), &zip, err));
    FAB_TRY(put_fixed_part(zip, "[Content_Types].xml", content_types, err));
    FAB_TRY(put_fixed_part(zip, "_rels/.rels", relationships, err));
    FAB_TRY(fab_zip_begin(zip, "3D/3dmodel.model", &w, err));
    FAB_TRY(put_model(&parts, w, err));
    FAB_TRY(fab_zip_end(zip, err));
    FAB_TRY(fab_zip_finish(zip, err));
    return fab_atomic_commit(&file, err);
}
