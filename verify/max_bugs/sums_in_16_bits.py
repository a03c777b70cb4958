"""MAX on a CPU keeps the sums of a batched product in 16 bits when its factors have 16.

    C[h] = A[h] @ B[h],    A and B of bfloat16 or float16, K = 1024 products in each sum

A sum of K numbers that is rounded to bfloat16 after every addition loses more with every addition:
what is left of the result's 8 bits is 5 or 6. Kernels for these types keep sums in float32 and
round once at the end, as MAX itself does for a product of two matrices, and PyTorch for both.
Attention's two products are batched, so a GPT-2 in bfloat16 is hit in every block.

Seen with MAX 26.7.0 on x86-64.

    python verify/max_bugs/sums_in_16_bits.py

prints the relative error of each product, and exits with 1 while the bug is there, with 0 once it
is gone. Rounding a result once is an error of 0.17% in bfloat16 and of 0.02% in float16.
"""

import importlib.metadata
import sys

import ml_dtypes
import numpy as np
from max.driver import CPU, Buffer
from max.dtype import DType
from max.engine import InferenceSession
from max.graph import DeviceRef, Graph, Module, TensorType

BATCH, ROWS, DEPTH, COLUMNS = 3, 9, 1024, 16
UNIT = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
"""Unit roundoffs: the largest relative error of rounding once."""


def add_product(program: Module, name: str, dtype: DType, *, batched: bool) -> None:
    """Add a product to the program, as a graph of this name."""
    batch = ["batch"] if batched else []
    kinds = [
        TensorType(dtype, [*batch, "rows", DEPTH], DeviceRef.CPU()),
        TensorType(dtype, [*batch, DEPTH, COLUMNS], DeviceRef.CPU()),
    ]
    with Graph(name, input_types=kinds, module=program) as graph:
        a, b = (graph_input.tensor for graph_input in graph.inputs)
        graph.output(a @ b)


def measure() -> dict[str, float]:
    """Relative rms error of each product to float64, by graph: `batched bfloat16`."""
    program = Module()
    kinds = {
        "bfloat16": (DType.bfloat16, ml_dtypes.bfloat16),
        "float16": (DType.float16, np.float16),
    }
    for name, (dtype, _) in kinds.items():
        add_product(program, f"batched {name}", dtype, batched=True)
        add_product(program, f"single {name}", dtype, batched=False)
    session = InferenceSession(devices=[CPU()])
    models = session.init_all(session.compile(program), weights_registry={})
    errors = {}
    for name, model in models.items():
        kind, numbers = kinds[name.split()[1]]
        rng = np.random.default_rng(0)
        batch = (BATCH,) if name.startswith("batched") else ()
        a = rng.standard_normal((*batch, ROWS, DEPTH)).astype(numbers)
        b = rng.standard_normal((*batch, DEPTH, COLUMNS)).astype(numbers)
        buffers = [Buffer.from_numpy(array.view(np.uint16)).view(kind) for array in (a, b)]
        bits = model.execute(*buffers)[0].view(DType.uint16).to_numpy()
        truth = a.astype(np.float64) @ b.astype(np.float64)
        difference = bits.view(numbers).astype(np.float64) - truth
        errors[name] = float(np.linalg.norm(difference) / np.linalg.norm(truth))
    return errors


def main() -> int:
    """Print the errors; returns 1 while one is larger than rounding once can make it."""
    print(f"max {importlib.metadata.version('max')}")
    errors = measure()
    for name, error in errors.items():
        print(f"{name:17} relative error {error:.2%}")
    return int(any(not error <= UNIT[name.split()[1]] for name, error in errors.items()))


if __name__ == "__main__":
    sys.exit(main())
