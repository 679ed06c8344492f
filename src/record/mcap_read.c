/* mcap_read.c - MCAP opened by its index: footer, summary, then single chunks. What has no index is
 * left to mcap_scan.c. One read for the head, one for the footer, one for the summary, one a chunk:
 * each may be an HTTP range. */
#include <stdlib.h>

#include "mcap_internal.h"

fab_mcap *fab_mcap_free(fab_mcap *m)
{
    if (!m) return NULL;
    for (size_t i = 0; i < m->channel_count; i++) {
        fab_free(m->channels[i].topic);
        fab_free(m->channels[i].encoding);
        fab_json_free(m->channels[i].metadata);
    }
    for (size_t i = 0; i < m->chunk_count; i++) {
        void *ids = NULL;
        memcpy(&ids, &m->chunks[i].channels, sizeof ids); /* ours: const for readers alone */
        fab_free(ids);
    }
    for (size_t i = 0; i < m->attachment_count; i++) {
        fab_free(m->attachments[i].name);
        fab_free(m->attachments[i].media_type);
    }
    for (size_t i = 0; i < m->metadata_count; i++) fab_free(m->metadata[i].name);
    fab_free(m->channels);
    fab_free(m->schemas);
    fab_free(m->chunks);
    fab_free(m->attachments);
    fab_free(m->metadata);
    fab_free(m->profile);
    fab_free(m->library);
    fab_buf_free(&m->loaded);
    fab_buf_free(&m->record);
    return fab_free(m);
}

const char *fab_mcap_profile(const fab_mcap *m) { return m->profile; }
const char *fab_mcap_library(const fab_mcap *m) { return m->library; }
bool fab_mcap_is_cut(const fab_mcap *m) { return m->cut; }
uint64_t fab_mcap_whole_bytes(const fab_mcap *m) { return m->whole; }
size_t fab_mcap_chunk_count(const fab_mcap *m) { return m->chunk_count; }
size_t fab_mcap_channel_count(const fab_mcap *m) { return m->channel_count; }
size_t fab_mcap_attachment_count(const fab_mcap *m) { return m->attachment_count; }

const fab_mcap_chunk *fab_mcap_chunk_at(const fab_mcap *m, size_t index)
{
    return index < m->chunk_count ? &m->chunks[index] : NULL;
}

const fab_mcap_channel *fab_mcap_channel_at(const fab_mcap *m, size_t index)
{
    return index < m->channel_count ? &m->channels[index] : NULL;
}

const fab_mcap_channel *fab_mcap_channel_by_id(const fab_mcap *m, uint16_t id)
{
    return fab_mcap_find_channel(m, id);
}

const fab_mcap_attachment *fab_mcap_attachment_at(const fab_mcap *m, size_t index)
{
    return index < m->attachment_count ? &m->attachments[index] : NULL;
}

fab_status fab_mcap_read_head(const fab_mcap *m, uint64_t offset, uint8_t *opcode,
                              uint64_t *length, fab_error *err)
{
    uint8_t head[MCAP_PREFIX_BYTES];
    FAB_TRY(fab_reader_read(m->source, offset, head, sizeof head, err));
    *opcode = head[0];
    *length = fab_peek_uint(head + 1, 8);
    return FAB_OK;
}

fab_status fab_mcap_read_content(fab_mcap *m, uint64_t offset, uint64_t length, fab_buf *into,
                                 fab_error *err)
{
    uint64_t at = offset + MCAP_PREFIX_BYTES;
    if (at > m->source->size || length > m->source->size - at)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: record at byte %llu: length %llu goes past the end",
                 m->source->name, (unsigned long long)offset, (unsigned long long)length);
    if (length > FAB_LESSON_MAX_RECORD_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: record at byte %llu: length %llu, at most %u are read",
                 m->source->name, (unsigned long long)offset, (unsigned long long)length,
                 FAB_LESSON_MAX_RECORD_BYTES);
    into->size = 0;
    FAB_TRY(fab_buf_reserve(into, (size_t)length + 1, err));
    FAB_TRY(fab_reader_read(m->source, at, into->data, (size_t)length, err));
    into->size = (size_t)length;
    return FAB_OK;
}

static fab_status read_header(fab_mcap *m, fab_error *err)
{
    uint8_t magic[MCAP_MAGIC_BYTES], opcode = 0;
    uint64_t length = 0;
    if (m->source->size > FAB_LESSON_MAX_FILE_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: more than 64 GiB", m->source->name);
    if (m->source->size < MCAP_MAGIC_BYTES)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: no MCAP file: it has %llu %s", m->source->name,
                 (unsigned long long)m->source->size,
                 fab_plural((int64_t)m->source->size, "byte", "bytes"));
    FAB_TRY(fab_reader_read(m->source, 0, magic, sizeof magic, err));
    if (memcmp(magic, fab_mcap_magic, sizeof magic) != 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: no MCAP file: the magic at byte 0 is not MCAP's",
                 m->source->name);
    FAB_TRY(fab_mcap_read_head(m, MCAP_MAGIC_BYTES, &opcode, &length, err));
    if (opcode != MCAP_HEADER)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: record %d at byte 8, not the header", m->source->name,
                 opcode);
    FAB_TRY(fab_mcap_read_content(m, MCAP_MAGIC_BYTES, length, &m->record, err));
    fab_cursor c = fab_mcap_cursor(m, m->record.data, m->record.size,
                                   MCAP_MAGIC_BYTES + MCAP_PREFIX_BYTES, "header", err);
    FAB_TRY(fab_take_text(&c, "profile", &m->profile));
    FAB_TRY(fab_take_text(&c, "library", &m->library));
    m->data_start = m->whole = MCAP_MAGIC_BYTES + MCAP_PREFIX_BYTES + length;
    return FAB_OK;
}

enum { TAIL_BYTES = MCAP_PREFIX_BYTES + MCAP_FOOTER_BYTES + MCAP_MAGIC_BYTES };

/* Sets has_footer, and summary_start and *crc if there is a summary. */
static fab_status read_footer(fab_mcap *m, uint32_t *crc, fab_error *err)
{
    uint8_t tail[TAIL_BYTES];
    if (m->source->size < m->whole + TAIL_BYTES) return FAB_OK;
    uint64_t at = m->source->size - TAIL_BYTES;
    FAB_TRY(fab_reader_read(m->source, at, tail, sizeof tail, err));
    if (memcmp(tail + TAIL_BYTES - MCAP_MAGIC_BYTES, fab_mcap_magic, MCAP_MAGIC_BYTES) != 0 ||
        tail[0] != MCAP_FOOTER || fab_peek_uint(tail + 1, 8) != MCAP_FOOTER_BYTES)
        return FAB_OK;
    m->has_footer = true;
    m->summary_start = fab_peek_uint(tail + 9, 8);
    *crc = (uint32_t)fab_peek_uint(tail + 25, 4);
    if (m->summary_start && (m->summary_start < m->whole || m->summary_start > at))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: footer at byte %llu: summary_start %llu is outside",
                 m->source->name, (unsigned long long)at, (unsigned long long)m->summary_start);
    if (m->source->size - m->summary_start > FAB_LESSON_MAX_SUMMARY_BYTES && m->summary_start)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: footer at byte %llu: a summary of more than %u bytes",
                 m->source->name, (unsigned long long)at, FAB_LESSON_MAX_SUMMARY_BYTES);
    return FAB_OK;
}

typedef struct summary_row {
    uint8_t opcode;
    const char *name;
    fab_status (*add)(fab_mcap *m, fab_cursor *c); /* NULL: not needed */
} summary_row;

static const summary_row *find_row(uint8_t opcode)
{
    static const summary_row rows[] = {
        {MCAP_SCHEMA, "schema", fab_mcap_add_schema},
        {MCAP_CHANNEL, "channel", fab_mcap_add_channel},
        {MCAP_CHUNK_INDEX, "chunk index", fab_mcap_add_chunk_index},
        {MCAP_ATTACHMENT_INDEX, "attachment index", fab_mcap_add_attachment_index},
        {MCAP_STATISTICS, "statistics", fab_mcap_add_statistics},
        {MCAP_METADATA_INDEX, "metadata index", fab_mcap_add_metadata_index},
        {MCAP_SUMMARY_OFFSET, "summary offset", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].opcode == opcode) return &rows[i];
    return NULL;
}

static fab_status parse_summary(fab_mcap *m, const uint8_t *data, size_t size, fab_error *err)
{
    fab_cursor c = fab_mcap_cursor(m, data, size, m->summary_start, "summary", err);
    while (c.at < c.size) {
        uint64_t opcode = 0, length = 0;
        const uint8_t *content = NULL;
        FAB_TRY(fab_take_uint(&c, 1, "opcode", &opcode));
        FAB_TRY(fab_take_uint(&c, 8, "length", &length));
        FAB_TRY(fab_take_bytes(&c, length, "content", &content));
        const summary_row *row = find_row((uint8_t)opcode);
        if (!row && (opcode == 0 || opcode <= MCAP_DATA_END))
            return fab_cursor_fail(&c, FAB_ERR_FORMAT, "opcode", "not a record of a summary");
        if (!row || !row->add) continue;
        fab_cursor inside = fab_mcap_cursor(m, content, (size_t)length,
                                            m->summary_start + (uint64_t)(content - data),
                                            row->name, err);
        FAB_TRY(row->add(m, &inside));
    }
    return FAB_OK;
}

static int by_offset(const void *one, const void *other)
{
    const fab_mcap_chunk *a = one, *b = other;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static fab_status check_chunks(const fab_mcap *m, fab_error *err)
{
    for (size_t i = 0; i < m->chunk_count; i++) {
        const fab_mcap_chunk *c = &m->chunks[i];
        uint64_t before = i ? m->chunks[i - 1].offset + m->chunks[i - 1].length
                            : MCAP_MAGIC_BYTES;
        if (c->offset < before)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: chunk index: byte %llu: two chunks overlap",
                     m->source->name, (unsigned long long)c->offset);
        for (size_t k = 0; k < c->channel_count; k++)
            if (!fab_mcap_find_channel(m, c->channels[k]))
                FAB_FAIL(err, FAB_ERR_FORMAT,
                         "%s: chunk index of byte %llu: channel %d is not in the summary",
                         m->source->name, (unsigned long long)c->offset, c->channels[k]);
    }
    return FAB_OK;
}

static fab_status read_summary(fab_mcap *m, uint32_t crc, fab_error *err)
{
    FAB_AUTO_BUF fab_buf summary = {0};
    uint64_t end = m->source->size - MCAP_MAGIC_BYTES - 4;
    size_t size = (size_t)(end - m->summary_start);
    FAB_TRY(fab_buf_reserve(&summary, size, err));
    FAB_TRY(fab_reader_read(m->source, m->summary_start, summary.data, size, err));
    if (crc && fab_crc32(0, summary.data, size) != crc)
        FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s: summary at byte %llu: its CRC does not match",
                 m->source->name, (unsigned long long)m->summary_start);
    FAB_TRY(parse_summary(m, summary.data, size - (MCAP_PREFIX_BYTES + MCAP_FOOTER_BYTES - 4),
                          err));
    if (m->chunk_count) qsort(m->chunks, m->chunk_count, sizeof *m->chunks, by_offset);
    m->whole = m->source->size;
    return check_chunks(m, err);
}

static fab_status open_start(const fab_reader *source, fab_mcap **out, uint32_t *crc,
                             fab_error *err)
{
    FAB_AUTO(fab_mcap_free) fab_mcap *m = fab_calloc(1, sizeof *m);
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to read it", source->name);
    m->source = source;
    m->chunk = SIZE_MAX;
    FAB_TRY(read_header(m, err));
    FAB_TRY(read_footer(m, crc, err));
    *out = m;
    m = NULL;
    return FAB_OK;
}

fab_status fab_mcap_open(const fab_reader *source, fab_mcap **out, fab_error *err)
{
    FAB_AUTO(fab_mcap_free) fab_mcap *m = NULL;
    uint32_t crc = 0;
    FAB_TRY(open_start(source, &m, &crc, err));
    if (m->summary_start) FAB_TRY(read_summary(m, crc, err));
    /* a summary without chunks: the file has none, or its writer made no index of them */
    if (!m->chunk_count) FAB_TRY(fab_mcap_scan(m, false, err));
    *out = m;
    m = NULL;
    return FAB_OK;
}

/* What a reader by the index would see is what is there. */
static fab_status compare(const fab_mcap *scan, const fab_mcap *index, fab_error *err)
{
    const char *file = scan->source->name;
    if (index->chunk_count != scan->chunk_count ||
        index->attachment_count != scan->attachment_count ||
        (index->has_statistics && index->message_count != scan->message_count) ||
        index->metadata_count != scan->metadata_count)
        FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s: summary: %zu chunks, %llu messages, %zu attachments "
                 "and %zu metadata; the file has %zu, %llu, %zu and %zu", file,
                 index->chunk_count, (unsigned long long)index->message_count,
                 index->attachment_count, index->metadata_count, scan->chunk_count,
                 (unsigned long long)scan->message_count, scan->attachment_count,
                 scan->metadata_count);
    for (size_t i = 0; i < scan->chunk_count; i++) {
        const fab_mcap_chunk *a = &scan->chunks[i], *b = &index->chunks[i];
        if (a->offset != b->offset || a->length != b->length || a->start_ns != b->start_ns ||
            a->end_ns != b->end_ns || a->channel_count != b->channel_count ||
            (a->channel_count &&
             memcmp(a->channels, b->channels, a->channel_count * sizeof *a->channels) != 0))
            FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s: chunk %zu at byte %llu: its index differs", file,
                     i, (unsigned long long)a->offset);
    }
    return FAB_OK;
}

fab_status fab_mcap_open_scan(const fab_reader *source, fab_mcap **out, fab_error *err)
{
    FAB_AUTO(fab_mcap_free) fab_mcap *m = NULL;
    FAB_AUTO(fab_mcap_free) fab_mcap *index = NULL;
    uint32_t crc = 0;
    FAB_TRY(open_start(source, &m, &crc, err));
    FAB_TRY(fab_mcap_scan(m, true, err));
    if (m->summary_start) {
        FAB_TRY(fab_mcap_open(source, &index, err));
        FAB_TRY(compare(m, index, err));
    }
    *out = m;
    m = NULL;
    return FAB_OK;
}

/* ---- one chunk ------------------------------------------------------------------------------ */

static fab_status check_head(const fab_mcap *m, const fab_mcap_chunk *chunk, const uint8_t *data,
                             fab_error *err)
{
    fab_mcap_chunk head = {0};
    fab_cursor c = fab_mcap_cursor(m, data + MCAP_PREFIX_BYTES, MCAP_CHUNK_HEAD,
                                   chunk->offset + MCAP_PREFIX_BYTES, "chunk", err);
    if (data[0] != MCAP_CHUNK)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: record %d at byte %llu, not a chunk", m->source->name,
                 data[0], (unsigned long long)chunk->offset);
    FAB_TRY(fab_mcap_chunk_head(&c, &head));
    if (head.start_ns != chunk->start_ns || head.end_ns != chunk->end_ns ||
        (head.bytes != chunk->bytes && !chunk->cut))
        return fab_cursor_fail(&c, FAB_ERR_FORMAT, "message_start_time",
                               "times or size are not those of the index");
    const uint8_t *records = data + MCAP_PREFIX_BYTES + MCAP_CHUNK_HEAD;
    if (head.crc && !chunk->cut && fab_crc32(0, records, (size_t)chunk->bytes) != head.crc)
        FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s: chunk at byte %llu: its CRC does not match",
                 m->source->name, (unsigned long long)chunk->offset);
    return FAB_OK;
}

fab_status fab_mcap_load_chunk(fab_mcap *m, size_t index, fab_error *err)
{
    if (index >= m->chunk_count) FAB_FAIL(err, FAB_ERR_ARG, "there is no chunk %zu", index);
    const fab_mcap_chunk *chunk = &m->chunks[index];
    size_t size = MCAP_PREFIX_BYTES + MCAP_CHUNK_HEAD + (size_t)chunk->bytes;
    m->chunk = SIZE_MAX;
    m->loaded.size = 0;
    FAB_TRY(fab_buf_reserve(&m->loaded, size, err));
    FAB_TRY(fab_reader_read(m->source, chunk->offset, m->loaded.data, size, err));
    FAB_TRY(check_head(m, chunk, m->loaded.data, err));
    m->loaded.size = size;
    m->at = MCAP_PREFIX_BYTES + MCAP_CHUNK_HEAD;
    m->chunk = index;
    return FAB_OK;
}

static fab_status take_message(const fab_mcap *m, fab_cursor *c, fab_mcap_message *out)
{
    uint64_t channel = 0, sequence = 0;
    FAB_TRY(fab_take_uint(c, 2, "channel_id", &channel));
    FAB_TRY(fab_take_uint(c, 4, "sequence", &sequence));
    FAB_TRY(fab_take_uint(c, 8, "log_time", &out->time_ns));
    FAB_TRY(fab_take_uint(c, 8, "publish_time", &out->publish_ns));
    out->channel = (uint16_t)channel;
    out->sequence = (uint32_t)sequence;
    out->size = c->size - c->at;
    out->data = c->data + c->at;
    if (!fab_mcap_find_channel(m, out->channel))
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "channel_id", "no channel before has this id");
    return FAB_OK;
}

fab_status fab_mcap_next_message(fab_mcap *m, fab_mcap_message *out, fab_error *err)
{
    if (m->chunk == SIZE_MAX) FAB_FAIL(err, FAB_ERR_ARG, "no chunk is loaded");
    const fab_mcap_chunk *chunk = &m->chunks[m->chunk];
    fab_cursor c = fab_mcap_cursor(m, m->loaded.data, m->loaded.size, chunk->offset,
                                   "record in a chunk", err);
    for (c.at = m->at; c.at < c.size; m->at = c.at) {
        uint64_t opcode = 0, length = 0;
        const uint8_t *content = NULL;
        size_t at = c.at - MCAP_PREFIX_BYTES - MCAP_CHUNK_HEAD;
        FAB_TRY(fab_take_uint(&c, 1, "opcode", &opcode));
        FAB_TRY(fab_take_uint(&c, 8, "length", &length));
        FAB_TRY(fab_take_bytes(&c, length, "content", &content));
        fab_cursor inside = fab_mcap_cursor(m, content, (size_t)length,
                                            chunk->offset + (uint64_t)(content - m->loaded.data),
                                            "message", err);
        if (opcode == MCAP_MESSAGE) {
            out->at = at;
            FAB_TRY(take_message(m, &inside, out));
            if (out->time_ns < chunk->start_ns || out->time_ns > chunk->end_ns)
                return fab_cursor_fail(&inside, FAB_ERR_FORMAT, "log_time",
                                       "outside its chunk's times");
            m->at = c.at;
            return FAB_OK;
        }
        if (opcode == MCAP_SCHEMA) FAB_TRY(fab_mcap_add_schema(m, &inside));
        else if (opcode == MCAP_CHANNEL) FAB_TRY(fab_mcap_add_channel(m, &inside));
        else if (opcode <= MCAP_DATA_END)
            return fab_cursor_fail(&inside, FAB_ERR_FORMAT, "opcode", "not allowed in a chunk");
    }
    return FAB_MCAP_END;
}

/* ---- attachments and metadata --------------------------------------------------------------- */

fab_status fab_mcap_attachment_fields(const fab_mcap *m, uint64_t offset, uint64_t length,
                                      fab_mcap_attachment *out, fab_buf *data, fab_error *err)
{
    FAB_AUTO_BUF fab_buf all = {0};
    uint64_t created = 0, crc = 0;
    const uint8_t *bytes = NULL;
    if (length > FAB_LESSON_MAX_ATTACHMENT_BYTES + (uint64_t)FAB_LESSON_MAX_RECORD_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT,
                 "%s: attachment at byte %llu: length %llu, at most %u are read", m->source->name,
                 (unsigned long long)offset, (unsigned long long)length,
                 FAB_LESSON_MAX_ATTACHMENT_BYTES);
    FAB_TRY(fab_buf_reserve(&all, (size_t)length + 1, err));
    FAB_TRY(fab_reader_read(m->source, offset + MCAP_PREFIX_BYTES, all.data, (size_t)length, err));
    fab_cursor c = fab_mcap_cursor(m, all.data, (size_t)length, offset + MCAP_PREFIX_BYTES,
                                   "attachment", err);
    out->offset = offset;
    out->length = length + MCAP_PREFIX_BYTES;
    FAB_TRY(fab_take_uint(&c, 8, "log_time", &out->time_ns));
    FAB_TRY(fab_take_uint(&c, 8, "create_time", &created));
    FAB_TRY(fab_take_text(&c, "name", &out->name));
    FAB_TRY(fab_take_text(&c, "media_type", &out->media_type));
    FAB_TRY(fab_take_uint(&c, 8, "data", &out->data_bytes));
    FAB_TRY(fab_take_bytes(&c, out->data_bytes, "data", &bytes));
    size_t hashed = c.at;
    FAB_TRY(fab_take_uint(&c, 4, "crc", &crc));
    if (crc && fab_crc32(0, all.data, hashed) != crc)
        FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s: attachment at byte %llu: its CRC does not match",
                 m->source->name, (unsigned long long)offset);
    return data ? fab_buf_append(data, bytes, (size_t)out->data_bytes, err) : FAB_OK;
}

fab_status fab_mcap_read_attachment(const fab_mcap *m, size_t index, fab_buf *into, fab_error *err)
{
    fab_mcap_attachment fields = {0};
    uint8_t opcode = 0;
    uint64_t length = 0;
    if (index >= m->attachment_count)
        FAB_FAIL(err, FAB_ERR_ARG, "there is no attachment %zu", index);
    const uint64_t offset = m->attachments[index].offset;
    FAB_TRY(fab_mcap_read_head(m, offset, &opcode, &length, err));
    if (opcode != MCAP_ATTACHMENT)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: record %d at byte %llu, not an attachment",
                 m->source->name, opcode, (unsigned long long)offset);
    fab_status status = fab_mcap_attachment_fields(m, offset, length, &fields, into, err);
    fab_free(fields.name);
    fab_free(fields.media_type);
    return status;
}

fab_status fab_mcap_read_metadata(const fab_mcap *m, const char *name, fab_json **out,
                                  fab_error *err)
{
    FAB_AUTO_BUF fab_buf content = {0};
    FAB_AUTO_FREE char *found = NULL;
    uint8_t opcode = 0;
    uint64_t length = 0;
    size_t i = 0;
    while (i < m->metadata_count && strcmp(m->metadata[i].name, name) != 0) i++;
    if (i == m->metadata_count)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: there is no metadata \"%s\"", m->source->name, name);
    const uint64_t offset = m->metadata[i].offset;
    FAB_TRY(fab_mcap_read_head(m, offset, &opcode, &length, err));
    if (opcode != MCAP_METADATA || length > FAB_LESSON_MAX_RECORD_BYTES)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: record %d of %llu bytes at byte %llu, not metadata",
                 m->source->name, opcode, (unsigned long long)length, (unsigned long long)offset);
    FAB_TRY(fab_buf_reserve(&content, (size_t)length + 1, err));
    FAB_TRY(fab_reader_read(m->source, offset + MCAP_PREFIX_BYTES, content.data, (size_t)length,
                            err));
    fab_cursor c = fab_mcap_cursor(m, content.data, (size_t)length, offset + MCAP_PREFIX_BYTES,
                                   "metadata", err);
    FAB_TRY(fab_take_text(&c, "name", &found));
    return fab_take_map(&c, "metadata", out);
}
