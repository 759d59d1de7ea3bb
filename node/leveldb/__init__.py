"""The state in LevelDB: its records, its versions, the store."""
