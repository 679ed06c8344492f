/* Bad model packages: one edit of the golden package's card each, and what a person is told. */
#include "fabrica/segment.h"
#include "harness.h"

static fab_error err;

/* The first `from` in the card's text becomes `to`. */
static const struct {
    const char *from, *to;
    fab_status status;
    const char *message;
} cases[] = {
    {"fabrica-model", "onnx", FAB_ERR_UNSUPPORTED, "\"format\" is \"onnx\""},
    {"\"format_version\": 1", "\"format_version\": 2", FAB_ERR_FORMAT, "format_version"},
    {"\"name\": \"unet-tiny\"", "\"name\": \"\"", FAB_ERR_FORMAT, "\"name\""},
    {"\"name\": \"unet-tiny\",", "", FAB_ERR_FORMAT, "name"},
    {"\"modality\": \"CT\"", "\"modality\": \"US\"", FAB_ERR_UNSUPPORTED, "\"modality\""},
    {"weights.safetensors", "../weights.safetensors", FAB_ERR_FORMAT, "weights.file"},
    {"weights.safetensors", "/etc/passwd", FAB_ERR_FORMAT, "weights.file"},
    {"weights.safetensors", "..", FAB_ERR_FORMAT, "weights.file"},
    {"weights.safetensors", "a\\\\b", FAB_ERR_FORMAT, "weights.file"},
    {"weights.safetensors", "", FAB_ERR_FORMAT, "weights.file"},
    {"\"sha256\": \"4", "\"sha256\": \"", FAB_ERR_FORMAT, "weights.sha256"},
    {"\"sha256\": \"4", "\"sha256\": \"5", FAB_ERR_INTEGRITY, "SHA-256"},
    {"PlainConvUNet", "SwinUNETR", FAB_ERR_UNSUPPORTED, "architecture"},
    {"PlainConvUNet", "ResidualEncoderUNet", FAB_ERR_FORMAT, "blocks"},
    {"\"input_channels\": 1", "\"input_channels\": 2", FAB_ERR_UNSUPPORTED, "input_channels is 2"},
    {"\"input_channels\": 1", "\"input_channels\": 0", FAB_ERR_FORMAT, "input_channels"},
    {"\"classes\": 5", "\"classes\": 100000", FAB_ERR_FORMAT, "classes"},
    {"\"classes\": 5", "\"classes\": 6", FAB_ERR_FORMAT,
     "decoder.seg_layers.1.weight has shape [5,4,1,1,1], the architecture needs [6,4,1,1,1]"},
    {"\"classes\": 5", "\"classes\": 3", FAB_ERR_FORMAT, "labels has 4 entries"},
    {"\"features\": 4", "\"features\": 5", FAB_ERR_FORMAT,
     "encoder.stages.0.0.convs.0.conv.weight"},
    {"\"features\": 4", "\"features\": 1000000", FAB_ERR_FORMAT, "features"},
    {"\"convs\": 1", "\"convs\": 2", FAB_ERR_NOTFOUND,
     "encoder.stages.0.0.convs.1.conv.weight is missing"},
    {"\"convs\": 1", "\"convs\": 99", FAB_ERR_FORMAT, "convs"},
    {"\"kernel\": [\n     3", "\"kernel\": [\n     5", FAB_ERR_UNSUPPORTED, "stages[0]: kernel"},
    {"\"stride\": [\n     1", "\"stride\": [\n     2", FAB_ERR_UNSUPPORTED, "stages[0].stride"},
    {"\"stride\": [\n     2", "\"stride\": [\n     3", FAB_ERR_UNSUPPORTED, "stages[1]: stride"},
    {"\"stages\": [", "\"stages\": [], \"other\": [", FAB_ERR_UNSUPPORTED, "stages: 0"},
    {"\"decoder_convs\": [", "\"decoder_convs\": [1, ", FAB_ERR_FORMAT, "decoder_convs has 3"},
    {"\"instance\"", "\"batch\"", FAB_ERR_UNSUPPORTED, "norm.type"},
    {"\"affine\": true", "\"affine\": false", FAB_ERR_UNSUPPORTED, "norm.affine"},
    {"\"eps\": 1e-05", "\"eps\": -1", FAB_ERR_FORMAT, "eps"},
    {"\"leaky_relu\"", "\"gelu\"", FAB_ERR_UNSUPPORTED, "activation.type"},
    {"\"slope\": 0.01", "\"slope\": 1e400", FAB_ERR_FORMAT, "JSON"},
    {"\"slope\": 0.01", "\"slope\": 7", FAB_ERR_FORMAT, "slope"},
    {"\"orientation\": \"LPS\"", "\"orientation\": \"RAS\"", FAB_ERR_UNSUPPORTED, "orientation"},
    {"fabrica-gauss-linear-1", "cubic", FAB_ERR_UNSUPPORTED, "resampling"},
    {"\"spacing_mm\": [\n   4.0", "\"spacing_mm\": [\n   0", FAB_ERR_FORMAT, "\"spacing_mm\"[0]"},
    {"\"type\": \"ct\"", "\"type\": \"zscore\"", FAB_ERR_UNSUPPORTED, "\"type\" is \"zscore\""},
    {"\"std\": 300.0", "\"std\": 0", FAB_ERR_FORMAT, "std"},
    {"\"std\": 300.0", "\"std\": NaN", FAB_ERR_FORMAT, "JSON"},
    {"\"std\": 300.0", "\"std\": null", FAB_ERR_FORMAT, "std"},
    {"-1024.0,\n    1500.0", "1500, 1500", FAB_ERR_FORMAT, "\"clip_hu\" is empty"},
    {"\"patch_size\": [\n   8", "\"patch_size\": [\n   9", FAB_ERR_FORMAT,
     "\"patch_size\"[0] is 9"},
    {"\"patch_size\": [\n   8", "\"patch_size\": [\n   1e9", FAB_ERR_FORMAT, "\"patch_size\"[0]"},
    {"\"step\": 0.5", "\"patch_size_max\": [64, 64, 65], \"step\": 0.5", FAB_ERR_FORMAT,
     "\"patch_size_max\"[2] is 65"},
    {"\"step\": 0.5", "\"patch_size_max\": [64, 64, 4], \"step\": 0.5", FAB_ERR_FORMAT,
     "\"patch_size_max\"[2] is less"},
    {"\"labels\": [",
     "\"postprocess\": {\"labels\": {\"two\": {\"yields_to\": \"two\", \"neck_mm\": 9}}}, "
     "\"labels\": [", FAB_ERR_FORMAT, "yields_to: no other label"},
    {"\"labels\": [",
     "\"postprocess\": {\"labels\": {\"two\": {\"yields_to\": \"one\"}}}, \"labels\": [",
     FAB_ERR_FORMAT, "neck_mm"},
    {"\"step\": 0.5", "\"patch_size_max\": 64, \"step\": 0.5", FAB_ERR_FORMAT, "patch_size_max"},
    {"\"step\": 0.5", "\"step\": 0", FAB_ERR_FORMAT, "step"},
    {"\"gaussian_sigma_scale\": 0.125", "\"gaussian_sigma_scale\": 0", FAB_ERR_FORMAT,
     "gaussian_sigma_scale"},
    {"\"mirror_axes\": []", "\"mirror_axes\": [3]", FAB_ERR_FORMAT, "\"mirror_axes\"[0]"},
    {"\"labels\": [", "\"labels\": [], \"other\": [", FAB_ERR_FORMAT, "labels has 0"},
    {"\"value\": 1,", "\"value\": 5,", FAB_ERR_FORMAT, "labels[0]: "},
    {"\"value\": 1,", "\"value\": 2,", FAB_ERR_FORMAT, "labels[1].value 2 occurs twice"},
    {"\"name\": \"two\"", "\"name\": \"one\"", FAB_ERR_FORMAT, "\"one\" occurs twice"},
    {"\"name\": \"two\"", "\"name\": \"../two\"", FAB_ERR_ARG, "labels[1]"},
    {"\"left_name\": \"three_left\",", "", FAB_ERR_FORMAT, "labels[2]: "},
    {"\"labels\": [", "\"postprocess\": 3, \"labels\": [", FAB_ERR_FORMAT, "postprocess"},
    {"\"labels\": [", "\"postprocess\": {\"default\": {\"needs_hu\": 150}}, \"labels\": [",
     FAB_ERR_FORMAT, "needs_share"},
    {"\"labels\": [", "\"postprocess\": {\"outside_reaches_edge\": 1}, \"labels\": [",
     FAB_ERR_FORMAT, "outside_reaches_edge"},
    {"\"labels\": [", "\"postprocess\": {\"labels\": {\"nose\": {}}}, \"labels\": [",
     FAB_ERR_FORMAT, "postprocess.labels.nose"},
    {"\"labels\": [", "\"postprocess\": {\"default\": {\"keep_components\": -1}}, \"labels\": [",
     FAB_ERR_FORMAT, "keep_components"},
    {"\"labels\": [",
     "\"postprocess\": {\"labels\": {\"one\": {\"near\": [\"nose\"], \"within_mm\": 5}}}, "
     "\"labels\": [",
     FAB_ERR_FORMAT, "near[0]"},
    {"\"labels\": [",
     "\"postprocess\": {\"labels\": {\"one\": {\"near\": [\"two\"]}}}, \"labels\": [",
     FAB_ERR_FORMAT, "within_mm"},
    {"\"labels\": [", "\"postprocess\": {\"default\": {\"fluid_below_hu\": -1}}, \"labels\": [",
     FAB_ERR_FORMAT, "fluid_below_hu"},
};

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    CHECK(f);
    char *text = calloc(1, 20000);
    CHECK(text && fread(text, 1, 19999, f) > 0);
    fclose(f);
    return text;
}

static void write_bytes(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[FAB_MAX_PATH_BYTES];
    CHECK_OK(fab_path_join(path, sizeof path, folder, name, &err));
    CHECK_OK(fab_file_write_atomic(path, bytes, size, &err));
}

/* The card with one edit, and the golden weights beside it, in a fresh folder. */
static void make_package(const char *folder, const char *from, const char *to)
{
    char path[FAB_MAX_PATH_BYTES], edited[21000];
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/unet_tiny/model.json", root ? root : ".");
    char *text = read_text(path), *at = strstr(text, from);
    if (!at) fprintf(stderr, "not in the card: %s\n", from);
    CHECK(at);
    const int n = snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - text), text, to,
                           at + strlen(from));
    write_bytes(folder, "model.json", edited, (size_t)n);
    free(text);
    fab_reader r;
    uint8_t *bytes = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/tests/golden/unet_tiny/weights.safetensors", root ? root : ".");
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, 1u << 20, &bytes, &size, &err));
    fab_reader_close(&r);
    write_bytes(folder, "weights.safetensors", bytes, size);
    fab_free(bytes);
}

static fab_status load(const char *folder, fab_model **out)
{
    return fab_model_load(folder, FAB_PRECISION_FP32, out, &err);
}

static void bad_cards_are_refused(void)
{
    char folder[FAB_MAX_PATH_BYTES];
    CHECK(fab_test_folder(folder));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fab_model *m = NULL;
        make_package(folder, cases[i].from, cases[i].to);
        CHECK_FAILS(cases[i].status, cases[i].message, load(folder, &m));
        if (!strstr(err.message, "model.json") && !strstr(err.message, "weights.safetensors"))
            fprintf(stderr, "names no file: %s\n", err.message);
        CHECK(strstr(err.message, "model.json") || strstr(err.message, "weights.safetensors"));
        CHECK(m == NULL);
    }
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static void missing_and_damaged_files_are_named(void)
{
    char folder[FAB_MAX_PATH_BYTES];
    fab_model *m = NULL;
    CHECK(fab_test_folder(folder));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "model.json", load(folder, &m));
    make_package(folder, "unet-tiny", "good");
    CHECK_OK(fab_model_verify(folder, &err));
    CHECK_OK(load(folder, &m));
    CHECK(strcmp(fab_model_name(m), "good") == 0 && strcmp(fab_model_version(m), "1.0.0") == 0);
    CHECK(strlen(fab_model_weights_sha256(m)) == 64 && fab_model_card(m));
    m = fab_model_free(m);
    make_package(folder, "weights.safetensors", "other.safetensors");
    CHECK_FAILS(FAB_ERR_NOTFOUND, "other.safetensors", load(folder, &m));
    write_bytes(folder, "other.safetensors", "short", 5);
    CHECK_FAILS(FAB_ERR_INTEGRITY, "other.safetensors", load(folder, &m));
    CHECK_FAILS(FAB_ERR_INTEGRITY, "other.safetensors", fab_model_verify(folder, &err));
    write_bytes(folder, "model.json", "{", 1);
    CHECK_FAILS(FAB_ERR_FORMAT, "model.json", load(folder, &m));
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    return FAB_RUN(TEST(bad_cards_are_refused), TEST(missing_and_damaged_files_are_named));
}
