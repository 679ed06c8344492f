/* lesson_read.c - a lesson chunk by chunk: batches unpacked into events, sorted by time; and the
 * state of the scene at any time, from the last keyframe before it. */
#include <stdlib.h>

#include "lesson_internal.h"

typedef struct event {
    fab_lesson_event e;
    size_t order, pose, hand; /* place among its like */
    fab_json *owned;
} event;

struct fab_lesson {
    fab_mcap *mcap;
    fab_json *about;
    uint16_t *structures;
    size_t structure_count;
    int64_t version, duration_us;
    size_t chunk, next;       /* chunk to load next; event to give next */
    size_t skipped;
    event *events;
    size_t event_count, event_capacity;
    fab_pose_sample *poses;
    size_t pose_count, pose_capacity;
    fab_hand_sample *hands;
    size_t hand_count, hand_capacity;
};

static void clear_events(fab_lesson *l)
{
    for (size_t i = 0; i < l->event_count; i++) fab_json_free(l->events[i].owned);
    l->event_count = l->pose_count = l->hand_count = l->next = 0;
}

fab_lesson *fab_lesson_free(fab_lesson *l)
{
    if (!l) return NULL;
    clear_events(l);
    fab_mcap_free(l->mcap);
    fab_json_free(l->about);
    fab_free(l->structures);
    fab_free(l->events);
    fab_free(l->poses);
    fab_free(l->hands);
    return fab_free(l);
}

const fab_mcap *fab_lesson_container(const fab_lesson *l) { return l->mcap; }
const fab_json *fab_lesson_about_json(const fab_lesson *l) { return l->about; }
size_t fab_lesson_skipped(const fab_lesson *l) { return l->skipped; }

const uint16_t *fab_lesson_structures(const fab_lesson *l, size_t *count)
{
    *count = l->structure_count;
    return l->structure_count ? l->structures : NULL;
}

int64_t fab_lesson_duration_us(const fab_lesson *l) { return l->duration_us; }

static fab_status read_about(fab_lesson *l, const char *file, fab_error *err)
{
    if (strcmp(fab_mcap_profile(l->mcap), LESSON_PROFILE) != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: MCAP of profile \"%.60s\", not a lesson", file,
                 fab_mcap_profile(l->mcap));
    FAB_TRY(fab_mcap_read_metadata(l->mcap, LESSON_PROFILE, &l->about, err));
    const char *version = fab_text_of(l->about, "format_version");
    if (version[0] < '1' || version[0] > '9' || strlen(version) > 4)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: format version \"%.20s\"", file, version);
    l->version = strtol(version, NULL, 10);
    return fab_lesson_parse_structures(fab_text_of(l->about, "structures"), &l->structures,
                                       &l->structure_count, err);
}

/* ---- events of a chunk ---------------------------------------------------------------------- */

static fab_status grow(void **array, size_t count, size_t *capacity, size_t size, fab_error *err)
{
    if (count < *capacity) return FAB_OK;
    size_t more = *capacity ? 2 * *capacity : 64;
    if (more > 2 * FAB_LESSON_MAX_EVENTS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a chunk of more than %d events", FAB_LESSON_MAX_EVENTS);
    void *grown = fab_realloc(*array, more * size);
    if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a chunk's events");
    *array = grown;
    *capacity = more;
    return FAB_OK;
}

static fab_status add_event(fab_lesson *l, fab_lesson_kind kind, const fab_mcap_message *m,
                            int64_t time_us, event **out, fab_error *err)
{
    FAB_TRY(grow((void **)&l->events, l->event_count, &l->event_capacity, sizeof *l->events, err));
    event *e = &l->events[l->event_count];
    *e = (event){.e = {.kind = kind, .channel = m->channel, .time_us = time_us,
                       .sequence = m->sequence}, .order = l->event_count};
    l->event_count++;
    *out = e;
    return FAB_OK;
}

static fab_status on_pose(fab_lesson *l, const fab_mcap_message *m, fab_cursor *c)
{
    track_pose_state state = {.time_us = (int64_t)(m->time_ns / 1000)};
    uint64_t count = 0;
    event *e = NULL;
    FAB_TRY(fab_track_take_head(c, &count));
    for (; count; count--) {
        FAB_TRY(grow((void **)&l->poses, l->pose_count, &l->pose_capacity, sizeof *l->poses,
                     c->err));
        fab_pose_sample *s = &l->poses[l->pose_count];
        FAB_TRY(fab_track_take_pose(c, &state, s));
        FAB_TRY(add_event(l, FAB_LESSON_POSE, m, s->time_us, &e, c->err));
        e->pose = l->pose_count++;
    }
    return FAB_OK;
}

static fab_status on_hand(fab_lesson *l, const fab_mcap_message *m, fab_cursor *c)
{
    track_hand_state state = {.time_us = (int64_t)(m->time_ns / 1000)};
    uint64_t count = 0;
    event *e = NULL;
    FAB_TRY(fab_track_take_head(c, &count));
    for (; count; count--) {
        FAB_TRY(grow((void **)&l->hands, l->hand_count, &l->hand_capacity, sizeof *l->hands,
                     c->err));
        fab_hand_sample *s = &l->hands[l->hand_count];
        FAB_TRY(fab_track_take_hand(c, &state, s));
        FAB_TRY(add_event(l, FAB_LESSON_HAND, m, s->time_us, &e, c->err));
        e->hand = l->hand_count++;
    }
    return FAB_OK;
}

static fab_status on_voice(fab_lesson *l, const fab_mcap_message *m, fab_cursor *c)
{
    track_voice_state state = {.time_us = (int64_t)(m->time_ns / 1000)};
    track_packet packet;
    uint64_t count = 0;
    event *e = NULL;
    FAB_TRY(fab_track_take_head(c, &count));
    for (; count; count--) {
        FAB_TRY(fab_track_take_packet(c, &state, &packet));
        FAB_TRY(add_event(l, FAB_LESSON_VOICE, m, packet.time_us, &e, c->err));
        e->e.sequence = packet.sequence;
        e->e.packet = packet.bytes;
        e->e.packet_bytes = packet.count;
    }
    return FAB_OK;
}

static fab_status on_json(fab_lesson *l, fab_lesson_kind kind, const fab_mcap_message *m,
                          fab_cursor *c)
{
    FAB_AUTO(fab_json_free) fab_json *value = NULL;
    size_t most = kind == FAB_LESSON_KEYFRAME ? FAB_SCENE_MAX_BYTES + 1024
                  : kind == FAB_LESSON_OP     ? FAB_SCENE_MAX_ROW_BYTES
                                              : FAB_LESSON_MAX_TEXT_BYTES;
    event *e = NULL;
    if (m->size > most) return fab_cursor_fail(c, FAB_ERR_LIMIT, "data", "too long for its kind");
    if (fab_json_parse(m->data, m->size, c->what, &value, c->err) < 0)
        return fab_error_prefix(c->err, "%s: byte %llu", c->file, (unsigned long long)c->origin);
    if (!fab_json_is_object(value))
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "data", "not an object");
    if (kind == FAB_LESSON_OP && fab_scene_check_row(value, c->err) < 0) {
        if (l->version <= LESSON_VERSION) return fab_error_prefix(c->err, "%s", c->file);
        l->skipped++; /* of a newer version: what is not known is left out, and said */
        return FAB_OK;
    }
    FAB_TRY(add_event(l, kind, m, (int64_t)(m->time_ns / 1000), &e, c->err));
    e->e.json = e->owned = value;
    value = NULL;
    return FAB_OK;
}

static fab_status on_message(fab_lesson *l, const fab_mcap_message *m, const char *file,
                             uint64_t origin, fab_error *err)
{
    const fab_lesson_kind kind = fab_lesson_kind_of(fab_mcap_channel_by_id(l->mcap, m->channel));
    fab_cursor c = {m->data, m->size, 0, origin, fab_lesson_kind_name(kind), file, err};
    fab_status status = FAB_OK;
    if (kind == FAB_LESSON_KINDS) {
        l->skipped++;
        return FAB_OK;
    }
    if (kind == FAB_LESSON_POSE) status = on_pose(l, m, &c);
    else if (kind == FAB_LESSON_HAND) status = on_hand(l, m, &c);
    else if (kind == FAB_LESSON_VOICE) status = on_voice(l, m, &c);
    else return on_json(l, kind, m, &c);
    if (status == FAB_OK && c.at != c.size)
        return fab_cursor_fail(&c, FAB_ERR_FORMAT, "data", "bytes are left behind the last sample");
    return status;
}

static int by_time(const void *one, const void *other)
{
    const event *a = one, *b = other;
    if (a->e.time_us != b->e.time_us) return a->e.time_us < b->e.time_us ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static fab_status load(fab_lesson *l, size_t index, fab_error *err)
{
    fab_mcap_message m;
    fab_status status = FAB_OK;
    const fab_mcap_chunk *chunk = fab_mcap_chunk_at(l->mcap, index);
    clear_events(l);
    FAB_TRY(fab_mcap_load_chunk(l->mcap, index, err));
    while ((status = fab_mcap_next_message(l->mcap, &m, err)) == FAB_OK) {
        if (l->event_count > FAB_LESSON_MAX_EVENTS)
            FAB_FAIL(err, FAB_ERR_LIMIT, "chunk %zu: more than %d events", index,
                     FAB_LESSON_MAX_EVENTS);
        FAB_TRY(on_message(l, &m, "lesson", chunk->records + m.at, err));
    }
    if (status < 0) return status;
    if (l->event_count) qsort(l->events, l->event_count, sizeof *l->events, by_time);
    for (size_t i = 0; i < l->event_count; i++) {
        event *e = &l->events[i];
        if (e->e.kind == FAB_LESSON_POSE) e->e.pose = &l->poses[e->pose];
        if (e->e.kind == FAB_LESSON_HAND) e->e.hand = &l->hands[e->hand];
    }
    return FAB_OK;
}

static fab_status measure_chunk(fab_lesson *l, size_t index, fab_error *err)
{
    fab_error ignored;
    fab_status status = load(l, index, &ignored);
    if (status == FAB_ERR_NOMEM) FAB_FAIL(err, status, "%s", ignored.message);
    for (size_t i = 0; status == FAB_OK && i < l->event_count; i++) {
        const fab_lesson_event *e = &l->events[i].e;
        int64_t us = e->time_us + (e->kind == FAB_LESSON_VOICE ? LESSON_PACKET_US : 0);
        if (us > l->duration_us) l->duration_us = us;
    }
    clear_events(l);
    l->skipped = 0;
    return FAB_OK;
}

/* A batch has its first sample's time: where the lesson ends is in its last chunks (behind an
 * attachment one may hold a keyframe alone). What is wrong with them is told when they are read. */
static fab_status measure(fab_lesson *l, fab_error *err)
{
    const size_t count = fab_mcap_chunk_count(l->mcap);
    for (size_t i = 0; i < count; i++) {
        const int64_t us = (int64_t)(fab_mcap_chunk_at(l->mcap, i)->end_ns / 1000);
        if (us > l->duration_us) l->duration_us = us;
    }
    for (size_t i = count > 2 ? count - 2 : 0; i < count; i++) FAB_TRY(measure_chunk(l, i, err));
    return FAB_OK;
}

/* Takes the container in any case. */
static fab_status open_on(fab_mcap *mcap, const char *file, fab_lesson **out, fab_error *err)
{
    FAB_AUTO(fab_lesson_free) fab_lesson *l = fab_calloc(1, sizeof *l);
    if (!l) {
        fab_mcap_free(mcap);
        FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to read it", file);
    }
    l->mcap = mcap;
    FAB_TRY(read_about(l, file, err));
    for (size_t i = 0; i < fab_mcap_chunk_count(mcap); i++)
        if (fab_mcap_chunk_at(mcap, i)->end_ns > (uint64_t)FAB_LESSON_MAX_TIME_US * 1000)
            FAB_FAIL(err, FAB_ERR_LIMIT, "%s: chunk %zu: longer than 48 h", file, i);
    FAB_TRY(measure(l, err));
    *out = l;
    l = NULL;
    return FAB_OK;
}

fab_status fab_lesson_open(const fab_reader *source, fab_lesson **out, fab_error *err)
{
    fab_mcap *mcap = NULL;
    FAB_TRY(fab_mcap_open(source, &mcap, err));
    return open_on(mcap, source->name, out, err);
}

fab_status fab_lesson_open_strict(const fab_reader *source, fab_lesson **out, fab_error *err)
{
    fab_mcap *mcap = NULL;
    FAB_TRY(fab_mcap_open_scan(source, &mcap, err));
    return open_on(mcap, source->name, out, err);
}

fab_status fab_lesson_next(fab_lesson *l, fab_lesson_event *out, fab_error *err)
{
    while (l->next >= l->event_count) {
        if (l->chunk >= fab_mcap_chunk_count(l->mcap)) return FAB_LESSON_END;
        FAB_TRY(load(l, l->chunk, err));
        l->chunk++;
    }
    *out = l->events[l->next++].e;
    return FAB_OK;
}

/* ---- going to a time ------------------------------------------------------------------------ */

/* May the chunk hold messages of that kind? */
static bool may_hold(const fab_lesson *l, size_t index, fab_lesson_kind kind)
{
    const fab_mcap_chunk *chunk = fab_mcap_chunk_at(l->mcap, index);
    for (size_t i = 0; i < chunk->channel_count; i++) {
        const fab_mcap_channel *channel = fab_mcap_channel_by_id(l->mcap, chunk->channels[i]);
        if (channel && fab_lesson_kind_of(channel) == kind) return true;
    }
    return chunk->channels == NULL;
}

/* The last chunk that starts at or before time_us; 0 if none does. */
static size_t chunk_at(const fab_lesson *l, int64_t time_us)
{
    size_t i = fab_mcap_chunk_count(l->mcap);
    while (i > 1 && fab_mcap_chunk_at(l->mcap, i - 1)->start_ns > (uint64_t)time_us * 1000) i--;
    return i ? i - 1 : 0;
}

/* The event of the last keyframe at or before time_us in the loaded chunk; SIZE_MAX: none. */
static size_t keyframe_event(const fab_lesson *l, int64_t time_us)
{
    for (size_t i = l->event_count; i--;)
        if (l->events[i].e.kind == FAB_LESSON_KEYFRAME && l->events[i].e.time_us <= time_us)
            return i;
    return SIZE_MAX;
}

static fab_status apply_rows(fab_lesson *l, size_t from, int64_t time_us, fab_scene *scene,
                             fab_error *err)
{
    for (size_t i = from; i < l->event_count; i++) {
        const fab_lesson_event *e = &l->events[i].e;
        if (e->kind == FAB_LESSON_OP && e->time_us <= time_us)
            FAB_TRY(fab_scene_apply(scene, e->json, err));
    }
    return FAB_OK;
}

static fab_status scene_at(fab_lesson *l, size_t last, int64_t time_us, fab_scene **out,
                           fab_error *err)
{
    FAB_AUTO(fab_scene_free) fab_scene *scene = NULL;
    size_t first = 0;
    FAB_TRY(fab_scene_create(l->structures, l->structure_count, &scene, err));
    for (size_t i = last + 1; i-- && fab_mcap_chunk_count(l->mcap);) {
        if (!may_hold(l, i, FAB_LESSON_KEYFRAME)) continue;
        FAB_TRY(load(l, i, err));
        size_t at = keyframe_event(l, time_us);
        if (at == SIZE_MAX) continue;
        FAB_TRY(fab_scene_load(scene, fab_json_find(l->events[at].e.json, "state"), err));
        FAB_TRY(apply_rows(l, at, time_us, scene, err));
        first = i + 1;
        break;
    }
    for (size_t i = first; i <= last && i < fab_mcap_chunk_count(l->mcap); i++) {
        if (!may_hold(l, i, FAB_LESSON_OP)) continue;
        FAB_TRY(load(l, i, err));
        FAB_TRY(apply_rows(l, 0, time_us, scene, err));
    }
    *out = scene;
    scene = NULL;
    return FAB_OK;
}

fab_status fab_lesson_seek(fab_lesson *l, int64_t time_us, fab_scene **scene, fab_error *err)
{
    if (time_us < 0) time_us = 0;
    size_t chunk = chunk_at(l, time_us);
    if (scene) FAB_TRY(scene_at(l, chunk, time_us, scene, err));
    clear_events(l);
    l->chunk = chunk;
    return FAB_OK;
}
