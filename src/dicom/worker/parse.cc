// parse.cc - C shim: DCMTK reads one data set up to its pixels into the plain wire structures.
//
// Runs in the worker only. Everything DCMTK could throw is caught here.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcsequen.h>
#include <dcmtk/dcmdata/dcitem.h>
#include <dcmtk/dcmdata/dcxfer.h>

#include "worker.h"

namespace {

struct TextField {
    DcmTagKey tag;
    size_t offset, bytes;
};

#define FIELD(tag, member)                                                                        \
    {                                                                                             \
        tag, offsetof(fab_wire_header, member),                                                   \
            sizeof(static_cast<fab_wire_header *>(nullptr)->member)                               \
    }

const TextField *text_fields(size_t &count)
{
    static const TextField fields[] = {
        FIELD(DCM_SpecificCharacterSet, charset),
        FIELD(DCM_PatientID, patient_id),
        FIELD(DCM_PatientName, patient_name),
        FIELD(DCM_PatientSex, patient_sex),
        FIELD(DCM_PatientBirthDate, birth_date),
        FIELD(DCM_StudyInstanceUID, study_uid),
        FIELD(DCM_SeriesInstanceUID, series_uid),
        FIELD(DCM_FrameOfReferenceUID, frame_uid),
        FIELD(DCM_SOPClassUID, sop_class),
        FIELD(DCM_SOPInstanceUID, sop_instance),
        FIELD(DCM_StudyDate, study_date),
        FIELD(DCM_StudyTime, study_time),
        FIELD(DCM_SeriesDate, series_date),
        FIELD(DCM_SeriesTime, series_time),
        FIELD(DCM_StudyID, study_id),
        FIELD(DCM_AccessionNumber, accession),
        FIELD(DCM_StudyDescription, study_description),
        FIELD(DCM_Modality, modality),
        FIELD(DCM_SeriesDescription, series_description),
        FIELD(DCM_Manufacturer, manufacturer),
        FIELD(DCM_BodyPartExamined, body_part),
        FIELD(DCM_ConvolutionKernel, kernel),
        FIELD(DCM_ImageType, image_type),
        FIELD(DCM_PhotometricInterpretation, photometric),
        FIELD(DCM_ProtocolName, protocol),
    };
    count = sizeof fields / sizeof fields[0];
    return fields;
}

// Value of a string element without trailing padding; cut to the room there is.
void get_text(DcmItem &item, const DcmTagKey &tag, char *into, size_t bytes)
{
    const char *value = nullptr;
    into[0] = 0;
    if (item.findAndGetString(tag, value).bad() || value == nullptr) return;
    size_t n = strnlen(value, bytes - 1);
    while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == 0)) n--;
    memcpy(into, value, n);
    into[n] = 0;
}

// Reads `count` backslash-separated decimals. False if absent or empty; a value that is no number
// becomes NaN, so that the geometry gate can name it.
bool get_decimals(DcmItem &item, const DcmTagKey &tag, double *into, int count)
{
    const char *at = nullptr;
    if (item.findAndGetString(tag, at).bad() || at == nullptr) return false;
    while (*at == ' ') at++;
    if (*at == 0) return false;
    for (int i = 0; i < count; i++) {
        char *end = nullptr;
        double v = strtod(at, &end);
        while (*end == ' ') end++;
        bool last = i == count - 1;
        bool fine = end != at && (last ? (*end == 0 || *end == '\\') : *end == '\\');
        into[i] = fine ? v : std::numeric_limits<double>::quiet_NaN();
        if (!fine) {
            for (int k = i; k < count; k++) into[k] = std::numeric_limits<double>::quiet_NaN();
            break;
        }
        at = end + 1;
    }
    return true;
}

double get_decimal(DcmItem &item, const DcmTagKey &tag, double otherwise)
{
    double v = otherwise;
    return get_decimals(item, tag, &v, 1) ? v : otherwise;
}

int32_t get_integer(DcmItem &item, const DcmTagKey &tag)
{
    double v = get_decimal(item, tag, 0);
    return v >= -2147483647.0 && v <= 2147483647.0 ? static_cast<int32_t>(v) : 0;
}

uint16_t get_u16(DcmItem &item, const DcmTagKey &tag)
{
    Uint16 v = 0;
    return item.findAndGetUint16(tag, v).good() ? v : static_cast<uint16_t>(0);
}

// US or SS, whichever DCMTK made of it
bool get_us_or_ss(DcmItem &item, const DcmTagKey &tag, bool is_signed, int32_t &out)
{
    Uint16 u = 0;
    Sint16 s = 0;
    if (item.findAndGetUint16(tag, u).good()) {
        out = is_signed ? static_cast<int16_t>(u) : u;
        return true;
    }
    if (item.findAndGetSint16(tag, s).good()) {
        out = is_signed ? s : static_cast<uint16_t>(s);
        return true;
    }
    return false;
}

DcmItem *first_item(DcmItem &item, const DcmTagKey &tag)
{
    DcmItem *inner = nullptr;
    return item.findAndGetSequenceItem(tag, inner, 0).good() ? inner : nullptr;
}

void read_plane(DcmItem &item, fab_wire_frame &f)
{
    if (get_decimals(item, DCM_ImagePositionPatient, f.position, 3)) f.has |= FAB_FRAME_POSITION;
    if (get_decimals(item, DCM_ImageOrientationPatient, f.orientation, 6))
        f.has |= FAB_FRAME_ORIENTATION;
    if (get_decimals(item, DCM_PixelSpacing, f.spacing, 2)) f.has |= FAB_FRAME_SPACING;
    if (get_decimals(item, DCM_SliceThickness, &f.thickness, 1)) f.has |= FAB_FRAME_THICKNESS;
}

void read_rescale(DcmItem &item, fab_wire_frame &f)
{
    double slope = 1, intercept = 0;
    bool a = get_decimals(item, DCM_RescaleSlope, &slope, 1);
    bool b = get_decimals(item, DCM_RescaleIntercept, &intercept, 1);
    if (!a && !b) return;
    f.slope = slope;
    f.intercept = intercept;
    f.has |= FAB_FRAME_RESCALE;
}

void read_classic(DcmItem &ds, fab_wire_frame &f)
{
    read_plane(ds, f);
    read_rescale(ds, f);
    f.echo_time = get_decimal(ds, DCM_EchoTime, 0);
    f.b_value = get_decimal(ds, DCM_DiffusionBValue, 0);
    f.trigger_time = get_decimal(ds, DCM_TriggerTime, 0);
    f.temporal = get_integer(ds, DCM_TemporalPositionIdentifier);
    f.acquisition = get_integer(ds, DCM_AcquisitionNumber);
    f.echo = get_integer(ds, DCM_EchoNumbers);
    get_text(ds, DCM_ImageType, f.kind, sizeof f.kind);
}

// What tells frames at one place apart.
void read_kind(DcmItem &groups, fab_wire_frame &f);

// One item of the shared or per-frame functional groups (PS3.3 C.7.6.16).
void read_groups(DcmItem &groups, fab_wire_frame &f)
{
    DcmItem *g;
    const DcmTagKey planes[] = {DCM_PlanePositionSequence, DCM_PlaneOrientationSequence,
                                DCM_PixelMeasuresSequence};
    for (const DcmTagKey &t : planes)
        if ((g = first_item(groups, t)) != nullptr) read_plane(*g, f);
    if ((g = first_item(groups, DCM_PixelValueTransformationSequence)) != nullptr)
        read_rescale(*g, f);
    if ((g = first_item(groups, DCM_FrameContentSequence)) != nullptr) {
        get_text(*g, DCM_StackID, f.stack_id, sizeof f.stack_id);
        Uint32 v = 0;
        if (g->findAndGetUint32(DCM_InStackPositionNumber, v).good())
            f.in_stack = static_cast<int32_t>(v & 0x7fffffff);
        if (g->findAndGetUint32(DCM_TemporalPositionIndex, v).good())
            f.temporal = static_cast<int32_t>(v & 0x7fffffff);
    }
    read_kind(groups, f);
}

void read_kind(DcmItem &groups, fab_wire_frame &f)
{
    DcmItem *g;
    const DcmTagKey types[] = {DCM_CTImageFrameTypeSequence, DCM_MRImageFrameTypeSequence};
    for (const DcmTagKey &t : types)
        if ((g = first_item(groups, t)) != nullptr)
            get_text(*g, DCM_FrameType, f.kind, sizeof f.kind);
    Float64 d = 0;
    if ((g = first_item(groups, DCM_MREchoSequence)) != nullptr &&
        g->findAndGetFloat64(DCM_EffectiveEchoTime, d).good())
        f.echo_time = d;
    if ((g = first_item(groups, DCM_MRDiffusionSequence)) != nullptr &&
        g->findAndGetFloat64(DCM_DiffusionBValue, d).good())
        f.b_value = d;
    if ((g = first_item(groups, DCM_CardiacSynchronizationSequence)) != nullptr &&
        g->findAndGetFloat64(DCM_NominalCardiacTriggerDelayTime, d).good())
        f.trigger_time = d;
}

void read_image(DcmItem &ds, fab_wire_header &h)
{
    h.rows = get_u16(ds, DCM_Rows);
    h.columns = get_u16(ds, DCM_Columns);
    h.samples = get_u16(ds, DCM_SamplesPerPixel);
    h.bits_allocated = get_u16(ds, DCM_BitsAllocated);
    h.bits_stored = get_u16(ds, DCM_BitsStored);
    h.high_bit = get_u16(ds, DCM_HighBit);
    h.is_signed = get_u16(ds, DCM_PixelRepresentation);
    h.has_padding = get_us_or_ss(ds, DCM_PixelPaddingValue, h.is_signed != 0, h.padding_low);
    h.padding_high = h.padding_low;
    if (h.has_padding) {
        int32_t limit = 0;
        if (get_us_or_ss(ds, DCM_PixelPaddingRangeLimit, h.is_signed != 0, limit)) {
            h.padding_high = limit > h.padding_low ? limit : h.padding_low;
            h.padding_low = limit < h.padding_low ? limit : h.padding_low;
        }
    }
    h.has_modality_lut = first_item(ds, DCM_ModalityLUTSequence) != nullptr;
    h.series_number = get_integer(ds, DCM_SeriesNumber);
    h.instance_number = get_integer(ds, DCM_InstanceNumber);
    h.gantry_tilt =
        get_decimal(ds, DCM_GantryDetectorTilt, std::numeric_limits<double>::quiet_NaN());
}

fab_status read_frames(DcmItem &ds, fab_wire_header &h, fab_wire_frame *frames,
                       uint32_t max_frames, fab_error *err)
{
    double count = get_decimal(ds, DCM_NumberOfFrames, 1);
    if (!(count >= 1 && count <= max_frames))
        FAB_FAIL(err, FAB_ERR_LIMIT,
                 "Number of Frames (0028,0008) is %g; 1 to %u are read (FAB_DICOM_MAX_FRAMES)",
                 count, max_frames);
    h.frames = static_cast<uint32_t>(count);
    fab_wire_frame base;
    memset(&base, 0, sizeof base);
    base.slope = 1;
    read_classic(ds, base);
    DcmItem *shared = first_item(ds, DCM_SharedFunctionalGroupsSequence);
    if (shared != nullptr) read_groups(*shared, base);
    DcmSequenceOfItems *per_frame = nullptr;
    h.multi_frame = ds.findAndGetSequence(DCM_PerFrameFunctionalGroupsSequence, per_frame).good() ||
                    shared != nullptr;
    DcmObject *item = nullptr;
    for (uint32_t i = 0; i < h.frames; i++) {
        frames[i] = base;
        if (per_frame != nullptr) {
            item = per_frame->nextInContainer(item);
            if (item == nullptr)
                FAB_FAIL(err, FAB_ERR_FORMAT,
                         "Per-frame Functional Groups Sequence (5200,9230) has %u items for "
                         "%u frames",
                         i, h.frames);
            read_groups(*static_cast<DcmItem *>(item), frames[i]);
        } else if (i > 0) {
            frames[i].has &= ~static_cast<uint32_t>(FAB_FRAME_POSITION);
        }
    }
    return FAB_OK;
}

E_TransferSyntax encoding_of(const char *uid)
{
    if (uid[0] == 0) return EXS_Unknown;
    DcmXfer x(uid);
    // not known to DCMTK 3.6.7 or deflated (already inflated): explicit little endian inside
    if (x.getXfer() == EXS_Unknown || strcmp(uid, "1.2.840.10008.1.2.1.99") == 0)
        return EXS_LittleEndianExplicit;
    return x.getXfer();
}

// DCMTK stops behind the header of the first element of group 7FE0 or above (8 or 12 bytes, PS3.5
// 7.1.2); gives where that header starts, or `size` if there is no such group.
size_t header_start(const uint8_t *data, size_t size, size_t stopped, bool big)
{
    const size_t lengths[] = {12, 8};
    for (size_t n : lengths) {
        if (stopped < n || stopped > size) continue;
        const uint8_t *p = data + stopped - n;
        unsigned group = big ? p[0] * 256u + p[1] : p[1] * 256u + p[0];
        bool long_form = p[4] >= 'A' && p[4] <= 'Z' && p[6] == 0 && p[7] == 0;
        if (group == 0x7fe0 && (n == 8 || long_form)) return stopped - n;
    }
    return size;
}

fab_status parse(const uint8_t *data, size_t size, const char *uid, fab_wire_header *h,
                 fab_wire_frame *frames, uint32_t max_frames, fab_parse_result *result,
                 fab_error *err)
{
    DcmInputBufferStream stream;
    stream.setBuffer(data, static_cast<offile_off_t>(size));
    stream.setEos();
    DcmDataset ds;
    ds.transferInit();
    OFCondition c = ds.readUntilTag(stream, encoding_of(uid), EGL_noChange, DCM_MaxReadLength,
                                    DcmTagKey(0x7fe0, 0x0000));
    ds.transferEnd();
    if (c.bad() && c != EC_EndOfStream)
        FAB_FAIL(err, FAB_ERR_FORMAT, "the data set breaks off or is malformed near byte %lld: %s",
                 static_cast<long long>(stream.tell()), c.text());
    DcmXfer xfer(ds.getOriginalXfer());
    result->implicit_vr = xfer.isImplicitVR();
    result->big_endian = xfer.isBigEndian();
    result->stopped_at =
        header_start(data, size, static_cast<size_t>(stream.tell()), result->big_endian);
    if (uid[0] == 0)
        snprintf(h->transfer_syntax, sizeof h->transfer_syntax, "%s", xfer.getXferID());
    size_t count = 0;
    const TextField *fields = text_fields(count);
    for (size_t i = 0; i < count; i++)
        get_text(ds, fields[i].tag, reinterpret_cast<char *>(h) + fields[i].offset,
                 fields[i].bytes);
    if (h->sop_class[0] == 0 && h->modality[0] == 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "neither SOP Class UID (0008,0016) nor Modality (0008,0060)");
    read_image(ds, *h);
    h->big_endian = result->big_endian;
    return read_frames(ds, *h, frames, max_frames, err);
}

} // namespace

extern "C" fab_status fab_worker_parse(const uint8_t *data, size_t size, const char *uid,
                                       fab_wire_header *header, fab_wire_frame *frames,
                                       uint32_t max_frames, fab_parse_result *result,
                                       fab_error *err)
{
    try {
        return parse(data, size, uid, header, frames, max_frames, result, err);
    } catch (const std::exception &e) {
        return fab_error_set(err, FAB_ERR_FORMAT, "the data set cannot be read: %s", e.what());
    } catch (...) {
        return fab_error_set(err, FAB_ERR_FORMAT, "the data set cannot be read");
    }
}
