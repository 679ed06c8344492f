/* mask_surface.c - finds the voxels of one label by rows, then writes their outer faces. */
#include <string.h>

#include "mask_surface.h"

/* Where a row's voxels of the label are; last < first: nowhere. */
typedef struct row_span {
    int32_t voxels, first, last;
} row_span;

typedef struct mask {
    const int32_t *size;
    const void *data;
    bool wide;
    int label;
    row_span *span;      /* per row (j, k) */
    uint8_t *marks;      /* of five rows */
    fab_mask_surface *out;
    const fab_mat34 *map;
} mask;

static size_t row_start(const mask *m, int32_t j, int32_t k)
{
    return (size_t)m->size[0] * ((size_t)j + (size_t)m->size[1] * (size_t)k);
}

static bool is_label(const mask *m, size_t at)
{
    return (m->wide ? ((const uint16_t *)m->data)[at] : ((const uint8_t *)m->data)[at])
           == m->label;
}

static row_span span_of(const mask *m, int32_t j, int32_t k)
{
    size_t n = (size_t)m->size[0], start = row_start(m, j, k);
    row_span s = {.first = 0, .last = -1};
    if (m->wide) {
        const uint16_t *row = (const uint16_t *)m->data + start;
        for (size_t i = 0; i < n; i++) s.voxels += row[i] == m->label;
    } else {
        const uint8_t *row = (const uint8_t *)m->data + start;
        for (size_t i = 0; i < n; i++) s.voxels += row[i] == m->label;
    }
    if (!s.voxels) return s;
    s.last = m->size[0] - 1;
    while (!is_label(m, start + (size_t)s.first)) s.first++;
    while (!is_label(m, start + (size_t)s.last)) s.last--;
    return s;
}

static void span_plane(void *ctx, int64_t k, int worker)
{
    (void)worker;
    const mask *m = ctx;
    for (int32_t j = 0; j < m->size[1]; j++)
        m->span[j + (int64_t)m->size[1] * k] = span_of(m, j, (int32_t)k);
}

/* Voxels first..last of row (j, k) as bytes that say where the label is, and a 0 on each side. */
static void mark_row(const mask *m, int32_t j, int32_t k, int32_t first, int32_t last,
                     uint8_t *out)
{
    memset(out + first, 0, (size_t)(last - first) + 3);
    if (j < 0 || j >= m->size[1] || k < 0 || k >= m->size[2]) return;
    const row_span *here = &m->span[j + (int64_t)m->size[1] * k];
    size_t start = row_start(m, j, k);
    first = here->first > first ? here->first : first;
    last = here->last < last ? here->last : last;
    for (int32_t i = first; i <= last; i++) out[i + 1] = is_label(m, start + (size_t)i);
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
    const row_span *here = &m->span[j + (int64_t)m->size[1] * k];
    const int32_t first = here->first, last = here->last;
    uint8_t *row[ROWS];
    int64_t faces = 0;
    for (int r = 0; r < ROWS; r++) row[r] = m->marks + (size_t)r * pitch;
    mark_row(m, j, k, first, last, row[HERE]);
    mark_row(m, j - 1, k, first, last, row[BACK]);
    mark_row(m, j + 1, k, first, last, row[FRONT]);
    mark_row(m, j, k - 1, first, last, row[BELOW]);
    mark_row(m, j, k + 1, first, last, row[ABOVE]);
    for (int32_t i = first; i <= last; i++) {
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
            if (m->span[j + (int64_t)m->size[1] * k].voxels) faces += row_faces(m, j, k);
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
    FAB_AUTO_FREE row_span *span = fab_alloc_array(rows, sizeof *span);
    FAB_AUTO_FREE uint8_t *marks = fab_alloc_array(ROWS, (size_t)grid->size[0] + 2);
    if (!span || !marks)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu voxel rows", rows);
    fab_mask_surface s = {0};
    mask m = {.size = grid->size, .data = fab_volume_data(labels), .wide = type == FAB_U16,
              .label = label, .span = span, .marks = marks, .out = &s,
              .map = &grid->world_from_voxel};
    fab_parallel_for(grid->size[2], span_plane, &m);
    for (size_t r = 0; r < rows; r++) s.voxels += span[r].voxels;
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
