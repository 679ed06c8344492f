/* kernels_amx_emu.c - the AMX kernels over an emulation of the tile instructions.
 *
 * Proves the addressing, the tiling and the sums of kernels_amx.h on machines without AMX. Never
 * chosen by itself. tile_emulation.h is the instructions as Intel states them.
 */
#include "bf16_avx2.h"
#include "tile_emulation.h"

static _Thread_local fab_tile tiles[8];

static void tile_begin(void)
{
    memset(tiles, 0, sizeof tiles);
}

static void tile_end(void)
{
    memset(tiles, 0, sizeof tiles);
}

#define TILE_ZERO(t) memset(&tiles[t], 0, sizeof tiles[t])
#define TILE_LOAD(t, from, bytes) fab_tile_load(&tiles[t], from, bytes)
#define TILE_STORE(t, to, bytes) fab_tile_store(&tiles[t], to, bytes)
#define TILE_DOT(c, a, b) fab_tile_dot(&tiles[c], &tiles[a], &tiles[b])
#define AMX_FP32 avx2
#define AMX_BF16 fab_nn_kernels_bf16_amx_emu
#define AMX_BF16_NAME "bf16-amx-emulated"
#define AMX_EXACT fab_nn_kernels_exact_amx_emu
#define AMX_EXACT_NAME "exact-amx-emulated"

#include "kernels_amx.h"
