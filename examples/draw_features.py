"""What Echo measures in recordings: spectrogram and F0, one panel each.

python examples/draw_features.py ma1.ogg ma2.ogg ma3.ogg ma4.ogg --out tones.png
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from echo_asr.audio import load_audio
from echo_asr.features import FeatureExtractor

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("audio", nargs="+", type=Path)
parser.add_argument("--out", type=Path, default=Path("features.png"))
arguments = parser.parse_args()

extractor = FeatureExtractor()
columns = len(arguments.audio)
figure, axes = plt.subplots(1, columns, figsize=(2.6 * columns, 2.6), sharey=True, squeeze=False, layout="constrained")
for axis, path in zip(axes[0], arguments.audio, strict=True):
    features = extractor(load_audio(path))
    mels, frames = features.spectrogram.shape  # one frame lasts 10 ms
    axis.imshow(features.spectrogram, origin="lower", aspect="auto", cmap="Greys", extent=(0, frames / 100, 0, mels))
    axis.set(title=path.stem, xlabel="s", yticks=[])
    pitch = axis.twinx()
    f0 = np.where(features.voicing > 0, features.track, np.nan)  # Hz, not drawn where unvoiced
    pitch.plot(np.arange(frames) / 100, f0, color="tab:red", linewidth=3)
    pitch.set(ylim=(60, 480), yticks=[100, 200, 300, 400])
    pitch.tick_params(colors="tab:red", labelright=axis is axes[0][-1])
axes[0][0].set_ylabel("mel bin")
pitch.set_ylabel("F0 (Hz)", color="tab:red")
figure.savefig(arguments.out, dpi=110)
print(arguments.out)
