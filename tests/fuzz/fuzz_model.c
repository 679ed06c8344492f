/* Model packages from any bytes: 4 bytes little-endian length, the card, then the weights. The
 * card's hash is made to fit, or no mutation would get past it. A package that loads and is small
 * has to run. */
#include <stdlib.h>

#include "fabrica/segment.h"
#include "fuzz_target.h"

#define MAX_PATCH_VOXELS 512
#define MAX_WEIGHT_BYTES 20000

static void fix_hash(fab_json *card, const uint8_t *weights, size_t size)
{
    uint8_t digest[32];
    char hex[65];
    fab_sha256 h;
    fab_error err;
    const fab_json *o = fab_json_find(card, "weights");
    if (!fab_json_is_object(o)) return;
    fab_sha256_init(&h);
    fab_sha256_update(&h, weights, size);
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, hex);
    fab_json *text = fab_json_string(hex);
    if (fab_json_set((fab_json *)(uintptr_t)o, "sha256", text, &err) < 0) abort();
}

static bool small_patch(const fab_json *card)
{
    const fab_json *p = fab_json_find(fab_json_find(card, "inference"), "patch_size");
    double voxels = 1;
    for (size_t a = 0; a < 3; a++) voxels *= fab_json_number(fab_json_at(p, a));
    return voxels <= MAX_PATCH_VOXELS;
}

static void run(const fab_model *m)
{
    fab_error err;
    fab_grid g = {.size = {5, 4, 3}};
    fab_volume *v = NULL;
    fab_segment_result r;
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 4;
    if (fab_volume_create(&g, FAB_I16, &v, &err) < 0) abort();
    int16_t *hu = fab_volume_data_mut(v);
    for (int i = 0; i < 60; i++) hu[i] = (int16_t)(i * 37 % 900 - 400);
    if (fab_segment(m, v, NULL, &r, &err) == FAB_OK) {
        if (!r.labels || !r.fine_labels || !r.fine_margin || !r.confidence) abort();
        fab_segment_result_free(&r);
    }
    fab_volume_unref(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fab_error err;
    fab_json *card = NULL;
    fab_model *m = NULL;
    fab_reader weights;
    if (size < 4) return 0;
    const size_t n = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16;
    if (n > size - 4 || fab_json_parse(data + 4, n, "card", &card, &err) < 0) return 0;
    const uint8_t *rest = data + 4 + n;
    const size_t rest_size = size - 4 - n;
    fix_hash(card, rest, rest_size);
    fab_reader_from_memory(rest, rest_size, "weights", &weights);
    const fab_status status = fab_model_load_parts(card, "card", &weights, FAB_PRECISION_FP32,
                                                   &m, &err);
    if ((status == FAB_OK) != (m != NULL)) abort();
    if (m && rest_size <= MAX_WEIGHT_BYTES && small_patch(card)) run(m);
    fab_model_free(m);
    fab_json_free(card);
    return 0;
}
