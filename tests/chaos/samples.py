"""Looks at the databases while the faults go on: use of resources, versions and progress."""

import threading

SQL = """
SELECT 'use', e.name, e.cores, COALESCE(sum(r.cores), 0), count(r.*), '', ''
  FROM norn.engine e LEFT JOIN norn.reservation r ON r.engine = e.name GROUP BY 1, 2, 3
UNION ALL
SELECT 'bare', p.job_id, p.cores, 0, 0, p.role, p.party_id FROM norn.party_job p
 WHERE p.status = 'running' AND p.cores > 0
   AND NOT EXISTS (SELECT 1 FROM norn.reservation r WHERE r.party_job_no = p.party_job_no)
UNION ALL
SELECT 'over', p.job_id, p.cores, sum(t.cores), count(*), p.role, p.party_id
  FROM norn.party_job p JOIN norn.party_task t USING (party_job_no)
 WHERE t.status = 'running' AND t.party_status IN ('waiting', 'running') GROUP BY p.party_job_no HAVING sum(t.cores) > p.cores
UNION ALL
SELECT 'job', job_id, version, progress, attempt, '', status FROM norn.job
UNION ALL
SELECT 'party_job', job_id, version, progress, attempt, role || ' ' || party_id, status FROM norn.party_job
"""
ENDS = ("canceled", "timeout", "failed", "success")
PAUSE_S = 1.0


class Samples:
    def __init__(self, world):
        self.world = world
        self.taken = 0
        self.most_used = {}
        self.wrong_use = []
        self.wrong_steps = []
        self.last = {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        self.over.set()
        self.thread.join(60)
        self.look()

    def _run(self):
        while not self.over.wait(PAUSE_S):
            self.look()

    def look(self):
        for site in self.world.sites.values():
            rows, error = site.try_psql(SQL)
            if error is not None:
                continue  # PostgreSQL is just being restarted
            self.taken += 1
            for what, name, *rest in rows:
                self.take(site.name, what, name, *rest)

    def take(self, site, what, name, a, b, c, who, status):
        if what == "use":
            self.most_used[site] = max(self.most_used.get(site, 0), int(b))
            if int(b) > int(a):
                self.wrong_use.append(f"{c} reservations at {site} hold {b} cores, and there are {a}")
            return
        if what == "bare":
            self.wrong_use.append(f"job {name} is running at {site} {who} {status} with {a} cores that it has not reserved")
            return
        if what == "over":
            self.wrong_use.append(f"{c} tasks of job {name} use {b} cores at {site} {who} {status}, which has reserved {a}")
            return
        key = (site, what, name, who)
        now = (int(a), int(b), int(c), status)
        was = self.last.get(key, now)
        back = any(n < w for n, w in zip(now[:3], was[:3]))
        revived = was[3] in ENDS and now[3] != was[3] and now[2] == was[2]
        if back or revived or (now[0] == was[0] and now[2:] != was[2:]):
            self.wrong_steps.append(f"{what} {name} {who} at {site} went from version, progress, attempt, status {was} to {now}")
        self.last[key] = now
