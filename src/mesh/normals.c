/* normals.c - vertex normals weighted by the angle of each triangle at the vertex (Thuermer and
 * Wuethrich 1998), so that they do not depend on how a flat part is triangulated. */
#include <math.h>
#include <string.h>

#include "mesh_internal.h"

static void edge_of(const float *a, const float *b, double out[3])
{
    for (int x = 0; x < 3; x++) out[x] = (double)b[x] - (double)a[x];
}

static void cross(const double a[3], const double b[3], double out[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void add_triangle(const fab_mesh *mesh, const uint32_t v[3], float *normal)
{
    double n[3], side[3][3];
    for (int i = 0; i < 3; i++)
        edge_of(mesh->position + (size_t)v[i] * 3, mesh->position + (size_t)v[(i + 1) % 3] * 3,
                side[i]);
    cross(side[0], side[1], n);
    double length = sqrt(dot(n, n));
    if (!(length > 0)) return;
    for (int i = 0; i < 3; i++) {
        const double *out = side[i], *in = side[(i + 2) % 3];
        double weight = atan2(length, -dot(out, in)) / length; /* |out x in| = length */
        for (int x = 0; x < 3; x++) normal[(size_t)v[i] * 3 + (size_t)x] += (float)(n[x] * weight);
    }
}

fab_status fab_mesh_compute_normals(fab_mesh *mesh, fab_error *err)
{
    size_t values = (size_t)mesh->vertex_count * 3;
    float *normal = fab_calloc(values + 1, sizeof *normal);
    if (!normal)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the normals of %u vertices",
                 mesh->vertex_count);
    for (size_t t = 0; t < mesh->triangle_count; t++)
        add_triangle(mesh, mesh->index + t * 3, normal);
    for (size_t i = 0; i < values; i += 3) {
        double n[3] = {(double)normal[i], (double)normal[i + 1], (double)normal[i + 2]};
        double length = sqrt(dot(n, n));
        for (size_t x = 0; x < 3; x++)
            normal[i + x] = length > 0 ? (float)(n[x] / length) : x == 2 ? 1.0f : 0.0f;
    }
    fab_free(mesh->normal);
    mesh->normal = normal;
    return FAB_OK;
}
