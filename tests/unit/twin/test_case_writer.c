/* A case appears whole or not at all. */
#include <dirent.h>
#include <sys/stat.h>

#include "tests.h"

void put_file(const char *folder, const char *name, const char *text)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    CHECK_OK(fab_path_join(path, sizeof path, folder, name, &err));
    CHECK_OK(fab_file_write_atomic(path, text, strlen(text), &err));
}

bool has_file(const char *folder, const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    return fab_path_join(path, sizeof path, folder, name, NULL) == FAB_OK &&
           access(path, F_OK) == 0;
}

int count_entries(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    if (!dir) return -1;
    for (struct dirent *e; (e = readdir(dir));) count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static char root[FAB_MAX_PATH_BYTES], target[FAB_MAX_PATH_BYTES + 8];

static void fresh(void)
{
    CHECK(fab_test_folder(root) != NULL);
    snprintf(target, sizeof target, "%s/case", root);
}

static void clean(void) { (void)fab_path_remove_tree(root, NULL); }

void case_appears_only_on_commit(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    fresh();
    CHECK_OK(fab_case_begin(target, false, &w, &err));
    put_file(fab_case_folder(w), "manifest.json", "{}");
    CHECK(access(target, F_OK) != 0);
    CHECK_OK(fab_case_commit(&w, &err));
    CHECK(w == NULL);
    CHECK(has_file(target, "manifest.json"));
    CHECK(count_entries(root) == 1);
    clean();
}

void case_abort_leaves_nothing(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    fresh();
    CHECK_OK(fab_case_begin(target, false, &w, &err));
    put_file(fab_case_folder(w), "volume.nii.gz", "x");
    w = fab_case_abort(w);
    CHECK(count_entries(root) == 0);
    clean();
}

void case_refuses_what_is_there(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    fresh();
    put_file(root, "case", "a file");
    CHECK_FAILS(FAB_ERR_ARG, "is not a folder", fab_case_begin(target, true, &w, &err));
    unlink(target);
    CHECK_OK(fab_path_make_folder(target, &err));
    put_file(target, "manifest.json", "{}");
    CHECK_FAILS(FAB_ERR_ARG, "--replace", fab_case_begin(target, false, &w, &err));
    CHECK_FAILS(FAB_ERR_ARG, "give the output folder a name", fab_case_begin("/", true, &w, &err));
    CHECK_FAILS(FAB_ERR_ARG, "empty", fab_case_begin("", true, &w, &err));
    CHECK(w == NULL);
    CHECK(count_entries(root) == 1);
    clean();
}

void case_replaces_only_a_case(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    fresh();
    CHECK_OK(fab_path_make_folder(target, &err));
    put_file(target, "holiday.jpg", "precious");
    CHECK_FAILS(FAB_ERR_ARG, "other files", fab_case_begin(target, true, &w, &err));
    put_file(target, "manifest.json", "old");
    CHECK_OK(fab_case_begin(target, true, &w, &err));
    put_file(fab_case_folder(w), "manifest.json", "new");
    CHECK(has_file(target, "holiday.jpg"));
    CHECK_OK(fab_case_commit(&w, &err));
    CHECK(has_file(target, "manifest.json"));
    CHECK(!has_file(target, "holiday.jpg"));
    CHECK(count_entries(root) == 1);
    clean();
}

void case_removes_orphans(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    fresh();
    char orphan[FAB_MAX_PATH_BYTES + 32], other[FAB_MAX_PATH_BYTES + 32];
    snprintf(orphan, sizeof orphan, "%s.tmp-abc123", target);
    snprintf(other, sizeof other, "%s2.tmp-abc123", target); /* of a case named "case2" */
    CHECK_OK(fab_path_make_folder(orphan, &err));
    CHECK_OK(fab_path_make_folder(other, &err));
    put_file(orphan, "volume.nii.gz", "half");
    CHECK_OK(fab_case_begin(target, false, &w, &err));
    CHECK(access(orphan, F_OK) != 0);
    CHECK(access(other, F_OK) == 0);
    w = fab_case_abort(w);
    clean();
}

void case_keeps_a_living_writer(void)
{
    fab_error err;
    fab_case_writer *first = NULL, *second = NULL;
    fresh();
    CHECK_OK(fab_case_begin(target, false, &first, &err));
    CHECK_OK(fab_case_begin(target, false, &second, &err));
    CHECK(access(fab_case_folder(first), F_OK) == 0);
    put_file(fab_case_folder(first), "manifest.json", "1");
    CHECK_OK(fab_case_commit(&first, &err));
    /* the second comes too late and must not overwrite without being told to */
    put_file(fab_case_folder(second), "manifest.json", "2");
    CHECK_FAILS(FAB_ERR_IO, "rename", fab_case_commit(&second, &err));
    CHECK(second != NULL);
    second = fab_case_abort(second);
    CHECK(count_entries(root) == 1);
    clean();
}

void case_needs_a_parent(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    fresh();
    char deep[FAB_MAX_PATH_BYTES + 32];
    snprintf(deep, sizeof deep, "%s/no/case", root);
    CHECK_FAILS(FAB_ERR_NOTFOUND, "does not exist", fab_case_begin(deep, false, &w, &err));
    CHECK(count_entries(root) == 0);
    clean();
}

void case_lists_files(void)
{
    static const char *const skip[] = {"b.txt", NULL};
    char folder[FAB_MAX_PATH_BYTES + 16];
    fab_error err;
    fab_json *list = NULL;
    fresh();
    snprintf(folder, sizeof folder, "%s/sub", root);
    CHECK_OK(fab_path_make_folder(folder, &err));
    put_file(root, "z.txt", "abc");
    put_file(root, "b.txt", "skipped");
    put_file(folder, "a.txt", "");
    CHECK_OK(fab_case_list_files(root, skip, NULL, &list, &err));
    CHECK(fab_json_count(list) == 2);
    const fab_json *first = fab_json_at(list, 0), *second = fab_json_at(list, 1);
    CHECK(strcmp(fab_json_text(fab_json_find(first, "path")), "sub/a.txt") == 0);
    CHECK(strcmp(fab_json_text(fab_json_find(second, "path")), "z.txt") == 0);
    CHECK(fab_json_number(fab_json_find(second, "bytes")) == 3);
    CHECK(strcmp(fab_json_text(fab_json_find(second, "sha256")),
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0);
    fab_json_free(list);
    clean();
}

void case_folder_honours_umask(void)
{
    fab_error err;
    fab_case_writer *w = NULL;
    struct stat st;
    fresh();
    mode_t before = umask(027);
    CHECK_OK(fab_case_begin(target, false, &w, &err));
    CHECK(stat(fab_case_folder(w), &st) == 0 && (st.st_mode & 0777) == 0700);
    CHECK_OK(fab_case_commit(&w, &err));
    umask(before);
    CHECK(stat(target, &st) == 0 && (st.st_mode & 0777) == 0750);
    clean();
}
