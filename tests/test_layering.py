"""Who may import whom. The table is the document; a module that is not in it may import nothing of ours."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

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
    "wsgi_service.hosts.parquet_and_arrow",
    "wsgi_service.hosts.drawing",
    "wsgi_service.hosts.host",
    "wsgi_service.hosts.template",
)
#: Room -> the rooms that it may import from. None of them is imported by one that it imports itself.
ROOMS: dict[str, set[str]] = {
    "http": set(),
    "rows": {"http"},
    "hosts": {"http", "rows"},
    "serving": {"http", "rows", "hosts"},
    "access": {"http", "serving"},
    "monitoring": {"http", "rows", "hosts", "serving"},
    "openapi": {"http", "rows"},
    "pages": {"http", "rows", "openapi"},
    "resources": {"http", "rows", "hosts", "serving", "access", "monitoring", "openapi", "pages"},
    "server": {"http", "access", "monitoring"},
    "processes": {"http", "hosts", "serving", "access", "monitoring", "server"},
    "client": {"http", "rows", "hosts", "serving"},
    "windows": {"processes"},
    "deployment": set(),
    "commands": {"http", "rows", "monitoring", "processes", "client", "windows", "deployment"},
}
#: Modules beside the rooms -> the rooms that may import them; None: all.
FLAT: dict[str, set[str] | None] = {
    "": None,
    "errors": None,
    "at_once": None,
    "settings": None,
    "routes": {"access", "openapi", "resources", "server"},
    "dispatch": {"server"},
    "app": {"server", "processes"},
    "cli": set(),
    "wsgi": set(),
    "__main__": set(),
}
#: Those of them that know no room.
LOWEST = ("at_once", "errors", "settings", "routes")
HEAVY = {"sklearn", "skops", "scipy", "pandas", "joblib", "pickle", "skl2onnx", "pyarrow", "matplotlib"}
#: The only functions outside HOST_ONLY that import something heavy or host-only, when they are called.
LATE = {
    "model_store/inspection.py": {"model_store.estimators.facts", "model_store.estimators.loaded"},
    "model_store/proof/rehearsal.py": {"model_store.estimators.loaded"},
    "wsgi_service/client/local.py": {"model_store.estimators", "wsgi_service.hosts.parquet_and_arrow"},
    "wsgi_service/client/api.py": {"skops.io"},
    "wsgi_service/client/dataframes.py": {"pyarrow", "pyarrow.interchange"},
    "wsgi_service/rows/formats/arrow_answer.py": {"pyarrow"},
    "wsgi_service/rows/formats/arrow_file.py": {"pyarrow"},
    "wsgi_service/commands/convert.py": {"joblib", "skops.io"},
}
UNPICKLERS = ("Unpickler", "pickle.load", "joblib.load", "cloudpickle.load", "dill.load", ".recv(")
MAY_UNPICKLE = {
    "model_store/formats/pickled.py",
    "wsgi_service/commands/convert.py",
    "wsgi_service/server/channel.py",
}


@cache
def sources() -> list[Path]:
    """The modules of both packages; each rule is one test, whose failure names those that break it."""
    return sorted([*ROOT.glob("model_store/**/*.py"), *ROOT.glob("wsgi_service/**/*.py")])


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


@cache
def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_host_only(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in HOST_ONLY)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def among(names: set[str], prefixes: tuple[str, ...]) -> set[str]:
    return {name for name in names if name.startswith(prefixes)}


def broken(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The modules that do what they may not, with what that is."""
    return {module: names for module, names in found.items() if names}


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
    for node in tree_of(path).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & modules or {node.module}
    return found


def room_of(name: str) -> str:
    """The room of a module of the service: the folder that it lies in, or its own name if it lies in none."""
    return [*name.split("."), ""][1]


def test_a_room_imports_only_from_those_below_it() -> None:
    service = [path for path in sources() if relative(path).startswith("wsgi_service/")]
    names = {name_of(path) for path in service}
    found: dict[str, set[str]] = {}
    for path in service:
        room = room_of(name_of(path))
        if room in ROOMS:
            other = {name for name in imports(path) & names if room_of(name) != room}
            flat = {name for name in FLAT if room in (FLAT[name] or ()) or FLAT[name] is None}
            found[relative(path)] = {name for name in other if room_of(name) not in ROOMS[room] | flat}
        elif room in LOWEST:
            found[relative(path)] = {name for name in imports(path) & names if room_of(name) in ROOMS}
    assert broken(found) == {}


def test_every_module_of_the_service_has_a_room_or_is_one_of_ten() -> None:
    rooms = {room_of(name_of(path)) for path in sources() if relative(path).startswith("wsgi_service/")}
    assert rooms == ROOMS.keys() | FLAT.keys()
    assert len(FLAT) <= 10


def test_the_store_knows_nothing_of_the_service() -> None:
    forbidden = ("wsgi_service", "werkzeug", "waitress", "click")
    found = {
        relative(path): among(imports(path), forbidden)
        for path in sources()
        if relative(path).startswith("model_store/")
    }
    assert broken(found) == {}


def test_only_hosts_bring_what_is_heavy() -> None:
    found = {
        relative(path): {name for name in imports(path) if name.split(".")[0] in HEAVY or is_host_only(name)}
        for path in sources()
        if not is_host_only(name_of(path))
    }
    late = {module: among(found.get(module, set()), tuple(allowed)) for module, allowed in LATE.items()}
    assert broken({module: heavy - late.get(module, set()) for module, heavy in found.items()}) == {}


def test_only_the_composition_root_picks_backends() -> None:
    concrete = {"model_store.sql.registry", "model_store.artifacts.local.LocalArtifacts"}
    roots = {"model_store.opening", "model_store.backup", "wsgi_service.app"}
    assert (
        broken({name_of(path): imports(path) & concrete for path in sources() if name_of(path) not in roots}) == {}
    )


def test_nothing_unpickles() -> None:
    found = {relative(path): {word for word in UNPICKLERS if word in text_of(path)} for path in sources()}
    assert broken({module: words for module, words in found.items() if module not in MAY_UNPICKLE}) == {}


def test_a_module_says_in_its_first_line_what_lives_in_it() -> None:
    first = {relative(path): (ast.get_docstring(tree_of(path)) or "").partition("\n")[0] for path in sources()}
    assert {module: line for module, line in first.items() if len(line) <= 20} == {}


def test_no_module_is_called_after_nothing() -> None:
    empty = {"utils", "helpers", "common", "core", "base", "manager", "misc"}
    assert [relative(path) for path in sources() if path.stem in empty] == []


def test_the_http_process_never_imports_scikit_learn(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from wsgi_service.app import create_app\n"
        "from wsgi_service.settings import Settings\n"
        "import wsgi_service.server.loop, wsgi_service.cli\n"
        f"create_app(Settings(data={str(tmp_path)!r}))\n"
        "heavy = ('sklearn', 'skops', 'scipy', 'pandas', 'onnx', 'onnxruntime', 'pyarrow', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, stdin=subprocess.DEVNULL
    )
    assert done.stdout.strip() == b"[]"
