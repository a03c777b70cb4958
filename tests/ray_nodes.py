"""Clusters of Ray on this machine, for tests."""

import signal
from contextlib import contextmanager


@contextmanager
def cluster(**head):
    """A cluster with its head alone; options are the head's. Nodes are added by `add_node`.

    Ray takes SIGTERM for itself: whoever had it before has it again.
    """
    from ray.cluster_utils import Cluster

    before = signal.getsignal(signal.SIGTERM)
    made = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **head})
    try:
        yield made
    finally:
        made.shutdown()
        signal.signal(signal.SIGTERM, before)
