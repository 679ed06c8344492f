/* slide.c - the network over the whole image, keeping one patch depth of logits alive.
 *
 *      z ^   planes          The weighted logits of overlapping windows are summed in a ring of
 *        |  ........         patch depth + 1 planes. When all windows that start at one z are done,
 *        | |window 2|        the planes below the next start will not change: their winners and
 *        |.|..------|.....   every output plane that lies between them are made, and the ring moves
 *        | | window |        on. One more plane stays for the interpolation across the seam.
 *        |  --------
 *
 * The window positions are a full lattice and the Gaussian is a product, so the sum of weights at
 * a voxel is a product too: it is divided out of the weights per axis beforehand, and the ring
 * holds means at once.
 */
#include <string.h>

#include "segment_internal.h"

typedef struct patch_job {
    fab_slide *s;
    int window[3]; /* index along z, y, x */
    int at[3];     /* first voxel */
    int flips;     /* bit per axis: this evaluation saw the patch mirrored */
    float share;   /* of this evaluation in the mean over mirrored ones */
} patch_job;

static float *ring_row(const fab_slide *s, int z, int y)
{
    return s->ring + ((ptrdiff_t)(z % s->depth) * s->size[1] + y) * s->size[2] * s->pitch;
}

/* Adds weighted logits; voxels in the padding are left out. */
static void sink(void *ctx, int z, int y, int x0, int count, const float *logits, int pitch)
{
    const patch_job *job = ctx;
    fab_slide *s = job->s;
    const int *patch = s->patch;
    const int pz = job->flips & 1 ? patch[0] - 1 - z : z;
    const int py = job->flips & 2 ? patch[1] - 1 - y : y;
    const int gz = job->at[0] + pz - s->low[0], gy = job->at[1] + py - s->low[1];
    if (gz < 0 || gz >= s->size[0] || gy < 0 || gy >= s->size[1]) return;
    const float wz = s->gauss[0][job->window[0] * patch[0] + pz];
    const float wy = s->gauss[1][job->window[1] * patch[1] + py] * wz * job->share;
    const float *wx = s->gauss[2] + (ptrdiff_t)job->window[2] * patch[2];
    float *row = ring_row(s, gz, gy);
    for (int i = 0; i < count; i++) {
        const int px = job->flips & 4 ? patch[2] - 1 - x0 - i : x0 + i;
        const int gx = job->at[2] + px - s->low[2];
        if (gx < 0 || gx >= s->size[2]) continue;
        const float w = wy * wx[px];
        float *to = row + (ptrdiff_t)gx * pitch;
        const float *from = logits + (ptrdiff_t)i * pitch;
        for (int c = 0; c < pitch; c++) to[c] += w * from[c];
    }
}

static void copy_patch(const patch_job *job, float *to)
{
    const fab_slide *s = job->s;
    const int *patch = s->patch;
    for (int z = 0; z < patch[0]; z++)
        for (int y = 0; y < patch[1]; y++, to += patch[2]) {
            const int pz = job->flips & 1 ? patch[0] - 1 - z : z;
            const int py = job->flips & 2 ? patch[1] - 1 - y : y;
            const float *from = s->image + ((ptrdiff_t)(job->at[0] + pz) * s->padded[1] +
                                            job->at[1] + py) * s->padded[2] + job->at[2];
            if (!(job->flips & 4)) memcpy(to, from, (size_t)patch[2] * sizeof *to);
            else
                for (int x = 0; x < patch[2]; x++) to[x] = from[patch[2] - 1 - x];
        }
}

/* Every mirrored view of one window. */
static fab_status run_window(patch_job *job, fab_net_session *session, float *input,
                             fab_error *err)
{
    const bool *mirror = job->s->model->mirror;
    const int allowed = mirror[0] | mirror[1] << 1 | mirror[2] << 2;
    job->share = 1.0f / (float)(1 << (mirror[0] + mirror[1] + mirror[2]));
    for (job->flips = 0; job->flips < 8; job->flips++) {
        if (job->flips & ~allowed) continue;
        if (fab_progress_cancelled(job->s->progress))
            FAB_FAIL(err, FAB_ERR_CANCELLED, "cancelled");
        copy_patch(job, input);
        FAB_TRY(fab_net_session_run(session, input, sink, job, err));
    }
    return FAB_OK;
}

/* Whether a window comes near anything that is wanted. */
static bool is_wanted(const fab_slide *s, const int at[3])
{
    int low[3], high[3];
    if (!s->wanted) return true;
    for (int a = 0; a < 3; a++) {
        low[a] = at[a] - s->low[a] - s->wanted_reach[a];
        high[a] = at[a] - s->low[a] + s->patch[a] + s->wanted_reach[a];
        if (low[a] < 0) low[a] = 0;
        if (high[a] > s->size[a]) high[a] = s->size[a];
    }
    const uint8_t *v = fab_volume_data(s->wanted);
    for (int z = low[0]; z < high[0]; z++)
        for (int y = low[1]; y < high[1]; y++)
            for (int x = low[2]; x < high[2]; x++)
                if (v[((ptrdiff_t)z * s->size[1] + y) * s->size[2] + x]) return true;
    return false;
}

/* Empties ring planes [from, to). */
static void clear_planes(fab_slide *s, int from, int to)
{
    for (int z = from; z < to && z < s->size[0]; z++)
        memset(ring_row(s, z, 0), 0,
               (size_t)s->size[1] * (size_t)s->size[2] * (size_t)s->pitch * sizeof *s->ring);
}

static fab_status run_all(fab_slide *s, fab_net_session *session, float *input, int *patches,
                          fab_error *err)
{
    const int total = s->count[0] * s->count[1] * s->count[2];
    int done = 0, clean = 0, made = 0, run = 0;
    patch_job job = {.s = s};
    for (int z = 0; z < s->count[0]; z++) {
        const int end = s->starts[0][z] + s->patch[0] - s->low[0];
        clear_planes(s, clean, end);
        clean = end;
        for (int i = 0; i < s->count[1] * s->count[2]; i++, done++) {
            const int index[3] = {z, i / s->count[2], i % s->count[2]};
            for (int a = 0; a < 3; a++) {
                job.window[a] = index[a];
                job.at[a] = s->starts[a][index[a]];
            }
            FAB_TRY(fab_progress_step(s->progress, "segment", (double)done / total, err));
            if (!is_wanted(s, job.at)) continue;
            FAB_TRY(run_window(&job, session, input, err));
            run++;
        }
        const bool last = z + 1 == s->count[0];
        const int ready = last ? s->size[0] : s->starts[0][z + 1] - s->low[0];
        fab_slide_emit(s, made, ready);
        made = ready;
    }
    *patches = run << (s->model->mirror[0] + s->model->mirror[1] + s->model->mirror[2]);
    return fab_progress_step(s->progress, "segment", 1.0, err);
}

fab_status fab_slide_run(fab_slide *s, int *patches, fab_error *err)
{
    const int *patch = s->patch;
    FAB_AUTO(fab_net_session_free) fab_net_session *session = NULL;
    FAB_AUTO_FREE float *input = fab_alloc_array(
        (size_t)patch[0] * (size_t)patch[1] * (size_t)patch[2], sizeof *input);
    if (!input) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a patch");
    FAB_TRY(fab_net_session_create(s->model->net, patch, &session, err));
    return run_all(s, session, input, patches, err);
}
