"""Which backend, with how many threads: the fastest that is right, and one that always is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.inference.backends import BACKENDS, REFERENCE
from appliance.inference.choice import WORTH_A_CORE, Candidate, Verdict, candidates, problems, ranked

ALL = list(BACKENDS)
ORT1, ORT2 = Candidate("onnxruntime", 1), Candidate("onnxruntime", 2)
OV1, OV2 = Candidate("openvino", 1), Candidate("openvino", 2)
BF1, BF2 = Candidate("openvino_bf16", 1), Candidate("openvino_bf16", 2)


def test_auto_tries_all_that_is_installed_with_one_and_two_threads() -> None:
    assert candidates("auto", "auto", 2, ["openvino", "openvino_bf16"]) == [ORT1, ORT2, OV1, OV2, BF1, BF2]
    assert candidates("auto", "auto", 2, ["onnxruntime"]) == [ORT1, ORT2]


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2]), (4, [1, 2, 3]), (16, [1, 2, 4])])
def test_on_more_cores_more_threads_are_tried_and_one_core_is_left_to_the_others(cores: int, counts: list[int]) -> None:
    assert [candidate.threads for candidate in candidates("auto", "auto", cores, [])] == counts


def test_a_graphics_card_asks_for_no_threads() -> None:
    assert candidates("onnxruntime_cuda", "auto", 2, []) == [ORT1, ORT2, Candidate("onnxruntime_cuda", 1)]


def test_one_chosen_by_name_is_tried_though_it_is_not_installed_so_that_it_is_told() -> None:
    assert candidates("openvino", 1, 4, []) == [ORT1, OV1]


def test_on_one_core_there_is_one_thread() -> None:
    assert candidates("auto", "auto", 1, ["onnxruntime"]) == [ORT1]


def test_a_number_of_threads_is_taken_as_it_is() -> None:
    assert candidates("openvino", 3, 2, ALL) == [Candidate("onnxruntime", 3), Candidate("openvino", 3)]


def test_the_reference_alone_has_nothing_to_be_compared_with() -> None:
    assert candidates("onnxruntime", 2, 4, ALL) == [ORT2]


def test_the_fastest_goes_first_and_the_others_stand_by() -> None:
    verdicts = {ORT1: Verdict(200), ORT2: Verdict(100), OV1: Verdict(190), OV2: Verdict(95), BF1: Verdict(80)}
    assert ranked(verdicts, "auto") == [BF1, OV2, ORT2]


def test_a_second_thread_must_be_worth_its_core() -> None:
    assert ranked({ORT1: Verdict(100), ORT2: Verdict(95)}, "auto") == [ORT1]
    assert ranked({ORT1: Verdict(100), ORT2: Verdict(89)}, "auto") == [ORT2]


def test_a_backend_chosen_by_name_goes_first_however_slow() -> None:
    assert ranked({ORT1: Verdict(100), OV1: Verdict(300)}, "openvino") == [OV1, ORT1]


def test_the_refused_are_left_out() -> None:
    verdicts = {ORT1: Verdict(100), OV1: Verdict(50, "wrong"), OV2: Verdict(60), BF1: Verdict(1, "wrong")}
    assert ranked(verdicts, "auto") == [OV2, ORT1]


def test_the_struck_are_left_out_but_never_the_reference() -> None:
    assert ranked({ORT1: Verdict(100), OV1: Verdict(50)}, "auto", ["openvino", "onnxruntime"]) == [ORT1]


def test_a_reference_whose_trials_went_wrong_is_still_the_last_resort() -> None:
    assert ranked({ORT1: Verdict(refused="hung"), ORT2: Verdict(refused="hung")}, "auto") == [ORT2]


def test_a_wrong_backend_is_a_problem_told_once() -> None:
    verdicts = {ORT1: Verdict(100), OV1: Verdict(50, "it misses a person"), OV2: Verdict(50, "it misses a person")}
    assert problems(verdicts, "auto") == ["backend openvino was refused: it misses a person"]


def test_what_this_machine_has_not_got_is_a_problem_only_where_it_was_asked_for() -> None:
    verdicts = {ORT1: Verdict(100), BF1: Verdict(refused="no bfloat16", absent=True)}
    assert problems(verdicts, "auto") == []
    assert problems(verdicts, "openvino_bf16") == ["backend openvino_bf16 was refused: no bfloat16"]


VERDICTS = st.builds(Verdict, st.floats(1, 1000), st.sampled_from(["", "", "wrong"]))


@given(st.fixed_dictionaries(dict.fromkeys((ORT1, ORT2, OV1, OV2, BF1, BF2), VERDICTS)), st.sets(st.sampled_from(ALL)))
def test_there_is_always_one_to_fall_back_on_and_nobody_twice(
    verdicts: dict[Candidate, Verdict], struck: set[str]
) -> None:
    order = ranked(verdicts, "auto", struck)
    names = [one.backend for one in order]
    assert REFERENCE in names
    assert len(names) == len(set(names))
    assert not (set(names) & (struck - {REFERENCE}))
    times = [verdicts[one].latency_ms for one in order]
    assert times == sorted(times)
    for one in order:
        twin = Candidate(one.backend, 3 - one.threads)
        if not verdicts[twin].refused and not verdicts[one].refused and one.threads == 2:
            assert verdicts[one].latency_ms < WORTH_A_CORE * verdicts[twin].latency_ms
