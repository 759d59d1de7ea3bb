"""Files of people as rows: JSON Lines, JSON, CSV, TSV, Parquet and plain text, also gzipped, and folders of them.

Every reader goes through its file once, from the beginning to the end, and holds a few mebibytes of it at a time,
of any file: a longer line, cell or object than a row may have is refused as soon as it is longer. A reader makes of
its file the bytes of rows; whether they are rows, only openledger.data.row_json says.
"""
