/* color.c - sRGB to the CIELab that DICOM stores (PS3.3 C.10.7.1.1): PCS values with the D50 white
 * point, not D65. sRGB is made linear (IEC 61966-2-1), brought to XYZ, adapted from D65 to D50 by
 * the Bradford transform (ICC.1:2010 annex E; both steps are one matrix here), then to L*a*b*. */
#include <math.h>

#include "fabrica/anatomy.h"

static const double d50_white[3] = {0.96422, 1.0, 0.82521};

/* XYZ (D50) from linear sRGB. Each row sums to the white point. */
static const double xyz_from_rgb[3][3] = {
    {0.4360747, 0.3850649, 0.1430804},
    {0.2225045, 0.7168786, 0.0606169},
    {0.0139322, 0.0971045, 0.7141733},
};

static double linear(uint8_t channel)
{
    double v = channel / 255.0;
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double lab_curve(double t)
{
    const double delta = 6.0 / 29.0;
    return t > delta * delta * delta ? cbrt(t) : t / (3 * delta * delta) + 4.0 / 29.0;
}

static uint16_t scaled(double value, double low, double high)
{
    double s = (value - low) / (high - low) * 65535.0;
    return (uint16_t)lround(s < 0 ? 0 : s > 65535 ? 65535 : s);
}

void fab_anatomy_dicom_cielab(const uint8_t rgb[3], uint16_t lab[3])
{
    double f[3];
    for (int row = 0; row < 3; row++) {
        double sum = 0;
        for (int c = 0; c < 3; c++) sum += xyz_from_rgb[row][c] * linear(rgb[c]);
        f[row] = lab_curve(sum / d50_white[row]);
    }
    lab[0] = scaled(116 * f[1] - 16, 0, 100);
    lab[1] = scaled(500 * (f[0] - f[1]), -128, 127);
    lab[2] = scaled(200 * (f[1] - f[2]), -128, 127);
}
