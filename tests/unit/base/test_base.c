/* Unit tests of layer 0. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fabrica/json.h"
#include "harness.h"

static void error_messages_nest(void)
{
    fab_error err = {0};
    CHECK(fab_error_set(&err, FAB_ERR_FORMAT, "bad byte %d", 7) == FAB_ERR_FORMAT);
    CHECK(fab_error_prefix(&err, "%s", "a.dcm") == FAB_ERR_FORMAT);
    CHECK(strcmp(err.message, "a.dcm: bad byte 7") == 0);
    char longer[4000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    fab_error_prefix(&err, "%s", longer);
    CHECK(strlen(err.message) < sizeof err.message);
    CHECK(strcmp(fab_status_name(FAB_ERR_NOSPACE), "no-space") == 0);
}

static void allocation_hook_fails_exactly_the_nth(void)
{
    fab_alloc_fail_at(2, false);
    void *a = fab_malloc(8), *b = fab_malloc(8), *c = fab_malloc(8);
    CHECK(a && !b && c && fab_alloc_fail_hit());
    fab_free(a);
    fab_free(c);
    CHECK(!fab_alloc_array(SIZE_MAX / 2, 4) && !fab_calloc(SIZE_MAX, 2));
}

static void buffer_grows_to_its_cap(void)
{
    fab_error err;
    FAB_AUTO_BUF fab_buf buf = {.max_bytes = 1000};
    for (int i = 0; i < 100; i++) CHECK_OK(fab_buf_append(&buf, "0123456789", 10, &err));
    CHECK(buf.size == 1000 && memcmp(buf.data + 990, "0123456789", 10) == 0);
    CHECK_FAILS(FAB_ERR_LIMIT, "1000", fab_buf_append(&buf, "x", 1, &err));
}

static void reader_refuses_past_the_end(void)
{
    fab_error err;
    fab_reader r;
    fab_reader_from_memory("abcdef", 6, "six", &r);
    char into[8] = {0};
    CHECK_OK(fab_reader_read(&r, 2, into, 4, &err));
    CHECK(strcmp(into, "cdef") == 0);
    CHECK_FAILS(FAB_ERR_FORMAT, "six: truncated", fab_reader_read(&r, 3, into, 4, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "six", fab_reader_read(&r, UINT64_MAX, into, 4, &err));
}

static void atomic_file_appears_whole_or_not(void)
{
    fab_error err;
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES + 8];
    CHECK(fab_test_folder(folder));
    snprintf(path, sizeof path, "%s/f", folder);
    fab_atomic_file *f = NULL;
    CHECK_OK(fab_atomic_open(path, &f, &err));
    CHECK_OK(fab_writer_printf(fab_atomic_writer(f), &err, "%01000d", 5));
    CHECK(access(path, F_OK) != 0);
    f = fab_atomic_abort(f);
    CHECK(access(path, F_OK) != 0);
    CHECK_OK(fab_file_write_atomic(path, "hello", 5, &err));
    fab_reader r;
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK(r.size == 5);
    fab_reader_close(&r);
    char hex[65];
    CHECK_OK(fab_sha256_file(path, hex, &err)); /* FIPS 180-4 value of "hello" */
    CHECK(strcmp(hex, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824") == 0);
    CHECK_OK(fab_path_remove_tree(folder, &err));
    CHECK(access(folder, F_OK) != 0);
}

/* An open that waited for a writer would be ended by the alarm. */
static void pipes_and_devices_are_refused_at_once(void)
{
    fab_error err;
    fab_reader r;
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES + 8];
    CHECK(fab_test_folder(folder));
    snprintf(path, sizeof path, "%s/pipe", folder);
    CHECK(mkfifo(path, 0600) == 0);
    alarm(20);
    CHECK_FAILS(FAB_ERR_IO, "pipe is a named pipe, not a file",
                fab_reader_open_file(path, &r, &err));
    CHECK_FAILS(FAB_ERR_IO, "/dev/zero is a device, not a file",
                fab_reader_open_file("/dev/zero", &r, &err));
    CHECK_FAILS(FAB_ERR_IO, "is a folder, not a file", fab_reader_open_file(folder, &r, &err));
    alarm(0);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static int names_in(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return d ? n : -1;
}

/* Half a file, written by a process that is then killed outright, or (named) on a file system
 * without O_TMPFILE, for which a filter stands: there it is told to stop and ends by itself.
 * Exit codes name what went wrong. */
static void write_half(const char *folder, const char *path, bool named)
{
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    static char block[1 << 20];
    fab_error err;
    fab_atomic_file *f = NULL;
    if (named && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
                  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)) _exit(2);
    if (named && fab_file_write_atomic(path, "whole", 5, &err) != FAB_OK) _exit(3);
    int before = names_in(folder);
    if (fab_atomic_open(path, &f, &err) != FAB_OK) _exit(4);
    if (fab_writer_write(fab_atomic_writer(f), block, sizeof block, &err) != FAB_OK) _exit(5);
    if (names_in(folder) != before + (named ? 1 : 0)) _exit(6);
    if (!named) raise(SIGKILL);
    fab_atomic_remove_unfinished();
    _exit(0);
}

static int ends_as(const char *folder, const char *path, bool named)
{
    int how = 0;
    pid_t child = fork();
    if (child == 0) write_half(folder, path, named);
    return child > 0 && waitpid(child, &how, 0) == child ? how : -1;
}

static void a_stopped_writer_leaves_nothing(void)
{
    fab_error err;
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES + 8];
    CHECK(fab_test_folder(folder));
    snprintf(path, sizeof path, "%s/f", folder);
    int how = ends_as(folder, path, true);
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    struct stat st;
    CHECK(stat(path, &st) == 0 && st.st_size == 5 && names_in(folder) == 1);
    CHECK_OK(fab_file_write_atomic(path, "another", 7, &err)); /* in the place of what is there */
    CHECK(stat(path, &st) == 0 && st.st_size == 7 && names_in(folder) == 1);
    mode_t mask = umask(0);
    umask(mask);
    CHECK((st.st_mode & 0777) == (0666 & ~mask));
    int probe = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
    if (probe >= 0) { /* else nothing helps against SIGKILL */
        close(probe);
        how = ends_as(folder, path, false);
        CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        CHECK(stat(path, &st) == 0 && st.st_size == 7 && names_in(folder) == 1);
    }
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static void full_disk_is_named_and_leaves_nothing(void)
{
    fab_error err;
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES + 8];
    CHECK(fab_test_folder(folder));
    snprintf(path, sizeof path, "%s/f", folder);
    struct rlimit old, small = {100000, RLIM_INFINITY};
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small.rlim_max = old.rlim_max;
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &small) == 0);
    static char block[1 << 20];
    fab_status s = fab_file_write_atomic(path, block, sizeof block, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK(s == FAB_ERR_NOSPACE && strstr(err.message, path));
    CHECK(rmdir(folder) == 0); /* empty: the temporary is gone */
}

static void json_round_trips_and_names_fields(void)
{
    fab_error err;
    fab_json *v = NULL;
    const char *text = "{\"b\":1,\"a\":[1.5,null,\"x\"],\"c\":{\"d\":true}}";
    CHECK_OK(fab_json_parse(text, strlen(text), "t", &v, &err));
    FAB_AUTO_BUF fab_buf buf = {0};
    fab_writer w;
    fab_writer_to_buf(&buf, &w);
    CHECK_OK(fab_json_dump(v, 0, &w, &err));
    CHECK(buf.size == strlen(text) + 1 && memcmp(buf.data, text, strlen(text)) == 0);
    int64_t n = 0;
    const char *s = NULL;
    CHECK_OK(fab_json_get_int(v, "b", 0, 10, &n, &err));
    CHECK(n == 1);
    CHECK_FAILS(FAB_ERR_FORMAT, "\"b\" is 1, outside 2..3",
                fab_json_get_int(v, "b", 2, 3, &n, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "\"z\" is missing", fab_json_get_string(v, "z", &s, &err));
    v = fab_json_free(v);
    CHECK_FAILS(FAB_ERR_FORMAT, "t: not valid JSON: line 1", fab_json_parse("{", 1, "t", &v, &err));
    fab_json *repaired = fab_json_string("a\xff" "b");
    CHECK(strcmp(fab_json_text(repaired), "a\xEF\xBF\xBD" "b") == 0);
    fab_json_free(repaired);
}

static atomic_llong loop_sum;

static void add_index(void *ctx, int64_t index, int worker)
{
    int64_t *per_worker = ctx;
    per_worker[worker] += index;
    atomic_fetch_add(&loop_sum, index);
}

static void parallel_loop_visits_all_once(void)
{
    for (int threads = 1; threads <= FAB_MAX_THREADS; threads *= 2) {
        fab_threads_set(threads);
        for (int round = 0; round < (threads <= 8 ? 200 : 20); round++) {
            int64_t sums[FAB_MAX_THREADS] = {0}, total = 0;
            atomic_store(&loop_sum, 0);
            fab_parallel_for(1000, add_index, sums);
            for (int i = 0; i < threads; i++) total += sums[i];
            CHECK(total == 499500 && atomic_load(&loop_sum) == 499500);
        }
    }
    fab_threads_set(0);
}

/* A container's share of the machine may change while scratch for so many workers is in use. */
static void workers_do_not_follow_the_affinity(void)
{
    cpu_set_t all, one;
    const int before = fab_threads_get();
    CHECK(before >= 1 && sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    for (size_t i = 0; CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    const int after = fab_threads_get();
    CHECK(sched_setaffinity(0, sizeof all, &all) == 0);
    CHECK(after == before);
}

static void random_numbers_are_the_published_ones(void)
{
    fab_rng rng; /* first outputs of pcg32-demo, seed 42, stream 54 */
    fab_rng_seed(&rng, 42, 54);
    static const uint32_t expected[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293};
    for (int i = 0; i < 4; i++) CHECK(fab_rng_u32(&rng) == expected[i]);
    double sum = 0, square = 0;
    for (int i = 0; i < 20000; i++) {
        double x = fab_rng_normal(&rng);
        sum += x;
        square += x * x;
    }
    CHECK_NEAR(sum / 20000, 0, 0.03);
    CHECK_NEAR(square / 20000, 1, 0.05);
}

static void peak_memory_follows_use(void)
{
    uint64_t before = fab_peak_rss_bytes();
    size_t bytes = (size_t)64 << 20;
    volatile char *block = fab_malloc(bytes);
    CHECK(block);
    for (size_t i = 0; i < bytes; i += 4096) block[i] = 1;
    CHECK(fab_peak_rss_bytes() >= before + bytes / 2);
    fab_free((void *)(uintptr_t)block);
}

static void plain(void *ctx) { ++*(int *)ctx; }

static void unknown_to_the_processor(void *ctx)
{
    ++*(int *)ctx;
    raise(SIGILL);
    ++*(int *)ctx;
}

static void try_both(void *ctx, int64_t i, int worker)
{
    int here = 0;
    bool *right = ctx;
    (void)worker;
    right[i] = i % 2 ? fab_executes(plain, &here) && here == 1
                     : !fab_executes(unknown_to_the_processor, &here) && here == 1;
}

/* From several threads at once too: the handler belongs to the whole process. */
static void unknown_instructions_are_survived(void)
{
    bool right[40] = {false};
    struct sigaction before, after;
    sigaction(SIGILL, NULL, &before);
    fab_threads_set(4);
    fab_parallel_for(40, try_both, right);
    fab_threads_set(0);
    for (int i = 0; i < 40; i++) CHECK(right[i]);
    sigaction(SIGILL, NULL, &after);
    CHECK(before.sa_handler == after.sa_handler);
}

static void the_last_part_of_a_path(void)
{
    CHECK(strcmp(fab_path_name("a/b/c.x"), "c.x") == 0 && strcmp(fab_path_name("c"), "c") == 0);
    CHECK(strcmp(fab_path_name("/"), "/") == 0);
}

/* A million times "a" (FIPS 180-4's own long example), in pieces of every length. */
static void foreign_text_is_checked_and_made_plain(void)
{
    /* RFC 3629: the edges of each length, then overlong, surrogate, too large, cut, stray. */
    static const char *const good[] = {"", "a\x7f", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80",
        "\xED\x9F\xBF", "\xEE\x80\x80", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "a\x80", "\xFF"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) CHECK(fab_utf8_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) CHECK(!fab_utf8_valid(bad[i]));
    char into[16];
    CHECK(strcmp(fab_text_clean("a\x1b[2J\xC2\x9B" "b\xE1t\xC3\xA4", '?', into, sizeof into),
                 "a?[2J?b?t\xC3\xA4") == 0);
    CHECK(strcmp(fab_text_clean("abc\xE2\x82\xAC", '?', into, 6), "abc") == 0);
    CHECK(strcmp(fab_text_clean("abc\xE2\x82\xAC", '?', into, 7), "abc\xE2\x82\xAC") == 0);
    CHECK(strcmp(fab_text_clean(NULL, '?', into, sizeof into), "") == 0);
}

static void long_input_is_hashed(void)
{
    enum { TOTAL = 1000000 };
    char *text = malloc(TOTAL), hex[65];
    uint8_t digest[32];
    memset(text, 'a', TOTAL);
    for (size_t piece = 1; piece < TOTAL * 4; piece = piece * 3 + 1) {
        fab_sha256 h;
        fab_sha256_init(&h);
        for (size_t at = 0; at < TOTAL; at += piece)
            fab_sha256_update(&h, text + at, TOTAL - at < piece ? TOTAL - at : piece);
        fab_sha256_final(&h, digest);
        fab_sha256_hex(digest, hex);
        CHECK(strcmp(hex, "cdc76e5c9914fb9281a1c7e284d73e67"
                          "f1809a48a497200e046d39ccc7112cd0") == 0);
    }
    free(text);
}

static void words_for_so_many_and_for_what_it_is(void)
{
    static const struct { uint32_t mode; const char *word; } kinds[] = {
        {S_IFREG | 0600, "a file"}, {S_IFDIR | 0755, "a folder"}, {S_IFIFO, "a named pipe"},
        {S_IFSOCK, "a socket"}, {S_IFCHR, "a device"}, {S_IFBLK, "a device"}};
    for (int n = 0; n < 4; n++)
        CHECK(strcmp(fab_plural(n, "voxel", "voxels"), n == 1 ? "voxel" : "voxels") == 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        CHECK(strcmp(fab_path_kind(kinds[i].mode), kinds[i].word) == 0);
}

int main(void)
{
    static const fab_test tests[] = {TEST(long_input_is_hashed),
        TEST(foreign_text_is_checked_and_made_plain),
        TEST(error_messages_nest), TEST(allocation_hook_fails_exactly_the_nth),
        TEST(buffer_grows_to_its_cap), TEST(reader_refuses_past_the_end),
        TEST(atomic_file_appears_whole_or_not),
        TEST(pipes_and_devices_are_refused_at_once), TEST(a_stopped_writer_leaves_nothing),
        TEST(full_disk_is_named_and_leaves_nothing),
        TEST(json_round_trips_and_names_fields), TEST(parallel_loop_visits_all_once),
        TEST(workers_do_not_follow_the_affinity),
        TEST(random_numbers_are_the_published_ones), TEST(peak_memory_follows_use),
        TEST(unknown_instructions_are_survived), TEST(the_last_part_of_a_path),
        TEST(words_for_so_many_and_for_what_it_is)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
