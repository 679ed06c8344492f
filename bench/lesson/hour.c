/* hour.c - a synthetic lesson of any length: head and two controllers at 72 Hz, voice, a row each
 * second; with hands also both hands at 36 Hz.
 *
 *   bench_lesson FILE SECONDS [hands]
 */
#include <stdlib.h>

#include "lesson_build.h"

int main(int argc, char **argv)
{
    fab_error err;
    FAB_AUTO(fab_record_file_close) fab_record_file *f = NULL;
    fab_mcap_sink sink;
    if (argc < 3) {
        fprintf(stderr, "bench_lesson FILE SECONDS [hands]\n");
        return 2;
    }
    if (fab_record_file_open(argv[1], &f, &sink, &err) < 0 ||
        lesson_write(&sink, atoi(argv[2]), 72, argc > 3 ? 36 : 0, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}
