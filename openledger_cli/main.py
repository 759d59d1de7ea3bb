"""Entry point of the `openledger` command: loads the group asked for, turns errors into one line and an exit code.

A group's file has `register(subparsers)`, which adds its parser(s) and sets `run` to a function
`(arguments: argparse.Namespace) -> int | None`; `arguments.context` is the `CommandContext` of the call. The options of
`GLOBAL_OPTIONS` may stand anywhere on the line, so no group may use their names.
"""

import argparse
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from itertools import takewhile
from typing import Any

from openledger.errors import QueryFailed, UsageError
from openledger.exit_codes import MEANINGS, ExitCode
from openledger.packages import LEVEL_WITH, advice, is_installed
from openledger.settings import OUTPUTS, SETTINGS, load_settings
from openledger_cli.context import CommandContext
from openledger_cli.near_names import add_near_names
from openledger_cli.parser import OutputFile, Parser
from openledger_cli.pulse import pulse
from openledger_cli.text import printable

# Group -> (file that registers it, help). Loaded only when asked for: `openledger --help` imports none of them.
GROUPS: dict[str, tuple[str, str]] = {
    "keys": ("openledger_cli.keys", "make, recover, show and remove keys"),
    "tx": ("openledger_cli.tx", "build, sign, combine, send and try out transactions"),
    "query": ("openledger_cli.query.commands", "ask the chain; answers are verified unless --unverified"),
    "account": ("openledger_cli.account.commands", "what an account has locked, take it out, who receives for it"),
    "trust": ("openledger_cli.proofs.trusted", "note what vouches for a chain, so that its answers are verified"),
    "model": (
        "openledger_cli.model.commands",
        "models: add a base, list, show, fetch, compare, what may be done with them",
    ),
    "runs": ("openledger_cli.query.runs", "recorded runs, newest first; --follow prints new ones as they come"),
    "terms": ("openledger_cli.terms.commands", "licences by name: list, show, add, check whether they may be mixed"),
    "export": (
        "openledger_cli.export.commands",
        "a model or DataNet version in a format of other tools, with its proof",
    ),
    "status": ("openledger_cli.node.status", "what the node is and how far it is"),
    "verify": ("openledger_cli.proofs.verify", "check a proof bundle offline"),
    "data": ("openledger_cli.data.commands", "DataNets: make, fill, review, freeze, look at, export, revoke, erase"),
    "train": ("openledger_cli.train.commands", "fine-tune from a recipe and record the run, or retrain to verify one"),
    "explain": ("openledger_cli.explain.commands", "who shaped an answer of a recorded model, verified"),
    "attribution": ("openledger_cli.explain.attribution", "how good the attribution of a model is: measure, calibrate"),
    "record": ("openledger_cli.record.commands", "record a run of any tool from its files, or from MLflow"),
    "validator": (
        "openledger_cli.validator.commands",
        "validate: apply, bond, rotate keys, come back from jail, leave, and see who does",
    ),
    "node": (
        "openledger_cli.node.commands",
        "run a node: init, start, status, doctor, snapshot, backup, restore, check, rollback",
    ),
    "gov": ("openledger_cli.gov.commands", "governance: lock gOPEN, delegate, propose, vote, object; parameters"),
    "genesis": ("openledger_cli.node.genesis", "write the document that a chain starts from"),
    "demo": ("openledger_cli.demo", "the whole story on this machine: chain, data, fine-tunes, proofs"),
    "devnet": ("openledger_cli.node.devnet", "several validators on this machine, for development"),
}

# Flag -> (value name, help); each also as OPENLEDGER_<NAME> and in <home>/client.yaml.
GLOBAL_OPTIONS = {setting.name: (setting.value, setting.text) for setting in SETTINGS if setting.option}

OVERWRITE = "--overwrite"
_OVERWRITE_TEXT = "write over files that are there already (no command does so unasked)"
_CONTENT = next(setting.variable for setting in SETTINGS if setting.name == "content")
_DESCRIPTION = "Records what models were trained on, and proves it."
_EXAMPLES = """\
examples:
  openledger devnet --account alice=1000OPEN           a chain on this machine, and a key that has money
  openledger trust add --node URL --genesis FILE       a chain of somebody else, verified from now on
  openledger tx bank transfer --from alice --recipient open1... --amount 1.5OPEN
  openledger query lineage my-model                    what it was trained on, verified
  openledger verify BUNDLE.json                        check a proof bundle without any network
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        sys.stderr.close()
        return ExitCode.OK
    except Exception as error:
        if isinstance(error, OSError) and exit_code_of(error) is None:
            print(f"error: {printable(storage_error(error))}", file=sys.stderr)
            return ExitCode.FAILURE
        if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in LEVEL_WITH:
            print(f"error: {_not_installed(str(error.name))}", file=sys.stderr)
            return ExitCode.USAGE
        code = exit_code_of(error)
        if code is None:
            raise
        # An error that names several things has a line for each; any other text is one line.
        several = len(getattr(error, "problems", ())) > 1
        for number, line in enumerate(str(error).splitlines() if several else [str(error)]):
            print(f"{'  ' if number else 'error: '}{printable(' '.join(line.split()))}", file=sys.stderr)
        return code


# What to do about an error of the file system, where the error itself does not say it.
_REMEDIES = {
    errno.ENOSPC: "free space on that disk and try again",
    errno.EDQUOT: "free space in that quota and try again",
    errno.EFBIG: "files may not grow so large here (ulimit -f); raise the limit and try again",
    errno.EROFS: "the file system is mounted read-only: name another place, or mount it for writing",
    errno.EACCES: "name a place that this user may use",
    errno.EPERM: "name a place that this user may use",
    errno.ENOENT: "name a file or folder that exists",
    errno.ENOTDIR: "a part of that path is a file: name a folder",
    errno.EISDIR: "that is a folder: name a file",
    errno.EEXIST: "that is there already: name another place",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.EIO: "the disk fails: look at the system's log",
}


def storage_error(error: OSError) -> str:
    """One line with path, reason and what to do, for any error of the operating system that nobody foresaw."""
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    path = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    remedy = _REMEDIES.get(error.errno or 0, "")
    return f"{path}{reason}{'; ' if remedy else ''}{remedy}"


def _run(words: list[str]) -> int:
    flags, rest = split_global_options(words)
    overwrite = bool(flags.pop("overwrite"))
    parser = build_parser(rest[0] if rest else "")
    parsed = parser.parse_args(rest)
    if not hasattr(parsed, "run"):
        parser.print_help()
        return ExitCode.OK if not rest else ExitCode.USAGE
    for module in _NEEDED_BY_OTHER_PROCESSES.get(rest[0], ()):
        if not is_installed(module):
            raise UsageError(_not_installed(module))
    try:
        settings = load_settings(flags)
    except UsageError as error:
        if rest[0] == "explain" and flags["output"] not in (None, *OUTPUTS):
            raise UsageError(f"{error}; an output to explain goes with --answer") from None
        raise
    parsed.context = CommandContext(
        settings, overwrite=overwrite, named=frozenset([name for name, value in flags.items() if value])
    )
    parsed.context.check_new(*[value for value in vars(parsed).values() if isinstance(value, OutputFile)])
    with ExitStack() as stack:
        stack.enter_context(_content_store(settings.content))
        if not _goes_on(rest, parsed):
            stack.enter_context(pulse(parsed_name(rest)))
        try:
            return int(parsed.run(parsed) or ExitCode.OK)
        except QueryFailed as failure:
            add_near_names(failure, parsed)
            raise


def _goes_on(words: list[str], parsed: argparse.Namespace) -> bool:
    """Whether a command runs until it is stopped, or tells its own story: silence is no work then."""
    return words[0] in ("devnet", "demo") or words[:2] == ["node", "start"] or getattr(parsed, "follow", False)


def parsed_name(words: list[str]) -> str:
    """`openledger query lineage`: the words of a line that name the command."""
    named = list(takewhile(lambda word: not word.startswith("-"), words))
    return " ".join(["openledger", *named[:2]])


@contextmanager
def _content_store(url: str) -> Iterator[None]:
    """Make the content store of the settings that of this call, and of the processes that it starts."""
    before = os.environ.get(_CONTENT)
    os.environ.update({_CONTENT: url} if url else {})
    try:
        yield
    finally:
        if before is not None:
            os.environ[_CONTENT] = before
        elif url:
            del os.environ[_CONTENT]


# Groups whose work is done by processes of their own, which cannot say so as clearly.
_NEEDED_BY_OTHER_PROCESSES = {"devnet": ("plyvel",), "demo": ("torch", "plyvel")}


def _not_installed(module: str) -> str:
    return f"{advice(module, 'this command')}; asking and verifying need less"


def split_global_options(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The shared options, wherever they stand, and everything else in order."""
    shared = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in GLOBAL_OPTIONS:
        shared.add_argument(f"--{name.replace('_', '-')}", dest=name)
    shared.add_argument(OVERWRITE, action="store_true")
    if "--" in words:
        place = words.index("--")
        namespace, rest = shared.parse_known_args(words[:place])
        return vars(namespace), rest + words[place:]
    namespace, rest = shared.parse_known_args(words)
    return vars(namespace), rest


def build_parser(group: str = "") -> argparse.ArgumentParser:
    """The whole tree's first level, and all of `group`."""
    parser = Parser(
        prog="openledger",
        description=_DESCRIPTION,
        epilog=_EXAMPLES + "\n" + global_help() + "\n" + exit_code_help(),
    )
    parser.add_argument(
        "--version", action="version", version=f"openledger {_version()}" if group == "--version" else ""
    )
    subparsers: Any = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (file, help_text) in GROUPS.items():
        if name == group:
            import_module(file).register(subparsers)
        else:
            subparsers.add_parser(name, help=help_text, add_help=False)
    return parser


def global_help() -> str:
    """The shared options as help text."""
    rows = [f"  --{name.replace('_', '-')} {value}".ljust(18) + text for name, (value, text) in GLOBAL_OPTIONS.items()]
    rows.append(f"  {OVERWRITE}".ljust(18) + _OVERWRITE_TEXT)
    return (
        "options of every command (settings: also OPENLEDGER_<NAME> or <home>/client.yaml):\n" + "\n".join(rows) + "\n"
    )


def exit_code_help() -> str:
    """The exit codes as help text."""
    return "exit codes:\n" + "\n".join([f"  {int(code):<4}{text}" for code, text in MEANINGS.items()]) + "\n"


def exit_code_of(error: Exception) -> ExitCode | None:
    """The exit code of an error that a user can be shown; None for a bug, which keeps its traceback.

    Errors of lower and optional layers are recognised by the modules already loaded, so nothing is imported for it.
    """
    for module, name, code in _SHOWN:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            found = getattr(error, "exit_code", code)
            return ExitCode(found)
    return None


# First match wins: narrow before wide.
_SHOWN: tuple[tuple[str, str, ExitCode], ...] = (
    ("openledger.errors", "OpenLedgerError", ExitCode.FAILURE),
    ("openledger.light.errors", "ProviderFailed", ExitCode.NODE),
    ("openledger.light.errors", "NoAnchor", ExitCode.NOT_ANCHORED),
    ("openledger.light.errors", "LightError", ExitCode.NOT_VERIFIED),
    ("openledger.client.rpc_calls", "RpcError", ExitCode.NODE),
    ("abci_app.errors", "Rejected", ExitCode.REFUSED),
    ("abci_app.bech32", "IdError", ExitCode.USAGE),
    ("abci_app.integers", "NumbersRefused", ExitCode.USAGE),
    ("abci_app.errors", "GenesisError", ExitCode.USAGE),
    ("node.errors", "NodeError", ExitCode.NODE),
    ("openledger.content.store", "ContentError", ExitCode.FAILURE),
    ("openledger.data.row_json", "RowError", ExitCode.USAGE),
    ("openledger.data.manifest", "ManifestError", ExitCode.FAILURE),
    ("openledger.light.bundle", "BundleError", ExitCode.NOT_VERIFIED),
    ("trainer.errors", "TrainerError", ExitCode.FAILURE),
)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("openledger-node")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
