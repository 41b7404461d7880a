// The microphone, as blocks of samples at 16 kHz.

const RATE = 16000; // Hz; browsers resample
const PATIENCE = 500; // ms in which the last block has to come

export async function openMicrophone(onSamples) {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  const context = new AudioContext({ sampleRate: RATE });
  await context.audioWorklet.addModule("page/worklet.js");
  const node = new AudioWorkletNode(context, "blocks");
  let ended = () => {};
  node.port.onmessage = ({ data }) => (data ? onSamples(data) : ended());
  context.createMediaStreamSource(stream).connect(node);
  return {
    rate: RATE,
    async close() {
      const last = new Promise((settle) => {
        ended = settle;
        setTimeout(settle, PATIENCE);
      });
      node.port.postMessage("end");
      await last;
      for (const track of stream.getTracks()) track.stop();
      await context.close();
    },
  };
}

// A wav file of samples.
export function toWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, value) => [...value].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true));
  return new File([view.buffer], "recording.wav", { type: "audio/wav" });
}
