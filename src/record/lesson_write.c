/* lesson_write.c - a lesson as it happens. Samples and packets gather in batches of a second a
 * stream, rows are applied to a scene and written as they come; when the newest time is a second
 * past the chunk's start all batches are flushed and the chunk is written. So every batch lies
 * in the chunk of its time, a crash costs a second, and a keyframe every ten seconds holds the
 * state. */
#include <stdio.h>

#include "lesson_internal.h"

typedef struct stream {
    fab_lesson_kind kind;
    uint16_t channel;
    bool started;
    uint16_t count;          /* in the batch */
    int64_t start_us, last_us;
    uint32_t last_sequence;
    fab_buf batch;
    union {
        track_pose_state pose;
        track_hand_state hand;
    } before;
} stream;

struct fab_lesson_writer {
    fab_mcap_writer *mcap;
    fab_scene *scene;
    stream *streams;
    size_t stream_count;
    uint16_t channels[FAB_LESSON_KINDS]; /* op, keyframe, meta */
    uint32_t sequences[FAB_LESSON_MAX_CHANNELS + 1];
    bool chunk_open, any_row, any_event, unsaved; /* unsaved: rows since the last keyframe */
    int64_t chunk_us, newest_us, keyframe_us, row_us, meta_us;
    uint32_t row_sequence;
    uint64_t keyframe_end; /* where in the file the last one ends, and its size */
    size_t keyframe_bytes;
    fab_buf text; /* scratch */
};

fab_lesson_writer *fab_lesson_writer_free(fab_lesson_writer *w)
{
    if (!w) return NULL;
    fab_mcap_writer_free(w->mcap);
    fab_scene_free(w->scene);
    for (size_t i = 0; i < w->stream_count; i++) fab_buf_free(&w->streams[i].batch);
    fab_free(w->streams);
    fab_buf_free(&w->text);
    return fab_free(w);
}

static fab_status add_channel(fab_lesson_writer *w, fab_lesson_kind kind, const char *topic,
                              const fab_json *metadata, uint16_t *channel, fab_error *err)
{
    const lesson_kind_row *row = &fab_lesson_kinds[kind];
    uint16_t schema = 0;
    char name[64];
    if (row->schema) {
        snprintf(name, sizeof name, "fabrica.%s", row->topic);
        FAB_TRY(fab_mcap_write_schema(w->mcap, name, "jsonschema", row->schema, &schema, err));
    }
    return fab_mcap_write_channel(w->mcap, schema, topic, row->encoding, metadata, channel, err);
}

static fab_status start(fab_lesson_writer *w, const fab_mcap_sink *sink,
                        const fab_lesson_about *about, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *map = NULL;
    FAB_TRY(fab_scene_create(about->structures, about->structure_count, &w->scene, err));
    FAB_TRY(fab_lesson_about_map(about, &map, err));
    FAB_TRY(fab_mcap_writer_create(sink, LESSON_PROFILE, "fabrica " FAB_VERSION, &w->mcap, err));
    FAB_TRY(fab_mcap_write_metadata(w->mcap, LESSON_PROFILE, map, err));
    for (int kind = FAB_LESSON_OP; kind < FAB_LESSON_KINDS; kind++)
        FAB_TRY(add_channel(w, (fab_lesson_kind)kind, fab_lesson_kinds[kind].topic, NULL,
                            &w->channels[kind], err));
    return FAB_OK;
}

fab_status fab_lesson_writer_create(const fab_mcap_sink *sink, const fab_lesson_about *about,
                                    fab_lesson_writer **out, fab_error *err)
{
    FAB_TRY(fab_lesson_check_about(about, err));
    FAB_AUTO(fab_lesson_writer_free) fab_lesson_writer *w = fab_calloc(1, sizeof *w);
    if (!w) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to write a lesson");
    FAB_TRY(start(w, sink, about, err));
    *out = w;
    w = NULL;
    return FAB_OK;
}

fab_status fab_lesson_add_stream(fab_lesson_writer *w, fab_lesson_kind kind, const char *who,
                                 const fab_json *metadata, int *out, fab_error *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    char topic[80];
    size_t length = strlen(who);
    if (kind > FAB_LESSON_VOICE)
        FAB_FAIL(err, FAB_ERR_ARG, "a stream of %s is not added", fab_lesson_kind_name(kind));
    if (length > 64 || who[strspn(who, allowed)])
        FAB_FAIL(err, FAB_ERR_ARG, "who: \"%.70s\" is not up to 64 letters, digits and _.-", who);
    if (metadata) FAB_TRY(fab_lesson_check_private(metadata, err));
    stream *grown = fab_realloc(w->streams, (w->stream_count + 1) * sizeof *grown);
    if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a stream");
    w->streams = grown;
    stream *s = &grown[w->stream_count];
    memset(s, 0, sizeof *s);
    s->kind = kind;
    snprintf(topic, sizeof topic, "%s%s%s", fab_lesson_kinds[kind].topic, *who ? "/" : "", who);
    FAB_TRY(add_channel(w, kind, topic, metadata, &s->channel, err));
    *out = (int)w->stream_count++;
    return FAB_OK;
}

static fab_status put_message(fab_lesson_writer *w, uint16_t channel, int64_t time_us,
                              const fab_buf *data, fab_error *err)
{
    FAB_TRY(fab_mcap_write_message(w->mcap, channel, w->sequences[channel],
                                   (uint64_t)time_us * 1000, data->data, data->size, err));
    w->sequences[channel]++;
    return FAB_OK;
}

static fab_status flush(fab_lesson_writer *w, stream *s, fab_error *err)
{
    if (!s->count) return FAB_OK;
    fab_poke_uint(s->batch.data + 2, s->count, 2);
    fab_status status = put_message(w, s->channel, s->start_us, &s->batch, err);
    s->count = 0;
    s->batch.size = 0;
    return status;
}

static uint64_t bytes_so_far(const fab_lesson_writer *w)
{
    return fab_mcap_written_bytes(w->mcap) + fab_mcap_chunk_bytes(w->mcap);
}

static fab_status put_keyframe(fab_lesson_writer *w, int64_t time_us, fab_error *err)
{
    char hex[65];
    FAB_TRY(fab_scene_hash(w->scene, hex, err));
    w->text.size = 0;
    FAB_TRY(fab_buf_appendf(&w->text, err, "{\"seq\":%u,\"sha256\":\"%s\",\"state\":",
                            w->row_sequence, hex));
    FAB_TRY(fab_scene_dump(w->scene, &w->text, err));
    FAB_TRY(fab_buf_append(&w->text, "}", 1, err));
    FAB_TRY(put_message(w, w->channels[FAB_LESSON_KEYFRAME], time_us, &w->text, err));
    w->unsaved = false;
    w->keyframe_us = time_us;
    w->keyframe_bytes = w->text.size;
    w->keyframe_end = bytes_so_far(w);
    return FAB_OK;
}

/* Of the last row, but within the chunk. */
static int64_t keyframe_time(const fab_lesson_writer *w)
{
    return w->row_us > w->chunk_us ? w->row_us : w->chunk_us;
}

/* A keyframe repeats the whole scene: the larger it is, the further apart they are, as long as a
 * jump, which reads all since the last one, stays short. One that is larger than that by itself is
 * at most half of the file. */
static bool keyframe_due(const fab_lesson_writer *w)
{
    const uint64_t since = bytes_so_far(w) - w->keyframe_end;
    uint64_t apart = (uint64_t)w->keyframe_bytes * LESSON_KEYFRAME_SHARE;
    if (!w->unsaved || w->newest_us - w->keyframe_us < LESSON_KEYFRAME_US) return false;
    if (apart > LESSON_SEEK_BYTES) apart = LESSON_SEEK_BYTES;
    if (apart < w->keyframe_bytes) apart = w->keyframe_bytes;
    return since >= apart;
}

static fab_status end_chunk(fab_lesson_writer *w, fab_error *err)
{
    for (size_t i = 0; i < w->stream_count; i++) FAB_TRY(flush(w, &w->streams[i], err));
    if (keyframe_due(w)) FAB_TRY(put_keyframe(w, keyframe_time(w), err));
    w->chunk_open = false;
    return fab_mcap_end_chunk(w->mcap, err);
}

static size_t waiting_bytes(const fab_lesson_writer *w)
{
    size_t bytes = fab_mcap_chunk_bytes(w->mcap);
    for (size_t i = 0; i < w->stream_count; i++) bytes += w->streams[i].batch.size;
    return bytes;
}

/* Something of time_us and `bytes` comes: is the chunk full? */
static fab_status advance(fab_lesson_writer *w, int64_t time_us, size_t bytes, fab_error *err)
{
    if (time_us < 0 || time_us > FAB_LESSON_MAX_TIME_US)
        FAB_FAIL(err, FAB_ERR_ARG, "time_us: %lld is below 0 or over 48 h", (long long)time_us);
    if (time_us < w->newest_us - LESSON_LATE_US)
        FAB_FAIL(err, FAB_ERR_ARG, "time_us: %lld is more than 1 s behind %lld", (long long)time_us,
                 (long long)w->newest_us);
    if (w->chunk_open && (time_us >= w->chunk_us + LESSON_CHUNK_US ||
                          waiting_bytes(w) + bytes > MCAP_CHUNK_TARGET * 3 / 4))
        FAB_TRY(end_chunk(w, err));
    if (!w->chunk_open) w->chunk_us = time_us;
    w->chunk_open = w->any_event = true;
    if (time_us > w->newest_us) w->newest_us = time_us;
    return FAB_OK;
}

/* The stream for a sample of its kind and time; its batch has room and is begun. */
static fab_status take_stream(fab_lesson_writer *w, int index, fab_lesson_kind kind,
                              int64_t time_us, stream **out, fab_error *err)
{
    if (index < 0 || (size_t)index >= w->stream_count || w->streams[index].kind != kind)
        FAB_FAIL(err, FAB_ERR_ARG, "stream %d is no stream of %s", index,
                 fab_lesson_kind_name(kind));
    stream *s = &w->streams[index];
    if (s->started && time_us < s->last_us)
        FAB_FAIL(err, FAB_ERR_ARG, "time_us: %lld after %lld of the same stream",
                 (long long)time_us, (long long)s->last_us);
    FAB_TRY(advance(w, time_us, 2048, err));
    if (s->count && (s->count == FAB_LESSON_MAX_BATCH || time_us - s->start_us >= LESSON_CHUNK_US))
        FAB_TRY(flush(w, s, err));
    if (!s->count) {
        const uint8_t head[LESSON_BATCH_HEAD] = {TRACK_VERSION};
        s->batch.size = 0;
        s->start_us = time_us;
        memset(&s->before, 0, sizeof s->before);
        s->before.pose.time_us = time_us; /* both states begin with the time */
        FAB_TRY(fab_buf_append(&s->batch, head, sizeof head, err));
    }
    *out = s;
    return FAB_OK;
}

static fab_status added(stream *s, size_t before, int64_t time_us, fab_status status)
{
    if (status < 0) {
        s->batch.size = before;
        return status;
    }
    s->count++;
    s->started = true;
    s->last_us = time_us;
    return FAB_OK;
}

fab_status fab_lesson_write_pose(fab_lesson_writer *w, int index, const fab_pose_sample *sample,
                                 fab_error *err)
{
    stream *s = NULL;
    FAB_TRY(fab_track_check_pose(sample, err));
    FAB_TRY(take_stream(w, index, FAB_LESSON_POSE, sample->time_us, &s, err));
    track_pose_state before = s->before.pose;
    size_t size = s->batch.size;
    fab_status status = fab_track_put_pose(&s->batch, sample, &before, err);
    if (status == FAB_OK) s->before.pose = before;
    return added(s, size, sample->time_us, status);
}

fab_status fab_lesson_write_hand(fab_lesson_writer *w, int index, const fab_hand_sample *sample,
                                 fab_error *err)
{
    stream *s = NULL;
    FAB_TRY(fab_track_check_hand(sample, err));
    FAB_TRY(take_stream(w, index, FAB_LESSON_HAND, sample->time_us, &s, err));
    track_hand_state before = s->before.hand;
    size_t size = s->batch.size;
    fab_status status = fab_track_put_hand(&s->batch, sample, &before, err);
    if (status == FAB_OK) s->before.hand = before;
    return added(s, size, sample->time_us, status);
}

static fab_status put_packet(stream *s, uint32_t sequence, const void *packet, size_t count,
                             fab_error *err)
{
    if (!s->count) FAB_TRY(fab_put_uint(&s->batch, sequence, 4, err));
    FAB_TRY(fab_put_uint(&s->batch, s->count ? sequence - s->last_sequence - 1 : 0, 2, err));
    FAB_TRY(fab_put_uint(&s->batch, count, 2, err));
    return fab_buf_append(&s->batch, packet, count, err);
}

fab_status fab_lesson_write_voice(fab_lesson_writer *w, int index, int64_t time_us,
                                  uint32_t sequence, const void *packet, size_t count,
                                  fab_error *err)
{
    stream *s = NULL;
    if (!count || count > FAB_LESSON_MAX_PACKET_BYTES || time_us % TRACK_TICK_US)
        FAB_FAIL(err, FAB_ERR_ARG, "packet: %zu bytes at %lld us: 1 to %d, a multiple of 100 us",
                 count, (long long)time_us, FAB_LESSON_MAX_PACKET_BYTES);
    FAB_TRY(take_stream(w, index, FAB_LESSON_VOICE, time_us, &s, err));
    if (s->started && sequence <= s->last_sequence)
        FAB_FAIL(err, FAB_ERR_ARG, "sequence: %u after %u", sequence, s->last_sequence);
    /* where it would be heard after the batch's first packet: off by a packet, a new batch */
    uint32_t gap = s->count ? sequence - s->last_sequence : 1;
    int64_t expected = s->last_us + (int64_t)gap * LESSON_PACKET_US;
    if (s->count && (gap > 50 || time_us - expected >= LESSON_PACKET_US ||
                     expected - time_us >= LESSON_PACKET_US)) {
        FAB_TRY(flush(w, s, err));
        FAB_TRY(take_stream(w, index, FAB_LESSON_VOICE, time_us, &s, err));
    }
    size_t size = s->batch.size;
    int64_t heard = s->count ? expected : time_us;
    FAB_TRY(added(s, size, heard, put_packet(s, sequence, packet, count, err)));
    s->last_sequence = sequence;
    return FAB_OK;
}

/* The value's text, at most `most` bytes, into w->text. */
static fab_status render(fab_lesson_writer *w, const fab_json *value, size_t most, fab_error *err)
{
    fab_writer out;
    w->text.size = 0;
    fab_writer_to_buf(&w->text, &out);
    FAB_TRY(fab_json_dump(value, 0, &out, err));
    if (w->text.size > most)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a row of %zu bytes, at most %zu are written", w->text.size,
                 most);
    w->text.size--; /* the newline */
    return FAB_OK;
}

fab_status fab_lesson_write_row(fab_lesson_writer *w, const fab_json *row, fab_error *err)
{
    FAB_TRY(fab_scene_check_row(row, err));
    const int64_t time_us = fab_json_integer(fab_json_find(row, "t"));
    const uint32_t sequence = (uint32_t)fab_json_integer(fab_json_find(row, "seq"));
    if (time_us < w->keyframe_us ||
        (w->any_row && (sequence <= w->row_sequence || time_us < w->row_us)))
        FAB_FAIL(err, FAB_ERR_ARG, "row %u at %lld us: after row %u at %lld us", sequence,
                 (long long)time_us, w->row_sequence, (long long)w->row_us);
    FAB_TRY(render(w, row, FAB_SCENE_MAX_ROW_BYTES, err));
    FAB_TRY(advance(w, time_us, w->text.size, err));
    FAB_TRY(render(w, row, FAB_SCENE_MAX_ROW_BYTES, err)); /* a keyframe may have used the text */
    FAB_TRY(fab_scene_apply(w->scene, row, err));
    FAB_TRY(put_message(w, w->channels[FAB_LESSON_OP], time_us, &w->text, err));
    w->any_row = w->unsaved = true;
    w->row_sequence = sequence;
    w->row_us = time_us;
    if (strcmp(fab_text_of(row, "op"), "chapter") != 0) return FAB_OK;
    return put_keyframe(w, time_us, err);
}

fab_status fab_lesson_write_meta(fab_lesson_writer *w, int64_t time_us, const fab_json *object,
                                 fab_error *err)
{
    if (!fab_json_is_string(fab_json_find(object, "event")))
        FAB_FAIL(err, FAB_ERR_ARG, "meta: an object with \"event\"");
    if (time_us < w->meta_us)
        FAB_FAIL(err, FAB_ERR_ARG, "time_us: %lld after %lld", (long long)time_us,
                 (long long)w->meta_us);
    FAB_TRY(fab_lesson_check_private(object, err));
    FAB_TRY(advance(w, time_us, 1024, err));
    FAB_TRY(render(w, object, FAB_LESSON_MAX_TEXT_BYTES, err));
    FAB_TRY(put_message(w, w->channels[FAB_LESSON_META], time_us, &w->text, err));
    w->meta_us = time_us;
    return FAB_OK;
}

fab_status fab_lesson_attach(fab_lesson_writer *w, const char *name, const char *media_type,
                             const void *data, size_t count, fab_error *err)
{
    if (w->unsaved && w->chunk_open) FAB_TRY(put_keyframe(w, keyframe_time(w), err));
    FAB_TRY(end_chunk(w, err));
    return fab_mcap_write_attachment(w->mcap, (uint64_t)w->newest_us * 1000, name, media_type,
                                     data, count, err);
}

fab_status fab_lesson_write_state(fab_lesson_writer *w, int64_t time_us, const fab_json *state,
                                  fab_error *err)
{
    if (w->any_row) FAB_FAIL(err, FAB_ERR_ARG, "a state is given before the first row");
    FAB_TRY(fab_scene_load(w->scene, state, err));
    FAB_TRY(advance(w, time_us, 1024, err));
    return put_keyframe(w, time_us, err);
}

fab_status fab_lesson_flush(fab_lesson_writer *w, fab_error *err) { return end_chunk(w, err); }

fab_status fab_lesson_finish(fab_lesson_writer *w, fab_error *err)
{
    if (w->unsaved) FAB_TRY(put_keyframe(w, keyframe_time(w), err));
    FAB_TRY(end_chunk(w, err));
    return fab_mcap_finish(w->mcap, err);
}
