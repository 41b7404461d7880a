from typing import Any

import pytest

from echo_asr.cli import main
from echo_asr.distributed.launch import ProcessRank, barrier, check_count, find_rank, first_message, open_store
from echo_asr.errors import EchoError

NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_USE_AGENT_STORE")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`(**variables)`: nothing of a launcher in the environment but these."""

    def set_to(**variables: str) -> None:
        for name in (*NAMES, "ACCELERATE_MIXED_PRECISION"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_to


def test_a_process_that_nobody_launched_is_alone(environment: Any) -> None:
    environment()
    assert find_rank() == ProcessRank(0, 1, 0, 1) and find_rank().main
    assert open_store() is None
    barrier(find_rank())
    assert first_message("once", find_rank()) and first_message("once", find_rank())


def test_torchrun_says_which_process_this_is(environment: Any) -> None:
    environment(WORLD_SIZE="8", RANK="5", LOCAL_RANK="1", LOCAL_WORLD_SIZE="4")
    assert find_rank() == ProcessRank(5, 8, 1, 4) and not find_rank().main


def test_without_a_store_the_first_process_speaks(environment: Any) -> None:
    environment(WORLD_SIZE="2", RANK="1", LOCAL_RANK="1", LOCAL_WORLD_SIZE="2")
    assert not first_message("a", find_rank()) and first_message("a", ProcessRank(0, 2))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ACCELERATE_MIXED_PRECISION": "no"}, "accelerate launch has started a single process.*torchrun"),
        ({"WORLD_SIZE": "2"}, "RANK=None, expected a number; start with torchrun"),
        ({"WORLD_SIZE": "two", "RANK": "0"}, "WORLD_SIZE='two', expected a number"),
        ({"WORLD_SIZE": "2", "RANK": "2", "LOCAL_WORLD_SIZE": "2"}, "contradicts itself .WORLD_SIZE=2, RANK=2"),
        ({"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}, "contradicts itself"),
    ],
)
def test_what_would_train_another_number_than_asked_for_is_refused(
    variables: dict[str, str], message: str, environment: Any
) -> None:
    environment(**variables)
    with pytest.raises(EchoError, match=message):
        find_rank()


def test_as_many_as_there_should_be_must_find_each_other() -> None:
    check_count(3, ProcessRank(0, 3))
    with pytest.raises(EchoError, match="1 processes found each other where the environment has 2; use torchrun"):
        check_count(1, ProcessRank(0, 2))


def test_what_one_process_does_is_not_done_by_several(environment: Any, capsys: Any) -> None:
    environment(WORLD_SIZE="2", RANK="0", LOCAL_RANK="0", LOCAL_WORLD_SIZE="2")
    assert main(["doctor"]) == 1
    assert "echo-asr doctor: one process does this; start it without torchrun" in capsys.readouterr().err
