-- What wrk asks, and how it tells what came of it: as a line of JSON.
--
--     wrk -s wrk.lua URL -- METHOD DEPTH [BODY]
--
-- DEPTH requests are sent at once. wrk sees how many there are, and counts answers.

function init(args)
   local method, depth, body = args[1], tonumber(args[2]), args[3]
   if body then
      wrk.headers["Content-Type"] = "application/json"
   end
   local one = wrk.format(method, nil, nil, body)
   wrk.method, wrk.body = method, body
   if depth > 1 then
      local all = string.rep(one, depth)
      request = function() return all end
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"count": %d, "seconds": %.6f, "bytes": %d, "p50": %.4f, "p99": %.4f, ' ..
      '"lost": %d, "refused": %d}\n',
      summary.requests, summary.duration / 1e6, summary.bytes,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
