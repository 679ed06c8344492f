/* patient.h - phantoms of the spine alone, and what is known about them. All inline: CHECK jumps
 * to the test program that includes it. */
#ifndef TEST_MEASURE_PATIENT_H
#define TEST_MEASURE_PATIENT_H

#include "fabrica/measure.h"
#include "fabrica/phantom.h"
#include "harness.h"

/* How wrong the vertebrae T2 to L5 are at worst. */
typedef struct worst {
    double tilt_deg, rotation_deg, height_percent, width_percent, canal_percent, centre_mm;
} worst;

#define DEG (180 / 3.14159265358979323846)

/* A trunk 200 mm wide from below the sacral endplate to above T1 on cubes of `spacing` mm. */
static inline fab_phantom_options spine_options(double cobb_deg, double spacing)
{
    fab_phantom_options o;
    fab_phantom_options_default(&o);
    o.cobb_deg = cobb_deg;
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = spacing;
    o.slice_thickness_mm = spacing;
    o.fov_mm[0] = 200, o.fov_mm[1] = 220;
    o.range_mm[0] = -60, o.range_mm[1] = 500;
    o.noise_hu = 0;
    return o;
}

static inline fab_phantom make_patient(const fab_phantom_options *o)
{
    fab_phantom p = {0};
    fab_error err;
    CHECK_OK(fab_phantom_make(o, &p, &err));
    return p;
}

static inline fab_spine_measures measured_on(const fab_volume *labels, const fab_label_set *set,
                                    const fab_volume *image)
{
    fab_spine_measures s;
    fab_error err;
    CHECK_OK(fab_measure_spine(labels, set, image, NULL, &s, &err));
    return s;
}

static inline fab_spine_measures measured(const fab_phantom *p)
{
    return measured_on(p->labels, &p->set, p->image);
}

static inline double truth_of(const fab_json *o, const char *key)
{
    const fab_json *v = fab_json_find(o, key);
    if (!fab_json_is_number(v)) fprintf(stderr, "no %s\n", key);
    CHECK(fab_json_is_number(v));
    return fab_json_number(v);
}

static inline const fab_json *truth_level(const fab_phantom *p, const char *level)
{
    const fab_json *list = fab_json_find(p->truth, "vertebrae");
    for (size_t i = 0; i < fab_json_count(list); i++)
        if (!strcmp(fab_json_text(fab_json_find(fab_json_at(list, i), "level")), level))
            return fab_json_at(list, i);
    CHECK(!"level in the truth");
    return NULL;
}

static inline double truth_tilt(const fab_json *level, const char *endplate, bool coronal)
{
    const fab_json *n = fab_json_find(fab_json_find(level, endplate), "normal");
    CHECK(fab_json_count(n) == 3);
    return DEG * atan2(fab_json_number(fab_json_at(n, coronal ? 0 : 1)),
                       fab_json_number(fab_json_at(n, 2)));
}

static inline double tilt_of(const fab_endplate *e, bool coronal)
{
    return DEG * atan2(e->normal[coronal ? 0 : 1], e->normal[2]);
}

static inline int row_of_level(const fab_spine_measures *s, const char *level)
{
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->vertebra[i].level, level)) return i;
    return -1;
}

static inline const fab_vertebra *vertebra_of(const fab_spine_measures *s, const char *level)
{
    int row = row_of_level(s, level);
    if (row < 0) fprintf(stderr, "no %s\n", level);
    CHECK(row >= 0);
    return &s->vertebra[row];
}

static inline const fab_disc_level *disc_of(const fab_spine_measures *s, const char *name)
{
    for (int i = 0; i < s->disc_count; i++)
        if (!strcmp(s->disc[i].name, name)) return &s->disc[i];
    fprintf(stderr, "no disc %s\n", name);
    CHECK(!"disc found");
    return NULL;
}

static inline void widen(double *most, double value)
{
    if (!(value <= *most)) *most = value; /* NaN counts */
}

static inline double percent(double is, double should) { return 100 * fabs(is / should - 1); }

static inline worst compare(const fab_spine_measures *s, const fab_phantom *p)
{
    static const char *const plates[] = {"endplate_upper", "endplate_lower"};
    static const char *const heights[] = {"height_front_mm", "height_mid_mm", "height_back_mm"};
    worst w = {0};
    for (int i = 0; i < s->count; i++) {
        const fab_vertebra *v = &s->vertebra[i];
        if (v->level[0] == 'C' || !strcmp(v->level, "T1")) continue;
        if (v->quality == FAB_MEASURE_NONE) fprintf(stderr, "%s: %s\n", v->level, v->why);
        CHECK(v->quality != FAB_MEASURE_NONE);
        const fab_json *t = truth_level(p, v->level), *b = fab_json_find(t, "body");
        const fab_endplate *e[2] = {&v->upper, &v->lower};
        for (int k = 0; k < 4; k++)
            widen(&w.tilt_deg,
                  fabs(tilt_of(e[k / 2], k % 2) - truth_tilt(t, plates[k / 2], k % 2)));
        widen(&w.rotation_deg, fabs(v->rotation_deg - truth_of(t, "axial_rotation_deg")));
        double share = strcmp(v->level, "T2") ? 1 : 0.7; /* the arch runs into its plates behind */
        const double height[3] = {v->height_front_mm, v->height_middle_mm, v->height_back_mm};
        for (int k = 0; k < 3; k++)
            widen(&w.height_percent, share * percent(height[k], truth_of(b, heights[k])));
        widen(&w.width_percent, percent(v->width_mm, truth_of(b, "width_mm")));
        widen(&w.width_percent, percent(v->depth_mm, truth_of(b, "depth_mm")));
        widen(&w.canal_percent, percent(v->canal.area_mm2, truth_of(t, "canal_area_mm2")));
        double far = 0;
        for (size_t a = 0; a < 3; a++) {
            double c = fab_json_number(fab_json_at(fab_json_find(t, "centre"), a));
            far += (c - v->centre[a]) * (c - v->centre[a]);
        }
        widen(&w.centre_mm, sqrt(far));
    }
    fprintf(stderr, "worst: tilt %.2f deg, rotation %.2f deg, height %.1f %%, width %.1f %%, "
            "canal %.1f %%, centre %.2f mm\n", w.tilt_deg, w.rotation_deg, w.height_percent,
            w.width_percent, w.canal_percent, w.centre_mm);
    return w;
}

static inline void near_level(const fab_spine_measures *s, int row, const char *level)
{
    int should = row_of_level(s, level);
    CHECK(should >= 0);
    CHECK(abs(row - should) <= 1);
}

static inline void check_cobb(const fab_spine_measures *s, const fab_phantom *p,
                              double tolerance_deg)
{
    double truth = truth_of(p->truth, "cobb_deg");
    if (truth < 10) {
        CHECK(s->curve_count == 0);
        CHECK(s->largest_coronal.deg < 8);
        return;
    }
    CHECK(s->curve_count >= 1);
    const fab_coronal_curve *c = &s->curve[0];
    fprintf(stderr, "Cobb %.1f, asked for %.1f\n", c->cobb_deg, truth);
    CHECK_NEAR(c->cobb_deg, truth, tolerance_deg);
    near_level(s, c->upper, fab_json_text(fab_json_find(p->truth, "end_vertebra_upper")));
    near_level(s, c->lower, fab_json_text(fab_json_find(p->truth, "end_vertebra_lower")));
    near_level(s, c->apex, fab_json_text(fab_json_find(p->truth, "apex")));
    bool left = !strcmp(fab_json_text(fab_json_find(p->truth, "convex_side")), "left");
    CHECK(c->convex_left == left);
}

#endif
