"""A package's code next to the installed MAX: what has moved since the MAX it was written for.

moved      the names that it imports from MAX, and where they are today
older      a package that cannot be imported, imported all the same to be read
overrides  its classes against the base classes and the calls of MAX
"""
