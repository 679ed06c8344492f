/* truth.c - what is known about the patient, in world LPS mm and degrees, as JSON. */
#include <stdio.h>

#include "phantom_internal.h"

static const double to_deg = 180 / 3.14159265358979323846;

static fab_status put(fab_json *o, const char *key, double value, fab_error *err)
{
    return fab_json_set(o, key, fab_json_real(value), err);
}

static fab_status put_vec(fab_json *o, const char *key, ph_vec v, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *a = fab_json_array();
    FAB_TRY(fab_json_append(a, fab_json_real(v.x), err));
    FAB_TRY(fab_json_append(a, fab_json_real(v.y), err));
    FAB_TRY(fab_json_append(a, fab_json_real(v.z), err));
    fab_json *given = a;
    a = NULL;
    return fab_json_set(o, key, given, err);
}

/* Area of the canal in the mid plane of a vertebra, by its own ellipse. */
double fab_ph_canal_area(const ph_scene *s, int i)
{
    const ph_vertebra *v = &s->spine.v[i];
    double half[2], behind;
    (void)fab_ph_canal(s, 0.5 * (v->s_low + v->s_high), half, &behind);
    return 3.14159265358979323846 * half[0] * half[1] * s->scale * s->scale;
}

static fab_status put_endplate(fab_json *o, const char *key, const ph_vertebra *v, bool upper,
                               fab_error *err)
{
    ph_vec centre, normal;
    FAB_AUTO(fab_json_free) fab_json *e = fab_json_object();
    fab_ph_endplate(v, upper, &centre, &normal);
    FAB_TRY(put_vec(e, "centre", centre, err));
    FAB_TRY(put_vec(e, "normal", normal, err));
    fab_json *given = e;
    e = NULL;
    return fab_json_set(o, key, given, err);
}

static const ph_shape *shape_of(const ph_scene *s, int label)
{
    for (int i = 0; i < s->shape_count; i++)
        if (s->shapes[i].label == label) return &s->shapes[i];
    return NULL;
}

/* Where the line from the spinous tip straight back leaves the skin. */
static ph_vec skin_entry(const ph_scene *s, const ph_vertebra *v, ph_vec tip)
{
    const ph_shape *skin = shape_of(s, fab_torso_value("skin"));
    double low = 0, high = 150;
    for (int i = 0; i < 40 && skin; i++) {
        double mid = 0.5 * (low + high);
        ph_vec p = ph_add(tip, ph_mul(v->frame.ay, mid));
        if (fab_ph_shape_distance(s, skin, fab_ph_canonical(s, p)) < 0) low = mid;
        else high = mid;
    }
    return ph_add(tip, ph_mul(v->frame.ay, low));
}

static fab_status put_landmarks(const ph_scene *s, fab_json *o, const ph_vertebra *v,
                                fab_error *err)
{
    const ph_vertebra_size *z = &v->size;
    double cw = z->canal_w / 2, d = z->d_sup / 2, h = z->height, l = z->lumbar;
    double px = cw + z->ped_w / 2 - 0.5, up = h / 2 - z->ped_h / 2 - ph_mix(0.5, 1.5, l);
    double half[2], behind; /* of the canal, narrowed if it is */
    (void)fab_ph_canal(s, 0.5 * (v->s_low + v->s_high), half, &behind);
    double lam_y = d + z->canal_d + 2, down = -h / 2 - ph_mix(5, 11, l);
    const struct { const char *name; ph_vec p; bool paired; } marks[] = {
        {"spinous_tip", V(0, z->spin_y, z->spin_z), false},
        {"lamina", V(cw * 0.55, lam_y, -h * 0.12), true},
        {"pedicle", V(px, d + z->canal_d * 0.1, up), true},
        {"facet_with_below", V(ph_mix(cw + 2.2, cw + 2, l), d + z->canal_d * 0.95, down), true},
        {"transverse_tip", V(z->tp_x, z->tp_y, z->tp_z), true},
        {"canal_centre", V(0, behind, 0), false},
        {"interlaminar_window_with_below", V(0, lam_y + 2, -h * 0.5 - z->disc * 0.55 - 3), false},
    };
    FAB_AUTO(fab_json_free) fab_json *m = fab_json_object();
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        char name[64];
        for (int k = 0; k <= marks[i].paired; k++) {
            ph_vec p = marks[i].p;
            if (k) p.x = -p.x;
            snprintf(name, sizeof name, "%s%s", marks[i].name,
                     !marks[i].paired ? "" : k ? "_right" : "_left");
            FAB_TRY(put_vec(m, name, fab_ph_to_world(&v->frame, p), err));
        }
    }
    ph_vec tip = fab_ph_to_world(&v->frame, marks[0].p);
    FAB_TRY(put_vec(m, "skin_midline", skin_entry(s, v, tip), err));
    fab_json *given = m;
    m = NULL;
    return fab_json_set(o, "landmarks", given, err);
}

/* The body as drawn, in canonical mm of its own frame: half depth and width at mid height, and how
 * high its endplates lie in three zones. */
typedef struct drawn { double width, depth, y[3], top[3], low[3]; } drawn;

/* Where the body, rough as it is painted, ends above or below: mean over a zone in front, in the
 * middle or behind (about y): the middle third of the width and an eighth of the depth, for no one
 * can say which point of a rough bone a height is read off. */
static double plate_edge(const ph_scene *s, const ph_vertebra *v, const drawn *size, double y,
                         ph_vec d)
{
    enum { ACROSS = 12, ALONG = 8 };
    const ph_shape *shape = shape_of(s, v->label);
    double sum = 0;
    for (int i = 0; i < ACROSS; i++)
        for (int j = 0; j < ALONG; j++) {
            double across = (2 * i + 1.0) / ACROSS - 1, along = (2 * j + 1.0) / ALONG - 1;
            ph_vec p = V(across * size->width / 6, y + along * size->depth / 16, 0);
            sum += fab_ph_body_edge(s, v, shape, p, d);
        }
    return sum / (ACROSS * ALONG);
}

static drawn body_drawn(const ph_scene *s, const ph_vertebra *v)
{
    const ph_vec o = V(0, 0, 0);
    double front = fab_ph_body_edge(s, v, NULL, o, V(0, -1, 0));
    double back = fab_ph_body_edge(s, v, NULL, o, V(0, 1, 0));
    drawn d = {.depth = front + back, .width = fab_ph_body_edge(s, v, NULL, o, V(1, 0, 0)) +
                                               fab_ph_body_edge(s, v, NULL, o, V(-1, 0, 0))};
    for (int i = 0; i < 3; i++) {
        d.y[i] = 0.5 * (back - front) + 0.375 * (i - 1) * d.depth;
        d.top[i] = plate_edge(s, v, &d, d.y[i], V(0, 0, 1));
        d.low[i] = -plate_edge(s, v, &d, d.y[i], V(0, 0, -1));
    }
    return d;
}

static fab_status put_body(const ph_scene *s, fab_json *o, const ph_vertebra *v, fab_error *err)
{
    static const char *const keys[] = {"height_front_mm", "height_mid_mm", "height_back_mm"};
    drawn d = body_drawn(s, v);
    fab_json *b = fab_json_object();
    FAB_TRY(fab_json_set(o, "body", b, err));
    FAB_TRY(put(b, "width_mm", s->scale * d.width, err));
    FAB_TRY(put(b, "depth_mm", s->scale * d.depth, err));
    for (int i = 0; i < 3; i++) FAB_TRY(put(b, keys[i], s->scale * (d.top[i] - d.low[i]), err));
    return FAB_OK;
}

/* S1's endplate as it is in the labels: where the lowest disc, painted before it, ends. */
static void sacral_endplate(const ph_scene *s, ph_vec *centre, ph_vec *normal)
{
    double slope = s->spine.slope_s1;
    *normal = V(0, -sin(slope), cos(slope));
    *centre = ph_mul(*normal, -PH_DISC_BITE);
}

/* Distances between the facing endplates at the same shares of the depth, along the mean of their
 * normals; below the lowest vertebra to the plane of the sacral endplate. */
static fab_status put_disc(const ph_scene *s, fab_json *o, int i, fab_error *err)
{
    static const char *const keys[] = {"front", "middle", "back"};
    const ph_vertebra *v = &s->spine.v[i], *below = i ? v - 1 : NULL;
    ph_vec c, na, nb, cs;
    fab_ph_endplate(v, false, &c, &na);
    sacral_endplate(s, &cs, &nb);
    drawn a = body_drawn(s, v), b = {0};
    if (below) fab_ph_endplate(below, true, &c, &nb), b = body_drawn(s, below);
    ph_vec axis = ph_unit(ph_add(na, nb));
    fab_json *d = fab_json_object();
    FAB_TRY(fab_json_set(o, "disc_below_heights_mm", d, err));
    for (int k = 0; k < 3; k++) {
        ph_vec p = fab_ph_to_world(&v->frame, V(0, a.y[k], a.low[k]));
        ph_vec q = below ? fab_ph_to_world(&below->frame, V(0, b.y[k], b.top[k])) : cs;
        double gap = below ? ph_dot(ph_sub(p, q), axis)
                           : ph_dot(ph_sub(p, q), nb) / ph_dot(axis, nb);
        FAB_TRY(put(d, keys[k], gap, err));
    }
    return FAB_OK;
}

static fab_status put_canal_below(const ph_scene *s, fab_json *o, int i, fab_error *err)
{
    const ph_vertebra *v = &s->spine.v[i];
    double half[2], behind, low = i ? (v - 1)->s_high : 0, g = s->scale;
    (void)fab_ph_canal(s, 0.5 * (v->s_low + low), half, &behind);
    FAB_TRY(put(o, "canal_area_disc_below_mm2", 3.14159265358979323846 * half[0] * half[1] * g * g,
                err));
    FAB_TRY(put(o, "canal_ap_disc_below_mm", 2 * half[1] * g, err));
    return put(o, "canal_transverse_disc_below_mm", 2 * half[0] * g, err);
}

static fab_status put_sizes(const ph_scene *s, fab_json *o, int i, fab_error *err)
{
    const ph_spine *sp = &s->spine;
    const ph_vertebra *v = &sp->v[i];
    double g = s->scale, half_d = 0.25 * (v->size.d_sup + v->size.d_inf);
    double half_w = 0.25 * (v->size.w_sup + v->size.w_inf);
    double disc = i ? v->s_low - sp->v[i - 1].s_high : v->s_low;
    FAB_TRY(put(o, "height_mid_mm", g * v->size.height, err));
    FAB_TRY(put(o, "height_front_mm", g * (v->size.height - 2 * v->wedge_y * half_d), err));
    FAB_TRY(put(o, "height_back_mm", g * (v->size.height + 2 * v->wedge_y * half_d), err));
    FAB_TRY(put(o, "height_left_mm", g * (v->size.height + 2 * v->wedge_x * half_w), err));
    FAB_TRY(put(o, "height_right_mm", g * (v->size.height - 2 * v->wedge_x * half_w), err));
    FAB_TRY(put(o, "wedge_coronal_deg", 2 * atan(v->wedge_x) * to_deg, err));
    FAB_TRY(put(o, "wedge_sagittal_deg", 2 * atan(v->wedge_y) * to_deg, err));
    FAB_TRY(put(o, "canal_area_mm2", fab_ph_canal_area(s, i), err));
    FAB_TRY(put(o, "disc_below_mm", disc, err));
    return fab_json_set(o, "disc_below", fab_json_string(v->disc_name), err);
}

static fab_status vertebra(const ph_scene *s, int i, fab_json **out, fab_error *err)
{
    const ph_vertebra *v = &s->spine.v[i];
    char name[32];
    snprintf(name, sizeof name, "vertebrae_%s", v->name);
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "name", fab_json_string(name), err));
    FAB_TRY(fab_json_set(o, "level", fab_json_string(v->name), err));
    FAB_TRY(fab_json_set(o, "label", fab_json_int(v->label), err));
    FAB_TRY(put_vec(o, "centre", v->frame.o, err));
    FAB_TRY(put_vec(o, "axis_left", v->frame.ax, err));
    FAB_TRY(put_vec(o, "axis_back", v->frame.ay, err));
    FAB_TRY(put_vec(o, "axis_up", v->frame.az, err));
    FAB_TRY(put(o, "axial_rotation_deg", v->rotation_deg, err));
    FAB_TRY(put_sizes(s, o, i, err));
    FAB_TRY(put_body(s, o, v, err));
    FAB_TRY(put_disc(s, o, i, err));
    FAB_TRY(put_canal_below(s, o, i, err));
    FAB_TRY(put_endplate(o, "endplate_upper", v, true, err));
    FAB_TRY(put_endplate(o, "endplate_lower", v, false, err));
    FAB_TRY(put_landmarks(s, o, v, err));
    *out = o;
    o = NULL;
    return FAB_OK;
}

/* Angle between two endplates seen from the side, positive as given by the order. */
static double sagittal(const ph_vertebra *a, bool upper_a, const ph_vertebra *b, bool upper_b)
{
    ph_vec c, na, nb;
    fab_ph_endplate(a, upper_a, &c, &na);
    fab_ph_endplate(b, upper_b, &c, &nb);
    return (atan2(nb.y, nb.z) - atan2(na.y, na.z)) * to_deg;
}

static fab_status put_curve(const ph_scene *s, fab_json *t, fab_error *err)
{
    const ph_spine *sp = &s->spine;
    int l1 = s->o->lumbar_count - 1, apex = 0;
    double far = -1;
    for (int i = 0; i < sp->count; i++)
        if (fabs(sp->v[i].frame.o.x) > far) far = fabs(sp->v[i].frame.o.x), apex = i;
    bool curved = sp->cobb_deg > 0;
    ph_vec c, n;
    fab_ph_endplate(&sp->v[l1], true, &c, &n);
    double slope = s->spine.slope_s1 * to_deg;
    FAB_TRY(put(t, "cobb_deg", sp->cobb_deg, err));
    FAB_TRY(fab_json_set(t, "convex_side", fab_json_string(!curved ? "none" : sp->side > 0
                                                               ? "left" : "right"), err));
    FAB_TRY(fab_json_set(t, "end_vertebra_upper",
                         fab_json_string(curved ? sp->v[sp->end_upper].name : ""), err));
    FAB_TRY(fab_json_set(t, "end_vertebra_lower",
                         fab_json_string(curved ? sp->v[sp->end_lower].name : ""), err));
    FAB_TRY(fab_json_set(t, "apex", fab_json_string(curved ? sp->v[apex].name : ""), err));
    FAB_TRY(put(t, "apical_rotation_deg", curved ? sp->v[apex].rotation_deg : 0, err));
    FAB_TRY(put(t, "lordosis_L1_S1_deg", slope + atan2(n.y, n.z) * to_deg, err));
    FAB_TRY(put(t, "kyphosis_T4_T12_deg",
                sagittal(&sp->v[l1 + 9], true, &sp->v[l1 + 1], false), err));
    return put(t, "sacral_slope_deg", slope, err);
}

fab_status fab_ph_truth(const ph_scene *s, fab_json **out, fab_error *err)
{
    const fab_phantom_options *o = s->o;
    FAB_AUTO(fab_json_free) fab_json *t = fab_json_object();
    FAB_AUTO(fab_json_free) fab_json *list = fab_json_array();
    FAB_TRY(fab_json_set(t, "format", fab_json_string("fabrica-phantom-truth"), err));
    FAB_TRY(fab_json_set(t, "format_version", fab_json_int(1), err));
    FAB_TRY(fab_json_set(t, "space", fab_json_string("LPS mm"), err));
    FAB_TRY(fab_json_set(t, "seed", fab_json_int((int64_t)o->seed), err));
    FAB_TRY(put(t, "age_years", o->age_years, err));
    FAB_TRY(fab_json_set(t, "sex", fab_json_string(o->female ? "F" : "M"), err));
    FAB_TRY(put(t, "height_mm", o->height_mm, err));
    FAB_TRY(fab_json_set(t, "lumbar_vertebrae", fab_json_int(o->lumbar_count), err));
    FAB_TRY(put(t, "stenosis", o->stenosis, err));
    FAB_TRY(put_curve(s, t, err));
    if (o->modality == FAB_PHANTOM_CT)
        FAB_TRY(put(t, "cancellous_hu", s->hu[PH_CANCELLOUS], err));
    for (int i = s->spine.count - 1; i >= 0; i--) {
        fab_json *v = NULL;
        FAB_TRY(vertebra(s, i, &v, err));
        FAB_TRY(fab_json_append(list, v, err));
    }
    fab_json *given = list;
    list = NULL;
    FAB_TRY(fab_json_set(t, "vertebrae", given, err));
    *out = t;
    t = NULL;
    return FAB_OK;
}
