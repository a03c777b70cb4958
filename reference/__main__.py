"""The command line: `python -m reference train`."""

import sys

from reference import train

if __name__ == "__main__":
    if sys.argv[1:2] != ["train"]:
        sys.exit("usage: python -m reference train [--help]")
    sys.exit(train.main(sys.argv[2:]))
