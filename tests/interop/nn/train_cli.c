/* train_cli CARD WEIGHTS INPUT LABELS CLASS_WEIGHTS OUTPUT Z Y X STEPS: gradients and losses of one
 * patch, raw: every named tensor's gradient after the first pass, sorted by name, fp32, in OUTPUT;
 * losses on standard output, one line a pass; between passes AdamW with rate 0.01, decay 0.1. */
#include <stdio.h>
#include <stdlib.h>

#include "fabrica/nn.h"

static fab_status read_file(const char *path, uint8_t **out, size_t *bytes, fab_error *err)
{
    fab_reader r = {0};
    FAB_TRY(fab_reader_open_file(path, &r, err));
    const fab_status status = fab_reader_read_all(&r, (size_t)1 << 30, out, bytes, err);
    fab_reader_close(&r);
    return status;
}

static fab_status load(char **argv, const int patch[3], fab_trainer **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *tensors = NULL;
    const fab_json *architecture = NULL;
    fab_unet_config config;
    fab_reader r = {0};
    FAB_TRY(fab_json_load_file(argv[1], &card, err));
    FAB_TRY(fab_json_get_object(card, "architecture", &architecture, err));
    FAB_TRY(fab_unet_config_from_json(architecture, &config, err));
    FAB_TRY(fab_reader_open_file(argv[2], &r, err));
    const fab_status status = fab_tensors_read_safetensors(&r, &tensors, err);
    fab_reader_close(&r);
    FAB_TRY(status);
    return fab_trainer_create(&config, tensors, patch, fab_nn_isa_best(FAB_PRECISION_FP32), out,
                              err);
}

static fab_status write_gradients(const fab_trainer *t, const char *path, fab_error *err)
{
    FAB_AUTO(fab_tensors_free) fab_tensors *g = NULL;
    fab_buf bytes = {0};
    FAB_TRY(fab_trainer_export(t, FAB_TRAINER_GRADIENTS, &g, err));
    for (size_t i = 0; i < fab_tensors_count(g); i++) {
        const fab_tensor *one = fab_tensors_at(g, i);
        size_t n = 1;
        for (int a = 0; a < one->rank; a++) n *= (size_t)one->shape[a];
        FAB_TRY(fab_buf_append(&bytes, one->values, n * sizeof *one->values, err));
    }
    const fab_status status = fab_file_write_atomic(path, bytes.data, bytes.size, err);
    fab_buf_free(&bytes);
    return status;
}

static fab_status run(char **argv, fab_error *err)
{
    FAB_AUTO(fab_trainer_free) fab_trainer *t = NULL;
    FAB_AUTO_FREE uint8_t *input = NULL;
    FAB_AUTO_FREE uint8_t *labels = NULL;
    FAB_AUTO_FREE uint8_t *weights = NULL;
    size_t bytes;
    int patch[3];
    for (int a = 0; a < 3; a++) patch[a] = (int)strtol(argv[7 + a], NULL, 10);
    FAB_TRY(load(argv, patch, &t, err));
    FAB_TRY(read_file(argv[3], &input, &bytes, err));
    FAB_TRY(read_file(argv[4], &labels, &bytes, err));
    FAB_TRY(read_file(argv[5], &weights, &bytes, err));
    const int steps = (int)strtol(argv[10], NULL, 10);
    for (int i = 0; i < steps; i++) {
        fab_train_loss loss;
        const double cpu_s = fab_time_cpu_s();
        FAB_TRY(fab_trainer_gradient(t, (const float *)(const void *)input,
                                     (const uint16_t *)(const void *)labels,
                                     (const float *)(const void *)weights, 1, &loss, err));
        printf("%.9f %.9f %.4f\n", loss.cross_entropy, loss.dice, fab_time_cpu_s() - cpu_s);
        if (i == 0) FAB_TRY(write_gradients(t, argv[6], err));
        fab_trainer_update(t, &(fab_adamw){0.01, 0.9, 0.999, 1e-8, 0.1, 0, 0});
    }
    return FAB_OK;
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    if (argc == 11 && run(argv, &err) == FAB_OK) return 0;
    fprintf(stderr, "train_cli: %s\n", argc == 11 ? err.message : "wrong arguments");
    return 1;
}
