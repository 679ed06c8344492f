/* moments.c - mean and standard deviation as numpy computes them for float32: in float32.
 *
 * numpy's iterator hands out 8192 values at a time, in the order of memory; of those it adds 128 at
 * a time in eight partial sums and halves of the rest recursively ("pairwise"). A z-score is wrong
 * in its last bits unless the same additions are made in the same order, so this is a stream
 * through the image on one thread.
 */
#include <math.h>

#include "moments.h"

#define BLOCK 128
#define BUFFER 8192 /* numpy's bufsize */

typedef struct stream {
    const fab_nnunet_rows *rows;
    int64_t next;       /* row */
    float *row;
    int at, count;      /* in row */
    bool squares;       /* (v - mean)^2 instead of v */
    float mean;
} stream;

static void take(stream *s, int count, float *into)
{
    for (int i = 0; i < count; i++) {
        while (s->at == s->count) {
            s->count = s->rows->read(s->rows->ctx, s->next++, s->row);
            s->at = 0;
        }
        const float v = s->row[s->at++], d = v - s->mean;
        into[i] = s->squares ? d * d : v;
    }
}

static float sum_block(const float *v, int count)
{
    if (count < 8) {
        float sum = 0;
        for (int i = 0; i < count; i++) sum += v[i];
        return sum;
    }
    float part[8];
    int i = 8;
    for (int k = 0; k < 8; k++) part[k] = v[k];
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++) part[k] += v[i + k];
    float sum = ((part[0] + part[1]) + (part[2] + part[3])) +
                ((part[4] + part[5]) + (part[6] + part[7]));
    for (; i < count; i++) sum += v[i];
    return sum;
}

static float pairwise(stream *s, int count) /* depth: log2 of BUFFER / BLOCK */
{
    if (count > BLOCK) {
        const int half = count / 2 - count / 2 % 8;
        const float first = pairwise(s, half);
        return first + pairwise(s, count - half);
    }
    float v[BLOCK];
    take(s, count, v);
    return sum_block(v, count);
}

/* Sum over the number of values, which numpy takes in float64. */
static float mean_of(stream *s)
{
    const int64_t total = s->rows->count;
    float sum = 0;
    for (int64_t done = 0; done < total; done += BUFFER)
        sum += pairwise(s, total - done < BUFFER ? (int)(total - done) : BUFFER);
    return (float)((double)sum / (double)total);
}

fab_status fab_nnunet_moments(const fab_nnunet_rows *rows, float *mean, float *deviation,
                              fab_error *err)
{
    FAB_AUTO_FREE float *row = fab_alloc_array((size_t)rows->width, sizeof *row);
    if (!row) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a row of the image");
    *mean = *deviation = 0.0f;
    if (rows->count == 0) return FAB_OK;
    stream s = {.rows = rows, .row = row};
    *mean = mean_of(&s);
    s = (stream){.rows = rows, .row = row, .squares = true, .mean = *mean};
    *deviation = sqrtf(mean_of(&s));
    return FAB_OK;
}
