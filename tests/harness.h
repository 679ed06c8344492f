/* tests/harness.h - a few lines of test harness.
 *
 *   static void adds(void) { CHECK(1 + 1 == 2); CHECK_OK(fab_x(..., &err)); }
 *   int main(void) { return FAB_RUN(TEST(adds)); }
 *
 * A failed CHECK prints file:line and ends that test case; the others still run. SKIP("why") ends
 * the case as skipped; a program in which every case skipped exits 77, which Meson shows as a skip.
 */
#ifndef FAB_TEST_HARNESS_H
#define FAB_TEST_HARNESS_H

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabrica/base.h"

typedef struct fab_test {
    const char *name;
    void (*fn)(void);
} fab_test;

extern jmp_buf fab_test_jump_; /* harness.c: one for all files of a program */

#define TEST(fn) {#fn, fn}
#define CHECK(cond)                                                                               \
    do {                                                                                          \
        if (!(cond)) {                                                                            \
            fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #cond);              \
            longjmp(fab_test_jump_, 1);                                                           \
        }                                                                                         \
    } while (0)
#define CHECK_NEAR(a, b, tol)                                                                     \
    do {                                                                                          \
        double fab_a_ = (double)(a), fab_b_ = (double)(b);                                        \
        if (!(fabs(fab_a_ - fab_b_) <= (double)(tol))) {                                          \
            fprintf(stderr, "%s:%d: %s = %.9g, %s = %.9g\n", __FILE__, __LINE__, #a, fab_a_, #b,  \
                    fab_b_);                                                                      \
            longjmp(fab_test_jump_, 1);                                                           \
        }                                                                                         \
    } while (0)
/* call uses a local `fab_error err` */
#define CHECK_OK(call)                                                                            \
    do {                                                                                          \
        err.message[0] = 0;                                                                       \
        fab_status fab_s_ = (call);                                                               \
        if (fab_s_ != FAB_OK) {                                                                   \
            fprintf(stderr, "%s:%d: %s -> %s: %s\n", __FILE__, __LINE__, #call,                   \
                    fab_status_name(fab_s_), err.message);                                        \
            longjmp(fab_test_jump_, 1);                                                           \
        }                                                                                         \
    } while (0)
#define CHECK_FAILS(expected, text, call)                                                         \
    do {                                                                                          \
        err.message[0] = 0;                                                                       \
        fab_status fab_s_ = (call);                                                               \
        if (fab_s_ != (expected) || !strstr(err.message, (text))) {                               \
            fprintf(stderr, "%s:%d: %s -> %s: \"%s\", expected %s with \"%s\"\n", __FILE__,       \
                    __LINE__, #call, fab_status_name(fab_s_), err.message,                        \
                    fab_status_name(expected), (text));                                           \
            longjmp(fab_test_jump_, 1);                                                           \
        }                                                                                         \
    } while (0)
#define SKIP(why)                                                                                 \
    do {                                                                                          \
        fprintf(stderr, "skipped: %s\n", (why));                                                  \
        longjmp(fab_test_jump_, 2);                                                               \
    } while (0)

static inline int fab_test_run(const fab_test *tests, size_t count)
{
    volatile int failed = 0, skipped = 0; /* kept across longjmp */
    for (size_t i = 0; i < count; i++) {
        int how = setjmp(fab_test_jump_);
        if (how == 0) tests[i].fn();
        fab_alloc_fail_at(0, false);
        if (how == 1) failed = failed + 1;
        if (how == 2) skipped = skipped + 1;
        printf("%-8s %s\n", how == 0 ? "ok" : how == 1 ? "FAILED" : "skipped", tests[i].name);
        fflush(stdout);
    }
    if (failed) return 1;
    return skipped == (int)count ? 77 : 0;
}

/* Runs these tests, all of them: a count by hand once left the last one out. */
#define FAB_RUN(...) \
    fab_test_run((fab_test[]){__VA_ARGS__}, sizeof(fab_test[]){__VA_ARGS__} / sizeof(fab_test))

/* Runs fn with the 1st, 2nd, ... allocation failing until one run meets no failure. fn must
 * return a negative status (or cope) whenever an allocation failed and leak nothing (ASan). */
static inline void fab_test_torture(fab_status (*fn)(void *ctx), void *ctx)
{
    for (long n = 1; n < 100000; n++) {
        fab_alloc_fail_at(n, false);
        fab_status s = fn(ctx);
        bool hit = fab_alloc_fail_hit();
        fab_alloc_fail_at(0, false);
        if (!hit) {
            CHECK(s == FAB_OK);
            return;
        }
        CHECK(s == FAB_OK || s == FAB_ERR_NOMEM);
    }
    CHECK(!"torture did not end");
}

/* Path below the shared development data, or NULL (then SKIP). into has FAB_MAX_PATH_BYTES. */
static inline const char *fab_test_data(const char *relative, char *into)
{
    const char *root = getenv("FAB_SHARED_DATA"), *source = getenv("FAB_SOURCE_ROOT");
    if (root) snprintf(into, FAB_MAX_PATH_BYTES, "%s/%s", root, relative);
    else
        snprintf(into, FAB_MAX_PATH_BYTES, "%s/../shared/data/%s", source ? source : ".",
                 relative);
    return access(into, R_OK) == 0 ? into : NULL;
}

/* A fresh temporary folder; the caller removes it with fab_path_remove_tree. */
static inline const char *fab_test_folder(char *into)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(into, FAB_MAX_PATH_BYTES, "%s/fabtest-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(into);
}

#endif
