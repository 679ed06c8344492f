/* pairing.c - who may come in: the six-digit code, links, sessions. All times are passed in, and
 * all state is in the struct, so that tests run hours in a moment.
 *
 *     wrong code, 5th from one address   that address is locked out for 5 minutes
 *     wrong code, 20th in all            another code: guessing from many addresses starts again
 *
 * A guesser therefore has 20 tries in a million before the code changes under it: one in 50,000.
 * Tokens have 256 random bits; only their SHA-256 is kept. */
#include "server_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

const char *fab_role_name(fab_role role)
{
    static const char *const names[] = {NULL, "view", "owner"};
    return names[role];
}

static void hash_of(const char *token, uint8_t hash[32])
{
    fab_sha256 h;
    fab_sha256_init(&h);
    fab_sha256_update(&h, token, strlen(token));
    fab_sha256_final(&h, hash);
}

static void new_token(char *token, uint8_t hash[32])
{
    uint8_t random[32];
    randombytes_buf(random, sizeof random);
    sodium_bin2base64(token, FAB_TOKEN_BYTES, random, sizeof random,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof random);
    hash_of(token, hash);
}

static void new_code(fab_pairing *p)
{
    snprintf(p->code, sizeof p->code, "%06u", (unsigned)randombytes_uniform(1000000));
    p->wrong = 0;
}

void fab_pairing_start(fab_pairing *p)
{
    *p = (fab_pairing){0};
    new_code(p);
}

/* A free place, or that of the session that ends first. */
static void add_session(fab_pairing *p, fab_role role, double now_s, char *token)
{
    fab_session *place = &p->sessions[0];
    for (size_t i = 0; i < FAB_SERVER_MAX_SESSIONS; i++) {
        fab_session *s = &p->sessions[i];
        if (s->role == FAB_ROLE_NONE || s->until_s <= now_s) {
            place = s;
            break;
        }
        if (s->until_s < place->until_s) place = s;
    }
    *place = (fab_session){.role = role, .until_s = now_s + FAB_SESSION_S};
    new_token(token, place->hash);
}

/* The address's row; a forgotten one if it has none; NULL if all are locked out. */
static fab_tries *tries_of(fab_pairing *p, const char *address, double now_s)
{
    fab_tries *oldest = NULL;
    for (size_t i = 0; i < FAB_SERVER_MAX_ADDRESSES; i++)
        if (strcmp(p->tries[i].address, address) == 0) return &p->tries[i];
    for (size_t i = 0; i < FAB_SERVER_MAX_ADDRESSES; i++) {
        fab_tries *t = &p->tries[i];
        if (t->locked_until_s > now_s) continue;
        if (!oldest || t->last_s < oldest->last_s || !t->address[0]) oldest = t;
        if (!t->address[0]) break;
    }
    if (oldest) {
        *oldest = (fab_tries){.last_s = now_s};
        snprintf(oldest->address, sizeof oldest->address, "%s", address);
    }
    return oldest;
}

fab_pair fab_pairing_try_code(fab_pairing *p, const char *address, const char *code, double now_s,
                              char *token, int *retry_s, bool *renewed)
{
    fab_tries *t = tries_of(p, address, now_s);
    *renewed = false;
    *retry_s = FAB_PAIRING_LOCK_S;
    if (!t) return FAB_PAIR_LOCKED;
    if (t->locked_until_s > now_s) {
        *retry_s = (int)(t->locked_until_s - now_s) + 1;
        return FAB_PAIR_LOCKED;
    }
    if (t->locked_until_s > 0) *t = (fab_tries){.wrong = 0}, /* its time is over */
        snprintf(t->address, sizeof t->address, "%s", address);
    t->last_s = now_s;
    if (strlen(code) == 6 && sodium_memcmp(code, p->code, 6) == 0) {
        t->wrong = 0;
        add_session(p, FAB_ROLE_VIEW, now_s, token);
        return FAB_PAIR_OK;
    }
    if (++p->wrong >= FAB_PAIRING_ALL_TRIES) {
        new_code(p);
        *renewed = true;
    }
    if (++t->wrong < FAB_PAIRING_TRIES) return FAB_PAIR_WRONG;
    t->locked_until_s = now_s + FAB_PAIRING_LOCK_S;
    return FAB_PAIR_LOCKED;
}

fab_pair fab_pairing_try_link(fab_pairing *p, const char *link, double now_s, char *token)
{
    uint8_t hash[32];
    fab_link *found = NULL;
    hash_of(link, hash);
    for (size_t i = 0; i < FAB_SERVER_MAX_LINKS; i++)
        if (p->links[i].role && sodium_memcmp(hash, p->links[i].hash, 32) == 0)
            found = &p->links[i];
    if (!found) return FAB_PAIR_UNKNOWN;
    if (found->until_s <= now_s || found->used) return FAB_PAIR_EXPIRED;
    found->used = found->once;
    add_session(p, found->role, now_s, token);
    return FAB_PAIR_OK;
}

/* Expired links stay, so that they can be told from wrong ones, until their place is needed. */
void fab_pairing_add_link(fab_pairing *p, fab_role role, double seconds, bool once, double now_s,
                          char *token)
{
    fab_link *place = &p->links[0];
    for (size_t i = 0; i < FAB_SERVER_MAX_LINKS; i++) {
        if (!p->links[i].role) {
            place = &p->links[i];
            break;
        }
        if (p->links[i].until_s < place->until_s) place = &p->links[i];
    }
    *place = (fab_link){.role = role, .until_s = now_s + seconds, .once = once};
    new_token(token, place->hash);
}

const fab_session *fab_pairing_find(const fab_pairing *p, const char *token, double now_s)
{
    uint8_t hash[32];
    const fab_session *found = NULL;
    if (!token[0]) return NULL;
    hash_of(token, hash);
    for (size_t i = 0; i < FAB_SERVER_MAX_SESSIONS; i++)
        if (p->sessions[i].role && sodium_memcmp(hash, p->sessions[i].hash, 32) == 0)
            found = &p->sessions[i];
    return found && found->until_s > now_s ? found : NULL;
}

void fab_pairing_end(fab_pairing *p, const char *token)
{
    const fab_session *found = fab_pairing_find(p, token, 0);
    for (size_t i = 0; i < FAB_SERVER_MAX_SESSIONS; i++)
        if (found == &p->sessions[i]) p->sessions[i] = (fab_session){0};
}
