/* patch.c - a patch from its seed: pose, map, names, things, CT numbers, scan. */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

void fab_synth_options_default(fab_synth_options *o)
{
    *o = (fab_synth_options){.size = {48, 64, 96},
                             .spacing_mm = 3,
                             .cobb_deg = NAN,
                             .deform = 1,
                             .noise_hu = NAN,
                             .contrast = -1,
                             .artefacts = -1,
                             .cut = -1};
}

static fab_status check(const fab_synth_options *o, fab_error *err)
{
    for (int a = 0; a < 3; a++)
        if (o->size[a] < 8 || o->size[a] > 512)
            FAB_FAIL(err, FAB_ERR_ARG, "size[%d] is %d, not 8..512", a, o->size[a]);
    if (!(o->spacing_mm >= 1 && o->spacing_mm <= 6))
        FAB_FAIL(err, FAB_ERR_ARG, "spacing_mm is %g, not 1..6", o->spacing_mm);
    if (o->cobb_deg < 0 || o->cobb_deg > 90)
        FAB_FAIL(err, FAB_ERR_ARG, "cobb_deg is %g, not 0..90", o->cobb_deg);
    if (!(o->deform >= 0 && o->deform <= 1))
        FAB_FAIL(err, FAB_ERR_ARG, "deform is %g, not 0..1", o->deform);
    if (o->noise_hu < 0 || o->noise_hu > 1000)
        FAB_FAIL(err, FAB_ERR_ARG, "noise_hu is %g, not 0..1000", o->noise_hu);
    if (o->contrast < -1 || o->contrast > 4)
        FAB_FAIL(err, FAB_ERR_ARG, "contrast is %d, not -1..4", o->contrast);
    return FAB_OK;
}

/* The name most of the eight fine voxels have; the first of them if several do. */
static uint8_t most_common(const uint8_t v[8])
{
    int best = 0, most = 0;
    for (int i = 0; i < 8 && most < 4; i++) {
        int same = 0;
        for (int j = 0; j < 8; j++) same += v[j] == v[i];
        if (same > most) most = same, best = i;
    }
    return fab_sy_is_air(v[best]) ? SY_OUTSIDE : v[best];
}

static void vote(const fab_sy_patch *p, uint8_t *fine)
{
    const int64_t row = p->size[0], slice = row * p->size[1];
    for (int z = 0; z < p->size[2]; z += 2)
        for (int y = 0; y < p->size[1]; y += 2) {
            const uint8_t *a = p->label + z * slice + y * row, *b = a + row, *c = a + slice,
                          *d = c + row;
            for (int x = 0; x < p->size[0]; x += 2) {
                const uint8_t v[8] = {a[x], a[x + 1], b[x], b[x + 1],
                                      c[x], c[x + 1], d[x], d[x + 1]};
                *fine++ = most_common(v);
            }
        }
}

static fab_status make(fab_sy_patch *p, float *hu, uint8_t *fine, fab_error *err)
{
    const size_t voxels = (size_t)fab_sy_count(p->size);
    fab_sy_tissue tissue;
    fab_sy_pose_draw(p->source, p->options->cobb_deg, &p->rng, &p->pose);
    FAB_TRY(fab_sy_map_make(p, err));
    fab_sy_tissue_draw(&p->rng, p->options->contrast, &tissue);
    p->free_contrast = tissue.free_contrast;
    p->gravity = fab_rng_uniform(&p->rng) < 0.06 ? -1.0f : 1.0f;
    p->label = fab_malloc(2 * voxels);
    if (!p->label) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a patch");
    p->depth = p->label + voxels;
    if (p->source->bone && tissue.use_bone_hu) {
        p->bone = fab_alloc_array(voxels, sizeof *p->bone);
        if (!p->bone) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a patch's bone");
        for (size_t i = 0; i < voxels; i++) p->bone[i] = INT16_MIN;
    }
    FAB_TRY(fab_sy_lay_out(p, err));
    FAB_TRY(fab_sy_add_things(p, err));
    fab_sy_add_metal(p);
    FAB_TRY(fab_sy_paint(p, &tissue, hu, err));
    FAB_TRY(fab_sy_scan(p, hu, err));
    vote(p, fine);
    fab_sy_cut(p, hu, fine);
    const int64_t out = (int64_t)voxels / 8;
    for (int64_t i = 0; i < out; i++) hu[i] = fab_sy_clamp(hu[i], -1024, 3071);
    return FAB_OK;
}

/* Whether enough of a patient is left: cuts and scan ends may leave next to nothing. */
static bool shows_enough(const fab_synth_options *o, const uint8_t *fine)
{
    const int64_t all = fab_sy_count(o->size);
    int64_t body = 0;
    for (int64_t i = 0; i < all; i++) body += fine[i] != SY_OUTSIDE;
    return body * 30 > all;
}

static fab_status attempt(const fab_synth_source *s, const fab_synth_options *o, uint64_t stream,
                          float *hu, uint8_t *fine, fab_error *err)
{
    fab_sy_patch *p = fab_calloc(1, sizeof *p);
    if (!p) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a patch");
    p->source = s, p->options = o;
    p->step = (float)(o->spacing_mm / 2);
    for (int a = 0; a < 3; a++) p->size[a] = 2 * o->size[2 - a];
    fab_rng_seed(&p->rng, o->seed, stream);
    const fab_status status = make(p, hu, fine, err);
    fab_sy_map_free(&p->map);
    fab_free(p->label);
    fab_free(p->bone);
    fab_free(p);
    return status;
}

fab_status fab_synth_patch(const fab_synth_source *s, const fab_synth_options *o, float *hu,
                           uint8_t *fine, fab_error *err)
{
    enum { FIRST = 91, ATTEMPTS = 5 };
    FAB_TRY(check(o, err));
    for (uint64_t k = 0; k < ATTEMPTS; k++) {
        FAB_TRY(attempt(s, o, FIRST + k, hu, fine, err));
        if (shows_enough(o, fine)) break;
    }
    return FAB_OK;
}
