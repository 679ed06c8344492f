/* Vertebrae along a bent spine. */
#include "tests.h"

enum { COUNT = 8 };
static const char *const names[COUNT] = {"vertebrae_T10", "vertebrae_T11", "vertebrae_T12",
                                         "vertebrae_L1",  "vertebrae_L2",  "vertebrae_L3",
                                         "vertebrae_L4",  "vertebrae_L5"};

/* A scoliosis: x swings by 60 mm, single vertebrae lean by up to 38 degrees. */
static void spine(blob out[COUNT])
{
    for (int i = 0; i < COUNT; i++)
        out[i] = (blob){names[i],
                        {30 * sin(i * 0.75), 60, 100 - 28.0 * i},
                        {18, 16, 11}};
}

static fab_qa check(const blob *blobs, int count, fab_label_set *set)
{
    fab_error err;
    fab_qa qa = {0};
    fab_volume *image = image_of((const int[3]){90, 60, 90}, 3, 0);
    fab_volume *labels = labels_of(image, blobs, count, set);
    const fab_qa_input in = {.labels = labels, .set = set};
    CHECK_OK(fab_qa_check(&in, &qa, &err));
    CHECK_OK(fab_qa_rank(&qa, &err));
    fab_volume_unref(image);
    fab_volume_unref(labels);
    return qa;
}

void levels_in_order(void)
{
    blob b[COUNT];
    fab_label_set set = {0};
    spine(b);
    fab_qa qa = check(b, COUNT, &set);
    for (size_t i = 0; i < qa.finding_count; i++)
        CHECK(strncmp(qa.findings[i].code, "level", 5) != 0 &&
              strncmp(qa.findings[i].code, "trans", 5) != 0);
    fab_qa_free(&qa);
    fab_label_set_free(&set);
}

/* Changes one thing and says whether that finding comes up there. */
static bool found(const blob *b, int count, const char *code, const char *name)
{
    fab_label_set set = {0};
    fab_qa qa = check(b, count, &set);
    const bool yes = finding(&qa, &set, code, name) != NULL;
    fab_qa_free(&qa);
    fab_label_set_free(&set);
    return yes;
}

void levels_wrong(void)
{
    blob b[COUNT + 1];
    spine(b);
    b[3].name = "vertebrae_L2", b[4].name = "vertebrae_L1";
    CHECK(found(b, COUNT, "level-order", "vertebrae_L2"));
    spine(b);
    memmove(&b[2], &b[3], (COUNT - 3) * sizeof *b); /* no T12, and room for it */
    CHECK(found(b, COUNT - 1, "level-gap", "vertebrae_L1"));
    CHECK(!found(b, COUNT - 1, "transitional-vertebra", "vertebrae_L1"));
    spine(b);
    for (int i = 2; i < COUNT - 1; i++) b[i].name = names[i + 1]; /* T12 skipped in the count */
    CHECK(found(b, COUNT - 1, "transitional-vertebra", "vertebrae_L1"));
    spine(b);
    for (int i = 4; i < COUNT; i++) b[i].name = names[i - 1], b[i].at[2] -= 20;
    memmove(&b[3], &b[4], (COUNT - 4) * sizeof *b);
    CHECK(found(b, COUNT - 1, "level-gap", "vertebrae_L1")); /* one has no label at all */
    spine(b);
    b[COUNT] = (blob){"vertebrae_L3", {30 * sin(1.5), 60, 44}, {18, 16, 11}}; /* over T12 */
    CHECK(found(b, COUNT + 1, "level-duplicate", "vertebrae_L3"));
    spine(b);
    b[4].at[1] += -45;
    CHECK(found(b, COUNT, "level-off-curve", "vertebrae_L2"));
    spine(b);
    b[7].name = "vertebrae_L6";
    CHECK(found(b, COUNT, "transitional-vertebra", "vertebrae_L6"));
}
