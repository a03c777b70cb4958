"""The lessons: one plain file of code for each step, from which all that a learner gets is made.

A file's docstring is the explanation, and what to take along below "## Afterwards". Its code is the
solution. What a learner is to write lies between two comments:

    # TODO 3: what is to be done, in one line
    # calls: the calls that it needs, and why
    #   (a comment goes on in lines that are set in like this one)
    # look: the first hint, what to look at
    # formula: the second
    # thought: the third, a line of thought; never the code
    scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_dim)  # [B, H, S, S]
    # done 3

In the skeleton the line is `scores = ...  # [B, H, S, S]`, below TODO, title and calls; in the
solution it stands below the title alone.

parsed        a lesson, as it is read from its file
lesson_NN_*   the file of step NN
"""

from verify.steps.lessons.parsed import Lesson, LessonError, Task, lesson

__all__ = ["Lesson", "LessonError", "Task", "lesson"]
