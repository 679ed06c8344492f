/* hash.c - SHA-256 by libsodium; the only file that includes it for hashing. Whole blocks of long
 * input go to hash_blocks.c where the processor can. */
#include <sodium.h>
#include <string.h>

#include "fabrica/base.h"
#include "hash_blocks.h"

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(fab_sha256), "fab_sha256 too small");

enum { BLOCK_BYTES = 64, LONG_BYTES = 1024 };

static crypto_hash_sha256_state *state_of(fab_sha256 *h)
{
    return (crypto_hash_sha256_state *)(void *)h->opaque;
}

void fab_sha256_init(fab_sha256 *h)
{
    crypto_hash_sha256_init(state_of(h));
}

void fab_sha256_update(fab_sha256 *h, const void *bytes, size_t count)
{
    crypto_hash_sha256_state *state = state_of(h);
    const uint8_t *from = bytes;
    size_t filled = (size_t)(state->count / 8 % BLOCK_BYTES), head = BLOCK_BYTES - filled;
    if (count >= LONG_BYTES && fab_sha256_blocks_available()) {
        if (filled) {
            crypto_hash_sha256_update(state, from, head);
            from += head;
            count -= head;
        }
        size_t blocks = count / BLOCK_BYTES;
        fab_sha256_blocks(state->state, from, blocks);
        state->count += (uint64_t)blocks * BLOCK_BYTES * 8;
        from += blocks * BLOCK_BYTES;
        count -= blocks * BLOCK_BYTES;
    }
    if (count) crypto_hash_sha256_update(state, from, count);
}

void fab_sha256_final(fab_sha256 *h, uint8_t digest[32])
{
    crypto_hash_sha256_final(state_of(h), digest);
}

void fab_sha256_hex(const uint8_t digest[32], char hex[65])
{
    sodium_bin2hex(hex, 65, digest, 32);
}

fab_status fab_sha256_file(const char *path, char hex[65], fab_error *err)
{
    fab_reader r = {0};
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_sha256 h;
    fab_sha256_init(&h);
    uint8_t block[1 << 16], digest[32];
    fab_status status = FAB_OK;
    for (uint64_t at = 0; status == FAB_OK && at < r.size;) {
        size_t count = r.size - at < sizeof block ? (size_t)(r.size - at) : sizeof block;
        status = fab_reader_read(&r, at, block, count, err);
        if (status == FAB_OK) fab_sha256_update(&h, block, count);
        at += count;
    }
    fab_reader_close(&r);
    if (status < 0) return status;
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, hex);
    return FAB_OK;
}
