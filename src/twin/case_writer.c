/* case_writer.c - a case folder that appears only when it is complete.
 *
 *     <parent>/NAME.tmp-XXXXXX   made by mkdtemp, flock'ed by its writer, written into
 *         | fsync every file and folder
 *         v rename (or exchange with the case being replaced), fsync <parent>
 *     <parent>/NAME
 *
 * What people put into a case stays (case_keep.c). Where the file system cannot exchange, the old
 * case is at NAME.tmp-replaced for the length of one rename; begin brings it back after a crash.
 *
 * A run that is killed outright cannot clean up after itself; the lock dies with it, so the next
 * run for the same NAME recognises the orphan and removes it.
 */
#include "twin_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct fab_case_writer {
    char path[FAB_MAX_PATH_BYTES];   /* where it will be */
    char parent[FAB_MAX_PATH_BYTES];
    char folder[FAB_MAX_PATH_BYTES]; /* where it is now */
    char aside[FAB_MAX_PATH_BYTES + 16]; /* where the old one waits if two cannot be exchanged */
    const char *keep;                /* folder of the old case that stays; NULL: none */
    int lock_fd;
    bool exists; /* something replaceable is at path */
};

static const char temporary_mark[] = ".tmp-", aside_mark[] = ".tmp-replaced";

static fab_status split_path(fab_case_writer *w, const char *path, const char **name,
                             fab_error *err)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (length == 0 || length + 16 >= sizeof w->path)
        FAB_FAIL(err, FAB_ERR_ARG, "the output path is %s", length ? "too long" : "empty");
    memcpy(w->path, path, length);
    w->path[length] = '\0';
    const char *slash = strrchr(w->path, '/');
    if (!slash) snprintf(w->parent, sizeof w->parent, ".");
    else if (slash == w->path) snprintf(w->parent, sizeof w->parent, "/");
    else snprintf(w->parent, sizeof w->parent, "%.*s", (int)(slash - w->path), w->path);
    *name = slash ? slash + 1 : w->path;
    snprintf(w->aside, sizeof w->aside, "%s%s", w->path, aside_mark);
    if (!**name || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
        FAB_FAIL(err, FAB_ERR_ARG, "%s: give the output folder a name", path);
    return FAB_OK;
}

static fab_status check_target(fab_case_writer *w, const char *marker, bool replace,
                               fab_error *err)
{
    struct stat st;
    if (lstat(w->path, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) return FAB_OK; /* make_folder says more */
        return fab_tree_errno(err, "look at", w->path);
    }
    if (!S_ISDIR(st.st_mode))
        FAB_FAIL(err, FAB_ERR_ARG, "%s exists and is not a folder", w->path);
    fab_tree_entry *list = NULL;
    size_t count = 0;
    FAB_TRY(fab_tree_list(w->path, &list, &count, err));
    bool marked = false;
    for (size_t i = 0; i < count; i++) marked |= strcmp(list[i].name, marker) == 0;
    fab_tree_free(list, count);
    w->exists = true;
    if (count == 0) return FAB_OK;
    if (!marked)
        FAB_FAIL(err, FAB_ERR_ARG, "%s exists and holds other files (no %s in it): not replaced",
                 w->path, marker);
    if (!replace)
        FAB_FAIL(err, FAB_ERR_ARG, "%s exists already (--replace writes over it)", w->path);
    return FAB_OK;
}

/* A run that died between the two renames of a swap left the case aside: it is the case. If it died
 * after the second, what is aside is the one that was replaced. */
static fab_status recover(const fab_case_writer *w, const char *marker, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES + 64];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", w->aside, marker);
    if (lstat(path, &st) != 0) return FAB_OK;
    if (lstat(w->path, &st) == 0) return fab_path_remove_tree(w->aside, err);
    if (errno != ENOENT) return fab_tree_errno(err, "look at", w->path);
    if (rename(w->aside, w->path) != 0) return fab_tree_errno(err, "bring back", w->path);
    return fab_tree_sync_folder(w->parent, err);
}

/* Only folders named NAME.tmp-XXXXXX whose lock nobody holds. */
static void remove_orphans(const fab_case_writer *w, const char *name)
{
    size_t prefix = strlen(name);
    DIR *dir = opendir(w->parent);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strncmp(e->d_name, name, prefix) != 0) continue;
        if (strncmp(e->d_name + prefix, temporary_mark, sizeof temporary_mark - 1) != 0) continue;
        if (strlen(e->d_name) != prefix + sizeof temporary_mark - 1 + 6) continue;
        char path[FAB_MAX_PATH_BYTES];
        if (fab_path_join(path, sizeof path, w->parent, e->d_name, NULL) < 0) continue;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) (void)fab_path_remove_tree(path, NULL);
        close(fd);
    }
    closedir(dir);
}

/* One attempt; *made stays false when another run's tidying took the folder before its lock. */
static fab_status try_folder(fab_case_writer *w, bool *made, fab_error *err)
{
    struct stat st;
    snprintf(w->folder, sizeof w->folder, "%.*s%sXXXXXX", (int)(sizeof w->folder - 16), w->path,
             temporary_mark);
    if (!mkdtemp(w->folder)) {
        fab_status status = fab_tree_errno(err, "make a folder beside", w->path);
        w->folder[0] = '\0';
        return status;
    }
    w->lock_fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->lock_fd < 0 && errno == ENOENT) return FAB_OK;
    if (w->lock_fd < 0) return fab_tree_errno(err, "open", w->folder);
    /* a file system without locks only loses the tidying */
    bool taken = flock(w->lock_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    *made = !taken && fstat(w->lock_fd, &st) == 0 && st.st_nlink > 0;
    if (*made) return FAB_OK;
    close(w->lock_fd);
    w->lock_fd = -1;
    return FAB_OK;
}

static fab_status make_folder(fab_case_writer *w, fab_error *err)
{
    struct stat st;
    bool there = stat(w->parent, &st) == 0;
    if (there && !S_ISDIR(st.st_mode))
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s, in which %s would be made, is not a folder",
                 w->parent, w->path);
    if (!there)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "the folder %s, in which %s would be made, does not exist",
                 w->parent, w->path);
    bool made = false;
    for (int attempt = 0; attempt < 8 && !made; attempt++) FAB_TRY(try_folder(w, &made, err));
    if (!made) FAB_FAIL(err, FAB_ERR_IO, "cannot make a folder beside %s", w->path);
    return FAB_OK;
}

fab_status fab_case_begin_folder(const char *path, const char *marker, bool replace,
                                 fab_case_writer **out, fab_error *err)
{
    FAB_AUTO(fab_case_abort) fab_case_writer *w = fab_calloc(1, sizeof *w);
    if (!w) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    w->lock_fd = -1;
    const char *name = NULL;
    FAB_TRY(split_path(w, path, &name, err));
    FAB_TRY(recover(w, marker, err));
    FAB_TRY(check_target(w, marker, replace, err));
    remove_orphans(w, name);
    FAB_TRY(make_folder(w, err));
    *out = w;
    w = NULL;
    return FAB_OK;
}

fab_status fab_case_begin(const char *path, bool replace, fab_case_writer **out, fab_error *err)
{
    return fab_case_begin_folder(path, "manifest.json", replace, out, err);
}

fab_status fab_case_keep(fab_case_writer *w, const char *name, fab_error *err)
{
    if (w->exists) FAB_TRY(fab_keep_check(w->path, name, err));
    w->keep = name;
    return FAB_OK;
}

const char *fab_case_folder(const fab_case_writer *w) { return w->folder; }

/* mkdtemp makes 0700; a finished case gets what the user's umask allows. Read from /proc because
 * umask(2) itself cannot be asked without setting it. */
static mode_t folder_mode(void)
{
    char text[4096];
    unsigned mask = 022;
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got = read(fd, text, sizeof text - 1);
        close(fd);
        text[got > 0 ? got : 0] = '\0';
        const char *at = strstr(text, "\nUmask:");
        if (at) mask = (unsigned)strtoul(at + 7, NULL, 8);
    }
    return (mode_t)(0777 & ~mask);
}

fab_status fab_case_swap_by_renames(const char *folder, const char *path, const char *aside,
                                    fab_error *err)
{
    FAB_TRY(fab_path_remove_tree(aside, err));
    if (rename(path, aside) != 0) return fab_tree_errno(err, "put aside", path);
    if (rename(folder, path) == 0) return FAB_OK;
    fab_status status = fab_tree_errno(err, "rename the finished folder to", path);
    (void)rename(aside, path);
    return status;
}

/* Puts the finished folder at path. What was there before ends up at w->folder. */
static fab_status swap_in(fab_case_writer *w, fab_error *err)
{
    if (!w->exists) {
        if (renameat2(AT_FDCWD, w->folder, AT_FDCWD, w->path, RENAME_NOREPLACE) == 0)
            return FAB_OK;
        if (errno != EINVAL && errno != ENOSYS)
            return fab_tree_errno(err, "rename the finished folder to", w->path);
        if (rename(w->folder, w->path) == 0) return FAB_OK;
        return fab_tree_errno(err, "rename the finished folder to", w->path);
    }
    if (renameat2(AT_FDCWD, w->folder, AT_FDCWD, w->path, RENAME_EXCHANGE) == 0) return FAB_OK;
    if (errno != EINVAL && errno != ENOSYS)
        return fab_tree_errno(err, "exchange the finished folder with", w->path);
    FAB_TRY(fab_case_swap_by_renames(w->folder, w->path, w->aside, err));
    snprintf(w->folder, sizeof w->folder, "%.*s", (int)sizeof w->folder - 1, w->aside);
    return FAB_OK;
}

/* What came into the old case while it was replaced. If it cannot be kept, the old case stays. */
static fab_status keep_late(fab_case_writer *w, fab_error *err)
{
    fab_status status = fab_keep(w->folder, w->path, w->keep, true, err);
    if (status == FAB_OK) return FAB_OK;
    fab_error_prefix(err, "%s is the new case; the old one stays in %s", w->path, w->folder);
    w->folder[0] = '\0';
    return status;
}

fab_status fab_case_commit(fab_case_writer **slot, fab_error *err)
{
    fab_case_writer *w = *slot;
    if (chmod(w->folder, folder_mode()) != 0) return fab_tree_errno(err, "chmod", w->folder);
    if (w->keep && w->exists) FAB_TRY(fab_keep(w->path, w->folder, w->keep, false, err));
    FAB_TRY(fab_tree_sync(w->folder, 0, err));
    FAB_TRY(swap_in(w, err));
    FAB_TRY(fab_tree_sync_folder(w->parent, err));
    /* after an exchange the temporary name holds the old case; after a rename, nothing */
    if (w->keep && w->exists) FAB_TRY(keep_late(w, err));
    *slot = fab_case_abort(w);
    return FAB_OK;
}

fab_case_writer *fab_case_abort(fab_case_writer *w)
{
    if (!w) return NULL;
    if (w->folder[0]) (void)fab_path_remove_tree(w->folder, NULL);
    if (w->lock_fd >= 0) close(w->lock_fd);
    return fab_free(w);
}
