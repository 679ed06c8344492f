/* The "calibration" of a card: read, interpolated, refused. */
#include "fabrica/segment.h"
#include "harness.h"

static fab_error err;

static fab_json *card_of(const char *text)
{
    fab_json *card = NULL;
    CHECK_OK(fab_json_parse(text, strlen(text), "card", &card, &err));
    return card;
}

static void reads_and_interpolates(void)
{
    fab_json *card = card_of(
        "{\"calibration\": {\"tables\": [{\"structure\": \"*\", \"confidence\": [0.5, 0.9], "
        "\"expected_dice\": [0.2, 0.8]}, {\"structure\": \"liver\", \"confidence\": [0.9], "
        "\"expected_dice\": [0.95]}]}}");
    fab_calibration *c = NULL;
    CHECK_OK(fab_calibration_read(card, &c, &err));
    CHECK_NEAR(fab_calibration_expected(c, "spleen", 0.7), 0.5, 1e-12);
    CHECK_NEAR(fab_calibration_expected(c, "spleen", 0.1), 0.2, 1e-12);
    CHECK_NEAR(fab_calibration_expected(c, "spleen", 1.0), 0.8, 1e-12);
    CHECK_NEAR(fab_calibration_expected(c, "liver", 0.3), 0.95, 1e-12);
    CHECK(isnan(fab_calibration_expected(c, "liver", NAN)));
    fab_calibration_free(c);
    fab_json_free(card);
}

static void absent_is_no_error(void)
{
    fab_json *card = card_of("{\"name\": \"x\"}");
    fab_calibration *c = NULL;
    CHECK_OK(fab_calibration_read(card, &c, &err));
    CHECK(c == NULL);
    fab_json_free(card);
    card = card_of("{\"calibration\": {\"tables\": [{\"structure\": \"liver\", \"confidence\": "
                   "[0.5], \"expected_dice\": [0.2]}]}}");
    CHECK_OK(fab_calibration_read(card, &c, &err));
    CHECK(isnan(fab_calibration_expected(c, "spleen", 0.7))); /* neither its own nor "*" */
    fab_calibration_free(c);
    fab_json_free(card);
}

static void refuses(void)
{
    static const struct {
        const char *knots, *message;
    } cases[] = {
        {"\"confidence\": [0.9, 0.5], \"expected_dice\": [0.2, 0.3]", "\"confidence\"[1]"},
        {"\"confidence\": [0.5, 0.9], \"expected_dice\": [0.3, 0.2]", "\"expected_dice\"[1]"},
        {"\"confidence\": [0.5, 0.9], \"expected_dice\": [0.3]", "2 knots"},
        {"\"confidence\": [], \"expected_dice\": []", "0 knots"},
        {"\"confidence\": [0.5], \"expected_dice\": [1.5]", "\"expected_dice\"[0]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[400];
        fab_calibration *c = NULL;
        snprintf(text, sizeof text, "{\"calibration\": {\"tables\": [{\"structure\": \"*\", %s}]}}",
                 cases[i].knots);
        fab_json *card = card_of(text);
        CHECK_FAILS(FAB_ERR_FORMAT, cases[i].message, fab_calibration_read(card, &c, &err));
        CHECK(strstr(err.message, "calibration.tables[0]") && c == NULL);
        fab_json_free(card);
    }
}

int main(void)
{
    static const fab_test tests[] = {TEST(reads_and_interpolates), TEST(absent_is_no_error),
                                     TEST(refuses)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
