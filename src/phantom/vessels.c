/* vessels.c - heart and great vessels: tubes through knots (x, y, z, radius in canonical mm). */
#include "phantom_internal.h"

typedef struct vessel { const char *label; ph_tissue tissue; int count, pieces; double k[9][4]; }
    vessel;

static const vessel vessels[] = {
    {"aorta", PH_ARTERY, 9, 3, {{-4, -58, 222, 15}, {-16, -64, 248, 15.5}, {-20, -52, 280, 15},
     {-4, -28, 303, 13.5}, {18, -4, 296, 12.5}, {26, 12, 262, 12}, {23, 14, 200, 11.5},
     {16, 4, 150, 11}, {8, -20, 100, 10.5}}},
    {"aorta", PH_ARTERY, 4, 3, {{8, -20, 100, 10.5}, {4, -28, 50, 9.5}, {3, -31, 0, 9},
     {2, -30, -36, 8.5}}},
    {"iliac_artery_left", PH_ARTERY, 6, 2, {{2, -30, -36, 6.5}, {18, -24, -66, 5.5},
     {36, -14, -102, 5}, {52, -28, -150, 4.8}, {66, -58, -200, 4.8}, {74, -66, -230, 4.5}}},
    {"iliac_artery_right", PH_ARTERY, 6, 2, {{2, -30, -36, 6.5}, {-18, -26, -66, 5.5},
     {-36, -14, -102, 5}, {-52, -28, -150, 4.8}, {-66, -58, -200, 4.8}, {-74, -66, -230, 4.5}}},
    {"inferior_vena_cava", PH_VEIN, 7, 3, {{-14, -22, -46, 10}, {-20, -27, 0, 10.5},
     {-22, -30, 45, 11}, {-25, -31, 90, 12}, {-28, -30, 130, 12.5}, {-27, -36, 160, 12.5},
     {-26, -42, 182, 13}}},
    {"iliac_vena_left", PH_VEIN, 6, 2, {{-14, -22, -46, 8}, {12, -8, -78, 7.5},
     {32, -2, -108, 7}, {50, -16, -150, 6.5}, {60, -46, -200, 6.5}, {64, -56, -230, 6}}},
    {"iliac_vena_right", PH_VEIN, 6, 2, {{-14, -22, -46, 8}, {-22, -10, -78, 7.5},
     {-34, -2, -108, 7}, {-50, -16, -150, 6.5}, {-60, -46, -200, 6.5}, {-64, -56, -230, 6}}},
    {"superior_vena_cava", PH_VEIN, 3, 3, {{-36, -44, 218, 11}, {-36, -44, 255, 10},
     {-34, -46, 292, 9.5}}},
    {"brachiocephalic_vein_right", PH_VEIN, 3, 2, {{-34, -46, 292, 8}, {-40, -48, 312, 7.5},
     {-48, -50, 330, 7}}},
    {"brachiocephalic_vein_left", PH_VEIN, 4, 2, {{-34, -46, 292, 7}, {-10, -68, 304, 7},
     {20, -62, 318, 7}, {42, -50, 330, 6.5}}},
    {"brachiocephalic_trunk", PH_ARTERY, 3, 2, {{-12, -42, 298, 7}, {-22, -44, 314, 6.5},
     {-28, -42, 330, 6}}},
    {"common_carotid_artery_right", PH_ARTERY, 3, 2, {{-28, -42, 330, 4}, {-24, -44, 350, 3.8},
     {-24, -44, 400, 3.6}}},
    {"subclavian_artery_right", PH_ARTERY, 4, 2, {{-28, -42, 330, 5}, {-48, -34, 340, 4.8},
     {-72, -38, 336, 4.5}, {-105, -36, 330, 4}}},
    {"common_carotid_artery_left", PH_ARTERY, 4, 2, {{0, -32, 302, 4.5}, {10, -38, 325, 4},
     {22, -44, 350, 3.8}, {24, -44, 400, 3.6}}},
    {"subclavian_artery_left", PH_ARTERY, 5, 2, {{10, -14, 302, 5.5}, {22, -18, 325, 5},
     {46, -28, 342, 4.8}, {74, -36, 336, 4.5}, {105, -36, 330, 4}}},
    {"pulmonary_artery", PH_VEIN, 4, 3, {{16, -70, 222, 14}, {16, -60, 240, 14},
     {12, -40, 252, 12.5}, {34, -22, 252, 10}}},
    {"pulmonary_artery", PH_VEIN, 4, 2, {{12, -44, 250, 12}, {-14, -36, 246, 11},
     {-36, -26, 242, 9}, {-56, -20, 228, 5.5}}},
    {"pulmonary_artery", PH_VEIN, 3, 2, {{34, -22, 252, 9}, {46, -8, 236, 7}, {56, 6, 212, 4}}},
    {"pulmonary_vein", PH_VEIN, 4, 2, {{12, -22, 212, 7}, {32, -18, 216, 6.5}, {52, -14, 222, 5},
     {68, -8, 226, 3}}},
    {"pulmonary_vein", PH_VEIN, 4, 2, {{-18, -22, 212, 7}, {-38, -20, 216, 6.5},
     {-56, -16, 222, 5}, {-72, -10, 226, 3}}},
    {"portal_vein_and_splenic_vein", PH_PORTAL, 4, 2, {{-8, -42, 62, 6.5}, {-24, -46, 80, 6.5},
     {-40, -46, 92, 6.5}, {-62, -44, 98, 5}}},
    {"portal_vein_and_splenic_vein", PH_PORTAL, 5, 2, {{-8, -42, 62, 4.5}, {12, -46, 72, 4.5},
     {38, -32, 82, 4.5}, {62, -12, 92, 4}, {74, -4, 98, 3.5}}},
    /* Vessels without a name in the label table: they count as what they run in. */
    {"liver", PH_VEIN, 4, 2, {{-27, -38, 164, 6}, {-54, -24, 156, 4.5}, {-84, -12, 140, 3.4},
     {-112, -4, 112, 2}}},
    {"liver", PH_VEIN, 4, 2, {{-27, -38, 166, 5.5}, {-44, -54, 150, 4.2}, {-62, -68, 128, 3.2},
     {-74, -82, 104, 2}}},
    {"liver", PH_VEIN, 4, 2, {{-27, -40, 164, 5}, {-14, -56, 150, 4}, {2, -72, 138, 3},
     {18, -82, 128, 2}}},
    {"liver", PH_PORTAL, 5, 2, {{-62, -44, 98, 5}, {-74, -42, 106, 5}, {-88, -50, 108, 4},
     {-102, -62, 102, 3}, {-114, -66, 90, 1.8}}},
    {"liver", PH_PORTAL, 5, 2, {{-74, -42, 106, 4.5}, {-90, -24, 104, 4}, {-100, -4, 92, 3.2},
     {-108, 12, 76, 2.4}, {-114, 16, 62, 1.6}}},
    {"liver", PH_PORTAL, 4, 2, {{-88, -50, 108, 3.2}, {-98, -44, 128, 2.8}, {-106, -36, 142, 2.2},
     {-110, -30, 152, 1.5}}},
    {"liver", PH_PORTAL, 5, 2, {{-62, -46, 98, 4.5}, {-48, -60, 110, 4}, {-28, -74, 116, 3.5},
     {-4, -80, 122, 2.8}, {16, -84, 122, 1.8}}},
    {"torso_fat", PH_ARTERY, 3, 2, {{6, -34, 78, 4}, {6, -46, 82, 3.5}, {-14, -50, 88, 2.6}}},
    {"torso_fat", PH_ARTERY, 5, 2, {{5, -34, 62, 4}, {4, -48, 46, 3.6}, {3, -56, 10, 3.2},
     {-4, -58, -30, 2.6}, {-22, -56, -70, 1.8}}},
    {"torso_fat", PH_PORTAL, 4, 2, {{-8, -42, 62, 5.5}, {-12, -54, 36, 5}, {-13, -60, 4, 4.4},
     {-24, -60, -60, 2.6}}},
    {"torso_fat", PH_ARTERY, 4, 2, {{4, -28, 58, 3.5}, {20, -14, 60, 3}, {36, 4, 62, 2.8},
     {52, 12, 62, 2}}},
    {"torso_fat", PH_ARTERY, 4, 2, {{2, -26, 54, 3.5}, {-18, -13, 52, 3}, {-38, 6, 50, 2.8},
     {-53, 16, 50, 2}}},
    {"torso_fat", PH_VEIN, 5, 2, {{-20, -32, 54, 5}, {4, -43, 55, 4}, {22, -32, 57, 4.5},
     {38, -4, 58, 4.2}, {54, 10, 60, 3}}},
    {"torso_fat", PH_VEIN, 4, 2, {{-22, -28, 48, 5}, {-34, -12, 47, 4.5}, {-42, 4, 47, 4.2},
     {-54, 14, 48, 3}}},
    {"torso_fat", PH_ARTERY, 3, 2, {{3, -38, -10, 2.2}, {12, -44, -40, 1.8}, {30, -40, -80, 1.4}}},
    {"skeletal_muscle", PH_ARTERY, 4, 2, {{74, -66, -230, 4.5}, {72, -58, -290, 4},
     {66, -44, -370, 3.6}, {60, -24, -520, 3.2}}},
    {"skeletal_muscle", PH_ARTERY, 4, 2, {{-74, -66, -230, 4.5}, {-72, -58, -290, 4},
     {-66, -44, -370, 3.6}, {-60, -24, -520, 3.2}}},
    {"skeletal_muscle", PH_VEIN, 4, 2, {{64, -56, -230, 6}, {63, -50, -290, 5.5},
     {60, -34, -370, 5}, {58, -14, -520, 4.5}}},
    {"skeletal_muscle", PH_VEIN, 4, 2, {{-64, -56, -230, 6}, {-63, -50, -290, 5.5},
     {-60, -34, -370, 5}, {-58, -14, -520, 4.5}}},
};

/* The mesentery's branches: a fan from the root to the loops. */
static void add_mesentery(ph_scene *s)
{
    for (int i = 0; i < 14; i++) {
        ph_tissue blood = i & 1 ? PH_ARTERY : PH_PORTAL;
        double side = i % 4 < 2 ? 1 : -1, z = 14 - 11 * i;
        double x = side * fab_rng_range(&s->rng, 38, 62), y = -fab_rng_range(&s->rng, 48, 84);
        fab_ph_shape(s, "torso_fat", PH_CANONICAL, blood);
        fab_ph_tube(s, (const double[][4]){{i & 1 ? 2 : -14, -57, z + 14, 1.8},
                                           {x * 0.5, (y - 57) / 2 - 5, z, 1.4}, {x, y, z - 16, 1}},
                    3, 2);
        fab_ph_close(s);
    }
}

void fab_ph_add_vessels(ph_scene *s)
{
    for (size_t i = 0; i < sizeof vessels / sizeof vessels[0]; i++) {
        const vessel *v = &vessels[i];
        fab_ph_shape(s, v->label, PH_CANONICAL, v->tissue);
        fab_ph_tube(s, v->k, v->count, v->pieces);
        fab_ph_close(s);
    }
    add_mesentery(s);
}

static void chamber(ph_scene *s, ph_tissue tissue, ph_vec c, ph_vec r, ph_vec turn)
{
    fab_ph_shape(s, "heart", PH_CANONICAL, tissue);
    fab_ph_ball_turned(s, c, r, turn);
    fab_ph_close(s);
}

/* The long axis points to the left, forward and down: apex near the left fifth rib. */
static void add_heart(ph_scene *s)
{
    const ph_vec turn = V(0, 38, -38);
    chamber(s, PH_ARTERY, V(26, -58, 186), V(38, 19, 20), turn);            /* left ventricle */
    chamber(s, PH_VEIN, V(8, -92, 180), V(44, 15, 24), turn);               /* right ventricle */
    chamber(s, PH_VEIN, V(-32, -60, 192), V(20, 22, 26), V(0, 0, 0));       /* right atrium */
    chamber(s, PH_ARTERY, V(-2, -28, 206), V(29, 16, 20), V(0, 0, 0));      /* left atrium */
    fab_ph_shape(s, "atrial_appendage_left", PH_CANONICAL, PH_ARTERY);
    fab_ph_cone(s, V(30, -42, 222), V(40, -62, 228), 8, 5);
    fab_ph_close(s);
    ph_shape *shape = fab_ph_shape(s, "heart", PH_CANONICAL, PH_MYOCARDIUM);
    fab_ph_ball_turned(s, V(24, -66, 184), V(62, 43, 40), turn);
    fab_ph_ball_turned(s, V(-2, -80, 186), V(55, 35, 39), turn);
    fab_ph_ball(s, V(-30, -58, 194), V(27, 29, 34));
    fab_ph_ball(s, V(-2, -30, 206), V(33, 19, 24));
    fab_ph_ball(s, V(4, -66, 216), V(26, 20, 18));
    shape->wobble_mm = 1, shape->wobble_scale_mm = 20;
    fab_ph_blend(s, 12);
    fab_ph_close(s);
}

static void add_airways(ph_scene *s)
{
    static const double tubes[3][5][4] = {
        {{0, -36, 420, 9}, {-2, -30, 350, 9}, {-2, -22, 310, 9}, {-3, -14, 275, 9},
         {-3, -10, 258, 9}},
        {{-3, -10, 258, 7.5}, {-20, -8, 246, 7}, {-36, -6, 236, 6}, {-48, -2, 222, 4.5},
         {-56, 4, 204, 3}},
        {{-3, -10, 258, 7}, {16, -8, 246, 6.5}, {34, -4, 236, 6}, {46, 2, 222, 4.5},
         {54, 8, 204, 3}},
    };
    ph_shape *shape = fab_ph_shape(s, "trachea", PH_CANONICAL, PH_GAS);
    shape->wall = PH_CARTILAGE, shape->wall_mm = 0.8;
    for (int i = 0; i < 3; i++) fab_ph_tube(s, tubes[i], 5, 2);
    fab_ph_close(s);
    shape = fab_ph_shape(s, "esophagus", PH_CANONICAL, PH_GUT);
    fab_ph_tube(s, (const double[][4]){{2, -18, 420, 7}, {4, -14, 350, 7}, {6, -4, 300, 7},
                                       {4, 0, 255, 7}, {4, -6, 210, 8}, {12, -22, 165, 8.5},
                                       {30, -34, 138, 9}}, 7, 2);
    fab_ph_close(s);
    for (int k = -1; k <= 1; k += 2) {
        s->mirror = k;
        fab_ph_shape(s, "thyroid_gland", PH_CANONICAL, PH_THYROID);
        fab_ph_ball(s, V(18, -46, 372), V(9, 11, 22));
        fab_ph_close(s);
    }
    s->mirror = 1;
}

void fab_ph_add_chest(ph_scene *s)
{
    add_airways(s);
    add_heart(s);
}
