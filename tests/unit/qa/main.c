#include "tests.h"

int main(void)
{
    static const fab_test tests[] = {
        TEST(looks_like_a_torso), TEST(refuses_what_is_no_torso), TEST(refuses_what_is_no_ct),
        TEST(header_helps), TEST(padding_is_found), TEST(good_patient_has_none),
        TEST(finds_mirrored_and_misplaced), TEST(finds_pieces_holes_and_tissue), TEST(finds_metal),
        TEST(finds_what_lies_outside),
        TEST(orders_the_review), TEST(distrusts), TEST(levels_in_order), TEST(levels_wrong)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
