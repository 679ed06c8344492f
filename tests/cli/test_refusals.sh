#!/bin/sh
# Bad input, one named case after another: what is done to a good study, and what must be said.
# Nothing crashes, nothing is half written, no geometry is guessed.
. "$(dirname "$0")/lib.sh"
phantom patient 7
"$FABRICA" twin patient/dicom --labels patient/truth/labels.nii.gz -o good -q --format nifti || bad "good twin"
gunzip -c good/volume.nii.gz >good.nii

# refused NAME TEXT INPUT [OPTION...]: exit 3, the message, and no trace of a case
refused() {
    name=$1 text=$2 input=$3
    shift 3
    expect "$name" 3 "$text" "$FABRICA" twin "$input" -o out/case "$@"
    [ -z "$(ls -A out)" ] || bad "$name leaves nothing" "$(ls -A out)"
}
# series NAME: a copy of the good series to spoil
series() { rm -rf bad && cp -r patient/dicom bad; }
# poke FILE OFFSET BYTES: overwrites bytes in a file
poke() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
mkdir out

refused missing "does not exist" nowhere
: >empty.dcm
refused zero-byte "is empty (0 bytes)" empty.dcm
mkdir hollow
refused empty-folder "hollow: no files" hollow
printf 'not an image at all, just a few words\n' >words.nii.gz
refused wrong-extension "is none of DICOM, zip, NIfTI and NRRD" words.nii.gz
cp patient/dicom/IMG00003.dcm picture.jpg
refused wrong-extension-dicom "slice" picture.jpg

series
find bad -name '*.dcm' ! -name IMG00003.dcm -delete
refused one-slice "slice" bad
series
rm bad/IMG00007.dcm
refused missing-slice "missing" bad
series
head -c 2000 patient/dicom/IMG00007.dcm >bad/IMG00007.dcm
refused truncated-slice "IMG00007.dcm: the file is truncated" bad
if missing dcmodify; then :; else
    series
    cp bad/IMG00007.dcm bad/again.dcm
    dcmodify -nb -gin -m '(0008,0018)=2.25.4711' bad/again.dcm 2>/dev/null
    dcmodify -nb -m '(0020,0013)=99' bad/again.dcm
    refused duplicate-slice "duplicate" bad
    series
    for i in 1 2 3 4 5; do dcmodify -nb -m '(0010,0020)=SOMEBODY-ELSE' "bad/IMG0000$i.dcm"; done
    refused mixed-patient "patient" bad
    series
    dcmodify -nb -m '(0020,0037)=1\0\0\0\0\1' bad/IMG00007.dcm
    refused mixed-orientation "" bad
    series
    dcmodify -nb -m '(0020,0032)=nan\nan\nan' bad/IMG00007.dcm
    refused nan-position "" bad
fi
phantom other 9
rm -rf bad && mkdir bad && cp -r patient/dicom bad/a && cp -r other/dicom bad/b
refused two-patients 'holds 2 patients: "PHANTOM-' bad
expect "two patients, one chosen" 0 "bad/case: " "$FABRICA" twin bad --series 1 -o bad/case \
    --labels "$("$FABRICA" info bad --json | grep -q '"number": 1' &&
        "$FABRICA" info bad | sed -n '/^Patient/{s/.*PHANTOM-\([79]\)".*/\1/p;q}' |
        sed 's/7/patient/;s/9/other/')/truth/labels.nii.gz" --format nifti
refused no-such-series "there is no number 9" patient/dicom --series 9
refused no-such-uid "no series UID that begins with 1.2.3" patient/dicom --series 1.2.3

head -c 5000 good.nii >short.nii
refused truncated-nifti "short.nii" short.nii
head -c 3000 good/volume.nii.gz >short.nii.gz
refused truncated-gzip "short.nii.gz" short.nii.gz
cp good.nii nan.nii
poke nan.nii 280 '\000\000\300\177'
poke nan.nii 252 '\000\000\001\000'
refused nan-affine "nan.nii" nan.nii
cp good.nii huge.nii
poke huge.nii 42 '\377\177\377\177\377\177'
refused huge-header "huge.nii" huge.nii
cp good.nii nogeometry.nii
poke nogeometry.nii 252 '\000\000\000\000'
refused no-geometry "nogeometry.nii" nogeometry.nii
if missing zip; then :; else
    dd if=/dev/zero bs=1M count=700 2>/dev/null | zip -q bomb.zip -
    refused zip-bomb "bomb.zip" bomb.zip
    (cd patient/dicom && zip -q ../../study.zip ./*)
    head -c 20000 study.zip >short.zip
    refused truncated-zip "short.zip" short.zip
    printf 'PK\005\006' >zero.zip
    head -c 18 /dev/zero >>zero.zip
    refused zip-of-nothing "zero.zip" zero.zip
    zip -q zips.zip study.zip
    refused zip-of-zips "zips.zip: study.zip: not a DICOM file" zips.zip
    ls "${TMPDIR:-/tmp}"/fabrica-zip-* >/dev/null 2>&1 && bad "unpacked zips are removed" || ok "unpacked zips are removed"
fi

refused labels-of-another "is not on the grid of" patient/dicom --labels other/truth/labels.nii.gz
refused labels-that-are-an-image "not a label map" patient/dicom --labels good/volume.nii.gz
phantom mr 7 --modality mr-t2
refused wrong-modality "is for CT" mr/dicom --model unet-tiny
refused labels-where-ct-is-expected "not Hounsfield units" patient/truth/labels.nii.gz
"$FABRICA" twin mr/dicom --labels mr/truth/labels.nii.gz -o mrcase -q --format nifti || bad "MR case"
refused mr-nifti-where-ct-is-expected "not Hounsfield units" mrcase/volume.nii.gz
refused too-little-memory "the cap is 1 MiB" patient/dicom --max-memory 1M
# dimensions NAME DIM...: the good label map with other numbers in dim[0..4]
dimensions() {
    /usr/bin/env python3 - "$@" <<'PY'
import gzip, struct, sys
data = bytearray(gzip.decompress(open("patient/truth/labels.nii.gz", "rb").read()))
struct.pack_into("<5h", data, 40, *map(int, sys.argv[2:]))
open(sys.argv[1], "wb").write(data + data[352:])
PY
}
dimensions four.nii 4 53 44 20 2
refused four-dimensions "several time points (dim[4] is 2)" four.nii
dimensions two.nii 2 53 44 1 1
refused two-dimensions "is not on the grid of two.nii" two.nii --labels patient/truth/labels.nii.gz
if command -v setpriv >/dev/null && [ "$(id -u)" -eq 0 ]; then as_nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
else as_nobody=; fi
chmod 755 . && chmod 777 out
series && chmod 000 bad
expect unreadable-folder 1 "bad: Permission denied" $as_nobody "$FABRICA" twin bad -o out/case
chmod 755 bad && chmod 000 bad/IMG00003.dcm
expect unreadable-slice 3 "bad/IMG00003.dcm: Permission denied" $as_nobody "$FABRICA" twin bad -o out/case
mkdir fixed && chmod 555 fixed
expect read-only-parent 1 "fixed/case: Permission denied" $as_nobody "$FABRICA" twin patient/dicom -o fixed/case
: >plain
expect output-is-a-file 2 "plain exists and is not a folder" "$FABRICA" twin patient/dicom -o plain
expect output-below-a-file 3 "plain, in which plain/case would be made, is not a folder" \
    "$FABRICA" twin patient/dicom -o plain/case
[ -z "$(ls -A out fixed | grep -v :)" ] && ok "nothing is left" || bad "nothing is left" "$(ls -A out fixed)"
mkfifo pipe pipe.nii.gz
refused fifo "pipe is a named pipe, not a file or folder" pipe
for command in info segment mesh export evaluate measure; do
    case $command in
    info | measure) set -- ;;
    evaluate) set -- good.nii ;;
    segment) set -- -o out/piped.nii.gz ;;
    *) set -- -o out/piped ;;
    esac
    expect "a pipe for $command" 3 "pipe.nii.gz is a named pipe, not a file or folder" \
        timeout 60 "$FABRICA" $command pipe.nii.gz "$@"
done
expect "a pipe for labels" 3 "pipe.nii.gz is a named pipe" timeout 60 "$FABRICA" twin patient/dicom -o out/piped \
    --labels pipe.nii.gz
expect "a pipe to compare" 3 "pipe.nii.gz is a named pipe" timeout 60 "$FABRICA" evaluate patient/truth/labels.nii.gz pipe.nii.gz
expect "a device for info" 3 "/dev/zero is a device, not a file or folder" timeout 60 "$FABRICA" info /dev/zero
rm pipe pipe.nii.gz
mkdir twice && cp -r patient/dicom twice/a && cp -r mr/dicom twice/b
expect "two series of one size, one for each modality" 0 "twice/case: " "$FABRICA" twin twice -o twice/case \
    --labels patient/truth/labels.nii.gz --format nifti --series 1
expect "no case to export" 3 "patient is not a case" "$FABRICA" export patient --format stl -o out/export
expect "no case to verify" 3 "patient is not a case" "$FABRICA" verify patient
expect "nowhere to print" 5 "cannot write to standard output: No space" sh -c '"$1" info patient/dicom >/dev/full' - "$FABRICA"

# what is drawn but not named, and nothing drawn at all: no refusal
cp patient/truth/labels.nii.gz named.nii.gz && echo '{"sacrum": 25}' >named.json
expect "values without a name" 0 "label_" "$FABRICA" mesh named.nii.gz -o named
/usr/bin/env python3 - <<'PY'
import gzip
data = bytearray(gzip.decompress(open("patient/truth/labels.nii.gz", "rb").read()))
data[352:] = bytes(len(data) - 352)
open("nothing.nii", "wb").write(data)
PY
expect "nothing found" 0 "seg.dcm is not written: no structure was found" \
    "$FABRICA" twin patient/dicom --labels nothing.nii -o nothing
[ -e nothing/report.html ] && [ ! -e nothing/export/seg.dcm ] && ok "a case of nothing" || bad "a case of nothing"

expect "no folder to write into" 3 "does not exist" "$FABRICA" twin patient/dicom -o nowhere/case
finish
