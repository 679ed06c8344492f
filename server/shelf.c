/* shelf.c - the lessons of a case: their names. */
#include "server_internal.h"

#include <string.h>

void fab_shelf_slug(const char *title, char slug[FAB_LESSON_SLUG_BYTES])
{
    size_t n = 0;
    for (; *title && n < FAB_LESSON_SLUG_BYTES - 6; title++) { /* room for "-999" */
        unsigned char c = (unsigned char)*title;
        bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        if (upper || lower || (c >= '0' && c <= '9')) slug[n++] = (char)(upper ? c + 32 : c);
        else if (n && slug[n - 1] != '-') slug[n++] = '-';
    }
    while (n && slug[n - 1] == '-') n--;
    slug[n] = '\0';
    if (!n) memcpy(slug, "lesson", 7);
}
