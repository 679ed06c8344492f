/* Lessons of any bytes: by index, by scan, every event, a seek, an edit, every export. What is
 * written from what was accepted must be read again. */
#include <stdlib.h>

#include "fabrica/record.h"
#include "fuzz_target.h"

static void edit(const fab_reader *r)
{
    fab_error err;
    fab_buf out = {.max_bytes = 64u << 20};
    fab_writer w;
    fab_writer_to_buf(&out, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    const fab_lesson_edit whole = {.from_us = 500000, .to_us = -1, .set_voice = r->size % 2 == 1,
                                   .voice_from_us = 600000, .voice_to_us = 1000000};
    if (fab_lesson_rewrite(r, &whole, &sink, &err) == FAB_OK) {
        fab_reader again;
        fab_json *report = NULL;
        fab_reader_from_memory(out.data, out.size, "edited.mcap", &again);
        if (fab_lesson_verify(&again, &report, &err) < 0) abort();
        fab_json_free(report);
    }
    for (int i = FAB_LESSON_JSONL; i <= FAB_LESSON_GLTF; i++)
        (void)!fab_lesson_export(r, (fab_lesson_export_format)i, &w, &err);
    fab_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fab_reader r;
    fab_error err;
    fab_lesson *l = NULL;
    fab_scene *scene = NULL;
    fab_json *report = NULL;
    fab_reader_from_memory(data, size, "fuzz.mcap", &r);
    fab_status status = fab_lesson_verify(&r, &report, &err);
    if ((status == FAB_OK) != (report != NULL)) abort();
    fab_json_free(report);
    if (fab_lesson_open(&r, &l, &err) < 0) return 0;
    if (fab_lesson_seek(l, 1500000, &scene, &err) < 0 && scene) abort();
    fab_scene_free(scene);
    fab_lesson_free(l);
    edit(&r);
    return 0;
}
