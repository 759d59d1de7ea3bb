"""The deterministic state machine of an OpenLedger chain: no I/O, no clock, no floats, no randomness."""
