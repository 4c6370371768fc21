-- wrk script: POST pre-made bodies (one a line, from gen.py) in turn, with a bearer token.
--   wrk -t1 -c16 -d8s -s post.lua http://127.0.0.1:PORT/v2/import/batch -- BODIES [TOKEN] [AUTH-SCHEME] [RECORDS-A-BODY]
-- (The shared bench has the same without p99.9.) Ends with one line: RESULT {json}, latencies in ms. A status above 399 counts in "bad" (no response() hook: it would slow wrk).
local threads = {}
function setup(t) t:set("tid", #threads); table.insert(threads, t) end
function init(args)
  local token, scheme = args[2] or "test-token", args[3] or "Bearer"
  per = tonumber(args[4] or 100); reqs = {}
  local h = {["Content-Type"] = "application/json", ["Authorization"] = scheme .. " " .. token}
  for line in io.lines(args[1]) do reqs[#reqs + 1] = wrk.format("POST", nil, h, line) end
  at = (tid * 37) % #reqs
end
function request() at = at % #reqs + 1; return reqs[at] end
function done(s, lat, _)
  local e, p = s.errors, threads[1]:get("per")
  local b = e.status
  local good = s.requests - b
  io.write(string.format('RESULT {"secs":%.3f,"requests":%d,"bad":%d,"sock_err":%d,"rec_s":%.0f,"p50":%.3f,"p99":%.3f,"p999":%.3f,"max":%.3f}\n',
    s.duration / 1e6, s.requests, b, e.connect + e.read + e.write + e.timeout, good * p / (s.duration / 1e6),
    lat:percentile(50) / 1e3, lat:percentile(99) / 1e3, lat:percentile(99.9) / 1e3, lat.max / 1e3))
end
