"""`openledger gov`: gOPEN, proposals, votes, objections, parameters."""
