/**
 * Makes Opus of the microphone's blocks. In a worker, with a port from the audio thread: on a page that draws all it can, what an
 * encoder gives waits behind the pictures, and voice came half a minute late.
 *
 *   in   {config, port, joined}     once; then blocks {frame, samples} and {end} on the port
 *   out  {ready: preSkip}, {packets: [{frame, peak, data}]} with `joined` packets each, {done}, {failed: words}
 */
const failed = (error) => postMessage({ failed: error.message });

/** Samples to drop at the start, of the OpusHead that an encoder of silence gives. */
async function learnPreSkip(config) {
  let found = 312;
  const output = (_chunk, meta) => {
    const head = meta?.decoderConfig?.description;
    if (!head) return;
    const view = ArrayBuffer.isView(head) ? new DataView(head.buffer, head.byteOffset, head.byteLength) : new DataView(head);
    if (view.byteLength >= 12) found = view.getUint16(10, true);
  };
  const encoder = new AudioEncoder({ output, error: () => undefined });
  encoder.configure(config);
  encoder.encode(audio(config.sampleRate, 0, new Float32Array(1920)));
  await encoder.flush();
  encoder.close();
  return found;
}

const audio = (rate, frame, data) => new AudioData({ format: 'f32-planar', sampleRate: rate, numberOfFrames: data.length, numberOfChannels: 1, timestamp: Math.round((frame / rate) * 1e6), data });

function encode(config, port, joined) {
  const peaks = []; // of the blocks whose packets are not here yet
  let packets = [];
  const send = () => {
    if (packets.length > 0) postMessage({ packets }, packets.map((p) => p.data.buffer));
    packets = [];
  };
  const output = (chunk) => {
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    packets.push({ frame: (chunk.timestamp / 1e6) * config.sampleRate, peak: peaks.shift() ?? 0, data });
    if (packets.length >= joined) send();
  };
  const encoder = new AudioEncoder({ output, error: failed });
  encoder.configure(config);
  port.onmessage = ({ data }) => {
    if (encoder.state !== 'configured') return;
    if (data.end) {
      void encoder.flush().catch(() => undefined).then(() => { send(); postMessage({ done: true }); });
      return;
    }
    let peak = 0;
    for (const v of data.samples) peak = Math.max(peak, Math.abs(v));
    peaks.push(peak);
    encoder.encode(audio(config.sampleRate, data.frame, data.samples));
  };
}

onmessage = async ({ data: { config, port, joined } }) => {
  try {
    const preSkip = await learnPreSkip(config);
    encode(config, port, joined);
    postMessage({ ready: preSkip });
  } catch (error) {
    failed(error);
  }
};
