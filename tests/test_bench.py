"""The benchmark works: each server of ours is measured and answers right. How fast it is is for the script."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [
    pytest.mark.live,
    pytest.mark.long,
    pytest.mark.skipif(sys.platform == "win32", reason="counts memory with ps"),
]


def test_the_benchmark_measures_and_writes_what_it_found(tmp_path: Path) -> None:
    pytest.importorskip("skl2onnx")
    line = [sys.executable, str(ROOT / "scripts" / "bench.py"), "--smoke", "--work", str(tmp_path)]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=4 * PATIENCE, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for words in ("| wsgi-service |", "| wsgi-service, native |", "| Waitress echo |", "Ratios:", "as npy"):
        assert words in ran.stdout
    assert "Not measured" not in ran.stdout
    assert ran.stderr == ""  # quiet where it is no terminal
