/* test_nn_train.c - training: the same bits on every instruction set and with every number of
 * threads, weights out and in again, and a loss that falls. PyTorch's gradients are
 * tests/interop/nn/gradients.py's business. */
#include "fabrica/nn.h"
#include "harness.h"
#include "random_unet.h"

static fab_error err;

static const fab_unet_config config = {
    .input_channels = 1, .classes = 19, .stage_count = 3,
    .stages = {{12, {3, 3, 3}, {1, 1, 1}, 2}, {18, {3, 3, 3}, {2, 2, 2}, 2},
               {33, {3, 3, 3}, {1, 2, 2}, 1}},
    .decoder_convs = {1, 2}, .norm_eps = 1e-5, .slope = 0.01, .conv_bias = true};
static const int patch[3] = {16, 20, 28}; /* large enough for Winograd, both ways */
#define VOXELS (16 * 20 * 28)

typedef struct sample {
    float input[VOXELS];
    uint16_t labels[VOXELS];
} sample;

/* Labels follow from the input, so that there is something to learn. */
static void fill(sample *s, uint64_t seed)
{
    fab_rng rng;
    fab_rng_seed(&rng, seed, 1);
    for (int i = 0; i < VOXELS; i++) {
        const int x = i % patch[2], y = i / patch[2] % patch[1];
        s->labels[i] = (uint16_t)(x < 14 ? 0 : y < 10 ? 3 : 18);
        s->input[i] = (float)s->labels[i] * 0.1f + 0.2f * (float)fab_rng_normal(&rng);
    }
    s->labels[5] = FAB_TRAIN_IGNORE;
}

static const fab_adamw adam = {.rate = 3e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
                              .decay = 0.01, .average = 0.9};

/* A step on two patches; what it leaves. */
static fab_tensors *train(fab_isa isa, const sample *s)
{
    fab_tensors *t = random_unet_tensors(&config, 5), *out = NULL;
    fab_trainer *trainer = NULL;
    fab_train_loss loss;
    CHECK_OK(fab_trainer_create(&config, t, patch, isa, &trainer, &err));
    for (int i = 0; i < 2; i++)
        CHECK_OK(fab_trainer_gradient(trainer, s->input, s->labels, NULL, 0.5, &loss, &err));
    fab_trainer_update(trainer, &adam);
    CHECK_OK(fab_trainer_export(trainer, FAB_TRAINER_WEIGHTS, &out, &err));
    CHECK(fab_trainer_bytes(trainer) > VOXELS * sizeof(float));
    fab_trainer_free(trainer);
    fab_tensors_free(t);
    return out;
}

static bool same(const fab_tensors *a, const fab_tensors *b)
{
    bool equal = fab_tensors_count(a) == fab_tensors_count(b);
    for (size_t i = 0; equal && i < fab_tensors_count(a); i++) {
        const fab_tensor *x = fab_tensors_at(a, i), *y = fab_tensors_at(b, i);
        size_t n = 1;
        for (int k = 0; k < x->rank; k++) n *= (size_t)x->shape[k];
        equal = strcmp(x->name, y->name) == 0 && x->rank == y->rank &&
                memcmp(x->values, y->values, n * sizeof *x->values) == 0;
    }
    return equal;
}

static void every_isa_and_thread_count_gives_the_same_bits(void)
{
    static sample s;
    fill(&s, 3);
    fab_threads_set(1);
    fab_tensors *expected = train(FAB_ISA_SCALAR, &s), *before = random_unet_tensors(&config, 5);
    CHECK(!same(expected, before));
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++)
        for (int threads = 1; threads <= 3; threads += 2) {
            if (!fab_nn_isa_runs((fab_isa)isa)) continue;
            if (fab_nn_isa_precision((fab_isa)isa) != FAB_PRECISION_FP32) continue;
            fab_threads_set(threads);
            fab_tensors *got = train((fab_isa)isa, &s);
            printf("  %s, %d threads\n", fab_nn_isa_name((fab_isa)isa), threads);
            CHECK(same(got, expected));
            fab_tensors_free(got);
        }
    fab_threads_set(0);
    fab_tensors_free(before);
    fab_tensors_free(expected);
}

static void loss_falls_and_the_network_learns(void)
{
    static sample s;
    fab_tensors *t = random_unet_tensors(&config, 9), *learnt = NULL;
    fab_trainer *trainer = NULL;
    fab_train_loss first, last;
    const fab_isa isa = fab_nn_isa_best(FAB_PRECISION_FP32);
    float *logits = fab_alloc_array((size_t)config.classes * VOXELS, sizeof *logits);
    CHECK_OK(fab_trainer_create(&config, t, patch, isa, &trainer, &err));
    for (uint64_t i = 0; i < 100; i++) {
        fill(&s, i);
        CHECK_OK(fab_trainer_gradient(trainer, s.input, s.labels, NULL, 1,
                                      i ? &last : &first, &err));
        fab_trainer_update(trainer, &adam);
    }
    printf("  cross-entropy %.3f to %.3f, Dice %.3f to %.3f\n", first.cross_entropy,
           last.cross_entropy, first.dice, last.dice);
    CHECK(last.cross_entropy < 0.3 * first.cross_entropy && last.dice > 0.9);
    CHECK_OK(fab_trainer_export(trainer, FAB_TRAINER_WEIGHTS, &learnt, &err));
    fab_net *net = NULL;
    fab_net_session *session = NULL;
    CHECK_OK(fab_net_create_unet(&config, learnt, isa, &net, &err));
    CHECK_OK(fab_net_session_create(net, patch, &session, &err));
    fill(&s, 1000);
    CHECK_OK(fab_net_session_logits(session, s.input, logits, &err));
    int right = 0;
    for (int i = 0; i < VOXELS; i++) {
        int best = 0;
        for (int k = 1; k < config.classes; k++)
            if (logits[k * VOXELS + i] > logits[best * VOXELS + i]) best = k;
        right += best == s.labels[i];
    }
    printf("  %.1f %% right on a sample never seen\n", 100.0 * right / VOXELS);
    CHECK(right > 0.95 * VOXELS);
    fab_net_session_free(session);
    fab_net_free(net);
    fab_trainer_free(trainer);
    fab_tensors_free(learnt);
    fab_tensors_free(t);
    fab_free(logits);
}

static void what_cannot_be_trained_is_refused(void)
{
    static sample s;
    fab_unet_config residual = config;
    fab_trainer *trainer = NULL;
    fab_train_loss loss;
    residual.residual = true;
    for (int i = 0; i < 3; i++) residual.blocks[i] = 1;
    fab_tensors *t = random_unet_tensors(&config, 9);
    const fab_isa isa = fab_nn_isa_best(FAB_PRECISION_FP32);
    CHECK_FAILS(FAB_ERR_UNSUPPORTED, "residual",
                fab_trainer_create(&residual, t, patch, isa, &trainer, &err));
    CHECK_FAILS(FAB_ERR_ARG, "not a multiple",
                fab_trainer_create(&config, t, (int[]){16, 20, 27}, isa, &trainer, &err));
    CHECK_OK(fab_trainer_create(&config, t, patch, isa, &trainer, &err));
    fill(&s, 1);
    s.labels[7] = 19;
    CHECK_FAILS(FAB_ERR_ARG, "label 19 in training: the network has 19 classes",
                fab_trainer_gradient(trainer, s.input, s.labels, NULL, 1, &loss, &err));
    fab_trainer_free(trainer);
    fab_tensors_free(t);
}

int main(void)
{
    return FAB_RUN(TEST(every_isa_and_thread_count_gives_the_same_bits),
                   TEST(loss_falls_and_the_network_learns),
                   TEST(what_cannot_be_trained_is_refused));
}
