"""Runs of other tools, recorded without effort: the tool's own files say what it did, the caller only what they cannot.

    callback        transformers' and TRL's trainers, while they run: one line
    axolotl         a plug-in and its configuration files
    llama_factory   a launcher around `run_exp`, and its configuration files
    trainer_folder  an output folder of transformers' Trainer, afterwards
    mlflow_runs     runs and whole experiments of an MLflow store, afterwards

Each reads `facts.RunFacts`; `declared` turns them, with parents and inputs of the chain, into a record. Nothing is
guessed: a number that the files do not show is left out, and parents and inputs that nobody names are undeclared.
"""
