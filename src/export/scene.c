/* scene.c - checks a scene once and gives the writers named, coloured parts in world space. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "export_internal.h"

static const fab_label *label_of(const fab_export_scene *scene, const fab_mesh *mesh)
{
    return scene->set ? fab_label_set_find(scene->set, mesh->label) : NULL;
}

/* ASCII letters, digits, '-', '_' and inner '.' stay; everything else becomes '_'. */
static void safe_name(const char *name, int label, char *into, size_t capacity)
{
    size_t n = 0;
    for (; name[n] && n + 1 < capacity; n++) {
        char c = name[n];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool plain = letter || (c >= '0' && c <= '9') || c == '-' || c == '_';
        into[n] = plain || (c == '.' && n) ? c : '_';
    }
    into[n] = 0;
    if (!n) snprintf(into, capacity, "structure_%d", label);
}

fab_status fab_export_file_stem(const fab_export_scene *scene, size_t index, char *into,
                                size_t capacity, fab_error *err)
{
    if (!scene->meshes || index >= scene->meshes->count)
        FAB_FAIL(err, FAB_ERR_ARG, "export: no structure number %zu in the scene", index);
    const fab_mesh *mesh = &scene->meshes->items[index];
    const fab_label *label = label_of(scene, mesh);
    char own[FAB_MAX_NAME_BYTES], other[FAB_MAX_NAME_BYTES];
    safe_name(label ? label->name : "", mesh->label, own, sizeof own);
    bool twice = false;
    for (size_t i = 0; i < scene->meshes->count && !twice; i++) {
        const fab_label *l = label_of(scene, &scene->meshes->items[i]);
        safe_name(l ? l->name : "", scene->meshes->items[i].label, other, sizeof other);
        twice = i != index && strcmp(own, other) == 0;
    }
    int n = twice ? snprintf(into, capacity, "%s_%d", own, mesh->label)
                  : snprintf(into, capacity, "%s", own);
    if (n < 0 || (size_t)n >= capacity)
        FAB_FAIL(err, FAB_ERR_ARG, "export: no room for the file name of %s", own);
    return FAB_OK;
}

/* ---- checks ----------------------------------------------------------------------------- */

static fab_status check_mesh(const fab_mesh *mesh, const char *name, fab_error *err)
{
    for (uint64_t i = 0; i < 3ull * mesh->vertex_count; i++)
        if (!isfinite(mesh->position[i]))
            FAB_FAIL(err, FAB_ERR_ARG, "export: the mesh of %s has a position that is not finite "
                     "(vertex %llu)", name, (unsigned long long)(i / 3));
    for (uint64_t i = 0; i < 3ull * mesh->triangle_count; i++)
        if (mesh->index[i] >= mesh->vertex_count)
            FAB_FAIL(err, FAB_ERR_ARG, "export: the mesh of %s names vertex %u of %u (triangle "
                     "%llu)", name, mesh->index[i], mesh->vertex_count,
                     (unsigned long long)(i / 3));
    return FAB_OK;
}

/* Identity for all zeros; FAB_ERR_ARG unless rotation and translation. */
static fab_status take_map(const fab_mat34 *given, fab_export_parts *parts, fab_error *err)
{
    double off = 0, any = 0;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++) {
            any += fabs(given->m[r][c]);
            off += fabs(given->m[r][c] - (r == c));
        }
    parts->map = (fab_mat34){{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};
    if (any == 0 || off == 0) return FAB_OK;
    double worst = 0;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            double dot = a == b ? -1 : 0;
            for (int r = 0; r < 3; r++) dot += given->m[r][a] * given->m[r][b];
            if (!(fabs(dot) <= worst)) worst = fabs(dot);
        }
    if (!(worst < 1e-6) || !isfinite(any) || fab_mat34_determinant(given) < 0)
        FAB_FAIL(err, FAB_ERR_ARG, "export: world_from_patient is not a rigid map (R'R is %g off "
                 "the identity)", worst);
    parts->map = *given;
    parts->moved = true;
    return FAB_OK;
}

/* ---- parts ------------------------------------------------------------------------------ */

fab_status fab_export_part_normals(fab_export_part *part, const fab_mesh *mesh, fab_error *err)
{
    part->shell = *mesh;
    part->own_normals = fab_free(part->own_normals);
    if (mesh->normal) return FAB_OK;
    FAB_TRY(fab_mesh_compute_normals(&part->shell, err));
    part->own_normals = part->shell.normal;
    return FAB_OK;
}

static fab_status make_part(const fab_export_scene *scene, size_t index, fab_export_part *part,
                            fab_error *err)
{
    const fab_mesh *mesh = &scene->meshes->items[index];
    const fab_label *label = label_of(scene, mesh);
    FAB_TRY(fab_export_file_stem(scene, index, part->name, sizeof part->name, err));
    FAB_TRY(check_mesh(mesh, part->name, err));
    part->mesh = mesh;
    part->report = scene->reports ? &scene->reports[index] : NULL;
    part->anatomy = label ? label->anatomy : NULL;
    part->tissue = part->anatomy ? part->anatomy->tissue : FAB_TISSUE_OTHER;
    snprintf(part->display, sizeof part->display, "%s",
             part->anatomy ? part->anatomy->display : part->name);
    memcpy(part->rgb, label ? label->rgb : (const uint8_t[]){200, 200, 200}, 3);
    return fab_export_part_normals(part, mesh, err);
}

fab_status fab_export_parts_make(const fab_export_scene *scene, fab_export_parts *out,
                                 fab_error *err)
{
    if (!scene || !scene->meshes) FAB_FAIL(err, FAB_ERR_ARG, "export: no meshes given");
    if (scene->meshes->count > FAB_MAX_STRUCTURES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "export: %zu structures, at most %d are written",
                 scene->meshes->count, FAB_MAX_STRUCTURES);
    FAB_AUTO_PARTS fab_export_parts parts = {.scene = scene};
    parts.generator = scene->generator ? scene->generator : "fabrica " FAB_VERSION;
    FAB_TRY(take_map(&scene->world_from_patient, &parts, err));
    if (scene->meshes->count) {
        parts.items = fab_calloc(scene->meshes->count, sizeof *parts.items);
        if (!parts.items) FAB_FAIL(err, FAB_ERR_NOMEM, "export: no memory for the parts");
    }
    for (size_t i = 0; i < scene->meshes->count; i++) {
        if (!scene->meshes->items[i].triangle_count) continue;
        FAB_TRY(make_part(scene, i, &parts.items[parts.count++], err));
    }
    *out = parts;
    parts = (fab_export_parts){0};
    return FAB_OK;
}

void fab_export_parts_free(fab_export_parts *parts)
{
    for (size_t p = 0; p < parts->count; p++) fab_free(parts->items[p].own_normals);
    parts->items = fab_free(parts->items);
    parts->count = 0;
}

/* ---- vertices --------------------------------------------------------------------------- */

void fab_export_position(const fab_export_parts *parts, const fab_mesh *mesh, uint32_t v,
                         float out[3])
{
    const float *p = mesh->position + 3 * (size_t)v;
    if (!parts->moved) {
        memcpy(out, p, 3 * sizeof *out);
        return;
    }
    double q[3] = {p[0], p[1], p[2]};
    fab_mat34_apply(&parts->map, q, q);
    for (int i = 0; i < 3; i++) out[i] = (float)q[i];
}

void fab_export_normal(const fab_export_parts *parts, const fab_mesh *mesh, uint32_t v,
                       float out[3])
{
    const float *n = mesh->normal + 3 * (size_t)v;
    double q[3] = {n[0], n[1], n[2]};
    if (parts->moved) fab_mat34_apply_vector(&parts->map, q, q);
    double length = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2]);
    if (!(length > 1e-12) || !isfinite(length)) {
        out[0] = out[1] = 0, out[2] = 1;
        return;
    }
    for (int i = 0; i < 3; i++) out[i] = (float)(q[i] / length);
}
