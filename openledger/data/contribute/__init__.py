"""Files become contributions: read, cut, checked, committed to, sent, and taken up again after a stop at any moment.

    cut.py            rows of files in order, cut into parts: what one contribution holds
    work.py           what is done with rows: the rule, their form, leaves, sketch, a look for personal data
    workers.py        processes that do it
    journal.py        what this home has contributed, and what it is about to
    prepare.py        parts as row batch files with their commitments
    overlap.py        how much of a part the DataNet holds already
    send.py           transactions, and what became of them
    front_running.py  parts that somebody else registered first
    add.py            all of it: `openledger.data.add`

Everything is read and checked before anything is sent: one bad row, and nothing is contributed. Salts are random, so
the same rows would be another contribution each time. The journal decides which rows were contributed: it knows parts
by their rows, and keeps a part's salts from before it is sent until the chain has it.
"""
