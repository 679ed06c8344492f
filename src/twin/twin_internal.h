/* twin_internal.h - the tree walk that writing, listing and verifying share. */
#ifndef FAB_TWIN_INTERNAL_H
#define FAB_TWIN_INTERNAL_H

#include "fabrica/twin.h"

/* One name of a folder, sorted by byte value. */
typedef struct fab_tree_entry {
    char *name;
    bool is_folder;
} fab_tree_entry;

/* Names of a folder, sorted, "." and ".." left out; links and special files are FAB_ERR_FORMAT. */
fab_status fab_tree_list(const char *folder, fab_tree_entry **out, size_t *count, fab_error *err);
void fab_tree_free(fab_tree_entry *entries, size_t count);

/* Puts `folder` where `path` is, on a file system that cannot exchange two: for the length of one
 * rename what was there is at `aside`, where fab_case_begin finds it after a crash. */
fab_status fab_case_swap_by_renames(const char *folder, const char *path, const char *aside,
                                    fab_error *err);

/* fsync of every file and folder below and including path. */
fab_status fab_tree_sync(const char *path, int depth, fab_error *err);
fab_status fab_tree_sync_folder(const char *path, fab_error *err);

/* What is in folder/name can be kept: folders and files alone (FAB_ERR_ARG, FAB_ERR_FORMAT). */
fab_status fab_keep_check(const char *folder, const char *name, fab_error *err);
/* Gives every file below from/name the same name below to/name as well; from is left as it is, but
 * for files that `late` (after the exchange) found another of their name in the way of. */
fab_status fab_keep(const char *from, const char *to, const char *name, bool late, fab_error *err);

/* FAB_ERR_NOSPACE for a full disk or quota, else FAB_ERR_IO, with the system's words. */
fab_status fab_tree_errno(fab_error *err, const char *verb, const char *path);

#endif
