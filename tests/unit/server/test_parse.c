#include "tests.h"

void ranges(void)
{
    const struct {
        const char *text;
        fab_range_kind kind;
        uint64_t first, count;
    } rows[] = {
        {"bytes=0-0", FAB_RANGE_PART, 0, 1},
        {"bytes=10-19", FAB_RANGE_PART, 10, 10},
        {"BYTES=90-", FAB_RANGE_PART, 90, 10},
        {"bytes=90-1000", FAB_RANGE_PART, 90, 10},
        {"bytes=-5", FAB_RANGE_PART, 95, 5},
        {"bytes=-500", FAB_RANGE_PART, 0, 100},
        {"bytes=100-", FAB_RANGE_BAD, 0, 0},
        {"bytes=-0", FAB_RANGE_BAD, 0, 0},
        {"bytes=4000000000-", FAB_RANGE_BAD, 0, 0},
        {"", FAB_RANGE_WHOLE, 0, 100},
        {"bytes=", FAB_RANGE_WHOLE, 0, 100},
        {"bytes=-", FAB_RANGE_WHOLE, 0, 100},
        {"bytes=5-4", FAB_RANGE_WHOLE, 0, 100},
        {"bytes=0-1,3-4", FAB_RANGE_WHOLE, 0, 100},
        {"bytes= 0-1", FAB_RANGE_WHOLE, 0, 100},
        {"bytes=99999999999999999999999-", FAB_RANGE_WHOLE, 0, 100},
        {"lines=0-1", FAB_RANGE_WHOLE, 0, 100},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t first = 7, count = 7;
        fab_range_kind kind = fab_parse_range(rows[i].text, 100, &first, &count);
        if (kind != rows[i].kind) fprintf(stderr, "%s\n", rows[i].text);
        CHECK(kind == rows[i].kind);
        if (kind == FAB_RANGE_BAD) continue;
        CHECK(first == rows[i].first && count == rows[i].count);
    }
    uint64_t first, count;
    CHECK(fab_parse_range("bytes=0-", 0, &first, &count) == FAB_RANGE_BAD);
    CHECK(fab_parse_range("bytes=-1", 0, &first, &count) == FAB_RANGE_BAD);
}

void cookies(void)
{
    char value[8];
    CHECK(fab_parse_cookie("a=1; fab=two; b=3", "fab", value, sizeof value));
    CHECK(strcmp(value, "two") == 0);
    CHECK(fab_parse_cookie("fab=x ", "fab", value, sizeof value) && strcmp(value, "x") == 0);
    CHECK(fab_parse_cookie("fab=", "fab", value, sizeof value) && value[0] == '\0');
    CHECK(!fab_parse_cookie("xfab=1; fabx=2; fab", "fab", value, sizeof value));
    CHECK(!fab_parse_cookie("fab=12345678", "fab", value, sizeof value));
    CHECK(!fab_parse_cookie("", "fab", value, sizeof value));
    CHECK(!fab_parse_cookie(";;; ;", "fab", value, sizeof value));
}

void tags_and_encodings(void)
{
    CHECK(fab_parse_has_tag("\"abc\"", "abc", false));
    CHECK(fab_parse_has_tag("\"x\", \"abc\"", "abc", false));
    CHECK(!fab_parse_has_tag("W/\"abc\"", "abc", false));
    CHECK(fab_parse_has_tag("W/\"abc\"", "abc", true));
    CHECK(fab_parse_has_tag("*", "abc", true) && !fab_parse_has_tag("*", "abc", false));
    CHECK(!fab_parse_has_tag("\"abcd\", \"ab\"", "abc", true));
    CHECK(!fab_parse_has_tag("abc", "abc", true) && !fab_parse_has_tag("\"abc", "ab", true));
    CHECK(!fab_parse_has_tag("Sun, 22 Nov 2026 12:00:00 GMT", "abc", false));
    CHECK(fab_parse_accepts_gzip("gzip") && fab_parse_accepts_gzip("br, GZIP;q=0.5"));
    CHECK(!fab_parse_accepts_gzip("gzip;q=0") && !fab_parse_accepts_gzip("br, gzip; q=0.000"));
    CHECK(!fab_parse_accepts_gzip("") && !fab_parse_accepts_gzip("xgzip, gzipx"));
    CHECK(fab_parse_has_word("a, fabrica.live.1", "fabrica.live.1"));
    CHECK(!fab_parse_has_word("fabrica.live.10", "fabrica.live.1"));
}

void origins_and_hosts(void)
{
    CHECK(fab_parse_same_origin("https://10.0.0.2:8043", "10.0.0.2:8043", true));
    CHECK(fab_parse_same_origin("http://LOCALHOST:1", "localhost:1", false));
    CHECK(!fab_parse_same_origin("http://10.0.0.2:8043", "10.0.0.2:8043", true));
    CHECK(!fab_parse_same_origin("https://evil.example", "10.0.0.2:8043", true));
    CHECK(!fab_parse_same_origin("null", "localhost", false));
    CHECK(!fab_parse_same_origin("http://", "", false));
    CHECK(fab_parse_local_host("localhost:8042") && fab_parse_local_host("127.0.0.1"));
    CHECK(fab_parse_local_host("[::1]:8042") && fab_parse_local_host("LocalHost"));
    CHECK(!fab_parse_local_host("localhost.evil.example:8042"));
    CHECK(!fab_parse_local_host("127.0.0.1.evil") && !fab_parse_local_host(""));
    CHECK(!fab_parse_local_host("localhost:") && !fab_parse_local_host("localhost:8a"));
}

static fab_status login(const char *text, fab_login *out, fab_error *err)
{
    return fab_parse_login(text, strlen(text), out, err);
}

void bodies(void)
{
    fab_error err;
    fab_login l;
    fab_link_request k;
    CHECK_OK(login("{\"code\":\"012345\"}", &l, &err));
    CHECK(strcmp(l.code, "012345") == 0 && l.link[0] == '\0');
    CHECK_OK(login("{\"link\":\"abc\"}", &l, &err));
    CHECK(strcmp(l.link, "abc") == 0 && l.code[0] == '\0');
    CHECK_FAILS(FAB_ERR_FORMAT, "six digits", login("{\"code\":\"12345a\"}", &l, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "six digits", login("{\"code\":\"1234567\"}", &l, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "one of the two", login("{\"code\":123456}", &l, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "one of the two",
                login("{\"code\":\"123456\",\"link\":\"a\"}", &l, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "not a JSON object", login("[]", &l, &err));
    CHECK(login("{", &l, &err) < 0 && login("", &l, &err) < 0);
    CHECK_FAILS(FAB_ERR_FORMAT, "too long",
                login("{\"link\":\"0123456789012345678901234567890123456789012345678\"}", &l,
                      &err));
    CHECK_OK(fab_parse_link("{}", 2, &k, &err));
    CHECK(k.role == FAB_ROLE_VIEW && k.minutes == 60);
    const char *full = "{\"role\":\"owner\",\"minutes\":5}", *root = "{\"role\":\"root\"}";
    CHECK_OK(fab_parse_link(full, strlen(full), &k, &err));
    CHECK(k.role == FAB_ROLE_OWNER && k.minutes == 5);
    CHECK_FAILS(FAB_ERR_FORMAT, "view or owner", fab_parse_link(root, strlen(root), &k, &err));
    CHECK(fab_parse_link("{\"minutes\":0}", 13, &k, &err) < 0);
    CHECK(fab_parse_link("{\"minutes\":1441}", 16, &k, &err) < 0);
}

static const char *header(const fab_answer *a, const char *name)
{
    for (int i = 0; i < a->header_count; i++)
        if (strcmp(a->headers[i].name, name) == 0) return a->headers[i].value;
    return "";
}

void parts(void)
{
    fab_answer a;
    fab_request q = {.method = FAB_GET, .range = "bytes=2-4"};
    fab_answer_start(&a);
    CHECK(fab_answer_part(&a, &q, "tag", 10) && a.status == 206 && a.offset == 2 && a.length == 3);
    CHECK(strcmp(header(&a, "content-range:"), "bytes 2-4/10") == 0);
    snprintf(q.if_range, sizeof q.if_range, "\"other\"");
    fab_answer_start(&a);
    CHECK(fab_answer_part(&a, &q, "tag", 10) && a.status == 200 && a.length == 10);
    snprintf(q.if_range, sizeof q.if_range, "\"tag\"");
    snprintf(q.range, sizeof q.range, "bytes=10-");
    fab_answer_start(&a);
    CHECK(!fab_answer_part(&a, &q, "tag", 10) && a.status == 416);
    CHECK(strcmp(header(&a, "content-range:"), "bytes */10") == 0);
    fab_answer_free(&a);
    snprintf(q.if_none_match, sizeof q.if_none_match, "W/\"tag\"");
    CHECK(!fab_answer_part(&a, &q, "tag", 10) && a.status == 304);
    fab_answer_free(&a);
}
