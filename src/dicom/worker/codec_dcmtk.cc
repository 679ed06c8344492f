// codec_dcmtk.cc - C shim: one encapsulated frame through DCMTK's RLE, JPEG and JPEG-LS codecs.
#include <cstdio>
#include <cstring>
#include <exception>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmdata/dcobject.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dcxfer.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/oflog/oflog.h>

#include "worker.h"

extern "C" void fab_worker_warm_up(void)
{
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    (void)dcmDataDict.isDictionaryLoaded();
    // files that passed through implicit VR carry known elements as UN (PS3.5 6.2.2)
    dcmEnableUnknownVRConversion.set(OFTrue);
    // the colour model stays as stored: only MONOCHROME frames get here
    DJDecoderRegistration::registerCodecs(EDC_never);
    DJLSDecoderRegistration::registerCodecs();
    DcmRLEDecoderRegistration::registerCodecs();
}

namespace {

OFCondition describe(DcmDataset &ds, const fab_wire_header &h)
{
    OFCondition c = ds.putAndInsertUint16(DCM_SamplesPerPixel, h.samples);
    if (c.good()) c = ds.putAndInsertString(DCM_PhotometricInterpretation, h.photometric);
    if (c.good()) c = ds.putAndInsertString(DCM_NumberOfFrames, "1");
    if (c.good()) c = ds.putAndInsertUint16(DCM_Rows, static_cast<Uint16>(h.rows));
    if (c.good()) c = ds.putAndInsertUint16(DCM_Columns, static_cast<Uint16>(h.columns));
    if (c.good()) c = ds.putAndInsertUint16(DCM_BitsAllocated, h.bits_allocated);
    if (c.good()) c = ds.putAndInsertUint16(DCM_BitsStored, h.bits_stored);
    if (c.good()) c = ds.putAndInsertUint16(DCM_HighBit, h.high_bit);
    if (c.good()) c = ds.putAndInsertUint16(DCM_PixelRepresentation, h.is_signed);
    return c;
}

OFCondition add_fragment(DcmPixelSequence &seq, const uint8_t *bytes, size_t count)
{
    DcmPixelItem *item = new DcmPixelItem(DcmTag(DCM_Item, EVR_OB));
    OFCondition c = seq.insert(item);
    if (c.bad()) {
        delete item;
        return c;
    }
    // odd lengths are malformed but met; DCMTK pads on write only
    return count > 0 ? item->putUint8Array(bytes, static_cast<unsigned long>(count)) : EC_Normal;
}

fab_status decode(const fab_codec_job *job, const char *uid, uint8_t *out, size_t out_bytes,
                  fab_error *err)
{
    DcmDataset ds;
    DcmPixelSequence *seq = new DcmPixelSequence(DcmTag(DCM_PixelData, EVR_OB));
    DcmPixelData *pixels = new DcmPixelData(DCM_PixelData);
    pixels->putOriginalRepresentation(DcmXfer(uid).getXfer(), nullptr, seq);
    OFCondition c = ds.insert(pixels, OFTrue);
    if (c.bad()) {
        delete pixels;
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a compressed frame");
    }
    c = describe(ds, *job->header);
    if (c.good()) c = add_fragment(*seq, nullptr, 0); // empty offset table
    for (size_t i = 0; c.good() && i < job->fragment_count; i++)
        c = add_fragment(*seq, job->base + job->fragments[i].offset, job->fragments[i].bytes);
    Uint32 fragment = 1;
    OFString colour;
    if (c.good())
        c = pixels->getUncompressedFrame(&ds, 0, fragment, out, static_cast<Uint32>(out_bytes),
                                         colour);
    if (c.bad())
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s does not decode: %s", fab_dicom_syntax_name(uid),
                 c.text());
    return FAB_OK;
}

} // namespace

extern "C" fab_status fab_worker_codec_dcmtk(const fab_codec_job *job, const char *syntax_uid,
                                             uint8_t *out, size_t out_bytes, fab_error *err)
{
    try {
        return decode(job, syntax_uid, out, out_bytes, err);
    } catch (const std::exception &e) {
        return fab_error_set(err, FAB_ERR_FORMAT, "the frame does not decode: %s", e.what());
    } catch (...) {
        return fab_error_set(err, FAB_ERR_FORMAT, "the frame does not decode");
    }
}
