"""A simulated node under the address that the command asks by default."""

from collections.abc import Callable

from tests.kit.simulated_chain import SimulatedNode

# Words of a command line -> exit code, standard output, standard error.
Run = Callable[..., tuple[int, str, str]]


class LocalNode(SimulatedNode):
    """A simulated node where the light client expects an RPC client."""

    url = "http://127.0.0.1:26657"

    def close(self) -> None:
        """Nothing is open."""
