/* image.c - 8-bit sRGB images: blending in linear light, boxes. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "render_internal.h"

/* ---- sRGB (IEC 61966-2-1) ----------------------------------------------------------------- */

enum { CELLS = 4096 };

/* What the formulas say, once: the light of every byte, the least light that gives each byte, and
 * the byte at the start of each of CELLS steps of light. */
static struct {
    float light[256], least[257];
    uint8_t start[CELLS + 1];
} srgb;
static pthread_once_t srgb_made = PTHREAD_ONCE_INIT;

static int byte_of(float linear)
{
    double c = (double)linear;
    return (int)lround(255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * pow(c, 1 / 2.4) - 0.055));
}

/* By halving the bit patterns from 0 to 1: those of floats from 0 up ascend as they do. */
static float least_light(int byte)
{
    uint32_t low = 0, high = 0x3f800000; /* 0, 1 */
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        float light;
        memcpy(&light, &middle, sizeof light);
        if (byte_of(light) >= byte) high = middle;
        else low = middle + 1;
    }
    float found;
    memcpy(&found, &high, sizeof found);
    return found;
}

static void make_srgb(void)
{
    for (int i = 0; i < 256; i++) {
        const double c = i / 255.0;
        srgb.light[i] = (float)(c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
        srgb.least[i] = least_light(i);
    }
    srgb.least[256] = INFINITY;
    for (int i = 0; i <= CELLS; i++) srgb.start[i] = (uint8_t)byte_of((float)i / CELLS);
}

float fab_render_linear(uint8_t byte)
{
    pthread_once(&srgb_made, make_srgb);
    return srgb.light[byte];
}

uint8_t fab_render_srgb(float linear)
{
    pthread_once(&srgb_made, make_srgb);
    if (!(linear > 0)) return 0;
    if (linear >= 1) return 255;
    int byte = srgb.start[(int)(linear * CELLS)];
    while (linear >= srgb.least[byte + 1]) byte++;
    return (uint8_t)byte;
}

fab_status fab_image_create(int width, int height, fab_image *out, fab_error *err)
{
    if (width < 1 || height < 1)
        FAB_FAIL(err, FAB_ERR_ARG, "an image of %d x %d pixels makes no sense", width, height);
    if (width > FAB_MAX_IMAGE_DIM || height > FAB_MAX_IMAGE_DIM)
        FAB_FAIL(err, FAB_ERR_LIMIT, "an image of %d x %d pixels, at most %d a side are made",
                 width, height, FAB_MAX_IMAGE_DIM);
    uint8_t *pixels = fab_calloc((size_t)width * (size_t)height, 4);
    if (!pixels)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for an image of %d x %d", width, height);
    *out = (fab_image){.width = width, .height = height, .rgba = pixels};
    return FAB_OK;
}

void fab_image_free(fab_image *image)
{
    image->rgba = fab_free(image->rgba);
    image->width = image->height = 0;
}

/* ---- blending --------------------------------------------------------------------------- */

void fab_image_blend(fab_image *image, int x, int y, const uint8_t rgba[4], double coverage)
{
    if (x < 0 || y < 0 || x >= image->width || y >= image->height || coverage <= 0) return;
    uint8_t *p = image->rgba + 4 * ((size_t)y * (size_t)image->width + (size_t)x);
    double a = fmin(coverage, 1) * rgba[3] / 255, under = p[3] / 255.0 * (1 - a), all = a + under;
    if (all <= 0) return;
    for (int i = 0; i < 3; i++) {
        if (a >= 1) {
            p[i] = rgba[i];
            continue;
        }
        double mixed = a * (double)fab_render_linear(rgba[i]) +
                       under * (double)fab_render_linear(p[i]);
        p[i] = fab_render_srgb((float)(mixed / all));
    }
    p[3] = (uint8_t)lround(all * 255);
}

void fab_image_draw(fab_image *image, int x, int y, const fab_image *from)
{
    for (int j = 0; j < from->height; j++)
        for (int i = 0; i < from->width; i++)
            fab_image_blend(image, x + i, y + j,
                            from->rgba + 4 * ((size_t)j * (size_t)from->width + (size_t)i), 1);
}

void fab_image_fill_box(fab_image *image, double x, double y, double width, double height,
                        double radius, const uint8_t rgba[4])
{
    double half_w = width / 2, half_h = height / 2, cx = x + half_w, cy = y + half_h;
    for (int j = (int)floor(y) - 1; j <= (int)ceil(y + height); j++)
        for (int i = (int)floor(x) - 1; i <= (int)ceil(x + width); i++) {
            double dx = fabs(i + 0.5 - cx) - half_w + radius;
            double dy = fabs(j + 0.5 - cy) - half_h + radius;
            double outside = hypot(fmax(dx, 0), fmax(dy, 0)) + fmin(fmax(dx, dy), 0) - radius;
            fab_image_blend(image, i, j, rgba, fmin(fmax(0.5 - outside, 0), 1));
        }
}
