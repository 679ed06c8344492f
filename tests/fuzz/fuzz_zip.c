/* Unpacking any bytes: after a failure the folder must be empty, and nothing may ever appear beside
 * it. */
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
    return 0;
}
