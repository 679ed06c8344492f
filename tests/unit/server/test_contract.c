#include "tests.h"

/* The table of routes and contract/openapi.json name the same paths and methods. */
void routes_and_contract_agree(void)
{
    static const struct {
        const char *name;
        int method;
    } verbs[] = {{"get", FAB_GET}, {"post", FAB_POST}, {"delete", FAB_DELETE}};
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    size_t count = 0, documented = 0;
    FAB_AUTO(fab_json_free) fab_json *doc = NULL;
    const fab_route *routes = fab_routes(&count);
    const char *root = getenv("FAB_SOURCE_ROOT");
    CHECK(root);
    snprintf(path, sizeof path, "%s/contract/openapi.json", root);
    CHECK_OK(fab_json_load_file(path, &doc, &err));
    const fab_json *paths = fab_json_find(doc, "paths");
    for (size_t i = 0; i < count; i++)
        for (size_t v = 0; v < sizeof verbs / sizeof *verbs; v++) {
            const fab_json *row = fab_json_find(paths, routes[i].path);
            if (!(routes[i].methods & verbs[v].method)) continue;
            if (!fab_json_find(row, verbs[v].name))
                fprintf(stderr, "not in openapi.json: %s %s\n", verbs[v].name, routes[i].path);
            CHECK(fab_json_find(row, verbs[v].name));
            bool guarded = fab_json_find(fab_json_find(row, verbs[v].name), "security") != NULL;
            CHECK(guarded == (routes[i].least > FAB_ROLE_NONE));
            documented++;
        }
    size_t in_file = 0;
    const char *key = NULL;
    const fab_json *row = NULL;
    for (void *at = NULL; fab_json_next(paths, &at, &key, &row);) in_file += fab_json_count(row);
    CHECK(in_file == documented);
}

static fab_server server; /* as far as these requests need one */

static int status_of(fab_method method, const char *path, const char *host, const char *origin)
{
    fab_answer a;
    fab_request q = {.method = method, .loopback = true, .now_s = 1};
    snprintf(q.path, sizeof q.path, "%s", path);
    snprintf(q.host, sizeof q.host, "%s", host);
    snprintf(q.origin, sizeof q.origin, "%s", origin);
    fab_answer_start(&a);
    fab_routes_answer(&server, &q, &a);
    int status = a.status;
    fab_answer_free(&a);
    return status;
}

void hostile_requests(void)
{
    static const char *const nowhere[] = {
        "/../etc/passwd", "/assets/../../etc/passwd", "/assets//etc/passwd", "/assets", "//",
        "/api/v1/case/files", "/api/v2/case", "/API/v1/case", "/api/v1/health/", "/assets/%2e%2e"};
    const char *host = "localhost:8042";
    server.files.folder = server.web.folder = -1;
    fab_pairing_start(&server.pairing);
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
        CHECK(status_of(FAB_GET, nowhere[i], host, "") == 404);
    CHECK(status_of(FAB_GET, "/api/v1/health", host, "") == 200);
    CHECK(status_of(FAB_HEAD, "/api/v1/health", host, "") == 200);
    CHECK(status_of(FAB_OTHER, "/api/v1/health", host, "") == 405);
    CHECK(status_of(FAB_DELETE, "/api/v1/case", host, "") == 405);
    CHECK(status_of(FAB_GET, "/api/v1/health", "evil.example:8042", "") == 403); /* rebinding */
    CHECK(status_of(FAB_POST, "/api/v1/session", host, "http://evil.example") == 403);
    CHECK(status_of(FAB_POST, "/api/v1/session", host, "http://localhost:8042") == 400);
    CHECK(status_of(FAB_GET, "/api/v1/case", host, "") == 401);
    CHECK(status_of(FAB_GET, "/api/v1/case/files/../../etc/passwd", host, "") == 401);
    CHECK(status_of(FAB_GET, "/api/v1/live", host, "") == 401);
    CHECK(status_of(FAB_POST, "/api/v1/links", host, "") == 401);
}

static fab_studio studio; /* nothing is recorded here */
static fab_live *channel;

static const char *answer_to(const char *text, fab_buf *out)
{
    out->size = 0;
    CHECK(fab_live_text(channel, text, strlen(text), 0, out, NULL) == FAB_OK);
    CHECK(fab_buf_append(out, "", 1, NULL) == FAB_OK);
    return (const char *)out->data;
}

void live_messages(void)
{
    FAB_AUTO_BUF fab_buf out = {0};
    CHECK(fab_live_open(&studio, FAB_ROLE_VIEW, &channel, &out, NULL) == FAB_OK);
    CHECK(fab_buf_append(&out, "", 1, NULL) == FAB_OK);
    CHECK(strstr((const char *)out.data, "\"role\":\"view\""));
    CHECK(strstr(answer_to("{\"type\":\"ping\",\"t\":5}", &out), "\"pong\""));
    CHECK(strstr(answer_to("{\"type\":\"dance\"}", &out), "unknown type"));
    CHECK(strstr(answer_to("{\"type\":7}", &out), "unknown type"));
    CHECK(strstr(answer_to("[1]", &out), "not an object"));
    CHECK(strstr(answer_to("{", &out), "\"error\""));
    CHECK(strstr(answer_to("", &out), "\"error\""));
    channel = fab_live_close(channel);
}
