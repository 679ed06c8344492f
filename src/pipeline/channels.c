/* channels.c - the images of a network that sees several at once (T1 and T2, CT and PET): by name
 * or by nnU-Net's file names. They are read as they lie; nothing is registered or resampled. */
#include "network.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

void fab_channels_free(fab_channels *c)
{
    for (int i = 0; i < FAB_NNUNET_MAX_CHANNELS; i++) fab_study_free(c->study[i]);
    memset(c, 0, sizeof *c);
}

/* "CT, T1" */
static void list_names(const fab_network *n, char *into, size_t room)
{
    into[0] = '\0';
    for (int i = 0; i < fab_network_channels(n); i++) {
        const size_t used = strlen(into);
        snprintf(into + used, room - used, "%s%s", used ? ", " : "",
                 fab_network_channel_name(n, i));
    }
}

static fab_status check_grid(const fab_channels *c, int channel, const fab_study *study,
                             const char *path, fab_error *err)
{
    const fab_grid *a = fab_volume_grid(study->volume),
                   *b = fab_volume_grid(c->study[channel]->volume);
    double mm[3];
    fab_grid_spacing(a, mm);
    if (fab_grid_equal(a, b, 0.1 * fmin(fmin(mm[0], mm[1]), mm[2]))) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_GEOMETRY,
             "channel %s (%s) is not on the grid of %s (%d x %d x %d and %d x %d x %d voxels%s): "
             "register and resample it first", fab_network_channel_name(c->network, channel), path,
             study->name, b->size[0], b->size[1], b->size[2], a->size[0], a->size[1], a->size[2],
             memcmp(a->size, b->size, sizeof a->size) ? "" : ", elsewhere in the patient");
}

static fab_status read_channel(fab_channels *c, int channel, const char *path, const char *series,
                               const fab_study *study, fab_job *job, fab_error *err)
{
    if (fab_study_read(path, series, job, &c->study[channel], err) < 0)
        return fab_error_prefix(err, "channel %s", fab_network_channel_name(c->network, channel));
    FAB_TRY(check_grid(c, channel, study, path, err));
    c->image[channel] = c->study[channel]->volume;
    return FAB_OK;
}

/* ---- by name ---------------------------------------------------------------------------- */

/* The channel called so, or of that number. */
static int find_channel(const fab_network *n, const char *name, size_t length)
{
    char number[16];
    for (int i = 0; i < fab_network_channels(n); i++) {
        const char *own = fab_network_channel_name(n, i);
        snprintf(number, sizeof number, "%d", i);
        if (strlen(own) == length && strncasecmp(own, name, length) == 0) return i;
        if (strlen(number) == length && strncmp(number, name, length) == 0) return i;
    }
    return -1;
}

/* "T2=scans/t2.nii.gz", "T2=study#3" */
static fab_status read_named(fab_channels *c, const char *given, const fab_study *study,
                             fab_job *job, fab_error *err)
{
    char names[400], path[FAB_MAX_PATH_BYTES];
    const char *equals = strchr(given, '='), *series = NULL;
    list_names(c->network, names, sizeof names);
    if (!equals || !equals[1])
        FAB_FAIL(err, FAB_ERR_ARG, "a channel is NAME=PATH, not \"%.200s\"; the names are %s",
                 given, names);
    const int channel = find_channel(c->network, given, (size_t)(equals - given));
    if (channel < 0)
        FAB_FAIL(err, FAB_ERR_ARG, "model %s has no channel \"%.*s\"; the names are %s",
                 fab_network_name(c->network), (int)(equals - given > 80 ? 80 : equals - given),
                 given, names);
    if (c->study[channel])
        FAB_FAIL(err, FAB_ERR_ARG, "channel %s is given twice",
                 fab_network_channel_name(c->network, channel));
    if (strlen(equals + 1) >= sizeof path)
        FAB_FAIL(err, FAB_ERR_LIMIT, "the path of a channel is too long");
    snprintf(path, sizeof path, "%s", equals + 1);
    char *hash = strrchr(path, '#');
    if (hash && access(path, F_OK) != 0) {
        *hash = '\0';
        series = hash + 1;
    }
    return read_channel(c, channel, path, series, study, job, err);
}

static fab_status read_given(fab_channels *c, const char *const *given, const fab_study *study,
                             fab_job *job, fab_error *err)
{
    int own = -1, left = 0;
    for (size_t i = 0; given[i]; i++) FAB_TRY(read_named(c, given[i], study, job, err));
    for (int i = 0; i < c->count; i++) {
        if (c->study[i]) continue;
        left++;
        own = i;
    }
    char names[400];
    list_names(c->network, names, sizeof names);
    if (left != 1)
        FAB_FAIL(err, FAB_ERR_ARG, "model %s has the channels %s: %s is one of them, so %d must be "
                 "given with NAME=PATH, not %d", fab_network_name(c->network), names, study->name,
                 c->count - 1, c->count - left);
    c->image[own] = study->volume;
    return FAB_OK;
}

/* ---- by nnU-Net's file names ------------------------------------------------------------ */

/* Where the number of "CASE_0000.nii.gz" begins; NULL if the name is none of those. */
static const char *number_of(const char *path)
{
    const char *name = fab_path_name(path), *at = name;
    while ((at = strchr(at, '_'))) {
        size_t digits = 0;
        at++;
        while (isdigit((unsigned char)at[digits])) digits++;
        if (digits == 4 && at[4] == '.') return at;
    }
    return NULL;
}

static fab_status need_channels(const fab_channels *c, const fab_study *study, fab_error *err)
{
    char names[400];
    list_names(c->network, names, sizeof names);
    FAB_FAIL(err, FAB_ERR_ARG, "model %s needs %d images of one patient on one grid (%s); %s is "
             "one: give the others with --channel NAME=PATH, or call the files CASE_0000.nii.gz, "
             "CASE_0001.nii.gz and so on", fab_network_name(c->network), c->count, names,
             study->name);
}

static fab_status read_siblings(fab_channels *c, const char *input, const fab_study *study,
                                fab_job *job, fab_error *err)
{
    const char *number = number_of(input);
    if (!number || strncmp(number, "0000", 4) != 0) return need_channels(c, study, err);
    c->image[0] = study->volume;
    for (int i = 1; i < c->count; i++) {
        char path[FAB_MAX_PATH_BYTES];
        const int n = snprintf(path, sizeof path, "%.*s%04d%s", (int)(number - input), input, i,
                               number + 4);
        if (n < 0 || (size_t)n >= sizeof path)
            FAB_FAIL(err, FAB_ERR_LIMIT, "the path of a channel is too long");
        FAB_TRY(read_channel(c, i, path, NULL, study, job, err));
    }
    return FAB_OK;
}

/* ---- both ------------------------------------------------------------------------------- */

fab_status fab_channels_read(const fab_network *n, const char *input, const fab_study *study,
                             const char *const *given, fab_job *job, fab_channels *out,
                             fab_error *err)
{
    fab_channels c = {.count = fab_network_channels(n), .network = n};
    const bool named = given && given[0];
    fab_status status = FAB_OK;
    if (c.count == 1 && named)
        FAB_FAIL(err, FAB_ERR_ARG, "model %s sees one image: it has no further channels",
                 fab_network_name(n));
    if (c.count == 1) c.image[0] = study->volume;
    else if (named) status = read_given(&c, given, study, job, err);
    else status = read_siblings(&c, input, study, job, err);
    if (status == FAB_OK && c.count > 1)
        status = fab_network_check(n, c.study[0] ? c.study[0] : study, !c.study[0], err);
    if (status < 0) {
        fab_channels_free(&c);
        return status;
    }
    *out = c;
    return FAB_OK;
}

fab_status fab_channels_json(const fab_channels *c, const char *input_sha256, fab_json **out,
                             fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *list = fab_json_array();
    if (!list) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    for (int i = 0; i < c->count; i++) {
        fab_json *row = NULL;
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_text(row, "name", fab_network_channel_name(c->network, i), err));
        FAB_TRY(fab_put_text(row, "sha256",
                             c->study[i] ? c->study[i]->input_sha256 : input_sha256, err));
    }
    *out = list;
    list = NULL;
    return FAB_OK;
}
