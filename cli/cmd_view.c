/* cmd_view.c - fabrica view: a twin in a browser, here and on the local network. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "fabrica/server.h"

static const cli_option options[] = {
    {"port", 'p', CLI_INT, "N", "of this machine (8042); the network's is N + 1; 0: free ones", 0,
     65534},
    {"host", 0, CLI_TEXT, "ADDR", "address for the network; 127.0.0.1: this machine only"},
    {"tls", 0, CLI_CHOICE, "on|off", "off: this machine only, as the network gets TLS or nothing"},
    {"bundle", 0, CLI_PATH, "OUT", "write one HTML file that opens from the disk, and end"},
    {"bundle-ct", 0, CLI_CHOICE, "0|1|2|none",
     "its CT: as scanned, at most 256 voxels a side (1, the default), 96, or none"},
    {"minutes", 0, CLI_REAL, "N", "stop after so many minutes", 0.0, 100000.0},
    {"lesson", 0, CLI_PATH, "FILE", "a lesson, wherever it lies: the links open it"},
    {"web", 0, CLI_PATH, "DIR", "the built web client"},
    {"verbose", 'v', CLI_FLAG, NULL, "a line for each request, on standard error"},
    {0}};

static const char *const examples[] = {
    "here and on the local network", "fabrica view case",
    "on this machine only", "fabrica view case --host 127.0.0.1",
    "one file, to be mailed or kept", "fabrica view case --bundle twin.html --lesson lecture.mcap",
    NULL};

static void on_log(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "%s\n", line);
}

static void on_new_code(void *ctx, const char *code)
{
    (void)ctx;
    fprintf(stderr, "note: too many wrong codes; the code is now %s\n", code);
}

static bool on_stopped(void *ctx)
{
    (void)ctx;
    return cli_signals_cancelled();
}

static void tell(const cli_call *call, const fab_server_info *i)
{
    cli_say(call, "here     %s\n", i->owner_link);
    cli_say(call, "         opens once, within 15 minutes\n");
    if (i->network_url[0]) {
        cli_say(call, "network  %s\n", i->network_url);
        if (!cli_quiet(call) && isatty(STDOUT_FILENO)) cli_print_qr(i->network_url, stdout);
        cli_say(call, "trust    %s\n         SHA-256 %s\n", i->ca_path, i->ca_fingerprint);
    }
    cli_say(call, "code     %s\n", i->code);
    if (!i->has_web) cli_say(call, "note: no web client found (--web DIR, or FABRICA_WEB)\n");
    cli_say(call, "Ctrl-C stops. Not for diagnostic use.\n");
    fflush(stdout);
}

enum { BUNDLE_BYTES = 400 << 20 }; /* browsers hold half a gigabyte of text */

static int bundle(const cli_call *call, const char *path)
{
    fab_error err = {0};
    fab_bundle_info i;
    const char *ct = cli_text(call, "bundle-ct", "1");
    const fab_bundle_options o = {
        .case_path = call->arguments[0], .web_folder = cli_web_folder(call),
        .lesson = cli_text(call, "lesson", NULL), .level = ct[0] == 'n' ? -1 : ct[0] - '0',
        .max_bytes = BUNDLE_BYTES};
    (void)cli_begin(call);
    fab_status status = fab_bundle_write(&o, path, &i, &err);
    if (status < 0) return cli_end(call, status, &err);
    const struct {
        const char *name;
        uint64_t bytes;
    } rows[] = {{"viewer", i.page}, {"structures", i.structures}, {"CT", i.volume},
                {"labels", i.labels}, {"lesson", i.lesson}, {"in all", i.total}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        if (rows[k].bytes)
            cli_say(call, "%-11s %8.2f MB\n", rows[k].name, (double)rows[k].bytes * 1e-6);
    cli_say(call, "%s\n", path);
    cli_say(call, "It names no patient, but a body can be recognised. Not for diagnostic use.\n");
    return cli_end(call, status, &err);
}

static int run(const cli_call *call)
{
    const char *page = cli_text(call, "bundle", NULL);
    if (page) return bundle(call, page);
    if (cli_has(call, "bundle-ct"))
        return cli_usage_error(call, "--bundle-ct is of --bundle OUT");
    fab_error err = {0};
    FAB_AUTO(fab_server_close) fab_server *server = NULL;
    const char *host = cli_text(call, "host", NULL), *tls = cli_text(call, "tls", "on");
    bool local = host && strncmp(host, "127.", 4) == 0, off = strcmp(tls, "off") == 0;
    if (off && host && !local)
        return cli_usage_error(call, "--tls off is for this machine only, not for %s", host);
    cli_signals_patience(5);
    (void)cli_begin(call);
    signal(SIGPIPE, SIG_IGN); /* a browser that went away is no reason to end */
    signal(SIGXFSZ, SIG_IGN); /* nor is a lesson that is too large */
    fab_server_options o = {
        .case_path = call->arguments[0], .lesson = cli_text(call, "lesson", NULL),
        .web_folder = cli_web_folder(call), .host = host,
        .port = (int)cli_int(call, "port", 8042), .network = !off && !local,
        .tls_folder = cli_own_folder("tls"),
        .log = cli_has(call, "verbose") ? on_log : NULL, .new_code = on_new_code,
        .stopped = on_stopped};
    fab_server_info info;
    fab_status status = FAB_OK;
    if (o.network && !o.tls_folder)
        status = fab_error_set(&err, FAB_ERR_ARG, "neither HOME nor XDG_DATA_HOME is set: no place "
                               "for a certificate (--host 127.0.0.1 needs none)");
    if (status == FAB_OK) status = fab_server_open(&o, &server, &err);
    if (status == FAB_OK) {
        fab_server_info_get(server, &info);
        tell(call, &info);
        status = fab_server_run(server, 60 * cli_real(call, "minutes", 0), &err);
    }
    server = fab_server_close(server);
    return cli_end(call, status, &err);
}

const cli_command cli_view = {
    "view", "CASE", "show a twin in a browser, here and on the network", 1, 1,
    "Serves CASE to browsers: on this machine by the link it prints, on the local network by HTTPS "
    "to whoever types the six-digit code. Nothing goes elsewhere. The case is only read, but for "
    "CASE/lessons, where the lessons are kept that its owner records.\n"
    "The network's certificate is made by an authority of your own, once; a headset or tablet that "
    "shall show the twin in XR must trust it (docs/guide/viewing.md).",
    examples, options, run};
