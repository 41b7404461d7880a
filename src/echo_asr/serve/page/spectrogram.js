// The spectrogram of a recording at 16 kHz, drawn in tiles, those that are seen.

const RATE = 16000; // Hz
const TOP = 5000; // Hz, of the spectrogram
const SIZE = 512; // samples of a spectrum
const RANGE = 60; // dB between black and white
const TILE = 256; // columns of a tile
const KEPT = 64; // tiles, at most
const LOOKED = 1000; // spectra from which the loudest level is taken
const AVERAGED = 4; // spectra of a column that spans a long time, of which the loudest counts

const turns = Float64Array.from({ length: SIZE / 2 }, (_, k) => (-2 * Math.PI * k) / SIZE);
const cosines = turns.map(Math.cos), sines = turns.map(Math.sin);
const hann = Float64Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));
const re = new Float64Array(SIZE), im = new Float64Array(SIZE), levels = new Float64Array(SIZE / 2);

// Levels in dB around a sample, in `levels`, by the fast Fourier transform.
function measure(samples, middle) {
  const first = Math.round(middle) - SIZE / 2;
  for (let i = 0; i < SIZE; i++) re[i] = hann[i] * (samples[first + i] || 0);
  im.fill(0);
  for (let i = 1, j = 0; i < SIZE; i++) {
    let bit = SIZE >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j]] = [re[j], re[i]];
  }
  for (let size = 2; size <= SIZE; size <<= 1) {
    for (let k = 0; k < size / 2; k++) {
      const c = cosines[(k * SIZE) / size], s = sines[(k * SIZE) / size];
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
  for (let i = 0; i < SIZE / 2; i++) levels[i] = 10 * Math.log10(1e-18 + re[i] * re[i] + im[i] * im[i]);
}

export class Spectrogram {
  constructor(samples, rows) {
    this.samples = samples;
    this.rows = rows;
    this.duration = samples.length / RATE;
    this.tiles = new Map();
    this.scale = 0;
    this.loudest = -Infinity;
    const step = Math.max(SIZE / 2, samples.length / LOOKED);
    for (let at = 0; at < samples.length; at += step) {
      measure(samples, at);
      this.loudest = levels.reduce((most, level) => Math.max(most, level), this.loudest);
    }
  }

  // Draw the part that begins `left` pixels from the start, at `scale` pixels a second. Makes one tile at a time, and
  // returns whether more are to be made.
  draw(context, left, width, scale, dark) {
    if (scale !== this.scale || dark !== this.dark) {
      this.tiles.clear();
      [this.scale, this.dark] = [scale, dark];
    }
    let made = 0;
    const last = Math.min(left + width, this.duration * scale);
    for (let number = Math.max(0, Math.floor(left / TILE)); number * TILE < last; number++) {
      if (!this.tiles.has(number)) {
        if (made++) return true;
        this.tiles.set(number, this.make(number));
        if (this.tiles.size > KEPT) this.tiles.delete(this.tiles.keys().next().value);
      }
      context.drawImage(this.tiles.get(number), number * TILE - left, 0);
    }
    return false;
  }

  make(number) {
    const columns = Math.min(TILE, Math.ceil(this.duration * this.scale) - number * TILE);
    const image = new ImageData(columns, this.rows), step = RATE / this.scale;
    const parts = Math.min(AVERAGED, Math.max(1, Math.round(step / SIZE)));
    for (let x = 0; x < columns; x++) {
      for (let part = 0; part < parts; part++) {
        measure(this.samples, (number * TILE + x + part / parts) * step);
        for (let y = 0; y < this.rows; y++) {
          const bin = (((this.rows - 1 - y) / this.rows) * TOP * SIZE) / RATE, low = Math.floor(bin);
          const level = levels[low] + (bin - low) * (levels[low + 1] - levels[low]);
          const loud = 255 * Math.max(0, Math.min(1, (level - this.loudest + RANGE) / RANGE));
          const grey = this.dark ? loud : 255 - loud, at = 4 * (y * columns + x);
          const best = !part || (this.dark ? grey > image.data[at] : grey < image.data[at]);
          if (best) image.data.fill(grey, at, at + 3);
          image.data[at + 3] = 255;
        }
      }
    }
    const tile = document.createElement("canvas");
    [tile.width, tile.height] = [columns, this.rows];
    tile.getContext("2d").putImageData(image, 0, 0);
    return tile;
  }
}
