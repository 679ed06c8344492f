/* simplify.c - quadric edge collapse (Garland and Heckbert 1997) of all structures together.
 *
 * Each pass finds for every vertex the neighbour it could move into at the least error, then
 * carries out the cheapest of these moves until the budget or the error is reached; a coarser
 * level goes on from there, its quadrics knowing what they replaced since the full meshes. Finding
 * is parallel and the order of moves is fixed, so results do not depend on threads. Vertices
 * inside a border move freely in it, vertices on the curve where borders meet move along it, and
 * vertices where curves meet stay. Moves end at old positions, so vertices of one mesh stay
 * distinct and a flat cap stays flat; restore.c then shifts borders a little to give back the
 * volume that cut corners cost.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "collapse.h"

enum { MAX_PASSES = 200, BLOCK = 1024, TILE = 4, BUCKETS = 8192 };

typedef struct quadric { /* weighted squared distance to planes, around the vertex's position */
    float a[6], b[3], c, weight; /* a: xx yy zz xy xz yz */
} quadric;

/* Whether a move is allowed costs more to find out than what it costs, so only moves that are about
 * to be carried out are asked about; a vertex that was refused once asks before it offers again.
 * A vertex whose star is another one waits for the next pass (CHANGED) unless its candidate is
 * known all the same (SETTLED). */
enum { UNTOUCHED, REFUSED, CHANGED, SETTLED };

/* All that a move needs to know of a vertex, in one line of the cache. */
typedef struct vertex {
    quadric quadric;
    float urgency; /* the largest importance around it */
    double least;  /* inside a patch: what the move to `to` costs, and any other at least;
                      negative: not known */
    uint32_t to;   /* where it would go */
} vertex;

enum { CACHE_LINE = 64 };
_Static_assert(sizeof(vertex) == CACHE_LINE, "a vertex fills a line");

/* Without a budget all moves below the error come in the end, so a TILE of blocks is brought there
 * before the next: what it needs stays in the processor's cache. Under a budget the cheapest moves
 * of all come first, wherever they are. */
typedef struct range { /* of blocks */
    int64_t start, end;
} range;

typedef struct simplifier {
    fab_complex net;
    void *block;
    vertex *vertex;    /* in block */
    float *cost;       /* of the candidate, times the urgency; FLT_MAX: none */
    float *importance; /* per mesh: small structures weigh more */
    uint8_t *touched;  /* since the last pass */
    uint8_t *stirred;  /* per block of vertices: one is touched */
    uint8_t *open;     /* per block: one has a candidate */
    uint32_t *sorted; /* vertices by cost */
    uint32_t *bucket; /* BUCKETS, zero between sorts */
    double max_squared;
    int64_t count, goal; /* triangles over all meshes */
} simplifier;

/* ---- quadrics ---- */

static void add_outer(quadric *q, const double n[3], double weight)
{
    static const uint8_t pair[6][2] = {{0, 0}, {1, 1}, {2, 2}, {0, 1}, {0, 2}, {1, 2}};
    for (int i = 0; i < 6; i++) q->a[i] += (float)(weight * n[pair[i][0]] * n[pair[i][1]]);
}

/* Planes of the triangles around v, a line along every feature edge, and a little pull to stay. */
static void start_quadric(const simplifier *s, uint32_t v, quadric *q)
{
    const fab_complex *c = &s->net;
    fab_ring ring;
    memset(q, 0, sizeof *q);
    for (uint32_t i = 0; i < c->around[v].count; i++) {
        const uint32_t *t = fab_complex_at(c, v, i)->v;
        double a[3], b[3], n[3];
        for (int x = 0; x < 3; x++) {
            a[x] = (double)c->position[t[1]][x] - (double)c->position[t[0]][x];
            b[x] = (double)c->position[t[2]][x] - (double)c->position[t[0]][x];
        }
        n[0] = a[1] * b[2] - a[2] * b[1];
        n[1] = a[2] * b[0] - a[0] * b[2];
        n[2] = a[0] * b[1] - a[1] * b[0];
        double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        if (!(length > 0)) continue;
        for (int x = 0; x < 3; x++) n[x] /= length;
        add_outer(q, n, length / 2);
        for (int x = 0; x < 3; x++) q->a[x] += (float)(length * 5e-4);
        q->weight += (float)(length / 2);
    }
    if (!fab_collapse_ring(c, v, &ring)) return;
    for (int j = 0; j < ring.count && ring.features; j++) {
        if (!ring.feature[j]) continue;
        double d[3], squared = 0;
        for (int x = 0; x < 3; x++) {
            d[x] = (double)c->position[ring.vertex[j]][x] - (double)c->position[v][x];
            squared += d[x] * d[x];
        }
        for (int x = 0; x < 3; x++) q->a[x] += (float)squared;
        add_outer(q, d, -1);
    }
}

static double error_at(const quadric *q, const double d[3])
{
    double e = (double)q->c;
    for (int x = 0; x < 3; x++) e += d[x] * ((double)q->a[x] * d[x] + 2 * (double)q->b[x]);
    e += 2 * ((double)q->a[3] * d[0] * d[1] + (double)q->a[4] * d[0] * d[2]
              + (double)q->a[5] * d[1] * d[2]);
    return e > 0 ? e : 0;
}

/* Adds `from`, given around a point that lies -d from here. */
static void move_quadric(quadric *into, const quadric *from, const double d[3])
{
    const float *a = from->a;
    const double ad[3] = {(double)a[0] * d[0] + (double)a[3] * d[1] + (double)a[4] * d[2],
                          (double)a[3] * d[0] + (double)a[1] * d[1] + (double)a[5] * d[2],
                          (double)a[4] * d[0] + (double)a[5] * d[1] + (double)a[2] * d[2]};
    into->c += (float)error_at(from, d);
    for (int x = 0; x < 3; x++) into->b[x] += from->b[x] + (float)ad[x];
    for (int i = 0; i < 6; i++) into->a[i] += a[i];
    into->weight += from->weight;
}

static void offset(const fab_complex *c, uint32_t from, uint32_t to, double d[3])
{
    for (int x = 0; x < 3; x++)
        d[x] = (double)c->position[to][x] - (double)c->position[from][x];
}

/* ---- candidates ---- */

static float importance_of(const simplifier *s, uint32_t u)
{
    float most = 1;
    const fab_complex *c = &s->net;
    for (uint32_t i = 0; i < c->around[u].count; i++) {
        const fab_complex_triangle *t = fab_complex_at(c, u, i);
        float a = s->importance[t->front];
        float b = t->back == FAB_COMPLEX_NONE ? a : s->importance[t->back];
        most = a > most ? a : most;
        most = b > most ? b : most;
    }
    return most;
}

static double cost_of(const simplifier *s, uint32_t u, uint32_t v)
{
    double d[3];
    offset(&s->net, u, v, d);
    return error_at(&s->vertex[u].quadric, d) / (double)s->vertex[u].quadric.weight;
}

static void offer(simplifier *s, uint32_t u, uint32_t to, double cost)
{
    s->vertex[u].to = to;
    s->cost[u] = cost <= s->max_squared ? (float)cost * s->vertex[u].urgency : FLT_MAX;
}

/* What each move along the ring costs; false if u stays where it is. */
static bool price_ring(const simplifier *s, uint32_t u, fab_ring *ring, double *cost)
{
    if (!s->net.around[u].count || !fab_collapse_ring(&s->net, u, ring)) return false;
    if (ring->features != 0 && ring->features != 2) return false;
    for (int j = 0; j < ring->count; j++)
        cost[j] = ring->features && !ring->feature[j] ? DBL_MAX : cost_of(s, u, ring->vertex[j]);
    return true;
}

static void find_best(simplifier *s, uint32_t u)
{
    fab_ring ring;
    double cost[FAB_COLLAPSE_MAX_RING];
    s->cost[u] = FLT_MAX;
    s->vertex[u].least = -1;
    if (!price_ring(s, u, &ring, cost)) return;
    for (int tried = 0; tried < 4; tried++) { /* the cheapest few; the rest wait for a later pass */
        int pick = 0;
        for (int j = 1; j < ring.count; j++) pick = cost[j] < cost[pick] ? j : pick;
        bool dear = !(cost[pick] <= s->max_squared);
        if (dear && tried > 0) return;
        if (dear || s->touched[u] == CHANGED
            || fab_collapse_allowed(&s->net, u, ring.vertex[pick])) {
            offer(s, u, ring.vertex[pick], cost[pick]);
            if (tried == 0 && !ring.features) s->vertex[u].least = cost[pick];
            return;
        }
        cost[pick] = DBL_MAX;
    }
}

/* Asks memory ahead of use; tiles are in the cache anyway. */
static void fetch_triangles(const fab_complex *c, uint32_t u)
{
    for (uint32_t i = 0; i < c->around[u].count; i++) __builtin_prefetch(fab_complex_at(c, u, i));
}

static void fetch_points(const fab_complex *c, uint32_t u)
{
    for (uint32_t i = 0; i < c->around[u].count; i++) {
        const uint32_t *v = fab_complex_at(c, u, i)->v;
        __builtin_prefetch(&c->position[v[0] == u ? v[1] : v[1] == u ? v[2] : v[0]]);
    }
}

static uint32_t block_end(const simplifier *s, int64_t block)
{
    uint32_t start = (uint32_t)block * BLOCK, n = s->net.vertices;
    return n - start < BLOCK ? n : start + BLOCK;
}

static int64_t blocks_of(const simplifier *s)
{
    return ((int64_t)s->net.vertices + BLOCK - 1) / BLOCK;
}

static void touch(simplifier *s, uint32_t u, uint8_t how)
{
    s->touched[u] = how;
    s->stirred[u / BLOCK] = 1;
}

static void find_block(void *ctx, int64_t block, int worker)
{
    enum { LISTS = 12, TRIANGLES = 8, POINTS = 4 };
    (void)worker;
    simplifier *s = ctx;
    uint32_t start = (uint32_t)block * BLOCK, end = block_end(s, block), list[BLOCK], n = 0;
    if (!s->stirred[block]) return;
    s->stirred[block] = s->open[block] = 0;
    for (uint32_t u = start; u < end; u++)
        if (s->touched[u] == CHANGED || s->touched[u] == REFUSED) list[n++] = u;
    for (uint32_t i = 0; i < n; i++) {
        if (i + LISTS < n) __builtin_prefetch(&s->net.star[s->net.around[list[i + LISTS]].first]);
        if (s->goal && i + TRIANGLES < n) fetch_triangles(&s->net, list[i + TRIANGLES]);
        if (s->goal && i + POINTS < n) fetch_points(&s->net, list[i + POINTS]);
        find_best(s, list[i]);
    }
    for (uint32_t u = start; u < end; u++) s->open[block] |= s->cost[u] < FLT_MAX;
    memset(s->touched + start, UNTOUCHED, end - start);
}

static void find_blocks(simplifier *s, range part)
{
    if (part.start == 0 && part.end == blocks_of(s)) {
        fab_parallel_for(part.end, find_block, s);
        return;
    }
    for (int64_t block = part.start; block < part.end; block++) find_block(s, block, 0);
}

static void start_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    simplifier *s = ctx;
    uint32_t end = block_end(s, block);
    for (uint32_t u = (uint32_t)block * BLOCK; u < end; u++) {
        start_quadric(s, u, &s->vertex[u].quadric);
        s->vertex[u].urgency = importance_of(s, u);
    }
}

/* cost >= 0: its bits grow with it. In steps of 3 %, within which vertices stay in memory's order:
 * walking them then meets neighbours that are in the cache. */
static uint32_t bucket_of(float cost)
{
    uint32_t bits;
    memcpy(&bits, &cost, sizeof bits);
    return bits >> 18;
}

typedef struct span { /* of buckets in use */
    uint32_t low, high;
} span;

/* Counts the vertices that have a candidate into their buckets, or (filling) lists them there. */
static span walk_candidates(simplifier *s, range part, bool filling)
{
    span used = {BUCKETS, 0};
    for (int64_t block = part.start; block < part.end; block++) {
        uint32_t end = block_end(s, block);
        if (!s->open[block]) continue;
        for (uint32_t u = (uint32_t)block * BLOCK; u < end; u++) {
            if (!(s->cost[u] < FLT_MAX)) continue;
            uint32_t b = bucket_of(s->cost[u]);
            if (filling) s->sorted[s->bucket[b]++] = u;
            else s->bucket[b]++;
            used.low = b < used.low ? b : used.low;
            used.high = b > used.high ? b : used.high;
        }
    }
    return used;
}

/* Vertices that have a candidate, cheapest first. */
static uint32_t sort_candidates(simplifier *s, range part)
{
    span used = walk_candidates(s, part, false);
    uint32_t total = 0;
    for (uint32_t b = used.low; b <= used.high; b++) {
        uint32_t count = s->bucket[b];
        s->bucket[b] = total;
        total += count;
    }
    if (!total) return 0;
    walk_candidates(s, part, true);
    memset(s->bucket + used.low, 0, (used.high - used.low + 1) * sizeof *s->bucket);
    return total;
}

/* ---- moves ---- */

/* w lost its neighbour u. Its candidate stays, unless it was u, or one it was refused for. */
static void lose(simplifier *s, uint32_t w, uint32_t u)
{
    bool known = s->vertex[w].least >= 0 && s->vertex[w].to != u && s->touched[w] != REFUSED;
    touch(s, w, known ? SETTLED : CHANGED);
}

/* w has the new neighbour v. Its other moves cost what they did. */
static void gain(simplifier *s, uint32_t w, uint32_t v)
{
    if (s->touched[w] != SETTLED) return;
    double cost = cost_of(s, w, v);
    if (!(cost < s->vertex[w].least)) return;
    s->vertex[w].least = cost;
    offer(s, w, v, cost);
}

/* Candidates around u, which is about to move into v. */
static void tell_ring(simplifier *s, uint32_t u, uint32_t v)
{
    const fab_complex *c = &s->net;
    touch(s, u, CHANGED);
    touch(s, v, CHANGED);
    for (int part = 0; part < 2; part++) /* first those that have v as a neighbour already */
        for (uint32_t i = 0; i < c->around[u].count; i++) {
            const uint32_t *w = fab_complex_at(c, u, i)->v;
            bool beside = w[0] == v || w[1] == v || w[2] == v;
            for (int k = 0; k < 3 && beside == (part == 0); k++) {
                if (s->touched[w[k]] == CHANGED) continue;
                lose(s, w[k], u);
                if (part) gain(s, w[k], v);
            }
        }
}

static void collapse(simplifier *s, uint32_t u, uint32_t v)
{
    double d[3];
    offset(&s->net, u, v, d);
    tell_ring(s, u, v);
    move_quadric(&s->vertex[v].quadric, &s->vertex[u].quadric, d);
    if (s->vertex[u].urgency > s->vertex[v].urgency) s->vertex[v].urgency = s->vertex[u].urgency;
    s->count -= fab_complex_collapse(&s->net, u, v);
    s->cost[u] = FLT_MAX;
}

static bool star_untouched(const simplifier *s, uint32_t u)
{
    const fab_complex *c = &s->net;
    for (uint32_t i = 0; i < c->around[u].count; i++)
        for (int k = 0; k < 3; k++)
            if (s->touched[fab_complex_at(c, u, i)->v[k]] >= CHANGED) return false;
    return true;
}

/* Without a budget every vertex whose candidate is known: all moves below the error come anyway.
 * Under a budget, which is coarse, only moves apart from each other, or stars grow unevenly. */
static bool may_move(const simplifier *s, uint32_t u)
{
    if (!s->goal) return s->touched[u] != CHANGED;
    return s->touched[u] < CHANGED && s->touched[s->vertex[u].to] < CHANGED;
}

/* Vertices are visited all over memory: what the next ones need is asked for ahead, each thing by
 * way of one that was asked for before. */
static void fetch_ahead(const simplifier *s, uint32_t i, uint32_t n)
{
    enum { STARS = 64, LISTS = 40, TRIANGLES = 20, VERTICES = 8 };
    const fab_complex *c = &s->net;
    if (i + STARS >= n) return;
    __builtin_prefetch(&c->around[s->sorted[i + STARS]]);
    __builtin_prefetch(&s->vertex[s->sorted[i + STARS]]);
    uint32_t u = s->sorted[i + LISTS];
    if (may_move(s, u)) {
        __builtin_prefetch(&c->star[c->around[u].first]);
        __builtin_prefetch(&c->around[s->vertex[u].to]);
    }
    u = s->sorted[i + TRIANGLES];
    if (may_move(s, u)) {
        fetch_triangles(c, u);
        __builtin_prefetch(&c->star[c->around[s->vertex[u].to].first]);
    }
    u = s->sorted[i + VERTICES];
    if (!may_move(s, u)) return;
    fetch_triangles(c, s->vertex[u].to);
    for (uint32_t j = 0; j < c->around[u].count; j++) {
        const uint32_t *v = fab_complex_at(c, u, j)->v;
        uint32_t w = v[0] == u ? v[1] : v[1] == u ? v[2] : v[0];
        __builtin_prefetch(&c->position[w]);
        __builtin_prefetch(&s->vertex[w]);
        __builtin_prefetch(&c->around[w]);
    }
}

/* One pass over some blocks; the number of moves made or refused. Only the cheaper half of the
 * candidates is looked at, so that dear moves do not come before cheaper ones of the next pass. */
static uint32_t run_pass(simplifier *s, range part)
{
    if (s->net.dead > s->net.triangles / 4) fab_complex_find_stars(&s->net); /* in memory's order */
    find_blocks(s, part);
    uint32_t n = sort_candidates(s, part), moves = 0, refused = 0;
    for (uint32_t i = 0; i < n && s->count > s->goal; i++) {
        uint32_t u = s->sorted[i];
        if (i > n / 2 && moves > 0) break;
        if (s->goal) fetch_ahead(s, i, n);
        if (!may_move(s, u) || (s->goal && !star_untouched(s, u))) continue;
        if (!fab_collapse_allowed(&s->net, u, s->vertex[u].to)) {
            touch(s, u, REFUSED);
            refused++;
            continue;
        }
        collapse(s, u, s->vertex[u].to);
        moves++;
    }
    return moves + refused;
}

/* Passes until nothing moves; false if nothing did. */
static bool run_passes(simplifier *s, range part)
{
    int pass = 0;
    while (pass < MAX_PASSES && s->count > s->goal && run_pass(s, part)) pass++;
    return pass > 0;
}

/* All moves there are, a tile after the other. */
static void run_tiles(simplifier *s)
{
    bool moved = true;
    for (int round = 0; round < MAX_PASSES && moved; round++) {
        moved = false;
        for (int64_t block = 0; block < blocks_of(s); block += TILE) {
            int64_t left = blocks_of(s) - block;
            moved |= run_passes(s, (range){block, block + (left < TILE ? left : TILE)});
        }
    }
}

/* A structure of 20 cm or more weighs 1, one of 1 cm ten times as much (in squared error). */
static void weigh_structures(simplifier *s)
{
    for (size_t m = 0; m < s->net.set->count; m++) {
        const fab_mesh *mesh = &s->net.set->items[m];
        double size = 0;
        for (size_t x = 0; x < 3; x++) {
            float low = FLT_MAX, high = -FLT_MAX;
            for (size_t v = 0; v < mesh->vertex_count; v++) {
                float p = mesh->position[v * 3 + x];
                low = p < low ? p : low;
                high = p > high ? p : high;
            }
            if (mesh->vertex_count) size += pow((double)high - (double)low, 2);
        }
        double weight = 200 / (sqrt(size) + 10);
        s->importance[m] = (float)(weight < 1 ? 1 : weight);
    }
}

static fab_status prepare(simplifier *s, fab_error *err)
{
    size_t n = (size_t)s->net.vertices + 1;
    s->block = fab_alloc_array(n + 1, sizeof *s->vertex);
    s->vertex = (vertex *)(((uintptr_t)s->block + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    s->cost = fab_alloc_array(n, sizeof *s->cost);
    s->touched = fab_malloc(n);
    s->stirred = fab_malloc(n / BLOCK + 1);
    s->open = fab_malloc(n / BLOCK + 1);
    s->sorted = fab_alloc_array(n, sizeof *s->sorted);
    s->bucket = fab_calloc(BUCKETS, sizeof *s->bucket);
    s->importance = fab_alloc_array(s->net.set->count + 1, sizeof *s->importance);
    if (!s->block || !s->cost || !s->touched || !s->sorted || !s->bucket || !s->importance
        || !s->stirred || !s->open)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to simplify %u vertices", s->net.vertices);
    weigh_structures(s);
    fab_complex_find_stars(&s->net);
    fab_parallel_for(blocks_of(s), start_block, s);
    return FAB_OK;
}

static void release(simplifier *s)
{
    fab_complex_free(&s->net);
    void *block[] = {s->block, s->cost, s->touched, s->sorted, s->bucket, s->importance,
                     s->stirred, s->open};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++) fab_free(block[i]);
}

/* Vertices that are gone leave the lists, so that those left lie close together in memory. */
static void compact(simplifier *s)
{
    uint32_t *number = s->sorted, before = s->net.vertices;
    fab_complex_compact(&s->net, number);
    for (uint32_t v = 0; v < before; v++)
        if (number[v] != FAB_COMPLEX_NONE && number[v] != v) s->vertex[number[v]] = s->vertex[v];
}

/* Collapses go on from the level before; volumes are given back to a copy of the positions. */
static fab_status make_level(simplifier *s, const fab_mesh_level *level, float (*kept)[3],
                             fab_mesh_set *out, fab_error *err)
{
    bool wanted = level->max_triangles > 0 || level->max_error_mm > 0;
    double error = level->max_error_mm;
    s->goal = level->max_triangles;
    s->max_squared = error > 0 ? error * error : DBL_MAX / 4;
    memset(s->touched, CHANGED, s->net.vertices); /* what was too dear may not be now */
    memset(s->stirred, 1, (size_t)blocks_of(s));
    if (wanted && s->goal > 0) run_passes(s, (range){0, blocks_of(s)});
    else if (wanted) run_tiles(s);
    compact(s);
    size_t bytes = (size_t)s->net.vertices * sizeof *kept;
    memcpy(kept, s->net.position, bytes);
    if (wanted) FAB_TRY(fab_complex_restore(&s->net, err));
    FAB_TRY(fab_complex_emit(&s->net, out, err));
    memcpy(s->net.position, kept, bytes);
    return level->max_triangles > 0 && s->count > s->goal ? FAB_MESH_OVER_BUDGET : FAB_OK;
}

static fab_status make_levels(simplifier *s, const fab_mesh_level *levels, size_t count,
                              fab_mesh_set *out, fab_error *err)
{
    FAB_TRY(prepare(s, err));
    FAB_AUTO_FREE float(*kept)[3] = fab_alloc_array((size_t)s->net.vertices + 1, sizeof *kept);
    if (!kept) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to simplify %u vertices", s->net.vertices);
    s->count = fab_complex_count(&s->net);
    fab_status worst = FAB_OK;
    for (size_t i = 0; i < count; i++) {
        fab_status status = make_level(s, &levels[i], kept, &out[i], err);
        if (status < 0) return status;
        if (status > 0) worst = status;
    }
    return worst;
}

fab_status fab_mesh_simplify_levels(const fab_mesh_set *set, const fab_mesh_level *levels,
                                    size_t count, fab_mesh_set *out, fab_error *err)
{
    simplifier s = {0};
    if (count > FAB_MESH_MAX_LEVELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%zu levels of detail are too many", count);
    for (size_t i = 0; i < count; i++)
        if (!(levels[i].max_error_mm >= 0))
            FAB_FAIL(err, FAB_ERR_ARG, "simplification error of %g mm", levels[i].max_error_mm);
    fab_mesh_set made[FAB_MESH_MAX_LEVELS] = {{0}};
    FAB_TRY(fab_complex_build(set, &s.net, err));
    fab_status status = make_levels(&s, levels, count, made, err);
    release(&s);
    for (size_t i = 0; i < count; i++) {
        if (status < 0) fab_mesh_set_free(&made[i]);
        else out[i] = made[i];
    }
    return status;
}

fab_status fab_mesh_simplify(const fab_mesh_set *set, uint32_t max_triangles, double max_error_mm,
                             fab_mesh_set *out, fab_error *err)
{
    const fab_mesh_level level = {max_triangles, max_error_mm};
    return fab_mesh_simplify_levels(set, &level, 1, out, err);
}
