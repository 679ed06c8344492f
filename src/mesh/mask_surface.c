/* mask_surface.c - finds the voxels of one label by rows, then writes their outer faces. */
#include <string.h>

#include "mask_surface.h"

typedef struct mask {
    const int32_t *size;
    const void *data;
    bool wide;
    int label;
    int64_t *row_voxels; /* per row (j, k) */
    uint8_t *marks;      /* of five rows */
    fab_mask_surface *out;
    const fab_mat34 *map;
} mask;

static size_t row_start(const mask *m, int32_t j, int32_t k)
{
    return (size_t)m->size[0] * ((size_t)j + (size_t)m->size[1] * (size_t)k);
}

static void count_plane(void *ctx, int64_t k, int worker)
{
    (void)worker;
    const mask *m = ctx;
    size_t n = (size_t)m->size[0];
    for (int32_t j = 0; j < m->size[1]; j++) {
        size_t first = row_start(m, j, (int32_t)k);
        int32_t found = 0;
        if (m->wide) {
            const uint16_t *row = (const uint16_t *)m->data + first;
            for (size_t i = 0; i < n; i++) found += row[i] == m->label;
        } else {
            const uint8_t *row = (const uint8_t *)m->data + first;
            for (size_t i = 0; i < n; i++) found += row[i] == m->label;
        }
        m->row_voxels[j + (int64_t)m->size[1] * k] = found;
    }
}

/* Row (j, k) as bytes that say where the label is, one zero before and one after it. */
static void mark_row(const mask *m, int32_t j, int32_t k, uint8_t *out)
{
    size_t n = (size_t)m->size[0];
    memset(out, 0, n + 2);
    if (j < 0 || j >= m->size[1] || k < 0 || k >= m->size[2]) return;
    if (m->row_voxels[j + (int64_t)m->size[1] * k] == 0) return;
    size_t first = row_start(m, j, k);
    if (m->wide)
        for (size_t i = 0; i < n; i++)
            out[i + 1] = ((const uint16_t *)m->data)[first + i] == m->label;
    else
        for (size_t i = 0; i < n; i++)
            out[i + 1] = ((const uint8_t *)m->data)[first + i] == m->label;
}

static void write_face(fab_mask_surface *s, const fab_mat34 *map, const int32_t v[3], int axis,
                       int side)
{
    int u = (axis + 1) % 3, w = (axis + 2) % 3;
    uint32_t first = s->faces * 4;
    for (uint32_t c = 0; c < 4; c++) {
        double p[3] = {v[0], v[1], v[2]};
        p[axis] += side ? 0.5 : -0.5;
        p[u] += c & 1 ? 0.5 : -0.5;
        p[w] += c >> 1 ? 0.5 : -0.5;
        fab_mat34_apply(map, p, p);
        for (size_t x = 0; x < 3; x++) s->position[(first + c) * (size_t)3 + x] = (float)p[x];
    }
    const uint32_t corner[6] = {0, 1, 3, 0, 3, 2};
    for (size_t i = 0; i < 6; i++) s->index[s->faces * (size_t)6 + i] = first + corner[i];
    s->faces++;
}

enum { HERE, BACK, FRONT, BELOW, ABOVE, ROWS };

/* Faces of the row's voxels: counted, and written if there is room for them already. */
static int64_t row_faces(const mask *m, int32_t j, int32_t k)
{
    size_t pitch = (size_t)m->size[0] + 2;
    uint8_t *row[ROWS];
    int64_t faces = 0;
    for (int r = 0; r < ROWS; r++) row[r] = m->marks + (size_t)r * pitch;
    mark_row(m, j, k, row[HERE]);
    mark_row(m, j - 1, k, row[BACK]);
    mark_row(m, j + 1, k, row[FRONT]);
    mark_row(m, j, k - 1, row[BELOW]);
    mark_row(m, j, k + 1, row[ABOVE]);
    for (int32_t i = 0; i < m->size[0]; i++) {
        size_t at = (size_t)i + 1;
        if (!row[HERE][at]) continue;
        const uint8_t beside[6] = {row[HERE][at - 1], row[HERE][at + 1], row[BACK][at],
                                   row[FRONT][at],    row[BELOW][at],    row[ABOVE][at]};
        for (int f = 0; f < 6; f++) {
            if (beside[f]) continue;
            if (m->out->position) write_face(m->out, m->map, (int32_t[3]){i, j, k}, f / 2, f & 1);
            faces++;
        }
    }
    return faces;
}

static int64_t all_faces(const mask *m)
{
    int64_t faces = 0;
    for (int32_t k = 0; k < m->size[2]; k++)
        for (int32_t j = 0; j < m->size[1]; j++)
            if (m->row_voxels[j + (int64_t)m->size[1] * k]) faces += row_faces(m, j, k);
    return faces;
}

fab_status fab_mesh_mask_surface(const fab_volume *labels, int label, fab_mask_surface *out,
                                 fab_error *err)
{
    const fab_grid *grid = fab_volume_grid(labels);
    fab_dtype type = fab_volume_dtype(labels);
    if (type != FAB_U8 && type != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "label map has voxels of type %s; u8 or u16 wanted",
                 fab_dtype_name(type));
    size_t rows = (size_t)grid->size[1] * (size_t)grid->size[2];
    FAB_AUTO_FREE int64_t *row_voxels = fab_alloc_array(rows, sizeof *row_voxels);
    FAB_AUTO_FREE uint8_t *marks = fab_alloc_array(ROWS, (size_t)grid->size[0] + 2);
    if (!row_voxels || !marks)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu voxel rows", rows);
    fab_mask_surface s = {0};
    mask m = {.size = grid->size, .data = fab_volume_data(labels), .wide = type == FAB_U16,
              .label = label, .row_voxels = row_voxels, .marks = marks, .out = &s,
              .map = &grid->world_from_voxel};
    fab_parallel_for(grid->size[2], count_plane, &m);
    for (size_t r = 0; r < rows; r++) s.voxels += row_voxels[r];
    int64_t faces = all_faces(&m);
    if (faces >= UINT32_MAX / 6)
        FAB_FAIL(err, FAB_ERR_LIMIT, "label %d has more than 2^32 / 6 voxel faces", label);
    float *position = fab_alloc_array((size_t)faces * 12 + 1, sizeof *position);
    s.index = fab_alloc_array((size_t)faces * 6 + 1, sizeof *s.index);
    s.position = position;
    if (!position || !s.index) {
        fab_mesh_mask_surface_free(&s);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %lld voxel faces", (long long)faces);
    }
    all_faces(&m);
    *out = s;
    return FAB_OK;
}

void fab_mesh_mask_surface_free(fab_mask_surface *surface)
{
    fab_free(surface->position);
    fab_free(surface->index);
    memset(surface, 0, sizeof *surface);
}
