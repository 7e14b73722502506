"""The rules about what is in a loaded model: values that compiled code trusts, settings a server must not follow.

scikit-learn checks its inputs and trusts its own fitted attributes: trees, support vector machines, neighbours and
clusters are computed by compiled code that reads where those point. A file can make them point anywhere.
To add a rule: write it in the module of its family, and name it in `RULES` with the types that it looks at.
"""

from collections import defaultdict
from typing import Any

import numpy as np
from scipy import interpolate, sparse
from sklearn import cluster, ensemble, feature_extraction, isotonic, neighbors, preprocessing, svm, tree
from sklearn.base import BaseEstimator
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.feature_extraction.text import _VectorizerMixin
from sklearn.neighbors._base import NeighborsBase
from sklearn.tree._tree import Tree

from model_store.formats.rules import Audit, Rule
from model_store.formats.skops.values import (
    boosting,
    clusters,
    encoders,
    functions,
    linear,
    nearest,
    settings,
    shapes,
    support,
    text,
    trees,
)
from model_store.formats.skops.values.walk import Place, walk

NEAREST_TREES = (neighbors.BallTree, neighbors.KDTree)
KMEANS = (cluster.KMeans, cluster.MiniBatchKMeans, cluster.BisectingKMeans)
LIBSVM = (svm.SVC, svm.NuSVC, svm.SVR, svm.NuSVR, svm.OneClassSVM)

#: In their order; each relies on those before it.
RULES = (
    Rule(shapes.masked_arrays_are_results_of_searches, of=(np.ma.MaskedArray,)),
    Rule(functions.functions_give_row_for_row, of=(preprocessing.FunctionTransformer,)),
    Rule(settings.no_attribute_hides_a_method, of=(BaseEstimator,)),
    Rule(settings.one_thread_only, of=(BaseEstimator, _BinMapper)),
    Rule(settings.nothing_is_cached_on_disk, of=(BaseEstimator,)),
    Rule(settings.nothing_is_printed, of=(BaseEstimator,)),
    Rule(settings.outputs_are_arrays, of=(BaseEstimator,)),
    Rule(settings.nothing_is_fitted_again, of=(BaseEstimator,)),
    Rule(shapes.widths_are_plausible, of=(BaseEstimator,)),
    Rule(shapes.classes_are_few, of=(BaseEstimator,)),
    Rule(shapes.sparse_matrices_stay_within_themselves, of=(sparse.spmatrix, sparse.sparray)),
    Rule(shapes.splines_have_their_knots, of=(interpolate.BSpline,)),
    Rule(shapes.thresholds_are_as_many_as_values, of=(isotonic.IsotonicRegression,)),
    Rule(trees.tree_nodes_stay_within_the_tree, of=(Tree,)),
    Rule(trees.trees_are_as_wide_as_their_owner, of=(tree.DecisionTreeClassifier, tree.DecisionTreeRegressor)),
    Rule(trees.forests_hold_trees_of_their_own_width, of=(BaseForest,)),
    Rule(trees.isolated_trees_fit_their_columns, of=(ensemble.IsolationForest,)),
    Rule(trees.boosted_trees_are_one_column_each, of=(BaseGradientBoosting,)),
    Rule(boosting.histogram_nodes_stay_within_the_tree, of=(BaseHistGradientBoosting,)),
    Rule(support.support_vectors_agree_with_each_other, of=LIBSVM),
    Rule(text.texts_are_given_and_not_read_from_files, of=(_VectorizerMixin,)),
    Rule(text.patterns_are_bounded, of=(_VectorizerMixin,)),
    Rule(text.stop_words_are_a_list, of=(_VectorizerMixin,)),
    Rule(text.ngrams_are_short, of=(_VectorizerMixin,)),
    Rule(
        text.vocabularies_count_from_zero,
        of=(feature_extraction.text.CountVectorizer, feature_extraction.DictVectorizer),
    ),
    Rule(text.hashes_stay_within_their_table, of=(feature_extraction.FeatureHasher, _VectorizerMixin)),
    Rule(encoders.categories_and_columns_agree, of=(preprocessing.OneHotEncoder,)),
    Rule(encoders.targets_and_categories_agree, of=(preprocessing.TargetEncoder,)),
    Rule(clusters.centers_are_as_wide_as_their_owner, of=KMEANS),
    Rule(clusters.bisections_are_as_wide_as_their_owner, of=(cluster.BisectingKMeans,)),
    Rule(nearest.neighbours_are_as_many_as_they_claim, of=(NeighborsBase,)),
    Rule(nearest.nearest_neighbour_trees_are_built_anew, of=NEAREST_TREES),
    Rule(linear.coefficients_are_numbers, of=(BaseEstimator,)),
)


def examine(estimator: Any, audit: Audit) -> None:
    """Apply every rule to everything in a loaded estimator, and change what must not stay as it is.

    Raises:
        Unsafe: a value that compiled code would follow out of bounds, or that a server must not act on.
    """
    by_type: dict[type, list[Place]] = defaultdict(list)
    for place in walk(estimator):
        by_type[type(place.value)].append(place)
    for rule in RULES:
        for type_, places in by_type.items():
            if issubclass(type_, rule.of):
                for place in places:
                    audit.note(rule, rule.check(place))
