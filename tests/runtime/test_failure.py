from runtime.failure import CannotError, Exit


def test_a_failure_carries_its_words_its_hint_and_its_code() -> None:
    error = CannotError("cannot open the door: it is shut", hint="knock", code=Exit.DENIED)

    assert (str(error), error.message) == ("cannot open the door: it is shut",) * 2
    assert (error.hint, error.code) == ("knock", 5)


def test_without_a_code_it_is_internal() -> None:
    assert CannotError("cannot").code == 1
