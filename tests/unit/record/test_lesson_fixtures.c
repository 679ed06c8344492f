/* contract/fixtures/lessons: poses and their integers, lessons and what is in them. TypeScript
 * reads the same files (web/packages/lesson/test). */
#include <stdlib.h>

#include "lesson_build.h"
#include "lesson_internal.h"

static fab_error err;

static const char *source_path(const char *relative, char *into)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(into, FAB_MAX_PATH_BYTES, "%s/%s", root ? root : ".", relative);
    return into;
}

static void take_three(const fab_json *list, int count, double *to)
{
    for (int i = 0; i < count; i++) to[i] = fab_json_number(fab_json_at(list, (size_t)i));
}

static fab_pose_real real_of(const fab_json *o)
{
    fab_pose_real p;
    take_three(fab_json_find(o, "position"), 3, p.position_m);
    take_three(fab_json_find(o, "rotation"), 4, p.rotation);
    return p;
}

static bool is_packed(const fab_json *o, const fab_pose *p)
{
    double position[3], rotation[3];
    take_three(fab_json_find(o, "position"), 3, position);
    take_three(fab_json_find(o, "rotation"), 3, rotation);
    bool same = fab_json_integer(fab_json_find(o, "largest")) == p->largest;
    for (int i = 0; i < 3; i++)
        same = same && (int32_t)position[i] == p->position[i] &&
               (int16_t)rotation[i] == p->rotation[i];
    return same;
}

static void poses(void)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *list = NULL;
    CHECK_OK(fab_json_load_file(source_path("contract/fixtures/lessons/poses.json", path), &list,
                                &err));
    for (size_t i = 0; i < fab_json_count(list); i++) {
        const fab_json *entry = fab_json_at(list, i);
        const fab_pose_real wrist = real_of(fab_json_find(entry, "wrist"));
        const fab_pose_real joint = real_of(fab_json_find(entry, "joint"));
        fab_pose pose, local;
        CHECK_OK(fab_pose_quantise(&wrist, &pose, &err));
        CHECK_OK(fab_joint_quantise(&pose, &joint, &local, &err));
        if (!is_packed(fab_json_find(entry, "pose"), &pose) ||
            !is_packed(fab_json_find(entry, "local"), &local))
            fprintf(stderr, "entry %zu\n", i);
        CHECK(is_packed(fab_json_find(entry, "pose"), &pose));
        CHECK(is_packed(fab_json_find(entry, "local"), &local));
    }
    CHECK(fab_json_count(list) == 200);
}

static void one_lesson(const char *lesson, const char *lines)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_reader r, expected;
    fab_writer w;
    FAB_AUTO_BUF fab_buf out = {0}, text = {0};
    fab_writer_to_buf(&out, &w);
    CHECK_OK(fab_reader_open_file(source_path(lesson, path), &r, &err));
    CHECK_OK(fab_lesson_export(&r, FAB_LESSON_JSONL, &w, &err));
    CHECK_OK(fab_reader_open_file(source_path(lines, path), &expected, &err));
    CHECK_OK(fab_buf_reserve(&text, (size_t)expected.size, &err));
    CHECK_OK(fab_reader_read(&expected, 0, text.data, (size_t)expected.size, &err));
    CHECK(out.size == expected.size && memcmp(out.data, text.data, out.size) == 0);
    fab_reader_close(&r);
    fab_reader_close(&expected);
}

static void lessons(void)
{
    one_lesson("contract/fixtures/lessons/small.mcap", "contract/fixtures/lessons/small.jsonl");
    one_lesson("contract/fixtures/lessons/cut.mcap", "contract/fixtures/lessons/cut.jsonl");
    one_lesson("contract/fixtures/lessons/trimmed.mcap", "contract/fixtures/lessons/trimmed.jsonl");
}

/* Two who teach together: anna with hands and voice, ben with a pointer held by its grip, and his
 * voice. Three seconds; ben is where anna was 0.7 s before. */
static fab_status write_people(fab_lesson_writer *w)
{
    static const char *const who[] = {"anna", "ben"};
    FAB_AUTO(fab_json_free) fab_json *grip = fab_json_object();
    const uint8_t packet[] = {0xf8, 0xff, 0xfe};
    int pose[2], hand = 0, voice[2];
    FAB_TRY(fab_json_set(grip, "space", fab_json_string("grip"), &err));
    for (int i = 0; i < 2; i++)
        FAB_TRY(fab_lesson_add_stream(w, FAB_LESSON_POSE, who[i], i ? grip : NULL, &pose[i], &err));
    FAB_TRY(fab_lesson_add_stream(w, FAB_LESSON_HAND, "anna", NULL, &hand, &err));
    for (int i = 0; i < 2; i++)
        FAB_TRY(fab_lesson_add_stream(w, FAB_LESSON_VOICE, who[i], NULL, &voice[i], &err));
    for (int n = 0; n < 30; n++) {
        fab_pose_sample s;
        fab_hand_sample h;
        for (int i = 0; i < 2; i++) {
            FAB_TRY(lesson_pose_sample(1 + 0.1 * n - 0.7 * i, &s, &err));
            s.time_us = n * 100000;
            if (i) s.devices = 1 << FAB_DEVICE_HEAD | 1 << FAB_DEVICE_RIGHT;
            FAB_TRY(fab_lesson_write_pose(w, pose[i], &s, &err));
            FAB_TRY(fab_lesson_write_voice(w, voice[i], s.time_us, (uint32_t)(5 * n), packet,
                                           sizeof packet, &err));
        }
        if (n % 10 == 3) {
            FAB_TRY(lesson_hand_sample(0.1 * n, &h, &err));
            FAB_TRY(fab_lesson_write_hand(w, hand, &h, &err));
        }
        if (n % 10 == 0) FAB_TRY(lesson_change(w, n / 10, &err));
    }
    return fab_lesson_finish(w, &err);
}

static void people(void)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_lesson_writer *w = NULL;
    fab_reader r, expected;
    fab_writer to_file, to_text;
    FAB_AUTO_BUF fab_buf file = {0}, out = {0}, text = {0};
    fab_writer_to_buf(&file, &to_file);
    fab_writer_to_buf(&out, &to_text);
    const fab_mcap_sink sink = {&to_file, NULL, NULL};
    CHECK_OK(fab_lesson_writer_create(&sink, &lesson_about, &w, &err));
    CHECK_OK(write_people(w));
    fab_lesson_writer_free(w);
    fab_reader_from_memory(file.data, file.size, "people.mcap", &r);
    CHECK_OK(fab_lesson_export(&r, FAB_LESSON_JSONL, &to_text, &err));
    CHECK_OK(fab_reader_open_file(source_path("contract/fixtures/lessons/people.jsonl", path),
                                  &expected, &err));
    CHECK_OK(fab_buf_reserve(&text, (size_t)expected.size, &err));
    CHECK_OK(fab_reader_read(&expected, 0, text.data, (size_t)expected.size, &err));
    CHECK(out.size == expected.size && memcmp(out.data, text.data, out.size) == 0);
    fab_reader_close(&expected);
    one_lesson("contract/fixtures/lessons/people.mcap", "contract/fixtures/lessons/people.jsonl");
}

int main(void) { return FAB_RUN(TEST(poses), TEST(lessons), TEST(people)); }
