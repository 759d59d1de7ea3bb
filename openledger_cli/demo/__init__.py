"""`openledger demo`: the whole story on this machine. A chain, real text, real fine-tunes, one question, proofs.

`scripts/demo` sets everything up and runs this. `story.py` puts the parts in order; what they do stands in

    data.py        a chain that agrees with itself, terms, DataNets with reviews and versions
    training.py    the imported base model, two recorded fine-tunes with evaluations
    questions.py   lineage, impact, clean, and a mix that is refused
    explaining.py  who shaped an answer, checked by somebody else; forged explanations
    tampering.py   a changed row, a lying node, a changed bundle; offline verification

`cast.py` names people, terms and recipes; `stage.py` runs nodes and commands; `report.py` prints and counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

_EXAMPLES = """\
examples:
  openledger demo                        one validator; about five minutes on two cores
  openledger demo --validators 4         four validators, each a witness for the others
  openledger demo --keep                 leave the nodes running afterwards, and say what to try next
  openledger demo --quick                two training steps instead of 24; everything else as it is

exit status 0 only if every check in it held
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "demo",
        help="the whole story on this machine: chain, data, fine-tunes, proofs",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--validators", type=int, default=1, metavar="N", help="how many nodes (default: 1)")
    parser.add_argument("--keep", action="store_true", help="leave the nodes running and say what to try next")
    parser.add_argument("--quick", action="store_true", help="train two steps only, to see that everything works")
    parser.add_argument("--folder", type=Path, help="where everything goes (default: demo in --home)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tell the story; exit code 0 only if every check held."""
    from openledger_cli.demo.story import tell

    folder = (args.folder or args.context.home / "demo").absolute()
    return int(tell(folder, args.validators, quick=args.quick, keep=args.keep))
