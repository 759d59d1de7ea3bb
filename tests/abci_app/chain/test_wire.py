"""Results written by hand are what protobuf writes, and hold nothing in the fields that are hashed into headers."""

from hypothesis import given
from hypothesis import strategies as st

from abci_app.chain.block import BlockResult, TransactionResult
from abci_app.chain.wire import finalize_block_response, repeated_bytes_size, transaction_result
from abci_app.module import BlockContext
from abci_app.parameters import Parameters
from abci_app.pb import abci_pb2 as pb

TEXT = st.text(max_size=200)
RESULTS = st.builds(
    TransactionResult,
    code=st.integers(0, 2**32 - 1),
    log=TEXT,
    codespace=TEXT,
    events=st.lists(st.tuples(TEXT, st.lists(st.tuples(TEXT, TEXT, st.booleans()), max_size=3)), max_size=3),
    fee_nopen=st.integers(0, 9),
    paid=st.booleans(),
)


def as_message(result: TransactionResult) -> pb.ExecTxResult:
    return pb.ExecTxResult(
        code=result.code,
        log=result.log,
        codespace=result.codespace,
        events=[
            pb.Event(
                type=name,
                attributes=[pb.EventAttribute(key=key, value=value, index=index) for key, value, index in attributes],
            )
            for name, attributes in result.events
        ],
    )


@given(RESULTS)
def test_protobuf_reads_a_result_as_the_message_that_it_stands_for(result: TransactionResult) -> None:
    assert pb.ExecTxResult.FromString(transaction_result(result)) == as_message(result)


def test_what_is_hashed_into_headers_is_the_code_alone() -> None:
    result = TransactionResult(code=7, log="text", codespace="bank", events=[("tx", [("key", "value", True)])])
    message = pb.ExecTxResult.FromString(transaction_result(result))
    assert (message.code, message.data, message.gas_wanted, message.gas_used) == (7, b"", 0, 0)


@given(st.lists(RESULTS, max_size=4), st.binary(min_size=32, max_size=32))
def test_a_block_answers_one_result_a_transaction_in_order(results: list[TransactionResult], app_hash: bytes) -> None:
    block = BlockResult(BlockContext("test-1", 1, 0, Parameters()), results, [])
    assert finalize_block_response(block, app_hash) == pb.ResponseFinalizeBlock(
        tx_results=[as_message(result) for result in results], app_hash=app_hash
    )


@given(st.lists(st.integers(0, 40_000), max_size=4))
def test_the_size_of_repeated_bytes_is_protobufs(sizes: list[int]) -> None:
    request = pb.RequestPrepareProposal(txs=[bytes(size) for size in sizes])
    assert request.ByteSize() == sum([repeated_bytes_size(size) for size in sizes])
