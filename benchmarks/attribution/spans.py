"""Spans (TSA-1): time to build the index and its memory, time of a query without a model, size of proofs.

python -m benchmarks.attribution.spans --tokens 10000000 --builders

Text: Python's help topics and the docstrings of its standard library, words and signs as tokens, in rounds until there
are enough; from the second round on one token in twenty is replaced by another, drawn from the text (seed 1). So the
documents are real, and most of their stretches occur many times, which is the hard case for sorting and for queries.

Outputs of 256 tokens (seed 2): `quoting` strings stretches of 1 to 30 training tokens together, `original` tokens
drawn by their frequency, `verbatim` is training text as it stands, document after document. `cold` asks the first
`quoting` output after the system was told to forget the files.
"""

import argparse
import ast
import multiprocessing
import os
import re
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from abci_app.hashing import sha256
from attribution.spans.build import SpanDocument, build_span_index
from attribution.spans.commitment import SpanSettings
from attribution.spans.index import SpanIndex
from attribution.spans.proof import prove_span, prove_spans, verify_span, verify_spans
from attribution.spans.suffix_array import Builder, by_prefix_doubling, by_sorted_bytes
from benchmarks.report import peak_resident_mib, print_table, resident_mib, spread

OWNERS = 200
REPLACED = 0.05
OUTPUT_TOKENS = 256
OUTPUTS = 40
MILLISECONDS = 1_000
_TOKEN = re.compile(r"\w+|[^\w\s]|\n+")
Tokens = npt.NDArray[np.int64]


def texts() -> list[str]:
    """Help topics and docstrings, in a fixed order."""
    from pydoc_data.topics import topics

    found = [topics[name] for name in sorted(topics)]
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # files that test the parser
            continue
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        found += [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)]
    return found


def documents(token_count: int) -> tuple[list[Tokens], int]:
    """Documents with `token_count` tokens in all, and the size of the vocabulary."""
    vocabulary: dict[str, int] = {}
    spoken = [[vocabulary.setdefault(word, len(vocabulary)) for word in _TOKEN.findall(text)] for text in texts()]
    first = [np.array(ids, np.int64) for ids in spoken if ids]
    everything = np.concatenate(first)
    generator = np.random.default_rng(1)
    made: list[Tokens] = []
    left = token_count
    while left > 0:
        for document in first:
            varied = document[:left].copy()
            if len(made) >= len(first):
                replaced = generator.random(len(varied)) < REPLACED
                varied[replaced] = generator.choice(everything, int(replaced.sum()))
            made.append(varied)
            left -= len(varied)
            if left == 0:
                break
    return made, len(vocabulary)


def rows(made: list[Tokens]) -> Iterator[SpanDocument]:
    """Documents of OWNERS owners in turn."""
    for number, tokens in enumerate(made):
        yield SpanDocument(sha256(b"%d" % (number % OWNERS)), bytes(32), number.to_bytes(32), tokens)


def outputs(made: list[Tokens]) -> dict[str, list[list[int]]]:
    """OUTPUTS outputs of each kind."""
    generator = np.random.default_rng(2)

    def some() -> Tokens:
        tokens: Tokens = made[generator.integers(len(made))]
        return tokens

    def stretch() -> Tokens:
        tokens = some()
        start = generator.integers(len(tokens))
        return tokens[start : start + generator.integers(1, 31)]

    def filled(piece: Callable[[], Tokens]) -> list[int]:
        ids: list[int] = []
        while len(ids) < OUTPUT_TOKENS:
            ids += piece().tolist()
        return ids[:OUTPUT_TOKENS]

    pieces = {"quoting": stretch, "original": lambda: generator.choice(some(), 1), "verbatim": some}
    return {kind: [filled(piece) for _ in range(OUTPUTS)] for kind, piece in pieces.items()}


def seconds(work: Callable[[], object]) -> float:
    """Time that something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare_builders(made: list[Tokens]) -> None:
    """Suffix arrays alone, on the text of the index."""
    text = np.concatenate([np.append(tokens + 1, 0) for tokens in made]).astype(np.uint32)
    builders: dict[str, Builder] = {
        "libdivsufsort on bytes of the least width": by_sorted_bytes,
        "numpy prefix doubling (the fallback)": by_prefix_doubling,
    }
    table, arrays = [], []
    for name, builder in builders.items():
        start = time.perf_counter()
        arrays.append(builder(text))
        took = time.perf_counter() - start
        table.append((name, f"{took:.1f}", f"{len(text) / took / 1e6:.1f}"))
    if arrays[0].tobytes() != arrays[1].tobytes():
        raise SystemExit("the builders differ")
    print_table(f"Suffix array of {len(text):,} numbers; equal results", ("builder", "s", "million/s"), table)


def measure_build(made: list[Tokens], vocabulary_size: int, folder: Path) -> None:
    """Build in a process of its own, so that its memory is seen, and print what it took."""
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[tuple[float, float]] = context.Queue()

    def build() -> None:
        before = resident_mib(os.getpid())
        took = seconds(lambda: build_span_index(rows(made), folder, SpanSettings(vocabulary_size)).close())
        answers.put((took, peak_resident_mib(os.getpid()) - before))

    worker = context.Process(target=build)
    worker.start()
    took, peak_mib = answers.get(timeout=600)
    worker.join()
    disk = sum(path.stat().st_size for path in folder.iterdir())
    with SpanIndex.open(folder) as index:
        tokens = index.commitment.parameters.token_count
        audit = seconds(index.audit)
    row = (f"{tokens:,}", f"{len(made):,}", f"{took:.1f}", f"{audit:.1f}", f"{peak_mib:,.0f}", f"{disk / tokens:.1f}")
    columns = ("tokens", "documents", "build s", "audit s", "peak MiB above the documents", "bytes a token on disk")
    print_table("Index: text, suffix array, counts, documents, Merkle trees", columns, [row])


def measure_queries(folder: Path, asked: dict[str, list[list[int]]]) -> None:
    """Time per output token, and what is found."""
    table = []
    with SpanIndex.open(folder) as index:
        for kind, ids in asked.items():
            found = [index.find_spans(output) for output in ids]
            took = [seconds(partial(index.span_shares, output)) for output in ids]
            each = [value * MILLISECONDS / OUTPUT_TOKENS for value in took]
            kept = sum(map(len, found)) / len(ids)
            credited = sum(len(span.credited) for spans in found for span in spans) / len(ids)
            table.append((kind, spread(each, 3), f"{kept:.1f}", f"{credited:.1f}"))
    for path in folder.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    with SpanIndex.open(folder) as fresh:
        fresh.span_shares(asked["quoting"][0])
    cold = (time.perf_counter() - start) * MILLISECONDS / OUTPUT_TOKENS
    table.append(("cold", f"{cold:.3f}", "", ""))
    columns = ("output", "ms per output token", "kept spans", "credits")
    print_table(f"Queries, {OUTPUT_TOKENS} tokens, {OUTPUTS} outputs of a kind", columns, table)


def measure_proofs(folder: Path, asked: dict[str, list[list[int]]]) -> None:
    """Sizes of proofs, time to make and to verify them."""
    table = []
    with SpanIndex.open(folder) as index:
        root = index.commitment.root
        for kind, ids in asked.items():
            sizes, makes, checks, singles = [], [], [], []
            for output in ids:
                start = time.perf_counter()
                proof = prove_spans(index, output)
                made = time.perf_counter()
                if verify_spans(proof, output, root).spans != index.find_spans(output):
                    raise SystemExit("a proof shows something else than the index")
                checks.append((time.perf_counter() - made) * MILLISECONDS)
                makes.append((made - start) * MILLISECONDS)
                sizes.append(len(proof) / 1024)
                for span in index.find_spans(output):
                    single = prove_span(index, output, span)
                    verify_span(single, output, root)
                    singles.append(len(single) / 1024)
            row = (kind, spread(sizes), spread(makes), spread(checks), spread(singles, 1) if singles else "none kept")
            table.append(row)
    columns = ("output", "proof of all spans KiB", "make ms", "verify ms", "proof of one span KiB")
    print_table(f"Proofs, {OUTPUT_TOKENS} tokens", columns, table)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=10_000_000)
    parser.add_argument("--builders", action="store_true", help="compare the builders of the suffix array as well")
    arguments = parser.parse_args()
    made, vocabulary_size = documents(arguments.tokens)
    print(f"{len(made):,} documents, {vocabulary_size:,} different tokens")
    asked = outputs(made)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure_build(made, vocabulary_size, folder)
        measure_queries(folder, asked)
        measure_proofs(folder, asked)
    if arguments.builders:
        compare_builders(made)


if __name__ == "__main__":
    main()
