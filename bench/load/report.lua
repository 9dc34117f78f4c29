-- One line for the runner; everything else that wrk prints is for people. Without a script of
-- its own to send by, wrk calls no function while it measures.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\nresult %d %d %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect, e.read, e.write, e.status, e.timeout))
end
