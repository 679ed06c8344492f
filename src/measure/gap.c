/* gap.c - two endplates and the disc between them, found in the image.
 *
 * A label map made on 3 mm voxels puts an endplate millimetres off and tilts it by ten degrees; the
 * CT it was made of shows it as the sharpest edge there is: a thin plate of compact bone, spongy
 * bone on one side, disc on the other. So the HU between the middles of two bodies are explained by
 *
 *    core above   ###########    I(z) = disc + sum over both plates k of
 *    plate 0      ===========           (core_k - disc) B(-d_k) + ridge_k [B(d_k + w) - B(d_k)]
 *    disc                        d_k: mm from plate k into the disc
 *    plate 1      ===========    B: a step blurred by the image, sd psf_mm along the axis
 *    core below   ###########    w: thickness of the compact bone
 *
 * with the plates second-order surfaces as in surface.c. Both plates are fitted at once: a disc is
 * often no thicker than the blur, and the second plate would otherwise pass for the first. The five
 * HU are linear and solved outright, so a coarse search over offset and tilt about what the labels
 * say is cheap; then all parameters are refined by Levenberg-Marquardt with Tukey's biweight, for
 * veins, spurs and nodes are no part of the model. A plate without a partner (the last before the
 * scan's end) is fitted alone. */
#include <string.h>

#include "measure_internal.h"

enum { GEOMETRY = ME_SURFACE_TERMS, HU_TERMS = 5, MAX_SAMPLES = 6000, COARSE = 400, STEPS = 512,
       PSF = 2 * GEOMETRY, UNKNOWNS = 2 * GEOMETRY + 1 + HU_TERMS };
static const double COMPACT_MM = 0.8;  /* endplates are 0.5 to 1.1 mm thick */
static const double OUTER = 0.84, INNER_WEIGHT = 0.4;
static const double HU_LOW = -150, HU_HIGH = 1200;

typedef struct sample { double t[GEOMETRY], z, hu, weight; } sample;

typedef struct model {
    double plate[2][GEOMETRY], psf, hu[HU_TERMS]; /* disc, core 0, core 1, ridge 0, ridge 1 */
} model;

struct me_gap_room {
    sample samples[MAX_SAMPLES];
    double misses[MAX_SAMPLES];
    double step[STEPS + 1];          /* B from -4 to 4 sd */
};

typedef struct problem {
    const me_gap *g;
    sample *samples;
    int count;
    const double *step;
    double psf_prior, noise;
    model m;
    double normal[UNKNOWNS * UNKNOWNS], slope[UNKNOWNS];
} problem;

/* ---- the model ---------------------------------------------------------------------------- */

static double blurred(const problem *q, double x)
{
    double at = (x + 4) * (STEPS / 8.0);
    if (at <= 0) return 0;
    if (at >= STEPS) return 1;
    int i = (int)at;
    return q->step[i] + (at - i) * (q->step[i + 1] - q->step[i]);
}

static double bell(double x) { return fabs(x) > 6 ? 0 : 0.39894228 * exp(-0.5 * x * x); }

static double height(const double *p, const double *t)
{
    double z = 0;
    for (int i = 0; i < GEOMETRY; i++) z += p[i] * t[i];
    return z;
}

/* From plate k into the disc, mm. */
static double into_disc(const model *m, int k, const sample *s)
{
    double z = height(m->plate[k], s->t);
    return k == 0 ? z - s->z : s->z - z;
}

/* What each of the five HU counts at a sample. */
static void shares(const problem *q, const model *m, const sample *s, double share[HU_TERMS])
{
    share[0] = 1;
    for (int k = 0; k < 2; k++) {
        share[1 + k] = share[3 + k] = 0;
        if (!q->g->there[k]) continue;
        double d = into_disc(m, k, s);
        share[1 + k] = blurred(q, -d / m->psf);
        share[3 + k] = blurred(q, (d + COMPACT_MM) / m->psf) - blurred(q, d / m->psf);
        share[0] -= share[1 + k];
    }
}

/* How far the bone's edge stands out of the disc, HU. */
static double contrast(const model *m, int k)
{
    double core = m->hu[1 + k] - m->hu[0], ridge = m->hu[3 + k] * COMPACT_MM / (2.5 * m->psf);
    return fmax(core, 0.5 * core + ridge);
}

/* Best HU for the geometry in m; the mean square that remains. */
static double explain(const problem *q, model *m, int stride)
{
    double a[HU_TERMS * HU_TERMS] = {0}, b[HU_TERMS] = {0}, share[HU_TERMS], sum = 0, all = 0;
    for (int n = 0; n < q->count; n += stride) {
        const sample *s = &q->samples[n];
        shares(q, m, s, share);
        for (int i = 0; i < HU_TERMS; i++) {
            b[i] += s->weight * share[i] * s->hu;
            for (int j = 0; j <= i; j++) a[i * HU_TERMS + j] += s->weight * share[i] * share[j];
        }
        sum += s->weight * s->hu * s->hu, all += s->weight;
    }
    for (int i = 0; i < HU_TERMS; i++) a[i * HU_TERMS + i] += 1e-3 * all / q->count + 1e-9;
    if (!fab_me_factor(HU_TERMS, a)) return INFINITY;
    fab_me_solve(HU_TERMS, a, b, m->hu);
    for (int i = 0; i < HU_TERMS; i++) sum -= b[i] * m->hu[i];
    return sum / all;
}

/* ---- samples ------------------------------------------------------------------------------ */

static uint32_t scatter(uint32_t i, uint32_t j, uint32_t k)
{
    uint32_t h = i * 0x9E3779B1u ^ j * 0x85EBCA77u ^ k * 0xC2B2AE3Du;
    h ^= h >> 15, h *= 0x2C1B3C6Du, h ^= h >> 12, h *= 0x297A2D39u;
    return h ^ h >> 15;
}

/* Is a voxel at p (in g's frame) part of the problem? Fills its terms. */
static bool sample_at(const me_gap *g, me_vec p, sample *s)
{
    double u = p.x / g->half_width, v = p.y / g->half_depth, r = sqrt(u * u + v * v);
    if (r > OUTER) return false;
    fab_me_surface_terms(u, v, s->t);
    s->z = p.z;
    s->weight = r < 0.5 ? INNER_WEIGHT : 1;
    double high = height(g->plate[0].p, s->t), low = height(g->plate[1].p, s->t);
    if (!g->there[0]) high = low + g->beyond_mm;
    if (!g->there[1]) low = high - g->beyond_mm;
    return p.z < high + (g->there[0] ? g->reach_mm[0] : 0) &&
           p.z > low - (g->there[1] ? g->reach_mm[1] : 0);
}

static void box_of(const me_gap *g, const fab_grid *grid, const fab_mat34 *voxel_from_world,
                   int32_t low[3], int32_t high[3])
{
    double least[3] = {1e9, 1e9, 1e9}, most[3] = {-1e9, -1e9, -1e9}, far = 20 + g->beyond_mm;
    for (int c = 0; c < 8; c++) {
        double w[3], at[3];
        me_to(me_world(&g->f, c & 1 ? g->half_width : -g->half_width,
                       c & 2 ? g->half_depth : -g->half_depth, c & 4 ? far : -far), w);
        fab_mat34_apply(voxel_from_world, w, at);
        for (int a = 0; a < 3; a++)
            least[a] = fmin(least[a], at[a]), most[a] = fmax(most[a], at[a]);
    }
    for (int a = 0; a < 3; a++) {
        low[a] = (int32_t)fmax(0, floor(least[a]));
        high[a] = (int32_t)fmin(grid->size[a] - 1, ceil(most[a]));
    }
}

/* Voxels of the window, thinned at random (the same way every time) to what fits. */
static void gather(problem *q, const fab_volume *image, const fab_mat34 *voxel_from_world)
{
    const fab_grid *grid = fab_volume_grid(image);
    const me_gap *g = q->g;
    int32_t low[3], high[3];
    box_of(g, grid, voxel_from_world, low, high);
    double tall = 4 + fabs(g->plate[0].p[0] - g->plate[1].p[0]) + g->reach_mm[0] + g->reach_mm[1];
    double expected = 2.3 * g->half_width * g->half_depth * tall /
                      fab_grid_voxel_volume_mm3(grid);
    double keep = 0.8 * MAX_SAMPLES / expected;
    uint32_t below = keep >= 1 ? UINT32_MAX : (uint32_t)(keep * UINT32_MAX);
    for (int32_t k = low[2]; k <= high[2]; k++)
        for (int32_t j = low[1]; j <= high[1]; j++)
            for (int32_t i = low[0]; i <= high[0] && q->count < MAX_SAMPLES; i++) {
                if (scatter((uint32_t)i, (uint32_t)j, (uint32_t)k) > below) continue;
                double at[3] = {i, j, k}, w[3];
                fab_mat34_apply(&grid->world_from_voxel, at, w);
                sample *s = &q->samples[q->count];
                if (!sample_at(g, me_local(&g->f, me_from(w)), s)) continue;
                s->hu = fmin(HU_HIGH, fmax(HU_LOW, fab_volume_get(image, i, j, k)));
                q->count++;
            }
}

/* ---- coarse search ------------------------------------------------------------------------ */

typedef struct range { int term; double most, step; } range;

/* Moves plate k over a grid of two of its linear terms; keeps the best. */
static void search(problem *q, int k, range a, range b)
{
    int stride = q->count / COARSE + 1;
    model best = q->m, at = q->m;
    double least = explain(q, &best, stride);
    if (contrast(&best, k) < 0) least = INFINITY;
    for (double x = -a.most; x <= a.most + 1e-9; x += a.step)
        for (double y = -b.most; y <= b.most + 1e-9; y += b.step) {
            memcpy(at.plate, q->m.plate, sizeof at.plate);
            at.plate[k][a.term] += x, at.plate[k][b.term] += y;
            double off = explain(q, &at, stride);
            if (off >= least || contrast(&at, k) < 0) continue;
            if (q->g->there[!k] && at.plate[0][0] - at.plate[1][0] < 1) continue;
            least = off, best = at;
        }
    q->m = best;
}

static void coarse(problem *q)
{
    const double side = q->g->half_width / ME_DEG, deep = q->g->half_depth / ME_DEG;
    const double far = q->g->search_mm, turn = q->g->search_deg;
    for (int round = far > 3 ? 0 : 1; round < 3; round++) {
        double share = round == 0 ? 1 : round == 1 ? 0.4 : 0.15;
        for (int k = 0; k < 2; k++) {
            if (!q->g->there[k]) continue;
            range offset = {0, share * far, share * far / 3};
            range sagittal = {2, share * turn * deep, share * turn * deep / 3};
            range coronal = {1, share * turn * side, share * turn * side / 3};
            search(q, k, offset, sagittal);
            search(q, k, offset, coronal);
            search(q, k, coronal, sagittal);
        }
    }
}

/* ---- refinement --------------------------------------------------------------------------- */

static void pack(const model *m, double x[UNKNOWNS])
{
    memcpy(x, m->plate, sizeof m->plate);
    x[PSF] = log(m->psf);
    memcpy(x + PSF + 1, m->hu, sizeof m->hu);
}

static void unpack(const double x[UNKNOWNS], model *m)
{
    memcpy(m->plate, x, sizeof m->plate);
    m->psf = exp(x[PSF]);
    memcpy(m->hu, x + PSF + 1, sizeof m->hu);
}

static double residual(const problem *q, const model *m, const sample *s, double share[HU_TERMS])
{
    double is = 0;
    shares(q, m, s, share);
    for (int i = 0; i < HU_TERMS; i++) is += m->hu[i] * share[i];
    return s->hu - is;
}

/* What the residual changes by with each unknown. */
static void derivatives(const problem *q, const model *m, const sample *s,
                        const double share[HU_TERMS], double by[UNKNOWNS])
{
    memset(by, 0, UNKNOWNS * sizeof *by);
    memcpy(by + PSF + 1, share, HU_TERMS * sizeof *share);
    for (int k = 0; k < 2; k++) {
        if (!q->g->there[k]) continue;
        double d = into_disc(m, k, s), x = d / m->psf, y = (d + COMPACT_MM) / m->psf;
        double core = m->hu[1 + k] - m->hu[0], ridge = m->hu[3 + k];
        double near = bell(x), far = bell(y);
        double by_d = (-core * near + ridge * (far - near)) / m->psf;
        by[PSF] += core * near * x + ridge * (near * x - far * y); /* by log psf */
        for (int i = 0; i < GEOMETRY; i++)
            by[k * GEOMETRY + i] = (k == 0 ? by_d : -by_d) * s->t[i];
    }
}

/* Most samples are far from one plate at least: its terms are 0 and add nothing. */
static void add_equations(problem *q, const double by[UNKNOWNS], double w, double r)
{
    for (int i = 0; i < UNKNOWNS; i++) {
        const double weighted = w * by[i];
        if (weighted == 0) continue;
        q->slope[i] += weighted * r;
        for (int j = 0; j <= i; j++) q->normal[i * UNKNOWNS + j] += weighted * by[j];
    }
}

/* Bends, blur and HU are not far from what is usual: sd of each unknown, 0: anything. */
static double prior_sd(int i)
{
    if (i < PSF) return i % GEOMETRY < 3 ? 0 : 1.2;
    return i == PSF ? 0.25 : 0;
}

/* Normal equations about m (only if `complete`); the sum of the losses. */
static double gather_equations(problem *q, const model *m, bool complete)
{
    double by[UNKNOWNS], share[HU_TERMS], x[UNKNOWNS], loss = 0;
    const double wide = 4.685 * q->noise, square = wide * wide / 6;
    memset(q->normal, 0, sizeof q->normal);
    memset(q->slope, 0, sizeof q->slope);
    for (int n = 0; n < q->count; n++) {
        const sample *s = &q->samples[n];
        double r = residual(q, m, s, share), e = r / wide, left = fmax(0, 1 - e * e);
        loss += s->weight * square * (1 - left * left * left);
        double w = s->weight * left * left;
        if (!complete || !(w > 0)) continue;
        derivatives(q, m, s, share, by);
        add_equations(q, by, w, r);
    }
    pack(m, x);
    for (int i = 0; i < UNKNOWNS; i++) {
        double sd = prior_sd(i), middle = i == PSF ? log(q->psf_prior) : 0;
        double w = sd > 0 ? q->noise * q->noise / (sd * sd) * 4 : 0;
        loss += 0.5 * w * (x[i] - middle) * (x[i] - middle);
        q->slope[i] -= w * (x[i] - middle);
        q->normal[i * UNKNOWNS + i] += w + 1e-6;
    }
    return loss;
}

static void set_noise(problem *q, double *room)
{
    double share[HU_TERMS];
    for (int n = 0; n < q->count; n++)
        room[n] = fabs(residual(q, &q->m, &q->samples[n], share));
    q->noise = fmax(8, 1.4826 * fab_me_median(room, q->count));
}

static void refine(problem *q, double *room)
{
    double damping = 1e-3;
    for (int round = 0; round < 24; round++) {
        double a[UNKNOWNS * UNKNOWNS], x[UNKNOWNS], step[UNKNOWNS];
        if (round % 6 == 0) set_noise(q, room);
        double before = gather_equations(q, &q->m, true);
        memcpy(a, q->normal, sizeof a);
        for (int i = 0; i < UNKNOWNS; i++) a[i * UNKNOWNS + i] *= 1 + damping;
        if (!fab_me_factor(UNKNOWNS, a)) break;
        fab_me_solve(UNKNOWNS, a, q->slope, step);
        model next;
        pack(&q->m, x);
        for (int i = 0; i < UNKNOWNS; i++) x[i] += step[i];
        x[PSF] = fmin(log(2.5 * q->psf_prior), fmax(log(0.4 * q->psf_prior), x[PSF]));
        unpack(x, &next);
        if (gather_equations(q, &next, false) < before) {
            q->m = next, damping = fmax(1e-6, damping / 5);
        } else {
            damping *= 8;
            if (damping > 1e6) break;
        }
    }
}

/* ---- verdict ------------------------------------------------------------------------------ */

/* Noise is shared by neighbouring voxels, and plates are rough by some tenths of a millimetre over
 * patches of 6 mm, which the surface does not follow. */
static void uncertainty(problem *q, me_gap *g)
{
    double n = fmax(4, 2 * g->half_width * g->half_depth / 36), rough = 0.35 / sqrt(n);
    (void)gather_equations(q, &q->m, true);
    if (!fab_me_factor(UNKNOWNS, q->normal)) return;
    for (int k = 0; k < 2; k++) {
        double sd[3];
        for (int i = 0; i < 3; i++) {
            double unit[UNKNOWNS] = {0}, column[UNKNOWNS];
            unit[k * GEOMETRY + i] = 1;
            fab_me_solve(UNKNOWNS, q->normal, unit, column);
            sd[i] = 2 * q->noise * sqrt(column[k * GEOMETRY + i]);
        }
        double side = hypot(sd[1], rough / 0.4) / g->half_width;
        double deep = hypot(sd[2], rough / 0.4) / g->half_depth;
        g->tilt_sigma_deg[k] = ME_DEG * fmax(side, deep);
        g->offset_sigma_mm[k] = hypot(sd[0], 0.35); /* rough where it is read off; thickness */
    }
}

static void judge(problem *q, me_gap *g)
{
    for (int k = 0; k < 2; k++) {
        if (!g->there[k]) continue;
        const double *was = g->plate[k].p, *is = q->m.plate[k];
        double moved = fabs(is[0] - was[0]);
        double turned = hypot((is[1] - was[1]) / g->half_width, (is[2] - was[2]) / g->half_depth);
        double edge = contrast(&q->m, k);
        g->contrast_hu[k] = edge, g->noise_hu = q->noise;
        g->found[k] = edge > 30 && edge > 0.8 * q->noise && moved < g->search_mm + 1.5 &&
                      ME_DEG * atan(turned) < g->search_deg + 8 && g->tilt_sigma_deg[k] < 4;
    }
    bool both = g->there[0] && g->there[1];
    double gap = q->m.plate[0][0] - q->m.plate[1][0];
    if (both && !(gap > 0.8 && gap < 26)) g->found[0] = g->found[1] = false;
    for (int k = 0; k < 2; k++)
        if (g->found[k]) memcpy(g->plate[k].p, q->m.plate[k], sizeof g->plate[k].p);
}

fab_status fab_me_gap_room(me_gap_room **out, fab_error *err)
{
    me_gap_room *room = fab_calloc(1, sizeof *room);
    if (!room) FAB_FAIL(err, FAB_ERR_NOMEM, "measure: no memory for endplates");
    for (int i = 0; i <= STEPS; i++) room->step[i] = 0.5 * erfc(-(i * 8.0 / STEPS - 4) / sqrt(2));
    *out = room;
    return FAB_OK;
}

/* Sd of the blur along the axis that is to be expected: the voxel's own and the scanner's. */
static double usual_blur(const fab_grid *grid, me_vec axis)
{
    double spacing[3], along = 0;
    fab_grid_spacing(grid, spacing);
    for (int a = 0; a < 3; a++) {
        me_vec d = me_unit(me_v(grid->world_from_voxel.m[0][a], grid->world_from_voxel.m[1][a],
                                grid->world_from_voxel.m[2][a]));
        along += me_dot(d, axis) * me_dot(d, axis) * spacing[a] * spacing[a];
    }
    return sqrt(0.5 * 0.5 + 0.12 * along);
}

void fab_me_gap_fit(const fab_volume *image, const fab_mat34 *voxel_from_world, me_gap_room *room,
                    me_gap *g)
{
    problem q = {.g = g, .samples = room->samples, .step = room->step};
    g->found[0] = g->found[1] = false;
    gather(&q, image, voxel_from_world);
    if (q.count < 150) return;
    q.psf_prior = usual_blur(fab_volume_grid(image), g->f.z);
    q.m.psf = 1.4 * q.psf_prior;
    for (int k = 0; k < 2; k++) memcpy(q.m.plate[k], g->plate[k].p, sizeof q.m.plate[k]);
    coarse(&q);
    q.m.psf = q.psf_prior;
    (void)explain(&q, &q.m, 1);
    refine(&q, room->misses);
    uncertainty(&q, g);
    judge(&q, g);
}
