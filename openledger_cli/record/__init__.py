"""The command `record`: runs of other tools, from their files or from MLflow."""
