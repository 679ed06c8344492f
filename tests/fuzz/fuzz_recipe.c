/* Training recipes from any bytes: whole classes, names, sources and schedule, or one error. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz_target.h"
#include "train_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fab_error err;
    fab_recipe recipe = {0};
    char path[64];
    int file = memfd_create("recipe", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (fab_recipe_load(path, &recipe, &err) == FAB_OK) {
        if (recipe.schedule.batch < 1 || recipe.schedule.iterations < 1) abort();
        (void)fab_recipe_class(&recipe, "vertebrae_L3");
    } else if (!err.message[0]) {
        abort();
    }
    fab_recipe_free(&recipe);
    close(file);
    return 0;
}
