/* npy_read.h - numpy's .npy and .npz for tests: little-endian arrays in C order. */
#ifndef FAB_TEST_NPY_READ_H
#define FAB_TEST_NPY_READ_H

#include "fabrica/archive.h"
#include "harness.h"

typedef struct npy {
    uint8_t *file;    /* owned */
    const void *data; /* in file */
    char type[8];     /* "f4", "f2", "i8", ... */
    int rank;
    int64_t shape[8], count;
} npy;

static inline void npy_free(npy *a)
{
    fab_free(a->file);
    memset(a, 0, sizeof *a);
}

static inline npy npy_read(const char *path)
{
    npy a = {.count = 1};
    fab_error err;
    fab_reader r = {0};
    size_t bytes = 0;
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, (size_t)1 << 30, &a.file, &bytes, &err));
    fab_reader_close(&r);
    CHECK(bytes > 12 && memcmp(a.file, "\x93NUMPY\x01", 7) == 0);
    const size_t header = (size_t)a.file[8] | (size_t)a.file[9] << 8;
    char text[512] = "";
    CHECK(header < sizeof text && 10 + header <= bytes);
    memcpy(text, a.file + 10, header);
    a.data = a.file + 10 + header;
    const char *type = strstr(text, "'descr': '"), *shape = strstr(text, "'shape': (");
    CHECK(type && shape && strstr(text, "'fortran_order': False"));
    snprintf(a.type, sizeof a.type, "%.2s", type + 11); /* after '<' or '|' */
    for (const char *p = shape + 10; *p && *p != ')';) {
        char *end;
        const long long n = strtoll(p, &end, 10);
        if (end == p) {
            p++;
            continue;
        }
        CHECK(a.rank < 8);
        a.shape[a.rank++] = n;
        a.count *= n;
        p = end;
    }
    CHECK(10 + header + (size_t)a.count * (size_t)(a.type[1] - '0') == bytes);
    return a;
}

/* One array of an .npz. */
static inline npy npz_read(const char *path, const char *array)
{
    char folder[FAB_MAX_PATH_BYTES], name[FAB_MAX_PATH_BYTES];
    fab_error err;
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_archive_unpack(path, folder, NULL, &err));
    CHECK(snprintf(name, sizeof name, "%s/%s.npy", folder, array) < (int)sizeof name);
    npy a = npy_read(name);
    CHECK_OK(fab_path_remove_tree(folder, &err));
    return a;
}

#endif
