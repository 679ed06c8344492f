/* ogg.c - Opus in Ogg (RFC 7845), the only file that knows libogg: voice that was spoken into
 * another program comes in as packets. Pages have CRCs, which libogg checks. */
#include <ogg/ogg.h>
#include <string.h>

#include "lesson_internal.h"

enum { PIECE_BYTES = 65536, HEAD_BYTES = 19 };

typedef struct demux {
    const fab_reader *source;
    ogg_sync_state sync;
    ogg_stream_state stream;
    bool begun, ended;
    int headers; /* of OpusHead and OpusTags, those seen */
    fab_opus_track *to;
    fab_error *err;
} demux;

void fab_opus_track_free(fab_opus_track *t)
{
    fab_buf_free(&t->data);
    fab_buf_free(&t->ends);
    memset(t, 0, sizeof *t);
}

/* How long a packet is heard, in units of 2.5 ms; 0: not a packet (RFC 6716, 3.1). */
static int packet_quarters(const uint8_t *packet, size_t count)
{
    static const uint8_t silk[] = {4, 8, 16, 24}, celt[] = {1, 2, 4, 8};
    if (!count) return 0;
    const int config = packet[0] >> 3, code = packet[0] & 3;
    const int frame = config < 12 ? silk[config & 3] : config < 16 ? silk[config & 1]
                                                                   : celt[config & 3];
    if (code == 3) return count > 1 ? frame * (packet[1] & 63) : 0;
    return code == 0 ? frame : 2 * frame;
}

static fab_status take_head(demux *d, const uint8_t *p, size_t count)
{
    if (count < HEAD_BYTES || memcmp(p, "OpusHead", 8) != 0)
        FAB_FAIL(d->err, FAB_ERR_FORMAT, "%s: the Ogg stream is not Opus", d->source->name);
    if (p[8] >> 4) FAB_FAIL(d->err, FAB_ERR_UNSUPPORTED, "%s: OpusHead of version %d",
                            d->source->name, p[8]);
    if (p[9] < 1 || p[9] > 2 || p[18] != 0)
        FAB_FAIL(d->err, FAB_ERR_UNSUPPORTED, "%s: %d channels of mapping %d; mono or stereo",
                 d->source->name, p[9], p[18]);
    d->to->channels = p[9];
    d->to->pre_skip = p[10] | p[11] << 8;
    return FAB_OK;
}

static fab_status take_packet(demux *d, const uint8_t *p, size_t count)
{
    fab_opus_track *t = d->to;
    if (d->headers < 2) return d->headers++ ? FAB_OK : take_head(d, p, count);
    if (count > FAB_LESSON_MAX_PACKET_BYTES || packet_quarters(p, count) != 8)
        FAB_FAIL(d->err, FAB_ERR_UNSUPPORTED, "%s: packet %zu is of %zu bytes and %.1f ms; at most "
                 "%d bytes, and 20 ms (opusenc --framesize 20)", d->source->name, t->count, count,
                 2.5 * packet_quarters(p, count), FAB_LESSON_MAX_PACKET_BYTES);
    FAB_TRY(fab_buf_append(&t->data, p, count, d->err));
    t->count++;
    return fab_put_uint(&t->ends, t->data.size, 4, d->err);
}

static fab_status take_page(demux *d, ogg_page *page)
{
    ogg_packet packet;
    int found = 0;
    if (!d->begun && ogg_stream_init(&d->stream, ogg_page_serialno(page)) != 0)
        FAB_FAIL(d->err, FAB_ERR_NOMEM, "%s: no memory to read it", d->source->name);
    d->begun = true;
    if (ogg_stream_pagein(&d->stream, page) != 0)
        FAB_FAIL(d->err, FAB_ERR_UNSUPPORTED, "%s: more than one Ogg stream", d->source->name);
    while ((found = ogg_stream_packetout(&d->stream, &packet)) > 0)
        FAB_TRY(take_packet(d, packet.packet, (size_t)packet.bytes));
    if (found < 0) FAB_FAIL(d->err, FAB_ERR_FORMAT, "%s: a page is missing", d->source->name);
    d->ended = ogg_page_eos(page) != 0;
    return FAB_OK;
}

static fab_status take_all(demux *d)
{
    for (uint64_t at = 0; at < d->source->size && !d->ended;) {
        uint64_t left = d->source->size - at;
        size_t count = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        char *into = ogg_sync_buffer(&d->sync, PIECE_BYTES);
        ogg_page page;
        int found = 0;
        if (!into) FAB_FAIL(d->err, FAB_ERR_NOMEM, "%s: no memory to read it", d->source->name);
        FAB_TRY(fab_reader_read(d->source, at, into, count, d->err));
        ogg_sync_wrote(&d->sync, (long)count);
        at += count;
        while (!d->ended && (found = ogg_sync_pageout(&d->sync, &page)) > 0)
            FAB_TRY(take_page(d, &page));
        if (found < 0) FAB_FAIL(d->err, FAB_ERR_FORMAT, "%s: no Ogg file, or damaged before byte "
                                "%llu", d->source->name, (unsigned long long)at);
    }
    return FAB_OK;
}

fab_status fab_opus_read_ogg(const fab_reader *source, fab_opus_track *out, fab_error *err)
{
    demux d = {.source = source, .to = out, .err = err};
    memset(out, 0, sizeof *out);
    if (source->size > FAB_LESSON_MAX_VOICE_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: %llu bytes of voice, at most %u", source->name,
                 (unsigned long long)source->size, FAB_LESSON_MAX_VOICE_BYTES);
    ogg_sync_init(&d.sync);
    fab_status status = take_all(&d);
    if (status == FAB_OK && !d.ended)
        status = fab_error_set(err, FAB_ERR_FORMAT, "%s: the file ends before its sound does",
                               source->name);
    if (d.begun) ogg_stream_clear(&d.stream);
    ogg_sync_clear(&d.sync);
    if (status < 0) fab_opus_track_free(out);
    return status;
}
