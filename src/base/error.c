/* error.c - status names and the error struct on the caller's stack. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fabrica/base.h"

const char *fab_status_name(fab_status status)
{
    static const char *const names[] = {
        "ok",       "out-of-memory", "io",        "format",   "unsupported", "limit",
        "argument", "cancelled",     "geometry",  "not-found", "no-space",   "crashed",
        "integrity"};
    int index = -status;
    if (index < 0) return "outcome";
    if ((size_t)index >= sizeof names / sizeof names[0]) return "unknown";
    return names[index];
}

fab_status fab_error_set(fab_error *err, fab_status status, const char *format, ...)
{
    if (err) {
        err->status = status;
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

fab_status fab_error_prefix(fab_error *err, const char *format, ...)
{
    if (!err) return FAB_OK;
    char context[FAB_MAX_ERROR_BYTES / 2], old[FAB_MAX_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    memcpy(old, err->message, sizeof old);
    old[sizeof old - 1] = 0;
    size_t used = strlen(context);
    size_t room = sizeof err->message - used - 3;
    snprintf(err->message, sizeof err->message, "%s: %.*s", context, (int)room, old);
    return err->status;
}
