/* bodies.c - one vertebral body from the next.
 *
 * Along the curve the cross-section of the bodies falls at every disc. A dynamic programme places
 * all cuts at once: each pays for the valley it lies in, and the distances between cuts must fit
 * two things known of spines, that a level's pitch is about the square root of its body's
 * cross-section, and that neighbours differ by little. So a fused pair of bodies or a missed disc
 * (no valley) is cut where its neighbours say, and a dent in a body is no cut. Each cut then
 * becomes a plane, turned so that most disc and least body lies in it: endplates of a wedged
 * vertebra are not square to the curve.
 */
#include <string.h>

#include "spine_internal.h"

#define VALLEY 7.0       /* what a clear disc is worth, in log-likelihood */
#define DISC 2.0         /* what disc voxels add to it */
#define SD_PITCH 0.20    /* log of pitch against the cross-section's root */
#define SD_STEP 0.13     /* log of pitch against the neighbour's */
#define SD_SCALE 0.15    /* of the whole spine, log */
#define PITCH_PER_ROOT 1.03
#define MIN_PITCH 9
#define MAX_PITCH 56
#define ENDS 0           /* index of "no pitch yet" */
#define NO_COST 1e30f

typedef struct profile {
    int n;               /* millimetres of curve */
    double *body, *disc; /* mm2 */
    double *gain;        /* of a cut here */
    double *root;        /* square root of the typical cross-section around */
} profile;

static void splat(double *to, int n, double s, double amount)
{
    const int i = (int)floor(s);
    const double f = s - i;
    if (i >= 0 && i < n) to[i] += amount * (1 - f);
    if (i + 1 >= 0 && i + 1 < n) to[i + 1] += amount * f;
}

static void smooth(double *values, double *scratch, int n, double sigma)
{
    const int reach = (int)(3 * sigma) + 1;
    for (int i = 0; i < n; i++) {
        double sum = 0, weight = 0;
        for (int k = -reach; k <= reach; k++) {
            if (i + k < 0 || i + k >= n) continue;
            const double w = exp(-0.5 * (k / sigma) * (k / sigma));
            sum += w * values[i + k];
            weight += w;
        }
        scratch[i] = sum / weight;
    }
    memcpy(values, scratch, (size_t)n * sizeof *values);
}

/* The mean of the larger half of the cross-sections within 25 mm. */
static double typical_area(const profile *p, int at)
{
    double value[51];
    int n = 0;
    for (int i = at - 25; i <= at + 25; i++) {
        if (i < 0 || i >= p->n || p->body[i] < 20) continue;
        int k = n++;
        for (; k > 0 && value[k - 1] < p->body[i]; k--) value[k] = value[k - 1];
        value[k] = p->body[i];
    }
    double sum = 0;
    for (int k = 0; k < (n + 1) / 2; k++) sum += value[k];
    return n ? sum / ((n + 1) / 2) : 0;
}

static double largest(const double *v, int n, int from, int to)
{
    double best = 0;
    for (int i = from < 0 ? 0 : from; i <= to && i < n; i++) best = fmax(best, v[i]);
    return best;
}

/* How deep the valley at i is against the lower of the hills within 14 mm on both sides; and the
 * disc in it. Hills much smaller than a body here do not count as such. */
static double gain_at(const profile *p, int i)
{
    const double above = largest(p->body, p->n, i - 14, i), below = largest(p->body, p->n, i,
                                                                           i + 14);
    const double hill = fmin(above, below), area = p->root[i] * p->root[i];
    if (hill < 20 || area < 20) return 0;
    const double real = fmin(1, hill / (0.35 * area));
    const double valley = sp_clamp(1 - p->body[i] / hill, 0, 1);
    const double disc = p->disc[i] / (p->disc[i] + p->body[i] + 1);
    return real * (VALLEY * valley + DISC * disc);
}

static fab_status make_profile(const sp_work *w, profile *p, double *block, double *scratch)
{
    p->n = w->nodes;
    p->body = block, p->disc = block + p->n, p->gain = block + 2 * p->n;
    p->root = block + 3 * p->n;
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *q = &w->points[i];
        if (q->role != SP_BODY && !(q->role == SP_DISC && q->off < 38)) continue;
        splat(q->role == SP_BODY ? p->body : p->disc, p->n, (double)q->s,
              w->voxel_ml * 1000 * (double)q->weight);
    }
    smooth(p->body, scratch, p->n, fmax(1.0, 0.4 * w->voxel_mm));
    smooth(p->disc, scratch, p->n, fmax(1.0, 0.4 * w->voxel_mm));
    for (int i = 0; i < p->n; i++) p->root[i] = sqrt(typical_area(p, i));
    smooth(p->root, scratch, p->n, 8.0);
    for (int i = 0; i < p->n; i++) p->gain[i] = gain_at(p, i);
    return FAB_OK;
}

/* ---- the dynamic programme ------------------------------------------------------------------ */

typedef struct table {
    const profile *p;
    int low, high;      /* the bodies' range */
    double scale;
    float *cost;        /* [s][pitch]; pitch ENDS: only the end piece lies before */
    uint8_t *before;    /* pitch of the cut before */
    float step[MAX_PITCH + 1][MAX_PITCH + 1];
} table;

static double pitch_cost(const table *t, int s, double pitch)
{
    const double expected = PITCH_PER_ROOT * t->scale * fmax(t->p->root[s], 8);
    const double d = log(pitch / expected) / SD_PITCH;
    return 0.5 * d * d;
}

/* A piece at the end of the bodies may be cut short by the scan, but is not longer than a level. */
static double end_cost(const table *t, int s, int length)
{
    const double expected = PITCH_PER_ROOT * t->scale * fmax(t->p->root[s], 8);
    const double r = length / expected;
    if (r < 0.3) return 4 * (0.3 - r) / 0.3;
    const double d = r > 1 ? log(r) / SD_STEP : 0;
    return 0.5 * d * d;
}

static float *cost_at(const table *t, int s, int pitch)
{
    return &t->cost[(ptrdiff_t)s * (MAX_PITCH + 1) + pitch];
}

static void relax(table *t, int s, int pitch)
{
    const int from = s - pitch;
    if (from < t->low) return;
    const double here = pitch_cost(t, from + pitch / 2, pitch) - t->p->gain[s];
    for (int last = 0; last <= MAX_PITCH; last++) {
        const float c = *cost_at(t, from, last);
        if (c >= NO_COST) continue;
        const float total = c + (float)here + t->step[last][pitch];
        if (total < *cost_at(t, s, pitch)) {
            *cost_at(t, s, pitch) = total;
            t->before[(ptrdiff_t)s * (MAX_PITCH + 1) + pitch] = (uint8_t)last;
        }
    }
}

static void fill(table *t)
{
    for (int a = 0; a <= MAX_PITCH; a++)
        for (int b = MIN_PITCH; b <= MAX_PITCH; b++) {
            const double d = a >= MIN_PITCH ? log((double)b / a) / SD_STEP : 0;
            t->step[a][b] = (float)(0.5 * d * d);
        }
    for (int s = t->low; s <= t->high; s++) {
        for (int pitch = 0; pitch <= MAX_PITCH; pitch++) *cost_at(t, s, pitch) = NO_COST;
        if (s - t->low <= MAX_PITCH)
            *cost_at(t, s, ENDS) =
                (float)(end_cost(t, (s + t->low) / 2, s - t->low) - t->p->gain[s]);
        for (int pitch = MIN_PITCH; pitch <= MAX_PITCH; pitch++) relax(t, s, pitch);
    }
}

/* The best chain's cost; cuts from low to high into cut_s. */
static double best_chain(const table *t, double *cut_s, int *cuts)
{
    double best = end_cost(t, (t->low + t->high) / 2, t->high - t->low);
    int at = -1, pitch = 0, n = 0;
    for (int s = t->low; s <= t->high; s++)
        for (int k = 0; k <= MAX_PITCH && t->high - s <= MAX_PITCH; k++) {
            if (*cost_at(t, s, k) >= NO_COST) continue;
            const double c =
                (double)*cost_at(t, s, k) + end_cost(t, (s + t->high) / 2, t->high - s);
            if (c < best) best = c, at = s, pitch = k;
        }
    double reversed[FAB_SPINE_MAX];
    while (at >= 0 && n < FAB_SPINE_MAX - 1) {
        reversed[n++] = at;
        const int before = t->before[(ptrdiff_t)at * (MAX_PITCH + 1) + pitch];
        at = pitch == ENDS ? -1 : at - pitch;
        pitch = before;
    }
    for (int i = 0; i < n; i++) cut_s[i] = reversed[n - 1 - i];
    *cuts = n;
    return best;
}

static fab_status place_cuts(sp_work *w, const profile *p, fab_error *err)
{
    static const double scales[] = {0.8, 0.9, 1.0, 1.12, 1.25};
    table t = {.p = p, .low = (int)w->data_s[0], .high = (int)w->data_s[1]};
    const size_t cells = (size_t)p->n * (MAX_PITCH + 1);
    double best = 1e300;
    FAB_AUTO_FREE float *cost = fab_alloc_array(cells, sizeof *cost);
    FAB_AUTO_FREE uint8_t *before = fab_calloc(cells, 1);
    if (!cost || !before) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's cuts");
    t.cost = cost, t.before = before;
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++) {
        double cut_s[FAB_SPINE_MAX];
        int cuts = 0;
        t.scale = scales[k];
        fill(&t);
        const double d = log(t.scale) / SD_SCALE;
        const double c = best_chain(&t, cut_s, &cuts) + 0.5 * d * d;
        if (c >= best) continue;
        best = c;
        w->cuts = cuts;
        memcpy(w->cut_s, cut_s, sizeof cut_s);
    }
    return FAB_OK;
}

/* ---- planes --------------------------------------------------------------------------------- */

typedef struct cut_points {
    const sp_work *w;
    int32_t *at;
    int count;
    double half; /* mm */
} cut_points;

/* What a plane is worth: disc in it less body in it, a few voxels against tilt. */
static double plane_value(const cut_points *c, sp_vec p, sp_vec n)
{
    double sum = 0;
    for (int i = 0; i < c->count; i++) {
        const sp_point *q = &c->w->points[c->at[i]];
        const double d = fabs(sp_dot(sp_sub(sp_at(q), p), n));
        if (d < c->half) sum += (q->role == SP_DISC ? 1 : -1) * (1 - d / c->half);
    }
    return sum * c->w->voxel_ml;
}

static double try_plane(const cut_points *c, const sp_node *node, const double par[3],
                        sp_plane *plane)
{
    const sp_vec left = sp_cross(node->t, node->back);
    plane->n = sp_unit(sp_add(node->t, sp_add(sp_mul(left, tan(par[0])),
                                             sp_mul(node->back, tan(par[1])))));
    plane->p = sp_add(node->p, sp_mul(node->t, par[2]));
    return plane_value(c, plane->p, plane->n) - 1.2 * (par[0] * par[0] + par[1] * par[1]) -
           0.01 * par[2] * par[2];
}

/* Coordinate search: tilt to the side, tilt to the back (up to 28 degrees), offset. */
static sp_plane best_plane(const cut_points *c, const sp_node *node)
{
    double par[3] = {0}, step[3] = {0.14, 0.14, 2.0};
    const double limit[3] = {0.5, 0.5, 6.0};
    sp_plane plane, trial;
    double best = try_plane(c, node, par, &plane);
    for (int round = 0; round < 12; round++) {
        bool better = false;
        for (int k = 0; k < 6; k++) {
            double next[3] = {par[0], par[1], par[2]};
            next[k / 2] += (k & 1 ? -1 : 1) * step[k / 2];
            if (fabs(next[k / 2]) > limit[k / 2]) continue;
            const double value = try_plane(c, node, next, &trial);
            if (value <= best) continue;
            best = value, plane = trial, better = true;
            memcpy(par, next, sizeof par);
        }
        for (int k = 0; k < 3 && !better; k++) step[k] *= 0.5;
    }
    return plane;
}

static fab_status make_planes(sp_work *w, fab_error *err)
{
    FAB_AUTO_FREE int32_t *at = fab_alloc_array((size_t)w->count + 1, sizeof *at);
    if (!at) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's cuts");
    for (int k = 0; k < w->cuts; k++) {
        cut_points c = {.w = w, .at = at, .half = fmax(2.5, 1.2 * w->voxel_mm)};
        const sp_node node = fab_spine_node(w, w->cut_s[k]);
        for (int32_t i = 0; i < w->count; i++) {
            const sp_point *p = &w->points[i];
            if ((p->role == SP_BODY || (p->role == SP_DISC && p->off < 38)) &&
                fabs((double)p->s - w->cut_s[k]) < 16)
                at[c.count++] = i;
        }
        w->cut[k] = best_plane(&c, &node);
    }
    return FAB_OK;
}

/* ---- parts ---------------------------------------------------------------------------------- */

static double below_cut(const sp_work *w, int k, sp_vec p)
{
    return sp_dot(sp_sub(p, w->cut[k].p), w->cut[k].n);
}

static void part_of_body(const sp_work *w, sp_point *p)
{
    int k = 0;
    while (k < w->cuts && (double)p->s > w->cut_s[k]) k++;
    if (k > 0 && below_cut(w, k - 1, sp_at(p)) < 0) k--;
    else if (k < w->cuts && below_cut(w, k, sp_at(p)) > 0) k++;
    p->part = (uint8_t)(k + 1);
}

/* Where cut k lies; -1 and w->cuts are the upper and lower end of all bodies. */
static double place_of(const sp_work *w, int k)
{
    return k < 0 ? w->data_s[0] : k < w->cuts ? w->cut_s[k] : w->data_s[1];
}

/* The nearest cut or end within 14 mm; part 1 is the disc above the first vertebra. */
static void part_of_disc(const sp_work *w, sp_point *p)
{
    double found = 14;
    p->part = 0;
    for (int k = -1; k <= w->cuts; k++) {
        const double along = (double)p->s - place_of(w, k);
        const bool inner = k >= 0 && k < w->cuts;
        if (fabs(along) > 25 || (k < 0 && along > 6) || (k == w->cuts && along < -6)) continue;
        const double d = inner ? fabs(below_cut(w, k, sp_at(p))) : fabs(along);
        if (d >= found) continue;
        found = d;
        p->part = (uint8_t)(k + 2);
    }
}

static void set_parts(sp_work *w)
{
    for (int32_t i = 0; i < w->count; i++) {
        sp_point *p = &w->points[i];
        if (p->role == SP_BODY) part_of_body(w, p);
        if (p->role == SP_DISC && p->off < 38) part_of_disc(w, p);
    }
}

/* The end of what is body: where the cross-section falls under a tenth of what is usual. */
static void find_ends(sp_work *w, const profile *p)
{
    int low = 0, high = p->n - 1;
    while (low < high && p->body[low] < fmax(20, 0.1 * p->root[low] * p->root[low])) low++;
    while (high > low && p->body[high] < fmax(20, 0.1 * p->root[high] * p->root[high])) high--;
    w->data_s[0] = low;
    w->data_s[1] = high;
}

static void set_frame(const sp_work *w, int k)
{
    fab_spine_vertebra *v = &w->out->items[k];
    const double low = k > 0 ? w->cut_s[k - 1] : w->data_s[0];
    const double high = k < w->cuts ? w->cut_s[k] : w->data_s[1];
    const sp_node node = fab_spine_node(w, 0.5 * (low + high));
    sp_vec up = sp_mul(node.t, -1);
    if (k > 0) up = sp_sub(up, sp_mul(w->cut[k - 1].n, 2));
    if (k < w->cuts) up = sp_sub(up, sp_mul(w->cut[k].n, 2));
    up = sp_unit(up);
    const sp_vec back = sp_unit(sp_sub(node.back, sp_mul(up, sp_dot(node.back, up))));
    sp_store(up, v->up);
    sp_store(back, v->back);
    sp_store(sp_cross(back, up), v->left);
    v->pitch_mm = high - low;
    sp_store(node.p, v->centre);
}

static void set_centres(sp_work *w)
{
    sp_vec sum[FAB_SPINE_MAX] = {{0, 0, 0}};
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        if (p->role != SP_BODY || p->part == 0) continue;
        sum[p->part - 1] = sp_add(sum[p->part - 1], sp_at(p));
        w->out->items[p->part - 1].body_voxels++;
    }
    for (int k = 0; k < w->out->count; k++) {
        fab_spine_vertebra *v = &w->out->items[k];
        if (v->body_voxels > 0) sp_store(sp_mul(sum[k], 1.0 / (double)v->body_voxels), v->centre);
    }
}

#define LEAST_OF_NEIGHBOUR 0.25 /* of the body above, for a last vertebra to be one */

static bool at_edge(const sp_work *w, const sp_point *p)
{
    for (int a = 0; a < 3; a++)
        if (p->at[a] == 0 || p->at[a] == w->grid.size[a] - 1) return true;
    return false;
}

/* The top of the sacrum taken for a body, behind a speck of disc: no vertebra. One that the scan's
 * edge cuts may well be that small. */
static void drop_false_last(sp_work *w)
{
    int64_t here = 0, above = 0;
    const int last = w->cuts + 1; /* its part */
    if (w->cuts < 2) return;
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        if (p->role != SP_BODY) continue;
        if (p->part == last && at_edge(w, p)) return;
        here += p->part == last, above += p->part == last - 1;
    }
    if ((double)here >= LEAST_OF_NEIGHBOUR * (double)above) return;
    for (int32_t i = 0; i < w->count; i++)
        if (w->points[i].role == SP_BODY && w->points[i].part == last)
            w->points[i].role = SP_NONE, w->points[i].part = 0;
    w->cuts--;
    w->data_s[1] = w->cut_s[w->cuts];
    set_parts(w);
}

fab_status fab_spine_separate(sp_work *w, fab_error *err)
{
    profile p = {0};
    FAB_AUTO_FREE double *block = fab_calloc((size_t)w->nodes * 5, sizeof *block);
    if (!block) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's profile");
    FAB_TRY(make_profile(w, &p, block, block + 4 * w->nodes));
    find_ends(w, &p);
    FAB_TRY(place_cuts(w, &p, err));
    FAB_TRY(make_planes(w, err));
    set_parts(w);
    drop_false_last(w);
    w->out->count = w->cuts + 1;
    for (int k = 0; k < w->out->count; k++) {
        set_frame(w, k);
        w->out->items[k].width_mm = p.root[(int)(k > 0 ? w->cut_s[k - 1] : w->data_s[0]) +
                                           (int)(w->out->items[k].pitch_mm / 2)];
    }
    set_centres(w);
    return FAB_OK;
}
