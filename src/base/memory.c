/* memory.c - the one door to the heap, with the test hook that fails the n-th allocation.
 *
 * Counting costs one relaxed atomic load while the hook is off.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fabrica/base.h"

static atomic_long fail_countdown; /* 0: hook off */
static atomic_bool fail_forever, fail_was_hit;

void fab_alloc_fail_at(long n, bool forever)
{
    atomic_store(&fail_was_hit, false);
    atomic_store(&fail_forever, forever);
    atomic_store(&fail_countdown, n > 0 ? n : 0);
}

bool fab_alloc_fail_hit(void)
{
    return atomic_load(&fail_was_hit);
}

static bool should_fail(void)
{
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) == 0) return false;
    long before = atomic_fetch_sub(&fail_countdown, 1);
    if (before > 1) return false;
    bool forever = atomic_load(&fail_forever);
    atomic_store(&fail_countdown, forever ? 1 : 0);
    if (before == 1) atomic_store(&fail_was_hit, true);
    return before == 1;
}

void *fab_malloc(size_t bytes)
{
    if (bytes > FAB_MAX_ALLOC_BYTES || should_fail()) return NULL;
    return malloc(bytes ? bytes : 1);
}

static bool product_fits(size_t count, size_t size)
{
    return size == 0 || count <= FAB_MAX_ALLOC_BYTES / size;
}

void *fab_calloc(size_t count, size_t size)
{
    if (!product_fits(count, size) || should_fail()) return NULL;
    return calloc(count ? count : 1, size ? size : 1);
}

void *fab_realloc(void *block, size_t bytes)
{
    if (bytes > FAB_MAX_ALLOC_BYTES || should_fail()) return NULL;
    return realloc(block, bytes ? bytes : 1);
}

void *fab_alloc_array(size_t count, size_t size)
{
    return product_fits(count, size) ? fab_malloc(count * size) : NULL;
}

void *fab_alloc_aligned(size_t alignment, size_t bytes)
{
    if (bytes > FAB_MAX_ALLOC_BYTES - alignment || should_fail()) return NULL;
    size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    return aligned_alloc(alignment, rounded ? rounded : alignment);
}

#define LARGE_FROM ((size_t)2 << 20)

void *fab_alloc_large(size_t bytes)
{
    void *block = fab_alloc_aligned(64, bytes);
#ifdef MADV_HUGEPAGE
    if (block && bytes >= LARGE_FROM) { /* whole pages: neighbours that ask too become one area */
        const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)block;
        const uintptr_t first = at / page * page, end = (at + bytes + page - 1) / page * page;
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE); /* refused: as it was */
    }
#endif
    return block;
}

void *fab_free(void *block)
{
    free(block);
    return NULL;
}

void fab_free_slot(void *slot)
{
    void *block;
    memcpy(&block, slot, sizeof block);
    free(block);
}

char *fab_strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = fab_malloc(bytes);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}
