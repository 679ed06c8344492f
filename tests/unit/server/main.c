/* Tests of the server's parts that need no network. */
#include <sodium.h>

#include "tests.h"

int main(void)
{
    if (sodium_init() < 0) return 1;
    return FAB_RUN(TEST(ranges), TEST(cookies), TEST(tags_and_encodings), TEST(origins_and_hosts),
                   TEST(bodies), TEST(parts), TEST(code_lets_in), TEST(wrong_codes_lock_out),
                   TEST(many_wrong_codes_renew), TEST(addresses_are_bounded), TEST(links_expire),
                   TEST(sessions_end), TEST(table_takes_only_inside), TEST(files_are_answered),
                   TEST(files_that_changed), TEST(types), TEST(coarser_grids), TEST(means),
                   TEST(levels_of_files), TEST(routes_and_contract_agree), TEST(hostile_requests),
                   TEST(live_messages), TEST(recorded_is_what_was_sent),
                   TEST(batches_are_taken_apart), TEST(bad_batches_are_dropped),
                   TEST(bad_rows_end_it), TEST(who_records), TEST(channel_that_closes),
                   TEST(disk_that_fills), TEST(disk_that_is_full), TEST(saved_is_on_the_disk),
                   TEST(saved_before_a_silence),
                   TEST(names_of_lessons), TEST(lessons_on_the_shelf),
                   TEST(manifest_without_the_person), TEST(announced_levels));
}
