/* Every allocation of the server's parts fails once: an error or a refusal, no leak. */
#include <sodium.h>

#include "lesson_build.h"
#include "server_internal.h"

static fab_error err;
static fab_server server;

static fab_status parse_once(void *ctx)
{
    static const char code[] = "{\"code\":\"123456\"}", link[] = "{\"minutes\":5}";
    fab_login login;
    fab_link_request request;
    (void)ctx;
    FAB_TRY(fab_parse_login(code, sizeof code - 1, &login, &err));
    FAB_TRY(fab_parse_link(link, sizeof link - 1, &request, &err));
    return FAB_OK;
}

static char folder[] = "/tmp/fab-torture-XXXXXX";

static void wake(void *ctx) { (void)ctx; }

static fab_status tell(fab_live *l, const char *text, fab_buf *out)
{
    return fab_live_text(l, text, strlen(text), 1, out, &err);
}

/* A recording, of which any message may be refused or end it: it never hangs, leaks or lies. JSON
 * that did not fit into memory is answered as JSON that is wrong. */
static fab_status record_once(void *ctx)
{
    static const uint8_t pose[23] = {[16] = 1, [18] = 1, [21] = 1}; /* at 0: one head */
    static const char *const messages[] = {
        "{\"type\":\"ping\",\"t\":1}",
        "{\"type\":\"record.start\",\"title\":\"t\",\"language\":\"en\",\"software\":\"s\","
        "\"state\":null,\"channels\":[{\"kind\":\"pose\",\"metadata\":{\"left\":\"hand\"}}]}",
        "{\"type\":\"row\",\"row\":{\"op\":\"chapter\",\"args\":{\"title\":\"c\"},\"seq\":1,"
        "\"by\":\"a\",\"t\":5}}",
        "{\"type\":\"meta\",\"t\":7,\"object\":{\"event\":\"e\"}}",
        "{\"type\":\"record.attach\",\"name\":\"thumbnail.png\",\"media_type\":\"image/png\","
        "\"data\":\"AAAA\"}", "{\"type\":\"record.stop\"}"};
    fab_studio *studio = ctx;
    FAB_AUTO_BUF fab_buf out = {0};
    fab_live *l = NULL;
    FAB_TRY(fab_live_open(studio, FAB_ROLE_OWNER, &l, &out, &err));
    fab_status status = FAB_OK;
    for (size_t i = 0; i < sizeof messages / sizeof *messages && status == FAB_OK; i++) {
        status = tell(l, messages[i], &out);
        if (status == FAB_OK && i == 2)
            status = fab_live_binary(l, pose, sizeof pose, 1, &out, &err);
    }
    fab_live_close(l);
    CHECK(studio->running == 0);
    CHECK(fab_path_remove_tree(studio->folder, NULL) == FAB_OK);
    if (status == FAB_OK) status = fab_buf_append(&out, "", 1, &err);
    FAB_TRY(status);
    return strstr((const char *)out.data, "record.stopped") ? FAB_OK : FAB_ERR_NOMEM;
}

static void recording(void)
{
    fab_studio studio = {.most_bytes = 1 << 20, .wake = wake};
    CHECK(mkdtemp(folder));
    snprintf(studio.folder, sizeof studio.folder, "%s/lessons", folder);
    fab_test_torture(record_once, &studio);
    CHECK(rmdir(folder) == 0);
}

static fab_status manifest_once(void *ctx)
{
    fab_private p = {0};
    FAB_TRY(fab_privacy_open(ctx, &p, &err));
    fab_privacy_close(&p);
    return FAB_OK;
}

/* Its thread meets failures too: then fewer lessons are listed, and later all. */
static fab_status shelf_once(void *ctx)
{
    const fab_model_hashes model = {"", ""};
    FAB_AUTO(fab_shelf_close) fab_shelf *s = NULL;
    FAB_AUTO_BUF fab_buf out = {0};
    fab_status status = 1;
    FAB_TRY(fab_shelf_open("/nonexistent", ctx, &model, wake, NULL, &s, &err));
    FAB_TRY(fab_shelf_start(s, &err));
    while (status > 0) {
        status = fab_shelf_list(s, fab_time_wall_s(), &out, &err);
        if (status > 0) usleep(100);
    }
    return status;
}

static void private_manifest(void)
{
    static const char text[] = "{\"patient_identifiers\":{\"patient_name\":\"x\"},\"options\":"
                               "{\"series\":\"1\"},\"files\":[{\"path\":\"a.glb\"}]}";
    FAB_AUTO(fab_json_free) fab_json *m = NULL;
    CHECK_OK(fab_json_parse(text, sizeof text - 1, "m", &m, &err));
    fab_test_torture(manifest_once, m);
}

static void shelf(void)
{
    char path[] = "/tmp/fab-torture-XXXXXX";
    FAB_AUTO_BUF fab_buf lesson = {0};
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_OK(lesson_build(&lesson, 1, false, &err));
    CHECK(write(fd, lesson.data, lesson.size) == (ssize_t)lesson.size && close(fd) == 0);
    fab_test_torture(shelf_once, path);
    CHECK(unlink(path) == 0);
}

static fab_status table_once(void *ctx)
{
    fab_file_table t = {.folder = -1};
    FAB_TRY(fab_files_open("/", ctx, &t, &err));
    CHECK(t.count == 2 && fab_files_find(&t, "a/b"));
    fab_files_close(&t);
    return FAB_OK;
}

static fab_status average_once(void *ctx)
{
    const fab_volume *v = ctx;
    FAB_AUTO(fab_volume_unref) fab_volume *out = NULL;
    fab_grid to = fab_levels_grid(fab_volume_grid(v), 4);
    FAB_TRY(fab_levels_average(v, &to, &out, &err));
    CHECK(out != NULL);
    return FAB_OK;
}

/* An answer that could not be made is a 500 without a body, never half of one. */
static fab_status answer_once(void *ctx)
{
    fab_answer a;
    fab_request q = {.method = FAB_GET, .loopback = true, .now_s = 1};
    snprintf(q.path, sizeof q.path, "%s", (const char *)ctx);
    snprintf(q.host, sizeof q.host, "localhost");
    fab_answer_start(&a);
    fab_routes_answer(&server, &q, &a);
    bool whole = a.status != 500;
    CHECK(whole ? a.bytes && a.length == a.bytes->size : a.length == 0);
    fab_answer_free(&a);
    return whole ? FAB_OK : FAB_ERR_NOMEM;
}

static void parsing(void) { fab_test_torture(parse_once, NULL); }

static void tables(void)
{
    static const char text[] =
        "[{\"path\":\"a/b\",\"bytes\":1,\"sha256\":"
        "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"},"
        "{\"path\":\"a/c\",\"bytes\":2,\"sha256\":"
        "\"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\"}]";
    FAB_AUTO(fab_json_free) fab_json *rows = NULL;
    CHECK_OK(fab_json_parse(text, sizeof text - 1, "rows", &rows, &err));
    fab_test_torture(table_once, rows);
}

static void averages(void)
{
    fab_grid g = {{9, 8, 7}, {{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}}};
    fab_volume *v = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    fab_test_torture(average_once, v);
    fab_volume_unref(v);
}

static void answers(void)
{
    static char *const paths[] = {"/api/v1/health", "/api/v1/session", "/api/v1/case", "/", "/x"};
    server.files.folder = server.web.folder = -1;
    fab_pairing_start(&server.pairing);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        fab_test_torture(answer_once, paths[i]);
}

int main(void)
{
    if (sodium_init() < 0) return 1;
    return FAB_RUN(TEST(parsing), TEST(recording), TEST(private_manifest), TEST(shelf),
                   TEST(tables), TEST(averages), TEST(answers));
}
