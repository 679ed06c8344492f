/* mcap_write.c - MCAP, append-only. Messages gather in a chunk; a chunk and its message indexes
 * reach the sink in one write, so that a crash leaves whole chunks and at most one cut one. What
 * the summary needs is kept as records ready to be written (some 120 bytes a chunk). */
#include <stdlib.h>

#include "bytes_internal.h"

typedef struct entry {
    uint16_t channel;
    uint64_t time_ns, at;
} entry;

struct fab_mcap_writer {
    fab_mcap_sink sink;
    uint64_t offset;
    uint32_t file_crc;
    bool broken, finished;
    fab_buf chunk, piece;             /* open chunk's records; what is written next */
    entry *entries;                   /* messages of the open chunk */
    size_t entry_count, entry_capacity;
    uint64_t chunk_start, chunk_end, synced_ns, start_ns, end_ns, message_count;
    uint64_t counts[FAB_LESSON_MAX_CHANNELS + 1];
    uint32_t schema_count, channel_count, attachment_count, metadata_count, chunk_count;
    fab_buf schemas, channels, chunk_indexes, attachments, metadata; /* of the summary */
};

fab_mcap_writer *fab_mcap_writer_free(fab_mcap_writer *w)
{
    if (!w) return NULL;
    fab_buf *const all[] = {&w->chunk, &w->piece, &w->schemas, &w->channels, &w->chunk_indexes,
                            &w->attachments, &w->metadata};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) fab_buf_free(all[i]);
    fab_free(w->entries);
    return fab_free(w);
}

/* Once a write failed half of it may be in the file: nothing that follows would be readable. */
static fab_status check_open(const fab_mcap_writer *w, fab_error *err)
{
    if (w->broken) FAB_FAIL(err, FAB_ERR_IO, "the recording was given up after a failed write");
    if (w->finished) FAB_FAIL(err, FAB_ERR_ARG, "the recording was finished");
    return FAB_OK;
}

static fab_status write_piece(fab_mcap_writer *w, const fab_buf *piece, fab_error *err)
{
    fab_status status = fab_writer_write(w->sink.out, piece->data, piece->size, err);
    if (status < 0) {
        w->broken = true;
        return status;
    }
    w->file_crc = fab_crc32(w->file_crc, piece->data, piece->size);
    w->offset += piece->size;
    return FAB_OK;
}

/* Puts opcode and room for the length; end_record fills it. */
static fab_status begin_record(fab_buf *b, int opcode, size_t *start, fab_error *err)
{
    *start = b->size;
    FAB_TRY(fab_put_uint(b, (uint64_t)opcode, 1, err));
    return fab_put_uint(b, 0, 8, err);
}

static void end_record(fab_buf *b, size_t start)
{
    fab_poke_uint(b->data + start + 1, b->size - start - MCAP_PREFIX_BYTES, 8);
}

static fab_status write_header(fab_mcap_writer *w, const char *profile, const char *library,
                               fab_error *err)
{
    size_t start = 0;
    FAB_TRY(fab_buf_append(&w->piece, fab_mcap_magic, MCAP_MAGIC_BYTES, err));
    FAB_TRY(begin_record(&w->piece, MCAP_HEADER, &start, err));
    FAB_TRY(fab_put_string(&w->piece, profile, err));
    FAB_TRY(fab_put_string(&w->piece, library, err));
    end_record(&w->piece, start);
    return write_piece(w, &w->piece, err);
}

fab_status fab_mcap_writer_create(const fab_mcap_sink *sink, const char *profile,
                                  const char *library, fab_mcap_writer **out, fab_error *err)
{
    FAB_AUTO(fab_mcap_writer_free) fab_mcap_writer *w = fab_calloc(1, sizeof *w);
    if (!w) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to write a recording");
    w->sink = *sink;
    w->start_ns = UINT64_MAX;
    FAB_TRY(write_header(w, profile, library, err));
    *out = w;
    w = NULL;
    return FAB_OK;
}

/* Writes the record in w->piece and keeps a copy for the summary. */
static fab_status write_and_keep(fab_mcap_writer *w, fab_buf *keep, fab_error *err)
{
    FAB_TRY(fab_buf_reserve(keep, w->piece.size, err));
    FAB_TRY(write_piece(w, &w->piece, err));
    return fab_buf_append(keep, w->piece.data, w->piece.size, err);
}

fab_status fab_mcap_write_schema(fab_mcap_writer *w, const char *name, const char *encoding,
                                 const char *data, uint16_t *id, fab_error *err)
{
    size_t start = 0;
    FAB_TRY(check_open(w, err));
    if (w->schema_count >= FAB_LESSON_MAX_SCHEMAS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d schemas", FAB_LESSON_MAX_SCHEMAS);
    w->piece.size = 0;
    FAB_TRY(begin_record(&w->piece, MCAP_SCHEMA, &start, err));
    FAB_TRY(fab_put_uint(&w->piece, w->schema_count + 1, 2, err));
    FAB_TRY(fab_put_string(&w->piece, name, err));
    FAB_TRY(fab_put_string(&w->piece, encoding, err));
    FAB_TRY(fab_put_string(&w->piece, data, err)); /* bytes have the same length field */
    end_record(&w->piece, start);
    FAB_TRY(write_and_keep(w, &w->schemas, err));
    *id = (uint16_t)++w->schema_count;
    return FAB_OK;
}

fab_status fab_mcap_write_channel(fab_mcap_writer *w, uint16_t schema_id, const char *topic,
                                  const char *encoding, const fab_json *metadata, uint16_t *id,
                                  fab_error *err)
{
    size_t start = 0;
    FAB_TRY(check_open(w, err));
    if (schema_id > w->schema_count)
        FAB_FAIL(err, FAB_ERR_ARG, "channel %s: there is no schema %d", topic, schema_id);
    if (w->channel_count >= FAB_LESSON_MAX_CHANNELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d channels", FAB_LESSON_MAX_CHANNELS);
    w->piece.size = 0;
    FAB_TRY(begin_record(&w->piece, MCAP_CHANNEL, &start, err));
    FAB_TRY(fab_put_uint(&w->piece, w->channel_count + 1, 2, err));
    FAB_TRY(fab_put_uint(&w->piece, schema_id, 2, err));
    FAB_TRY(fab_put_string(&w->piece, topic, err));
    FAB_TRY(fab_put_string(&w->piece, encoding, err));
    FAB_TRY(fab_put_map(&w->piece, metadata, err));
    end_record(&w->piece, start);
    FAB_TRY(write_and_keep(w, &w->channels, err));
    *id = (uint16_t)++w->channel_count;
    return FAB_OK;
}

size_t fab_mcap_chunk_bytes(const fab_mcap_writer *w)
{
    return w->chunk.size;
}

uint64_t fab_mcap_written_bytes(const fab_mcap_writer *w)
{
    return w->offset;
}

static fab_status grow_entries(fab_mcap_writer *w, fab_error *err)
{
    if (w->entry_count < w->entry_capacity) return FAB_OK;
    size_t more = w->entry_capacity ? 2 * w->entry_capacity : 256;
    entry *grown = fab_realloc(w->entries, more * sizeof *grown);
    if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu messages of a chunk", more);
    w->entries = grown;
    w->entry_capacity = more;
    return FAB_OK;
}

static void note_time(fab_mcap_writer *w, uint64_t time_ns)
{
    bool first = w->entry_count == 1;
    if (first || time_ns < w->chunk_start) w->chunk_start = time_ns;
    if (first || time_ns > w->chunk_end) w->chunk_end = time_ns;
    if (time_ns < w->start_ns) w->start_ns = time_ns;
    if (time_ns > w->end_ns) w->end_ns = time_ns;
}

fab_status fab_mcap_write_message(fab_mcap_writer *w, uint16_t channel, uint32_t sequence,
                                  uint64_t time_ns, const void *data, size_t count,
                                  fab_error *err)
{
    uint8_t head[MCAP_PREFIX_BYTES + MCAP_MESSAGE_BYTES];
    FAB_TRY(check_open(w, err));
    if (!channel || channel > w->channel_count)
        FAB_FAIL(err, FAB_ERR_ARG, "a message of channel %d, which was not made", channel);
    if (count > FAB_LESSON_MAX_CHUNK_BYTES - sizeof head)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a message of %zu bytes, at most %u are written", count,
                 FAB_LESSON_MAX_CHUNK_BYTES);
    if (w->chunk.size && w->chunk.size + sizeof head + count > MCAP_CHUNK_TARGET)
        FAB_TRY(fab_mcap_end_chunk(w, err));
    FAB_TRY(grow_entries(w, err));
    FAB_TRY(fab_buf_reserve(&w->chunk, sizeof head + count, err));
    head[0] = MCAP_MESSAGE;
    fab_poke_uint(head + 1, MCAP_MESSAGE_BYTES + count, 8);
    fab_poke_uint(head + 9, channel, 2);
    fab_poke_uint(head + 11, sequence, 4);
    fab_poke_uint(head + 15, time_ns, 8);
    fab_poke_uint(head + 23, time_ns, 8);
    w->entries[w->entry_count++] = (entry){channel, time_ns, w->chunk.size};
    FAB_TRY(fab_buf_append(&w->chunk, head, sizeof head, err));
    FAB_TRY(fab_buf_append(&w->chunk, data, count, err));
    note_time(w, time_ns);
    w->counts[channel]++;
    w->message_count++;
    return FAB_OK;
}

static int by_channel_and_time(const void *one, const void *other)
{
    const entry *a = one, *b = other;
    if (a->channel != b->channel) return a->channel < b->channel ? -1 : 1;
    if (a->time_ns != b->time_ns) return a->time_ns < b->time_ns ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

/* One message index; *next: the first entry of the next channel. */
static fab_status put_message_index(fab_mcap_writer *w, size_t first, size_t *next, fab_error *err)
{
    size_t start = 0, end = first;
    while (end < w->entry_count && w->entries[end].channel == w->entries[first].channel) end++;
    FAB_TRY(begin_record(&w->piece, MCAP_MESSAGE_INDEX, &start, err));
    FAB_TRY(fab_put_uint(&w->piece, w->entries[first].channel, 2, err));
    FAB_TRY(fab_put_uint(&w->piece, (end - first) * 16, 4, err));
    for (size_t i = first; i < end; i++) {
        FAB_TRY(fab_put_uint(&w->piece, w->entries[i].time_ns, 8, err));
        FAB_TRY(fab_put_uint(&w->piece, w->entries[i].at, 8, err));
    }
    end_record(&w->piece, start);
    *next = end;
    return FAB_OK;
}

/* The message indexes into piece, their places as a map into the chunk index. */
static fab_status put_indexes(fab_mcap_writer *w, fab_error *err)
{
    fab_buf *index = &w->chunk_indexes;
    size_t map = index->size, first_index = w->piece.size;
    FAB_TRY(fab_put_uint(index, 0, 4, err));
    for (size_t i = 0; i < w->entry_count;) {
        FAB_TRY(fab_put_uint(index, w->entries[i].channel, 2, err));
        FAB_TRY(fab_put_uint(index, w->offset + w->piece.size, 8, err));
        FAB_TRY(put_message_index(w, i, &i, err));
    }
    fab_poke_uint(index->data + map, index->size - map - 4, 4);
    FAB_TRY(fab_put_uint(index, w->piece.size - first_index, 8, err));
    FAB_TRY(fab_put_string(index, "", err));
    FAB_TRY(fab_put_uint(index, w->chunk.size, 8, err));
    return fab_put_uint(index, w->chunk.size, 8, err);
}

static fab_status put_chunk(fab_mcap_writer *w, fab_error *err)
{
    size_t start = 0, index = 0;
    fab_buf *p = &w->piece;
    p->size = 0;
    FAB_TRY(begin_record(p, MCAP_CHUNK, &start, err));
    FAB_TRY(fab_put_uint(p, w->chunk_start, 8, err));
    FAB_TRY(fab_put_uint(p, w->chunk_end, 8, err));
    FAB_TRY(fab_put_uint(p, w->chunk.size, 8, err));
    FAB_TRY(fab_put_uint(p, fab_crc32(0, w->chunk.data, w->chunk.size), 4, err));
    FAB_TRY(fab_put_string(p, "", err));
    FAB_TRY(fab_put_uint(p, w->chunk.size, 8, err));
    FAB_TRY(fab_buf_append(p, w->chunk.data, w->chunk.size, err));
    end_record(p, start);
    FAB_TRY(begin_record(&w->chunk_indexes, MCAP_CHUNK_INDEX, &index, err));
    FAB_TRY(fab_put_uint(&w->chunk_indexes, w->chunk_start, 8, err));
    FAB_TRY(fab_put_uint(&w->chunk_indexes, w->chunk_end, 8, err));
    FAB_TRY(fab_put_uint(&w->chunk_indexes, w->offset, 8, err));
    FAB_TRY(fab_put_uint(&w->chunk_indexes, p->size, 8, err));
    FAB_TRY(put_indexes(w, err));
    end_record(&w->chunk_indexes, index);
    return FAB_OK;
}

fab_status fab_mcap_end_chunk(fab_mcap_writer *w, fab_error *err)
{
    FAB_TRY(check_open(w, err));
    if (!w->entry_count) return FAB_OK;
    if (w->chunk_count >= FAB_LESSON_MAX_CHUNKS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d chunks", FAB_LESSON_MAX_CHUNKS);
    size_t kept = w->chunk_indexes.size;
    qsort(w->entries, w->entry_count, sizeof *w->entries, by_channel_and_time);
    fab_status status = put_chunk(w, err);
    if (status == FAB_OK) status = write_piece(w, &w->piece, err);
    if (status < 0) {
        w->chunk_indexes.size = kept;
        w->broken = true; /* its messages are lost: no silent gap */
        return status;
    }
    w->chunk.size = 0;
    w->entry_count = 0;
    w->chunk_count++;
    if (!w->sink.sync || w->chunk_end < w->synced_ns + 900000000) return FAB_OK;
    w->synced_ns = w->chunk_end;
    return w->sink.sync(w->sink.ctx, err);
}

static fab_status put_attachment(fab_mcap_writer *w, uint64_t time_ns, const char *name,
                                 const char *media_type, const void *data, size_t count,
                                 fab_error *err)
{
    size_t start = 0, index = 0;
    fab_buf *p = &w->piece;
    p->size = 0;
    FAB_TRY(begin_record(p, MCAP_ATTACHMENT, &start, err));
    FAB_TRY(fab_put_uint(p, time_ns, 8, err));
    FAB_TRY(fab_put_uint(p, 0, 8, err)); /* create time: never told, the day is in the metadata */
    FAB_TRY(fab_put_string(p, name, err));
    FAB_TRY(fab_put_string(p, media_type, err));
    FAB_TRY(fab_put_uint(p, count, 8, err));
    FAB_TRY(fab_buf_append(p, data, count, err));
    FAB_TRY(fab_put_uint(p, fab_crc32(0, p->data + MCAP_PREFIX_BYTES, p->size - MCAP_PREFIX_BYTES),
                         4, err));
    end_record(p, start);
    FAB_TRY(begin_record(&w->attachments, MCAP_ATTACHMENT_INDEX, &index, err));
    const uint64_t fields[] = {w->offset, p->size, time_ns, 0, count};
    for (size_t i = 0; i < 5; i++) FAB_TRY(fab_put_uint(&w->attachments, fields[i], 8, err));
    FAB_TRY(fab_put_string(&w->attachments, name, err));
    FAB_TRY(fab_put_string(&w->attachments, media_type, err));
    end_record(&w->attachments, index);
    return write_piece(w, p, err);
}

fab_status fab_mcap_write_attachment(fab_mcap_writer *w, uint64_t time_ns, const char *name,
                                     const char *media_type, const void *data, size_t count,
                                     fab_error *err)
{
    if (count > FAB_LESSON_MAX_ATTACHMENT_BYTES ||
        w->attachment_count >= FAB_LESSON_MAX_ATTACHMENTS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "attachment %s: more than %u bytes or %d attachments", name,
                 FAB_LESSON_MAX_ATTACHMENT_BYTES, FAB_LESSON_MAX_ATTACHMENTS);
    FAB_TRY(fab_mcap_end_chunk(w, err));
    size_t kept = w->attachments.size;
    fab_status status = put_attachment(w, time_ns, name, media_type, data, count, err);
    if (status < 0) w->attachments.size = kept;
    else w->attachment_count++;
    return status;
}

static fab_status put_metadata(fab_mcap_writer *w, const char *name, const fab_json *map,
                               fab_error *err)
{
    size_t start = 0, index = 0;
    w->piece.size = 0;
    FAB_TRY(begin_record(&w->piece, MCAP_METADATA, &start, err));
    FAB_TRY(fab_put_string(&w->piece, name, err));
    FAB_TRY(fab_put_map(&w->piece, map, err));
    end_record(&w->piece, start);
    FAB_TRY(begin_record(&w->metadata, MCAP_METADATA_INDEX, &index, err));
    FAB_TRY(fab_put_uint(&w->metadata, w->offset, 8, err));
    FAB_TRY(fab_put_uint(&w->metadata, w->piece.size, 8, err));
    FAB_TRY(fab_put_string(&w->metadata, name, err));
    end_record(&w->metadata, index);
    return write_piece(w, &w->piece, err);
}

fab_status fab_mcap_write_metadata(fab_mcap_writer *w, const char *name, const fab_json *map,
                                   fab_error *err)
{
    FAB_TRY(fab_mcap_end_chunk(w, err));
    if (w->metadata_count >= FAB_LESSON_MAX_METADATA)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d metadata records", FAB_LESSON_MAX_METADATA);
    size_t kept = w->metadata.size;
    fab_status status = put_metadata(w, name, map, err);
    if (status < 0) w->metadata.size = kept;
    else w->metadata_count++;
    return status;
}

static fab_status put_statistics(fab_mcap_writer *w, fab_error *err)
{
    fab_buf *p = &w->piece;
    size_t start = 0, map = 0;
    FAB_TRY(begin_record(p, MCAP_STATISTICS, &start, err));
    FAB_TRY(fab_put_uint(p, w->message_count, 8, err));
    FAB_TRY(fab_put_uint(p, w->schema_count, 2, err));
    FAB_TRY(fab_put_uint(p, w->channel_count, 4, err));
    FAB_TRY(fab_put_uint(p, w->attachment_count, 4, err));
    FAB_TRY(fab_put_uint(p, w->metadata_count, 4, err));
    FAB_TRY(fab_put_uint(p, w->chunk_count, 4, err));
    FAB_TRY(fab_put_uint(p, w->message_count ? w->start_ns : 0, 8, err));
    FAB_TRY(fab_put_uint(p, w->end_ns, 8, err));
    map = p->size;
    FAB_TRY(fab_put_uint(p, 0, 4, err));
    for (uint32_t i = 1; i <= w->channel_count; i++) {
        FAB_TRY(fab_put_uint(p, i, 2, err));
        FAB_TRY(fab_put_uint(p, w->counts[i], 8, err));
    }
    fab_poke_uint(p->data + map, p->size - map - 4, 4);
    end_record(p, start);
    return FAB_OK;
}

typedef struct group {
    uint8_t opcode;
    size_t start, length;
} group;

/* All groups of the summary after what piece holds; returns their places. */
static fab_status put_groups(fab_mcap_writer *w, group groups[6], fab_error *err)
{
    const struct {
        uint8_t opcode;
        const fab_buf *records;
    } parts[] = {{MCAP_SCHEMA, &w->schemas}, {MCAP_CHANNEL, &w->channels}, {MCAP_STATISTICS, NULL},
                 {MCAP_CHUNK_INDEX, &w->chunk_indexes}, {MCAP_ATTACHMENT_INDEX, &w->attachments},
                 {MCAP_METADATA_INDEX, &w->metadata}};
    for (size_t i = 0; i < 6; i++) {
        size_t start = w->piece.size;
        if (!parts[i].records) FAB_TRY(put_statistics(w, err));
        else FAB_TRY(fab_buf_append(&w->piece, parts[i].records->data, parts[i].records->size,
                                    err));
        groups[i] = (group){parts[i].opcode, start, w->piece.size - start};
    }
    return FAB_OK;
}

static fab_status put_footer(fab_mcap_writer *w, size_t summary, uint64_t offsets, fab_error *err)
{
    size_t start = 0;
    fab_buf *p = &w->piece;
    FAB_TRY(begin_record(p, MCAP_FOOTER, &start, err));
    fab_poke_uint(p->data + start + 1, MCAP_FOOTER_BYTES, 8);
    FAB_TRY(fab_put_uint(p, w->offset + summary, 8, err));
    FAB_TRY(fab_put_uint(p, offsets, 8, err));
    FAB_TRY(fab_put_uint(p, fab_crc32(0, p->data + summary, p->size - summary), 4, err));
    return fab_buf_append(p, fab_mcap_magic, MCAP_MAGIC_BYTES, err);
}

fab_status fab_mcap_finish(fab_mcap_writer *w, fab_error *err)
{
    size_t start = 0;
    fab_buf *p = &w->piece;
    group groups[6];
    FAB_TRY(fab_mcap_end_chunk(w, err));
    p->size = 0;
    FAB_TRY(begin_record(p, MCAP_DATA_END, &start, err));
    FAB_TRY(fab_put_uint(p, w->file_crc, 4, err));
    end_record(p, start);
    size_t summary = p->size;
    FAB_TRY(put_groups(w, groups, err));
    uint64_t offsets = w->offset + p->size;
    for (size_t i = 0; i < 6; i++) {
        if (!groups[i].length) continue;
        FAB_TRY(begin_record(p, MCAP_SUMMARY_OFFSET, &start, err));
        FAB_TRY(fab_put_uint(p, groups[i].opcode, 1, err));
        FAB_TRY(fab_put_uint(p, w->offset + groups[i].start, 8, err));
        FAB_TRY(fab_put_uint(p, groups[i].length, 8, err));
        end_record(p, start);
    }
    FAB_TRY(put_footer(w, summary, offsets, err));
    FAB_TRY(write_piece(w, p, err));
    w->finished = true;
    return w->sink.sync ? w->sink.sync(w->sink.ctx, err) : FAB_OK;
}
