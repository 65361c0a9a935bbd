"""Rules as data, and the pure code that reads them.

Read: `errors` -> `toml` (a file with line numbers) -> `model`, `calendar` (what a file may say) -> `load`.
Opening hours: `holidays`, `overrides` (what else decides) -> `hours` (open or closed, and why).
Each file names its `basis` (rule ids), who decided it and from when it holds. An empty or missing one does not load.
"""
