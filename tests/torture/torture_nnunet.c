/* torture_nnunet.c - preparing, sliding and finishing a small case, and the mean of two networks,
 * with every allocation failing once. */
#include "nnunet_internal.h"
#include "harness.h"

static fab_error err;
static fab_nnunet_plan plan;
static fab_volume *images[2];

static fab_status run_patch(void *ctx, const float *patch, fab_net_sink sink, void *sink_ctx,
                            fab_error *e)
{
    float logits[8 * 3];
    (void)ctx;
    (void)e;
    for (int z = 0; z < 4; z++)
        for (int y = 0; y < 6; y++) {
            for (int i = 0; i < 24; i++)
                logits[i] = patch[(z * 6 + y) * 8 + i / 3] * (float)(i % 3);
            sink(sink_ctx, z, y, 0, 8, logits, 3);
        }
    return FAB_OK;
}

static fab_status whole_case(void *ctx)
{
    const bool exact = *(const bool *)ctx;
    fab_nnunet_case c = {0};
    FAB_TRY(fab_nnunet_prepare(&plan, (const fab_volume *const *)images, NULL, &c, &err));
    uint16_t logits[3 * 16 * 16 * 16];
    fab_volume *labels = NULL;
    fab_nnunet_softener *soft = NULL;
    fab_nnunet_slide_options o = {.step = 0.5, .exact = exact, .mirror = {true, false, true}};
    fab_status status = FAB_ERR_LIMIT;
    if (c.size[0] <= 16 && c.size[1] <= 16 && c.size[2] <= 16)
        status = fab_nnunet_slide(&plan, &c, &o, run_patch, NULL, logits, &err);
    o.add = true;
    if (status == FAB_OK)
        status = fab_nnunet_slide(&plan, &c, &o, run_patch, NULL, logits, &err);
    if (status == FAB_OK) status = fab_nnunet_finish(&plan, &c, logits, NULL, &labels, &err);
    if (status == FAB_OK)
        status = fab_nnunet_softener_create(&plan, &c, logits, c.size[0], true, &soft, &err);
    if (status == FAB_OK) fab_nnunet_softener_planes(soft, c.size[0]);
    else CHECK(soft == NULL);
    fab_nnunet_softener_free(soft);
    fab_volume_unref(labels);
    fab_nnunet_case_free(&c);
    return status;
}

/* The labels of a first stage as channels, then what postprocessing does to a label map. */
static fab_status second_stage(void *ctx)
{
    static const uint16_t values[] = {1, 2};
    fab_nnunet_step step = {.count = 2, .value = (uint16_t *)(uintptr_t)values};
    const fab_nnunet_postprocessing p = {.count = 1, .step = &step};
    const fab_volume *first = ctx;
    fab_nnunet_case c = {0};
    fab_volume *labels = NULL;
    FAB_TRY(fab_nnunet_prepare(&plan, (const fab_volume *const *)images, NULL, &c, &err));
    fab_status status = fab_nnunet_add_stage(&plan, first, &c, &err);
    CHECK(fab_nnunet_case_channels(&c) == (status < 0 ? 2 : 4) && !c.stage == (status < 0));
    fab_nnunet_case_free(&c);
    if (status == FAB_OK) status = fab_volume_convert(first, FAB_U8, &labels, &err);
    if (status == FAB_OK) status = fab_nnunet_postprocess(&p, labels, NULL, &err);
    fab_volume_unref(labels);
    return status;
}

static fab_status read_postprocessing(void *ctx)
{
    fab_nnunet_postprocessing p = {.count = 0};
    const fab_status status = fab_nnunet_postprocessing_read(ctx, "pp.json", &p, &err);
    if (status < 0) CHECK(p.count == 0 && !p.step);
    fab_nnunet_postprocessing_free(&p);
    return status;
}

static void every_allocation_of_a_second_stage(void)
{
    static const char text[] =
        "{\"postprocessing_fns\": [\"remove_all_but_largest_component_from_segmentation\"],"
        " \"postprocessing_kwargs\": [{\"labels_or_regions\": [1, [2, 3]]}]}";
    fab_json *json = NULL;
    fab_volume *first = NULL;
    CHECK_OK(fab_json_parse(text, strlen(text), "pp", &json, &err));
    CHECK_OK(fab_volume_create(fab_volume_grid(images[0]), FAB_U8, &first, &err));
    uint8_t *v = fab_volume_data_mut(first);
    for (int k = 0; k < 720; k++) v[k] = (uint8_t)(k / 5 % 3);
    plan.stage = (fab_nnunet_resampling){1, 0, -1};
    plan.stage_labels = 2;
    plan.stage_label[0] = 1;
    plan.stage_label[1] = 2;
    fab_test_torture(second_stage, first);
    fab_test_torture(read_postprocessing, json);
    fab_volume_unref(first);
    fab_json_free(json);
}

/* The mean of two voices on lattices of other sizes. */
static fab_status mean_of_two(void *ctx)
{
    static uint16_t logits[2][3 * 9 * 10 * 8];
    const fab_grid *grid = ctx;
    fab_nnunet_voice v[2];
    fab_volume *labels = NULL;
    for (int i = 0; i < 2; i++) {
        v[i] = (fab_nnunet_voice){.plan = &plan, .logits = logits[i],
                                  .c = {.grid = *grid, .axis_of = {2, 1, 0}, .whole = {8, 10, 9},
                                        .box = {{0, 8}, {0, 10}, {0, 9}},
                                        .spacing_mm = {1.1, 1.1, 1.1}, .size = {8, 10, 9 - 4 * i}}};
        for (int k = 0; k < 3 * 9 * 10 * 8; k++) logits[i][k] = (uint16_t)(k * (7 + i) % 0x3c00);
    }
    fab_status status = fab_nnunet_mean_labels(v, 2, NULL, &labels, &err);
    CHECK(!labels == (status < 0));
    if (status == FAB_OK) status = fab_nnunet_mean_logits(v, 2, 1, NULL, &err);
    fab_volume_unref(labels);
    return status;
}

static fab_status read_choice(void *ctx)
{
    static const char text[] =
        "{\"folds\": [0], \"best_model_or_ensemble\": {\"postprocessing_file\": \"/a/b\", "
        "\"selected_model_or_models\": [{\"trainer\": \"T\", \"plans_identifier\": \"P\", "
        "\"configuration\": \"2d\"}]}}";
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    fab_nnunet_choice c;
    (void)ctx;
    FAB_TRY(fab_json_parse(text, strlen(text), "text", &json, &err));
    return fab_nnunet_choice_read(json, "text", &c, &err);
}

static void every_allocation_of_a_case(void)
{
    plan = (fab_nnunet_plan){.channels = 2, .transpose_forward = {0, 1, 2},
                             .transpose_backward = {0, 1, 2}, .spacing_mm = {2, 1.4, 0.8},
                             .patch = {4, 6, 8}, .data = {3, 0, -1}, .probabilities = {1, 0, -1},
                             .ignore_value = -1, .head_count = 3};
    plan.channel[0].norm = FAB_NNUNET_RESCALE_01;
    plan.channel[1] = (fab_nnunet_channel){.norm = FAB_NNUNET_ZSCORE, .use_mask = true};
    for (int h = 0; h < 3; h++) plan.head[h].value = h;
    fab_grid g = {.size = {9, 10, 8}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 1.1;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(fab_volume_create(&g, FAB_I16, &images[i], &err));
        int16_t *v = fab_volume_data_mut(images[i]);
        for (int k = 0; k < 720; k++) v[k] = (int16_t)(k % 7 == 0 ? 0 : k * 13 % 101);
    }
    bool exact = true;
    fab_test_torture(whole_case, &exact);
    exact = false;
    fab_test_torture(whole_case, &exact);
    every_allocation_of_a_second_stage();
    fab_test_torture(mean_of_two, &g);
    fab_test_torture(read_choice, NULL);
    fab_volume_unref(images[0]);
    fab_volume_unref(images[1]);
}

int main(void)
{
    fab_threads_set(2);
    return FAB_RUN(TEST(every_allocation_of_a_case));
}
