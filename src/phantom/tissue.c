/* tissue.c - what each tissue looks like: HU per contrast phase (typical values of abdominal CT at
 * 120 kVp), spin-echo brightness for MR, texture, and bone that thins with age (L1 cancellous HU
 * falls about 2.3 a year from 226 at 25: Jang et al. 2019, Pickhardt et al. 2013). */
#include "phantom_internal.h"

typedef struct row { float ct[3], t1, t2, texture; } row;

static const row rows[PH_TISSUES] = {
    [PH_AIR] = {{-1000, -1000, -1000}, 0, 0, 0},
    [PH_LUNG] = {{-845, -838, -838}, 35, 45, 42},
    [PH_FAT] = {{-106, -105, -104}, 850, 620, 9},
    [PH_MUSCLE] = {{54, 58, 64}, 320, 170, 7},
    [PH_SKIN] = {{25, 28, 32}, 330, 220, 8},
    [PH_WATER] = {{0, 0, 0}, 130, 980, 0},
    [PH_CSF] = {{8, 9, 10}, 130, 980, 1},
    [PH_CORD] = {{36, 38, 40}, 420, 360, 2},
    [PH_NUCLEUS] = {{78, 80, 84}, 300, 640, 5},
    [PH_ANNULUS] = {{95, 97, 100}, 220, 120, 6},
    [PH_LIGAMENT] = {{72, 75, 80}, 110, 60, 4},
    [PH_CARTILAGE] = {{112, 113, 116}, 330, 260, 14},
    [PH_CORTICAL] = {{1000, 1000, 1000}, 40, 30, 60},
    [PH_CANCELLOUS] = {{160, 165, 172}, 560, 390, 42},
    [PH_MARROW] = {{-45, -42, -38}, 800, 560, 10},
    [PH_ARTERY] = {{42, 325, 152}, 70, 60, 2},
    [PH_VEIN] = {{41, 88, 146}, 110, 90, 3},
    [PH_PORTAL] = {{41, 62, 168}, 120, 90, 3},
    [PH_MYOCARDIUM] = {{45, 98, 106}, 330, 230, 5},
    [PH_LIVER] = {{58, 68, 110}, 430, 220, 5},
    [PH_SPLEEN] = {{48, 112, 122}, 310, 390, 5},
    [PH_CORTEX] = {{33, 155, 172}, 360, 420, 5},
    [PH_MEDULLA] = {{32, 62, 150}, 280, 520, 6},
    [PH_PANCREAS] = {{40, 100, 90}, 460, 320, 12},
    [PH_ADRENAL] = {{28, 70, 74}, 380, 300, 4},
    [PH_GUT] = {{42, 76, 86}, 310, 330, 6},
    [PH_CHYME] = {{22, 22, 24}, 220, 560, 10},
    [PH_STOOL] = {{28, 28, 28}, 280, 210, 45},
    [PH_GAS] = {{-970, -970, -970}, 4, 4, 5},
    [PH_BILE] = {{9, 9, 9}, 170, 900, 1},
    [PH_URINE] = {{5, 5, 8}, 140, 1000, 1},
    [PH_PROSTATE] = {{40, 52, 70}, 310, 430, 7},
    [PH_UTERUS] = {{46, 82, 112}, 320, 460, 8},
    [PH_THYROID] = {{105, 165, 180}, 420, 420, 5},
    [PH_METAL] = {{3400, 3400, 3400}, 0, 0, 0},
    [PH_COUCH] = {{180, 180, 180}, 0, 0, 10},
    [PH_FOAM] = {{-930, -930, -930}, 0, 0, 8},
};

void fab_ph_tissues(ph_scene *s)
{
    const fab_phantom_options *o = s->o;
    bool ct = o->modality == FAB_PHANTOM_CT;
    for (int i = 0; i < PH_TISSUES; i++) {
        const row *r = &rows[i];
        double mr = o->modality == FAB_PHANTOM_MR_T1 ? (double)r->t1 : (double)r->t2;
        s->hu[i] = ct ? (double)r->ct[o->contrast_phase] : mr;
        s->texture[i] = ct ? (double)r->texture : 0.06 * mr;
    }
    double years = s->age - 25;
    if (ct) {
        s->hu[PH_CANCELLOUS] += ph_clamp(226 - 2.3 * years, 60, 260) - 160;
        s->hu[PH_CORTICAL] -= 3.0 * ph_clamp(s->age - 40, 0, 50);
    } else {
        s->hu[PH_CANCELLOUS] *= 1 + 0.004 * years; /* marrow turns to fat */
        if (o->modality == FAB_PHANTOM_MR_T2) /* discs dry out */
            s->hu[PH_NUCLEUS] *= ph_clamp(1.2 - 0.016 * years, 0.26, 1.3);
    }
}

/* 0..1: how much of a lung vessel is at a canonical point. Lines where two noises over the
 * direction from the hilum vanish run outwards; finer noise farther out makes them branch. */
static double lung_vessel(const ph_scene *s, ph_vec q)
{
    ph_vec from = ph_sub(q, V(q.x > 0 ? 42 : -42, -8, 226));
    double r = ph_len(from) + 1e-6, most = 0;
    static const struct { double from, to, often, mm; } order[4] = {
        {0, 66, 2.6, 2.1}, {30, 96, 4.2, 1.3}, {60, 130, 6.4, 0.9}, {85, 190, 9, 0.6}};
    for (uint32_t i = 0; i < 4; i++) {
        if (r < order[i].from || r > order[i].to) continue;
        double sway = 0.02 * r;
        ph_vec at = ph_mul(from, order[i].often / r);
        at = V(at.x + sway, at.y - sway, at.z + 0.5 * sway);
        double a = fab_ph_noise(s->hash + 41 + i, at), b = fab_ph_noise(s->hash + 51 + i, at);
        double mm = sqrt(a * a + b * b) * r / (order[i].often * 1.1);
        double end = ph_clamp((order[i].to - r) / 25, 0.35, 1);
        most = ph_max(most, ph_clamp(order[i].mm * end - 0.9 * mm + 0.35, 0, 1));
    }
    return most;
}

static double core_value(const ph_scene *s, const ph_shape *shape, ph_vec q, ph_vec w)
{
    ph_tissue t = shape->core;
    uint32_t seed = s->hash ^ (uint32_t)shape->label;
    if (shape->gas_y > -1e9 && q.y + 3 * fab_ph_noise(seed, ph_mul(w, 0.07)) < shape->gas_y)
        return s->hu[PH_GAS];
    if (shape->stool > 0) {
        double n = fab_ph_noise(seed + 1, ph_mul(w, 0.16));
        n += 0.5 * fab_ph_noise(seed + 2, ph_mul(w, 0.4));
        if (n > 0.85 - 0.75 * shape->stool) return s->hu[PH_GAS];
    }
    double texture = s->texture[t];
    if (texture <= 0) return s->hu[t];
    double n = fab_ph_noise(seed + 3, ph_mul(w, 0.45));
    if (t == PH_MUSCLE) { /* fat between the bundles: feathers along the fibres, more with age */
        double more = 0.0075 * ph_clamp(s->age - 25, 0, 70) - 0.15;
        ph_vec at = V(0.8 * w.x + 0.6 * w.y, 0.8 * w.y - 0.6 * w.x, w.z);
        double where = fab_ph_noise(s->hash + 3, V(w.x * 0.05, w.y * 0.05, w.z * 0.015)) + more;
        if (where <= 0) return s->hu[t] + n * texture;
        double vein = 1 - fabs(fab_ph_noise(s->hash, V(at.x * 0.13, at.y * 0.22, w.z * 0.03)));
        double fine = 0.5 + 0.5 * fab_ph_noise(s->hash + 5, V(at.x * 0.4, at.y * 0.5, w.z * 0.06));
        double fat = ph_clamp((vein - 0.6) * 2.5, 0, 1) * fine * ph_clamp(where * 1.6, 0, 1);
        return ph_mix(s->hu[t] + n * texture, s->hu[PH_FAT], ph_min(fat * 1.3, 0.85));
    }
    if (t == PH_LUNG)
        return ph_mix(s->hu[t] + n * texture, s->hu[PH_VEIN], 0.95 * lung_vessel(s, q));
    if (t == PH_FAT) {
        double strand = fabs(fab_ph_noise(s->hash + 9, ph_mul(w, 0.11)));
        return s->hu[t] + n * texture + 45 * ph_clamp(1 - strand * 22, 0, 1) * (s->hu[PH_FAT] < 0);
    }
    return s->hu[t] + n * texture;
}

double fab_ph_value(const ph_scene *s, const ph_shape *shape, double d, ph_vec q, ph_vec w,
                    double pixel)
{
    if (shape->wall_mm <= 0) return core_value(s, shape, q, w);
    if (shape->soft) {
        double t = ph_clamp(-d / shape->wall_mm, 0, 1), n = t * t * (3 - 2 * t);
        return ph_mix(s->hu[shape->wall], shape->gain * core_value(s, shape, q, w), n);
    }
    double inner = ph_clamp(0.5 - (d + shape->wall_mm) / pixel, 0, 1);
    double wall = s->hu[shape->wall];
    return inner <= 0 ? wall : ph_mix(wall, core_value(s, shape, q, w), inner);
}
