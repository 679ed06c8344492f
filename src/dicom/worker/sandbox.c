/* sandbox.c - the walls around the decoder: after this it can compute, use memory up to a limit,
 * and talk over the socket it already has; any other system call ends the process.
 *
 * Allowed: reading and writing descriptors it holds, messages on them, memory without execution,
 * its clock, and exit. Not allowed, so deadly: open, socket, connect, fork, clone, exec, kill of
 * others, ptrace, prctl, prlimit, executable memory.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "worker.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const int allowed_calls[] = {
    SCMP_SYS(read),         SCMP_SYS(write),          SCMP_SYS(readv),
    SCMP_SYS(writev),       SCMP_SYS(recvmsg),        SCMP_SYS(sendmsg),
    SCMP_SYS(close),        SCMP_SYS(fstat),          SCMP_SYS(lseek),
    SCMP_SYS(munmap),       SCMP_SYS(mremap),         SCMP_SYS(brk),
    SCMP_SYS(madvise),      SCMP_SYS(futex),          SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(exit),         SCMP_SYS(exit_group),
    SCMP_SYS(clock_gettime), SCMP_SYS(getrandom),     SCMP_SYS(sched_yield),
    SCMP_SYS(getpid),       SCMP_SYS(gettid),         SCMP_SYS(restart_syscall),
};

static int add_rules(scmp_filter_ctx filter)
{
    int e = 0;
    for (size_t i = 0; e == 0 && i < sizeof allowed_calls / sizeof allowed_calls[0]; i++)
        e = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
    /* memory, but never executable */
    struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    if (e == 0) e = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &no_exec);
    if (e == 0) e = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &no_exec);
    return e;
}

static void limit(int what, rlim_t value)
{
    struct rlimit r = {value, value};
    (void)setrlimit((__rlimit_resource_t)what, &r);
}

bool fab_worker_enter_sandbox(char *why, size_t capacity)
{
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, (rlim_t)FAB_DICOM_MAX_REGION_BYTES);
    limit(RLIMIT_NOFILE, 16);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (SANITIZED) {
        snprintf(why, capacity, "the decoder is built with a sanitizer: its process has no "
                                "seccomp filter and no memory limit");
        return false;
    }
    limit(RLIMIT_DATA, (rlim_t)FAB_DICOM_WORKER_BYTES); /* all private writable memory */
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int e = filter ? add_rules(filter) : -ENOMEM;
    if (e == 0) e = seccomp_load(filter);
    if (filter) seccomp_release(filter);
    if (e == 0) return true;
    snprintf(why, capacity, "seccomp was refused (%s): the decoder runs as a separate process "
                            "with memory and time limits only", strerror(-e));
    return false;
}
