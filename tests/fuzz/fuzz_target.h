/* fuzz_target.h - the entry point of a fuzz target (libFuzzer's, called by replay_main.c too). */
#ifndef FAB_FUZZ_TARGET_H
#define FAB_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
