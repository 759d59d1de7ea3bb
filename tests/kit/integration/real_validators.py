"""A network of real validators with operators, small parameters, and shorthand for what operators do."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from abci_app.bech32 import encode_id
from abci_app.chain.genesis import GenesisState
from abci_app.module import Message
from abci_app.modules.bank import AccountQuery, AccountView
from abci_app.modules.governance import CastVote, Propose, Scope, SetValidator, VoteChoice
from abci_app.modules.members import GenesisMember
from abci_app.modules.validators import ValidatorView
from abci_app.modules.validators.queries import TurnoverQuery, TurnoverView, ValidatorQuery
from abci_app.types import PPB
from node import cometbft
from node.application_query import ask
from node.devnet import DEFAULT_CHAIN_ID, Devnet, DevnetNode
from node.home import Home
from node.initialise import initialise
from node.ports import free_ports
from tests.kit.modules.consensus import BOND, FUNDS, OPERATORS, QUICK
from tests.kit.signing import Signer

FAST: cometbft.Changes = {("consensus", "timeout_commit"): "100ms", ("consensus", "timeout_propose"): "1s"}
# A node that is restarted is away for some seconds: that must not be an epoch.
PARAMETERS = {
    "epochs": {"epoch_blocks": 30},
    "beacon": QUICK["beacon"],
    "governance": QUICK["governance"],
    "validators": {**QUICK["validators"], "max_missed_ppb": 95 * PPB // 100},
}
WAIT_SECONDS = 90.0


class RealValidators:
    """Validator number n is node n, and belongs to operator n."""

    def __init__(self, net: Devnet) -> None:
        self.net = net
        # The nodes that questions and transactions go to: they must run.
        self.desk = net.nodes[-1]

    @classmethod
    @contextmanager
    def running(cls, folder: Path, count: int, candidates: int = 0, **app_state: Any) -> Iterator[RealValidators]:
        """So many validators, each with a bond of the least that there may be; so many more have the money for one."""
        people = OPERATORS[: count + candidates]
        state = GenesisState(
            balances=tuple([(who.address.hex(), FUNDS) for who in people]),
            members=tuple([GenesisMember(who.address.hex(), ("validator",)) for who in people]),
            parameters=PARAMETERS,
            **app_state,
        )
        addresses = [encode_id("open", who.address) for who in people[:count]]
        with Devnet.create(folder, validators=count, app_state=state, comet=FAST, operators=addresses) as net:
            net.wait_for_height(2)
            yield cls(net)

    def send(self, who: Signer, *messages: Message) -> int:
        """One transaction; the height at which it succeeded."""
        account: AccountView = ask(self.desk.rpc_url, "bank", "account", AccountQuery(who.address), AccountView)
        raw = who.transaction(
            *messages, sequence=account.sequence, chain_id=DEFAULT_CHAIN_ID, fee_limit_nopen=BOND,
            with_policy=not account.policy,
        )  # fmt: skip
        answer = self.desk.call("broadcast_tx_commit", tx=base64.b64encode(raw).decode())
        assert (answer["check_tx"]["code"], answer["tx_result"]["code"]) == (0, 0), answer
        return int(answer["height"])

    def decide(self, number: int, *actions: SetValidator, voters: Sequence[Signer]) -> None:
        """Let the committee of live validators pass a proposal, the chain's next one."""
        self.send(
            voters[0],
            Propose(
                scope=Scope.COMMITTEE, object_id=b"", actions=actions, title="validators", digest=b"",
                maximum_deposit_nopen=0,
            ),
        )  # fmt: skip
        for voter in voters:
            self.send(voter, CastVote(number, VoteChoice.YES))

    def validator(self, who: Signer) -> ValidatorView:
        """What the chain says of an operator's validator."""
        view: ValidatorView = ask(
            self.desk.rpc_url, "validators", "validator", ValidatorQuery(who.address, b""), ValidatorView
        )
        return view

    def turnover(self) -> TurnoverView:
        """What the epoch moved."""
        view: TurnoverView = ask(self.desk.rpc_url, "validators", "turnover", TurnoverQuery(), TurnoverView)
        return view

    def height(self) -> int:
        """The desk's."""
        return self.desk.height()

    def signers(self, height: int) -> dict[str, int]:
        """CometBFT's addresses and powers at a height."""
        found = self.desk.call("validators", height=str(height), per_page="100")["validators"]
        return {each["address"]: int(each["voting_power"]) for each in found}

    def signatures(self, height: int) -> list[str]:
        """Addresses that signed a block of a height."""
        signatures = self.desk.call("commit", height=str(height))["signed_header"]["commit"]["signatures"]
        return [each["validator_address"] for each in signatures if each["block_id_flag"] == 2]

    def wait(self, what: str, until: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
        """Poll; fails with the desk's logs after a while."""
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, f"waited for {what}:\n{self.desk.log_tail()}"
            time.sleep(0.1)

    def wait_for_height(self, height: int) -> None:
        """Until the desk has it."""
        self.wait(f"height {height}", lambda: self.height() >= height)

    def address_of(self, node: DevnetNode) -> str:
        """CometBFT's address of the key in a node's home."""
        document = json.loads(node.home.validator_key_file.read_text())
        address: str = document["address"]
        return address


def full_node(genesis_of: DevnetNode, others: list[DevnetNode], folder: Path, index: int = 98) -> DevnetNode:
    """A node with keys of its own that follows the chain."""
    ports = free_ports()
    home = initialise(folder, DEFAULT_CHAIN_ID, rpc_port=next(ports), p2p_port=next(ports))
    shutil.copyfile(genesis_of.home.genesis_file, home.genesis_file)
    join(home, others)
    return DevnetNode(home, index, alone=False)


def join(home: Home, others: list[DevnetNode]) -> None:
    """Name these nodes as peers."""
    peers = []
    for other in others:
        host, port = cometbft.listen_addresses(other.home)["p2p"]
        peers.append(f"{cometbft.node_id(other.home)}@{host}:{port}")
    cometbft.change_config(home, {**cometbft.LOCAL_NETWORK, **FAST, ("p2p", "persistent_peers"): ",".join(peers)})
