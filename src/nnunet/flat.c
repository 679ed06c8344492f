/* flat.c - a network of slices as one of volumes: kernels k x k become 1 x k x k, and as its patch
 * is one slice deep, its instance norms are still those of one slice. */
#include <stdint.h>
#include <string.h>

#include "model_internal.h"

/* The block all values lie in, as far as it is used. */
static void find_block(const fab_tensors *t, const float **first, const float **end)
{
    for (size_t i = 0; i < fab_tensors_count(t); i++) {
        const fab_tensor *one = fab_tensors_at(t, i);
        int64_t count = 1;
        for (int a = 0; a < one->rank; a++) count *= one->shape[a];
        if (!*first || one->values < *first) *first = one->values;
        if (!*end || one->values + count > *end) *end = one->values + count;
    }
}

fab_status fab_nnunet_unflatten(const fab_tensors *t, fab_tensors **out, fab_error *err)
{
    const size_t count = fab_tensors_count(t);
    const float *first = NULL, *end = NULL;
    find_block(t, &first, &end);
    const size_t block = (size_t)(end - first);
    FAB_AUTO_FREE fab_tensor *items = fab_calloc(count ? count : 1, sizeof *items);
    FAB_AUTO_FREE float *values = fab_alloc_array(block ? block : 1, sizeof *values);
    if (!items || !values) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu weights", block);
    if (block) memcpy(values, first, block * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        items[i] = *fab_tensors_at(t, i);
        items[i].values = values + (items[i].values - first);
        if (items[i].rank != 4) continue;
        memmove(items[i].shape + 3, items[i].shape + 2, 2 * sizeof *items[i].shape);
        items[i].shape[2] = 1;
        items[i].rank = 5;
    }
    return fab_tensors_make(fab_tensors_source(t), items, count, &values, block, out, err);
}
