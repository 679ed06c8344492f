/* test_small_golden.c - resampling, windows, Gaussian and fp16 against scipy and numpy
 * (tests/golden/nnunet, written by train/golden_nnunet.py). */
#include "kernels.h"
#include "moments.h"
#include "nnunet_internal.h"
#include "harness.h"

static fab_error err;
static uint8_t *bytes;
static size_t at, size;

static void open_golden(const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    const char *root = getenv("FAB_SOURCE_ROOT");
    fab_reader r = {0};
    fab_free(bytes);
    bytes = NULL;
    at = 0;
    snprintf(path, sizeof path, "%s/tests/golden/nnunet/%s", root ? root : ".", name);
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, 1u << 20, &bytes, &size, &err));
    fab_reader_close(&r);
}

/* The next bytes of the file; owned by the caller. */
static void *take(size_t count)
{
    CHECK(at + count <= size);
    void *block = fab_malloc(count ? count : 1);
    CHECK(block);
    memcpy(block, bytes + at, count);
    at += count;
    return block;
}

static void take_ints(int *into, size_t count)
{
    CHECK(at + 4 * count <= size);
    memcpy(into, bytes + at, 4 * count);
    at += 4 * count;
}

typedef struct array {
    const float *data;
    const int *size;
} array;

static void array_plane(const void *ctx, int axis, int index, float *into)
{
    const array *a = ctx;
    const int p = axis == 0 ? 1 : 0, q = axis == 2 ? 1 : 2;
    const ptrdiff_t step[3] = {(ptrdiff_t)a->size[1] * a->size[2], a->size[2], 1};
    for (int y = 0; y < a->size[p]; y++)
        for (int x = 0; x < a->size[q]; x++)
            *into++ = a->data[index * step[axis] + y * step[p] + x * step[q]];
}

/* head: order, order_z, separate axis or -1, size, new size */
static void check_resampling(const int head[9])
{
    const int *from = head + 3, *to = head + 6;
    const size_t count = (size_t)from[0] * (size_t)from[1] * (size_t)from[2];
    const size_t made = (size_t)to[0] * (size_t)to[1] * (size_t)to[2];
    float *data = take(count * 4), *expected = take(made * 4);
    float *got = fab_alloc_array(made, sizeof *got);
    CHECK(got);
    double spacing[3] = {1, 1, 1}, new_spacing[3] = {1.1, 1.1, 1.1};
    if (head[2] >= 0) spacing[head[2]] = 3.5;
    const fab_nnunet_resampling how = {.order = head[0], .order_z = head[1], .separate_z = -1};
    CHECK(fab_nnunet_separate_axis(&how, spacing, new_spacing) == head[2]);
    const array a = {data, from};
    const fab_nnunet_source source = {array_plane, &a};
    for (int threads = 1; threads <= 64; threads *= 8) {
        fab_threads_set(threads);
        memset(got, 0xff, made * sizeof *got);
        CHECK_OK(fab_nnunet_resample(&source, from, spacing, new_spacing, to, &how, got, &err));
        size_t different = 0;
        for (size_t i = 0; i < made; i++) {
            different += got[i] != expected[i]; /* float64 sums in another order */
            CHECK_NEAR(got[i], expected[i], 2e-7 * fabs(expected[i]) + 1e-12);
        }
        CHECK(different <= 1 + made / 500);
    }
    fab_threads_set(0);
    fab_free(data);
    fab_free(expected);
    fab_free(got);
}

static void resampling_equals_scipy(void)
{
    int count, head[9];
    open_golden("resample.bin");
    take_ints(&count, 1);
    CHECK(count >= 10);
    for (int i = 0; i < count; i++) {
        take_ints(head, 9);
        printf("  order %d, %d x %d x %d to %d x %d x %d, separate %d (%d)\n", head[0], head[3],
               head[4], head[5], head[6], head[7], head[8], head[2], head[1]);
        check_resampling(head);
    }
    CHECK(at == size);
}

static void windows_equal_numpy(void)
{
    int count, starts[64], got[64];
    open_golden("windows.bin");
    take_ints(&count, 1);
    CHECK(count >= 10);
    for (int i = 0; i < count; i++) {
        int shape[2], n;
        take_ints(shape, 2);
        double *step = take(sizeof *step);
        take_ints(&n, 1);
        CHECK(n <= 64 || n == shape[0]);
        const int shown = n <= 64 ? n : 64;
        take_ints(starts, (size_t)shown);
        at += 4 * (size_t)(n - shown);
        CHECK(fab_nnunet_window_starts(shape[0], shape[1], *step, NULL) == n);
        if (n <= 64) {
            CHECK(fab_nnunet_window_starts(shape[0], shape[1], *step, got) == n);
            CHECK(memcmp(starts, got, (size_t)n * sizeof *got) == 0);
        }
        fab_free(step);
    }
    CHECK(at == size);
}

static void gaussian_equals_scipy(void)
{
    int count, patch[3];
    open_golden("gaussian.bin");
    take_ints(&count, 1);
    for (int i = 0; i < count; i++) {
        take_ints(patch, 3);
        const size_t voxels = (size_t)patch[0] * (size_t)patch[1] * (size_t)patch[2];
        uint16_t *expected = take(voxels * 2), *got = fab_alloc_array(voxels, sizeof *got);
        CHECK(got);
        CHECK_OK(fab_nnunet_gaussian(patch, got, &err));
        CHECK(memcmp(expected, got, voxels * 2) == 0);
        fab_free(expected);
        fab_free(got);
    }
    CHECK(at == size);
}

/* float64 to fp16 in one rounding, as keep_best does; float32 to fp16; and back. */
static void fp16_equals_numpy(void)
{
    int n;
    open_golden("fp16.bin");
    take_ints(&n, 1);
    const size_t count = (size_t)n;
    double *wide = take(count * 8);
    uint16_t *from_wide = take(count * 2);
    float *narrow = take(count * 4);
    uint16_t *from_narrow = take(count * 2), *got = fab_alloc_array(count, sizeof *got);
    float *best = fab_alloc_array(count, sizeof *best), *back = fab_alloc_array(count, 4);
    int32_t *label = fab_calloc(count, sizeof *label);
    CHECK(got && best && back && label && at == size);
    for (int set = 0; set < FAB_NNUNET_KERNEL_SETS; set++) {
        const fab_nnunet_kernels *k = fab_nnunet_kernels_at(set);
        if (!k) continue;
        k->float_to_half(narrow, got, n);
        CHECK(memcmp(got, from_narrow, count * 2) == 0);
        k->half_to_float(from_wide, back, n);
        for (size_t i = 0; i < count; i++) best[i] = -INFINITY;
        k->keep_best(wide, wide, 0.0, 1, best, label, n);
        for (size_t i = 0; i < count; i++)
            CHECK(isinf(wide[i]) || best[i] == back[i]);
    }
    fab_free(wide);
    fab_free(from_wide);
    fab_free(narrow);
    fab_free(from_narrow);
    fab_free(got);
    fab_free(best);
    fab_free(back);
    fab_free(label);
}

static int made_up_row(const void *ctx, int64_t index, float *into)
{
    const int count = *(const int *)ctx, left = count - (int)index * 300;
    for (int i = 0; i < 300; i++) into[i] = (float)((index * 300 + i) * 7919 % 4096) * 0.37f;
    return left < 300 ? left : 300;
}

static void moments_equal_numpy(void)
{
    int cases, count;
    open_golden("moments.bin");
    take_ints(&cases, 1);
    CHECK(cases >= 8);
    for (int i = 0; i < cases; i++) {
        take_ints(&count, 1);
        float *expected = take(8), mean, deviation;
        const fab_nnunet_rows rows = {made_up_row, &count, 300, count};
        CHECK_OK(fab_nnunet_moments(&rows, &mean, &deviation, &err));
        CHECK(mean == expected[0] && deviation == expected[1]);
        fab_free(expected);
    }
    CHECK(at == size);
}

static void separate_axis_as_nnunet_decides(void)
{
    fab_nnunet_resampling how = {.order = 3, .order_z = 0, .separate_z = -1};
    CHECK(fab_nnunet_separate_axis(&how, (double[]){3, 1, 1}, (double[]){1, 1, 1}) == -1);
    CHECK(fab_nnunet_separate_axis(&how, (double[]){3.001, 1, 1}, (double[]){1, 1, 1}) == 0);
    CHECK(fab_nnunet_separate_axis(&how, (double[]){1, 1, 1}, (double[]){1, 1, 5}) == 2);
    CHECK(fab_nnunet_separate_axis(&how, (double[]){1, 4, 1}, (double[]){1, 1, 5}) == 1);
    CHECK(fab_nnunet_separate_axis(&how, (double[]){1, 4, 4}, (double[]){1, 1, 5}) == -1);
    how.separate_z = 1;
    CHECK(fab_nnunet_separate_axis(&how, (double[]){1, 1.5, 1}, (double[]){1, 1, 1}) == 1);
    how.separate_z = 0;
    CHECK(fab_nnunet_separate_axis(&how, (double[]){1, 9, 1}, (double[]){1, 1, 1}) == -1);
    CHECK(fab_nnunet_nearest(0, 4, 2) == 1 && fab_nnunet_nearest(1, 4, 2) == 3); /* halves up */
    CHECK(fab_nnunet_nearest(2, 3, 7) == 1 && fab_nnunet_nearest(6, 3, 7) == 2);
}

int main(void)
{
    const int failed = fab_test_run(
        (fab_test[]){TEST(resampling_equals_scipy), TEST(windows_equal_numpy),
                     TEST(gaussian_equals_scipy), TEST(fp16_equals_numpy),
                     TEST(moments_equal_numpy), TEST(separate_axis_as_nnunet_decides)}, 6);
    fab_free(bytes);
    return failed;
}
