"""Charts and maps as data; the templates of `reports.pages` draw them.

Of a verification: `model_map`, `parity`, `logits`, `tensors`, `inside`, `fault_matrix`,
`operations`.
Of a benchmark: `speed`, `strips`, `roofline`, `course`, `bars`, `scaling`; of one that is made of
units: `swept`; of servers under load: `saturation`.
Beneath them: `chart` (scales, marks, ticks) and `heat` (maps too fine for a table).
"""
