// check_seg.mjs DICOM_MAKE: our SEG through dcmjs and cornerstone's adapter, the way a web viewer
// loads it; every voxel must carry the segment that the label map has there. (The tilted series has
// no such view: its SEG is not on the source images' pixels, and says so.)
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import dcmjs from 'dcmjs';
import { createRequire } from 'node:module';

// the package does not say that it is an ES module; node 18 goes by that, or by the file's name
const adapters = path.join(path.dirname(createRequire(import.meta.url).resolve('dcmjs/package.json')), '../@cornerstonejs/adapters/dist');
fs.copyFileSync(path.join(adapters, 'adapters.es.js'), path.join(adapters, 'fabrica.mjs'));
const { adaptersSEG } = await import(path.join(adapters, 'fabrica.mjs'));
const values = { 1: 3, 2: 5, 3: 7, 4: 11, 5: 300 }; // segment number -> label value
const fail = (text) => { throw new Error(text); };

function read(file) {
    const bytes = fs.readFileSync(file);
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    return { buffer, data: dcmjs.data.DicomMessage.readFile(buffer) };
}

function provider(images) {
    return {
        get(module, id) {
            const d = images.get(id);
            const o = d.ImageOrientationPatient.map(Number);
            switch (module) {
            case 'imagePlaneModule':
                return { rowCosines: o.slice(0, 3), columnCosines: o.slice(3), rows: d.Rows,
                         columns: d.Columns, imagePositionPatient: d.ImagePositionPatient };
            case 'generalSeriesModule':
                return { seriesInstanceUID: d.SeriesInstanceUID, modality: d.Modality };
            case 'generalImageModule':
            case 'sopCommonModule':
                return { sopInstanceUID: d.SOPInstanceUID, sopClassUID: d.SOPClassUID };
            default: return d;
            }
        },
    };
}

async function check(make, kind, top) {
    execFileSync(make, [top, kind]);
    const text = fs.readFileSync(path.join(top, 'grid.txt'), 'utf8').split(/\s+/).map(Number);
    const size = text.slice(0, 3), step = [2, 6, 10].map((i) => text[3 + i]);
    const bytes = fs.readFileSync(path.join(top, 'labels.bin'));
    const labels = new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const slices = fs.readdirSync(path.join(top, 'ct')).map((name) => {
        const { data } = read(path.join(top, 'ct', name));
        return dcmjs.data.DicomMetaDictionary.naturalizeDataset(data.dict);
    });
    const along = (d) => d.ImagePositionPatient.reduce((sum, p, i) => sum + Number(p) * step[i], 0);
    slices.sort((a, b) => along(a) - along(b));
    const images = new Map(slices.map((d, k) => [`image:${k}`, d]));
    const seg = read(path.join(top, 'seg.dcm')).buffer;
    const state = await adaptersSEG.Cornerstone3D.Segmentation.generateToolState(
        [...images.keys()], seg, provider(images));
    if (state.labelmapBufferArray.length !== 1) fail(`${kind}: overlapping segments`);
    const got = new Uint8Array(state.labelmapBufferArray[0]);
    if (got.length !== size[0] * size[1] * size[2]) fail(`${kind}: ${got.length} voxels`);
    let inside = 0;
    for (let i = 0; i < got.length; i++) {
        if ((got[i] ? values[got[i]] : 0) !== labels[i]) fail(`${kind}: voxel ${i}: ${got[i]}, ${labels[i]}`);
        inside += got[i] > 0;
    }
    const names = state.segMetadata.data.filter(Boolean).map((s) => s.SegmentLabel);
    console.log(`ok ${kind}: ${inside} voxels in ${names.length} segments: ${names.join(', ')}`);
}

for (const kind of ['axial', 'feet', 'coronal', 'oblique']) {
    const top = fs.mkdtempSync(path.join(os.tmpdir(), 'seg-'));
    try {
        await check(process.argv[2], kind, top);
    } finally {
        fs.rmSync(top, { recursive: true });
    }
}
