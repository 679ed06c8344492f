/* Checkpoints from any bytes. Bytes that begin as a zip are the file; all others are its pickle, in
 * a good zip with the storages "0" to "7" of 8, 16, ... 64 bytes, or no mutation would get past the
 * checksums. Every value that is handed out is looked at. */
#include "pickle_build.h"

#include "fabrica/checkpoint.h"
#include "fuzz_target.h"

#define STORAGES 8

static size_t wrap(const uint8_t *data, size_t size, uint8_t *into)
{
    static float ones[2 * STORAGES];
    static char names[STORAGES][12];
    zip_entry e[2 + STORAGES] = {
        {.name = "m/data.pkl", .text = (const char *)data, .bytes = size},
        {.name = "m/version", .text = "3\n"},
    };
    for (int i = 0; i < 2 * STORAGES; i++) ones[i] = 1;
    for (int i = 0; i < STORAGES; i++) {
        snprintf(names[i], sizeof names[i], "m/data/%d", i);
        e[2 + i] = (zip_entry){.name = names[i], .text = (const char *)ones,
                               .bytes = 8 * ((size_t)i + 1)};
    }
    return zip_build(e, 2 + STORAGES, into);
}

static void look_at(const fab_tensors *t)
{
    for (size_t i = 0; i < fab_tensors_count(t); i++) {
        const fab_tensor *one = fab_tensors_at(t, i);
        int64_t count = 1;
        const float *values = NULL;
        for (int a = 0; a < one->rank; a++) count *= one->shape[a];
        for (int64_t v = 0; v < count; v++)
            if (!isfinite(one->values[v])) abort();
        if (fab_tensors_get(t, one->name, one->shape, one->rank, &values, NULL) != FAB_OK) abort();
    }
}

static void read_all(const fab_checkpoint *c)
{
    static const char *const keys[] = {"w", "k", "network_weights", "init_args", "logging"};
    fab_error err;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        fab_tensors *t = NULL;
        fab_json *j = NULL;
        if ((fab_checkpoint_tensors(c, keys[i], &t, &err) == FAB_OK) != (t != NULL)) abort();
        if ((fab_checkpoint_json(c, keys[i], &j, &err) == FAB_OK) != (j != NULL)) abort();
        if (t) look_at(t);
        fab_tensors_free(t);
        fab_json_free(j);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fab_reader r;
    fab_error err;
    fab_checkpoint *c = NULL;
    uint8_t *zip = NULL;
    if (size >= 2 && memcmp(data, "PK", 2) == 0)
        fab_reader_from_memory(data, size, "fuzz.pth", &r);
    else {
        zip = malloc(size + 8192);
        if (!zip || !size) {
            free(zip);
            return 0;
        }
        fab_reader_from_memory(zip, wrap(data, size, zip), "fuzz.pth", &r);
    }
    if ((fab_checkpoint_read(&r, &c, &err) == FAB_OK) != (c != NULL)) abort();
    if (c) read_all(c);
    fab_checkpoint_free(c);
    free(zip);
    return 0;
}
