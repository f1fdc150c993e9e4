from pathlib import Path

from runtime.paths import ensure_directory


def test_a_directory_is_made_with_its_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    new = ensure_directory(tmp_path / "a" / "b")
    (tmp_path / "old").mkdir(mode=0o755)
    old = ensure_directory(tmp_path / "old")

    assert new.stat().st_mode & 0o777 == 0o700
    assert old.stat().st_mode & 0o777 == 0o755
