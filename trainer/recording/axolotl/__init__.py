"""axolotl: its configuration files, and a plug-in that records a run while it runs.

plugins: [trainer.recording.axolotl.plugin.OpenLedgerPlugin]
openledger_model: gardener
openledger_base: tiny-llama
openledger_data: [garden@2]
"""
