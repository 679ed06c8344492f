/** Recording on a wire of the test: the messages of ADR 0113, and what of a server's answers becomes of it. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Session } from '@fabrica/contract';
import type { Rig } from '@fabrica/scene';
import { decodePoses, decodeVoice, Recorder } from '../src/index';
import type { RecordOptions, Wire } from '../src/index';

class TestWire implements Wire {
  texts: Record<string, unknown>[] = [];
  binary: { kind: number; time: number; body: Uint8Array }[] = [];
  closed = false;
  say: (message: Record<string, unknown>) => void = () => undefined;
  drop: () => void = () => undefined;

  send(data: string | Uint8Array): void {
    if (typeof data === 'string') return void this.texts.push(JSON.parse(data) as Record<string, unknown>);
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    assert.deepEqual([...data.subarray(1, 8)], [0, 0, 0, 0, 0, 0, 0]);
    this.binary.push({ kind: data[0] as number, time: Number(view.getBigUint64(8, true)), body: data.subarray(16) });
  }

  listen(on: (message: Record<string, unknown>) => void, closed: () => void): void {
    this.say = on;
    this.drop = closed;
  }

  close(): void { this.closed = true; }
}

const options: RecordOptions = { title: 'T', language: 'en', software: 'test', kinds: { right: 'pointer', space: 'target-ray' }, voice: { preSkip: 312 } };

function begun(session = new Session([1, 2, 3]), choice = options): { wire: TestWire; session: Session; recorder: Recorder } {
  const wire = new TestWire();
  const recorder = new Recorder(wire, session, choice, () => undefined);
  wire.say({ type: 'record.started', name: 't' });
  return { wire, session, recorder };
}

test('rows are numbered from 1 in the lesson\'s time, and undo names the lesson\'s own row', () => {
  const session = new Session([1, 2, 3]);
  session.dispatch({ op: 'explode', args: { amount: 10 } });
  const { wire, recorder } = begun(session);
  session.dispatch({ op: 'structure.show', args: { ids: [2], visible: false } });
  session.undo();
  session.undo(); // a row from before the recording
  assert.equal(wire.texts.filter((m) => m['type'] === 'row').length, 3, 'voice has begun: nothing waits yet');
  recorder.stop();
  const rows = wire.texts.filter((m) => m['type'] === 'row').map((m) => m['row'] as { seq: number; undoes?: number; t: number });
  assert.deepEqual(rows.map((r) => [r.seq, r.undoes]), [[1, undefined], [2, 1], [3, undefined]]);
  assert.ok(rows.every((r, i) => r.t >= (rows[i - 1]?.t ?? 0)));
  assert.equal((wire.texts[0]?.['state'] as { explode: number }).explode, 10);
});

test('a scene nobody touched is sent as null', () => assert.equal(begun().wire.texts[0]?.['state'], null));

const rig = (time: number, x: number): Rig => ({ time, head: { position: [x, 1.6, 0], rotation: [0, 0, 0, 1] }, right: { position: [0, 1, 0], rotation: [0, 0, 0, 1], pressed: 1, trigger: 1, squeeze: 0.5 } });

test('rigs leave four times a second, thinned to 90 Hz, quantised once', () => {
  const { wire, recorder } = begun(new Session([1]), { ...options, voice: undefined });
  const began = performance.now();
  for (let i = 0; i < 200; i++) recorder.rig(rig(began + i * 5, i * 0.001), options.kinds);
  const batches = wire.binary.filter((b) => b.kind === 0);
  assert.ok(batches.length >= 3 && batches.length <= 5, `${batches.length} batches`);
  const samples = batches.flatMap((b) => decodePoses(b.body, b.time, 'wire'));
  assert.ok(samples.length > 50 && samples.length <= 90, `${samples.length}`);
  assert.equal(samples[0]?.controls.right, 1 + 255 * 256 + 128 * 65536);
  assert.ok(samples.every((s) => s.time % 100 === 0));
});

for (const [hz, devices, hands] of [[72, 72, 36], [90, 90, 36], [120, 90, 36], [60, 60, 36], [30, 30, 30]] as const) {
  test(`frames of ${hz} Hz that jitter by 1.5 ms: ${devices} samples of devices a second, ${hands} of hands`, () => {
    const { wire, recorder } = begun(new Session([1]), { ...options, voice: undefined });
    const began = performance.now();
    const joints = Array.from({ length: 25 }, (_, i) => ({ position: [i * 0.005, 1, 0] as [number, number, number], rotation: [0, 0, 0, 1] as [number, number, number, number] }));
    let s = 5;
    const noise = (): number => (s = (Math.imul(s, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
    for (let n = 0; n < hz * 20; n++) recorder.rig({ ...rig(began + (n * 1000) / hz + 3 * noise(), n * 0.001), hands: { left: joints, right: undefined } }, options.kinds);
    recorder.stop();
    const count = (kind: number): number => wire.binary.filter((b) => b.kind === kind).reduce((sum, b) => sum + ((b.body[2] as number) | ((b.body[3] as number) << 8)), 0) / 20;
    assert.ok(Math.abs(count(0) / devices - 1) < 0.015, `${count(0)} a second`);
    assert.ok(Math.abs(count(1) / hands - 1) < 0.015, `${count(1)} of hands a second`);
  });
}

test('a pose that is none is left out; new devices are told', () => {
  const { wire, recorder } = begun();
  recorder.rig({ time: performance.now(), head: { position: [NaN, 0, 0], rotation: [0, 0, 0, 1] } }, { left: 'hand', right: 'hand', space: 'target-ray' });
  assert.deepEqual(wire.texts.at(-1)?.['object'], { event: 'devices', left: 'hand', right: 'hand', space: 'target-ray' });
  recorder.stop();
  assert.equal(wire.binary.length, 0);
});

test('voice: batches of a quarter second, all of it sent by stop', () => {
  const { wire, recorder } = begun();
  const began = performance.now() + 1;
  for (let i = 0; i < 30; i++) recorder.packet({ time: began + i * 20, sequence: i, data: Uint8Array.of(1, i) });
  recorder.stop();
  const packets = wire.binary.filter((b) => b.kind === 2).flatMap((b) => decodeVoice(b.body, b.time, 'wire'));
  assert.deepEqual(packets.map((p) => p.sequence), Array.from({ length: 30 }, (_, i) => i));
  assert.equal(wire.texts.at(-1)?.['type'], 'record.stop');
});

test('rows wait for voice that is late, and lose no order', () => {
  const { wire, session, recorder } = begun();
  const began = performance.now() - 5000; // a page that was busy: our clock is far ahead of what was heard
  Object.assign(recorder, { began });
  session.dispatch({ op: 'explode', args: { amount: 5 } });
  const rows = (): number => wire.texts.filter((m) => m['type'] === 'row').length;
  assert.equal(rows(), 0);
  for (let i = 0; i < 240; i++) recorder.packet({ time: began + i * 20, sequence: i, data: Uint8Array.of(1) });
  assert.equal(rows(), 1, 'sent as soon as voice came near');
});

/** Nothing is a second older than something before it, as the server wants it. */
function accepted(wire: TestWire): void {
  let newest = 0;
  for (const { kind, time, body } of wire.binary) {
    assert.ok(time >= newest - 1e6, `${kind} at ${time} behind ${newest}`);
    newest = Math.max(newest, time, kind === 0 ? (decodePoses(body, time, 'wire').at(-1)?.time as number) : (decodeVoice(body, time, 'wire').at(-1)?.time as number));
  }
}

test('a page that stood still for four seconds: what it had not sent comes before what was said meanwhile', () => {
  const { wire, recorder } = begun();
  const began = performance.now() - 10000;
  Object.assign(recorder, { began });
  const say = (from: number, to: number): void => { for (let i = from / 20; i < to / 20; i++) recorder.packet({ time: began + i * 20, sequence: i, data: Uint8Array.of(1) }); };
  say(0, 1000);
  for (let t = 900; t < 1100; t += 20) recorder.rig(rig(began + t, 0), options.kinds);
  say(1000, 5000);
  for (let t = 5000; t < 5100; t += 20) recorder.rig(rig(began + t, 0), options.kinds);
  recorder.stop();
  accepted(wire);
  assert.equal(wire.binary.filter((b) => b.kind === 0).flatMap((b) => decodePoses(b.body, b.time, 'wire')).length, 15);
  assert.equal(recorder.moved, 0);
});

test('voice that is later than anything waits for is moved, not lost: the server takes all that is sent', () => {
  const { wire, recorder } = begun();
  const began = performance.now() - 60000;
  Object.assign(recorder, { began });
  const rigs = (from: number, to: number): void => { for (let t = from; t < to; t += 20) recorder.rig(rig(began + t, 0), options.kinds); };
  rigs(0, 20000); // forty seconds old: sent without voice
  for (let i = 0; i < 50; i++) recorder.packet({ time: began + i * 20, sequence: i, data: Uint8Array.of(1) });
  recorder.stop();
  accepted(wire);
  assert.equal(wire.binary.filter((b) => b.kind === 2).flatMap((b) => decodeVoice(b.body, b.time, 'wire')).length, 50);
  assert.ok(recorder.moved > 1.8e7 && recorder.moved < 2e7, `${recorder.moved} us`);
});

test('stop waits for what was said last, and takes nothing that happens later', async () => {
  const { wire, session, recorder } = begun();
  const began = performance.now();
  let given: () => void = () => undefined;
  recorder.stop(new Promise((resolve) => { given = resolve; }));
  assert.deepEqual([recorder.phase, recorder.going], ['stopping', false]);
  session.dispatch({ op: 'explode', args: { amount: 5 } });
  recorder.packet({ time: began + 1, sequence: 0, data: Uint8Array.of(7) });
  assert.ok(wire.texts.every((m) => m['type'] !== 'record.stop'));
  given();
  await new Promise((soon) => setTimeout(soon));
  assert.equal(wire.texts.at(-1)?.['type'], 'record.stop');
  assert.ok(wire.texts.every((m) => m['type'] !== 'row'));
  assert.equal(wire.binary.filter((b) => b.kind === 2).length, 1);
  wire.say({ type: 'record.stopped', name: 't', duration_us: 20000, dropped: 0 });
  assert.equal(recorder.phase, 'saved');
});

test('when the microphone is gone nothing waits for it', () => {
  const { wire, session, recorder } = begun();
  Object.assign(recorder, { began: performance.now() - 5000 });
  session.dispatch({ op: 'explode', args: { amount: 5 } });
  assert.ok(wire.texts.every((m) => m['type'] !== 'row'));
  recorder.silent();
  assert.equal(wire.texts.at(-1)?.['type'], 'row');
});

test('what the server says becomes a phase and words', () => {
  const done = begun();
  done.wire.say({ type: 'record.saved', t: 1500000 });
  assert.equal(done.recorder.saved, 1500000);
  done.recorder.stop();
  done.wire.say({ type: 'record.stopped', name: 't-2', duration_us: 2000000, dropped: 0 });
  assert.deepEqual([done.recorder.phase, done.recorder.name, done.wire.closed], ['saved', 't-2', true]);
  const lost = begun();
  lost.wire.drop();
  assert.deepEqual([lost.recorder.phase, lost.recorder.problem], ['lost', 'the connection to the server was lost']);
  const sent = lost.wire.texts.length;
  lost.session.dispatch({ op: 'explode', args: { amount: 5 } });
  assert.equal(lost.wire.texts.length, sent, 'nothing is sent after that');
  const full = begun();
  full.wire.say({ type: 'error', code: 'space', message: 'the disk is full', ended: true });
  full.wire.say({ type: 'record.stopped', name: 't', duration_us: 900000 });
  assert.deepEqual([full.recorder.phase, full.recorder.problem], ['ended', 'the disk is full']);
  const wire = new TestWire();
  const never = new Recorder(wire, new Session([1]), options, () => undefined);
  wire.say({ type: 'error', code: 'role', message: 'only the owner records' });
  assert.deepEqual([never.phase, never.problem], ['refused', 'only the owner records']);
});
