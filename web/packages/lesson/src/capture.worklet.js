/** Hands the microphone's samples, in blocks of 20 ms with the frame they begin at, to the port it is given: not to the page, which may be busy. */
class Capture extends AudioWorkletProcessor {
  block = new Float32Array(960);
  filled = 0;
  out;
  ended = false;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.port) this.out = data.port;
      else this.end();
    };
  }

  /** What was heard last goes out, filled up with silence; then the end is told behind it. */
  end() {
    if (this.ended) return;
    this.ended = true;
    if (this.filled > 0) this.out?.postMessage({ frame: currentFrame - this.filled, samples: this.block.fill(0, this.filled) });
    this.out?.postMessage({ end: true });
  }

  process([input]) {
    const samples = input?.[0];
    if (!samples || !this.out || this.ended) return !this.ended;
    for (let i = 0; i < samples.length; i++) {
      this.block[this.filled++] = samples[i];
      if (this.filled < this.block.length) continue;
      this.out.postMessage({ frame: currentFrame + i + 1 - this.filled, samples: this.block }, [this.block.buffer]);
      this.block = new Float32Array(960);
      this.filled = 0;
    }
    return true;
  }
}
registerProcessor('fabrica-capture', Capture);
