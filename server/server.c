/* server.c - putting a server together: case, web client, ports, certificate, volume, pairing. */
#include "server_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double owner_link_s = 15 * 60;

static void wake(void *ctx)
{
    fab_server *s = ctx;
    fab_http_wake(s->http);
}

static bool is_loopback(const char *host) { return host && strncmp(host, "127.", 4) == 0; }

/* The manifest itself is not in its list. */
static fab_status open_case(fab_server *s, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES], hex[65];
    fab_reader r;
    FAB_TRY(fab_case_open(s->options.case_path, &s->twin, err));
    FAB_TRY(fab_path_join(path, sizeof path, s->twin.path, "manifest.json", err));
    fab_status status = fab_files_open(s->twin.path, fab_json_find(s->twin.manifest, "files"),
                                       &s->files, err);
    if (status < 0) fab_error_prefix(err, "%s", path);
    FAB_TRY(status);
    FAB_TRY(fab_sha256_file(path, hex, err));
    FAB_TRY(fab_reader_open_file(path, &r, err));
    uint64_t bytes = r.size;
    fab_reader_close(&r);
    if (!fab_files_find(&s->files, "manifest.json"))
        FAB_TRY(fab_files_add(&s->files, "manifest.json", bytes, hex, err));
    fab_files_sort(&s->files);
    return FAB_OK;
}

static fab_status open_web(fab_server *s, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *rows = NULL;
    const char *folder = s->options.web_folder;
    if (!folder) return FAB_OK;
    FAB_TRY(fab_case_list_files(folder, NULL, NULL, &rows, err));
    FAB_TRY(fab_files_open(folder, rows, &s->web, err));
    s->info.has_web = fab_files_find(&s->web, "index.html") != NULL;
    return FAB_OK;
}

static fab_status open_ports(fab_server *s, fab_error *err)
{
    const char *lesson = fab_shelf_given(s->shelf);
    if (lesson[0]) snprintf(s->query, sizeof s->query, "?lesson=%s", lesson);
    const fab_server_options *o = &s->options;
    bool network = o->network && !is_loopback(o->host);
    const char *address = o->host ? o->host : "0.0.0.0";
    s->local_port = o->port;
    FAB_TRY(fab_net_try_port("127.0.0.1", &s->local_port, err));
    snprintf(s->info.local_url, sizeof s->info.local_url, "http://localhost:%d/", s->local_port);
    if (!network) return FAB_OK;
    fab_net_read(&s->net);
    s->network_port = o->port ? o->port + 1 : 0;
    FAB_TRY(fab_net_try_port(address, &s->network_port, err));
    const char *shown = o->host ? o->host : s->net.list[0] ? s->net.list[0] : "127.0.0.1";
    snprintf(s->info.network_url, sizeof s->info.network_url, "https://%s:%d/%s", shown,
             s->network_port, s->query);
    FAB_TRY(fab_tls_open(o->tls_folder, s->net.list, s->net.host_name, &s->tls, err));
    snprintf(s->info.ca_path, sizeof s->info.ca_path, "%s", s->tls.ca_path);
    snprintf(s->info.ca_fingerprint, sizeof s->info.ca_fingerprint, "%s", s->tls.fingerprint);
    return FAB_OK;
}

/* What recordings need: the twin's hashes and label values. */
static fab_status open_studio(fab_server *s, fab_error *err)
{
    fab_studio *studio = &s->studio;
    const fab_json *rows = fab_json_find(s->twin.manifest, "structures");
    const fab_file *manifest = fab_files_find(&s->files, "manifest.json");
    const fab_file *labels = fab_files_find(&s->files, "labels.nii.gz");
    s->structures = fab_calloc(fab_json_count(rows) + 1, sizeof *s->structures);
    if (!s->structures) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        int64_t value = 0;
        FAB_TRY(fab_json_get_int(fab_json_at(rows, i), "value", 1, FAB_MAX_LABELS, &value, err));
        s->structures[i] = (uint16_t)value;
    }
    *studio = (fab_studio){.structures = s->structures, .structure_count = fab_json_count(rows),
                           .spare_bytes = FAB_SERVER_SPARE_BYTES,
                           .most_bytes = FAB_SERVER_MAX_RECORDED_BYTES, .wake = wake, .ctx = s};
    snprintf(studio->manifest_sha256, sizeof studio->manifest_sha256, "%s", manifest->sha256);
    if (labels)
        snprintf(studio->labels_sha256, sizeof studio->labels_sha256, "%s", labels->sha256);
    return fab_path_join(studio->folder, sizeof studio->folder, s->twin.path, "lessons", err);
}

static void open_pairing(fab_server *s)
{
    char token[FAB_TOKEN_BYTES];
    fab_pairing_start(&s->pairing);
    fab_pairing_add_link(&s->pairing, FAB_ROLE_OWNER, owner_link_s, true, fab_time_wall_s(),
                         token);
    snprintf(s->info.owner_link, sizeof s->info.owner_link, "%s%s#link=%s", s->info.local_url,
             s->query, token);
    snprintf(s->info.code, sizeof s->info.code, "%s", s->pairing.code);
}

static fab_status open_levels(fab_server *s, fab_error *err)
{
    static const char *const names[] = {"volume.nii.gz", "labels.nii.gz"};
    char *const tags[] = {s->volume_tag, s->labels_tag};
    char paths[FAB_LEVEL_KINDS][FAB_MAX_PATH_BYTES];
    const char *list[FAB_LEVEL_KINDS] = {NULL};
    for (int kind = 0; kind < FAB_LEVEL_KINDS; kind++) {
        const fab_file *f = fab_files_find(&s->files, names[kind]);
        if (!f) continue;
        FAB_TRY(fab_path_join(paths[kind], sizeof paths[kind], s->twin.path, names[kind], err));
        snprintf(tags[kind], sizeof s->volume_tag, "%.16s", f->sha256);
        list[kind] = paths[kind];
    }
    bool wide = false;
    for (size_t i = 0; i < s->studio.structure_count; i++) wide |= s->structures[i] > 255;
    return fab_levels_open(list, wide, wake, s, &s->levels, err);
}

fab_status fab_server_open(const fab_server_options *options, fab_server **out, fab_error *err)
{
    if (sodium_init() < 0) FAB_FAIL(err, FAB_ERR_IO, "libsodium has no random numbers");
    FAB_AUTO(fab_server_close) fab_server *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    s->options = *options;
    s->files.folder = s->web.folder = -1;
    FAB_TRY(open_case(s, err));
    FAB_TRY(open_studio(s, err));
    FAB_TRY(fab_privacy_open(s->twin.manifest, &s->shown, err));
    const fab_model_hashes model = {s->studio.manifest_sha256, s->studio.labels_sha256};
    FAB_TRY(fab_shelf_open(s->studio.folder, options->lesson, &model, wake, s, &s->shelf, err));
    s->studio.shelf = s->shelf;
    FAB_TRY(open_web(s, err));
    FAB_TRY(open_ports(s, err));
    open_pairing(s);
    FAB_TRY(fab_http_open(s, &s->http, err));
    FAB_TRY(open_levels(s, err));
    FAB_TRY(fab_shelf_start(s->shelf, err));
    *out = s;
    s = NULL;
    return FAB_OK;
}

void fab_server_info_get(const fab_server *s, fab_server_info *out) { *out = s->info; }

fab_status fab_server_run(fab_server *s, double seconds, fab_error *err)
{
    return fab_http_run(s->http, seconds, err);
}

void fab_server_stop(fab_server *s)
{
    atomic_store(&s->stop, true);
    fab_http_wake(s->http);
}

fab_server *fab_server_close(fab_server *s)
{
    if (!s) return NULL;
    fab_levels_close(s->levels); /* before http: their threads wake the loop */
    fab_shelf_stop(s->shelf);
    fab_http_close(s->http);
    fab_shelf_close(s->shelf); /* after it: recordings end there */
    fab_privacy_close(&s->shown);
    fab_case_close(&s->twin);
    fab_files_close(&s->files);
    fab_files_close(&s->web);
    fab_free(s->structures);
    fab_tls_close(&s->tls);
    sodium_memzero(&s->pairing, sizeof s->pairing);
    return fab_free(s);
}
