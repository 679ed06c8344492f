/* What is said of a label map: nothing of a good one, the right thing of a wrong one. */
#include "tests.h"

/* Middles and radii in mm; LPS: the liver lies at negative x, the spine at positive y. */
static const blob patient[] = {
    {"vertebrae", {0, 70, 0}, {18, 18, 115}},      {"liver", {-80, 0, 30}, {60, 70, 60}},
    {"spleen", {90, 30, 40}, {30, 30, 45}},        {"kidney_left", {60, 50, -30}, {25, 25, 50}},
    {"kidney_right", {-60, 60, -50}, {25, 22, 48}}, {"heart", {30, -40, 76}, {55, 48, 33}},
    {"urinary_bladder", {0, -30, -95}, {30, 30, 18}}, {"aorta", {15, 40, 0}, {9, 9, 110}},
    {"stomach", {60, -40, 20}, {40, 30, 28}},
};
enum { PARTS = sizeof patient / sizeof *patient };

typedef struct result {
    fab_volume *image, *labels;
    fab_label_set set;
    fab_scan scan;
    fab_qa qa;
} result;

/* For whoever reads a failure. */
static void show(const result *r)
{
    for (size_t i = 0; i < r->qa.finding_count; i++) {
        const fab_qa_finding *f = &r->qa.findings[i];
        const fab_label *l = fab_label_set_find(&r->set, f->value);
        if (f->severity != FAB_INFO)
            fprintf(stderr, "  %s %s: %s\n", l ? l->name : "scan", f->code, f->text);
    }
}

static void check(result *r, const blob *blobs, int count, const double *confidence)
{
    fab_error err;
    fab_volume *labels = labels_of(r->image, blobs, count, &r->set);
    r->labels = labels;
    CHECK_OK(fab_scan_look(r->image, NULL, &r->scan, &err));
    const fab_qa_input in = {.image = r->image, .scan = &r->scan, .judge = true,
                             .labels = labels, .set = &r->set, .confidence = confidence};
    CHECK_OK(fab_qa_check(&in, &r->qa, &err));
    CHECK_OK(fab_qa_rank(&r->qa, &err));
}

static void done(result *r)
{
    fab_qa_free(&r->qa);
    fab_label_set_free(&r->set);
    fab_volume_unref(r->image);
    fab_volume_unref(r->labels);
    *r = (result){0};
}

static bool says(const result *r, const char *code, const char *name)
{
    return finding(&r->qa, &r->set, code, name) != NULL;
}

void good_patient_has_none(void)
{
    result r = {.image = torso()};
    check(&r, patient, PARTS, NULL);
    show(&r);
    for (size_t i = 0; i < r.qa.finding_count; i++)
        CHECK(r.qa.findings[i].severity == FAB_INFO);
    CHECK(r.qa.verdict == FAB_SCAN_TORSO && r.qa.structure_count == PARTS);
    CHECK_NEAR(r.qa.structures[1].hu[1], 50, 9);
    CHECK_NEAR(r.qa.structures[0].hu[1], 300, 12);
    CHECK_NEAR(r.qa.structures[1].volume_ml, 4.18879 * 6 * 7 * 6, 15);
    done(&r);
}

void finds_mirrored_and_misplaced(void)
{
    blob wrong[PARTS];
    result r = {.image = torso()};
    memcpy(wrong, patient, sizeof wrong);
    for (int i = 0; i < PARTS; i++) wrong[i].at[0] = -wrong[i].at[0];
    check(&r, wrong, PARTS, NULL);
    CHECK(says(&r, "mirrored", NULL) && finding(&r.qa, &r.set, "mirrored", NULL)->located);
    CHECK(says(&r, "left-right", "kidney_left") && says(&r, "left-right", "kidney_right"));
    CHECK(r.qa.findings[0].severity == FAB_ERROR); /* before all else */
    done(&r);

    memcpy(wrong, patient, sizeof wrong);
    r.image = torso();
    for (int i = 0; i < PARTS; i++) wrong[i].at[2] = -wrong[i].at[2];
    check(&r, wrong, PARTS, NULL);
    CHECK(strstr(finding(&r.qa, &r.set, "orientation", NULL)->text, "upside down"));
    done(&r);

    memcpy(wrong, patient, sizeof wrong);
    r.image = torso();
    wrong[6].at[2] = 98; /* the bladder in the chest: one finding, and it is the bladder's */
    check(&r, wrong, PARTS, NULL);
    CHECK(says(&r, "implausible-place", "urinary_bladder") && !says(&r, "orientation", NULL));
    CHECK(!says(&r, "implausible-place", "liver"));
    done(&r);

    memcpy(wrong, patient, sizeof wrong);
    r.image = torso();
    wrong[2].at[0] = -95; /* the spleen on the right alone */
    check(&r, wrong, PARTS, NULL);
    CHECK(says(&r, "organ-side", "spleen") && !says(&r, "mirrored", NULL));
    done(&r);
}

void finds_pieces_holes_and_tissue(void)
{
    blob wrong[PARTS + 1];
    result r = {.image = torso()};
    memcpy(wrong, patient, sizeof patient);
    wrong[PARTS] = (blob){"spleen", {120, 20, -60}, {22, 22, 30}};
    check(&r, wrong, PARTS + 1, NULL);
    const fab_qa_finding *f = finding(&r.qa, &r.set, "fragments", "spleen");
    CHECK(f && f->located && f->low_mm[0] <= 120 && f->high_mm[0] >= 120 && f->high_mm[2] < -20);
    done(&r);

    r.image = torso();
    wrong[PARTS] = (blob){"pancreas", {-80, 0, 30}, {25, 25, 25}}; /* inside the liver */
    check(&r, wrong, PARTS + 1, NULL);
    CHECK(says(&r, "holes", "liver") && says(&r, "implausible-place", "pancreas"));
    done(&r);

    memcpy(wrong, patient, sizeof patient);
    r.image = torso();
    draw(r.image, patient[1].at, patient[1].radius, false, -90); /* a liver of fat */
    draw(r.image, patient[2].at, patient[2].radius, false, 500);
    check(&r, wrong, PARTS, NULL);
    CHECK(strstr(finding(&r.qa, &r.set, "implausible-tissue", "liver")->text, "about -9"));
    CHECK(strstr(finding(&r.qa, &r.set, "implausible-tissue", "spleen")->text, "about 50"));
    CHECK(!says(&r, "implausible-tissue", "heart"));
    done(&r);

    r.image = torso();
    wrong[2].radius[0] = wrong[2].radius[1] = wrong[2].radius[2] = 14; /* 11 ml */
    wrong[1].at[2] = 100;                                          /* cut: half of it is no less */
    wrong[1].radius[0] = 20;
    check(&r, wrong, PARTS, NULL);
    CHECK(says(&r, "small-volume", "spleen") && !says(&r, "small-volume", "liver"));
    CHECK(says(&r, "touches-scan-edge", "liver"));
    done(&r);
}

void finds_what_lies_outside(void)
{
    blob wrong[PARTS + 1];
    result r = {.image = torso()};
    memcpy(wrong, patient, sizeof patient);
    wrong[PARTS] = (blob){"liver", {-203, 0, 0}, {11, 11, 70}}; /* an arm beside the body */
    draw(r.image, (const double[3]){-203, 0, 0}, (const double[3]){14, 14, 0}, true, 50);
    check(&r, wrong, PARTS + 1, NULL);
    const fab_qa_finding *f = finding(&r.qa, &r.set, "outside-body", "liver");
    CHECK(f && f->high_mm[0] < -185 && f->low_mm[0] > -218);
    for (int i = 2; i < PARTS; i++) CHECK(!says(&r, "outside-body", patient[i].name));
    done(&r);
}

void finds_metal(void)
{
    result r = {.image = torso()};
    draw(r.image, (const double[3]){0, 70, 20}, (const double[3]){7, 7, 20}, false, 3000);
    check(&r, patient, PARTS, NULL);
    const fab_qa_finding *f = finding(&r.qa, &r.set, "metal", NULL);
    CHECK(f && f->located && strstr(f->text, "vertebrae"));
    CHECK(f->low_mm[2] > -8 && f->low_mm[2] < 6 && f->high_mm[2] > 34 && f->high_mm[2] < 50);
    CHECK(!says(&r, "streaks", NULL));
    done(&r);

    r.image = torso();
    draw(r.image, (const double[3]){0, 70, 20}, (const double[3]){7, 7, 20}, false, 3000);
    draw(r.image, (const double[3]){40, 55, 15}, (const double[3]){30, 20, 25}, false, -700);
    check(&r, patient, PARTS, NULL);
    CHECK(says(&r, "streaks", NULL));
    done(&r);
}

void orders_the_review(void)
{
    blob wrong[PARTS];
    double confidence[PARTS];
    result r = {.image = torso()};
    memcpy(wrong, patient, sizeof patient);
    for (int i = 0; i < PARTS; i++) confidence[i] = 0.92;
    confidence[4] = 0.4;      /* kidney_right: unsure */
    confidence[7] = 0.75;     /* aorta: less sure than the others */
    wrong[2].at[0] = -95;     /* spleen: on the other side */
    check(&r, wrong, PARTS, confidence);
    const fab_qa *qa = &r.qa;
    CHECK(strcmp(qa->structures[qa->order[0]].label->name, "spleen") == 0); /* two warnings */
    CHECK(strcmp(qa->structures[qa->order[1]].label->name, "kidney_right") == 0);
    CHECK(strcmp(qa->structures[qa->order[2]].label->name, "aorta") == 0);
    for (size_t i = 1; i < qa->structure_count; i++)
        CHECK(qa->structures[qa->order[i]].score <= qa->structures[qa->order[i - 1]].score);
    CHECK(says(&r, "low-confidence", "kidney_right"));
    for (size_t i = 1; i < qa->finding_count; i++)
        CHECK(qa->findings[i].severity <= qa->findings[i - 1].severity);
    done(&r);
}

void distrusts(void)
{
    double confidence[PARTS];
    for (int i = 0; i < PARTS; i++) confidence[i] = 0.45;
    result r = {.image = torso()};
    check(&r, patient, PARTS, confidence);
    CHECK(r.qa.verdict == FAB_SCAN_UNSURE && says(&r, "unsure-throughout", NULL));
    for (int i = 0; i < PARTS; i++) CHECK(says(&r, "not-trusted", patient[i].name));
    CHECK(strcmp(r.qa.findings[0].code, "unsure-throughout") == 0);
    done(&r);

    static const blob scraps[] = {{"liver", {-80, 0, 30}, {8, 8, 8}}};
    confidence[0] = 0.9;
    r.image = torso();
    check(&r, scraps, 1, confidence);
    CHECK(r.qa.verdict == FAB_SCAN_UNSURE && says(&r, "nothing-found", NULL));
    CHECK(says(&r, "scrap", "liver"));
    done(&r);
}
