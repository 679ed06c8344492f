/* fabrica/base.h - layer 0: status, errors, memory, bytes in and out, threads, progress, hashing.
 *
 * Conventions every module follows:
 *   fab_status fab_x_verb(inputs..., fab_thing **out, fab_error *err)
 * FAB_OK (0) is success. Negative is a failure, forwarded unchanged (FAB_TRY). Positive is a
 * documented outcome of that call, handled on the spot. On failure outputs are untouched and the
 * caller still owns everything it passed in. `err` may be NULL. Destructors take NULL.
 */
#ifndef FABRICA_BASE_H
#define FABRICA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabrica/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FAB_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#define FAB_CHECK_RESULT __attribute__((warn_unused_result))
#else
#define FAB_PRINTF(fmt_index, first_arg)
#define FAB_CHECK_RESULT
#endif

/* ---- status and error ------------------------------------------------------------------- */

typedef int fab_status;

enum {
    FAB_OK = 0,
    FAB_ERR_NOMEM = -1,       /* memory could not be had */
    FAB_ERR_IO = -2,          /* the operating system refused a read, write, open or rename */
    FAB_ERR_FORMAT = -3,      /* the bytes are not what the format says */
    FAB_ERR_UNSUPPORTED = -4, /* well formed, but not something we read; the message names it */
    FAB_ERR_LIMIT = -5,       /* above a maximum of fabrica/limits.h */
    FAB_ERR_ARG = -6,         /* the caller asked for something that makes no sense */
    FAB_ERR_CANCELLED = -7,   /* the progress object said stop */
    FAB_ERR_GEOMETRY = -8,    /* geometry that cannot be trusted: refused, never guessed */
    FAB_ERR_NOTFOUND = -9,    /* a named thing is not there */
    FAB_ERR_NOSPACE = -10,    /* disk full */
    FAB_ERR_CRASHED = -11,    /* a sandboxed worker died on this input */
    FAB_ERR_INTEGRITY = -12   /* a hash or checksum does not match */
};

/* A failure as a person should read it. Lives on the caller's stack; no ownership. The message
 * names the file, tag and value, without a trailing newline. */
typedef struct fab_error {
    fab_status status;
    char message[FAB_MAX_ERROR_BYTES];
} fab_error;

/* Name of a status for machine readers ("ok", "format", ...). Never NULL. */
const char *fab_status_name(fab_status status);

/* Fills *err (if not NULL) and returns status, so that FAB_FAIL can return it. */
fab_status fab_error_set(fab_error *err, fab_status status, const char *format, ...)
    FAB_PRINTF(3, 4);

/* Puts "context: " before the message already in *err. Returns err's status. */
fab_status fab_error_prefix(fab_error *err, const char *format, ...) FAB_PRINTF(2, 3);

#define FAB_FAIL(err, status, ...) return fab_error_set((err), (status), __VA_ARGS__)

#define FAB_TRY(call)                                                                             \
    do {                                                                                          \
        fab_status fab_try_status_ = (call);                                                      \
        if (fab_try_status_ < 0) return fab_try_status_;                                          \
    } while (0)

/* ---- scope cleanup ---------------------------------------------------------------------- */

/* FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;  the function gets v's value at scope exit.
 * The matching cleanup function is made once per type by FAB_DEFINE_AUTO. */
#if defined(__GNUC__)
#define FAB_AUTO(destructor) __attribute__((cleanup(destructor##_auto_)))
#define FAB_DEFINE_AUTO(type, destructor)                                                         \
    static inline __attribute__((unused)) void destructor##_auto_(type **slot)                    \
    {                                                                                             \
        (void)destructor(*slot);                                                                  \
    }
#define FAB_AUTO_FREE __attribute__((cleanup(fab_free_slot)))
#endif

/* ---- memory ----------------------------------------------------------------------------- */

/* All library memory comes from here, so that tests can fail the n-th allocation. */
void *fab_malloc(size_t bytes) FAB_CHECK_RESULT;
void *fab_calloc(size_t count, size_t size) FAB_CHECK_RESULT;  /* NULL on overflow too */
void *fab_realloc(void *block, size_t bytes) FAB_CHECK_RESULT;
void *fab_alloc_array(size_t count, size_t size) FAB_CHECK_RESULT; /* not zeroed, checks overflow */
void *fab_alloc_aligned(size_t alignment, size_t bytes) FAB_CHECK_RESULT; /* free by fab_free */
/* Aligned to 64 bytes, in pages of 2 MiB if the kernel has some: for a network's own memory, which
 * lives long and is written in hundreds of places at once. Others pay more for clearing them. */
void *fab_alloc_large(size_t bytes) FAB_CHECK_RESULT;
void *fab_free(void *block);                                   /* returns NULL */
void fab_free_slot(void *slot);                                /* for FAB_AUTO_FREE: void** */
char *fab_strdup(const char *text) FAB_CHECK_RESULT;

/* Test hook: the n-th allocation from now fails (1 = the next), and every later one if `forever`.
 * n <= 0 turns it off. fab_alloc_fail_hit() tells whether a failure was delivered. */
void fab_alloc_fail_at(long n, bool forever);
bool fab_alloc_fail_hit(void);

/* Growable bytes with a cap. Zero-initialise with the cap set; fab_buf_free when done. */
typedef struct fab_buf {
    uint8_t *data;
    size_t size, capacity;
    size_t max_bytes; /* 0: FAB_MAX_ALLOC_BYTES */
} fab_buf;

fab_status fab_buf_append(fab_buf *buf, const void *bytes, size_t count, fab_error *err);
fab_status fab_buf_appendf(fab_buf *buf, fab_error *err, const char *format, ...)
    FAB_PRINTF(3, 4);
fab_status fab_buf_reserve(fab_buf *buf, size_t extra, fab_error *err);
void fab_buf_free(fab_buf *buf);
#define FAB_AUTO_BUF __attribute__((cleanup(fab_buf_free)))

/* ---- text of others ---------------------------------------------------------------------- */

/* The word for so many: fab_plural(n, "slice", "slices"). */
const char *fab_plural(int64_t count, const char *one, const char *many);
/* Bytes of the UTF-8 sequence at text (RFC 3629), 1 for a NUL; 0 where there is none. */
size_t fab_utf8_length(const char *text);
bool fab_utf8_valid(const char *text);
/* Copies text, which may be NULL: control characters and what is no UTF-8 become `instead`, cut at
 * a character's edge to capacity with its NUL. Returns into. */
char *fab_text_clean(const char *text, char instead, char *into, size_t capacity);

/* ---- bytes in and out ------------------------------------------------------------------- */

/* A source of bytes. Parsers read through this and never open files. */
typedef struct fab_reader {
    void *ctx;
    uint64_t size; /* bytes in all */
    /* Reads exactly count bytes at offset; fails with FAB_ERR_FORMAT past the end. */
    fab_status (*read_at)(void *ctx, uint64_t offset, void *into, size_t count, fab_error *err);
    void (*close)(void *ctx); /* may be NULL */
    char name[256];           /* what messages call it */
} fab_reader;

/* A file, also by a link; a pipe, a device or a folder is FAB_ERR_IO at once, without waiting. */
fab_status fab_reader_open_file(const char *path, fab_reader *out, fab_error *err);
void fab_reader_from_memory(const void *bytes, size_t count, const char *name, fab_reader *out);
fab_status fab_reader_read(const fab_reader *r, uint64_t offset, void *into, size_t count,
                           fab_error *err);
/* Whole content, at most max_bytes; *out from fab_malloc, owned by the caller, NUL-terminated
 * one past the end. */
fab_status fab_reader_read_all(const fab_reader *r, size_t max_bytes, uint8_t **out, size_t *count,
                               fab_error *err);
void fab_reader_close(fab_reader *r);

/* A sink of bytes. */
typedef struct fab_writer {
    void *ctx;
    fab_status (*write)(void *ctx, const void *bytes, size_t count, fab_error *err);
    uint64_t written;
} fab_writer;

fab_status fab_writer_write(fab_writer *w, const void *bytes, size_t count, fab_error *err);
fab_status fab_writer_printf(fab_writer *w, fab_error *err, const char *format, ...)
    FAB_PRINTF(3, 4);
void fab_writer_to_buf(fab_buf *buf, fab_writer *out);

/* A file that appears only when complete: written without a name in the folder of path, or to
 * "<path>.tmp-XXXXXX" where the file system has no such files, then fsync, link or rename, fsync of
 * the folder. Until fab_atomic_commit nothing is visible at path; fab_atomic_abort (also by
 * FAB_AUTO) removes what was written, and so does the end of the process, however it comes, unless
 * the file had a name (ADR 0119). Disk full is FAB_ERR_NOSPACE. */
typedef struct fab_atomic_file fab_atomic_file;
fab_status fab_atomic_open(const char *path, fab_atomic_file **out, fab_error *err);
fab_writer *fab_atomic_writer(fab_atomic_file *file); /* buffered; owned by file */
fab_status fab_atomic_commit(fab_atomic_file **file, fab_error *err);
fab_atomic_file *fab_atomic_abort(fab_atomic_file *file);
/* For a process that was told to stop and ends next, from any thread but not from a signal handler:
 * removes temporaries that have a name. Other threads' atomic files wait from then on. */
void fab_atomic_remove_unfinished(void);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_atomic_file, fab_atomic_abort)
#endif

fab_status fab_file_write_atomic(const char *path, const void *bytes, size_t count,
                                 fab_error *err);
/* What follows the last slash that has something behind it; points into path. */
const char *fab_path_name(const char *path);
/* In words, by stat's st_mode: "a file", "a folder", "a named pipe", "a socket", "a device". */
const char *fab_path_kind(uint32_t mode);
fab_status fab_path_join(char *into, size_t capacity, const char *folder, const char *name,
                         fab_error *err);
/* Removes a file or a whole folder (not following links). Missing is FAB_OK. */
fab_status fab_path_remove_tree(const char *path, fab_error *err);
fab_status fab_path_make_folder(const char *path, fab_error *err); /* with parents; exists: ok */
/* Without parents: for folders inside one that is being written and may be removed under the
 * writer's feet when the run is stopped. Exists: ok. */
fab_status fab_path_make_subfolder(const char *path, fab_error *err);

/* ---- what this processor runs ------------------------------------------------------------ */

/* Calls run(ctx); false if it met an instruction this processor does not know (SIGILL). One at a
 * time in a process; ctx may be half written then. */
bool fab_executes(void (*run)(void *ctx), void *ctx);

/* ---- hashing (SHA-256, FIPS 180-4, by libsodium) ---------------------------------------- */

typedef struct fab_sha256 {
    uint64_t opaque[16];
} fab_sha256;
void fab_sha256_init(fab_sha256 *h);
void fab_sha256_update(fab_sha256 *h, const void *bytes, size_t count);
void fab_sha256_final(fab_sha256 *h, uint8_t digest[32]);
void fab_sha256_hex(const uint8_t digest[32], char hex[65]);
fab_status fab_sha256_file(const char *path, char hex[65], fab_error *err);

/* ---- threads ---------------------------------------------------------------------------- */

/* Number of workers for parallel loops; 0 = one per CPU this process may run on when they are first
 * asked for. Results never depend on it. Not to be changed while loops run: their scratch is for
 * fab_threads_get() workers. */
void fab_threads_set(int count);
int fab_threads_get(void);

/* Calls fn(ctx, index, worker) for every index in [0, count), worker in [0, fab_threads_get()).
 * Returns when all are done. Nested calls run serially in the calling worker. */
void fab_parallel_for(int64_t count, void (*fn)(void *ctx, int64_t index, int worker), void *ctx);

/* ---- progress and cancelling ------------------------------------------------------------ */

/* Passed down by whoever wants to see or stop the work. NULL means neither. Callbacks may be
 * called from the thread that runs the job only. */
typedef struct fab_progress {
    void *ctx;
    /* fraction of the work in [0,1]; `step`, a string that stays, names what is being done */
    void (*report)(void *ctx, const char *step, double fraction);
    bool (*cancelled)(void *ctx);                                 /* thread safe */
} fab_progress;

/* Reports and returns FAB_ERR_CANCELLED if the owner asked to stop. */
fab_status fab_progress_step(const fab_progress *p, const char *step, double fraction,
                             fab_error *err);
bool fab_progress_cancelled(const fab_progress *p);

/* A share of somebody's work: hand `&span.progress` down, and what is reported there arrives at
 * `outer` (may be NULL) as from..to. Must not move while it is used. */
typedef struct fab_progress_span {
    fab_progress progress;
    const fab_progress *outer;
    double from, to;
} fab_progress_span;
void fab_progress_span_start(fab_progress_span *span, const fab_progress *outer, double from,
                             double to);

/* ---- time and memory of this process ---------------------------------------------------- */

double fab_time_wall_s(void); /* monotonic */
double fab_time_cpu_s(void);  /* all threads */
uint64_t fab_peak_rss_bytes(void);

/* ---- reproducible random numbers (PCG32, O'Neill 2014) ---------------------------------- */

typedef struct fab_rng {
    uint64_t state, stream;
} fab_rng;
void fab_rng_seed(fab_rng *rng, uint64_t seed, uint64_t stream);
uint32_t fab_rng_u32(fab_rng *rng);
double fab_rng_uniform(fab_rng *rng);  /* [0,1) */
double fab_rng_range(fab_rng *rng, double low, double high);
double fab_rng_normal(fab_rng *rng);   /* mean 0, sd 1 */

#ifdef __cplusplus
}
#endif
#endif
