/* replay_main.c - runs a fuzz target over the files of a folder, without libFuzzer: each file whole
 * and cut at 32 places. A crash or a sanitizer report is the failure. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fabrica/base.h"
#include "fuzz_target.h"

#define CUTS 32

static int replay(const char *folder, const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    fab_reader r;
    uint8_t *bytes = NULL;
    size_t size = 0;
    fab_status status = fab_path_join(path, sizeof path, folder, name, &err);
    if (status == FAB_OK) status = fab_reader_open_file(path, &r, &err);
    if (status < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    status = fab_reader_read_all(&r, (size_t)64 << 20, &bytes, &size, &err);
    fab_reader_close(&r);
    if (status < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    for (size_t cut = 1; cut <= CUTS; cut++) {
        size_t n = size * cut / CUTS;
        uint8_t *copy = malloc(n ? n : 1); /* exactly n, so that ASan sees a step too far */
        if (!copy) abort();
        for (size_t i = 0; i < n; i++) copy[i] = bytes[i];
        LLVMFuzzerTestOneInput(copy, n);
        free(copy);
    }
    fab_free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    struct dirent **names = NULL;
    int count = argc == 2 ? scandir(argv[1], &names, NULL, alphasort) : -1, failed = 0, files = 0;
    if (count < 0) {
        fprintf(stderr, "usage: %s FOLDER (of corpus files)\n", argv[0]);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.') {
            failed |= replay(argv[1], names[i]->d_name);
            files++;
        }
        free(names[i]);
    }
    free(names);
    printf("%d files replayed\n", files);
    return failed || !files;
}
