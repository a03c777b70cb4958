"""Wrong solutions of each step: how good is its check?

mistake            a wrong solution, as changes of the lesson's
wrong_config       of step 1
wrong_mask         of step 2
wrong_norm         of step 3
wrong_mlp          of step 4
wrong_embeddings   of steps 5 and 6
wrong_attention    of step 7
wrong_residual     of step 8
wrong_block        of step 9
wrong_stack        of step 10
wrong_head         of step 11
wrong_generation   of step 12
wrong_serving      of step 13
wrong_cache        of step 14
source_mutants     wrong solutions made of the lessons by rules
right_forms        right solutions in other forms, which have to pass
workbench          what the check of a step makes of a solution
how_good           the command `python -m verify wrong`
"""
