/* test_truth.c - measurements against phantoms whose numbers are known from their formulas. */
#include "patient.h"

static void check_profile(const fab_spine_measures *s, const fab_phantom *p)
{
    fprintf(stderr, "lordosis %.1f (%.1f), kyphosis %.1f (%.1f), slope %.1f (%.1f)\n",
            s->lordosis_l1_s1.deg, truth_of(p->truth, "lordosis_L1_S1_deg"),
            s->kyphosis_t4_t12.deg, truth_of(p->truth, "kyphosis_T4_T12_deg"),
            s->sacral_slope.deg, truth_of(p->truth, "sacral_slope_deg"));
    CHECK_NEAR(s->lordosis_l1_s1.deg, truth_of(p->truth, "lordosis_L1_S1_deg"), 3);
    CHECK_NEAR(s->kyphosis_t4_t12.deg, truth_of(p->truth, "kyphosis_T4_T12_deg"), 3);
    CHECK_NEAR(s->sacral_slope.deg, truth_of(p->truth, "sacral_slope_deg"), 3);
}

/* A disc's front, middle and back, each for itself: the worst from T4 down (higher up, arches run
 * into the plates behind), percent. */
static double worst_disc_height(const fab_spine_measures *s, const fab_phantom *p)
{
    double most = 0;
    int compared = 0;
    for (int i = 0; i < s->disc_count; i++) {
        const fab_disc_level *d = &s->disc[i];
        const char *level = s->vertebra[d->above].level;
        if (!d->measured || d->above < row_of_level(s, "T4")) continue;
        const fab_json *h = fab_json_find(truth_level(p, level), "disc_below_heights_mm");
        widen(&most, percent(d->height_front_mm, truth_of(h, "front")));
        widen(&most, percent(d->height_middle_mm, truth_of(h, "middle")));
        widen(&most, percent(d->height_back_mm, truth_of(h, "back")));
        compared++;
    }
    fprintf(stderr, "%d discs, worst height %.1f %%\n", compared, most);
    CHECK(compared > 0);
    return most;
}

static void check_discs(const fab_spine_measures *s, const fab_phantom *p, double tolerance_mm)
{
    for (int i = 0; i < s->disc_count; i++) {
        const fab_disc_level *d = &s->disc[i];
        const fab_json *t = truth_level(p, s->vertebra[d->above].level);
        const fab_json *h = fab_json_find(t, "disc_below_heights_mm");
        if (s->vertebra[d->above].level[0] == 'C') continue;
        CHECK(d->measured);
        CHECK_NEAR(d->height_front_mm, truth_of(h, "front"), tolerance_mm);
        CHECK_NEAR(d->height_middle_mm, truth_of(h, "middle"), tolerance_mm);
        CHECK_NEAR(d->height_back_mm, truth_of(h, "back"), tolerance_mm);
        CHECK_NEAR(d->height_label_mm, d->height_front_mm / 3 + d->height_middle_mm / 3 +
                                           d->height_back_mm / 3, 1.5);
        double area = truth_of(t, "canal_area_disc_below_mm2");
        CHECK_NEAR(d->canal.area_mm2, area, 0.065 * area);
        CHECK(d->canal.quality >= FAB_MEASURE_FAIR && d->canal.border_seen > 0.3);
        CHECK_NEAR(d->canal.ap_mm, truth_of(t, "canal_ap_disc_below_mm"), 1.2);
        CHECK_NEAR(d->canal.transverse_mm, truth_of(t, "canal_transverse_disc_below_mm"), 2.5);
    }
}

static void a_curve(double cobb_deg, double apex, int side)
{
    fab_phantom_options o = spine_options(cobb_deg, 2);
    o.apex = apex, o.convex_side = side;
    fab_phantom p = make_patient(&o);
    fab_spine_measures s = measured(&p);
    worst w = compare(&s, &p);
    check_cobb(&s, &p, 3);
    check_profile(&s, &p);
    check_discs(&s, &p, 0.45);
    CHECK(worst_disc_height(&s, &p) < 5.5);
    CHECK(w.rotation_deg < 3);
    CHECK(w.tilt_deg < 3.5); /* of a single endplate seen from the side, along the slices */
    CHECK(w.canal_percent < 6);
    CHECK(w.width_percent < 6);
    CHECK(w.height_percent < 3);
    CHECK(w.centre_mm < 1.5);
    fab_phantom_free(&p);
}

static void straight(void) { a_curve(0, NAN, 0); }
static void twenty_degrees(void) { a_curve(20, 0, 1); }
static void forty_five_degrees(void) { a_curve(45, 4, -1); }
static void seventy_degrees(void) { a_curve(70, -1, 0); }

static void on_one_millimetre(void)
{
    fab_phantom_options o = spine_options(45, 1);
    o.apex = 0;
    o.fov_mm[0] = 150, o.fov_mm[1] = 180;
    o.range_mm[0] = 60, o.range_mm[1] = 210;
    fab_phantom p = make_patient(&o);
    fab_spine_measures s = measured(&p);
    CHECK(worst_disc_height(&s, &p) < 3);
    for (int i = 0; i < s.count; i++) /* the range cuts those at its ends */
        if (s.vertebra[i].quality == FAB_MEASURE_NONE) {
            CHECK(strstr(s.vertebra[i].why, "edge of the scan"));
            CHECK(i <= 1 || i >= s.count - 2);
            memmove(&s.vertebra[i], &s.vertebra[i + 1],
                    (size_t)(s.count - i - 1) * sizeof s.vertebra[0]);
            s.count--, i--;
        }
    worst w = compare(&s, &p);
    CHECK(w.tilt_deg < 3);
    CHECK(w.rotation_deg < 1.5);
    CHECK(w.height_percent < 2);
    CHECK(w.width_percent < 5);
    CHECK(w.canal_percent < 5);
    for (int i = 0; i < s.count; i++)
        CHECK_NEAR(s.vertebra[i].hu_mean, truth_of(p.truth, "cancellous_hu"),
                   0.05 * truth_of(p.truth, "cancellous_hu"));
    fab_phantom_free(&p);
}

/* Slices and noise as of a clinical CT. */
static void on_usual_slices(void)
{
    fab_phantom_options o = spine_options(45, 1);
    o.spacing_mm[2] = o.slice_thickness_mm = 2.5;
    o.apex = 0, o.noise_hu = 15, o.seed = 11;
    o.fov_mm[0] = 150, o.fov_mm[1] = 180;
    o.range_mm[0] = -30, o.range_mm[1] = 240;
    fab_phantom p = make_patient(&o);
    fab_spine_measures s = measured(&p);
    CHECK(worst_disc_height(&s, &p) < 4);
    fab_phantom_free(&p);
}

static void other_profiles(void)
{
    static const double ask[3][2] = {{25, 20}, {60, 30}, {50, 60}};
    for (int i = 0; i < 3; i++) {
        fab_phantom_options o = spine_options(0, 2.5);
        o.lordosis_deg = ask[i][0], o.kyphosis_deg = ask[i][1], o.seed = 3 + (uint64_t)i;
        fab_phantom p = make_patient(&o);
        fab_spine_measures s = measured(&p);
        check_profile(&s, &p);
        fab_phantom_free(&p);
    }
}

static void stenosis_narrows_its_level(void)
{
    double before = INFINITY;
    for (int i = 0; i < 3; i++) {
        fab_phantom_options o = spine_options(0, 1.5);
        o.stenosis = 0.5 * i, o.stenosis_level = 4;
        o.fov_mm[0] = 140, o.fov_mm[1] = 180;
        o.range_mm[0] = -10, o.range_mm[1] = 170;
        fab_phantom p = make_patient(&o);
        fab_spine_measures s = measured(&p);
        const fab_vertebra *v = vertebra_of(&s, "L4");
        double area = truth_of(truth_level(&p, "L4"), "canal_area_mm2");
        fprintf(stderr, "canal at L4: %.0f mm2 (%.0f), at L2 %.0f\n", v->canal.area_mm2, area,
                vertebra_of(&s, "L2")->canal.area_mm2);
        CHECK_NEAR(v->canal.area_mm2, area, (i == 2 ? 0.13 : 0.06) * area);
        CHECK(v->canal.area_mm2 < before - 40);
        before = v->canal.area_mm2;
        double other = truth_of(truth_level(&p, "L2"), "canal_area_mm2");
        CHECK_NEAR(vertebra_of(&s, "L2")->canal.area_mm2, other, 0.05 * other);
        fab_phantom_free(&p);
    }
}

static void other_numbers_of_lumbar_vertebrae(void)
{
    for (int count = 4; count <= 6; count += 2) {
        fab_phantom_options o = spine_options(30, 2.5);
        o.lumbar_count = count;
        o.range_mm[1] = 280;
        fab_phantom p = make_patient(&o);
        fab_spine_measures s = measured(&p);
        CHECK(row_of_level(&s, count == 4 ? "L5" : "L7") < 0);
        CHECK(disc_of(&s, count == 4 ? "L4_S1" : "L6_S1")->measured);
        CHECK_NEAR(s.lordosis_l1_s1.deg, truth_of(p.truth, "lordosis_L1_S1_deg"), 3);
        fab_phantom_free(&p);
    }
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(straight), TEST(twenty_degrees), TEST(forty_five_degrees), TEST(seventy_degrees),
        TEST(on_one_millimetre), TEST(on_usual_slices), TEST(other_profiles),
        TEST(stenosis_narrows_its_level), TEST(other_numbers_of_lumbar_vertebrae)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
