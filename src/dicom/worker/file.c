/* file.c - one file in the worker: meta header, inflating, DCMTK's parse, in that order. */
#include <stdio.h>
#include <string.h>

#include "worker.h"

fab_status fab_worker_open(const uint8_t *bytes, size_t size, fab_wire_frame *frames,
                           uint32_t max_frames, fab_worker_file *out, fab_error *err)
{
    char uid[68];
    size_t offset = 0;
    memset(out, 0, sizeof *out);
    out->bytes = bytes;
    out->size = size;
    FAB_TRY(fab_worker_meta(bytes, size, uid, &offset, err));
    if (uid[0]) {
        out->syntax = fab_dicom_syntax_find(uid);
        if (!out->syntax)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "transfer syntax %s (%s) is not read", uid,
                     fab_dicom_syntax_name(uid));
        memcpy(out->header.transfer_syntax, uid, sizeof uid);
    }
    out->data = bytes + offset;
    out->data_size = size - offset;
    if (out->syntax && out->syntax->kind == FAB_SYNTAX_DEFLATED) {
        FAB_TRY(fab_worker_inflate(out->data, out->data_size, FAB_DICOM_MAX_INFLATED_BYTES,
                                   &out->inflated, &out->data_size, err));
        out->data = out->inflated;
    }
    fab_parse_result parsed = {0};
    fab_status s = fab_worker_parse(out->data, out->data_size, uid, &out->header, frames,
                                    max_frames, &parsed, err);
    if (s == FAB_OK && !out->syntax)
        out->syntax = fab_dicom_syntax_find(out->header.transfer_syntax);
    if (s == FAB_OK && !out->syntax)
        s = fab_error_set(err, FAB_ERR_FORMAT, "the encoding of the data set cannot be told");
    if (s != FAB_OK) {
        out->inflated = fab_free(out->inflated);
        return s;
    }
    out->implicit_vr = parsed.implicit_vr;
    out->pixel_offset = parsed.stopped_at;
    out->header.has_pixels = out->data_size > parsed.stopped_at;
    return FAB_OK;
}

void fab_worker_close(fab_worker_file *file)
{
    fab_free(file->inflated);
    fab_free(file->fragments);
    fab_free(file->first_fragment);
    memset(file, 0, sizeof *file);
}
