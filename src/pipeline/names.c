/* names.c - names of files made from names of structures and paths. */
#include "pipeline_internal.h"

#include <string.h>

void fab_safe_name(const char *name, char *into, size_t capacity)
{
    size_t n = 0;
    for (; name[n] && n + 1 < capacity; n++) {
        char c = name[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-' || (c == '.' && n > 0);
        into[n] = plain ? c : '_';
    }
    if (n == 0 && capacity > 1) into[n++] = '_';
    into[n] = '\0';
}
