"""The exact types that a skops file may name, by the loader that would construct them.

Estimators are enumerated from the installed scikit-learn. Everything else is written out here, because a type
that is merely "inside sklearn" can do anything. To allow a type: add it below, with a model that needs it in
`tests/model_store/test_breadth.py`.
"""

from functools import cache

import numpy as np
import scipy.special
from sklearn import metrics
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401 - so they are listed
from sklearn.utils import all_estimators

#: What fitted estimators are made of.
INTERNALS: dict[str, tuple[str, ...]] = {
    "scipy.interpolate._bsplines": ("BSpline", "_BSpline"),
    "sklearn._loss.link": (
        "HalfLogitLink", "IdentityLink", "Interval", "LogLink", "LogitLink", "MultinomialLogit",
    ),
    "sklearn._loss.loss": (
        "AbsoluteError", "ExponentialLoss", "HalfBinomialLoss", "HalfGammaLoss", "HalfMultinomialLoss",
        "HalfPoissonLoss", "HalfSquaredError", "HalfTweedieLoss", "HalfTweedieLossIdentity", "HuberLoss",
        "PinballLoss",
    ),
    "sklearn.calibration": (
        "_CalibratedClassifier", "_SigmoidCalibration", "_TemperatureScaling",
    ),
    "sklearn.cluster._bisect_k_means": ("_BisectingTree",),
    "sklearn.compose._column_transformer": ("make_column_selector",),
    "sklearn.ensemble._hist_gradient_boosting.binning": ("_BinMapper",),
    "sklearn.ensemble._hist_gradient_boosting.predictor": ("TreePredictor",),
    "sklearn.gaussian_process._gpc": ("_BinaryGaussianProcessClassifierLaplace",),
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel", "ConstantKernel", "DotProduct", "ExpSineSquared", "Exponentiation", "Matern",
        "PairwiseKernel", "Product", "RBF", "RationalQuadratic", "Sum", "WhiteKernel",
    ),
    "sklearn.multiclass": ("_ConstantPredictor",),
    "sklearn.metrics._dist_metrics": tuple(
        f"{name}Distance{bits}"
        for name in (
            "BrayCurtis", "Canberra", "Chebyshev", "Euclidean", "Hamming", "Haversine", "Jaccard", "Manhattan",
            "Minkowski",
        )
        for bits in ("", "32", "64")
    ),
    "sklearn.metrics._scorer": ("_CurveScorer", "_PassthroughScorer", "_Scorer"),
    "sklearn.model_selection._split": (
        "GroupKFold", "GroupShuffleSplit", "KFold", "LeaveOneOut", "LeavePOut", "PredefinedSplit",
        "RepeatedKFold", "RepeatedStratifiedKFold", "ShuffleSplit", "StratifiedGroupKFold",
        "StratifiedKFold", "StratifiedShuffleSplit", "TimeSeriesSplit",
    ),
    "sklearn.neighbors._ball_tree": ("BallTree", "BallTree32", "BallTree64"),
    "sklearn.neighbors._kd_tree": ("KDTree", "KDTree32", "KDTree64"),
    "sklearn.neural_network._stochastic_optimizers": ("AdamOptimizer", "SGDOptimizer"),
    "sklearn.utils._metadata_requests": ("MetadataRequest", "MethodMetadataRequest"),
}  # fmt: skip

_C_LOSSES = (
    "CyAbsoluteError", "CyExponentialLoss", "CyHalfBinomialLoss", "CyHalfGammaLoss", "CyHalfMultinomialLoss",
    "CyHalfPoissonLoss", "CyHalfSquaredError", "CyHalfTweedieLoss", "CyHalfTweedieLossIdentity", "CyHuberLoss",
    "CyPinballLoss",
)  # fmt: skip
#: Loss functions written in C; skops checks these names as well.
LOSSES: dict[str, tuple[str, ...]] = {
    "_loss": _C_LOSSES,  # as scikit-learn called the module before 1.9
    "sklearn._loss._loss": _C_LOSSES,
    "sklearn.linear_model._sgd_fast": (
        "EpsilonInsensitive", "Hinge", "ModifiedHuber", "SquaredEpsilonInsensitive", "SquaredHinge",
    ),
}  # fmt: skip

#: Functions that an estimator holds as a parameter, and that only compute.
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "numpy": ("amax", "amin", "max", "mean", "median", "min", "ravel", "sum"),
    "scipy._lib.array_api_compat.numpy._aliases": ("asarray",),
    "sklearn.cluster._kmeans": ("_kmeans_single_elkan", "_kmeans_single_lloyd"),
    "sklearn.feature_selection._mutual_info": ("mutual_info_classif", "mutual_info_regression"),
    "sklearn.feature_selection._univariate_selection": (
        "chi2", "f_classif", "f_oneway", "f_regression", "r_regression",
    ),
    "sklearn.metrics.pairwise": (
        "additive_chi2_kernel", "chi2_kernel", "cosine_similarity", "euclidean_distances",
        "laplacian_kernel", "linear_kernel", "manhattan_distances", "polynomial_kernel", "rbf_kernel",
        "sigmoid_kernel",
    ),
    "sklearn.utils.validation": ("check_array",),
}  # fmt: skip

#: Loaders for which an operator may allow types of their own.
TRUSTABLE = ("FunctionNode", "ObjectNode", "TypeNode")

SCALARS = ("bool", "float", "int", "str")
ARRAY_TYPES = {"numpy.ndarray", "numpy.bool", "numpy.bool_", "numpy.str_"} | {
    f"numpy.{kind}{bits}"
    for kind, sizes in {
        "int": (8, 16, 32, 64),
        "uint": (8, 16, 32, 64),
        "float": (16, 32, 64),
    }.items()
    for bits in sizes
}
#: Types that column selectors name; none of them can be constructed from a key.
ABSTRACT_TYPES = {"builtins.object"} | {
    f"numpy.{name}" for name in ("floating", "generic", "inexact", "integer", "number", "object_", "signedinteger")
}
SPARSE = {
    f"scipy.sparse._{kind}.{kind}_{form}"
    for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    for form in ("matrix", "array")
}


@cache
def types_by_loader() -> dict[str, frozenset[str]]:
    """Loader -> the types it may construct. Loaders that are missing here may construct nothing."""
    builtin = {name: f"builtins.{name}" for name in ("bytearray", "bytes", "list", "set", "slice", "tuple")}
    return {
        "BytearrayNode": frozenset({builtin["bytearray"]}),
        "BytesNode": frozenset({builtin["bytes"]}),
        "DTypeNode": frozenset({"numpy.dtype"}),
        "DefaultDictNode": frozenset({"collections.defaultdict"}),
        "DictNode": frozenset({"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"}),
        "FunctionNode": _named(FUNCTIONS) | _ufuncs() | _metrics(),
        "ListNode": frozenset({builtin["list"]}),
        "LossNode": _named(LOSSES),
        "MaskedArrayNode": frozenset({"numpy.ma.MaskedArray"}),
        "NdArrayNode": frozenset(ARRAY_TYPES),
        "ObjectNode": _estimators() | _named(INTERNALS),
        "PartialNode": frozenset({"functools.partial"}),
        "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
        "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
        "SetNode": frozenset({builtin["set"]}),
        "SliceNode": frozenset({builtin["slice"]}),
        "SparseMatrixNode": frozenset(SPARSE),
        "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
        "TupleNode": frozenset({builtin["tuple"], "sklearn.impute._iterative._ImputerTriplet"}),
        "TypeNode": frozenset(
            {f"builtins.{name}" for name in SCALARS} | ARRAY_TYPES - {"numpy.ndarray"} | ABSTRACT_TYPES
        ),
    }


def is_allowed(loader: str, type_: str, trusted: frozenset[str] = frozenset()) -> bool:
    """Whether a loader may construct exactly this type, which the operator may trust besides the list."""
    known = types_by_loader()
    return type_ in known.get(loader, frozenset()) or (loader in TRUSTABLE and type_ in trusted)


def _named(table: dict[str, tuple[str, ...]]) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for module, names in table.items() for name in names)


def _estimators() -> frozenset[str]:
    classes = (class_ for _, class_ in all_estimators())
    names = (f"{class_.__module__}.{class_.__qualname__}" for class_ in classes)
    return frozenset(name for name in names if name.startswith("sklearn."))


def _ufuncs() -> frozenset[str]:
    """Element-wise functions, under each name that skops may have found them by."""
    numpy_names = (name for name in dir(np) if isinstance(getattr(np, name), np.ufunc))
    scipy_names = (name for name in dir(scipy.special) if _is_ufunc(name))
    return frozenset(f"numpy.{name}" for name in numpy_names) | frozenset(
        f"{module}.{name}" for name in scipy_names for module in ("scipy.special", "scipy.special._ufuncs")
    )


def _is_ufunc(name: str) -> bool:
    return isinstance(getattr(scipy.special, name), np.ufunc)


def _metrics() -> frozenset[str]:
    """The score functions behind scikit-learn's named scorers, which searches and thresholds hold."""
    scorers = (metrics.get_scorer(name) for name in metrics.get_scorer_names())
    functions = (scorer._score_func for scorer in scorers)
    return frozenset(f"{function.__module__}.{function.__name__}" for function in functions)
