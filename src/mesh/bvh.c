/* bvh.c - a binary tree of boxes, split at the median of the longest side of the centres' box. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "bvh.h"

enum { LEAF_TRIANGLES = 4, STACK_DEPTH = 128 };

typedef struct centred { /* a triangle or quad, by its middle */
    float middle[3];
    uint32_t triangle; /* the first */
} centred;

typedef struct builder {
    fab_bvh *bvh;
    centred *item;
    uint32_t each; /* triangles of an item */
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
        const float *c = b->item[i].middle;
        for (int x = 0; x < 3; x++) {
            low[x] = c[x] < low[x] ? c[x] : low[x];
            high[x] = c[x] > high[x] ? c[x] : high[x];
        }
    }
    int axis = high[1] - low[1] > high[0] - low[0];
    return high[2] - low[2] > high[axis] - low[axis] ? 2 : axis;
}

/* Hoare's selection: item[middle] gets its place along the axis, smaller ones before it. */
static void select_middle(const builder *b, uint32_t first, uint32_t count, uint32_t middle,
                          int axis)
{
    centred *item = b->item;
    int64_t low = first, high = (int64_t)first + count - 1;
    while (low < high) {
        float pivot = item[low + (high - low) / 2].middle[axis];
        int64_t i = low, j = high;
        while (i <= j) {
            while (item[i].middle[axis] < pivot) i++;
            while (item[j].middle[axis] > pivot) j--;
            if (i > j) break;
            centred swap = item[i];
            item[i++] = item[j];
            item[j--] = swap;
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
    if (count * b->each <= LEAF_TRIANGLES) {
        node->first = first * b->each;
        node->count = count * b->each;
        for (uint32_t i = 0; i < node->count; i++) {
            uint32_t triangle = b->item[first + i / b->each].triangle + i % b->each;
            bvh->order[node->first + i] = triangle;
            grow(node, &bvh->soup, triangle);
        }
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

/* A quad's is that of the diagonal its triangles share, which begins at the first corner. */
static void set_middle(const fab_soup *soup, uint32_t each, centred *item)
{
    const uint32_t *v = soup->index + (size_t)item->triangle * 3;
    for (size_t x = 0; x < 3; x++) {
        float a = soup->position[(size_t)v[0] * 3 + x], b = soup->position[(size_t)v[1] * 3 + x];
        float c = soup->position[(size_t)v[2] * 3 + x];
        item->middle[x] = each == 2 ? (a + c) / 2 : (a + b + c) / 3;
    }
}

fab_status fab_mesh_bvh_build(const fab_soup *soup, fab_bvh *out, fab_error *err)
{
    fab_bvh bvh = {.soup = *soup};
    size_t n = soup->triangles;
    FAB_AUTO_FREE centred *item = fab_alloc_array(n + 1, sizeof *item);
    bvh.order = fab_alloc_array(n + 1, sizeof *bvh.order);
    bvh.node = fab_alloc_array(n + 1, sizeof *bvh.node); /* leaves of 2 to 4, so < n nodes */
    if (!item || !bvh.order || !bvh.node) {
        fab_mesh_bvh_free(&bvh);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a box tree of %zu triangles", n);
    }
    builder b = {.bvh = &bvh, .item = item, .each = soup->quads ? 2 : 1};
    uint32_t items = soup->triangles / b.each;
    for (uint32_t i = 0; i < items; i++) {
        item[i].triangle = i * b.each;
        set_middle(soup, b.each, &item[i]);
    }
    if (items) build_node(&b, 0, items);
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

/* ---- self-intersections: every leaf against itself, every left subtree against the right ---- */

typedef struct box {
    float low[3], high[3];
} box;

typedef struct crossing_search {
    const fab_bvh *bvh;
    box *box; /* of triangles, in tree order */
    double slack;
    int64_t *found; /* per chunk */
} crossing_search;

typedef struct node_pair {
    uint32_t a, b; /* all of a's triangles are before b's */
} node_pair;

enum { SEARCH_CHUNK = 512, PAIR_DEPTH = 3 * STACK_DEPTH };

static bool share_vertex(const uint32_t *a, const uint32_t *b)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            if (a[i] == b[j]) return true;
    return false;
}

static bool boxes_meet(const float a_low[3], const float a_high[3], const float b_low[3],
                       const float b_high[3])
{
    bool apart = false; /* no jumps: what they would depend on is as good as random */
    for (int x = 0; x < 3; x++) apart |= (a_low[x] > b_high[x]) | (b_low[x] > a_high[x]);
    return !apart;
}

static void corners_from(const fab_soup *soup, uint32_t triangle, const float origin[3],
                         double out[3][3])
{
    fab_mesh_corners(soup, triangle, out);
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < 3; x++) out[c][x] -= (double)origin[x];
}

/* Does the triangle at place i cut through the one at place j, after it? */
static bool places_cross(const crossing_search *s, uint32_t i, uint32_t j)
{
    const fab_soup *soup = &s->bvh->soup;
    const box *p = &s->box[i], *q = &s->box[j];
    uint32_t mine = s->bvh->order[i], other = s->bvh->order[j];
    double a[3][3], b[3][3];
    if (!boxes_meet(p->low, p->high, q->low, q->high)) return false;
    if (share_vertex(soup->index + (size_t)mine * 3, soup->index + (size_t)other * 3)) return false;
    corners_from(soup, mine, p->low, a);
    corners_from(soup, other, p->low, b);
    return fab_mesh_triangles_cross(a, b, s->slack);
}

static int64_t search_leaves(const crossing_search *s, const fab_bvh_node *a, const fab_bvh_node *b)
{
    int64_t found = 0;
    for (uint32_t i = a->first; i < a->first + a->count; i++) {
        if (a != b && !boxes_meet(s->box[i].low, s->box[i].high, b->low, b->high)) continue;
        for (uint32_t j = a == b ? i + 1 : b->first; j < b->first + b->count; j++)
            found += places_cross(s, i, j);
    }
    return found;
}

/* Both go down together: each pair is replaced by four at most, and trees are shallow. */
static int64_t search_pair(const crossing_search *s, node_pair top)
{
    const fab_bvh_node *node = s->bvh->node;
    node_pair stack[PAIR_DEPTH];
    uint32_t depth = 0;
    int64_t found = 0;
    stack[depth++] = top;
    while (depth) {
        node_pair at = stack[--depth];
        const fab_bvh_node *a = &node[at.a], *b = &node[at.b];
        if (!boxes_meet(a->low, a->high, b->low, b->high)) continue;
        if (a->count && b->count) {
            found += search_leaves(s, a, b);
            continue;
        }
        const uint32_t left[2] = {a->count ? at.a : at.a + 1, a->first};
        const uint32_t right[2] = {b->count ? at.b : at.b + 1, b->first};
        for (int i = 0; i < (a->count ? 1 : 2); i++)
            for (int j = 0; j < (b->count ? 1 : 2); j++)
                stack[depth++] = (node_pair){left[i], right[j]};
    }
    return found;
}

static void search_chunk(void *ctx, int64_t chunk, int worker)
{
    (void)worker;
    const crossing_search *s = ctx;
    uint32_t n = s->bvh->nodes, start = (uint32_t)chunk * SEARCH_CHUNK;
    uint32_t end = n - start < SEARCH_CHUNK ? n : start + SEARCH_CHUNK;
    for (uint32_t i = start; i < end; i++) {
        const fab_bvh_node *node = &s->bvh->node[i];
        s->found[chunk] += node->count ? search_leaves(s, node, node)
                                       : search_pair(s, (node_pair){i + 1, node->first});
    }
}

static void box_places(crossing_search *s)
{
    for (uint32_t i = 0; i < s->bvh->soup.triangles; i++) {
        fab_bvh_node one = {.low = {FLT_MAX, FLT_MAX, FLT_MAX},
                            .high = {-FLT_MAX, -FLT_MAX, -FLT_MAX}};
        grow(&one, &s->bvh->soup, s->bvh->order[i]);
        memcpy(s->box[i].low, one.low, sizeof one.low);
        memcpy(s->box[i].high, one.high, sizeof one.high);
    }
}

int64_t fab_mesh_bvh_self_intersections(const fab_bvh *bvh, double slack)
{
    int64_t chunks = ((int64_t)bvh->nodes + SEARCH_CHUNK - 1) / SEARCH_CHUNK, sum = 0;
    FAB_AUTO_FREE int64_t *found = fab_calloc((size_t)chunks + 1, sizeof *found);
    FAB_AUTO_FREE box *boxes = fab_alloc_array((size_t)bvh->soup.triangles + 1, sizeof *boxes);
    if (!found || !boxes) return -1;
    crossing_search s = {.bvh = bvh, .box = boxes, .slack = slack, .found = found};
    box_places(&s);
    fab_parallel_for(chunks, search_chunk, &s);
    for (int64_t c = 0; c < chunks; c++) sum += found[c];
    return sum;
}
