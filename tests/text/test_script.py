from echo_asr.text.normalize import normalize_basic
from echo_asr.text.script import make_script

LINES = ["– Once upon a time,", "there was – well – a fox.", "", "  ", "« The fox »", "ran."]


def test_words_have_their_lines_and_paragraphs_and_keep_their_punctuation() -> None:
    script = make_script(enumerate(LINES, 1), normalize_basic)
    written = [word.written for word in script.words]
    assert written == [
        "– Once",
        "upon",
        "a",
        "time,",
        "there",
        "was –",
        "well –",
        "a",
        "fox.",
        "« The",
        "fox »",
        "ran.",
    ]
    assert script.lines == (1,) * 4 + (2,) * 5 + (5,) * 2 + (6,)
    assert len(set(script.paragraphs[:9])) == 1 and script.paragraphs[8] < script.paragraphs[9] == script.paragraphs[11]


def test_the_text_of_words_is_as_written() -> None:
    script = make_script(enumerate(LINES, 1), normalize_basic)
    assert script.text(range(9)) == "– Once upon a time, there was – well – a fox."
    assert script.text([2, 3, 8]) == "a time, fox."


def test_words_of_a_script_without_spaces_are_divided_by_them_only_at_line_ends() -> None:
    script = make_script([(1, "他说。好"), (2, "的")], normalize_basic)
    assert script.text(range(3)) == "他说。好" and script.text([0, 2]) == "他 好"
