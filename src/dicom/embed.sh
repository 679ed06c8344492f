#!/bin/sh
# embed.sh EXECUTABLE OUTPUT.S: an assembly file that holds the executable's bytes, so that the
# library carries its decoding worker with it.
set -eu
strip --strip-debug -o "$2.elf" "$1"
image=$(realpath "$2.elf")
cat >"$2" <<EOF
    .section .rodata
    .balign 64
    .global fab_dicom_worker_image
    .hidden fab_dicom_worker_image
fab_dicom_worker_image:
    .incbin "$image"
    .global fab_dicom_worker_image_end
    .hidden fab_dicom_worker_image_end
fab_dicom_worker_image_end:
    .byte 0
    .section .note.GNU-stack,"",@progbits
EOF
