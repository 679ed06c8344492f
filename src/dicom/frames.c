/* frames.c - the stored values of one file's frames, whatever it is an image of. */
#include <stdio.h>
#include <string.h>

#include "dicom_internal.h"

static fab_status decode_frames(fab_sandbox *box, const char *path, fab_frames *f, fab_error *err)
{
    size_t cells = (size_t)f->columns * (size_t)f->rows;
    for (int32_t i = 0; i < f->count; i++) {
        const int32_t *stored = NULL;
        FAB_TRY(fab_dicom_sandbox_frames(box, path, 1, (uint32_t)i, 1, cells, NULL, &stored, err));
        memcpy(f->values + cells * (size_t)i, stored, cells * sizeof *stored);
    }
    return FAB_OK;
}

fab_status fab_dicom_read_frames(const char *path, fab_frames **out, fab_error *err)
{
    FAB_AUTO(fab_dicom_sandbox_free) fab_sandbox *box = NULL;
    FAB_AUTO(fab_frames_free) fab_frames *f = fab_calloc(1, sizeof *f);
    FAB_AUTO_FREE fab_wire_header *h = fab_calloc(1, sizeof *h);
    FAB_AUTO_FREE fab_wire_frame *records = NULL;
    if (!f || !h) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a file's frames");
    FAB_TRY(fab_dicom_sandbox_create(&box, err));
    FAB_TRY(fab_dicom_sandbox_header(box, path, 1, NULL, h, &records, err));
    if (!h->has_pixels)
        FAB_FAIL(err, FAB_ERR_FORMAT,
                 "%s: there is no Pixel Data (7FE0,0010); the file may be truncated", path);
    if (h->rows > FAB_MAX_DIM || h->columns > FAB_MAX_DIM || h->rows == 0 || h->columns == 0)
        FAB_FAIL(err, FAB_ERR_LIMIT,
                 "%s: Rows (0028,0010) x Columns (0028,0011) is %u x %u; 1 to %d are read", path,
                 h->rows, h->columns, FAB_MAX_DIM);
    if ((int64_t)h->rows * h->columns * h->frames > FAB_MAX_VOXELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: %u frames of %u x %u are above FAB_MAX_VOXELS", path,
                 h->frames, h->columns, h->rows);
    f->columns = (int32_t)h->columns;
    f->rows = (int32_t)h->rows;
    f->count = (int32_t)h->frames;
    f->bits_stored = h->bits_stored;
    f->is_signed = h->is_signed != 0;
    snprintf(f->transfer_syntax, sizeof f->transfer_syntax, "%.64s", h->transfer_syntax);
    f->values = fab_alloc_array((size_t)h->rows * h->columns * h->frames, sizeof *f->values);
    if (!f->values) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory for %u frames", path, h->frames);
    FAB_TRY(decode_frames(box, path, f, err));
    *out = f;
    f = NULL;
    return FAB_OK;
}

fab_frames *fab_frames_free(fab_frames *f)
{
    if (!f) return NULL;
    fab_free(f->values);
    return fab_free(f);
}
