"""The book as a static site: `tox -e book`.

make_site  runs the chapters, and has Sphinx make pages of them
mathml     LaTeX becomes MathML, which browsers draw without a script
"""
