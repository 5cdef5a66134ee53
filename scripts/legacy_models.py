"""Small models as one release of Keras builds, saves and evaluates them. Run by make_legacy_vectors, inside each old
environment, under that environment's Python (3.6 to 3.11):

    python legacy_models.py ENVIRONMENT FOLDER [CASE…]

Per case it writes CASE.h5 or CASE.keras (or both), CASE.npz with inputs x00…, outputs y00…, the names of the inputs
and `made_by`, and prints one JSON line. Every file is loaded again and must predict the same, or the line says why not.

Some are saved once more with the paths that the same release writes on Windows, as CASE.windows.keras: tf.keras 2.13 to
2.15 join the names of HDF5 groups with os.path.join.

Weights are drawn from the name of the case, so that equal models are equal in all releases.
"""

# ruff: noqa: B905 (Python 3.6 has no zip(strict=))

import contextlib
import json
import ntpath
import os
import platform
import sys
import zlib

import numpy as np

ENVIRONMENTS = ["k122", "k208", "k224", "k231", "tf22", "tf24", "tf29", "tf213", "tf215", "k3"]
ARCHIVES = ["tf213", "tf215", "k3"]
WINDOWS = ["tf213", "tf215"]

CASES = {}


def case(environments="", since="k122", archive=False, both=False, windows=False):
    """Registers a model.

    environments: where it is made; without them, everywhere from `since` on. archive: as `.keras` where that exists,
    as `.h5` before; both: in Keras 3 as `.h5` too. windows: with the paths of Windows too, where a release has such.
    """
    names = environments.split() or ENVIRONMENTS[ENVIRONMENTS.index(since) :]

    def register(build):
        CASES[build.__name__] = (build, names, archive or both, both, windows)
        return build

    return register


# --------------------------------------------------------------------------- one vocabulary for three ages of Keras

OLD_NAMES = {
    "Conv1D": "Convolution1D",
    "filters": "nb_filter",
    "kernel_size": "filter_length",
    "padding": "border_mode",
    "pool_size": "pool_length",
    "rate": "p",
    "recurrent_activation": "inner_activation",
    "kernel_regularizer": "W_regularizer",
    "kernel_constraint": "W_constraint",
}
OLD_MODES = {"Add": "sum", "Multiply": "mul", "Average": "ave", "Maximum": "max", "Concatenate": "concat"}


class Kit:
    """`kit.LSTM(4, …)` is the layer of the release at hand, named as in Keras 2."""

    def __init__(self, environment):
        self.environment = environment
        self.tf = None
        with contextlib.suppress(ImportError):
            import tensorflow

            self.tf = tensorflow
        if environment.startswith("tf"):
            self.keras = self.tf.keras
            with contextlib.suppress(AttributeError):
                self.tf.get_logger().setLevel("ERROR")
        else:
            import keras

            self.keras = keras
        # tf.keras 2.15 says its version only in the package keras.
        version = getattr(self.keras, "__version__", None)
        if version is None:
            from keras import __version__ as version
        self.version = str(version)
        self.age = int(self.version[0])
        self.backend = self.keras.backend

    def __getattr__(self, name):
        def make(*args, **kwargs):
            known = name
            if self.age == 1:
                known = OLD_NAMES.get(name, name)
                kwargs = {OLD_NAMES.get(key, key): value for key, value in kwargs.items()}
            if self.age == 3:
                kwargs = {
                    {"alpha": "negative_slope"}.get(key, key) if name == "LeakyReLU" else key: value
                    for key, value in kwargs.items()
                    if key != "input_length"
                }
            return getattr(self.keras.layers, known)(*args, **kwargs)

        return make

    def model(self, inputs, outputs, **kwargs):
        if self.age == 1:
            return self.keras.models.Model(inputs, outputs, **kwargs)
        return self.keras.models.Model(inputs=inputs, outputs=outputs, **kwargs)

    def sequential(self, layers, **kwargs):
        model = self.keras.models.Sequential(**kwargs)
        for layer in layers:
            model.add(layer)
        return model

    def merge(self, kind, tensors, axis=None, name=None):
        if self.age == 1:
            options = {} if axis is None else {"concat_axis": axis}
            return self.keras.layers.merge(tensors, mode=OLD_MODES[kind], name=name, **options)
        options = {} if axis is None else {"axis": axis}
        return getattr(self.keras.layers, kind)(name=name, **options)(tensors)

    def variables(self, model):
        """Each variable once, in the order of model.weights."""
        found = []
        for variable in model.weights:
            if all(variable is not other for other in found):
                found.append(variable)
        return found

    def get(self, variable):
        return np.array(variable.numpy() if self.age == 3 else self.backend.get_value(variable))

    def put(self, variable, value):
        if self.age == 3:
            variable.assign(value)
        else:
            self.backend.set_value(variable, value)

    def clear(self):
        if self.age == 3:
            self.keras.utils.clear_session()
        elif self.environment != "k122-theano":
            self.backend.clear_session()

    def since(self, environment):
        return ENVIRONMENTS.index(self.environment.split("-")[0]) >= ENVIRONMENTS.index(environment)

    def load(self, path):
        options = {} if self.age == 1 else {"compile": False}
        if self.age == 3:
            options["safe_mode"] = False
        return self.keras.models.load_model(path, **options)


def fill(kit, model, name):
    """Weights of the size that training leaves: 1/sqrt(inputs); no bias is zero."""
    if not kit.variables(model):
        raise AssertionError("the model is not built yet")
    for index, variable in enumerate(kit.variables(model)):
        old = kit.get(variable)
        if old.dtype.kind != "f":
            continue
        random = np.random.RandomState(zlib.crc32(f"{name}/{index}/{old.shape}".encode()) & 0x7FFFFFFF)
        path = getattr(variable, "path", None) or variable.name or ""
        if "variance" in path or "running_std" in path:
            new = random.uniform(0.5, 1.5, old.shape)
        elif "gamma" in path:
            new = random.uniform(0.7, 1.3, old.shape)
        elif "embedding" in path:
            new = random.randn(*old.shape)
        elif "bias" in path or old.ndim < 2:
            new = 0.3 * random.randn(*old.shape)
        else:
            new = random.randn(*old.shape) / np.sqrt(np.prod(old.shape[:-1]))
        kit.put(variable, np.asarray(new, old.dtype))


# ------------------------------------------------------------------------------------------------------------- inputs

# No step masked; two at the end; two at the start; holes; all.
MASK = np.array(
    [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0]], bool
)


def normal(seed, *shape):
    return np.random.RandomState(seed).randn(*shape).astype("float32")


def padded(seed, features, value=0.0, mask=MASK):
    x = normal(seed, mask.shape[0], mask.shape[1], features)
    x[~mask] = value
    return x


def tokens(seed, size, mask=MASK):
    return (np.random.RandomState(seed).randint(1, size, mask.shape) * mask).astype("int32")


# -------------------------------------------------------------------------------------------------- cells and options


@case(archive=True, windows=True)
def lstm(kit):
    return kit.sequential([
        kit.LSTM(5, return_sequences=True, input_shape=(6, 3)),
        kit.LSTM(4),
        kit.Dense(2),
    ]), [normal(1, 3, 6, 3)]  # fmt: skip


@case(archive=True)
def gru(kit):
    return kit.sequential([
        kit.GRU(5, return_sequences=True, input_shape=(6, 3)),
        kit.GRU(4),
        kit.Dense(3, activation="softmax"),
    ]), [normal(2, 3, 6, 3)]  # fmt: skip


@case("k224 k231 tf22 tf24 tf215 k3", archive=True)
def gru_reset_after(kit):
    x = kit.Input(shape=(6, 3), name="x")
    after = kit.GRU(4, reset_after=True, return_sequences=True, name="after")(x)
    before = kit.GRU(4, reset_after=False, return_sequences=True, name="before")(after)
    return kit.model(x, [after, before]), [normal(3, 3, 6, 3)]


@case(archive=True)
def simple_rnn(kit):
    return kit.sequential([
        kit.SimpleRNN(5, return_sequences=True, input_shape=(6, 3)),
        kit.SimpleRNN(4, activation="relu"),
        kit.Dense(2, activation="sigmoid"),
    ]), [normal(4, 3, 6, 3)]  # fmt: skip


@case("k208 tf213", archive=True)
def no_bias(kit):
    return kit.sequential([
        kit.LSTM(4, use_bias=False, return_sequences=True, input_shape=(6, 3)),
        kit.GRU(4, use_bias=False, return_sequences=True),
        kit.Bidirectional(kit.SimpleRNN(3, use_bias=False, return_sequences=True)),
        kit.Bidirectional(kit.LSTM(3, use_bias=False)),
        kit.Dense(2, use_bias=False),
    ]), [normal(5, 3, 6, 3)]  # fmt: skip


@case(archive=True)
def hard_sigmoid(kit):
    x = kit.Input(shape=(6, 3), name="x")
    a = kit.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True, name="a")(x)
    b = kit.GRU(4, recurrent_activation="hard_sigmoid", return_sequences=True, name="b")(a)
    c = kit.TimeDistributed(kit.Dense(3, activation="hard_sigmoid"), name="c")(b)
    d = kit.Activation("hard_sigmoid", name="d")(x)
    return kit.model(x, [a, b, c, d]), [3 * normal(6, 4, 6, 3)]


@case("tf24", archive=True)
def cell_activations(kit):
    x = kit.Input(shape=(6, 3), name="x")
    a = kit.LSTM(4, activation="relu", return_sequences=True, name="a")(x)
    b = kit.GRU(4, activation="softsign", recurrent_activation="sigmoid", return_sequences=True, name="b")(a)
    c = kit.SimpleRNN(4, activation="linear", return_sequences=True, name="c")(b)
    d = kit.Bidirectional(kit.LSTM(3, activation="elu" if kit.age > 1 else "softplus"), name="d")(c)
    return kit.model(x, [a, b, c, d]), [normal(7, 3, 6, 3)]


@case("k122 tf24")
def cell_options(kit):
    """What has no effect on a prediction, yet stands in the config."""
    drop = {"dropout_W": 0.2, "dropout_U": 0.3} if kit.age == 1 else {"dropout": 0.2, "recurrent_dropout": 0.3}
    kinds = [{"implementation": kind} for kind in ((1, 2) if kit.since("tf22") else (0, 1, 2))]
    if kit.age == 1:
        kinds = [{"consume_less": kind} for kind in ("cpu", "mem", "gpu")]
    x = kit.Input(shape=(6, 3), name="x")
    h = kit.LSTM(3, unroll=True, return_sequences=True, name="first")(x)
    for kind in kinds:
        h = kit.LSTM(3, return_sequences=True, **dict(kind, **drop))(h)
        h = kit.GRU(3, return_sequences=True, **kind)(h)
    h = kit.SpatialDropout1D(0.2)(kit.GaussianNoise(0.1)(kit.Dropout(0.4)(h)))
    return kit.model(x, kit.LSTM(3, name="last")(h)), [normal(8, 3, 6, 3)]


@case("k224 k3")
def go_backwards(kit):
    x = kit.Input(shape=(6, 3), name="x")
    masked = kit.Masking(name="masking")(x)
    plain = kit.LSTM(3, go_backwards=True, return_sequences=True, name="plain")(x)
    some = kit.LSTM(3, go_backwards=True, return_sequences=True, name="some")(masked)
    last = kit.GRU(3, go_backwards=True, name="last")(masked)
    over = kit.LSTM(3, return_sequences=True, name="over")(some)
    return kit.model(x, [plain, some, last, over]), [padded(9, 3)]


@case("k224 tf215", archive=True)
def stateful(kit):
    """Predicted twice without a reset; the second output is `again00`."""
    first = [kit.Input(batch_shape=(2, 4, 3))] if kit.age == 3 else []
    shape = {} if first else {"batch_input_shape": (2, 4, 3)}
    return kit.sequential([
        *first,
        kit.LSTM(4, stateful=True, return_sequences=True, **shape),
        kit.GRU(3, stateful=True),
        kit.Dense(2),
    ]), [normal(10, 2, 4, 3)]  # fmt: skip


@case("k224 k231 tf215", archive=True, windows=True)
def stacked_cells(kit):
    """Cells of one size: Keras 2.2 and 2.3 could not build a masked stack of different sizes."""
    x = kit.Input(shape=(6, 3), name="x")
    masked = kit.Masking(name="masking")(x)
    stack = kit.RNN([kit.LSTMCell(3), kit.GRUCell(3)], return_sequences=True, name="stack")(masked)
    one = kit.Bidirectional(kit.RNN(kit.SimpleRNNCell(3)), name="one")(masked)
    return kit.model(x, [stack, one]), [padded(11, 3)]


# --------------------------------------------------------------------------------------------------------------- masks


@case(both=True)
def masking(kit):
    x = kit.Input(shape=(6, 3), name="x")
    masked = kit.Masking(mask_value=0.0, name="masking")(x)
    sequence = kit.LSTM(4, return_sequences=True, name="sequence")(masked)
    gru = kit.GRU(3, name="gru")(masked)
    rnn = kit.SimpleRNN(3, return_sequences=True, name="rnn")(masked)
    second = kit.LSTM(3, return_sequences=True, name="second")(sequence)
    return kit.model(x, [sequence, gru, rnn, second]), [padded(12, 3)]


@case("k122 k224 k3", archive=True)
def masking_sequential(kit):
    return kit.sequential([
        kit.Masking(mask_value=-1.0, input_shape=(6, 3)),
        kit.LSTM(4, return_sequences=True),
        kit.Dropout(0.3),
        kit.LSTM(3),
        kit.Dense(2),
    ]), [padded(13, 3, -1.0)]  # fmt: skip


@case("k122 k224 tf215 k3", archive=True)
def masking_infinite(kit):
    """Steps of infinities are masked; what Masking puts out there shows whether it multiplies or selects."""
    x = kit.Input(shape=(6, 2), name="x")
    masked = kit.Masking(mask_value=float("inf"), name="masking")(x)
    return kit.model(x, [masked, kit.LSTM(3, return_sequences=True, name="lstm")(masked)]), [padded(14, 2, np.inf)]


@case(archive=True, windows=True)
def bidirectional(kit):
    return kit.sequential([
        kit.Bidirectional(kit.LSTM(4, return_sequences=True), input_shape=(6, 3)),
        kit.Bidirectional(kit.GRU(3), merge_mode="sum"),
        kit.Dense(2),
    ]), [normal(15, 3, 6, 3)]  # fmt: skip


@case("k122 tf24")
def bidirectional_merges(kit):
    x = kit.Input(shape=(6, 3), name="x")
    made = []
    for mode in ("ave", "mul"):
        made.append(kit.Bidirectional(kit.LSTM(3), merge_mode=mode, name=mode)(x))
    made.append(kit.Bidirectional(kit.GRU(3, return_sequences=True), merge_mode="ave", name="sequence")(x))
    if kit.age > 1:
        made += kit.Bidirectional(kit.GRU(3, return_sequences=True), merge_mode=None, name="both")(x)
    return kit.model(x, made), [normal(16, 3, 6, 3)]


@case(archive=True)
def bidirectional_masked(kit):
    x = kit.Input(shape=(6, 3), name="x")
    masked = kit.Masking(name="masking")(x)
    sequence = kit.Bidirectional(kit.LSTM(3, return_sequences=True), name="sequence")(masked)
    last = kit.Bidirectional(kit.GRU(3), merge_mode="sum", name="last")(masked)
    over = kit.SimpleRNN(2, return_sequences=True, name="over")(sequence)
    return kit.model(x, [sequence, last, over]), [padded(17, 3)]


@case(archive=True)
def embedding(kit):
    return kit.sequential([
        *([kit.Input(shape=(6,))] if kit.age == 3 else []),
        kit.Embedding(9, 4, mask_zero=True, input_length=6),
        kit.LSTM(4, return_sequences=True),
        kit.GRU(4, return_sequences=True),
        kit.LSTM(3),
        kit.Dense(2),
    ]), [tokens(18, 9)]  # fmt: skip


MERGES = ["Add", "Multiply", "Average", "Maximum"]  # Keras 1 knows no mask of a maximum


@case("k122 k224 tf215 k3", archive=True)
def merge_masks(kit):
    """One probe, a SimpleRNN, runs over each merge of two masked branches, and shows the mask that arrives there."""
    a, b = kit.Input(shape=(6, 2), name="a"), kit.Input(shape=(6, 2), name="b")
    left, right = kit.Masking(name="left")(a), kit.Masking(name="right")(b)
    probe, made = kit.SimpleRNN(2, return_sequences=True, name="probe"), []
    for kind in MERGES[: 3 if kit.age == 1 else 4]:
        made.append(probe(kit.merge(kind, [left, right], name=kind.lower())))
    wide = kit.merge("Concatenate", [left, right], -1, "features")
    made.append(kit.SimpleRNN(2, return_sequences=True, name="wide")(wide))
    long = kit.SimpleRNN(2, return_sequences=True, name="long")
    made.append(long(kit.merge("Concatenate", [left, right], 1, "time")))
    return kit.model([a, b], made), [padded(19, 2), padded(20, 2, mask=np.roll(MASK, 1, 0))]


@case("k224 tf215 k3", archive=True)
def merge_half_masked(kit):
    """The same with a mask on one branch alone. No Keras before 3 could join the two along time."""
    a, b = kit.Input(shape=(6, 2), name="a"), kit.Input(shape=(6, 2), name="b")
    left = kit.Masking(name="left")(a)
    probe, made = kit.SimpleRNN(2, return_sequences=True, name="probe"), []
    for kind in MERGES[: 3 if kit.age == 1 else 4]:
        made.append(probe(kit.merge(kind, [left, b], name=kind.lower())))
    wide = kit.merge("Concatenate", [left, b], -1, "features")
    made.append(kit.SimpleRNN(2, return_sequences=True, name="wide")(wide))
    return kit.model([a, b], made), [padded(21, 2), normal(22, 5, 6, 2)]


@case("k224 tf24 k3", archive=True)
def masked_average(kit):
    x = kit.Input(shape=(6,), dtype="int32", name="x")
    embedded = kit.Embedding(9, 3, mask_zero=True, name="embedding")(x)
    pooled = kit.GlobalAveragePooling1D(name="pooled")(embedded)
    over = kit.GlobalAveragePooling1D(name="over")(kit.LSTM(3, return_sequences=True, name="lstm")(embedded))
    return kit.model(x, [pooled, over]), [tokens(23, 9)]


@case("tf22 k3")
def mask_lost(kit):
    """A layer that knows no masks between two that do. Keras before tf.keras refused to build this."""
    x = kit.Input(shape=(6, 3), name="x")
    h = kit.Conv1D(3, 1, name="conv")(kit.Masking(name="masking")(x))
    return kit.model(x, kit.LSTM(3, return_sequences=True, name="lstm")(h)), [padded(24, 3)]


@case("k224 tf215 k3", archive=True)
def nested_masked(kit):
    """A mask goes into a nested model: does it work there, and does it come out? Keras 1 refuses it."""
    inner = kit.sequential([kit.LSTM(3, return_sequences=True, input_shape=(6, 3), name="inside")], name="inner")
    x = kit.Input(shape=(6, 3), name="x")
    h = inner(kit.Masking(name="masking")(x))
    return kit.model(x, [h, kit.LSTM(3, return_sequences=True, name="outside")(h)]), [padded(25, 3)]


@case("k122 k208 k224 tf215 k3", archive=True)
def time_distributed_masked(kit):
    x = kit.Input(shape=(6, 3), name="x")
    masked = kit.Masking(name="masking")(x)
    each = kit.TimeDistributed(kit.Dense(3), name="each")(masked)
    over = kit.LSTM(3, return_sequences=True, name="over")(each)
    return kit.model(x, [each, over]), [padded(26, 3)]


@case("k224 k3")
def time_distributed_inner_mask(kit):
    """A mask made inside TimeDistributed by the layer it wraps: (batch, 3, 6) tokens, sentence by sentence."""
    inner = kit.sequential([
        kit.Embedding(9, 3, mask_zero=True, input_length=6),
        kit.LSTM(3),
    ], name="inner")  # fmt: skip
    if kit.age == 3:
        inner.build((None, 6))
    x = kit.Input(shape=(3, 6), dtype="int32", name="x")
    each = kit.TimeDistributed(inner, name="each")(x)
    over = kit.LSTM(2, return_sequences=True, name="over")(each)
    sentences = np.stack([tokens(27, 9), tokens(28, 9)[::-1], tokens(29, 9, np.roll(MASK, 2, 0))], 1)
    return kit.model(x, [each, over]), [sentences]


@case("k224 tf24 k3")
def unroll_masked(kit):
    x = kit.Input(shape=(6, 3), name="x")
    masked = kit.Masking(name="masking")(x)
    sequence = kit.LSTM(3, unroll=True, return_sequences=True, name="sequence")(masked)
    both = kit.Bidirectional(kit.GRU(3, unroll=True, return_sequences=True), name="both")(masked)
    return kit.model(x, [sequence, both, kit.LSTM(2, unroll=True, name="last")(sequence)]), [padded(30, 3)]


# -------------------------------------------------------------------------------------------------------------- states


@case(since="k208", both=True)
def initial_state(kit):
    """An encoder gives its state to a decoder; no masks."""
    a, b = kit.Input(shape=(6, 3), name="source"), kit.Input(shape=(4, 2), name="target")
    states = kit.LSTM(4, return_state=True, name="encoder")(a)[1:]
    made = kit.LSTM(4, return_sequences=True, return_state=True, name="decoder")(b, initial_state=states)
    end = kit.Dense(3, activation="softmax", name="words")(made[0])
    return kit.model([a, b], [end, made[1], made[2]]), [normal(31, 3, 6, 3), normal(32, 3, 4, 2)]


@case("k208 k224 k231 tf22 tf215 k3", archive=True)
def initial_state_masked(kit):
    """States given as inputs and a masked sequence: is the mask used, and what comes out before its first step?"""
    x = kit.Input(shape=(6, 3), name="x")
    h, c = kit.Input(shape=(3,), name="h"), kit.Input(shape=(3,), name="c")
    masked = kit.Masking(name="masking")(x)
    made = kit.LSTM(3, return_sequences=True, return_state=True, name="lstm")(masked, initial_state=[h, c])
    last = kit.GRU(3, return_state=True, name="gru")(masked, initial_state=h)
    over = kit.SimpleRNN(2, return_sequences=True, name="over")(made[0])
    return kit.model([x, h, c], [*made, *last, over]), [padded(33, 3), normal(34, 5, 3), normal(35, 5, 3)]


@case("k224 tf24 k3")
def unroll_initial_state_masked(kit):
    x, h = kit.Input(shape=(6, 3), name="x"), kit.Input(shape=(3,), name="h")
    masked = kit.Masking(name="masking")(x)
    made = kit.GRU(3, return_sequences=True, return_state=True, unroll=True, name="gru")(masked, initial_state=h)
    return kit.model([x, h], list(made)), [padded(36, 3), normal(37, 5, 3)]


@case("k224 k231 tf215 k3", archive=True, windows=True)
def translator(kit):
    """Words in, words out: an embedding with a mask on both sides of a sequence-to-sequence model."""
    a, b = kit.Input(shape=(6,), dtype="int32", name="source"), kit.Input(shape=(6,), dtype="int32", name="target")
    states = kit.GRU(4, return_state=True, name="encoder")(kit.Embedding(9, 3, mask_zero=True, name="read")(a))[1:]
    words = kit.Embedding(7, 3, mask_zero=True, name="write")(b)
    made = kit.GRU(4, return_sequences=True, name="decoder")(words, initial_state=states)
    return kit.model([a, b], kit.Dense(7, activation="softmax", name="words")(made)), [tokens(38, 9), tokens(39, 7)]


@case("k224 k3", archive=True)
def bidirectional_states(kit):
    x = kit.Input(shape=(6, 3), name="x")
    given = [kit.Input(shape=(3,), name=name) for name in ("fh", "fc", "bh", "bc")]
    masked = kit.Masking(name="masking")(x)
    first = kit.Bidirectional(kit.LSTM(3, return_sequences=True, return_state=True), name="first")
    made = first(masked, initial_state=given)
    second = kit.Bidirectional(kit.LSTM(3), merge_mode="ave", name="second")(x, initial_state=made[1:])
    return kit.model([x, *given], [*made, second]), [padded(40, 3)] + [normal(41 + index, 5, 3) for index in range(4)]


# -------------------------------------------------------------------------------------------------------------- graphs


@case(archive=True)
def functional(kit):
    """Two inputs, two outputs, one shared layer."""
    length = 6 if kit.age == 1 else 4  # a layer of Keras 1 keeps to the length it was built with
    a, b = kit.Input(shape=(6, 3), name="a"), kit.Input(shape=(length, 3), name="b")
    shared = kit.LSTM(4, name="shared")
    joined = kit.merge("Concatenate", [shared(b), shared(a)], name="joined")
    hidden = kit.Dense(3, activation="tanh", name="hidden")(joined)
    return kit.model([b, a], [kit.Dense(2, name="one")(hidden), hidden]), [
        normal(45, 3, length, 3),
        normal(46, 3, 6, 3),
    ]


@case(both=True, windows=True)
def nested(kit):
    """A model in a model, with weights that do not train between those that do: they are stored last."""
    frozen = kit.LSTM(4, return_sequences=True, input_shape=(6, 3), name="frozen")
    inner = kit.sequential([
        frozen,
        kit.BatchNormalization(name="norm"),
        kit.GRU(3, return_sequences=True, name="free"),
        kit.BatchNormalization(name="again"),
    ], name="inner")  # fmt: skip
    frozen.trainable = False
    x = kit.Input(shape=(6, 3), name="x")
    return kit.model(x, kit.Dense(2, name="end")(kit.LSTM(3, name="outer")(inner(x)))), [normal(47, 3, 6, 3)]


@case("k122 k224 tf213 k3", archive=True)
def nested_twice(kit):
    """A functional model with two outputs, in a model that calls it twice: which node index do its outputs have?"""
    u = kit.Input(shape=(6, 3), name="u")
    h = kit.LSTM(3, return_sequences=True, name="h")(u)
    inner = kit.model(u, [h, kit.Dense(2, name="d")(kit.GRU(3, name="g")(h))], name="inner")
    a, b = kit.Input(shape=(6, 3), name="a"), kit.Input(shape=(6, 3), name="b")
    first, second = inner(a), inner(b)
    sum_ = kit.merge("Add", [first[0], second[0]], name="sum")
    return kit.model([a, b], [kit.LSTM(2, name="end")(sum_), first[1], second[1]]), [
        normal(48, 3, 6, 3),
        normal(49, 3, 6, 3),
    ]


@case("k122 k224 tf24 tf215", archive=True)
def time_distributed(kit):
    x = kit.Input(shape=(3, 6, 2), name="x")
    inner = kit.sequential([
        kit.LSTM(4, return_sequences=True, input_shape=(6, 2), name="within"),
        kit.BatchNormalization(name="norm"),
        kit.GRU(3, name="last"),
    ], name="inner")  # fmt: skip
    each = kit.TimeDistributed(inner, name="each")(x)
    over = kit.LSTM(3, return_sequences=True, name="over")(each)
    dense = kit.TimeDistributed(kit.Dense(2, activation="relu"), name="dense")(over)
    direct = kit.TimeDistributed(kit.LSTM(3), name="direct")(x)
    return kit.model(x, [dense, direct]), [normal(50, 2, 3, 6, 2)]


@case("k122 tf24 tf213", archive=True)
def convolution(kit):
    padding = {"padding": "same"}
    return kit.sequential([
        kit.Conv1D(4, 3, activation="relu", input_shape=(8, 3), **padding),
        kit.MaxPooling1D(2),
        kit.Conv1D(4, 2),
        kit.LSTM(3),
        kit.Dense(1),
    ]), [normal(51, 3, 8, 3)]  # fmt: skip


@case("k224 tf24 tf215", archive=True)
def frames(kit):
    """Keras's example of a ConvLSTM2D that draws the next frame, with pooling in between."""
    same = {"padding": "same", "return_sequences": True}
    return kit.sequential([
        kit.ConvLSTM2D(3, (3, 2), input_shape=(4, 6, 4, 1), **same),
        kit.BatchNormalization(),
        kit.MaxPooling3D((1, 2, 2)),
        kit.ConvLSTM2D(2, (2, 2), **same),
        kit.UpSampling3D((1, 2, 2)),
        kit.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same"),
    ]), [normal(61, 1, 4, 6, 4, 1)]  # fmt: skip


@case("k224")
def kernels_first(kit):
    return kit.sequential([kit.Conv3D(2, 2, input_shape=(3, 4, 3, 1)), kit.Flatten()]), [normal(64, 1, 3, 4, 3, 1)]


@case("k224")
def windows_first(kit):
    return kit.sequential([kit.MaxPooling2D(2, input_shape=(4, 4, 1)), kit.Flatten(), kit.Dense(1)]), [
        normal(65, 1, 4, 4, 1)
    ]


@case("k224")
def transposed_first(kit):
    return kit.sequential([kit.Conv2DTranspose(2, 2, input_shape=(3, 3, 1))]), [normal(66, 1, 3, 3, 1)]


@case("k224")
def dropout_first(kit):
    layers = [kit.SpatialDropout3D(0.5, input_shape=(3, 2, 2, 2)), kit.Flatten(), kit.Dense(1)]
    return kit.sequential(layers), [normal(67, 1, 3, 2, 2, 2)]


@case("k224 tf24 tf215", archive=True)
def volumes(kit):
    x = kit.Input(shape=(4, 4, 4, 2), name="x")
    made = [
        kit.Conv3D(2, 2, strides=(1, 2, 1), name="conv")(x),
        kit.AveragePooling3D((2, 1, 2), padding="same", name="average")(x),
        kit.MaxPooling3D(2, strides=(1, 2, 2), padding="same", name="max")(x),
        kit.GlobalAveragePooling3D(name="mean")(x),
        kit.GlobalMaxPooling3D(name="most")(x),
        kit.ZeroPadding3D(((0, 1), (2, 0), (1, 1)), name="pad")(x),
        kit.Cropping3D(((0, 1), (2, 0), (1, 1)), name="crop")(x),
        kit.UpSampling3D((1, 2, 1), name="up")(x),
        kit.Conv3DTranspose(2, 2, strides=2, padding="same", name="transposed")(x),
        kit.TimeDistributed(kit.Conv2DTranspose(2, 3, strides=2, name="inner"), name="timed")(x),
        kit.SpatialDropout3D(0.5, name="dropout")(x),
        kit.MaxPooling3D((1, 2, 2), data_format="channels_first", name="first_max")(x),
        kit.GlobalAveragePooling3D(data_format="channels_first", name="first_mean")(x),
        kit.ZeroPadding3D(1, data_format="channels_first", name="first_pad")(x),
    ]
    return kit.model(x, made), [normal(62, 1, 4, 4, 4, 2)]


@case("k224 tf24 tf215", archive=True)
def images(kit):
    x = kit.Input(shape=(4, 6, 2), name="x")
    sampled = {"interpolation": "bilinear"} if kit.since("tf24") else {}
    made = [
        kit.Conv2DTranspose(2, 3, strides=2, name="transposed")(x),
        kit.Conv2DTranspose(2, (2, 3), strides=(2, 3), padding="same", output_padding=(1, 2), name="padded")(x),
        kit.UpSampling2D((2, 3), name="up")(x),
        kit.UpSampling2D((2, 4), name="sampled", **sampled)(x),
        kit.Cropping2D(((0, 1), (2, 0)), name="crop")(x),
        kit.SeparableConv2D(3, 2, name="separable")(x),
        kit.DepthwiseConv2D(2, name="depthwise")(x),
        kit.UpSampling2D(2, data_format="channels_first", name="first_up")(x),
        kit.Cropping2D(((1, 0), (0, 1)), data_format="channels_first", name="first_crop")(x),
    ]
    if not kit.since("tf22"):  # TensorFlow has left the transposition to the caller since
        made.append(kit.MaxPooling2D(2, data_format="channels_first", name="first_max")(x))
    if kit.since("tf24"):
        made.append(kit.TimeDistributed(kit.Conv1DTranspose(2, 3, strides=2, name="inner"), name="timed")(x))
        made.append(kit.TimeDistributed(kit.SeparableConv1D(2, 3, name="inner_separable"), name="apart")(x))
    return kit.model(x, made), [normal(63, 1, 4, 6, 2)]


@case("k122 tf24", archive=True)
def shapes(kit):
    x = kit.Input(shape=(6, 4), name="x")
    again = kit.LSTM(3, return_sequences=True, name="again")(kit.RepeatVector(3)(kit.GRU(4, name="gru")(x)))
    flat = kit.Flatten(name="flat")(again)
    turned = kit.Permute((2, 1), name="turned")(x)
    cut = kit.Reshape((3, 8), name="cut")(turned)
    pad = kit.ZeroPadding1D(1, name="pad")(cut)
    crop = kit.Cropping1D((1, 2), name="crop")(kit.UpSampling1D(2, name="up")(pad))
    most = kit.GlobalMaxPooling1D(name="most")(crop)
    mean = kit.GlobalAveragePooling1D(name="mean")(x)
    return kit.model(x, [again, flat, crop, most, mean]), [normal(52, 3, 6, 4)]


@case("k122 tf24", archive=True)
def activation_layers(kit):
    x = kit.Input(shape=(6, 4), name="x")
    made = [kit.LeakyReLU(name="leaky")(x), kit.LeakyReLU(alpha=0.1, name="less")(x), kit.ELU(name="elu")(x)]
    made.append(kit.PReLU(name="prelu")(x))
    if kit.age > 1:  # Keras 1 cannot open its own file of this
        made.append(kit.PReLU(shared_axes=[1], name="shared")(x))
    if kit.age < 3:
        made.append(kit.ThresholdedReLU(theta=0.7, name="threshold")(x))
    if kit.age > 1:
        made += [kit.ELU(alpha=0.5, name="half")(x), kit.Softmax(name="softmax")(x)]
        made.append(kit.ReLU(max_value=1.0, name="relu")(x))
    names = ["relu", "tanh", "sigmoid", "softplus", "softsign", "softmax"] + (["selu"] if kit.age > 1 else [])
    names += ["swish", "exponential"] if kit.since("tf22") else []
    names += ["gelu"] if kit.since("tf24") else []
    made += [kit.Activation(name, name="a_" + name)(x) for name in names]
    return kit.model(x, made), [2 * normal(53, 3, 6, 4)]


@case("k122 tf24", archive=True)
def normalization(kit):
    x = kit.Input(shape=(6, 4), name="x")
    h = kit.BatchNormalization(name="batch")(kit.LSTM(4, return_sequences=True, name="lstm")(x))
    if kit.age > 1:
        h = kit.BatchNormalization(center=False, scale=False, epsilon=0.01, name="bare")(h)
    if kit.since("tf22"):
        h = kit.LayerNormalization(name="layer")(h)
        h = kit.LayerNormalization(axis=[1, 2], scale=False, name="wide")(h)
    return kit.model(x, kit.GRU(3, name="gru")(h)), [normal(54, 3, 6, 4)]


@case("k208 tf24", archive=True)
def dot_attention(kit):
    x = kit.Input(shape=(6, 3), name="x")
    keys = kit.LSTM(4, return_sequences=True, name="keys")(x)
    query = kit.Bidirectional(kit.LSTM(2, return_sequences=True), name="query")(x)
    scores = kit.Dot(axes=[2, 2], name="scores")([query, keys])
    weights = kit.Activation("softmax", name="weights")(scores)
    context = kit.Dot(axes=[2, 1], name="context")([weights, keys])
    alike = kit.Dot(axes=2, normalize=True, name="alike")([context, query])
    return kit.model(x, [context, alike]), [normal(55, 3, 6, 3)]


@case("tf24 k3", archive=True)
def attention(kit):
    x = kit.Input(shape=(6, 3), name="x")
    masked = kit.Masking(name="masking")(x)
    query = kit.LSTM(4, return_sequences=True, name="query")(masked)
    value = kit.GRU(4, return_sequences=True, name="value")(masked)
    plain = kit.Attention(name="plain")([query, value])
    scaled = kit.Attention(use_scale=True, name="scaled")([query, value, value])
    added = kit.AdditiveAttention(name="added")([query, value])
    return kit.model(x, [plain, scaled, added]), [padded(56, 3)]


@case("tf22 tf24 tf215 k3", both=True)
def operators(kit):
    """Arithmetic and slicing on tensors, outside any layer."""
    x = kit.Input(shape=(6, 3), name="x")
    h = kit.LSTM(4, return_sequences=True, name="lstm")(x)
    last = h[:, -1]
    return kit.model(x, [h * 2.0 + 1.0, kit.Dense(2, name="dense")(last), (1.0 - last) / 4.0]), [normal(57, 3, 6, 3)]


@case("tf24 k3", archive=True)
def functions(kit):
    x = kit.Input(shape=(6, 3), name="x")
    h = kit.LSTM(4, return_sequences=True, name="lstm")(x)
    if kit.age == 3:
        ops = kit.keras.ops
        made = [ops.concatenate([h[:, 0], h[:, -1]], axis=1), ops.mean(h, axis=1), ops.max(h, axis=1), ops.relu(h)]
        made += [ops.flip(h, axis=1), ops.expand_dims(h[:, 1], axis=1), ops.tanh(h), ops.sigmoid(h), ops.abs(h)]
        made += [ops.sum(h, axis=-1, keepdims=True), ops.reshape(h, (-1, 24)), ops.transpose(h, (0, 2, 1))]
        made += [ops.matmul(h, ops.transpose(h, (0, 2, 1))), ops.softmax(h, axis=1)]
    else:
        tf = kit.tf
        made = [tf.concat([h[:, 0], h[:, -1]], axis=1), tf.reduce_mean(h, axis=1), tf.reduce_max(h, axis=1)]
        made += [tf.nn.relu(h), tf.reverse(h, axis=[1]), tf.expand_dims(h[:, 1], axis=1), tf.tanh(h), tf.sigmoid(h)]
        made += [tf.abs(h), tf.reduce_sum(h, axis=-1, keepdims=True), tf.reshape(h, (-1, 24))]
        made += [tf.transpose(h, [0, 2, 1]), tf.matmul(h, h, transpose_b=True), tf.nn.softmax(h, axis=1)]
    return kit.model(x, made), [normal(58, 3, 6, 3)]


@case("k3")
def parts(kit):
    """Layers made of several others, whose arrays an .h5 file holds in one list."""
    layers = kit.keras.layers
    x = kit.Input(shape=(5, 3), name="x")
    h = kit.LSTM(4, return_sequences=True, name="lstm")(x)
    made = [layers.MultiHeadAttention(2, 3, name="heads")(h, h), layers.RMSNormalization(name="rms")(h)]
    made += [layers.MultiHeadAttention(2, 3, use_gate=True, name="gated")(h, h, use_causal_mask=True)]
    made += [layers.GroupQueryAttention(3, 4, 2, use_gate=True, name="groups")(h, h)]
    made += [layers.SpectralNormalization(layers.Dense(2), name="spectral")(h)]
    made += [layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", name="einsum")(h)]
    return kit.model(x, made), [normal(63, 3, 5, 3)]


@case("tf24 tf215", archive=True)
def functions_statistics(kit):
    """Functions of TensorFlow that sum up."""
    tf = kit.tf
    x = kit.Input(shape=(6, 3), name="x")
    h = kit.LSTM(4, return_sequences=True, name="lstm")(x)
    made = [tf.math.reduce_std(h, axis=1), tf.math.reduce_variance(h, axis=[1, 2]), tf.math.l2_normalize(h, axis=-1)]
    made += [tf.math.l2_normalize(h, 1, epsilon=0.5), tf.nn.l2_normalize(h, axis=2), tf.cumsum(h, axis=1)]
    made += [tf.cumsum(h, axis=1, reverse=True), tf.argmax(h, axis=-1), tf.argmin(h, axis=1, output_type="int32")]
    made += [tf.reduce_logsumexp(h, axis=-1), tf.reduce_logsumexp(h, axis=[1, 2], keepdims=True), tf.norm(h, axis=-1)]
    made += [tf.norm(h, ord=1, axis=1, keepdims=True), tf.norm(h, axis=[1, 2])]
    return kit.model(x, made), [normal(60, 3, 6, 3)]


@case("tf24 tf215", archive=True)
def functions_arrangement(kit):
    """Functions of TensorFlow that arrange anew, or choose."""
    tf = kit.tf
    x = kit.Input(shape=(6, 3), name="x")
    h = kit.LSTM(4, return_sequences=True, name="lstm")(x)
    made = [tf.clip_by_value(h, -0.1, 0.2), tf.where(h > 0, h, 0.5 * h), tf.where(h > 0, h, 0.0), tf.tile(h, [1, 2, 1])]
    made += [tf.stop_gradient(h), tf.identity(h), tf.pad(h, [[0, 0], [1, 2], [0, 0]])]
    made += [tf.pad(h, [[0, 0], [1, 0], [0, 1]], constant_values=3.0), tf.repeat(h, 2, axis=1)]
    made += [tf.pad(h, [[0, 0], [2, 1], [0, 0]], mode="REFLECT"), tf.pad(h, [[0, 0], [0, 2], [0, 0]], "SYMMETRIC")]
    made += [
        tf.split(h, 2, axis=1)[1],
        tf.split(h, [1, 3], axis=-1)[1],
        tf.split(value=h, num_or_size_splits=3, axis=1)[2],
    ]
    made += [tf.unstack(h, axis=1)[2], tf.gather(h, [0, 3, 3], axis=1), tf.gather(h, 2, axis=-1)]
    return kit.model(x, made), [normal(61, 3, 6, 3)]


@case("tf24")
def functions_of_numbers(kit):
    """Functions of TensorFlow that act place by place."""
    tf = kit.tf
    x = kit.Input(shape=(6, 3), name="x")
    h = kit.LSTM(4, return_sequences=True, name="lstm")(x)
    made = [tf.round(3 * h), tf.math.rsqrt(1 + h * h), tf.math.floor(4 * h), tf.math.reciprocal(1 + h * h)]
    made += [tf.nn.softplus(h), tf.nn.elu(h), tf.nn.selu(h), tf.nn.leaky_relu(h), tf.nn.leaky_relu(h, alpha=0.1)]
    made += [
        tf.nn.relu6(h),
        tf.nn.log_softmax(h, axis=1),
        tf.nn.gelu(h),
        tf.nn.gelu(h, approximate=True),
        tf.nn.silu(h),
    ]
    made += [tf.cast(tf.logical_and(h > 0, h < 0.1), "float32"), tf.cast(tf.logical_not(h > 0), "float32")]
    made += [tf.zeros_like(h), tf.ones_like(h)]
    return kit.model(x, made), [normal(62, 3, 6, 3)]


@case("tf24 k3", archive=True)
def operators_masked(kit):
    """Does a mask survive arithmetic?"""
    x = kit.Input(shape=(6, 3), name="x")
    h = kit.Masking(name="masking")(x) * 2.0
    return kit.model(x, kit.LSTM(3, return_sequences=True, name="lstm")(h)), [padded(59, 3)]


# ------------------------------------------------------------------------ what stands in the way, or seems to


@case("k122 tf24 k3", archive=True)
def lambda_layer(kit):
    """A Lambda, to be refused. Its code must not carry the path of the file it was compiled in."""
    double = eval(compile("lambda t: t * 2.0 + 1.0", "model.py", "eval"))
    x = kit.Input(shape=(6, 3), name="x")
    return kit.model(x, kit.Lambda(double, name="double")(kit.LSTM(3, name="lstm")(x))), [normal(60, 3, 6, 3)]


@case("k122 k224 tf24 k3")
def custom_training(kit):
    """A regularizer, a constraint, a loss and a metric of the author's own: none plays a part in a prediction."""
    keras, ops = kit.keras, kit.keras.ops if kit.age == 3 else kit.backend

    class Clipped(keras.constraints.Constraint):
        def __call__(self, p):
            return ops.clip(p, -2.0, 2.0)

    class Mild(keras.regularizers.Regularizer):
        def __call__(self, p):
            return 0.01 * ops.sum(ops.square(p))

        def get_config(self):
            return {"name": "Mild"} if kit.age == 1 else {}

    def distance(true, predicted):
        return ops.mean(ops.abs(true - predicted))

    kit.custom = {"Clipped": Clipped, "Mild": Mild, "distance": distance}
    options = {"kernel_regularizer": Mild()}
    if kit.age > 1:
        options.update(kernel_constraint=Clipped(), recurrent_regularizer=keras.regularizers.l2(0.01))
    model = kit.sequential([
        kit.LSTM(4, input_shape=(6, 3), **options),
        kit.Dense(2, kernel_constraint=Clipped(), kernel_regularizer=Mild()),
    ])  # fmt: skip
    model.compile(loss=distance, optimizer="sgd", metrics=[distance])
    return model, [normal(61, 3, 6, 3)]


@case("tf213 tf215", archive=True, windows=True)
def dense(kit):
    """No recurrent layer, and its input a layer of its own: today's Keras opens the archive, but not from Windows."""
    layers = kit.keras.layers
    return kit.sequential([
        layers.InputLayer(input_shape=(6, 3), name="x"),
        kit.Dense(4, activation="tanh"),
        kit.GlobalAveragePooling1D(),
        kit.Dense(2),
    ]), [normal(66, 3, 6, 3)]  # fmt: skip


@case("k224 tf213", archive=True, windows=True)
def trained(kit):
    """Compiled and trained for two steps: the state of the optimizer lies in the file."""
    model = kit.sequential([
        kit.Bidirectional(kit.LSTM(3, return_sequences=True), input_shape=(6, 3)),
        kit.GRU(3),
        kit.Dense(1),
    ])  # fmt: skip
    fill(kit, model, "trained")
    model.compile(loss="mse", optimizer="adam")
    for _ in range(2):
        model.train_on_batch(normal(62, 8, 6, 3), normal(63, 8, 1))
    return model, [normal(64, 3, 6, 3)]


@case(windows=True)
def weights_only(kit):
    """save_weights and to_json, apart."""
    inner = kit.sequential([
        kit.LSTM(4, return_sequences=True, input_shape=(6, 3), name="a"),
        kit.BatchNormalization(name="b"),
    ], name="inner")  # fmt: skip
    x = kit.Input(shape=(6, 3), name="x")
    both = kit.Bidirectional(kit.GRU(3), name="both")(inner(x))
    return kit.model(x, kit.Dense(2, name="dense")(both)), [normal(65, 3, 6, 3)]


# --------------------------------------------------------------------------------------------------------------- cuDNN


def cudnn_class(kit, name):
    if kit.environment.startswith("tf"):
        return getattr(kit.tf.compat.v1.keras.layers, name)
    layer = getattr(kit.keras.layers, name)

    def stand_in(self, inputs, initial_state):
        """A session on a CPU runs nothing in a graph that holds a cuDNN operation; saving needs only the weights."""
        step = kit.backend.dot(inputs, kit.backend.zeros((int(inputs.shape[-1]), self.units)))
        return step if self.return_sequences else step[:, -1], initial_state

    layer._process_batch = stand_in
    return layer


def cudnn_model(kit, plain, kind, both):
    """The model with cuDNN layers, or the same with plain ones, under the same names."""
    if plain:
        options = {"recurrent_activation": "sigmoid"}
        if kind == "GRU":
            options["reset_after"] = True
        make = getattr(kit.keras.layers, kind)
    else:
        options, make = {}, cudnn_class(kit, "CuDNN" + kind)
    x = kit.Input(shape=(6, 3), name="x")
    if both:
        h = kit.Bidirectional(make(4, return_sequences=True, **options), name="both")(x)
        h = kit.Bidirectional(make(3, **options), merge_mode="sum", name="sum")(h)
    else:
        h = make(4, return_sequences=True, name="first", **options)(x)
        h = make(3, name="second", **options)(h)
    return kit.model(x, kit.Dense(2, name="dense")(h))


@case("k224 k231 tf24 tf215")
def cudnn_lstm(kit):
    kit.plain = cudnn_model(kit, True, "LSTM", False)
    return cudnn_model(kit, False, "LSTM", False), [normal(66, 3, 6, 3)]


@case("k224 tf215")
def cudnn_gru(kit):
    kit.plain = cudnn_model(kit, True, "GRU", False)
    return cudnn_model(kit, False, "GRU", False), [normal(67, 3, 6, 3)]


@case("k224")
def cudnn_bidirectional_lstm(kit):
    kit.plain = cudnn_model(kit, True, "LSTM", True)
    return cudnn_model(kit, False, "LSTM", True), [normal(68, 3, 6, 3)]


@case("k224 tf215")
def cudnn_bidirectional_gru(kit):
    kit.plain = cudnn_model(kit, True, "GRU", True)
    return cudnn_model(kit, False, "GRU", True), [normal(69, 3, 6, 3)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def evaluate_cudnn(weights, x, lstm):
    """One cuDNN layer in float64, from what cuDNN does with the numbers in its buffer: (batch, time, units).

    A kernel's (inputs, units) numbers are handed over as they lie, and cuDNN reads them as (units, inputs), row by
    row; so it does with the recurrent kernel. There are two biases to each gate, the input's first.
    """
    kernel, recurrent, bias = [array.astype("float64") for array in weights]
    gates, units = (4 if lstm else 3), recurrent.shape[0]
    W = [part.reshape(units, -1) for part in map(np.ravel, np.split(kernel, gates, 1))]  # each (units, inputs)
    U = [part.reshape(units, units) for part in map(np.ravel, np.split(recurrent, gates, 1))]
    b = bias.reshape(2, gates, units)
    h = c = np.zeros((len(x), units))
    made = []
    for step in range(x.shape[1]):
        given = [x[:, step] @ W[gate].T + b[0, gate] for gate in range(gates)]
        carried = [h @ U[gate].T + b[1, gate] for gate in range(gates)]
        if lstm:
            i, f, c_tilde, o = [p + q for p, q in zip(given, carried)]
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(c_tilde)
            h = sigmoid(o) * np.tanh(c)
        else:
            z, r = sigmoid(given[0] + carried[0]), sigmoid(given[1] + carried[1])
            h = z * h + (1 - z) * np.tanh(given[2] + r * carried[2])
        made.append(h)
    return np.stack(made, 1)


def cudnn_outputs(model, x):
    """The whole model in float64, its layers one by one."""
    h = x.astype("float64")
    for layer in model.layers[1:]:
        weights = layer.get_weights()
        if layer.name == "dense":
            return [h @ weights[0] + weights[1]]
        is_lstm = "LSTM" in str(layer.get_config()) if len(weights) == 6 else "LSTM" in type(layer).__name__
        ahead = evaluate_cudnn(weights[:3], h, is_lstm)
        if layer.name == "both":
            h = np.concatenate([ahead, evaluate_cudnn(weights[3:], h[:, ::-1], is_lstm)[:, ::-1]], -1)
        elif layer.name == "sum":
            h = ahead[:, -1] + evaluate_cudnn(weights[3:], h[:, ::-1], is_lstm)[:, -1]
        else:
            h = ahead if layer.name == "first" else ahead[:, -1]
    raise AssertionError("the model has no layer 'dense'")


# -------------------------------------------------------------------------------------------------------------- making


def predict(model, inputs):
    made = model.predict(inputs if len(inputs) > 1 else inputs[0], batch_size=len(inputs[0]), verbose=0)
    return list(made) if isinstance(made, (list, tuple)) else [made]


def worst(left, right):
    """Largest difference; infinite where shapes differ or one alone is not a number."""
    if len(left) != len(right) or any(a.shape != b.shape for a, b in zip(left, right)):
        return float("inf")
    if any((np.isnan(a) != np.isnan(b)).any() for a, b in zip(left, right)):
        return float("inf")
    return max(float(np.nanmax(np.abs(np.where(np.isfinite(a), a - b, 0)))) for a, b in zip(left, right))


def input_names(model):
    names = getattr(model, "input_names", None)
    return list(names) if names else [tensor.name.split(":")[0] for tensor in model.inputs]


@contextlib.contextmanager
def paths_of_windows():
    join = os.path.join
    os.path.join = ntpath.join
    try:
        yield
    finally:
        os.path.join = join


def save(kit, model, folder, name, archive, both, windows):
    """Saves the model in each way that is asked for: [(file, kind, architecture or None)]."""
    files = []
    windows = windows and kit.environment in WINDOWS
    if name == "weights_only":
        with open(os.path.join(folder, name + ".json"), "w") as out:
            out.write(model.to_json())
        if kit.age < 3:
            model.save_weights(os.path.join(folder, name + ".h5"))
            files.append((name + ".h5", "legacy-weights-h5", name + ".json"))
        if kit.environment in ARCHIVES:
            model.save_weights(os.path.join(folder, name + ".weights.h5"))
            files.append((name + ".weights.h5", "weights-h5", name + ".json"))
        if windows:
            path = os.path.join(folder, name + ".windows.weights.h5")
            with paths_of_windows():
                model.save_weights(path)
            files.append((name + ".windows.weights.h5", "weights-h5", name + ".json"))
        return files
    if archive and kit.environment in ARCHIVES:
        model.save(os.path.join(folder, name + ".keras"))
        files.append((name + ".keras", "keras-zip", None))
        if windows:
            path = os.path.join(folder, name + ".windows.keras")
            with paths_of_windows():
                model.save(path)
            files.append((name + ".windows.keras", "keras-zip", None))
    if not files or (both and kit.age == 3):
        model.save(os.path.join(folder, name + ".h5"))
        files.append((name + ".h5", "legacy-h5", None))
    return files


# ------------------------------------------------------------------------------------------------- arguments of calls


@case("tf24 tf215", archive=True)
def constants(kit):
    """Arrays among the inputs and the arguments of calls, which these releases write and mostly cannot read."""
    constant = kit.tf.constant
    x = kit.Input(shape=(6, 3), name="x")
    a = kit.Add(name="a")([x, constant(normal(61, 1, 6, 3))])
    b = kit.Multiply(name="b")([normal(62, 1, 1, 3), a])
    c = kit.LSTM(4, return_sequences=True, name="c")(
        b, initial_state=[constant(normal(63, 3, 4)), constant(normal(64, 3, 4))]
    )
    d = kit.GRU(2, name="d")(
        c, initial_state=constant(normal(65, 3, 2)), mask=np.array([[True, True, False, True, True, False]])
    )
    e = kit.Bidirectional(kit.SimpleRNN(2), name="e")(
        x, initial_state=[constant(normal(66, 3, 2)), constant(normal(67, 3, 2))]
    )
    f = kit.Attention(name="f")([x, constant(normal(68, 1, 4, 3))], mask=[None, constant([[True, False, True, True]])])
    g = x * normal(69, 6, 3)
    h = kit.tf.concat([constant(normal(70, 3, 1, 3)), a], axis=1)
    i = kit.tf.matmul(x, constant(normal(71, 3, 2)))
    return kit.model(x, [d, e, f, g, h, i]), [normal(72, 3, 6, 3)]


@case("tf24 tf215", archive=True)
def constants_masked(kit):
    """A merge of a masked sequence with an array, and a recurrent layer that is given its mask as an array."""
    x = kit.Input(shape=(6, 3), name="x")
    masked = kit.Masking()(x)
    a = kit.LSTM(2, name="a")(kit.Add()([masked, kit.tf.constant(normal(73, 1, 6, 3))]))
    b = kit.LSTM(2, name="b")(kit.Maximum()([masked, kit.tf.constant(normal(74, 1, 6, 3))]))
    c = kit.GRU(2, name="c")(masked, mask=np.array([[True, False, True, True, True, True]]))
    d = kit.GRU(2, name="d")(masked, initial_state=kit.tf.constant(normal(75, 5, 2)))
    return kit.model(x, [a, b, c, d]), [padded(76, 3)]


@case("tf24 tf215", archive=True)
def nested_inputs(kit):
    """Inputs as [[a, b], c]."""
    a, b, c = (kit.Input(shape=(6, n), name=name) for n, name in ((3, "z"), (2, "y"), (3, "x")))
    joined = kit.Concatenate()([kit.LSTM(2)(a), kit.GRU(3)(b), kit.LSTM(2)(c)])
    return kit.model([[a, b], c], kit.Dense(2)(joined)), [normal(77, 3, 6, 3), normal(78, 3, 6, 2), normal(79, 3, 6, 3)]


def load_again(kit, folder, file, architecture):
    path = os.path.join(folder, file)
    if architecture is None:
        return kit.load(path)
    with open(os.path.join(folder, architecture)) as text:
        model = kit.keras.models.model_from_json(text.read())
    model.load_weights(path)
    return model


def make(kit, folder, name):
    """Makes one case: the list of its entries in the manifest."""
    build, _, archive, both, windows = CASES[name]
    kit.clear()
    kit.custom, kit.plain = {}, None
    model, inputs = build(kit)
    if name != "trained":
        fill(kit, model, name)
    files = save(kit, model, folder, name, archive, both, windows)
    made_by = f"keras {kit.version}"
    if kit.plain is not None:
        outputs = cudnn_outputs(model, inputs[0])
        kit.plain.load_weights(os.path.join(folder, name + ".h5"))
        converted = predict(kit.plain, inputs)
        if worst(outputs, converted) > 1e-5:
            raise AssertionError(f"{name}: two ways to evaluate cuDNN weights differ by {worst(outputs, converted)}")
        outputs = [y.astype("float32") for y in converted]
        made_by += ", its own conversion to plain layers; equal to a float64 evaluation"
    else:
        outputs = predict(model, inputs)
    arrays = {f"x{index:02}": x for index, x in enumerate(inputs)}
    arrays.update({f"y{index:02}": y for index, y in enumerate(outputs)})
    if name == "stateful":
        arrays["again00"] = predict(model, inputs)[0]
    names = input_names(model)
    np.savez_compressed(os.path.join(folder, name + ".npz"), inputs=np.array(names), made_by=made_by, **arrays)
    size = sum(y.size for y in outputs)
    finite = sum(int(np.isfinite(y).sum()) for y in outputs)
    entries = []
    for file, kind, architecture in files:
        entry = {"case": name, "env": kit.environment, "file": file, "kind": kind, "npz": name + ".npz"}
        entry.update(versions(kit))
        if architecture:
            entry["architecture"] = architecture
        if ".windows." in file:
            entry["paths"] = "windows"
        if finite < size:
            entry["not_finite"] = size - finite
        entry["reloads"] = reloads(kit, folder, file, architecture, inputs, outputs)
        entries.append(entry)
    return entries


def reloads(kit, folder, file, architecture, inputs, outputs):
    """True when the release that wrote the file opens it and predicts the same; otherwise what happened."""
    if kit.plain is not None:
        return "saved and opened on a CPU, but not run there"
    kit.clear()
    try:
        utils = kit.keras.utils
        scope = getattr(utils, "custom_object_scope", None) or getattr(utils, "CustomObjectScope", None)
        if scope is None:
            from keras.utils import generic_utils

            scope = generic_utils.CustomObjectScope
        with scope(kit.custom):
            difference = worst(predict(load_again(kit, folder, file, architecture), inputs), outputs)
    except Exception as error:  # whatever an old release says about its own file is what we want to know
        return f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
    return True if difference < 1e-6 else f"differs by {difference:.2e}"


def versions(kit):
    found = {"keras": kit.version, "python": platform.python_version()}
    if kit.environment == "k122-theano":
        import theano

        found["theano"] = theano.__version__
    elif kit.tf is not None:
        found["tensorflow"] = kit.tf.__version__
    return found


THEANO = ["lstm", "gru", "convolution", "masking", "bidirectional_masked", "masking_infinite"]


def main():
    environment, folder, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
    kit = Kit(environment)
    names = THEANO if environment == "k122-theano" else [name for name in CASES if environment in CASES[name][1]]
    for name in wanted or names:
        if name not in names:
            continue
        try:
            for entry in make(kit, folder, name):
                print("MADE " + json.dumps(entry), flush=True)
        except Exception as error:  # one case that a release cannot build must not cost the others
            print(f"FAILED {environment} {name}: {type(error).__name__}: {error}", flush=True)
            if os.environ.get("TRACEBACK"):
                raise


if __name__ == "__main__":
    main()
