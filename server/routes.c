/* routes.c - the table of routes: a route is one row here, one handler in its family's file, and
 * one path of contract/openapi.json (tests compare the two). */
#include "server_internal.h"

#include <string.h>

static const fab_route routes[] = {
    {"/", FAB_GET, FAB_ROLE_NONE, fab_static_index},
    {"/assets/{path}", FAB_GET, FAB_ROLE_NONE, fab_static_asset},
    {"/ca.pem", FAB_GET, FAB_ROLE_NONE, fab_ca_get},
    {"/api/v1/health", FAB_GET, FAB_ROLE_NONE, fab_health_get},
    {"/api/v1/session", FAB_GET, FAB_ROLE_NONE, fab_session_get},
    {"/api/v1/session", FAB_POST, FAB_ROLE_NONE, fab_session_post},
    {"/api/v1/session", FAB_DELETE, FAB_ROLE_VIEW, fab_session_delete},
    {"/api/v1/links", FAB_POST, FAB_ROLE_OWNER, fab_links_post},
    {"/api/v1/case", FAB_GET, FAB_ROLE_VIEW, fab_case_get},
    {"/api/v1/case/files/{path}", FAB_GET, FAB_ROLE_VIEW, fab_case_file},
    {"/api/v1/case/volume/{level}", FAB_GET, FAB_ROLE_VIEW, fab_case_volume},
    {"/api/v1/case/labels/{level}", FAB_GET, FAB_ROLE_VIEW, fab_case_labels},
    {"/api/v1/lessons", FAB_GET, FAB_ROLE_VIEW, fab_lessons_get},
    {"/api/v1/lessons/{name}", FAB_GET, FAB_ROLE_VIEW, fab_lesson_get},
    {"/api/v1/lessons/{name}", FAB_DELETE, FAB_ROLE_OWNER, fab_lesson_delete},
    {"/api/v1/live", FAB_GET, FAB_ROLE_VIEW, fab_live_get},
};

enum { ROUTES = sizeof routes / sizeof *routes };

const fab_route *fab_routes(size_t *count)
{
    *count = ROUTES;
    return routes;
}

/* What {name} stands for in path, "" for a route without; NULL if it is not this route. */
static const char *rest_of(const fab_route *r, const char *path)
{
    size_t n = strcspn(r->path, "{");
    if (strncmp(r->path, path, n) != 0) return NULL;
    if (r->path[n]) return path[n] ? path + n : NULL;
    return path[n] ? NULL : path + n;
}

static void find_session(fab_server *s, fab_request *q)
{
    q->role = FAB_ROLE_NONE;
    char name[FAB_COOKIE_BYTES];
    q->token[0] = '\0';
    fab_session_cookie(s, q, name);
    if (!fab_parse_cookie(q->cookie, name, q->token, sizeof q->token)) return;
    const fab_session *session = fab_pairing_find(&s->pairing, q->token, q->now_s);
    if (session) q->role = session->role;
    else q->token[0] = '\0';
}

static bool role_is_enough(fab_role least, const fab_request *q, fab_answer *a)
{
    if (q->role >= least) return true;
    if (q->role == FAB_ROLE_NONE)
        fab_answer_error(a, 401, "no-session", "pair first: POST /api/v1/session");
    else fab_answer_error(a, 403, "role", "this needs the role %s", fab_role_name(least));
    return false;
}

static void method_not_allowed(int methods, fab_answer *a)
{
    static const struct {
        int method;
        const char *name;
    } names[] = {{FAB_GET, "GET, HEAD"}, {FAB_POST, "POST"}, {FAB_DELETE, "DELETE"}};
    char list[64] = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(methods & names[i].method)) continue;
        if (list[0]) strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, names[i].name, sizeof list - strlen(list) - 1);
    }
    fab_answer_error(a, 405, "method", "this route takes %s", list);
    fab_answer_header(a, "allow:", "%s", list);
}

/* A page elsewhere may not speak to us: neither by another name for this machine (DNS rebinding)
 * nor by making a browser that is let in send requests (forgery). */
static bool comes_from_us(const fab_request *q, fab_answer *a)
{
    if (q->loopback && !fab_parse_local_host(q->host)) {
        fab_answer_error(a, 403, "host", "ask for localhost");
        return false;
    }
    bool changes = q->method != FAB_GET && q->method != FAB_HEAD;
    if (changes && q->origin[0] && !fab_parse_same_origin(q->origin, q->host, q->secure)) {
        fab_answer_error(a, 403, "origin", "another site's page asked");
        return false;
    }
    return true;
}

void fab_routes_answer(fab_server *s, fab_request *q, fab_answer *a)
{
    int methods = 0, method = q->method == FAB_HEAD ? FAB_GET : (int)q->method;
    a->route = "none";
    find_session(s, q);
    if (!comes_from_us(q, a)) return;
    for (size_t i = 0; i < ROUTES; i++) {
        const char *rest = rest_of(&routes[i], q->path);
        if (!rest) continue;
        a->route = routes[i].path;
        methods |= routes[i].methods;
        if (!(routes[i].methods & method)) continue;
        if (role_is_enough(routes[i].least, q, a)) routes[i].answer(s, q, rest, a);
        a->route = routes[i].path;
        return;
    }
    if (methods) method_not_allowed(methods, a);
    else fab_answer_error(a, 404, "not-found", "there is no such route");
}

bool fab_routes_allow_live(fab_server *s, fab_request *q, fab_answer *a)
{
    a->route = "/api/v1/live";
    find_session(s, q);
    if (!comes_from_us(q, a)) return false;
    if (strcmp(q->path, a->route) != 0)
        fab_answer_error(a, 404, "not-found", "there is no such channel");
    else if (!fab_parse_same_origin(q->origin, q->host, q->secure))
        fab_answer_error(a, 403, "origin", "Origin is not this server");
    else if (!role_is_enough(FAB_ROLE_VIEW, q, a)) return false;
    else if (!fab_parse_has_word(q->protocols, "fabrica.live.1"))
        fab_answer_error(a, 400, "protocol", "the subprotocol is fabrica.live.1");
    else return true;
    return false;
}
