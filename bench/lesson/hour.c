/* hour.c - a synthetic lesson of any length: head and two controllers at 72 Hz, voice, a row each
 * second; with hands both hands at 36 Hz too; with strokes one of 24 points each 15 s, which stay.
 *
 *   bench_lesson FILE SECONDS [hands|strokes]
 */
#include <stdlib.h>
#include <string.h>

#include "lesson_build.h"

/* As a pen leaves it: in each fifteenth second a stroke, else what is usual. */
static fab_status draw(fab_lesson_writer *w, int n, fab_error *err)
{
    char points[1024];
    size_t used = 0;
    if (n % 15 != 7) return lesson_change(w, n, err);
    for (int i = 0; i < 24; i++)
        used += (size_t)snprintf(points + used, sizeof points - used, "%s[%d,%d,%d]",
                                 i ? "," : "", i * 9 + n, n * i % 90, i * 3);
    return lesson_row(w, err, "{\"op\":\"annotation.add\",\"args\":{\"name\":\"s-%d\",\"kind\":"
                      "\"stroke\",\"points\":[%s],\"rgb\":[255,120,0],\"width\":16},\"seq\":%d,"
                      "\"by\":\"teacher\",\"t\":%lld}", n, points, n + 1, n * 1000000LL + 7);
}

int main(int argc, char **argv)
{
    fab_error err;
    FAB_AUTO(fab_record_file_close) fab_record_file *f = NULL;
    fab_mcap_sink sink;
    if (argc < 3) {
        fprintf(stderr, "bench_lesson FILE SECONDS [hands|strokes]\n");
        return 2;
    }
    const char *with = argc > 3 ? argv[3] : "";
    const lesson_streams rates = {.pose_hz = 72, .hand_hz = strcmp(with, "hands") ? 0 : 36,
                                  .change = strcmp(with, "strokes") ? lesson_change : draw};
    if (fab_record_file_open(argv[1], &f, &sink, &err) < 0 ||
        lesson_write_as(&sink, atoi(argv[2]), rates, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}
