"""`scripts/setup light` installs enough to ask, verify and read: no LevelDB, no torch, nothing else either."""

import subprocess
import sys
from pathlib import Path

import pytest

from openledger.client.light_client import LightClient
from tests.kit.openledger.light_clients import light_client, thirty_blocks

REPOSITORY = Path(__file__).parents[2]
# A program in an interpreter in which packages that the light install lacks cannot be imported. It sets `code`.
_LIGHT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
{program}
loaded = {{"torch", "plyvel"}} & set(sys.modules)
sys.exit(f"{{sorted(loaded)}} were loaded" if loaded else code)
"""
_OURS = frozenset(
    {"abci_app", "attribution", "benchmarks", "node", "openledger", "openledger_cli", "serving", "tests", "trainer"}
)


def _missing() -> list[str]:
    """Modules installed here that are not of the distributions that requirements/base.txt locks."""
    from importlib.metadata import packages_distributions

    lines = (REPOSITORY / "requirements" / "base.txt").read_text().splitlines()
    locked = {line.split("==")[0].strip().lower().replace("_", "-") for line in lines if "==" in line}
    return sorted(
        name
        for name, owners in packages_distributions().items()
        if not {owner.lower().replace("_", "-") for owner in owners} & locked and name not in _OURS
    )


def run_light(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program as a light install would."""
    source = _LIGHT.format(missing=set(_missing()), program=program)
    command = [sys.executable, "-c", source, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=60)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A bundle and the genesis document that vouches for it."""
    chain = thirty_blocks()
    client: LightClient = light_client(chain)
    folder = tmp_path_factory.mktemp("light")
    (folder / "bundle.json").write_bytes(client.bundle(client.read([b"number/now"])))
    (folder / "genesis.json").write_bytes(chain.genesis_bytes())
    return {
        "bundle": str(folder / "bundle.json"),
        "genesis": str(folder / "genesis.json"),
        "home": str(folder),
        "now": str(chain.now_ns),
    }


PROGRAMS = {
    "the light client": "import openledger.client.light_client, openledger.light.session; code = 0",
    "client, wallet and bundles": "import openledger; openledger.Client, openledger.AsyncClient, openledger.Wallet\n"
    "import openledger.light.bundle, openledger.client.provenance; code = 0",
    "a lineage in words": "import openledger_cli.query.lineage, openledger_cli.query.lineage_tree\n"
    "import trainer.describe; code = 0",
    "every query and message": "from openledger_cli.main import build_parser\n"
    "for group in ('tx', 'query', 'keys', 'verify', 'status'): build_parser(group)\ncode = 0",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_light_install_is_enough(program: str) -> None:
    done = run_light(program)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bundle_is_verified_with_the_light_install(files: dict[str, str]) -> None:
    program = (
        "import time; now = int(sys.argv.pop()); time.time_ns = lambda: now\n"
        "from openledger_cli.main import main; code = main(sys.argv[1:])"
    )
    words = ["verify", files["bundle"], "--genesis", files["genesis"], "--home", files["home"], files["now"]]
    done = run_light(program, *words)
    assert (done.returncode, done.stderr) == (0, "next: openledger status    what the chain says now\n")
    assert done.stdout.splitlines()[0].split() == ["outcome", "verified"]


@pytest.mark.parametrize(
    ("words", "module", "level"),
    [
        (["node", "start"], "plyvel", "node"),
        (["devnet", "--validators", "1"], "plyvel", "node"),
        (["demo"], "torch", "demo"),
    ],
)
def test_a_command_that_needs_more_says_how_to_get_it(
    words: list[str], module: str, level: str, tmp_path: Path
) -> None:
    program = "from openledger_cli.main import main; code = main(sys.argv[1:])"
    done = run_light(program, *words, "--home", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: this command needs {module}, which is not installed here: run `scripts/setup {level}`; "
        "asking and verifying need less\n"
    )


def test_what_is_missing_is_really_missing() -> None:
    missing = set(_missing())
    assert {"plyvel", "pytest", "hypothesis"} <= missing
    assert not missing & {"msgspec", "httpx", "nacl", "rich", "yaml"}
    assert run_light("import plyvel; code = 0").returncode != 0
