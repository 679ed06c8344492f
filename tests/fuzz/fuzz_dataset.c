/* dataset.json of a labelled data set from any bytes; the first byte says which folders of nnU-Net
 * lie beside it. No case may point out of the data set without being refused. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz_target.h"
#include "validate.h"

static const char *const folders[] = {"imagesTr", "labelsTr", "imagesTs", "labelsTs"};

static void put(const char *folder, const char *name, const uint8_t *data, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || (size && fwrite(data, 1, size, f) != size) || fclose(f) != 0) abort();
}

static char root[64];

static void remove_all(void)
{
    fab_error err;
    (void)fab_path_remove_tree(root, &err);
}

static void make_folder(void)
{
    static const uint8_t image[4] = {0};
    snprintf(root, sizeof root, "/tmp/fuzz_dataset_XXXXXX");
    if (!mkdtemp(root)) abort();
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/_%s", root, folders[i]);
        if (mkdir(path, 0700) != 0) abort();
        put(path, i % 2 ? "a.nii.gz" : "a_0000.nii.gz", image, sizeof image);
    }
}

/* Shows or hides a folder. */
static void set_folder(const char *name, bool there)
{
    char shown[128], hidden[128];
    snprintf(shown, sizeof shown, "%s/%s", root, name);
    snprintf(hidden, sizeof hidden, "%s/_%s", root, name);
    if (there == (access(shown, F_OK) == 0)) return;
    if (rename(there ? hidden : shown, there ? shown : hidden) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fab_error err;
    fab_dataset set;
    if (size < 1) return 0;
    if (!root[0]) make_folder(), atexit(remove_all);
    for (size_t i = 0; i < 4; i++) set_folder(folders[i], data[0] >> i & 1);
    put(root, "dataset.json", data + 1, size - 1);
    if (fab_dataset_open(root, &set, &err) == FAB_OK) {
        if (set.count == 0) abort();
        for (size_t i = 0; i < set.count; i++)
            if (!set.cases[i].name || !set.cases[i].image) abort();
        fab_dataset_close(&set);
    } else if (!err.message[0]) {
        abort();
    }
    return 0;
}
