/* spine.c - vertebrae, discs, canal, thecal sac and cord, sacrum's neighbours excluded. A vertebra
 * is built in its own frame: x left, y back, z up, origin at the middle of its body, canonical mm.
 *
 *          side view                      from above
 *       ____  sup. facet                    body
 *      |    |=pedicle=o                   ( ____ )
 *      |body|  canal  | lamina        --==|canal|==--  transverse
 *      |____|         o inf. facet         \ _ /
 *                      \__ spinous           |  spinous
 */
#include <stdio.h>

#include "phantom_internal.h"

/* par: half height, half width sup, inf, half depth sup, inf, wedge x, wedge y */
static double body_distance(const ph_scene *s, const double *par, ph_vec p)
{
    (void)s;
    double lift = par[5] * p.x + par[6] * p.y;
    double top = par[0] + lift, u = ph_clamp((p.z + top) / (2 * top), 0, 1);
    double waist = 1 - 0.36 * u * (1 - u);
    double rx = ph_mix(par[2], par[1], u) * waist, ry = ph_mix(par[4], par[3], u);
    double back = p.y > 0, y = p.y / (ry * ph_mix(waist, 1 - (1 - waist) * 0.4, back));
    double x = p.x / rx, x2 = x * x, y2 = y * y;
    double fy = back > 0 ? y2 * y2 : y2 * sqrt(fabs(y)), fx = x2 * sqrt(fabs(x));
    double f = fx + fy;
    double gx = 2.5 * fabs(x) * sqrt(fabs(x)) / rx;
    double gy = (back > 0 ? 4 * fabs(y) * y2 : 2.5 * fabs(y) * sqrt(fabs(y))) / ry;
    double root = pow(f, 0.4), grad = 0.4 * root / (f + 1e-9) * sqrt(gx * gx + gy * gy);
    double side = f < 1e-6 ? -ph_min(rx, ry) : ph_max((root - 1) / (grad + 1e-6), -ph_min(rx, ry));
    double dip = 1.4 * ph_clamp(1 - root, 0, 1), ends = fabs(p.z) - top + dip;
    if (p.z < 0) ends = -p.z - top + dip;
    double k = 2.5, h = ph_max(k - fabs(side - ends), 0) / k;
    return ph_max(side, ends) + h * h * k * 0.25;
}

static void body_par(const ph_vertebra *v, double par[8])
{
    const ph_vertebra_size *z = &v->size;
    const double all[8] = {z->height / 2, z->w_sup / 2, z->w_inf / 2, z->d_sup / 2, z->d_inf / 2,
                           v->wedge_x, v->wedge_y};
    for (int i = 0; i < 8; i++) par[i] = all[i];
}

/* How far from p (vertebra's frame, canonical mm, inside the body) along d the body ends; rough:
 * with its shape's wobble, NULL: without. */
double fab_ph_body_edge(const ph_scene *s, const ph_vertebra *v, const ph_shape *rough, ph_vec p,
                        ph_vec d)
{
    double par[8], low = 0, high = 60;
    body_par(v, par);
    for (int i = 0; i < 50; i++) {
        double mid = 0.5 * (low + high);
        ph_vec at = ph_add(p, ph_mul(d, mid));
        double off = body_distance(s, par, at) + (rough ? fab_ph_wobble(s, rough, at) : 0);
        if (off < 0) low = mid;
        else high = mid;
    }
    return low;
}

static void add_pedicles(ph_scene *s, const ph_vertebra_size *z)
{
    double cw = z->canal_w / 2, d = z->d_sup / 2, px = cw + z->ped_w / 2 - 0.5;
    double up = z->height / 2 - z->ped_h / 2 - ph_mix(0.5, 1.5, z->lumbar);
    fab_ph_flat(s, V(px * 1.02, d - 7, up), V(px, d + z->canal_d * 0.65, up - 0.5), z->ped_w / 2,
                z->ped_h / 2, V(1, 0, 0));
}

static void add_lamina(ph_scene *s, const ph_vertebra_size *z)
{
    double cw = z->canal_w / 2, d = z->d_sup / 2, h = z->height;
    double thick = ph_mix(2.6, 3.2, z->lumbar), y0 = d + z->canal_d * 0.72;
    double y1 = d + z->canal_d + 1.5 + thick;
    ph_vec a = V(cw + 1.5, y0, h * 0.28), b = V(cw + 0.5, y0 + 2, -h * 0.42);
    ph_vec c = V(0, y1, h * 0.1), e = V(0, y1 + 2.5, ph_mix(-h * 0.72, -h * 0.5, z->lumbar));
    fab_ph_triangle(s, a, b, c, thick, thick, thick);
    fab_ph_triangle(s, b, e, c, thick, thick, thick);
}

/* The joint's cleft runs back and outwards in the lumbar spine, across in the thoracic one; each
 * process is flat along it and the two face each other over 2 mm. */
static void add_facets(ph_scene *s, const ph_vertebra_size *z)
{
    double cw = z->canal_w / 2, d = z->d_sup / 2, h = z->height, l = z->lumbar;
    double up = h / 2 + ph_mix(5, 8, l), down = -h / 2 - ph_mix(5, 10, l);
    ph_vec s0 = V(cw + ph_mix(1, 5, l), d + z->canal_d * ph_mix(0.65, 0.5, l), h * 0.2);
    ph_vec s1 = V(cw + ph_mix(2.5, 6.5, l), d + z->canal_d * ph_mix(0.7, 0.72, l), up);
    ph_vec i0 = V(ph_mix(cw + 1, cw, l), d + z->canal_d * 0.85 + ph_mix(1, 3, l), -h * 0.15);
    ph_vec i1 = V(ph_mix(cw + 2, cw - 1.2, l), d + z->canal_d * ph_mix(1.12, 1.18, l), down);
    ph_vec across = ph_unit(V(0.72 * l, -0.72 - 0.28 * (1 - l), 0));
    double thick = ph_mix(2.7, 4.2, l), wide = ph_mix(5, 7.2, l);
    fab_ph_flat(s, s0, s1, thick, wide, across);
    fab_ph_flat(s, i0, i1, thick, wide * 0.95, across);
}

static void add_transverse(ph_scene *s, const ph_vertebra_size *z)
{
    double cw = z->canal_w / 2, d = z->d_sup / 2, l = z->lumbar, h = z->height;
    ph_vec root = V(cw + ph_mix(2, 6, l), d + z->canal_d * ph_mix(0.7, 0.45, l), h * 0.12);
    ph_vec tip = V(z->tp_x, z->tp_y, z->tp_z);
    ph_vec mid = ph_lerp(root, tip, 0.55);
    double r = ph_mix(4.6, 3.0, l);
    fab_ph_flat(s, root, mid, r, ph_mix(5, 5.5, l), V(0, 1, 0));
    fab_ph_flat(s, mid, tip, r, ph_mix(4.6, 4.8, l), V(0, 1, 0));
}

static void add_spinous(ph_scene *s, const ph_vertebra_size *z)
{
    double y0 = z->d_sup / 2 + z->canal_d + 4, l = z->lumbar, h = z->height;
    double yt = z->spin_y - 4, zt = z->spin_z, tall = ph_mix(3, 9.5, l);
    ph_vec a = V(0, y0, ph_mix(2, 0, l)), b = V(0, y0 + 2, ph_mix(-h * 0.65, -h * 0.45, l));
    ph_vec c = V(0, yt, zt + tall), e = V(0, yt - 1, zt - tall);
    double r = ph_mix(2.6, 3.0, l);
    fab_ph_triangle(s, a, b, c, r + 0.6, r + 0.6, r);
    fab_ph_triangle(s, b, e, c, r + 0.6, r, r);
    fab_ph_cone(s, c, e, r + 0.9, r + 1.4);
}

static void add_vertebra(ph_scene *s, const ph_vertebra *v)
{
    const ph_vertebra_size *z = &v->size;
    char name[40];
    snprintf(name, sizeof name, "vertebrae_%s", v->name);
    ph_shape *shape = fab_ph_shape(s, name, fab_ph_frame_add(s, &v->frame), PH_CANCELLOUS);
    shape->wall = PH_CORTICAL;
    shape->wall_mm = ph_mix(0.9, 1.2, z->lumbar) - 0.003 * ph_clamp(s->age - 40, 0, 60);
    shape->wobble_mm = 0.5, shape->wobble_scale_mm = 9;
    double par[8];
    body_par(v, par);
    fab_ph_field(s, body_distance, par, 7, V(0, 0, 0), 0.75 * (z->w_inf + z->height * 0.5));
    for (int side = -1; side <= 1; side += 2) {
        s->mirror = side;
        add_pedicles(s, z);
        add_lamina(s, z);
        add_facets(s, z);
        add_transverse(s, z);
    }
    s->mirror = 1;
    add_spinous(s, z);
    fab_ph_blend(s, 2.5);
    fab_ph_close(s);
}

/* ---- what lies along the centreline ------------------------------------------------------ */

/* How much of the canal's depth the stenosis leaves at arc length z. */
static double narrowing(const ph_scene *s, double z)
{
    if (s->o->stenosis <= 0) return 1;
    int level = s->o->lumbar_count - s->o->stenosis_level;
    const ph_vertebra *v = &s->spine.v[level < 0 ? 0 : level];
    double off = (z - 0.5 * (v->s_low + v->s_high)) / (16 * s->scale);
    return 1 - 0.62 * s->o->stenosis * exp(-off * off);
}

/* The canal's ellipse if `narrow` of its depth is left: laminae and ligament grow in from behind
 * and the sides, its front stays at the body. */
static void canal_ellipse(const ph_scene *s, double z, double narrow, double half[2],
                          double *behind)
{
    const ph_spine *sp = &s->spine;
    int i = 0;
    while (i < sp->count - 2 && z > 0.5 * (sp->v[i + 1].s_low + sp->v[i + 1].s_high)) i++;
    const ph_vertebra *a = &sp->v[i], *b = &sp->v[i + 1];
    double za = 0.5 * (a->s_low + a->s_high), zb = 0.5 * (b->s_low + b->s_high);
    double t = ph_clamp((z - za) / (zb - za), 0, 1);
    half[0] = ph_mix(a->size.canal_w, b->size.canal_w, t) / 2 * ph_mix(1, narrow, 0.6);
    half[1] = ph_mix(a->size.canal_d, b->size.canal_d, t) / 2 * narrow;
    double front = ph_mix(a->size.d_sup + a->size.d_inf, b->size.d_sup + b->size.d_inf, t) / 4;
    double whole = ph_mix(a->size.canal_d, b->size.canal_d, t) / 2;
    *behind = front + ph_mix(half[1], whole, 0.25);
    if (z < 0) {
        double f = ph_clamp(1 + z / (90 * s->scale), 0.2, 1);
        half[0] *= f, half[1] *= f;
    }
}

/* Half width and depth of the canal at arc length z, and how far its middle lies behind. */
double fab_ph_canal(const ph_scene *s, double z, double half[2], double *behind)
{
    double narrow = narrowing(s, z);
    canal_ellipse(s, z, narrow, half, behind);
    return narrow;
}

static double ellipse(double px, double py, double rx, double ry)
{
    double x = px / rx, y = py / ry, k0 = sqrt(x * x + y * y);
    double k1 = sqrt(x * x / (rx * rx) + y * y / (ry * ry));
    return k0 < 1e-6 ? -ph_min(rx, ry) : ph_max(k0 * (k0 - 1) / k1, -ph_min(rx, ry));
}

/* par: inset mm, top and bottom arc length, limits of half width and depth */
static double canal_distance(const ph_scene *s, const double *par, ph_vec p)
{
    double half[2], behind;
    (void)fab_ph_canal(s, p.z, half, &behind);
    double rx = ph_min(half[0] - par[0], par[3]), ry = ph_min(half[1] - par[0], par[4]);
    rx = ph_max(rx, 0.5), ry = ph_max(ry, 0.5);
    double end = ph_max(par[2] - p.z, p.z - par[1]);
    if (par[5] > 0) {
        double taper = ph_clamp((p.z - par[2]) / 28, 0.08, 1);
        rx *= taper, ry *= taper;
    }
    return ph_max(ellipse(p.x, p.y - behind, rx, ry) * s->scale, end);
}

#define ROOTS 9 /* a side */
/* par: conus and end of the sac (arc length), inset and limits of the sac as in canal_distance.
 * Roots hang in the back half of the sac and leave it one by one, the outermost first. */
static double cauda_distance(const ph_scene *s, const double *par, ph_vec p)
{
    double half[2], behind, f = (par[0] - p.z) / (par[0] - par[1]), best = 1e3;
    (void)fab_ph_canal(s, p.z, half, &behind);
    double rx = ph_max(ph_min(half[0] - par[2], par[3]), 1.5);
    double ry = ph_max(ph_min(half[1] - par[2], par[4]), 1.5);
    double spread = ph_clamp(f / 0.12 + 0.25, 0, 1);
    for (int k = 0; k < ROOTS; k++) {
        double leave = 1.02 - 0.085 * k, out = ph_clamp((f - leave + 0.12) / 0.12, 0, 1);
        if (f > leave) continue;
        double u = ph_mix((0.08 + 0.085 * k) * spread, 0.88, out * out);
        double v = ph_mix((0.72 - 0.05 * k) * spread, 0.25, out * out);
        double dx = fabs(p.x) - u * rx, dy = p.y - behind - v * ry;
        best = ph_min(best, dx * dx + dy * dy);
    }
    double end = ph_max(par[1] - p.z, p.z - par[0]);
    return ph_max((sqrt(best) - 0.62) * s->scale, end);
}

/* par: low and high arc length. What a stenosis has put where the canal was. */
static double overgrowth_distance(const ph_scene *s, const double *par, ph_vec p)
{
    double was[2], is[2], was_behind, is_behind;
    canal_ellipse(s, p.z, 1, was, &was_behind);
    (void)fab_ph_canal(s, p.z, is, &is_behind);
    double lost = ellipse(p.x, p.y - was_behind, was[0] + 1.5, was[1] + 1.5);
    double left = ellipse(p.x, p.y - is_behind, is[0], is[1]);
    return ph_max(ph_max(lost, -left) * s->scale, ph_max(par[0] - p.z, p.z - par[1]));
}

static void along_field(ph_scene *s, ph_field_fn fn, const double par[6], double low, double high)
{
    fab_ph_field(s, fn, par, 6, V(0, 28, 0.5 * (low + high)), 0.5 * (high - low) + 40);
    fab_ph_close(s);
    if (s->failed) return;
    ph_shape *shape = &s->shapes[s->shape_count - 1];
    shape->low = V(-17, 4, low - 1), shape->high = V(17, 48, high + 1);
}

static void along_shape(ph_scene *s, const char *label, ph_tissue tissue, const double par[6])
{
    fab_ph_shape(s, label, PH_ALONG, tissue);
    along_field(s, canal_distance, par, par[2], par[1]);
}

static void add_cord(ph_scene *s)
{
    const ph_spine *sp = &s->spine;
    int l1 = s->o->lumbar_count - 1;
    double top = sp->length + 30, conus = sp->v[l1].s_low - 4 * s->scale;
    along_shape(s, "spinal_cord", PH_CORD, (double[6]){2.5, top, conus, 5.4, 4.1, 1});
    double end = -30 * s->scale, roots[6] = {conus + 14 * s->scale, end, 2.3, 8.3, 7.3, 0};
    fab_ph_shape(s, "cerebrospinal_fluid", PH_ALONG, PH_CORD); /* cauda equina */
    along_field(s, cauda_distance, roots, end, roots[0]);
    along_shape(s, "cerebrospinal_fluid", PH_CSF, (double[6]){1.6, top, end, 9, 8, 0});
    along_shape(s, "spinal_canal", PH_FAT, (double[6]){0, top, -60 * s->scale, 40, 40, 0});
}

/* par: half width, half depth, s low, s high */
static double disc_distance(const ph_scene *s, const double *par, ph_vec p)
{
    double d = ellipse(p.x, p.y, par[0], par[1]) * s->scale;
    return ph_max(d, ph_max(par[2] - p.z, p.z - par[3]));
}

/* Water left in a disc against its age: the lowest lumbar discs dry out first. */
static double disc_gain(const ph_scene *s, const ph_vertebra *v)
{
    if (s->o->modality != FAB_PHANTOM_MR_T2) return 1;
    double draw = fab_ph_hash(s->hash, (uint32_t)v->disc_label, 5, 9) / 4294967295.0;
    double low = ph_clamp(1.4 - v->s_low / (120 * s->scale), 0.5, 1.4);
    return 1 - 0.6 * ph_clamp((s->age - 28) / 40 * low * (0.35 + draw), 0, 1);
}

static void disc_part(ph_scene *s, const ph_vertebra *v, ph_tissue tissue, const double par[4])
{
    ph_shape *part = fab_ph_shape(s, v->disc_name, PH_ALONG, tissue);
    if (tissue == PH_NUCLEUS) { /* no border: the nucleus fades into the annulus */
        part->wall = PH_ANNULUS, part->wall_mm = 0.5 * (par[3] - par[2]);
        part->soft = true, part->gain = disc_gain(s, v);
    }
    double mid = 0.5 * (par[2] + par[3]);
    fab_ph_field(s, disc_distance, par, 4, V(0, 0, mid), 40);
    fab_ph_close(s);
    if (s->failed) return;
    ph_shape *shape = &s->shapes[s->shape_count - 1];
    shape->low = V(-par[0], -par[1], par[2]), shape->high = V(par[0], par[1], par[3]);
}

static void add_discs(ph_scene *s)
{
    for (int i = 0; i < s->spine.count; i++) {
        const ph_vertebra *v = &s->spine.v[i], *below = i ? v - 1 : NULL;
        if (!v->disc_label) continue;
        double w = below ? 0.5 * (v->size.w_inf + below->size.w_sup) : v->size.w_inf + 1;
        double d = below ? 0.5 * (v->size.d_inf + below->size.d_sup) : v->size.d_inf + 1;
        double high = v->s_low, low = below ? below->s_high : 0, gap = high - low;
        double core[4] = {w * 0.36, d * 0.34, low + 0.06 * gap, high - 0.06 * gap};
        double ring[4] = {w / 2 + 0.6, d / 2 + 0.5, low - PH_DISC_BITE, high + PH_DISC_BITE};
        disc_part(s, v, PH_NUCLEUS, core);
        disc_part(s, v, PH_ANNULUS, ring);
    }
}

/* Laminae as thick as the stenosis asks, and ligament above and below them. */
static void add_stenosis(ph_scene *s)
{
    if (s->o->stenosis <= 0) return;
    const ph_vertebra *v = &s->spine.v[s->o->lumbar_count - s->o->stenosis_level];
    double bone[6] = {v->s_low - 2, v->s_high}, all[6] = {v->s_low - 30, v->s_high + 30};
    char name[40];
    snprintf(name, sizeof name, "vertebrae_%s", v->name);
    ph_shape *shape = fab_ph_shape(s, name, PH_ALONG, PH_CANCELLOUS);
    shape->wall = PH_CORTICAL, shape->wall_mm = 1.2;
    along_field(s, overgrowth_distance, bone, bone[0], bone[1]);
    fab_ph_shape(s, "ligamentum_flavum", PH_ALONG, PH_LIGAMENT);
    along_field(s, overgrowth_distance, all, all[0], all[1]);
}

static void add_flavum(ph_scene *s)
{
    for (int i = 0; i + 1 < s->spine.count; i++) {
        const ph_vertebra *v = &s->spine.v[i + 1];
        const ph_vertebra_size *z = &v->size;
        double y = z->d_sup / 2 + z->canal_d * 0.95 + 2, gap = z->disc + z->height * 0.62;
        fab_ph_shape(s, "ligamentum_flavum", fab_ph_frame_add(s, &v->frame), PH_LIGAMENT);
        for (int side = -1; side <= 1; side += 2) {
            s->mirror = side;
            ph_vec top = V(0.5, y + 3, -z->height * 0.45), low = V(0.5, y + 3, -gap);
            fab_ph_triangle(s, top, low, V(z->canal_w * 0.36, y - 3.5, -gap * 0.85), 2, 2, 1.6);
        }
        s->mirror = 1;
        fab_ph_close(s);
    }
}

void fab_ph_add_spine(ph_scene *s)
{
    add_cord(s);
    for (int i = 0; i < s->spine.count; i++) add_vertebra(s, &s->spine.v[i]);
    add_stenosis(s);
    add_discs(s);
    add_flavum(s);
}

/* Pedicle screws on both sides of four levels about the apex, with rods. */
void fab_ph_add_metal(ph_scene *s)
{
    int apex = 0;
    while (apex < s->spine.count - 4 && s->spine.v[apex].s_high < s->spine.apex_s) apex++;
    int first = apex > 2 ? apex - 2 : 0;
    ph_vec head[2] = {V(0, 0, 0), V(0, 0, 0)};
    for (int i = first; i < first + 4; i++) {
        const ph_vertebra *v = &s->spine.v[i];
        const ph_vertebra_size *z = &v->size;
        for (int k = 0; k < 2; k++) {
            double px = (z->canal_w + z->ped_w) / 2 - 0.5, up = z->height / 2 - z->ped_h / 2 - 1;
            double turn = k ? -1 : 1;
            ph_vec tip = V(turn * px * 0.55, -z->d_sup * 0.2, up - 2);
            ph_vec out = V(turn * (px + 3), z->d_sup / 2 + z->canal_d + 10, up + 1);
            fab_ph_shape(s, "metal_implant", fab_ph_frame_add(s, &v->frame), PH_METAL);
            fab_ph_cone(s, tip, out, 2.4, 3);
            fab_ph_cone(s, out, ph_add(out, V(0, 6, 0)), 5.5, 5.5);
            fab_ph_close(s);
            ph_vec now = fab_ph_to_world(&v->frame, ph_add(out, V(0, 6, 0)));
            ph_frame world = {V(0, 0, 0), V(1, 0, 0), V(0, 1, 0), V(0, 0, 1), 1};
            if (i > first) {
                fab_ph_shape(s, "metal_implant", fab_ph_frame_add(s, &world), PH_METAL);
                fab_ph_cone(s, head[k], now, 2.9, 2.9);
                fab_ph_close(s);
            }
            head[k] = now;
        }
    }
}
