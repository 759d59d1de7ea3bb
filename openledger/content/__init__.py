"""Content-addressed store, artefacts and files that are written whole."""
