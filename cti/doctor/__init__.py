"""`kikitori doctor`: what was seen of this host, the installation and the PBX -> findings, each with its remedy.

Read: `seen` and `machine` (what can be seen) -> `pbx`, `host`, `kernel`, `storage`, `processes` (looking) -> `finding`,
`rights`, `filters`, `judge`, `service` for the PBX, `secrecy`, `keeping`, `running` for the house (judging; pure).
`outward` looks and judges.
"""
