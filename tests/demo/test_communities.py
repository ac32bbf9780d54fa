"""The demonstration over three communities, as a user checks it."""

import subprocess
import sys


def test_every_step_over_three_communities_passes(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "demo", "--check", "--communities", "3"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("all ")
    assert "FAIL" not in done.stdout


def test_another_number_of_communities_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "demo", "--communities", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "1 or 3" in done.stderr
