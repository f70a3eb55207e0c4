import os

from tlhelpers.checks.files import write_atomically

import pytest


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_beside_it(error, tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def broken(file):
        file.write(b"half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, broken)
    assert os.listdir(tmp_path) == ["state"] and path.read_bytes() == b"old"
    write_atomically(path, lambda file: file.write(b"new"))
    assert os.listdir(tmp_path) == ["state"] and path.read_bytes() == b"new"
