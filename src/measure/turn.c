/* turn.c - axial rotation: the half turn about the body's axis and the shift at which the vertebra
 * covers its own mirror image best. The long lever of the processes makes it sharp to a fraction
 * of a degree even on 3 mm voxels, where the line from the canal to the body is short and blunt. */
#include "measure_internal.h"

static const double PITCH = 2.5; /* mm between the points that are mirrored */

double fab_me_rotation(me_vec up, me_vec back)
{
    me_frame patient = fab_me_frame(me_v(0, 0, 0), up, me_v(0, 1, 0));
    return ME_DEG * atan2(-me_dot(back, patient.x), me_dot(back, patient.y));
}

/* Points of the arch in the body's frame; of the whole vertebra if there is hardly an arch. */
static int gather(const me_mask *m, const me_body *b, bool all, double (*into)[3])
{
    double from = all ? -1.2 * b->half_depth : 0.55 * b->half_depth;
    double side = b->half_width + 40, to = b->half_depth + 75, tall = 2.2 * b->radius + 30;
    int n = 0, ix = (int)(side / PITCH), iz = (int)(tall / PITCH);
    for (int k = -iz; k <= iz; k++)
        for (double y = from; y < to; y += PITCH)
            for (int i = -ix; i <= ix && n < ME_MAX_ARCH; i++) {
                double x = i * PITCH, z = k * PITCH;
                if (fab_me_at(m, me_world(&b->f, x, y, z)) < 0.5) continue;
                into[n][0] = x, into[n][1] = y, into[n][2] = z;
                n++;
            }
    return n;
}

/* Share of the points whose mirror image is in the mask: the plane's normal is turned by `turn`
 * from x and lies `shift` from the origin. */
static double overlap(const me_mask *m, const me_body *b, const double (*p)[3], int n,
                      double turn, double shift)
{
    double c = cos(turn), s = sin(turn), sum = 0;
    for (int i = 0; i < n; i++) {
        double d = 2 * (p[i][0] * c + p[i][1] * s - shift);
        sum += fab_me_at(m, me_world(&b->f, p[i][0] - d * c, p[i][1] - d * s, p[i][2]));
    }
    return sum / n;
}

typedef struct best { double turn, shift, score; } best;

static void look_about(const me_mask *m, const me_body *b, const double (*p)[3], int n,
                       double dt, double ds, int reach, best *at)
{
    best from = *at;
    for (int i = -reach; i <= reach; i++)
        for (int j = -1; j <= 1; j++) {
            double turn = from.turn + i * dt, shift = from.shift + j * ds;
            double score = overlap(m, b, p, n, turn, shift);
            if (score > at->score) *at = (best){turn, shift, score};
        }
}

void fab_me_turn(const me_mask *m, me_body *b, double reach_deg)
{
    static const int few = 60;
    double (*p)[3] = b->arch;
    int n = gather(m, b, false, p);
    if (n < few) n = gather(m, b, true, p);
    if (n >= few) {
        best at = {0, 0, overlap(m, b, (const double (*)[3])p, n, 0, 0)};
        double dt = reach_deg / 4 / ME_DEG, ds = 1.5;
        look_about(m, b, (const double (*)[3])p, n, dt, ds, 4, &at);
        for (int i = 0; i < 12 && dt > 0.05 / ME_DEG; i++) {
            dt /= 2, ds = fmax(ds / 2, 0.1);
            look_about(m, b, (const double (*)[3])p, n, dt, ds, 1, &at);
        }
        me_vec back = me_sub(me_mul(b->f.y, cos(at.turn)), me_mul(b->f.x, sin(at.turn)));
        b->f = fab_me_frame(b->f.o, b->f.z, back);
        b->turn_score = at.score;
    }
}
