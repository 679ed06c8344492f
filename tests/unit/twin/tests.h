#ifndef TEST_TWIN_TESTS_H
#define TEST_TWIN_TESTS_H

#include "fabrica/twin.h"
#include "harness.h"

void case_appears_only_on_commit(void);
void case_abort_leaves_nothing(void);
void case_refuses_what_is_there(void);
void case_replaces_only_a_case(void);
void case_removes_orphans(void);
void case_keeps_a_living_writer(void);
void case_needs_a_parent(void);
void case_lists_files(void);
void case_folder_honours_umask(void);
void case_keeps_lessons(void);
void case_keeps_what_comes_late(void);
void case_refuses_what_it_cannot_keep(void);
void case_comes_back_after_a_crash(void);
void case_keeps_lessons_when_killed(void);
void case_keeps_lessons_without_memory(void);
void mesh_round_trip(void);
void mesh_refuses_damage(void);
void mesh_alloc_failures(void);
void case_open_and_verify(void);
void case_open_refuses(void);
void case_paths_stay_inside(void);

/* Writes text to folder/name. */
void put_file(const char *folder, const char *name, const char *text);
bool has_file(const char *folder, const char *name);
/* Entries of a folder, "." and ".." not counted. */
int count_entries(const char *folder);

#endif
