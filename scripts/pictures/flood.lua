-- For wrk: one loud client, some of two networks, and thousands of others who each ask rarely. Some 800
-- requests a second, from addresses that are kept for examples and benchmarks (RFC 5737, 2544, 3849).
local agents = {
  "python-requests/2.32.5",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
  "Go-http-client/1.1",
}

local function client()
  local dice = math.random(100)
  if dice <= 10 then
    return "203.0.113.66"
  elseif dice <= 40 then
    return "198.51.100." .. math.random(20, 25)
  elseif dice <= 55 then
    return string.format("2001:db8:bad:%x::%x", math.random(1, 40), math.random(1, 9999))
  end
  return string.format("198.%d.%d.%d", math.random(18, 19), math.random(0, 99), math.random(1, 20))
end

request = function()
  local dice = math.random(100)
  return wrk.format("GET", dice <= 80 and "/search" or "/login", {
    ["Host"] = dice % 8 == 0 and "blog.example.com" or "shop.example.com",
    ["X-Forwarded-For"] = client(),
    ["User-Agent"] = agents[dice <= 60 and 1 or dice <= 90 and 2 or 3],
  })
end

delay = function()
  return math.random(40, 100)
end
