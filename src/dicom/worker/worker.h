/* worker.h - the inside of the decoding worker. Nothing here runs in the parent on outside data:
 * the library embeds the worker's executable; the fuzz targets link this code directly.
 */
#ifndef FAB_DICOM_WORKER_H
#define FAB_DICOM_WORKER_H

#include "dicom_wire.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One item of encapsulated Pixel Data: a part of `data`. */
struct fab_fragment {
    size_t offset, bytes;
};

/* One file, mapped. `data` is the data set as stored, or inflated when the syntax says so. */
typedef struct fab_worker_file {
    const uint8_t *bytes;
    size_t size;
    const uint8_t *data; /* bytes + meta header, or `inflated` */
    size_t data_size;
    uint8_t *inflated; /* fab_malloc; NULL unless a deflated data set */
    const fab_syntax *syntax;
    fab_wire_header header;
    bool implicit_vr;
    /* Pixel Data (7FE0,0010): its value, or its first item when encapsulated */
    size_t pixel_offset, pixel_bytes;
    bool encapsulated, pixel_words; /* words: VR OW, so 8-bit samples are byte-swapped in BE */
    /* encapsulated: where each fragment is, and which ones make a frame */
    struct fab_fragment *fragments;
    size_t fragment_count;
    uint32_t *first_fragment; /* frames + 1 entries */
} fab_worker_file;

/* Parses all but the pixels. `frames` has room for max_frames records; header.frames are filled.
 * On failure the message says what is wrong, without the file's name. */
fab_status fab_worker_open(const uint8_t *bytes, size_t size, fab_wire_frame *frames,
                           uint32_t max_frames, fab_worker_file *out, fab_error *err);
void fab_worker_close(fab_worker_file *file);
/* Finds the pixel data and its frames; called once before fab_worker_decode. */
fab_status fab_worker_find_pixels(fab_worker_file *file, fab_error *err);
/* Frame `index` as stored values (Bits Stored and Pixel Representation applied), rows x columns. */
fab_status fab_worker_decode(const fab_worker_file *file, uint32_t index, int32_t *out,
                             fab_error *err);
/* Bytes of one frame as the native encoding would have it. */
size_t fab_worker_frame_bytes(const fab_wire_header *h);

/* ---- meta.c: what comes before the data set ---------------------------------------------- */

/* Finds the transfer syntax and where the data set starts; *offset 0 and uid "" if there is no
 * meta header but the bytes look like a data set. FAB_ERR_NOTFOUND if this is not DICOM. */
fab_status fab_worker_meta(const uint8_t *bytes, size_t size, char uid[68], size_t *offset,
                           fab_error *err);
fab_status fab_worker_inflate(const uint8_t *bytes, size_t size, size_t max_bytes, uint8_t **out,
                              size_t *count, fab_error *err);

/* ---- parse.cc: DCMTK --------------------------------------------------------------------- */

typedef struct fab_parse_result {
    size_t stopped_at; /* offset of the first element of group 7FE0 or above */
    bool implicit_vr, big_endian;
} fab_parse_result;

/* uid "" lets DCMTK guess the encoding. */
fab_status fab_worker_parse(const uint8_t *data, size_t size, const char *uid,
                            fab_wire_header *header, fab_wire_frame *frames, uint32_t max_frames,
                            fab_parse_result *result, fab_error *err);

/* ---- codecs ------------------------------------------------------------------------------ */

typedef struct fab_codec_job {
    const fab_wire_header *header;
    const uint8_t *base;
    const struct fab_fragment *fragments;
    size_t fragment_count;
} fab_codec_job;

/* Native little-endian bytes of one frame into out (fab_worker_frame_bytes, rounded up even). */
fab_status fab_worker_codec_dcmtk(const fab_codec_job *job, const char *syntax_uid, uint8_t *out,
                                  size_t out_bytes, fab_error *err);
fab_status fab_worker_codec_jpeg2000(const fab_codec_job *job, int32_t *out, fab_error *err);
/* Loads dictionary and codecs; call before the walls go up. */
void fab_worker_warm_up(void);

/* ---- sandbox.c --------------------------------------------------------------------------- */

/* Limits and seccomp. Returns true if the filter is in force, else `why` says why not. */
bool fab_worker_enter_sandbox(char *why, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
