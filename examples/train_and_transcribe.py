"""Train on a corpus from Python, measure the model, and transcribe the recording that it found hardest.

python examples/train_and_transcribe.py my_corpus runs/mine --train.max_steps 2000
"""

import sys

import echo_asr
from echo_asr.config import parse_words
from echo_asr.data.corpus import load_corpus
from echo_asr.evaluate.evaluate import evaluate
from echo_asr.evaluate.metrics import error_rate
from echo_asr.train.recipe import read_config
from echo_asr.train.run import train

corpus, run, *options = sys.argv[1:]
sections = read_config("mandarin", parse_words(options))  # a recipe, or a YAML file; {"train.max_steps": 2000}
train(sections, corpus, run)

utterances = load_corpus(corpus).split("test")
recognizer = echo_asr.load(run)
found = evaluate(recognizer, corpus, "test", utterances)
print(f"word error {found.wer}")

wrong = [error_rate([r], [h], "word").percent for r, h in zip(found.references, found.hypotheses, strict=True)]
hardest = max(range(len(wrong)), key=wrong.__getitem__)
result = recognizer.transcribe(utterances[hardest].audio)
print(f"hardest     {utterances[hardest].id}: {utterances[hardest].text!r}, recognised as {result.text!r}")
for segment in result.segments:
    for word in segment.words:
        print(f"{word.start:8.2f} to {word.end:.2f} s  {word.word}  (probability {word.probability:.2f})")
