-- The decisions of the peer, in the access phase of nginx: the client of the token, its
-- quota, and the count of the request. One pipeline goes to Redis, over a connection
-- from nginx's pool.
local redis = require "nginx.redis"

local tokens = ngx.shared.tokens
local M = {}

-- client returns the client id of the request's token: from the shared dictionary or,
-- once a minute, from Access Management.
local function client()
    local token = ngx.var.http_authorization
    if not token then
        return nil
    end
    local known = tokens:get(token)
    if known then
        return known
    end
    local answer = ngx.location.capture("/accounts/api/me")
    if answer.status ~= 200 then
        return nil
    end
    known = string.match(answer.body, '"client_id":"([^"]+)"')
    if known then
        tokens:set(token, known, 60)
    end
    return known
end

-- count_key returns the hash and the field that count a request: one hash for each hour
-- and organization, one field for each environment and store.
local function count_key()
    local found = ngx.re.match(ngx.var.uri, "^/api/v1/organizations/([^/]+)/environments/([^/]+)/stores/([^/]+)", "jo")
    if not found then
        return nil
    end
    local hour = math.floor(ngx.time() / 3600)
    return "nginx:count:" .. found[1] .. ":" .. hour, found[2] .. "/" .. found[3]
end

function M.decide(port, script, rate, burst, period)
    local id = client()
    if not id then
        return ngx.exit(401)
    end
    ngx.var.client = id
    local hash, field = count_key()
    if not hash then
        return ngx.exit(404)
    end

    local connection = redis:new()
    connection:set_timeout(1000)
    local ok, err = connection:connect("127.0.0.1", port)
    if not ok then
        ngx.log(ngx.ERR, "redis: ", err)
        return ngx.exit(503)
    end
    connection:init_pipeline(2)
    connection:evalsha(script, 1, "nginx:quota:" .. id, burst, rate, period, 1)
    connection:hincrby(hash, field, 1)
    local answers, err = connection:commit_pipeline()
    if not answers or type(answers[1]) ~= "table" or answers[1][1] == false then
        ngx.log(ngx.ERR, "redis: ", err or "no quota")
        return ngx.exit(503)
    end
    connection:set_keepalive(60000, 128)

    local quota = answers[1]
    local header = ngx.header
    header["X-RateLimit-Limit"] = rate
    header["X-RateLimit-Remaining"] = quota[2]
    header["X-RateLimit-Reset"] = math.ceil(ngx.time() + tonumber(quota[4]))
    if quota[1] == 0 then
        header["Retry-After"] = math.ceil(tonumber(quota[3]))
        header["Content-Type"] = "application/problem+json"
        ngx.status = 429
        ngx.print('{"type":"urn:nginx:over-quota","title":"Over quota","status":429}')
        return ngx.exit(429)
    end
end

return M
