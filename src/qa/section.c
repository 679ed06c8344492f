/* section.c - one axial slice: how large is the body in it, does it fill the picture, is there a
 * ring of skull. Air is flooded from the picture's border, so that lungs and bowel gas count as
 * body; what is left falls into pieces (the body, an arm, the table). */
#include <math.h>
#include <string.h>

#include "qa_internal.h"

enum { OUTSIDE = 0, TISSUE = 1, HOLE = 2 };
enum { AIR_BELOW = -300, SKULL_HU = 400, BONE_HU = 300, RAYS = 72 };
static const double inside_share = 0.92;
static const double ring_depth_mm = 25, ring_share = 0.8, core_share = 0.55, core_bone = 0.12;
static const double skull_cm2[2] = {110, 330};

typedef struct picture {
    const int16_t *hu;
    int nx, ny;
    const double *step_mm;
    bool has_padding;
    int padding;
    fab_section_work *work;
} picture;

static bool pads(const picture *p, int64_t at)
{
    return p->has_padding && p->hu[at] == p->padding;
}

/* Spreads over 4 neighbours that have mask value `from`, giving them `to` and the label. */
static int64_t spread(const picture *p, int32_t start, uint8_t from, uint8_t to, int32_t label)
{
    fab_section_work *w = p->work;
    int64_t head = 0, tail = 0;
    if (w->mask[start] != from) return 0;
    w->mask[start] = to;
    w->label[start] = label;
    w->queue[tail++] = start;
    while (head < tail) {
        const int32_t at = w->queue[head++];
        const int x = at % p->nx, y = at / p->nx;
        const int32_t next[4] = {x > 0 ? at - 1 : -1, x < p->nx - 1 ? at + 1 : -1,
                                 y > 0 ? at - p->nx : -1, y < p->ny - 1 ? at + p->nx : -1};
        for (int n = 0; n < 4; n++) {
            if (next[n] < 0 || w->mask[next[n]] != from) continue;
            w->mask[next[n]] = to;
            w->label[next[n]] = label;
            w->queue[tail++] = next[n];
        }
    }
    return tail;
}

/* Air that no path joins to the border is a hole of the body; so mask becomes OUTSIDE or TISSUE. */
static int64_t fill_body(const picture *p)
{
    fab_section_work *w = p->work;
    const int64_t n = (int64_t)p->nx * p->ny;
    int64_t scanned = 0;
    for (int64_t i = 0; i < n; i++) {
        w->mask[i] = p->hu[i] > AIR_BELOW && !pads(p, i) ? TISSUE : HOLE;
        scanned += !pads(p, i);
    }
    for (int64_t i = 0; i < n; i++) {
        const int x = (int)(i % p->nx), y = (int)(i / p->nx);
        const bool border = x == 0 || y == 0 || x == p->nx - 1 || y == p->ny - 1;
        if (border || pads(p, i)) (void)spread(p, (int32_t)i, HOLE, OUTSIDE, 0);
    }
    for (int64_t i = 0; i < n; i++) w->mask[i] = w->mask[i] == OUTSIDE ? OUTSIDE : TISSUE;
    return scanned;
}

typedef struct piece {
    int32_t label;
    int64_t area;
    int low_x, high_x;
    double x, y;
} piece;

static void measure_piece(const picture *p, piece *b)
{
    const int64_t n = (int64_t)p->nx * p->ny;
    double sum_x = 0, sum_y = 0;
    b->low_x = p->nx;
    b->high_x = -1;
    for (int64_t i = 0; i < n; i++) {
        if (p->work->label[i] != b->label) continue;
        const int x = (int)(i % p->nx), y = (int)(i / p->nx);
        sum_x += x;
        sum_y += y;
        b->low_x = x < b->low_x ? x : b->low_x;
        b->high_x = x > b->high_x ? x : b->high_x;
    }
    b->x = sum_x / (double)b->area;
    b->y = sum_y / (double)b->area;
}

static bool in_piece(const picture *p, const piece *b, double x, double y, int64_t *at)
{
    const int i = (int)lround(x), j = (int)lround(y);
    if (i < 0 || j < 0 || i >= p->nx || j >= p->ny) return false;
    *at = i + (int64_t)p->nx * j;
    return p->work->label[*at] == b->label;
}

/* From outside to the middle: is there bone within ring_depth_mm of the skin? Counts what lies
 * deeper than the core's radius, and how much of that is bone. */
static bool ray_meets_skull(const picture *p, const piece *b, double angle, int64_t core[2])
{
    const double dx = cos(angle), dy = sin(angle), fine = p->step_mm[0] / 2;
    double skin = -1;
    bool bone = false;
    for (double r = 200; r > 0; r -= fine) {
        int64_t at = 0;
        if (!in_piece(p, b, b->x + r * dx / p->step_mm[0], b->y + r * dy / p->step_mm[1], &at))
            continue;
        if (skin < 0) skin = r;
        if (skin - r <= ring_depth_mm) bone |= p->hu[at] >= SKULL_HU;
        if (r > core_share * skin) continue;
        core[0]++;
        core[1] += p->hu[at] >= BONE_HU;
    }
    return bone;
}

static bool has_skull(const picture *p, const piece *b)
{
    int64_t core[2] = {0, 0};
    int met = 0;
    for (int a = 0; a < RAYS; a++)
        met += ray_meets_skull(p, b, 2 * 3.14159265358979 * a / RAYS, core);
    return met >= ring_share * RAYS && (double)core[1] <= core_bone * (double)core[0];
}

void fab_section_measure(const int16_t *hu, int nx, int ny, const double step_mm[2],
                         bool has_padding, int padding, fab_section_work *work, fab_section *out)
{
    const picture p = {hu, nx, ny, step_mm, has_padding, padding, work};
    const int64_t n = (int64_t)nx * ny;
    const double cell_cm2 = step_mm[0] * step_mm[1] / 100;
    piece first = {0}, second = {0};
    int64_t body = 0;
    int32_t next = 0;
    memset(out, 0, sizeof *out);
    const int64_t scanned = fill_body(&p);
    memset(work->label, 0, (size_t)n * sizeof *work->label);
    for (int64_t i = 0; i < n; i++) {
        if (work->mask[i] != TISSUE || work->label[i]) continue;
        const piece b = {.label = ++next, .area = spread(&p, (int32_t)i, TISSUE, HOLE, next)};
        body += b.area;
        if (b.area > first.area) {
            second = first;
            first = b;
        } else if (b.area > second.area) second = b;
    }
    if (!first.area) return;
    measure_piece(&p, &first);
    out->largest = first.label;
    out->area_cm2 = (double)first.area * cell_cm2;
    out->second_cm2 = (double)second.area * cell_cm2;
    out->width_mm = (first.high_x - first.low_x + 1) * step_mm[0];
    out->inside = (double)body >= inside_share * (double)scanned;
    out->skull = !out->inside && out->area_cm2 >= skull_cm2[0] && out->area_cm2 <= skull_cm2[1] &&
                 has_skull(&p, &first);
}
