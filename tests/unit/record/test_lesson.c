/* The profile: a lesson written, verified, sought in, cut, edited, exported; an hour of it
 * weighed. */
#include "bytes_internal.h"
#include "lesson_build.h"

static fab_error err;

static void open_reader(const fab_buf *b, fab_reader *r)
{
    fab_reader_from_memory(b->data, b->size, "test.mcap", r);
}

static double count_of(const fab_buf *b, const char *kind)
{
    fab_reader r;
    FAB_AUTO(fab_json_free) fab_json *report = NULL;
    open_reader(b, &r);
    CHECK_OK(fab_lesson_verify(&r, &report, &err));
    return fab_real_of(report, kind);
}

static void whole(void)
{
    FAB_AUTO_BUF fab_buf b = {0};
    fab_reader r;
    fab_lesson *l = NULL;
    fab_lesson_event e;
    int poses = 0, hands = 0;
    uint32_t packet = 0;
    CHECK_OK(lesson_build(&b, 25, true, &err));
    CHECK(count_of(&b, "op") == 25 && count_of(&b, "voice") == 1250);
    CHECK(count_of(&b, "keyframe") == 4); /* the chapter, 10 s, 20 s, the end */
    open_reader(&b, &r);
    CHECK_OK(fab_lesson_open(&r, &l, &err));
    CHECK(fab_lesson_duration_us(l) == 25000000);
    while (fab_lesson_next(l, &e, &err) == FAB_OK) {
        if (e.kind == FAB_LESSON_VOICE) {
            CHECK(e.sequence == packet && e.time_us == packet * 20000LL && e.packet_bytes == 60);
            packet++;
        } else if (e.kind == FAB_LESSON_POSE) {
            fab_pose_sample s;
            CHECK_OK(lesson_pose_sample((double)e.time_us * 1e-6, &s, &err));
            CHECK(e.pose->controls[1] == s.controls[1]);
            for (int d = 0; d < 3; d++)
                CHECK(!memcmp(e.pose->pose[d].position, s.pose[d].position, 12));
            poses++;
        } else if (e.kind == FAB_LESSON_HAND) {
            fab_hand_sample s;
            CHECK_OK(lesson_hand_sample((double)e.time_us * 1e-6, &s, &err));
            CHECK(!memcmp(e.hand->joint[1][24].rotation, s.joint[1][24].rotation, 6));
            hands++;
        }
    }
    CHECK(packet == 1250 && poses == 250 && hands == 125);
    fab_lesson_free(l);
}

/* The state at any time: by the keyframes as by all rows from the start. */
static void seeking(void)
{
    FAB_AUTO_BUF fab_buf b = {0};
    fab_reader r;
    fab_lesson *l = NULL;
    CHECK_OK(lesson_build(&b, 45, false, &err));
    open_reader(&b, &r);
    for (int64_t t = 0; t < 46000000; t += 700000) {
        fab_lesson *other = NULL;
        fab_scene *sought = NULL, *applied = NULL;
        fab_lesson_event e;
        char a[65], c[65];
        CHECK_OK(fab_lesson_open(&r, &l, &err));
        CHECK_OK(fab_lesson_open(&r, &other, &err));
        CHECK_OK(fab_lesson_seek(l, t, &sought, &err));
        CHECK_OK(fab_scene_create(lesson_ids, 5, &applied, &err));
        while (fab_lesson_next(other, &e, &err) == FAB_OK)
            if (e.kind == FAB_LESSON_OP && e.time_us <= t)
                CHECK_OK(fab_scene_apply(applied, e.json, &err));
        CHECK_OK(fab_scene_hash(sought, a, &err));
        CHECK_OK(fab_scene_hash(applied, c, &err));
        CHECK(!strcmp(a, c));
        CHECK_OK(fab_lesson_next(l, &e, &err));
        CHECK(e.time_us <= t && e.time_us >= (t > 45000000 ? 44000000 : t) - 1000000);
        fab_scene_free(sought);
        fab_scene_free(applied);
        fab_lesson_free(other);
        l = fab_lesson_free(l);
    }
}

/* What a cut lesson loses is at most its last chunk; it verifies. */
static void cut(void)
{
    FAB_AUTO_BUF fab_buf b = {0};
    double rows = -1;
    CHECK_OK(lesson_build(&b, 6, false, &err));
    for (size_t size = b.size; size > 1000; size -= 997) {
        const fab_buf some = {.data = b.data, .size = size};
        double now = count_of(&some, "op");
        CHECK(rows < 0 || now <= rows);
        if (size < b.size) CHECK(count_of(&some, "cut") != 0);
        rows = now;
    }
    CHECK(rows < 3);
}

static fab_status rewrite(const fab_buf *from, const fab_lesson_edit *edit, fab_buf *to)
{
    fab_reader r;
    fab_writer w;
    open_reader(from, &r);
    fab_writer_to_buf(to, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    return fab_lesson_rewrite(&r, edit, &sink, &err);
}

static void state_at(const fab_buf *b, int64_t time_us, char hex[65])
{
    fab_reader r;
    fab_lesson *l = NULL;
    fab_scene *s = NULL;
    open_reader(b, &r);
    CHECK_OK(fab_lesson_open(&r, &l, &err));
    CHECK_OK(fab_lesson_seek(l, time_us, &s, &err));
    CHECK_OK(fab_scene_hash(s, hex, &err));
    fab_scene_free(s);
    fab_lesson_free(l);
}

static void trimming(void)
{
    FAB_AUTO_BUF fab_buf b = {0}, part = {0}, again = {0}, vtt = {0};
    fab_reader r;
    fab_writer w;
    char a[65], c[65];
    CHECK_OK(lesson_build(&b, 30, true, &err));
    CHECK_OK(rewrite(&b, &(fab_lesson_edit){.from_us = 1700000, .to_us = 21300000}, &part));
    for (int64_t t = 0; t < 19000000; t += 1300000) {
        state_at(&b, t + 1700000, a);
        state_at(&part, t, c);
        CHECK(!strcmp(a, c));
    }
    CHECK(count_of(&part, "op") == 20 && count_of(&part, "pose") == 197);
    CHECK_OK(rewrite(&part, &(fab_lesson_edit){.to_us = -1}, &again)); /* a copy is a copy */
    state_at(&part, 15000000, a);
    state_at(&again, 15000000, c);
    CHECK(!strcmp(a, c) && count_of(&again, "voice") == count_of(&part, "voice"));
    open_reader(&part, &r);
    fab_writer_to_buf(&vtt, &w);
    CHECK_OK(fab_lesson_export(&r, FAB_LESSON_WEBVTT, &w, &err));
    CHECK_OK(fab_buf_append(&vtt, "", 1, &err));
    CHECK(!strcmp((char *)vtt.data, "WEBVTT\n\n00:00:00.300 --> 00:00:01.100\nAnd here.\n"));
    fab_buf none = {0};
    CHECK_FAILS(FAB_ERR_ARG, "of a lesson of",
                rewrite(&b, &(fab_lesson_edit){.from_us = 40000000, .to_us = -1}, &none));
    fab_buf_free(&none);
}

static void chapters(void)
{
    FAB_AUTO_BUF fab_buf b = {0}, set = {0};
    FAB_AUTO(fab_json_free) fab_json *list = NULL;
    static const fab_lesson_chapter wanted[] = {{0, "Start"}, {4500000, "Veins"}};
    fab_reader r;
    CHECK_OK(lesson_build(&b, 8, false, &err));
    CHECK_OK(rewrite(&b, &(fab_lesson_edit){.to_us = -1, .set_chapters = true, .chapters = wanted,
                                            .chapter_count = 2}, &set));
    CHECK(count_of(&set, "op") == 9); /* one went, two came */
    open_reader(&set, &r);
    CHECK_OK(fab_lesson_chapters(&r, &list, &err));
    CHECK(fab_json_count(list) == 2);
    CHECK(fab_real_of(fab_json_at(list, 1), "t") == 4500000);
    CHECK(!strcmp(fab_text_of(fab_json_at(list, 1), "title"), "Veins"));
}

static void exports(void)
{
    FAB_AUTO_BUF fab_buf b = {0}, lines = {0}, glb = {0};
    fab_reader r;
    fab_writer w;
    size_t count = 0;
    CHECK_OK(lesson_build(&b, 3, true, &err));
    open_reader(&b, &r);
    fab_writer_to_buf(&lines, &w);
    CHECK_OK(fab_lesson_export(&r, FAB_LESSON_JSONL, &w, &err));
    for (size_t at = 0; at < lines.size; count++) {
        const char *end = memchr(lines.data + at, '\n', lines.size - at);
        fab_json *line = NULL;
        CHECK(end);
        size_t length = (size_t)(end - (const char *)lines.data) - at;
        CHECK_OK(fab_json_parse(lines.data + at, length, "line", &line, &err));
        CHECK(fab_json_find(line, "t") && fab_json_find(line, "topic"));
        fab_json_free(line);
        at += length + 1;
    }
    CHECK(count == 150 + 30 + 15 + 3 + 2);
    fab_writer_to_buf(&glb, &w);
    CHECK_OK(fab_lesson_export(&r, FAB_LESSON_GLTF, &w, &err));
    CHECK(!memcmp(glb.data, "glTF\2\0\0\0", 8) && fab_peek_uint(glb.data + 8, 4) == glb.size);
}

static void private_keys(void)
{
    FAB_AUTO_BUF fab_buf b = {0};
    fab_writer w;
    fab_lesson_writer *l = NULL;
    fab_lesson_about about = lesson_about;
    static const char *const bad[] = {"{\"event\":\"x\",\"Patient_Name\":\"y\"}",
                                      "{\"event\":\"x\",\"a\":[{\"MRN\":1}]}",
                                      "{\"event\":\"x\",\"date of birth\":0}"};
    fab_writer_to_buf(&b, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    CHECK_OK(fab_lesson_writer_create(&sink, &about, &l, &err));
    for (size_t i = 0; i < 3; i++) {
        fab_json *o = NULL;
        CHECK_OK(fab_json_parse(bad[i], strlen(bad[i]), "t", &o, &err));
        CHECK_FAILS(FAB_ERR_FORMAT, "no patient data", fab_lesson_write_meta(l, 0, o, &err));
        fab_json_free(o);
    }
    fab_lesson_writer_free(l);
    about.created = "2026-11-22T10:00";
    CHECK_FAILS(FAB_ERR_ARG, "not a day", fab_lesson_writer_create(&sink, &about, &l, &err));
}

static void times_that_go_back(void)
{
    FAB_AUTO_BUF fab_buf b = {0};
    fab_writer w;
    fab_lesson_writer *l = NULL;
    fab_pose_sample s;
    int stream = 0;
    fab_writer_to_buf(&b, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    CHECK_OK(fab_lesson_writer_create(&sink, &lesson_about, &l, &err));
    CHECK_OK(fab_lesson_add_stream(l, FAB_LESSON_POSE, "", NULL, &stream, &err));
    CHECK_OK(lesson_pose_sample(5, &s, &err));
    CHECK_OK(fab_lesson_write_pose(l, stream, &s, &err));
    s.time_us -= 100;
    CHECK_FAILS(FAB_ERR_ARG, "of the same stream", fab_lesson_write_pose(l, stream, &s, &err));
    CHECK_FAILS(FAB_ERR_ARG, "1 s behind", lesson_row(l, &err, "{\"op\":\"scene.reset\",\"args\":"
                "{},\"seq\":1,\"by\":\"t\",\"t\":3000000}"));
    CHECK_OK(lesson_row(l, &err, "{\"op\":\"scene.reset\",\"args\":{},\"seq\":5,\"by\":\"t\","
                        "\"t\":4500000}"));
    CHECK_FAILS(FAB_ERR_ARG, "after row 5", lesson_row(l, &err, "{\"op\":\"scene.reset\",\"args\":"
                "{},\"seq\":5,\"by\":\"t\",\"t\":4600000}"));
    CHECK_OK(fab_lesson_finish(l, &err));
    fab_lesson_writer_free(l);
    CHECK(count_of(&b, "op") == 1);
}

static void webvtt(void)
{
    static const char *const bad[][2] = {
        {"", "line 1"}, {"WEBVTTX\n", "line 1"},
        {"WEBVTT\n\n00:01.000 --> 00:01.000\nx\n", "line 3"},
        {"WEBVTT\n\n00:61.000 --> 01:02.000\nx\n", "line 3"},
        {"WEBVTT\n\n00:05.000 --> 00:06.000\nx\n\n00:04.000 --> 00:06.000\n", "line 6"}};
    static const char text[] = "\xEF\xBB\xBFWEBVTT - title\r\n\r\nNOTE a\r\n\r\nid\r\n"
                               "01:00:01.000 --> 01:00:03.500 align:start\r\nOne -- two\r\n";
    FAB_AUTO_BUF fab_buf out = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAILS(FAB_ERR_FORMAT, bad[i][1],
                    fab_webvtt_retime(bad[i][0], strlen(bad[i][0]), 0, -1, NULL, &err));
    CHECK_OK(fab_webvtt_retime(text, sizeof text - 1, 3600000000, 3603000000, &out, &err));
    CHECK_OK(fab_buf_append(&out, "", 1, &err));
    CHECK(!strcmp((char *)out.data, "WEBVTT - title\n\nNOTE a\n\nid\n00:00:01.000 --> "
                                    "00:00:03.000 align:start\nOne -- two\n"));
}

/* ---- an hour -------------------------------------------------------------------------------- */

typedef struct counted {
    const fab_buf *bytes;
    size_t reads, total;
} counted;

static fab_status counted_read(void *ctx, uint64_t offset, void *into, size_t count, fab_error *e)
{
    counted *c = ctx;
    (void)e;
    memcpy(into, c->bytes->data + offset, count);
    c->reads++;
    c->total += count;
    return FAB_OK;
}

/* A whole hour: what it weighs, what opening it and going to a time reads. */
static void weigh(int hand_hz, double most_mb)
{
    FAB_AUTO_BUF fab_buf b = {0};
    fab_writer w;
    const int seconds = 3600;
    fab_writer_to_buf(&b, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    CHECK_OK(lesson_write(&sink, seconds, 72, hand_hz, &err));
    double mb = (double)b.size * 1e-6;
    printf("72 Hz poses, %d Hz hands, voice of 24 kbit/s: %.2f MB an hour\n", hand_hz, mb);
    CHECK(mb <= most_mb);
    counted c = {.bytes = &b};
    fab_reader r = {.ctx = &c, .size = b.size, .read_at = counted_read, .name = "hour.mcap"};
    fab_lesson *l = NULL;
    CHECK_OK(fab_lesson_open(&r, &l, &err));
    printf("open: %zu reads, %zu bytes\n", c.reads, c.total);
    size_t worst = 0;
    for (int64_t t = 1000000; t < seconds * 1000000LL; t += 97300000) {
        fab_scene *s = NULL;
        fab_lesson_event e;
        c.total = 0;
        CHECK_OK(fab_lesson_seek(l, t, &s, &err));
        CHECK_OK(fab_lesson_next(l, &e, &err));
        if (c.total > worst) worst = c.total;
        fab_scene_free(s);
    }
    printf("seek: at most %zu bytes\n", worst);
    CHECK(worst <= (hand_hz > 0 ? 400000u : 120000u));
    fab_lesson_free(l);
}

static void weight_of_controllers(void) { weigh(0, 25); }
static void weight_of_hands(void) { weigh(36, 75); }

/* Ten minutes at 72 Hz, a stroke of 24 points each four seconds, none taken away. */
static void draw(fab_buf *out)
{
    FAB_AUTO(fab_lesson_writer_free) fab_lesson_writer *w = NULL;
    fab_writer to;
    lesson_streams s = {.pose_hz = 72};
    fab_writer_to_buf(out, &to);
    const fab_mcap_sink sink = {&to, NULL, NULL};
    CHECK_OK(fab_lesson_writer_create(&sink, &lesson_about, &w, &err));
    CHECK_OK(fab_lesson_add_stream(w, FAB_LESSON_POSE, "", NULL, &s.pose, &err));
    for (int tick = 0; tick < 600 * 72; tick++) {
        fab_pose_sample sample;
        CHECK_OK(lesson_pose_sample(tick / 72.0, &sample, &err));
        CHECK_OK(fab_lesson_write_pose(w, s.pose, &sample, &err));
        if (tick % 288) continue;
        char points[24 * 32] = "";
        for (int i = 0, at = 0; i < 24; i++)
            at += snprintf(points + at, sizeof points - (size_t)at, "%s[%d,%d,%d]", i ? "," : "",
                           i * 9 + tick % 700, tick * i % 900, i * 3 + 1000);
        CHECK_OK(lesson_row(w, &err, "{\"op\":\"annotation.add\",\"args\":{\"name\":\"s%d\","
                            "\"kind\":\"stroke\",\"points\":[%s],\"rgb\":[255,0,0],"
                            "\"width\":16},\"seq\":%d,\"by\":\"teacher\",\"t\":%lld}", tick, points,
                            tick / 288 + 1, (long long)sample.time_us));
    }
    CHECK_OK(fab_lesson_finish(w, &err));
}

/* Bytes of all keyframes, and the most bytes of the file from one's chunk to the next one's. */
static uint64_t keyframe_bytes(const fab_reader *r, uint64_t *apart)
{
    FAB_AUTO(fab_mcap_free) fab_mcap *m = NULL;
    fab_mcap_message message;
    uint64_t sum = 0, last = 0;
    CHECK_OK(fab_mcap_open(r, &m, &err));
    for (size_t i = 0; i < fab_mcap_chunk_count(m); i++) {
        const fab_mcap_chunk *chunk = fab_mcap_chunk_at(m, i);
        CHECK_OK(fab_mcap_load_chunk(m, i, &err));
        while (fab_mcap_next_message(m, &message, &err) == FAB_OK) {
            const fab_mcap_channel *channel = fab_mcap_channel_by_id(m, message.channel);
            if (strcmp(channel->topic, "keyframe") != 0) continue;
            sum += message.size;
            if (last && chunk->records - last > *apart) *apart = chunk->records - last;
            last = chunk->records;
        }
    }
    return sum;
}

/* Where strokes pile up the scene is repeated more seldom, and a jump stays short. */
static void strokes_that_pile_up(void)
{
    FAB_AUTO_BUF fab_buf b = {0};
    fab_reader r;
    fab_lesson *l = NULL;
    fab_scene *scene = NULL;
    uint64_t apart = 0;
    char hex[65], same[65];
    draw(&b);
    open_reader(&b, &r);
    const uint64_t bytes = keyframe_bytes(&r, &apart);
    printf("keyframes: %.2f of %.2f MB, at most %.0f kB apart\n", (double)bytes * 1e-6,
           (double)b.size * 1e-6, (double)apart * 1e-3);
    CHECK(bytes * 5 < b.size);
    CHECK(apart < 160000 + 80000 + 20000); /* and the keyframe, and a chunk */
    CHECK(count_of(&b, "op") == 150);      /* every keyframe's hash is that of the rows before it */
    for (int64_t t = 1; t < 600000000; t += 37000000) {
        fab_scene *applied = NULL;
        fab_lesson_event e;
        CHECK_OK(fab_lesson_open(&r, &l, &err));
        CHECK_OK(fab_scene_create(lesson_ids, 5, &applied, &err));
        while (fab_lesson_next(l, &e, &err) == FAB_OK)
            if (e.kind == FAB_LESSON_OP && e.time_us <= t)
                CHECK_OK(fab_scene_apply(applied, e.json, &err));
        CHECK_OK(fab_lesson_seek(l, t, &scene, &err));
        CHECK_OK(fab_scene_hash(scene, hex, &err));
        CHECK_OK(fab_scene_hash(applied, same, &err));
        CHECK(!strcmp(hex, same));
        scene = fab_scene_free(scene);
        fab_scene_free(applied);
        l = fab_lesson_free(l);
    }
}

/* A file that is killed while it is written can be read. */
static void a_live_file(void)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    fab_record_file *f = NULL, *twice = NULL;
    fab_mcap_sink sink, other;
    fab_lesson_writer *w = NULL;
    fab_reader r;
    fab_json *report = NULL;
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_path_join(path, sizeof path, folder, "live.mcap", &err));
    CHECK_OK(fab_record_file_open(path, &f, &sink, &err));
    CHECK_FAILS(FAB_ERR_ARG, "live.mcap", fab_record_file_open(path, &twice, &other, &err));
    CHECK_OK(fab_lesson_writer_create(&sink, &lesson_about, &w, &err));
    for (int n = 0; n < 4; n++) CHECK_OK(lesson_change(w, n, &err));
    fab_lesson_writer_free(w); /* no finish: the program died */
    fab_record_file_close(f);
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_lesson_verify(&r, &report, &err));
    CHECK(fab_real_of(report, "op") == 3 && fab_json_is_true(fab_json_find(report, "cut")));
    fab_json_free(report);
    fab_reader_close(&r);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    return FAB_RUN(TEST(whole), TEST(seeking), TEST(cut), TEST(trimming), TEST(chapters),
                   TEST(exports), TEST(private_keys), TEST(times_that_go_back), TEST(webvtt),
                   TEST(a_live_file), TEST(strokes_that_pile_up),
                   TEST(weight_of_controllers), TEST(weight_of_hands));
}
