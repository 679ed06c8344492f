/* Tests of the jobs, through their public face. */
#include "tests.h"

int main(void)
{
    const fab_test tests[] = {
        TEST(input_kinds_by_content),   TEST(label_tables_of_other_tools),
        TEST(models_newest_and_named),  TEST(findings_of_a_wrong_twin),
        TEST(cancel_at_every_step),     TEST(progress_never_falls),
        TEST(names_cannot_break_the_report), TEST(evaluate_by_name_and_mapping),
        TEST(evaluate_on_another_grid), TEST(phantom_uids_depend_on_every_option),
        TEST(phantom_again_is_the_same_bytes),
        TEST(validate_pairs_by_card),   TEST(validate_pairs_of_merged_truth),
        TEST(validate_levels),
    };
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
