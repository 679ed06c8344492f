/* scan.c - every file under a path: read its header in a sandbox, reject it with a reason or keep
 * it for a series. The result does not depend on the order the file system lists files in.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dicom_internal.h"

#define FILES_PER_STEP 256

/* ---- the list of files -------------------------------------------------------------------- */

static fab_status add_file(fab_dicom_scan *scan, const char *path, fab_error *err)
{
    if (scan->file_count == FAB_MAX_FILES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d files (FAB_MAX_FILES)", FAB_MAX_FILES);
    if (scan->file_count == scan->file_capacity) {
        size_t next = scan->file_capacity ? scan->file_capacity * 2 : 256;
        fab_dicom_file *grown = fab_realloc(scan->files, next * sizeof *grown);
        if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the list of files");
        scan->files = grown;
        scan->file_capacity = next;
    }
    fab_dicom_file *f = &scan->files[scan->file_count];
    memset(f, 0, sizeof *f);
    f->path = fab_strdup(path);
    if (!f->path) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the list of files");
    scan->file_count++;
    return FAB_OK;
}

static fab_status list_folder(fab_dicom_scan *scan, const char *folder, int depth,
                              fab_error *err);

static fab_status list_entry(fab_dicom_scan *scan, const char *folder, const char *name,
                             int depth, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    struct stat st;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return FAB_OK;
    FAB_TRY(fab_path_join(path, sizeof path, folder, name, err));
    if (lstat(path, &st) != 0) return FAB_OK; /* vanished meanwhile */
    if (S_ISDIR(st.st_mode)) return list_folder(scan, path, depth + 1, err);
    if (S_ISLNK(st.st_mode) && (stat(path, &st) != 0 || !S_ISREG(st.st_mode))) return FAB_OK;
    return S_ISREG(st.st_mode) ? add_file(scan, path, err) : FAB_OK;
}

static fab_status list_folder(fab_dicom_scan *scan, const char *folder, int depth, fab_error *err)
{
    if (depth > FAB_MAX_FOLDER_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: folders deeper than %d (FAB_MAX_FOLDER_DEPTH)", folder,
                 FAB_MAX_FOLDER_DEPTH);
    DIR *d = opendir(folder);
    if (!d) FAB_FAIL(err, FAB_ERR_IO, "%s: %s", folder, strerror(errno));
    fab_status s = FAB_OK;
    struct dirent *e;
    while (s == FAB_OK && (e = readdir(d)) != NULL)
        s = list_entry(scan, folder, e->d_name, depth, err);
    closedir(d);
    return s;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const fab_dicom_file *)a)->path, ((const fab_dicom_file *)b)->path);
}

static fab_status list_files(fab_dicom_scan *scan, const char *path, fab_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0) FAB_FAIL(err, FAB_ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return add_file(scan, path, err);
    FAB_TRY(list_folder(scan, path, 0, err));
    if (scan->file_count > 1) qsort(scan->files, scan->file_count, sizeof *scan->files, by_path);
    return FAB_OK;
}

/* ---- which files can be part of a volume --------------------------------------------------- */

fab_status fab_dicom_file_reject(fab_dicom_file *f, fab_error *err, const char *format, ...)
{
    char text[FAB_MAX_ERROR_BYTES];
    va_list args;
    if (f->reason) return FAB_OK;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    f->reason = fab_strdup(text);
    if (!f->reason) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a reason");
    f->frames = fab_free(f->frames);
    return FAB_OK;
}

typedef struct known_class {
    const char *uid, *what;
    bool volume;
} known_class;

/* PS3.4 B.5; only what is common enough to name */
static const known_class known_classes[] = {
    {"1.2.840.10008.5.1.4.1.1.2", "CT image", true},
    {"1.2.840.10008.5.1.4.1.1.2.1", "enhanced CT image", true},
    {"1.2.840.10008.5.1.4.1.1.2.2", "legacy converted enhanced CT image", true},
    {"1.2.840.10008.5.1.4.1.1.4", "MR image", true},
    {"1.2.840.10008.5.1.4.1.1.4.1", "enhanced MR image", true},
    {"1.2.840.10008.5.1.4.1.1.4.4", "legacy converted enhanced MR image", true},
    {"1.2.840.10008.5.1.4.1.1.7", "secondary capture", false},
    {"1.2.840.10008.5.1.4.1.1.7.1", "secondary capture", false},
    {"1.2.840.10008.5.1.4.1.1.7.2", "secondary capture", false},
    {"1.2.840.10008.5.1.4.1.1.7.3", "secondary capture", false},
    {"1.2.840.10008.5.1.4.1.1.7.4", "secondary capture", false},
    {"1.2.840.10008.5.1.4.1.1.66.4", "segmentation", false},
    {"1.2.840.10008.5.1.4.1.1.481.1", "RT image", false},
    {"1.2.840.10008.5.1.4.1.1.481.2", "RT dose", false},
    {"1.2.840.10008.5.1.4.1.1.481.3", "RT structure set", false},
    {"1.2.840.10008.5.1.4.1.1.481.5", "RT plan", false},
    {"1.2.840.10008.5.1.4.1.1.30", "parametric map", false},
    {"1.2.840.10008.5.1.4.1.1.88.11", "structured report", false},
    {"1.2.840.10008.5.1.4.1.1.88.22", "structured report", false},
    {"1.2.840.10008.5.1.4.1.1.88.33", "structured report", false},
    {"1.2.840.10008.5.1.4.1.1.88.34", "structured report", false},
    {"1.2.840.10008.5.1.4.1.1.88.67", "dose report", false},
    {"1.2.840.10008.5.1.4.1.1.11.1", "presentation state", false},
    {"1.2.840.10008.1.3.10", "DICOMDIR index", false},
    {"1.2.840.10008.5.1.4.1.1.20", "nuclear medicine image", false},
    {"1.2.840.10008.5.1.4.1.1.128", "PET image", false},
    {"1.2.840.10008.5.1.4.1.1.1", "projection radiograph", false},
    {"1.2.840.10008.5.1.4.1.1.1.1", "projection radiograph", false},
};

static const known_class *find_class(const char *uid)
{
    for (size_t i = 0; i < sizeof known_classes / sizeof known_classes[0]; i++)
        if (strcmp(uid, known_classes[i].uid) == 0) return &known_classes[i];
    return NULL;
}

/* Value `index` (0..) of a backslash-separated list equals text. */
static bool list_has(const char *list, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = list; *at;) {
        size_t k = strcspn(at, "\\"), used = k;
        while (used > 0 && at[used - 1] == ' ') used--;
        if (used == n && memcmp(at, text, n) == 0) return true;
        at += k + (at[k] != 0);
    }
    return false;
}

/* Image Type or Frame Type says that this is no slice of a volume. */
static const char *unwanted_kind(const fab_dicom_file *f)
{
    static const char *const unwanted[] = {"LOCALIZER", "SCOUT", "SCREEN SAVE", "SCREENSAVE",
                                           "DOSE_INFO", "PROJECTION IMAGE"};
    const char *kind = f->frames[0].kind[0] ? f->frames[0].kind : f->head.image_type;
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++)
        if (list_has(kind, unwanted[i])) return unwanted[i];
    return NULL;
}

static fab_status screen_file(fab_dicom_file *f, fab_error *err)
{
    const fab_wire_header *h = &f->head;
    const char *unwanted = unwanted_kind(f);
    const known_class *c = find_class(h->sop_class);
    bool by_modality = h->sop_class[0] == 0 &&
                       (strcmp(h->modality, "CT") == 0 || strcmp(h->modality, "MR") == 0);
    if (c && !c->volume)
        return fab_dicom_file_reject(f, err, "%s: a %s, not a CT or MR slice", f->path, c->what);
    if (!c && !by_modality)
        return fab_dicom_file_reject(f, err, "%s: SOP class %s (Modality %s) is no CT or MR image",
                                     f->path, h->sop_class, h->modality);
    if (unwanted)
        return fab_dicom_file_reject(f, err, "%s: Image Type (0008,0008) says %s", f->path,
                                     unwanted);
    f->damaged = !h->has_pixels;
    if (f->damaged)
        return fab_dicom_file_reject(f, err, "%s: there is no Pixel Data (7FE0,0010); the file may "
                                     "be truncated", f->path);
    if (h->has_modality_lut)
        return fab_dicom_file_reject(f, err, "%s: Modality LUT Sequence (0028,3000) is not read",
                                     f->path);
    if (h->rows == 0 || h->columns == 0 || h->rows > FAB_MAX_DIM || h->columns > FAB_MAX_DIM)
        return fab_dicom_file_reject(
            f, err, "%s: Rows (0028,0010) x Columns (0028,0011) is %u x %u; 1 to %d are read",
            f->path, h->rows, h->columns, FAB_MAX_DIM);
    return FAB_OK;
}

/* ---- reading the headers ------------------------------------------------------------------ */

typedef struct scan_job {
    fab_dicom_scan *scan;
    const fab_progress *progress;
    size_t first;
    atomic_flag failed; /* by the machine, not by a file; the first one's error is kept */
    fab_status status;
    fab_error error;
} scan_job;

/* The decoder's complaint about a file; the machine's own do not begin with its path. */
static fab_status reject_unread(fab_dicom_file *f, fab_status why, fab_error *err)
{
    f->damaged = why != FAB_ERR_NOTFOUND;
    return fab_dicom_file_reject(f, err, "%s", err->message);
}

static void scan_one(void *ctx, int64_t index, int worker)
{
    scan_job *job = ctx;
    size_t at = job->first + (size_t)index;
    fab_dicom_file *f = &job->scan->files[at];
    fab_error err = {0};
    fab_status s = FAB_OK;
    if (!job->scan->sandboxes[worker])
        s = fab_dicom_sandbox_create(&job->scan->sandboxes[worker], &err);
    if (s == FAB_OK)
        s = fab_dicom_sandbox_header(job->scan->sandboxes[worker], f->path, at + 1, job->progress,
                                     &f->head, &f->frames, &err);
    if (s == FAB_OK) s = screen_file(f, &err);
    else if (s != FAB_ERR_CANCELLED && strncmp(err.message, f->path, strlen(f->path)) == 0)
        s = reject_unread(f, s, &err);
    if (s == FAB_OK) return;
    f->frames = fab_free(f->frames);
    if (atomic_flag_test_and_set(&job->failed)) return;
    job->error = err;
    job->status = s;
}

static fab_status read_headers(fab_dicom_scan *scan, const fab_progress *progress, fab_error *err)
{
    for (size_t at = 0; at < scan->file_count; at += FILES_PER_STEP) {
        size_t n = scan->file_count - at < FILES_PER_STEP ? scan->file_count - at : FILES_PER_STEP;
        FAB_TRY(fab_progress_step(progress, "scan", (double)at / (double)scan->file_count, err));
        scan_job job = {.scan = scan, .progress = progress, .first = at,
                        .failed = ATOMIC_FLAG_INIT};
        fab_parallel_for((int64_t)n, scan_one, &job);
        if (job.status < 0) FAB_FAIL(err, job.status, "%s", job.error.message);
    }
    return fab_progress_step(progress, "scan", 1.0, err);
}

static void note_walls(fab_dicom_scan *scan)
{
    for (int i = 0; i < scan->sandbox_count; i++) {
        const char *why = "";
        if (!scan->sandboxes[i] || fab_dicom_sandbox_walled(scan->sandboxes[i], &why)) continue;
        snprintf(scan->note, sizeof scan->note, "%s", why);
    }
}

static fab_status collect_rejected(fab_dicom_scan *scan, fab_error *err)
{
    scan->rejected = fab_alloc_array(scan->file_count + 1, sizeof *scan->rejected);
    if (!scan->rejected) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the list of files");
    for (size_t i = 0; i < scan->file_count; i++)
        if (scan->files[i].reason) scan->rejected[scan->rejected_count++] = i;
    return FAB_OK;
}

/* A damaged file may have been a slice at the end of a series, which no gap would show: every
 * series of the scan says so, without its name: repairs go into manifests, names may be a
 * person's, and the list of rejected files has them. */
static void note_damaged(fab_dicom_scan *scan)
{
    size_t damaged = 0;
    const fab_dicom_file *first = NULL;
    for (size_t i = 0; i < scan->file_count; i++) {
        if (!scan->files[i].damaged) continue;
        if (damaged++ == 0) first = &scan->files[i];
    }
    if (!first) return;
    size_t name = strlen(first->path);
    bool named = strncmp(first->reason, first->path, name) == 0 && first->reason[name] == ':';
    for (size_t i = 0; i < scan->stack_count; i++) {
        fab_series_info *s = &scan->stacks[i].info;
        fab_dicom_note(s->repairs, sizeof s->repairs, "%zu damaged %s left out (%s%s)", damaged,
                       fab_plural((int64_t)damaged, "file", "files"),
                       fab_plural((int64_t)damaged, "", "the first: "),
                       first->reason + (named ? name + 2 : 0));
    }
}

static fab_status make_stacks(fab_dicom_scan *scan, fab_error *err)
{
    FAB_AUTO_FREE fab_repair_counts *repairs =
        fab_calloc(scan->file_count + 1, sizeof *repairs);
    if (!repairs) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the list of files");
    FAB_TRY(fab_dicom_repair(scan, repairs, err));
    FAB_TRY(fab_dicom_group(scan, repairs, err));
    for (size_t i = 0; i < scan->stack_count; i++)
        FAB_TRY(fab_dicom_judge(scan, &scan->stacks[i], err));
    note_damaged(scan);
    return collect_rejected(scan, err);
}

fab_status fab_dicom_scan_path(const char *path, const fab_progress *progress,
                               fab_dicom_scan **out, fab_error *err)
{
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = fab_calloc(1, sizeof *scan);
    if (!scan) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a scan");
    scan->sandbox_count = FAB_MAX_THREADS;
    scan->sandboxes = fab_calloc((size_t)scan->sandbox_count, sizeof(fab_sandbox *));
    if (!scan->sandboxes) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a scan");
    FAB_TRY(list_files(scan, path, err));
    FAB_TRY(read_headers(scan, progress, err));
    note_walls(scan);
    FAB_TRY(make_stacks(scan, err));
    *out = scan;
    scan = NULL;
    return FAB_OK;
}

fab_dicom_scan *fab_dicom_scan_free(fab_dicom_scan *scan)
{
    if (!scan) return NULL;
    for (size_t i = 0; i < scan->file_count; i++) {
        fab_free(scan->files[i].path);
        fab_free(scan->files[i].frames);
        fab_free(scan->files[i].reason);
    }
    for (size_t i = 0; i < scan->stack_count; i++) fab_free(scan->stacks[i].slices);
    for (int i = 0; scan->sandboxes && i < scan->sandbox_count; i++)
        fab_dicom_sandbox_free(scan->sandboxes[i]);
    fab_free(scan->sandboxes);
    fab_free(scan->files);
    fab_free(scan->stacks);
    fab_free(scan->rejected);
    return fab_free(scan);
}

size_t fab_dicom_scan_series_count(const fab_dicom_scan *scan)
{
    return scan->stack_count;
}

const fab_series_info *fab_dicom_scan_series(const fab_dicom_scan *scan, size_t index)
{
    return index < scan->stack_count ? &scan->stacks[index].info : NULL;
}

size_t fab_dicom_scan_rejected_count(const fab_dicom_scan *scan)
{
    return scan->rejected_count;
}

void fab_dicom_scan_rejected(const fab_dicom_scan *scan, size_t index, const char **path,
                             const char **reason)
{
    const fab_dicom_file *f = &scan->files[scan->rejected[index]];
    size_t n = strlen(f->path);
    *path = f->path;
    /* messages begin with "<path>: ", which is said already */
    *reason = strncmp(f->reason, f->path, n) == 0 && f->reason[n] == ':' ? f->reason + n + 2
                                                                         : f->reason;
}

const char *fab_dicom_scan_note(const fab_dicom_scan *scan)
{
    return scan->note;
}

const fab_wire_frame *fab_dicom_slice_frame(const fab_dicom_scan *scan, const fab_dicom_slice *s)
{
    return &scan->files[s->file].frames[s->frame];
}
