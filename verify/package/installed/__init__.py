"""Does a package fit the MAX that is installed, and what has moved since it was written?

found      the package that a user names: a folder, or a built-in of MAX
moved      the names that it imports from MAX, and where they are today
older      a package that cannot be imported, imported all the same to be read
overrides  its classes against the base classes and the calls of MAX
failing    what a package raises, as one sentence with its place
preflight  whether MAX can serve it at all, part by part
"""
