/* sandbox.c - the parent's side of the decoding worker (docs/adr/0010).
 *
 * The worker's executable is embedded in the library and started from a memfd: nothing has to be
 * installed, found or trusted on disk, and the versions always match. posix_spawn, not fork: the
 * parent has threads. The child gets an empty environment and three things only: its socket, the
 * shared region, and /dev/null as 0, 1 and 2.
 *
 *     scan/load thread n  --owns-->  fab_sandbox n  --socketpair-->  worker process n
 *
 * A worker that dies, hangs or answers nonsense is replaced at the next request; the file it had
 * in hand is reported as FAB_ERR_CRASHED.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dicom_internal.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#define POLL_SLICE_MS 100
#define WAIT_LIMIT_S (FAB_DICOM_WORKER_CPU_S * 20) /* wall clock; a busy machine is no crime */

extern const unsigned char fab_dicom_worker_image[];
extern const unsigned char fab_dicom_worker_image_end[];

struct fab_sandbox {
    pid_t pid; /* 0: not running */
    int socket, region_fd;
    uint8_t *region;
    size_t region_bytes;
    uint64_t cpu_us;
    bool walled;
    char why_not[FAB_WIRE_MESSAGE_BYTES];
};

/* ---- test hook ---------------------------------------------------------------------------- */

static _Atomic uint32_t wanted_fault;
static char faulty_file[64];

void fab_dicom_test_fault(const char *fault, const char *file_suffix)
{
    static const char *const names[] = {"none", "segv", "spin", "open", "socket", "exec", "memory"};
    uint32_t found = FAB_FAULT_NONE;
    for (uint32_t i = 0; fault && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(fault, names[i]) == 0) found = i;
    snprintf(faulty_file, sizeof faulty_file, "%s", file_suffix ? file_suffix : "");
    atomic_store(&wanted_fault, found);
}

static uint32_t fault_for(const char *path)
{
    uint32_t fault = atomic_load(&wanted_fault);
    if (fault == FAB_FAULT_NONE) return fault;
    size_t n = strlen(path), k = strlen(faulty_file);
    return n >= k && strcmp(path + n - k, faulty_file) == 0 ? fault : FAB_FAULT_NONE;
}

/* ---- life of a worker --------------------------------------------------------------------- */

/* Descriptors handed over must not be among the 0..5 they become in the child. */
static int high_descriptor(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 16);
    close(fd);
    return high;
}

static fab_status worker_memfd(int *out, fab_error *err)
{
    int fd = memfd_create("fabrica-decode", MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) fd = memfd_create("fabrica-decode", MFD_CLOEXEC);
    if (fd < 0) FAB_FAIL(err, FAB_ERR_IO, "the decoder cannot be started: %s", strerror(errno));
    const unsigned char *at = fab_dicom_worker_image;
    while (at < fab_dicom_worker_image_end) {
        ssize_t n = write(fd, at, (size_t)(fab_dicom_worker_image_end - at));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            int e = errno;
            close(fd);
            FAB_FAIL(err, FAB_ERR_IO, "the decoder cannot be started: %s", strerror(e));
        }
        at += n;
    }
    *out = high_descriptor(fd);
    if (*out < 0) FAB_FAIL(err, FAB_ERR_IO, "the decoder cannot be started: %s", strerror(EMFILE));
    return FAB_OK;
}

static int spawn_actions(posix_spawn_file_actions_t *actions, int image, int socket, int region)
{
    int e = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);
    if (e == 0) e = posix_spawn_file_actions_adddup2(actions, 0, 1);
    if (e == 0) e = posix_spawn_file_actions_adddup2(actions, 0, 2);
    if (e == 0) e = posix_spawn_file_actions_adddup2(actions, socket, FAB_WIRE_SOCKET_FD);
    if (e == 0) e = posix_spawn_file_actions_adddup2(actions, region, FAB_WIRE_REGION_FD);
    if (e == 0) e = posix_spawn_file_actions_adddup2(actions, image, FAB_WIRE_IMAGE_FD);
    if (e == 0) e = posix_spawn_file_actions_addclosefrom_np(actions, FAB_WIRE_IMAGE_FD + 1);
    return e;
}

static int spawn_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (int s = 1; s < 32; s++)
        if (s != SIGKILL && s != SIGSTOP) sigaddset(&defaults, s);
    int e = posix_spawnattr_setsigmask(attributes, &none);
    if (e == 0) e = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (e == 0) e = posix_spawnattr_setpgroup(attributes, 0); /* Ctrl-C is for the parent */
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP;
    if (e == 0) e = posix_spawnattr_setflags(attributes, flags);
    return e;
}

static int spawn_worker(int image, int socket, int region, pid_t *pid)
{
    char path[] = "/proc/self/fd/5"; /* FAB_WIRE_IMAGE_FD, in the child */
    char name[] = "fabrica-decode";
    char *const arguments[] = {name, NULL}, *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int e = posix_spawn_file_actions_init(&actions);
    if (e != 0) return e;
    e = posix_spawnattr_init(&attributes);
    if (e == 0) {
        e = spawn_actions(&actions, image, socket, region);
        if (e == 0) e = spawn_attributes(&attributes);
        if (e == 0) e = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* Ends the worker and says how it ended. */
static void describe_end(int status, char *into, size_t capacity)
{
    if (WIFSIGNALED(status)) {
        int s = WTERMSIG(status);
        const char *what = s == SIGSYS ? "it tried a forbidden system call"
                         : s == SIGXCPU ? "it used more CPU time than allowed"
                         : s == SIGKILL ? "it was killed"
                                        : strsignal(s);
        snprintf(into, capacity, "the decoder died (signal %d: %s)", s, what);
    } else {
        snprintf(into, capacity, "the decoder died (exit code %d)", WEXITSTATUS(status));
    }
}

static void stop_worker(fab_sandbox *s, bool kill_first, char *how, size_t capacity)
{
    int status = 0;
    if (s->pid == 0) return;
    if (s->socket >= 0) close(s->socket);
    s->socket = -1;
    if (kill_first) kill(s->pid, SIGKILL);
    pid_t got;
    do got = waitpid(s->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    if (how) {
        if (got == s->pid) describe_end(status, how, capacity);
        else snprintf(how, capacity, "the decoder died");
    }
    s->pid = 0;
}

static fab_status start_worker(fab_sandbox *s, fab_error *err);

fab_status fab_dicom_sandbox_create(fab_sandbox **out, fab_error *err)
{
    fab_sandbox *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a decoder");
    s->socket = -1;
    s->region_fd = memfd_create("fabrica-frames", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (s->region_fd < 0 || fcntl(s->region_fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
        int e = errno;
        fab_dicom_sandbox_free(s);
        FAB_FAIL(err, FAB_ERR_IO, "no shared memory for the decoder: %s", strerror(e));
    }
    *out = s;
    return FAB_OK;
}

fab_sandbox *fab_dicom_sandbox_free(fab_sandbox *s)
{
    if (!s) return NULL;
    stop_worker(s, true, NULL, 0);
    if (s->region) munmap(s->region, s->region_bytes);
    if (s->region_fd >= 0) close(s->region_fd);
    return fab_free(s);
}

bool fab_dicom_sandbox_walled(const fab_sandbox *s, const char **why_not)
{
    *why_not = s->why_not;
    return s->walled;
}

/* ---- requests ----------------------------------------------------------------------------- */

static fab_status grow_region(fab_sandbox *s, size_t bytes, fab_error *err)
{
    bytes = (bytes + 0xfffffu) & ~(size_t)0xfffffu;
    if (bytes <= s->region_bytes) return FAB_OK;
    if (bytes > FAB_DICOM_MAX_REGION_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%zu bytes of pixels at once", bytes);
    if (ftruncate(s->region_fd, (off_t)bytes) != 0)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no shared memory of %zu bytes: %s", bytes, strerror(errno));
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->region_fd, 0);
    if (p == MAP_FAILED)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no shared memory of %zu bytes: %s", bytes, strerror(errno));
    if (s->region) munmap(s->region, s->region_bytes);
    s->region = p;
    s->region_bytes = bytes;
    return FAB_OK;
}

/* Waits for the reply. 1: got it. 0: the worker is gone. -1: took too long. -2: cancelled. */
static int await_reply(const fab_sandbox *s, fab_wire_reply *reply, const fab_progress *progress)
{
    for (int waited_ms = 0; waited_ms < WAIT_LIMIT_S * 1000; waited_ms += POLL_SLICE_MS) {
        struct pollfd p = {s->socket, POLLIN, 0};
        int n = poll(&p, 1, POLL_SLICE_MS);
        if (n < 0 && errno != EINTR) return 0;
        if (n > 0) {
            ssize_t got = recv(s->socket, reply, sizeof *reply, 0);
            if (got < 0 && errno == EINTR) continue;
            reply->message[sizeof reply->message - 1] = 0;
            return got == (ssize_t)sizeof *reply && reply->magic == FAB_WIRE_MAGIC;
        }
        if (progress && fab_progress_cancelled(progress)) return -2;
    }
    return -1;
}

/* The CPU limit moves along: what has been used so far plus one request's worth. The worker may
 * not change it (seccomp), the parent may. */
static void grant_cpu(const fab_sandbox *s)
{
    struct rlimit r;
    if (prlimit(s->pid, RLIMIT_CPU, NULL, &r) != 0) return;
    r.rlim_cur = (rlim_t)(s->cpu_us / 1000000u + 1 + FAB_DICOM_WORKER_CPU_S);
    if (r.rlim_max != RLIM_INFINITY && r.rlim_cur > r.rlim_max) r.rlim_cur = r.rlim_max;
    (void)prlimit(s->pid, RLIMIT_CPU, &r, NULL);
}

static fab_status start_worker(fab_sandbox *s, fab_error *err)
{
    int pair[2], image = -1;
    fab_wire_reply hello = {0};
    FAB_TRY(worker_memfd(&image, err));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        int e = errno;
        close(image);
        FAB_FAIL(err, FAB_ERR_IO, "the decoder cannot be started: %s", strerror(e));
    }
    int theirs = high_descriptor(pair[1]), region = fcntl(s->region_fd, F_DUPFD_CLOEXEC, 16);
    int e = theirs < 0 || region < 0 ? EMFILE : spawn_worker(image, theirs, region, &s->pid);
    close(image);
    if (theirs >= 0) close(theirs);
    if (region >= 0) close(region);
    if (e != 0) {
        s->pid = 0;
        close(pair[0]);
        FAB_FAIL(err, FAB_ERR_IO, "the decoder cannot be started: %s", strerror(e));
    }
    s->socket = pair[0];
    s->cpu_us = 0;
    if (await_reply(s, &hello, NULL) != 1) {
        char how[160];
        stop_worker(s, true, how, sizeof how);
        FAB_FAIL(err, FAB_ERR_IO, "the decoder cannot be started: %s", how);
    }
    s->walled = hello.status == 1;
    memcpy(s->why_not, hello.message, sizeof s->why_not);
    s->cpu_us = hello.cpu_us;
    return FAB_OK;
}

static bool send_request(const fab_sandbox *s, fab_wire_request *q, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec part = {q, sizeof *q};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    ssize_t n;
    do n = sendmsg(s->socket, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *q;
}

static fab_status exchange(fab_sandbox *s, fab_wire_request *q, int fd, const char *path,
                           const fab_progress *progress, fab_error *err)
{
    fab_wire_reply reply = {0};
    char how[160] = "the decoder died";
    if (s->pid == 0) FAB_TRY(start_worker(s, err));
    grant_cpu(s);
    int got = send_request(s, q, fd) ? await_reply(s, &reply, progress) : 0;
    if (got == -2) {
        stop_worker(s, true, NULL, 0);
        FAB_FAIL(err, FAB_ERR_CANCELLED, "cancelled");
    }
    if (got != 1) {
        stop_worker(s, got < 0, how, sizeof how);
        FAB_FAIL(err, FAB_ERR_CRASHED, "%s: %s on this file; the file is quarantined", path,
                 got < 0 ? "the decoder did not answer" : how);
    }
    s->cpu_us = reply.cpu_us;
    if (reply.status < 0) FAB_FAIL(err, reply.status, "%s: %s", path, reply.message);
    return FAB_OK;
}

static fab_status open_input(const char *path, int *fd, uint64_t *bytes, fab_error *err)
{
    struct stat st = {0};
    int f = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (f < 0) FAB_FAIL(err, FAB_ERR_IO, "%s: %s", path, strerror(errno));
    bool fine = fstat(f, &st) == 0 && S_ISREG(st.st_mode);
    if (!fine || (uint64_t)st.st_size > FAB_DICOM_MAX_FILE_BYTES) {
        close(f);
        if (!fine)
            FAB_FAIL(err, FAB_ERR_IO, "%s is %s, not a file", path, fab_path_kind(st.st_mode));
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: %lld bytes are above FAB_DICOM_MAX_FILE_BYTES", path,
                 (long long)st.st_size);
    }
    *fd = f;
    *bytes = (uint64_t)st.st_size;
    return FAB_OK;
}

static fab_status request(fab_sandbox *s, fab_wire_request *q, const char *path,
                          const fab_progress *progress, fab_error *err)
{
    int fd = -1;
    FAB_TRY(open_input(path, &fd, &q->file_bytes, err));
    q->magic = FAB_WIRE_MAGIC;
    q->region_bytes = s->region_bytes;
    q->fault = fault_for(path);
    fab_status status = exchange(s, q, fd, path, progress, err);
    close(fd);
    return status;
}

/* Copies the header out of reach of the worker before looking at it. */
static fab_status take_header(const fab_sandbox *s, const char *path, fab_wire_header *h,
                              fab_wire_frame **frames, fab_error *err)
{
    memcpy(h, s->region, sizeof *h);
    size_t room = (s->region_bytes - FAB_WIRE_FRAMES_OFFSET) / sizeof **frames;
    if (h->frames == 0 || h->frames > FAB_DICOM_MAX_FRAMES || h->frames > room)
        FAB_FAIL(err, FAB_ERR_CRASHED, "%s: the decoder answered nonsense (%u %s); the file is "
                 "quarantined", path, h->frames, fab_plural(h->frames, "frame", "frames"));
    fab_dicom_header_terminate(h);
    *frames = fab_alloc_array(h->frames, sizeof **frames);
    if (!*frames) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %u frames", h->frames);
    memcpy(*frames, s->region + FAB_WIRE_FRAMES_OFFSET, h->frames * sizeof **frames);
    for (uint32_t i = 0; i < h->frames; i++) {
        fab_wire_frame *f = *frames + i;
        f->stack_id[sizeof f->stack_id - 1] = 0;
        f->kind[sizeof f->kind - 1] = 0;
    }
    return FAB_OK;
}

fab_status fab_dicom_sandbox_header(fab_sandbox *s, const char *path, uint64_t file_id,
                                    const fab_progress *progress, fab_wire_header *header,
                                    fab_wire_frame **frames, fab_error *err)
{
    /* sparse: only what the worker touches takes memory */
    FAB_TRY(grow_region(s, FAB_WIRE_FRAMES_OFFSET + FAB_DICOM_MAX_FRAMES * sizeof(fab_wire_frame),
                        err));
    fab_wire_request q = {.op = FAB_WIRE_HEADER, .file_id = file_id};
    FAB_TRY(request(s, &q, path, progress, err));
    return take_header(s, path, header, frames, err);
}

fab_status fab_dicom_sandbox_frames(fab_sandbox *s, const char *path, uint64_t file_id,
                                    uint32_t first, uint32_t count, size_t cells,
                                    const fab_progress *progress, const int32_t **out,
                                    fab_error *err)
{
    size_t bytes = (size_t)count * cells * sizeof(int32_t);
    FAB_TRY(grow_region(s, bytes, err));
    FAB_TRY(grow_region(s, FAB_WIRE_FRAMES_OFFSET + FAB_DICOM_MAX_FRAMES * sizeof(fab_wire_frame),
                        err));
    fab_wire_request q = {.op = FAB_WIRE_FRAMES, .file_id = file_id, .first_frame = first,
                          .frame_count = count};
    FAB_TRY(request(s, &q, path, progress, err));
    *out = (const int32_t *)(const void *)s->region;
    return FAB_OK;
}
