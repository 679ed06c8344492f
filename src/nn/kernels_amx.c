/* kernels_amx.c - AMX's tile instructions (this file alone is compiled with -mamx-bf16).
 *
 * Not executed yet by its authors, who have no such processor: what is proven is the template over
 * an emulation (kernels_amx_emu.c), this file's instructions one by one through a handler that
 * emulates them (tests/kernels/test_amx_trap.c), and, where they run at all, the probe.
 *
 * A thread must load a configuration before it uses tiles. gcc 12 takes _tile_loadconfig to read 8
 * bytes only, so the configuration is constant data.
 */
#include "bf16_avx512.h"

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

static const tile_config config __attribute__((aligned(64))) = {
    .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
_Static_assert(sizeof config == 64, "ldtilecfg reads 64 bytes");

static void tile_begin(void)
{
    _tile_loadconfig(&config);
}

static void tile_end(void)
{
    _tile_release();
}

#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, from, bytes) _tile_loadd(t, from, bytes)
#define TILE_STORE(t, to, bytes) _tile_stored(t, to, bytes)
#define TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
#define AMX_FP32 avx512
#define AMX_BF16 fab_nn_kernels_bf16_amx
#define AMX_BF16_NAME "bf16-amx"
#define AMX_EXACT fab_nn_kernels_exact_amx
#define AMX_EXACT_NAME "exact-amx"

#include "kernels_amx.h"
