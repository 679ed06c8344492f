#!/bin/sh
# fabrica view: a viewer (paired by the code) is shown no patient; an owner is.
. "$(dirname "$0")/lib.sh"
missing curl && exit 77
. "$SOURCE/tests/cli/view_lib.sh"
phantom patient 7
mv patient/dicom patient/Doe_Jane
"$FABRICA" twin patient/Doe_Jane --labels patient/truth/labels.nii.gz -o Doe_Jane_1980 -q --format glb-headset,glb,stl,obj,3mf,seg || bad twin
cp "$SOURCE/tests/fuzz/corpus/fuzz_lesson/$(ls "$SOURCE/tests/fuzz/corpus/fuzz_lesson" | head -1)" patient/broken.mcap
mkdir Doe_Jane_1980/lessons && cp patient/broken.mcap Doe_Jane_1980/lessons/broken.mcap && echo nothing >Doe_Jane_1980/lessons/empty.mcap
CASE=Doe_Jane_1980
start private --host 127.0.0.1
status "owner" 204 -c owner.jar -d "{\"link\":\"$LINK\"}" "$URL/api/v1/session"
status "viewer" 204 -c view.jar -d "{\"code\":\"$CODE\"}" "$URL/api/v1/session"
grep -q "Doe" private.out && bad "the folder's name is not printed for others to see" || ok "the folder's name is not printed"
holds "all that a viewer may read" /usr/bin/env python3 "$SOURCE/tests/cli/view_private.py" "$URL" view.jar owner.jar Doe_Jane_1980 "$SOURCE" Jane Doe_Jane_1980 "$WORK"

stop "stopped" TERM
grep -qE "Doe|Phantom" private.out.log && bad "nor does the log" || ok "nor does the log"

cp -r Doe_Jane_1980 damaged && printf 'no volume' >damaged/volume.nii.gz
CASE=damaged
start damaged --host 127.0.0.1
status "viewer again" 204 -c view.jar -d "{\"code\":\"$CODE\"}" "$URL/api/v1/session"
status "a volume that is damaged" 500 -b view.jar "$URL/api/v1/case/volume/1"
grep -q damaged body && bad "no folder in the error" "$(cat body)" || ok "no folder in the error"
stop "stopped again" TERM
finish
