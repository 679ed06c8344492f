/* Every allocation of a view, a slice, a PNG and a preview fails once. */
#include "fabrica/render.h"
#include "harness.h"

typedef struct scene {
    fab_mesh mesh;
    fab_mesh_set set;
    fab_label_set names;
    fab_volume *image, *labels;
} scene;

static fab_status look(void *ctx)
{
    scene *s = ctx;
    fab_error err = {0};
    fab_image out = {0};
    double half = 0.5;
    fab_render_view view = {.width = 40, .height = 40, .opacity = &half};
    fab_status status = fab_render_meshes(&s->set, &s->names, &view, &out, &err);
    CHECK((status == FAB_OK) == (out.rgba != NULL));
    if (status == FAB_OK) {
        fab_buf png = {0};
        status = fab_image_encode_png(&out, &png, &err);
        fab_buf_free(&png);
    }
    fab_image_free(&out);
    return status;
}

static fab_status cut(void *ctx)
{
    scene *s = ctx;
    fab_error err = {0};
    fab_image out = {0};
    double middle[3] = {0};
    fab_status status = fab_render_slice(s->image, s->labels, &s->names, FAB_CORONAL, middle, 40,
                                         400, 50, 40, &out, &err);
    CHECK((status == FAB_OK) == (out.rgba != NULL));
    fab_image_free(&out);
    return status;
}

static fab_status survey(void *ctx)
{
    scene *s = ctx;
    fab_error err = {0};
    fab_image out = {0};
    fab_render_preview_options o = {.meshes = &s->set, .set = &s->names, .image = s->image,
                                    .labels = s->labels, .image_is_hu = true, .width = 320};
    fab_status status = fab_render_preview(&o, &out, &err);
    CHECK((status == FAB_OK) == (out.rgba != NULL));
    fab_image_free(&out);
    return status;
}

static void make(scene *s)
{
    static float corners[12] = {0, 0, 0, 40, 0, 0, 0, 40, 0, 0, 0, 40};
    static uint32_t faces[12] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3};
    fab_error err;
    fab_grid g = {.size = {12, 12, 12}};
    for (int a = 0; a < 3; a++) {
        g.world_from_voxel.m[a][a] = 5;
        g.world_from_voxel.m[a][3] = -27.5;
    }
    *s = (scene){.mesh = {.label = 1, .vertex_count = 4, .triangle_count = 4, .position = corners,
                          .index = faces}};
    s->set = (fab_mesh_set){.count = 1, .items = &s->mesh};
    CHECK_OK(fab_label_set_add(&s->names, 1, "liver", &err));
    CHECK_OK(fab_volume_create(&g, FAB_I16, &s->image, &err));
    CHECK_OK(fab_volume_create(&g, FAB_U8, &s->labels, &err));
    int16_t *hu = fab_volume_data_mut(s->image);
    uint8_t *label = fab_volume_data_mut(s->labels);
    for (int i = 0; i < 12 * 12 * 12; i++) {
        int x = i % 12 - 6, y = i / 12 % 12 - 6;
        hu[i] = x * x + y * y < 16 ? 50 : -1000;
        label[i] = x * x + y * y < 6;
    }
}

static void pictures(void)
{
    scene s;
    make(&s);
    fab_test_torture(look, &s);
    fab_test_torture(cut, &s);
    fab_test_torture(survey, &s);
    fab_volume_unref(s.image);
    fab_volume_unref(s.labels);
    fab_label_set_free(&s.names);
}

int main(void)
{
    fab_threads_set(2);
    return FAB_RUN(TEST(pictures));
}
