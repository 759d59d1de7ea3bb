"""Generated from proto/ by scripts/proto: ABCI 2.0, consensus parameters, light-client types. Not edited by hand."""
