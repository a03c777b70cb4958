"""Mutants of the lessons' solutions, by rule."""

import ast

from verify.steps.lessons import lesson
from verify.steps.wrong.source_mutants import source_mutants


def test_each_mutant_differs_from_the_solution_and_from_all_others():
    for number in (3, 7, 12):
        texts = [mutant.text for mutant in source_mutants(number)]
        assert len(texts) > 5
        assert len(set(texts)) == len(texts)
        assert ast.unparse(ast.parse(lesson(number).solution)) not in texts


def test_rules_change_operators_operands_numbers_names_and_calls():
    of_norm = {mutant.text for mutant in source_mutants(3)}
    for line in (
        "centred = x + F.mean(x, axis=-1)",
        "centred = x\n",
        "centred = x - F.mean(x, axis=-2)",
        "return x * F.rsqrt(variance + self.eps) * self.weight + self.bias",
        "return centred * (variance + self.eps) * self.weight + self.bias",
    ):
        assert any(line in text for text in of_norm), line


def test_messages_and_annotations_are_left_alone():
    for mutant in source_mutants(1):
        assert "cannot be shared by" in mutant.text
        assert "-> int:" in mutant.text
