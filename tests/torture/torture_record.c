/* Every allocation of writing, reading, checking and editing a lesson fails once. */
#include "lesson_build.h"

static fab_error err;

static fab_status write_once(void *ctx)
{
    (void)ctx;
    fab_buf out = {0};
    fab_status status = lesson_build(&out, 3, true, &err);
    fab_buf_free(&out);
    return status;
}

static fab_status read_once(void *ctx)
{
    const fab_buf *bytes = ctx;
    FAB_AUTO(fab_json_free) fab_json *report = NULL;
    FAB_AUTO(fab_json_free) fab_json *about = NULL;
    FAB_AUTO(fab_lesson_free) fab_lesson *l = NULL;
    FAB_AUTO(fab_scene_free) fab_scene *scene = NULL;
    fab_reader r;
    fab_reader_from_memory(bytes->data, bytes->size, "torture.mcap", &r);
    FAB_TRY(fab_lesson_verify(&r, &report, &err));
    FAB_TRY(fab_lesson_describe(&r, &about, &err));
    FAB_TRY(fab_lesson_open(&r, &l, &err));
    return fab_lesson_seek(l, 2000000, &scene, &err);
}

static fab_status edit_once(void *ctx)
{
    const fab_buf *bytes = ctx;
    fab_buf out = {0};
    fab_writer w;
    fab_reader r;
    const fab_lesson_edit edit = {.from_us = 1000000, .to_us = -1};
    fab_reader_from_memory(bytes->data, bytes->size, "torture.mcap", &r);
    fab_writer_to_buf(&out, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    fab_status status = fab_lesson_rewrite(&r, &edit, &sink, &err);
    for (int i = FAB_LESSON_JSONL; status == FAB_OK && i <= FAB_LESSON_GLTF; i++)
        status = fab_lesson_export(&r, (fab_lesson_export_format)i, &w, &err);
    fab_buf_free(&out);
    return status;
}

static void writing(void) { fab_test_torture(write_once, NULL); }

static void reading(void)
{
    fab_buf bytes = {0};
    CHECK_OK(lesson_build(&bytes, 3, true, &err));
    fab_test_torture(read_once, &bytes);
    fab_buf_free(&bytes);
}

static void editing(void)
{
    fab_buf bytes = {0};
    CHECK_OK(lesson_build(&bytes, 3, true, &err));
    fab_test_torture(edit_once, &bytes);
    fab_buf_free(&bytes);
}

int main(void) { return FAB_RUN(TEST(writing), TEST(reading), TEST(editing)); }
