/* mcap_parse.c - single MCAP records: fields checked, then kept. */
#include "mcap_internal.h"

fab_status fab_mcap_grow(void **array, size_t count, size_t size, size_t most, const char *what,
                         fab_error *err)
{
    if (count >= most) FAB_FAIL(err, FAB_ERR_LIMIT, "more than %zu %s", most, what);
    if (count & (count - 1)) return FAB_OK; /* room up to the next power of two */
    void *grown = fab_realloc(*array, (count ? 2 * count : 1) * size);
    if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu %s", 2 * count, what);
    *array = grown;
    return FAB_OK;
}

fab_cursor fab_mcap_cursor(const fab_mcap *m, const uint8_t *data, size_t size, uint64_t origin,
                           const char *what, fab_error *err)
{
    return (fab_cursor){data, size, 0, origin, what, m->source->name, err};
}

fab_status fab_mcap_add_schema(fab_mcap *m, fab_cursor *c)
{
    uint64_t id = 0, length = 0;
    const uint8_t *skipped = NULL;
    for (size_t i = 0; i < 3; i++) { /* name, encoding, data: lengths alone are looked at */
        if (i == 0) FAB_TRY(fab_take_uint(c, 2, "id", &id));
        FAB_TRY(fab_take_uint(c, 4, "length", &length));
        FAB_TRY(fab_take_bytes(c, length, i == 0 ? "name" : i == 1 ? "encoding" : "data",
                               &skipped));
    }
    if (id == 0) return FAB_OK; /* "invalid and should be ignored" */
    const mcap_schema one = {(uint16_t)id, fab_crc32(0, c->data, c->at)};
    for (size_t i = 0; i < m->schema_count; i++) {
        if (m->schemas[i].id != one.id) continue;
        if (m->schemas[i].crc == one.crc) return FAB_OK;
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "id", "another schema has this id");
    }
    FAB_TRY(fab_mcap_grow((void **)&m->schemas, m->schema_count, sizeof one,
                          FAB_LESSON_MAX_SCHEMAS, "schemas", c->err));
    m->schemas[m->schema_count++] = one;
    return FAB_OK;
}

fab_mcap_channel *fab_mcap_find_channel(const fab_mcap *m, uint16_t id)
{
    size_t low = 0, high = m->channel_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (m->channels[middle].id == id) return &m->channels[middle];
        if (m->channels[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

static void free_channel(fab_mcap_channel *c)
{
    fab_free(c->topic);
    fab_free(c->encoding);
    fab_json_free(c->metadata);
}

static fab_status keep_channel(fab_mcap *m, const fab_mcap_channel *one, fab_error *err)
{
    size_t at = m->channel_count;
    FAB_TRY(fab_mcap_grow((void **)&m->channels, m->channel_count, sizeof *one,
                          FAB_LESSON_MAX_CHANNELS, "channels", err));
    for (; at && m->channels[at - 1].id > one->id; at--) m->channels[at] = m->channels[at - 1];
    m->channels[at] = *one;
    m->channel_count++;
    return FAB_OK;
}

static fab_status take_channel(fab_cursor *c, fab_mcap_channel *one)
{
    uint64_t id = 0, schema = 0;
    FAB_TRY(fab_take_uint(c, 2, "id", &id));
    FAB_TRY(fab_take_uint(c, 2, "schema_id", &schema));
    one->id = (uint16_t)id;
    one->schema_id = (uint16_t)schema;
    FAB_TRY(fab_take_text(c, "topic", &one->topic));
    FAB_TRY(fab_take_text(c, "message_encoding", &one->encoding));
    return fab_take_map(c, "metadata", &one->metadata);
}

static bool has_schema(const fab_mcap *m, uint16_t id)
{
    for (size_t i = 0; i < m->schema_count; i++)
        if (m->schemas[i].id == id) return true;
    return id == 0;
}

fab_status fab_mcap_add_channel(fab_mcap *m, fab_cursor *c)
{
    fab_mcap_channel one = {0};
    fab_status status = take_channel(c, &one);
    const fab_mcap_channel *same = status < 0 ? NULL : fab_mcap_find_channel(m, one.id);
    if (status == FAB_OK && same) {
        if (strcmp(same->topic, one.topic) != 0 || strcmp(same->encoding, one.encoding) != 0 ||
            same->schema_id != one.schema_id)
            status = fab_cursor_fail(c, FAB_ERR_FORMAT, "id", "another channel has this id");
    } else if (status == FAB_OK && !has_schema(m, one.schema_id)) {
        status = fab_cursor_fail(c, FAB_ERR_FORMAT, "schema_id", "no schema before has this id");
    } else if (status == FAB_OK) {
        status = keep_channel(m, &one, c->err);
    }
    if (status < 0 || same) free_channel(&one);
    return status;
}

static fab_status check_packing(fab_cursor *c, uint64_t uncompressed, uint64_t stored,
                                const uint8_t *compression, uint64_t length)
{
    if (length)
        FAB_FAIL(c->err, FAB_ERR_UNSUPPORTED,
                 "%s: %s at byte %llu: compression \"%.*s\"; lessons are not compressed", c->file,
                 c->what, (unsigned long long)c->origin, length > 20 ? 20 : (int)length,
                 (const char *)compression);
    if (uncompressed != stored)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "uncompressed_size", "is not that of records");
    if (stored > FAB_LESSON_MAX_CHUNK_BYTES)
        return fab_cursor_fail(c, FAB_ERR_LIMIT, "records", "chunk larger than 16 MiB");
    return FAB_OK;
}

fab_status fab_mcap_chunk_head(fab_cursor *c, fab_mcap_chunk *chunk)
{
    uint64_t crc = 0, length = 0;
    const uint8_t *compression = NULL;
    FAB_TRY(fab_take_uint(c, 8, "message_start_time", &chunk->start_ns));
    FAB_TRY(fab_take_uint(c, 8, "message_end_time", &chunk->end_ns));
    FAB_TRY(fab_take_uint(c, 8, "uncompressed_size", &chunk->uncompressed));
    FAB_TRY(fab_take_uint(c, 4, "uncompressed_crc", &crc));
    FAB_TRY(fab_take_uint(c, 4, "compression", &length));
    FAB_TRY(fab_take_bytes(c, length, "compression", &compression));
    FAB_TRY(fab_take_uint(c, 8, "records", &chunk->bytes));
    chunk->crc = (uint32_t)crc;
    if (chunk->end_ns < chunk->start_ns)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "message_end_time", "is before the start");
    return check_packing(c, chunk->uncompressed, chunk->bytes, compression, length);
}

/* Map<uint16, uint64>: the channels, ascending. */
static fab_status take_chunk_channels(fab_cursor *c, fab_mcap_chunk *chunk)
{
    uint64_t length = 0;
    const uint8_t *map = NULL;
    FAB_TRY(fab_take_uint(c, 4, "message_index_offsets", &length));
    FAB_TRY(fab_take_bytes(c, length, "message_index_offsets", &map));
    size_t count = (size_t)length / 10;
    if (length % 10 || count > FAB_LESSON_MAX_CHANNELS)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "message_index_offsets", "no such map");
    if (!count) return FAB_OK;
    uint16_t *ids = fab_alloc_array(count, sizeof *ids);
    if (!ids) return fab_cursor_fail(c, FAB_ERR_NOMEM, "message_index_offsets", "no memory");
    for (size_t i = 0; i < count; i++) {
        uint16_t id = (uint16_t)fab_peek_uint(map + 10 * i, 2);
        size_t at = i;
        for (; at && ids[at - 1] > id; at--) ids[at] = ids[at - 1];
        ids[at] = id;
    }
    chunk->channels = ids;
    chunk->channel_count = count;
    return FAB_OK;
}

static fab_status take_chunk_index(fab_mcap *m, fab_cursor *c, fab_mcap_chunk *chunk)
{
    uint64_t indexes = 0, length = 0;
    const uint8_t *compression = NULL;
    FAB_TRY(fab_take_uint(c, 8, "message_start_time", &chunk->start_ns));
    FAB_TRY(fab_take_uint(c, 8, "message_end_time", &chunk->end_ns));
    FAB_TRY(fab_take_uint(c, 8, "chunk_start_offset", &chunk->offset));
    FAB_TRY(fab_take_uint(c, 8, "chunk_length", &chunk->length));
    FAB_TRY(take_chunk_channels(c, chunk));
    FAB_TRY(fab_take_uint(c, 8, "message_index_length", &indexes));
    FAB_TRY(fab_take_uint(c, 4, "compression", &length));
    FAB_TRY(fab_take_bytes(c, length, "compression", &compression));
    FAB_TRY(fab_take_uint(c, 8, "compressed_size", &chunk->bytes));
    FAB_TRY(fab_take_uint(c, 8, "uncompressed_size", &chunk->uncompressed));
    FAB_TRY(check_packing(c, chunk->uncompressed, chunk->bytes, compression, length));
    if (chunk->offset > m->summary_start || chunk->length > m->summary_start - chunk->offset)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "chunk_start_offset", "outside the data");
    if (chunk->length < MCAP_PREFIX_BYTES + MCAP_CHUNK_HEAD + chunk->bytes)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "chunk_length", "less than its records");
    if (chunk->end_ns < chunk->start_ns)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "message_end_time", "is before the start");
    chunk->records = chunk->offset + MCAP_PREFIX_BYTES + MCAP_CHUNK_HEAD;
    return FAB_OK;
}

fab_status fab_mcap_add_chunk_index(fab_mcap *m, fab_cursor *c)
{
    fab_mcap_chunk chunk = {0};
    fab_status status = take_chunk_index(m, c, &chunk);
    if (status == FAB_OK)
        status = fab_mcap_grow((void **)&m->chunks, m->chunk_count, sizeof chunk,
                               FAB_LESSON_MAX_CHUNKS, "chunks", c->err);
    if (status < 0) {
        void *ids = NULL;
        memcpy(&ids, &chunk.channels, sizeof ids);
        fab_free(ids);
        return status;
    }
    m->chunks[m->chunk_count++] = chunk;
    return FAB_OK;
}

static fab_status take_attachment_index(fab_mcap *m, fab_cursor *c, fab_mcap_attachment *a)
{
    uint64_t created = 0;
    FAB_TRY(fab_take_uint(c, 8, "offset", &a->offset));
    FAB_TRY(fab_take_uint(c, 8, "length", &a->length));
    FAB_TRY(fab_take_uint(c, 8, "log_time", &a->time_ns));
    FAB_TRY(fab_take_uint(c, 8, "create_time", &created));
    FAB_TRY(fab_take_uint(c, 8, "data_size", &a->data_bytes));
    if (a->offset > m->summary_start || a->length > m->summary_start - a->offset)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "offset", "outside the data");
    if (a->data_bytes > a->length || a->data_bytes > FAB_LESSON_MAX_ATTACHMENT_BYTES)
        return fab_cursor_fail(c, FAB_ERR_LIMIT, "data_size", "larger than its record or 64 MiB");
    FAB_TRY(fab_take_text(c, "name", &a->name));
    return fab_take_text(c, "media_type", &a->media_type);
}

fab_status fab_mcap_keep_attachment(fab_mcap *m, fab_status status, fab_mcap_attachment *one,
                                    fab_error *err)
{
    if (status == FAB_OK)
        status = fab_mcap_grow((void **)&m->attachments, m->attachment_count, sizeof *one,
                               FAB_LESSON_MAX_ATTACHMENTS, "attachments", err);
    if (status < 0) {
        fab_free(one->name);
        fab_free(one->media_type);
        return status;
    }
    m->attachments[m->attachment_count++] = *one;
    return FAB_OK;
}

fab_status fab_mcap_add_attachment_index(fab_mcap *m, fab_cursor *c)
{
    fab_mcap_attachment one = {0};
    fab_status status = take_attachment_index(m, c, &one);
    return fab_mcap_keep_attachment(m, status, &one, c->err);
}

fab_status fab_mcap_add_metadata_index(fab_mcap *m, fab_cursor *c)
{
    mcap_place one = {0};
    FAB_TRY(fab_take_uint(c, 8, "offset", &one.offset));
    FAB_TRY(fab_take_uint(c, 8, "length", &one.length));
    if (one.offset > m->summary_start || one.length > m->summary_start - one.offset ||
        one.length < MCAP_PREFIX_BYTES)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "offset", "outside the data");
    FAB_TRY(fab_mcap_grow((void **)&m->metadata, m->metadata_count, sizeof one,
                          FAB_LESSON_MAX_METADATA, "metadata records", c->err));
    FAB_TRY(fab_take_text(c, "name", &one.name));
    m->metadata[m->metadata_count++] = one;
    return FAB_OK;
}

fab_status fab_mcap_add_statistics(fab_mcap *m, fab_cursor *c)
{
    uint64_t length = 0, skipped = 0;
    const uint8_t *map = NULL;
    static const struct {
        const char *name;
        int bytes;
    } fields[] = {{"schema_count", 2}, {"channel_count", 4}, {"attachment_count", 4},
                  {"metadata_count", 4}, {"chunk_count", 4}, {"message_start_time", 8},
                  {"message_end_time", 8}};
    m->has_statistics = true;
    FAB_TRY(fab_take_uint(c, 8, "message_count", &m->message_count));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        FAB_TRY(fab_take_uint(c, fields[i].bytes, fields[i].name, &skipped));
    FAB_TRY(fab_take_uint(c, 4, "channel_message_counts", &length));
    FAB_TRY(fab_take_bytes(c, length, "channel_message_counts", &map));
    for (size_t i = 0; i + 10 <= length; i += 10) {
        fab_mcap_channel *channel =
            fab_mcap_find_channel(m, (uint16_t)fab_peek_uint(map + i, 2));
        if (channel) channel->messages = fab_peek_uint(map + i + 2, 8);
    }
    return FAB_OK;
}
