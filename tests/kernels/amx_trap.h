/* amx_trap.h - runs AMX code on a processor without AMX.
 *
 * There every tile instruction is illegal: the kernel sends SIGILL, and this handler decodes the
 * instruction, does what Intel states it does to eight tiles of its own, and goes on behind it. The
 * program's own machine code is executed, with its registers, addresses, strides and tile numbers.
 * Linux on x86-64 only; one thread.
 */
#ifndef FAB_TEST_AMX_TRAP_H
#define FAB_TEST_AMX_TRAP_H

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

#include "tile_emulation.h"

static struct amx_trap {
    fab_tile tile[8];
    bool configured;
    long instructions;
} amx_trap;

/* Write-only, from a signal handler. */
static void amx_trap_give_up(const char *why)
{
    (void)!write(STDERR_FILENO, why, strlen(why));
    _exit(99);
}

static long long amx_register(const ucontext_t *u, int number)
{
    static const int greg[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                 REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                 REG_R12, REG_R13, REG_R14, REG_R15};
    return u->uc_mcontext.gregs[greg[number]];
}

/* A VEX-coded instruction, C4 RXBmmmmm WvvvvLpp opcode ModRM [SIB] [displacement]. */
typedef struct amx_code {
    int map, prefix, opcode, mod, reg, rm, vvvv, bytes;
    long long address, stride; /* of a memory operand; stride: its index register, scaled */
} amx_code;

static int32_t amx_displacement(const uint8_t *p, int size)
{
    int32_t wide = 0;
    if (size == 1) return (int8_t)*p;
    memcpy(&wide, p, (size_t)size);
    return wide;
}

static amx_code amx_decode(const ucontext_t *u, const uint8_t *p)
{
    amx_code c = {.map = p[1] & 31, .prefix = p[2] & 3, .opcode = p[3], .mod = p[4] >> 6,
                  .reg = p[4] >> 3 & 7, .rm = p[4] & 7, .vvvv = ~p[2] >> 3 & 15, .bytes = 5};
    const int x = p[1] & 0x40 ? 0 : 8, b = p[1] & 0x20 ? 0 : 8;
    if (p[0] != 0xc4) amx_trap_give_up("not a three-byte VEX instruction\n");
    if (c.mod == 3) return c;
    int size = c.mod == 1 ? 1 : c.mod == 2 ? 4 : 0, base = c.rm | b;
    const bool sib = c.rm == 4;
    if (sib) {
        const int index = (p[5] >> 3 & 7) | x;
        if (index != 4) c.stride = amx_register(u, index) << (p[5] >> 6);
        base = (p[5] & 7) | b;
        c.bytes++;
    }
    const bool no_base = c.mod == 0 && (base & 7) == 5; /* without SIB: relative to RIP */
    if (no_base) size = 4;
    c.address = no_base ? 0 : amx_register(u, base);
    c.address += amx_displacement(p + c.bytes, size);
    c.bytes += size;
    if (no_base && !sib) c.address += (long long)(uintptr_t)p + c.bytes;
    return c;
}

/* Eight tiles of 16 rows of 64 bytes and nothing else. */
static void amx_configure(const uint8_t *config)
{
    for (int i = 0; i < 64; i++) {
        const int expected = i == 0 ? 1 : i >= 16 && i < 32 ? (i % 2 ? 0 : 64)
                             : i >= 48 && i < 56 ? 16 : 0;
        if (config[i] != expected) amx_trap_give_up("another tile configuration\n");
    }
    memset(amx_trap.tile, 0, sizeof amx_trap.tile);
    amx_trap.configured = true;
}

enum { AMX_NONE = 0, AMX_66 = 1, AMX_F3 = 2, AMX_F2 = 3 };

static void amx_execute(const amx_code *c)
{
    fab_tile *tile = amx_trap.tile;
    void *at = (void *)(uintptr_t)c->address;
    const int key = c->opcode << 4 | c->prefix;
    if (c->map != 2) amx_trap_give_up("an opcode of another map\n");
    if (key == (0x49 << 4 | AMX_NONE) && c->mod != 3) amx_configure(at);
    else if (!amx_trap.configured) amx_trap_give_up("a tile without a configuration\n");
    else if (key == (0x49 << 4 | AMX_NONE)) amx_trap.configured = false; /* tilerelease */
    else if (key == (0x49 << 4 | AMX_F2)) memset(&tile[c->reg], 0, sizeof *tile);
    else if (key == (0x4b << 4 | AMX_F2)) fab_tile_load(&tile[c->reg], at, c->stride);
    else if (key == (0x4b << 4 | AMX_F3)) fab_tile_store(&tile[c->reg], at, c->stride);
    else if (key == (0x5c << 4 | AMX_F3)) /* tdpbf16ps reg, rm, vvvv */
        fab_tile_dot(&tile[c->reg], &tile[c->rm], &tile[c->vvvv]);
    else amx_trap_give_up("an instruction that is none of AMX's\n");
    amx_trap.instructions++;
}

static void amx_on_illegal(int number, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    (void)number;
    const amx_code c = amx_decode(u, info->si_addr);
    amx_execute(&c);
    u->uc_mcontext.gregs[REG_RIP] += c.bytes;
}

/* From here on this thread's tile instructions are emulated, if they are illegal. */
static inline void amx_trap_install(void)
{
    struct sigaction handler = {.sa_sigaction = amx_on_illegal, .sa_flags = SA_SIGINFO};
    sigemptyset(&handler.sa_mask);
    if (sigaction(SIGILL, &handler, NULL) != 0) abort();
}

#endif
