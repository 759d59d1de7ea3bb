"""Rows of contributions and manifests of runs: forms that contributors, trainers and verifiers share."""
