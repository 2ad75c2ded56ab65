-- For wrk: every request submits the job in the file that NORN_BENCH_BODY names.
local file = assert(io.open(os.getenv("NORN_BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
file:close()
