"""How much of everything: a full run takes less than 25 minutes, a quick one less than 3."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    name: str
    total_s: int = 1200  # no scenario begins after this; one that runs has its own bound
    run_limit_s: int = 45  # of one measured run
    pgbench_clients: tuple = (1, 8, 24)
    pgbench_tasks: int = 24000  # with the most clients; with fewer, fewer
    pgbench_timeout_s: int = 120
    spawn_processes: int = 1000
    peer_jobs: int = 20000
    peer_jobs_batched: int = 100000
    peer_limit_s: int = 15
    nodes: tuple = (1, 2, 4)
    real_nodes: tuple = (1, 2, 4)
    inprocess_jobs: int = 3000
    real_jobs: int = 800
    submit_jobs: int = 2000
    small_jobs: int = 15
    deep: int = 1000
    wide: int = 10000
    latency_jobs: int = 10
    latency_length: int = 20
    growth_jobs: int = 1000
    growth_rounds: int = 3
    growth_ended: int = 1000000
    growth_waiting: int = 100000
    growth_fill_s: int = 220
    active_jobs: int = 10000
    query_s: int = 8


FULL = Scale("full")
QUICK = Scale("quick", total_s=140, run_limit_s=10, pgbench_clients=(24,), pgbench_tasks=9600, pgbench_timeout_s=20,
              spawn_processes=200, peer_jobs=5000, peer_jobs_batched=20000, peer_limit_s=2, nodes=(1, 2), real_nodes=(1,),
              inprocess_jobs=300, real_jobs=60, submit_jobs=200, small_jobs=3, deep=300, wide=2000, latency_jobs=3,
              latency_length=10, growth_jobs=200, growth_rounds=1, growth_ended=20000, growth_waiting=2000,
              growth_fill_s=15, active_jobs=1000, query_s=2)
