/* zoom.c - separable spline zoom: x and y plane by plane, then z; lines in double precision. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "zoom.h"

enum { TAPS = 4, LANES = 8 };

/* Where the targets of one axis look. */
typedef struct axis {
    int size, count, taps;
    int *first;       /* [count][TAPS]: source indices, ends mirrored */
    double *weight;   /* [count][TAPS] */
} axis;

static void axis_free(axis *a)
{
    fab_free(a->first);
    fab_free(a->weight);
}

static int mirrored(int i, int n)
{
    if (n == 1) return 0;
    const int period = 2 * n - 2;
    i = abs(i) % period;
    return i < n ? i : period - i;
}

/* Cubic B-spline weights of the four coefficients around a point t beyond the second. */
static void cubic(double t, double w[TAPS])
{
    const double u = 1 - t;
    w[0] = u * u * u / 6;
    w[1] = (t * t * (t - 2) * 3 + 4) / 6;
    w[2] = (u * u * (u - 2) * 3 + 4) / 6;
    w[3] = 1 - w[0] - w[1] - w[2];
}

/* Where target i of `count` lies among `size` samples. */
static double place_of(int i, int size, int count)
{
    return count > 1 ? i * ((double)(size - 1) / (count - 1)) : 0;
}

static fab_status axis_make(int size, int count, int order, axis *a, fab_error *err)
{
    *a = (axis){.size = size, .count = count, .taps = order == 3 ? 4 : order + 1};
    a->first = fab_alloc_array((size_t)count * TAPS, sizeof *a->first);
    a->weight = fab_alloc_array((size_t)count * TAPS, sizeof *a->weight);
    if (!a->first || !a->weight) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to resample");
    for (int i = 0; i < count; i++) {
        double at = place_of(i, size, count);
        if (order == 0) at = floor(at + 0.5);
        int low = (int)at;
        if (low > size - 1) low = size - 1;
        double *w = a->weight + (ptrdiff_t)i * TAPS;
        if (order == 3) cubic(at - low, w);
        else w[1] = at - low, w[0] = 1 - w[1];
        for (int k = 0; k < a->taps; k++)
            a->first[i * TAPS + k] = mirrored(order == 3 ? low + k - 1 : low + k, size);
    }
    return FAB_OK;
}

/* Spline coefficients of LANES lines at once, in place: line[i][lane]. */
static void prefilter(double (*line)[LANES], int n)
{
    const double pole = sqrt(3.0) - 2, last = pow(pole, n - 1);
    if (n == 1) return;
    for (int l = 0; l < LANES; l++) {
        double p = pole;
        for (int i = 0; i < n; i++) line[i][l] *= 6;
        double sum = line[0][l] + last * line[n - 1][l];
        for (int i = 1; i < n - 1 && fabs(p) > 1e-40; i++, p *= pole)
            sum += p * (line[i][l] + last * line[n - 1 - i][l]);
        line[0][l] = sum / (1 - last * last);
    }
    for (int i = 1; i < n; i++)
        for (int l = 0; l < LANES; l++) line[i][l] += pole * line[i - 1][l];
    for (int l = 0; l < LANES; l++)
        line[n - 1][l] =
            (pole * line[n - 2][l] + line[n - 1][l]) * pole / (pole * pole - 1);
    for (int i = n - 2; i >= 0; i--)
        for (int l = 0; l < LANES; l++) line[i][l] = pole * (line[i + 1][l] - line[i][l]);
}

static void evaluate(const axis *a, int i, double (*line)[LANES], double out[LANES])
{
    const int *first = a->first + (ptrdiff_t)i * TAPS;
    const double *w = a->weight + (ptrdiff_t)i * TAPS;
    for (int l = 0; l < LANES; l++) out[l] = 0;
    for (int k = 0; k < a->taps; k++)
        for (int l = 0; l < LANES; l++) out[l] += w[k] * line[first[k]][l];
}

typedef struct zoom {
    axis x, y, z;
    const fab_zoom_source *from;
    float *middle, *into;    /* [z][new y][new x], [new z][new y][new x] */
    bool cubic, whole;
    double (*scratch)[LANES]; /* per worker: `room` entries */
    size_t room;
    float *plane;            /* per worker: [y][x], then [y][new x] */
} zoom;

/* One line set: `lanes` lines `apart` floats from each other, elements `step` apart. */
static void run_lines(const zoom *s, const axis *a, double (*line)[LANES], const float *from,
                      ptrdiff_t step, ptrdiff_t apart, int lanes, float *into, ptrdiff_t to_step,
                      ptrdiff_t to_apart, bool whole)
{
    double value[LANES];
    for (int i = 0; i < a->size; i++)
        for (int l = 0; l < LANES; l++)
            line[i][l] = (double)from[i * step + (l < lanes ? l : 0) * apart];
    if (s->cubic) prefilter(line, a->size);
    for (int i = 0; i < a->count; i++) {
        evaluate(a, i, line, value);
        for (int l = 0; l < lanes; l++)
            into[i * to_step + l * to_apart] = (float)(whole ? trunc(value[l]) : value[l]);
    }
}

static int lanes_left(int at, int end)
{
    return end - at < LANES ? end - at : LANES;
}

static void zoom_plane(void *ctx, int64_t k, int worker)
{
    const zoom *s = ctx;
    double (*line)[LANES] = s->scratch + (size_t)worker * s->room;
    const ptrdiff_t nx = s->x.size, mx = s->x.count;
    float *from = s->plane + (ptrdiff_t)worker * s->y.size * (nx + mx);
    float *plane = from + s->y.size * nx;
    float *into = s->middle + k * s->y.count * mx;
    s->from->plane(s->from->ctx, (int)k, from);
    for (int y = 0; y < s->y.size; y += LANES)
        run_lines(s, &s->x, line, from + y * nx, 1, nx, lanes_left(y, s->y.size), plane + y * mx,
                  1, mx, false);
    for (int x = 0; x < mx; x += LANES)
        run_lines(s, &s->y, line, plane + x, mx, 1, lanes_left(x, (int)mx), into + x, mx, 1,
                  false);
}

static void zoom_row(void *ctx, int64_t row, int worker)
{
    const zoom *s = ctx;
    double (*line)[LANES] = s->scratch + (size_t)worker * s->room;
    const ptrdiff_t mx = s->x.count, plane = mx * s->y.count;
    for (int x = 0; x < mx; x += LANES)
        run_lines(s, &s->z, line, s->middle + row * mx + x, plane, 1, lanes_left(x, (int)mx),
                  s->into + row * mx + x, plane, 1, s->whole);
}

static fab_status run(zoom *s, fab_error *err)
{
    const size_t workers = (size_t)fab_threads_get();
    const int longest = s->x.size > s->y.size ? s->x.size : s->y.size;
    s->room = (size_t)(longest > s->z.size ? longest : s->z.size);
    FAB_AUTO_FREE double(*scratch)[LANES] = fab_alloc_array(workers * s->room, sizeof *scratch);
    FAB_AUTO_FREE float *plane = fab_alloc_array(
        workers * (size_t)s->y.size * ((size_t)s->x.size + (size_t)s->x.count), sizeof *plane);
    FAB_AUTO_FREE float *middle = fab_alloc_array(
        (size_t)s->z.size * (size_t)s->y.count * (size_t)s->x.count, sizeof *middle);
    if (!scratch || !plane || !middle) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to resample");
    s->scratch = scratch;
    s->plane = plane;
    s->middle = middle;
    fab_parallel_for(s->z.size, zoom_plane, s);
    fab_parallel_for(s->y.count, zoom_row, s);
    return FAB_OK;
}

size_t fab_zoom_bytes(const int size[3], const int new_size[3])
{
    const size_t workers = (size_t)fab_threads_get(), y = (size_t)size[1];
    int longest = 1;
    for (int a = 0; a < 3; a++) longest = size[a] > longest ? size[a] : longest;
    return (size_t)size[0] * (size_t)new_size[1] * (size_t)new_size[2] * sizeof(float)
           + workers * y * ((size_t)size[2] + (size_t)new_size[2]) * sizeof(float)
           + workers * (size_t)longest * LANES * sizeof(double);
}

fab_status fab_zoom_image(const fab_zoom_source *from, const int size[3], int order, bool whole,
                          const int new_size[3], float *into, fab_error *err)
{
    if (order != 0 && order != 1 && order != 3)
        FAB_FAIL(err, FAB_ERR_ARG, "zoom of order %d", order);
    zoom s = {.from = from, .into = into, .cubic = order == 3, .whole = whole};
    fab_status status = axis_make(size[2], new_size[2], order, &s.x, err);
    if (status == FAB_OK) status = axis_make(size[1], new_size[1], order, &s.y, err);
    if (status == FAB_OK) status = axis_make(size[0], new_size[0], order, &s.z, err);
    if (status == FAB_OK) status = run(&s, err);
    axis_free(&s.x);
    axis_free(&s.y);
    axis_free(&s.z);
    return status;
}

void fab_zoom_nearest(int size, int count, int32_t *index)
{
    for (int i = 0; i < count; i++) {
        const int at = (int)floor(place_of(i, size, count) + 0.5);
        index[i] = at < size ? at : size - 1;
    }
}
