/* Our JPEG-LS decoder and DCMTK's say the same of a frame, whole or damaged: where ours has a word
 * at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "worker.h"

enum { IMAGES = 8, DAMAGES = 400, MAX_BYTES = 1 << 16 };

typedef struct frame {
    uint8_t bytes[MAX_BYTES]; /* of the file */
    size_t size;
    fab_wire_frame records[4];
    fab_worker_file file;
    fab_codec_job job;
    uint8_t *stream, whole[MAX_BYTES]; /* its compressed bytes; as they were */
    size_t stream_size, cells;
} frame;

static void load(frame *f, int number)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    snprintf(path, sizeof path, "%s/tests/golden/jpeg_ls/IMG%05d.dcm", getenv("FAB_SOURCE_ROOT"),
             number);
    FILE *in = fopen(path, "rb");
    CHECK(in != NULL);
    f->size = fread(f->bytes, 1, sizeof f->bytes, in);
    fclose(in);
    CHECK_OK(fab_worker_open(f->bytes, f->size, f->records, 4, &f->file, &err));
    CHECK_OK(fab_worker_find_pixels(&f->file, &err));
    const size_t first = f->file.first_fragment[0];
    f->job = (fab_codec_job){&f->file.header, f->file.data, f->file.fragments + first,
                             f->file.first_fragment[1] - first};
    CHECK(f->job.fragment_count == 1);
    f->stream = f->bytes + (f->file.data - f->bytes) + f->job.fragments[0].offset;
    f->stream_size = f->job.fragments[0].bytes;
    f->cells = fab_worker_frame_bytes(&f->file.header);
    CHECK(f->stream_size <= sizeof f->whole && f->cells <= MAX_BYTES - 1);
    memcpy(f->whole, f->stream, f->stream_size);
}

/* Ours decoded it; then DCMTK does, to the same bytes. */
static bool same_as_dcmtk(const frame *f)
{
    static uint8_t ours[MAX_BYTES], theirs[MAX_BYTES];
    fab_error err = {0};
    memset(ours, 1, sizeof ours);
    memset(theirs, 2, sizeof theirs);
    if (!fab_worker_codec_jpegls(&f->job, ours, f->cells)) return false;
    CHECK_OK(fab_worker_codec_dcmtk(&f->job, f->file.syntax->uid, theirs, (f->cells + 1) / 2 * 2,
                                    &err));
    CHECK(memcmp(ours, theirs, f->cells) == 0);
    return true;
}

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void images(void)
{
    static frame f;
    uint32_t state = 7;
    int decoded = 0;
    for (int n = 1; n <= IMAGES; n++) {
        f = (frame){0};
        load(&f, n);
        CHECK(same_as_dcmtk(&f)); /* as it is */
        for (int d = 0; d < DAMAGES; d++) {
            memcpy(f.stream, f.whole, f.stream_size);
            f.stream[next(&state) % f.stream_size] ^= (uint8_t)(1u << next(&state) % 8);
            decoded += same_as_dcmtk(&f);
        }
        fab_worker_close(&f.file);
    }
    printf("  %d of %d damaged frames still decode\n", decoded, IMAGES * DAMAGES);
    CHECK(decoded > 0 && decoded < IMAGES * DAMAGES);
}

static void truncated(void)
{
    static frame f;
    static uint8_t out[MAX_BYTES];
    load(&f, 1);
    for (size_t size = 0; size < f.stream_size; size++) {
        struct fab_fragment part = {f.job.fragments[0].offset, size};
        const fab_codec_job job = {f.job.header, f.job.base, &part, 1};
        if (size + 2 <= f.stream_size) CHECK(!fab_worker_codec_jpegls(&job, out, f.cells));
    }
    const fab_codec_job none = {f.job.header, f.job.base, f.job.fragments, 0};
    CHECK(!fab_worker_codec_jpegls(&none, out, f.cells));
    CHECK(!fab_worker_codec_jpegls(&f.job, out, f.cells - 1)); /* no room */
    fab_worker_close(&f.file);
}

int main(void)
{
    fab_worker_warm_up();
    return FAB_RUN(TEST(images), TEST(truncated));
}
