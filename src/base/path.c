/* path.c - folders: join, make, remove. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fabrica/base.h"

const char *fab_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

const char *fab_path_kind(uint32_t mode)
{
    return S_ISREG(mode)    ? "a file"
           : S_ISDIR(mode)  ? "a folder"
           : S_ISFIFO(mode) ? "a named pipe"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

fab_status fab_path_join(char *into, size_t capacity, const char *folder, const char *name,
                         fab_error *err)
{
    size_t length = strlen(folder);
    const char *separator = length && folder[length - 1] == '/' ? "" : "/";
    int need = snprintf(into, capacity, "%s%s%s", folder, separator, name);
    if (need < 0 || (size_t)need >= capacity)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%.80s/%.80s: path longer than %zu bytes", folder, name,
                 capacity - 1);
    return FAB_OK;
}

static fab_status remove_at(int parent, const char *name, int depth, fab_error *err)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return FAB_OK;
    if (errno != EISDIR && errno != EPERM)
        FAB_FAIL(err, FAB_ERR_IO, "removing %s: %s", name, strerror(errno));
    if (depth > FAB_MAX_FOLDER_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "removing %s: folders deeper than %d", name,
                 FAB_MAX_FOLDER_DEPTH);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0) close(fd);
        FAB_FAIL(err, FAB_ERR_IO, "removing %s: %s", name, strerror(errno));
    }
    fab_status status = FAB_OK;
    for (struct dirent *e; status == FAB_OK && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        status = remove_at(fd, e->d_name, depth + 1, err);
    }
    closedir(dir);
    if (status == FAB_OK && unlinkat(parent, name, AT_REMOVEDIR) != 0)
        status = fab_error_set(err, FAB_ERR_IO, "removing folder %s: %s", name, strerror(errno));
    return status;
}

fab_status fab_path_remove_tree(const char *path, fab_error *err)
{
    return remove_at(AT_FDCWD, path, 0, err);
}

fab_status fab_path_make_subfolder(const char *path, fab_error *err)
{
    struct stat st;
    if (mkdir(path, 0777) == 0) return FAB_OK;
    int code = errno;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return FAB_OK;
    FAB_FAIL(err, code == ENOSPC ? FAB_ERR_NOSPACE : FAB_ERR_IO, "making folder %s: %s", path,
             strerror(code));
}

fab_status fab_path_make_folder(const char *path, fab_error *err)
{
    char part[FAB_MAX_PATH_BYTES];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        FAB_FAIL(err, FAB_ERR_ARG, "folder name of %zu bytes", length);
    for (size_t i = 1; i < length; i++) {
        if (path[i] != '/' || path[i - 1] == '/') continue;
        memcpy(part, path, i);
        part[i] = 0;
        FAB_TRY(fab_path_make_subfolder(part, err));
    }
    return fab_path_make_subfolder(path, err);
}
