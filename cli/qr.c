/* qr.c - a QR code on the terminal: two rows of modules a line, by half blocks. */
#include <qrencode.h>

#include "cli.h"

enum { QUIET_ZONE = 2 };

static bool dark(const QRcode *code, int x, int y)
{
    if (x < 0 || y < 0 || x >= code->width || y >= code->width) return false;
    return code->data[y * code->width + x] & 1;
}

void cli_print_qr(const char *text, FILE *to)
{
    /* light modules are drawn, so that it reads on the usual dark terminal */
    static const char *const blocks[] = {"\xe2\x96\x88", "\xe2\x96\x80", "\xe2\x96\x84", " "};
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (!code) return;
    for (int y = -QUIET_ZONE; y < code->width + QUIET_ZONE; y += 2) {
        fputs("  ", to);
        for (int x = -QUIET_ZONE; x < code->width + QUIET_ZONE; x++)
            fputs(blocks[(dark(code, x, y) ? 2 : 0) + (dark(code, x, y + 1) ? 1 : 0)], to);
        fputc('\n', to);
    }
    QRcode_free(code);
}
