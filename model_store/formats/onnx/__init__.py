"""The ONNX format: a program of operators, checked by rules before ONNX Runtime makes a session of it.

The format: https://onnx.ai/onnx/repo-docs/IR.html
"""

from pathlib import Path
from typing import Any

from model_store.errors import MissingExtra, Unreadable
from model_store.formats.rules import Audit
from model_store.safety import Policy

MISSING = (
    "Reading ONNX files needs two packages that are not installed on the server. Its operator can add them: "
    'pip install "wsgi-service[onnx]"'
)


def load(path: Path, _policy: Policy, audit: Audit) -> Any:
    """The program in an ONNX file that every rule lets pass, with a session.

    Raises:
        Unreadable, Unsafe, NotAPredictor: by the rule that refuses.
        MissingExtra: the packages for it are not installed.
    """
    try:
        from model_store.formats.onnx.checks import RULES, parse
        from model_store.formats.onnx.program import Program
    except ImportError:
        raise MissingExtra(MISSING, extra="onnx") from None
    model = parse(path.read_bytes(), audit)
    audit.apply(RULES, model)
    audit.classes = tuple(sorted({node.op_type for node in model.graph.node}))
    try:
        return Program(model)
    except MemoryError:
        raise
    except Exception as error:
        message = f"ONNX Runtime cannot make a session of this program ({type(error).__name__})."
        raise audit.refuse("session-is-made", message, Unreadable) from error
