/* study.c - whatever a person points at becomes one volume: a folder, file or zip of DICOM, a
 * NIfTI or an NRRD. What it is, is read from its first bytes; names decide nothing. */
#include "pipeline_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fabrica/archive.h"
#include "fabrica/nifti.h"

const char *fab_input_kind_name(fab_input_kind kind)
{
    static const char *const names[] = {"dicom", "dicom", "zip", "nifti", "nrrd"};
    return names[kind];
}

/* Header length 348 or 540 in either byte order opens a NIfTI-1 or -2 (or Analyze) file. */
static bool looks_nifti(const uint8_t *b)
{
    uint32_t little = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                      (uint32_t)b[3] << 24;
    uint32_t big = (uint32_t)b[3] | (uint32_t)b[2] << 8 | (uint32_t)b[1] << 16 |
                   (uint32_t)b[0] << 24;
    return little == 348 || little == 540 || big == 348 || big == 540;
}

/* Without the preamble a DICOM file opens with a low group number: (0002,xxxx) or (0008,xxxx). */
static bool looks_bare_dicom(const uint8_t *b)
{
    return (b[0] == 2 || b[0] == 8) && b[1] == 0 && b[3] == 0;
}

static bool detect_bytes(const uint8_t *b, size_t count, fab_input_kind *out)
{
    static const struct magic {
        size_t at, length;
        const char *bytes;
        fab_input_kind kind;
    } magics[] = {
        {0, 4, "PK\3\4", FAB_INPUT_ZIP},    {0, 4, "PK\5\6", FAB_INPUT_ZIP},
        {0, 4, "NRRD", FAB_INPUT_NRRD},     {0, 2, "\x1f\x8b", FAB_INPUT_NIFTI},
        {128, 4, "DICM", FAB_INPUT_DICOM_FILE},
    };
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *m = &magics[i];
        *out = m->kind;
        if (count >= m->at + m->length && memcmp(b + m->at, m->bytes, m->length) == 0) return true;
    }
    *out = looks_nifti(b) ? FAB_INPUT_NIFTI : FAB_INPUT_DICOM_FILE;
    return count >= 8 && (looks_nifti(b) || looks_bare_dicom(b));
}

fab_status fab_input_detect(const char *path, fab_input_kind *out, fab_error *err)
{
    struct stat st;
    uint8_t head[132] = {0};
    if (stat(path, &st) != 0) FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s does not exist", path);
    if (S_ISDIR(st.st_mode)) {
        *out = FAB_INPUT_DICOM_FOLDER;
        return FAB_OK;
    }
    if (!S_ISREG(st.st_mode))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s is %s, not a file or folder", path,
                 fab_path_kind(st.st_mode));
    if (st.st_size == 0) FAB_FAIL(err, FAB_ERR_FORMAT, "%s is empty (0 bytes)", path);
    fab_reader r;
    FAB_TRY(fab_reader_open_file(path, &r, err));
    size_t count = r.size < sizeof head ? (size_t)r.size : sizeof head;
    fab_status status = fab_reader_read(&r, 0, head, count, err);
    fab_reader_close(&r);
    FAB_TRY(status);
    if (!detect_bytes(head, count, out))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s is none of DICOM, zip, NIfTI and NRRD (first bytes "
                 "%02x %02x %02x %02x)", path, head[0], head[1], head[2], head[3]);
    return FAB_OK;
}

fab_study *fab_study_free(fab_study *s)
{
    if (!s) return NULL;
    fab_series_free(s->series);
    fab_volume_unref(s->volume);
    return fab_free(s);
}

/* ---- DICOM ------------------------------------------------------------------------------ */

/* Unpacks a zip beside other temporary files; the folder is the caller's to remove. */
static fab_status unpack(const char *path, const fab_job_watch *watch,
                         const fab_progress *progress, char *scratch, size_t capacity,
                         fab_error *err)
{
    const char *base = P_tmpdir;
    int n = snprintf(scratch, capacity, "%s/fabrica-zip-XXXXXX", base);
    if (n < 0 || (size_t)n >= capacity || !mkdtemp(scratch)) {
        scratch[0] = '\0';
        FAB_FAIL(err, FAB_ERR_IO, "cannot make a folder in %s to unpack %s", base, path);
    }
    fab_job_scratch(watch, scratch, true);
    return fab_archive_unpack(path, scratch, progress, err);
}

/* A person gave a zip and knows nothing of the folder it was unpacked into. */
static void name_zip(fab_error *err, const char *scratch, const char *zip)
{
    if (!err || !scratch[0]) return;
    char *at = strstr(err->message, scratch);
    if (!at) return;
    char rest[FAB_MAX_ERROR_BYTES];
    snprintf(rest, sizeof rest, "%s", at + strlen(scratch));
    size_t room = sizeof err->message - (size_t)(at - err->message);
    snprintf(at, room, "%s: %s", fab_path_name(zip), rest + (rest[0] == '/'));
}

fab_status fab_input_open_scan(const char *path, const fab_job_watch *watch,
                               const fab_progress *progress, fab_dicom_scan **out,
                               char *scratch, size_t capacity, fab_error *err)
{
    fab_input_kind kind;
    scratch[0] = '\0';
    FAB_TRY(fab_input_detect(path, &kind, err));
    fab_status status = FAB_OK;
    if (kind == FAB_INPUT_ZIP) status = unpack(path, watch, progress, scratch, capacity, err);
    if (status == FAB_OK)
        status = fab_dicom_scan_path(scratch[0] ? scratch : path, progress, out, err);
    if (status < 0 && scratch[0]) {
        name_zip(err, scratch, path);
        (void)fab_path_remove_tree(scratch, NULL);
        fab_job_scratch(watch, scratch, false);
    }
    return status;
}

static fab_status several_patients(const fab_dicom_scan *scan, const char *path, fab_error *err)
{
    const char *first = NULL, *other = NULL;
    char list[400];
    size_t used = 0, patients = 0;
    for (size_t i = 0; i < fab_dicom_scan_series_count(scan); i++) {
        const char *id = fab_dicom_scan_series(scan, i)->patient_id;
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = strcmp(fab_dicom_scan_series(scan, j)->patient_id, id) == 0;
        if (seen) continue;
        patients++;
        if (!first) first = id;
        else other = id;
        int n = snprintf(list + used, sizeof list - used, "%s\"%.40s\" (series %zu)",
                         used ? ", " : "", id, i + 1);
        if (n > 0 && used + (size_t)n < sizeof list) used += (size_t)n;
        else list[used] = '\0';
    }
    if (!other) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
             "%s holds %zu patients: %s. Choose a series with --series N (see fabrica info)", path,
             patients, list);
}

static bool all_digits(const char *text)
{
    return text[0] && strspn(text, "0123456789") == strlen(text);
}

static fab_status choose_series(const fab_dicom_scan *scan, const char *path, const char *series,
                                size_t *index, fab_error *err)
{
    size_t count = fab_dicom_scan_series_count(scan), matches = 0;
    if (!series) {
        FAB_TRY(several_patients(scan, path, err));
        fab_status status = fab_dicom_scan_pick(scan, index, err);
        if (status < 0) (void)fab_error_prefix(err, "%s", path);
        return status;
    }
    if (all_digits(series) && strlen(series) < 7) {
        size_t n = (size_t)strtoul(series, NULL, 10);
        if (n < 1 || n > count)
            FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s holds %zu series, there is no number %s", path,
                     count, series);
        *index = n - 1;
        return FAB_OK;
    }
    for (size_t i = 0; i < count; i++) {
        const char *uid = fab_dicom_scan_series(scan, i)->series_uid;
        if (strncmp(uid, series, strlen(series)) != 0) continue;
        *index = i;
        matches = strcmp(uid, series) == 0 ? 1 : matches + 1;
        if (strcmp(uid, series) == 0) break;
    }
    if (matches == 1) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: %s series UID that begins with %s", path,
             matches ? "more than one" : "no", series);
}

static fab_status load_dicom(fab_study *s, const char *path, const char *series, fab_job *job,
                             fab_error *err)
{
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    char scratch[FAB_MAX_PATH_BYTES];
    size_t index = 0;
    FAB_TRY(fab_job_part(job, 0, 2, err));
    FAB_TRY(fab_input_open_scan(path, job->watch, &job->progress, &scan, scratch, sizeof scratch,
                                err));
    fab_status status = choose_series(scan, path, series, &index, err);
    if (status == FAB_OK) status = fab_job_part(job, 1, 2, err);
    if (status == FAB_OK) status = fab_dicom_load(scan, index, &job->progress, &s->series, err);
    if (scratch[0]) {
        if (status < 0) name_zip(err, scratch, path);
        (void)fab_path_remove_tree(scratch, NULL);
        fab_job_scratch(job->watch, scratch, false);
    }
    FAB_TRY(status);
    const fab_series_info *info = &s->series->info;
    s->volume = fab_volume_ref(s->series->volume);
    snprintf(s->modality, sizeof s->modality, "%s", info->modality);
    memcpy(s->input_sha256, s->series->input_sha256, sizeof s->input_sha256);
    snprintf(s->notes, sizeof s->notes, "%s", info->repairs);
    if (info->verdict != FAB_GEOMETRY_OK)
        fab_job_note(job->watch, "geometry %s: %s", fab_geometry_verdict_name(info->verdict),
                     info->verdict_text);
    return FAB_OK;
}

/* ---- NIfTI and NRRD --------------------------------------------------------------------- */

static fab_status load_file(fab_study *s, const char *path, fab_error *err)
{
    double low = 0, high = 0;
    FAB_TRY((s->kind == FAB_INPUT_NRRD ? fab_nrrd_read : fab_nifti_read)(
        path, &s->volume, s->notes, sizeof s->notes, err));
    FAB_TRY(fab_sha256_file(path, s->input_sha256, err));
    /* Neither format says what made it. Air at -1000 is CT and nothing else. */
    fab_volume_minmax(s->volume, &low, &high);
    if (low <= -500 && high >= 100) snprintf(s->modality, sizeof s->modality, "CT");
    return FAB_OK;
}

fab_status fab_study_read(const char *path, const char *series, fab_job *job, fab_study **out,
                          fab_error *err)
{
    FAB_AUTO(fab_study_free) fab_study *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_input_detect(path, &s->kind, err));
    snprintf(s->name, sizeof s->name, "%s", fab_path_name(path));
    bool file = s->kind == FAB_INPUT_NIFTI || s->kind == FAB_INPUT_NRRD;
    if (file && series)
        FAB_FAIL(err, FAB_ERR_ARG, "%s is one %s volume: --series does not apply", path,
                 fab_input_kind_name(s->kind));
    if (file) FAB_TRY(load_file(s, path, err));
    else FAB_TRY(load_dicom(s, path, series, job, err));
    if (s->notes[0]) fab_job_note(job->watch, "%s: %s", s->name, s->notes);
    *out = s;
    s = NULL;
    return FAB_OK;
}

fab_status fab_study_declare(fab_study *s, const char *modality, fab_error *err)
{
    if (!modality) return FAB_OK;
    if (s->series && strcmp(s->modality, modality) != 0)
        FAB_FAIL(err, FAB_ERR_ARG, "%s is DICOM of modality %s, not %s", s->name, s->modality,
                 modality);
    snprintf(s->modality, sizeof s->modality, "%s", modality);
    return FAB_OK;
}

fab_status fab_study_load(const char *path, const char *series, const fab_job_watch *watch,
                          fab_study **out, fab_error *err)
{
    static const fab_step_def steps[] = {{"read", "Reading the study", 1}};
    fab_job job;
    fab_job_start(&job, watch, steps, 1);
    FAB_TRY(fab_job_enter(&job, 0, err));
    FAB_TRY(fab_study_read(path, series, &job, out, err));
    fab_job_finish(&job);
    return FAB_OK;
}
