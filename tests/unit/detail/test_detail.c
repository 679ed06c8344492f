/* test_detail.c - the second look with a perfect network: a phantom's own parts. */
#include <math.h>

#include "harness.h"

#include "detail_internal.h"
#include "fabrica/phantom.h"
#include "fabrica/synth.h"

#define CHECK_MSG(cond, ...)                                                                      \
    do {                                                                                          \
        if (!(cond)) printf(__VA_ARGS__), printf("\n");                                           \
        CHECK(cond);                                                                              \
    } while (0)

static fab_error err;
static fab_phantom phantom;
static fab_volume *fine; /* the phantom's labels in the fine vocabulary, 1.5 mm */

static const char *const part_names[DT_INFERIOR + 1] = {
    NULL, "vertebrae_L3", "arch_pedicle", "arch_lamina", "arch_spinous_process",
    "arch_transverse_process", "arch_superior_articular_process",
    "arch_inferior_articular_process"};

static void make_phantom(void)
{
    fab_phantom_options o;
    if (phantom.labels) return;
    fab_phantom_options_default(&o);
    o.seed = 3;
    o.cobb_deg = 20;
    o.spacing_mm[0] = o.spacing_mm[1] = o.spacing_mm[2] = o.slice_thickness_mm = 1.5;
    o.range_mm[0] = -20, o.range_mm[1] = 200;
    CHECK_OK(fab_phantom_make(&o, &phantom, &err));
    CHECK_OK(fab_synth_refine(phantom.labels, &phantom.set, true, &fine, &err));
}

/* A fine value as a class of a detail network: the kinds are the classes. */
static int kind_of_fine(int value)
{
    const char *name = fab_synth_name(value);
    if (!name) return DT_NONE;
    for (int k = DT_PEDICLE; k <= DT_INFERIOR; k++)
        if (!strcmp(name, part_names[k])) return k;
    if (!strncmp(name, "vertebrae_", 10)) return DT_BODY;
    if (!strncmp(name, "disc_", 5)) return DT_DISC;
    if (!strncmp(name, "rib_", 4)) return DT_RIB;
    if (!strcmp(name, "sacrum")) return DT_SACRUM;
    return !strcmp(name, "spinal_canal") || !strcmp(name, "spinal_cord") ||
                   !strcmp(name, "cerebrospinal_fluid") || !strcmp(name, "ligamentum_flavum")
               ? DT_CANAL : DT_NONE;
}

/* The phantom's labels as a network of `mm` would give them: in blocks. */
static fab_volume *blocks(double mm, const fab_grid *to)
{
    fab_volume *coarse = NULL, *out = NULL;
    fab_grid g;
    CHECK_OK(fab_grid_axis_aligned(fab_volume_grid(phantom.labels), (double[]){mm, mm, mm}, &g,
                                   &err));
    CHECK_OK(fab_volume_resample(phantom.labels, &g, FAB_NEAREST, 0, &coarse, &err));
    CHECK_OK(fab_volume_resample(coarse, to, FAB_NEAREST, 0, &out, &err));
    fab_volume_unref(coarse);
    return out;
}

static fab_segment_result first_look(void)
{
    fab_segment_result r = {0};
    r.labels = blocks(5, fab_volume_grid(phantom.labels));
    r.fine_labels = blocks(5, fab_volume_grid(fine));
    CHECK_OK(fab_volume_create(fab_volume_grid(fine), FAB_F32, &r.fine_margin, &err));
    CHECK_OK(fab_label_set_copy(&phantom.set, &r.set, &err));
    return r;
}

static fab_segment_view second_look(bool nonsense)
{
    fab_segment_view v = {0};
    CHECK_OK(fab_volume_create(fab_volume_grid(fine), FAB_U16, &v.classes, &err));
    CHECK_OK(fab_volume_create(fab_volume_grid(fine), FAB_F32, &v.probability, &err));
    uint16_t *class = fab_volume_data_mut(v.classes);
    float *p = fab_volume_data_mut(v.probability);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(fine)); i++) {
        class[i] = (uint16_t)(nonsense ? DT_DISC : kind_of_fine((int)fab_volume_at(fine, i)));
        p[i] = 0.9f;
    }
    return v;
}

static dt_work *work_for(fab_segment_result *r)
{
    dt_work *w = fab_calloc(1, sizeof *w);
    CHECK(w);
    w->r = r;
    for (int k = DT_BODY; k < DT_KINDS; k++) w->kind_of[k] = (uint8_t)k;
    CHECK_OK(fab_dt_values(w, &err));
    return w;
}

static double dice(const fab_volume *a, const fab_volume *b, int value)
{
    int64_t in_a = 0, in_b = 0, both = 0;
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(a)); i++) {
        const bool x = (int)fab_volume_at(a, i) == value, y = (int)fab_volume_at(b, i) == value;
        in_a += x, in_b += y, both += x && y;
    }
    CHECK(in_a + in_b > 0);
    return 2 * (double)both / (double)(in_a + in_b);
}

static int value_of(const char *name)
{
    const fab_label *l = fab_label_set_by_name(&phantom.set, name);
    CHECK(l);
    return l->value;
}

static void run(fab_segment_result *r, fab_detail *d, bool nonsense)
{
    make_phantom();
    *r = first_look();
    fab_segment_view v = second_look(nonsense);
    dt_work *w = work_for(r);
    CHECK_OK(fab_dt_refine(w, &v, r, d, &err));
    fab_segment_view_free(&v);
    fab_free(w);
}

/* The good run, made once: every test may look at it. */
static fab_segment_result good;
static fab_detail parts;

static void run_good(void)
{
    if (!parts.parts) run(&good, &parts, false);
}

/* Names from the first, borders from the second. */
static void borders_become_the_second_looks(void)
{
    static const char *const names[] = {"vertebrae_L1", "vertebrae_L2", "vertebrae_L3",
                                        "vertebrae_L4", "vertebrae_L5"};
    run_good();
    const fab_detail d = parts;
    const fab_segment_result r = good;
    fab_segment_result before = first_look();
    CHECK(d.agreement > 0.7 && d.note[0] == 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const int value = value_of(names[i]);
        const double was = dice(before.labels, phantom.labels, value),
                     is = dice(r.labels, phantom.labels, value);
        CHECK_MSG(is > 0.93 && is > was + 0.05, "%s: %.3f, was %.3f", names[i], is, was);
    }
    static const char *const discs[] = {"disc_L1_L2", "disc_L3_L4", "disc_L5_S1"};
    for (size_t i = 0; i < sizeof discs / sizeof *discs; i++) {
        const double is = dice(r.labels, phantom.labels, value_of(discs[i]));
        CHECK_MSG(is > 0.85, "%s: %.3f", discs[i], is);
    }
    CHECK(dice(r.labels, phantom.labels, value_of("sacrum")) > 0.9);
    CHECK(dice(r.labels, before.labels, value_of("kidney_left")) > 0.99); /* not of the spine */
    fab_segment_result_free(&before);
}

static bool part_near(const fab_detail *d, const double world[3], const char *name)
{
    const fab_label *l = fab_label_set_by_name(&d->set, name);
    const fab_grid *g = fab_volume_grid(d->parts);
    fab_mat34 voxel_from_world;
    double p[3];
    if (!l) return false;
    CHECK_OK(fab_mat34_invert(&g->world_from_voxel, &voxel_from_world, &err));
    fab_mat34_apply(&voxel_from_world, world, p);
    for (int k = 0; k < 125; k++) {
        const int32_t at[3] = {(int32_t)lrint(p[0]) + k % 5 - 2,
                               (int32_t)lrint(p[1]) + k / 5 % 5 - 2,
                               (int32_t)lrint(p[2]) + k / 25 - 2};
        bool in = true;
        for (int a = 0; a < 3; a++) in = in && at[a] >= 0 && at[a] < g->size[a];
        if (in && (int)fab_volume_get(d->parts, at[0], at[1], at[2]) == l->value) return true;
    }
    return false;
}

static void landmark(const fab_detail *d, const fab_json *vertebra, const char *name,
                     const char *part)
{
    char full[FAB_MAX_NAME_BYTES];
    double world[3];
    const char *level = fab_json_text(fab_json_find(vertebra, "level"));
    const fab_json *at = fab_json_find(fab_json_find(vertebra, "landmarks"), name);
    for (size_t a = 0; a < 3; a++) world[a] = fab_json_number(fab_json_at(at, a));
    snprintf(full, sizeof full, "%s_%s", part, level);
    CHECK_MSG(part_near(d, world, full), "no %s near %s of %s", full, name, level);
}

/* The phantom knows where its pedicles, laminae and tips are. */
static void landmarks_lie_in_their_parts(void)
{
    int checked = 0;
    run_good();
    const fab_detail d = parts;
    const fab_json *list = fab_json_find(phantom.truth, "vertebrae");
    for (size_t i = 0; i < fab_json_count(list); i++) {
        const fab_json *v = fab_json_at(list, i);
        const char *level = fab_json_text(fab_json_find(v, "level"));
        if (level[0] != 'L' || level[1] > '4') continue;
        landmark(&d, v, "pedicle_left", "pedicle_left");
        landmark(&d, v, "pedicle_right", "pedicle_right");
        landmark(&d, v, "lamina_left", "lamina_left");
        landmark(&d, v, "lamina_right", "lamina_right");
        landmark(&d, v, "spinous_tip", "spinous_process");
        landmark(&d, v, "transverse_tip_left", "transverse_process_left");
        landmark(&d, v, "transverse_tip_right", "transverse_process_right");
        landmark(&d, v, "facet_with_below_left", "inferior_articular_process_left");
        checked++;
    }
    CHECK(checked == 4);
}

/* What is modelled lies outside of bone, where anatomy has it. */
static void modelled_structures_are_where_they_belong(void)
{
    int64_t voxels[4] = {0};
    run_good();
    const fab_detail d = parts;
    const fab_volume *truth = fine;
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(truth)); i++) {
        const fab_label *l = fab_label_set_find(&d.set, (int)fab_volume_at(d.parts, i));
        if (!l || strncmp(l->name, "modelled_", 9)) continue;
        const int kind = kind_of_fine((int)fab_volume_at(truth, i));
        CHECK_MSG(kind == DT_NONE || kind == DT_CANAL, "%s in kind %d", l->name, kind);
        voxels[0] += !strcmp(l->name, "modelled_thecal_sac");
        voxels[1] += !strcmp(l->name, "modelled_ligamentum_flavum_L3_L4");
        voxels[2] += !strcmp(l->name, "modelled_nerve_root_left_L3");
        voxels[3] += !strcmp(l->name, "modelled_nerve_root_right_L3");
    }
    const double ml = fab_grid_voxel_volume_mm3(fab_volume_grid(truth)) / 1000;
    CHECK((double)voxels[0] * ml > 15); /* of some 200 mm of canal */
    CHECK((double)voxels[1] * ml > 0.3 && (double)voxels[1] * ml < 5);
    CHECK((double)voxels[2] * ml > 0.15 && (double)voxels[3] * ml > 0.15);
}

/* A second look that sees something else altogether is not believed. */
static void nonsense_changes_nothing(void)
{
    fab_segment_result r, before;
    fab_detail d = {0};
    run(&r, &d, true);
    before = first_look();
    CHECK(d.agreement == 0 && d.note[0] && !d.parts && d.set.count == 0);
    CHECK(!memcmp(fab_volume_data(r.labels), fab_volume_data(before.labels),
                  fab_volume_bytes(r.labels)));
    fab_segment_result_free(&r);
    fab_segment_result_free(&before);
    fab_detail_free(&d);
}

static void the_card_says_whose_results(void)
{
    fab_json *card = NULL;
    static const char text[] = "{\"detail\": {\"of\": [\"a\", \"torso-ct\"]}}";
    CHECK_OK(fab_json_parse(text, sizeof text - 1, "card", &card, &err));
    CHECK(fab_detail_is_for(card, "torso-ct") && !fab_detail_is_for(card, "torso"));
    fab_json_free(card);
    CHECK(!fab_detail_is_for(NULL, "torso-ct"));
}

static void everything_is_given_back(void)
{
    make_phantom();
    fab_segment_result_free(&good);
    fab_detail_free(&parts);
    fab_volume_unref(fine);
    fab_phantom_free(&phantom);
}

int main(void)
{
    return FAB_RUN(TEST(the_card_says_whose_results), TEST(borders_become_the_second_looks),
                   TEST(landmarks_lie_in_their_parts),
                   TEST(modelled_structures_are_where_they_belong), TEST(nonsense_changes_nothing),
                   TEST(everything_is_given_back));
}
