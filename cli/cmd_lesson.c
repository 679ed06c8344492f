/* cmd_lesson.c - fabrica lesson: what a lesson holds, whether it is whole, cut, chapters, captions,
 * export (docs/guide/lessons.md). */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "fabrica/record.h"

enum { MAX_CHAPTERS = 1000, MAX_CHAPTER_FILE = 1 << 20 };

static const cli_option options[] = {
    {"output", 'o', CLI_PATH, "FILE", "trim, chapters, captions, voice, export: where to"},
    {"set", 0, CLI_PATH, "LIST", "chapters: take these, lines \"TIME TITLE\", in place of the old"},
    {"add", 0, CLI_PATH, "VTT", "captions: put this WebVTT file in, in place of its language's"},
    {"language", 0, CLI_TEXT, "TAG", "captions: their language; default: the lesson's"},
    {"chapter", 0, CLI_INT, "N", "voice: of this chapter alone, the first is 1"},
    {"with", 0, CLI_PATH, "OPUS", "voice: this Ogg Opus file instead; without it there is silence"},
    {"format", 0, CLI_CHOICE, "jsonl|webvtt|gltf", "export: what to write; default: jsonl"},
    {"json", 0, CLI_FLAG, NULL, "info, verify, chapters: print JSON"},
    {0}};

typedef struct task {
    const cli_call *call;
    const char *path;
    fab_reader source;
    fab_error *err;
} task;

/* "90", "1:30", "1:02:03.5" */
static fab_status parse_time(const char *text, int64_t *time_us, fab_error *err)
{
    double total = 0;
    const char *at = text;
    for (int parts = 0; parts < 3; parts++) {
        char *end = NULL;
        double value = strtod(at, &end);
        if (end == at || !(value >= 0 && value < 1e6)) break;
        total = 60 * total + value;
        at = end;
        if (*at != ':') break;
        at++;
    }
    if (*at || at == text)
        FAB_FAIL(err, FAB_ERR_ARG, "\"%.40s\" is no time; seconds, M:SS or H:MM:SS", text);
    *time_us = (int64_t)(total * 1000 + 0.5) * 1000;
    return FAB_OK;
}

static void print_time(const cli_call *call, int64_t us, const char *title)
{
    char clean[600];
    long long ms = us / 1000;
    cli_say(call, "  %lld:%02lld:%02lld.%03lld  %s\n", ms / 3600000, ms / 60000 % 60,
            ms / 1000 % 60, ms % 1000, cli_clean(title, clean, sizeof clean));
}

static void print_chapters(const cli_call *call, const fab_json *chapters)
{
    for (size_t i = 0; i < fab_json_count(chapters); i++) {
        const fab_json *c = fab_json_at(chapters, i);
        print_time(call, (int64_t)fab_real_of(c, "t"), fab_text_of(c, "title"));
    }
}

static void print_info(const cli_call *call, const fab_json *info)
{
    const fab_json *about = fab_json_find(info, "about"), *channels =
        fab_json_find(info, "channels"), *attached = fab_json_find(info, "attachments");
    char clean[600];
    cli_table t;
    cli_say(call, "%s (%s, %s)\n", cli_clean(fab_text_of(about, "title"), clean, sizeof clean),
            fab_text_of(about, "language"), fab_text_of(about, "created"));
    cli_say(call, "%.1f s, %.2f MB, %.1f MB an hour%s\n", fab_real_of(info, "duration_s"),
            fab_real_of(info, "bytes") * 1e-6, fab_real_of(info, "mb_per_hour"),
            fab_json_is_true(fab_json_find(info, "cut")) ? "; cut: its recording did not end well"
                                                         : "");
    cli_say(call, "model %.64s\n", *fab_text_of(about, "manifest_sha256")
                                       ? fab_text_of(about, "manifest_sha256") : "not named");
    if (cli_quiet(call) || !cli_table_start(&t, "Channel|>Messages|>Bytes")) return;
    for (size_t i = 0; i < fab_json_count(channels) && cli_table_row(&t); i++) {
        const fab_json *c = fab_json_at(channels, i);
        cli_table_cell(&t, 0, "%s", cli_clean(fab_text_of(c, "topic"), clean, sizeof clean));
        cli_table_cell(&t, 1, "%.0f", fab_real_of(c, "messages"));
        cli_table_cell(&t, 2, "%.0f", fab_real_of(c, "bytes"));
    }
    cli_table_print(&t, stdout);
    for (size_t i = 0; i < fab_json_count(attached); i++)
        cli_say(call, "attached: %s\n", cli_clean(fab_text_of(fab_json_at(attached, i), "name"),
                                                  clean, sizeof clean));
    if (fab_json_count(fab_json_find(info, "chapters"))) cli_say(call, "chapters:\n");
    print_chapters(call, fab_json_find(info, "chapters"));
}

static fab_status info(const task *t)
{
    FAB_AUTO(fab_json_free) fab_json *o = NULL;
    FAB_TRY(fab_lesson_describe(&t->source, &o, t->err));
    if (cli_has(t->call, "json")) cli_print_json(o);
    else print_info(t->call, o);
    return FAB_OK;
}

static fab_status verify(const task *t)
{
    FAB_AUTO(fab_json_free) fab_json *o = NULL;
    FAB_TRY(fab_lesson_verify(&t->source, &o, t->err));
    if (cli_has(t->call, "json")) cli_print_json(o);
    else
        cli_say(t->call, "%s: %.0f chunks, %.0f rows, %.0f keyframes: as written%s\n", t->path,
                fab_real_of(o, "chunks"), fab_real_of(o, "op"), fab_real_of(o, "keyframe"),
                fab_json_is_true(fab_json_find(o, "cut")) ? "; but cut at its end" : "");
    return FAB_OK;
}

static fab_status rewrite(const task *t, const fab_lesson_edit *edit)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *f = NULL;
    const char *out = cli_text(t->call, "output", NULL);
    if (!out) FAB_FAIL(t->err, FAB_ERR_ARG, "which file to write? Give -o FILE");
    FAB_TRY(fab_atomic_open(out, &f, t->err));
    const fab_mcap_sink sink = {fab_atomic_writer(f), NULL, NULL};
    FAB_TRY(fab_lesson_rewrite(&t->source, edit, &sink, t->err));
    FAB_TRY(fab_atomic_commit(&f, t->err));
    cli_say(t->call, "%s\n", out);
    return FAB_OK;
}

static fab_status trim(const task *t)
{
    fab_lesson_edit edit = {0};
    if (t->call->argument_count < 4)
        FAB_FAIL(t->err, FAB_ERR_ARG, "trim FILE FROM TO: times like 90, 1:30 or 1:02:03.5");
    FAB_TRY(parse_time(t->call->arguments[2], &edit.from_us, t->err));
    FAB_TRY(parse_time(t->call->arguments[3], &edit.to_us, t->err));
    return rewrite(t, &edit);
}

/* Lines "TIME TITLE"; text is cut into pieces that chapters point to. */
static fab_status parse_chapters(char *text, fab_lesson_chapter *chapters, size_t *count,
                                 fab_error *err)
{
    size_t line = 0;
    *count = 0;
    for (char *next = text; next && *next;) {
        char *start = next, *end = strchr(next, '\n');
        next = end ? end + 1 : NULL;
        if (end) *end = 0;
        line++;
        start[strcspn(start, "\r")] = 0;
        if (!*start) continue;
        size_t length = strcspn(start, " \t");
        if (!start[length] || *count == MAX_CHAPTERS)
            FAB_FAIL(err, FAB_ERR_ARG, "chapters line %zu: \"TIME TITLE\", at most %d", line,
                     MAX_CHAPTERS);
        start[length] = 0;
        FAB_TRY(parse_time(start, &chapters[*count].time_us, err));
        chapters[(*count)++].title = start + length + 1 + strspn(start + length + 1, " \t");
    }
    return FAB_OK;
}

static fab_status read_file(const char *path, uint8_t **bytes, size_t *size, fab_error *err)
{
    fab_reader r;
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = fab_reader_read_all(&r, MAX_CHAPTER_FILE, bytes, size, err);
    fab_reader_close(&r);
    return status;
}

static fab_status chapters(const task *t)
{
    const char *list = cli_text(t->call, "set", NULL);
    if (!list) {
        FAB_AUTO(fab_json_free) fab_json *o = NULL;
        FAB_TRY(fab_lesson_chapters(&t->source, &o, t->err));
        if (cli_has(t->call, "json")) cli_print_json(o);
        else print_chapters(t->call, o);
        return FAB_OK;
    }
    FAB_AUTO_FREE uint8_t *text = NULL;
    FAB_AUTO_FREE fab_lesson_chapter *rows = fab_calloc(MAX_CHAPTERS, sizeof *rows);
    fab_lesson_edit edit = {.to_us = -1, .set_chapters = true};
    size_t size = 0;
    if (!rows) FAB_FAIL(t->err, FAB_ERR_NOMEM, "no memory for chapters");
    FAB_TRY(read_file(list, &text, &size, t->err));
    FAB_TRY(parse_chapters((char *)text, rows, &edit.chapter_count, t->err));
    edit.chapters = rows;
    return rewrite(t, &edit);
}

static fab_status export_to(const task *t, fab_lesson_export_format format)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *f = NULL;
    const char *out = cli_text(t->call, "output", NULL);
    if (!out) FAB_FAIL(t->err, FAB_ERR_ARG, "which file to write? Give -o FILE");
    FAB_TRY(fab_atomic_open(out, &f, t->err));
    FAB_TRY(fab_lesson_export(&t->source, format, fab_atomic_writer(f), t->err));
    FAB_TRY(fab_atomic_commit(&f, t->err));
    cli_say(t->call, "%s\n", out);
    return FAB_OK;
}

static fab_status export(const task *t)
{
    const char *format = cli_text(t->call, "format", "jsonl");
    return export_to(t, strcmp(format, "gltf") == 0     ? FAB_LESSON_GLTF
                        : strcmp(format, "webvtt") == 0 ? FAB_LESSON_WEBVTT
                                                        : FAB_LESSON_JSONL);
}

static fab_status captions(const task *t)
{
    FAB_AUTO(fab_lesson_free) fab_lesson *l = NULL;
    FAB_AUTO_FREE uint8_t *text = NULL;
    const char *path = cli_text(t->call, "add", NULL);
    size_t size = 0;
    char name[64];
    if (!path) return export_to(t, FAB_LESSON_WEBVTT);
    FAB_TRY(read_file(path, &text, &size, t->err));
    FAB_TRY(fab_lesson_open(&t->source, &l, t->err));
    const char *own = fab_text_of(fab_lesson_about_json(l), "language");
    const char *language = cli_text(t->call, "language", own);
    FAB_TRY(fab_lesson_check_language(language, t->err));
    snprintf(name, sizeof name, "captions.%s.vtt", language);
    const fab_lesson_edit edit = {.to_us = -1, .attachment = name, .media_type = "text/vtt",
                                  .data = text, .data_bytes = size};
    return rewrite(t, &edit);
}

/* From chapter n (the first is 1) to the next one, or to the end. */
static fab_status find_chapter(const task *t, long n, fab_lesson_edit *edit)
{
    FAB_AUTO(fab_json_free) fab_json *list = NULL;
    FAB_TRY(fab_lesson_chapters(&t->source, &list, t->err));
    const size_t count = fab_json_count(list);
    if (n < 1 || (size_t)n > count)
        FAB_FAIL(t->err, FAB_ERR_ARG, "--chapter %ld: %s has %zu %s", n, t->path, count,
                 fab_plural((int64_t)count, "chapter", "chapters"));
    edit->voice_from_us = (int64_t)fab_real_of(fab_json_at(list, (size_t)n - 1), "t");
    edit->voice_to_us =
        (size_t)n < count ? (int64_t)fab_real_of(fab_json_at(list, (size_t)n), "t") : -1;
    return FAB_OK;
}

static fab_status voice(const task *t)
{
    const char *path = cli_text(t->call, "with", NULL);
    fab_opus_track track = {0};
    fab_lesson_edit edit = {.to_us = -1, .set_voice = true, .voice_to_us = -1};
    if (cli_has(t->call, "chapter"))
        FAB_TRY(find_chapter(t, cli_int(t->call, "chapter", 1), &edit));
    if (path) {
        fab_reader opus;
        FAB_TRY(fab_reader_open_file(path, &opus, t->err));
        fab_status status = fab_opus_read_ogg(&opus, &track, t->err);
        fab_reader_close(&opus);
        if (status < 0) return status;
        edit.voice = &track;
    }
    fab_status status = rewrite(t, &edit);
    fab_opus_track_free(&track);
    return status;
}

static const struct {
    const char *name;
    fab_status (*run)(const task *t);
    int most; /* arguments, itself included */
} actions[] = {{"info", info, 2}, {"verify", verify, 2}, {"trim", trim, 4},
               {"chapters", chapters, 2}, {"captions", captions, 2}, {"voice", voice, 2},
               {"export", export, 2}};
enum { ACTIONS = sizeof actions / sizeof *actions };

static int run(const cli_call *call)
{
    const char *names[ACTIONS], *action = call->arguments[0];
    fab_error err = {0};
    task t = {.call = call, .path = call->arguments[1], .err = &err};
    int which = -1;
    for (int i = 0; i < ACTIONS; i++) {
        names[i] = actions[i].name;
        if (strcmp(action, names[i]) == 0) which = i;
    }
    if (which < 0) {
        const char *near = cli_nearest(action, names, ACTIONS);
        return cli_usage_error(call, "info, verify, trim, chapters, captions, voice or export, not "
                               "\"%s\"%s%s", action, near ? "; did you mean " : "",
                               near ? near : "");
    }
    if (call->argument_count > actions[which].most)
        return cli_usage_error(call, "%s: too many arguments", action);
    cli_begin(call);
    fab_status status = fab_reader_open_file(t.path, &t.source, &err);
    if (status == FAB_OK) {
        status = actions[which].run(&t);
        fab_reader_close(&t.source);
    }
    return cli_end(call, status, &err);
}

static const char *const examples[] = {
    "what is in it", "fabrica lesson info lesson.mcap",
    "is it whole", "fabrica lesson verify lesson.mcap",
    "from 1:30 to 12:00", "fabrica lesson trim lesson.mcap 1:30 12:00 -o short.mcap",
    "new chapters", "fabrica lesson chapters lesson.mcap --set chapters.txt -o new.mcap",
    "Spanish captions", "fabrica lesson captions lesson.mcap --add a.vtt --language es -o b.mcap",
    "no voice any more", "fabrica lesson voice lesson.mcap -o silent.mcap",
    "chapter 2 spoken anew", "fabrica lesson voice a.mcap --chapter 2 --with new.opus -o b.mcap",
    "every event as JSON", "fabrica lesson export lesson.mcap -o lesson.jsonl", NULL};

const cli_command cli_lesson = {
    "lesson", "info|verify|trim|chapters|captions|voice|export FILE [FROM TO]",
    "describe, check, edit and export recorded lessons", 2, 4,
    "A lesson is an MCAP file of the profile fabrica-lesson: poses, voice and scene operations. "
    "info tells length, channels, sizes and chapters. verify checks every checksum, time and row, "
    "and the hash of every keyframe against the rows before it. trim keeps FROM to TO and begins "
    "with the scene as it was. chapters lists them, or sets them from a file of lines \"TIME "
    "TITLE\". captions writes the WebVTT, or puts one in. voice takes the voice out, of all or "
    "of one chapter, or puts another in its place. export writes JSON lines, WebVTT or a "
    "moving glTF (GLB).",
    examples, options, run};
