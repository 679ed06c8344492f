/* test_robust.c - other grids, worse labels, parts that are missing, memory that is not there. */
#include "patient.h"

/* Made once for each spacing and kept; no test changes them. 0 frees them all. */
static fab_phantom patient(double spacing)
{
    static struct { double spacing; fab_phantom p; } kept[4];
    for (int i = 0; i < 4; i++) {
        if (spacing > 0 && kept[i].spacing == spacing) return kept[i].p;
        if (spacing > 0 && kept[i].spacing > 0) continue;
        if (kept[i].spacing > 0) fab_phantom_free(&kept[i].p);
        kept[i].spacing = spacing;
        if (!(spacing > 0)) continue;
        fab_phantom_options o = spine_options(35, spacing);
        o.apex = 0;
        return kept[i].p = make_patient(&o);
    }
    return (fab_phantom){0};
}

/* The same voxels with axes k, i, j of which two run backwards. */
static fab_volume *permuted(const fab_volume *v)
{
    static const int from[3] = {2, 0, 1};
    static const bool flip[3] = {true, false, true};
    const fab_grid *g = fab_volume_grid(v);
    fab_grid to = *g;
    fab_error err;
    fab_volume *out = NULL;
    for (int r = 0; r < 3; r++) {
        to.world_from_voxel.m[r][3] = g->world_from_voxel.m[r][3];
        for (int a = 0; a < 3; a++) {
            double step = g->world_from_voxel.m[r][from[a]];
            to.size[a] = g->size[from[a]];
            to.world_from_voxel.m[r][a] = flip[a] ? -step : step;
            if (flip[a]) to.world_from_voxel.m[r][3] += step * (to.size[a] - 1);
        }
    }
    CHECK_OK(fab_volume_resample(v, &to, FAB_NEAREST, 0, &out, &err));
    return out;
}

static void close_to(const fab_spine_measures *a, const fab_spine_measures *b, double angle,
                     double mm, double area)
{
    CHECK(a->count == b->count && a->curve_count >= 1 && b->curve_count >= 1);
    CHECK_NEAR(a->curve[0].cobb_deg, b->curve[0].cobb_deg, angle);
    CHECK_NEAR(a->lordosis_l1_s1.deg, b->lordosis_l1_s1.deg, angle);
    CHECK_NEAR(a->kyphosis_t5_t12.deg, b->kyphosis_t5_t12.deg, angle);
    for (int i = 0; i < a->count; i++) {
        const fab_vertebra *u = &a->vertebra[i], *v = &b->vertebra[i];
        if (u->quality == FAB_MEASURE_NONE || u->level[0] == 'C') continue;
        CHECK_NEAR(u->rotation_deg, v->rotation_deg, angle);
        CHECK_NEAR(u->height_front_mm, v->height_front_mm, mm);
        CHECK_NEAR(u->height_middle_mm, v->height_middle_mm, mm);
        CHECK_NEAR(u->width_mm, v->width_mm, mm);
        CHECK_NEAR(u->canal.area_mm2, v->canal.area_mm2, area * v->canal.area_mm2);
    }
}

static void permuted_grids_give_the_same_numbers(void)
{
    fab_phantom p = patient(2.5);
    fab_volume *turned = permuted(p.labels);
    fab_spine_measures a = measured(&p), b = measured_on(turned, &p.set, p.image);
    close_to(&a, &b, 0.01, 0.01, 1e-4);
    CHECK_NEAR(a.vertebra[8].hu_mean, b.vertebra[8].hu_mean, 0.1); /* image on its own grid */
    fab_volume_unref(turned);
}

static void oblique_grids_give_nearly_the_same(void)
{
    fab_phantom p = patient(1.5);
    fab_grid g = *fab_volume_grid(p.labels);
    fab_volume *turned = NULL;
    fab_error err;
    double a = 17 / DEG, c = cos(a), s = sin(a), low[3] = {-140, -240, -60};
    const double turn[3][3] = {{c, -s * c, s * s}, {s, c * c, -s * c}, {0, s, c}};
    for (int k = 0; k < 3; k++) g.size[k] = k == 2 ? 390 : 240;
    for (int r = 0; r < 3; r++) {
        g.world_from_voxel.m[r][3] = 0;
        for (int k = 0; k < 3; k++) {
            g.world_from_voxel.m[r][k] = 1.5 * turn[r][k];
            g.world_from_voxel.m[r][3] += turn[r][k] * low[k];
        }
    }
    CHECK_OK(fab_volume_resample(p.labels, &g, FAB_NEAREST, 0, &turned, &err));
    fab_spine_measures first = measured(&p), second = measured_on(turned, &p.set, p.image);
    CHECK(first.count == second.count);
    CHECK(compare(&second, &p).rotation_deg < 3);
    check_cobb(&second, &p, 3);
    close_to(&first, &second, 3, 1.6, 0.05);
    fab_volume_unref(turned);
}

/* ---- worse labels ------------------------------------------------------------------------ */

typedef int (*change_fn)(int here, const int beside[6], fab_rng *rng);

static fab_volume *changed(const fab_volume *v, change_fn change)
{
    const fab_grid *g = fab_volume_grid(v);
    fab_volume *out = NULL;
    fab_error err;
    fab_rng rng;
    fab_rng_seed(&rng, 5, 1);
    CHECK_OK(fab_volume_convert(v, FAB_U8, &out, &err));
    if (fab_volume_data_mut(out) == NULL || fab_volume_data(out) == fab_volume_data(v)) {
        fab_volume_unref(out);
        CHECK_OK(fab_volume_create(g, FAB_U8, &out, &err));
    }
    uint8_t *to = fab_volume_data_mut(out);
    int64_t at = 0;
    const int32_t *n = g->size;
    for (int32_t k = 0; k < n[2]; k++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t i = 0; i < n[0]; i++, at++) {
                int here = (int)fab_volume_at(v, at), beside[6] = {here, here, here,
                                                                   here, here, here};
                int64_t step[3] = {1, n[0], (int64_t)n[0] * n[1]};
                int32_t q[3] = {i, j, k};
                for (int a = 0; a < 3; a++) {
                    if (q[a] > 0) beside[2 * a] = (int)fab_volume_at(v, at - step[a]);
                    if (q[a] < n[a] - 1) beside[2 * a + 1] = (int)fab_volume_at(v, at + step[a]);
                }
                to[at] = (uint8_t)change(here, beside, &rng);
            }
    return out;
}

static int erode(int here, const int beside[6], fab_rng *rng)
{
    (void)rng;
    for (int i = 0; i < 6; i++)
        if (beside[i] != here) return 0;
    return here;
}

/* Vertebrae (values 26 to 49 and L6) grow into everything else. */
static int dilate(int here, const int beside[6], fab_rng *rng)
{
    (void)rng;
    if (here >= 26 && here <= 49) return here;
    for (int i = 0; i < 6; i++)
        if (beside[i] >= 26 && beside[i] <= 49) return beside[i];
    return here;
}

static int jag(int here, const int beside[6], fab_rng *rng)
{
    bool border = false;
    for (int i = 0; i < 6; i++) border = border || beside[i] != here;
    if (!border || fab_rng_uniform(rng) > 0.3) return here;
    return beside[fab_rng_u32(rng) % 6];
}

static fab_spine_measures with(const fab_phantom *p, change_fn change, const fab_volume *image)
{
    fab_volume *worse = changed(p->labels, change);
    fab_spine_measures s = measured_on(worse, &p->set, image);
    fab_volume_unref(worse);
    return s;
}

static void check_heights(const fab_spine_measures *s, const fab_phantom *p, double most_percent)
{
    worst w = compare(s, p);
    CHECK(w.height_percent < most_percent);
    CHECK(w.tilt_deg < 3);
}

static void eroded_and_dilated_labels_keep_their_angles(void)
{
    fab_phantom p = patient(1.5);
    fab_spine_measures was = measured_on(p.labels, &p.set, NULL);
    fab_spine_measures less = with(&p, erode, NULL), more = with(&p, dilate, NULL);
    check_cobb(&less, &p, 3);
    check_cobb(&more, &p, 3);
    CHECK(compare(&less, &p).rotation_deg < 3);
    CHECK(compare(&more, &p).rotation_deg < 3);
    for (int i = 0; i < was.count; i++) { /* sizes follow, by a voxel a side */
        if (was.vertebra[i].level[0] == 'C') continue;
        double h = was.vertebra[i].height_back_mm;
        CHECK(less.vertebra[i].height_back_mm < h && less.vertebra[i].height_back_mm > h - 5);
        CHECK(more.vertebra[i].height_back_mm > h && more.vertebra[i].height_back_mm < h + 5);
    }
    less = with(&p, erode, p.image), more = with(&p, dilate, p.image); /* the image knows better */
    check_heights(&less, &p, 3);
    check_heights(&more, &p, 3);
}

static void jagged_labels(void)
{
    fab_phantom p = patient(1.5);
    fab_spine_measures s = with(&p, jag, p.image);
    worst w = compare(&s, &p);
    check_cobb(&s, &p, 3);
    CHECK(w.rotation_deg < 3);
    CHECK(w.height_percent < 3);
    CHECK(w.canal_percent < 6);
    CHECK_NEAR(s.lordosis_l1_s1.deg, truth_of(p.truth, "lordosis_L1_S1_deg"), 3);
}

static void three_millimetre_voxels(void)
{
    fab_phantom p = patient(3);
    fab_spine_measures s = measured(&p);
    check_cobb(&s, &p, 3);
    CHECK(compare(&s, &p).rotation_deg < 3);
    for (int i = 0; i < s.count; i++) { /* what is wrong is at least admitted */
        const fab_vertebra *v = &s.vertebra[i];
        const fab_json *t = truth_level(&p, v->level);
        if (v->quality == FAB_MEASURE_NONE || v->level[0] == 'C') continue;
        CHECK(fabs(tilt_of(&v->upper, false) - truth_tilt(t, "endplate_upper", false)) <
              3 * v->upper.sigma_deg);
        CHECK(fabs(tilt_of(&v->lower, false) - truth_tilt(t, "endplate_lower", false)) <
              3 * v->lower.sigma_deg);
    }
}

/* ---- missing parts ----------------------------------------------------------------------- */

static void what_the_scan_cuts_is_not_measured(void)
{
    fab_phantom_options o = spine_options(0, 2.5);
    o.range_mm[0] = 55, o.range_mm[1] = 255; /* cuts L4 and T10 */
    fab_phantom p = make_patient(&o);
    fab_spine_measures s = measured(&p);
    CHECK(s.count >= 5 && !s.has_sacrum);
    const fab_vertebra *low = &s.vertebra[s.count - 1], *top = &s.vertebra[0];
    CHECK(low->quality == FAB_MEASURE_NONE && strstr(low->why, "edge of the scan"));
    CHECK(top->quality == FAB_MEASURE_NONE && strstr(top->why, "edge of the scan"));
    CHECK(isnan(s.lordosis_l1_s1.deg) && strstr(s.lordosis_l1_s1.why, "sacral"));
    CHECK(isnan(s.kyphosis_t4_t12.deg) && strstr(s.kyphosis_t4_t12.why, "T4"));
    CHECK(isnan(s.sagittal_vertical_axis_mm) && s.balance_why[0]);
    CHECK(vertebra_of(&s, "L2")->quality >= FAB_MEASURE_FAIR);
    fab_phantom_free(&p);
}

static void without_canal_discs_and_image(void)
{
    fab_phantom p = patient(2.5);
    fab_label_set few = {0};
    fab_error err;
    for (size_t i = 0; i < p.set.count; i++)
        if (!strncmp(p.set.items[i].name, "vertebrae_", 10) &&
            strcmp(p.set.items[i].name, "vertebrae_T12"))
            CHECK_OK(fab_label_set_add(&few, p.set.items[i].value, p.set.items[i].name, &err));
    fab_spine_measures s = measured_on(p.labels, &few, NULL);
    CHECK(row_of_level(&s, "T12") < 0 && row_of_level(&s, "L1") > 0);
    CHECK(isnan(vertebra_of(&s, "L1")->hu_mean) && !vertebra_of(&s, "L1")->canal.measured);
    CHECK(isnan(vertebra_of(&s, "L1")->rotation_canal_deg));
    CHECK(isnan(disc_of(&s, "L1_L2")->height_label_mm) && disc_of(&s, "L1_L2")->measured);
    CHECK(isnan(s.pelvic_incidence.deg) && s.pelvic_incidence.why[0]);
    CHECK_NEAR(vertebra_of(&s, "L2")->rotation_deg,
               truth_of(truth_level(&p, "L2"), "axial_rotation_deg"), 3);
    fab_label_set_free(&few);
}

static void the_pelvis(void)
{
    fab_phantom_options o = spine_options(0, 3);
    o.fov_mm[0] = 320, o.fov_mm[1] = 260;
    o.range_mm[0] = -210, o.range_mm[1] = 180;
    fab_phantom p = make_patient(&o);
    fab_spine_measures s = measured(&p);
    fprintf(stderr, "pelvic incidence %.1f, tilt %.1f, slope %.1f %s\n", s.pelvic_incidence.deg,
            s.pelvic_tilt.deg, s.sacral_slope.deg, s.pelvic_incidence.why);
    CHECK_NEAR(s.pelvic_incidence.deg, s.pelvic_tilt.deg + s.sacral_slope.deg, 1e-9);
    CHECK(s.pelvic_incidence.deg > 30 && s.pelvic_incidence.deg < 75);
    fab_phantom_free(&p);
}

static void nothing_to_measure(void)
{
    fab_grid g = {.size = {8, 8, 8}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 2;
    fab_volume *v = NULL, *wrong = NULL;
    fab_label_set set = {0};
    fab_error err;
    fab_spine_measures s;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    memset(fab_volume_data_mut(v), 0, fab_volume_bytes(v));
    CHECK_OK(fab_label_set_add(&set, 7, "vertebrae_L3", &err));
    CHECK_OK(fab_measure_spine(v, &set, NULL, NULL, &s, &err));
    CHECK(s.count == 0 && s.curve_count == 0 && isnan(s.largest_coronal.deg));
    ((uint8_t *)fab_volume_data_mut(v))[100] = 7; /* a crumb */
    CHECK_OK(fab_measure_spine(v, &set, NULL, NULL, &s, &err));
    CHECK(s.count == 1 && s.vertebra[0].quality == FAB_MEASURE_NONE && s.vertebra[0].why[0]);
    memset(fab_volume_data_mut(v), 7, fab_volume_bytes(v)); /* all of it, to every edge */
    CHECK_OK(fab_measure_spine(v, &set, NULL, NULL, &s, &err));
    CHECK(s.count == 1 && s.vertebra[0].quality == FAB_MEASURE_NONE);
    CHECK_OK(fab_volume_create(&g, FAB_F32, &wrong, &err));
    CHECK_FAILS(FAB_ERR_ARG, "float32", fab_measure_spine(wrong, &set, NULL, NULL, &s, &err));
    fab_volume_unref(v);
    fab_volume_unref(wrong);
    fab_label_set_free(&set);
}

/* ---- JSON, memory, real labels ----------------------------------------------------------- */

static void as_json(void)
{
    fab_phantom p = patient(3);
    fab_spine_measures s = measured(&p);
    fab_json *o = NULL;
    fab_error err;
    CHECK_OK(fab_measure_spine_json(&s, &o, &err));
    CHECK(fab_json_count(fab_json_find(o, "vertebrae")) == (size_t)s.count);
    const fab_json *curve = fab_json_at(fab_json_find(o, "coronal_curves"), 0);
    CHECK_NEAR(fab_json_number(fab_json_find(curve, "cobb_deg")), s.curve[0].cobb_deg, 0.051);
    CHECK(!strcmp(fab_json_text(fab_json_find(curve, "apex")),
                  s.vertebra[s.curve[0].apex].level));
    const fab_json *pi = fab_json_find(o, "pelvic_incidence");
    CHECK(fab_json_is_null(fab_json_find(pi, "deg")) && fab_json_text(fab_json_find(pi, "why")));
    fab_json_free(o);
}

static fab_status measure_and_write(void *ctx)
{
    const fab_phantom *p = ctx;
    fab_error err;
    fab_spine_measures s;
    fab_json *o = NULL;
    FAB_TRY(fab_measure_spine(p->labels, &p->set, p->image, NULL, &s, &err));
    FAB_TRY(fab_measure_spine_json(&s, &o, &err));
    fab_json_free(o);
    return FAB_OK;
}

static void out_of_memory(void)
{
    fab_phantom_options o = spine_options(0, 5);
    o.range_mm[0] = 60, o.range_mm[1] = 150;
    fab_phantom p = make_patient(&o);
    fab_test_torture(measure_and_write, &p);
    fab_phantom_free(&p);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(permuted_grids_give_the_same_numbers), TEST(oblique_grids_give_nearly_the_same),
        TEST(eroded_and_dilated_labels_keep_their_angles), TEST(jagged_labels),
        TEST(three_millimetre_voxels), TEST(what_the_scan_cuts_is_not_measured),
        TEST(without_canal_discs_and_image), TEST(the_pelvis), TEST(nothing_to_measure),
        TEST(as_json), TEST(out_of_memory)};
    const int status = fab_test_run(tests, sizeof tests / sizeof *tests);
    (void)patient(0);
    return status;
}
