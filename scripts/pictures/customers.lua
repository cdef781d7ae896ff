-- For wrk: customers who are logged in, as a trusted proxy names them. Some 30 requests a second.
local paths = { "/", "/products", "/products/tea", "/cart", "/search" }

request = function()
  -- One of them is an office behind one address.
  local client = "192.0.2." .. math.max(10, math.random(2, 69))
  return wrk.format("GET", paths[math.random(#paths)], {
    ["Host"] = "shop.example.com",
    ["X-Forwarded-For"] = client,
    ["Cookie"] = "session=open",
    ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  })
end

delay = function()
  return 270
end
