/**
 * The instructor's voice: Opus packets decoded by WebCodecs, stretched where the speed is not 1, heard from
 * where the instructor's head is. Its clock leads the lesson.
 */
import type { Master } from './clock';
import type { VoicePacket } from './codec';
import type { Speaker } from './player';
import { Chain } from './schedule';
import { Stretch } from './stretch';

const rate = 48000;
/** Packets joined before they are given to the sound card: fewer nodes, no seams. */
const joined = 10;

/** Why this browser cannot play voice; undefined where it can. */
export async function voiceProblem(): Promise<string | undefined> {
  if (typeof AudioDecoder === 'undefined' || typeof AudioContext === 'undefined') return 'This browser cannot decode the voice (it has no WebCodecs). All else plays.';
  const { supported } = await AudioDecoder.isConfigSupported({ codec: 'opus', sampleRate: rate, numberOfChannels: 1 });
  return supported ? undefined : 'This browser cannot decode Opus, so the voice is not heard. All else plays.';
}

interface Spot { readonly x: number; readonly y: number; readonly z: number }

function put(x: AudioParam, y: AudioParam, z: AudioParam, to: Spot): void {
  x.value = to.x;
  y.value = to.y;
  z.value = to.z;
}

/** Where a block was put since the last jump, seconds of the audio clock; for tests. */
export interface Planned { time: number; start: number }

export class Voice implements Speaker {
  readonly clock: Master;
  readonly planned: Planned[] = [];
  private readonly context = new AudioContext({ sampleRate: rate, latencyHint: 'interactive' });
  private readonly panner: PannerNode;
  private readonly gain: GainNode;
  private readonly chain = new Chain();
  private readonly playing = new Set<AudioBufferSourceNode>();
  private decoder: AudioDecoder | undefined;
  private pending: { time: number; samples: Float32Array }[] = [];
  private stretch: Stretch | undefined;
  private when: (time: number) => number = (time) => time;
  private speed = 1;
  private latency = 0;
  private generation = 0;

  /** `preSkip`: samples by which what is decoded comes late. */
  constructor(private readonly preSkip: number, private readonly failed: (error: Error) => void) {
    this.panner = new PannerNode(this.context, { panningModel: 'HRTF', distanceModel: 'inverse', refDistance: 1, rolloffFactor: 0.4 });
    this.gain = new GainNode(this.context);
    this.panner.connect(this.gain).connect(this.context.destination);
    this.clock = { now: () => this.context.currentTime - this.latency };
  }

  set muted(value: boolean) { this.gain.gain.value = value ? 0 : 1; }
  get muted(): boolean { return this.gain.gain.value === 0; }

  async play(): Promise<boolean> {
    const resumed = this.context.resume().then(() => true, () => false);
    await Promise.race([resumed, new Promise((done) => setTimeout(done, 600))]);
    this.latency = this.context.outputLatency || 0;
    return this.context.state === 'running';
  }

  pause(): void { this.drop(); }

  drop(): void {
    this.generation++;
    for (const node of this.playing) node.stop();
    this.playing.clear();
    this.pending = [];
    this.planned.length = 0;
    this.stretch = undefined;
    this.chain.drop();
    if (this.decoder && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = undefined;
  }

  private decoding(): AudioDecoder {
    if (this.decoder) return this.decoder;
    const mine = this.generation;
    const decoder = new AudioDecoder({
      output: (data) => { if (mine === this.generation) this.decoded(data); data.close(); },
      error: (error) => { if (mine === this.generation) { this.decoder = undefined; this.failed(error); } },
    });
    decoder.configure({ codec: 'opus', sampleRate: rate, numberOfChannels: 1 });
    return (this.decoder = decoder);
  }

  give(packets: readonly VoicePacket[], when: (time: number) => number, speed: number): void {
    this.when = when;
    this.speed = speed;
    for (const packet of packets) this.decoding().decode(new EncodedAudioChunk({ type: 'key', timestamp: packet.time, data: packet.data }));
  }

  private decoded(data: AudioData): void {
    const samples = new Float32Array(data.numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
    const last = this.pending.at(-1);
    const follows = last && Math.abs(last.time + (last.samples.length / rate) * 1e6 - data.timestamp) < 2000;
    if (last && !follows) this.plan();
    this.pending.push({ time: data.timestamp, samples });
    if (this.pending.length >= joined) this.plan();
  }

  /** Joins what is pending to one block and puts it on the audio clock. */
  private plan(): void {
    const [first] = this.pending;
    if (!first) return;
    const all = new Float32Array(this.pending.reduce((n, p) => n + p.samples.length, 0));
    let at = 0;
    for (const { samples } of this.pending) {
      all.set(samples, at);
      at += samples.length;
    }
    this.pending = [];
    const samples = this.speed === 1 ? all : (this.stretch ??= new Stretch(this.speed)).push(all);
    if (samples.length === 0) return;
    const due = this.when(first.time - (this.preSkip / rate) * 1e6);
    const start = this.chain.place(due, samples.length / rate);
    this.planned.push({ time: first.time, start });
    if (this.planned.length > 1000) this.planned.shift();
    this.sound(samples, start);
  }

  private sound(samples: Float32Array, start: number): void {
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: rate, numberOfChannels: 1 });
    buffer.copyToChannel(samples as Float32Array<ArrayBuffer>, 0);
    const node = new AudioBufferSourceNode(this.context, { buffer });
    node.connect(this.panner);
    const late = this.context.currentTime - start;
    if (late >= buffer.duration) return;
    node.start(Math.max(start, this.context.currentTime), Math.max(0, late));
    this.playing.add(node);
    node.onended = () => this.playing.delete(node);
  }

  /** The instructor's head and the learner's, world metres; which way the learner looks, and what is up for them. Once a frame. */
  place(head: Spot, ear: Spot, forward: Spot, up: Spot): void {
    const { panner, context: { listener } } = this;
    put(panner.positionX, panner.positionY, panner.positionZ, head);
    if (!listener.positionX) return; // Firefox keeps the listener at the origin
    put(listener.positionX, listener.positionY, listener.positionZ, ear);
    put(listener.forwardX, listener.forwardY, listener.forwardZ, forward);
    put(listener.upX, listener.upY, listener.upZ, up);
  }

  close(): void {
    this.drop();
    void this.context.close();
  }
}
