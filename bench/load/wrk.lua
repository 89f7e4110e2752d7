-- The load of Mule apps: each client reads its own values in no order, with a token of
-- its own, and every request has a correlation id of its own. Arguments: base path of
-- the keys, clients, values of each client, "" or the prefix of keys that are never
-- repeated, seed.
local heads = {}
local base, clients, each, fresh
local n = 0
local random, format = math.random, string.format

function init(args)
    base = "GET " .. args[1]
    clients, each, fresh = tonumber(args[2]), tonumber(args[3]), args[4]
    math.randomseed(tonumber(args[5]))
    local first = format("%08x-%04x-4%03x-a%03x-", random(0, 0x7fffffff), random(0, 0xffff), random(0, 0xfff), random(0, 0xfff))
    for i = 0, clients - 1 do
        heads[i] = " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer token-" .. i ..
            "\r\nAccept: application/json\r\nUser-Agent: AHC/1.0\r\nX-Correlation-ID: " .. first
    end
    if fresh ~= "" then
        base = base .. fresh
    else
        base = base .. "key-"
    end
end

function request()
    n = n + 1
    local client = random(0, clients - 1)
    local key = n
    if fresh == "" then
        key = client * each + random(0, each - 1)
    end
    return base .. key .. heads[client] .. format("%012x", n) .. "\r\n\r\n"
end

function done(summary, latency)
    local e = summary.errors
    print(format('BENCH {"requests":%d,"microseconds":%d,"bytes":%d,"not2xx":%d,"broken":%d,"p50":%.0f,"p90":%.0f,"p99":%.0f,"max":%.0f}',
        summary.requests, summary.duration, summary.bytes, e.status, e.connect + e.read + e.write + e.timeout,
        latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
