/* lesson_batch.c - a batch that somebody else made, as the live channel brings it: taken apart and
 * checked to its last byte, then written sample by sample. Nothing of a batch that is wrong is
 * written, so that it can be dropped alone. */
#include "lesson_internal.h"

typedef struct batch {
    fab_lesson_writer *w;
    fab_lesson_kind kind;
    int stream;
    int64_t time_us, before_us;
    bool write; /* false: only check */
} batch;

/* Times of a batch grow and lie within its second. */
static fab_status check_time(batch *b, int64_t time_us, fab_cursor *c)
{
    if (time_us < b->before_us || time_us - b->time_us > LESSON_CHUNK_US)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "time", "not within the batch's second");
    b->before_us = time_us;
    return FAB_OK;
}

static fab_status poses(batch *b, fab_cursor *c, uint64_t count)
{
    track_pose_state state = {.time_us = b->time_us};
    fab_pose_sample s;
    for (; count; count--) {
        FAB_TRY(fab_track_take_pose(c, &state, &s));
        FAB_TRY(check_time(b, s.time_us, c));
        FAB_TRY(fab_track_check_pose(&s, c->err));
        if (b->write) FAB_TRY(fab_lesson_write_pose(b->w, b->stream, &s, c->err));
    }
    return FAB_OK;
}

static fab_status hands(batch *b, fab_cursor *c, uint64_t count)
{
    track_hand_state state = {.time_us = b->time_us};
    fab_hand_sample s;
    for (; count; count--) {
        FAB_TRY(fab_track_take_hand(c, &state, &s));
        FAB_TRY(check_time(b, s.time_us, c));
        FAB_TRY(fab_track_check_hand(&s, c->err));
        if (b->write) FAB_TRY(fab_lesson_write_hand(b->w, b->stream, &s, c->err));
    }
    return FAB_OK;
}

static fab_status voice(batch *b, fab_cursor *c, uint64_t count)
{
    track_voice_state state = {.time_us = b->time_us};
    track_packet p;
    for (; count; count--) {
        FAB_TRY(fab_track_take_packet(c, &state, &p));
        FAB_TRY(check_time(b, p.time_us, c));
        if (b->write)
            FAB_TRY(fab_lesson_write_voice(b->w, b->stream, p.time_us, p.sequence, p.bytes, p.count,
                                           c->err));
    }
    return FAB_OK;
}

static fab_status walk(batch *b, const void *bytes, size_t size, fab_error *err)
{
    fab_cursor c = {bytes, size, 0, 0, fab_lesson_kind_name(b->kind), "batch", err};
    uint64_t count = 0;
    b->before_us = b->time_us;
    FAB_TRY(fab_track_take_head(&c, &count));
    if (b->kind == FAB_LESSON_POSE) FAB_TRY(poses(b, &c, count));
    else if (b->kind == FAB_LESSON_HAND) FAB_TRY(hands(b, &c, count));
    else FAB_TRY(voice(b, &c, count));
    if (c.at == c.size) return FAB_OK;
    return fab_cursor_fail(&c, FAB_ERR_FORMAT, "data", "bytes are left behind the last sample");
}

fab_status fab_lesson_write_batch(fab_lesson_writer *w, fab_lesson_kind kind, int stream,
                                  int64_t time_us, const void *bytes, size_t count,
                                  int64_t *end_us, fab_error *err)
{
    batch b = {.w = w, .kind = kind, .stream = stream, .time_us = time_us};
    if (kind > FAB_LESSON_VOICE)
        FAB_FAIL(err, FAB_ERR_ARG, "a batch of %s", fab_lesson_kind_name(kind));
    if (time_us < 0 || time_us > FAB_LESSON_MAX_TIME_US || time_us % TRACK_TICK_US)
        FAB_FAIL(err, FAB_ERR_ARG, "time_us: %lld is no multiple of 100 in 0 to 48 h",
                 (long long)time_us);
    FAB_TRY(walk(&b, bytes, count, err));
    b.write = true;
    FAB_TRY(walk(&b, bytes, count, err));
    if (end_us) *end_us = b.before_us + (kind == FAB_LESSON_VOICE ? LESSON_PACKET_US : 0);
    return FAB_OK;
}
