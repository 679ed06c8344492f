/* hash_blocks.h - SHA-256 of whole blocks by the processor (this folder). */
#ifndef FAB_BASE_HASH_BLOCKS_H
#define FAB_BASE_HASH_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool fab_sha256_blocks_available(void);
/* Takes `blocks` blocks of 64 bytes into the state; only where available. */
void fab_sha256_blocks(uint32_t state[8], const uint8_t *bytes, size_t blocks);

#endif
