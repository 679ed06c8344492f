/* main.c - the decoding worker's loop: one request, one reply, until the parent hangs up.
 *
 * Started by src/dicom/sandbox.c from memory, with a socket as descriptor 3 and the shared region
 * as 4, and nothing else open. It has no command line and reads no environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

/* Leaks do not matter in a process that ends by being told to; LeakSanitizer needs ptrace. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:allocator_may_return_null=1:handle_segv=0:handle_abort=0";
}

typedef struct state {
    uint8_t *region;
    size_t region_bytes;
    uint64_t file_id; /* 0: none */
    void *mapped;
    size_t mapped_bytes;
    bool pixels_found;
    fab_worker_file file;
} state;

static uint64_t cpu_us(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return 0;
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* Next request and the descriptor that came with it (-1 if none). False: the parent is gone. */
static bool receive(fab_wire_request *q, int *fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {q, sizeof *q};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;
    do n = recvmsg(FAB_WIRE_SOCKET_FD, &m, 0);
    while (n < 0 && errno == EINTR);
    *fd = -1;
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    return n == (ssize_t)sizeof *q && q->magic == FAB_WIRE_MAGIC;
}

static bool answer(fab_status status, const char *message)
{
    fab_wire_reply r = {.magic = FAB_WIRE_MAGIC, .status = status, .cpu_us = cpu_us()};
    snprintf(r.message, sizeof r.message, "%s", message);
    struct iovec part = {&r, sizeof r};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    return sendmsg(FAB_WIRE_SOCKET_FD, &m, MSG_NOSIGNAL) == (ssize_t)sizeof r;
}

static void forget_file(state *s)
{
    fab_worker_close(&s->file);
    if (s->mapped) munmap(s->mapped, s->mapped_bytes);
    s->mapped = NULL;
    s->file_id = 0;
    s->pixels_found = false;
}

static fab_status map_region(state *s, const fab_wire_request *q, fab_error *err)
{
    if (s->region_bytes == q->region_bytes) return FAB_OK;
    if (s->region) munmap(s->region, s->region_bytes);
    s->region = NULL;
    s->region_bytes = 0;
    void *p =
        mmap(NULL, q->region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, FAB_WIRE_REGION_FD, 0);
    if (p == MAP_FAILED)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %llu bytes",
                 (unsigned long long)q->region_bytes);
    s->region = p;
    s->region_bytes = q->region_bytes;
    return FAB_OK;
}

static fab_status load_file(state *s, const fab_wire_request *q, int fd, fab_error *err)
{
    if (s->file_id == q->file_id) return FAB_OK;
    forget_file(s);
    if (q->file_bytes == 0) FAB_FAIL(err, FAB_ERR_FORMAT, "the file is empty (0 bytes)");
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, q->file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        FAB_FAIL(err, FAB_ERR_NOMEM, "the file's %llu bytes cannot be mapped",
                 (unsigned long long)q->file_bytes);
    s->mapped = p;
    s->mapped_bytes = q->file_bytes;
    fab_wire_frame *frames = (fab_wire_frame *)(void *)(s->region + FAB_WIRE_FRAMES_OFFSET);
    size_t room = (s->region_bytes - FAB_WIRE_FRAMES_OFFSET) / sizeof *frames;
    fab_status status =
        fab_worker_open(p, q->file_bytes, frames,
                        room < FAB_DICOM_MAX_FRAMES ? (uint32_t)room : FAB_DICOM_MAX_FRAMES,
                        &s->file, err);
    if (status != FAB_OK) {
        forget_file(s);
        return status;
    }
    memcpy(s->region, &s->file.header, sizeof s->file.header);
    s->file_id = q->file_id;
    return FAB_OK;
}

static fab_status decode_frames(state *s, const fab_wire_request *q, fab_error *err)
{
    const fab_wire_header *h = &s->file.header;
    if (!s->pixels_found) {
        FAB_TRY(fab_worker_find_pixels(&s->file, err));
        s->pixels_found = true;
    }
    size_t cells = (size_t)h->rows * h->columns;
    if (q->frame_count > s->region_bytes / (cells * sizeof(int32_t)))
        FAB_FAIL(err, FAB_ERR_ARG, "%u frames do not fit the shared region", q->frame_count);
    int32_t *out = (int32_t *)(void *)s->region;
    for (uint32_t i = 0; i < q->frame_count; i++)
        FAB_TRY(fab_worker_decode(&s->file, q->first_frame + i, out + cells * i, err));
    return FAB_OK;
}

static void misbehave(uint32_t fault)
{
    volatile int *nowhere = NULL;
    char *const arguments[] = {NULL};
    switch (fault) {
    case FAB_FAULT_SEGV: *nowhere = 1; break;
    case FAB_FAULT_SPIN: for (;;) nowhere = NULL; break;
    case FAB_FAULT_OPEN: (void)open("/etc/hostname", O_RDONLY | O_CLOEXEC); break;
    case FAB_FAULT_SOCKET: (void)socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); break;
    case FAB_FAULT_EXEC: (void)execve("/bin/true", arguments, arguments); break;
    case FAB_FAULT_MEMORY:
        for (size_t n = 0; n < 4096 && fab_malloc((size_t)64 << 20); n++) nowhere = NULL;
        *nowhere = 1;
        break;
    default: break;
    }
}

static fab_status serve(state *s, const fab_wire_request *q, int fd, fab_error *err)
{
    FAB_TRY(map_region(s, q, err));
    if (q->fault != FAB_FAULT_NONE) misbehave(q->fault);
    if (q->op == FAB_WIRE_HEADER) s->file_id = 0;
    FAB_TRY(load_file(s, q, fd, err));
    return q->op == FAB_WIRE_FRAMES ? decode_frames(s, q, err) : FAB_OK;
}

int main(void)
{
    state s = {0};
    char why[FAB_WIRE_MESSAGE_BYTES] = "";
    close(FAB_WIRE_IMAGE_FD);
    (void)prctl(PR_SET_NAME, "fabrica-decode", 0, 0, 0);
    fab_worker_warm_up();
    bool walled = fab_worker_enter_sandbox(why, sizeof why);
    if (!answer(walled ? 1 : 0, why)) return 1;
    for (;;) {
        fab_wire_request q;
        int fd = -1;
        if (!receive(&q, &fd)) _exit(0);
        fab_error err = {0};
        fab_status status = serve(&s, &q, fd, &err);
        if (fd >= 0) close(fd);
        if (!answer(status, status < 0 ? err.message : "")) _exit(0);
    }
}
