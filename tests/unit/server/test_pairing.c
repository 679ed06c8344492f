#include "tests.h"

static fab_pairing p; /* 40 KB */

static fab_pair try(const char *address, const char *code, double now_s, char *token)
{
    int retry_s = 0;
    bool renewed = false;
    fab_pair how = fab_pairing_try_code(&p, address, code, now_s, token, &retry_s, &renewed);
    CHECK(how != FAB_PAIR_LOCKED || (retry_s > 0 && retry_s <= FAB_PAIRING_LOCK_S + 1));
    return how;
}

/* A code that is not the code. */
static const char *wrong_code(void) { return strcmp(p.code, "000000") ? "000000" : "000001"; }

void code_lets_in(void)
{
    char token[FAB_TOKEN_BYTES];
    fab_pairing_start(&p);
    CHECK(strlen(p.code) == 6 && strspn(p.code, "0123456789") == 6);
    CHECK(try("a", p.code, 10, token) == FAB_PAIR_OK);
    const fab_session *s = fab_pairing_find(&p, token, 11);
    CHECK(s && s->role == FAB_ROLE_VIEW);
    CHECK(!fab_pairing_find(&p, "", 11) && !fab_pairing_find(&p, p.code, 11));
    token[3] ^= 1;
    CHECK(!fab_pairing_find(&p, token, 11));
}

void wrong_codes_lock_out(void)
{
    char token[FAB_TOKEN_BYTES], code[8];
    fab_pairing_start(&p);
    snprintf(code, sizeof code, "%s", p.code);
    for (int i = 0; i < 4; i++) CHECK(try("a", wrong_code(), 100 + i, token) == FAB_PAIR_WRONG);
    CHECK(try("a", wrong_code(), 104, token) == FAB_PAIR_LOCKED);
    CHECK(try("a", code, 105, token) == FAB_PAIR_LOCKED);  /* the right one too */
    CHECK(try("a", code, 403.9, token) == FAB_PAIR_LOCKED);
    CHECK(try("b", code, 105, token) == FAB_PAIR_OK);      /* others are let in */
    CHECK(try("a", wrong_code(), 405, token) == FAB_PAIR_WRONG); /* five minutes later */
    CHECK(try("a", code, 406, token) == FAB_PAIR_OK);
    for (int i = 0; i < 4; i++) CHECK(try("a", wrong_code(), 407, token) == FAB_PAIR_WRONG);
}

void many_wrong_codes_renew(void)
{
    char token[FAB_TOKEN_BYTES], code[8], address[8];
    fab_pairing_start(&p);
    snprintf(code, sizeof code, "%s", p.code);
    for (int i = 0; i < FAB_PAIRING_ALL_TRIES; i++) {
        CHECK(strcmp(code, p.code) == 0);
        int retry_s;
        bool renewed;
        snprintf(address, sizeof address, "h%d", i);
        CHECK(fab_pairing_try_code(&p, address, wrong_code(), i, token, &retry_s, &renewed) ==
              FAB_PAIR_WRONG);
        CHECK(renewed == (i + 1 == FAB_PAIRING_ALL_TRIES));
    }
    CHECK(p.wrong == 0);
    if (strcmp(code, p.code) != 0) CHECK(try("z", code, 50, token) == FAB_PAIR_WRONG);
    CHECK(try("z", p.code, 51, token) == FAB_PAIR_OK);
}

/* More addresses than are remembered: the locked ones are not forgotten for new ones. */
void addresses_are_bounded(void)
{
    char token[FAB_TOKEN_BYTES], address[16];
    fab_pairing_start(&p);
    for (int i = 0; i < FAB_PAIRING_TRIES; i++) (void)try("locked", wrong_code(), 1, token);
    for (int i = 0; i < 2 * FAB_SERVER_MAX_ADDRESSES; i++) {
        snprintf(address, sizeof address, "n%d", i);
        CHECK(try(address, wrong_code(), 2, token) == FAB_PAIR_WRONG);
    }
    CHECK(try("locked", p.code, 3, token) == FAB_PAIR_LOCKED);
    for (int i = 0; i < FAB_SERVER_MAX_ADDRESSES; i++)
        p.tries[i].locked_until_s = 1000; /* all of them */
    CHECK(try("new", p.code, 4, token) == FAB_PAIR_LOCKED);
    CHECK(try("new", p.code, 1001, token) == FAB_PAIR_OK);
}

void links_expire(void)
{
    char once[FAB_TOKEN_BYTES], many[FAB_TOKEN_BYTES], token[FAB_TOKEN_BYTES];
    fab_pairing_start(&p);
    fab_pairing_add_link(&p, FAB_ROLE_OWNER, 60, true, 0, once);
    fab_pairing_add_link(&p, FAB_ROLE_VIEW, 60, false, 0, many);
    CHECK(strlen(once) == 43 && strcmp(once, many) != 0);
    CHECK(fab_pairing_try_link(&p, once, 1, token) == FAB_PAIR_OK);
    CHECK(fab_pairing_find(&p, token, 2)->role == FAB_ROLE_OWNER);
    CHECK(fab_pairing_try_link(&p, once, 2, token) == FAB_PAIR_EXPIRED);
    CHECK(fab_pairing_try_link(&p, many, 3, token) == FAB_PAIR_OK);
    CHECK(fab_pairing_try_link(&p, many, 4, token) == FAB_PAIR_OK);
    CHECK(fab_pairing_find(&p, token, 5)->role == FAB_ROLE_VIEW);
    CHECK(fab_pairing_try_link(&p, many, 60, token) == FAB_PAIR_EXPIRED);
    CHECK(fab_pairing_try_link(&p, "", 5, token) == FAB_PAIR_UNKNOWN);
    CHECK(fab_pairing_try_link(&p, "abc", 5, token) == FAB_PAIR_UNKNOWN);
}

void sessions_end(void)
{
    char first[FAB_TOKEN_BYTES], token[FAB_TOKEN_BYTES];
    fab_pairing_start(&p);
    CHECK(try("a", p.code, 0, first) == FAB_PAIR_OK);
    CHECK(fab_pairing_find(&p, first, FAB_SESSION_S - 1));
    CHECK(!fab_pairing_find(&p, first, FAB_SESSION_S));
    CHECK(try("a", p.code, 1, token) == FAB_PAIR_OK);
    fab_pairing_end(&p, token);
    CHECK(!fab_pairing_find(&p, token, 2) && fab_pairing_find(&p, first, 2));
    fab_pairing_end(&p, "no such");
    for (int i = 0; i < FAB_SERVER_MAX_SESSIONS; i++)
        CHECK(try("a", p.code, 3, token) == FAB_PAIR_OK);
    CHECK(!fab_pairing_find(&p, first, 4)); /* the oldest made place */
    CHECK(fab_pairing_find(&p, token, 4));
}
