#include <fcntl.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "lesson_build.h"
#include "tests.h"

/* Recording by the live channel's messages, without a socket. */

static char folder[64];
static fab_buf out; /* what was answered to the last message */
static double now_s;

static void wake(void *ctx) { (void)ctx; }

static fab_studio studio_new(void)
{
    static const uint16_t ids[] = {1, 2, 51};
    fab_studio s = {.structures = ids, .structure_count = 3, .most_bytes = 1 << 30, .wake = wake};
    snprintf(folder, sizeof folder, "/tmp/fab-record-XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(s.folder, sizeof s.folder, "%s/lessons", folder);
    return s;
}

static void studio_end(fab_studio *s)
{
    CHECK(s->running == 0);
    CHECK(fab_path_remove_tree(folder, NULL) == FAB_OK);
    fab_buf_free(&out);
}

static fab_live *open_channel(fab_studio *s, fab_role role)
{
    fab_live *l = NULL;
    out.size = 0;
    CHECK(fab_live_open(s, role, &l, &out, NULL) == FAB_OK);
    return l;
}

static const char *answered(void)
{
    CHECK(fab_buf_append(&out, "", 1, NULL) == FAB_OK);
    return (const char *)out.data;
}

static const char *say(fab_live *l, const char *format, ...) FAB_PRINTF(2, 3);
static const char *say(fab_live *l, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    out.size = 0;
    CHECK(fab_live_text(l, text, (size_t)n, now_s, &out, NULL) == FAB_OK);
    return answered();
}

static const char *start_one(fab_live *l, const char *title, const char *channels)
{
    return say(l, "{\"type\":\"record.start\",\"title\":\"%s\",\"language\":\"en\","
                  "\"software\":\"t\",\"state\":null,\"channels\":[%s]}", title, channels);
}

/* kind, log time, then a batch */
static size_t batch_head(uint8_t *to, int kind, uint64_t time_us, unsigned count)
{
    memset(to, 0, 20);
    to[0] = (uint8_t)kind;
    for (int i = 0; i < 8; i++) to[8 + i] = (uint8_t)(time_us >> 8 * i);
    to[16] = 1;
    to[18] = (uint8_t)count;
    return 20;
}

/* A head that stands still, every 13.9 ms. */
static size_t pose_batch(uint8_t *to, uint64_t time_us, unsigned count)
{
    size_t n = batch_head(to, 0, time_us, count);
    for (unsigned i = 0; i < count; i++) {
        if (i == 0) to[n++] = 0;
        else to[n++] = 0x8B, to[n++] = 0x01;
        to[n++] = 1;
        to[n++] = 0;
    }
    return n;
}

static const char *send_bytes(fab_live *l, const void *bytes, size_t count)
{
    out.size = 0;
    CHECK(fab_live_binary(l, bytes, count, now_s, &out, NULL) == FAB_OK);
    return answered();
}

static const char *send_pose(fab_live *l, uint64_t time_us)
{
    uint8_t bytes[256];
    return send_bytes(l, bytes, pose_batch(bytes, time_us, 18));
}

static fab_json *check_lesson(const char *name, bool cut)
{
    char path[256];
    fab_reader r;
    fab_error err;
    fab_json *report = NULL;
    snprintf(path, sizeof path, "%s/lessons/%s.mcap", folder, name);
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_lesson_verify(&r, &report, &err));
    fab_reader_close(&r);
    CHECK(fab_json_is_true(fab_json_find(report, "cut")) == cut);
    return report;
}

static void free_lesson(const char *name, bool cut) { fab_json_free(check_lesson(name, cut)); }

void recorded_is_what_was_sent(void)
{
    fab_studio s = studio_new();
    fab_live *l = open_channel(&s, FAB_ROLE_OWNER);
    char row[256];
    CHECK(strstr(start_one(l, "One by one", "{\"kind\":\"pose\"},{\"kind\":\"hand\"}"),
                 "{\"type\":\"record.started\",\"name\":\"one-by-one\"}"));
    for (uint64_t i = 0; i < 20; i++) {
        CHECK(!strstr(send_pose(l, i * 250000), "error"));
        snprintf(row, sizeof row, "{\"type\":\"row\",\"row\":{\"op\":\"explode\",\"args\":"
                 "{\"amount\":%llu},\"seq\":%llu,\"by\":\"a\",\"t\":%llu}}", (unsigned long long)i,
                 (unsigned long long)i + 1, (unsigned long long)(i * 250000 + 7));
        CHECK(!strstr(say(l, "%s", row), "error"));
    }
    const char *done = say(l, "{\"type\":\"record.stop\"}");
    /* the last sample: 17 steps of 13.9 ms after the last batch's time */
    CHECK(strstr(done, "\"duration_us\":4986300") && strstr(done, "\"dropped\":0"));
    FAB_AUTO(fab_json_free) fab_json *report = check_lesson("one-by-one", false);
    CHECK_NEAR(fab_real_of(report, "pose"), 360, 0);
    CHECK_NEAR(fab_real_of(report, "op"), 20, 0);
    CHECK(strstr(say(l, "{\"type\":\"record.stop\"}"), "not-recording"));
    CHECK(strlen(say(l, "{\"type\":\"record.stop\"}")) == 0); /* said once */
    fab_live_close(l);
    studio_end(&s);
}

/* What comes from a lesson and goes through batches again is the same samples. */
void batches_are_taken_apart(void)
{
    fab_studio s = studio_new();
    fab_error err;
    FAB_AUTO_BUF fab_buf lesson = {0};
    FAB_AUTO(fab_mcap_free) fab_mcap *m = NULL;
    fab_reader r;
    fab_mcap_message msg;
    fab_live *l = open_channel(&s, FAB_ROLE_OWNER);
    size_t sent = 0;
    CHECK_OK(lesson_build(&lesson, 6, true, &err));
    fab_reader_from_memory(lesson.data, lesson.size, "lesson", &r);
    CHECK_OK(fab_mcap_open(&r, &m, &err));
    start_one(l, "again", "{\"kind\":\"pose\"},{\"kind\":\"hand\"},{\"kind\":\"voice\"}");
    for (size_t i = 0; i < fab_mcap_chunk_count(m); i++) {
        CHECK_OK(fab_mcap_load_chunk(m, i, &err));
        while (fab_mcap_next_message(m, &msg, &err) == FAB_OK) {
            static uint8_t bytes[1 << 16];
            const char *topic = fab_mcap_channel_by_id(m, msg.channel)->topic;
            int kind = topic[0] == 'p' ? 0 : topic[0] == 'h' ? 1 : topic[0] == 'v' ? 2 : -1;
            if (kind < 0) continue;
            batch_head(bytes, kind, msg.time_ns / 1000, 0);
            memcpy(bytes + 16, msg.data, msg.size);
            CHECK(!strstr(send_bytes(l, bytes, 16 + msg.size), "error"));
            sent++;
        }
    }
    CHECK(sent > 15 && strstr(say(l, "{\"type\":\"record.stop\"}"), "\"dropped\":0"));
    FAB_AUTO(fab_json_free) fab_json *was = NULL;
    CHECK_OK(fab_lesson_verify(&r, &was, &err));
    FAB_AUTO(fab_json_free) fab_json *is = check_lesson("again", false);
    static const char *const kinds[] = {"pose", "hand", "voice"};
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(fab_real_of(was, kinds[i]), fab_real_of(is, kinds[i]), 0);
    fab_live_close(l);
    studio_end(&s);
}

void bad_batches_are_dropped(void)
{
    fab_studio s = studio_new();
    fab_live *l = open_channel(&s, FAB_ROLE_OWNER);
    uint8_t bytes[256];
    size_t n = pose_batch(bytes, 1000, 18);
    now_s = 10;
    start_one(l, "drops", "{\"kind\":\"pose\"}");
    CHECK(strstr(send_bytes(l, bytes, n - 1), "(1 dropped)"));
    CHECK(strlen(send_bytes(l, bytes, n - 1)) == 0); /* a second has not passed */
    now_s = 11.5;
    CHECK(strstr(send_bytes(l, bytes, 3), "(3 dropped)"));
    now_s = 13;
    bytes[0] = 1;
    CHECK(strstr(send_bytes(l, bytes, n), "hand is not among"));
    now_s = 15;
    bytes[0] = 3;
    CHECK(strstr(send_bytes(l, bytes, n), "its kind"));
    now_s = 17;
    pose_batch(bytes, 1050, 18);
    CHECK(strstr(send_bytes(l, bytes, n), "multiple of 100"));
    now_s = 19;
    pose_batch(bytes, 1000, 18);
    for (int i = 0; i < 17; i++) bytes[24 + 4 * i] = 0x0F; /* 0.19 s between two samples */
    CHECK(strstr(send_bytes(l, bytes, n), "time"));
    pose_batch(bytes, 5000000, 18);
    CHECK(!strstr(send_bytes(l, bytes, n), "error"));
    now_s = 21;
    pose_batch(bytes, 1000000, 18);
    CHECK(strstr(send_bytes(l, bytes, n), "after 5236300")); /* a stream's times only grow */
    CHECK(strstr(say(l, "{\"type\":\"record.stop\"}"), "\"dropped\":8"));
    FAB_AUTO(fab_json_free) fab_json *report = check_lesson("drops", false);
    CHECK_NEAR(fab_real_of(report, "pose"), 18, 0);
    fab_live_close(l);
    studio_end(&s);
}

void bad_rows_end_it(void)
{
    static const char *const bad[] = {
        "{\"type\":\"row\"}", "{\"type\":\"row\",\"row\":{\"op\":\"explode\"}}",
        "{\"type\":\"row\",\"row\":{\"op\":\"explode\",\"args\":{\"amount\":1001},\"seq\":1,\"by\":"
        "\"a\",\"t\":1}}",
        "{\"type\":\"row\",\"row\":{\"op\":\"explode\",\"args\":{\"amount\":1},\"seq\":1,\"by\":"
        "\"a\",\"t\":1e3}}", "{\"type\":\"row\"", "[]"};
    fab_studio s = studio_new();
    fab_live *l = open_channel(&s, FAB_ROLE_OWNER);
    char name[32];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        start_one(l, "bad row", "{\"kind\":\"pose\"}");
        send_pose(l, 0);
        const char *text = say(l, "%s", bad[i]);
        CHECK(strstr(text, "\"ended\":true") && strstr(text, "record.stopped"));
        snprintf(name, sizeof name, i ? "bad-row-%d" : "bad-row", (int)i + 1);
        free_lesson(name, false);
        CHECK(strlen(send_pose(l, 250000)) == 0); /* what was under way */
    }
    fab_live_close(l);
    studio_end(&s);
}

void who_records(void)
{
    fab_studio s = studio_new();
    fab_live *l = open_channel(&s, FAB_ROLE_VIEW), *more[FAB_SERVER_MAX_RECORDINGS + 1];
    CHECK(strstr(start_one(l, "x", ""), "\"code\":\"role\""));
    CHECK(strstr(say(l, "{\"type\":\"row\"}"), "\"code\":\"role\""));
    CHECK(fab_live_limit(l, false) == FAB_SERVER_MAX_MESSAGE_BYTES);
    fab_live_close(l);
    for (int i = 0; i <= FAB_SERVER_MAX_RECORDINGS; i++) {
        more[i] = open_channel(&s, FAB_ROLE_OWNER);
        bool fits = i < FAB_SERVER_MAX_RECORDINGS;
        CHECK(strstr(start_one(more[i], "x", ""), fits ? "record.started" : "already"));
    }
    for (int i = 0; i <= FAB_SERVER_MAX_RECORDINGS; i++) fab_live_close(more[i]);
    studio_end(&s);
}

void channel_that_closes(void)
{
    fab_studio s = studio_new();
    fab_live *l = open_channel(&s, FAB_ROLE_OWNER);
    start_one(l, "closed", "{\"kind\":\"pose\"}");
    for (uint64_t t = 0; t < 3000000; t += 250000) send_pose(l, t);
    fab_live_close(l);
    free_lesson("closed", false);
    studio_end(&s);
}

/* A disk that gets full: the lesson ends well while there is room to end it. */
void disk_that_fills(void)
{
    fab_studio s = studio_new();
    fab_live *l = open_channel(&s, FAB_ROLE_OWNER);
    bool told = false, ended = false; /* in one answer or in two: the disk is asked by a thread */
    s.spare_bytes = UINT64_MAX;
    CHECK(strstr(start_one(l, "full", "{\"kind\":\"pose\"}"), "\"code\":\"space\""));
    s.spare_bytes = 0;
    CHECK(strstr(start_one(l, "full", "{\"kind\":\"pose\"}"), "record.started"));
    s.spare_bytes = UINT64_MAX;
    for (uint64_t t = 0; t < 600000000 && !ended; t += 250000) {
        const char *text = send_pose(l, t);
        told = told || strstr(text, "\"code\":\"space\"");
        ended = ended || strstr(text, "record.stopped");
        nanosleep(&(struct timespec){0, 2000000}, NULL); /* its thread must have its turn */
    }
    CHECK(told && ended);
    free_lesson("full", false);
    s.spare_bytes = 0;
    s.most_bytes = 20000;
    start_one(l, "large", "{\"kind\":\"pose\"}");
    for (uint64_t t = 0; t < 600000000; t += 250000)
        if (strstr(send_pose(l, t), "\"code\":\"limit\"")) break;
    free_lesson("large", false);
    s.most_bytes = 1 << 30;
    start_one(l, "long", "{\"kind\":\"pose\"}");
    CHECK(!strstr(send_pose(l, FAB_SERVER_MAX_RECORDED_US - 1000000), "error"));
    CHECK(strstr(send_pose(l, FAB_SERVER_MAX_RECORDED_US + 1000), "at most 8 hours"));
    free_lesson("long", false);
    fab_live_close(l);
    studio_end(&s);
}

/* A disk that is full at once: what was saved is a cut lesson. */
void disk_that_is_full(void)
{
    fab_studio s = studio_new();
    fab_live *l = open_channel(&s, FAB_ROLE_OWNER);
    struct rlimit was, small;
    bool ended = false;
    CHECK(getrlimit(RLIMIT_FSIZE, &was) == 0);
    small = was;
    small.rlim_cur = 4000;
    signal(SIGXFSZ, SIG_IGN);
    start_one(l, "stops", "{\"kind\":\"pose\"}");
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (uint64_t t = 0; t < 600000000 && !ended; t += 250000) {
        const char *text = send_pose(l, t);
        ended = strstr(text, "\"code\":\"space\"") != NULL;
        CHECK(!strstr(text, "record.stopped"));
    }
    setrlimit(RLIMIT_FSIZE, &was);
    signal(SIGXFSZ, SIG_DFL);
    CHECK(ended);
    FAB_AUTO(fab_json_free) fab_json *report = check_lesson("stops", true);
    CHECK(fab_real_of(report, "pose") >= 72);
    fab_live_close(l);
    studio_end(&s);
}

/* record.saved names a time that a copy of the file then holds, as a crash would leave it. */
void saved_is_on_the_disk(void)
{
    fab_studio s = studio_new();
    fab_live *l = open_channel(&s, FAB_ROLE_OWNER);
    long long saved = -1;
    start_one(l, "saved", "{\"kind\":\"pose\"}");
    for (uint64_t t = 0; t < 5000000; t += 250000) {
        const char *text = send_pose(l, t), *at = strstr(text, "\"record.saved\",\"t\":");
        CHECK(!at || sscanf(at + 19, "%lld", &saved) == 1);
        CHECK(saved < (long long)t);
    }
    for (int n = 0; saved < 3000000 && n < 1000; n++) {
        out.size = 0;
        CHECK(fab_live_poll(l, now_s, &out, NULL) == FAB_OK);
        const char *at = strstr(answered(), "\"record.saved\",\"t\":");
        CHECK(!at || sscanf(at + 19, "%lld", &saved) == 1);
        usleep(1000);
    }
    CHECK(saved >= 3000000);
    FAB_AUTO(fab_json_free) fab_json *report = check_lesson("saved", true);
    CHECK(fab_real_of(report, "pose") >= (double)saved / 13900);
    fab_live_close(l);
    studio_end(&s);
}

/* A row before a silence is on the disk a second later, without another message. */
void saved_before_a_silence(void)
{
    fab_studio s = studio_new();
    fab_live *l = open_channel(&s, FAB_ROLE_OWNER);
    bool saved = false;
    now_s = 100;
    start_one(l, "silence", "");
    say(l, "{\"type\":\"row\",\"row\":{\"op\":\"explode\",\"args\":{\"amount\":5},\"seq\":1,"
           "\"by\":\"a\",\"t\":40}}");
    for (int n = 0; n < 2000 && !saved; n++, usleep(1000)) {
        now_s += 0.01;
        out.size = 0;
        CHECK(fab_live_poll(l, now_s, &out, NULL) == FAB_OK);
        saved = strstr(answered(), "{\"type\":\"record.saved\",\"t\":40}") != NULL;
        CHECK(!saved || now_s > 101);
    }
    CHECK(saved);
    FAB_AUTO(fab_json_free) fab_json *report = check_lesson("silence", true);
    CHECK_NEAR(fab_real_of(report, "op"), 1, 0);
    say(l, "{\"type\":\"row\",\"row\":{\"op\":\"explode\",\"args\":{\"amount\":6},\"seq\":2,"
           "\"by\":\"a\",\"t\":50}}");
    CHECK(strstr(say(l, "{\"type\":\"record.stop\"}"), "record.stopped"));
    free_lesson("silence", false);
    fab_live_close(l);
    studio_end(&s);
}

void names_of_lessons(void)
{
    static const char *const rows[][2] = {
        {"Where the portal vein divides", "where-the-portal-vein-divides"}, {"  --  ", "lesson"},
        {"L4/L5: \xC3\xA9tage", "l4-l5-tage"}, {"", "lesson"}, {"\xE8\x84\x8A", "lesson"},
        {"../../etc/passwd", "etc-passwd"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}};
    char slug[FAB_LESSON_SLUG_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fab_shelf_slug(rows[i][0], slug);
        CHECK(strcmp(slug, rows[i][1]) == 0);
    }
}
