/* stream.c - bytes in order from a reader, inflated on the way if they are gzip (RFC 1952; several
 * members one after another are one stream, as pigz and bgzip write them). */
#include <string.h>

#include "nifti_internal.h"

#define INPUT_BYTES ((size_t)256 << 10)

static void *zlib_alloc(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    return fab_calloc(items, size);
}

static void zlib_free(void *opaque, void *block)
{
    (void)opaque;
    fab_free(block);
}

fab_status fab_nifti_stream_open(fab_nifti_stream *s, const fab_reader *r, uint64_t offset,
                                 bool gzip, fab_error *err)
{
    *s = (fab_nifti_stream){.r = r, .next = offset, .gzip = gzip};
    if (offset > r->size)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: data should start at byte %llu; the file has %llu",
                 r->name, (unsigned long long)offset, (unsigned long long)r->size);
    if (!gzip) return FAB_OK;
    s->input = fab_malloc(INPUT_BYTES);
    s->z.zalloc = zlib_alloc;
    s->z.zfree = zlib_free;
    if (!s->input || inflateInit2(&s->z, 15 + 16) != Z_OK)
        FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to inflate it", r->name);
    s->inflating = true;
    return FAB_OK;
}

void fab_nifti_stream_close(fab_nifti_stream *s)
{
    if (s->inflating) inflateEnd(&s->z);
    s->inflating = false;
    s->input = fab_free(s->input);
}

static fab_status refill(fab_nifti_stream *s, fab_error *err)
{
    uint64_t left = s->r->size - s->next;
    size_t count = left < INPUT_BYTES ? (size_t)left : INPUT_BYTES;
    FAB_TRY(fab_reader_read(s->r, s->next, s->input, count, err));
    s->next += count;
    s->z.next_in = s->input;
    s->z.avail_in = (unsigned)count;
    return FAB_OK;
}

/* At the end of a gzip member: another one follows, or only padding and the stream is over. */
static fab_status next_member(fab_nifti_stream *s, fab_error *err)
{
    if (!s->z.avail_in && s->next < s->r->size) FAB_TRY(refill(s, err));
    if (!s->z.avail_in || s->z.next_in[0] != 0x1f) s->ended = true;
    else if (inflateReset(&s->z) != Z_OK)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: gzip stream cannot be continued", s->r->name);
    return FAB_OK;
}

static fab_status inflate_some(fab_nifti_stream *s, void *into, size_t count, size_t *got,
                               fab_error *err)
{
    const size_t most = (size_t)1 << 30;
    size_t done = 0;
    while (done < count && !s->ended) {
        if (!s->z.avail_in && s->next < s->r->size) FAB_TRY(refill(s, err));
        size_t want = count - done < most ? count - done : most;
        s->z.next_out = (uint8_t *)into + done;
        s->z.avail_out = (unsigned)want;
        int how = inflate(&s->z, Z_NO_FLUSH);
        done += want - s->z.avail_out;
        if (how == Z_STREAM_END) FAB_TRY(next_member(s, err));
        else if (how == Z_MEM_ERROR)
            FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to inflate it", s->r->name);
        else if (how == Z_BUF_ERROR && s->next == s->r->size) s->ended = true; /* cut off */
        else if (how != Z_OK && how != Z_BUF_ERROR)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: damaged gzip data (%s)", s->r->name,
                     s->z.msg ? s->z.msg : "unknown");
    }
    *got = done;
    return FAB_OK;
}

fab_status fab_nifti_stream_some(fab_nifti_stream *s, void *into, size_t count, size_t *got,
                                 fab_error *err)
{
    if (s->gzip) return inflate_some(s, into, count, got, err);
    uint64_t left = s->r->size - s->next;
    size_t take = left < count ? (size_t)left : count;
    FAB_TRY(fab_reader_read(s->r, s->next, into, take, err));
    s->next += take;
    *got = take;
    return FAB_OK;
}

fab_status fab_nifti_stream_read(fab_nifti_stream *s, void *into, size_t count, fab_error *err)
{
    size_t got = 0;
    FAB_TRY(fab_nifti_stream_some(s, into, count, &got, err));
    if (got < count)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: truncated: the data end %zu %s early", s->r->name,
                 count - got, fab_plural((int64_t)(count - got), "byte", "bytes"));
    return FAB_OK;
}

fab_status fab_nifti_stream_skip(fab_nifti_stream *s, uint64_t count, fab_error *err)
{
    uint8_t sink[4096];
    if (!s->gzip) {
        if (count > s->r->size - s->next)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: truncated: data should start %llu %s further on",
                     s->r->name, (unsigned long long)count,
                     fab_plural((int64_t)count, "byte", "bytes"));
        s->next += count;
        return FAB_OK;
    }
    while (count) {
        size_t step = count < sizeof sink ? (size_t)count : sizeof sink;
        FAB_TRY(fab_nifti_stream_read(s, sink, step, err));
        count -= step;
    }
    return FAB_OK;
}
