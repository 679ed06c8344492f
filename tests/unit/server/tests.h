#ifndef TEST_SERVER_TESTS_H
#define TEST_SERVER_TESTS_H

#include "harness.h"
#include "server_internal.h"

void ranges(void);
void cookies(void);
void tags_and_encodings(void);
void origins_and_hosts(void);
void bodies(void);
void parts(void);
void code_lets_in(void);
void wrong_codes_lock_out(void);
void many_wrong_codes_renew(void);
void addresses_are_bounded(void);
void links_expire(void);
void sessions_end(void);
void table_takes_only_inside(void);
void files_are_answered(void);
void files_that_changed(void);
void types(void);
void coarser_grids(void);
void means(void);
void levels_of_files(void);
void routes_and_contract_agree(void);
void hostile_requests(void);
void live_messages(void);
void recorded_is_what_was_sent(void);
void batches_are_taken_apart(void);
void bad_batches_are_dropped(void);
void bad_rows_end_it(void);
void who_records(void);
void channel_that_closes(void);
void disk_that_fills(void);
void disk_that_is_full(void);
void saved_is_on_the_disk(void);
void saved_before_a_silence(void);
void names_of_lessons(void);
void lessons_on_the_shelf(void);
void manifest_without_the_person(void);
void announced_levels(void);

#endif
