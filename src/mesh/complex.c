/* complex.c - joins vertices by position and triangles by their three vertices, and back. */
#include <string.h>

#include "complex.h"

typedef struct hash_table {
    uint32_t *slot;
    size_t mask;
} hash_table;

static bool make_table(hash_table *t, size_t entries)
{
    size_t capacity = 16;
    while (capacity < entries * 2) capacity *= 2;
    t->slot = fab_alloc_array(capacity, sizeof *t->slot);
    t->mask = capacity - 1;
    if (t->slot) memset(t->slot, 0xFF, capacity * sizeof *t->slot);
    return t->slot != NULL;
}

static size_t mix(const uint32_t key[3])
{
    uint64_t h = key[0] * 0x9E3779B97F4A7C15u;
    h = (h ^ (h >> 29) ^ key[1]) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 31) ^ key[2]) * 0x94D049BB133111EBu;
    return (size_t)(h ^ (h >> 32));
}

static size_t point_slot(const hash_table *t, const float value[3])
{
    uint32_t key[3];
    memcpy(key, value, sizeof key);
    return mix(key) & t->mask;
}

/* shared[]: set for a vertex that comes a second time. */
static uint32_t join_vertex(fab_complex *c, const hash_table *t, const float p[3], uint8_t *shared)
{
    float value[3] = {p[0] + 0.0f, p[1] + 0.0f, p[2] + 0.0f}; /* -0 becomes 0 */
    size_t i = point_slot(t, value);
    while (t->slot[i] != FAB_COMPLEX_NONE) {
        uint32_t found = t->slot[i];
        if (memcmp(c->position[found], value, sizeof value) == 0) {
            shared[found] = 1;
            return found;
        }
        i = (i + 1) & t->mask;
    }
    shared[c->vertices] = 0;
    memcpy(c->position[c->vertices], value, sizeof value);
    t->slot[i] = c->vertices;
    return c->vertices++;
}

/* Turns the triangle so that its smallest vertex comes first; `back` also reverses it. */
static void canonical(const uint32_t v[3], bool back, uint32_t out[3])
{
    unsigned s = v[1] < v[0] ? 1 : 0;
    if (v[2] < v[s]) s = 2;
    out[0] = v[s];
    out[1] = v[(s + (back ? 2 : 1)) % 3];
    out[2] = v[(s + (back ? 1 : 2)) % 3];
}

static size_t face_slot(const hash_table *t, const uint32_t v[3])
{
    uint32_t sorted[3];
    canonical(v, false, sorted);
    if (sorted[1] > sorted[2]) { /* the same for both directions */
        uint32_t swap = sorted[1];
        sorted[1] = sorted[2];
        sorted[2] = swap;
    }
    return mix(sorted) & t->mask;
}

static void add_triangle(fab_complex *c, const uint32_t v[3], uint32_t mesh, uint8_t flags)
{
    fab_complex_triangle *made = &c->triangle[c->triangles++];
    *made = (fab_complex_triangle){.front = mesh, .back = FAB_COMPLEX_NONE, .flags = flags};
    canonical(v, false, made->v);
}

static void join_triangle(fab_complex *c, const hash_table *t, const uint32_t v[3],
                          uint32_t mesh, uint8_t flags)
{
    uint32_t theirs[3];
    canonical(v, true, theirs);
    size_t i = face_slot(t, v);
    while (t->slot[i] != FAB_COMPLEX_NONE) {
        fab_complex_triangle *other = &c->triangle[t->slot[i]];
        if (memcmp(other->v, theirs, sizeof theirs) == 0 && other->back == FAB_COMPLEX_NONE
            && other->front != mesh && other->flags == flags) {
            other->back = mesh;
            return;
        }
        i = (i + 1) & t->mask;
    }
    t->slot[i] = c->triangles;
    add_triangle(c, v, mesh, flags);
}

enum { AHEAD = 16 }; /* slots are asked of memory this long before they are looked at */

static void join_points(fab_complex *c, const hash_table *points, const fab_mesh *mesh,
                        uint32_t *number, uint8_t *shared)
{
    for (size_t v = 0; v < mesh->vertex_count; v++) {
        if (v + AHEAD < mesh->vertex_count)
            __builtin_prefetch(
                &points->slot[point_slot(points, mesh->position + (v + AHEAD) * 3)]);
        number[v] = join_vertex(c, points, mesh->position + v * 3, shared);
    }
}

/* Only triangles whose three vertices are other meshes' too can be theirs. */
static bool may_be_shared(const uint8_t *shared, const uint32_t *number, const uint32_t *index)
{
    return shared[number[index[0]]] & shared[number[index[1]]] & shared[number[index[2]]];
}

static size_t count_shared(const fab_mesh *mesh, const uint32_t *number, const uint8_t *shared)
{
    size_t n = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++)
        n += may_be_shared(shared, number, mesh->index + t * 3);
    return n;
}

static void join_faces(fab_complex *c, const hash_table *faces, const fab_mesh *mesh, uint32_t m,
                       const uint32_t *number, const uint8_t *shared)
{
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *i = mesh->index + t * 3;
        const uint32_t v[3] = {number[i[0]], number[i[1]], number[i[2]]};
        uint8_t flags = mesh->flags ? mesh->flags[t] : 0;
        if (may_be_shared(shared, number, i)) join_triangle(c, faces, v, m, flags);
        else add_triangle(c, v, m, flags);
    }
}

static void join_meshes(fab_complex *c, const hash_table *points, hash_table *faces,
                        uint32_t *number, uint8_t *shared)
{
    const fab_mesh_set *set = c->set;
    size_t candidates = 0;
    uint32_t *at = number;
    for (size_t m = 0; m < set->count; at += set->items[m++].vertex_count)
        join_points(c, points, &set->items[m], at, shared);
    at = number;
    for (size_t m = 0; m < set->count; at += set->items[m++].vertex_count)
        candidates += count_shared(&set->items[m], at, shared);
    if (!make_table(faces, candidates)) return;
    at = number;
    for (size_t m = 0; m < set->count; at += set->items[m++].vertex_count)
        join_faces(c, faces, &set->items[m], (uint32_t)m, at, shared);
}

static fab_status join_all(fab_complex *c, size_t vertices, size_t triangles, fab_error *err)
{
    hash_table points = {0}, faces = {0};
    FAB_AUTO_FREE uint32_t *number = fab_alloc_array(vertices + 1, sizeof *number);
    FAB_AUTO_FREE uint8_t *shared = fab_malloc(vertices + 1);
    if (number && shared && make_table(&points, vertices))
        join_meshes(c, &points, &faces, number, shared);
    bool ready = faces.slot != NULL;
    fab_free(points.slot);
    fab_free(faces.slot);
    if (!ready) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to join %zu triangles", triangles);
    return FAB_OK;
}

/* Stars of all triangles, and an eighth for those that grow before they are listed anew. */
static uint32_t star_room(uint32_t triangles)
{
    uint64_t room = (uint64_t)triangles * 3 + triangles / 3 + 4096;
    return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

fab_status fab_complex_build(const fab_mesh_set *set, fab_complex *out, fab_error *err)
{
    size_t vertices = 0, triangles = 0;
    for (size_t m = 0; m < set->count; m++) {
        vertices += set->items[m].vertex_count;
        triangles += set->items[m].triangle_count;
    }
    if (vertices >= UINT32_MAX || triangles >= UINT32_MAX / 3)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%zu triangles are too many to simplify together", triangles);
    fab_complex c = {.set = set};
    c.position = fab_alloc_array(vertices + 1, sizeof *c.position);
    c.triangle = fab_alloc_array(triangles + 1, sizeof *c.triangle);
    fab_status status = FAB_OK;
    if (!c.position || !c.triangle)
        status = fab_error_set(err, FAB_ERR_NOMEM, "no memory for %zu triangles", triangles);
    if (status == FAB_OK) status = join_all(&c, vertices, triangles, err);
    if (status == FAB_OK) {
        c.room = star_room(c.triangles);
        c.around = fab_alloc_array((size_t)c.vertices + 1, sizeof *c.around);
        c.star = fab_alloc_array(c.room, sizeof *c.star);
        if (!c.around || !c.star)
            status = fab_error_set(err, FAB_ERR_NOMEM, "no memory for %u vertices", c.vertices);
    }
    if (status < 0) {
        fab_complex_free(&c);
        return status;
    }
    *out = c;
    return FAB_OK;
}

void fab_complex_free(fab_complex *c)
{
    fab_free(c->position);
    fab_free(c->triangle);
    fab_free(c->around);
    fab_free(c->star);
    fab_free(c->goal);
    memset(c, 0, sizeof *c);
}

void fab_complex_find_stars(fab_complex *c)
{
    uint32_t live = 0;
    for (uint32_t t = 0; t < c->triangles; t++) /* dead ones leave the list for good */
        if (!c->triangle[t].dead) c->triangle[live++] = c->triangle[t];
    c->triangles = live;
    c->dead = 0;
    memset(c->around, 0, (size_t)c->vertices * sizeof *c->around);
    for (uint32_t t = 0; t < live; t++)
        for (int i = 0; i < 3; i++) c->around[c->triangle[t].v[i]].count++;
    c->used = 0;
    for (uint32_t v = 0; v < c->vertices; v++) {
        c->around[v].first = c->used;
        c->used += c->around[v].count;
        c->around[v].count = 0;
    }
    for (uint32_t t = 0; t < live; t++)
        for (int i = 0; i < 3; i++) {
            fab_star *s = &c->around[c->triangle[t].v[i]];
            c->star[s->first + s->count++] = t;
        }
}

void fab_complex_compact(fab_complex *c, uint32_t *number)
{
    uint32_t live = 0;
    for (uint32_t v = 0; v < c->vertices; v++) {
        number[v] = c->around[v].count ? live : FAB_COMPLEX_NONE;
        if (!c->around[v].count) continue;
        if (v != live) memcpy(c->position[live], c->position[v], sizeof *c->position);
        live++;
    }
    c->vertices = live;
    for (uint32_t t = 0; t < c->triangles; t++)
        for (int i = 0; i < 3 && !c->triangle[t].dead; i++)
            c->triangle[t].v[i] = number[c->triangle[t].v[i]];
    fab_complex_find_stars(c);
}

static bool has_vertex(const fab_complex_triangle *t, uint32_t v)
{
    return t->v[0] == v || t->v[1] == v || t->v[2] == v;
}

/* Takes one triangle out of a vertex's star. */
static void leave_star(fab_complex *c, uint32_t v, uint32_t triangle)
{
    fab_star *s = &c->around[v];
    uint32_t *list = c->star + s->first, kept = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (list[i] != triangle) list[kept++] = list[i];
    s->count = kept;
}

/* v's star and what is left of u's, by number, at the end of the list. */
static void join_stars(fab_complex *c, uint32_t u, uint32_t v)
{
    const uint32_t *a = c->star + c->around[u].first, *a_end = a + c->around[u].count;
    const uint32_t *b = c->star + c->around[v].first, *b_end = b + c->around[v].count;
    uint32_t *out = c->star + c->used;
    fab_star made = {c->used, 0};
    while (a < a_end || b < b_end)
        out[made.count++] = b == b_end || (a < a_end && *a < *b) ? *a++ : *b++;
    c->used += made.count;
    c->around[v] = made;
    c->around[u].count = 0;
}

uint32_t fab_complex_collapse(fab_complex *c, uint32_t u, uint32_t v)
{
    uint32_t gone = 0;
    if (c->room - c->used < c->around[u].count + c->around[v].count) fab_complex_find_stars(c);
    for (uint32_t i = 0; i < c->around[u].count;) {
        uint32_t at = c->star[c->around[u].first + i];
        fab_complex_triangle *t = &c->triangle[at];
        if (has_vertex(t, v)) {
            t->dead = true;
            c->dead++;
            gone += t->back == FAB_COMPLEX_NONE ? 1 : 2;
            for (int k = 0; k < 3; k++) leave_star(c, t->v[k], at);
            continue;
        }
        for (int k = 0; k < 3; k++)
            if (t->v[k] == u) t->v[k] = v;
        i++;
    }
    join_stars(c, u, v);
    return gone;
}

int64_t fab_complex_count(const fab_complex *c)
{
    int64_t n = 0;
    for (uint32_t t = 0; t < c->triangles; t++)
        if (!c->triangle[t].dead) n += c->triangle[t].back == FAB_COMPLEX_NONE ? 1 : 2;
    return n;
}

/* Mesh m from `count` triangles of the net, in their order. */
static fab_status take_mesh(const fab_complex *c, uint32_t m, const uint32_t *triangle,
                            uint32_t count, uint32_t *number, fab_mesh *out, fab_error *err)
{
    fab_mesh mesh = {.label = c->set->items[m].label, .triangle_count = count};
    mesh.index = fab_alloc_array((size_t)count * 3 + 1, sizeof *mesh.index);
    mesh.flags = fab_malloc((size_t)count + 1);
    mesh.position = fab_alloc_array((size_t)count * 9 + 1, sizeof *mesh.position);
    *out = mesh;
    if (!mesh.index || !mesh.flags || !mesh.position)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u triangles of label %d", count, mesh.label);
    for (uint32_t made = 0; made < count; made++) {
        const fab_complex_triangle *from = &c->triangle[triangle[made]];
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t v = from->v[from->front == m ? i : 2 - i];
            if (number[v] >= out->vertex_count
                || memcmp(mesh.position + (size_t)number[v] * 3, c->position[v], 12) != 0) {
                number[v] = out->vertex_count++;
                memcpy(mesh.position + (size_t)number[v] * 3, c->position[v], 12);
            }
            mesh.index[(size_t)made * 3 + i] = number[v];
        }
        mesh.flags[made] = from->flags;
    }
    float *fitted = fab_realloc(mesh.position, ((size_t)out->vertex_count * 3 + 1) * 4);
    if (fitted) out->position = fitted;
    return FAB_OK;
}

/* Lists every mesh's triangles one mesh after the other; start[m] is where m's begin. */
static void list_by_mesh(const fab_complex *c, size_t meshes, uint32_t *start, uint32_t *list)
{
    uint32_t total = 0;
    for (uint32_t t = 0; t < c->triangles; t++) {
        if (c->triangle[t].dead) continue;
        start[c->triangle[t].front]++;
        if (c->triangle[t].back != FAB_COMPLEX_NONE) start[c->triangle[t].back]++;
    }
    for (size_t m = 0; m <= meshes; m++) { /* the ends, which filling from behind makes starts */
        total += start[m];
        start[m] = total;
    }
    for (uint32_t t = c->triangles; t-- > 0;) {
        if (c->triangle[t].dead) continue;
        list[--start[c->triangle[t].front]] = t;
        if (c->triangle[t].back != FAB_COMPLEX_NONE) list[--start[c->triangle[t].back]] = t;
    }
}

fab_status fab_complex_emit(const fab_complex *c, fab_mesh_set *out, fab_error *err)
{
    size_t count = c->set->count, triangles = (size_t)fab_complex_count(c);
    FAB_AUTO_FREE uint32_t *start = fab_calloc(count + 1, sizeof *start);
    FAB_AUTO_FREE uint32_t *list = fab_alloc_array(triangles + 1, sizeof *list);
    FAB_AUTO_FREE uint32_t *number = fab_calloc((size_t)c->vertices + 1, sizeof *number);
    fab_mesh_set set = {.items = fab_calloc(count + 1, sizeof *set.items)};
    if (!start || !list || !number || !set.items) {
        fab_free(set.items);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu meshes", count);
    }
    list_by_mesh(c, count, start, list);
    fab_status status = FAB_OK;
    for (; status == FAB_OK && set.count < count; set.count++)
        status = take_mesh(c, (uint32_t)set.count, list + start[set.count],
                           start[set.count + 1] - start[set.count], number,
                           &set.items[set.count], err);
    if (status < 0) {
        fab_mesh_set_free(&set);
        return status;
    }
    *out = set;
    return FAB_OK;
}
