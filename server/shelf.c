/* shelf.c - the lessons of a case: CASE/lessons/NAME.mcap, and the one that was given by name.
 *
 * A thread reads the folder when somebody asks, checks what is new or changed from end to end, and
 * wakes the loop; what it found is kept by the file's identity (device, inode, size, time). The
 * event loop never reads a lesson: it looks up a row, or says "later".
 *
 *     wanted ---+  list(): wanted == done and fresh?  -> rows        (loop)
 *     done   ---+                     else wanted++, "later"
 *                  scan: covers = wanted; read; swap the rows; done = covers; wake  (thread) */
#include "server_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const double fresh_s = 1;

typedef struct identity {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
} identity;

typedef struct item {
    char name[FAB_LESSON_NAME_BYTES];
    identity is;
    char sha256[65];
    char *row;      /* JSON, as it is listed */
    char *error;    /* NULL: it is good */
} item;

struct fab_shelf {
    char folder[FAB_MAX_PATH_BYTES], given[FAB_MAX_PATH_BYTES], given_name[FAB_LESSON_NAME_BYTES];
    char manifest_sha256[65], labels_sha256[65];
    fab_model_hashes model; /* of these two */
    void (*wake)(void *ctx);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool started;
    bool quit; /* below: under lock. Items are written by the thread alone */
    uint64_t wanted, done;
    double done_s;
    item *items; /* the given one first, then by name */
    size_t count;
    char held[FAB_SERVER_MAX_RECORDINGS][FAB_LESSON_NAME_BYTES]; /* being recorded */
};

/* ---- names ------------------------------------------------------------------------------ */

void fab_shelf_slug(const char *title, char slug[FAB_LESSON_SLUG_BYTES])
{
    size_t n = 0;
    for (; *title && n < FAB_LESSON_SLUG_BYTES - 6; title++) { /* room for "-999" */
        unsigned char c = (unsigned char)*title;
        bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        if (upper || lower || (c >= '0' && c <= '9')) slug[n++] = (char)(upper ? c + 32 : c);
        else if (n && slug[n - 1] != '-') slug[n++] = '-';
    }
    while (n && slug[n - 1] == '-') n--;
    slug[n] = '\0';
    if (!n) memcpy(slug, "lesson", 7);
}

/* "NAME.mcap" to NAME; false for what is no lesson's file, or would make a bad line in a list. */
static bool name_of(const char *file, char name[FAB_LESSON_NAME_BYTES])
{
    size_t n = strlen(file);
    if (n < 6 || n - 5 >= FAB_LESSON_NAME_BYTES || file[0] == '.') return false;
    if (strcmp(file + n - 5, ".mcap") != 0) return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)file[i] < 32 || file[i] == 127) return false;
    memcpy(name, file, n - 5);
    name[n - 5] = '\0';
    return true;
}

static bool is_plain(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return strlen(name) < FAB_LESSON_SLUG_BYTES && !name[strspn(name, letters)];
}

/* ---- one lesson ------------------------------------------------------------------------- */

static fab_status read_fd(void *ctx, uint64_t offset, void *into, size_t count, fab_error *err)
{
    const int *fd = ctx;
    uint8_t *to = into;
    while (count) {
        ssize_t got = pread(*fd, to, count, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            FAB_FAIL(err, got ? FAB_ERR_IO : FAB_ERR_FORMAT, "%s",
                     got ? strerror(errno) : "the file ends");
        to += got;
        offset += (uint64_t)got;
        count -= (size_t)got;
    }
    return FAB_OK;
}

static fab_status hash_of(const fab_reader *r, char sha256[65], fab_error *err)
{
    enum { PIECE = 1 << 18 };
    FAB_AUTO_FREE uint8_t *piece = fab_malloc(PIECE);
    fab_sha256 h;
    uint8_t digest[32];
    if (!piece) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    fab_sha256_init(&h);
    for (uint64_t at = 0; at < r->size;) {
        size_t n = r->size - at < PIECE ? (size_t)(r->size - at) : PIECE;
        FAB_TRY(fab_reader_read(r, at, piece, n, err));
        fab_sha256_update(&h, piece, n);
        at += n;
    }
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, sha256);
    return FAB_OK;
}

static const char *model_of(const fab_json *about, const fab_model_hashes *model)
{
    const char *manifest = fab_text_of(about, "manifest_sha256");
    const char *labels = fab_text_of(about, "labels_sha256");
    if (!*manifest && !*labels) return "unknown";
    bool same = strcmp(manifest, model->manifest_sha256) == 0 ||
                (*labels && strcmp(labels, model->labels_sha256) == 0);
    return same ? "same" : "other";
}

/* The lesson from end to end, and what is listed of it into o. */
static fab_status describe(const fab_model_hashes *model, const fab_reader *r, fab_json *o,
                           char *sha256, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *report = NULL, *chapters = NULL;
    FAB_AUTO(fab_lesson_free) fab_lesson *l = NULL;
    if (r->size > FAB_SERVER_MAX_LESSON_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: more than %llu bytes", r->name,
                 (unsigned long long)FAB_SERVER_MAX_LESSON_BYTES);
    FAB_TRY(fab_lesson_verify(r, &report, err));
    FAB_TRY(fab_lesson_open(r, &l, err));
    FAB_TRY(fab_lesson_chapters(r, &chapters, err));
    FAB_TRY(hash_of(r, sha256, err));
    const fab_json *about = fab_lesson_about_json(l);
    static const char *const copied[] = {"title", "language", "created"};
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        FAB_TRY(fab_json_set(o, copied[i], fab_json_string(fab_text_of(about, copied[i])), err));
    FAB_TRY(fab_json_set(o, "duration_us", fab_json_int(fab_lesson_duration_us(l)), err));
    FAB_TRY(fab_json_set(o, "cut", fab_json_bool(fab_json_is_true(fab_json_find(report, "cut"))),
                         err));
    FAB_TRY(fab_json_set(o, "chapters", fab_json_retain(chapters), err));
    FAB_TRY(fab_json_set(o, "model", fab_json_string(model_of(about, model)), err));
    return fab_json_set(o, "sha256", fab_json_string(sha256), err);
}

static fab_status render(const fab_json *o, char **row, fab_error *err)
{
    fab_buf text = {0};
    fab_writer w;
    fab_writer_to_buf(&text, &w);
    fab_status status = fab_json_dump(o, 0, &w, err);
    if (status == FAB_OK) status = fab_buf_append(&text, "", 1, err);
    if (status < 0) {
        fab_buf_free(&text);
        return status;
    }
    *row = (char *)text.data;
    (*row)[strcspn(*row, "\n")] = '\0';
    return FAB_OK;
}

/* Fills an item whose name and identity are set; a lesson that is wrong is a row that says so. */
static fab_status fill(const fab_shelf *s, int fd, item *to, fab_error *err)
{
    fab_reader r = {.ctx = &fd, .size = (uint64_t)to->is.size, .read_at = read_fd};
    fab_error why = {0};
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    snprintf(r.name, sizeof r.name, "%s.mcap", to->name); /* no folder: others read the messages */
    FAB_TRY(fab_json_set(o, "name", fab_json_string(to->name), err));
    FAB_TRY(fab_json_set(o, "bytes", fab_json_int((int64_t)to->is.size), err));
    fab_status status = describe(&s->model, &r, o, to->sha256, &why);
    if (status == FAB_ERR_NOMEM) FAB_FAIL(err, status, "%s", why.message);
    if (status < 0) {
        FAB_TRY(fab_json_set(o, "error", fab_json_string(why.message), err));
        to->error = fab_strdup(why.message);
        if (!to->error) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    }
    return render(o, &to->row, err);
}

static void item_free(item *i)
{
    fab_free(i->row);
    fab_free(i->error);
}

/* ---- the folder ------------------------------------------------------------------------- */

static bool identify(int fd, identity *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    *out = (identity){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
    return true;
}

static bool same_identity(const identity *a, const identity *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static int open_folder(const fab_shelf *s)
{
    return open(s->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The file of a name: the given one's, or below the folder. -1: none. */
static int open_lesson(const fab_shelf *s, const char *name)
{
    char file[FAB_LESSON_NAME_BYTES + 8];
    if (s->given[0] && strcmp(name, s->given_name) == 0)
        return open(s->given, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    snprintf(file, sizeof file, "%s.mcap", name);
    int folder = open_folder(s);
    if (folder < 0) return -1;
    int fd = fab_files_open_beneath(folder, file);
    close(folder);
    return fd;
}

typedef struct scan {
    fab_shelf *s;
    item *items;
    size_t count;
} scan;

static bool is_held(fab_shelf *s, const char *name)
{
    bool held = false;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < FAB_SERVER_MAX_RECORDINGS; i++) held |= strcmp(s->held[i], name) == 0;
    pthread_mutex_unlock(&s->lock);
    return held;
}

/* What is known of this file already moves over; else it is read. */
static fab_status take(scan *c, const char *name, int fd, fab_error *err)
{
    item made = {.name = ""};
    snprintf(made.name, sizeof made.name, "%s", name);
    if (!identify(fd, &made.is)) return FAB_OK;
    bool given_too = c->count && c->s->given[0] && c->items[0].is.dev == made.is.dev &&
                     c->items[0].is.ino == made.is.ino;
    if (given_too) return FAB_OK; /* it is the first row */
    item *grown = fab_realloc(c->items, (c->count + 1) * sizeof *grown);
    if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    c->items = grown;
    for (size_t i = 0; i < c->s->count; i++) {
        item *old = &c->s->items[i];
        if (!old->row || strcmp(old->name, name) != 0 || !same_identity(&old->is, &made.is))
            continue;
        made.row = fab_strdup(old->row);
        made.error = old->error ? fab_strdup(old->error) : NULL;
        memcpy(made.sha256, old->sha256, sizeof made.sha256);
    }
    fab_status status = made.row ? FAB_OK : fill(c->s, fd, &made, err);
    if (status < 0) item_free(&made);
    else c->items[c->count++] = made;
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const item *)a)->name, ((const item *)b)->name);
}

static fab_status take_folder(scan *c, fab_error *err)
{
    fab_status status = FAB_OK;
    char name[FAB_LESSON_NAME_BYTES];
    int folder = open_folder(c->s);
    DIR *d = folder >= 0 ? fdopendir(folder) : NULL;
    if (!d) {
        if (folder >= 0) close(folder);
        return FAB_OK; /* nothing was recorded yet */
    }
    for (struct dirent *e; status == FAB_OK && (e = readdir(d));) {
        if (c->count == FAB_SERVER_MAX_LESSONS) break;
        if (!name_of(e->d_name, name) || is_held(c->s, name)) continue;
        int fd = fab_files_open_beneath(dirfd(d), e->d_name);
        if (fd < 0) continue;
        status = take(c, name, fd, err);
        close(fd);
    }
    closedir(d);
    return status;
}

static void read_all(fab_shelf *s)
{
    scan c = {.s = s};
    fab_error err = {0};
    pthread_mutex_lock(&s->lock);
    uint64_t covers = s->wanted;
    pthread_mutex_unlock(&s->lock);
    int given = s->given[0] ? open_lesson(s, s->given_name) : -1;
    fab_status status = given >= 0 ? take(&c, s->given_name, given, &err) : FAB_OK;
    if (given >= 0) close(given);
    size_t first = c.count;
    if (status == FAB_OK) status = take_folder(&c, &err);
    if (c.count > first) qsort(c.items + first, c.count - first, sizeof *c.items, by_name);
    pthread_mutex_lock(&s->lock);
    item *old = s->items;
    size_t old_count = s->count;
    s->items = c.items; /* out of memory: what there was room for */
    s->count = c.count;
    s->done = covers;
    s->done_s = fab_time_wall_s();
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < old_count; i++) item_free(&old[i]);
    fab_free(old);
}

static void *thread_main(void *arg)
{
    fab_shelf *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->quit) {
        if (s->wanted == s->done) {
            pthread_cond_wait(&s->work, &s->lock);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        read_all(s);
        s->wake(s->ctx);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Is it a file of the folder already? Then it keeps its name. */
static bool keeps_name(fab_shelf *s)
{
    char name[FAB_LESSON_NAME_BYTES];
    struct stat own, other;
    if (!name_of(fab_path_name(s->given), name) || !is_plain(name)) return false;
    int beside = open_lesson(s, name);
    bool same = stat(s->given, &own) == 0 && beside >= 0 && fstat(beside, &other) == 0 &&
                other.st_dev == own.st_dev && other.st_ino == own.st_ino;
    if (beside >= 0) close(beside);
    if (same) snprintf(s->given_name, sizeof s->given_name, "%s", name);
    return same;
}

static fab_status check_given(const char *path, char slug[FAB_LESSON_SLUG_BYTES], fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *report = NULL;
    FAB_AUTO(fab_lesson_free) fab_lesson *l = NULL;
    fab_reader r;
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = fab_lesson_verify(&r, &report, err);
    if (status == FAB_OK) status = fab_lesson_open(&r, &l, err);
    if (status == FAB_OK) fab_shelf_slug(fab_text_of(fab_lesson_about_json(l), "title"), slug);
    l = fab_lesson_free(l);
    fab_reader_close(&r);
    return status < 0 ? fab_error_prefix(err, "--lesson %.200s", path) : FAB_OK;
}

/* The given lesson must be good, and gets a name that no other has. */
static fab_status open_given(fab_shelf *s, const char *path, fab_error *err)
{
    char slug[FAB_LESSON_SLUG_BYTES], name[FAB_LESSON_NAME_BYTES];
    FAB_TRY(check_given(path, slug, err));
    if (!realpath(path, s->given)) FAB_FAIL(err, FAB_ERR_IO, "%s: %s", path, strerror(errno));
    if (keeps_name(s)) return FAB_OK;
    for (int n = 1, fd = 0; fd >= 0; n++) {
        if (n == 1) snprintf(name, sizeof name, "%s", slug);
        else snprintf(name, sizeof name, "%s-%d", slug, n);
        fd = open_lesson(s, name);
        if (fd >= 0) close(fd);
    }
    snprintf(s->given_name, sizeof s->given_name, "%s", name);
    return FAB_OK;
}

fab_status fab_shelf_open(const char *folder, const char *given, const fab_model_hashes *model,
                          void (*wake)(void *ctx), void *ctx, fab_shelf **out, fab_error *err)
{
    fab_shelf *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    s->wake = wake;
    s->ctx = ctx;
    s->done_s = -1;
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    snprintf(s->manifest_sha256, sizeof s->manifest_sha256, "%s", model->manifest_sha256);
    snprintf(s->labels_sha256, sizeof s->labels_sha256, "%s", model->labels_sha256);
    s->model = (fab_model_hashes){s->manifest_sha256, s->labels_sha256};
    fab_status status = given ? open_given(s, given, err) : FAB_OK;
    if (status < 0) {
        fab_free(s);
        return status;
    }
    s->wanted = 1; /* read once before anybody asks */
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    *out = s;
    return FAB_OK;
}

fab_status fab_shelf_start(fab_shelf *s, fab_error *err)
{
    sigset_t all, before; /* signals belong to the thread that runs the server */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&s->thread, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) FAB_FAIL(err, FAB_ERR_IO, "cannot start a thread: %s", strerror(failed));
    s->started = true;
    return FAB_OK;
}

void fab_shelf_stop(fab_shelf *s)
{
    if (!s || !s->started) return;
    pthread_mutex_lock(&s->lock);
    s->quit = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->started = false;
}

fab_shelf *fab_shelf_close(fab_shelf *s)
{
    if (!s) return NULL;
    fab_shelf_stop(s);
    for (size_t i = 0; i < s->count; i++) item_free(&s->items[i]);
    fab_free(s->items);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    return fab_free(s);
}

fab_status fab_shelf_describe(const char *path, const fab_model_hashes *model,
                              char name[FAB_LESSON_SLUG_BYTES], fab_json **row, fab_error *err)
{
    char sha256[65];
    fab_reader r;
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = describe(model, &r, o, sha256, err);
    if (status < 0) fab_error_prefix(err, "--lesson %.200s", path);
    else {
        fab_shelf_slug(fab_text_of(o, "title"), name);
        status = fab_json_set(o, "name", fab_json_string(name), err);
        if (status == FAB_OK)
            status = fab_json_set(o, "bytes", fab_json_int((int64_t)r.size), err);
    }
    fab_reader_close(&r);
    FAB_TRY(status);
    *row = fab_json_retain(o);
    return FAB_OK;
}

const char *fab_shelf_given(const fab_shelf *s) { return s->given_name; }

/* ---- from the event loop ---------------------------------------------------------------- */

/* lock held */
static void want(fab_shelf *s)
{
    s->wanted = s->wanted == s->done ? s->wanted + 1 : s->wanted;
    pthread_cond_signal(&s->work);
}

/* lock held: are the rows of now? Else they will be. */
static bool fresh(fab_shelf *s, double now_s)
{
    if (s->wanted == s->done && s->done_s >= 0 && now_s - s->done_s < fresh_s) return true;
    want(s);
    return false;
}

fab_status fab_shelf_list(fab_shelf *s, double now_s, fab_buf *out, fab_error *err)
{
    fab_status status = FAB_OK;
    pthread_mutex_lock(&s->lock);
    if (!fresh(s, now_s)) status = 1;
    else {
        status = fab_buf_appendf(out, err, "{\"lessons\":[");
        for (size_t i = 0; i < s->count && status == FAB_OK; i++) {
            if (i) status = fab_buf_append(out, ",", 1, err);
            if (status == FAB_OK)
                status = fab_buf_append(out, s->items[i].row, strlen(s->items[i].row), err);
        }
        if (status == FAB_OK) status = fab_buf_append(out, "]}\n", 3, err);
    }
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* lock held */
static const item *find(const fab_shelf *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->items[i].name, name) == 0) return &s->items[i];
    return NULL;
}

/* lock held */
static fab_status take_out(fab_shelf *s, const char *name, double now_s, fab_shelf_lesson *out,
                           fab_error *err)
{
    identity is;
    const item *i = find(s, name);
    if (!i) {
        if (!fresh(s, now_s)) return 1;
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "there is no such lesson");
    }
    if (i->error) {
        if (!fresh(s, now_s)) return 1; /* it may have been mended */
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s", i->error);
    }
    int fd = open_lesson(s, name);
    if (fd < 0 || !identify(fd, &is) || !same_identity(&is, &i->is)) {
        if (fd >= 0) close(fd);
        want(s);
        return 1;
    }
    *out = (fab_shelf_lesson){.fd = fd, .bytes = (uint64_t)is.size};
    memcpy(out->sha256, i->sha256, sizeof out->sha256);
    return FAB_OK;
}

fab_status fab_shelf_find(fab_shelf *s, const char *name, double now_s, fab_shelf_lesson *out,
                          fab_error *err)
{
    pthread_mutex_lock(&s->lock);
    fab_status status = take_out(s, name, now_s, out, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

fab_status fab_shelf_remove(fab_shelf *s, const char *name, double now_s, fab_error *err)
{
    char file[FAB_LESSON_NAME_BYTES + 8];
    pthread_mutex_lock(&s->lock);
    bool there = find(s, name) != NULL, sure = there || fresh(s, now_s);
    pthread_mutex_unlock(&s->lock);
    if (s->given[0] && strcmp(name, s->given_name) == 0)
        FAB_FAIL(err, FAB_ERR_ARG, "this lesson was given by --lesson: it is not the server's");
    if (is_held(s, name)) FAB_FAIL(err, FAB_ERR_ARG, "this lesson is being recorded");
    if (!sure) return 1;
    if (!there) FAB_FAIL(err, FAB_ERR_NOTFOUND, "there is no such lesson");
    snprintf(file, sizeof file, "%s.mcap", name); /* the row's own name: no slash in it */
    int folder = open_folder(s);
    bool gone = folder >= 0 && unlinkat(folder, file, 0) == 0;
    int code = errno;
    if (gone) (void)fsync(folder);
    if (folder >= 0) close(folder);
    fab_shelf_changed(s);
    if (gone) return FAB_OK;
    if (code == ENOENT) FAB_FAIL(err, FAB_ERR_NOTFOUND, "there is no such lesson");
    FAB_FAIL(err, FAB_ERR_IO, "cannot remove it: %s", strerror(code));
}

void fab_shelf_changed(fab_shelf *s)
{
    pthread_mutex_lock(&s->lock);
    s->wanted++; /* also when a scan is under way: it may have passed by */
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

void fab_shelf_hold(fab_shelf *s, const char *name, bool held)
{
    const char *from = held ? "" : name, *to = held ? name : "";
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < FAB_SERVER_MAX_RECORDINGS; i++) {
        if (strcmp(s->held[i], from) != 0) continue;
        snprintf(s->held[i], sizeof s->held[i], "%s", to);
        break;
    }
    pthread_mutex_unlock(&s->lock);
    if (!held) fab_shelf_changed(s);
}
