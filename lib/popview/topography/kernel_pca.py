"""Where solutions lie: inner products, distances and kernel principal components (arXiv 2602.21276)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import KernelPCA

from popview.common.errors import UsageError, check_name

Array = NDArray[np.float64]

#: Kernel → its name in scikit-learn.
KERNELS = {"rbf": "rbf", "linear": "linear", "polynomial": "poly", "sigmoid": "sigmoid", "cosine": "cosine"}


def gram(solutions: ArrayLike) -> Array:
    """Return the inner products of solutions ``(n, d)``, shape ``(n, n)``, in double precision.

    All that is needed of solutions for `distances`, `norms` and, through `coordinates`, `kernel_pca`: n² numbers
    instead of n · d.

    Raises
    ------
    UsageError
        If there are fewer than two solutions, or a value is not finite.

    Examples
    --------
    >>> from popview.topography import gram
    >>> gram([[3, 4], [0, 5]])
    array([[25., 20.],
           [20., 25.]])
    """
    vectors = _matrix(solutions)
    products = vectors @ vectors.T
    return (products + products.T) / 2


def norms(gram: ArrayLike) -> Array:
    """Return the Euclidean norms ``(n,)`` of the solutions from their inner products.

    Examples
    --------
    >>> from popview.topography import gram, norms
    >>> norms(gram([[3, 4], [0, 2]]))
    array([5., 2.])
    """
    return np.sqrt(np.diag(_square(gram)).clip(0))


def distances(gram: ArrayLike, *, unit_norm: bool = False) -> Array:
    """Return the Euclidean distances ``(n, n)`` between solutions from their inner products.

    Parameters
    ----------
    gram : array_like, shape (n, n)
    unit_norm : bool
        Between the solutions' directions: each scaled to norm 1 first.

    Raises
    ------
    UsageError
        If `gram` is no symmetric square matrix, or a solution that is to be scaled has norm 0.

    Examples
    --------
    Two solutions at a right angle. Scaled to norm 1 their distance is √2:

    >>> from popview.topography import distances, gram
    >>> products = gram([[3, 0], [0, 4]])
    >>> distances(products)
    array([[0., 5.],
           [5., 0.]])
    >>> distances(products, unit_norm=True).round(4)
    array([[0.    , 1.4142],
           [1.4142, 0.    ]])
    """
    products = _square(gram)
    if unit_norm:
        lengths = norms(products)
        if (lengths == 0).any():
            raise UsageError("a solution of norm 0 has no direction: pass unit_norm=False")
        products = products / np.outer(lengths, lengths)
    squares = np.diag(products)
    found = np.sqrt((squares[:, None] + squares[None, :] - 2 * products).clip(0))
    np.fill_diagonal(found, 0)
    return found


def coordinates(gram: ArrayLike) -> Array:
    """Return points ``(n, n)`` that have these inner products: the solutions, up to a rotation.

    Examples
    --------
    >>> from popview.topography import coordinates, gram
    >>> products = gram([[3, 4], [0, 5]])
    >>> gram(coordinates(products)).round(6)
    array([[25., 20.],
           [20., 25.]])
    """
    values, vectors = np.linalg.eigh(_square(gram))
    return vectors * np.sqrt(values.clip(0))


def kernel_pca(solutions: ArrayLike, kernel: str = "rbf", *, parameters: int | None = None) -> Array:
    """Project solutions on their first two kernel principal components (scikit-learn's `KernelPCA`), shape ``(n, 2)``.

    With γ = 1/parameters: rbf exp(−γ ‖x − y‖²), which is 2σ² = number of parameters; linear x·y; polynomial
    (γ x·y + 1)³; sigmoid tanh(γ x·y + 1); cosine x·y/(‖x‖ ‖y‖). A component's sign is arbitrary.

    Parameters
    ----------
    solutions : array_like, shape (n, d)
        Parameter vectors, or `coordinates` of their inner products; three or more.
    kernel : {"rbf", "linear", "polynomial", "sigmoid", "cosine"}
    parameters : int, optional
        Number of parameters; needed with `coordinates`, otherwise d.

    Raises
    ------
    UsageError
        If the kernel is unknown, there are fewer than three solutions, or the kernel's matrix has negative eigenvalues
        (a sigmoid can).

    References
    ----------
    Schölkopf, Smola and Müller 1998, Neural Computation 10, 1299. The kernels and the width: arXiv 2602.21276.

    Examples
    --------
    Three solutions on a line, 5 apart. The linear kernel's first component is the place on that line:

    >>> from popview.topography import kernel_pca
    >>> sorted(kernel_pca([[0, 0], [3, 4], [6, 8]], "linear")[:, 0].round(6).tolist())
    [-5.0, 0.0, 5.0]
    """
    check_name("kernel", kernel, KERNELS)
    vectors = _matrix(solutions)
    count = vectors.shape[1] if parameters is None else parameters
    if count < 1:
        raise UsageError(f"parameters must be 1 or above, got {count!r}")
    if len(vectors) < 3:
        raise UsageError(f"two components need three solutions or more, got {len(vectors)}")
    model = KernelPCA(len(vectors), kernel=KERNELS[kernel], gamma=1 / count, coef0=1, degree=3, eigen_solver="dense")
    try:
        return np.asarray(model.fit_transform(vectors))[:, :2]
    except ValueError as error:
        raise UsageError(f"kernel {kernel!r} has no principal components on these solutions: {error}") from error


def _matrix(solutions: ArrayLike) -> Array:
    vectors = np.asarray(solutions, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) < 2:
        raise UsageError(f"solutions must have shape (n, d), n of 2 or more, got {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise UsageError("solutions must be finite")
    return vectors


def _square(gram: ArrayLike) -> Array:
    products = _matrix(gram)
    if products.shape[0] != products.shape[1] or not np.allclose(products, products.T):
        raise UsageError(f"gram must be a symmetric square matrix, got shape {products.shape}")
    return products
