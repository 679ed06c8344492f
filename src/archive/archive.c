/* archive.c - unpacking a zip: first every entry is looked at and the whole is weighed, then the
 * files are written, and if anything goes wrong all of them are taken away again.
 *
 * Sizes in a zip are claims. What is weighed are the claims; while writing, an entry that turns out
 * longer than it claimed is stopped at once.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "archive_internal.h"

#define BLOCK_BYTES ((size_t)256 << 10)

typedef struct unpacking {
    zip_t *zip;
    const fab_reader *r;
    const char *folder;
    const fab_progress *progress;
    uint64_t total, written;
    fab_archive_entry entry; /* the one at work */
    uint8_t block[BLOCK_BYTES];
} unpacking;

static fab_status check_space(const unpacking *u, fab_error *err)
{
    struct statvfs disk;
    if (statvfs(u->folder, &disk) != 0)
        FAB_FAIL(err, FAB_ERR_IO, "%s: %s", u->folder, strerror(errno));
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (u->total > left)
        FAB_FAIL(err, FAB_ERR_NOSPACE, "%s: unpacking needs %llu bytes in %s, %llu are free",
                 u->r->name, (unsigned long long)u->total, u->folder, (unsigned long long)left);
    return FAB_OK;
}

/* ---- writing ---------------------------------------------------------------------------- */

/* Makes the folders of the entry's name (the name itself too if it is a folder) below `folder`.
 * Nothing but us writes there, and we make no links, so paths are safe. */
static fab_status make_folders(const unpacking *u, char path[FAB_MAX_PATH_BYTES], fab_error *err)
{
    FAB_TRY(fab_path_join(path, FAB_MAX_PATH_BYTES, u->folder, u->entry.name, err));
    size_t base = strlen(path) - strlen(u->entry.name);
    for (char *p = path + base; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        int made = mkdir(path, 0700);
        *p = '/';
        if (made != 0 && errno != EEXIST)
            FAB_FAIL(err, errno == ENOSPC ? FAB_ERR_NOSPACE : FAB_ERR_IO,
                     "%s: unpacking \"%.100s\": %s", u->r->name, u->entry.name, strerror(errno));
    }
    if (u->entry.is_folder && u->entry.name[0] && mkdir(path, 0700) != 0 && errno != EEXIST)
        FAB_FAIL(err, errno == ENOSPC ? FAB_ERR_NOSPACE : FAB_ERR_IO,
                 "%s: unpacking \"%.100s\": %s", u->r->name, u->entry.name, strerror(errno));
    return FAB_OK;
}

static fab_status write_block(const unpacking *u, int fd, size_t count, fab_error *err)
{
    for (size_t done = 0; done < count;) {
        ssize_t n = write(fd, u->block + done, count - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            FAB_FAIL(err, errno == ENOSPC || errno == EDQUOT ? FAB_ERR_NOSPACE : FAB_ERR_IO,
                     "%s: unpacking \"%.100s\": %s", u->r->name, u->entry.name, strerror(errno));
        done += (size_t)n;
    }
    return FAB_OK;
}

static fab_status copy_content(unpacking *u, zip_file_t *from, int fd, fab_error *err)
{
    uint64_t size = 0;
    for (;;) {
        size_t n = 0;
        FAB_TRY(fab_archive_entry_fill(from, u->r->name, u->entry.name, u->block, BLOCK_BYTES, &n,
                                       err));
        size += n;
        if (size > u->entry.size || (n == 0 && size < u->entry.size))
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: entry \"%.100s\" is %s than the %llu bytes it "
                     "claims", u->r->name, u->entry.name, n ? "longer" : "shorter",
                     (unsigned long long)u->entry.size);
        if (n == 0) return FAB_OK;
        FAB_TRY(write_block(u, fd, n, err));
        u->written += n;
        FAB_TRY(fab_progress_step(u->progress, "unpack",
                                  (double)u->written / (double)(u->total + 1), err));
    }
}

static fab_status unpack_file(unpacking *u, uint64_t index, const char *path, fab_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        bool twice = errno == EEXIST || errno == EISDIR || errno == ENOTDIR;
        FAB_FAIL(err, twice ? FAB_ERR_FORMAT : errno == ENOSPC ? FAB_ERR_NOSPACE : FAB_ERR_IO,
                 "%s: entry \"%.100s\"%s%s", u->r->name, u->entry.name,
                 twice ? " is there twice" : ": ", twice ? "" : strerror(errno));
    }
    fab_status status = FAB_OK;
    zip_file_t *from = zip_fopen_index(u->zip, index, 0);
    if (from) status = copy_content(u, from, fd, err);
    else
        status = fab_error_set(err, FAB_ERR_FORMAT, "%s: entry \"%.100s\" cannot be opened (%s)",
                               u->r->name, u->entry.name, zip_strerror(u->zip));
    if (from) zip_fclose(from);
    if (close(fd) != 0 && status == FAB_OK)
        status = fab_error_set(err, FAB_ERR_IO, "%s: unpacking \"%.100s\": %s", u->r->name,
                               u->entry.name, strerror(errno));
    return status;
}

static fab_status unpack_all(unpacking *u, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    zip_int64_t count = zip_get_num_entries(u->zip, 0);
    for (zip_int64_t i = 0; i < count; i++) {
        FAB_TRY(fab_archive_entry_read(u->zip, (uint64_t)i, u->r->name, &u->entry, err));
        FAB_TRY(make_folders(u, path, err));
        if (u->entry.is_folder) continue;
        FAB_TRY(unpack_file(u, (uint64_t)i, path, err));
    }
    return FAB_OK;
}

/* ---- the whole -------------------------------------------------------------------------- */

/* Calls remove on each entry of the folder, or only counts. */
static fab_status each_in_folder(const char *folder, bool remove, int *count, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_status status = FAB_OK;
    DIR *dir = opendir(folder);
    if (!dir) FAB_FAIL(err, FAB_ERR_IO, "%s: %s", folder, strerror(errno));
    *count = 0;
    for (struct dirent *d = readdir(dir); d && status == FAB_OK; d = readdir(dir)) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..")) continue;
        ++*count;
        if (!remove) continue;
        status = fab_path_join(path, sizeof path, folder, d->d_name, err);
        if (status == FAB_OK) status = fab_path_remove_tree(path, err);
    }
    closedir(dir);
    return status;
}

static fab_status unpack_checked(unpacking *u, fab_error *err)
{
    int left = 1;
    FAB_TRY(fab_archive_weigh(u->zip, u->r, &u->total, err));
    FAB_TRY(check_space(u, err));
    fab_status status = unpack_all(u, err);
    /* again until none is left: a folder read while it shrinks may pass over some */
    while (status < 0 && left && each_in_folder(u->folder, true, &left, NULL) == FAB_OK) continue;
    return status;
}

fab_status fab_archive_unpack_from(const fab_reader *r, const char *folder,
                                   const fab_progress *progress, fab_error *err)
{
    int count = 0;
    FAB_TRY(each_in_folder(folder, false, &count, err));
    if (count)
        FAB_FAIL(err, FAB_ERR_ARG, "%s: the folder to unpack into is not empty", folder);
    FAB_AUTO_FREE unpacking *u = fab_malloc(sizeof *u);
    if (!u) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to unpack it", r->name);
    *u = (unpacking){.r = r, .folder = folder, .progress = progress};
    FAB_TRY(fab_archive_zip_open(r, &u->zip, err));
    fab_status status = unpack_checked(u, err);
    zip_discard(u->zip);
    return status;
}

fab_status fab_archive_unpack(const char *path, const char *folder, const fab_progress *progress,
                              fab_error *err)
{
    fab_reader r;
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = fab_archive_unpack_from(&r, folder, progress, err);
    fab_reader_close(&r);
    return status;
}
