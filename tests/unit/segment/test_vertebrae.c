/* test_vertebrae.c - a card's block "spine": classes of bodies, arches and discs become vertebrae
 * and discs by name, on every lattice, and cards without the block stay as they are. White box. */
#include "fabrica/phantom.h"
#include "harness.h"
#include "segment_internal.h"
#include "spine_truth.h"

static fab_error err;

/* ---- a phantom's classes as a network's winners --------------------------------------------- */

static const char *set_name(void *ctx, int value)
{
    const fab_label *l = fab_label_set_find(ctx, value);
    return l ? l->name : NULL;
}

/* What lies beside the spine is cut off; the patient with five lumbar vertebrae is kept. */
static fab_volume *make_truth(int lumbar)
{
    static fab_volume *kept;
    if (!lumbar) kept = fab_volume_unref(kept);
    if (!lumbar || (kept && lumbar == 5)) return fab_volume_ref(kept);
    fab_phantom_options o;
    fab_phantom p = {0};
    fab_volume *truth = NULL;
    fab_phantom_options_default(&o);
    o.seed = 11, o.cobb_deg = 30, o.lumbar_count = lumbar, o.noise_hu = 0;
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 3;
    o.slice_thickness_mm = 3, o.range_mm[0] = -30, o.range_mm[1] = 240;
    o.fov_mm[0] = 260, o.fov_mm[1] = 250;
    CHECK_OK(fab_phantom_make(&o, &p, &err));
    CHECK_OK(spine_truth_make(p.labels, set_name, &p.set, 0, &truth, &err));
    fab_phantom_free(&p);
    if (lumbar == 5) kept = fab_volume_ref(truth);
    return truth;
}

static void add_label(fab_model *m, int value, const char *name, bool split)
{
    fab_model_label *l = &m->labels[m->label_count++];
    *l = (fab_model_label){.value = value, .split = split};
    snprintf(l->name, sizeof l->name, "%s", name);
    snprintf(l->left, sizeof l->left, "%s_left", name);
    snprintf(l->right, sizeof l->right, "%s_right", name);
}

typedef struct patient {
    fab_model model;
    fab_slide slide;
    fab_volume *truth, *map;
    uint16_t *winner;
    float *probability;
    fab_decision decision;
    int size[3]; /* z, y, x */
} patient;

static patient *new_patient(int lumbar)
{
    patient *p = calloc(1, sizeof *p);
    CHECK(p);
    p->truth = make_truth(lumbar);
    CHECK_OK(spine_truth_classes(p->truth, &p->map, &err));
    const int32_t *n = fab_volume_grid(p->map)->size;
    const size_t voxels = (size_t)fab_grid_voxels(fab_volume_grid(p->map));
    p->winner = malloc(voxels * sizeof *p->winner);
    p->probability = malloc(voxels * sizeof *p->probability);
    CHECK(p->winner && p->probability);
    for (size_t i = 0; i < voxels; i++) {
        p->winner[i] = ((const uint8_t *)fab_volume_data(p->map))[i];
        p->probability[i] = 0.75f;
    }
    for (int a = 0; a < 3; a++) p->size[a] = n[2 - a], p->model.spacing_mm[a] = 3;
    add_label(&p->model, CLASS_ARCH, "vertebral_arch", false); /* the arch before the body */
    add_label(&p->model, CLASS_RIBS, "ribs", true);
    add_label(&p->model, CLASS_BODY, "vertebral_body", false);
    add_label(&p->model, CLASS_CORD, "spinal_cord", false);
    add_label(&p->model, CLASS_DISC, "intervertebral_discs", false);
    add_label(&p->model, CLASS_SACRUM, "sacrum", false);
    p->model.spine = truth_classes; /* the canal is a class without a label */
    p->model.counts_vertebrae = true;
    p->slide = (fab_slide){.model = &p->model, .winner = p->winner,
                           .probability = p->probability};
    memcpy(p->slide.size, p->size, sizeof p->size);
    CHECK_OK(fab_decide(&p->model, &p->slide, &p->decision, &err));
    return p;
}

static void drop(patient *p)
{
    fab_decision_free(&p->decision);
    fab_volume_unref(p->truth);
    fab_volume_unref(p->map);
    free(p->winner);
    free(p->probability);
    free(p);
}

/* Name of a value as the label set has it; NULL: none. */
static const char *name_of(const patient *p, int value, char into[FAB_MAX_NAME_BYTES])
{
    for (int i = 0; i < p->model.label_count; i++) {
        const int k = value - p->decision.value_of[i];
        if (k >= 0 && k < fab_row_values(&p->model, i)) return fab_row_name(&p->model, i, k, into);
    }
    return NULL;
}

/* Labels on a lattice `times` finer, each voxel's class being the nearest network voxel's. */
static uint16_t *apply(patient *p, int times)
{
    fab_target t = {.wide = true};
    for (int a = 0; a < 3; a++) t.size[a] = p->size[a] * times;
    t.step[2] = 1, t.step[1] = t.size[2], t.step[0] = (int64_t)t.size[2] * t.size[1];
    uint16_t *labels = malloc((size_t)(t.step[0] * t.size[0]) * sizeof *labels);
    CHECK(labels);
    t.labels = labels;
    for (int64_t i = 0; i < t.step[0] * t.size[0]; i++) {
        const int64_t z = i / t.step[0] / times, y = i / t.step[1] % t.size[1] / times;
        labels[i] = p->winner[(z * p->size[1] + y) * p->size[2] + i % t.size[2] / times];
    }
    for (int a = 0; a < 3; a++)
        CHECK_OK(fab_axis_make(p->size[a], 3, t.size[a], 3.0 / times, false, &t.axis[a], &err));
    fab_decision_apply(&p->decision, &t);
    for (int a = 0; a < 3; a++) fab_axis_free(&t.axis[a]);
    return labels;
}

/* Share of the truth's body voxels (or disc voxels) that got their own name. */
static double rightly_named(patient *p, int times, bool discs)
{
    uint16_t *labels = apply(p, times);
    const uint8_t *truth = fab_volume_data(p->truth);
    int64_t right = 0, all = 0;
    const int *n = p->size;
    for (int64_t i = 0; i < (int64_t)n[0] * n[1] * n[2] * times * times * times; i++) {
        const int64_t row = (int64_t)n[2] * times, plane = row * n[1] * times;
        const int64_t x = i % row / times, y = i % plane / row / times, z = i / plane / times;
        const int t = truth[(z * n[1] + y) * n[2] + x] - (discs ? TRUTH_DISC : TRUTH_BODY);
        char wanted[FAB_MAX_NAME_BYTES], into[FAB_MAX_NAME_BYTES];
        if (t < 0 || t >= FAB_SPINE_LEVELS) continue;
        if (!discs) snprintf(wanted, sizeof wanted, "vertebrae_%s", fab_spine_level_name(t));
        else if (!fab_spine_disc_name(t, t == p->decision.spine.lumbar + 18 ? -1 : t + 1, wanted))
            continue;
        const char *name = labels[i] ? name_of(p, labels[i], into) : NULL;
        all++;
        right += name && strcmp(name, wanted) == 0;
    }
    free(labels);
    CHECK(all > 1000);
    return (double)right / (double)all;
}

static void vertebrae_and_discs_get_their_names_on_every_lattice(void)
{
    for (int lumbar = 4; lumbar <= 6; lumbar++) {
        patient *p = new_patient(lumbar);
        for (int times = 1; times <= (lumbar == 4 ? 2 : 1); times++) {
            const double bodies = rightly_named(p, times, false);
            const double discs = rightly_named(p, times, true);
            printf("  %d lumbar, %d times finer: %.4f of body and %.4f of disc voxels\n", lumbar,
                   times, bodies, discs);
            CHECK(bodies > 0.98 && discs > 0.95);
        }
        CHECK(p->decision.spine.transitional == (lumbar != 5));
        drop(p);
    }
}

/* The label set: 25 vertebrae, 26 discs, two sides of ribs, cord, sacrum; no arch, no body. */
static void rows_take_consecutive_values_with_names_of_the_table(void)
{
    patient *p = new_patient(5);
    char into[FAB_MAX_NAME_BYTES];
    CHECK(p->decision.value_count == 1 + 25 + 26 + 2 + 1 + 1);
    for (int v = 1; v < p->decision.value_count; v++) {
        const char *name = name_of(p, v, into);
        CHECK(name && fab_anatomy_find(name));
        CHECK(strncmp(name, "vertebral", 9) != 0);
    }
    CHECK(strcmp(name_of(p, 1, into), "ribs_left") == 0);
    CHECK(strcmp(name_of(p, 3, into), "vertebrae_C1") == 0);
    CHECK(fab_same_label_class(&p->model, CLASS_BODY) == CLASS_ARCH);
    CHECK(fab_same_label_class(&p->model, CLASS_ARCH) == CLASS_BODY);
    CHECK(fab_same_label_class(&p->model, CLASS_DISC) == -1);
    drop(p);
}

/* A name is as sure as the network and the count are. */
static void confidence_is_the_networks_times_the_names(void)
{
    patient *p = new_patient(5);
    double *sums = calloc((size_t)p->decision.value_count, sizeof *sums);
    int64_t *voxels = calloc((size_t)p->decision.value_count, sizeof *voxels);
    CHECK(sums && voxels);
    fab_decision_confidence(&p->decision, sums, voxels);
    const int l3 = 3 + fab_spine_level_of("L3");
    CHECK(voxels[l3] > 500);
    CHECK_NEAR(sums[l3] / (double)voxels[l3], 0.75, 1e-6);
    CHECK(fab_decision_name_confidence(&p->decision, l3) == p->decision.spine.items[0].confidence);
    CHECK(fab_decision_name_confidence(&p->decision, 1) == 1);
    free(sums);
    free(voxels);
    drop(p);
}

/* ---- cards ---------------------------------------------------------------------------------- */

static const char *package(const char *name, char *into)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(into, FAB_MAX_PATH_BYTES, "%s/tests/golden/unet_tiny/%s", root ? root : ".", name);
    return into;
}

/* The tiny golden package (classes 1 to 4, the third split) with a spine block. */
static fab_status load(const char *spine, fab_model **out)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_json *card = NULL, *block = NULL;
    fab_reader weights = {0};
    CHECK_OK(fab_json_load_file(package("model.json", path), &card, &err));
    if (spine) {
        CHECK_OK(fab_json_parse(spine, strlen(spine), "spine", &block, &err));
        CHECK_OK(fab_json_set(card, "spine", block, &err));
    }
    CHECK_OK(fab_reader_open_file(package("weights.safetensors", path), &weights, &err));
    const fab_status status =
        fab_model_load_parts(card, "model.json", &weights, FAB_PRECISION_FP32, out, &err);
    fab_reader_close(&weights);
    fab_json_free(card);
    return status;
}

static void bad_spine_blocks_are_refused(void)
{
    static const struct { const char *block, *says; } bad[] = {
        {"{\"arch\": 2}", "\"body\" is missing"},
        {"{\"body\": 1, \"arch\": 1}", "both \"body\" and \"arch\""},
        {"{\"body\": 3}", "split"},
        {"{\"body\": 9}", "body"},
        {"{\"body\": \"x\"}", "body"},
        {"[]", "spine"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fab_model *m = NULL;
        CHECK_FAILS(FAB_ERR_FORMAT, bad[i].says, load(bad[i].block, &m));
        CHECK(!m);
    }
}

static fab_volume *noise(void)
{
    fab_grid g = {.size = {40, 36, 34}};
    fab_volume *v = NULL;
    fab_rng rng;
    fab_rng_seed(&rng, 3, 3);
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 3;
    CHECK_OK(fab_volume_create(&g, FAB_F32, &v, &err));
    float *to = fab_volume_data_mut(v);
    for (int64_t i = 0; i < fab_grid_voxels(&g); i++)
        to[i] = (float)(fab_rng_u32(&rng) % 600) - 300.0f;
    return v;
}

/* Body against arch is no border any more: margins can only grow, and do somewhere. */
static void body_and_arch_are_no_rivals_in_the_margin(void)
{
    fab_model *plain = NULL, *counting = NULL;
    fab_segment_result a = {0}, b = {0};
    fab_volume *image = noise();
    int64_t larger = 0;
    CHECK_OK(load(NULL, &plain));
    CHECK_OK(load("{\"body\": 1, \"arch\": 4, \"discs\": 2}", &counting));
    CHECK_OK(fab_segment(plain, image, NULL, &a, &err));
    CHECK_OK(fab_segment(counting, image, NULL, &b, &err));
    const float *p = fab_volume_data(a.fine_margin), *q = fab_volume_data(b.fine_margin);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(a.fine_margin)); i++) {
        CHECK(q[i] >= p[i]);
        larger += q[i] > p[i];
    }
    printf("  margins grew at %lld voxels\n", (long long)larger);
    CHECK(larger > 100);
    CHECK(b.set.count == 25 + 2 + 26 && a.set.count == 5);
    CHECK(fab_label_set_by_name(&b.set, "vertebrae_T12") &&
          fab_label_set_by_name(&b.set, "disc_L5_S1"));
    fab_segment_result_free(&a);
    fab_segment_result_free(&b);
    fab_model_free(plain);
    fab_model_free(counting);
    fab_volume_unref(image);
}

int main(void)
{
    const int status =
        FAB_RUN(TEST(vertebrae_and_discs_get_their_names_on_every_lattice),
                                  TEST(rows_take_consecutive_values_with_names_of_the_table),
                                  TEST(confidence_is_the_networks_times_the_names),
                                  TEST(bad_spine_blocks_are_refused),
                                  TEST(body_and_arch_are_no_rivals_in_the_margin));
    (void)make_truth(0); /* frees the kept one */
    return status;
}
