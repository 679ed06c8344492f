/* dicom_wire.h - what the parent and the decoding worker say to each other.
 *
 *   parent (fabrica)                                worker (sandboxed, no file, no network)
 *   -----------------                               ------------------------------------------
 *   opens the file, sends   request + file fd  -->  maps the fd, DCMTK parses, codecs decode
 *   checks everything       <--  reply (status, message, CPU used)
 *   reads the region        <==  shared memory: header + frame records, or stored pixel values
 *
 * Plain structures only: no pointers cross, every string has a fixed room and is terminated by
 * the parent again, every count is checked by the parent again. The region is a memfd sealed
 * against shrinking, so that the worker cannot take it away under the parent.
 */
#ifndef FAB_DICOM_WIRE_H
#define FAB_DICOM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabrica/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAB_WIRE_MAGIC 0x31464457u /* "WDF1" */
#define FAB_WIRE_MESSAGE_BYTES 384
#define FAB_WIRE_SOCKET_FD 3 /* in the worker, after exec */
#define FAB_WIRE_REGION_FD 4
#define FAB_WIRE_IMAGE_FD 5 /* the worker's own executable; closed first thing */

typedef enum fab_wire_op {
    FAB_WIRE_HELLO = 1, /* sent by the worker once: status 1 = sandboxed, 0 = not, with why */
    FAB_WIRE_HEADER,    /* parse up to the pixel data: fills fab_wire_header + frames */
    FAB_WIRE_FRAMES,    /* decode frame_count frames from first_frame to int32 */
    FAB_WIRE_FAULT      /* test hook: misbehave in a named way, to prove the walls */
} fab_wire_op;

/* What FAB_WIRE_FAULT does. */
typedef enum fab_wire_fault {
    FAB_FAULT_NONE,
    FAB_FAULT_SEGV,   /* writes to address 0 */
    FAB_FAULT_SPIN,   /* never returns */
    FAB_FAULT_OPEN,   /* opens a file */
    FAB_FAULT_SOCKET, /* opens a network socket */
    FAB_FAULT_EXEC,   /* starts a program */
    FAB_FAULT_MEMORY  /* takes memory until refused */
} fab_wire_fault;

typedef struct fab_wire_request {
    uint32_t magic, op;
    uint64_t file_id;    /* the worker keeps the last file mapped and parsed */
    uint64_t file_bytes;
    uint64_t region_bytes;
    uint32_t first_frame, frame_count;
    uint32_t fault, reserved;
} fab_wire_request;

typedef struct fab_wire_reply {
    uint32_t magic;
    int32_t status; /* fab_status; 1 from hello: sandboxed */
    uint64_t cpu_us; /* CPU time of the worker so far */
    char message[FAB_WIRE_MESSAGE_BYTES];
} fab_wire_reply;

/* Which optional values a frame carries. */
enum {
    FAB_FRAME_POSITION = 1,
    FAB_FRAME_ORIENTATION = 2,
    FAB_FRAME_SPACING = 4,
    FAB_FRAME_THICKNESS = 8,
    FAB_FRAME_RESCALE = 16
};

typedef struct fab_wire_frame {
    double position[3];    /* Image Position (Patient), LPS mm */
    double orientation[6]; /* Image Orientation (Patient): row then column direction */
    double spacing[2];     /* Pixel Spacing: between rows, between columns, mm */
    double thickness, slope, intercept;
    double echo_time, b_value, trigger_time;
    int32_t temporal, acquisition, echo, in_stack;
    char stack_id[20], kind[68]; /* Stack ID; Image Type or Frame Type, raw */
    uint32_t has;
} fab_wire_frame;

typedef struct fab_wire_header {
    /* raw bytes in `charset`; fab_dicom_text makes UTF-8 of them */
    char charset[132], patient_id[260], patient_name[772], patient_sex[20], birth_date[20];
    char study_uid[68], series_uid[68], frame_uid[68], sop_class[68], sop_instance[68];
    char transfer_syntax[68];
    char study_date[20], study_time[20], study_id[68], accession[68], study_description[260];
    char modality[20], series_description[260], manufacturer[260], body_part[68], kernel[68];
    char image_type[260], photometric[20], series_date[20], series_time[20];
    char protocol[260];
    int32_t series_number, instance_number;
    double gantry_tilt;         /* degrees; NaN if absent */
    uint32_t rows, columns, frames;
    uint16_t samples, bits_allocated, bits_stored, high_bit, is_signed, big_endian;
    int32_t padding_low, padding_high; /* Pixel Padding Value and Range Limit */
    uint32_t has_padding, has_modality_lut, has_pixels, multi_frame;
} fab_wire_header;

/* Frame records start here in the region. */
#define FAB_WIRE_FRAMES_OFFSET ((sizeof(fab_wire_header) + 63u) / 64u * 64u)

/* ---- transfer syntaxes ------------------------------------------------------------------ */

typedef enum fab_syntax_kind {
    FAB_SYNTAX_NATIVE,
    FAB_SYNTAX_DEFLATED,      /* whole data set deflated */
    FAB_SYNTAX_DCMTK,         /* encapsulated, a DCMTK codec */
    FAB_SYNTAX_JPEG2000,      /* encapsulated, OpenJPEG */
    FAB_SYNTAX_DEFLATED_FRAME /* encapsulated, zlib a frame */
} fab_syntax_kind;

typedef struct fab_syntax {
    const char *uid, *name;
    fab_syntax_kind kind;
    bool lossy;
} fab_syntax;

/* NULL if we do not read it. */
const fab_syntax *fab_dicom_syntax_find(const char *uid);
/* A name for a person, also of those we do not read; the UID itself if unknown. */
const char *fab_dicom_syntax_name(const char *uid);

#ifdef __cplusplus
}
#endif
#endif
