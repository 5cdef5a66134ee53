"""A Dask cluster in a process of its own: its scheduler, and two workers below it. Prints its address and their ids."""

from __future__ import annotations

import os
import sys
import time

from distributed import Client, LocalCluster

if __name__ == "__main__":
    memory = sys.argv[1] if len(sys.argv) > 1 else "2GiB"
    options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": memory}
    with LocalCluster(2, **options) as cluster, Client(cluster) as client:
        print(cluster.scheduler_address, *client.run(os.getpid).values(), flush=True)
        time.sleep(3600)
