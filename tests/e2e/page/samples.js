// Hands every block of sound that reaches it to the page, untouched.
class Samples extends AudioWorkletProcessor {
  process(inputs) {
    const channel = inputs[0][0];
    // Without a channel nothing is connected yet, or the far end has gone quiet: both are silence.
    this.port.postMessage(channel ? channel.slice() : new Float32Array(128));
    return true;
  }
}

registerProcessor("samples", Samples);
