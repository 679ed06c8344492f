/* case_keep.c - what people put into a case (its lessons) stays when the case is made anew. Nothing
 * is ever moved away from where it is safe: files get a second name in the new folder first.
 *
 *     1  link      CASE/lessons/a  ->  CASE.tmp-XXXXXX/lessons/a     the same file, two names
 *     2  fsync     CASE.tmp-XXXXXX and all below
 *     3  exchange  CASE <-> CASE.tmp-XXXXXX, fsync of the folder above
 *     4  link      what came into the old folder between 1 and 3, fsync of CASE/lessons
 *     5  remove    the old folder: its names go, the files stay
 *
 * So CASE/lessons/a is there at every moment, killed or not, and a recording that runs goes on: it
 * writes to the same file. A file system without hard links gets copies at 1; at 4 the old folder's
 * file, which may have grown, takes the copy's place.
 */
#include "twin_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static fab_status copy_file(const char *from, const char *to, fab_error *err)
{
    enum { PIECE = 1 << 16 };
    fab_reader r;
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_AUTO_FREE uint8_t *piece = fab_malloc(PIECE);
    if (!piece) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory to keep %s", from);
    FAB_TRY(fab_reader_open_file(from, &r, err));
    fab_status status = fab_atomic_open(to, &file, err);
    for (uint64_t at = 0; status == FAB_OK && at < r.size;) {
        size_t n = r.size - at < PIECE ? (size_t)(r.size - at) : PIECE;
        status = fab_reader_read(&r, at, piece, n, err);
        if (status == FAB_OK) status = fab_writer_write(fab_atomic_writer(file), piece, n, err);
        at += n;
    }
    fab_reader_close(&r);
    FAB_TRY(status);
    return fab_atomic_commit(&file, err);
}

static bool same_file(const char *a, const char *b)
{
    struct stat one, other;
    return lstat(a, &one) == 0 && lstat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

/* `late`: after the exchange; the old folder's file is then the one that counts. */
static fab_status keep_file(const char *from, const char *to, bool late, fab_error *err)
{
    if (link(from, to) == 0) return FAB_OK;
    if (errno == ENOENT && access(from, F_OK) != 0) return FAB_OK; /* taken away meanwhile */
    if (same_file(from, to)) return FAB_OK;
    if (late) return rename(from, to) == 0 ? FAB_OK : fab_tree_errno(err, "keep", to);
    if (errno == EPERM || errno == EMLINK || errno == ENOTSUP || errno == ENOSYS)
        return copy_file(from, to, err);
    return fab_tree_errno(err, "keep", from);
}

static fab_status keep_tree(const char *from, const char *to, bool late, int depth, fab_error *err)
{
    fab_tree_entry *list = NULL;
    size_t count = 0;
    if (depth > FAB_MAX_FOLDER_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s is nested too deeply", from);
    FAB_TRY(fab_tree_list(from, &list, &count, err));
    fab_status status = FAB_OK;
    if (mkdir(to, 0777) != 0 && errno != EEXIST) status = fab_tree_errno(err, "make", to);
    for (size_t i = 0; i < count && status == FAB_OK; i++) {
        char a[FAB_MAX_PATH_BYTES], b[FAB_MAX_PATH_BYTES];
        status = fab_path_join(a, sizeof a, from, list[i].name, err);
        if (status == FAB_OK) status = fab_path_join(b, sizeof b, to, list[i].name, err);
        if (status == FAB_OK)
            status = list[i].is_folder ? keep_tree(a, b, late, depth + 1, err)
                                       : keep_file(a, b, late, err);
    }
    fab_tree_free(list, count);
    if (status == FAB_OK && late) status = fab_tree_sync_folder(to, err);
    return status;
}

static fab_status look(const char *folder, const char *name, char *path, size_t size, bool *there,
                       fab_error *err)
{
    struct stat st;
    FAB_TRY(fab_path_join(path, size, folder, name, err));
    *there = lstat(path, &st) == 0;
    if (!*there && errno != ENOENT) return fab_tree_errno(err, "look at", path);
    if (*there && !S_ISDIR(st.st_mode))
        FAB_FAIL(err, FAB_ERR_ARG, "%s is not a folder: move it away, or it would be lost", path);
    return FAB_OK;
}

static fab_status check_tree(const char *path, int depth, fab_error *err)
{
    fab_tree_entry *list = NULL;
    size_t count = 0;
    if (depth > FAB_MAX_FOLDER_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s is nested too deeply", path);
    FAB_TRY(fab_tree_list(path, &list, &count, err));
    fab_status status = FAB_OK;
    for (size_t i = 0; i < count && status == FAB_OK; i++) {
        char child[FAB_MAX_PATH_BYTES];
        if (!list[i].is_folder) continue;
        status = fab_path_join(child, sizeof child, path, list[i].name, err);
        if (status == FAB_OK) status = check_tree(child, depth + 1, err);
    }
    fab_tree_free(list, count);
    return status;
}

fab_status fab_keep_check(const char *folder, const char *name, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    bool there = false;
    FAB_TRY(look(folder, name, path, sizeof path, &there, err));
    return there ? check_tree(path, 0, err) : FAB_OK;
}

fab_status fab_keep(const char *from, const char *to, const char *name, bool late, fab_error *err)
{
    char a[FAB_MAX_PATH_BYTES], b[FAB_MAX_PATH_BYTES];
    bool there = false;
    FAB_TRY(look(from, name, a, sizeof a, &there, err));
    if (!there) return FAB_OK;
    FAB_TRY(fab_path_join(b, sizeof b, to, name, err));
    FAB_TRY(keep_tree(a, b, late, 0, err));
    return late ? fab_tree_sync_folder(to, err) : FAB_OK;
}
