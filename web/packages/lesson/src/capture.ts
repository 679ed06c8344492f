/**
 * The microphone as Opus packets of 20 ms, by WebCodecs, stamped by our clock. The page carries packets only:
 *
 *   audio thread --blocks--> worker --12 packets--> page: stamps them, sends them
 */
import workletUrl from './capture.worklet.js';
import type { VoicePacket } from './codec';
import workerUrl from './encode.worker.js';
import { CaptureClock } from './stamp';

const rate = 48000;
const config: AudioEncoderConfig & { opus: { frameDuration: number; application: string } } = {
  codec: 'opus', sampleRate: rate, numberOfChannels: 1, bitrate: 24000, opus: { frameDuration: 20000, application: 'voip' },
};
/** Packets of one message; a quarter of a second, as they are sent. */
const joined = 12;
/** Milliseconds between looks at the audio clock, and the longest wait for the last packets. */
const every = { look: 50, end: 5000 } as const;
/** A block whose peak is above this share of full scale is no silence. */
const loud = 0.02;

export interface Microphone {
  /** Of the channel's metadata. */
  readonly preSkip: number;
  /** Share of full scale, the last blocks' peak; for a meter. */
  readonly level: number;
  /** When the first sound that is no silence was made, ms of performance.now(); undefined: none yet. */
  readonly heardAt: number | undefined;
  /** `time` of packets: ms of performance.now(). */
  start(on: (packet: VoicePacket) => void): void;
  /** Listens no more; resolves when all that was said has been handed over, or after five seconds. */
  finish(): Promise<void>;
  stop(): void;
}

interface Encoded { frame: number; peak: number; data: Uint8Array }
type FromWorker = { ready: number } | { packets: Encoded[] } | { done: true } | { failed: string };

/** The worker, ready to encode what comes on `port`. Throws with words. */
async function openEncoder(port: MessagePort): Promise<{ worker: Worker; preSkip: number }> {
  const worker = new Worker(new URL(workerUrl, import.meta.url));
  const ready = new Promise<number>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if ('ready' in data) resolve(data.ready);
      else if ('failed' in data) reject(new Error(`the voice cannot be encoded: ${data.failed}`));
    };
    worker.onerror = () => reject(new Error('the voice cannot be encoded in this browser'));
  });
  worker.postMessage({ config, port, joined }, [port]);
  try {
    return { worker, preSkip: await ready };
  } catch (error) {
    worker.terminate();
    throw error;
  }
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
    const { port1, port2 } = new MessageChannel();
    const { worker, preSkip } = await openEncoder(port2);
    return new Capture(stream, context, port1, worker, preSkip, failed);
  } catch (error) {
    for (const track of stream.getTracks()) track.stop();
    await context.close();
    throw error;
  }
}

class Capture implements Microphone {
  level = 0;
  heardAt: number | undefined;
  private readonly clock = new CaptureClock(rate);
  private readonly node: AudioWorkletNode;
  private readonly timer = setInterval(() => this.look(), every.look);
  private on: ((packet: VoicePacket) => void) | undefined;
  private sequence = 0;
  private done: () => void = () => undefined;
  private broken = false;

  constructor(private readonly stream: MediaStream, private readonly context: AudioContext, port: MessagePort, private readonly worker: Worker, readonly preSkip: number, failed: (error: Error) => void) {
    this.node = new AudioWorkletNode(context, 'fabrica-capture', { numberOfOutputs: 0 });
    this.node.port.postMessage({ port }, [port]);
    new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(this.node);
    const fail = (words: string): void => {
      this.broken = true;
      this.done();
      failed(new Error(words));
    };
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if ('packets' in data) this.packets(data.packets);
      else if ('done' in data) this.done();
      else if ('failed' in data) fail(data.failed);
    };
    stream.getAudioTracks()[0]?.addEventListener('ended', () => fail('the microphone is gone'));
    this.look();
  }

  /** Compares the clocks as they are now: a message would wait while the page is busy. */
  private look(): void { this.clock.told(this.context.currentTime * rate, performance.now()); }

  private packets(list: readonly Encoded[]): void {
    this.look();
    this.level = Math.max(...list.map((p) => p.peak));
    for (const { frame, peak, data } of list) {
      const time = this.clock.at(frame);
      if (peak > loud) this.heardAt ??= time;
      this.on?.({ time, sequence: this.sequence, data });
      if (this.on) this.sequence++;
    }
  }

  start(on: (packet: VoicePacket) => void): void { this.on = on; }

  async finish(): Promise<void> {
    const done = new Promise<void>((resolve) => { this.done = resolve; });
    this.node.port.postMessage({ end: true });
    for (const track of this.stream.getTracks()) track.stop();
    if (!this.broken) await Promise.race([done, new Promise((late) => setTimeout(late, every.end))]);
    this.stop();
  }

  stop(): void {
    this.on = undefined;
    clearInterval(this.timer);
    this.worker.terminate();
    for (const track of this.stream.getTracks()) track.stop();
    if (this.context.state !== 'closed') void this.context.close();
  }
}
