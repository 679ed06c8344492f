/* mesh_check.h - label maps for the mesh tests and a checker that shares no code with src/mesh. */
#ifndef FAB_TEST_MESH_CHECK_H
#define FAB_TEST_MESH_CHECK_H

#include "harness.h"

#include "fabrica/mesh.h"

static inline fab_volume *make_labels(int nx, int ny, int nz, const fab_mat34 *map)
{
    fab_error err;
    fab_volume *v = NULL;
    fab_grid g = {.size = {nx, ny, nz}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 1;
    if (map) g.world_from_voxel = *map;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    memset(fab_volume_data_mut(v), 0, fab_volume_bytes(v));
    return v;
}

static inline uint8_t *voxel_at(fab_volume *v, int i, int j, int k)
{
    const int32_t *n = fab_volume_grid(v)->size;
    return (uint8_t *)fab_volume_data_mut(v) + i + (ptrdiff_t)n[0] * (j + (ptrdiff_t)n[1] * k);
}

static inline int compare_edges(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static inline int compare_points(const void *a, const void *b)
{
    return memcmp(a, b, 3 * sizeof(float));
}

/* Every edge once in each direction and no directed edge twice. */
static inline bool edges_closed(const fab_mesh *m)
{
    size_t n = (size_t)m->triangle_count * 3;
    uint64_t *edge = malloc(n * sizeof *edge), *back = malloc(n * sizeof *back);
    bool good = n > 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t a = m->index[i], b = m->index[i % 3 == 2 ? i - 2 : i + 1];
        good &= a < m->vertex_count && b < m->vertex_count && a != b;
        edge[i] = a << 32 | b;
        back[i] = b << 32 | a;
    }
    qsort(edge, n, sizeof *edge, compare_edges);
    qsort(back, n, sizeof *back, compare_edges);
    good &= memcmp(edge, back, n * sizeof *edge) == 0;
    for (size_t i = 1; i < n; i++) good &= edge[i] != edge[i - 1];
    free(edge);
    free(back);
    return good;
}

/* Each vertex has one closed fan: walking from any triangle comes round through all of them. */
static inline bool fans_single(const fab_mesh *m)
{
    uint32_t *degree = calloc(m->vertex_count, sizeof *degree);
    uint32_t *start = calloc((size_t)m->vertex_count + 1, sizeof *start);
    uint32_t *corner = malloc((size_t)m->triangle_count * 3 * sizeof *corner);
    bool good = true;
    for (size_t i = 0; i < (size_t)m->triangle_count * 3; i++) start[m->index[i] + 1]++;
    for (size_t v = 0; v < m->vertex_count; v++) start[v + 1] += start[v];
    for (uint32_t i = 0; i < m->triangle_count * 3; i++) {
        uint32_t v = m->index[i];
        corner[start[v] + degree[v]++] = i;
    }
    for (size_t v = 0; v < m->vertex_count; v++) {
        const uint32_t *mine = corner + start[v];
        uint32_t n = degree[v], turned = 0, now = n ? mine[0] : 0;
        if (n < 3) good = false;
        for (uint32_t step = 0; n && step <= n; step++) {
            uint32_t third = m->index[now - now % 3 + (now + 2) % 3], next = now;
            for (uint32_t i = 0; i < n; i++) /* triangle whose edge v->third starts here */
                if (m->index[mine[i] - mine[i] % 3 + (mine[i] + 1) % 3] == third) next = mine[i];
            now = next;
            turned++;
            if (now == mine[0]) break;
        }
        good &= turned == n;
    }
    free(degree);
    free(start);
    free(corner);
    return good;
}

static inline bool positions_distinct(const fab_mesh *m)
{
    float(*p)[3] = malloc((size_t)m->vertex_count * sizeof *p);
    memcpy(p, m->position, (size_t)m->vertex_count * sizeof *p);
    qsort(p, m->vertex_count, sizeof *p, compare_points);
    bool good = true;
    for (size_t i = 1; i < m->vertex_count; i++) good &= memcmp(p[i], p[i - 1], sizeof *p) != 0;
    free(p);
    return good;
}

/* Volume; moment, if wanted: of first order, about the mesh's first vertex. */
static inline double signed_integrals(const fab_mesh *m, double moment[3])
{
    double six = 0;
    for (int x = 0; x < 3 && moment; x++) moment[x] = 0;
    for (size_t t = 0; t < m->triangle_count; t++) {
        double p[3][3];
        for (size_t c = 0; c < 3; c++)
            for (size_t x = 0; x < 3; x++)
                p[c][x] = (double)m->position[(size_t)m->index[t * 3 + c] * 3 + x]
                          - (double)m->position[x];
        double cone = p[0][0] * (p[1][1] * p[2][2] - p[1][2] * p[2][1])
                      + p[0][1] * (p[1][2] * p[2][0] - p[1][0] * p[2][2])
                      + p[0][2] * (p[1][0] * p[2][1] - p[1][1] * p[2][0]);
        six += cone;
        for (int x = 0; x < 3 && moment; x++)
            moment[x] += cone * (p[0][x] + p[1][x] + p[2][x]) / 24;
    }
    return six / 6;
}

static inline double signed_volume(const fab_mesh *m) { return signed_integrals(m, NULL); }

static inline void write_stl(const fab_mesh *m, const char *path)
{
    FILE *f = fopen(path, "wb");
    char header[80] = "fabrica mesh test";
    float zero[3] = {0, 0, 0};
    uint16_t attribute = 0;
    fwrite(header, 1, 80, f);
    fwrite(&m->triangle_count, 4, 1, f);
    for (size_t t = 0; t < m->triangle_count; t++) {
        fwrite(zero, 4, 3, f);
        for (size_t c = 0; c < 3; c++)
            fwrite(m->position + (size_t)m->index[t * 3 + c] * 3, 4, 3, f);
        fwrite(&attribute, 2, 1, f);
    }
    fclose(f);
}

#endif
