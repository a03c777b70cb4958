"""Charts and maps as data; the templates of `reports.pages` draw them.

Of a verification: `model_map`, `parity`, `logits`, `tensors`, `whole`, `inside`,
`fault_matrix`, `operations`, `paired_names`, `cases_of_places`.
Of a benchmark: `arms/`, `speed`, `strips`, `roofline`, `course`, `bars`, `scaling`; of servers
under load: `saturation`.
Of several runs: `several_runs/`.
Beneath them: `chart` (scales, marks, ticks) and `heat` (maps too fine for a table).
"""
