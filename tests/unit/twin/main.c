/* Tests of the case store. */
#include "tests.h"

int main(void)
{
    const fab_test tests[] = {
        TEST(case_appears_only_on_commit), TEST(case_abort_leaves_nothing),
        TEST(case_refuses_what_is_there),  TEST(case_replaces_only_a_case),
        TEST(case_removes_orphans),        TEST(case_keeps_a_living_writer),
        TEST(case_needs_a_parent),         TEST(case_lists_files),
        TEST(case_folder_honours_umask),   TEST(mesh_round_trip),
        TEST(mesh_refuses_damage),         TEST(mesh_alloc_failures),
        TEST(case_open_and_verify),        TEST(case_open_refuses),
        TEST(case_paths_stay_inside),      TEST(case_keeps_lessons),
        TEST(case_keeps_what_comes_late),  TEST(case_refuses_what_it_cannot_keep),
        TEST(case_comes_back_after_a_crash), TEST(case_keeps_lessons_when_killed),
        TEST(case_keeps_lessons_without_memory),
    };
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
