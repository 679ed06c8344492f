/* cmd_verify.c - fabrica verify: is a case still what was written. */
#include "cli.h"

static int run(const cli_call *call)
{
    fab_case c = {0};
    fab_error err = {0};
    const fab_job_watch *watch = cli_begin(call);
    fab_progress stop = {NULL, NULL, watch->cancelled};
    fab_status status = fab_case_open(call->arguments[0], &c, &err);
    if (status == FAB_OK) status = fab_case_verify(&c, &stop, &err);
    size_t files = fab_json_count(c.manifest ? fab_json_find(c.manifest, "files") : NULL);
    fab_case_close(&c);
    int code = cli_end(call, status, &err);
    if (status == FAB_OK)
        cli_say(call, "%s: %zu %s unchanged\n", call->arguments[0], files,
                fab_plural((int64_t)files, "file", "files"));
    return code;
}

const cli_command cli_verify = {
    "verify", "CASE", "check a case against the hashes of its manifest", 1, 1,
    "Re-hashes every file the manifest lists and names the first that differs.", NULL, NULL, run};
