"""Segments a recording at its pauses, found by level, while it is streamed in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from echo_asr.audio.convert import (
    HOP,
    SAMPLE_RATE,
    frames_to_seconds,
    samples_to_frames,
    samples_to_seconds,
    seconds_to_frames,
)
from echo_asr.audio.level import SILENCE_PEAK
from echo_asr.features.log_mel import frame_levels

AROUND = 1500  # frames, 15 s, on either side of a frame from which its levels of noise and speech are taken
SMOOTH = 5  # frames over which levels are averaged
NOISE_SHARE = 0.1  # of the frames about a frame that count as pauses, the softest ones
SUSTAINED = 30  # frames, half of which must be louder for a level to count as that of speech: a bump is shorter
LEAST_RANGE = 25.0  # dB; the noise counts as at least that far below speech, also in a tightly cut clip
STEADY_RANGE = 10.0  # dB; levels that vary by less are noise, if they are that far below the loudest before
SPEAKER_RANGE = 20.0  # dB by which a later speaker may be softer than the loudest one
SPEECH_RANGE = 45.0  # dB under the level of speech, beyond which nothing is speech
NOISE_RANGE = 75.0  # dB under the level of speech; softer frames do not count as noise
GATED = 0.2  # share of softer frames from which the recording is noise-gated: no noise level is measured
NOTHING = -140.0  # dBFS, softer than the rounding of any recording whose peak is above -60 dBFS
TURN = 15.0  # dB between the levels before and after a short pause at a change of speaker
TURN_PAUSE = 20  # frames, the shortest pause between two speakers
TURN_FRAMES = 50  # before and after a pause, whose levels are compared
SHORTEST = 10  # frames of speech in a segment, at least; a click, averaged, has fewer
STEP = 50  # frames that are classified at once, by the levels around them
LIVE_STEP = 10  # the same of a microphone, by the levels before them
EXPECTED = -30.0  # dBFS, the level of speech that is expected of a microphone before any was loud enough to tell
DECAY = 0.1  # dB a second by which the level of the loudest speech of a microphone falls, down to what is expected
WAITING = 600.0  # seconds of segments kept at most while a recording may still be silence


@dataclass(frozen=True)
class SegmentConfig:
    """Settings of the segmentation.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    pause: float = 0.6  # seconds; at a longer pause a recording is cut
    margin: float = 0.25  # seconds of the pause kept at either side of a segment
    longest: float = 20.0  # seconds; longer speech without a pause is cut at its softest frame
    above_noise: float = 10.0  # dB over the noise from which a frame may be speech

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
    """A segment of a recording that may contain speech.

    Attributes:
        start: seconds from the recording's beginning.
        samples: `(S,)` at 16 kHz.
        loudest: dBFS (0 is an RMS of 1), the level of speech in it and around it; minus infinity for a whole
            recording, which is scaled by its own peak.
        whole: it is the whole recording.
    """

    start: float
    samples: np.ndarray
    loudest: float
    whole: bool = False

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return samples_to_seconds(len(self.samples))


def cut(blocks: Iterable[np.ndarray], config: SegmentConfig) -> Iterator[SpeechSegment]:
    """The segments of a recording in which there may be speech, from its samples in blocks.

    A frame may be speech if its level (over 50 ms) is `above_noise` over that of the noise, which a tenth of
    the frames within 15 s do not exceed, and no more than 45 dB under the level of speech. That is the loudest within
    15 s, without bumps of under a tenth of a second, and counts as no more than 20 dB under the loudest so far. So
    neither a bump nor a louder speaker masks a softer one who follows, and noise in a long pause is not speech. A
    recording without a longer pause, at its ends either, is one segment. So is one in which nothing rises above the
    noise: a steady signal may be a vowel, which the model decides. A level that differs by 15 dB after a shorter pause,
    of 0.2 s or more, is a change of speaker, where a new segment begins.

    The result does not depend on the recording's gain, with one exception: one whose peak is below -60 dBFS is
    silence, and has no segments unless it is one segment as a whole.
    """
    cutter = Cutter(config)
    for block in blocks:
        yield from cutter.add(block)
    yield from cutter.finish()


class Cutter:
    """Takes samples and yields segments, as `cut` describes. Frame numbers count from the recording's beginning.

    Args:
        live: the samples are those of a microphone: a frame is classified by the 15 s before it alone, a tenth of a
            second after it was recorded. The level of the loudest speech so far is at least `EXPECTED`, so that the
            noise of a room before the first word is a pause, and decays to that.
    """

    def __init__(self, config: SegmentConfig, live: bool = False) -> None:
        self.config = config
        self.ahead, self.frames_at_once = (0, LIVE_STEP) if live else (AROUND, STEP)
        self.expected, self.decay = (EXPECTED, DECAY * frames_to_seconds(LIVE_STEP)) if live else (-np.inf, 0.0)
        seconds = (config.pause, config.margin, config.longest)
        self.pause, self.margin, self.longest = (round(seconds_to_frames(time)) for time in seconds)
        self.audio = np.zeros(0, np.float32)  # from frame `first` on
        self.first = 0
        self.levels = np.zeros(0)  # dBFS, smoothed, from frame `first_level` on
        self.first_level = 0
        self.classified = 0  # frames before it are classified
        self.peaks = np.zeros(0)  # largest magnitude of a sample in each frame, from frame `first_level` on
        self.peak = 0.0  # the largest of them so far
        self.loudest = self.expected  # dBFS, the highest level of speech around any frame so far
        self.around = -np.inf  # dBFS, the level of speech around the frames classified last
        self.threshold = -np.inf  # dBFS, above which the frames classified last may be speech
        self.waiting: list[SpeechSegment] = []  # segments that are silence unless a louder sample follows
        self.begun: int | None = None  # first frame of the open segment
        self.last = 0  # its last frame of speech
        self.speech_frames = 0  # its frames of speech
        self.quiet_from = 0  # the next segment does not begin before this frame
        self.emitted = 0  # segments

    @property
    def total(self) -> int:
        """Frames so far."""
        return self.first + samples_to_frames(len(self.audio))

    def add(self, block: np.ndarray) -> Iterator[SpeechSegment]:
        self.audio = np.concatenate((self.audio, block))
        yield from self._classify(self.total - 2 * SMOOTH, at_end=False)
        self._forget()

    def finish(self) -> Iterator[SpeechSegment]:
        total = self.total
        yield from self._classify(total, at_end=True)
        if self.emitted == 0 and total <= self.longest and self._unbroken(total):
            yield SpeechSegment(0.0, self.audio, -np.inf, whole=True)
        elif self.begun is not None:
            yield from self._close(total)

    def _unbroken(self, total: int) -> bool:
        """Whether a recording of one segment so far has no long pause at its beginning or end."""
        if self.begun is None or self.first:
            return False
        return self.begun <= self.pause and total - 1 - self.last <= self.pause

    def _classify(self, known: int, at_end: bool) -> Iterator[SpeechSegment]:
        """Measure the levels up to frame `known`, and classify the frames whose surroundings are known as speech or
        pause."""
        have = self.first_level + len(self.levels)
        if known > have:
            lead = min(have - self.first, 2 * SMOOTH)  # frames before and after, for the window and the average
            tail = min(self.total - known, SMOOTH)
            part = self.audio[(have - lead - self.first) * HOP : (known + 2 * SMOOTH - self.first) * HOP]
            fresh = _smooth(frame_levels(part, lead + known - have + tail))
            self.levels = np.concatenate((self.levels, fresh[lead : len(fresh) - tail]))
            self.peaks = np.concatenate((self.peaks, _frame_peaks(part)[lead:][: known - have]))
        end = self.first_level + len(self.levels)
        limit = end if at_end else end - self.ahead
        while self.classified < limit and (at_end or self.classified + self.frames_at_once <= limit):
            upto = min(self.classified + self.frames_at_once, limit)
            first = max(self.first_level, self.classified - AROUND)
            around = self._levels(first, upto + self.ahead)
            peaks = self.peaks[first - self.first_level : upto + self.ahead - self.first_level]
            self.peak = max(self.peak, float(peaks.max()))
            self.threshold = self._threshold(around)
            speech = (self._levels(self.classified, upto) > self.threshold).tolist()
            for frame, is_speech in enumerate(speech, self.classified):
                yield from self._step(frame, is_speech)
            self.classified = upto

    def _threshold(self, around: np.ndarray) -> float:
        """The level in dBFS above which frames may be speech, from the levels `(T,)` around them."""
        half_loud = np.median(sliding_window_view(around, min(SUSTAINED, len(around)))[:: SUSTAINED // 3], axis=1)
        local = float(half_loud.max())
        self.loudest = max(self.loudest - self.decay, self.expected, local)
        self.around = max(local, self.loudest - SPEAKER_RANGE)
        audible = around[around > max(self.around - NOISE_RANGE, NOTHING)]
        gated = len(audible) < (1.0 - GATED) * len(around)
        noise = -np.inf if gated else float(np.quantile(audible, NOISE_SHARE))
        between_speech = local - noise < STEADY_RANGE < self.loudest - noise
        if not between_speech:
            noise = min(noise, float(around.max()) - LEAST_RANGE)
        return max(noise + self.config.above_noise, self.around - SPEECH_RANGE, NOTHING)

    def _levels(self, begin: int, end: int) -> np.ndarray:
        """Levels of frames `begin` to `end`, as far as they are known."""
        return self.levels[begin - self.first_level : end - self.first_level]

    def _step(self, frame: int, speech: bool) -> Iterator[SpeechSegment]:
        if speech:
            if self.begun is not None and frame - self.last > TURN_PAUSE and self._turns(frame):
                yield from self._close((self.last + frame) // 2)
            if self.begun is None:
                self.begun, self.speech_frames = frame, 0
            self.last = frame
            self.speech_frames += 1
        if self.begun is None:
            return
        if frame - self.last > self.pause:
            yield from self._close(frame)
        elif frame - self.begun >= self.longest - self.margin:
            low = self.begun + self.longest // 2
            softest = low + int(np.argmin(self._levels(low, frame)))
            last, self.last = self.last, softest
            yield from self._emit(max(self.quiet_from, self.begun - self.margin), softest)
            self.begun, self.last = softest, max(last, softest)
            self.speech_frames = self.last - softest
            self.quiet_from = softest

    def _turns(self, frame: int) -> bool:
        """Whether the speaker changes at a frame: the level after the pause is much higher or lower than before."""
        before = self._levels(max(self.begun or 0, self.last - TURN_FRAMES), self.last + 1)
        after = self._levels(frame, frame + TURN_FRAMES)
        before, after = before[before > self.threshold], after[after > self.threshold]
        return len(before) > 0 and abs(float(np.median(after)) - float(np.median(before))) > TURN

    def _close(self, frame: int) -> Iterator[SpeechSegment]:
        assert self.begun is not None
        begin, end = max(self.quiet_from, self.begun - self.margin), min(self.last + 1 + self.margin, frame)
        if self.speech_frames >= SHORTEST:
            yield from self._emit(begin, end)
        self.begun, self.quiet_from = None, end

    def open_segment(self) -> tuple[SpeechSegment, float] | None:
        """The segment that has begun and may go on, as it would be if it ended now, and the seconds of pause after its
        last speech; None where there is none."""
        if self.begun is None or self.speech_frames < SHORTEST or self.peak < SILENCE_PEAK:
            return None
        end = min(self.last + 1 + self.margin, self.classified)
        segment = self._segment(max(self.quiet_from, self.begun - self.margin), end)
        return segment, frames_to_seconds(self.classified - 1 - self.last)

    def _segment(self, begin: int, end: int) -> SpeechSegment:
        samples = self.audio[(begin - self.first) * HOP : (end - self.first) * HOP]
        levels = self._levels(begin, end)
        speech = levels[levels > self.threshold]  # a short word may be the only one within 15 s
        around = max(self.around, float(np.median(speech))) if len(speech) else self.around
        return SpeechSegment(frames_to_seconds(begin), samples.copy(), around)

    def _emit(self, begin: int, end: int) -> Iterator[SpeechSegment]:
        self.emitted += 1
        self.waiting.append(self._segment(begin, end))
        if self.peak >= SILENCE_PEAK:
            yield from self.waiting
            self.waiting.clear()
        while sum(len(one.samples) for one in self.waiting) > WAITING * SAMPLE_RATE:
            del self.waiting[0]

    def _forget(self) -> None:
        """Drop the samples and levels that are not needed any more."""
        needed = (self.classified if self.begun is None else self.begun) - max(self.margin, 2 * SMOOTH)
        if self.emitted == 0 and self.total <= self.longest:
            needed = 0  # it may still be one segment
        needed = min(needed, self.first_level + len(self.levels) - 2 * SMOOTH)
        if needed > self.first:
            self.audio, self.first = self.audio[(needed - self.first) * HOP :], needed
        old = min(self.classified - AROUND, self.classified if self.begun is None else self.begun)
        if old > self.first_level:
            self.levels, self.peaks = self.levels[old - self.first_level :], self.peaks[old - self.first_level :]
            self.first_level = old


def _frame_peaks(audio: np.ndarray) -> np.ndarray:
    """The largest magnitude of each frame's 10 ms of samples: `(T,)` of `(S,)`."""
    padded = np.pad(np.abs(audio), (0, -len(audio) % HOP))
    return padded.reshape(-1, HOP).max(axis=1)


def _smooth(levels: np.ndarray) -> np.ndarray:
    """Levels in dB averaged as power over `SMOOTH` frames."""
    power = 10.0 ** (levels / 10.0)
    padded = np.pad(power, SMOOTH // 2, mode="edge")
    return 10.0 * np.log10(np.convolve(padded, np.ones(SMOOTH) / SMOOTH, "valid"))
