"""Who may import whom. The table is the document; a module that is not in it may import nothing of ours."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: Modules that run in model hosts, notebooks and `convert` only, because they bring scikit-learn.
HOST_ONLY = (
    "model_store.acceleration.accelerate",
    "model_store.acceleration.conversion",
    "model_store.acceleration.calibrated",
    "model_store.acceleration.decisions",
    "model_store.acceleration.linear",
    "model_store.acceleration.location",
    "model_store.acceleration.lookups",
    "model_store.acceleration.machines",
    "model_store.acceleration.mixtures",
    "model_store.acceleration.operators",
    "model_store.acceleration.origins",
    "model_store.acceleration.probes",
    "model_store.acceleration.proof",
    "model_store.acceleration.surrogates",
    "model_store.acceleration.thresholded",
    "model_store.acceleration.transforms",
    "model_store.acceleration.trees",
    "model_store.estimators",
    "model_store.formats.npz",
    "model_store.formats.pickled",
    "model_store.formats.skops",
    "wsgi_service.serving.columnar",
    "wsgi_service.serving.drawing",
    "wsgi_service.serving.host",
)
HEAVY = {"sklearn", "skops", "scipy", "pandas", "joblib", "pickle", "skl2onnx", "pyarrow", "matplotlib"}
#: The only functions outside HOST_ONLY that import something heavy or host-only, when they are called.
LATE = {
    "model_store/inspection.py": {"model_store.estimators.facts", "model_store.estimators.loaded"},
    "model_store/rehearsal.py": {"model_store.estimators.loaded"},
    "wsgi_service/batches/chunks.py": {"pyarrow"},
    "wsgi_service/batches/local.py": {"model_store.estimators", "wsgi_service.serving.columnar"},
    "wsgi_service/batches/sinks.py": {"pyarrow"},
    "wsgi_service/client.py": {"skops.io"},
    "wsgi_service/dataframes.py": {"pyarrow", "pyarrow.interchange"},
    "wsgi_service/outputs/arrow_answer.py": {"pyarrow"},
    "wsgi_service/commands/convert.py": {"joblib", "skops.io"},
}
UNPICKLERS = ("Unpickler", "pickle.load", "joblib.load", "cloudpickle.load", "dill.load", ".recv(")
MAY_UNPICKLE = {"model_store/formats/pickled.py", "wsgi_service/commands/convert.py", "wsgi_service/channel.py"}


def sources() -> list[Path]:
    return sorted([*ROOT.glob("model_store/**/*.py"), *ROOT.glob("wsgi_service/**/*.py")])


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_host_only(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in HOST_ONLY)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_go_round_in_no_circle() -> None:
    names = {name_of(path) for path in sources()}
    graph = {name_of(path): names & top_imports(path) for path in sources()}
    while graph:
        free = {name for name, needed in graph.items() if not needed & graph.keys() - {name}}
        assert free, f"these import one another: {sorted(graph)}"
        graph = {name: needed for name, needed in graph.items() if name not in free}


def top_imports(path: Path) -> set[str]:
    """What a module imports when it is imported itself."""
    modules = {name_of(other) for other in sources()}
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & modules or {node.module}
    return found


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_the_store_knows_nothing_of_the_service(path: Path) -> None:
    if name_of(path).startswith("model_store"):
        forbidden = ("wsgi_service", "werkzeug", "waitress", "click")
        assert [name for name in imports(path) if name.startswith(forbidden)] == []


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_only_hosts_bring_what_is_heavy(path: Path) -> None:
    if is_host_only(name_of(path)):
        return
    heavy = {name for name in imports(path) if name.split(".")[0] in HEAVY or is_host_only(name)}
    late = LATE.get(relative(path), set())
    assert {name for name in heavy if not any(name.startswith(allowed) for allowed in late)} == set()


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_only_the_composition_root_picks_backends(path: Path) -> None:
    concrete = {"model_store.sql.registry", "model_store.artifacts.LocalArtifacts"}
    if imports(path) & concrete:
        assert name_of(path) in {"model_store.catalog", "model_store.backup", "wsgi_service.app"}


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_nothing_unpickles(path: Path) -> None:
    if relative(path) not in MAY_UNPICKLE:
        text = path.read_text(encoding="utf-8")
        assert [name for name in UNPICKLERS if name in text] == []


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_a_module_says_in_its_first_line_what_lives_in_it(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    assert len(docstring.splitlines()[0]) > 20


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_no_module_is_called_after_nothing(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "core", "base", "manager", "misc"}


def test_the_http_process_never_imports_scikit_learn(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from wsgi_service.app import create_app\n"
        "from wsgi_service.settings import Settings\n"
        "import wsgi_service.server, wsgi_service.cli\n"
        f"create_app(Settings(data={str(tmp_path)!r}))\n"
        "heavy = ('sklearn', 'skops', 'scipy', 'pandas', 'onnx', 'onnxruntime', 'pyarrow', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, stdin=subprocess.DEVNULL
    )
    assert done.stdout.strip() == b"[]"
