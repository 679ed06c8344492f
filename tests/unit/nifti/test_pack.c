/* The gzip of 16-bit images: zlib gives back what went in, whatever it was, and noise in air takes
 * no more bytes than from a general compressor. */
#include "harness.h"

#include <libdeflate.h>
#include <zlib.h>

#include "fabrica/nifti.h"
#include "pack.h"

enum { CELLS = 3 * 65536 + 77, HEAD = 352 };

static fab_error err;
static uint8_t head[HEAD];
static uint16_t cells[CELLS];
static uint8_t back[HEAD + 2 * CELLS + 1];

static fab_status append(void *ctx, const void *bytes, size_t count, fab_error *e)
{
    return fab_buf_append(ctx, bytes, count, e);
}

static void pack(size_t count, fab_buf *out)
{
    fab_writer w = {.ctx = out, .write = append};
    *out = (fab_buf){.max_bytes = 1 << 26};
    CHECK_OK(fab_nifti_pack_16(head, HEAD, cells, count, &w, &err));
}

/* One member, whole, with the right sum; the size of the file. */
static size_t check_back(size_t count)
{
    fab_buf packed;
    pack(count, &packed);
    z_stream z = {.next_in = packed.data, .avail_in = (unsigned)packed.size, .next_out = back,
                  .avail_out = sizeof back};
    CHECK(inflateInit2(&z, 15 + 16) == Z_OK);
    CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END);
    CHECK(z.total_out == HEAD + 2 * count && z.avail_in == 0);
    inflateEnd(&z);
    CHECK(memcmp(back, head, HEAD) == 0 && memcmp(back + HEAD, cells, 2 * count) == 0);
    size_t size = packed.size;
    fab_buf_free(&packed);
    return size;
}

static void any_number_of_cells(void)
{
    static const size_t counts[] = {0, 1, 2, 5, 65535, 65536, 65537, 131072, CELLS};
    fab_rng rng;
    fab_rng_seed(&rng, 1, 2);
    for (size_t i = 0; i < CELLS; i++) cells[i] = (uint16_t)fab_rng_u32(&rng);
    for (size_t i = 0; i < HEAD; i++) head[i] = (uint8_t)fab_rng_u32(&rng);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) check_back(counts[i]);
}

static void one_value(void)
{
    memset(cells, 0, sizeof cells);
    memset(head, 0, sizeof head);
    CHECK(check_back(CELLS) < 2500);
    for (size_t i = 0; i < CELLS; i++) cells[i] = (uint16_t)-1024;
    CHECK(check_back(CELLS) < 2500);
}

/* Runs of every length up to beyond four matches: none may end in a match that is too short. */
static void runs_of_every_length(void)
{
    size_t i = 0;
    for (size_t length = 1; i < CELLS; length = length % 560 + 1) {
        uint16_t value = (uint16_t)(length * 7919);
        for (size_t end = i + length; i < end && i < CELLS; i++) cells[i] = value;
    }
    CHECK(check_back(CELLS) < CELLS / 20);
}

/* Bytes as rare as Fibonacci's numbers would have codes of more than the 15 bits allowed. */
static void codes_that_grow_too_long(void)
{
    size_t i = 0, a = 1, b = 1;
    for (uint16_t value = 0; value < 24 && i < 65536; value++) {
        for (size_t n = 0; n < a && i < 65536; n++, i++)
            cells[i] = (uint16_t)(n % 2 ? value : (uint16_t)(value << 8 | value));
        size_t next = a + b;
        a = b;
        b = next;
    }
    check_back(i);
}

/* Air of one value around noise as a scanner has it. */
static void fill_scan(void)
{
    fab_rng rng;
    fab_rng_seed(&rng, 5, 6);
    for (size_t i = 0; i < CELLS; i++) {
        uint32_t r = fab_rng_u32(&rng);
        int noise = (int)((r & 31) + (r >> 5 & 31) + (r >> 10 & 31) + (r >> 15 & 31)) - 62;
        bool inside = i % 512 > 100 && i % 512 < 400;
        cells[i] = (uint16_t)(int16_t)(inside ? 40 + noise : -1024);
    }
}

static void no_larger_than_a_general_compressor(void)
{
    fill_scan();
    size_t size = check_back(CELLS);
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(1);
    size_t other = libdeflate_gzip_compress(c, cells, sizeof cells, back, sizeof back);
    libdeflate_free_compressor(c);
    CHECK(other > 0 && size < other + other / 50);
}

static void through_a_file(void)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    fab_grid g = {.size = {61, 53, 60}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 1 + a;
    fab_volume *v = NULL, *again = NULL;
    fill_scan();
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    memcpy(fab_volume_data_mut(v), cells, fab_volume_bytes(v));
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_path_join(path, sizeof path, folder, "v.nii.gz", &err));
    CHECK_OK(fab_nifti_write(v, path, "noise", &err));
    CHECK_OK(fab_nifti_read(path, &again, NULL, 0, &err));
    CHECK(fab_volume_dtype(again) == FAB_I16);
    CHECK(memcmp(fab_volume_data(again), cells, fab_volume_bytes(v)) == 0);
    fab_volume_unref(v);
    fab_volume_unref(again);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static void a_full_disk_is_said(void)
{
    fab_buf small = {.max_bytes = 1000};
    fab_writer w = {.ctx = &small, .write = append};
    fill_scan();
    CHECK(fab_nifti_pack_16(head, HEAD, cells, CELLS, &w, &err) < 0);
    CHECK_FAILS(FAB_ERR_ARG, "header", fab_nifti_pack_16(head, 3, cells, 1, &w, &err));
    fab_buf_free(&small);
}

int main(void)
{
    fab_test tests[] = {TEST(any_number_of_cells), TEST(one_value), TEST(runs_of_every_length),
                        TEST(codes_that_grow_too_long), TEST(no_larger_than_a_general_compressor),
                        TEST(through_a_file), TEST(a_full_disk_is_said)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
