"""Sheets that people keep (CSV, Excel): rows that become cases, and rows that others are told. Read in this order:

`table` what a sheet is, `text` and `workbook` the two ways to one (`inside` is the process that opens a workbook),
`columns` which heading is which field, `moments` days and times as people write them, `rows` a row as the API takes it
(all pure but for `workbook` and `inside`); `writing` is the way back, `cells` what nobody may take for a formula.
"""
