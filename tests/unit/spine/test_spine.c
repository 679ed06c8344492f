/* test_spine.c - vertebrae counted, separated and named, on phantoms whose truth is known: straight
 * and scoliotic, four to six lumbar vertebrae, short scans, damaged class maps. */
#include "fabrica/phantom.h"
#include "harness.h"
#include "spine_truth.h"

static fab_error err;

typedef struct patient {
    fab_volume *truth, *map;
} patient;

static const char *set_name(void *ctx, int value)
{
    const fab_label *l = fab_label_set_find(ctx, value);
    return l ? l->name : NULL;
}

/* A phantom's truth at 3 mm. range: mm above the sacral endplate, NAN: T4 to the femurs. */
static fab_volume *make_truth(uint64_t seed, double cobb, int lumbar, double low, double high)
{
    fab_phantom_options o;
    fab_phantom p = {0};
    fab_volume *truth = NULL;
    fab_phantom_options_default(&o);
    o.seed = seed, o.cobb_deg = cobb, o.lumbar_count = lumbar, o.noise_hu = 0;
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 3;
    o.slice_thickness_mm = 3;
    o.range_mm[0] = low, o.range_mm[1] = high;
    o.fov_mm[0] = 300, o.fov_mm[1] = 260; /* spine, ribs' ends, lungs and kidneys; no arms */
    CHECK_OK(fab_phantom_make(&o, &p, &err));
    CHECK_OK(spine_truth_make(p.labels, set_name, &p.set, 0, &truth, &err));
    fab_phantom_free(&p);
    return truth;
}

/* The last phantom is kept: several tests damage the same. */
static patient make_patient(uint64_t seed, double cobb, int lumbar, double low, double high)
{
    static fab_volume *kept;
    static uint64_t kept_seed;
    patient out = {0};
    if (seed != kept_seed || !seed) {
        fab_volume_unref(kept);
        kept = NULL, kept_seed = 0;
        if (!seed) return out;
        kept = make_truth(seed, cobb, lumbar, low, high);
        kept_seed = seed;
    }
    out.truth = fab_volume_ref(kept);
    CHECK_OK(spine_truth_classes(out.truth, &out.map, &err));
    return out;
}

static void drop(patient *p)
{
    fab_volume_unref(p->truth);
    fab_volume_unref(p->map);
}

static spine_score decode(const patient *p, fab_spine *s, const char *what)
{
    spine_score score;
    CHECK_OK(fab_spine_decode(p->map, &truth_classes, NULL, s, &err));
    spine_truth_score(p->truth, s, &score);
    printf("  %s: %d of %d named right, Dice mean %.3f, worst %.3f (%s), confidence %.3f\n", what,
           score.found, score.vertebrae, score.mean, score.worst,
           fab_spine_level_name(score.worst_level), s->count ? s->items[0].confidence : 0);
    return score;
}

static void check_names(uint64_t seed, double cobb, int lumbar, double low, double high,
                        double mean, double worst)
{
    patient p = make_patient(seed, cobb, lumbar, low, high);
    fab_spine s = {0};
    char what[80];
    snprintf(what, sizeof what, "Cobb %.0f, %d lumbar", cobb, lumbar);
    const spine_score score = decode(&p, &s, what);
    CHECK(score.found == score.vertebrae && score.vertebrae >= 4);
    CHECK(score.mean >= mean && score.worst >= worst);
    for (int k = 1; k < s.count; k++) CHECK(s.items[k].level == s.items[k - 1].level + 1);
    if (s.sacrum_below) CHECK(s.lumbar == lumbar && s.transitional == (lumbar != 5));
    fab_spine_free(&s);
    drop(&p);
}

static void straight_spine(void)
{
    check_names(1, 0, 5, -30, 420, 0.965, 0.94);
}

static void scoliosis_of_20(void)
{
    check_names(2, 20, 5, -30, 420, 0.965, 0.94);
}

static void scoliosis_of_45_with_four_lumbar(void)
{
    check_names(3, 45, 4, -30, 420, 0.965, 0.94);
}

static void scoliosis_of_70_with_six_lumbar(void)
{
    check_names(4, 70, 6, -30, 420, 0.96, 0.93);
}

/* T8 to L2: neither sacrum nor first rib; the lowest rib names them. */
static void short_scan_is_named_by_its_ribs(void)
{
    patient p = make_patient(5, 20, 5, 130, 320);
    fab_spine s = {0};
    const spine_score score = decode(&p, &s, "short scan");
    CHECK(score.found == score.vertebrae && score.vertebrae >= 5);
    CHECK(!s.sacrum_below && s.ribs_end && !s.uncertain);
    CHECK(s.items[0].cut && s.items[s.count - 1].cut && !s.items[2].cut);
    fab_spine_free(&s);
    drop(&p);
}

static void relabel(patient *p, int from, int to)
{
    uint8_t *v = fab_volume_data_mut(p->map);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(p->map)); i++)
        if (v[i] == from) v[i] = (uint8_t)to;
}

/* Without ribs and sacrum a middle piece of the spine has no sure names, and says so. */
static void without_anchors_names_are_uncertain(void)
{
    patient p = make_patient(5, 20, 5, 130, 320);
    fab_spine s = {0};
    relabel(&p, CLASS_RIBS, 0);
    relabel(&p, CLASS_LUNGS, 0);
    relabel(&p, CLASS_KIDNEYS, 0);
    CHECK_OK(fab_spine_decode(p.map, &truth_classes, NULL, &s, &err));
    printf("  %s (margin %.2f)\n", s.note, s.items[0].margin);
    CHECK(s.uncertain && strstr(s.note, "Names uncertain") && s.items[0].confidence < 0.95);
    CHECK(s.items[0].second != s.items[0].level);
    fab_spine_free(&s);
    drop(&p);
}

/* ---- damaged classes ------------------------------------------------------------------------ */

static void remove_discs(patient *p, int every, bool fuse)
{
    uint8_t *v = fab_volume_data_mut(p->map);
    const uint8_t *t = fab_volume_data(p->truth);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(p->map)); i++)
        if (v[i] == CLASS_DISC && (t[i] - TRUTH_DISC) % every == 0)
            v[i] = (uint8_t)(fuse ? CLASS_BODY : 0);
}

static void a_fifth_of_the_discs_missed_or_fused(void)
{
    for (int fuse = 0; fuse < 2; fuse++) {
        patient p = make_patient(6, 45, 5, -30, 420);
        fab_spine s = {0};
        remove_discs(&p, 5, fuse);
        const spine_score score = decode(&p, &s, fuse ? "every 5th disc is bone"
                                                      : "every 5th disc missed");
        CHECK(score.found == score.vertebrae);
        CHECK(score.worst >= 0.86);
        fab_spine_free(&s);
        drop(&p);
    }
}

/* Voxels at the border of a class take a neighbour's class, at random. */
static void roughen(patient *p, unsigned percent)
{
    const int32_t *n = fab_volume_grid(p->map)->size;
    const int64_t row = n[0], plane = row * n[1], all = plane * n[2];
    const int64_t step[6] = {1, -1, row, -row, plane, -plane};
    uint8_t *v = fab_volume_data_mut(p->map), *was = malloc((size_t)all);
    fab_rng rng;
    fab_rng_seed(&rng, 5, 5);
    CHECK(was);
    memcpy(was, v, (size_t)all);
    for (int64_t i = plane; i < all - plane; i++) {
        const int64_t from = i + step[fab_rng_u32(&rng) % 6];
        if (fab_rng_u32(&rng) % 100 < percent) v[i] = was[from];
    }
    free(was);
}

static void rough_borders_change_no_name(void)
{
    patient p = make_patient(6, 45, 5, -30, 420);
    fab_spine s = {0};
    roughen(&p, 60);
    const spine_score score = decode(&p, &s, "rough borders");
    CHECK(score.found == score.vertebrae);
    fab_spine_free(&s);
    drop(&p);
}

static void put_ball(patient *p, const double centre[3], double radius, int value)
{
    const fab_grid *g = fab_volume_grid(p->map);
    uint8_t *v = fab_volume_data_mut(p->map);
    int64_t i = 0;
    for (int z = 0; z < g->size[2]; z++)
        for (int y = 0; y < g->size[1]; y++)
            for (int x = 0; x < g->size[0]; x++, i++) {
                double q[3] = {x, y, z}, d = 0;
                fab_mat34_apply(&g->world_from_voxel, q, q);
                for (int a = 0; a < 3; a++) d += (q[a] - centre[a]) * (q[a] - centre[a]);
                if (d < radius * radius) v[i] = (uint8_t)value;
            }
}

static void islands_are_no_vertebrae(void)
{
    patient p = make_patient(8, 20, 5, -30, 260);
    fab_spine whole = {0}, s = {0};
    CHECK_OK(fab_spine_decode(p.map, &truth_classes, NULL, &whole, &err));
    const double *c = whole.items[3].centre;
    put_ball(&p, (double[]){c[0] + 90, c[1], c[2]}, 16, CLASS_BODY);
    put_ball(&p, (double[]){c[0] - 80, c[1] - 70, c[2] - 60}, 12, CLASS_BODY);
    const spine_score score = decode(&p, &s, "two islands");
    CHECK(score.found == score.vertebrae && s.count == whole.count);
    for (int k = 0; k < s.count; k++) CHECK(s.items[k].body_voxels == whole.items[k].body_voxels);
    fab_spine_free(&whole);
    fab_spine_free(&s);
    drop(&p);
}

/* A vertebra the network did not see keeps its place in the count. */
static void an_unseen_body_is_counted(void)
{
    patient p = make_patient(8, 20, 5, -30, 260);
    fab_spine s = {0};
    uint8_t *v = fab_volume_data_mut(p.map);
    const uint8_t *t = fab_volume_data(p.truth);
    const int lost = fab_spine_level_of("L2");
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(p.map)); i++)
        if (t[i] == TRUTH_BODY + lost) v[i] = 0;
    const spine_score score = decode(&p, &s, "L2's body not seen");
    CHECK(score.found == score.vertebrae - 1);
    fab_spine_free(&s);
    drop(&p);
}

/* ---- what it is not for --------------------------------------------------------------------- */

static fab_volume *empty_map(fab_dtype type, double mm)
{
    fab_grid g = {.size = {20, 20, 20}};
    fab_volume *v = NULL;
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = mm;
    CHECK_OK(fab_volume_create(&g, type, &v, &err));
    memset(fab_volume_data_mut(v), 0, fab_volume_bytes(v));
    return v;
}

static void no_spine_is_no_error(void)
{
    fab_spine s = {0};
    fab_volume *v = empty_map(FAB_U16, 3);
    CHECK_OK(fab_spine_decode(v, &truth_classes, NULL, &s, &err));
    CHECK(s.count == 0 && s.instances);
    fab_spine_free(&s);
    ((uint16_t *)fab_volume_data_mut(v))[4210] = CLASS_BODY; /* one voxel */
    CHECK_OK(fab_spine_decode(v, &truth_classes, NULL, &s, &err));
    CHECK(s.count == 0);
    fab_spine_free(&s);
    fab_volume_unref(v);
}

static void bad_input_is_refused(void)
{
    fab_spine s = {0};
    fab_volume *v = empty_map(FAB_U8, 3), *f = empty_map(FAB_F32, 3), *far = empty_map(FAB_U8, 9);
    fab_spine_classes none = {0}, twice = {.body = 1, .arch = 1};
    CHECK_FAILS(FAB_ERR_ARG, "bodies is not given", fab_spine_decode(v, &none, NULL, &s, &err));
    CHECK_FAILS(FAB_ERR_ARG, "given twice", fab_spine_decode(v, &twice, NULL, &s, &err));
    CHECK_FAILS(FAB_ERR_ARG, "float32", fab_spine_decode(f, &truth_classes, NULL, &s, &err));
    CHECK_FAILS(FAB_ERR_ARG, "0.5 to 6 mm",
                fab_spine_decode(far, &truth_classes, NULL, &s, &err));
    CHECK_FAILS(FAB_ERR_ARG, "probabilities", fab_spine_decode(v, &truth_classes, v, &s, &err));
    fab_volume_unref(v);
    fab_volume_unref(f);
    fab_volume_unref(far);
}

static fab_status decode_small(void *ctx)
{
    fab_spine s = {0};
    const fab_status status = fab_spine_decode(ctx, &truth_classes, NULL, &s, NULL);
    fab_spine_free(&s);
    return status;
}

/* Three blocks with gaps: enough of a spine for every allocation to be met. */
static void running_out_of_memory_is_survived(void)
{
    fab_grid g = {.size = {24, 30, 34}};
    fab_volume *v = NULL;
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 3;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    uint8_t *to = fab_volume_data_mut(v);
    memset(to, 0, fab_volume_bytes(v));
    for (int z = 1; z < 33; z++)
        for (int y = 4; y < 24; y++)
            for (int x = 6; x < 18; x++)
                to[(z * 30 + y) * 24 + x] =
                    (uint8_t)(y < 14 ? z % 11 ? CLASS_BODY : CLASS_DISC
                                     : x > 9 && x < 14 && y < 18 ? CLASS_CANAL : CLASS_ARCH);
    fab_test_torture(decode_small, v);
    fab_volume_unref(v);
}

static void names_of_levels_and_discs(void)
{
    char name[FAB_MAX_NAME_BYTES];
    CHECK(fab_spine_level_of("vertebrae_T12") == 18 && fab_spine_level_of("C1") == 0);
    CHECK(fab_spine_level_of("L6") == FAB_SPINE_LEVELS - 1 && fab_spine_level_of("S1") < 0);
    CHECK(fab_spine_level_of("") < 0 && fab_spine_level_name(-1) == NULL);
    CHECK(fab_spine_disc_name(18, 19, name) && strcmp(name, "disc_T12_L1") == 0);
    CHECK(fab_spine_disc_name(23, -1, name) && strcmp(name, "disc_L5_S1") == 0);
    CHECK(!fab_spine_disc_name(0, 1, name) && !fab_spine_disc_name(18, 20, name));
    for (int k = 0; k < FAB_SPINE_LEVELS; k++) {
        char vertebra[40];
        snprintf(vertebra, sizeof vertebra, "vertebrae_%s", fab_spine_level_name(k));
        CHECK(fab_anatomy_find(vertebra));
        for (int sacral = 0; sacral < 2; sacral++)
            if (fab_spine_disc_name(k, sacral ? -1 : k + 1, name)) CHECK(fab_anatomy_find(name));
    }
}

int main(void)
{
    const fab_test tests[] = {TEST(names_of_levels_and_discs), TEST(straight_spine),
                              TEST(scoliosis_of_20), TEST(scoliosis_of_45_with_four_lumbar),
                              TEST(scoliosis_of_70_with_six_lumbar),
                              TEST(short_scan_is_named_by_its_ribs),
                              TEST(without_anchors_names_are_uncertain),
                              TEST(a_fifth_of_the_discs_missed_or_fused),
                              TEST(rough_borders_change_no_name), TEST(islands_are_no_vertebrae),
                              TEST(an_unseen_body_is_counted), TEST(no_spine_is_no_error),
                              TEST(bad_input_is_refused), TEST(running_out_of_memory_is_survived)};
    const int status = fab_test_run(tests, sizeof tests / sizeof *tests);
    (void)make_patient(0, 0, 0, 0, 0); /* frees the last one */
    return status;
}
