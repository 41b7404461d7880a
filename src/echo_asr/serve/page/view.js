// Spectrogram, F0 and words of a recording on one time axis.

const PIXELS = 120; // a second
const WIDEST = 30000; // pixels, of a canvas
const SPECTRUM = 170, TEXT = 44; // pixels, heights
const TOP = 5000; // Hz, of the spectrogram
const LOWEST = 60, HIGHEST = 500; // Hz, of F0
const SIZE = 512; // samples of a spectrum, at 16 kHz

// Magnitudes of a real signal of SIZE samples, by the fast Fourier transform.
function spectrum(re) {
  const im = new Float32Array(SIZE);
  for (let i = 1, j = 0; i < SIZE; i++) {
    let bit = SIZE >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j]] = [re[j], re[i]];
  }
  for (let size = 2; size <= SIZE; size <<= 1) {
    const angle = (-2 * Math.PI) / size;
    for (let k = 0; k < size / 2; k++) {
      const c = Math.cos(angle * k), s = Math.sin(angle * k);
      for (let a = k; a < SIZE; a += size) {
        const b = a + size / 2;
        const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
    }
  }
  return re.map((value, i) => Math.hypot(value, im[i]));
}

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.clear(0);
  }

  clear(duration) {
    this.duration = duration;
    this.segments = [];
    this.image = null;
    this.scale = Math.min(PIXELS, WIDEST / Math.max(duration, 1));
    this.canvas.width = Math.max(300, Math.ceil(duration * this.scale));
    this.canvas.height = SPECTRUM + TEXT;
  }

  // Draw the spectrogram of samples at 16 kHz.
  load(samples) {
    this.clear(samples.length / 16000);
    const columns = this.canvas.width, rows = SPECTRUM, step = 16000 / this.scale;
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const window = Float32Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));
    const levels = new Float32Array(columns * rows);
    let peak = -Infinity;
    for (let x = 0; x < columns; x++) {
      const first = Math.round(x * step) - SIZE / 2;
      const found = spectrum(window.map((w, i) => w * (samples[first + i] || 0)));
      for (let y = 0; y < rows; y++) {
        const bin = (((rows - 1 - y) / rows) * TOP * SIZE) / 16000;
        const low = Math.floor(bin);
        const value = 20 * Math.log10(1e-9 + found[low] + (bin - low) * (found[low + 1] - found[low]));
        levels[y * columns + x] = value;
        peak = Math.max(peak, value);
      }
    }
    const image = new ImageData(columns, rows);
    levels.forEach((value, i) => {
      const grey = 255 * Math.max(0, Math.min(1, (value - peak + 60) / 60));
      image.data.fill(dark ? grey : 255 - grey, 4 * i, 4 * i + 3);
      image.data[4 * i + 3] = 255;
    });
    this.image = image;
  }

  add(segment) {
    this.segments.push(segment);
  }

  timeAt(event) {
    return Math.max(0, Math.min(this.duration, event.offsetX / this.scale));
  }

  draw(now) {
    const context = this.canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    context.fillStyle = colour("--back");
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.image) context.putImageData(this.image, 0, 0);
    context.font = "15px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const segment of this.segments) {
      context.fillStyle = colour("--pitch");
      (segment.f0 || []).forEach((f0, i) => {
        if (f0 <= 0) return;
        const y = SPECTRUM * (1 - Math.log2(f0 / LOWEST) / Math.log2(HIGHEST / LOWEST));
        context.fillRect((segment.start + i / 100) * this.scale, y - 1, Math.max(2, this.scale / 100), 3);
      });
      for (const word of segment.words) {
        const x = word.start * this.scale, width = Math.max(1, (word.end - word.start) * this.scale);
        context.strokeStyle = colour("--line");
        context.strokeRect(x + 0.5, SPECTRUM + 6.5, width, TEXT - 14);
        context.fillStyle = colour("--front");
        context.globalAlpha = 0.4 + 0.6 * word.probability;
        context.fillText(word.word, x + 3, SPECTRUM + TEXT / 2, Math.max(12, width - 4));
        context.globalAlpha = 1;
      }
    }
    context.fillStyle = colour("--accent");
    context.fillRect(now * this.scale, 0, 2, this.canvas.height);
  }
}
