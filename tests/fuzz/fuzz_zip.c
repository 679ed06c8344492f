/* Unpacking any bytes: after a failure the folder must be empty, and nothing may ever appear beside
 * it. What unpacks can be read in memory too. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabrica/archive.h"
#include "fuzz_target.h"

static int entries_in(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    if (!dir) abort();
    while (readdir(dir)) n++;
    closedir(dir);
    return n - 2; /* "." and ".." */
}

#define MAX_READ_BYTES ((uint64_t)16 << 20)

static fab_status read_in_memory(const fab_reader *r, fab_error *err)
{
    FAB_AUTO(fab_archive_free) fab_archive *a = NULL;
    FAB_TRY(fab_archive_open(r, &a, err));
    for (size_t i = 0; i < fab_archive_count(a); i++) {
        size_t index = 0;
        if (!fab_archive_find(a, fab_archive_name(a, i), &index) || index != i) abort();
        if (fab_archive_bytes(a, i) > MAX_READ_BYTES) continue;
        FAB_AUTO_FREE uint8_t *into = fab_malloc((size_t)fab_archive_bytes(a, i));
        if (into) FAB_TRY(fab_archive_read(a, i, into, err));
    }
    return FAB_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char outer[64], inner[80];
    fab_reader r;
    fab_error err;
    snprintf(outer, sizeof outer, "%s/fabrica-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(outer)) abort();
    snprintf(inner, sizeof inner, "%s/in", outer);
    if (fab_path_make_folder(inner, &err) < 0) abort();
    fab_reader_from_memory(data, size, "fuzz.zip", &r);
    fab_status status = fab_archive_unpack_from(&r, inner, NULL, &err);
    if (entries_in(outer) != 1) abort();
    if (status < 0 && entries_in(inner) != 0) abort();
    if (fab_path_remove_tree(outer, &err) < 0) abort();
    if (read_in_memory(&r, &err) < 0 && status == FAB_OK) abort();
    return 0;
}
