/* gap.c - two endplates and the disc between them, found in the image.
 *
 * A label map made on 3 mm voxels puts an endplate millimetres off and tilts it by ten degrees; the
 * CT it was made of shows it as the sharpest edge there is: a thin plate of compact bone, spongy
 * bone on one side, disc on the other. So the HU between the middles of two bodies are explained by
 *
 *    core above   ###########    I(z) = disc + sum over both plates k of
 *    plate 0      ===========           (core_k - disc) B(-d_k) + ridge_k [B(d_k + w) - B(d_k)]
 *    disc                        d_k: mm from plate k into the disc
 *    plate 1      ===========    B: a step, as the image blurs it: over a slice, and sd psf_mm
 *    core below   ###########    w: thickness of the compact bone
 *
 * with the plates second-order surfaces as in surface.c. Both plates are fitted at once: a disc is
 * often no thicker than the blur, and the second plate would otherwise pass for the first. The five
 * HU are linear and solved outright, so a coarse search over offset and tilt about what the labels
 * say is cheap; then all parameters are refined by Levenberg-Marquardt with Tukey's biweight, for
 * veins, spurs and nodes are no part of the model. A plate without a partner (the last before the
 * scan's end) is fitted alone. */
#include <string.h>

#include "gap_internal.h"

enum { GEOMETRY = ME_SURFACE_TERMS, HU_TERMS = ME_HU_TERMS, COARSE = 400,
       HOLLOW = GEOMETRY - 1, PSF = 2 * GEOMETRY, UNKNOWNS = 2 * GEOMETRY + 1 + HU_TERMS };
static const double OUTER = 0.88, INNER_WEIGHT = 0.4;
static const double USUAL_HOLLOW = 0.5, BEND_SD = 0.6, DEEP_HOLLOW = 1; /* mm */
static const double BLUR_SHARE = 0.12;  /* of a square spacing; a box's own is 1/12 */
static const double WIDE = 6; /* times the noise: what is farther off is no part of the model */
static const double HU_LOW = -150, HU_HIGH = 1200;

typedef me_gap_sample sample;
typedef me_gap_model model;

typedef struct problem {
    const me_gap *g;
    sample *samples;
    int count;
    me_blur blur;
    double psf_prior, noise;
    model m;
    double normal[UNKNOWNS * UNKNOWNS], slope[UNKNOWNS];
} problem;

/* ---- the model ---------------------------------------------------------------------------- */

static void make_curves(me_curves *c)
{
    for (int i = 0; i <= ME_CURVE_STEPS; i++) {
        double x = i * 8.0 / ME_CURVE_STEPS - 4;
        c->step[i] = 0.5 * erfc(-x / sqrt(2));
        c->bell[i] = 0.39894228 * exp(-0.5 * x * x);
        c->corner[i] = x * c->step[i] + c->bell[i] - fmax(0, x); /* the step's integral */
    }
}

/* From plate k into the disc, mm. */
static double into_disc(const model *m, int k, const sample *s)
{
    double z = me_terms_height(m->plate[k], s->t);
    return k == 0 ? z - s->z : s->z - z;
}

/* What each of the five HU counts at a sample. */
static void shares(const problem *q, const model *m, const sample *s, double share[HU_TERMS])
{
    double d[2] = {into_disc(m, 0, s), into_disc(m, 1, s)};
    me_gap_shares(&q->blur, m, q->g->there, d, share);
}

/* How far the bone's edge stands out of the disc, HU. */
static double contrast(const problem *q, const model *m, int k)
{
    double wide = sqrt(m->psf * m->psf + q->blur.box * q->blur.box / 12);
    double core = m->hu[1 + k] - m->hu[0], ridge = m->hu[3 + k] * m->thick[k] / (2.5 * wide);
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

/* Is a voxel at p (in g's frame) part of the problem? Fills its terms. */
static bool sample_at(const me_gap *g, me_vec p, sample *s)
{
    double u = p.x / g->half_width, v = p.y / g->half_depth, r = sqrt(u * u + v * v);
    if (r > OUTER) return false;
    fab_me_surface_terms(u, v, s->t);
    s->x = p.x, s->y = p.y, s->z = p.z;
    s->weight = r < 0.5 ? INNER_WEIGHT : 1;
    double high = me_terms_height(g->plate[0].p, s->t), low = me_terms_height(g->plate[1].p, s->t);
    if (!g->there[0]) high = low + g->beyond_mm;
    if (!g->there[1]) low = high - g->beyond_mm;
    return p.z < high + (g->there[0] ? g->reach_mm[0] : 0) &&
           p.z > low - (g->there[1] ? g->reach_mm[1] : 0);
}

double fab_me_gap_hu(const fab_volume *image, int32_t i, int32_t j, int32_t k)
{
    return fmin(HU_HIGH, fmax(HU_LOW, fab_volume_get(image, i, j, k)));
}

void fab_me_gap_box(const me_gap *g, const fab_grid *grid, const fab_mat34 *voxel_from_world,
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
    fab_me_gap_box(g, grid, voxel_from_world, low, high);
    double tall = 4 + fabs(g->plate[0].p[0] - g->plate[1].p[0]) + g->reach_mm[0] + g->reach_mm[1];
    double expected = 2.3 * g->half_width * g->half_depth * tall /
                      fab_grid_voxel_volume_mm3(grid);
    double keep = 0.8 * ME_GAP_SAMPLES / expected;
    uint32_t below = keep >= 1 ? UINT32_MAX : (uint32_t)(keep * UINT32_MAX);
    for (int32_t k = low[2]; k <= high[2]; k++)
        for (int32_t j = low[1]; j <= high[1]; j++)
            for (int32_t i = low[0]; i <= high[0] && q->count < ME_GAP_SAMPLES; i++) {
                if (me_scatter((uint32_t)i, (uint32_t)j, (uint32_t)k) > below) continue;
                double at[3] = {i, j, k}, w[3];
                fab_mat34_apply(&grid->world_from_voxel, at, w);
                sample *s = &q->samples[q->count];
                if (!sample_at(g, me_local(&g->f, me_from(w)), s)) continue;
                s->hu = fab_me_gap_hu(image, i, j, k);
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
    if (contrast(q, &best, k) < 0) least = INFINITY;
    for (double x = -a.most; x <= a.most + 1e-9; x += a.step)
        for (double y = -b.most; y <= b.most + 1e-9; y += b.step) {
            memcpy(at.plate, q->m.plate, sizeof at.plate);
            at.plate[k][a.term] += x, at.plate[k][b.term] += y;
            double off = explain(q, &at, stride);
            if (off >= least || contrast(q, &at, k) < 0) continue;
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
        double d = into_disc(m, k, s), by_d = me_gap_slope(&q->blur, m, k, d);
        double core = m->hu[1 + k] - m->hu[0], ridge = m->hu[3 + k];
        double near = me_blur_by_psf(&q->blur, m->psf, d);
        double beneath = me_blur_by_psf(&q->blur, m->psf, d + m->thick[k]);
        by[PSF] += -core * near + ridge * (beneath - near);
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

/* What is usual: mean and sd of each unknown, sd 0: anything. Slices that lie along an endplate
 * tell little of its hollow, and less of where it lies between two of them: then the blur and the
 * HU that the patient's other discs and plates have decide. */
static double prior(const problem *q, int i, double value, double *mean)
{
    const me_usual *usual = &q->g->usual;
    *mean = 0;
    if (i < PSF) {
        if (i % GEOMETRY == HOLLOW) *mean = i < GEOMETRY ? -USUAL_HOLLOW : USUAL_HOLLOW;
        return i % GEOMETRY < 3 ? 0 : BEND_SD;
    }
    if (i == PSF) {
        *mean = log(q->psf_prior);
        return usual->known ? 0.05 : 0.4;
    }
    if (i >= PSF + 4 && value < 0) return 20; /* no plate is less dense than what lies beneath it */
    *mean = i == PSF + 1 ? usual->disc_hu : usual->ridge_hu;
    if (!usual->known || i == PSF + 2 || i == PSF + 3) return 0;
    return i == PSF + 1 ? 25 : q->g->sacral ? 0 : 0.2 * usual->ridge_hu;
}

/* Normal equations about m (only if `complete`); the sum of the losses. */
static double gather_equations(problem *q, const model *m, bool complete)
{
    double by[UNKNOWNS], share[HU_TERMS], x[UNKNOWNS], loss = 0;
    const double wide = WIDE * q->noise, square = wide * wide / 6;
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
        double middle, sd = prior(q, i, x[i], &middle);
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
        model next = q->m;
        pack(&q->m, x);
        for (int i = 0; i < UNKNOWNS; i++) x[i] += step[i];
        x[PSF] = fmin(log(2.5 * q->psf_prior), fmax(log(0.25 * q->psf_prior), x[PSF]));
        unpack(x, &next);
        if (gather_equations(q, &next, false) < before) {
            q->m = next, damping = fmax(1e-6, damping / 5);
        } else {
            damping *= 8;
            if (damping > 1e6) break;
        }
    }
}

/* Slices that lie along the plates have two answers: flat on the border of a slice, or hollow and
 * farther in. The better one. Plates that cut through slices have but one. */
static void refine_hollow(problem *q, double slant, double *room)
{
    if (q->blur.box < 1.2 || 2 * q->g->half_depth * slant > 2 * q->blur.box) return;
    const model flat = q->m;
    const double noise = q->noise;
    for (int k = 0; k < 2; k++) {
        double *p = q->m.plate[k], bow = k ? DEEP_HOLLOW : -DEEP_HOLLOW;
        p[0] += 0.8 * (p[HOLLOW] - bow) + 0.32 * (p[3] + p[5]); /* as high as before at r 0.8 */
        p[3] = p[4] = p[5] = 0, p[HOLLOW] = bow;
    }
    q->m.psf = q->psf_prior;
    (void)explain(q, &q->m, 1);
    refine(q, room);
    q->noise = fmax(noise, q->noise);
    if (gather_equations(q, &q->m, false) > gather_equations(q, &flat, false))
        q->m = flat, q->noise = noise;
}

/* The image tells how much compact bone there is, not how thick or how dense: within the blur both
 * make the ridge higher. Density is much the same throughout a patient, so a plate with more of it
 * than usual is thicker, and its border is farther out by half of that (ADR 0117). */
static void settle_thickness(problem *q)
{
    const me_usual *usual = &q->g->usual;
    for (int k = 0; k < 2 && usual->known && usual->ridge_hu > 0; k++) {
        if (k == 1 && q->g->sacral) continue; /* another bone */
        double more = fmax(0.7, fmin(1.4, q->m.hu[3 + k] / usual->ridge_hu));
        double out = 0.5 * ME_PLATE_MM * (more - 1);
        q->m.thick[k] = ME_PLATE_MM * more, q->m.hu[3 + k] /= more;
        q->m.plate[k][0] += k == 0 ? -out : out;
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
        double edge = contrast(q, &q->m, k);
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
    make_curves(&room->curve);
    *out = room;
    return FAB_OK;
}

/* What a voxel covers along the axis, mm: its slice; the sine between the two; and the sd to be
 * expected of all other blur, the scanner's and what a slice's profile exceeds a box by. */
static double usual_blur(const fab_grid *grid, me_vec axis, double *box, double *slant)
{
    double spacing[3], square = 0;
    fab_grid_spacing(grid, spacing);
    *box = 0;
    for (int a = 0; a < 3; a++) {
        me_vec d = me_unit(me_v(grid->world_from_voxel.m[0][a], grid->world_from_voxel.m[1][a],
                                grid->world_from_voxel.m[2][a]));
        double along = fabs(me_dot(d, axis)) * spacing[a];
        square += BLUR_SHARE * along * along;
        if (along <= *box) continue;
        *box = along;
        *slant = sqrt(fmax(0, 1 - me_dot(d, axis) * me_dot(d, axis)));
    }
    return sqrt(0.5 * 0.5 + square - *box * *box / 12);
}

void fab_me_gap_fit(const fab_volume *image, const fab_mat34 *voxel_from_world, me_gap_room *room,
                    me_gap *g)
{
    problem q = {.g = g, .samples = room->samples, .blur = {.curve = &room->curve}};
    g->found[0] = g->found[1] = false;
    gather(&q, image, voxel_from_world);
    if (q.count < 150) return;
    double slant = 0;
    const double usual = usual_blur(fab_volume_grid(image), g->f.z, &q.blur.box, &slant);
    q.psf_prior = usual * (g->usual.known ? g->usual.blur : 1);
    q.m.thick[0] = q.m.thick[1] = ME_PLATE_MM;
    q.m.psf = 1.4 * hypot(q.psf_prior, 0.3 * q.blur.box);
    for (int k = 0; k < 2; k++) memcpy(q.m.plate[k], g->plate[k].p, sizeof q.m.plate[k]);
    coarse(&q);
    q.m.psf = q.psf_prior;
    (void)explain(&q, &q.m, 1);
    refine(&q, room->misses);
    refine_hollow(&q, slant, room->misses);
    g->seen = (me_usual){true, q.m.psf / usual, q.m.hu[0], 0.5 * (q.m.hu[3] + q.m.hu[4])};
    uncertainty(&q, g);
    settle_thickness(&q);
    judge(&q, g);
    if (g->relieve) fab_me_relief_fit(image, voxel_from_world, room, &q.blur, &q.m, q.noise, g);
}
