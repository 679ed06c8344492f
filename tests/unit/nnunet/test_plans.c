/* test_plans.c - plans.json of both formats and dataset.json; and plans that lie. */
#include "harness.h"

#include "fabrica/nnunet.h"

static const char *const new_plans =
    "{\"dataset_name\": \"Dataset900_Small\", \"plans_name\": \"nnUNetPlans\","
    " \"image_reader_writer\": \"NibabelIOWithReorient\","
    " \"transpose_forward\": [2, 0, 1], \"transpose_backward\": [1, 2, 0],"
    " \"configurations\": {"
    "  \"base\": {\"patch_size\": [32, 64, 64], \"spacing\": [2.5, 1, 1.5],"
    "   \"normalization_schemes\": [\"CTNormalization\", \"ZScoreNormalization\"],"
    "   \"use_mask_for_norm\": [false, true],"
    "   \"resampling_fn_data\": \"resample_data_or_seg_to_shape\","
    "   \"resampling_fn_data_kwargs\": {\"is_seg\": false, \"order\": 3, \"order_z\": 0,"
    "    \"force_separate_z\": null},"
    "   \"resampling_fn_probabilities\": \"resample_data_or_seg_to_shape\","
    "   \"resampling_fn_probabilities_kwargs\": {\"is_seg\": false, \"order\": 1, \"order_z\": 0,"
    "    \"force_separate_z\": false},"
    "   \"architecture\": {\"network_class_name\":"
    "     \"dynamic_network_architectures.architectures.unet.PlainConvUNet\", \"arch_kwargs\": {"
    "     \"n_stages\": 3, \"features_per_stage\": [8, 16, 32],"
    "     \"conv_op\": \"torch.nn.modules.conv.Conv3d\","
    "     \"kernel_sizes\": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],"
    "     \"strides\": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],"
    "     \"n_conv_per_stage\": [2, 2, 3], \"n_conv_per_stage_decoder\": [2, 1],"
    "     \"conv_bias\": true, \"norm_op\": \"torch.nn.modules.instancenorm.InstanceNorm3d\","
    "     \"norm_op_kwargs\": {\"eps\": 1e-05, \"affine\": true}, \"dropout_op\": null,"
    "     \"nonlin\": \"torch.nn.LeakyReLU\", \"nonlin_kwargs\": {\"inplace\": true}}}},"
    "  \"3d_fullres\": {\"inherits_from\": \"base\", \"spacing\": [2, 1, 1.5]},"
    "  \"3d_cascade_fullres\": {\"inherits_from\": \"3d_fullres\","
    "   \"previous_stage\": \"3d_lowres\","
    "   \"resampling_fn_seg\": \"resample_data_or_seg_to_shape\", \"resampling_fn_seg_kwargs\":"
    "   {\"is_seg\": true, \"order\": 1, \"order_z\": 0, \"force_separate_z\": null}},"
    "  \"circle\": {\"inherits_from\": \"circle\"}},"
    " \"foreground_intensity_properties_per_channel\": {\"0\": {\"mean\": 10.5, \"std\": 200,"
    "  \"percentile_00_5\": -900, \"percentile_99_5\": 1200}}}";

static const char *const old_plans =
    "{\"dataset_name\": \"Dataset297_Total\", \"image_reader_writer\": \"NibabelIO\","
    " \"transpose_forward\": [0, 1, 2], \"transpose_backward\": [0, 1, 2],"
    " \"configurations\": {\"3d_fullres\": {\"patch_size\": [112, 112, 128],"
    "   \"spacing\": [3.0, 3.0, 3.0], \"normalization_schemes\": [\"CTNormalization\"],"
    "   \"use_mask_for_norm\": [false],"
    "   \"resampling_fn_data\": \"resample_data_or_seg_to_shape\","
    "   \"resampling_fn_data_kwargs\": {\"order\": 3, \"order_z\": 0, \"force_separate_z\": null},"
    "   \"resampling_fn_probabilities\": \"resample_data_or_seg_to_shape\","
    "   \"resampling_fn_probabilities_kwargs\": {\"order\": 1, \"order_z\": 0},"
    "   \"UNet_class_name\": \"PlainConvUNet\", \"UNet_base_num_features\": 32,"
    "   \"n_conv_per_stage_encoder\": [2, 2, 2, 2, 2, 2],"
    "   \"n_conv_per_stage_decoder\": [2, 2, 2, 2, 2],"
    "   \"pool_op_kernel_sizes\": [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2],"
    "    [1, 1, 2]],"
    "   \"conv_kernel_sizes\": [[3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3],"
    "    [3, 3, 3]], \"unet_max_num_features\": 320}},"
    " \"foreground_intensity_properties_per_channel\": {\"0\": {\"mean\": -370.0, \"std\": 436.6,"
    "  \"percentile_00_5\": -1024.0, \"percentile_99_5\": 276.0}}}";

static const char *const two_channels =
    "{\"channel_names\": {\"0\": \"CT\", \"1\": \"MR\"}, \"labels\": {\"background\": 0,"
    " \"cyst\": 2, \"kidney\": 1, \"ignore\": 3}}";
static const char *const regions =
    "{\"channel_names\": {\"0\": \"CT\", \"1\": \"MR\"}, \"labels\": {\"background\": 0,"
    " \"whole\": [1, 2, 3], \"core\": [2, 3], \"enhancing\": 3},"
    " \"regions_class_order\": [1, 2, 3]}";
static const char *const one_channel =
    "{\"modality\": {\"0\": \"CT\"}, \"labels\": {\"background\": 0, \"a\": 1, \"b\": 2}}";

static fab_error err;

/* A copy with the first `from` replaced; the caller frees it. */
static char *changed(const char *text, const char *from, const char *to)
{
    size_t room = strlen(text) + strlen(to) + 1;
    char *copy = malloc(room);
    const char *at = from ? strstr(text, from) : text + strlen(text);
    CHECK(copy && at);
    snprintf(copy, room, "%.*s%s%s", (int)(at - text), text, to, from ? at + strlen(from) : "");
    return copy;
}

static fab_status read_texts(const char *plans, const char *dataset, const char *configuration,
                             fab_nnunet_plan *out)
{
    FAB_AUTO(fab_json_free) fab_json *a = NULL;
    FAB_AUTO(fab_json_free) fab_json *b = NULL;
    CHECK_OK(fab_json_parse(plans, strlen(plans), "plans.json", &a, &err));
    CHECK_OK(fab_json_parse(dataset, strlen(dataset), "dataset.json", &b, &err));
    return fab_nnunet_plan_read(a, "plans.json", b, "dataset.json", configuration, out, &err);
}

static fab_nnunet_plan *read_good(const char *plans, const char *dataset, const char *name)
{
    fab_nnunet_plan *p = calloc(1, sizeof *p);
    CHECK(p);
    CHECK_OK(read_texts(plans, dataset, name, p));
    return p;
}

static void newer_format(void)
{
    fab_nnunet_plan *p = read_good(new_plans, two_channels, "3d_fullres");
    CHECK(strcmp(p->dataset, "Dataset900_Small") == 0 && p->reorients && p->channels == 2);
    CHECK(p->transpose_forward[0] == 2 && p->transpose_backward[0] == 1);
    CHECK(p->spacing_mm[0] == 2 && p->spacing_mm[2] == 1.5 && p->patch[1] == 64);
    CHECK(p->channel[0].norm == FAB_NNUNET_CT && p->channel[0].low == -900);
    CHECK(p->channel[0].mean == 10.5 && p->channel[0].high == 1200 && p->channel[0].std == 200);
    CHECK(p->channel[1].norm == FAB_NNUNET_ZSCORE && p->channel[1].use_mask);
    CHECK(p->data.order == 3 && p->data.separate_z == -1 && p->probabilities.separate_z == 0);
    CHECK(p->net.stage_count == 3 && p->net.stages[2].features == 32 && p->net.input_channels == 2);
    CHECK(p->net.stages[0].kernel[0] == 1 && p->net.stages[1].stride[0] == 1);
    CHECK(p->net.stages[2].convs == 3 && p->net.decoder_convs[1] == 1 && p->net.conv_bias);
    CHECK(p->net.slope == 0.01 && p->net.norm_eps == 1e-5 && p->net.classes == 3);
    CHECK(p->ignore_value == 3 && !p->regions && p->head_count == 3);
    CHECK(strcmp(p->head[1].name, "kidney") == 0 && strcmp(p->head[2].name, "cyst") == 0);
    free(p);
}

static void older_format(void)
{
    fab_nnunet_plan *p = read_good(old_plans, one_channel, "3d_fullres");
    const int features[] = {32, 64, 128, 256, 320, 320};
    CHECK(p->net.stage_count == 6 && p->patch[2] == 128 && p->net.classes == 3);
    for (int s = 0; s < 6; s++) CHECK(p->net.stages[s].features == features[s]);
    CHECK(p->net.stages[5].stride[1] == 1 && p->net.stages[5].stride[2] == 2);
    CHECK(p->probabilities.order == 1 && p->probabilities.separate_z == -1 && !p->reorients);
    free(p);
}

static void regions_in_the_file_s_order(void)
{
    fab_nnunet_plan *p = read_good(new_plans, regions, "3d_fullres");
    CHECK(p->regions && p->head_count == 3 && p->net.classes == 3);
    CHECK(strcmp(p->head[0].name, "whole") == 0 && p->head[0].region_count == 3);
    CHECK(p->head[0].value == 1 && p->head[1].value == 2 && p->head[2].value == 3);
    CHECK(p->head[2].region_count == 1 && p->head[2].region[0] == 3);
    free(p);
}

static void residual_encoder(void)
{
    char *a = changed(new_plans, "unet.PlainConvUNet", "unet.ResidualEncoderUNet");
    char *b = changed(a, "\"n_conv_per_stage\": [2, 2, 3]", "\"n_blocks_per_stage\": [1, 3, 4]");
    fab_nnunet_plan *p = read_good(b, two_channels, "3d_fullres");
    CHECK(p->net.residual && p->net.blocks[2] == 4 && p->net.decoder_convs[0] == 2);
    CHECK_FAILS(FAB_ERR_FORMAT, "n_blocks_per_stage[0]",
                read_texts(a, two_channels, "3d_fullres", p));
    free(p);
    free(a);
    free(b);
}

/* The second stage of a cascade sees one more channel for each label of the first. */
static void cascade_adds_channels(void)
{
    fab_nnunet_plan *p = read_good(new_plans, two_channels, "3d_cascade_fullres");
    CHECK(strcmp(p->previous_stage, "3d_lowres") == 0 && p->spacing_mm[0] == 2);
    CHECK(p->channels == 2 && p->net.input_channels == 4 && p->stage.order == 1);
    CHECK(p->stage_labels == 2 && p->stage_label[0] == 1 && p->stage_label[1] == 2);
    CHECK(strcmp(p->channel[0].name, "CT") == 0 && strcmp(p->channel[1].name, "MR") == 0);
    free(p);
    /* Regions: a channel a label that occurs in one, not a region; order by value. */
    char *more = changed(regions, "\"whole\": [1, 2, 3]", "\"whole\": [7, 2, 3, 1]");
    p = read_good(new_plans, more, "3d_cascade_fullres");
    const uint16_t expected[] = {1, 2, 3, 7};
    CHECK(p->stage_labels == 4 && p->net.input_channels == 6 && p->net.classes == 3);
    CHECK(memcmp(p->stage_label, expected, sizeof expected) == 0);
    free(p);
    free(more);
    p = read_good(new_plans, two_channels, "3d_fullres");
    CHECK(p->stage_labels == 0 && p->net.input_channels == 2);
    free(p);
}

/* As many labels as TotalSegmentator has; regions with more than a network may have channels. */
static void cascades_of_many_labels(void)
{
    enum { REGIONS = 9, VALUES = 117 };
    fab_buf labels = {0}, all = {0};
    for (int i = 1; i <= VALUES; i++)
        CHECK_OK(fab_buf_appendf(&labels, &err, "%s\"part %d\": %d", i > 1 ? ", " : "", i, i));
    char *text = changed(two_channels, "\"cyst\": 2, \"kidney\": 1, \"ignore\": 3",
                         (const char *)labels.data);
    fab_nnunet_plan *p = read_good(new_plans, text, "3d_cascade_fullres");
    CHECK(p->stage_labels == VALUES && p->net.input_channels == VALUES + 2);
    CHECK(p->stage_label[0] == 1 && p->stage_label[VALUES - 1] == VALUES);
    free(text);
    for (int i = 0; i < REGIONS * FAB_NNUNET_MAX_REGION; i++)
        CHECK_OK(i % FAB_NNUNET_MAX_REGION
                     ? fab_buf_appendf(&all, &err, ", %d", i + 1)
                     : fab_buf_appendf(&all, &err, "%s\"%d\": [%d", i ? "], " : "", i, i + 1));
    CHECK_OK(fab_buf_appendf(&all, &err,
                             "]}, \"regions_class_order\": [1, 2, 3, 4, 5, 6, 7, 8, 9"));
    text = changed(regions, "\"whole\": [1, 2, 3], \"core\": [2, 3], \"enhancing\": 3},"
                            " \"regions_class_order\": [1, 2, 3", (const char *)all.data);
    CHECK_OK(read_texts(new_plans, text, "3d_fullres", p));
    CHECK_FAILS(FAB_ERR_LIMIT, "a cascade of more than 528 images and labels",
                read_texts(new_plans, text, "3d_cascade_fullres", p));
    free(text);
    free(p);
    fab_buf_free(&labels);
    fab_buf_free(&all);
}

static void cascades_that_lie(void)
{
    static const struct {
        const char *from, *to, *message;
    } bad[] = {
        {"\"resampling_fn_seg\": \"resample_data_or_seg_to_shape\"", "\"x\": 1",
         "\"resampling_fn_seg\" is missing"},
        {"\"resampling_fn_seg\": \"resample_data", "\"resampling_fn_seg\": \"x", "is not known"},
        {"\"is_seg\": true, \"order\": 1, \"order_z\": 0", "\"order\": 1, \"order_z\": 1",
         "resampling_fn_seg_kwargs: order_z 1 is not supported"},
        {"\"is_seg\": true, \"order\": 1", "\"order\": 2", "resampling_fn_seg_kwargs"},
    };
    fab_nnunet_plan *p = calloc(1, sizeof *p);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text = changed(new_plans, bad[i].from, bad[i].to);
        CHECK(read_texts(text, two_channels, "3d_cascade_fullres", p) < 0);
        CHECK(strstr(err.message, bad[i].message) && strstr(err.message, "plans.json"));
        CHECK_OK(read_texts(text, two_channels, "3d_fullres", p)); /* nobody else reads them */
        free(text);
    }
    free(p);
}

static const char *const flat_plans =
    "{\"dataset_name\": \"Dataset902_Flat\", \"image_reader_writer\": \"SimpleITKIO\","
    " \"transpose_forward\": [0, 1, 2], \"transpose_backward\": [0, 1, 2],"
    " \"configurations\": {\"2d\": {\"patch_size\": [64, 96], \"spacing\": [0.5, 0.75],"
    "   \"normalization_schemes\": [\"ZScoreNormalization\"], \"use_mask_for_norm\": [false],"
    "   \"resampling_fn_data\": \"resample_data_or_seg_to_shape\","
    "   \"resampling_fn_data_kwargs\": {\"order\": 3, \"order_z\": 0, \"force_separate_z\": null},"
    "   \"resampling_fn_probabilities\": \"resample_data_or_seg_to_shape\","
    "   \"resampling_fn_probabilities_kwargs\": {\"order\": 1, \"order_z\": 0},"
    "   \"UNet_class_name\": \"PlainConvUNet\", \"UNet_base_num_features\": 32,"
    "   \"n_conv_per_stage_encoder\": [2, 2, 2], \"n_conv_per_stage_decoder\": [2, 2],"
    "   \"pool_op_kernel_sizes\": [[1, 1], [2, 2], [1, 2]],"
    "   \"conv_kernel_sizes\": [[3, 3], [3, 3], [1, 3]], \"unet_max_num_features\": 512}}}";

static void slices_are_flat_volumes(void)
{
    fab_nnunet_plan *p = read_good(flat_plans, one_channel, "2d");
    CHECK(p->flat && p->patch[0] == 1 && p->patch[1] == 64 && p->patch[2] == 96);
    CHECK(p->spacing_mm[0] == 0 && p->spacing_mm[1] == 0.5 && p->spacing_mm[2] == 0.75);
    CHECK(p->net.stages[1].kernel[0] == 1 && p->net.stages[1].kernel[1] == 3);
    CHECK(p->net.stages[2].kernel[1] == 1 && p->net.stages[2].kernel[2] == 3);
    CHECK(p->net.stages[2].stride[0] == 1 && p->net.stages[2].stride[2] == 2);
    static const struct {
        const char *from, *to, *message;
    } bad[] = {
        {"[64, 96]", "[64, 95]", "patch_size[2] = 95 is no multiple"},
        {"[0.5, 0.75]", "[0.5, 0.75, 1]", "spacing must be two numbers"},
        {"[[3, 3], [3, 3]", "[[3, 3], [3, 3, 3]", "conv_kernel_sizes[1] must be two whole numbers"},
        {"[[1, 1], [2, 2]", "[[1, 1], [2, 2, 2]", "pool_op_kernel_sizes[1] must be two whole"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text = changed(flat_plans, bad[i].from, bad[i].to);
        CHECK(read_texts(text, one_channel, "2d", p) < 0);
        CHECK(strstr(err.message, bad[i].message) && strstr(err.message, "plans.json"));
        free(text);
    }
    free(p);
}

typedef struct lie {
    const char *from, *to; /* in new_plans */
    fab_status status;
    const char *message;
} lie;

static const lie lies[] = {
    {"\"CTNormalization\"", "\"MagicNormalization\"", FAB_ERR_UNSUPPORTED,
     "plans.json: normalization_schemes[0] \"MagicNormalization\" is not known"},
    {"\"CTNormalization\", ", "", FAB_ERR_FORMAT, "normalization_schemes has 1 entry"},
    {"[32, 64, 64]", "[64, 64]", FAB_ERR_FORMAT, "spacing must be two numbers"},
    {"[32, 64, 64]", "[64]", FAB_ERR_FORMAT, "patch_size must be three numbers"},
    {"[32, 64, 64]", "[33, 64, 64]", FAB_ERR_FORMAT, "patch_size[0] = 33 is no multiple"},
    {"[32, 64, 64]", "[32, 64, 1e9]", FAB_ERR_FORMAT, "patch_size must be three numbers"},
    {"[32, 64, 64]", "[32, 64, 64.5]", FAB_ERR_FORMAT, "patch_size must be whole numbers"},
    {"\"spacing\": [2, 1, 1.5]", "\"spacing\": [2, 0, 1.5]", FAB_ERR_FORMAT,
     "spacing must be three numbers from 0.001"},
    {"[1, 2, 0]", "[2, 0, 1]", FAB_ERR_FORMAT, "do not undo each other"},
    {"NibabelIOWithReorient", "NaturalImage2DIO", FAB_ERR_UNSUPPORTED,
     "image_reader_writer \"NaturalImage2DIO\" is not known"},
    {"unet.PlainConvUNet", "primus.Primus", FAB_ERR_UNSUPPORTED,
     "plans.json: architecture: network class"},
    {"\"n_stages\": 3", "\"n_stages\": 40", FAB_ERR_UNSUPPORTED, "n_stages: 40 stages"},
    {"\"n_stages\": 3", "\"n_stages\": 4", FAB_ERR_FORMAT, "features_per_stage[3]"},
    {"[8, 16, 32]", "[8, 16, 1e12]", FAB_ERR_FORMAT, "features_per_stage[2] must be"},
    {"[2, 2, 2]],", "[2, 2, 4]],", FAB_ERR_UNSUPPORTED, "strides[2] must be three whole numbers"},
    {"[[1, 3, 3]", "[[1, 3, 2]", FAB_ERR_UNSUPPORTED, "kernel_sizes[0]: a kernel of 2"},
    {"conv.Conv3d", "conv.Conv2d", FAB_ERR_UNSUPPORTED, "conv_op is \"torch.nn.modules"},
    {"InstanceNorm3d", "BatchNorm3d", FAB_ERR_UNSUPPORTED, "norm_op is"},
    {"LeakyReLU", "GELU", FAB_ERR_UNSUPPORTED, "nonlin is \"torch.nn.GELU\""},
    {"\"affine\": true", "\"affine\": false", FAB_ERR_UNSUPPORTED, "norm_op_kwargs.affine"},
    {"resample_data_or_seg_to_shape", "resample_torch", FAB_ERR_UNSUPPORTED,
     "resampling_fn_data \"resample_torch\" is not known"},
    {"\"order\": 3", "\"order\": 7", FAB_ERR_FORMAT, "resampling_fn_data_kwargs: field \"order\""},
    {"\"std\": 200,", "", FAB_ERR_FORMAT, "foreground_intensity_properties_per_channel.0"},
    {"\"inherits_from\": \"base\"", "\"inherits_from\": \"nobody\"", FAB_ERR_FORMAT, "nobody"},
};

static void lies_are_named(void)
{
    fab_nnunet_plan *p = calloc(1, sizeof *p);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char *text = changed(new_plans, lies[i].from, lies[i].to);
        fab_status s = read_texts(text, two_channels, "3d_fullres", p);
        if (s != lies[i].status || !strstr(err.message, lies[i].message))
            fprintf(stderr, "%s -> %s: %s %s\n", lies[i].from, lies[i].to, fab_status_name(s),
                    s < 0 ? err.message : "");
        CHECK(s == lies[i].status && strstr(err.message, lies[i].message));
        free(text);
    }
    CHECK_FAILS(FAB_ERR_LIMIT, "a circle?", read_texts(new_plans, two_channels, "circle", p));
    CHECK_FAILS(FAB_ERR_FORMAT, "2d", read_texts(new_plans, two_channels, "2d", p));
    CHECK_FAILS(FAB_ERR_FORMAT, "for 1 channel",
                read_texts(new_plans, one_channel, "3d_fullres", p));
    free(p);
}

static void labels_that_lie(void)
{
    static const struct {
        const char *base, *from, *to, *message;
    } bad[] = {
        {two_channels, "\"cyst\": 2", "\"cyst\": 5", "no label has 2"},
        {two_channels, "\"cyst\": 2", "\"cyst\": 1", "no label has 2"},
        {two_channels, "\"cyst\": 2", "\"cyst\": -1", "labels.cyst must hold whole numbers"},
        {two_channels, "\"cyst\": 2", "\"cyst\": \"2\"", "labels.cyst must hold whole numbers"},
        {two_channels, "\"cyst\": 2", "\"cyst\": []", "labels.cyst has 0 values"},
        {two_channels, "\"ignore\": 3", "\"ignore\": [3, 4]", "labels.ignore must be one number"},
        {regions, "[1, 2, 3]}", "[1, 2]}", "regions_class_order has 2 entries for 3 regions"},
        {regions, "\"regions_class_order\"", "\"order\"", "regions_class_order"},
    };
    fab_nnunet_plan *p = calloc(1, sizeof *p);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *text = changed(bad[i].base, bad[i].from, bad[i].to);
        fab_status s = read_texts(new_plans, text, "3d_fullres", p);
        if (s >= 0 || !strstr(err.message, bad[i].message))
            fprintf(stderr, "%s: %d %s\n", bad[i].to, (int)s, err.message);
        CHECK(s < 0 && strstr(err.message, bad[i].message) && strstr(err.message, "dataset.json"));
        free(text);
    }
    free(p);
}

/* Plans that nnU-Net itself wrote. */
static void real_plans(void)
{
    static const char *const folder[] = {
        "plain_ct/model/Dataset901_GoldenPlainCT/nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres",
        "aniso_mr/model/Dataset902_GoldenAnisoMR/nnUNetTrainer__nnUNetPlans__3d_fullres",
        "crop_transpose/model/Dataset906_GoldenCropTranspose/"
        "nnUNetTrainer_onlyMirror01__nnUNetPlans__3d_fullres",
        "reorient_ct/model/Dataset907_GoldenReorientCT/"
        "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"};
    static const int heads[] = {6, 4, 4, 4}, channels[] = {1, 1, 2, 1};
    fab_nnunet_plan *p = calloc(1, sizeof *p);
    for (size_t i = 0; i < 4; i++) {
        char relative[300], path[FAB_MAX_PATH_BYTES], file[FAB_MAX_PATH_BYTES + 20];
        FAB_AUTO(fab_json_free) fab_json *plans = NULL;
        FAB_AUTO(fab_json_free) fab_json *dataset = NULL;
        snprintf(relative, sizeof relative, "golden_nnunet/%s", folder[i]);
        if (!fab_test_data(relative, path)) {
            printf("  skipped: %s is not there\n", relative);
            continue;
        }
        snprintf(file, sizeof file, "%s/plans.json", path);
        CHECK_OK(fab_json_load_file(file, &plans, &err));
        snprintf(file, sizeof file, "%s/dataset.json", path);
        CHECK_OK(fab_json_load_file(file, &dataset, &err));
        CHECK_OK(fab_nnunet_plan_read(plans, "plans.json", dataset, "dataset.json", "3d_fullres",
                                      p, &err));
        CHECK(p->head_count == heads[i] && p->channels == channels[i]);
    }
    free(p);
}

int main(void)
{
    fab_test tests[] = {TEST(newer_format), TEST(older_format), TEST(regions_in_the_file_s_order),
                        TEST(residual_encoder),
                        TEST(cascade_adds_channels), TEST(cascades_of_many_labels),
                        TEST(cascades_that_lie),
                        TEST(slices_are_flat_volumes),
                        TEST(lies_are_named), TEST(labels_that_lie), TEST(real_plans)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
