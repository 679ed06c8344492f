/* lesson_interop.c - the C side of interop-lesson: `write FILE` records ten seconds, `read` and
 * `scan FILE` print what is in any MCAP file with chunks: channels, messages, attachments. */
#include "lesson_build.h"

static fab_error err;

static fab_status write_lesson(const char *path)
{
    FAB_AUTO(fab_record_file_close) fab_record_file *f = NULL;
    fab_mcap_sink sink;
    FAB_TRY(fab_record_file_open(path, &f, &sink, &err));
    return lesson_write(&sink, 10, 72, 36, &err);
}

static fab_status print_chunk(fab_mcap *m, size_t index)
{
    fab_mcap_message message;
    fab_status status = FAB_OK;
    FAB_TRY(fab_mcap_load_chunk(m, index, &err));
    while ((status = fab_mcap_next_message(m, &message, &err)) == FAB_OK)
        printf("message %s %u %llu %zu %08x\n",
               fab_mcap_channel_by_id(m, message.channel)->topic, message.sequence,
               (unsigned long long)message.time_ns, message.size,
               fab_crc32(0, message.data, message.size));
    return status < 0 ? status : FAB_OK;
}

static fab_status read_file(const char *path, bool scan)
{
    fab_reader r;
    FAB_AUTO(fab_mcap_free) fab_mcap *m = NULL;
    FAB_TRY(fab_reader_open_file(path, &r, &err));
    FAB_TRY(scan ? fab_mcap_open_scan(&r, &m, &err) : fab_mcap_open(&r, &m, &err));
    printf("profile %s\n", fab_mcap_profile(m));
    for (size_t i = 0; i < fab_mcap_channel_count(m); i++) {
        const fab_mcap_channel *c = fab_mcap_channel_at(m, i);
        printf("channel %s %s %llu\n", c->topic, c->encoding, (unsigned long long)c->messages);
    }
    for (size_t i = 0; i < fab_mcap_chunk_count(m); i++) FAB_TRY(print_chunk(m, i));
    for (size_t i = 0; i < fab_mcap_attachment_count(m); i++) {
        FAB_AUTO_BUF fab_buf data = {0};
        FAB_TRY(fab_mcap_read_attachment(m, i, &data, &err));
        printf("attachment %s %zu %08x\n", fab_mcap_attachment_at(m, i)->name, data.size,
               fab_crc32(0, data.data, data.size));
    }
    return FAB_OK;
}

int main(int argc, char **argv)
{
    fab_status status = FAB_ERR_ARG;
    if (argc == 3 && !strcmp(argv[1], "write")) status = write_lesson(argv[2]);
    else if (argc == 3) status = read_file(argv[2], !strcmp(argv[1], "scan"));
    if (status < 0) fprintf(stderr, "%s\n", err.message);
    return status < 0;
}
