"""Where a recording is cut: at its pauses, found by level while it streams by, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from echo_asr.audio.convert import (
    FRAMES_PER_SECOND,
    HOP,
    SAMPLE_RATE,
    frames_to_seconds,
    samples_to_frames,
    seconds_to_frames,
)
from echo_asr.audio.level import SILENCE_PEAK
from echo_asr.features.log_mel import frame_levels

AROUND = (
    15 * FRAMES_PER_SECOND
)  # frames before and after a frame from which the levels of noise and speech about it are measured
SMOOTH = 5  # frames over which levels are averaged
NOISE_SHARE = 0.1  # of the frames about a frame are taken to be pauses, the softest ones
SUSTAINED = 30  # frames, half of which speech is to fill for its level to count: a bump is shorter
LEAST_RANGE = 25.0  # dB; the noise is never taken to be nearer to speech, as it would be in a clip cut tight
STEADY_RANGE = 10.0  # dB; what varies by less is noise, if it is that far under what was louder
SPEAKER_RANGE = 20.0  # dB by which speech that follows may be softer and still be measured by its own level
SPEECH_RANGE = 45.0  # dB under the level of speech, beyond which nothing is speech
NOISE_RANGE = 75.0  # dB under the level of speech; what is softer does not count as noise
GATED = 0.2  # of the frames; where so many are softer, pauses hold no noise, and what is soft may be speech
NOTHING = -140.0  # dBFS, softer than the rounding of any recording whose peak is above -60 dBFS
TURN = 15.0  # dB by which speech after a short pause is louder or softer than before where another speaks
TURN_PAUSE = 20  # frames, the shortest pause between two speakers
TURN_FRAMES = 50  # before and after a pause, whose levels are compared
SHORTEST = 10  # frames of sound in a segment, at least; a click, averaged, has fewer
STEP = 50  # frames for which the levels about them are measured at once
WAITING = 600.0  # seconds of segments kept at most while a recording may yet be all silence


@dataclass(frozen=True)
class SegmentConfig:
    """How recordings are cut.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    pause: float = 0.6  # seconds; at a longer pause a recording is cut
    margin: float = 0.25  # seconds of the pause kept at either side of a segment
    longest: float = 20.0  # seconds; speech without a pause is cut at its softest place before that
    above_noise: float = 10.0  # dB over the noise from which sound may be speech

    def __post_init__(self) -> None:
        if not 0.0 <= self.margin <= 2.0:
            raise ValueError(f"decode.segments.margin must lie in [0, 2] s, got {self.margin}")
        if not 2.0 * self.margin <= self.pause <= 10.0:
            raise ValueError(f"decode.segments.pause must lie in [2 margin, 10] s, got {self.pause}")
        if not 1.0 <= self.longest <= 600.0:
            raise ValueError(f"decode.segments.longest must lie in [1, 600] s, got {self.longest}")
        if not 0.0 < self.above_noise <= 40.0:
            raise ValueError(f"decode.segments.above_noise must lie in (0, 40] dB, got {self.above_noise}")


@dataclass(frozen=True)
class SpeechSegment:
    """A stretch of a recording.

    Attributes:
        start: seconds from the recording's beginning.
        samples: `(S,)` at 16 kHz.
        loudest: dBFS (0 is an RMS of 1), the level of speech in it and around it; minus infinity for a whole
            recording, which is measured by itself.
        whole: it is the whole recording.
    """

    start: float
    samples: np.ndarray
    loudest: float
    whole: bool = False


def cut(blocks: Iterable[np.ndarray], config: SegmentConfig) -> Iterator[SpeechSegment]:
    """The stretches of a recording in which there may be speech, from its samples in blocks.

    A frame may be speech if its level (over 50 ms) is `above_noise` over that of the noise, the level that a tenth of
    the frames within 15 s stay under, and no more than 45 dB under the level of speech. That is the loudest within
    15 s, bumps of under a tenth of a second left out, and no more than 20 dB under the loudest so far. So neither a
    bump nor a louder speaker hides a softer one who follows, and noise in a long pause is not taken for speech. A
    recording that holds no longer pause, at its ends either, comes whole. So does one in which nothing rises above the
    noise: steady sound may be a vowel, which is for the model to decide. Where speech goes on 15 dB louder or softer
    after a shorter pause, of 0.2 s or more, another speaks, and a stretch of its own begins.

    Nothing depends on the recording's gain, but for this: one whose peak is below -60 dBFS is silence, and has no
    stretches unless it comes whole.
    """
    cutter = _Cutter(config)
    for block in blocks:
        yield from cutter.add(block)
    yield from cutter.finish()


class _Cutter:
    """Samples come in; stretches go out. Frame numbers count from the recording's beginning."""

    def __init__(self, config: SegmentConfig) -> None:
        self.config = config
        self.pause, self.margin, self.longest = (
            round(seconds_to_frames(x)) for x in (config.pause, config.margin, config.longest)
        )
        self.audio = np.zeros(0, np.float32)  # from frame `first` on
        self.first = 0
        self.levels = np.zeros(0)  # dBFS, smoothed, from frame `first_level` on
        self.first_level = 0
        self.decided = 0  # frames before are known to be speech or not
        self.peaks = np.zeros(0)  # largest magnitude of a sample in each frame, from frame `first_level` on
        self.peak = 0.0  # of them, so far
        self.loudest = -np.inf  # dBFS, the level of speech about any frame so far, at most
        self.around = -np.inf  # dBFS, the level of speech about the frames decided last
        self.threshold = -np.inf  # dBFS, above which the frames decided last may be speech
        self.waiting: list[SpeechSegment] = []  # segments of what is silence until a sample comes that is louder
        self.begun: int | None = None  # frame at which the stretch that is open begins
        self.last = 0  # the last frame of it that is speech
        self.sounding = 0  # frames of it that are speech
        self.quiet_from = 0  # nothing before this frame belongs to a coming stretch
        self.cuts = 0

    @property
    def total(self) -> int:
        """Frames so far."""
        return self.first + samples_to_frames(len(self.audio))

    def add(self, block: np.ndarray) -> Iterator[SpeechSegment]:
        self.audio = np.concatenate((self.audio, block))
        yield from self._decide(self.total - 2 * SMOOTH, at_end=False)
        self._forget()

    def finish(self) -> Iterator[SpeechSegment]:
        total = self.total
        yield from self._decide(total, at_end=True)
        if self.cuts == 0 and total <= self.longest and self._unbroken(total):
            yield SpeechSegment(0.0, self.audio, -np.inf, whole=True)
        elif self.begun is not None:
            yield from self._close(total)

    def _unbroken(self, total: int) -> bool:
        """Whether no pause at the beginning or the end of a recording, of one stretch so far, is long."""
        if self.begun is None or self.first:
            return False
        return self.begun <= self.pause and total - 1 - self.last <= self.pause

    def _decide(self, known: int, at_end: bool) -> Iterator[SpeechSegment]:
        """Take the levels up to frame `known`, and tell speech from pause as far as enough has been heard."""
        have = self.first_level + len(self.levels)
        if known > have:
            lead = min(have - self.first, 2 * SMOOTH)  # frames before and after, for the window and the average
            tail = min(self.total - known, SMOOTH)
            part = self.audio[(have - lead - self.first) * HOP : (known + 2 * SMOOTH - self.first) * HOP]
            fresh = _smooth(frame_levels(part, lead + known - have + tail))
            self.levels = np.concatenate((self.levels, fresh[lead : len(fresh) - tail]))
            self.peaks = np.concatenate((self.peaks, _frame_peaks(part)[lead:][: known - have]))
        end = self.first_level + len(self.levels)
        limit = end if at_end else end - AROUND
        while self.decided < limit and (at_end or self.decided + STEP <= limit):
            upto = min(self.decided + STEP, limit)
            first = max(self.first_level, self.decided - AROUND)
            about = self._about(first, upto + AROUND)
            peaks = self.peaks[first - self.first_level : upto + AROUND - self.first_level]
            self.peak = max(self.peak, float(peaks.max()))
            self.threshold = self._threshold(about)
            speech = (self._about(self.decided, upto) > self.threshold).tolist()
            for frame, is_speech in enumerate(speech, self.decided):
                yield from self._step(frame, is_speech)
            self.decided = upto

    def _threshold(self, about: np.ndarray) -> float:
        """The level in dBFS above which frames may be speech, from the levels `(T,)` about them."""
        half_loud = np.median(sliding_window_view(about, min(SUSTAINED, len(about)))[:: SUSTAINED // 3], axis=1)
        local = float(half_loud.max())
        self.loudest = max(self.loudest, local)
        self.around = max(local, self.loudest - SPEAKER_RANGE)
        sounding = about[about > max(self.around - NOISE_RANGE, NOTHING)]
        gated = len(sounding) < (1.0 - GATED) * len(about)
        noise = -np.inf if gated else float(np.quantile(sounding, NOISE_SHARE))
        between_speech = local - noise < STEADY_RANGE < self.loudest - noise
        if not between_speech:
            noise = min(noise, float(about.max()) - LEAST_RANGE)
        return max(noise + self.config.above_noise, self.around - SPEECH_RANGE, NOTHING)

    def _about(self, begin: int, end: int) -> np.ndarray:
        """Levels of frames `begin` to `end`, as far as they are known."""
        return self.levels[begin - self.first_level : end - self.first_level]

    def _step(self, frame: int, speech: bool) -> Iterator[SpeechSegment]:
        if speech:
            if self.begun is not None and frame - self.last > TURN_PAUSE and self._turns(frame):
                yield from self._close((self.last + frame) // 2)
            if self.begun is None:
                self.begun, self.sounding = frame, 0
            self.last = frame
            self.sounding += 1
        if self.begun is None:
            return
        if frame - self.last > self.pause:
            yield from self._close(frame)
        elif frame - self.begun >= self.longest - self.margin:
            low = self.begun + self.longest // 2
            softest = low + int(np.argmin(self._about(low, frame)))
            last, self.last = self.last, softest
            yield from self._emit(max(self.quiet_from, self.begun - self.margin), softest)
            self.begun, self.last = softest, max(last, softest)
            self.sounding = self.last - softest
            self.quiet_from = softest

    def _turns(self, frame: int) -> bool:
        """Whether somebody much louder or softer than before begins to speak at a frame."""
        before = self._about(max(self.begun or 0, self.last - TURN_FRAMES), self.last + 1)
        after = self._about(frame, frame + TURN_FRAMES)
        before, after = before[before > self.threshold], after[after > self.threshold]
        return len(before) > 0 and abs(float(np.median(after)) - float(np.median(before))) > TURN

    def _close(self, frame: int) -> Iterator[SpeechSegment]:
        assert self.begun is not None
        begin, end = max(self.quiet_from, self.begun - self.margin), min(self.last + 1 + self.margin, frame)
        if self.sounding >= SHORTEST:
            yield from self._emit(begin, end)
        self.begun, self.quiet_from = None, end

    def _emit(self, begin: int, end: int) -> Iterator[SpeechSegment]:
        self.cuts += 1
        samples = self.audio[(begin - self.first) * HOP : (end - self.first) * HOP]
        levels = self._about(begin, end)
        sounding = levels[levels > self.threshold]  # a word may be the only one far and wide, and short
        around = max(self.around, float(np.median(sounding))) if len(sounding) else self.around
        self.waiting.append(SpeechSegment(frames_to_seconds(begin), samples.copy(), around))
        if self.peak >= SILENCE_PEAK:
            yield from self.waiting
            self.waiting.clear()
        while sum(len(one.samples) for one in self.waiting) > WAITING * SAMPLE_RATE:
            del self.waiting[0]

    def _forget(self) -> None:
        """Drop the samples and levels that nothing will ask for again."""
        needed = (self.decided if self.begun is None else self.begun) - max(self.margin, 2 * SMOOTH)
        if self.cuts == 0 and self.total <= self.longest:
            needed = 0  # it may still come whole
        needed = min(needed, self.first_level + len(self.levels) - 2 * SMOOTH)
        if needed > self.first:
            self.audio, self.first = self.audio[(needed - self.first) * HOP :], needed
        old = min(self.decided - AROUND, self.decided if self.begun is None else self.begun)
        if old > self.first_level:
            self.levels, self.peaks = self.levels[old - self.first_level :], self.peaks[old - self.first_level :]
            self.first_level = old


def _frame_peaks(audio: np.ndarray) -> np.ndarray:
    """The largest magnitude of each frame's 10 ms of samples: `(T,)` of `(S,)`."""
    padded = np.pad(np.abs(audio), (0, -len(audio) % HOP))
    peaks: np.ndarray = padded.reshape(-1, HOP).max(axis=1)
    return peaks


def _smooth(levels: np.ndarray) -> np.ndarray:
    """Levels in dB averaged as power over `SMOOTH` frames."""
    power = 10.0 ** (levels / 10.0)
    padded = np.pad(power, SMOOTH // 2, mode="edge")
    averaged: np.ndarray = 10.0 * np.log10(np.convolve(padded, np.ones(SMOOTH) / SMOOTH, "valid"))
    return averaged
