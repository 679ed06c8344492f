/* html.h - a page being built: errors stick, so that a page reads as a page. */
#ifndef FAB_PIPELINE_HTML_H
#define FAB_PIPELINE_HTML_H

#include "fabrica/base.h"
#include "fabrica/json.h"
#include "fabrica/render.h"

typedef struct fab_html {
    fab_buf buf;
    fab_status status; /* the first failure; everything after it does nothing */
    fab_error *err;
} fab_html;

void fab_html_raw(fab_html *h, const char *markup);
/* markup with numbers only: text from outside goes through fab_html_text */
void fab_html_printf(fab_html *h, const char *format, ...) FAB_PRINTF(2, 3);
void fab_html_text(fab_html *h, const char *text);              /* escaped */
void fab_html_element(fab_html *h, const char *tag, const char *text); /* <tag>text</tag> */
/* Everything up to <main>: title (in the bar too), the notice beside it, lines of style. */
void fab_html_begin(fab_html *h, const char *title, const char *notice,
                    const char *const *styles, size_t count);
void fab_html_box(fab_html *h, const char *term, const char *text);    /* "" left out */
void fab_html_fact(fab_html *h, const char *term, const char *text);   /* <dt><dd>, "" left out */
/* spine_report.c: the part on the spine, if the manifest has measurements of it. */
void fab_report_spine(fab_html *h, const fab_json *manifest);
void fab_html_image(fab_html *h, const fab_image *image, const char *alt); /* data: URI */

#endif
