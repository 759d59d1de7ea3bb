"""The plug-in for axolotl 0.19: adds `OpenLedgerCallback` to its trainer. Imported by axolotl alone."""

from typing import Any

from axolotl.integrations.base import BasePlugin

from trainer.recording.axolotl.configuration import FRAMEWORK
from trainer.recording.callback import OpenLedgerCallback
from trainer.recording.facts import FactsError


class OpenLedgerPlugin(BasePlugin):  # type: ignore[misc] # installed with axolotl
    """Records the run under the options `openledger_...` of its configuration."""

    def get_input_args(self) -> str:
        """Name the class of the options, for axolotl's own check of the configuration."""
        return "trainer.recording.axolotl.options.OpenLedgerOptions"

    def register(self, cfg: Any) -> None:
        """Refuse a configuration without a name for the model, before anything is trained."""
        if not cfg.get("openledger_model"):
            raise FactsError("openledger_model is missing in the configuration: write the name of the model to record")

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[Any]:
        """Make the callback for this run; where axolotl logs to MLflow, the run there gets the entry's id."""
        return [
            OpenLedgerCallback(
                cfg["openledger_model"],
                base=cfg.get("openledger_base") or None,
                data=cfg.get("openledger_data") or None,
                terms=cfg.get("openledger_terms") or "",
                key=cfg.get("openledger_key") or "",
                framework=FRAMEWORK,
            )
        ]
