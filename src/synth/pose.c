/* pose.c - the spine as a bending rod: every level keeps its shape, its neighbours turn against it.
 *
 * A pose gives each body a turn and a place. Between posed and source space a point follows the
 * level it lies beside: rigidly within a vertebra, blended across the disc. Away from the spine
 * the turn fades first and the shift later, so that ribs follow and the skin hardly does. Forward
 * is one pass up the chain; backward, which patches need, is by the nearest point of the rod.
 */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

static const float degree = 0.017453292519943f;
enum { BEHIND_MM = 12 }; /* the rod runs behind the bodies' centres, before the canal */

static void multiply(float a[3][3], float b[3][3], float out[3][3])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
}

static void apply(float m[3][3], const float v[3], float out[3])
{
    for (int i = 0; i < 3; i++) out[i] = m[i][0] * v[0] + m[i][1] * v[1] + m[i][2] * v[2];
}

/* Rodrigues: about a unit axis. */
static void about(const float k[3], float angle, float out[3][3])
{
    const float c = cosf(angle), s = sinf(angle), d = 1 - c;
    const float m[3][3] = {
        {c + k[0] * k[0] * d, k[0] * k[1] * d - k[2] * s, k[0] * k[2] * d + k[1] * s},
        {k[1] * k[0] * d + k[2] * s, c + k[1] * k[1] * d, k[1] * k[2] * d - k[0] * s},
        {k[2] * k[0] * d - k[1] * s, k[2] * k[1] * d + k[0] * s, c + k[2] * k[2] * d},
    };
    memcpy(out, m, sizeof m);
}

/* ---- drawing a pose ---- */

typedef struct curve {
    float tilt[SY_MAX_JOINTS]; /* wanted in the coronal plane; NaN: as it is, plus drift */
    float axial[SY_MAX_JOINTS], sagittal[SY_MAX_JOINTS];
} curve;

/* A main curve with its counter-curves. side: +1 convex to the left. */
static void scoliosis(int joints, float cobb, fab_rng *rng, curve *c)
{
    const int n = joints;
    const float side = fab_rng_uniform(rng) < 0.5 ? -1.0f : 1.0f;
    const float apex = fab_sy_clamp(fab_sy_range(rng, 2.5, 11), 1.5f, (float)n - 2.5f);
    float half = fminf(fab_sy_range(rng, 2, 4.5), fminf(apex - 0.5f, (float)n - 1.5f - apex));
    if (half < 1) half = 1;
    const float ease = fab_sy_range(rng, 0.6, 1.6), turn = cobb * fab_sy_range(rng, 0.15, 0.6);
    float low = 0, high = 0;
    for (int i = 0; i < n; i++) {
        const float d = (float)i - apex, far = fabsf(d);
        const float reach = d < 0 ? fminf(half * ease, apex - half) : half * ease;
        float t = 0;
        if (far <= half) t = sinf(1.5707963f * d / half);
        else if (far < half + reach) t = copysignf(cosf(1.5707963f * (far - half) / reach), d);
        c->tilt[i] = -side * t;
        low = fminf(low, c->tilt[i]), high = fmaxf(high, c->tilt[i]);
        c->axial[i] = far < 1.6f * half ? side * turn * cosf(1.5707963f * far / (1.6f * half)) : 0;
    }
    for (int i = 0; i < n; i++) c->tilt[i] *= cobb / (high - low);
}

static void draw_curve(const fab_synth_source *s, double cobb_deg, fab_rng *rng, curve *c)
{
    const int n = s->joints;
    double cobb = cobb_deg;
    const double chance = fab_rng_uniform(rng), much = fab_rng_uniform(rng);
    if (isnan(cobb)) cobb = chance < 0.5 ? 0 : 10 + 60 * pow(much, 1.5);
    const float drift = (float)fab_rng_normal(rng) * 2.5f * degree;
    const float a = (float)fab_rng_normal(rng) * 9 * degree,
                b = (float)fab_rng_normal(rng) * 8 * degree;
    for (int i = 0; i < n; i++) {
        const float t = (float)i / (float)(n - 1);
        c->tilt[i] = NAN;
        c->axial[i] = drift * sinf(6.283f * t);
        c->sagittal[i] = a * sinf(3.1416f * t) + b * sinf(6.2832f * t);
    }
    if (cobb > 0 || !isnan(cobb_deg)) scoliosis(n, (float)cobb * degree, rng, c);
}

/* The turn of one joint: about its own axis, then sagittal, then coronal to the wanted tilt. */
static void turn_of(const fab_synth_source *s, const curve *c, int i, float out[3][3])
{
    static const float x[3] = {1, 0, 0}, y[3] = {0, 1, 0};
    float axial[3][3], sagittal[3][3], coronal[3][3], both[3][3], up[3];
    about(s->joint[i].up, c->axial[i], axial);
    about(x, -c->sagittal[i], sagittal);
    multiply(sagittal, axial, both);
    apply(both, s->joint[i].up, up);
    const float now = atan2f(up[0], up[2]);
    about(y, isnan(c->tilt[i]) ? 0 : c->tilt[i] - now, coronal);
    multiply(coronal, both, out);
}

static void draw_squash(fab_sy_pose *p, fab_rng *rng)
{
    memset(p->squash, 0, sizeof p->squash);
    if (fab_rng_uniform(rng) > 0.15) return;
    for (int k = 1 + (int)(fab_rng_u32(rng) % 3); k > 0; k--) {
        const int i = 1 + (int)(fab_rng_u32(rng) % (uint32_t)(p->joints - 2));
        p->squash[i] = fab_sy_range(rng, 0.1, 0.5);
    }
}

void fab_sy_pose_draw(const fab_synth_source *s, double cobb_deg, fab_rng *rng, fab_sy_pose *p)
{
    curve c;
    p->joints = s->joints;
    if (!s->joints) return;
    draw_curve(s, cobb_deg, rng, &c);
    for (int i = 0; i < s->joints; i++) {
        const fab_sy_vertebra *v = &s->joint[i];
        memcpy(p->from[i], v->centre, sizeof v->centre);
        memcpy(p->up[i], v->up, sizeof v->up);
        memcpy(p->back[i], v->back, sizeof v->back);
        p->half[i] = v->half_height;
        turn_of(s, &c, i, p->turn[i]);
    }
    draw_squash(p, rng);
    memcpy(p->to[0], p->from[0], sizeof p->to[0]);
    for (int i = 0; i + 1 < s->joints; i++) { /* half a step in the frame of either */
        float step[3], low[3], high[3];
        for (int a = 0; a < 3; a++) step[a] = (p->from[i + 1][a] - p->from[i][a]) / 2;
        apply(p->turn[i], step, low);
        apply(p->turn[i + 1], step, high);
        const float less = 1 - 0.15f * (p->squash[i] + p->squash[i + 1]);
        for (int a = 0; a < 3; a++) p->to[i + 1][a] = p->to[i][a] + less * (low[a] + high[a]);
    }
    for (int i = 0; i < s->joints; i++) {
        float back[3];
        apply(p->turn[i], p->back[i], back);
        for (int a = 0; a < 3; a++) p->axis[i][a] = p->to[i][a] + BEHIND_MM * back[a];
    }
}

/* ---- following it ---- */

/* Where along the rod (joints and parts) the point lies, and how far from it. */
static float nearest(const fab_sy_pose *p, const float at[3], float *distance)
{
    float best = 1e30f, along = 0, by_height = 0;
    for (int k = 0; k + 1 < p->joints; k++) {
        const float *a = p->axis[k], *b = p->axis[k + 1];
        const float d[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
        const float e[3] = {at[0] - a[0], at[1] - a[1], at[2] - a[2]};
        const float len = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
        const float t = fab_sy_clamp((d[0] * e[0] + d[1] * e[1] + d[2] * e[2]) / len, 0, 1);
        const float f[3] = {e[0] - t * d[0], e[1] - t * d[1], e[2] - t * d[2]};
        const float r = f[0] * f[0] + f[1] * f[1] + f[2] * f[2];
        if (r < best) best = r, along = (float)k + t;
        if (at[2] >= a[2]) by_height = (float)k + fab_sy_clamp(e[2] / fmaxf(d[2], 1), 0, 1);
    }
    *distance = sqrtf(best);
    return along + (by_height - along) * fab_sy_smoothstep(45, 100, *distance);
}

/* The source point of `at` if it were fixed to joint i. */
static void rigid(const fab_sy_pose *p, int i, const float at[3], float out[3])
{
    const float d[3] = {at[0] - p->to[i][0], at[1] - p->to[i][1], at[2] - p->to[i][2]};
    for (int a = 0; a < 3; a++)
        out[a] = p->turn[i][0][a] * d[0] + p->turn[i][1][a] * d[1] + p->turn[i][2][a] * d[2];
    if (p->squash[i] > 0) { /* the front of the body has lost height */
        const float *up = p->up[i], *back = p->back[i];
        const float h = out[0] * up[0] + out[1] * up[1] + out[2] * up[2];
        const float b = out[0] * back[0] + out[1] * back[1] + out[2] * back[2];
        const float loss = p->squash[i] * (1 - fab_sy_smoothstep(-14, 12, b));
        const float room = p->half[i] * (1 - loss);
        const float more = fabsf(h) < room ? h / (1 - loss) - h : copysignf(p->half[i] * loss, h);
        for (int a = 0; a < 3; a++) out[a] += more * up[a];
    }
    for (int a = 0; a < 3; a++) out[a] += p->from[i][a];
}

void fab_sy_pose_to_source(const fab_sy_pose *p, const float at[3], float out[3])
{
    memcpy(out, at, 3 * sizeof *out);
    if (!p->joints) return;
    float distance, low[3], high[3];
    const float along = nearest(p, at, &distance);
    const float shift = 1 - 0.65f * fab_sy_smoothstep(60, 230, distance);
    const float turn = 1 - fab_sy_smoothstep(45, 140, distance);
    int i = (int)along;
    if (i > p->joints - 2) i = p->joints - 2;
    const float t = along - (float)i, s = fab_sy_smoothstep(0.36f, 0.64f, t);
    rigid(p, i, at, low);
    rigid(p, i + 1, at, high);
    for (int a = 0; a < 3; a++) {
        const float full = low[a] + s * (high[a] - low[a]) - at[a];
        const float from = p->from[i][a] - p->to[i][a], next = p->from[i + 1][a] - p->to[i + 1][a];
        const float moved = from + t * (next - from);
        out[a] = at[a] + turn * full + (1 - turn) * shift * moved;
    }
}

void fab_sy_pose_from_source(const fab_sy_pose *p, const float source[3], float posed[3])
{
    memcpy(posed, source, 3 * sizeof *posed);
    for (int k = 0; k < 12 && p->joints; k++) {
        float back[3];
        fab_sy_pose_to_source(p, posed, back);
        for (int a = 0; a < 3; a++) posed[a] -= 0.9f * (back[a] - source[a]);
    }
}
