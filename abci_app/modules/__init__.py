"""The modules of the state machine, one file each, in the section order of docs/design (see CONTRIBUTING.md)."""
