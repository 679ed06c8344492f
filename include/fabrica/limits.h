/* fabrica/limits.h - every named maximum on what comes from outside, in one place.
 *
 * Each buffer, count and recursion whose size input controls is checked against one of these
 * before memory is taken. A value above its limit is a FAB_ERR_LIMIT that names the limit.
 */
#ifndef FABRICA_LIMITS_H
#define FABRICA_LIMITS_H

/* base */
#define FAB_MAX_PATH_BYTES 4096
#define FAB_MAX_ERROR_BYTES 768
#define FAB_MAX_JSON_BYTES (64u << 20)
#define FAB_MAX_JSON_DEPTH 64
#define FAB_MAX_THREADS 256
#define FAB_MAX_ALLOC_BYTES ((size_t)1 << 40)

/* volume */
#define FAB_MAX_DIM 8192                        /* voxels along one axis */
#define FAB_MAX_VOXELS ((int64_t)1 << 32)       /* voxels in one volume */
#define FAB_MAX_SPACING_MM 1000.0
#define FAB_MIN_SPACING_MM 1e-3
#define FAB_MAX_LABELS 65535                    /* distinct values in a label map */
#define FAB_MAX_STRUCTURES 512                  /* rows of a label table */
#define FAB_MAX_NAME_BYTES 96

/* files */
#define FAB_MAX_FILES 200000                    /* files in one input folder or archive */
#define FAB_MAX_FOLDER_DEPTH 32
#define FAB_MAX_CASES 20000                     /* of a labelled data set */
#define FAB_MAX_ZIP_ENTRY_BYTES ((uint64_t)2 << 30)
#define FAB_MAX_ZIP_TOTAL_BYTES ((uint64_t)64 << 30)
#define FAB_MAX_ZIP_RATIO 400                   /* unpacked / packed, a bomb above it */
#define FAB_MAX_ZIP_FREE_BYTES ((uint64_t)64 << 20) /* the ratio counts above this */
#define FAB_MAX_GZIP_RATIO 400                  /* of one volume, once above the next size */
#define FAB_MAX_GZIP_BOMB_BYTES ((uint64_t)512 << 20)
#define FAB_MAX_NRRD_HEADER_BYTES (1u << 20)

/* networks */
#define FAB_MAX_TENSORS 8192                    /* in one weight file */
#define FAB_MAX_TENSOR_HEADER_BYTES (16u << 20)
#define FAB_MAX_WEIGHTS ((int64_t)1 << 30)      /* values in one weight file */
#define FAB_NNUNET_MAX_PATCH 1024               /* voxels of a patch along one axis */
#define FAB_MAX_PATCH_VOXELS ((int64_t)1 << 26) /* of a network's patch */

#define FAB_MAX_CALIBRATION_KNOTS 64            /* of one structure's table in a card */

/* checkpoints */
#define FAB_MAX_PICKLE_BYTES (64u << 20)        /* of data.pkl */
#define FAB_MAX_PICKLE_STRING_BYTES (1u << 20)  /* one string or bytes value */
#define FAB_MAX_PICKLE_NODES (1u << 23)         /* values in all */
#define FAB_MAX_PICKLE_STACK (1u << 20)         /* values at once */
#define FAB_MAX_PICKLE_MARKS 256                /* open at once: how deep values nest */
#define FAB_MAX_PICKLE_MEMO (1u << 23)          /* entries */
#define FAB_MAX_PICKLE_DEPTH 64                 /* of values given as JSON */
#define FAB_MAX_CHECKPOINT_VALUES (1u << 20)    /* given as JSON at once */

/* render */
#define FAB_MAX_IMAGE_DIM 16384                 /* pixels along one side of a picture */
#define FAB_MAX_FRAME_SAMPLES ((int64_t)1 << 28) /* of one 3D view, supersampled */

/* dicom */
#define FAB_DICOM_MAX_FRAMES 65536u                  /* frames in one file */
#define FAB_DICOM_MAX_FILE_BYTES ((uint64_t)4 << 30) /* one file */
#define FAB_DICOM_MAX_INFLATED_BYTES ((size_t)1 << 30)
#define FAB_DICOM_MAX_REGION_BYTES ((uint64_t)1 << 30) /* one answer of the decoder */
#define FAB_DICOM_WORKER_BYTES ((uint64_t)2 << 30)   /* heap of the decoder */
#define FAB_DICOM_WORKER_CPU_S 60                    /* CPU time of one request */
#define FAB_DICOM_MIN_SLICES 3                       /* fewer cannot show a gap */
#define FAB_DICOM_MAX_STACKS 10000                   /* series in one scan */

/* lessons (src/record) */
#define FAB_LESSON_MAX_FILE_BYTES ((uint64_t)64 << 30)
#define FAB_LESSON_MAX_CHUNK_BYTES (16u << 20)       /* records of one chunk */
#define FAB_LESSON_MAX_SUMMARY_BYTES (256u << 20)
#define FAB_LESSON_MAX_RECORD_BYTES (1u << 20)       /* any record but chunk, message, attachment */
#define FAB_LESSON_MAX_ATTACHMENT_BYTES (64u << 20)
#define FAB_LESSON_MAX_ATTACHMENTS 256
#define FAB_LESSON_MAX_CHUNKS 400000                 /* four days and a half of one a second */
#define FAB_LESSON_MAX_CHANNELS 1024                 /* 10 a person, 100 people */
#define FAB_LESSON_MAX_SCHEMAS 256
#define FAB_LESSON_MAX_METADATA 256                  /* records */
#define FAB_LESSON_MAX_MAP_ENTRIES 1024              /* of one string map */
#define FAB_LESSON_MAX_TEXT_BYTES (1u << 16)         /* topic, title, media type ... */
#define FAB_LESSON_MAX_EVENTS 65536                  /* samples, packets and rows of one chunk */
#define FAB_LESSON_MAX_BATCH 400                     /* samples of one batch (1 s) */
#define FAB_LESSON_MAX_PACKET_BYTES 1500             /* RFC 6716: 1275 a frame */
#define FAB_LESSON_MAX_VOICE_BYTES (256u << 20)      /* of an Ogg file */
#define FAB_LESSON_MAX_TIME_US ((int64_t)48 * 3600 * 1000000)
#define FAB_SCENE_MAX_BYTES (8u << 20)               /* state as JSON */
#define FAB_SCENE_MAX_ROW_BYTES (1u << 20)
#define FAB_SCENE_MAX_MEASURES 500
#define FAB_SCENE_MAX_ANNOTATIONS 2000

/* server */
#define FAB_SERVER_MAX_HEAD_BYTES 8192               /* all header lines of one request */
#define FAB_SERVER_MAX_TARGET_BYTES 1024             /* the path asked for */
#define FAB_SERVER_MAX_BODY_BYTES 4096               /* of a POST */
#define FAB_SERVER_MAX_CONNECTIONS 256               /* open at once */
#define FAB_SERVER_MAX_PER_ADDRESS 32                /* of them from one address */
#define FAB_SERVER_MAX_SESSIONS 64
#define FAB_SERVER_MAX_LINKS 64
#define FAB_SERVER_MAX_ADDRESSES 256                 /* whose wrong codes are remembered */
#define FAB_SERVER_MAX_MESSAGE_BYTES 16384           /* of a WebSocket, from and to a viewer */
#define FAB_SERVER_MAX_TEXT_BYTES (9u << 20)         /* from an owner: a scene's state */
#define FAB_SERVER_MAX_BATCH_BYTES (1u << 20)        /* from an owner, binary */
#define FAB_SERVER_MAX_ATTACHMENT_BYTES (4u << 20)   /* of a lesson that is recorded */
#define FAB_SERVER_MAX_ATTACHMENTS 32                /* of it */
#define FAB_SERVER_MAX_RECORDINGS 4                  /* at once */
#define FAB_SERVER_MAX_RECORDED_US ((int64_t)8 * 3600 * 1000000)
#define FAB_SERVER_MAX_RECORDED_BYTES ((uint64_t)2 << 30) /* of one lesson */
#define FAB_SERVER_MAX_LESSONS 1000                  /* of a case, listed */
#define FAB_SERVER_MAX_LESSON_BYTES ((uint64_t)4 << 30) /* of one that is listed */
#define FAB_SERVER_SPARE_BYTES ((uint64_t)64 << 20)  /* left free on the disk */
#define FAB_SERVER_MAX_QUEUE 16                      /* messages a slow client has waiting */
#define FAB_SERVER_MAX_FILES 20000                   /* of a case or a web client */
#define FAB_SERVER_STALL_S 30                        /* a client that takes no byte for so long */

#endif
