/* test_sides.c - post-processing on label maps made here: left and right along curved and turned
 * spines, components, specks. White box: it uses the module's own header. */
#include "harness.h"
#include "segment_internal.h"

enum { BONE = 1, CORD, MUSCLE, HIP, CLASSES }; /* muscle and hip are split */

#define NZ 48
#define NY 40
#define NX 64
#define VOXELS (NZ * NY * NX)

static fab_error err;

typedef struct patient {
    fab_model model;
    fab_slide slide;
    uint16_t winner[VOXELS];
    float probability[VOXELS];
    uint8_t labels[VOXELS];
    fab_target target;
    fab_decision decision;
} patient;

static void add_label(fab_model *m, int value, const char *name, bool split)
{
    fab_model_label *l = &m->labels[m->label_count++];
    *l = (fab_model_label){.value = value, .split = split};
    snprintf(l->name, sizeof l->name, "%s", name);
    snprintf(l->left, sizeof l->left, "%s_left", name);
    snprintf(l->right, sizeof l->right, "%s_right", name);
}

static patient *new_patient(void)
{
    patient *p = calloc(1, sizeof *p);
    CHECK(p);
    add_label(&p->model, BONE, "vertebrae", false);
    add_label(&p->model, CORD, "spinal_cord", false);
    add_label(&p->model, MUSCLE, "autochthon", true);
    add_label(&p->model, HIP, "hip", true);
    for (int a = 0; a < 3; a++) p->model.spacing_mm[a] = 4;
    for (int i = 0; i < VOXELS; i++) p->probability[i] = 0.5f;
    p->slide = (fab_slide){.model = &p->model, .size = {NZ, NY, NX}, .winner = p->winner,
                           .probability = p->probability};
    return p;
}

static uint16_t *at(patient *p, int z, int y, int x)
{
    return &p->winner[(z * NY + y) * NX + x];
}

static void decide(patient *p)
{
    static const int size[3] = {NZ, NY, NX};
    CHECK_OK(fab_decide(&p->model, &p->slide, &p->decision, &err));
    for (int i = 0; i < VOXELS; i++) p->labels[i] = (uint8_t)p->winner[i];
    p->target = (fab_target){.size = {NZ, NY, NX}, .step = {NY * NX, NX, 1}, .labels = p->labels};
    for (int a = 0; a < 3; a++)
        CHECK_OK(fab_axis_make(size[a], 4, size[a], 4, false, &p->target.axis[a], &err));
    fab_decision_apply(&p->decision, &p->target);
}

static void drop(patient *p)
{
    for (int a = 0; a < 3; a++) fab_axis_free(&p->target.axis[a]);
    fab_decision_free(&p->decision);
    free(p);
}

/* Values: 1 vertebrae, 2 cord, 3/4 muscle left/right, 5/6 hip left/right. */
enum { MUSCLE_LEFT = 3, MUSCLE_RIGHT, HIP_LEFT, HIP_RIGHT };

/* A spine along x = curve(z), turned about the cord by `turn`, with back muscles that meet at the
 * spinous processes. Returns how many muscle voxels there are. */
static double curve(int z)
{
    return 32 + 11 * sin(z * 0.13);
}

static int side_truth(int z, int y, int x, double turn)
{
    const double dx = x - curve(z), dy = y - 20;
    return dx * cos(turn) + dy * sin(turn) > 0 ? MUSCLE_LEFT : MUSCLE_RIGHT;
}

static void build_spine(patient *p, double turn, int from, int to)
{
    for (int z = from; z < to; z++)
        for (int y = 0; y < NY; y++)
            for (int x = 0; x < NX; x++) {
                const double dx = x - curve(z), dy = y - 20;
                const double u = dx * cos(turn) + dy * sin(turn);  /* to the left */
                const double v = -dx * sin(turn) + dy * cos(turn); /* to the back */
                if (u * u + v * v <= 2.6) *at(p, z, y, x) = CORD;
                else if (u * u / 36 + (v + 6) * (v + 6) / 20 <= 1) *at(p, z, y, x) = BONE;
                else if (fabs(u) < 12 && v > 2 && v < 10) *at(p, z, y, x) = MUSCLE;
            }
}

static double wrong_share(const patient *p, double turn, int *muscle)
{
    int wrong = 0;
    *muscle = 0;
    for (int i = 0; i < VOXELS; i++) {
        if (p->winner[i] != MUSCLE) continue;
        (*muscle)++;
        wrong += p->labels[i] != side_truth(i / (NY * NX), i / NX % NY, i % NX, turn);
    }
    return (double)wrong / *muscle;
}

static void touching_muscles_split_along_a_scoliotic_spine(void)
{
    patient *p = new_patient();
    int muscle = 0, plane_wrong = 0;
    build_spine(p, 0, 0, NZ);
    decide(p);
    CHECK(p->decision.midline.from_spine);
    const double wrong = wrong_share(p, 0, &muscle);
    for (int i = 0; i < VOXELS; i++)
        if (p->winner[i] == MUSCLE)
            plane_wrong += (i % NX > NX / 2 ? MUSCLE_LEFT : MUSCLE_RIGHT) !=
                           side_truth(i / (NY * NX), i / NX % NY, i % NX, 0);
    printf("  curved spine: %.2f %% of %d voxels on the wrong side (a plane: %.1f %%)\n",
           100 * wrong, muscle, 100.0 * plane_wrong / muscle);
    CHECK(wrong <= 0.04);
    CHECK((double)plane_wrong / muscle > 0.15);
    drop(p);
}

static void turned_vertebrae_turn_the_surface(void)
{
    const double turn = 0.4; /* 23 degrees */
    patient *p = new_patient();
    int muscle = 0;
    build_spine(p, turn, 0, NZ);
    decide(p);
    const double wrong = wrong_share(p, turn, &muscle);
    printf("  turned by 23 degrees: %.2f %% of %d voxels on the wrong side\n", 100 * wrong, muscle);
    CHECK(wrong <= 0.05);
    drop(p);
}

static void fill_box(patient *p, int value, const int low[3], const int high[3])
{
    for (int z = low[0]; z <= high[0]; z++)
        for (int y = low[1]; y <= high[1]; y++)
            for (int x = low[2]; x <= high[2]; x++) *at(p, z, y, x) = (uint16_t)value;
}

static int count_of(const patient *p, int value)
{
    int n = 0;
    for (int i = 0; i < VOXELS; i++) n += p->labels[i] == value;
    return n;
}

/* Below the spine the surface goes on; a bone that leans over it a little stays one bone. */
static void separate_components_stay_whole(void)
{
    patient *p = new_patient();
    build_spine(p, 0, 24, NZ);
    const int middle = (int)curve(24);
    fill_box(p, HIP, (int[]){2, 10, middle + 1}, (int[]){12, 20, middle + 15});
    fill_box(p, HIP, (int[]){3, 12, middle - 16}, (int[]){12, 20, middle - 3});
    fill_box(p, HIP, (int[]){3, 12, middle - 2}, (int[]){3, 12, middle - 1});
    decide(p);
    CHECK(count_of(p, HIP_LEFT) == 11 * 11 * 15);
    CHECK(count_of(p, HIP_RIGHT) == 10 * 9 * 14 + 2);
    drop(p);
}

/* Two hips, apart or grown together into one component that is divided; a stray piece across the
 * middle or on one side goes either way. */
static void pieces_count_on_the_sides_they_lie_on(void)
{
    for (int variant = 0; variant < 4; variant++) {
        patient *p = new_patient();
        const int grown = variant & 1, across = variant >> 1;
        p->model.labels[3].keep_components = 1; /* hip */
        fill_box(p, HIP, (int[]){2, 10, 36}, (int[]){12, 20, 50});
        fill_box(p, HIP, (int[]){2, 10, 13}, (int[]){12, 20, 27});
        if (grown) fill_box(p, HIP, (int[]){5, 14, 28}, (int[]){6, 15, 35});
        fill_box(p, HIP, (int[]){20, 4, across ? 28 : 40}, (int[]){24, 6, across ? 35 : 47});
        decide(p);
        const int whole = 11 * 11 * 15 + (grown ? 2 * 2 * 4 : 0);
        CHECK(count_of(p, HIP_LEFT) == whole && count_of(p, HIP_RIGHT) == whole);
        drop(p);
    }
}

static void without_a_spine_the_body_is_halved(void)
{
    patient *p = new_patient();
    fill_box(p, MUSCLE, (int[]){0, 5, 10}, (int[]){NZ - 1, 20, 49});
    decide(p);
    CHECK(!p->decision.midline.from_spine);
    CHECK(count_of(p, MUSCLE_LEFT) == count_of(p, MUSCLE_RIGHT));
    CHECK(p->labels[(10 * NY + 10) * NX + 40] == MUSCLE_LEFT);
    drop(p);
}

static void specks_and_lesser_components_go(void)
{
    patient *p = new_patient();
    p->model.labels[1].keep_components = 1;      /* cord */
    p->model.labels[0].min_component_ml = 0.256; /* 4 voxels of 0.064 ml */
    fill_box(p, CORD, (int[]){0, 20, 30}, (int[]){30, 20, 31});
    fill_box(p, CORD, (int[]){34, 20, 30}, (int[]){44, 20, 31});
    fill_box(p, BONE, (int[]){5, 5, 5}, (int[]){5, 5, 7});    /* 3 voxels: a speck */
    fill_box(p, BONE, (int[]){5, 15, 5}, (int[]){5, 15, 8});  /* 4: large enough */
    decide(p);
    CHECK(count_of(p, 2) == 31 * 2);
    CHECK(count_of(p, 1) == 4);
    CHECK(p->decision.fragments[1] == 1);
    drop(p);
}

static void paint_block(patient *p, int y0, float *image, int dense_rows)
{
    for (int z = 4; z < 8; z++)
        for (int y = y0; y < y0 + 10; y++)
            for (int x = 20; x < 30; x++) {
                *at(p, z, y, x) = BONE;
                /* the padded image is one voxel larger on every side */
                image[((z + 1) * (NY + 2) + y + 1) * (NX + 2) + x + 1] =
                    y - y0 < dense_rows ? 2 : 0;
            }
}

/* Of two blocks one holds 10 % dense voxels, the other 20 %: a need of 15 % drops the first. */
static void bone_without_dense_voxels_goes(void)
{
    patient *p = new_patient();
    float *image = calloc((size_t)(NZ + 2) * (NY + 2) * (NX + 2), sizeof *image);
    CHECK(image);
    paint_block(p, 3, image, 1);
    paint_block(p, 25, image, 2);
    p->model.mean = 100;
    p->model.std = 50; /* dense voxels: 200 HU, others 100 HU */
    p->model.labels[0].needs_hu = 150;
    p->model.labels[0].needs_share = 0.15;
    p->slide.image = image;
    for (int a = 0; a < 3; a++) {
        p->slide.low[a] = 1;
        p->slide.padded[a] = p->slide.size[a] + 2;
    }
    decide(p);
    CHECK(count_of(p, 1) == 4 * 10 * 10);
    CHECK(p->labels[(4 * NY + 26) * NX + 25] == 1 && p->labels[(4 * NY + 4) * NX + 25] == 0);
    free(image);
    drop(p);
}

/* The same components as the volume module finds label by label. */
static void regions_agree_with_the_volume_module(void)
{
    patient *p = new_patient();
    fab_rng rng;
    fab_grid g = {.size = {NX, NY, NZ}};
    fab_volume *v = NULL;
    int32_t *component = malloc(VOXELS * sizeof *component), count = 0, total = 0;
    fab_region *regions = NULL;
    fab_rng_seed(&rng, 9, 9);
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 1;
    CHECK(component);
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    for (int i = 0; i < VOXELS; i++) {
        p->winner[i] = (uint16_t)(fab_rng_u32(&rng) % 12 < 3 ? 1 + fab_rng_u32(&rng) % 3 : 0);
        ((uint8_t *)fab_volume_data_mut(v))[i] = (uint8_t)p->winner[i];
    }
    CHECK_OK(fab_regions_find(p->winner, p->slide.size, component, &regions, &count, &err));
    for (int value = 1; value <= 3; value++) {
        fab_volume *c = NULL;
        int64_t *sizes = NULL, voxels = 0;
        int32_t n = 0, mine = 0;
        CHECK_OK(fab_labels_components(v, value, false, &c, &n, &sizes, &err));
        for (int32_t i = 0; i < count; i++) {
            mine += regions[i].value == value;
            if (regions[i].value == value && regions[i].voxels > voxels)
                voxels = regions[i].voxels;
        }
        CHECK(mine == n && voxels == sizes[0]);
        total += n;
        fab_free(sizes);
        fab_volume_unref(c);
    }
    CHECK(total == count && count > 100);
    fab_free(regions);
    free(component);
    fab_volume_unref(v);
    free(p);
}

static void windows_are_nnunets(void)
{
    int starts[8];
    /* 100 voxels, patch 64, step 0.5: ceil(36 / 32) + 1 = 3 windows, every 18 */
    CHECK(fab_window_starts(100, 64, 0.5, starts) == 3);
    CHECK(starts[0] == 0 && starts[1] == 18 && starts[2] == 36);
    /* halves go to the even neighbour: 0, 10.5, 21 */
    CHECK(fab_window_starts(53, 32, 0.5, starts) == 3);
    CHECK(starts[1] == 10 && starts[2] == 21);
    CHECK(fab_window_starts(64, 64, 0.5, starts) == 1 && starts[0] == 0);
    CHECK(fab_window_starts(40, 64, 0.5, starts) == 1 && starts[0] == 0);
}

static void windows_fit_the_image(void)
{
    CHECK(fab_window_fit(160, 48, 48, 16, 0.7) == 48);    /* one size: no choice */
    CHECK(fab_window_fit(160, 48, 64, 16, 0.75) == 64);   /* 3 x 64 voxels instead of 5 x 48 */
    CHECK(fab_window_fit(139, 64, 144, 16, 0.75) == 144); /* one window instead of 3 x 64 */
    CHECK(fab_window_fit(40, 64, 144, 16, 0.75) == 64);   /* never larger than it must be */
    CHECK(fab_window_fit(64, 32, 64, 16, 1.0) == 32);     /* 2 x 32 is 64, too: the smaller */
}

int main(void)
{
    return FAB_RUN(TEST(touching_muscles_split_along_a_scoliotic_spine),
                   TEST(turned_vertebrae_turn_the_surface), TEST(separate_components_stay_whole),
                   TEST(pieces_count_on_the_sides_they_lie_on),
                   TEST(without_a_spine_the_body_is_halved), TEST(specks_and_lesser_components_go),
                   TEST(bone_without_dense_voxels_goes), TEST(regions_agree_with_the_volume_module),
                   TEST(windows_are_nnunets), TEST(windows_fit_the_image));
}
