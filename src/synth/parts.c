/* parts.c - the parts of a vertebral arch, by rule.
 *
 * Label maps name whole vertebrae. Landmarks of each arch are measured in its level's frame (the
 * canal's width and depth, the tips of its processes, the roots of its pedicles); between them run
 * the axes that anatomy describes, each with a radius, and a voxel belongs to the axis it lies
 * nearest to. Terms: Gray's Anatomy, 42nd ed., ch. 43. Thoracic and lumbar levels; cervical ones
 * get the same scheme, which fits them less.
 */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

enum { LEFT, RIGHT, SIDES, MAX_AXES = 16, BINS = 256 };

/* A point in the level's frame: mm to the left, back and up from the canal's centre. */
typedef struct spot {
    float left, back, up;
} spot;

typedef struct part_axis {
    spot from, to;
    float radius;
    uint8_t part;
} part_axis;

typedef struct arch {
    const fab_sy_grid *grid;
    const fab_sy_vertebra *v;
    float left[3]; /* the frame's third direction */
    int low[3], high[3];
    float half_width, depth, height; /* of the canal to each side and backwards; of the body */
    spot pedicle[SIDES], transverse[SIDES], superior[SIDES], inferior[SIDES], spinous;
    part_axis axis[MAX_AXES];
    int axes;
} arch;

static spot spot_of(const arch *a, int x, int y, int z)
{
    const fab_sy_vertebra *v = a->v;
    const float d[3] = {(float)x * a->grid->step - v->canal[0],
                        (float)y * a->grid->step - v->canal[1],
                        (float)z * a->grid->step - v->canal[2]};
    return (spot){d[0] * a->left[0] + d[1] * a->left[1] + d[2] * a->left[2],
                  d[0] * v->back[0] + d[1] * v->back[1] + d[2] * v->back[2],
                  d[0] * v->up[0] + d[1] * v->up[1] + d[2] * v->up[2]};
}

static uint8_t *voxel(const arch *a, int x, int y, int z)
{
    const int *n = a->grid->size;
    if (x < 0 || y < 0 || z < 0 || x >= n[0] || y >= n[1] || z >= n[2]) return NULL;
    return a->grid->label + ((int64_t)z * n[1] + y) * n[0] + x;
}

static bool is_arch_at(const arch *a, spot s)
{
    const fab_sy_vertebra *v = a->v;
    int at[3];
    for (int k = 0; k < 3; k++) {
        const float mm = v->canal[k] + s.left * a->left[k] + s.back * v->back[k] + s.up * v->up[k];
        at[k] = (int)floorf(mm / a->grid->step + 0.5f);
    }
    const uint8_t *label = voxel(a, at[0], at[1], at[2]);
    return label && *label == fab_sy_arch_of(v->level);
}

typedef void visit_fn(const arch *a, spot s, uint8_t *label, void *user);

static void each_voxel(const arch *a, visit_fn *visit, void *user)
{
    const int value = fab_sy_arch_of(a->v->level);
    for (int z = a->low[2]; z <= a->high[2]; z++)
        for (int y = a->low[1]; y <= a->high[1]; y++)
            for (int x = a->low[0]; x <= a->high[0]; x++) {
                uint8_t *label = voxel(a, x, y, z);
                if (label && *label == value) visit(a, spot_of(a, x, y, z), label, user);
            }
}

/* ---- landmarks ---- */

/* How far from the canal's centre line the arch begins in a direction, near its least. */
static float first_wall(const arch *a, float left, float back, float low, float high,
                        float fallback)
{
    enum { STEPS = 80 };
    int hit[STEPS] = {0}, hits = 0;
    for (int k = -3; k <= 3; k++)
        for (float up = low; up <= high; up += 0.75f)
            for (int s = 4; s < STEPS; s++) {
                const float far = 0.25f * (float)s, off = (float)k * 0.7f;
                const spot at = {left * far + back * off, back * far + (1 - back) * off, up};
                if (!is_arch_at(a, at)) continue;
                hit[s]++, hits++;
                break;
            }
    int seen = 0;
    for (int s = 0; s < STEPS; s++)
        if (hits > 4 && (seen += hit[s]) * 3 >= hits) return (float)s * 0.25f;
    return fallback;
}

/* The mean of what lies within 2.5 mm of the farthest point along a direction. */
typedef struct tip_search {
    float left, back, up;          /* the direction */
    spot low, high;                /* |left|, back and up of what is looked at */
    int side;                      /* LEFT, RIGHT or SIDES: both */
    float most;
    double sum[4];
    bool second;
} tip_search;

static void look(const arch *a, spot s, uint8_t *label, void *user)
{
    (void)a;
    (void)label;
    tip_search *t = user;
    const float aside = fabsf(s.left);
    if ((t->side == LEFT && s.left < 0) || (t->side == RIGHT && s.left > 0)) return;
    if (aside < t->low.left || aside > t->high.left || s.back < t->low.back ||
        s.back > t->high.back || s.up < t->low.up || s.up > t->high.up)
        return;
    const float along = t->left * aside + t->back * s.back + t->up * s.up;
    if (!t->second) {
        t->most = fmaxf(t->most, along);
    } else if (along > t->most - 2.5f) {
        t->sum[0] += s.left, t->sum[1] += s.back, t->sum[2] += s.up, t->sum[3] += 1;
    }
}

static spot find_tip(const arch *a, tip_search t, spot fallback)
{
    t.most = -1e9f;
    each_voxel(a, look, &t);
    t.second = true;
    each_voxel(a, look, &t);
    if (t.sum[3] < 1) return fallback;
    return (spot){(float)(t.sum[0] / t.sum[3]), (float)(t.sum[1] / t.sum[3]),
                  (float)(t.sum[2] / t.sum[3])};
}

typedef struct root_sum {
    float front, beside;
    double sum[SIDES][3];
} root_sum;

/* Where the arch leaves the body: a slab behind the canal's front wall. */
static void add_root(const arch *a, spot s, uint8_t *label, void *user)
{
    (void)label;
    root_sum *r = user;
    if (s.back > r->front + 4 || fabsf(s.left) < r->beside) return;
    if (fabsf(s.left) > r->beside + 18 || fabsf(s.up) > 0.7f * a->height) return;
    double *sum = r->sum[s.left > 0 ? LEFT : RIGHT];
    sum[0] += fabsf(s.left), sum[1] += s.up, sum[2] += 1;
}

static void find_landmarks(arch *a)
{
    const float h = a->height, wall = a->v->wall;
    a->half_width = 0.5f * (first_wall(a, 1, 0, 0, 0.45f * h, 11) +
                            first_wall(a, -1, 0, 0, 0.45f * h, 11));
    a->depth = first_wall(a, 0, 1, -0.5f * h, 0.2f * h, 9);
    const float w = a->half_width, d = a->depth, far = 1e6f;
    root_sum root = {.front = -wall, .beside = w - 2};
    each_voxel(a, add_root, &root);
    for (int s = 0; s < SIDES; s++) {
        const float sign = s == LEFT ? 1.0f : -1.0f;
        const double *sum = root.sum[s];
        a->pedicle[s] = sum[2] < 4 ? (spot){sign * (w + 4), -wall, 0.2f * h}
                                   : (spot){sign * (float)(sum[0] / sum[2]), -wall,
                                            (float)(sum[1] / sum[2])};
        const float up = a->pedicle[s].up;
        a->transverse[s] = find_tip(
            a, (tip_search){.left = 1, .low = {w, -far, -far}, .high = {far, far, far}, .side = s},
            (spot){sign * (w + 20), 0, up});
        a->superior[s] = find_tip(a,
                                  (tip_search){.up = 1, .low = {w - 4, -wall + 3, -far},
                                               .high = {w + 13, d + 10, far}, .side = s},
                                  (spot){sign * (w + 5), 0.3f * d, up + 12});
        a->inferior[s] = find_tip(a,
                                  (tip_search){.up = -1, .low = {3.5f, 0.3f * d, -far},
                                               .high = {w + 9, d + 11, far}, .side = s},
                                  (spot){sign * w, d, up - 25});
    }
    a->spinous = find_tip(
        a, (tip_search){.back = 1, .low = {0, d, -far}, .high = {8, far, far}, .side = SIDES},
        (spot){0, d + 25, -0.3f * h});
}

/* ---- axes ---- */

static void add_axis(arch *a, int part, spot from, spot to, float radius)
{
    if (a->axes < MAX_AXES)
        a->axis[a->axes++] = (part_axis){from, to, radius, (uint8_t)part};
}

static void lay_axes(arch *a)
{
    const float w = a->half_width, d = a->depth, h = a->height, wall = a->v->wall;
    const float deep = wall + d; /* of the canal, front to back */
    a->axes = 0;
    for (int s = 0; s < SIDES; s++) {
        const float sign = s == LEFT ? 1.0f : -1.0f;
        const spot p = a->pedicle[s];
        const spot joint = {p.left, -wall + 0.4f * deep, p.up};
        add_axis(a, SY_PEDICLE, p, joint, 4.5f);
        add_axis(a, SY_SUPERIOR,
                 (spot){sign * (w + 3), -wall + 0.55f * deep, fmaxf(p.up + 5, 0.25f * h)},
                 a->superior[s], 4);
        add_axis(a, SY_TRANSVERSE, (spot){sign * (fabsf(p.left) + 5), -wall + 0.55f * deep, p.up},
                 a->transverse[s], 4);
        const spot side = {sign * (w + 1.5f), -wall + 0.78f * deep, 0.05f * h};
        const spot side_low = {sign * (w - 2), d, -0.15f * h};
        add_axis(a, SY_LAMINA, side, (spot){0, d + 2.5f, 0}, 4);
        add_axis(a, SY_LAMINA, side_low, (spot){0, d + 3.5f, -0.35f * h}, 4);
        add_axis(a, SY_INFERIOR, (spot){sign * (w + 1), d + 1, -0.25f * h}, a->inferior[s], 4.5f);
    }
}

static float to_axis(const part_axis *x, spot s)
{
    const float d[3] = {x->to.left - x->from.left, x->to.back - x->from.back,
                        x->to.up - x->from.up};
    const float p[3] = {s.left - x->from.left, s.back - x->from.back, s.up - x->from.up};
    const float length = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + 1e-6f;
    const float t = fab_sy_clamp((p[0] * d[0] + p[1] * d[1] + p[2] * d[2]) / length, 0, 1);
    const float off[3] = {p[0] - t * d[0], p[1] - t * d[1], p[2] - t * d[2]};
    return sqrtf(off[0] * off[0] + off[1] * off[1] + off[2] * off[2]) - x->radius;
}

/* The spinous process: a sheet in the middle, behind the laminae where they meet. */
static float to_spinous(const arch *a, spot s)
{
    const float begins = a->depth + 9;
    const float t = fab_sy_clamp((s.back - begins) / fmaxf(a->spinous.back - begins, 5), 0, 1);
    return fmaxf(fabsf(s.left - t * a->spinous.left) - 5, begins - s.back);
}

static void name_voxel(const arch *a, spot s, uint8_t *label, void *user)
{
    (void)user;
    float best = to_spinous(a, s);
    int part = SY_SPINOUS;
    for (int i = 0; i < a->axes; i++) {
        const float far = to_axis(&a->axis[i], s);
        if (far < best) best = far, part = a->axis[i].part;
    }
    *label = (uint8_t)part;
}

static void box_of(arch *a)
{
    const float reach = 70;
    for (int k = 0; k < 3; k++) {
        const int low = (int)((a->v->canal[k] - reach) / a->grid->step);
        const int high = (int)((a->v->canal[k] + reach) / a->grid->step) + 1;
        a->low[k] = low < 0 ? 0 : low;
        a->high[k] = high >= a->grid->size[k] ? a->grid->size[k] - 1 : high;
    }
}

/* A level whose canal is not in the map has no parts that one could tell: all of it is arch. */
static void give_up(const fab_sy_grid *g, const fab_sy_vertebra *v)
{
    const int64_t count = fab_sy_count(g->size);
    for (int64_t i = 0; i < count; i++) {
        const int level = fab_sy_level_of(g->label[i]);
        if (level >= 0 && !v[level].found) g->label[i] = (uint8_t)fab_sy_arch_of(level);
    }
}

void fab_sy_parts(const fab_sy_grid *g, const fab_sy_vertebra *v)
{
    give_up(g, v);
    for (int l = 0; l < SY_LEVELS; l++) {
        if (!v[l].found) continue;
        const float *b = v[l].back, *u = v[l].up;
        arch a = {.grid = g, .v = &v[l],
                  .left = {b[1] * u[2] - b[2] * u[1], b[2] * u[0] - b[0] * u[2],
                           b[0] * u[1] - b[1] * u[0]}};
        a.height = v[l].half_height > 4 ? 2 * v[l].half_height : 22;
        box_of(&a);
        find_landmarks(&a);
        lay_axes(&a);
        each_voxel(&a, name_voxel, NULL);
    }
}
