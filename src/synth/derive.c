/* derive.c - the spine of a label map: levels, canal, and what maps leave unnamed there.
 *
 * Per level a local frame (up along the spine, back towards the canal) gives the plane of the
 * canal's front wall: what lies behind it is arch, the rest is body. Discs are unnamed voxels
 * between the bodies of neighbours, along the line that joins their centres. The canal is what is
 * unnamed around its centre line and can be seen from it.
 */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

enum { MIN_VOXELS = 60 };

typedef struct level_box {
    int low[3], high[3]; /* voxels, inclusive */
    int64_t count;
    double sum[3];
} level_box;

typedef struct boxes {
    level_box level[SY_LEVELS + 1];
} boxes;

static float dot(const float a[3], const float b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static bool unit(float v[3])
{
    const float n = sqrtf(dot(v, v));
    if (n < 1e-3f) return false;
    for (int a = 0; a < 3; a++) v[a] /= n;
    return true;
}

static void measure(const fab_sy_grid *g, boxes *out)
{
    for (int l = 0; l <= SY_LEVELS; l++)
        out->level[l] = (level_box){{1 << 30, 1 << 30, 1 << 30}, {-1, -1, -1}, 0, {0, 0, 0}};
    const uint8_t *v = g->label;
    for (int z = 0; z < g->size[2]; z++)
        for (int y = 0; y < g->size[1]; y++)
            for (int x = 0; x < g->size[0]; x++) {
                const int value = *v++,
                          level = value == SY_SACRUM ? SY_LEVELS : fab_sy_level_of(value);
                if (level < 0) continue;
                level_box *b = &out->level[level];
                const int at[3] = {x, y, z};
                b->count++;
                for (int a = 0; a < 3; a++) {
                    if (at[a] < b->low[a]) b->low[a] = at[a];
                    if (at[a] > b->high[a]) b->high[a] = at[a];
                    b->sum[a] += at[a];
                }
            }
}

static uint8_t *at_voxel(const fab_sy_grid *g, int x, int y, int z)
{
    if (x < 0 || y < 0 || z < 0 || x >= g->size[0] || y >= g->size[1] || z >= g->size[2])
        return NULL;
    return g->label + ((int64_t)z * g->size[1] + y) * g->size[0] + x;
}

static int label_at(const fab_sy_grid *g, const float mm[3])
{
    const uint8_t *v =
        at_voxel(g, (int)floorf(mm[0] / g->step + 0.5f), (int)floorf(mm[1] / g->step + 0.5f),
                 (int)floorf(mm[2] / g->step + 0.5f));
    return v ? *v : SY_OUTSIDE;
}

static bool is_canal(int value)
{
    return value == SY_CORD || value == SY_CANAL || value == SY_CSF || value == SY_FLAVUM;
}

static bool is_vertebra(int value)
{
    return value == SY_SACRUM || fab_sy_level_of(value) >= 0;
}

/* ---- where the canal is ---- */

/* Whether a vertebra's wall (level: only that one's; -1: any) lies within reach of a voxel. */
static bool wall_near(const fab_sy_grid *g, int x, int y, int z, const int way[2], int level)
{
    const int reach = (int)((level < 0 ? 22 : 15) / g->step);
    for (int k = 1; k <= reach; k++) {
        const uint8_t *v = at_voxel(g, x + k * way[0], y + k * way[1], z);
        if (v && is_vertebra(*v) && (level < 0 || fab_sy_level_of(*v) == level)) return true;
    }
    return false;
}

/* Sums the voxels of a slice of the level's box that the vertebra encloses: it has walls at both
 * sides and in front, and behind is its arch or, higher up, the arch of the next. */
static void enclosed(const fab_sy_grid *g, const level_box *b, int level, int z, double sum[4])
{
    static const int left[2] = {1, 0}, right[2] = {-1, 0}, front[2] = {0, -1}, back[2] = {0, 1};
    for (int y = b->low[1] + 1; y < b->high[1]; y++)
        for (int x = b->low[0] + 1; x < b->high[0]; x++) {
            if (is_vertebra(*at_voxel(g, x, y, z))) continue;
            if (!wall_near(g, x, y, z, left, level) || !wall_near(g, x, y, z, right, level) ||
                !wall_near(g, x, y, z, front, level) || !wall_near(g, x, y, z, back, -1))
                continue;
            sum[0] += x, sum[1] += y, sum[2] += z, sum[3] += 1;
        }
}

/* The canal behind a level: of the cord where it is named, else of the hole in the vertebra. */
static bool find_canal(const fab_sy_grid *g, const level_box *b, int level, float out[3])
{
    double cord[4] = {0}, hole[4] = {0};
    const int middle = (b->low[2] + b->high[2]) / 2, reach = (int)(12 / g->step);
    for (int z = middle - reach; z <= middle + reach; z++) {
        if (z < 0 || z >= g->size[2]) continue;
        for (int y = b->low[1]; y <= b->high[1]; y++)
            for (int x = b->low[0]; x <= b->high[0]; x++)
                if (is_canal(*at_voxel(g, x, y, z)))
                    cord[0] += x, cord[1] += y, cord[2] += z, cord[3] += 1;
        if (z >= b->low[2] && z <= b->high[2]) enclosed(g, b, level, z, hole);
    }
    const double *s = cord[3] > MIN_VOXELS ? cord : hole;
    if (s[3] < MIN_VOXELS / 4) return false;
    for (int a = 0; a < 3; a++) out[a] = (float)(s[a] / s[3]) * g->step;
    return true;
}

/* ---- frames ---- */

/* Mean of the level's voxels in front of the canal: the body, near enough. */
static void body_centre(const fab_sy_grid *g, const level_box *b, fab_sy_vertebra *v, float behind)
{
    double sum[4] = {0}, high = 0;
    for (int z = b->low[2]; z <= b->high[2]; z++)
        for (int y = b->low[1]; y <= b->high[1]; y++)
            for (int x = b->low[0]; x <= b->high[0]; x++) {
                if (fab_sy_level_of(*at_voxel(g, x, y, z)) != v->level) continue;
                const float d[3] = {(float)x * g->step - v->canal[0],
                                    (float)y * g->step - v->canal[1],
                                    (float)z * g->step - v->canal[2]};
                if (dot(d, v->back) > -behind) continue;
                sum[0] += x, sum[1] += y, sum[2] += z, sum[3] += 1;
            }
    if (sum[3] < MIN_VOXELS) return;
    for (int a = 0; a < 3; a++) v->centre[a] = (float)(sum[a] / sum[3]) * g->step;
    for (int k = 0; k < 40; k++) /* height along up through the centre */
        for (int s = -1; s <= 1; s += 2) {
            float p[3];
            for (int a = 0; a < 3; a++) p[a] = v->centre[a] + (float)(s * k) * 0.5f * v->up[a];
            if (fab_sy_level_of(label_at(g, p)) == v->level) high = k * 0.5;
        }
    v->half_height = (float)high;
}

static void frames(fab_sy_vertebra *v)
{
    for (int l = 0; l < SY_LEVELS; l++) {
        if (!v[l].found) continue;
        int above = l, below = l;
        for (int k = l - 1; k >= 0 && above == l; k--)
            if (v[k].found) above = k;
        for (int k = l + 1; k < SY_LEVELS && below == l; k++)
            if (v[k].found) below = k;
        float up[3], back[3];
        for (int a = 0; a < 3; a++) up[a] = v[above].centre[a] - v[below].centre[a];
        if (above == below || !unit(up)) up[0] = up[1] = 0, up[2] = 1;
        for (int a = 0; a < 3; a++) back[a] = v[l].canal[a] - v[l].centre[a];
        const float along = dot(back, up);
        for (int a = 0; a < 3; a++) back[a] -= along * up[a];
        if (!unit(back)) back[0] = back[2] = 0, back[1] = 1;
        memcpy(v[l].up, up, sizeof up);
        memcpy(v[l].back, back, sizeof back);
    }
}

/* Distance from the canal's centre line forward to the body, near its least: bodies are hollow
 * behind. */
static float front_wall(const fab_sy_grid *g, const fab_sy_vertebra *v)
{
    int hit[64] = {0}, hits = 0;
    for (int k = -12; k <= 12; k++)
        for (int s = 4; s < 60; s++) {
            float p[3];
            for (int a = 0; a < 3; a++)
                p[a] = v->canal[a] + (float)k * 0.75f * v->up[a] - (float)s * 0.25f * v->back[a];
            if (fab_sy_level_of(label_at(g, p)) != v->level) continue;
            hit[s]++, hits++;
            break;
        }
    int seen = 0;
    for (int s = 0; s < 64; s++)
        if (hits && (seen += hit[s]) * 4 >= hits) return (float)s * 0.25f;
    return 7;
}

/* ---- naming ---- */

static void split_arch(const fab_sy_grid *g, const level_box *b, const fab_sy_vertebra *v)
{
    for (int z = b->low[2]; z <= b->high[2]; z++)
        for (int y = b->low[1]; y <= b->high[1]; y++)
            for (int x = b->low[0]; x <= b->high[0]; x++) {
                uint8_t *label = at_voxel(g, x, y, z);
                if (*label != fab_sy_body_of(v->level)) continue;
                const float d[3] = {(float)x * g->step - v->canal[0],
                                    (float)y * g->step - v->canal[1],
                                    (float)z * g->step - v->canal[2]};
                if (dot(d, v->back) > -v->wall + 0.3f * g->step)
                    *label = (uint8_t)fab_sy_arch_of(v->level);
            }
}

/* Whether walking from mm along dir (unit) meets `value` within reach before any other name. */
static float walk_to(const fab_sy_grid *g, const float mm[3], const float dir[3], int value,
                     float reach)
{
    for (float s = 0; s <= reach; s += 0.5f * g->step) {
        const float p[3] = {mm[0] + s * dir[0], mm[1] + s * dir[1], mm[2] + s * dir[2]};
        const int found = label_at(g, p);
        if (found == value) return s;
        if (found != SY_OUTSIDE && found != SY_UNKNOWN && found != SY_SOFT) return -1;
    }
    return -1;
}

typedef struct gap {  /* between two bodies */
    int above, below; /* their values */
    float up[3], down[3];
    int low[3], size[3]; /* the voxels to look at */
} gap;

static bool gap_between(const fab_sy_grid *g, const fab_sy_vertebra *above, const float below[3],
                        gap *out)
{
    for (int a = 0; a < 3; a++) out->up[a] = above->centre[a] - below[a];
    if (!unit(out->up)) return false;
    for (int a = 0; a < 3; a++) {
        const float m = fminf(above->centre[a], below[a]), n = fmaxf(above->centre[a], below[a]);
        const float margin = a < 2 ? 32 : 8;
        out->down[a] = -out->up[a];
        const int low = (int)((m - margin) / g->step), high = (int)((n + margin) / g->step);
        out->low[a] = low < 0 ? 0 : low;
        out->size[a] = (high < g->size[a] ? high : g->size[a] - 1) - out->low[a] + 1;
        if (out->size[a] < 1) return false;
    }
    return true;
}

static bool in_gap(const fab_sy_grid *g, const gap *d, int x, int y, int z)
{
    if (*at_voxel(g, x, y, z) != SY_OUTSIDE) return false;
    const float p[3] = {(float)x * g->step, (float)y * g->step, (float)z * g->step};
    const float a = walk_to(g, p, d->up, d->above, 16);
    const float b = a < 0 ? -1 : walk_to(g, p, d->down, d->below, 16);
    return b >= 0 && a + b < 20;
}

/* Gives the unnamed voxels between two bodies a name: first all are found, so that the named ones
 * do not stop the walks of their neighbours. */
static fab_status name_disc(const fab_sy_grid *g, const gap *d, int name, fab_error *err)
{
    FAB_AUTO_FREE uint8_t *mark = fab_calloc((size_t)fab_sy_count(d->size), 1);
    if (!mark) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a disc");
    for (int pass = 0; pass < 2; pass++) {
        int64_t i = 0;
        for (int z = d->low[2]; z < d->low[2] + d->size[2]; z++)
            for (int y = d->low[1]; y < d->low[1] + d->size[1]; y++)
                for (int x = d->low[0]; x < d->low[0] + d->size[0]; x++, i++)
                    if (pass == 0) mark[i] = in_gap(g, d, x, y, z);
                    else if (mark[i]) *at_voxel(g, x, y, z) = (uint8_t)name;
    }
    return FAB_OK;
}

static fab_status name_discs(const fab_sy_grid *g, const fab_sy_vertebra *v, fab_error *err)
{
    int above = -1;
    gap d;
    for (int l = 1; l < SY_LEVELS; l++) {
        if (!v[l].found) continue;
        const int name = above >= 1 ? fab_sy_disc(above, l) : 0;
        d.above = above >= 1 ? fab_sy_body_of(above) : 0;
        d.below = fab_sy_body_of(l);
        if (name && gap_between(g, &v[above], v[l].centre, &d))
            FAB_TRY(name_disc(g, &d, name, err));
        above = l;
    }
    if (above < 0 || !v[SY_LEVELS].found) return FAB_OK;
    const int name = fab_sy_disc(above, SY_LEVELS);
    float below[3]; /* the top of the sacrum lies on in the line of the last bodies */
    for (int a = 0; a < 3; a++) below[a] = v[above].centre[a] - 32 * v[above].up[a];
    d.above = fab_sy_body_of(above), d.below = SY_SACRUM;
    if (!name || !gap_between(g, &v[above], below, &d)) return FAB_OK;
    return name_disc(g, &d, name, err);
}

/* Canal voxels of one slice around (cx, cy) mm: unnamed, in an ellipse, seen from the centre. */
static void canal_slice(const fab_sy_grid *g, int z, const float centre[2], float front)
{
    const int reach = (int)(11 / g->step) + 1;
    const int x0 = (int)(centre[0] / g->step), y0 = (int)(centre[1] / g->step);
    for (int y = y0 - reach; y <= y0 + reach; y++)
        for (int x = x0 - reach; x <= x0 + reach; x++) {
            uint8_t *v = at_voxel(g, x, y, z);
            if (!v || (*v != SY_OUTSIDE && *v != SY_UNKNOWN)) continue;
            const float dx = (float)x * g->step - centre[0], dy = (float)y * g->step - centre[1];
            const float ry = dy < 0 ? front : 9.5f;
            if (dx * dx / (11.0f * 11.0f) + dy * dy / (ry * ry) > 1) continue;
            bool seen = true;
            for (int k = 1; k < 16 && seen; k++) {
                const float f = (float)k / 16;
                const float p[3] = {centre[0] + f * dx, centre[1] + f * dy, (float)z * g->step};
                seen = !is_vertebra(label_at(g, p));
            }
            if (seen) *v = SY_CANAL;
        }
}

static void name_canal(const fab_sy_grid *g, const fab_sy_vertebra *v)
{
    const fab_sy_vertebra *lower = NULL; /* levels run from the head down */
    for (int l = SY_LEVELS - 1; l >= 0; l--) {
        if (!v[l].found) continue;
        const float to = v[l].canal[2];
        const float from = lower ? lower->canal[2] : to - 18;
        for (int z = (int)ceilf(from / g->step); (float)z * g->step < to; z++) {
            const float t = lower && to > from ? ((float)z * g->step - from) / (to - from) : 1;
            const fab_sy_vertebra *a = lower ? lower : &v[l];
            const float centre[2] = {a->canal[0] + t * (v[l].canal[0] - a->canal[0]),
                                     a->canal[1] + t * (v[l].canal[1] - a->canal[1])};
            canal_slice(g, z, centre, a->wall + t * (v[l].wall - a->wall));
        }
        lower = &v[l];
    }
    if (!lower) return;
    for (float mm = 0; mm < 14; mm += g->step)
        canal_slice(g, (int)((lower->canal[2] + mm) / g->step), lower->canal, lower->wall);
}

fab_status fab_sy_derive(fab_sy_grid *g, fab_sy_vertebra *v, fab_error *err)
{
    boxes b;
    measure(g, &b);
    memset(v, 0, (SY_LEVELS + 1) * sizeof *v);
    for (int l = 0; l <= SY_LEVELS; l++) {
        const level_box *box = &b.level[l];
        v[l] = (fab_sy_vertebra){.level = l, .up = {0, 0, 1}, .back = {0, 1, 0}, .wall = 7};
        v[l].found = box->count >= MIN_VOXELS;
        for (int a = 0; a < 3 && v[l].found; a++)
            v[l].centre[a] = (float)(box->sum[a] / (double)box->count) * g->step;
        if (l == SY_LEVELS || !v[l].found) continue;
        v[l].found = find_canal(g, box, l, v[l].canal);
        if (v[l].found) body_centre(g, box, &v[l], 4);
    }
    for (int pass = 0; pass < 2; pass++) {
        frames(v);
        for (int l = 0; l < SY_LEVELS; l++) {
            if (!v[l].found) continue;
            v[l].wall = front_wall(g, &v[l]);
            body_centre(g, &b.level[l], &v[l], v[l].wall - 1);
        }
    }
    for (int l = 0; l < SY_LEVELS; l++)
        if (v[l].found) split_arch(g, &b.level[l], &v[l]);
    name_canal(g, v);
    return name_discs(g, v, err);
}

int fab_sy_rod(const fab_sy_vertebra *levels, fab_sy_vertebra joint[SY_MAX_JOINTS])
{
    int n = 1;
    for (int l = SY_LEVELS - 1; l >= 0; l--)
        if (levels[l].found) joint[n++] = levels[l];
    if (n < 4) return 0;
    joint[0] = joint[1]; /* the sacrum: on in the line of the last two */
    joint[0].level = SY_LEVELS;
    joint[n] = joint[n - 1]; /* and what is above the last */
    joint[n].level = -1;
    for (int a = 0; a < 3; a++) {
        joint[0].centre[a] = 2 * joint[1].centre[a] - joint[2].centre[a];
        joint[n].centre[a] = 2 * joint[n - 1].centre[a] - joint[n - 2].centre[a];
    }
    return n + 1;
}
