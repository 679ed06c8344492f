/* html.c - markup, escaped text and pictures appended to a buffer. */
#include "html.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void append(fab_html *h, const void *bytes, size_t count)
{
    if (h->status == FAB_OK) h->status = fab_buf_append(&h->buf, bytes, count, h->err);
}

void fab_html_raw(fab_html *h, const char *markup)
{
    append(h, markup, strlen(markup));
}

void fab_html_printf(fab_html *h, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0) append(h, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void fab_html_text(fab_html *h, const char *text)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {
        {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (; text && *text; text++) {
        const char *entity = NULL;
        for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
            if (entities[i].c == *text) entity = entities[i].entity;
        if (entity) fab_html_raw(h, entity);
        else append(h, text, 1);
    }
}

void fab_html_element(fab_html *h, const char *tag, const char *text)
{
    fab_html_printf(h, "<%s>", tag);
    fab_html_text(h, text);
    fab_html_printf(h, "</%.*s>", (int)strcspn(tag, " "), tag);
}

void fab_html_begin(fab_html *h, const char *title, const char *notice,
                    const char *const *styles, size_t count)
{
    fab_html_raw(h, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                    "img-src data:; style-src 'unsafe-inline'\">\n"
                    "<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    fab_html_text(h, title);
    fab_html_raw(h, "</title>\n<style>\n");
    for (size_t i = 0; i < count; i++) fab_html_raw(h, styles[i]);
    fab_html_raw(h, "</style></head>\n<body>\n<header><div class=\"in\">"
                    "<svg width=\"26\" height=\"26\" viewBox=\"0 0 26 26\" aria-hidden=\"true\" "
                    "fill=\"none\" stroke=\"var(--accent)\" stroke-width=\"2.4\" "
                    "stroke-linejoin=\"round\">"
                    "<path d=\"M13 2 23 7.5v11L13 24 3 18.500v-11Z\"/>"
                    "<path d=\"M3 7.500 13 13l10-5.500M13 13v11\"/></svg>"
                    "<b>Fabrica</b><span class=\"what\">");
    fab_html_text(h, title);
    fab_html_raw(h, "</span><span class=\"notice\">");
    fab_html_text(h, notice);
    fab_html_raw(h, "</span></div></header>\n<main>\n");
}

void fab_html_box(fab_html *h, const char *term, const char *text)
{
    if (!text[0]) return;
    fab_html_raw(h, "<div class=\"fact\">");
    fab_html_text(h, term);
    fab_html_element(h, "b", text);
    fab_html_raw(h, "</div>");
}

void fab_html_fact(fab_html *h, const char *term, const char *text)
{
    if (!text || !text[0]) return;
    fab_html_element(h, "dt", term);
    fab_html_element(h, "dd", text);
}

static void base64(fab_html *h, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char out[4096];
    size_t used = 0;
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        uint32_t v = (uint32_t)bytes[i] << 16;
        if (left > 1) v |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2) v |= bytes[i + 2];
        out[used++] = digits[v >> 18];
        out[used++] = digits[v >> 12 & 63];
        out[used++] = left > 1 ? digits[v >> 6 & 63] : '=';
        out[used++] = left > 2 ? digits[v & 63] : '=';
        if (used == sizeof out) {
            append(h, out, used);
            used = 0;
        }
    }
    append(h, out, used);
}

void fab_html_image(fab_html *h, const fab_image *image, const char *alt)
{
    FAB_AUTO_BUF fab_buf png = {0};
    if (h->status < 0) return;
    h->status = fab_image_encode_png(image, &png, h->err);
    fab_html_printf(h, "<img width=\"%d\" height=\"%d\" alt=\"", image->width, image->height);
    fab_html_text(h, alt);
    fab_html_raw(h, "\" src=\"data:image/png;base64,");
    if (h->status == FAB_OK) base64(h, png.data, png.size);
    fab_html_raw(h, "\">");
}
