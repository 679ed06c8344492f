/* gltf.c - the JSON of a glTF 2.0 asset and the GLB container, shared by the plain and the headset
 * file. What Fabrica says about a twin goes into "extras": the document's in asset.extras, a
 * structure's in its node. Node order: 0 root, then one node a tissue group, then the structures.
 */
#include <math.h>
#include <string.h>

#include "export_internal.h"

/* ---- building blocks -------------------------------------------------------------------- */

fab_status fab_gltf_child(fab_json *parent, const char *key, bool array, fab_json **out,
                          fab_error *err)
{
    fab_json *made = array ? fab_json_array() : fab_json_object();
    FAB_TRY(key ? fab_json_set(parent, key, made, err) : fab_json_append(parent, made, err));
    *out = made;
    return FAB_OK;
}

fab_status fab_gltf_set_count(fab_json *object, const char *key, size_t value, fab_error *err)
{
    return fab_json_set(object, key, fab_json_int((int64_t)value), err);
}

fab_status fab_gltf_set_text(fab_json *object, const char *key, const char *text, fab_error *err)
{
    return text ? fab_json_set(object, key, fab_json_string(text), err) : FAB_OK;
}

static fab_status set_real(fab_json *object, const char *key, double value, fab_error *err)
{
    return fab_json_set(object, key, fab_json_real(value), err);
}

static fab_status set_reals(fab_json *object, const char *key, const double *values, size_t count,
                            fab_error *err)
{
    fab_json *array;
    FAB_TRY(fab_gltf_child(object, key, true, &array, err));
    for (size_t i = 0; i < count; i++)
        FAB_TRY(fab_json_append(array, fab_json_real(values[i]), err));
    return FAB_OK;
}

/* ---- document --------------------------------------------------------------------------- */

/* patient LPS mm = M * (glTF metres, 1), column-major as glTF writes matrices. */
static const double patient_from_gltf[16] = {1000, 0, 0, 0, 0, 0, 1000, 0,
                                             0, -1000, 0, 0, 0, 0, 0, 1};

static fab_status add_asset(fab_gltf *doc, fab_error *err)
{
    const fab_export_scene *s = doc->parts->scene;
    fab_json *asset, *extras;
    FAB_TRY(fab_gltf_child(doc->root, "asset", false, &asset, err));
    FAB_TRY(fab_gltf_set_text(asset, "version", "2.0", err));
    FAB_TRY(fab_gltf_set_text(asset, "generator", doc->parts->generator, err));
    FAB_TRY(fab_gltf_child(asset, "extras", false, &extras, err));
    FAB_TRY(fab_gltf_set_text(extras, "notice", FAB_EXPORT_NOTICE, err));
    FAB_TRY(fab_gltf_set_text(extras, "frame_of_reference_sha256", s->frame_of_reference_sha256,
                              err));
    FAB_TRY(fab_gltf_set_text(extras, "source_sha256", s->source_sha256, err));
    FAB_TRY(fab_gltf_set_text(extras, "space", "LPS", err));
    FAB_TRY(set_reals(extras, "world_lps_mm_from_gltf", patient_from_gltf, 16, err));
    double column_major[16] = {0};
    for (int c = 0; c < 4; c++)
        for (int r = 0; r < 3; r++) column_major[4 * c + r] = doc->parts->map.m[r][c];
    column_major[15] = 1;
    return set_reals(extras, "world_from_patient", column_major, 16, err);
}

/* IEC 61966-2-1, rounded to four decimals so that no last bit of libm shows. */
static double linear_of(uint8_t srgb)
{
    double c = srgb / 255.0;
    double linear = c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
    return round(linear * 10000) / 10000;
}

static fab_status add_material(fab_gltf *doc, const fab_export_part *part, fab_error *err)
{
    bool skin = part->tissue == FAB_TISSUE_SKIN;
    fab_json *material, *pbr;
    FAB_TRY(fab_gltf_child(doc->materials, NULL, false, &material, err));
    FAB_TRY(fab_gltf_set_text(material, "name", part->name, err));
    FAB_TRY(fab_gltf_child(material, "pbrMetallicRoughness", false, &pbr, err));
    double factor[4] = {linear_of(part->rgb[0]), linear_of(part->rgb[1]), linear_of(part->rgb[2]),
                        skin ? 0.25 : 1};
    FAB_TRY(set_reals(pbr, "baseColorFactor", factor, 4, err));
    FAB_TRY(set_real(pbr, "metallicFactor", 0, err));
    FAB_TRY(set_real(pbr, "roughnessFactor", part->tissue == FAB_TISSUE_BONE ? 0.7 : 0.5, err));
    return skin ? fab_gltf_set_text(material, "alphaMode", "BLEND", err) : FAB_OK;
}

/* ---- groups ----------------------------------------------------------------------------- */

static const struct { fab_tissue tissue; const char *name; } groups[] = {
    {FAB_TISSUE_BONE, "Bones"}, {FAB_TISSUE_DISC, "Discs"}, {FAB_TISSUE_NERVE, "Nerves"},
    {FAB_TISSUE_VESSEL, "Vessels"}, {FAB_TISSUE_ORGAN, "Organs"}, {FAB_TISSUE_LUNG, "Lungs"},
    {FAB_TISSUE_BOWEL, "Bowel"}, {FAB_TISSUE_MUSCLE, "Muscles"}, {FAB_TISSUE_SKIN, "Skin"},
    {FAB_TISSUE_OTHER, "Other"},
};
enum { GROUPS = sizeof groups / sizeof *groups };

static size_t group_of(fab_tissue tissue)
{
    for (size_t g = 0; g < GROUPS; g++)
        if (groups[g].tissue == tissue) return g;
    return GROUPS - 1;
}

static fab_status add_groups(fab_gltf *doc, fab_error *err)
{
    size_t members[GROUPS] = {0}, used = 0;
    for (size_t p = 0; p < doc->parts->count; p++)
        used += members[group_of(doc->parts->items[p].tissue)]++ == 0;
    fab_json *root, *children;
    FAB_TRY(fab_gltf_child(doc->nodes, NULL, false, &root, err));
    FAB_TRY(fab_gltf_set_text(root, "name", "twin", err));
    if (!used) return FAB_OK;
    FAB_TRY(fab_gltf_child(root, "children", true, &children, err));
    for (size_t i = 0; i < used; i++)
        FAB_TRY(fab_json_append(children, fab_json_int((int64_t)(1 + i)), err));
    for (size_t g = 0; g < GROUPS; g++) {
        if (!members[g]) continue;
        fab_json *node;
        FAB_TRY(fab_gltf_child(doc->nodes, NULL, false, &node, err));
        FAB_TRY(fab_gltf_set_text(node, "name", groups[g].name, err));
        FAB_TRY(fab_gltf_child(node, "children", true, &children, err));
        for (size_t p = 0; p < doc->parts->count; p++)
            if (group_of(doc->parts->items[p].tissue) == g)
                FAB_TRY(fab_json_append(children, fab_json_int((int64_t)(1 + used + p)), err));
    }
    return FAB_OK;
}

fab_status fab_gltf_begin(const fab_export_parts *parts, fab_gltf *out, fab_error *err)
{
    FAB_AUTO_GLTF fab_gltf doc = {
        .parts = parts, .root = fab_json_object(), .nodes = fab_json_array(),
        .meshes = fab_json_array(), .materials = fab_json_array(), .accessors = fab_json_array(),
        .views = fab_json_array(), .buffers = fab_json_array()};
    if (!doc.root || !doc.nodes || !doc.meshes || !doc.materials || !doc.accessors ||
        !doc.views || !doc.buffers)
        FAB_FAIL(err, FAB_ERR_NOMEM, "export: no memory for a glTF document");
    FAB_TRY(add_asset(&doc, err));
    FAB_TRY(fab_gltf_set_count(doc.root, "scene", 0, err));
    fab_json *scenes, *scene, *list;
    FAB_TRY(fab_gltf_child(doc.root, "scenes", true, &scenes, err));
    FAB_TRY(fab_gltf_child(scenes, NULL, false, &scene, err));
    FAB_TRY(fab_gltf_child(scene, "nodes", true, &list, err));
    FAB_TRY(fab_json_append(list, fab_json_int(0), err));
    FAB_TRY(add_groups(&doc, err));
    for (size_t p = 0; p < parts->count; p++)
        FAB_TRY(add_material(&doc, &parts->items[p], err));
    *out = doc;
    doc = (fab_gltf){0};
    return FAB_OK;
}

void fab_gltf_free(fab_gltf *doc)
{
    fab_json **all[] = {&doc->root, &doc->nodes, &doc->meshes, &doc->materials, &doc->accessors,
                        &doc->views, &doc->buffers};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) *all[i] = fab_json_free(*all[i]);
}

/* ---- accessors, meshes, nodes ----------------------------------------------------------- */

fab_status fab_gltf_add_accessor(fab_gltf *doc, const fab_gltf_accessor *a, fab_error *err)
{
    fab_json *accessor;
    FAB_TRY(fab_gltf_child(doc->accessors, NULL, false, &accessor, err));
    FAB_TRY(fab_gltf_set_count(accessor, "bufferView", a->view, err));
    if (a->offset) FAB_TRY(fab_gltf_set_count(accessor, "byteOffset", a->offset, err));
    FAB_TRY(fab_gltf_set_count(accessor, "componentType", (size_t)a->component, err));
    if (a->normalized)
        FAB_TRY(fab_json_set(accessor, "normalized", fab_json_bool(true), err));
    FAB_TRY(fab_gltf_set_count(accessor, "count", a->count, err));
    FAB_TRY(fab_gltf_set_text(accessor, "type", a->vec3 ? "VEC3" : "SCALAR", err));
    if (!a->ranged) return FAB_OK;
    FAB_TRY(set_reals(accessor, "min", a->low, 3, err));
    return set_reals(accessor, "max", a->high, 3, err);
}

fab_status fab_gltf_add_mesh(fab_gltf *doc, const char *name, size_t first, size_t material,
                             fab_error *err)
{
    fab_json *mesh, *primitives, *primitive, *attributes;
    FAB_TRY(fab_gltf_child(doc->meshes, NULL, false, &mesh, err));
    FAB_TRY(fab_gltf_set_text(mesh, "name", name, err));
    FAB_TRY(fab_gltf_child(mesh, "primitives", true, &primitives, err));
    FAB_TRY(fab_gltf_child(primitives, NULL, false, &primitive, err));
    FAB_TRY(fab_gltf_child(primitive, "attributes", false, &attributes, err));
    FAB_TRY(fab_gltf_set_count(attributes, "POSITION", first, err));
    FAB_TRY(fab_gltf_set_count(attributes, "NORMAL", first + 1, err));
    FAB_TRY(fab_gltf_set_count(primitive, "indices", first + 2, err));
    return fab_gltf_set_count(primitive, "material", material, err);
}

static fab_status set_code(fab_json *extras, const char *key, const fab_code *code,
                           fab_error *err)
{
    if (!code->value) return FAB_OK;
    fab_json *object;
    FAB_TRY(fab_gltf_child(extras, key, false, &object, err));
    FAB_TRY(fab_gltf_set_text(object, "scheme", code->scheme, err));
    FAB_TRY(fab_gltf_set_text(object, "value", code->value, err));
    return fab_gltf_set_text(object, "meaning", code->meaning, err);
}

static fab_status set_report(fab_json *extras, const fab_mesh_report *r, fab_error *err)
{
    const struct { const char *key; double value; } reals[] = {
        {"volume_ml", r->volume_ml}, {"area_mm2", r->area_mm2}, {"hd95_mm", r->hd95_mm},
        {"mean_mm", r->mean_mm}, {"volume_error_percent", r->volume_error_percent}};
    FAB_TRY(fab_json_set(extras, "closed", fab_json_bool(r->closed), err));
    FAB_TRY(fab_json_set(extras, "manifold", fab_json_bool(r->manifold), err));
    if (r->self_intersections >= 0)
        FAB_TRY(fab_gltf_set_count(extras, "self_intersections", (size_t)r->self_intersections,
                                   err));
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        FAB_TRY(set_real(extras, reals[i].key, reals[i].value, err));
    return FAB_OK;
}

fab_status fab_gltf_add_part_node(fab_gltf *doc, size_t p, size_t mesh, fab_json **node,
                                  fab_error *err)
{
    const fab_export_part *part = &doc->parts->items[p];
    fab_json *made, *extras;
    FAB_TRY(fab_gltf_child(doc->nodes, NULL, false, &made, err));
    FAB_TRY(fab_gltf_set_text(made, "name", part->name, err));
    FAB_TRY(fab_gltf_set_count(made, "mesh", mesh, err));
    FAB_TRY(fab_gltf_child(made, "extras", false, &extras, err));
    FAB_TRY(fab_json_set(extras, "label", fab_json_int(part->mesh->label), err));
    FAB_TRY(fab_gltf_set_text(extras, "display", part->display, err));
    if (part->anatomy) {
        fab_code side = fab_anatomy_side_code(part->anatomy->side);
        FAB_TRY(set_code(extras, "category", &part->anatomy->category, err));
        FAB_TRY(set_code(extras, "code", &part->anatomy->type, err));
        FAB_TRY(set_code(extras, "laterality", &side, err));
        FAB_TRY(set_code(extras, "region", &part->anatomy->region, err));
    }
    FAB_TRY(fab_gltf_set_count(extras, "triangles", part->mesh->triangle_count, err));
    if (part->report) FAB_TRY(set_report(extras, part->report, err));
    *node = made;
    return FAB_OK;
}

/* ---- container -------------------------------------------------------------------------- */

static fab_status attach(fab_gltf *doc, const char *key, fab_json **array, fab_error *err)
{
    if (!fab_json_count(*array)) return FAB_OK;
    fab_json *given = *array;
    *array = NULL;
    return fab_json_set(doc->root, key, given, err);
}

static fab_status attach_all(fab_gltf *doc, fab_error *err)
{
    FAB_TRY(attach(doc, "nodes", &doc->nodes, err));
    FAB_TRY(attach(doc, "meshes", &doc->meshes, err));
    FAB_TRY(attach(doc, "materials", &doc->materials, err));
    FAB_TRY(attach(doc, "accessors", &doc->accessors, err));
    FAB_TRY(attach(doc, "bufferViews", &doc->views, err));
    return attach(doc, "buffers", &doc->buffers, err);
}

fab_status fab_gltf_write_head(fab_gltf *doc, uint64_t binary_bytes, const char *path,
                               fab_writer *w, fab_error *err)
{
    enum { GLB_HEADER = 12, CHUNK_HEADER = 8 };
    FAB_AUTO_BUF fab_buf json = {0};
    fab_writer text;
    fab_writer_to_buf(&json, &text);
    FAB_TRY(attach_all(doc, err));
    FAB_TRY(fab_json_dump(doc->root, 0, &text, err));
    json.size--; /* the newline that ends a text file */
    while (json.size % 4) FAB_TRY(fab_buf_append(&json, " ", 1, err));
    uint64_t total = GLB_HEADER + CHUNK_HEADER + json.size;
    if (binary_bytes) total += CHUNK_HEADER + binary_bytes;
    if (total > UINT32_MAX)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: %llu bytes, a GLB holds at most 4294967295", path,
                 (unsigned long long)total);
    uint8_t head[GLB_HEADER + CHUNK_HEADER], *at = head;
    at = fab_export_put_u32(at, 0x46546C67); /* glTF */
    at = fab_export_put_u32(at, 2);
    at = fab_export_put_u32(at, (uint32_t)total);
    at = fab_export_put_u32(at, (uint32_t)json.size);
    fab_export_put_u32(at, 0x4E4F534A); /* JSON */
    FAB_TRY(fab_writer_write(w, head, sizeof head, err));
    FAB_TRY(fab_writer_write(w, json.data, json.size, err));
    if (!binary_bytes) return FAB_OK;
    fab_export_put_u32(fab_export_put_u32(head, (uint32_t)binary_bytes), 0x004E4942); /* BIN */
    return fab_writer_write(w, head, CHUNK_HEADER, err);
}
