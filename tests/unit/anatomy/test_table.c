/* The structure table: complete, unique, with real codes, sides that differ and colours that can be
 * told apart. The 117 names are TotalSegmentator's v2 classes, in its order. */
#include "harness.h"
#include "names117.h"

#include "fabrica/anatomy.h"

static void all_117_are_there(void)
{
    for (size_t i = 0; i < NAMES117; i++) {
        const fab_anatomy *row = fab_anatomy_find(names117[i]);
        CHECK(fab_total_value(names117[i]) == (int)i + 1);
        CHECK(strcmp(fab_total_name((int)i + 1), names117[i]) == 0);
        if (!row) fprintf(stderr, "missing: %s\n", names117[i]);
        CHECK(row && !strcmp(row->name, names117[i]));
    }
    CHECK(!fab_anatomy_find("no_such_structure") && !fab_anatomy_find("") &&
          !fab_anatomy_find(NULL));
}

static void same_117_as_the_published_list(void)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    if (!fab_test_data("labelmaps/total_v2_classes.json", path)) SKIP("no shared data");
    fab_json *json = NULL;
    CHECK_OK(fab_json_load_file(path, &json, &err));
    CHECK(fab_json_count(json) == NAMES117);
    for (size_t i = 0; i < NAMES117; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i + 1);
        const char *name = fab_json_text(fab_json_find(json, key));
        CHECK(name && !strcmp(name, names117[i]));
    }
    fab_json_free(json);
}

static void names_of_our_networks_and_phantom(void)
{
    static const char *const names[] = {
        "vertebrae", "sacrum", "ribs", "ribs_sternum", "hips", "hip_left", "hip_right", "femurs",
        "femur_left", "femur_right", "lungs", "lung_left", "lung_right", "heart", "kidneys",
        "bowel", "autochthon_left", "autochthon_right", "gluteal_muscles_left",
        "gluteal_muscles_right", "iliopsoas_left", "iliopsoas_right", "shoulder_girdle",
        "shoulder_girdle_left", "shoulder_girdle_right", "soft_tissue", "skin", "spinal_cord",
        "spinal_canal", "intervertebral_discs", "fat", "bone_other", "subcutaneous_fat",
        "skeletal_muscle", "vertebral_body", "pedicle", "lamina", "spinous_process",
        "transverse_process", "articular_processes_superior", "articular_processes_inferior",
        "dura", "ligamentum_flavum", "nerve_roots", "metal_implant", "vertebrae_L6",
        "disc_C2_C3", "disc_T1_T2", "disc_T12_L1", "disc_L1_L2", "disc_L5_S1", "disc_L5_L6",
        "disc_L6_S1", "disc_L4_S1", "hippocampus_left", "cortex_precuneus_right", "brain_stem",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!fab_anatomy_find(names[i])) fprintf(stderr, "missing: %s\n", names[i]);
        CHECK(fab_anatomy_find(names[i]));
    }
}

static void every_row_is_found_and_unique(void)
{
    size_t count = fab_anatomy_count();
    CHECK(count > NAMES117 && !fab_anatomy_at(count));
    for (size_t i = 0; i < count; i++) {
        const fab_anatomy *a = fab_anatomy_at(i);
        if (fab_anatomy_find(a->name) != a) fprintf(stderr, "not found: %s\n", a->name);
        CHECK(fab_anatomy_find(a->name) == a);
        CHECK(strlen(a->name) < FAB_MAX_NAME_BYTES && a->display[0]);
        for (size_t j = 0; j < i; j++) {
            CHECK(strcmp(a->name, fab_anatomy_at(j)->name) != 0);
            CHECK(strcmp(a->display, fab_anatomy_at(j)->display) != 0);
        }
    }
}

/* Check digit of a SNOMED CT identifier: Verhoeff's dihedral scheme (SNOMED CT Release File
 * Specification, "Check-digit computation"). Built from the group's rules, not from a table. */
static int dihedral(int a, int b)
{
    int rotate = a < 5 ? (a + b) % 5 : (a - b + 10) % 5;
    return ((a >= 5) != (b >= 5) ? 5 : 0) + rotate;
}

static int permuted(int digit, size_t times)
{
    static const int once[10] = {1, 5, 7, 6, 2, 8, 3, 0, 9, 4};
    for (size_t i = 0; i < times % 8; i++) digit = once[digit];
    return digit;
}

static bool verhoeff_valid(const char *digits)
{
    int check = 0;
    size_t n = strlen(digits);
    for (size_t i = 0; i < n; i++) {
        char c = digits[n - 1 - i];
        if (c < '0' || c > '9') return false;
        check = dihedral(check, permuted(c - '0', i));
    }
    return n >= 6 && n <= 18 && check == 0;
}

static bool code_valid(const fab_code *code)
{
    if (!code->scheme || !code->value || !code->meaning || !code->meaning[0]) return false;
    if (strlen(code->meaning) > 64 || strlen(code->value) > 16) return false; /* LO, SH */
    if (!strcmp(code->scheme, "SCT")) return verhoeff_valid(code->value);
    if (!strcmp(code->scheme, "DCM")) return strspn(code->value, "0123456789") == 6;
    return !strcmp(code->scheme, "99FAB");
}

static void codes_are_real(void)
{
    CHECK(verhoeff_valid("7771000") && verhoeff_valid("24028007") && verhoeff_valid("80891009"));
    CHECK(!verhoeff_valid("7771001") && !verhoeff_valid("24082007") && !verhoeff_valid("1580x"));
    for (size_t i = 0; i < fab_anatomy_count(); i++) {
        const fab_anatomy *a = fab_anatomy_at(i);
        bool good = code_valid(&a->category) && code_valid(&a->type) &&
                    (!a->region.value || code_valid(&a->region));
        if (!good) fprintf(stderr, "bad code: %s\n", a->name);
        CHECK(good);
        CHECK(!strcmp(a->category.scheme, "SCT"));
        CHECK(strcmp(a->type.value, "85756007") != 0); /* "Tissue" as a type says nothing */
    }
}

/* A code has one meaning, and no private code among the 117. */
static void meanings_agree(void)
{
    for (size_t i = 0; i < fab_anatomy_count(); i++) {
        const fab_code *a = &fab_anatomy_at(i)->type;
        for (size_t j = 0; j < i; j++) {
            const fab_code *b = &fab_anatomy_at(j)->type;
            CHECK(!strcmp(a->value, b->value) == !strcmp(a->meaning, b->meaning));
        }
    }
    for (size_t i = 0; i < NAMES117; i++)
        CHECK(!strcmp(fab_anatomy_find(names117[i])->type.scheme, "SCT"));
}

static bool same_code(const fab_code *a, const fab_code *b)
{
    return a->value == b->value || (a->value && b->value && !strcmp(a->value, b->value));
}

/* No two of the 117 are coded alike. */
static void coding_tells_117_apart(void)
{
    for (size_t i = 0; i < NAMES117; i++)
        for (size_t j = 0; j < i; j++) {
            const fab_anatomy *a = fab_anatomy_find(names117[i]);
            const fab_anatomy *b = fab_anatomy_find(names117[j]);
            bool same = same_code(&a->type, &b->type) && same_code(&a->region, &b->region) &&
                        a->side == b->side;
            if (same) fprintf(stderr, "coded alike: %s %s\n", a->name, b->name);
            CHECK(!same);
        }
}

/* Whatever is called left has the modifier left or a concept that says left itself. */
static void sides_are_right(void)
{
    size_t pairs = 0;
    for (size_t i = 0; i < fab_anatomy_count(); i++) {
        const fab_anatomy *a = fab_anatomy_at(i);
        const char *left = strstr(a->name, "_left"), *right = strstr(a->name, "_right");
        bool chamber = !strncmp(a->name, "heart_", 6);
        fab_laterality named = left ? FAB_SIDE_LEFT : right ? FAB_SIDE_RIGHT : FAB_SIDE_NONE;
        if (chamber) CHECK(a->side == FAB_SIDE_NONE);
        else CHECK(a->side == named);
        if (chamber && named != FAB_SIDE_NONE)
            CHECK(strstr(a->type.meaning, left ? "Left" : "Right"));
        CHECK(named == FAB_SIDE_NONE || strstr(a->display, left ? "Left" : "Right"));
        if (!left) continue;
        char other[FAB_MAX_NAME_BYTES];
        snprintf(other, sizeof other, "%.*s_right%s", (int)(left - a->name), a->name, left + 5);
        const fab_anatomy *b = fab_anatomy_find(other);
        if (!b) continue;
        pairs++;
        if (chamber) CHECK(strcmp(a->type.value, b->type.value) != 0);
        else CHECK(a->side != b->side && same_code(&a->type, &b->type));
    }
    CHECK(pairs >= 44);
    CHECK(!strcmp(fab_anatomy_side_code(FAB_SIDE_LEFT).value, "7771000"));
    CHECK(!strcmp(fab_anatomy_side_code(FAB_SIDE_RIGHT).value, "24028007"));
    CHECK(!fab_anatomy_side_code(FAB_SIDE_NONE).value);
}

/* The codes others got wrong, or that matter most. */
static void chosen_facts(void)
{
    static const char *const facts[][2] = {
        {"subclavian_artery_left", "36765005"}, {"hip_left", "28254004"},
        {"gluteus_minimus_right", "75297007"},  {"gluteus_maximus_left", "206007"},
        {"vertebrae_L1", "66794005"},           {"vertebrae_T1", "64864005"},
        {"vertebrae_C1", "14806007"},           {"rib_left_1", "48535007"},
        {"rib_right_12", "43993008"},           {"aorta", "15825003"},
        {"lung_middle_lobe_right", "40020002"}, {"spinal_cord", "2748008"},
        {"thalamus_left", "42695009"},          {"amygdala_right", "4958002"},
    };
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        CHECK(!strcmp(fab_anatomy_find(facts[i][0])->type.value, facts[i][1]));
    CHECK(!strcmp(fab_anatomy_find("gluteus_minimus_left")->type.meaning,
                  "Gluteus minimus muscle"));
    CHECK(!strcmp(fab_anatomy_find("kidney_cyst_left")->region.value, "64033007"));
    CHECK(!strcmp(fab_anatomy_find("disc_L4_L5")->region.value, "243923001"));
    CHECK(!strcmp(fab_anatomy_find("cortex_insula_left")->type.value, "40146001"));
    CHECK(!strcmp(fab_anatomy_find("cortex_cuneus_right")->region.value, "31065004"));
}

/* Values of D50 CIELab for sRGB: Lindbloom's calculator (Bradford), PS3.3 scaling. */
static void cielab_is_d50(void)
{
    static const struct {
        uint8_t rgb[3];
        double lab[3];
    } known[] = {
        {{255, 255, 255}, {100, 0, 0}},          {{0, 0, 0}, {0, 0, 0}},
        {{255, 0, 0}, {54.29, 80.81, 69.89}},    {{0, 255, 0}, {87.82, -79.29, 80.99}},
        {{0, 0, 255}, {29.57, 68.30, -112.03}},  {{119, 119, 119}, {50.03, 0, 0}},
        {{255, 255, 0}, {97.61, -15.75, 93.39}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint16_t lab[3];
        fab_anatomy_dicom_cielab(known[i].rgb, lab);
        CHECK_NEAR(lab[0] / 65535.0 * 100, known[i].lab[0], 0.02);
        CHECK_NEAR(lab[1] / 65535.0 * 255 - 128, known[i].lab[1], 0.02);
        CHECK_NEAR(lab[2] / 65535.0 * 255 - 128, known[i].lab[2], 0.02);
    }
    uint16_t white[3];
    fab_anatomy_dicom_cielab((const uint8_t[3]){255, 255, 255}, white);
    CHECK(white[0] == 0xffff && white[1] == 0x8080 && white[2] == 0x8080);
}

static double color_distance(const char *a, const char *b)
{
    uint16_t x[3], y[3];
    fab_anatomy_dicom_cielab(fab_anatomy_find(a)->rgb, x);
    fab_anatomy_dicom_cielab(fab_anatomy_find(b)->rgb, y);
    double l = (x[0] - y[0]) / 655.35, p = (x[1] - y[1]) / 257.0, q = (x[2] - y[2]) / 257.0;
    return sqrt(l * l + p * p + q * q);
}

static void neighbours_differ_in_colour(void)
{
    for (size_t i = 0; i < NAMES117; i++)
        for (size_t j = 0; j < i; j++) {
            const fab_anatomy *a = fab_anatomy_find(names117[i]);
            const fab_anatomy *b = fab_anatomy_find(names117[j]);
            bool bones = a->tissue == FAB_TISSUE_BONE && b->tissue == FAB_TISSUE_BONE;
            CHECK(memcmp(a->rgb, b->rgb, 3) != 0);
            CHECK(bones || color_distance(a->name, b->name) > 3);
        }
    /* 26..50 are S1 up to C1 */
    for (size_t i = 26; i < 50; i++) {
        double d = color_distance(names117[i - 1], names117[i]);
        if (d < 8) fprintf(stderr, "%s %s: %.1f\n", names117[i - 1], names117[i], d);
        CHECK(d >= 8);
    }
    CHECK(color_distance("rib_left_1", "rib_left_2") >= 7);
    for (size_t i = 0; i < fab_anatomy_count(); i++) {
        const char *name = fab_anatomy_at(i)->name, *left = strstr(name, "_left");
        char other[FAB_MAX_NAME_BYTES];
        if (!left) continue;
        snprintf(other, sizeof other, "%.*s_right%s", (int)(left - name), name, left + 5);
        if (!fab_anatomy_find(other)) continue;
        CHECK(color_distance(name, other) > 3);
    }
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(all_117_are_there), TEST(same_117_as_the_published_list),
        TEST(names_of_our_networks_and_phantom), TEST(every_row_is_found_and_unique),
        TEST(codes_are_real), TEST(meanings_agree), TEST(coding_tells_117_apart),
        TEST(sides_are_right), TEST(chosen_facts), TEST(cielab_is_d50),
        TEST(neighbours_differ_in_colour),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
