/* parse.c - text from outside: ranges, cookies, tags, small JSON bodies. Pure functions of their
 * arguments, so that tests/fuzz/fuzz_request.c can try anything on them. */
#include "server_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Decimal digits only; false for none, or above 2^62. Moves *at behind them. */
static bool digits(const char **at, uint64_t *out)
{
    uint64_t n = 0;
    const char *start = *at;
    for (; isdigit((unsigned char)**at); (*at)++) {
        n = n * 10 + (uint64_t)(**at - '0');
        if (n >> 62) return false;
    }
    *out = n;
    return *at != start;
}

fab_range_kind fab_parse_range(const char *text, uint64_t size, uint64_t *first, uint64_t *count)
{
    uint64_t a = 0, b = 0;
    *first = 0;
    *count = size;
    if (strncasecmp(text, "bytes=", 6) != 0) return FAB_RANGE_WHOLE;
    const char *at = text + 6;
    bool has_first = digits(&at, &a);
    if (*at++ != '-') return FAB_RANGE_WHOLE;
    bool has_last = digits(&at, &b);
    if (*at || (!has_first && !has_last)) return FAB_RANGE_WHOLE;
    if (!has_first) { /* the last b bytes */
        if (b == 0 || size == 0) return FAB_RANGE_BAD;
        *count = b < size ? b : size;
        *first = size - *count;
        return FAB_RANGE_PART;
    }
    if (has_last && b < a) return FAB_RANGE_WHOLE; /* not a range: ignored */
    if (a >= size) return FAB_RANGE_BAD;
    if (!has_last || b >= size) b = size - 1;
    *first = a;
    *count = b - a + 1;
    return FAB_RANGE_PART;
}

bool fab_parse_cookie(const char *header, const char *name, char *into, size_t capacity)
{
    size_t length = strlen(name);
    for (const char *at = header; *at;) {
        at += strspn(at, " \t;");
        size_t n = strcspn(at, ";");
        if (n > length && strncmp(at, name, length) == 0 && at[length] == '=') {
            const char *value = at + length + 1;
            size_t bytes = n - length - 1;
            while (bytes && (value[bytes - 1] == ' ' || value[bytes - 1] == '\t')) bytes--;
            if (bytes >= capacity) return false;
            memcpy(into, value, bytes);
            into[bytes] = '\0';
            return true;
        }
        at += n;
    }
    return false;
}

bool fab_parse_has_tag(const char *header, const char *tag, bool weak_too)
{
    size_t length = strlen(tag);
    for (const char *at = header; *at;) {
        at += strspn(at, " \t,");
        if (weak_too && *at == '*') return true;
        bool weak = strncmp(at, "W/", 2) == 0;
        if (weak) at += 2;
        if (*at != '"') {
            at += strcspn(at, ",");
            continue;
        }
        size_t n = strcspn(++at, "\"");
        if (n == length && strncmp(at, tag, n) == 0 && (!weak || weak_too)) return true;
        at += n + (at[n] == '"');
    }
    return false;
}

/* Is this "q=0", "q=0.0"...: a weight that means never. */
static bool weight_is_zero(const char *at, size_t n)
{
    for (size_t i = 0; i + 2 < n; i++) {
        if ((at[i] | 32) != 'q' || at[i + 1] != '=') continue;
        for (size_t k = i + 2; k < n; k++)
            if (at[k] >= '1' && at[k] <= '9') return false;
        return at[i + 2] == '0';
    }
    return false;
}

bool fab_parse_accepts_gzip(const char *header)
{
    for (const char *at = header; *at;) {
        at += strspn(at, " \t,");
        size_t n = strcspn(at, ","), word = strcspn(at, " \t;,");
        if (word == 4 && strncasecmp(at, "gzip", 4) == 0)
            return !weight_is_zero(at + word, n - word);
        at += n;
    }
    return false;
}

bool fab_parse_has_word(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; *at;) {
        at += strspn(at, " \t,");
        size_t n = strcspn(at, " \t,");
        if (n == length && strncmp(at, name, n) == 0) return true;
        at += n;
    }
    return false;
}

bool fab_parse_same_origin(const char *origin, const char *host, bool secure)
{
    const char *scheme = secure ? "https://" : "http://";
    size_t n = strlen(scheme);
    return host[0] && strncasecmp(origin, scheme, n) == 0 && strcasecmp(origin + n, host) == 0;
}

bool fab_parse_local_host(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncasecmp(host, names[i], n) != 0) continue;
        if (host[n] == '\0') return true;
        if (host[n] == ':') return host[n + 1] && !host[n + 1 + strspn(host + n + 1, "0123456789")];
    }
    return false;
}

/* ---- bodies ----------------------------------------------------------------------------- */

static fab_status parse_object(const void *body, size_t bytes, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = NULL;
    if (bytes > FAB_SERVER_MAX_BODY_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "the body is larger than %d bytes", FAB_SERVER_MAX_BODY_BYTES);
    FAB_TRY(fab_json_parse(body, bytes, "the body", &o, err));
    if (!fab_json_is_object(o)) FAB_FAIL(err, FAB_ERR_FORMAT, "the body is not a JSON object");
    *out = o;
    o = NULL;
    return FAB_OK;
}

fab_status fab_parse_login(const void *body, size_t bytes, fab_login *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = NULL;
    fab_login login = {0};
    FAB_TRY(parse_object(body, bytes, &o, err));
    const char *code = fab_text_of(o, "code"), *link = fab_text_of(o, "link");
    if (!code[0] == !link[0])
        FAB_FAIL(err, FAB_ERR_FORMAT, "give \"code\" or \"link\", one of the two, as a string");
    if (code[0] && (strlen(code) != 6 || strspn(code, "0123456789") != 6))
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"code\" is six digits");
    if (strlen(link) >= sizeof login.link) FAB_FAIL(err, FAB_ERR_FORMAT, "\"link\" is too long");
    snprintf(login.code, sizeof login.code, "%s", code);
    snprintf(login.link, sizeof login.link, "%s", link);
    *out = login;
    return FAB_OK;
}

fab_status fab_parse_link(const void *body, size_t bytes, fab_link_request *out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = NULL;
    fab_link_request link = {FAB_ROLE_VIEW, 60};
    int64_t minutes = link.minutes;
    const char *role = "view";
    FAB_TRY(parse_object(body, bytes, &o, err));
    if (fab_json_find(o, "role")) FAB_TRY(fab_json_get_string(o, "role", &role, err));
    if (fab_json_find(o, "minutes"))
        FAB_TRY(fab_json_get_int(o, "minutes", 1, 1440, &minutes, err));
    if (strcmp(role, "view") != 0 && strcmp(role, "owner") != 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"role\" is view or owner");
    link.role = role[0] == 'o' ? FAB_ROLE_OWNER : FAB_ROLE_VIEW;
    link.minutes = (int)minutes;
    *out = link;
    return FAB_OK;
}
