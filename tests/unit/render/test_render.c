/* test_render.c - what the pictures must get right: which side is which, what hides what, sizes in
 * millimetres, the same bytes for any number of threads, and named errors. */
#include <png.h>

#include "fabrica/render.h"
#include "harness.h"

/* ---- a scene of balls -------------------------------------------------------------------- */

typedef struct ball { double center[3], radius; } ball;

/* A closed ball: a cube of 24 x 24 squares a side blown up. */
static void make_ball(const ball *b, int label, fab_mesh *mesh)
{
    enum { N = 24 };
    *mesh = (fab_mesh){.label = label};
    mesh->position = fab_malloc(sizeof(float) * 3 * 6 * (N + 1) * (N + 1));
    mesh->index = fab_malloc(sizeof(uint32_t) * 6 * 6 * N * N);
    for (int face = 0; face < 6; face++)
        for (int i = 0; i <= N; i++)
            for (int j = 0; j <= N; j++) {
                int a = face % 3;
                double p[3], length = 0;
                p[a] = face < 3 ? 1 : -1;
                p[(a + 1) % 3] = (2.0 * i / N - 1) * (face < 3 ? 1 : -1);
                p[(a + 2) % 3] = 2.0 * j / N - 1;
                for (int c = 0; c < 3; c++) length += p[c] * p[c];
                for (int c = 0; c < 3; c++)
                    mesh->position[3 * mesh->vertex_count + (uint32_t)c] =
                        (float)(b->center[c] + b->radius * p[c] / sqrt(length));
                mesh->vertex_count++;
                if (i == N || j == N) continue;
                uint32_t v = mesh->vertex_count - 1, *t = mesh->index + 3 * mesh->triangle_count;
                const uint32_t quad[6] = {v, v + N + 1, v + N + 2, v, v + N + 2, v + 1};
                memcpy(t, quad, sizeof quad);
                mesh->triangle_count += 2;
            }
}

typedef struct scene {
    fab_mesh meshes[3];
    fab_mesh_set set;
    fab_label_set names;
} scene;

static void make_scene(scene *s, const ball *balls, size_t count)
{
    static const char *const names[] = {"kidney_left", "liver", "spleen"};
    fab_error err;
    *s = (scene){0};
    for (size_t i = 0; i < count; i++) {
        make_ball(&balls[i], (int)i + 1, &s->meshes[i]);
        CHECK_OK(fab_label_set_add(&s->names, (int)i + 1, names[i], &err));
        memcpy(s->names.items[i].rgb, (uint8_t[3]){0, 0, 0}, 3);
        s->names.items[i].rgb[i] = 230; /* first red, second green, third blue */
    }
    s->set = (fab_mesh_set){.count = count, .items = s->meshes};
}

static void free_scene(scene *s)
{
    for (size_t i = 0; i < s->set.count; i++) fab_mesh_free(&s->meshes[i]);
    fab_label_set_free(&s->names);
}

static const uint8_t *pixel(const fab_image *image, int x, int y)
{
    return image->rgba + 4 * (y * image->width + x);
}

/* Which ball a pixel shows: 0 red, 1 green, 2 blue, -1 none. */
static int ball_at(const fab_image *image, int x, int y)
{
    const uint8_t *p = pixel(image, x, y);
    if (p[3] < 128) return -1;
    return p[0] > p[1] && p[0] > p[2] ? 0 : p[1] > p[2] ? 1 : 2;
}

static fab_render_view view_from(double azimuth)
{
    static const double origin[3] = {0, 0, 0};
    return (fab_render_view){.azimuth_deg = azimuth, .width = 100, .height = 100, .center = origin,
                             .mm_per_pixel = 1, .background = FAB_BACKGROUND_TRANSPARENT};
}

/* ---- 3D ---------------------------------------------------------------------------------- */

/* Red on the patient's left, green in front, blue at the head. */
static void sides(void)
{
    static const ball balls[] = {{{30, 0, 0}, 8}, {{0, -30, 0}, 8}, {{0, 0, 30}, 8}};
    static const struct { double azimuth; int x[2]; } expected[] = {
        {0, {80, 50}}, {90, {50, 20}}, {180, {20, 50}}, {270, {50, 80}}};
    scene s;
    fab_error err;
    make_scene(&s, balls, 3);
    for (int i = 0; i < 4; i++) {
        fab_image image;
        fab_render_view view = view_from(expected[i].azimuth);
        CHECK_OK(fab_render_meshes(&s.set, &s.names, &view, &image, &err));
        CHECK(ball_at(&image, 50, 20) == 2);
        for (int k = 0; k < 2; k++)
            if (expected[i].x[k] != 50) CHECK(ball_at(&image, expected[i].x[k], 50) == k);
        CHECK(ball_at(&image, 5, 95) == -1);
        fab_image_free(&image);
    }
    free_scene(&s);
}

static void nearer_hides_farther(void)
{
    static const ball balls[] = {{{0, -20, 0}, 10}, {{0, 20, 0}, 10}};
    scene s;
    fab_error err;
    fab_image image;
    make_scene(&s, balls, 2);
    for (int fov = 0; fov <= 30; fov += 30)
        for (int behind = 0; behind < 2; behind++) {
            fab_render_view view = view_from(180 * behind);
            view.field_of_view_deg = fov;
            CHECK_OK(fab_render_meshes(&s.set, &s.names, &view, &image, &err));
            CHECK(ball_at(&image, 50, 50) == behind);
            fab_image_free(&image);
        }
    free_scene(&s);
}

/* The sum of alpha is the silhouette's area: a disc of pi r^2, anti-aliased. */
static void silhouette_area(void)
{
    static const ball balls[] = {{{0, 0, 0}, 30}};
    scene s;
    fab_error err;
    fab_image image;
    make_scene(&s, balls, 1);
    for (int samples = 1; samples <= 4; samples++) {
        fab_render_view view = view_from(33);
        view.supersample = samples;
        CHECK_OK(fab_render_meshes(&s.set, &s.names, &view, &image, &err));
        double area = 0;
        for (int i = 0; i < 100 * 100; i++) area += image.rgba[4 * i + 3] / 255.0;
        CHECK_NEAR(area, 3.14159265 * 900, 0.01 * 3.14159265 * 900);
        fab_image_free(&image);
    }
    free_scene(&s);
}

/* Translucent layers: the order of structures does not matter, both shine through. */
static void layers_are_order_independent(void)
{
    static const ball balls[] = {{{0, -20, 0}, 12}, {{0, 20, 0}, 12}};
    static const double opacity[2] = {0.5, 0.6}, swapped[2] = {0.6, 0.5};
    scene s;
    fab_error err;
    fab_image a, b, solid;
    make_scene(&s, balls, 2);
    fab_render_view view = view_from(0);
    CHECK_OK(fab_render_meshes(&s.set, &s.names, &view, &solid, &err));
    view.opacity = opacity;
    CHECK_OK(fab_render_meshes(&s.set, &s.names, &view, &a, &err));
    fab_mesh mesh = s.meshes[0];
    s.meshes[0] = s.meshes[1], s.meshes[1] = mesh;
    view.opacity = swapped;
    CHECK_OK(fab_render_meshes(&s.set, &s.names, &view, &b, &err));
    CHECK(memcmp(a.rgba, b.rgba, 4 * 100 * 100) == 0);
    CHECK(memcmp(a.rgba, solid.rgba, 4 * 100 * 100) != 0);
    CHECK(pixel(&a, 50, 50)[0] > 40 && pixel(&a, 50, 50)[1] > 40); /* red over green */
    CHECK(pixel(&a, 50, 50)[3] > 20 && pixel(&a, 50, 50)[3] < 250);
    fab_image_free(&a);
    fab_image_free(&b);
    fab_image_free(&solid);
    free_scene(&s);
}

static void threads_do_not_show(void)
{
    static const ball balls[] = {{{10, 0, 0}, 30}, {{-10, 5, 0}, 30}, {{0, 0, 12}, 40}};
    static const double opacity[3] = {1, 1, 0.4};
    scene s;
    fab_error err;
    fab_image a, b;
    make_scene(&s, balls, 3);
    fab_render_view view = view_from(20);
    view.width = view.height = 256;
    view.opacity = opacity;
    view.background = FAB_BACKGROUND_DARK;
    fab_threads_set(1);
    CHECK_OK(fab_render_meshes(&s.set, &s.names, &view, &a, &err));
    fab_threads_set(5);
    CHECK_OK(fab_render_meshes(&s.set, &s.names, &view, &b, &err));
    fab_threads_set(0);
    CHECK(memcmp(a.rgba, b.rgba, 4 * 256 * 256) == 0);
    fab_image_free(&a);
    fab_image_free(&b);
    free_scene(&s);
}

static void bad_views_are_refused(void)
{
    fab_error err;
    fab_image image = {0};
    fab_mesh_set none = {0};
    fab_render_view view = view_from(0);
    CHECK_OK(fab_render_meshes(&none, NULL, &view, &image, &err)); /* nothing to see is fine */
    fab_image_free(&image);
    view.width = 0;
    CHECK_FAILS(FAB_ERR_ARG, "0 x 100", fab_render_meshes(&none, NULL, &view, &image, &err));
    view = view_from(NAN);
    CHECK_FAILS(FAB_ERR_ARG, "angles", fab_render_meshes(&none, NULL, &view, &image, &err));
    view = view_from(0);
    view.width = FAB_MAX_IMAGE_DIM + 1;
    CHECK_FAILS(FAB_ERR_LIMIT, "samples", fab_render_meshes(&none, NULL, &view, &image, &err));
    view.width = 100, view.supersample = 9;
    CHECK_FAILS(FAB_ERR_ARG, "9 x", fab_render_meshes(&none, NULL, &view, &image, &err));
    CHECK(!image.rgba);
}

/* ---- slices ------------------------------------------------------------------------------ */

/* A volume, oblique if asked, with a bright ball of 12 mm at each world point; same labels. */
static void make_volume(bool oblique, const double (*points)[3], int count, fab_volume **image,
                        fab_volume **labels)
{
    double c = oblique ? 0.9396926 : 1, s = oblique ? 0.3420201 : 0;
    fab_grid g = {.size = {60, 50, 30},
                  .world_from_voxel = {{{2 * c, -2 * s, 0, 0}, {2 * s, 2 * c, 0, 0},
                                        {0, 0, 4, 0}}}};
    double middle[3] = {29.5, 24.5, 14.5};
    fab_error err;
    fab_mat34_apply(&g.world_from_voxel, middle, middle);
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][3] = -middle[a];
    CHECK_OK(fab_volume_create(&g, FAB_I16, image, &err));
    CHECK_OK(fab_volume_create(&g, FAB_U8, labels, &err));
    int16_t *v = fab_volume_data_mut(*image);
    uint8_t *l = fab_volume_data_mut(*labels);
    for (int k = 0; k < 30; k++)
        for (int j = 0; j < 50; j++)
            for (int i = 0; i < 60; i++, v++, l++) {
                double p[3] = {i, j, k};
                fab_mat34_apply(&g.world_from_voxel, p, p);
                *v = -1000, *l = 0;
                for (int b = 0; b < count; b++) {
                    double d = 0;
                    for (int a = 0; a < 3; a++) d += pow(p[a] - points[b][a], 2);
                    if (d <= 144) *v = 500, *l = 1;
                }
            }
}

/* Box of pixels brighter than grey 128, away from letters and scale bar. */
static void bright_box(const fab_image *image, double box[4])
{
    box[0] = box[1] = 1e9, box[2] = box[3] = -1e9;
    for (int y = image->height / 12; y < image->height * 5 / 6; y++)
        for (int x = image->width / 10; x < image->width * 9 / 10; x++) {
            if (pixel(image, x, y)[0] < 128) continue;
            box[0] = fmin(box[0], x), box[1] = fmin(box[1], y);
            box[2] = fmax(box[2], x), box[3] = fmax(box[3], y);
        }
}

/* A ball at the patient's right, front, head: left of an axial and coronal slice; of a sagittal
 * one, left (front); round on the screen although voxels are 2 x 2 x 4 mm. */
static void radiological_convention(void)
{
    static const double at[1][3] = {{-25, -22, 24}};
    fab_error err;
    for (int oblique = 0; oblique < 2; oblique++) {
        fab_volume *image, *labels;
        make_volume(oblique, at, 1, &image, &labels);
        for (int plane = FAB_AXIAL; plane <= FAB_SAGITTAL; plane++) {
            fab_image out;
            double box[4];
            CHECK_OK(fab_render_slice(image, NULL, NULL, (fab_plane)plane, at[0], 0, 1000, 400,
                                      320, &out, &err));
            bright_box(&out, box);
            CHECK((box[0] + box[2]) / 2 < 190);
            CHECK((box[1] + box[3]) / 2 < 150);
            CHECK_NEAR((box[2] - box[0]) / (box[3] - box[1]), 1, 0.18);
            fab_image_free(&out);
        }
        fab_volume_unref(image);
        fab_volume_unref(labels);
    }
}

static void outlines_are_thin(void)
{
    static const double at[1][3] = {{0, 0, 0}};
    fab_error err;
    fab_volume *image, *labels;
    fab_image out;
    fab_label_set names = {0};
    CHECK_OK(fab_label_set_add(&names, 1, "liver", &err));
    memcpy(names.items[0].rgb, (uint8_t[3]){0, 255, 0}, 3);
    make_volume(true, at, 1, &image, &labels);
    CHECK_OK(fab_render_slice(image, labels, &names, FAB_AXIAL, at[0], 2000, 1000, 400, 320, &out,
                              &err)); /* a window that leaves the image black */
    int line = 0, fill = 0, outside = 0;
    for (int y = 40; y < 250; y++)
        for (int x = 60; x < 340; x++) {
            const uint8_t *p = pixel(&out, x, y);
            if (p[1] > 150) line++;
            else if (p[1] > 10) fill++;
            else outside++;
        }
    double r = 12 / (1.02 * fmax(146.9 / 400, 135 / 320.0)); /* radius in pixels, about */
    CHECK(line > 0.5 * 6.28 * r && line < 3.2 * 6.28 * r);
    CHECK(fill > 0.5 * 3.14 * r * r && fill < 3.14 * r * r && outside > fill);
    fab_image_free(&out);
    CHECK_FAILS(FAB_ERR_ARG, "width 0", fab_render_slice(image, NULL, NULL, FAB_AXIAL, at[0], 0, 0,
                                                         400, 320, &out, &err));
    CHECK_FAILS(FAB_ERR_ARG, "no image", fab_render_slice(NULL, NULL, NULL, FAB_AXIAL, at[0], 0, 1,
                                                          400, 320, &out, &err));
    fab_volume_unref(image);
    fab_volume_unref(labels);
    fab_label_set_free(&names);
}

/* ---- text, PNG, preview ------------------------------------------------------------------ */

static long ink(const fab_image *image)
{
    long sum = 0;
    for (int i = 0; i < image->width * image->height; i++) sum += image->rgba[4 * i + 3];
    return sum;
}

static void text(void)
{
    fab_error err;
    fab_image image;
    fab_text_style style = {.height_px = 20, .rgba = {255, 255, 255, 255}};
    for (char c = '!'; c <= 'z'; c++) {
        CHECK_OK(fab_image_create(40, 40, &image, &err));
        double width = fab_render_text(&image, 10, 30, (char[2]){c, 0}, &style);
        CHECK(ink(&image) > 255 * 4 && width < 30);
        fab_image_free(&image);
    }
    CHECK(fab_render_text_width("mm", &style) > fab_render_text_width("m", &style) * 2);
    CHECK_OK(fab_image_create(40, 40, &image, &err));
    style.align = FAB_TEXT_CENTER; /* clipped, and bytes that are no UTF-8 */
    fab_render_text(&image, -5, 0, "clipped \xFF\xC3 \xE2\x82 \xF0\x9F\x98\x80", &style);
    fab_render_text(&image, 1e6, -1e6, "far", &style);
    fab_image_free(&image);
}

typedef struct png_source { const uint8_t *bytes; size_t left; } png_source;

static void png_take_bytes(png_structp png, png_bytep into, size_t count)
{
    png_source *s = png_get_io_ptr(png);
    if (count > s->left) png_error(png, "short");
    memcpy(into, s->bytes, count);
    s->bytes += count, s->left -= count;
}

/* Rows for every filter: noise, even steps to the right, the row above again, and a slope. */
static int mixed_rows(int i)
{
    int y = i / 52, x = i % 52;
    return y < 2 ? i * i * 37 : y == 2 ? x * 3 : y == 3 ? x * 3 : y < 6 ? x * x / 8 + y * 9 : 200;
}

static void png_round_trip(void)
{
    fab_error err;
    fab_image image;
    CHECK_OK(fab_image_create(13, 7, &image, &err));
    for (int opaque = 0; opaque < 2; opaque++) {
        for (int i = 0; i < 13 * 7 * 4; i++)
            image.rgba[i] = (uint8_t)(opaque && i % 4 == 3 ? 255 : mixed_rows(i));
        fab_buf a = {0}, b = {0};
        CHECK_OK(fab_image_encode_png(&image, &a, &err));
        CHECK_OK(fab_image_encode_png(&image, &b, &err));
        CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
        png_source source = {a.data, a.size};
        png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
        png_infop info = png_create_info_struct(png);
        png_set_read_fn(png, &source, png_take_bytes);
        png_read_info(png, info);
        png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
        for (int y = 0; y < 7; y++) {
            uint8_t row[13 * 4];
            png_read_row(png, row, NULL);
            CHECK(memcmp(row, image.rgba + y * 13 * 4, sizeof row) == 0);
        }
        png_destroy_read_struct(&png, &info, NULL);
        fab_buf_free(&a);
        fab_buf_free(&b);
    }
    fab_image_free(&image);
    CHECK_FAILS(FAB_ERR_ARG, "0 x 4", fab_image_create(0, 4, &image, &err));
    CHECK_FAILS(FAB_ERR_LIMIT, "99999", fab_image_create(99999, 4, &image, &err));
}

/* With and without an image, with nothing to show; the same bytes twice. */
static void preview(void)
{
    static const double points[2][3] = {{-25, -12, 10}, {25, 5, -20}};
    static const ball balls[] = {{{-25, -12, 10}, 12}};
    scene s;
    fab_error err;
    fab_volume *image, *labels;
    fab_image a, b;
    fab_mesh_set none = {0};
    make_scene(&s, balls, 1);
    make_volume(true, points, 2, &image, &labels);
    fab_render_preview_options o = {.meshes = &s.set, .set = &s.names, .image = image,
                                    .labels = labels, .image_is_hu = true, .width = 480,
                                    .title = "Test \xC2\xB7 1", .subtitle = "two balls"};
    CHECK_OK(fab_render_preview(&o, &a, &err));
    CHECK_OK(fab_render_preview(&o, &b, &err));
    CHECK(a.width == 480 && a.height == b.height && a.height > 200);
    CHECK(memcmp(a.rgba, b.rgba, 4 * (size_t)a.width * (size_t)a.height) == 0);
    fab_image_free(&b);
    o.image = NULL;
    CHECK_OK(fab_render_preview(&o, &b, &err));
    CHECK(b.height < a.height);
    fab_image_free(&a);
    fab_image_free(&b);
    o = (fab_render_preview_options){.meshes = &none, .width = 480};
    CHECK_OK(fab_render_preview(&o, &a, &err));
    fab_image_free(&a);
    o.width = 3;
    CHECK_FAILS(FAB_ERR_ARG, "3 pixels", fab_render_preview(&o, &a, &err));
    fab_volume_unref(image);
    fab_volume_unref(labels);
    free_scene(&s);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(sides), TEST(nearer_hides_farther), TEST(silhouette_area),
        TEST(layers_are_order_independent), TEST(threads_do_not_show),
        TEST(bad_views_are_refused), TEST(radiological_convention), TEST(outlines_are_thin),
        TEST(text), TEST(png_round_trip), TEST(preview)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
