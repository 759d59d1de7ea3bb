"""The chain around the modules: verbs of ABCI, blocks, mempool, transactions, queries, genesis."""
