/* qa_page.h - the review in report.html. */
#ifndef FAB_PIPELINE_QA_PAGE_H
#define FAB_PIPELINE_QA_PAGE_H

#include "fabrica/anatomy.h"
#include "fabrica/json.h"
#include "html.h"

/* Above everything: that the twin is not to be trusted, if so. */
void fab_page_banner(fab_html *h, const fab_json *manifest);
/* "Look at these first". */
void fab_page_review(fab_html *h, const fab_json *manifest);

#endif
