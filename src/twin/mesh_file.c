/* mesh_file.c - one structure's surface as a file of the case: binary little-endian PLY.
 *
 *     ply
 *     format binary_little_endian 1.0
 *     comment fabrica-mesh 1 label 5 frame LPS unit mm
 *     element vertex V
 *     property float x ... y ... z
 *     element face T
 *     property list uchar uint vertex_indices
 *     property uchar flags
 *     end_header
 *     V x 12 bytes, T x 14 bytes
 *
 * Any PLY reader shows it; our own reader takes exactly this header and nothing else, so that
 * what comes back is bit for bit what was written.
 */
#include "fabrica/twin.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian machines"
#endif

enum { FACE_BYTES = 14, VERTEX_BYTES = 12, CHUNK_FACES = 4096, HEADER_BYTES = 512 };

static const char header_format[] = "ply\n"
                                    "format binary_little_endian 1.0\n"
                                    "comment fabrica-mesh 1 label %d frame LPS unit mm\n"
                                    "element vertex %u\n"
                                    "property float x\n"
                                    "property float y\n"
                                    "property float z\n"
                                    "element face %u\n"
                                    "property list uchar uint vertex_indices\n"
                                    "property uchar flags\n"
                                    "end_header\n";

fab_status fab_case_mesh_write(const fab_mesh *mesh, fab_writer *w, fab_error *err)
{
    uint8_t chunk[CHUNK_FACES * FACE_BYTES];
    FAB_TRY(fab_writer_printf(w, err, header_format, mesh->label, mesh->vertex_count,
                              mesh->triangle_count));
    FAB_TRY(fab_writer_write(w, mesh->position, (size_t)mesh->vertex_count * VERTEX_BYTES, err));
    for (uint32_t t = 0; t < mesh->triangle_count;) {
        uint32_t n = mesh->triangle_count - t;
        if (n > CHUNK_FACES) n = CHUNK_FACES;
        for (uint32_t i = 0; i < n; i++) {
            uint8_t *at = chunk + (size_t)i * FACE_BYTES;
            at[0] = 3;
            memcpy(at + 1, mesh->index + (size_t)(t + i) * 3, 12);
            at[13] = mesh->flags ? mesh->flags[t + i] : 0;
        }
        FAB_TRY(fab_writer_write(w, chunk, (size_t)n * FACE_BYTES, err));
        t += n;
    }
    return FAB_OK;
}

fab_status fab_case_mesh_save(const fab_mesh *mesh, const char *path, fab_error *err)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_TRY(fab_atomic_open(path, &file, err));
    FAB_TRY(fab_case_mesh_write(mesh, fab_atomic_writer(file), err));
    return fab_atomic_commit(&file, err);
}

/* Parses the header by printing what it should have been from the three numbers in it. */
static fab_status read_header(const fab_reader *r, fab_mesh *mesh, size_t *header_bytes,
                              fab_error *err)
{
    char got[HEADER_BYTES + 1] = {0}, want[HEADER_BYTES];
    size_t count = r->size < HEADER_BYTES ? (size_t)r->size : HEADER_BYTES;
    FAB_TRY(fab_reader_read(r, 0, got, count, err));
    int label = 0;
    unsigned vertices = 0, faces = 0;
    int fields = sscanf(got, header_format, &label, &vertices, &faces);
    int length = snprintf(want, sizeof want, header_format, label, vertices, faces);
    if (fields != 3 || length < 0 || (size_t)length > count ||
        memcmp(got, want, (size_t)length) != 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: not a mesh file of a case (its PLY header differs)",
                 r->name);
    if (label < 0 || label > FAB_MAX_LABELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: label %d is out of range", r->name, label);
    uint64_t body = (uint64_t)vertices * VERTEX_BYTES + (uint64_t)faces * FACE_BYTES;
    if (r->size != (uint64_t)length + body)
        FAB_FAIL(err, FAB_ERR_FORMAT,
                 "%s: %llu bytes, but its header says %u vertices and %u triangles (%llu bytes)",
                 r->name, (unsigned long long)r->size, vertices, faces,
                 (unsigned long long)((uint64_t)length + body));
    mesh->label = label;
    mesh->vertex_count = vertices;
    mesh->triangle_count = faces;
    *header_bytes = (size_t)length;
    return FAB_OK;
}

static fab_status read_faces(const fab_reader *r, uint64_t offset, fab_mesh *mesh, fab_error *err)
{
    uint8_t chunk[CHUNK_FACES * FACE_BYTES];
    for (uint32_t t = 0; t < mesh->triangle_count;) {
        uint32_t n = mesh->triangle_count - t;
        if (n > CHUNK_FACES) n = CHUNK_FACES;
        FAB_TRY(fab_reader_read(r, offset + (uint64_t)t * FACE_BYTES, chunk,
                                (size_t)n * FACE_BYTES, err));
        for (uint32_t i = 0; i < n; i++) {
            const uint8_t *at = chunk + (size_t)i * FACE_BYTES;
            uint32_t *corner = mesh->index + (size_t)(t + i) * 3;
            memcpy(corner, at + 1, 12);
            mesh->flags[t + i] = at[13];
            bool inside = corner[0] < mesh->vertex_count && corner[1] < mesh->vertex_count &&
                          corner[2] < mesh->vertex_count;
            if (at[0] != 3 || !inside)
                FAB_FAIL(err, FAB_ERR_FORMAT, "%s: triangle %u is damaged", r->name, t + i);
        }
        t += n;
    }
    return FAB_OK;
}

static fab_status read_body(const fab_reader *r, size_t offset, fab_mesh *mesh, fab_error *err)
{
    mesh->position = fab_alloc_array(mesh->vertex_count, VERTEX_BYTES);
    mesh->index = fab_alloc_array((size_t)mesh->triangle_count * 3, sizeof *mesh->index);
    mesh->flags = fab_malloc(mesh->triangle_count ? mesh->triangle_count : 1);
    if (!mesh->flags || (mesh->triangle_count && !mesh->index) ||
        (mesh->vertex_count && !mesh->position))
        FAB_FAIL(err, FAB_ERR_NOMEM, "%s: out of memory for %u vertices", r->name,
                 mesh->vertex_count);
    size_t bytes = (size_t)mesh->vertex_count * VERTEX_BYTES;
    FAB_TRY(fab_reader_read(r, offset, mesh->position, bytes, err));
    for (size_t i = 0; i < (size_t)mesh->vertex_count * 3; i++)
        if (!isfinite(mesh->position[i]))
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: vertex %zu is not a finite point", r->name, i / 3);
    return read_faces(r, offset + bytes, mesh, err);
}

fab_status fab_case_mesh_read(const fab_reader *r, fab_mesh *out, fab_error *err)
{
    fab_mesh mesh = {0};
    size_t header = 0;
    FAB_TRY(read_header(r, &mesh, &header, err));
    fab_status status = read_body(r, header, &mesh, err);
    if (status < 0) {
        fab_mesh_free(&mesh);
        return status;
    }
    *out = mesh;
    return FAB_OK;
}

fab_status fab_case_mesh_load(const char *path, fab_mesh *out, fab_error *err)
{
    fab_reader r;
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = fab_case_mesh_read(&r, out, err);
    fab_reader_close(&r);
    return status;
}
