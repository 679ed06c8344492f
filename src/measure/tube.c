/* tube.c - the border of the spinal canal by the image.
 *
 * Rays leave the canal's axis every 2 mm of its length. Along each the HU are explained as what
 * lies in the canal, a thin compact wall and what lies beyond, all blurred. The canal is the
 * smoothest tube through the edges found: where nothing bounds it (foramina, gaps between
 * laminae) it goes on from the pedicles above and below and from what bounds it at the sides of
 * the gap. Bone never lies inside the canal, yet fat lies beyond it (foramina, recesses): an edge
 * farther out than the tube counts less than one farther in.
 *
 * A section's border is (r0 / r)^2 as a series of harmonics: an ellipse needs no more than the
 * second, the three-cornered lumbar canal the third. */
#include "measure_internal.h"

enum { SAMPLES = 45, WINDOW = 10, PHASES = 2, PLACES = PHASES * (SAMPLES - WINDOW) };
enum { SWEEPS = 6, LABEL_ROUNDS = 3, ROUNDS = 10, EDGES = 3, TERMS = 9 };
static const double STEP = 0.5, FIRST = 0.5, INSIDE = 2, COMPACT_MM = 1.1; /* mm */
static const double SLICE_MM = 2, BEYOND_MM = 12, AXIS_MM = 8;
static const double LEAST_RISE = 90, CLEAR_RISE = 200; /* HU */
static const double R0 = 8.5; /* mm: unit of the shape, and the first guess */
/* Stiffness against the mean of clear edges all around: from slice to slice, and of harmonics. */
static const double UNIT = 18, ALONG = 24, STIFF[5] = {1e-6, 1e-6, 0.01, 4, 14};
/* Weight of an edge outside the tube against one inside; in the end within about one psf. */
static const double OUT_SHARE = 0.22;

typedef struct edge { double at, clear; } edge; /* clear: 0 none, 1 bone */

typedef struct slice {
    me_frame f;                  /* z along the canal, to the head */
    double c[TERMS], r[ME_RAYS];
    double label[ME_RAYS];       /* where the label ends; NaN */
    double weight[ME_RAYS], target[ME_RAYS];
    edge edges[ME_RAYS][EDGES];
} slice;

struct me_tube {
    int slices;
    double length, psf, term[ME_RAYS][TERMS];
    slice *slice;
};

/* ---- edges -------------------------------------------------------------------------------- */

/* Rise at the border and the wall behind it, without their means; products of the two. */
typedef struct basis { double rise[WINDOW], wall[WINDOW], rr, rw, ww; } basis;

static double step(double x) { return 0.5 * erfc(x / sqrt(2)); }

static void make_basis(double border, double psf, basis *b)
{
    double rise = 0, wall = 0;
    for (int i = 0; i < WINDOW; i++) {
        double d = i * STEP - border;
        b->rise[i] = 1 - step(d / psf);
        b->wall[i] = step((d - COMPACT_MM) / psf) - step(d / psf);
        rise += b->rise[i] / WINDOW, wall += b->wall[i] / WINDOW;
    }
    b->rr = b->rw = b->ww = 0;
    for (int i = 0; i < WINDOW; i++) {
        b->rise[i] -= rise, b->wall[i] -= wall;
        b->rr += b->rise[i] * b->rise[i];
        b->rw += b->rise[i] * b->wall[i];
        b->ww += b->wall[i] * b->wall[i];
    }
}

/* Square sum that a border explains; *rise: how much denser it is beyond. */
static double explained(const double *hu, const basis *b, double *rise)
{
    double p = 0, q = 0;
    for (int i = 0; i < WINDOW; i++) p += b->rise[i] * hu[i], q += b->wall[i] * hu[i];
    double det = b->rr * b->ww - b->rw * b->rw;
    double x = (p * b->ww - q * b->rw) / det, y = (q * b->rr - p * b->rw) / det;
    if (y < 0) x = p / b->rr, y = 0;
    *rise = x + 0.4 * y; /* a wall thinner than the blur shows in part */
    return x < 0 ? 0 : x * p + y * q;
}

/* The first edges from inside; count: of samples. */
static void edges_on(const double *hu, int count, const basis *b, edge out[EDGES])
{
    double gain[PLACES], rise[PLACES];
    int found = 0, places = PHASES * (count - WINDOW);
    for (int i = 0; i < places; i++)
        gain[i] = explained(hu + i / PHASES, &b[i % PHASES], &rise[i]);
    for (int i = 0; i < places && found < EDGES; i++) {
        bool most = rise[i] >= LEAST_RISE;
        for (int j = i - 4; j <= i + 4 && most; j++)
            if (j >= 0 && j < places && gain[j] > gain[i]) most = false;
        if (!most) continue;
        double clear = fmin(1, rise[i] / CLEAR_RISE);
        out[found++] = (edge){FIRST + INSIDE + i * STEP / PHASES, clear * clear * clear};
    }
}

me_vec fab_me_ray(const me_frame *f, int k)
{
    double a = 2 * 3.14159265358979323846 * k / ME_RAYS;
    return me_add(me_mul(f->x, sin(a)), me_mul(f->y, -cos(a)));
}

static void find_edges(const fab_volume *image, const fab_mat34 *voxel_from_world, me_tube *t)
{
    double spacing[3], hu[SAMPLES];
    basis b[PHASES];
    fab_grid_spacing(fab_volume_grid(image), spacing);
    t->psf = sqrt(0.2 + 0.25 * spacing[0] * spacing[1]); /* of trilinear samples */
    for (int i = 0; i < PHASES; i++) make_basis(INSIDE + i * STEP / PHASES, t->psf, &b[i]);
    for (int s = 0; s < t->slices; s++)
        for (int k = 0; k < ME_RAYS; k++) {
            const me_frame *f = &t->slice[s].f;
            me_vec d = fab_me_ray(f, k);
            int n = 0;
            for (; n < SAMPLES; n++) {
                double v = fab_me_sample(image, voxel_from_world,
                                         me_add(f->o, me_mul(d, FIRST + n * STEP)));
                if (isnan(v)) break;
                hu[n] = fmin(700, fmax(-150, v));
            }
            edges_on(hu, n, b, t->slice[s].edges[k]);
        }
}

/* ---- the smoothest tube ------------------------------------------------------------------- */

static void make_terms(me_tube *t)
{
    for (int k = 0; k < ME_RAYS; k++)
        for (int i = 0; i < TERMS; i++) {
            double a = 2 * 3.14159265358979323846 * k / ME_RAYS * ((i + 1) / 2);
            t->term[k][i] = i % 2 ? sin(a) : cos(a);
        }
}

/* Weighted least squares of a slice between its neighbours, as stiff in small canals as in large
 * ones. */
static void relax_slice(const me_tube *t, int s)
{
    slice *l = &t->slice[s];
    double a[TERMS * TERMS] = {0}, b[TERMS] = {0}, all = 0;
    for (int k = 0; k < ME_RAYS; k++) all += pow(l->r[k], 6);
    double wide = fmax(1, all / ME_RAYS / pow(R0, 6)); /* more border to go by */
    for (int k = 0; k < ME_RAYS; k++) { /* 1 / r^2 makes an error in mm one of 2 / r^3 */
        double w = UNIT * wide * l->weight[k] * pow(l->r[k], 6) / all;
        if (!(w > 0)) continue;
        double value = R0 * R0 / (l->target[k] * l->target[k]);
        for (int i = 0; i < TERMS; i++) {
            double wi = w * t->term[k][i];
            b[i] += wi * value;
            for (int j = 0; j <= i; j++) a[i * TERMS + j] += wi * t->term[k][j];
        }
    }
    for (int i = 0; i < TERMS; i++) {
        double tie = (i ? 0.5 : 1) * ALONG;
        a[i * TERMS + i] += STIFF[(i + 1) / 2];
        for (int n = s - 1; n <= s + 1; n += 2)
            if (n >= 0 && n < t->slices)
                a[i * TERMS + i] += tie, b[i] += tie * t->slice[n].c[i];
    }
    if (fab_me_factor(TERMS, a)) fab_me_solve(TERMS, a, b, l->c);
}

static void relax(me_tube *t)
{
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int i = 0; i < t->slices; i++)
            relax_slice(t, sweep % 2 ? t->slices - 1 - i : i);
    for (int s = 0; s < t->slices; s++)
        for (int k = 0; k < ME_RAYS; k++) {
            double value = 0;
            for (int i = 0; i < TERMS; i++) value += t->slice[s].c[i] * t->term[k][i];
            t->slice[s].r[k] = R0 / sqrt(fmin(16, fmax(0.15, value)));
        }
}

static double trust(double off, double within)
{
    double u = off / within;
    return 1 / ((1 + u * u) * (1 + u * u));
}

static void pull_labels(me_tube *t, double within)
{
    for (int s = 0; s < t->slices; s++)
        for (int k = 0; k < ME_RAYS; k++) {
            slice *l = &t->slice[s];
            bool known = !isnan(l->label[k]);
            l->weight[k] = known ? trust(l->label[k] - l->r[k], within) : 0;
            l->target[k] = known ? l->label[k] : 0;
        }
}

/* Each ray's likeliest edge. */
static void pull_edges(me_tube *t, double out_mm, double in_mm)
{
    for (int s = 0; s < t->slices; s++)
        for (int k = 0; k < ME_RAYS; k++) {
            slice *l = &t->slice[s];
            l->weight[k] = 0;
            for (int e = 0; e < EDGES; e++) {
                double off = l->edges[k][e].at - l->r[k];
                double w = l->edges[k][e].clear * (off > 0 ? OUT_SHARE * trust(off, out_mm)
                                                           : trust(off, in_mm));
                if (w > l->weight[k]) l->weight[k] = w, l->target[k] = l->edges[k][e].at;
            }
        }
}

/* From the labels, which lead into foramina and so are trusted near most of them alone, to the
 * edges, from far to near. */
static void fit(me_tube *t)
{
    make_terms(t);
    for (int s = 0; s < t->slices; s++) {
        t->slice[s].c[0] = 1;
        for (int k = 0; k < ME_RAYS; k++) t->slice[s].r[k] = R0;
    }
    for (int i = 0; i < ROUNDS; i++) {
        double far = 3 - 0.5 * (i - LABEL_ROUNDS);
        if (i < LABEL_ROUNDS) pull_labels(t, i ? 1.5 : 100);
        else pull_edges(t, fmax(t->psf, far), fmax(t->psf, far + 1));
        relax(t);
    }
}

/* ---- making one --------------------------------------------------------------------------- */

/* A point of the line through the nodes, `s` mm from the first; beyond the ends straight on. */
static me_vec along(const me_node *node, int count, double s, me_vec *back)
{
    int i = 0;
    while (i + 2 < count && node[i + 1].s < s) i++;
    double part = (s - node[i].s) / fmax(1e-6, node[i + 1].s - node[i].s);
    *back = me_add(me_mul(node[i].back, 1 - part), me_mul(node[i + 1].back, part));
    return me_add(me_mul(node[i].at, 1 - part), me_mul(node[i + 1].at, part));
}

static void lay(const me_mask *label, const me_node *node, int count, me_tube *t)
{
    for (int s = 0; s < t->slices; s++) {
        slice *l = &t->slice[s];
        double where = s * SLICE_MM - BEYOND_MM;
        me_vec back, unused, o = along(node, count, where, &back);
        me_vec up = me_sub(along(node, count, where - AXIS_MM, &unused),
                           along(node, count, where + AXIS_MM, &unused));
        l->f = fab_me_frame(o, up, back);
        for (int k = 0; k < ME_RAYS; k++)
            l->label[k] = fab_me_first_exit(label, o, fab_me_ray(&l->f, k), 20, 1.2);
    }
}

void fab_me_tube_free(me_tube *t)
{
    if (t) fab_free(t->slice);
    fab_free(t);
}

fab_status fab_me_tube_make(const fab_volume *image, const me_mask *label, const me_node *node,
                            int count, me_tube **out, fab_error *err)
{
    fab_mat34 voxel_from_world;
    FAB_TRY(fab_mat34_invert(&fab_volume_grid(image)->world_from_voxel, &voxel_from_world, err));
    me_tube *t = fab_calloc(1, sizeof *t);
    if (!t) FAB_FAIL(err, FAB_ERR_NOMEM, "measure: out of memory");
    t->length = node[count - 1].s;
    t->slices = 1 + (int)((t->length + 2 * BEYOND_MM) / SLICE_MM);
    t->slice = fab_calloc((size_t)t->slices, sizeof *t->slice);
    if (!t->slice) {
        fab_me_tube_free(t);
        FAB_FAIL(err, FAB_ERR_NOMEM, "measure: out of memory");
    }
    lay(label, node, count, t);
    find_edges(image, &voxel_from_world, t);
    fit(t);
    *out = t;
    return FAB_OK;
}

/* ---- sections ----------------------------------------------------------------------------- */

typedef struct outline { double x[ME_RAYS], y[ME_RAYS]; } outline;

/* Length of the outline along x (1) or y (0) through its middle. */
static double width(const outline *o, const double middle[2], bool along_x)
{
    const double *across = along_x ? o->y : o->x, *with = along_x ? o->x : o->y;
    double low = 0, high = 0, at = middle[along_x];
    for (int k = 0; k < ME_RAYS; k++) {
        int n = (k + 1) % ME_RAYS;
        double here = across[k] - at, next = across[n] - at;
        if ((here > 0) == (next > 0)) continue;
        double p = with[k] + (with[n] - with[k]) * here / (here - next);
        low = fmin(low, p), high = fmax(high, p);
    }
    return high - low;
}

/* Area, depth and width of a slice and the middle of it. */
static void slice_size(const slice *l, double size[3], double middle[2])
{
    outline o;
    double twice = 0, x = 0, y = 0;
    for (int k = 0; k < ME_RAYS; k++) {
        double a = 2 * 3.14159265358979323846 * k / ME_RAYS;
        o.x[k] = l->r[k] * sin(a), o.y[k] = -l->r[k] * cos(a);
    }
    for (int k = 0; k < ME_RAYS; k++) {
        int n = (k + 1) % ME_RAYS;
        double c = o.x[k] * o.y[n] - o.x[n] * o.y[k];
        twice += c, x += c * (o.x[k] + o.x[n]), y += c * (o.y[k] + o.y[n]);
    }
    middle[0] = x / (3 * twice), middle[1] = y / (3 * twice);
    size[0] = 0.5 * fabs(twice);
    size[1] = width(&o, middle, false), size[2] = width(&o, middle, true);
}

/* Share of a slice's border with an edge near it. */
static double seen(const slice *l, double within)
{
    double border = 0, near = 0;
    for (int k = 0; k < ME_RAYS; k++) {
        bool found = false;
        for (int e = 0; e < EDGES; e++)
            found = found || (l->edges[k][e].clear > 0 &&
                              fabs(l->edges[k][e].at - l->r[k]) < within);
        border += l->r[k], near += found ? l->r[k] : 0;
    }
    return near / border;
}

void fab_me_tube_section(const me_tube *t, double where, double half, fab_canal_section *out)
{
    double sum = 0, size[3] = {0}, centre[3] = {0}, shown = 0;
    for (int s = 0; s < t->slices; s++) {
        const slice *l = &t->slice[s];
        double off = fabs(s * SLICE_MM - BEYOND_MM - where), share = half + SLICE_MM / 2 - off;
        double one[3], middle[2], c[3];
        if (!(share > 0)) continue;
        slice_size(l, one, middle);
        me_to(me_world(&l->f, middle[0], middle[1], 0), c);
        for (int a = 0; a < 3; a++) size[a] += share * one[a], centre[a] += share * c[a];
        shown += share * seen(l, fmin(1.5, 1.5 * t->psf));
        sum += share;
    }
    for (int a = 0; a < 3; a++) out->centre[a] = centre[a] / sum;
    out->area_mm2 = size[0] / sum, out->ap_mm = size[1] / sum, out->transverse_mm = size[2] / sum;
    out->border_seen = shown / sum;
    out->quality = out->border_seen >= 0.5 && t->psf < 1.2 ? FAB_MEASURE_GOOD
                   : out->border_seen >= 0.3 ? FAB_MEASURE_FAIR : FAB_MEASURE_POOR;
    out->measured = true;
}
