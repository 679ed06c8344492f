/* The walls around the decoder: what it tries there ends it, not us; and the file is named. */
#include <signal.h>
#include <sys/wait.h>

#include "series_build.h"

static char folder[FAB_MAX_PATH_BYTES];

static void write_base(void)
{
    static const double axes[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, spacing[3] = {2, 2, 2.5};
    static const int32_t size[3] = {32, 28, 6};
    fab_error err = {0};
    fab_grid g = test_grid(axes, spacing, size, test_centre);
    FAB_AUTO(fab_volume_unref) fab_volume *v = test_volume(&g);
    fab_series_write how = test_how("sandbox");
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_dicom_write_series(v, &how, folder, &err));
}

static void remove_base(void)
{
    fab_error err = {0};
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

/* The scan goes on without the file; its rejection says what the decoder did. */
static void expect_death(const char *fault, const char *words)
{
    fab_error err = {0};
    const char *path = NULL, *reason = NULL;
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    fab_dicom_test_fault(fault, "IMG00002.dcm");
    fab_status s = fab_dicom_scan_path(folder, NULL, &scan, &err);
    fab_dicom_test_fault(NULL, NULL);
    CHECK(s == FAB_OK);
    CHECK(fab_dicom_scan_rejected_count(scan) == 1);
    fab_dicom_scan_rejected(scan, 0, &path, &reason);
    printf("  %-7s %s: %s\n", fault, strrchr(path, '/') + 1, reason);
    CHECK(strstr(path, "IMG00002.dcm") && strstr(reason, "the decoder died"));
    CHECK(strstr(reason, "the file is quarantined"));
    CHECK(fab_dicom_scan_note(scan)[0] || strstr(reason, words)); /* words need the walls */
    CHECK(fab_dicom_scan_series_count(scan) == 1);
    CHECK(fab_dicom_scan_series(scan, 0)->files == 5);
}

static bool walled(void)
{
    fab_error err = {0};
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    CHECK_OK(fab_dicom_scan_path(folder, NULL, &scan, &err));
    if (fab_dicom_scan_note(scan)[0]) printf("  note: %s\n", fab_dicom_scan_note(scan));
    return fab_dicom_scan_note(scan)[0] == 0;
}

static void crash(void)
{
    write_base();
    expect_death("segv", "signal 11");
    remove_base();
}

static void forbidden_calls(void)
{
    write_base();
    bool closed = walled();
    if (closed) {
        expect_death("open", "signal 31: it tried a forbidden system call");
        expect_death("socket", "signal 31: it tried a forbidden system call");
        expect_death("exec", "signal 31: it tried a forbidden system call");
        expect_death("memory", "signal 11"); /* refused at 2 GiB, then falls over its NULL */
    }
    remove_base();
    if (!closed) SKIP("no seccomp here");
}

/* A file that is fine in the scan and kills the decoder when its pixels are decoded. */
static void crash_in_pixels(void)
{
    fab_error err = {0};
    size_t index = 0;
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    FAB_AUTO(fab_series_free) fab_series *series = NULL;
    write_base();
    CHECK_OK(fab_dicom_scan_path(folder, NULL, &scan, &err));
    CHECK_OK(fab_dicom_scan_pick(scan, &index, &err));
    fab_dicom_test_fault("segv", "IMG00004.dcm");
    CHECK_FAILS(FAB_ERR_CRASHED, "IMG00004.dcm: the decoder died",
                fab_dicom_load(scan, index, NULL, &series, &err));
    fab_dicom_test_fault(NULL, NULL);
    CHECK(series == NULL);
    CHECK_OK(fab_dicom_load(scan, index, NULL, &series, &err)); /* the next worker is fine */
    remove_base();
}

static bool stop_now(void *ctx)
{
    return ++*(int *)ctx > 3;
}

/* A decoder that never answers does not keep a cancelled job. */
static void cancel_a_hang(void)
{
    fab_error err = {0};
    int asked = 0;
    fab_progress progress = {.ctx = &asked, .cancelled = stop_now};
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    write_base();
    fab_dicom_test_fault("spin", "IMG00003.dcm");
    double start = fab_time_wall_s();
    fab_status s = fab_dicom_scan_path(folder, &progress, &scan, &err);
    fab_dicom_test_fault(NULL, NULL);
    CHECK(s == FAB_ERR_CANCELLED);
    printf("  cancelled after %.2f s\n", fab_time_wall_s() - start);
    CHECK(scan == NULL && fab_time_wall_s() - start < 10);
    remove_base();
}

/* Our caller may have its own ideas about children and signals. */
static void ignored_children(void)
{
    fab_error err = {0};
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    write_base();
    signal(SIGCHLD, SIG_IGN);
    expect_death("segv", "the decoder died");
    CHECK_OK(fab_dicom_scan_path(folder, NULL, &scan, &err));
    CHECK(fab_dicom_scan_series(scan, 0)->files == 6);
    scan = fab_dicom_scan_free(scan);
    signal(SIGCHLD, SIG_DFL);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0); /* nothing left behind */
    remove_base();
}

/* The result does not depend on how many decoders work. */
static void any_number_of_threads(void)
{
    fab_error err = {0};
    char hash[65] = "";
    write_base();
    for (int threads = 1; threads <= 5; threads += 2) {
        fab_threads_set(threads);
        FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
        CHECK(hash[0] == 0 || strcmp(hash, s->input_sha256) == 0);
        memcpy(hash, s->input_sha256, sizeof hash);
    }
    fab_threads_set(0);
    remove_base();
    (void)err;
}

int main(void)
{
    return FAB_RUN(TEST(crash), TEST(forbidden_calls), TEST(crash_in_pixels), TEST(cancel_a_hang),
                   TEST(ignored_children), TEST(any_number_of_threads));
}
