/* lesson_edit.c - an edited copy of a lesson: read event by event, moved in time, written anew.
 * Rows get new numbers, since some go and some come; keyframes are made by the writer; a copy
 * that does not begin at the start begins with the state at that time. */
#include <stdio.h>

#include "lesson_internal.h"

typedef struct renamed {
    uint32_t old, new;
} renamed;

typedef struct rewrite {
    fab_lesson *from;
    fab_lesson_writer *to;
    const fab_lesson_edit *edit;
    int64_t from_us, to_us;
    int *streams;      /* by the channel's place in the source; -1: not yet */
    renamed *rows;     /* of rows that were kept, ascending */
    size_t row_count;
    uint32_t sequence;
    size_t chapter;    /* next one to set */
    size_t packet;     /* of the new voice, the next */
    int voice_stream;  /* -1: none yet */
    uint32_t voice_next, voice_shift;
    int64_t voice_from_us, voice_to_us;
    fab_error *err;
} rewrite;

static fab_status stream_of(rewrite *r, const fab_lesson_event *e, int *out)
{
    const fab_mcap *m = fab_lesson_container(r->from);
    size_t i = 0;
    while (fab_mcap_channel_at(m, i)->id != e->channel) i++;
    if (r->streams[i] < 0) {
        const fab_mcap_channel *channel = fab_mcap_channel_at(m, i);
        const char *slash = strchr(channel->topic, '/');
        FAB_TRY(fab_lesson_add_stream(r->to, e->kind, slash ? slash + 1 : "", channel->metadata,
                                      &r->streams[i], r->err));
    }
    *out = r->streams[i];
    return FAB_OK;
}

static const renamed *find_row(const rewrite *r, uint32_t old)
{
    for (size_t i = r->row_count; i--;)
        if (r->rows[i].old == old) return &r->rows[i];
    return NULL;
}

static fab_status keep_name(rewrite *r, uint32_t old)
{
    if ((r->row_count & (r->row_count - 1)) == 0) {
        size_t more = r->row_count ? 2 * r->row_count : 1;
        renamed *grown = fab_realloc(r->rows, more * sizeof *grown);
        if (!grown) FAB_FAIL(r->err, FAB_ERR_NOMEM, "no memory for %zu rows", more);
        r->rows = grown;
    }
    r->rows[r->row_count++] = (renamed){old, r->sequence};
    return FAB_OK;
}

static fab_status put_row(rewrite *r, const char *op, fab_json *args, const char *by,
                          int64_t time_us, const fab_json *undoes)
{
    FAB_AUTO(fab_json_free) fab_json *row = fab_json_object();
    const renamed *target =
        undoes ? find_row(r, (uint32_t)fab_json_integer(undoes)) : NULL;
    if (!row) {
        fab_json_free(args);
        FAB_FAIL(r->err, FAB_ERR_NOMEM, "no memory for a row");
    }
    FAB_TRY(fab_json_set(row, "args", args, r->err));
    FAB_TRY(fab_json_set(row, "op", fab_json_string(op), r->err));
    FAB_TRY(fab_json_set(row, "seq", fab_json_int(++r->sequence), r->err));
    FAB_TRY(fab_json_set(row, "by", fab_json_string(by), r->err));
    FAB_TRY(fab_json_set(row, "t", fab_json_int(time_us - r->from_us), r->err));
    if (target) FAB_TRY(fab_json_set(row, "undoes", fab_json_int(target->new), r->err));
    return fab_lesson_write_row(r->to, row, r->err);
}

static fab_status copy_row(rewrite *r, const fab_lesson_event *e)
{
    const char *op = fab_text_of(e->json, "op");
    fab_json *args = (fab_json *)(uintptr_t)fab_json_find(e->json, "args");
    if (r->edit->set_chapters && strcmp(op, "chapter") == 0) return FAB_OK;
    FAB_TRY(put_row(r, op, fab_json_retain(args), fab_text_of(e->json, "by"), e->time_us,
                    fab_json_find(e->json, "undoes")));
    return keep_name(r, (uint32_t)fab_json_integer(fab_json_find(e->json, "seq")));
}

static fab_status put_chapters(rewrite *r, int64_t until_us)
{
    const fab_lesson_edit *edit = r->edit;
    for (; edit->set_chapters && r->chapter < edit->chapter_count; r->chapter++) {
        const fab_lesson_chapter *c = &edit->chapters[r->chapter];
        if (c->time_us > until_us) break;
        if (c->time_us < r->from_us || c->time_us > r->to_us) continue;
        fab_json *args = fab_json_object();
        fab_status status = fab_json_set(args, "title", fab_json_string(c->title), r->err);
        if (status < 0) {
            fab_json_free(args);
            return status;
        }
        FAB_TRY(put_row(r, "chapter", args, "editor", c->time_us, NULL));
    }
    return FAB_OK;
}

/* Packets of the new voice go where the old one was, so that players which follow one voice hear
 * it; a lesson without voice gets a channel. */
static fab_status find_voice(rewrite *r)
{
    FAB_AUTO(fab_json_free) fab_json *about = NULL;
    const fab_mcap *m = fab_lesson_container(r->from);
    char number[16];
    for (size_t i = 0; i < fab_mcap_channel_count(m); i++) {
        const fab_mcap_channel *c = fab_mcap_channel_at(m, i);
        if (fab_lesson_kind_of(c) != FAB_LESSON_VOICE) continue;
        const fab_lesson_event e = {.kind = FAB_LESSON_VOICE, .channel = c->id};
        return stream_of(r, &e, &r->voice_stream);
    }
    about = fab_json_object();
    FAB_TRY(fab_json_set(about, "codec", fab_json_string("opus"), r->err));
    FAB_TRY(fab_json_set(about, "sample_rate", fab_json_string("48000"), r->err));
    FAB_TRY(fab_json_set(about, "frame_us", fab_json_string("20000"), r->err));
    snprintf(number, sizeof number, "%d", r->edit->voice->channels);
    FAB_TRY(fab_json_set(about, "channels", fab_json_string(number), r->err));
    snprintf(number, sizeof number, "%d", r->edit->voice->pre_skip);
    FAB_TRY(fab_json_set(about, "pre_skip", fab_json_string(number), r->err));
    return fab_lesson_add_stream(r->to, FAB_LESSON_VOICE, "", about, &r->voice_stream, r->err);
}

/* Numbers of one stream's packets only grow: what follows a new voice of more packets than the old
 * one is numbered on. */
static uint32_t next_packet(rewrite *r, uint32_t wanted)
{
    wanted += r->voice_shift;
    if (wanted < r->voice_next) {
        r->voice_shift += r->voice_next - wanted;
        wanted = r->voice_next;
    }
    r->voice_next = wanted + 1;
    return wanted;
}

static fab_status put_voice(rewrite *r, int64_t until_us)
{
    const fab_opus_track *voice = r->edit->set_voice ? r->edit->voice : NULL;
    for (; voice && r->packet < voice->count; r->packet++) {
        const uint8_t *ends = voice->ends.data + 4 * r->packet;
        const size_t first = r->packet ? fab_peek_uint(ends - 4, 4) : 0;
        const int64_t time_us = r->voice_from_us + (int64_t)r->packet * LESSON_PACKET_US;
        if (time_us > until_us) return FAB_OK;
        if (time_us < r->from_us) continue;
        FAB_TRY(fab_lesson_write_voice(r->to, r->voice_stream, time_us - r->from_us,
                                       r->voice_next++, voice->data.data + first,
                                       fab_peek_uint(ends, 4) - first, r->err));
    }
    return FAB_OK;
}

static bool is_silenced(const rewrite *r, const fab_lesson_event *e)
{
    return r->edit->set_voice && e->kind == FAB_LESSON_VOICE && e->time_us >= r->voice_from_us &&
           e->time_us < r->voice_to_us;
}

static fab_status copy_event(rewrite *r, const fab_lesson_event *e)
{
    int stream = 0;
    int64_t time_us = e->time_us - r->from_us;
    if (e->kind == FAB_LESSON_KEYFRAME || is_silenced(r, e)) return FAB_OK;
    if (e->kind == FAB_LESSON_OP) return copy_row(r, e);
    if (e->kind == FAB_LESSON_META) return fab_lesson_write_meta(r->to, time_us, e->json, r->err);
    FAB_TRY(stream_of(r, e, &stream));
    if (e->kind == FAB_LESSON_VOICE)
        return fab_lesson_write_voice(
            r->to, stream, time_us,
            stream == r->voice_stream ? next_packet(r, e->sequence) : e->sequence, e->packet,
            e->packet_bytes, r->err);
    if (e->kind == FAB_LESSON_HAND) {
        fab_hand_sample hand = *e->hand;
        hand.time_us = time_us;
        return fab_lesson_write_hand(r->to, stream, &hand, r->err);
    }
    fab_pose_sample pose = *e->pose;
    pose.time_us = time_us;
    return fab_lesson_write_pose(r->to, stream, &pose, r->err);
}

static fab_status copy_attachments(rewrite *r)
{
    const fab_lesson_edit *edit = r->edit;
    const fab_mcap *m = fab_lesson_container(r->from);
    for (size_t i = 0; i < fab_mcap_attachment_count(m); i++) {
        FAB_AUTO_BUF fab_buf data = {0};
        FAB_AUTO_BUF fab_buf moved = {0};
        const fab_mcap_attachment *a = fab_mcap_attachment_at(m, i);
        const fab_buf *kept = &data;
        if (edit->attachment && strcmp(edit->attachment, a->name) == 0) continue;
        FAB_TRY(fab_mcap_read_attachment(m, i, &data, r->err));
        if (strcmp(a->media_type, "text/vtt") == 0) {
            FAB_TRY(fab_webvtt_retime((const char *)data.data, data.size, r->from_us,
                                      edit->to_us < 0 ? -1 : r->to_us, &moved, r->err));
            kept = &moved;
        }
        FAB_TRY(fab_lesson_attach(r->to, a->name, a->media_type, kept->data, kept->size, r->err));
    }
    if (!edit->attachment || !edit->data) return FAB_OK;
    return fab_lesson_attach(r->to, edit->attachment, edit->media_type, edit->data,
                             edit->data_bytes, r->err);
}

/* The state where the copy begins, if it is not the start's. */
static fab_status begin(rewrite *r)
{
    FAB_AUTO(fab_scene_free) fab_scene *scene = NULL;
    FAB_AUTO(fab_json_free) fab_json *state = NULL;
    FAB_AUTO_BUF fab_buf text = {0};
    if (r->from_us == 0) {
        /* a lesson that was cut from another may begin with a state of its own */
        fab_lesson_event e;
        fab_status status = fab_lesson_next(r->from, &e, r->err);
        while (status == FAB_OK && e.kind != FAB_LESSON_OP && e.kind != FAB_LESSON_KEYFRAME)
            status = fab_lesson_next(r->from, &e, r->err);
        if (status < 0) return status;
        if (status == FAB_OK && e.kind == FAB_LESSON_KEYFRAME)
            FAB_TRY(fab_lesson_write_state(r->to, 0, fab_json_find(e.json, "state"), r->err));
        return fab_lesson_seek(r->from, 0, NULL, r->err);
    }
    FAB_TRY(fab_lesson_seek(r->from, r->from_us - 1, &scene, r->err));
    FAB_TRY(fab_scene_dump(scene, &text, r->err));
    FAB_TRY(fab_json_parse(text.data, text.size, "state", &state, r->err));
    return fab_lesson_write_state(r->to, 0, state, r->err);
}

static fab_status copy_all(rewrite *r)
{
    fab_lesson_event e;
    fab_status status = FAB_OK;
    FAB_TRY(begin(r));
    if (r->edit->set_voice && r->edit->voice) FAB_TRY(find_voice(r));
    while ((status = fab_lesson_next(r->from, &e, r->err)) == FAB_OK) {
        if (e.time_us < r->from_us || e.time_us > r->to_us) continue;
        FAB_TRY(put_chapters(r, e.time_us));
        FAB_TRY(put_voice(r, e.time_us));
        FAB_TRY(copy_event(r, &e));
    }
    if (status < 0) return status;
    FAB_TRY(put_chapters(r, r->to_us));
    FAB_TRY(put_voice(r, r->to_us));
    FAB_TRY(copy_attachments(r));
    return fab_lesson_finish(r->to, r->err);
}

static fab_status create_writer(rewrite *r, const fab_mcap_sink *sink)
{
    const fab_json *about = fab_lesson_about_json(r->from);
    size_t count = 0;
    const uint16_t *ids = fab_lesson_structures(r->from, &count);
    const fab_lesson_about a = {
        .title = fab_text_of(about, "title"), .language = fab_text_of(about, "language"),
        .created = fab_text_of(about, "created"), .structures = ids, .structure_count = count,
        .manifest_sha256 = fab_text_of(about, "manifest_sha256"),
        .labels_sha256 = fab_text_of(about, "labels_sha256"),
        .software = fab_text_of(about, "software")};
    return fab_lesson_writer_create(sink, &a, &r->to, r->err);
}

static fab_status check_voice(rewrite *r, const char *name, int64_t end_us)
{
    const fab_lesson_edit *edit = r->edit;
    if (!edit->set_voice) return FAB_OK;
    r->voice_from_us = edit->voice_from_us - edit->voice_from_us % TRACK_TICK_US;
    r->voice_to_us = edit->voice_to_us < 0 ? end_us + 1 : edit->voice_to_us;
    int64_t room_us = (edit->voice_to_us < 0 ? end_us : edit->voice_to_us) - r->voice_from_us;
    int64_t heard_us = edit->voice ? (int64_t)edit->voice->count * LESSON_PACKET_US : 0;
    if (edit->voice_from_us < 0 || room_us <= 0)
        FAB_FAIL(r->err, FAB_ERR_ARG, "%s: voice from %.3f to %.3f s of a lesson of %.3f s", name,
                 (double)r->voice_from_us * 1e-6, (double)r->voice_to_us * 1e-6,
                 (double)end_us * 1e-6);
    if (heard_us > room_us)
        FAB_FAIL(r->err, FAB_ERR_ARG, "%s: the new voice takes %.2f s, there are %.2f s from %.3f "
                 "s on", name, (double)heard_us * 1e-6, (double)room_us * 1e-6,
                 (double)r->voice_from_us * 1e-6);
    return FAB_OK;
}

static fab_status prepare(rewrite *r, const fab_reader *source, const fab_mcap_sink *sink)
{
    const fab_lesson_edit *edit = r->edit;
    FAB_TRY(fab_lesson_open(source, &r->from, r->err));
    int64_t end_us = fab_lesson_duration_us(r->from);
    r->from_us = edit->from_us - edit->from_us % TRACK_TICK_US;
    r->to_us = edit->to_us < 0 ? end_us : edit->to_us;
    if (edit->from_us < 0 || r->to_us <= r->from_us || r->from_us >= end_us)
        FAB_FAIL(r->err, FAB_ERR_ARG, "%s: %.3f to %.3f s of a lesson of %.3f s", source->name,
                 (double)edit->from_us * 1e-6, (double)r->to_us * 1e-6, (double)end_us * 1e-6);
    FAB_TRY(check_voice(r, source->name, end_us));
    if (edit->data && strcmp(edit->media_type, "text/vtt") == 0)
        FAB_TRY(fab_webvtt_retime(edit->data, edit->data_bytes, 0, -1, NULL, r->err));
    size_t channels = fab_mcap_channel_count(fab_lesson_container(r->from));
    r->streams = fab_alloc_array(channels + 1, sizeof *r->streams);
    if (!r->streams) FAB_FAIL(r->err, FAB_ERR_NOMEM, "%s: no memory to edit it", source->name);
    for (size_t i = 0; i <= channels; i++) r->streams[i] = -1;
    return create_writer(r, sink);
}

fab_status fab_lesson_rewrite(const fab_reader *source, const fab_lesson_edit *edit,
                              const fab_mcap_sink *sink, fab_error *err)
{
    rewrite r = {.edit = edit, .voice_stream = -1, .err = err};
    for (size_t i = 1; edit->set_chapters && i < edit->chapter_count; i++)
        if (edit->chapters[i].time_us < edit->chapters[i - 1].time_us)
            FAB_FAIL(err, FAB_ERR_ARG, "chapter %zu is before the one above it", i + 1);
    fab_status status = prepare(&r, source, sink);
    if (status == FAB_OK) status = copy_all(&r);
    fab_lesson_writer_free(r.to);
    fab_lesson_free(r.from);
    fab_free(r.streams);
    fab_free(r.rows);
    return status;
}
