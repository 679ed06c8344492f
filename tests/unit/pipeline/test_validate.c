/* What a validation compares with what, and how names of vertebrae are judged. */
#include "tests.h"
#include "validate.h"

/* ---- pairs -------------------------------------------------------------------------------- */

static const char card_text[] =
    "{\"labels\":["
    "{\"value\":1,\"name\":\"vertebrae\",\"members\":[\"vertebrae_L5\",\"vertebrae_L4\"]},"
    "{\"value\":2,\"name\":\"ribs_sternum\",\"members\":[\"rib_left_1\",\"sternum\"]},"
    "{\"value\":3,\"name\":\"kidneys\",\"members\":[\"kidney_right\",\"kidney_left\","
    "\"kidney_cyst_left\"],\"left_name\":\"kidney_left\",\"right_name\":\"kidney_right\"},"
    "{\"value\":4,\"name\":\"heart\",\"members\":[\"heart\",\"atrial_appendage_left\"]},"
    "{\"value\":5,\"name\":\"urinary_bladder\",\"members\":[\"urinary_bladder\"]},"
    "{\"value\":6,\"name\":\"rest\",\"members\":[]}]}";

static fab_label_set set_of(const char *const *names)
{
    fab_label_set set = {0};
    fab_error err;
    for (int i = 0; names[i]; i++) CHECK_OK(fab_label_set_add(&set, i + 1, names[i], &err));
    return set;
}

static const fab_pair *find(const fab_pair_list *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i].name, name) == 0) return &l->items[i];
    return NULL;
}

static bool has_value(const fab_pair *p, int value)
{
    for (size_t i = 0; i < p->truth_count; i++)
        if (p->truth[i] == value) return true;
    return false;
}

void validate_pairs_by_card(void)
{
    static const char *const truth_names[] = {
        "vertebrae_L4", "vertebrae_L5", "vertebrae_L6", "rib_left_1", "Right Kidney",
        "kidney_left", "heart_myocardium", "heart_atrium_left", "heart_atrium_right",
        "heart_ventricle_left", "heart_ventricle_right", "bladder", NULL};
    static const char *const predicted_names[] = {"vertebrae", "ribs_sternum", "kidney_left",
                                                  "kidney_right", "heart", "urinary_bladder",
                                                  NULL};
    fab_error err;
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    CHECK_OK(fab_json_parse(card_text, sizeof card_text - 1, "card", &card, &err));
    fab_label_set truth = set_of(truth_names), predicted = set_of(predicted_names);
    const fab_dataset d = {0};
    const fab_val_case c = {0};
    fab_pair_list l = {0};
    CHECK_OK(fab_pairs_make(&d, &c, card, &truth, &predicted, &l, &err));
    CHECK(l.count == 6);
    const fab_pair *spine = find(&l, "vertebrae"), *ribs = find(&l, "ribs_sternum");
    CHECK(spine && spine->truth_count == 3 && has_value(spine, 3) && !spine->reason[0]);
    CHECK(ribs && strstr(ribs->reason, "1 of 2, without sternum"));
    const fab_pair *left = find(&l, "kidney_left"), *right = find(&l, "kidney_right");
    CHECK(left && left->truth_count == 1 && has_value(left, 6) && !left->reason[0]);
    CHECK(strstr(left->remark, "kidney_cyst_left"));
    CHECK(right && right->truth_count == 1 && has_value(right, 5) && !right->remark[0]);
    CHECK(left->predicted[0] == 3 && right->predicted[0] == 4 && right->predicted_count == 1);
    const fab_pair *heart = find(&l, "heart"), *bladder = find(&l, "urinary_bladder");
    CHECK(heart && heart->truth_count == 5 && !heart->reason[0]);
    CHECK(bladder && bladder->truth_count == 1 && has_value(bladder, 12));
    fab_pairs_free(&l);
    fab_label_set_free(&truth);
    fab_label_set_free(&predicted);
}

/* A truth that merges as the model does; and one that knows nothing of it. */
void validate_pairs_of_merged_truth(void)
{
    static const char *const truth_names[] = {"vertebrae", "ribs_sternum", NULL};
    static const char *const predicted_names[] = {"vertebrae", "ribs_sternum", "liver", NULL};
    fab_error err;
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    CHECK_OK(fab_json_parse(card_text, sizeof card_text - 1, "card", &card, &err));
    fab_label_set truth = set_of(truth_names), predicted = set_of(predicted_names);
    const fab_dataset d = {0};
    const fab_val_case c = {0};
    fab_pair_list l = {0};
    CHECK_OK(fab_pairs_make(&d, &c, card, &truth, &predicted, &l, &err));
    CHECK(l.count == 3); /* what the run was not asked for is left out */
    CHECK(!find(&l, "vertebrae")->reason[0] && has_value(find(&l, "vertebrae"), 1));
    CHECK(strcmp(find(&l, "liver")->reason, "not in the truth") == 0);
    fab_pairs_free(&l);
    fab_label_set_free(&truth);
    fab_label_set_free(&predicted);
}

/* ---- levels ------------------------------------------------------------------------------- */

enum { EDGE = 8, SLAB = 6, SLABS = 6 };

/* Slabs of 6 voxels of 3 mm one above the other, the lowest first. */
static fab_volume *slabs(const int values[SLABS])
{
    fab_error err;
    fab_volume *v = NULL;
    fab_grid g = {.size = {EDGE, EDGE, SLAB * SLABS}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 3;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    uint8_t *data = fab_volume_data_mut(v);
    for (int k = 0; k < SLAB * SLABS; k++)
        memset(data + k * EDGE * EDGE, values[k / SLAB], EDGE * EDGE);
    return v;
}

static fab_levels levels_of(const int truth[SLABS], const int predicted[SLABS])
{
    static const char *const names[] = {"vertebrae_L5", "vertebrae_L4", "vertebrae_L3",
                                        "vertebrae_L2", "vertebrae_L1", "vertebrae_T12",
                                        "vertebrae_T11", "vertebrae_T13", "liver", NULL};
    fab_error err;
    fab_levels l;
    fab_label_set set = set_of(names);
    FAB_AUTO(fab_volume_unref) fab_volume *a = slabs(truth);
    FAB_AUTO(fab_volume_unref) fab_volume *b = slabs(predicted);
    CHECK_OK(fab_levels_measure(a, &set, b, &set, &l, &err));
    fab_label_set_free(&set);
    return l;
}

void validate_levels(void)
{
    static const int spine[SLABS] = {1, 2, 3, 4, 5, 6}, above[SLABS] = {2, 3, 4, 5, 6, 7};
    static const int swapped[SLABS] = {1, 3, 2, 4, 0, 9}, none[SLABS] = {9, 9, 0, 0, 0, 0};
    static const int extra[SLABS] = {1, 2, 3, 4, 5, 8};
    fab_levels l = levels_of(spine, spine);
    CHECK(l.tested && l.truth_count == 6 && l.right == 6 && l.shift == 0 && l.identified == 6);
    CHECK_NEAR(l.localisation_mm, 0, 1e-9);
    l = levels_of(spine, above); /* one too high throughout */
    CHECK(l.right == 0 && l.shift == -1 && l.right_shifted == 6 && l.identified == 0);
    CHECK_NEAR(l.localisation_mm, SLAB * 3, 1e-9);
    l = levels_of(above, spine);
    CHECK(l.shift == 1 && l.right_shifted == 6);
    l = levels_of(spine, swapped); /* two changed places, two were not found */
    CHECK(l.right == 2 && l.shift == 0 && l.missed == 2 && l.right_shifted == 2);
    CHECK(l.level[fab_level_find("vertebrae_L4")].named == fab_level_find("vertebrae_L3"));
    CHECK(l.level[fab_level_find("vertebrae_L1")].named == -1);
    CHECK(l.identified == 2 && l.truth_count == 6);
    l = levels_of(extra, extra); /* a thirteenth thoracic vertebra has no step */
    CHECK(l.right == 6 && l.shift == 0 && l.right_shifted == 6);
    l = levels_of(none, spine); /* a truth without vertebrae tests none */
    CHECK(!l.tested && isnan(l.localisation_mm));
}
