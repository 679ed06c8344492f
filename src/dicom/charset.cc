// charset.cc - C shim: DCMTK's Specific Character Set conversion of one short string to UTF-8.
#include <cstring>
#include <exception>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcspchrs.h>
#include <dcmtk/ofstd/ofstring.h>
#include <dcmtk/oflog/oflog.h>

extern "C" bool fab_dicom_charset_convert(const char *charset, const char *raw, char *into,
                                          size_t capacity);

extern "C" bool fab_dicom_charset_convert(const char *charset, const char *raw, char *into,
                                          size_t capacity)
{
    try {
        DcmSpecificCharacterSet converter;
        OFString utf8;
        if (converter.selectCharacterSet(charset).bad()) return false;
        // "^=" end an ISO 2022 escape in a Person Name (PS3.5 6.1.2.5.3); harmless elsewhere
        if (converter.convertString(raw, strlen(raw), utf8, "\\^=").bad()) return false;
        if (utf8.length() >= capacity) return false;
        memcpy(into, utf8.c_str(), utf8.length() + 1);
        return true;
    } catch (...) {
        return false;
    }
}
