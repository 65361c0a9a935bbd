"""Rules as data, and the pure code that reads them.

Read: `errors` -> `toml` (a file with line numbers) -> `model` (what a file may say) -> `load`.
Each file names its `basis` (rule ids), who decided it and from when it holds. An empty or missing one does not load.
"""
