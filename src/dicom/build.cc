// build.cc - C shim: DCMTK data sets, written to memory.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcfilefo.h>
#include <dcmtk/dcmdata/dcmetinf.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrleerg.h>
#include <dcmtk/dcmdata/dcrlerp.h>
#include <dcmtk/dcmdata/dcsequen.h>
#include <dcmtk/dcmdata/dcvrul.h>
#include <dcmtk/dcmdata/dcxfer.h>
#include <dcmtk/dcmjpeg/djencode.h>
#include <dcmtk/dcmjpeg/djrplol.h>
#include <dcmtk/oflog/oflog.h>

#include "build.h"

struct fab_dcm {
    DcmFileFormat file;
    OFCondition state = EC_Normal;
    char where[64] = "";
};

namespace {

// 2.25 + SHA-256("fabrica implementation class"), 128 bits
const char implementation_class[] = "2.25.297484530353431877460569391454599609931";
const char implementation_version[] = "FABRICA_" FAB_VERSION;

DcmItem *item_of(fab_dcm_item *item)
{
    return reinterpret_cast<DcmItem *>(item);
}

DcmTag tag_of(uint32_t tag)
{
    return DcmTag(static_cast<Uint16>(tag >> 16), static_cast<Uint16>(tag & 0xffff));
}

void keep(fab_dcm *d, uint32_t tag, OFCondition c)
{
    if (d->state.bad() || c.good()) return;
    d->state = c;
    snprintf(d->where, sizeof d->where, "(%04X,%04X)", tag >> 16, tag & 0xffff);
}

bool ready(const fab_dcm *d, const fab_dcm_item *item)
{
    return item != nullptr && d->state.good();
}

void register_encoders()
{
    static std::once_flag once;
    std::call_once(once, [] {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        DJEncoderRegistration::registerCodecs();
        DcmRLEEncoderRegistration::registerCodecs();
    });
}

// Not JPEG-LS: DCMTK 3.6.7's encoder puts the byte that pads a frame to an even length not into its
// output but into its input, at the output's length: for noise beyond the input's end.
OFCondition compress(DcmDataset &ds, E_TransferSyntax to)
{
    switch (to) {
    case EXS_RLELossless: {
        DcmRLERepresentationParameter p;
        return ds.chooseRepresentation(to, &p);
    }
    case EXS_JPEGProcess14SV1:
    case EXS_JPEGProcess14: {
        DJ_RPLossless p;
        return ds.chooseRepresentation(to, &p);
    }
    default: return EC_UnsupportedEncoding;
    }
}

OFCondition prepare_meta(DcmFileFormat &file, E_TransferSyntax to)
{
    DcmMetaInfo *meta = file.getMetaInfo();
    OFCondition c = file.validateMetaInfo(to);
    if (c.good()) c = meta->putAndInsertString(DCM_ImplementationClassUID, implementation_class);
    if (c.good())
        c = meta->putAndInsertString(DCM_ImplementationVersionName, implementation_version);
    if (c.good())
        c = meta->computeGroupLengthAndPadding(EGL_withGL, EPD_noChange, EXS_LittleEndianExplicit,
                                               EET_UndefinedLength);
    return c;
}

fab_status drain(DcmOutputBufferStream &stream, fab_buf *out, fab_error *err)
{
    void *bytes = nullptr;
    offile_off_t count = 0;
    stream.flushBuffer(bytes, count);
    return count > 0 ? fab_buf_append(out, bytes, static_cast<size_t>(count), err) : FAB_OK;
}

fab_status serialise(DcmFileFormat &file, E_TransferSyntax to, fab_buf *out, fab_error *err)
{
    char room[65536];
    DcmOutputBufferStream stream(room, sizeof room);
    file.transferInit();
    OFCondition c;
    do {
        c = file.write(stream, to, EET_ExplicitLength, nullptr, EGL_recalcGL, EPD_noChange, 0, 0, 0,
                       EWM_dontUpdateMeta);
        fab_status s = drain(stream, out, err);
        if (s < 0) return s;
    } while (c == EC_StreamNotifyClient);
    // the deflating filter keeps bytes until told that no more will come
    stream.flush();
    while (c.good() && !stream.isFlushed()) {
        fab_status s = drain(stream, out, err);
        if (s < 0) return s;
        stream.flush();
    }
    fab_status s = drain(stream, out, err);
    file.transferEnd();
    if (s < 0) return s;
    if (c.bad()) FAB_FAIL(err, FAB_ERR_FORMAT, "the DICOM object cannot be written: %s", c.text());
    return FAB_OK;
}

fab_status write(fab_dcm *d, const char *uid, fab_buf *out, fab_error *err)
{
    if (d->state.bad())
        FAB_FAIL(err, FAB_ERR_ARG, "DICOM element %s cannot be written: %s", d->where,
                 d->state.text());
    E_TransferSyntax to = DcmXfer(uid).getXfer();
    if (to == EXS_Unknown)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "transfer syntax %s is not written", uid);
    register_encoders();
    if (DcmXfer(to).isEncapsulated()) {
        OFCondition c = compress(*d->file.getDataset(), to);
        if (c.bad() || !d->file.getDataset()->canWriteXfer(to))
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "transfer syntax %s is not written: %s",
                     DcmXfer(to).getXferName(), c.text());
    }
    OFCondition c = prepare_meta(d->file, to);
    if (c.bad()) FAB_FAIL(err, FAB_ERR_ARG, "no DICOM meta header: %s", c.text());
    return serialise(d->file, to, out, err);
}

template <typename F> void guarded(fab_dcm *d, fab_dcm_item *item, uint32_t tag, F &&f)
{
    if (!ready(d, item)) return;
    try {
        keep(d, tag, f(*item_of(item)));
    } catch (const std::exception &) {
        keep(d, tag, EC_MemoryExhausted);
    }
}

} // namespace

fab_dcm *fab_dcm_create(void)
{
    return new (std::nothrow) fab_dcm;
}

fab_dcm *fab_dcm_free(fab_dcm *d)
{
    delete d;
    return nullptr;
}

fab_dcm_item *fab_dcm_root(fab_dcm *d)
{
    return reinterpret_cast<fab_dcm_item *>(static_cast<DcmItem *>(d->file.getDataset()));
}

fab_dcm_item *fab_dcm_add(fab_dcm *d, fab_dcm_item *parent, uint32_t tag)
{
    DcmItem *item = nullptr;
    guarded(d, parent, tag, [&](DcmItem &p) {
        return p.findOrCreateSequenceItem(tag_of(tag), item, -2 /* append */);
    });
    return reinterpret_cast<fab_dcm_item *>(item);
}

fab_dcm_item *fab_dcm_last(fab_dcm *d, fab_dcm_item *parent, uint32_t tag)
{
    DcmItem *item = nullptr;
    guarded(d, parent, tag, [&](DcmItem &p) {
        return p.findOrCreateSequenceItem(tag_of(tag), item, -1 /* the last */);
    });
    return reinterpret_cast<fab_dcm_item *>(item);
}

void fab_dcm_attribute(fab_dcm *d, fab_dcm_item *item, uint32_t tag, uint16_t group,
                       uint16_t element)
{
    guarded(d, item, tag, [&](DcmItem &i) {
        return i.putAndInsertTagKey(tag_of(tag), DcmTagKey(group, element));
    });
}

void fab_dcm_text(fab_dcm *d, fab_dcm_item *item, uint32_t tag, const char *value)
{
    guarded(d, item, tag, [&](DcmItem &i) {
        return i.putAndInsertString(tag_of(tag), value != nullptr ? value : "");
    });
}

void fab_dcm_u16(fab_dcm *d, fab_dcm_item *item, uint32_t tag, const uint16_t *v, size_t count)
{
    guarded(d, item, tag, [&](DcmItem &i) {
        return i.putAndInsertUint16Array(tag_of(tag), v, static_cast<unsigned long>(count));
    });
}

void fab_dcm_u32(fab_dcm *d, fab_dcm_item *item, uint32_t tag, const uint32_t *v, size_t count)
{
    guarded(d, item, tag, [&](DcmItem &i) {
        DcmUnsignedLong *e = new DcmUnsignedLong(DcmTag(tag_of(tag), EVR_UL));
        OFCondition c = e->putUint32Array(v, static_cast<unsigned long>(count));
        if (c.good()) c = i.insert(e, OFTrue);
        if (c.bad()) delete e;
        return c;
    });
}

void fab_dcm_decimals(fab_dcm *d, fab_dcm_item *item, uint32_t tag, const double *v, size_t count)
{
    char list[17 * 8];
    size_t at = 0;
    for (size_t i = 0; i < count && i < 8; i++) {
        char text[40];
        double value = v[i] == 0.0 ? 0.0 : v[i]; // no "-0"
        for (int digits = 17; digits > 0; digits--)
            if (snprintf(text, sizeof text, "%.*g", digits, value) <= 16) break;
        int n = snprintf(list + at, sizeof list - at, "%s%s", i > 0 ? "\\" : "", text);
        at += static_cast<size_t>(n);
    }
    fab_dcm_text(d, item, tag, list);
}

void fab_dcm_integer(fab_dcm *d, fab_dcm_item *item, uint32_t tag, long value)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", value);
    fab_dcm_text(d, item, tag, text);
}

void fab_dcm_pixels_u16(fab_dcm *d, const uint16_t *cells, size_t count)
{
    guarded(d, fab_dcm_root(d), 0x7fe00010u, [&](DcmItem &i) {
        return i.putAndInsertUint16Array(DCM_PixelData, cells, static_cast<unsigned long>(count));
    });
}

fab_status fab_dcm_write(fab_dcm *d, const char *uid, fab_buf *out, fab_error *err)
{
    try {
        return write(d, uid, out, err);
    } catch (const std::exception &e) {
        return fab_error_set(err, FAB_ERR_NOMEM, "the DICOM object cannot be written: %s",
                             e.what());
    }
}
