/* What an image is taken for, from its voxels and from its header. */
#include "tests.h"

static fab_scan look(fab_volume *v, const char *modality, const char *body_part)
{
    fab_error err;
    fab_scan scan;
    const fab_scan_facts facts = {modality, body_part};
    CHECK_OK(fab_scan_look(v, &facts, &scan, &err));
    fab_volume_unref(v);
    return scan;
}

static const double middle[3] = {0, 0, 0};

void looks_like_a_torso(void)
{
    fab_error err;
    fab_volume *v = torso();
    fab_scan s = look(fab_volume_ref(v), NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_TORSO && s.hounsfield && s.torso == s.body && s.body == s.slices);
    CHECK_NEAR(s.body_width_mm, 360, 9);
    CHECK_NEAR(s.body_area_cm2, 3.14159 * 18 * 12, 15);
    CHECK(s.fat > 0.05 && s.soft > 0.2 && s.bone > 0.005 && s.air > 0.2);
    /* a crop around the spine says less, and is not refused */
    fab_volume *crop = NULL;
    CHECK_OK(fab_volume_crop(v, (const int32_t[3]){41, 42, 10}, (const int32_t[3]){28, 28, 40},
                             &crop, &err));
    s = look(crop, NULL, NULL);
    CHECK(s.hounsfield && s.verdict <= FAB_SCAN_PARTLY && s.inside == s.body);
    fab_volume_unref(v);
}

static fab_volume *head(void)
{
    fab_volume *v = image_of((const int[3]){84, 84, 40}, 3, -1000);
    draw(v, middle, (const double[3]){78, 95, 0}, true, 40);
    draw(v, middle, (const double[3]){72, 89, 0}, true, 1100);
    draw(v, middle, (const double[3]){64, 81, 0}, true, 35);
    draw(v, (const double[3]){0, 60, 0}, (const double[3]){10, 8, 0}, true, -100);
    add_noise(v, 8);
    return v;
}

static fab_volume *knees(void)
{
    fab_volume *v = image_of((const int[3]){120, 70, 40}, 3, -1000);
    for (int side = -1; side <= 1; side += 2) {
        const double at[3] = {80 * side, 0, 0};
        draw(v, at, (const double[3]){60, 62, 0}, true, -90);
        draw(v, at, (const double[3]){50, 52, 0}, true, 50);
        draw(v, at, (const double[3]){32, 28, 0}, true, 350);
    }
    add_noise(v, 12);
    return v;
}

void refuses_what_is_no_torso(void)
{
    fab_scan s = look(head(), NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_OTHER && strstr(s.looks_like, "head") && s.hounsfield);
    s = look(knees(), NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_OTHER && strstr(s.looks_like, "limbs"));
    fab_volume *water = image_of((const int[3]){110, 80, 40}, 4, -1000);
    draw(water, middle, (const double[3]){150, 150, 0}, true, 0);
    add_noise(water, 40);
    s = look(water, NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_OTHER && strstr(s.looks_like, "phantom"));
    fab_volume *table = image_of((const int[3]){110, 80, 40}, 4, -1000);
    draw(table, (const double[3]){0, 100, 0}, (const double[3]){100, 2.2, 0}, true, -100);
    add_noise(table, 20);
    s = look(table, NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_OTHER && strstr(s.looks_like, "empty"));
    fab_volume *limb = image_of((const int[3]){60, 60, 40}, 3, -1000);
    draw(limb, middle, (const double[3]){60, 60, 0}, true, -90);
    draw(limb, middle, (const double[3]){52, 52, 0}, true, 50);
    draw(limb, middle, (const double[3]){14, 14, 0}, true, 700);
    s = look(limb, NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_UNSURE); /* may be a child */
}

static fab_volume *spread(int low, int high)
{
    fab_rng rng;
    fab_volume *v = image_of((const int[3]){40, 40, 40}, 4, 0);
    int16_t *data = fab_volume_data_mut(v);
    fab_rng_seed(&rng, 3, 3);
    for (int i = 0; i < 40 * 40 * 40; i++)
        data[i] = (int16_t)(low + (int)(fab_rng_u32(&rng) % (uint32_t)(high - low)));
    return v;
}

void refuses_what_is_no_ct(void)
{
    fab_scan s = look(image_of((const int[3]){30, 30, 30}, 4, -1000), NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_OTHER && strstr(s.looks_like, "constant") && !s.hounsfield);
    s = look(spread(-1000, 1000), NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_OTHER && strcmp(s.looks_like, "noise") == 0);
    fab_volume *mr = image_of((const int[3]){80, 80, 40}, 4, 0);
    draw(mr, middle, (const double[3]){140, 110, 0}, true, 600);
    draw(mr, middle, (const double[3]){100, 80, 0}, true, 250);
    s = look(mr, NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_OTHER && strstr(s.looks_like, "MR") && !s.hounsfield);
    fab_volume *offset = torso();
    int16_t *data = fab_volume_data_mut(offset);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(offset)); i++)
        data[i] = (int16_t)(data[i] < -1024 ? 0 : data[i] + 1024);
    s = look(offset, NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_OTHER && strstr(s.looks_like, "offset") && !s.hounsfield);
}

void header_helps(void)
{
    fab_scan s = look(torso(), "MR", NULL);
    CHECK(s.verdict == FAB_SCAN_OTHER && strcmp(s.looks_like, "an MR") == 0);
    /* a wrong header does not make a torso a head */
    s = look(torso(), "CT", "HEAD");
    CHECK(s.verdict == FAB_SCAN_TORSO && strstr(s.body_part_note, "HEAD"));
    fab_volume *limb = image_of((const int[3]){60, 60, 40}, 3, -1000);
    draw(limb, middle, (const double[3]){60, 60, 0}, true, -90);
    draw(limb, middle, (const double[3]){52, 52, 0}, true, 50);
    draw(limb, middle, (const double[3]){14, 14, 0}, true, 700);
    s = look(limb, "CT", "KNEE");
    CHECK(s.verdict == FAB_SCAN_OTHER && strstr(s.reasons, "KNEE"));
}

void padding_is_found(void)
{
    fab_volume *v = torso();
    const fab_grid *g = fab_volume_grid(v);
    int16_t *data = fab_volume_data_mut(v);
    for (int k = 0; k < g->size[2]; k++)
        for (int j = 0; j < g->size[1]; j++)
            for (int i = 0; i < g->size[0]; i++, data++)
                if (pow(i - 54.5, 2) + pow(j - 39.5, 2) > pow(42, 2)) *data = -2000;
    fab_scan s = look(v, NULL, NULL);
    CHECK(s.verdict == FAB_SCAN_TORSO && s.has_padding && s.padding_hu == -2000);
    CHECK(!look(torso(), NULL, NULL).has_padding);
}
