/* lesson_export.c - a lesson for other programs: every event as a line of JSON, captions or
 * chapters as WebVTT. (glTF is in lesson_gltf.c.) */
#include <stdio.h>

#include "lesson_internal.h"

static const char *const devices[FAB_DEVICE_COUNT] = {"head", "left", "right"};

static fab_status put_pose(fab_buf *b, const fab_pose_real *p, fab_error *err)
{
    const double *m = p->position_m, *q = p->rotation;
    return fab_buf_appendf(b, err, "{\"position_m\":[%.4f,%.4f,%.4f],\"rotation\":"
                           "[%.5f,%.5f,%.5f,%.5f]", m[0], m[1], m[2], q[0], q[1], q[2], q[3]);
}

static fab_status put_pose_event(fab_buf *b, const fab_pose_sample *s, fab_error *err)
{
    fab_pose_real real;
    for (int i = 0; i < FAB_DEVICE_COUNT; i++) {
        if (!(s->devices >> i & 1)) continue;
        fab_pose_restore(&s->pose[i], &real);
        FAB_TRY(fab_buf_appendf(b, err, ",\"%s\":", devices[i]));
        FAB_TRY(put_pose(b, &real, err));
        FAB_TRY(fab_buf_appendf(b, err, ",\"emulated\":%s,\"controls\":%u}",
                                s->pose[i].emulated ? "true" : "false", s->controls[i]));
    }
    return FAB_OK;
}

static fab_status put_hand_event(fab_buf *b, const fab_hand_sample *s, fab_error *err)
{
    fab_pose_real real;
    for (int h = 0; h < 2; h++) {
        if (!(s->hands >> h & 1)) continue;
        FAB_TRY(fab_buf_appendf(b, err, ",\"%s\":[", h ? "right" : "left"));
        for (int i = 0; i < FAB_HAND_JOINTS; i++) {
            if (i) fab_joint_restore(&s->wrist[h], &s->joint[h][i], &real);
            else fab_pose_restore(&s->wrist[h], &real);
            FAB_TRY(fab_buf_appendf(b, err, i ? "," : ""));
            FAB_TRY(put_pose(b, &real, err));
            FAB_TRY(fab_buf_append(b, "}", 1, err));
        }
        FAB_TRY(fab_buf_append(b, "]", 1, err));
    }
    return FAB_OK;
}

static fab_status put_voice_event(fab_buf *b, const fab_lesson_event *e, fab_error *err)
{
    static const char digits[] = "0123456789abcdef";
    FAB_TRY(fab_buf_appendf(b, err, ",\"sequence\":%u,\"opus_hex\":\"", e->sequence));
    for (size_t i = 0; i < e->packet_bytes; i++) {
        const char two[2] = {digits[e->packet[i] >> 4], digits[e->packet[i] & 15]};
        FAB_TRY(fab_buf_append(b, two, 2, err));
    }
    return fab_buf_append(b, "\"", 1, err);
}

static fab_status put_event(fab_buf *b, const fab_lesson *l, const fab_lesson_event *e,
                            fab_error *err)
{
    const fab_mcap_channel *c = fab_mcap_channel_by_id(fab_lesson_container(l), e->channel);
    b->size = 0;
    FAB_TRY(fab_buf_appendf(b, err, "{\"t\":%lld,\"topic\":", (long long)e->time_us));
    FAB_TRY(fab_put_json_text(b, c->topic, err));
    if (e->kind == FAB_LESSON_POSE) FAB_TRY(put_pose_event(b, e->pose, err));
    else if (e->kind == FAB_LESSON_HAND) FAB_TRY(put_hand_event(b, e->hand, err));
    else if (e->kind == FAB_LESSON_VOICE) FAB_TRY(put_voice_event(b, e, err));
    else {
        fab_writer w;
        fab_writer_to_buf(b, &w);
        FAB_TRY(fab_buf_appendf(b, err, ",\"value\":"));
        FAB_TRY(fab_json_dump(e->json, 0, &w, err));
        b->size--; /* its newline */
    }
    return fab_buf_append(b, "}\n", 2, err);
}

static fab_status export_jsonl(const fab_reader *source, fab_writer *to, fab_error *err)
{
    FAB_AUTO(fab_lesson_free) fab_lesson *l = NULL;
    FAB_AUTO_BUF fab_buf line = {0};
    fab_lesson_event e;
    fab_status status = FAB_OK;
    FAB_TRY(fab_lesson_open(source, &l, err));
    while ((status = fab_lesson_next(l, &e, err)) == FAB_OK) {
        FAB_TRY(put_event(&line, l, &e, err));
        FAB_TRY(fab_writer_write(to, line.data, line.size, err));
    }
    return status < 0 ? status : FAB_OK;
}

static fab_status put_cue(fab_writer *to, int64_t start_us, int64_t end_us, const char *title,
                          fab_error *err)
{
    const long long a = start_us / 1000, b = end_us / 1000;
    FAB_TRY(fab_writer_printf(to, err, "\n%02lld:%02lld:%02lld.%03lld --> "
                              "%02lld:%02lld:%02lld.%03lld\n",
                              a / 3600000, a / 60000 % 60, a / 1000 % 60, a % 1000, b / 3600000,
                              b / 60000 % 60, b / 1000 % 60, b % 1000));
    for (; *title; title++) { /* "-->", an empty line and markup have a meaning in a cue */
        const char *as = *title == '<' ? "&lt;" : *title == '>' ? "&gt;"
                       : *title == '&' ? "&amp;" : *title == '\n' || *title == '\r' ? " " : NULL;
        FAB_TRY(fab_writer_write(to, as ? as : title, as ? strlen(as) : 1, err));
    }
    return fab_writer_write(to, "\n", 1, err);
}

static fab_status export_webvtt(const fab_reader *source, fab_writer *to, fab_error *err)
{
    FAB_AUTO(fab_lesson_free) fab_lesson *l = NULL;
    FAB_AUTO(fab_json_free) fab_json *chapters = NULL;
    FAB_TRY(fab_lesson_open(source, &l, err));
    const fab_mcap *m = fab_lesson_container(l);
    for (size_t i = 0; i < fab_mcap_attachment_count(m); i++) {
        FAB_AUTO_BUF fab_buf data = {0};
        if (strcmp(fab_mcap_attachment_at(m, i)->media_type, "text/vtt") != 0) continue;
        FAB_TRY(fab_mcap_read_attachment(m, i, &data, err));
        return fab_writer_write(to, data.data, data.size, err);
    }
    FAB_TRY(fab_lesson_chapters(source, &chapters, err));
    FAB_TRY(fab_writer_printf(to, err, "WEBVTT\n"));
    for (size_t i = 0; i < fab_json_count(chapters); i++) {
        const fab_json *c = fab_json_at(chapters, i), *next = fab_json_at(chapters, i + 1);
        int64_t start = fab_json_integer(fab_json_find(c, "t"));
        int64_t end = next ? fab_json_integer(fab_json_find(next, "t")) : fab_lesson_duration_us(l);
        if (end / 1000 > start / 1000)
            FAB_TRY(put_cue(to, start, end, fab_text_of(c, "title"), err));
    }
    return FAB_OK;
}

fab_status fab_lesson_export(const fab_reader *source, fab_lesson_export_format format,
                             fab_writer *to, fab_error *err)
{
    if (format == FAB_LESSON_JSONL) return export_jsonl(source, to, err);
    if (format == FAB_LESSON_WEBVTT) return export_webvtt(source, to, err);
    return fab_lesson_export_gltf(source, to, err);
}
