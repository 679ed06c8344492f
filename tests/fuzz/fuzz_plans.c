/* plans.json, a zero byte, dataset.json: from any bytes. What is accepted describes a network that
 * the engine would take, with labels that fit it. The first is read as a postprocessing.json too,
 * and what is accepted of that is applied. */
#include <stdlib.h>
#include <string.h>

#include "fabrica/nnunet.h"
#include "fuzz_target.h"

static void check(const fab_nnunet_plan *p)
{
    int divisor[3];
    fab_unet_config_divisor(&p->net, divisor);
    if (p->channels < 1 || p->channels > FAB_NNUNET_MAX_CHANNELS) abort();
    if (p->head_count < 1 || p->head_count > FAB_UNET_MAX_CLASSES) abort();
    if (p->flat && (p->patch[0] != 1 || divisor[0] != 1)) abort();
    if (p->net.input_channels != p->channels + p->stage_labels) abort();
    for (int i = 0; i < p->stage_labels; i++)
        if (p->stage_label[i] == 0 || (i && p->stage_label[i] <= p->stage_label[i - 1])) abort();
    if (p->net.classes != p->head_count || p->net.stage_count > FAB_UNET_MAX_STAGES) abort();
    for (int a = 0; a < 3; a++) {
        if (p->patch[a] < 1 || p->patch[a] % divisor[a]) abort();
        if (!(p->spacing_mm[a] > 0) && !(p->flat && a == 0)) abort();
        if (p->transpose_backward[p->transpose_forward[a]] != a) abort();
    }
    for (int h = 0; h < p->head_count; h++)
        if (p->head[h].value < 0 || p->head[h].value > 65534 || !memchr(p->head[h].name, 0,
                                                                       sizeof p->head[h].name))
            abort();
}

static void postprocess(const fab_json *json)
{
    fab_nnunet_postprocessing p = {.count = 0};
    fab_grid g = {.size = {7, 5, 3}};
    fab_volume *v = NULL;
    fab_error err;
    int64_t removed = 0;
    if (fab_nnunet_postprocessing_read(json, "postprocessing.json", &p, &err) < 0) return;
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 1;
    if (fab_volume_create(&g, FAB_U8, &v, &err) == FAB_OK) {
        uint8_t *data = fab_volume_data_mut(v);
        for (int i = 0; i < 105; i++) data[i] = (uint8_t)(i * 7 % 11 % 4);
        if (fab_nnunet_postprocess(&p, v, &removed, &err) == FAB_OK && removed < 0) abort();
    }
    fab_volume_unref(v);
    fab_nnunet_postprocessing_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fab_nnunet_plan plan;
    fab_json *plans = NULL, *dataset = NULL;
    fab_error err;
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    if (!zero) return 0;
    static const char *const configurations[] = {"3d_fullres", "3d_cascade_fullres", "2d"};
    const size_t first = (size_t)(zero - data);
    if (fab_json_parse(data, first, "plans.json", &plans, &err) == FAB_OK) postprocess(plans);
    if (plans
        && fab_json_parse(zero + 1, size - first - 1, "dataset.json", &dataset, &err) == FAB_OK)
        for (size_t i = 0; i < 3; i++)
            if (fab_nnunet_plan_read(plans, "plans.json", dataset, "dataset.json",
                                     configurations[i], &plan, &err) == FAB_OK)
                check(&plan);
    fab_json_free(plans);
    fab_json_free(dataset);
    return 0;
}
