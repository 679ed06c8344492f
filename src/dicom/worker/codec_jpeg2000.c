/* codec_jpeg2000.c - one JPEG 2000 frame through OpenJPEG, from and to memory.
 *
 * The codestream's own size must equal Rows x Columns before anything is decoded, so a lying
 * codestream cannot ask for more memory than the DICOM header has been granted.
 */
#include <openjpeg.h>
#include <string.h>

#include "worker.h"

typedef struct memory_stream {
    const uint8_t *bytes;
    size_t size, at;
} memory_stream;

static OPJ_SIZE_T stream_read(void *into, OPJ_SIZE_T count, void *ctx)
{
    memory_stream *m = ctx;
    size_t left = m->size - m->at;
    if (left == 0) return (OPJ_SIZE_T)-1;
    if (count > left) count = left;
    memcpy(into, m->bytes + m->at, count);
    m->at += count;
    return count;
}

static OPJ_OFF_T stream_skip(OPJ_OFF_T count, void *ctx)
{
    memory_stream *m = ctx;
    if (count < 0) return -1;
    size_t left = m->size - m->at;
    size_t step = (uint64_t)count > left ? left : (size_t)count;
    m->at += step;
    return (OPJ_OFF_T)step;
}

static OPJ_BOOL stream_seek(OPJ_OFF_T to, void *ctx)
{
    memory_stream *m = ctx;
    if (to < 0 || (uint64_t)to > m->size) return OPJ_FALSE;
    m->at = (size_t)to;
    return OPJ_TRUE;
}

static void keep_message(const char *message, void *ctx)
{
    char *into = ctx;
    if (into[0]) return;
    size_t n = strcspn(message, "\r\n");
    if (n > 119) n = 119;
    memcpy(into, message, n);
    into[n] = 0;
}

static fab_status gather(const fab_codec_job *job, uint8_t **joined, memory_stream *m,
                         fab_error *err)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < job->fragment_count; i++) total += job->fragments[i].bytes;
    *m = (memory_stream){job->base + job->fragments[0].offset, total, 0};
    if (job->fragment_count == 1) return FAB_OK;
    *joined = fab_malloc(total);
    if (!*joined) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a frame of %zu bytes", total);
    for (size_t i = 0; i < job->fragment_count; i++) {
        memcpy(*joined + at, job->base + job->fragments[i].offset, job->fragments[i].bytes);
        at += job->fragments[i].bytes;
    }
    m->bytes = *joined;
    return FAB_OK;
}

static fab_status check_image(const opj_image_t *image, const fab_wire_header *h, fab_error *err)
{
    const opj_image_comp_t *c = image->comps;
    if (image->numcomps != 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a JPEG 2000 frame of %u components; 1 is read",
                 image->numcomps);
    if (c->w != h->columns || c->h != h->rows)
        FAB_FAIL(err, FAB_ERR_FORMAT, "the JPEG 2000 frame is %u x %u, Columns x Rows say %u x %u",
                 c->w, c->h, h->columns, h->rows);
    if (c->prec < 1 || c->prec > h->bits_allocated)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a JPEG 2000 frame of %u bits in cells of %u", c->prec,
                 h->bits_allocated);
    return FAB_OK;
}

/* Unsigned samples under Pixel Representation 1 are two's complement of the stream's precision. */
static void store(const opj_image_comp_t *c, const fab_wire_header *h, int32_t *out)
{
    size_t cells = (size_t)h->rows * h->columns;
    uint32_t mask = (1u << c->prec) - 1u, top = 1u << (c->prec - 1u);
    for (size_t i = 0; i < cells; i++) {
        uint32_t v = (uint32_t)c->data[i] & mask;
        out[i] = h->is_signed && (v & top) ? (int32_t)(v | ~mask) : (int32_t)v;
    }
}

static fab_status decode(opj_codec_t *codec, opj_stream_t *stream, opj_image_t **image,
                         const fab_codec_job *job, const char *why, int32_t *out, fab_error *err)
{
    if (!opj_read_header(stream, codec, image))
        FAB_FAIL(err, FAB_ERR_FORMAT, "JPEG 2000 does not decode: %s", why[0] ? why : "no header");
    FAB_TRY(check_image(*image, job->header, err));
    if (!opj_decode(codec, stream, *image) || !(*image)->comps[0].data)
        FAB_FAIL(err, FAB_ERR_FORMAT, "JPEG 2000 does not decode: %s", why[0] ? why : "damaged");
    FAB_TRY(check_image(*image, job->header, err));
    store((*image)->comps, job->header, out);
    return FAB_OK;
}

fab_status fab_worker_codec_jpeg2000(const fab_codec_job *job, int32_t *out, fab_error *err)
{
    FAB_AUTO_FREE uint8_t *joined = NULL;
    memory_stream m;
    char why[120] = "";
    FAB_TRY(gather(job, &joined, &m, err));
    bool boxed = m.size >= 8 && memcmp(m.bytes + 4, "jP  ", 4) == 0; /* JP2 file, not allowed */
    opj_codec_t *codec = opj_create_decompress(boxed ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_create(1u << 16, OPJ_TRUE);
    opj_image_t *image = NULL;
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    fab_status s = FAB_ERR_NOMEM;
    if (codec && stream && opj_setup_decoder(codec, &parameters) &&
        opj_decoder_set_strict_mode(codec, OPJ_TRUE)) {
        opj_set_error_handler(codec, keep_message, why);
        opj_stream_set_user_data(stream, &m, NULL);
        opj_stream_set_user_data_length(stream, m.size);
        opj_stream_set_read_function(stream, stream_read);
        opj_stream_set_skip_function(stream, stream_skip);
        opj_stream_set_seek_function(stream, stream_seek);
        s = decode(codec, stream, &image, job, why, out, err);
    } else {
        s = fab_error_set(err, FAB_ERR_NOMEM, "no memory for the JPEG 2000 decoder");
    }
    opj_image_destroy(image);
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    return s;
}
