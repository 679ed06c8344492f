/** The microphone as Opus packets of 20 ms, by WebCodecs, stamped by our clock. */
import workletUrl from './capture.worklet.js';
import type { VoicePacket } from './codec';
import { CaptureClock } from './stamp';

const rate = 48000;
const config: AudioEncoderConfig & { opus: { frameDuration: number; application: string } } = {
  codec: 'opus', sampleRate: rate, numberOfChannels: 1, bitrate: 24000, opus: { frameDuration: 20000, application: 'voip' },
};

/** Samples to drop at the start, of the OpusHead the encoder gives. */
function preSkipOf(meta: EncodedAudioChunkMetadata | undefined): number {
  const head = meta?.decoderConfig?.description;
  if (!head) return 312;
  const view = ArrayBuffer.isView(head) ? new DataView(head.buffer, head.byteOffset, head.byteLength) : new DataView(head);
  return view.byteLength >= 12 ? view.getUint16(10, true) : 312;
}

export interface Microphone {
  /** Of the channel's metadata. */
  readonly preSkip: number;
  /** Share of full scale, the last block's peak; for a meter. */
  readonly level: number;
  /** `time` of packets: ms of performance.now(). */
  start(on: (packet: VoicePacket) => void): void;
  stop(): void;
}

/** What an encoder of silence says about itself. */
async function learnPreSkip(): Promise<number> {
  let found = 312;
  const encoder = new AudioEncoder({ output: (_chunk, meta) => { if (meta?.decoderConfig) found = preSkipOf(meta); }, error: () => undefined });
  encoder.configure(config);
  encoder.encode(new AudioData({ format: 'f32-planar', sampleRate: rate, numberOfFrames: 1920, numberOfChannels: 1, timestamp: 0, data: new Float32Array(1920) }));
  await encoder.flush();
  encoder.close();
  return found;
}

/** Asks for the microphone. Throws an Error with words where there is none, or it is not given. */
export async function openMicrophone(device: string | undefined, failed: (error: Error) => void): Promise<Microphone> {
  if (typeof AudioEncoder === 'undefined') throw new Error('this browser cannot record voice (it has no WebCodecs)');
  if (!navigator.mediaDevices) throw new Error('a microphone needs a secure address (https, or localhost)');
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, ...(device ? { deviceId: { exact: device } } : {}) } })
    .catch((error: DOMException) => { throw new Error(error.name === 'NotFoundError' ? 'no microphone was found' : error.name === 'NotAllowedError' ? 'the microphone was not allowed' : `the microphone: ${error.message}`); });
  const context = new AudioContext({ sampleRate: rate });
  try {
    await context.audioWorklet.addModule(new URL(workletUrl, import.meta.url));
    return new Capture(stream, context, await learnPreSkip(), failed);
  } catch (error) {
    for (const track of stream.getTracks()) track.stop();
    await context.close();
    throw error;
  }
}

class Capture implements Microphone {
  level = 0;
  private readonly clock = new CaptureClock(rate);
  private readonly node: AudioWorkletNode;
  private readonly encoder: AudioEncoder;
  private on: ((packet: VoicePacket) => void) | undefined;
  private sequence = 0;

  constructor(private readonly stream: MediaStream, private readonly context: AudioContext, readonly preSkip: number, failed: (error: Error) => void) {
    this.node = new AudioWorkletNode(context, 'fabrica-capture', { numberOfOutputs: 0 });
    new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(this.node);
    this.node.port.onmessage = ({ data }: MessageEvent<{ frame: number; samples: Float32Array }>) => this.block(data);
    this.encoder = new AudioEncoder({ output: (chunk) => this.packet(chunk), error: failed });
    this.encoder.configure(config);
    stream.getAudioTracks()[0]?.addEventListener('ended', () => failed(new Error('the microphone is gone')));
  }

  private block({ frame, samples }: { frame: number; samples: Float32Array }): void {
    // the audio clock itself, where the browser lets it be read at any moment: a message waits while the page is busy
    this.clock.told(Math.max(frame + samples.length, this.context.currentTime * rate), performance.now());
    let peak = 0;
    for (const v of samples) peak = Math.max(peak, Math.abs(v));
    this.level = peak;
    if (!this.on || this.encoder.state !== 'configured') return;
    this.encoder.encode(new AudioData({ format: 'f32-planar', sampleRate: rate, numberOfFrames: samples.length, numberOfChannels: 1, timestamp: Math.round((frame / rate) * 1e6), data: samples as Float32Array<ArrayBuffer> }));
  }

  private packet(chunk: EncodedAudioChunk): void {
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    this.on?.({ time: this.clock.at((chunk.timestamp / 1e6) * rate), sequence: this.sequence++, data });
  }

  start(on: (packet: VoicePacket) => void): void { this.on = on; }

  stop(): void {
    this.on = undefined;
    this.node.port.onmessage = null;
    for (const track of this.stream.getTracks()) track.stop();
    if (this.encoder.state !== 'closed') this.encoder.close();
    if (this.context.state !== 'closed') void this.context.close();
  }
}
