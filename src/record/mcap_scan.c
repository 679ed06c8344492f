/* mcap_scan.c - MCAP read from its start to where it ends or was cut.
 *
 *   magic header [schema|channel|chunk index*|attachment|metadata]* data-end summary footer magic
 *                                          ^ cut anywhere
 *
 * A cut file is used up to its last whole record; of a chunk that is cut, up to the last whole
 * record inside. A crash of the machine may also leave zeros, or a last chunk with holes: if
 * nothing whole follows, that is where the file ends. A wrong CRC with more behind it is damage,
 * and an error. */
#include "mcap_internal.h"

/* One pass: what is known of the record at `offset`. */
typedef struct walk {
    fab_mcap *m;
    bool strict;
    uint64_t offset, length; /* of the record's content */
    uint8_t opcode;
    bool at_footer;
    fab_error *err;
} walk;

static bool fits(const walk *w)
{
    uint64_t at = w->offset + MCAP_PREFIX_BYTES;
    return at <= w->m->source->size && w->length <= w->m->source->size - at;
}

static void end_here(walk *w)
{
    w->m->cut = true;
    w->m->whole = w->offset;
}

static fab_cursor content(walk *w, const char *what)
{
    return fab_mcap_cursor(w->m, w->m->record.data, w->m->record.size,
                           w->offset + MCAP_PREFIX_BYTES, what, w->err);
}

static fab_status on_small(walk *w, const char *what,
                           fab_status (*add)(fab_mcap *m, fab_cursor *c))
{
    FAB_TRY(fab_mcap_read_content(w->m, w->offset, w->length, &w->m->record, w->err));
    fab_cursor c = content(w, what);
    return add(w->m, &c);
}

static fab_status add_metadata(fab_mcap *m, fab_cursor *c)
{
    mcap_place one = {.offset = c->origin - MCAP_PREFIX_BYTES,
                      .length = c->size + MCAP_PREFIX_BYTES};
    FAB_AUTO(fab_json_free) fab_json *map = NULL;
    FAB_TRY(fab_mcap_grow((void **)&m->metadata, m->metadata_count, sizeof one,
                          FAB_LESSON_MAX_METADATA, "metadata records", c->err));
    FAB_TRY(fab_take_text(c, "name", &one.name));
    m->metadata[m->metadata_count++] = one;
    return fab_take_map(c, "metadata", &map);
}

static fab_status on_attachment(walk *w)
{
    fab_mcap_attachment one = {0};
    fab_mcap *m = w->m;
    fab_status status = fab_mcap_attachment_fields(m, w->offset, w->length, &one, NULL, w->err);
    return fab_mcap_keep_attachment(m, status, &one, w->err);
}

/* Does nothing whole follow? Message indexes may. */
static bool tail_is_dead(const walk *w)
{
    walk next = *w;
    for (next.offset += MCAP_PREFIX_BYTES + w->length;; next.offset +=
         MCAP_PREFIX_BYTES + next.length) {
        fab_error ignored;
        if (fab_mcap_read_head(next.m, next.offset, &next.opcode, &next.length, &ignored) < 0)
            return true;
        if (next.opcode == 0 || !fits(&next)) return true;
        if (next.opcode != MCAP_MESSAGE_INDEX) return false;
    }
}

/* Bytes of whole records at the start of `size` bytes. */
static size_t whole_records(const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (size - at >= MCAP_PREFIX_BYTES) {
        uint64_t length = fab_peek_uint(data + at + 1, 8);
        if (data[at] == 0 || length > size - at - MCAP_PREFIX_BYTES) break;
        at += MCAP_PREFIX_BYTES + (size_t)length;
    }
    return at;
}

static int note_channel(uint16_t *ids, int count, uint16_t id)
{
    int at = count;
    for (int i = 0; i < count; i++)
        if (ids[i] == id) return count;
    for (; at && ids[at - 1] > id; at--) ids[at] = ids[at - 1];
    ids[at] = id;
    return count + 1;
}

/* Walks the chunk's messages: channels and their counts. */
static fab_status count_messages(walk *w, size_t index)
{
    fab_mcap *m = w->m;
    fab_mcap_message message;
    uint16_t ids[FAB_LESSON_MAX_CHANNELS];
    int count = 0;
    fab_status status = FAB_OK;
    FAB_TRY(fab_mcap_load_chunk(m, index, w->err));
    while ((status = fab_mcap_next_message(m, &message, w->err)) == FAB_OK) {
        count = note_channel(ids, count, message.channel);
        fab_mcap_find_channel(m, message.channel)->messages++;
        m->message_count++;
    }
    if (status < 0) return status;
    uint16_t *kept = fab_alloc_array((size_t)count + 1, sizeof *kept);
    if (!kept) FAB_FAIL(w->err, FAB_ERR_NOMEM, "no memory for the channels of a chunk");
    memcpy(kept, ids, (size_t)count * sizeof *kept);
    m->chunks[index].channels = kept;
    m->chunks[index].channel_count = (size_t)count;
    return FAB_OK;
}

static fab_status keep_chunk(walk *w, const fab_mcap_chunk *chunk)
{
    fab_mcap *m = w->m;
    FAB_TRY(fab_mcap_grow((void **)&m->chunks, m->chunk_count, sizeof *chunk,
                          FAB_LESSON_MAX_CHUNKS, "chunks", w->err));
    m->chunks[m->chunk_count++] = *chunk;
    fab_status status = count_messages(w, m->chunk_count - 1);
    if (status == FAB_ERR_INTEGRITY && !m->has_footer && !w->strict && tail_is_dead(w)) {
        m->chunk_count--;
        end_here(w);
        return FAB_OK;
    }
    return status;
}

static fab_status on_chunk(walk *w)
{
    fab_mcap *m = w->m;
    fab_mcap_chunk chunk = {.offset = w->offset, .length = w->length + MCAP_PREFIX_BYTES};
    uint64_t start = w->offset + MCAP_PREFIX_BYTES, left = m->source->size - start;
    bool cut = !fits(w);
    uint8_t head[MCAP_CHUNK_HEAD + 16]; /* with the name of a compression, to refuse it by */
    if (cut) end_here(w);
    if (cut && left < MCAP_CHUNK_HEAD) return FAB_OK;
    size_t some = w->length < left ? (size_t)w->length : (size_t)left;
    if (some > sizeof head) some = sizeof head;
    FAB_TRY(fab_reader_read(m->source, start, head, some, w->err));
    fab_cursor c = fab_mcap_cursor(m, head, some, start, "chunk", w->err);
    FAB_TRY(fab_mcap_chunk_head(&c, &chunk));
    if (chunk.bytes > w->length - MCAP_CHUNK_HEAD)
        return fab_cursor_fail(&c, FAB_ERR_FORMAT, "records", "longer than the chunk");
    chunk.records = start + MCAP_CHUNK_HEAD;
    left -= MCAP_CHUNK_HEAD;
    if (cut && chunk.bytes > left) {
        FAB_TRY(fab_buf_reserve(&m->record, (size_t)left + 1, w->err));
        FAB_TRY(fab_reader_read(m->source, chunk.records, m->record.data, (size_t)left, w->err));
        chunk.bytes = whole_records(m->record.data, (size_t)left);
        chunk.cut = true;
        if (!chunk.bytes) return FAB_OK;
        m->whole = chunk.records + chunk.bytes;
    }
    return keep_chunk(w, &chunk);
}

static fab_status on_data_end(walk *w)
{
    uint64_t crc = 0;
    FAB_TRY(fab_mcap_read_content(w->m, w->offset, w->length, &w->m->record, w->err));
    fab_cursor c = content(w, "data end");
    FAB_TRY(fab_take_uint(&c, 4, "data_section_crc", &crc));
    w->m->data_end = w->offset;
    w->m->data_stop = w->offset + MCAP_PREFIX_BYTES + w->length;
    w->m->data_crc = (uint32_t)crc;
    return FAB_OK;
}

static fab_status on_record(walk *w)
{
    switch (w->opcode) {
    case MCAP_SCHEMA: return on_small(w, "schema", fab_mcap_add_schema);
    case MCAP_CHANNEL: return on_small(w, "channel", fab_mcap_add_channel);
    case MCAP_METADATA: return on_small(w, "metadata", add_metadata);
    case MCAP_ATTACHMENT: return on_attachment(w);
    case MCAP_CHUNK: return on_chunk(w);
    case MCAP_DATA_END: return on_data_end(w);
    case MCAP_MESSAGE_INDEX: return FAB_OK;
    case MCAP_MESSAGE:
        FAB_FAIL(w->err, FAB_ERR_UNSUPPORTED, "%s: message at byte %llu: it is outside chunks",
                 w->m->source->name, (unsigned long long)w->offset);
    default:
        if (w->opcode > MCAP_DATA_END) return FAB_OK; /* of the future, or an application's */
        FAB_FAIL(w->err, FAB_ERR_FORMAT, "%s: record %d at byte %llu: not allowed in the data",
                 w->m->source->name, w->opcode, (unsigned long long)w->offset);
    }
}

static void reset(fab_mcap *m)
{
    for (size_t i = 0; i < m->attachment_count; i++) {
        fab_free(m->attachments[i].name);
        fab_free(m->attachments[i].media_type);
    }
    for (size_t i = 0; i < m->metadata_count; i++) fab_free(m->metadata[i].name);
    m->attachment_count = m->metadata_count = 0;
    m->message_count = 0;
    for (size_t i = 0; i < m->channel_count; i++) m->channels[i].messages = 0;
}

/* CRC of all before DataEnd; without DataEnd nothing is known. */
static fab_status check_data(const fab_mcap *m, fab_error *err)
{
    uint8_t block[1 << 15];
    uint32_t crc = 0;
    if (m->has_footer && !m->data_end)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: a footer, but no data end before it", m->source->name);
    if (m->summary_start && m->data_stop != m->summary_start)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: data end at byte %llu: the summary starts at %llu",
                 m->source->name, (unsigned long long)m->data_end,
                 (unsigned long long)m->summary_start);
    if (!m->data_end || !m->data_crc) return FAB_OK;
    for (uint64_t at = 0; at < m->data_end;) {
        size_t count = m->data_end - at < sizeof block ? (size_t)(m->data_end - at) : sizeof block;
        FAB_TRY(fab_reader_read(m->source, at, block, count, err));
        crc = fab_crc32(crc, block, count);
        at += count;
    }
    if (crc != m->data_crc)
        FAB_FAIL(err, FAB_ERR_INTEGRITY, "%s: data end at byte %llu: the CRC of all before it "
                 "does not match", m->source->name, (unsigned long long)m->data_end);
    return FAB_OK;
}

/* The record at w->offset, or the end. */
static fab_status step(walk *w)
{
    fab_mcap *m = w->m;
    if (w->offset > m->source->size - MCAP_PREFIX_BYTES) {
        end_here(w);
        return FAB_OK;
    }
    FAB_TRY(fab_mcap_read_head(m, w->offset, &w->opcode, &w->length, w->err));
    bool whole = fits(w);
    if (m->has_footer && (!whole || w->opcode == 0))
        FAB_FAIL(w->err, FAB_ERR_FORMAT, "%s: record %d at byte %llu: length %llu is wrong",
                 m->source->name, w->opcode, (unsigned long long)w->offset,
                 (unsigned long long)w->length);
    if (w->opcode == 0 || (!whole && w->opcode != MCAP_CHUNK)) {
        end_here(w);
        return FAB_OK;
    }
    if (w->opcode == MCAP_FOOTER && m->has_footer) w->at_footer = true;
    else FAB_TRY(on_record(w));
    w->offset += MCAP_PREFIX_BYTES + w->length;
    return FAB_OK;
}

fab_status fab_mcap_scan(fab_mcap *m, bool strict, fab_error *err)
{
    walk w = {.m = m, .strict = strict, .offset = m->data_start, .err = err};
    reset(m);
    while (!m->cut && !m->data_end && !w.at_footer) FAB_TRY(step(&w));
    if (!m->cut) m->whole = m->source->size;
    /* a footer that is not there although the data ended: the summary was cut */
    m->cut = m->cut || !m->has_footer;
    m->chunk = SIZE_MAX;
    return strict ? check_data(m, err) : FAB_OK;
}
