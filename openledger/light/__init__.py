"""Pure light-client verifier: bytes in, verdict out. No input or output, no clock, no threads.

| file | what it decides |
|---|---|
| `wire.py` | the protobuf bytes that validators hash and sign |
| `blocks.py` | headers, commits, validator sets and their hashes |
| `parse.py` | the same from and to CometBFT's JSON, bounded |
| `verifier.py` | which block follows from which trusted one |
| `path.py` | bisection and the backward chain, as generators that ask for blocks |
| `session.py` | anchors, witnesses, freshness, as generators that ask for RPC answers |
| `query.py` | state proofs and queries run again on proven state |

The shell around it, which opens connections and files, is `openledger/client/light_client.py`.
"""
