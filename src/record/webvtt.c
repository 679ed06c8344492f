/* webvtt.c - WebVTT (https://www.w3.org/TR/webvtt1/): checked, moved in time, cut. Blocks are
 * separated by empty lines; one with a timing line is a cue; styles and notes pass as they are. */
#include <stdio.h>

#include "bytes_internal.h"

typedef struct line {
    const char *text;
    size_t length, number;
} line;

/* The next line; false at the end. */
static bool next_line(const char **at, const char *end, line *out)
{
    if (*at >= end) return false;
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    size_t length = (size_t)((stop ? stop : end) - *at);
    out->text = *at;
    *at += length + (stop != NULL);
    if (length && out->text[length - 1] == '\r') length--;
    out->length = length;
    out->number++;
    return true;
}

/* Digits, at least `least` and at most `most` of them. */
static bool digits(const char **at, const char *end, int least, int most, int64_t *value)
{
    int count = 0;
    for (*value = 0; *at < end && **at >= '0' && **at <= '9' && count < most; count++)
        *value = 10 * *value + (*(*at)++ - '0');
    return count >= least;
}

static bool sign(const char **at, const char *end, char wanted)
{
    if (*at >= end || **at != wanted) return false;
    ++*at;
    return true;
}

/* [hh..:]mm:ss.ttt */
static bool take_time(const char **at, const char *end, int64_t *time_us)
{
    int64_t a = 0, b = 0, c = 0, thousandths = 0;
    if (!digits(at, end, 2, 4, &a) || !sign(at, end, ':') || !digits(at, end, 2, 2, &b))
        return false;
    if (sign(at, end, ':')) {
        if (!digits(at, end, 2, 2, &c)) return false;
    } else { /* no hours */
        c = b;
        b = a;
        a = 0;
    }
    if (b > 59 || c > 59 || !sign(at, end, '.') || !digits(at, end, 3, 3, &thousandths))
        return false;
    *time_us = ((a * 60 + b) * 60 + c) * 1000000 + thousandths * 1000;
    return true;
}

static void skip_blanks(const char **at, const char *end)
{
    while (*at < end && (**at == ' ' || **at == '\t')) ++*at;
}

static bool find_arrow(const line *l, const char **arrow)
{
    for (size_t i = 0; i + 3 <= l->length; i++)
        if (memcmp(l->text + i, "-->", 3) == 0) {
            *arrow = l->text + i;
            return true;
        }
    return false;
}

/* start --> end settings */
static fab_status take_timing(const line *l, int64_t times[2], const char **rest, fab_error *err)
{
    const char *p = l->text, *end = l->text + l->length;
    skip_blanks(&p, end);
    bool good = take_time(&p, end, &times[0]);
    skip_blanks(&p, end);
    good = good && sign(&p, end, '-') && sign(&p, end, '-') && sign(&p, end, '>');
    skip_blanks(&p, end);
    if (!good || !take_time(&p, end, &times[1]) || times[1] <= times[0])
        FAB_FAIL(err, FAB_ERR_FORMAT, "WebVTT line %zu: no times that ascend", l->number);
    *rest = p;
    return FAB_OK;
}

static void print_time(int64_t us, char into[32])
{
    int64_t ms = us / 1000;
    snprintf(into, 32, "%02lld:%02lld:%02lld.%03lld", (long long)(ms / 3600000),
             (long long)(ms / 60000 % 60), (long long)(ms / 1000 % 60), (long long)(ms % 1000));
}

typedef struct retime {
    int64_t from_us, to_us, last_us;
    fab_buf *into, block;
    bool cue, dropped;
    fab_error *err;
} retime;

static fab_status put_line(retime *r, const char *text, size_t length)
{
    if (!r->into) return FAB_OK;
    FAB_TRY(fab_buf_append(&r->block, text, length, r->err));
    return fab_buf_append(&r->block, "\n", 1, r->err);
}

static fab_status on_timing(retime *r, const line *l)
{
    int64_t times[2];
    const char *rest = NULL;
    char start[32], end[32];
    FAB_TRY(take_timing(l, times, &rest, r->err));
    if (times[0] < r->last_us)
        FAB_FAIL(r->err, FAB_ERR_FORMAT, "WebVTT line %zu: starts before the cue above", l->number);
    r->last_us = times[0];
    r->cue = true;
    r->dropped = times[1] <= r->from_us || (r->to_us >= 0 && times[0] >= r->to_us);
    if (r->to_us >= 0 && times[1] > r->to_us) times[1] = r->to_us;
    for (int i = 0; i < 2; i++) times[i] = times[i] > r->from_us ? times[i] - r->from_us : 0;
    print_time(times[0], start);
    print_time(times[1], end);
    if (!r->into) return FAB_OK;
    return fab_buf_appendf(&r->block, r->err, "%s --> %s%.*s\n", start, end,
                           (int)(l->text + l->length - rest), rest);
}

static fab_status end_block(retime *r)
{
    if (r->into && !r->dropped && r->block.size) {
        if (r->into->size) FAB_TRY(fab_buf_append(r->into, "\n", 1, r->err));
        FAB_TRY(fab_buf_append(r->into, r->block.data, r->block.size, r->err));
    }
    r->block.size = 0;
    r->cue = r->dropped = false;
    return FAB_OK;
}

static fab_status retime_lines(retime *r, const char *at, const char *end)
{
    line l = {0};
    const char *arrow = NULL;
    bool first = true;
    while (next_line(&at, end, &l)) {
        if (first && (l.length < 6 || memcmp(l.text, "WEBVTT", 6) != 0 ||
                      (l.length > 6 && l.text[6] != ' ' && l.text[6] != '\t')))
            FAB_FAIL(r->err, FAB_ERR_FORMAT, "WebVTT line 1: it does not say WEBVTT");
        if (l.length == 0) FAB_TRY(end_block(r));
        else if (!first && !r->cue && find_arrow(&l, &arrow)) FAB_TRY(on_timing(r, &l));
        else FAB_TRY(put_line(r, l.text, l.length));
        first = false;
    }
    if (first) FAB_FAIL(r->err, FAB_ERR_FORMAT, "WebVTT line 1: it does not say WEBVTT");
    return end_block(r);
}

fab_status fab_webvtt_retime(const char *text, size_t count, int64_t from_us, int64_t to_us,
                             fab_buf *into, fab_error *err)
{
    retime r = {.from_us = from_us, .to_us = to_us, .into = into, .err = err};
    if (!count) text = ""; /* an empty buffer has no data to point to */
    if (count >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        count -= 3;
    }
    fab_status status = retime_lines(&r, text, text + count);
    fab_buf_free(&r.block);
    return status;
}
