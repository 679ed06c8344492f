/* bench_nnunet.c - what nnU-Net's arithmetic costs around the network, as JSON.
 *
 *   bench_nnunet [HEADS [NX NY NZ [XY_MM Z_MM [NETWORK_MM [ROUNDS]]]]]
 *
 * Each stage runs on made-up data of that size: a smooth image with noise; a "network" that hands
 * out one row of logits again and again; logits of blobs with noise. Wall and CPU seconds are the
 * least of ROUNDS; resident memory is the peak so far.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nnunet_internal.h"

typedef struct setup {
    int heads, size[3], rounds;
    double spacing[3], network_mm;
} setup;

typedef struct clock_pair {
    double wall, cpu;
} clock_pair;

static clock_pair now(void) { return (clock_pair){fab_time_wall_s(), fab_time_cpu_s()}; }

static void keep_least(clock_pair *best, clock_pair from)
{
    const clock_pair end = now();
    best->wall = fmin(best->wall, end.wall - from.wall);
    best->cpu = fmin(best->cpu, end.cpu - from.cpu);
}

static double argument(int argc, char **argv, int i, double otherwise)
{
    return argc > i ? strtod(argv[i], NULL) : otherwise;
}

static setup parse(int argc, char **argv)
{
    setup s = {.heads = (int)argument(argc, argv, 1, 25)};
    static const int size[3] = {512, 512, 300};
    for (int a = 0; a < 3; a++) s.size[a] = (int)argument(argc, argv, 2 + a, size[a]);
    s.spacing[0] = s.spacing[1] = argument(argc, argv, 5, 0.8);
    s.spacing[2] = argument(argc, argv, 6, 1.5);
    s.network_mm = argument(argc, argv, 7, 1.5);
    s.rounds = (int)argument(argc, argv, 8, 3);
    return s;
}

static void make_plan(const setup *s, fab_nnunet_plan *p)
{
    *p = (fab_nnunet_plan){.channels = 1, .transpose_forward = {0, 1, 2},
                           .transpose_backward = {0, 1, 2}, .patch = {128, 128, 128},
                           .data = {3, 0, -1}, .probabilities = {1, 0, -1}, .ignore_value = -1,
                           .head_count = s->heads};
    p->channel[0] = (fab_nnunet_channel){.norm = FAB_NNUNET_CT, .mean = -50, .std = 300,
                                         .low = -1000, .high = 1000};
    for (int a = 0; a < 3; a++) p->spacing_mm[a] = s->network_mm;
    for (int h = 0; h < s->heads; h++) p->head[h].value = h;
}

static fab_status make_image(const setup *s, fab_volume **out, fab_error *err)
{
    fab_grid g = {0};
    for (int a = 0; a < 3; a++) {
        g.size[a] = s->size[a];
        g.world_from_voxel.m[a][a] = s->spacing[a];
    }
    FAB_TRY(fab_volume_create(&g, FAB_I16, out, err));
    int16_t *v = fab_volume_data_mut(*out);
    uint32_t noise = 1;
    for (int64_t i = 0; i < fab_grid_voxels(&g); i++) {
        noise = noise * 1664525u + 1013904223u;
        v[i] = (int16_t)((i >> 4) % 1500 - 900 + (int)(noise >> 26));
    }
    return FAB_OK;
}

static fab_status fake_network(void *ctx, const float *patch, fab_net_sink sink, void *sink_ctx,
                               fab_error *err)
{
    const setup *s = ctx;
    static float row[128 * 512];
    const int pitch = (s->heads + 15) / 16 * 16;
    (void)patch, (void)err;
    for (int i = 0; i < 128 * pitch; i++) row[i] = (float)((i * 37) % 101) * 0.1f - 5.0f;
    for (int z = 0; z < 128; z++)
        for (int y = 0; y < 128; y++) sink(sink_ctx, z, y, 0, 128, row, pitch);
    return FAB_OK;
}

typedef struct blob_job {
    const fab_nnunet_plan *plan;
    const fab_nnunet_case *c;
    uint16_t *logits;
} blob_job;

/* Blobs of a tenth of the image: about 1 - |distance|^2, as multiples of 1/64 below 16. */
static void blob_plane(void *ctx, int64_t index, int worker)
{
    const blob_job *job = ctx;
    const int *size = job->c->size, z = (int)(index % size[0]), head = (int)(index / size[0]);
    uint32_t noise = (uint32_t)index;
    (void)worker;
    const double place[3] = {(head * 37 % 101) / 101.0, (head * 53 % 97) / 97.0,
                             (head * 71 % 89) / 89.0};
    for (int y = 0; y < size[1]; y++) {
        uint16_t *to = job->logits + fab_nnunet_row(job->plan, job->c, size[0], head, z, y);
        for (int x = 0; x < size[2]; x++) {
            const double d[3] = {(double)z / size[0] - place[0], (double)y / size[1] - place[1],
                                 (double)x / size[2] - place[2]};
            const double r = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
            noise = noise * 1664525u + 1013904223u;
            const int level = head ? (int)(1024 * fmax(0.0, 0.9 - 40 * r)) : 300;
            *to++ = (uint16_t)(0x4000 + 2 * level + (int)(noise >> 27));
        }
    }
}

/* The mean of two networks that say the same. */
static fab_status time_mean(const setup *s, const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                            uint16_t *logits, clock_pair *best, fab_error *err)
{
    const fab_nnunet_voice one = {plan, *c, logits}, both[2] = {one, one};
    for (int i = 0; i < s->rounds; i++) {
        FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
        const clock_pair start = now();
        FAB_TRY(fab_nnunet_mean_labels(both, 2, NULL, &labels, err));
        keep_least(best, start);
    }
    return FAB_OK;
}

static fab_status run(const setup *s, const fab_nnunet_plan *plan, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *image = NULL;
    fab_nnunet_case c = {0};
    clock_pair prepare = {1e9, 1e9}, slide = prepare, finish = prepare, mean = prepare;
    FAB_TRY(make_image(s, &image, err));
    const double before = (double)fab_peak_rss_bytes();
    for (int i = 0; i < s->rounds; i++) {
        fab_nnunet_case_free(&c);
        const clock_pair from = now();
        FAB_TRY(fab_nnunet_prepare(plan, (const fab_volume *const[]){image}, NULL, &c, err));
        keep_least(&prepare, from);
    }
    const double prepared = (double)fab_peak_rss_bytes();
    const size_t count = (size_t)s->heads * (size_t)c.size[0] * (size_t)c.size[1] *
                         (size_t)c.size[2];
    FAB_AUTO_FREE uint16_t *logits = fab_alloc_array(count, sizeof *logits);
    if (!logits) return FAB_ERR_NOMEM;
    int windows = 1;
    for (int a = 0; a < 3; a++)
        windows *= fab_nnunet_window_starts(c.size[a] > 128 ? c.size[a] : 128, 128, 0.8, NULL);
    fab_nnunet_slide_options o = {.step = 0.8, .exact = true};
    const clock_pair from = now();
    FAB_TRY(fab_nnunet_slide(plan, &c, &o, fake_network, (void *)(uintptr_t)s, logits, err));
    keep_least(&slide, from);
    const double slid = (double)fab_peak_rss_bytes();
    blob_job job = {plan, &c, logits};
    fab_parallel_for((int64_t)s->heads * c.size[0], blob_plane, &job);
    for (int i = 0; i < s->rounds; i++) {
        FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
        const clock_pair start = now();
        FAB_TRY(fab_nnunet_finish(plan, &c, logits, NULL, &labels, err));
        keep_least(&finish, start);
    }
    FAB_TRY(time_mean(s, plan, &c, logits, &mean, err));
    printf("{\"heads\": %d, \"image\": [%d, %d, %d], \"network\": [%d, %d, %d], \"threads\": %d,\n"
           " \"prepare_wall_s\": %.3f, \"prepare_cpu_s\": %.3f,\n"
           " \"windows\": %d, \"slide_wall_s_a_window\": %.4f, \"slide_cpu_s_a_window\": %.4f,\n"
           " \"finish_wall_s\": %.3f, \"finish_cpu_s\": %.3f,\n"
           " \"mean_of_two_wall_s\": %.3f, \"mean_of_two_cpu_s\": %.3f,\n"
           " \"rss_mib\": {\"image\": %.0f, \"prepare\": %.0f, \"slide\": %.0f, "
           "\"finish\": %.0f}}\n",
           s->heads, s->size[0], s->size[1], s->size[2], c.size[0], c.size[1], c.size[2],
           fab_threads_get(), prepare.wall, prepare.cpu, windows, slide.wall / windows,
           slide.cpu / windows, finish.wall, finish.cpu, mean.wall, mean.cpu, before / 0x1p20,
           prepared / 0x1p20, slid / 0x1p20, (double)fab_peak_rss_bytes() / 0x1p20);
    fab_nnunet_case_free(&c);
    return FAB_OK;
}

int main(int argc, char **argv)
{
    static fab_nnunet_plan plan;
    const setup s = parse(argc, argv);
    fab_error err = {0};
    make_plan(&s, &plan);
    if (run(&s, &plan, &err) == FAB_OK) return 0;
    fprintf(stderr, "%s\n", err.message);
    return 1;
}
