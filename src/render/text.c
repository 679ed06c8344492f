/* text.c - the built-in stroke font: a glyph's path becomes short capsules, and a pixel's coverage
 * is its distance to the nearest of them, so text is anti-aliased at any size. */
#include <math.h>
#include <string.h>

#include "render_internal.h"

enum { MAX_SEGMENTS = 160, CAPITAL = 20 };
static const double letter_gap = 5.2, space_width = 5.5, default_weight = 0.12;
static const double pi = 3.14159265358979;

typedef struct stroke {
    double a[2], b[2];
} stroke;

typedef struct outline {
    size_t count;
    stroke strokes[MAX_SEGMENTS];
    double pen[2];
    bool down; /* the pen has a place to draw from */
} outline;

/* ---- reading a path --------------------------------------------------------------------- */

static double next_number(const char **at)
{
    while (**at == ' ') (*at)++;
    bool negative = **at == '-';
    if (negative) (*at)++;
    double value = 0, unit = 0;
    for (; (**at >= '0' && **at <= '9') || **at == '.'; (*at)++) {
        if (**at == '.') unit = 1;
        else if (unit > 0) value += (**at - '0') * (unit /= 10);
        else value = value * 10 + (**at - '0');
    }
    return negative ? -value : value;
}

static void line_to(outline *o, double x, double y)
{
    if (o->down && o->count < MAX_SEGMENTS)
        o->strokes[o->count++] = (stroke){{o->pen[0], o->pen[1]}, {x, y}};
    o->pen[0] = x, o->pen[1] = y;
    o->down = true;
}

static void arc(outline *o, const double centre[2], const double radius[2], double from,
                double to)
{
    int steps = (int)ceil(fabs(to - from) / 14);
    for (int i = 0; i <= steps; i++) {
        double angle = (from + (to - from) * i / steps) * pi / 180;
        line_to(o, centre[0] + radius[0] * cos(angle), centre[1] + radius[1] * sin(angle));
    }
}

static void outline_of(const fab_glyph *glyph, outline *o)
{
    o->count = 0;
    o->down = false;
    for (const char *at = glyph->path; *at; at++) {
        char verb = *at++;
        double n[6];
        int wanted = verb == 'A' ? 6 : verb == 'O' ? 4 : 2;
        for (int i = 0; i < wanted; i++) n[i] = next_number(&at);
        if (verb == 'M' || verb == 'O') o->down = false;
        if (verb == 'O') arc(o, n, n + 2, 0, 360);
        else if (verb == 'A') arc(o, n, n + 2, n[4], n[5]);
        else line_to(o, n[0], n[1]);
        if (!*at) break;
    }
}

/* ---- glyphs of a text ------------------------------------------------------------------- */

/* Next code point; bytes that are not UTF-8 count as one unknown sign each. */
static uint32_t next_code(const char **utf8)
{
    const unsigned char *p = (const unsigned char *)*utf8;
    int more = p[0] < 0x80 ? 0 : (p[0] >> 5) == 6 ? 1 : (p[0] >> 4) == 14 ? 2 :
               (p[0] >> 3) == 30 ? 3 : -1;
    uint32_t code = more <= 0 ? p[0] : p[0] & (0x3Fu >> more);
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            more = -1;
            break;
        }
        code = code << 6 | (p[i] & 0x3F);
    }
    *utf8 += more < 0 ? 1 : 1 + more;
    return more < 0 ? 0xFFFD : code;
}

static const fab_glyph *glyph_of(uint32_t code)
{
    size_t low = 0, high = fab_glyph_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (fab_glyphs[middle].code < code) low = middle + 1;
        else high = middle;
    }
    return low < fab_glyph_count && fab_glyphs[low].code == code ? &fab_glyphs[low]
                                                                 : &fab_glyph_missing;
}

double fab_render_text_width(const char *utf8, const fab_text_style *style)
{
    double units = 0;
    while (*utf8) {
        uint32_t code = next_code(&utf8);
        units += (code == ' ' ? space_width : glyph_of(code)->width) + letter_gap;
    }
    return fmax(units - letter_gap, 0) * style->height_px / CAPITAL;
}

static double distance_to(const stroke *s, double x, double y)
{
    double dx = s->b[0] - s->a[0], dy = s->b[1] - s->a[1], length2 = dx * dx + dy * dy;
    double t = length2 > 0 ? ((x - s->a[0]) * dx + (y - s->a[1]) * dy) / length2 : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(x - s->a[0] - t * dx, y - s->a[1] - t * dy);
}

static void draw_glyph(fab_image *image, double x, double y, const fab_glyph *glyph,
                       const fab_text_style *style)
{
    outline o = {0};
    outline_of(glyph, &o);
    double scale = style->height_px / CAPITAL;
    double radius = (style->weight > 0 ? style->weight : default_weight) * style->height_px / 2;
    int low_x = (int)floor(x - 5 * scale - radius - 1);
    int high_x = (int)ceil(x + (glyph->width + 1) * scale + radius + 1);
    int low_y = (int)floor(y - 23 * scale - radius - 1), high_y = (int)ceil(y + 7 * scale + radius);
    for (int j = low_y; j <= high_y; j++)
        for (int i = low_x; i <= high_x; i++) {
            double gx = (i + 0.5 - x) / scale, gy = (y - j - 0.5) / scale, nearest = 1e9;
            for (size_t s = 0; s < o.count; s++)
                nearest = fmin(nearest, distance_to(&o.strokes[s], gx, gy));
            fab_image_blend(image, i, j, style->rgba, 0.5 + radius - nearest * scale);
        }
}

double fab_render_text(fab_image *image, double x, double y, const char *utf8,
                       const fab_text_style *style)
{
    double width = fab_render_text_width(utf8, style), scale = style->height_px / CAPITAL;
    if (style->align == FAB_TEXT_CENTER) x -= width / 2;
    if (style->align == FAB_TEXT_RIGHT) x -= width;
    while (*utf8) {
        uint32_t code = next_code(&utf8);
        const fab_glyph *glyph = glyph_of(code);
        if (code != ' ') draw_glyph(image, x, y, glyph, style);
        x += ((code == ' ' ? space_width : glyph->width) + letter_gap) * scale;
    }
    return width;
}
