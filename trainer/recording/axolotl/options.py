"""The options of `OpenLedgerPlugin` in an axolotl configuration, as axolotl wants them declared."""

from pydantic import BaseModel


class OpenLedgerOptions(BaseModel):
    """`openledger_model` names the model to record; the others are those of `OpenLedgerCallback`."""

    openledger_model: str | None = None
    openledger_base: str | None = None
    openledger_data: list[str] | None = None
    openledger_terms: str | None = None
    openledger_key: str | None = None
