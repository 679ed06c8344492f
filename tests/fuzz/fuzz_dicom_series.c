/* One DICOM file of any bytes through the worker's code, in this process: header, pixel layout, and
 * up to four frames decoded. What it accepts must be consistent. Frames above 1 Mi voxels are passed
 * over, for speed.
 */
#include <math.h>
#include <stdlib.h>

#include "fabrica/base.h"
#include "fuzz_target.h"
#include "worker.h"

#define MAX_FRAMES 64u
#define MAX_CELLS ((size_t)1 << 20)

/* DCMTK takes the memory a length asks for before it looks whether the bytes are there. The worker
 * has a limit for that; here refuse early, and do not keep what is freed. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1:max_allocation_size_mb=64:quarantine_size_mb=8";
}

static void decode_some(fab_worker_file *f)
{
    const fab_wire_header *h = &f->header;
    fab_error err;
    size_t cells = (size_t)h->rows * h->columns;
    if (fab_worker_find_pixels(f, &err) < 0) return;
    if (cells == 0 || h->rows > FAB_MAX_DIM || h->columns > FAB_MAX_DIM) abort();
    if (cells > MAX_CELLS) return;
    int32_t *out = fab_calloc(cells, sizeof *out);
    if (!out) return;
    for (uint32_t i = 0; i < h->frames && i < 4; i++) {
        if (fab_worker_decode(f, i, out, &err) < 0) continue;
        for (size_t c = 0; c < cells; c++)
            if (out[c] < -32768 || out[c] > 65535) abort();
    }
    fab_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fab_wire_frame frames[MAX_FRAMES];
    static int warm;
    fab_worker_file f;
    fab_error err;
    if (!warm) {
        fab_worker_warm_up();
        warm = 1;
    }
    if (fab_worker_open(data, size, frames, MAX_FRAMES, &f, &err) < 0) return 0;
    if (f.header.frames == 0 || f.header.frames > MAX_FRAMES || !f.syntax) abort();
    decode_some(&f);
    fab_worker_close(&f);
    return 0;
}
