/* Folders as brainchop publishes them, made here: what is read, what is refused, and what a run of
 * a network whose answer is known gives. */
#include "harness.h"

#include "brainchop_internal.h"

static fab_error err;
static char folder[64];

static void write_file(const char *name, const void *bytes, size_t count)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK(fab_file_write_atomic(path, bytes, count, &err));
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static void begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/fab-brainchop-XXXXXX");
    CHECK(mkdtemp(folder));
}

static void end(void)
{
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

/* One 1x1x1 convolution, 1 to 3: classes by the brightness x (0..1) of a voxel. Logits 0.3 - x,
 * then 0, then 2 (x - 0.6): background below 0.3, class 1, class 2 from 0.6. */
static const char layers_form[] =
    "{\"class_name\":\"InputLayer\",\"config\":{\"name\":\"in\",\"batch_input_shape\":"
    "[null,4,4,4,1]},\"name\":\"in\",\"inbound_nodes\":[]},"
    "{\"class_name\":\"%s\",\"name\":\"c\",\"config\":{\"name\":\"c\",\"filters\":3,"
    "\"kernel_size\":[1,1,1],\"strides\":[1,1,1],\"dilation_rate\":[1,1,1],\"padding\":\"same\","
    "\"data_format\":\"channels_last\",\"activation\":\"linear\",\"use_bias\":true},"
    "\"inbound_nodes\":[[[\"in\",0,0,{}]]]}";
static const char model_form[] =
    "{%s\"format\":\"layers-model\",\"modelTopology\":{\"model_config\":{\"class_name\":"
    "\"Functional\",\"config\":{\"name\":\"m\",\"layers\":[%s]}}},\"weightsManifest\":[{"
    "\"paths\":[\"%s\"],\"weights\":[{\"name\":\"c/kernel\",\"shape\":[1,1,1,1,3],"
    "\"dtype\":\"float32\"},{\"name\":\"c/bias\",\"shape\":[3],\"dtype\":\"float32\"}]}]}";

static void write_model(const char *layer_class, const char *path, const char *extra)
{
    static const float weights[6] = {-1, 0, 2, 0.3f, 0, -1.2f};
    char layers[900], text[2000];
    snprintf(layers, sizeof layers, layers_form, layer_class);
    snprintf(text, sizeof text, model_form, extra, layers, path);
    write_text("model.json", text);
    write_file("model.bin", weights, sizeof weights);
    write_text("colormap.json", "{\"R\":[0,10,20],\"G\":[0,11,21],\"B\":[0,12,22],\"labels\":"
               "[\"BG\",\"Left-Inf-Lat-Vent\",\"odd thing\"]}");
}

static void names_become_ours(void)
{
    static const char *const pairs[][2] = {
        {"Left-Thalamus-Proper*", "thalamus_left"},  {"ctx-rh-cuneus", "cortex_cuneus_right"},
        {"ctx-insula", "cortex_insula"},             {"3rd-Ventricle", "third_ventricle"},
        {"Grey Matter", "gray_matter"},
        {"Left-VentralDC", "ventral_diencephalon_left"},
        {"Inferior-Lateral-Ventricle", "inferior_lateral_ventricle"},
        {"CC_Mid_Anterior", "corpus_callosum_mid_anterior"},
        {"Corpus callosum", "corpus_callosum"},      {"Accumbens-area", "accumbens"},
        {"lesion 7*", "lesion 7*"},                  {"", ""}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char name[FAB_MAX_NAME_BYTES];
        fab_brainchop_name(pairs[i][0], name);
        if (strcmp(name, pairs[i][1]) != 0) fprintf(stderr, "%s: %s\n", pairs[i][0], name);
        CHECK(strcmp(name, pairs[i][1]) == 0);
    }
}

static void a_folder_is_read(void)
{
    FAB_AUTO(fab_brainchop_free) fab_brainchop *m = NULL;
    begin();
    CHECK(!fab_brainchop_is_folder(folder));
    write_model("Conv3D", "model.bin", "");
    CHECK(fab_brainchop_is_folder(folder));
    CHECK_OK(fab_brainchop_load(folder, &m, &err));
    const fab_label_set *set = fab_brainchop_labels(m);
    CHECK(set->count == 2 && set->items[0].value == 1 && set->items[1].value == 2);
    CHECK(strcmp(set->items[0].name, "inferior_lateral_ventricle_left") == 0);
    CHECK(set->items[0].anatomy && set->items[0].rgb[1] == 11);
    CHECK(strcmp(set->items[1].name, "odd thing") == 0 && set->items[1].rgb[2] == 22);
    CHECK(strlen(fab_brainchop_weights_sha256(m)) == 64);
    CHECK(strcmp(fab_brainchop_file(m, 1), "model.bin") == 0 && !fab_brainchop_file(m, 3));
    end();
}

static fab_brainchop_scale scale_with(const char *extra)
{
    FAB_AUTO(fab_brainchop_free) fab_brainchop *m = NULL;
    write_model("Conv3D", "model.bin", extra);
    CHECK_OK(fab_brainchop_load(folder, &m, &err));
    return *fab_brainchop_scale_of(m);
}

static void scaling_is_what_the_model_says(void)
{
    begin();
    fab_brainchop_scale s = scale_with("");
    CHECK(s.low == 0 && s.high == 1 && s.widen == 0 && !s.clip);
    s = scale_with("\"_comment\":\"Normalize with min = 5% quantile, max = 95% quantile\",");
    CHECK(s.low == 0.05 && s.high == 0.95 && s.widen == 0 && !s.clip);
    s = scale_with("\"_normalize\":{\"type\":\"quantile\",\"min\":2,\"max\":98},");
    CHECK(s.low == 0.02 && s.high == 0.98);
    s = scale_with("\"_normalize\":{\"type\":\"minmax\"},");
    CHECK(s.low == 0 && s.high == 1);
    end();
}

/* ---- what is refused --------------------------------------------------------------------- */

static void refused(fab_status status, const char *text)
{
    FAB_AUTO(fab_brainchop_free) fab_brainchop *m = NULL;
    CHECK_FAILS(status, text, fab_brainchop_load(folder, &m, &err));
    CHECK(!m);
}

static void bad_models_are_named(void)
{
    begin();
    refused(FAB_ERR_NOTFOUND, "model.json");
    write_text("model.json", "{\"format\":\"fabrica-model\"}");
    refused(FAB_ERR_FORMAT, "neither a TensorFlow.js model");
    write_model("Conv2DTranspose", "model.bin", "");
    refused(FAB_ERR_UNSUPPORTED, "class_name is \"Conv2DTranspose\"");
    write_model("Conv3D", "../model.bin", "");
    refused(FAB_ERR_FORMAT, "names no file beside it");
    write_model("Conv3D", "other.bin", "");
    refused(FAB_ERR_NOTFOUND, "other.bin");
    write_model("Conv3D", "model.bin", "\"_normalize\":{\"type\":\"zscore\"},");
    refused(FAB_ERR_UNSUPPORTED, "_normalize.type is \"zscore\"");
    write_model("Conv3D", "model.bin",
                "\"_normalize\":{\"type\":\"quantile\",\"min\":60,\"max\":40},");
    refused(FAB_ERR_FORMAT, "min 60 is not below max 40");
    write_model("Conv3D", "model.bin", "");
    write_text("model.bin", "short");
    refused(FAB_ERR_FORMAT, "5 bytes");
    end();
}

static void bad_names_are_named(void)
{
    begin();
    write_model("Conv3D", "model.bin", "");
    write_text("colormap.json", "{\"labels\":[\"BG\",\"one\"]}");
    refused(FAB_ERR_FORMAT, "colormap.json: 2 names, the network has 3 classes");
    write_text("colormap3.json", "{\"labels\":[\"BG\",\"one\",\"../two\"]}");
    refused(FAB_ERR_ARG, "colormap3.json: label name");
    write_text("colormap3.json", "{\"labels\":[\"BG\",\"one\",\"one\"]}");
    refused(FAB_ERR_ARG, "used by the values 1 and 2");
    write_text("colormap3.json", "{");
    refused(FAB_ERR_FORMAT, "colormap3.json");
    FAB_AUTO(fab_brainchop_free) fab_brainchop *m = NULL;
    write_text("colormap3.json", "{\"labels\":[\"BG\"]}");
    write_text("labels.json", "{\"0\":\"BG\",\"1\":\"CSF\",\"2\":\"csf\"}");
    CHECK_OK(fab_brainchop_load(folder, &m, &err));
    CHECK(strcmp(fab_brainchop_labels(m)->items[0].name, "cerebrospinal_fluid") == 0);
    CHECK(strcmp(fab_brainchop_labels(m)->items[1].name, "csf") == 0); /* ours is taken */
    end();
}

static void brainchops_own_form_is_checked(void)
{
    begin();
    write_text("model.json", "{\"layers\":[{\"in_channels\":1,\"out_channels\":2,\"kernel_size\":1,"
               "\"padding\":0,\"stride\":1,\"dilation\":1}],\"bnorm\":false,\"bias\":true}");
    refused(FAB_ERR_NOTFOUND, "no model.safetensors or model.pth");
    write_text("model.pth", "PK\3\4 a torch checkpoint");
    refused(FAB_ERR_UNSUPPORTED, "a torch checkpoint (zip)");
    write_text("model.json",
               "{\"layers\":[{\"in_channels\":-1,\"out_channels\":5}],\"bnorm\":true}");
    refused(FAB_ERR_UNSUPPORTED, "bnorm is true");
    end();
}

/* ---- a run ------------------------------------------------------------------------------- */

/* A conformed image: 0, a box of 100 with one of 200 inside, a speck of 255 apart from it (the
 * largest value, so x = v / 255). */
static fab_volume *boxes(void)
{
    fab_volume *v = NULL;
    fab_grid g = {.size = {256, 256, 256}};
    g.world_from_voxel = (fab_mat34){{{1, 0, 0, -127}, {0, 0, -1, 130}, {0, -1, 0, 120}}};
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    uint8_t *data = fab_volume_data_mut(v);
    memset(data, 0, 1u << 24);
    for (int k = 100; k < 140; k++)
        for (int j = 90; j < 130; j++)
            for (int i = 80; i < 120; i++)
                data[i + 256 * (j + 256 * k)] = i >= 90 && i < 100 && k < 120 ? 200 : 100;
    data[20 + 256 * (30 + 256 * 40)] = 255;
    return v;
}

static void a_run_gives_what_is_expected(void)
{
    FAB_AUTO(fab_brainchop_free) fab_brainchop *m = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *image = boxes();
    fab_segment_result r = {0};
    begin();
    write_model("Conv3D", "model.bin", "");
    CHECK_OK(fab_brainchop_load(folder, &m, &err));
    CHECK_OK(fab_brainchop_segment(m, image, NULL, &r, &err));
    const int64_t n = fab_grid_voxels(fab_volume_grid(image));
    CHECK(fab_grid_equal(fab_volume_grid(r.labels), fab_volume_grid(image), 1e-9));
    for (int64_t i = 0; i < n; i++) {
        const double v = fab_volume_at(image, i);
        CHECK(fab_volume_at(r.labels, i) == (v == 200 ? 2 : v == 100 ? 1 : 0)); /* no speck */
    }
    const double x = 100 / 255.0, logits[3] = {0.3 - x, 0, 2 * x - 1.2};
    const double share = 1 / (exp(logits[0]) + 1 + exp(logits[2]));
    CHECK_NEAR(r.confidence[0], share, 1e-4);
    CHECK_NEAR(fab_volume_get(r.fine_margin, 110, 95, 85), x - 0.3, 1e-6);
    CHECK_NEAR(fab_volume_get(r.fine_margin, 3, 3, 3), 0.3, 1e-6);
    CHECK(fab_volume_get(r.fine_labels, 110, 95, 85) == 1);
    CHECK(r.set.count == 2 && r.patches == 1 && r.planned_bytes > 1u << 24 && r.isa);
    CHECK(strstr(r.notes, "1 of 64001 voxels outside of the largest component removed"));
    fab_segment_result_free(&r);
    end();
}

static void too_little_memory_is_said_before(void)
{
    FAB_AUTO(fab_brainchop_free) fab_brainchop *m = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *image = boxes();
    const fab_brainchop_options o = {.max_memory_bytes = 100u << 20};
    fab_segment_result r = {0};
    begin();
    write_model("Conv3D", "model.bin", "");
    CHECK_OK(fab_brainchop_load(folder, &m, &err));
    CHECK_FAILS(FAB_ERR_LIMIT, "the cap is 100 MiB",
                fab_brainchop_segment(m, image, &o, &r, &err));
    CHECK(!r.labels && !r.set.items);
    end();
}

static bool stop(void *ctx)
{
    return --*(int *)ctx < 0;
}

static void a_run_can_be_stopped(void)
{
    FAB_AUTO(fab_brainchop_free) fab_brainchop *m = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *image = boxes();
    int left = 20; /* planes */
    const fab_progress progress = {&left, NULL, stop};
    const fab_brainchop_options o = {.progress = &progress};
    fab_segment_result r = {0};
    begin();
    write_model("Conv3D", "model.bin", "");
    CHECK_OK(fab_brainchop_load(folder, &m, &err));
    CHECK(fab_brainchop_segment(m, image, &o, &r, &err) == FAB_ERR_CANCELLED && !r.labels);
    end();
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(names_become_ours), TEST(a_folder_is_read), TEST(scaling_is_what_the_model_says),
        TEST(bad_models_are_named), TEST(bad_names_are_named), TEST(brainchops_own_form_is_checked),
        TEST(a_run_gives_what_is_expected), TEST(too_little_memory_is_said_before),
        TEST(a_run_can_be_stopped)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
