/* bvh.c - a binary tree of boxes, split at the median of the longest side of the centres' box. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "bvh.h"

enum { LEAF_TRIANGLES = 4, STACK_DEPTH = 128 };

typedef struct builder {
    fab_bvh *bvh;
    const float (*centre)[3];
} builder;

static void grow(fab_bvh_node *node, const fab_soup *soup, uint32_t triangle)
{
    for (size_t c = 0; c < 3; c++) {
        const float *p = soup->position + (size_t)soup->index[(size_t)triangle * 3 + c] * 3;
        for (int x = 0; x < 3; x++) {
            node->low[x] = p[x] < node->low[x] ? p[x] : node->low[x];
            node->high[x] = p[x] > node->high[x] ? p[x] : node->high[x];
        }
    }
}

static int longest_axis(const builder *b, uint32_t first, uint32_t count)
{
    float low[3], high[3];
    for (int x = 0; x < 3; x++) low[x] = FLT_MAX, high[x] = -FLT_MAX;
    for (uint32_t i = first; i < first + count; i++) {
        const float *c = b->centre[b->bvh->order[i]];
        for (int x = 0; x < 3; x++) {
            low[x] = c[x] < low[x] ? c[x] : low[x];
            high[x] = c[x] > high[x] ? c[x] : high[x];
        }
    }
    int axis = high[1] - low[1] > high[0] - low[0];
    return high[2] - low[2] > high[axis] - low[axis] ? 2 : axis;
}

/* Hoare's selection: order[middle] gets its place along the axis, smaller centres before it. */
static void select_middle(const builder *b, uint32_t first, uint32_t count, uint32_t middle,
                          int axis)
{
    uint32_t *order = b->bvh->order;
    int64_t low = first, high = (int64_t)first + count - 1;
    while (low < high) {
        float pivot = b->centre[order[low + (high - low) / 2]][axis];
        int64_t i = low, j = high;
        while (i <= j) {
            while (b->centre[order[i]][axis] < pivot) i++;
            while (b->centre[order[j]][axis] > pivot) j--;
            if (i > j) break;
            uint32_t swap = order[i];
            order[i++] = order[j];
            order[j--] = swap;
        }
        if (middle <= j) high = j;
        else if (middle >= i) low = i;
        else break;
    }
}

/* Halving keeps the depth below 33 for 2^32 triangles. */
static uint32_t build_node(const builder *b, uint32_t first, uint32_t count)
{
    fab_bvh *bvh = b->bvh;
    uint32_t me = bvh->nodes++;
    fab_bvh_node *node = &bvh->node[me];
    for (int x = 0; x < 3; x++) node->low[x] = FLT_MAX, node->high[x] = -FLT_MAX;
    if (count <= LEAF_TRIANGLES) {
        node->first = first;
        node->count = count;
        for (uint32_t i = first; i < first + count; i++) grow(node, &bvh->soup, bvh->order[i]);
        return me;
    }
    uint32_t half = count / 2;
    select_middle(b, first, count, first + half, longest_axis(b, first, count));
    uint32_t left = build_node(b, first, half);
    uint32_t right = build_node(b, first + half, count - half);
    node->first = right;
    node->count = 0;
    for (int x = 0; x < 3; x++) {
        const fab_bvh_node *l = &bvh->node[left], *r = &bvh->node[right];
        node->low[x] = l->low[x] < r->low[x] ? l->low[x] : r->low[x];
        node->high[x] = l->high[x] > r->high[x] ? l->high[x] : r->high[x];
    }
    return me;
}

fab_status fab_mesh_bvh_build(const fab_soup *soup, fab_bvh *out, fab_error *err)
{
    fab_bvh bvh = {.soup = *soup};
    size_t n = soup->triangles;
    FAB_AUTO_FREE float(*centre)[3] = fab_alloc_array(n + 1, sizeof *centre);
    bvh.order = fab_alloc_array(n + 1, sizeof *bvh.order);
    bvh.node = fab_alloc_array(n + 1, sizeof *bvh.node); /* leaves of 3 or 4, so < n nodes */
    if (!centre || !bvh.order || !bvh.node) {
        fab_mesh_bvh_free(&bvh);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a box tree of %zu triangles", n);
    }
    for (uint32_t t = 0; t < soup->triangles; t++) {
        const uint32_t *v = soup->index + (size_t)t * 3;
        bvh.order[t] = t;
        for (size_t x = 0; x < 3; x++)
            centre[t][x] = (soup->position[(size_t)v[0] * 3 + x]
                            + soup->position[(size_t)v[1] * 3 + x]
                            + soup->position[(size_t)v[2] * 3 + x]) / 3;
    }
    builder b = {.bvh = &bvh, .centre = (const float(*)[3])centre};
    if (n) build_node(&b, 0, soup->triangles);
    *out = bvh;
    return FAB_OK;
}

void fab_mesh_bvh_free(fab_bvh *bvh)
{
    fab_free(bvh->node);
    fab_free(bvh->order);
    memset(bvh, 0, sizeof *bvh);
}

static double box_squared(const fab_bvh_node *node, const double p[3])
{
    double sum = 0;
    for (int x = 0; x < 3; x++) {
        double below = (double)node->low[x] - p[x], above = p[x] - (double)node->high[x];
        double d = below > above ? below : above;
        d = d > 0 ? d : 0;
        sum += d * d;
    }
    return sum;
}

typedef struct visit {
    uint32_t node;
    double squared; /* distance of its box */
} visit;

double fab_mesh_bvh_distance(const fab_bvh *bvh, const double p[3], double within)
{
    double best = within * within;
    visit stack[STACK_DEPTH];
    uint32_t depth = 0;
    if (bvh->nodes) stack[depth++] = (visit){0, 0};
    while (depth) {
        visit at = stack[--depth];
        if (at.squared >= best) continue;
        const fab_bvh_node *node = &bvh->node[at.node];
        for (uint32_t i = 0; i < node->count; i++) {
            double t[3][3];
            fab_mesh_corners(&bvh->soup, bvh->order[node->first + i], t);
            double d = fab_mesh_point_triangle_squared(p, t);
            best = d < best ? d : best;
        }
        if (node->count) continue;
        visit left = {at.node + 1, box_squared(&bvh->node[at.node + 1], p)};
        visit right = {node->first, box_squared(&bvh->node[node->first], p)};
        bool right_nearer = right.squared < left.squared;
        visit near = right_nearer ? right : left, far = right_nearer ? left : right;
        if (far.squared < best) stack[depth++] = far;
        if (near.squared < best) stack[depth++] = near;
    }
    return sqrt(best);
}

/* ---- self-intersections: each triangle against the triangles after it in tree order ---- */

typedef struct crossing_search {
    const fab_bvh *bvh;
    double slack;
    int64_t *found; /* per chunk */
} crossing_search;

enum { SEARCH_CHUNK = 1024 };

static bool share_vertex(const uint32_t *a, const uint32_t *b)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            if (a[i] == b[j]) return true;
    return false;
}

static bool boxes_meet(const fab_bvh_node *a, const fab_bvh_node *b)
{
    for (int x = 0; x < 3; x++)
        if (a->low[x] > b->high[x] || b->low[x] > a->high[x]) return false;
    return true;
}

static int64_t search_leaf(const crossing_search *s, const fab_bvh_node *node, uint32_t place,
                           const fab_bvh_node *box, double mine[3][3])
{
    const fab_soup *soup = &s->bvh->soup;
    const uint32_t *order = s->bvh->order;
    int64_t found = 0;
    for (uint32_t i = node->first; i < node->first + node->count; i++) {
        if (i <= place) continue;
        const uint32_t *v = soup->index + (size_t)order[place] * 3;
        const uint32_t *w = soup->index + (size_t)order[i] * 3;
        if (share_vertex(v, w)) continue;
        fab_bvh_node other = {.low = {FLT_MAX, FLT_MAX, FLT_MAX},
                              .high = {-FLT_MAX, -FLT_MAX, -FLT_MAX}};
        grow(&other, soup, order[i]);
        if (!boxes_meet(box, &other)) continue;
        double theirs[3][3];
        fab_mesh_corners(soup, order[i], theirs);
        for (int c = 0; c < 3; c++)
            for (int x = 0; x < 3; x++) theirs[c][x] -= (double)box->low[x];
        found += fab_mesh_triangles_cross(mine, theirs, s->slack);
    }
    return found;
}

static int64_t search_triangle(const crossing_search *s, uint32_t place)
{
    const fab_bvh *bvh = s->bvh;
    fab_bvh_node box = {.low = {FLT_MAX, FLT_MAX, FLT_MAX},
                        .high = {-FLT_MAX, -FLT_MAX, -FLT_MAX}};
    double mine[3][3];
    grow(&box, &bvh->soup, bvh->order[place]);
    fab_mesh_corners(&bvh->soup, bvh->order[place], mine);
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < 3; x++) mine[c][x] -= (double)box.low[x];
    uint32_t stack[STACK_DEPTH], depth = 0;
    int64_t found = 0;
    stack[depth++] = 0;
    while (depth) {
        uint32_t at = stack[--depth];
        const fab_bvh_node *node = &bvh->node[at];
        if (!boxes_meet(node, &box)) continue;
        if (node->count) {
            found += search_leaf(s, node, place, &box, mine);
            continue;
        }
        stack[depth++] = node->first;
        stack[depth++] = at + 1;
    }
    return found;
}

static void search_chunk(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    const crossing_search *s = ctx;
    uint32_t n = s->bvh->soup.triangles, start = (uint32_t)chunk * SEARCH_CHUNK;
    uint32_t end = n - start < SEARCH_CHUNK ? n : start + SEARCH_CHUNK;
    for (uint32_t place = start; place < end; place++)
        s->found[chunk] += search_triangle(s, place);
}

int64_t fab_mesh_bvh_self_intersections(const fab_bvh *bvh, double slack)
{
    int64_t chunks = ((int64_t)bvh->soup.triangles + SEARCH_CHUNK - 1) / SEARCH_CHUNK, sum = 0;
    FAB_AUTO_FREE int64_t *found = fab_calloc((size_t)chunks + 1, sizeof *found);
    if (!found) return -1;
    crossing_search s = {.bvh = bvh, .slack = slack, .found = found};
    fab_parallel_for(chunks, search_chunk, &s);
    for (int64_t c = 0; c < chunks; c++) sum += found[c];
    return sum;
}
