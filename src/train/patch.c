/* patch.c - patch i of a run: a case, a piece of it, as the network gets it. */
#include <string.h>

#include "train_internal.h"

fab_status fab_patch_buffers(const int patch[3], fab_train_patch_buffers *b, fab_error *err)
{
    const size_t n = (size_t)patch[0] * (size_t)patch[1] * (size_t)patch[2];
    b->hu = fab_alloc_aligned(64, n * sizeof *b->hu);
    b->spare = fab_alloc_aligned(64, n * sizeof *b->spare);
    b->classes = fab_alloc_array(n, 1);
    b->labels = fab_alloc_array(n, sizeof *b->labels);
    if (!b->hu || !b->spare || !b->classes || !b->labels)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a patch");
    return FAB_OK;
}

void fab_patch_buffers_free(fab_train_patch_buffers *b)
{
    fab_free(b->hu);
    fab_free(b->spare);
    fab_free(b->classes);
    fab_free(b->labels);
    *b = (fab_train_patch_buffers){0};
}

static const fab_case *draw_case(const fab_cases *c, fab_rng *rng)
{
    double left = fab_rng_uniform(rng) * c->weight;
    for (size_t i = 0; i + 1 < c->count; i++) {
        left -= c->items[i].weight;
        if (left < 0) return &c->items[i];
    }
    return &c->items[c->count - 1];
}

static fab_status synthesise(const fab_recipe *r, const fab_case *c, fab_rng *rng,
                             fab_train_patch_buffers *b, fab_error *err)
{
    fab_synth_options o;
    const int *size = r->schedule.patch;
    fab_synth_options_default(&o);
    memcpy(o.size, size, sizeof o.size);
    o.spacing_mm = r->spacing_mm;
    o.seed = (uint64_t)fab_rng_u32(rng) << 32 | fab_rng_u32(rng);
    FAB_TRY(fab_synth_patch(c->synth, &o, b->hu, b->classes, err));
    const int64_t n = (int64_t)size[0] * size[1] * size[2];
    for (int64_t i = 0; i < n; i++) b->classes[i] = c->fine_class[b->classes[i]];
    return FAB_OK;
}

/* More than a twentieth of the patch is patient that is known. */
static bool worthwhile(const fab_recipe *r, const uint8_t *classes)
{
    const int *size = r->schedule.patch;
    const int64_t n = (int64_t)size[0] * size[1] * size[2];
    int64_t known = 0;
    for (int64_t i = 0; i < n; i++) known += classes[i] != 0 && classes[i] != FAB_CASE_IGNORE;
    return known * 20 > n;
}

/* Clipped and scaled as the card's "ct" normalisation says. */
static void finish(const fab_recipe *r, fab_train_patch_buffers *b)
{
    const int *size = r->schedule.patch;
    const int64_t n = (int64_t)size[0] * size[1] * size[2];
    const float low = (float)r->clip_hu[0], high = (float)r->clip_hu[1];
    const float mean = (float)r->mean, scale = (float)(1 / r->std);
    for (int64_t i = 0; i < n; i++) {
        const float v = b->hu[i] < low ? low : b->hu[i] > high ? high : b->hu[i];
        b->hu[i] = (v - mean) * scale;
        b->labels[i] = b->classes[i] == FAB_CASE_IGNORE ? FAB_TRAIN_IGNORE : b->classes[i];
    }
}

fab_status fab_patch_make(const fab_recipe *r, const fab_cases *c, int64_t index,
                          fab_train_patch_buffers *b, fab_error *err)
{
    fab_rng rng;
    fab_rng_seed(&rng, r->schedule.seed * 1000003u + 11, (uint64_t)index);
    for (int tries = 0; tries < 20; tries++) {
        const fab_case *one = draw_case(c, &rng);
        if (one->synth) {
            FAB_TRY(synthesise(r, one, &rng, b, err));
        } else {
            fab_patch_cut(r, one, &rng, b->hu, b->classes);
            fab_patch_change(r, &rng, b->hu, b->spare, b->classes);
        }
        if (worthwhile(r, b->classes)) break;
    }
    finish(r, b);
    return FAB_OK;
}
