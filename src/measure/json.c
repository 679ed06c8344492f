/* json.c - the measurements as JSON (docs/formats/measurements.md). Lengths in mm to a hundredth,
 * angles in degrees to a tenth; null where nothing was measured, with a reason beside it. */
#include <stdio.h>

#include "measure_internal.h"

#define FORMAT_VERSION 1

static fab_status put(fab_json *o, const char *key, double value, int decimals, fab_error *err)
{
    double scale = pow(10, decimals), r = round(value * scale) / scale;
    return fab_json_set(o, key, fab_json_real(r == 0 ? 0 : r), err); /* no minus zero */
}

static fab_status text(fab_json *o, const char *key, const char *value, fab_error *err)
{
    return fab_json_set(o, key, value[0] ? fab_json_string(value) : fab_json_null(), err);
}

static fab_status flag(fab_json *o, const char *key, bool value, fab_error *err)
{
    return fab_json_set(o, key, fab_json_bool(value), err);
}

static fab_status vector(fab_json *o, const char *key, const double v[3], int decimals,
                         fab_error *err)
{
    fab_json *list = fab_json_array();
    FAB_TRY(fab_json_set(o, key, list, err));
    double scale = pow(10, decimals);
    for (int i = 0; i < 3; i++) {
        double r = round(v[i] * scale) / scale;
        FAB_TRY(fab_json_append(list, fab_json_real(r == 0 ? 0 : r), err));
    }
    return FAB_OK;
}

static fab_status child(fab_json *o, const char *key, fab_json **out, fab_error *err)
{
    *out = fab_json_object();
    return fab_json_set(o, key, *out, err);
}

static fab_status row_of(fab_json *list, fab_json **out, fab_error *err)
{
    *out = fab_json_object();
    return fab_json_append(list, *out, err);
}

static fab_status put_plate(fab_json *o, const char *key, const fab_endplate *e, fab_error *err)
{
    fab_json *p = NULL;
    FAB_TRY(child(o, key, &p, err));
    FAB_TRY(vector(p, "centre_mm", e->centre, 2, err));
    FAB_TRY(vector(p, "normal", e->normal, 5, err));
    FAB_TRY(vector(p, "front_mm", e->front, 2, err));
    FAB_TRY(vector(p, "middle_mm", e->middle, 2, err));
    FAB_TRY(vector(p, "back_mm", e->back, 2, err));
    FAB_TRY(put(p, "roughness_mm", e->rms_mm, 2, err));
    FAB_TRY(put(p, "tilt_sigma_deg", e->sigma_deg, 2, err));
    return text(p, "source", e->by_image ? "image" : "labels", err);
}

static fab_status put_canal(fab_json *o, const fab_canal_section *c, fab_error *err)
{
    fab_json *p = NULL;
    if (!c->measured) return fab_json_set(o, "canal", fab_json_null(), err);
    FAB_TRY(child(o, "canal", &p, err));
    FAB_TRY(put(p, "area_mm2", c->area_mm2, 1, err));
    FAB_TRY(put(p, "ap_mm", c->ap_mm, 2, err));
    FAB_TRY(put(p, "transverse_mm", c->transverse_mm, 2, err));
    FAB_TRY(text(p, "quality", fab_measure_quality_name(c->quality), err));
    FAB_TRY(put(p, "border_seen", c->border_seen, 2, err));
    return vector(p, "centre_mm", c->centre, 2, err);
}

/* ---- a vertebra --------------------------------------------------------------------------- */

static double back_height(const fab_spine_measures *s, int row)
{
    if (row < 0 || row >= s->count || s->vertebra[row].quality == FAB_MEASURE_NONE) return NAN;
    return s->vertebra[row].height_back_mm;
}

/* Against the neighbours' mean; NaN if neither was measured. */
static double crush_ratio(const fab_spine_measures *s, int row)
{
    double above = back_height(s, row - 1), below = back_height(s, row + 1);
    double other = isnan(above) ? below : isnan(below) ? above : 0.5 * (above + below);
    return s->vertebra[row].height_back_mm / other;
}

static fab_status put_shape(fab_json *o, const fab_spine_measures *s, int row, fab_error *err)
{
    const fab_vertebra *v = &s->vertebra[row];
    fab_json *h = NULL, *r = NULL;
    FAB_TRY(child(o, "heights_mm", &h, err));
    FAB_TRY(put(h, "anterior", v->height_front_mm, 2, err));
    FAB_TRY(put(h, "middle", v->height_middle_mm, 2, err));
    FAB_TRY(put(h, "posterior", v->height_back_mm, 2, err));
    FAB_TRY(put(h, "sigma", v->height_sigma_mm, 2, err));
    FAB_TRY(put(o, "width_mm", v->width_mm, 2, err));
    FAB_TRY(put(o, "depth_mm", v->depth_mm, 2, err));
    FAB_TRY(child(o, "ratios", &r, err));
    FAB_TRY(put(r, "wedge", v->height_front_mm / v->height_back_mm, 3, err));
    FAB_TRY(put(r, "biconcave", v->height_middle_mm / v->height_back_mm, 3, err));
    return put(r, "crush", crush_ratio(s, row), 3, err);
}

static fab_status put_density(fab_json *o, const fab_vertebra *v, fab_error *err)
{
    fab_json *d = NULL;
    if (isnan(v->hu_mean)) return fab_json_set(o, "trabecular_hu", fab_json_null(), err);
    FAB_TRY(child(o, "trabecular_hu", &d, err));
    FAB_TRY(put(d, "mean", v->hu_mean, 1, err));
    FAB_TRY(put(d, "sd", v->hu_sd, 1, err));
    return fab_json_set(d, "voxels", fab_json_int(v->hu_voxels), err);
}

static fab_status put_vertebra(fab_json *list, const fab_spine_measures *s, int row, fab_error *err)
{
    const fab_vertebra *v = &s->vertebra[row];
    fab_json *o = NULL, *axes = NULL;
    char name[24];
    FAB_TRY(row_of(list, &o, err));
    snprintf(name, sizeof name, "vertebrae_%s", v->level);
    FAB_TRY(text(o, "level", v->level, err));
    FAB_TRY(text(o, "name", name, err));
    FAB_TRY(flag(o, "measured", v->quality != FAB_MEASURE_NONE, err));
    FAB_TRY(text(o, "quality", fab_measure_quality_name(v->quality), err));
    FAB_TRY(text(o, "why", v->why, err));
    if (v->quality == FAB_MEASURE_NONE) return FAB_OK;
    FAB_TRY(vector(o, "centre_mm", v->centre, 2, err));
    FAB_TRY(child(o, "axes", &axes, err));
    FAB_TRY(vector(axes, "left", v->left, 5, err));
    FAB_TRY(vector(axes, "back", v->back, 5, err));
    FAB_TRY(vector(axes, "up", v->up, 5, err));
    FAB_TRY(put_plate(o, "endplate_upper", &v->upper, err));
    FAB_TRY(put_plate(o, "endplate_lower", &v->lower, err));
    FAB_TRY(put_shape(o, s, row, err));
    FAB_TRY(put(o, "axial_rotation_deg", v->rotation_deg, 1, err));
    FAB_TRY(put(o, "axial_rotation_by_canal_deg", v->rotation_canal_deg, 1, err));
    FAB_TRY(put(o, "coronal_tilt_deg", v->coronal_tilt_deg, 1, err));
    FAB_TRY(put(o, "sagittal_tilt_deg", v->sagittal_tilt_deg, 1, err));
    FAB_TRY(put_density(o, v, err));
    return put_canal(o, &v->canal, err);
}

/* ---- levels, curves, profile -------------------------------------------------------------- */

static fab_status put_disc(fab_json *list, const fab_disc_level *d, fab_error *err)
{
    fab_json *o = NULL, *h = NULL;
    FAB_TRY(row_of(list, &o, err));
    FAB_TRY(text(o, "level", d->name, err));
    FAB_TRY(flag(o, "measured", d->measured, err));
    FAB_TRY(text(o, "why", d->why, err));
    if (!d->measured) return FAB_OK;
    FAB_TRY(child(o, "heights_mm", &h, err));
    FAB_TRY(put(h, "anterior", d->height_front_mm, 2, err));
    FAB_TRY(put(h, "middle", d->height_middle_mm, 2, err));
    FAB_TRY(put(h, "posterior", d->height_back_mm, 2, err));
    FAB_TRY(put(h, "mean", (d->height_front_mm + d->height_middle_mm + d->height_back_mm) / 3, 2,
                err));
    FAB_TRY(put(h, "sigma", d->height_sigma_mm, 2, err));
    FAB_TRY(put(h, "by_disc_label", d->height_label_mm, 2, err));
    return put_canal(o, &d->canal, err);
}

static fab_status put_curve(fab_json *list, const fab_spine_measures *s, int index, fab_error *err)
{
    const fab_coronal_curve *c = &s->curve[index];
    fab_json *o = NULL;
    FAB_TRY(row_of(list, &o, err));
    FAB_TRY(text(o, "kind", index ? "secondary" : "main", err));
    FAB_TRY(put(o, "cobb_deg", c->cobb_deg, 1, err));
    FAB_TRY(put(o, "sigma_deg", c->sigma_deg, 1, err));
    FAB_TRY(text(o, "upper_end_vertebra", s->vertebra[c->upper].level, err));
    FAB_TRY(text(o, "lower_end_vertebra", s->vertebra[c->lower].level, err));
    const fab_vertebra *apex = c->apex < 0 ? NULL : &s->vertebra[c->apex];
    FAB_TRY(text(o, "apex", apex ? apex->level : "", err));
    FAB_TRY(put(o, "apical_rotation_deg", apex ? apex->rotation_deg : NAN, 1, err));
    FAB_TRY(text(o, "convex_side", c->convex_left ? "left" : "right", err));
    FAB_TRY(flag(o, "may_continue_above", c->open_above, err));
    return flag(o, "may_continue_below", c->open_below, err);
}

static fab_status put_angle(fab_json *o, const char *key, const fab_angle *a, fab_error *err)
{
    fab_json *p = NULL;
    FAB_TRY(child(o, key, &p, err));
    FAB_TRY(put(p, "deg", a->deg, 1, err));
    FAB_TRY(put(p, "sigma_deg", a->sigma_deg, 1, err));
    return text(p, "why", a->why, err);
}

static fab_status put_profile(fab_json *o, const fab_spine_measures *s, fab_error *err)
{
    FAB_TRY(put_angle(o, "largest_coronal_angle", &s->largest_coronal, err));
    FAB_TRY(put_angle(o, "lumbar_lordosis_L1_S1", &s->lordosis_l1_s1, err));
    FAB_TRY(put_angle(o, "thoracic_kyphosis_T4_T12", &s->kyphosis_t4_t12, err));
    FAB_TRY(put_angle(o, "thoracic_kyphosis_T5_T12", &s->kyphosis_t5_t12, err));
    FAB_TRY(put_angle(o, "sacral_slope", &s->sacral_slope, err));
    FAB_TRY(put_angle(o, "pelvic_tilt", &s->pelvic_tilt, err));
    FAB_TRY(put_angle(o, "pelvic_incidence", &s->pelvic_incidence, err));
    FAB_TRY(put(o, "sagittal_vertical_axis_mm", s->sagittal_vertical_axis_mm, 1, err));
    FAB_TRY(put(o, "coronal_balance_mm", s->coronal_balance_mm, 1, err));
    return text(o, "balance_why", s->balance_why, err);
}

static fab_status put_all(fab_json *o, const fab_spine_measures *s, fab_error *err)
{
    fab_json *list = NULL;
    FAB_TRY(fab_json_set(o, "format_version", fab_json_int(FORMAT_VERSION), err));
    FAB_TRY(text(o, "notice", "Research and training software. Not for diagnosis.", err));
    FAB_TRY(text(o, "space", "LPS mm, patient as scanned", err));
    list = fab_json_array();
    FAB_TRY(fab_json_set(o, "coronal_curves", list, err));
    for (int i = 0; i < s->curve_count; i++) FAB_TRY(put_curve(list, s, i, err));
    FAB_TRY(put_profile(o, s, err));
    list = fab_json_array();
    FAB_TRY(fab_json_set(o, "vertebrae", list, err));
    for (int i = 0; i < s->count; i++) FAB_TRY(put_vertebra(list, s, i, err));
    list = fab_json_array();
    FAB_TRY(fab_json_set(o, "discs", list, err));
    for (int i = 0; i < s->disc_count; i++) FAB_TRY(put_disc(list, &s->disc[i], err));
    if (!s->has_sacrum) return fab_json_set(o, "sacral_endplate", fab_json_null(), err);
    FAB_TRY(put_plate(o, "sacral_endplate", &s->sacrum, err));
    return put(o, "sacral_endplate_depth_mm", s->sacrum_depth_mm, 2, err);
}

fab_status fab_measure_spine_json(const fab_spine_measures *s, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    if (!o) FAB_FAIL(err, FAB_ERR_NOMEM, "measure: out of memory");
    FAB_TRY(put_all(o, s, err));
    *out = o;
    o = NULL;
    return FAB_OK;
}
