/* plans.json, a zero byte, dataset.json: from any bytes. What is accepted describes a network that
 * the engine would take, with labels that fit it. */
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
    if (p->net.classes != p->head_count || p->net.stage_count > FAB_UNET_MAX_STAGES) abort();
    for (int a = 0; a < 3; a++) {
        if (p->patch[a] < 1 || p->patch[a] % divisor[a] || !(p->spacing_mm[a] > 0)) abort();
        if (p->transpose_backward[p->transpose_forward[a]] != a) abort();
    }
    for (int h = 0; h < p->head_count; h++)
        if (p->head[h].value < 0 || p->head[h].value > 65534 || !memchr(p->head[h].name, 0,
                                                                       sizeof p->head[h].name))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fab_nnunet_plan plan;
    fab_json *plans = NULL, *dataset = NULL;
    fab_error err;
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    if (!zero) return 0;
    const size_t first = (size_t)(zero - data);
    if (fab_json_parse(data, first, "plans.json", &plans, &err) == FAB_OK
        && fab_json_parse(zero + 1, size - first - 1, "dataset.json", &dataset, &err) == FAB_OK
        && fab_nnunet_plan_read(plans, "plans.json", dataset, "dataset.json", "3d_fullres", &plan,
                                &err) == FAB_OK)
        check(&plan);
    fab_json_free(plans);
    fab_json_free(dataset);
    return 0;
}
