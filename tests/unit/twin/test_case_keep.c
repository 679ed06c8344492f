/* Lessons stay when their case is made anew: linked, late ones too, killed at any moment. */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tests.h"
#include "twin_internal.h"

static char root[FAB_MAX_PATH_BYTES], target[FAB_MAX_PATH_BYTES + 16],
    lessons[FAB_MAX_PATH_BYTES + 32], aside[FAB_MAX_PATH_BYTES + 32];

static void fresh(void)
{
    fab_error err;
    char deeper[FAB_MAX_PATH_BYTES + 40];
    CHECK(fab_test_folder(root) != NULL);
    snprintf(target, sizeof target, "%s/case", root);
    snprintf(lessons, sizeof lessons, "%s/lessons", target);
    snprintf(aside, sizeof aside, "%s.tmp-replaced", target);
    snprintf(deeper, sizeof deeper, "%s/more", lessons);
    CHECK_OK(fab_path_make_folder(deeper, &err));
    put_file(target, "manifest.json", "old");
    put_file(target, "volume.nii.gz", "old");
    put_file(lessons, "a.mcap", "first");
    put_file(deeper, "b.mcap", "second");
}

static void clean(void) { (void)fab_path_remove_tree(root, NULL); }

static bool reads(const char *folder, const char *name, const char *text)
{
    char path[FAB_MAX_PATH_BYTES + 64], got[64] = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    size_t n = fread(got, 1, sizeof got - 1, f);
    fclose(f);
    return n == strlen(text) && strcmp(got, text) == 0;
}

static ino_t number_of(const char *folder, const char *name)
{
    char path[FAB_MAX_PATH_BYTES + 64];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

static fab_status begin(fab_case_writer **w, fab_error *err)
{
    FAB_TRY(fab_case_begin(target, true, w, err));
    FAB_TRY(fab_case_keep(*w, "lessons", err));
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(path, sizeof path, fab_case_folder(*w), "manifest.json", err));
    return fab_file_write_atomic(path, "new", 3, err);
}

void case_keeps_lessons(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    fresh();
    ino_t before = number_of(lessons, "a.mcap");
    CHECK_OK(begin(&w, &err));
    CHECK(!has_file(fab_case_folder(w), "lessons"));
    put_file(lessons, "while.mcap", "it was made");
    CHECK_OK(fab_case_commit(&w, &err));
    CHECK(reads(target, "manifest.json", "new") && !has_file(target, "volume.nii.gz"));
    CHECK(reads(lessons, "a.mcap", "first") && reads(lessons, "more/b.mcap", "second"));
    CHECK(reads(lessons, "while.mcap", "it was made"));
    CHECK(before && number_of(lessons, "a.mcap") == before); /* a recording goes on in it */
    CHECK(count_entries(root) == 1 && count_entries(lessons) == 3);
    clean();
}

void case_keeps_what_comes_late(void)
{
    fab_error err;
    char old[FAB_MAX_PATH_BYTES + 32], came[FAB_MAX_PATH_BYTES + 48];
    fresh();
    /* as between link and exchange: one came, one grew as a copy had been taken, one is the same */
    snprintf(old, sizeof old, "%s/old", root);
    CHECK(rename(target, old) == 0);
    CHECK_OK(fab_path_make_folder(target, &err));
    CHECK_OK(fab_keep(old, target, "lessons", false, &err));
    snprintf(came, sizeof came, "%s/lessons", old);
    put_file(came, "late.mcap", "late");
    put_file(lessons, "a.mcap", "copy");
    CHECK_OK(fab_keep(old, target, "lessons", true, &err));
    CHECK(reads(lessons, "late.mcap", "late") && reads(lessons, "a.mcap", "first"));
    CHECK(reads(lessons, "more/b.mcap", "second"));
    CHECK_OK(fab_keep(target, old, "nothing", false, &err));
    CHECK(!has_file(old, "nothing"));
    clean();
}

void case_refuses_what_it_cannot_keep(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    char link_path[FAB_MAX_PATH_BYTES + 64];
    fresh();
    snprintf(link_path, sizeof link_path, "%s/elsewhere.mcap", lessons);
    CHECK(symlink("/etc/hostname", link_path) == 0);
    CHECK_FAILS(FAB_ERR_FORMAT, "elsewhere.mcap is neither", begin(&w, &err));
    w = fab_case_abort(w);
    CHECK_OK(fab_path_remove_tree(lessons, &err));
    put_file(target, "lessons", "a file");
    CHECK_FAILS(FAB_ERR_ARG, "move it away", begin(&w, &err));
    w = fab_case_abort(w);
    CHECK(reads(target, "lessons", "a file") && reads(target, "manifest.json", "old"));
    CHECK(count_entries(root) == 1);
    clean();
}

void case_comes_back_after_a_crash(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    char made[FAB_MAX_PATH_BYTES + 32];
    fresh();
    /* a file system without exchange, killed between the renames */
    CHECK(rename(target, aside) == 0);
    CHECK_FAILS(FAB_ERR_ARG, "--replace", fab_case_begin(target, false, &w, &err));
    CHECK(reads(target, "manifest.json", "old") && reads(lessons, "a.mcap", "first"));
    /* both renames, not killed */
    snprintf(made, sizeof made, "%s/made", root);
    CHECK_OK(fab_path_make_folder(made, &err));
    put_file(made, "manifest.json", "new");
    CHECK_OK(fab_keep(target, made, "lessons", false, &err));
    CHECK_OK(fab_case_swap_by_renames(made, target, aside, &err));
    CHECK(reads(target, "manifest.json", "new") && reads(aside, "manifest.json", "old"));
    /* killed after the second: the old one goes, the new one holds the lessons */
    CHECK_OK(begin(&w, &err));
    w = fab_case_abort(w);
    CHECK(reads(lessons, "a.mcap", "first") && count_entries(root) == 1);
    /* the new one is gone: the old one is put back */
    CHECK_FAILS(FAB_ERR_IO, "rename", fab_case_swap_by_renames(made, target, aside, &err));
    CHECK(reads(target, "manifest.json", "new") && count_entries(root) == 1);
    clean();
}

static fab_status replace(void *ctx)
{
    fab_error err;
    fab_case_writer *w = NULL;
    (void)ctx;
    fab_status status = begin(&w, &err);
    if (status == FAB_OK) status = fab_case_commit(&w, &err);
    fab_case_abort(w);
    return status;
}

/* Killed at any moment: the lessons are in the case, which is the old one or the new one. */
void case_keeps_lessons_when_killed(void)
{
    fab_error err;
    int old = 0, done = 0;
    fresh();
    double began = fab_time_wall_s();
    CHECK(replace(NULL) == FAB_OK);
    double took_s = fab_time_wall_s() - began;
    for (int round = 0; round < 60; round++) {
        put_file(target, "manifest.json", "old");
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            fab_case_writer *w = NULL;
            _exit(begin(&w, &err) == FAB_OK && fab_case_commit(&w, &err) == FAB_OK ? 0 : 1);
        }
        double wait_s = fmin(0.5, took_s * round / 30);
        const struct timespec nap = {0, (long)(wait_s * 1e9)};
        nanosleep(&nap, NULL);
        kill(child, SIGKILL);
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        bool was = reads(target, "manifest.json", "old");
        CHECK(was || reads(target, "manifest.json", "new"));
        CHECK(reads(lessons, "a.mcap", "first") && reads(lessons, "more/b.mcap", "second"));
        old += was;
        done += !was;
    }
    printf("killed: %d times the old case, %d times the new one\n", old, done);
    fab_case_writer *w = NULL;
    CHECK_OK(begin(&w, &err)); /* what the killed ones left goes */
    CHECK_OK(fab_case_commit(&w, &err));
    CHECK(count_entries(root) == 1 && count_entries(lessons) == 2);
    CHECK(reads(lessons, "a.mcap", "first"));
    clean();
}

void case_keeps_lessons_without_memory(void)
{
    fresh();
    fab_test_torture(replace, NULL);
    CHECK(reads(lessons, "a.mcap", "first") && reads(lessons, "more/b.mcap", "second"));
    clean();
}
