/* lesson_build.h - a lesson for tests: somebody walks about, points, talks and changes the scene.
 * All of it follows from the time, so that a reader can be held against it. */
#ifndef FAB_TEST_LESSON_BUILD_H
#define FAB_TEST_LESSON_BUILD_H

#include <stdarg.h>

#include "fabrica/record.h"
#include "harness.h"

static const uint16_t lesson_ids[] = {1, 2, 5, 10, 51};
static const fab_lesson_about lesson_about = {
    .title = "Where the portal vein divides", .language = "en", .created = "2026-11-22",
    .manifest_sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    .labels_sha256 = "", .software = "test 1", .structures = lesson_ids, .structure_count = 5};

/* A smooth walk with the tremble of a hand (0.3 mm, 0.1 degrees), a function of time and device. */
static inline fab_pose_real lesson_pose_at(double t, int device)
{
    fab_rng rng;
    fab_pose_real p;
    double angle = 0.4 * sin(0.7 * t + device), tilt = 0.3 * sin(1.1 * t + 2 * device);
    fab_rng_seed(&rng, (uint64_t)(t * 1e4 + 0.5), (uint64_t)device);
    double q[4] = {sin(angle / 2) + 1e-3 * fab_rng_normal(&rng), sin(tilt / 2),
                   0.2 + 1e-3 * fab_rng_normal(&rng), 1};
    double norm = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    for (int i = 0; i < 4; i++) p.rotation[i] = q[i] / norm;
    for (int i = 0; i < 3; i++)
        p.position_m[i] = 0.3 * sin((0.5 + 0.2 * i) * t + device + i) + (i == 1) * 1.4 +
                          3e-4 * fab_rng_normal(&rng);
    return p;
}

static inline fab_status lesson_pose_sample(double t, fab_pose_sample *s, fab_error *e)
{
    *s = (fab_pose_sample){.time_us = (int64_t)(t * 1e4 + 0.5) * 100, .devices = 7};
    t = (double)s->time_us * 1e-6;
    for (int d = 0; d < 3; d++) {
        const fab_pose_real real = lesson_pose_at((double)s->time_us * 1e-6, d);
        FAB_TRY(fab_pose_quantise(&real, &s->pose[d], e));
        s->controls[d] = d && fmod(t, 4) < 0.5 ? 0x4001u + (uint32_t)(fmod(t, 4) * 200) * 256 : 0;
    }
    return FAB_OK;
}

static inline fab_status lesson_hand_sample(double t, fab_hand_sample *s, fab_error *e)
{
    memset(s, 0, sizeof *s);
    s->time_us = (int64_t)(t * 1e4 + 0.5) * 100;
    s->hands = 3;
    t = (double)s->time_us * 1e-6;
    for (int h = 0; h < 2; h++) {
        const fab_pose_real wrist = lesson_pose_at((double)s->time_us * 1e-6, 10 + h);
        FAB_TRY(fab_pose_quantise(&wrist, &s->wrist[h], e));
        for (int i = 1; i < FAB_HAND_JOINTS; i++) {
            /* along its finger, which bends; measured with half a millimetre of noise */
            fab_pose_real joint = lesson_pose_at((double)s->time_us * 1e-6, 20 + 30 * h + i);
            double bend = 0.5 + 0.5 * sin(2 * t + i / 5);
            for (int k = 0; k < 3; k++)
                joint.position_m[k] = wrist.position_m[k] + 0.01 * (k == 0) * (i % 5) +
                                      0.02 * (k == 2) * (i / 5) * bend +
                                      (joint.position_m[k] - lesson_pose_at(t, 99).position_m[k]) *
                                          1e-3;
            FAB_TRY(fab_joint_quantise(&s->wrist[h], &joint, &s->joint[h][i], e));
        }
    }
    return FAB_OK;
}

static inline fab_status lesson_row(fab_lesson_writer *w, fab_error *e, const char *format, ...)
    FAB_PRINTF(3, 4);
static inline fab_status lesson_row(fab_lesson_writer *w, fab_error *e, const char *format, ...)
{
    char text[4096];
    FAB_AUTO(fab_json_free) fab_json *row = NULL;
    va_list args;
    va_start(args, format);
    int count = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    FAB_TRY(fab_json_parse(text, (size_t)count, "row", &row, e));
    return fab_lesson_write_row(w, row, e);
}

/* What is changed in second n: a chapter each minute, else something of the scene. */
static inline fab_status lesson_change(fab_lesson_writer *w, int n, fab_error *e)
{
    long long t = n * 1000000LL + 7;
    if (n % 60 == 0)
        return lesson_row(w, e, "{\"op\":\"chapter\",\"args\":{\"title\":\"Part %d\"},\"seq\":%d,"
                          "\"by\":\"teacher\",\"t\":%lld}", n / 60 + 1, n + 1, t);
    if (n % 3 == 1)
        return lesson_row(w, e, "{\"op\":\"structure.fade\",\"args\":{\"ids\":[%d],"
                          "\"opacity\":%d},"
                          "\"seq\":%d,\"by\":\"teacher\",\"t\":%lld}", lesson_ids[n % 5],
                          n * 37 % 1001, n + 1, t);
    if (n % 3 == 2)
        return lesson_row(w, e, "{\"op\":\"slice.set\",\"args\":{\"axis\":\"axial\",\"on\":true,"
                          "\"at\":%d},\"seq\":%d,\"by\":\"teacher\",\"t\":%lld}", n, n + 1, t);
    return lesson_row(w, e, "{\"op\":\"annotation.add\",\"args\":{\"name\":\"a%d\",\"kind\":"
                      "\"stroke\",\"points\":[[1,2,3],[%d,5,6]],\"rgb\":[255,0,0],\"width\":10,"
                      "\"text\":\"\\u00e9\\n\"},\"seq\":%d,\"by\":\"teacher\",\"t\":%lld}",
                      n % 30, n, n + 1, t);
}

typedef struct lesson_streams {
    int pose, hand, voice;
    int pose_hz, hand_hz; /* 0: none */
    fab_status (*change)(fab_lesson_writer *w, int n, fab_error *e); /* in each second */
} lesson_streams;

/* Does a sample fall into this 600th of a second? */
static inline bool lesson_is_due(int tick, int hz)
{
    return tick * hz / 600 != (tick - 1) * hz / 600 || (tick == 0 && hz > 0);
}

static inline fab_status lesson_second(fab_lesson_writer *w, const lesson_streams *s, int n,
                                       fab_error *e)
{
    uint8_t packet[60]; /* 24 kbit/s at 20 ms */
    fab_rng rng;
    fab_rng_seed(&rng, 4, (uint64_t)n);
    FAB_TRY(s->change(w, n, e));
    for (int i = 0; i < 50 * 12; i++) { /* a step is 1/600 s: times of all streams ascend */
        double t = n + i / 600.0;
        if (i % 12 == 0) {
            for (size_t k = 0; k < sizeof packet; k++) packet[k] = (uint8_t)fab_rng_u32(&rng);
            FAB_TRY(fab_lesson_write_voice(w, s->voice, n * 1000000LL + i / 12 * 20000,
                                           (uint32_t)(n * 50 + i / 12), packet, sizeof packet, e));
        }
        if (lesson_is_due(n * 600 + i, s->pose_hz)) {
            fab_pose_sample sample;
            FAB_TRY(lesson_pose_sample(t, &sample, e));
            FAB_TRY(fab_lesson_write_pose(w, s->pose, &sample, e));
        }
        if (lesson_is_due(n * 600 + i, s->hand_hz)) {
            fab_hand_sample sample;
            FAB_TRY(lesson_hand_sample(t, &sample, e));
            FAB_TRY(fab_lesson_write_hand(w, s->hand, &sample, e));
        }
    }
    return FAB_OK;
}

/* A lesson of these rates and changes. */
static inline fab_status lesson_write_as(const fab_mcap_sink *sink, int seconds, lesson_streams s,
                                         fab_error *e)
{
    FAB_AUTO(fab_lesson_writer_free) fab_lesson_writer *w = NULL;
    FAB_AUTO(fab_json_free) fab_json *voice = fab_json_object();
    static const char vtt[] = "WEBVTT\n\n00:00.500 --> 00:01.500\nHere it divides.\n\n"
                              "00:02.000 --> 00:02.800\nAnd here.\n";
    FAB_TRY(fab_lesson_writer_create(sink, &lesson_about, &w, e));
    FAB_TRY(fab_json_set(voice, "pre_skip", fab_json_string("312"), e));
    FAB_TRY(fab_lesson_add_stream(w, FAB_LESSON_POSE, "", NULL, &s.pose, e));
    FAB_TRY(fab_lesson_add_stream(w, FAB_LESSON_VOICE, "teacher", voice, &s.voice, e));
    if (s.hand_hz > 0) FAB_TRY(fab_lesson_add_stream(w, FAB_LESSON_HAND, "", NULL, &s.hand, e));
    for (int n = 0; n < seconds; n++) FAB_TRY(lesson_second(w, &s, n, e));
    FAB_TRY(fab_lesson_attach(w, "captions.en.vtt", "text/vtt", vtt, sizeof vtt - 1, e));
    return fab_lesson_finish(w, e);
}

static inline fab_status lesson_write(const fab_mcap_sink *sink, int seconds, int pose_hz,
                                      int hand_hz, fab_error *e)
{
    const lesson_streams s = {.pose_hz = pose_hz, .hand_hz = hand_hz, .change = lesson_change};
    return lesson_write_as(sink, seconds, s, e);
}

static inline fab_status lesson_build(fab_buf *out, int seconds, bool hands, fab_error *e)
{
    fab_writer w;
    fab_writer_to_buf(out, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    return lesson_write(&sink, seconds, 10, hands ? 5 : 0, e);
}

#endif
