/* checkpoint_cli tensors FILE KEY RAW   writes all values, one tensor after the other by name, and
 *                                       prints name, shape and place of each as JSON
 * checkpoint_cli plain FILE KEY         prints the plain values as JSON
 * checkpoint_cli time FILE KEY          prints seconds and peak memory of reading the tensors
 * for checkpoint.py. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fabrica/checkpoint.h"

static fab_status write_tensors(const fab_tensors *t, const char *raw, fab_error *err)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *f = NULL;
    FAB_TRY(fab_atomic_open(raw, &f, err));
    printf("[");
    for (size_t i = 0; i < fab_tensors_count(t); i++) {
        const fab_tensor *one = fab_tensors_at(t, i);
        size_t count = 1;
        printf("%s{\"name\": \"%s\", \"shape\": [", i ? ",\n" : "", one->name);
        for (int a = 0; a < one->rank; a++) {
            count *= (size_t)one->shape[a];
            printf("%s%" PRId64, a ? ", " : "", one->shape[a]);
        }
        printf("], \"at\": %td}", one->values - fab_tensors_at(t, 0)->values);
        FAB_TRY(fab_writer_write(fab_atomic_writer(f), one->values, count * sizeof(float), err));
    }
    printf("]\n");
    return fab_atomic_commit(&f, err);
}

static fab_status show_plain(const fab_checkpoint *c, const char *key, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *value = NULL;
    FAB_AUTO_BUF fab_buf text = {0};
    fab_writer w;
    fab_writer_to_buf(&text, &w);
    FAB_TRY(fab_checkpoint_json(c, key, &value, err));
    FAB_TRY(fab_json_dump(value, 0, &w, err));
    fwrite(text.data, 1, text.size, stdout);
    return FAB_OK;
}

static fab_status run(const fab_reader *r, char **argv, fab_error *err)
{
    FAB_AUTO(fab_checkpoint_free) fab_checkpoint *c = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *t = NULL;
    const double start = fab_time_wall_s();
    FAB_TRY(fab_checkpoint_read(r, &c, err));
    if (!strcmp(argv[1], "plain")) return show_plain(c, argv[3], err);
    FAB_TRY(fab_checkpoint_tensors(c, argv[3], &t, err));
    if (!strcmp(argv[1], "tensors")) return write_tensors(t, argv[4], err);
    printf("{\"seconds\": %.4f, \"peak_rss_bytes\": %" PRIu64 ", \"file_bytes\": %" PRIu64
           ", \"tensors\": %zu}\n", fab_time_wall_s() - start, fab_peak_rss_bytes(), r->size,
           fab_tensors_count(t));
    return FAB_OK;
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    fab_reader r;
    if (argc < 4 || (!strcmp(argv[1], "tensors") && argc < 5)) return 2;
    fab_status status = fab_reader_open_file(argv[2], &r, &err);
    if (status == FAB_OK) {
        status = run(&r, argv, &err);
        fab_reader_close(&r);
    }
    if (status < 0) fprintf(stderr, "%s\n", err.message);
    return status < 0;
}
