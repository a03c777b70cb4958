"""Work of a moment, for tests of fleets."""

import time


def square(n, seconds=0.3):
    time.sleep(seconds)
    yield {"record": "square", "n": n, "square": n * n}
