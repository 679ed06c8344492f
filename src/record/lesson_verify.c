/* lesson_verify.c - is a lesson what it says: every CRC, every time, every row, every keyframe
 * against the rows before it, no key that would name a patient. And what `info` says of it. */
#include "lesson_internal.h"

typedef struct check {
    fab_lesson *l;
    fab_scene *scene;
    int64_t last_us[65536 / 64]; /* by channel's place among the container's */
    int64_t row_us;
    uint32_t row_sequence;
    bool any_row, any_state;
    size_t counts[FAB_LESSON_KINDS];
} check;

static size_t place_of(const fab_mcap *m, uint16_t channel)
{
    size_t i = 0;
    while (fab_mcap_channel_at(m, i) && fab_mcap_channel_at(m, i)->id != channel) i++;
    return i;
}

static fab_status check_times(check *k, const fab_lesson_event *e, fab_error *err)
{
    size_t place = place_of(fab_lesson_container(k->l), e->channel);
    if (e->time_us < k->last_us[place])
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s at %.3f s: its channel was at %.3f s before",
                 fab_lesson_kind_name(e->kind), (double)e->time_us * 1e-6,
                 (double)k->last_us[place] * 1e-6);
    k->last_us[place] = e->time_us;
    return FAB_OK;
}

static fab_status check_row(check *k, const fab_lesson_event *e, fab_error *err)
{
    uint32_t sequence = (uint32_t)fab_json_integer(fab_json_find(e->json, "seq"));
    if (fab_json_integer(fab_json_find(e->json, "t")) != e->time_us)
        FAB_FAIL(err, FAB_ERR_FORMAT, "row %u: t is not its message's time, %lld us", sequence,
                 (long long)e->time_us);
    if (k->any_row && sequence <= k->row_sequence)
        FAB_FAIL(err, FAB_ERR_FORMAT, "row %u comes after row %u", sequence, k->row_sequence);
    k->any_row = true;
    k->row_sequence = sequence;
    return fab_scene_apply(k->scene, e->json, err);
}

static fab_status check_keyframe(check *k, const fab_lesson_event *e, fab_error *err)
{
    FAB_AUTO(fab_scene_free) fab_scene *held = NULL;
    const fab_json *state = NULL;
    const char *said = NULL;
    char hex[65];
    size_t count = 0;
    const uint16_t *ids = fab_lesson_structures(k->l, &count);
    FAB_TRY(fab_json_get_object(e->json, "state", &state, err));
    FAB_TRY(fab_json_get_string(e->json, "sha256", &said, err));
    FAB_TRY(fab_scene_create(ids, count, &held, err));
    FAB_TRY(fab_scene_load(held, state, err));
    FAB_TRY(fab_scene_hash(held, hex, err));
    if (strcmp(hex, said) != 0)
        FAB_FAIL(err, FAB_ERR_INTEGRITY, "keyframe at %.3f s: its state has the hash %s, not %.64s",
                 (double)e->time_us * 1e-6, hex, said);
    if (!k->any_row && !k->any_state) FAB_TRY(fab_scene_load(k->scene, state, err));
    k->any_state = true;
    FAB_TRY(fab_scene_hash(k->scene, hex, err));
    if (strcmp(hex, said) != 0)
        FAB_FAIL(err, FAB_ERR_INTEGRITY, "keyframe at %.3f s: the rows before it lead to %s, not "
                 "%.64s", (double)e->time_us * 1e-6, hex, said);
    return FAB_OK;
}

static fab_status check_event(check *k, const fab_lesson_event *e, fab_error *err)
{
    k->counts[e->kind]++;
    FAB_TRY(check_times(k, e, err));
    if (e->kind == FAB_LESSON_OP) return check_row(k, e, err);
    if (e->kind == FAB_LESSON_KEYFRAME) return check_keyframe(k, e, err);
    return e->kind == FAB_LESSON_META ? fab_lesson_check_private(e->json, err) : FAB_OK;
}

/* Captions must be captions. */
static fab_status check_attachments(const fab_mcap *m, fab_error *err)
{
    for (size_t i = 0; i < fab_mcap_attachment_count(m); i++) {
        const fab_mcap_attachment *a = fab_mcap_attachment_at(m, i);
        FAB_AUTO_BUF fab_buf data = {0};
        if (strcmp(a->media_type, "text/vtt") != 0) continue;
        FAB_TRY(fab_mcap_read_attachment(m, i, &data, err));
        if (fab_webvtt_retime((const char *)data.data, data.size, 0, -1, NULL, err) < 0)
            return fab_error_prefix(err, "attachment %.100s", a->name);
    }
    return FAB_OK;
}

static fab_status put_counts(const check *k, fab_json *report, fab_error *err)
{
    const fab_mcap *m = fab_lesson_container(k->l);
    FAB_TRY(fab_json_set(report, "cut", fab_json_bool(fab_mcap_is_cut(m)), err));
    FAB_TRY(fab_json_set(report, "whole_bytes", fab_json_int((int64_t)fab_mcap_whole_bytes(m)),
                         err));
    FAB_TRY(fab_json_set(report, "chunks", fab_json_int((int64_t)fab_mcap_chunk_count(m)), err));
    FAB_TRY(fab_json_set(report, "attachments",
                         fab_json_int((int64_t)fab_mcap_attachment_count(m)), err));
    for (int i = 0; i < FAB_LESSON_KINDS; i++)
        FAB_TRY(fab_json_set(report, fab_lesson_kinds[i].topic,
                             fab_json_int((int64_t)k->counts[i]), err));
    return fab_json_set(report, "skipped", fab_json_int((int64_t)fab_lesson_skipped(k->l)), err);
}

static fab_status verify(check *k, fab_json **report, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *counts = fab_json_object();
    fab_lesson_event e;
    fab_status status = FAB_OK;
    size_t count = 0;
    const uint16_t *ids = fab_lesson_structures(k->l, &count);
    const fab_mcap *m = fab_lesson_container(k->l);
    if (!counts) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a report");
    FAB_TRY(fab_scene_create(ids, count, &k->scene, err));
    FAB_TRY(fab_lesson_check_private(fab_lesson_about_json(k->l), err));
    for (size_t i = 0; i < fab_mcap_channel_count(m); i++)
        FAB_TRY(fab_lesson_check_private(fab_mcap_channel_at(m, i)->metadata, err));
    while ((status = fab_lesson_next(k->l, &e, err)) == FAB_OK) FAB_TRY(check_event(k, &e, err));
    if (status < 0) return status;
    FAB_TRY(check_attachments(m, err));
    FAB_TRY(put_counts(k, counts, err));
    *report = counts;
    counts = NULL;
    return FAB_OK;
}

fab_status fab_lesson_verify(const fab_reader *source, fab_json **report, fab_error *err)
{
    FAB_AUTO_FREE check *k = fab_calloc(1, sizeof *k);
    if (!k) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to check it", source->name);
    fab_status status = fab_lesson_open_strict(source, &k->l, err);
    if (status == FAB_OK) {
        status = verify(k, report, err);
        if (status < 0 && err && strncmp(err->message, source->name, strlen(source->name)) != 0)
            fab_error_prefix(err, "%s", source->name);
    }
    fab_scene_free(k->scene);
    fab_lesson_free(k->l);
    return status;
}

/* ---- what it is ----------------------------------------------------------------------------- */

static fab_status measure_channels(const fab_reader *source, uint64_t *bytes, fab_error *err)
{
    FAB_AUTO(fab_mcap_free) fab_mcap *m = NULL;
    fab_mcap_message message;
    fab_status status = FAB_OK;
    FAB_TRY(fab_mcap_open(source, &m, err));
    for (size_t i = 0; i < fab_mcap_chunk_count(m); i++) {
        FAB_TRY(fab_mcap_load_chunk(m, i, err));
        while ((status = fab_mcap_next_message(m, &message, err)) == FAB_OK)
            bytes[place_of(m, message.channel)] += message.size;
        if (status < 0) return status;
    }
    return FAB_OK;
}

static fab_status put_channels(const fab_mcap *m, const uint64_t *bytes, fab_json *to,
                               fab_error *err)
{
    fab_json *list = fab_json_array();
    FAB_TRY(fab_json_set(to, "channels", list, err));
    for (size_t i = 0; i < fab_mcap_channel_count(m); i++) {
        const fab_mcap_channel *c = fab_mcap_channel_at(m, i);
        fab_json *row = fab_json_object();
        FAB_TRY(fab_json_append(list, row, err));
        FAB_TRY(fab_json_set(row, "topic", fab_json_string(c->topic), err));
        FAB_TRY(fab_json_set(row, "encoding", fab_json_string(c->encoding), err));
        FAB_TRY(fab_json_set(row, "messages", fab_json_int((int64_t)c->messages), err));
        FAB_TRY(fab_json_set(row, "bytes", fab_json_int((int64_t)bytes[i]), err));
        FAB_TRY(fab_json_set(row, "metadata", fab_json_retain(c->metadata), err));
    }
    return FAB_OK;
}

static fab_status put_attachments(const fab_mcap *m, fab_json *to, fab_error *err)
{
    fab_json *list = fab_json_array();
    FAB_TRY(fab_json_set(to, "attachments", list, err));
    for (size_t i = 0; i < fab_mcap_attachment_count(m); i++) {
        const fab_mcap_attachment *a = fab_mcap_attachment_at(m, i);
        fab_json *row = fab_json_object();
        FAB_TRY(fab_json_append(list, row, err));
        FAB_TRY(fab_json_set(row, "name", fab_json_string(a->name), err));
        FAB_TRY(fab_json_set(row, "media_type", fab_json_string(a->media_type), err));
        FAB_TRY(fab_json_set(row, "bytes", fab_json_int((int64_t)a->data_bytes), err));
    }
    return FAB_OK;
}

static fab_status describe(const fab_reader *source, const fab_lesson *l, const uint64_t *bytes,
                           fab_json *to, fab_error *err)
{
    const fab_mcap *m = fab_lesson_container(l);
    fab_json *chapters = NULL;
    fab_json *about = (fab_json *)(uintptr_t)fab_lesson_about_json(l);
    double seconds = (double)fab_lesson_duration_us(l) * 1e-6;
    double rate = seconds > 0 ? (double)source->size * 1e-6 * 3600 / seconds : 0;
    FAB_TRY(fab_json_set(to, "about", fab_json_retain(about), err));
    FAB_TRY(fab_json_set(to, "library", fab_json_string(fab_mcap_library(m)), err));
    FAB_TRY(fab_json_set(to, "duration_s", fab_json_real(seconds), err));
    FAB_TRY(fab_json_set(to, "bytes", fab_json_int((int64_t)source->size), err));
    FAB_TRY(fab_json_set(to, "mb_per_hour", fab_json_real(rate), err));
    FAB_TRY(fab_json_set(to, "cut", fab_json_bool(fab_mcap_is_cut(m)), err));
    FAB_TRY(fab_json_set(to, "chunks", fab_json_int((int64_t)fab_mcap_chunk_count(m)), err));
    FAB_TRY(put_channels(m, bytes, to, err));
    FAB_TRY(put_attachments(m, to, err));
    FAB_TRY(fab_lesson_chapters(source, &chapters, err));
    return fab_json_set(to, "chapters", chapters, err);
}

fab_status fab_lesson_describe(const fab_reader *source, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_lesson_free) fab_lesson *l = NULL;
    FAB_AUTO(fab_json_free) fab_json *to = fab_json_object();
    FAB_AUTO_FREE uint64_t *bytes = fab_calloc(FAB_LESSON_MAX_CHANNELS + 1, sizeof *bytes);
    if (!to || !bytes) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory", source->name);
    FAB_TRY(fab_lesson_open(source, &l, err));
    FAB_TRY(measure_channels(source, bytes, err));
    FAB_TRY(describe(source, l, bytes, to, err));
    *out = to;
    to = NULL;
    return FAB_OK;
}

fab_status fab_lesson_chapters(const fab_reader *source, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_lesson_free) fab_lesson *l = NULL;
    FAB_AUTO(fab_json_free) fab_json *list = fab_json_array();
    fab_lesson_event e;
    fab_status status = FAB_OK;
    if (!list) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory", source->name);
    FAB_TRY(fab_lesson_open(source, &l, err));
    while ((status = fab_lesson_next(l, &e, err)) == FAB_OK) {
        if (e.kind != FAB_LESSON_OP || strcmp(fab_text_of(e.json, "op"), "chapter") != 0) continue;
        const fab_json *args = fab_json_find(e.json, "args");
        fab_json *row = fab_json_object();
        FAB_TRY(fab_json_append(list, row, err));
        FAB_TRY(fab_json_set(row, "t", fab_json_int(e.time_us), err));
        FAB_TRY(fab_json_set(row, "title", fab_json_string(fab_text_of(args, "title")), err));
    }
    if (status < 0) return status;
    *out = list;
    list = NULL;
    return FAB_OK;
}
