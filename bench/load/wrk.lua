-- What Mule sends: each client reads its own values in no order, with a token of its own,
-- and every request has a correlation id of its own. Arguments: base path of the keys,
-- clients, values of each client, "" or the prefix of keys that are never repeated,
-- method, bytes of a request body.
local heads, paths = {}, {}
local clients, each, fresh, method, body
local n, first = 0, ""
local random, format = math.random, string.format

function init(args)
    local base = args[1]
    clients, each, fresh, method = tonumber(args[2]), tonumber(args[3]), args[4], args[5]
    local bytes = tonumber(args[6])
    math.randomseed(tonumber(args[7]))
    body = bytes > 0 and string.rep("0123456789abcdef", bytes / 16) or ""
    first = format("%08x-%04x-4%03x-a%03x-", random(0, 0x7fffffff), random(0, 0xffff), random(0, 0xfff), random(0, 0xfff))
    local length = bytes > 0 and "Content-Type: application/json\r\nContent-Length: " .. bytes .. "\r\n" or ""
    for i = 0, clients - 1 do
        heads[i] = " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer token-" .. i ..
            "\r\nAccept: application/json\r\nUser-Agent: AHC/1.0\r\n" .. length .. "X-Correlation-ID: " .. first
    end
    base = method .. " " .. base
    if fresh ~= "" then
        paths = base .. fresh
    else
        for i = 0, clients * each - 1 do
            paths[i] = base .. "key-" .. i
        end
    end
end

function request()
    n = n + 1
    local client = random(0, clients - 1)
    local path
    if fresh ~= "" then
        path = paths .. n
    else
        path = paths[client * each + random(0, each - 1)]
    end
    return path .. heads[client] .. format("%012x", n) .. "\r\n\r\n" .. body
end

function done(summary, latency)
    local e = summary.errors
    print(format('BENCH {"requests":%d,"microseconds":%d,"bytes":%d,"not2xx":%d,"broken":%d,"p50":%.0f,"p90":%.0f,"p99":%.0f,"max":%.0f}',
        summary.requests, summary.duration, summary.bytes, e.status, e.connect + e.read + e.write + e.timeout,
        latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
