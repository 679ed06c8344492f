/** Passes the microphone's samples on in blocks of 20 ms with the frame they begin at. */
class Capture extends AudioWorkletProcessor {
  block = new Float32Array(960);
  filled = 0;

  process([input]) {
    const samples = input?.[0];
    if (!samples) return true;
    for (let i = 0; i < samples.length; i++) {
      this.block[this.filled++] = samples[i];
      if (this.filled < this.block.length) continue;
      this.port.postMessage({ frame: currentFrame + i + 1 - this.filled, samples: this.block }, [this.block.buffer]);
      this.block = new Float32Array(960);
      this.filled = 0;
    }
    return true;
  }
}
registerProcessor('fabrica-capture', Capture);
