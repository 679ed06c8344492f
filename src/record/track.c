/* track.c - samples of a batch as differences from the one before (docs/formats/lesson.md).
 *
 * A pose is a head byte and up to three groups:
 *   bits 0-1 largest, 2-3 width of the position's differences, 4-5 of the rotation's,
 *   bit 6 controls follow (devices only), bit 7 emulated
 *   width 0: no difference, 1: three of 5 bits in 2 bytes, 2: three bytes, 3: three varints
 * A rotation whose largest component changed is coded against zero. */
#include "track_internal.h"

enum { NONE, FIVE_BITS, BYTES, VARINTS };

static int width_of(const int32_t d[3])
{
    int32_t low = 0, high = 0;
    for (int i = 0; i < 3; i++) {
        if (d[i] < low) low = d[i];
        if (d[i] > high) high = d[i];
    }
    if (!low && !high) return NONE;
    if (low >= -16 && high < 16) return FIVE_BITS;
    return low >= -128 && high < 128 ? BYTES : VARINTS;
}

static uint64_t zigzag(int32_t v)
{
    return v < 0 ? 2 * (uint64_t)(-(int64_t)v) - 1 : 2 * (uint64_t)v;
}

static fab_status put_group(fab_buf *b, const int32_t d[3], int width, fab_error *err)
{
    uint32_t packed = 0;
    if (width == FIVE_BITS) {
        for (int i = 0; i < 3; i++) packed |= ((uint32_t)d[i] & 31) << 5 * i;
        return fab_put_uint(b, packed, 2, err);
    }
    for (int i = 0; i < 3 && width; i++) {
        if (width == BYTES) FAB_TRY(fab_put_uint(b, (uint8_t)d[i], 1, err));
        else FAB_TRY(fab_put_varint(b, zigzag(d[i]), err));
    }
    return FAB_OK;
}

static fab_status take_group(fab_cursor *c, int width, int64_t d[3])
{
    uint64_t v = 0;
    d[0] = d[1] = d[2] = 0;
    if (width == FIVE_BITS) {
        FAB_TRY(fab_take_uint(c, 2, "differences", &v));
        if (v >> 15) return fab_cursor_fail(c, FAB_ERR_FORMAT, "differences", "bit 15 is set");
        for (int i = 0; i < 3; i++) d[i] = (int64_t)((v >> 5 * i & 31) ^ 16) - 16;
        return FAB_OK;
    }
    for (int i = 0; i < 3 && width; i++) {
        if (width == BYTES) {
            FAB_TRY(fab_take_uint(c, 1, "differences", &v));
            d[i] = (int64_t)(v ^ 128) - 128;
        } else {
            FAB_TRY(fab_take_varint(c, "differences", &v));
            if (v > UINT32_MAX)
                return fab_cursor_fail(c, FAB_ERR_FORMAT, "differences", "over 32 bits");
            d[i] = v & 1 ? -(int64_t)(v / 2) - 1 : (int64_t)(v / 2);
        }
    }
    return FAB_OK;
}

static fab_status put_pose(fab_buf *b, const fab_pose *p, fab_pose *before, bool controls,
                           fab_error *err)
{
    int32_t moved[3], turned[3];
    for (int i = 0; i < 3; i++) {
        moved[i] = p->position[i] - before->position[i];
        turned[i] = p->rotation[i] - (p->largest == before->largest ? before->rotation[i] : 0);
    }
    int a = width_of(moved), r = width_of(turned);
    int head = p->largest | a << 2 | r << 4 | (controls ? 0x40 : 0) | (p->emulated ? 0x80 : 0);
    FAB_TRY(fab_put_uint(b, (uint64_t)head, 1, err));
    FAB_TRY(put_group(b, moved, a, err));
    FAB_TRY(put_group(b, turned, r, err));
    *before = *p;
    return FAB_OK;
}

static fab_status take_pose(fab_cursor *c, fab_pose *p, int64_t most, int64_t scale,
                            bool *controls)
{
    uint64_t head = 0;
    int64_t moved[3], turned[3];
    FAB_TRY(fab_take_uint(c, 1, "head", &head));
    FAB_TRY(take_group(c, head >> 2 & 3, moved));
    FAB_TRY(take_group(c, head >> 4 & 3, turned));
    bool same = (head & 3) == p->largest;
    for (int i = 0; i < 3; i++) {
        moved[i] += p->position[i];
        turned[i] += same ? p->rotation[i] : 0;
        if (moved[i] > most || moved[i] < -most)
            return fab_cursor_fail(c, FAB_ERR_FORMAT, "position", "out of range");
        if (turned[i] > scale || turned[i] < -scale)
            return fab_cursor_fail(c, FAB_ERR_FORMAT, "rotation", "out of range");
        p->position[i] = (int32_t)moved[i];
        p->rotation[i] = (int16_t)turned[i];
    }
    p->largest = head & 3;
    p->emulated = head >> 7;
    *controls = head >> 6 & 1;
    return FAB_OK;
}

static fab_status put_time(fab_buf *b, int64_t time_us, int64_t *before, fab_error *err)
{
    FAB_TRY(fab_put_varint(b, (uint64_t)(time_us - *before) / TRACK_TICK_US, err));
    *before = time_us;
    return FAB_OK;
}

static fab_status take_time(fab_cursor *c, int64_t *time_us)
{
    uint64_t ticks = 0;
    FAB_TRY(fab_take_varint(c, "time", &ticks));
    if (ticks > 1000000 / TRACK_TICK_US)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "time", "a batch holds one second");
    *time_us += (int64_t)ticks * TRACK_TICK_US;
    return FAB_OK;
}

fab_status fab_track_put_pose(fab_buf *b, const fab_pose_sample *s, track_pose_state *before,
                              fab_error *err)
{
    FAB_TRY(put_time(b, s->time_us, &before->time_us, err));
    FAB_TRY(fab_put_uint(b, s->devices, 1, err));
    for (int i = 0; i < FAB_DEVICE_COUNT; i++) {
        if (!(s->devices >> i & 1)) continue;
        bool changed = s->controls[i] != before->controls[i];
        FAB_TRY(put_pose(b, &s->pose[i], &before->pose[i], changed, err));
        if (changed) FAB_TRY(fab_put_uint(b, s->controls[i], 3, err));
        before->controls[i] = s->controls[i];
    }
    return FAB_OK;
}

fab_status fab_track_take_head(fab_cursor *c, uint64_t *count)
{
    uint64_t version = 0, zero = 0;
    FAB_TRY(fab_take_uint(c, 1, "version", &version));
    FAB_TRY(fab_take_uint(c, 1, "flags", &zero));
    FAB_TRY(fab_take_uint(c, 2, "count", count));
    if (version != TRACK_VERSION || zero)
        return fab_cursor_fail(c, FAB_ERR_UNSUPPORTED, "version", "a batch of another version");
    if (!*count || *count > FAB_LESSON_MAX_BATCH)
        return fab_cursor_fail(c, FAB_ERR_LIMIT, "count", "none, or more than 400");
    return FAB_OK;
}

fab_status fab_track_take_packet(fab_cursor *c, track_voice_state *before, track_packet *out)
{
    uint64_t gap = 0, bytes = 0;
    if (!before->any) FAB_TRY(fab_take_uint(c, 4, "sequence", &before->first));
    FAB_TRY(fab_take_uint(c, 2, "gap", &gap));
    FAB_TRY(fab_take_uint(c, 2, "length", &bytes));
    FAB_TRY(fab_take_bytes(c, bytes, "packet", &out->bytes));
    before->sequence = before->any ? before->sequence + gap + 1 : before->first + gap;
    before->any = true;
    uint64_t since = before->sequence - before->first;
    if (!bytes || bytes > FAB_LESSON_MAX_PACKET_BYTES || since > 1000 ||
        before->sequence > UINT32_MAX)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "length", "no packet of a batch's second");
    out->time_us = before->time_us + (int64_t)since * TRACK_PACKET_US;
    out->sequence = (uint32_t)before->sequence;
    out->count = (size_t)bytes;
    return FAB_OK;
}

fab_status fab_track_take_pose(fab_cursor *c, track_pose_state *before, fab_pose_sample *out)
{
    uint64_t devices = 0, value = 0;
    bool controls = false;
    FAB_TRY(take_time(c, &before->time_us));
    FAB_TRY(fab_take_uint(c, 1, "devices", &devices));
    if (!devices || devices >> FAB_DEVICE_COUNT)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "devices", "none, or one not known");
    *out = (fab_pose_sample){.time_us = before->time_us, .devices = (uint8_t)devices};
    for (int i = 0; i < FAB_DEVICE_COUNT; i++) {
        if (!(devices >> i & 1)) continue;
        FAB_TRY(take_pose(c, &before->pose[i], 1000000, 16383, &controls));
        if (controls) {
            FAB_TRY(fab_take_uint(c, 3, "controls", &value));
            before->controls[i] = (uint32_t)value;
        }
        out->pose[i] = before->pose[i];
        out->controls[i] = before->controls[i];
    }
    return FAB_OK;
}

fab_status fab_track_put_hand(fab_buf *b, const fab_hand_sample *s, track_hand_state *before,
                              fab_error *err)
{
    FAB_TRY(put_time(b, s->time_us, &before->time_us, err));
    FAB_TRY(fab_put_uint(b, s->hands, 1, err));
    for (int h = 0; h < 2; h++) {
        if (!(s->hands >> h & 1)) continue;
        FAB_TRY(put_pose(b, &s->wrist[h], &before->wrist[h], false, err));
        for (int i = 1; i < FAB_HAND_JOINTS; i++)
            FAB_TRY(put_pose(b, &s->joint[h][i], &before->joint[h][i], false, err));
    }
    return FAB_OK;
}

fab_status fab_track_take_hand(fab_cursor *c, track_hand_state *before, fab_hand_sample *out)
{
    uint64_t hands = 0;
    bool controls = false;
    FAB_TRY(take_time(c, &before->time_us));
    FAB_TRY(fab_take_uint(c, 1, "hands", &hands));
    if (!hands || hands >> 2)
        return fab_cursor_fail(c, FAB_ERR_FORMAT, "hands", "none, or more than two");
    memset(out, 0, sizeof *out);
    out->time_us = before->time_us;
    out->hands = (uint8_t)hands;
    for (int h = 0; h < 2; h++) {
        if (!(hands >> h & 1)) continue;
        FAB_TRY(take_pose(c, &before->wrist[h], 1000000, 16383, &controls));
        for (int i = 1; i < FAB_HAND_JOINTS && !controls; i++)
            FAB_TRY(take_pose(c, &before->joint[h][i], 2047, 2047, &controls));
        if (controls) return fab_cursor_fail(c, FAB_ERR_FORMAT, "head", "a hand has no controls");
        out->wrist[h] = before->wrist[h];
        memcpy(out->joint[h], before->joint[h], sizeof out->joint[h]);
    }
    return FAB_OK;
}
