/* session.c - health, pairing, links, the authority's certificate. */
#include "server_internal.h"

#include <stdio.h>

void fab_health_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)s;
    (void)q;
    (void)rest;
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    bool good = o && fab_json_set(o, "status", fab_json_string("ok"), NULL) == FAB_OK &&
                fab_json_set(o, "name", fab_json_string("fabrica"), NULL) == FAB_OK &&
                fab_json_set(o, "version", fab_json_string(FAB_VERSION), NULL) == FAB_OK;
    fab_answer_json(a, 200, good ? fab_json_retain(o) : NULL);
}

void fab_session_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)rest;
    const char *role = fab_role_name(q->role);
    const fab_session *session = fab_pairing_find(&s->pairing, q->token, q->now_s);
    double left_s = session ? session->until_s - q->now_s : 0;
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    bool good = o && fab_json_set(o, "paired", fab_json_bool(role != NULL), NULL) == FAB_OK &&
                fab_json_set(o, "role", role ? fab_json_string(role) : fab_json_null(),
                             NULL) == FAB_OK &&
                fab_json_set(o, "expires_s", fab_json_int((int64_t)left_s), NULL) == FAB_OK;
    fab_answer_json(a, 200, good ? fab_json_retain(o) : NULL);
}

const char *fab_session_cookie(const fab_server *s, const fab_request *q, char *name)
{
    snprintf(name, FAB_COOKIE_BYTES, "fabrica_session_%d",
             q->loopback ? s->local_port : s->network_port);
    return name;
}

static fab_pair try_code(fab_server *s, const fab_request *q, const fab_login *login, char *token,
                         fab_answer *a)
{
    int retry_s = 0;
    bool renewed = false;
    fab_pair how = fab_pairing_try_code(&s->pairing, q->address, login->code, q->now_s, token,
                                        &retry_s, &renewed);
    if (renewed) {
        snprintf(s->info.code, sizeof s->info.code, "%s", s->pairing.code);
        if (s->options.new_code) s->options.new_code(s->options.ctx, s->pairing.code);
    }
    if (how != FAB_PAIR_LOCKED) return how;
    fab_answer_error(a, 429, "locked", "Too many wrong codes. Try again in %d s.", retry_s);
    fab_answer_header(a, "retry-after:", "%d", retry_s);
    return how;
}

void fab_session_post(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)rest;
    char token[FAB_TOKEN_BYTES] = "", name[FAB_COOKIE_BYTES];
    fab_error err = {0};
    fab_login login;
    if (fab_parse_login(q->body, q->body_bytes, &login, &err) < 0) {
        fab_answer_error(a, 400, "body", "%s", err.message);
        return;
    }
    fab_pair how = login.code[0] ? try_code(s, q, &login, token, a)
                                 : fab_pairing_try_link(&s->pairing, login.link, q->now_s, token);
    if (how == FAB_PAIR_WRONG)
        fab_answer_error(a, 401, "wrong-code",
                         "That is not the code. Look at the screen of the computer that shows it.");
    if (how == FAB_PAIR_UNKNOWN) fab_answer_error(a, 403, "wrong-link", "There is no such link.");
    if (how == FAB_PAIR_EXPIRED)
        fab_answer_error(a, 410, "expired", "This link was used or its time is over.");
    if (how != FAB_PAIR_OK) return;
    if (q->token[0]) fab_pairing_end(&s->pairing, q->token); /* one session a browser */
    a->status = 204;
    fab_answer_header(a, "set-cookie:",
                      "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s",
                      fab_session_cookie(s, q, name), token, FAB_SESSION_S,
                      q->secure ? "; Secure" : "");
    fab_answer_header(a, "cache-control:", "no-store");
}

void fab_session_delete(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)rest;
    char name[FAB_COOKIE_BYTES];
    fab_pairing_end(&s->pairing, q->token);
    fab_http_check_live(s->http);
    a->status = 204;
    fab_answer_header(a, "set-cookie:",
                      "%s=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0%s",
                      fab_session_cookie(s, q, name), q->secure ? "; Secure" : "");
    fab_answer_header(a, "cache-control:", "no-store");
}

void fab_links_post(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)rest;
    char token[FAB_TOKEN_BYTES], url[400];
    fab_error err = {0};
    fab_link_request link;
    if (fab_parse_link(q->body, q->body_bytes, &link, &err) < 0) {
        fab_answer_error(a, 400, "body", "%s", err.message);
        return;
    }
    int seconds = link.minutes * 60;
    fab_pairing_add_link(&s->pairing, link.role, seconds, false, q->now_s, token);
    snprintf(url, sizeof url, "%s%s#link=%s",
             s->info.network_url[0] ? s->info.network_url : s->info.local_url,
             s->info.network_url[0] ? "" : s->query, token);
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    bool good = o && fab_json_set(o, "url", fab_json_string(url), NULL) == FAB_OK &&
                fab_json_set(o, "token", fab_json_string(token), NULL) == FAB_OK &&
                fab_json_set(o, "expires_s", fab_json_int(seconds), NULL) == FAB_OK;
    fab_answer_json(a, 201, good ? fab_json_retain(o) : NULL);
}

/* The authority's certificate, for a headset that shall trust it: public, as every connection
 * shows it anyway. */
void fab_ca_get(fab_server *s, const fab_request *q, const char *rest, fab_answer *a)
{
    (void)q;
    (void)rest;
    if (!s->tls.ca_pem) {
        fab_answer_error(a, 404, "not-found", "this server is for its own machine only");
        return;
    }
    fab_answer_text(a, 200, "application/x-x509-ca-cert", s->tls.ca_pem);
    fab_answer_header(a, "content-disposition:", "attachment; filename=\"fabrica-ca.pem\"");
    fab_answer_header(a, "cache-control:", "no-cache");
}
