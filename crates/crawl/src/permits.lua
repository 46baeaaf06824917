-- Takes slots from the schedule of one origin. Times are microseconds of this server's clock.
-- KEYS: the schedule. ARGV: slots wanted, spacing, how far ahead may be granted, the server's run id,
-- seconds to keep an idle schedule. Returns the number of slots and the time from now to the first one;
-- for no slots, the time until asking again makes sense.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local want, spacing, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'next', 'last', 'server')
local next, last = tonumber(kept[1] or ''), tonumber(kept[2] or '')

-- Flushed, expired, another server or one restored from a snapshot, or a clock set back: what was
-- granted is unknown, but none of it lies later than `ahead`. Begin empty, after it.
if not next or not last or kept[3] ~= ARGV[4] or last > now + ahead then
  next, last = now + ahead + spacing, now
end
-- Whoever keeps a wider spacing keeps it from the last slot on, whoever had that.
next = math.max(next, now, last + spacing)

local count, wait = 0, next - now - ahead
if wait <= 0 then
  count = math.min(want, math.floor(-wait / spacing) + 1)
  wait = next - now
  last = next + (count - 1) * spacing
  next = last + spacing
end
redis.call('HSET', KEYS[1], 'next', string.format('%.0f', next), 'last', string.format('%.0f', last), 'server', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return {count, wait}
