/* test_phantom.c - the synthetic patient: same seed same bytes, its truth, and its anatomy. */
#include "harness.h"

#include "phantom_internal.h"

static fab_phantom_options coarse(uint64_t seed)
{
    fab_phantom_options o;
    fab_phantom_options_default(&o);
    o.seed = seed;
    o.spacing_mm[0] = o.spacing_mm[1] = 3;
    o.spacing_mm[2] = o.slice_thickness_mm = 4;
    return o;
}

static fab_phantom make(const fab_phantom_options *o)
{
    fab_phantom p = {0};
    fab_error err;
    CHECK_OK(fab_phantom_make(o, &p, &err));
    return p;
}

static int value_of(const fab_phantom *p, const char *name)
{
    const fab_label *l = fab_label_set_by_name(&p->set, name);
    if (!l) fprintf(stderr, "no label %s\n", name);
    CHECK(l);
    return l->value;
}

static void stats_of(const fab_phantom *p, fab_label_stats stats[256])
{
    fab_error err;
    CHECK_OK(fab_labels_stats(p->labels, 256, stats, &err));
}

static double number(const fab_json *o, const char *key)
{
    CHECK(fab_json_is_number(fab_json_find(o, key)));
    return fab_json_number(fab_json_find(o, key));
}

static void vec(const fab_json *o, const char *key, double v[3])
{
    const fab_json *a = fab_json_find(o, key);
    CHECK(fab_json_count(a) == 3);
    for (size_t i = 0; i < 3; i++) v[i] = fab_json_number(fab_json_at(a, i));
}

static const fab_json *level(const fab_phantom *p, const char *name)
{
    const fab_json *list = fab_json_find(p->truth, "vertebrae");
    for (size_t i = 0; i < fab_json_count(list); i++)
        if (!strcmp(fab_json_text(fab_json_find(fab_json_at(list, i), "level")), name))
            return fab_json_at(list, i);
    return NULL;
}

static bool same(const fab_phantom *a, const fab_phantom *b)
{
    return fab_volume_bytes(a->image) == fab_volume_bytes(b->image) &&
           !memcmp(fab_volume_data(a->image), fab_volume_data(b->image),
                   fab_volume_bytes(a->image)) &&
           !memcmp(fab_volume_data(a->labels), fab_volume_data(b->labels),
                   fab_volume_bytes(a->labels));
}

static void same_seed_same_bytes_on_any_thread_count(void)
{
    fab_phantom_options o = coarse(11);
    o.cobb_deg = 30;
    o.range_mm[0] = -20, o.range_mm[1] = 180;
    int before = fab_threads_get();
    fab_threads_set(1);
    fab_phantom a = make(&o);
    fab_threads_set(3);
    fab_phantom b = make(&o);
    fab_threads_set(before);
    CHECK(same(&a, &b));
    o.seed = 12;
    fab_phantom c = make(&o);
    CHECK(!same(&a, &c));
    fab_phantom_free(&a);
    fab_phantom_free(&b);
    fab_phantom_free(&c);
}

/* Independently of the builder: the largest coronal angle between the endplates in the truth. */
static double cobb_of(const fab_phantom *p)
{
    const fab_json *list = fab_json_find(p->truth, "vertebrae");
    double best = 0, n[3];
    for (size_t i = 1; i < fab_json_count(list); i++)
        for (size_t j = i + 1; j < fab_json_count(list); j++) {
            vec(fab_json_find(fab_json_at(list, i), "endplate_upper"), "normal", n);
            double upper = atan2(n[0], n[2]);
            vec(fab_json_find(fab_json_at(list, j), "endplate_lower"), "normal", n);
            best = fmax(best, fabs(upper - atan2(n[0], n[2])));
        }
    return best * 180 / acos(-1);
}

static void cobb_is_what_was_asked(void)
{
    static const double ask[] = {0, 12, 35, 70};
    for (uint64_t seed = 1; seed <= 4; seed++)
        for (size_t i = 0; i < 4; i++) {
            fab_phantom_options o = coarse(seed);
            o.cobb_deg = ask[i];
            o.range_mm[0] = 0, o.range_mm[1] = 8;
            fab_phantom p = make(&o);
            CHECK_NEAR(cobb_of(&p), ask[i], 0.5);
            CHECK_NEAR(number(p.truth, "cobb_deg"), ask[i], 0.5);
            fab_phantom_free(&p);
        }
}

/* Bodies turn to the convex side, spinous processes to the concave one. */
static void rotation_goes_with_the_curve(void)
{
    for (int side = -1; side <= 1; side += 2) {
        fab_phantom_options o = coarse(5);
        o.cobb_deg = 50, o.convex_side = side, o.apex = 0;
        o.range_mm[0] = 0, o.range_mm[1] = 8;
        fab_phantom p = make(&o);
        const fab_json *apex = level(&p, fab_json_text(fab_json_find(p.truth, "apex")));
        double back[3], centre[3];
        CHECK(apex);
        vec(apex, "axis_back", back);
        vec(apex, "centre", centre);
        CHECK(centre[0] * side > 10);
        CHECK(back[0] * side < -0.15);
        fab_phantom_free(&p);
    }
}

static const char *const expected[] = {
    "spleen", "kidney_left", "kidney_right", "gallbladder", "liver", "stomach", "pancreas",
    "adrenal_gland_left", "adrenal_gland_right", "esophagus", "trachea", "small_bowel",
    "duodenum", "colon", "urinary_bladder", "prostate", "sacrum", "coccyx", "heart", "aorta",
    "inferior_vena_cava", "superior_vena_cava", "portal_vein_and_splenic_vein",
    "iliac_artery_left", "iliac_vena_right", "scapula_left", "scapula_right", "clavicula_left",
    "humerus_right", "femur_left", "femur_right", "hip_left", "hip_right", "spinal_cord",
    "spinal_canal", "cerebrospinal_fluid", "gluteus_maximus_left", "gluteus_medius_right",
    "gluteus_minimus_left", "autochthon_left", "autochthon_right", "iliopsoas_left",
    "iliopsoas_right", "sternum", "costal_cartilages", "lung_upper_lobe_left",
    "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
    "lung_lower_lobe_right", "skin", "subcutaneous_fat", "torso_fat", "skeletal_muscle",
    "disc_L5_S1", "disc_T12_L1", "disc_L3_L4", "disc_T5_T6", "vertebrae_C7", "rectum",
};

static void every_structure_is_there(void)
{
    fab_phantom_options o = coarse(3);
    o.range_mm[1] = 480 + 20;
    o.range_mm[0] = -240;
    fab_phantom p = make(&o);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        (void)value_of(&p, expected[i]);
    char name[32];
    for (int i = 1; i <= 12; i++) {
        snprintf(name, sizeof name, "vertebrae_T%d", i);
        (void)value_of(&p, name);
        snprintf(name, sizeof name, "rib_left_%d", i);
        (void)value_of(&p, name);
        snprintf(name, sizeof name, "rib_right_%d", i);
        (void)value_of(&p, name);
    }
    fab_phantom_free(&p);
}

/* ml, of adults: TotalSegmentator's statistics and ICRP 89, widened */
static const struct { const char *name; double low, high; } norms[] = {
    {"liver", 1000, 2200}, {"spleen", 90, 350}, {"kidney_left", 100, 260},
    {"kidney_right", 100, 260}, {"heart", 450, 950}, {"stomach", 150, 700},
    {"urinary_bladder", 60, 400}, {"pancreas", 40, 130}, {"gallbladder", 8, 70},
    {"aorta", 120, 320}, {"hip_left", 280, 520}, {"sacrum", 150, 320}, {"vertebrae_L3", 45, 95},
    {"vertebrae_T8", 20, 45}, {"autochthon_left", 350, 900}, {"iliopsoas_left", 180, 480},
    {"gluteus_maximus_left", 300, 900}, {"gluteus_medius_left", 150, 450},
    {"gluteus_minimus_left", 40, 130}, {"lung_lower_lobe_left", 500, 1400},
    {"spinal_cord", 12, 45},
};

static void volumes_are_human(void)
{
    for (uint64_t seed = 1; seed <= 2; seed++) {
        fab_phantom_options o = coarse(seed);
        fab_phantom p = make(&o);
        fab_label_stats stats[256];
        stats_of(&p, stats);
        double ml = fab_grid_voxel_volume_mm3(fab_volume_grid(p.labels)) / 1000;
        for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++) {
            double v = ml * (double)stats[value_of(&p, norms[i].name)].voxels;
            if (v < norms[i].low || v > norms[i].high)
                fprintf(stderr, "seed %d: %s is %.0f ml\n", (int)seed, norms[i].name, v);
            CHECK(v >= norms[i].low && v <= norms[i].high);
        }
        fab_phantom_free(&p);
    }
}

static void centre(const fab_phantom *p, const char *name, double w[3])
{
    fab_label_stats stats[256];
    stats_of(p, stats);
    fab_mat34_apply(&fab_volume_grid(p->labels)->world_from_voxel,
                    stats[value_of(p, name)].centroid_voxel, w);
}

static void left_is_left_and_up_is_up(void)
{
    fab_phantom_options o = coarse(2);
    fab_phantom p = make(&o);
    double l[3], r[3];
    static const char *const pairs[] = {"kidney", "hip", "autochthon", "iliopsoas", "femur"};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_left", pairs[i]);
        centre(&p, name, l);
        snprintf(name, sizeof name, "%s_right", pairs[i]);
        centre(&p, name, r);
        CHECK(l[0] > 20 && r[0] < -20);
    }
    centre(&p, "liver", l);
    centre(&p, "spleen", r);
    CHECK(l[0] < -30 && r[0] > 50);
    centre(&p, "autochthon_left", l);
    centre(&p, "aorta", r);
    CHECK(l[1] > r[1] + 30);
    static const char *const order[] = {"L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9",
                                        "T8", "T7", "T6", "T5"};
    double before = -1e9;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "vertebrae_%s", order[i]);
        centre(&p, name, l);
        CHECK(l[2] > before + 15);
        before = l[2];
    }
    fab_phantom_free(&p);
}

static double mean_of(const fab_phantom *p, const char *name)
{
    int value = value_of(p, name);
    const uint8_t *label = fab_volume_data(p->labels);
    const int16_t *image = fab_volume_data(p->image);
    int64_t n = fab_grid_voxels(fab_volume_grid(p->labels)), count = 0;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (label[i] == value) sum += image[i], count++;
    return sum / (double)count;
}

static void hounsfield_per_tissue(void)
{
    static const struct { const char *name; double low, high; } ct[] = {
        {"liver", 90, 120}, {"spleen", 95, 130}, {"aorta", 125, 160},
        {"subcutaneous_fat", -115, -80},
        {"urinary_bladder", -5, 30}, {"autochthon_left", 20, 75},
        {"lung_lower_lobe_left", -870, -720},
        {"vertebrae_L3", 180, 480}, {"femur_left", 250, 900}, {"gallbladder", -10, 45},
    };
    fab_phantom_options o = coarse(4);
    fab_phantom p = make(&o);
    for (size_t i = 0; i < sizeof ct / sizeof ct[0]; i++) {
        double m = mean_of(&p, ct[i].name);
        if (m < ct[i].low || m > ct[i].high) fprintf(stderr, "%s: %.0f HU\n", ct[i].name, m);
        CHECK(m >= ct[i].low && m <= ct[i].high);
    }
    double young = mean_of(&p, "vertebrae_L3");
    fab_phantom_free(&p);
    o.age_years = 85, o.contrast_phase = 1;
    p = make(&o);
    CHECK(mean_of(&p, "vertebrae_L3") < young - 40);
    CHECK(mean_of(&p, "aorta") > 250);
    fab_phantom_free(&p);
    o.modality = FAB_PHANTOM_MR_T2;
    p = make(&o);
    CHECK(mean_of(&p, "cerebrospinal_fluid") > 1.5 * mean_of(&p, "spinal_cord"));
    fab_phantom_free(&p);
}

static void four_and_six_lumbar(void)
{
    fab_phantom_options o = coarse(6);
    o.range_mm[0] = -60, o.range_mm[1] = 260;
    o.lumbar_count = 4;
    fab_phantom p = make(&o);
    (void)value_of(&p, "disc_L4_S1");
    CHECK(!fab_label_set_by_name(&p.set, "vertebrae_L5"));
    fab_phantom_free(&p);
    o.lumbar_count = 6;
    p = make(&o);
    (void)value_of(&p, "vertebrae_L6");
    (void)value_of(&p, "disc_L6_S1");
    (void)value_of(&p, "disc_L5_L6");
    fab_phantom_free(&p);
}

static void stenosis_narrows_one_level(void)
{
    fab_phantom_options o = coarse(6);
    o.range_mm[0] = 0, o.range_mm[1] = 8;
    fab_phantom wide = make(&o);
    o.stenosis = 0.8, o.stenosis_level = 3;
    fab_phantom tight = make(&o);
    double before = number(level(&wide, "L3"), "canal_area_mm2");
    CHECK(before > 200 && before < 450);
    CHECK(number(level(&tight, "L3"), "canal_area_mm2") < 0.5 * before);
    CHECK_NEAR(number(level(&tight, "T11"), "canal_area_mm2"),
               number(level(&wide, "T11"), "canal_area_mm2"), 1);
    fab_phantom_free(&wide);
    fab_phantom_free(&tight);
}

static double part_below(const fab_phantom *p, const char *name, double value)
{
    int label = value_of(p, name);
    const uint8_t *at = fab_volume_data(p->labels);
    const int16_t *image = fab_volume_data(p->image);
    int64_t n = fab_grid_voxels(fab_volume_grid(p->labels)), all = 0, below = 0;
    for (int64_t i = 0; i < n; i++)
        if (at[i] == label) all++, below += image[i] < value;
    return (double)below / (double)all;
}

static fab_phantom lumbar_mr(fab_phantom_modality modality, double age)
{
    fab_phantom_options o = coarse(9);
    o.modality = modality, o.age_years = age, o.noise_hu = 0;
    o.spacing_mm[0] = o.spacing_mm[1] = 1, o.spacing_mm[2] = o.slice_thickness_mm = 2;
    o.range_mm[0] = 20, o.range_mm[1] = 110, o.fov_mm[0] = 200, o.fov_mm[1] = 260;
    return make(&o);
}

/* What a reader expects of T1 and T2; brightness has no unit, so tissues are compared. */
static void magnetic_resonance_reads_right(void)
{
    for (int k = 0; k < 2; k++) {
        fab_phantom p = lumbar_mr(k ? FAB_PHANTOM_MR_T2 : FAB_PHANTOM_MR_T1, 40);
        double muscle = mean_of(&p, "iliopsoas_left"), marrow = mean_of(&p, "vertebrae_L3");
        double csf = mean_of(&p, "cerebrospinal_fluid"), disc = mean_of(&p, "disc_L2_L3");
        /* the means take in the dark shell of the bone and the fat in the muscle */
        CHECK(mean_of(&p, "subcutaneous_fat") > marrow && marrow > 1.1 * muscle);
        CHECK(mean_of(&p, "aorta") < 0.6 * muscle); /* flow void */
        CHECK(part_below(&p, "vertebrae_L3", 0.35 * marrow) > 0.05); /* cortical bone */
        CHECK(k ? csf > 1.5 * marrow && csf > 2 * disc : csf < 0.6 * muscle && disc < marrow);
        fab_phantom_free(&p);
    }
    fab_phantom young = lumbar_mr(FAB_PHANTOM_MR_T2, 14), old = lumbar_mr(FAB_PHANTOM_MR_T2, 80);
    double bright = mean_of(&young, "disc_L3_L4"), dark = mean_of(&old, "disc_L3_L4");
    CHECK(bright > 1.6 * dark && dark < 0.6 * mean_of(&old, "vertebrae_L3"));
    fab_phantom_free(&young);
    fab_phantom_free(&old);
}

/* Metal is as bright as HU go; its streaks are strong beside it and gone at the other side. */
static void metal_streaks_are_limited(void)
{
    fab_phantom_options o = coarse(5);
    o.noise_hu = 0, o.cobb_deg = 20, o.apex = 0, o.convex_side = 1;
    o.spacing_mm[0] = o.spacing_mm[1] = 1.5, o.spacing_mm[2] = o.slice_thickness_mm = 3;
    o.range_mm[0] = 150, o.range_mm[1] = 200;
    fab_phantom plain = make(&o);
    o.metal = true;
    fab_phantom p = make(&o);
    const int16_t *with = fab_volume_data(p.image), *without = fab_volume_data(plain.image);
    const uint8_t *label = fab_volume_data(p.labels);
    const int32_t *size = fab_volume_grid(p.image)->size;
    double c[3], near = 0, far = 0, top = 0;
    fab_label_stats stats[256];
    stats_of(&p, stats);
    memcpy(c, stats[value_of(&p, "metal_implant")].centroid_voxel, sizeof c);
    int64_t n = fab_grid_voxels(fab_volume_grid(p.image));
    for (int64_t i = 0; i < n; i++) {
        top = fmax(top, with[i]);
        if (label[i] == value_of(&p, "metal_implant")) continue;
        double x = (double)(i % size[0]) - c[0], y = (double)(i / size[0] % size[1]) - c[1];
        double r = 1.5 * sqrt(x * x + y * y), change = fabs((double)with[i] - without[i]);
        if (r < 40) near = fmax(near, change);
        if (r > 130) far = fmax(far, change);
    }
    CHECK(top == 3071 && near > 100 && far < 40);
    fab_phantom_free(&plain);
    fab_phantom_free(&p);
}

/* The canal's area in the label map is the truth's, narrow or not; the slice is a few degrees off
 * the plane the truth is measured in. */
static void stenosis_is_in_the_labels(void)
{
    for (int k = 0; k < 2; k++) {
        fab_phantom_options o = coarse(6);
        o.stenosis = k * 0.7, o.stenosis_level = 3, o.lordosis_deg = 20;
        o.spacing_mm[0] = o.spacing_mm[1] = 0.5, o.spacing_mm[2] = o.slice_thickness_mm = 1;
        o.range_mm[0] = 40, o.range_mm[1] = 150, o.fov_mm[0] = 60, o.fov_mm[1] = 120;
        fab_phantom first = make(&o);
        double at[3];
        vec(level(&first, "L3"), "centre", at);
        fab_phantom_free(&first);
        o.range_mm[0] = at[2] - 1.5, o.range_mm[1] = at[2] + 1.5;
        fab_phantom p = make(&o);
        const uint8_t *label = fab_volume_data(p.labels);
        const int32_t *size = fab_volume_grid(p.labels)->size;
        int parts[2] = {value_of(&p, "spinal_canal"), value_of(&p, "cerebrospinal_fluid")};
        double area = 0;
        for (int64_t i = 0, n = (int64_t)size[0] * size[1]; i < n; i++)
            for (int part = 0; part < 2; part++)
                area += label[n + i] == parts[part] ? 0.25 : 0; /* the middle slice */
        double truth = number(level(&p, "L3"), "canal_area_mm2");

        CHECK_NEAR(area, truth, 0.15 * truth);
        fab_phantom_free(&p);
    }
}

/* The truth's own points must lie in the label map's structures. */
static void landmarks_lie_where_they_say(void)
{
    fab_phantom_options o = coarse(8);
    o.spacing_mm[0] = o.spacing_mm[1] = 1, o.spacing_mm[2] = o.slice_thickness_mm = 1;
    o.range_mm[0] = 40, o.range_mm[1] = 160, o.cobb_deg = 25, o.noise_hu = 0;
    o.fov_mm[0] = 220, o.fov_mm[1] = 260;
    fab_phantom p = make(&o);
    const fab_json *v = level(&p, "L3");
    fab_mat34 to;
    fab_error err;
    CHECK_OK(fab_mat34_invert(&fab_volume_grid(p.labels)->world_from_voxel, &to, &err));
    static const struct { const char *mark, *name; } rows[] = {
        {"lamina_left", "vertebrae_L3"}, {"lamina_right", "vertebrae_L3"},
        {"pedicle_left", "vertebrae_L3"}, {"pedicle_right", "vertebrae_L3"},
    };
    double w[3], i[3];
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        vec(fab_json_find(v, "landmarks"), rows[r].mark, w);
        fab_mat34_apply(&to, w, i);
        int at = (int)fab_volume_get(p.labels, (int32_t)lround(i[0]), (int32_t)lround(i[1]),
                                     (int32_t)lround(i[2]));
        if (at != value_of(&p, rows[r].name)) fprintf(stderr, "%s: %d\n", rows[r].mark, at);
        CHECK(at == value_of(&p, rows[r].name));
    }
    vec(v, "centre", w);
    fab_mat34_apply(&to, w, i);
    CHECK((int)fab_volume_get(p.labels, (int32_t)lround(i[0]), (int32_t)lround(i[1]),
                              (int32_t)lround(i[2])) == value_of(&p, "vertebrae_L3"));
    fab_phantom_free(&p);
}

/* Every value the phantom can write has a row of the structure table: code, side and colour. */
static void every_label_has_a_row(void)
{
    int count = 0;
    for (int v = 1; fab_torso_name(v); v++, count++) {
        const char *name = fab_torso_name(v);
        const fab_anatomy *row = fab_anatomy_find(name);
        if (!row) fprintf(stderr, "no row for %s\n", name);
        CHECK(row && row->type.value && row->category.value && row->display);
        CHECK(row->rgb[0] || row->rgb[1] || row->rgb[2]);
        bool rib = !strncmp(name, "rib_", 4);
        fab_laterality side = strstr(name, rib ? "_left_" : "_left") ? FAB_SIDE_LEFT
                              : strstr(name, "_right")               ? FAB_SIDE_RIGHT
                                                                     : FAB_SIDE_NONE;
        if (strncmp(name, "heart_", 6)) CHECK(row->side == side);
        CHECK(fab_torso_value(name) == v);
    }
    CHECK(count == 160);
    /* values that trained networks and saved labels rely on */
    CHECK(fab_torso_value("spleen") == 1 && fab_torso_value("costal_cartilages") == 117);
    CHECK(fab_torso_value("vertebrae_L6") == 118 && fab_torso_value("metal_implant") == 152);
    CHECK(fab_torso_value("pectoralis_major_right") == 160);
}

/* Whatever byte of the options changes, the text does, but for padding and `progress`: an option
 * that is added without its row shows here. */
static void options_text_sees_every_option(void)
{
    static char before[FAB_PHANTOM_TEXT_BYTES], after[FAB_PHANTOM_TEXT_BYTES];
    fab_phantom_options o;
    memset(&o, 0, sizeof o);
    fab_phantom_options_text(&o, before);
    CHECK(strlen(before) > 200 && strlen(before) < sizeof before - 700);
    size_t silent = 0, padding = 3 + 3 + 4 + 4; /* after female, metal, kernel, convex_side */
    for (size_t i = 0; i < sizeof o; i++) {
        unsigned char bytes[sizeof o] = {0};
        bytes[i] = 1;
        memcpy(&o, bytes, sizeof o);
        fab_phantom_options_text(&o, after);
        silent += !strcmp(before, after);
    }
    CHECK(silent == padding + sizeof o.progress);
}

static void refuses_nonsense(void)
{
    fab_phantom_options o = coarse(1);
    fab_phantom p = {0};
    fab_error err;
    o.lumbar_count = 7;
    CHECK_FAILS(FAB_ERR_ARG, "lumbar_count", fab_phantom_make(&o, &p, &err));
    o = coarse(1);
    o.cobb_deg = NAN;
    CHECK_FAILS(FAB_ERR_ARG, "cobb_deg", fab_phantom_make(&o, &p, &err));
    o = coarse(1);
    o.convex_side = 2;
    CHECK_FAILS(FAB_ERR_ARG, "convex_side", fab_phantom_make(&o, &p, &err));
    o = coarse(1);
    o.fat = 9;
    CHECK_FAILS(FAB_ERR_ARG, "fat", fab_phantom_make(&o, &p, &err));
    o = coarse(1);
    o.range_mm[0] = 50, o.range_mm[1] = 20;
    CHECK_FAILS(FAB_ERR_ARG, "range", fab_phantom_make(&o, &p, &err));
    CHECK(!p.image && !p.labels && !p.truth);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(same_seed_same_bytes_on_any_thread_count), TEST(cobb_is_what_was_asked),
        TEST(rotation_goes_with_the_curve), TEST(every_structure_is_there),
        TEST(volumes_are_human), TEST(left_is_left_and_up_is_up), TEST(hounsfield_per_tissue),
        TEST(four_and_six_lumbar), TEST(stenosis_narrows_one_level),
        TEST(landmarks_lie_where_they_say), TEST(magnetic_resonance_reads_right),
        TEST(metal_streaks_are_limited), TEST(stenosis_is_in_the_labels),
        TEST(every_label_has_a_row),
        TEST(options_text_sees_every_option),
        TEST(refuses_nonsense),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
