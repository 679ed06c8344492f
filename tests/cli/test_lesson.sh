#!/bin/sh
# Lessons through the program: described, checked, cut, edited, exported; exit codes of what is wrong.
. "$(dirname "$0")/lib.sh"
lesson="$SOURCE/tests/fuzz/corpus/fuzz_lesson/plain.mcap"

expect "info" 0 "Where the portal vein divides" "$FABRICA" lesson info "$lesson"
expect "info as JSON" 0 '"mb_per_hour"' "$FABRICA" lesson info "$lesson" --json
expect "verify" 0 "as written" "$FABRICA" lesson verify "$lesson"
expect "trim" 0 "part.mcap" "$FABRICA" lesson trim "$lesson" 1 0:02.5 -o part.mcap
expect "the part is whole" 0 "as written" "$FABRICA" lesson verify part.mcap
expect "chapters" 0 "Part 1" "$FABRICA" lesson chapters "$lesson"
printf '0 First\n0:01.5 Second\n' >list
expect "new chapters" 0 "set.mcap" "$FABRICA" lesson chapters "$lesson" --set list -o set.mcap
expect "are there" 0 "0:00:01.500  Second" "$FABRICA" lesson chapters set.mcap
expect "captions" 0 "out.vtt" "$FABRICA" lesson captions "$lesson" -o out.vtt
holds "as WebVTT" grep -q "Here it divides" out.vtt
printf 'WEBVTT\n\n00:00.000 --> 00:01.000\nHola\n' >es.vtt
expect "more captions" 0 "es.mcap" "$FABRICA" lesson captions "$lesson" --add es.vtt --language es -o es.mcap
expect "are attached" 0 "captions.es.vtt" "$FABRICA" lesson info es.mcap
expect "no language" 2 "is no tag like en" "$FABRICA" lesson captions "$lesson" --add es.vtt --language "../e" -o no.mcap
for format in jsonl webvtt gltf; do
    expect "export $format" 0 "out.$format" "$FABRICA" lesson export "$lesson" --format $format -o out.$format
done

LC_ALL=C sed 's/format_version/form\xe1t_version/' "$SOURCE/tests/fuzz/corpus/fuzz_lesson/no-crc-small.mcap" >foreign.mcap
expect "a text that is no UTF-8" 3 "metadata: not UTF-8" "$FABRICA" lesson verify foreign.mcap

opus="$SOURCE/tests/fuzz/corpus/fuzz_opus/spoken.opus"
expect "no voice" 0 "silent.mcap" "$FABRICA" lesson voice "$lesson" -o silent.mcap
holds "nothing is heard" sh -c '! "$0" lesson info silent.mcap | grep -q voice' "$FABRICA"
expect "another voice" 0 "voiced.mcap" "$FABRICA" lesson voice "$lesson" --chapter 1 --with "$opus" -o voiced.mcap
expect "is where the old one was" 0 "voice/teacher" "$FABRICA" lesson info voiced.mcap
"$FABRICA" lesson export voiced.mcap -q -o voiced.jsonl
holds "and is another" sh -c '[ "$(grep -c \"topic\":\"voice voiced.jsonl)" = 44 ]'
expect "between others" 0 "second.mcap" "$FABRICA" lesson voice set.mcap --chapter 2 --with "$opus" -o second.mcap
expect "numbered on" 0 "as written" "$FABRICA" lesson verify second.mcap
expect "a voice for the silent" 0 "spoken.mcap" "$FABRICA" lesson voice silent.mcap --with "$opus" -o spoken.mcap
expect "verified" 0 "as written" "$FABRICA" lesson verify spoken.mcap
expect "as written" 0 "as written" "$FABRICA" lesson verify voiced.mcap
expect "no such chapter" 2 "plain.mcap has 1 chapter" "$FABRICA" lesson voice "$lesson" --chapter 2 -o y.mcap
expect "a short one" 0 "short.mcap" "$FABRICA" lesson trim "$lesson" 1 1.3 -o short.mcap
expect "too long" 2 "the new voice takes 0.88 s" "$FABRICA" lesson voice short.mcap --with "$opus" -o y.mcap
expect "not Ogg" 3 "no Ogg file" "$FABRICA" lesson voice "$lesson" --with "$lesson" -o y.mcap
head -c 2000 "$opus" >cut.opus
expect "cut Ogg" 3 "cut.opus: the file ends before" "$FABRICA" lesson voice "$lesson" --with cut.opus -o y.mcap

head -c 5000 "$lesson" >cut.mcap
expect "a cut lesson" 0 "cut at its end" "$FABRICA" lesson verify cut.mcap
cp "$lesson" bad.mcap
printf 'X' | dd of=bad.mcap bs=1 seek=3000 conv=notrunc 2>/dev/null
expect "a flipped byte" 4 "CRC does not match" "$FABRICA" lesson verify bad.mcap
echo hello, this is no lesson >words.mcap
expect "no lesson" 3 "words.mcap: no MCAP file" "$FABRICA" lesson info words.mcap
expect "missing" 3 "nowhere.mcap" "$FABRICA" lesson info nowhere.mcap
mkfifo pipe
expect "a pipe" 1 "pipe is a named pipe, not a file" timeout 20 "$FABRICA" lesson info pipe
expect "a pipe to verify" 1 "pipe is a named pipe, not a file" timeout 20 "$FABRICA" lesson verify pipe
expect "a pipe for a voice" 1 "pipe is a named pipe, not a file" timeout 20 "$FABRICA" lesson voice "$lesson" --with pipe -o y.mcap
expect "a device" 1 "/dev/zero is a device, not a file" "$FABRICA" lesson info /dev/zero
expect "no output" 2 "Give -o FILE" "$FABRICA" lesson trim "$lesson" 0 1
expect "a bad time" 2 "is no time" "$FABRICA" lesson trim "$lesson" x 1 -o y.mcap
expect "past the end" 2 "of a lesson of" "$FABRICA" lesson trim "$lesson" 100 200 -o y.mcap
expect "bad captions" 3 "WebVTT line 1" "$FABRICA" lesson captions "$lesson" --add words.mcap -o y.mcap
expect "a bad action" 2 'did you mean verify' "$FABRICA" lesson verfy "$lesson"
holds "nothing half written" sh -c '[ ! -e y.mcap ]'
nothing_left "no temporary file" .
finish
