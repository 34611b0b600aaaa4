-- SPDX-License-Identifier: BSD-3-Clause
-- AES-GCM (SP 800-38D, nonces of 96 bits) and ChaCha20-Poly1305 (RFC 8439), opened: Wireshark gives Lua no ciphers. Not
-- constant in time, since its keys lie in a file beside the capture.

-- Lua 5.2 has bit32, Wireshark with a later Lua has bit, whose words may be negative.
local bits = bit32 or bit
local band, bxor, lshift, rshift = bits.band, bits.bxor, bits.lshift, bits.rshift
local rotate = bits.lrotate or bits.rol
local byte, char = string.byte, string.char
local kWord = 4294967296

local function word_at(text, at)
  local a, b, c, d = byte(text, at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function little_word_at(text, at)
  local a, b, c, d = byte(text, at, at + 3)
  return ((d * 256 + c) * 256 + b) * 256 + a
end

local function bytes_of(word)
  return rshift(word, 24), band(rshift(word, 16), 255), band(rshift(word, 8), 255), band(word, 255)
end

local function padded(text)
  return text .. ("\0"):rep(-#text % 16)
end

-- AES (FIPS 197): the box, and the four tables of box, row shift and column mix.
local box, mix1, mix2, mix3, mix4 = {}, {}, {}, {}, {}
do
  local function doubled(value)
    return value < 128 and value * 2 or bxor(value * 2, 0x11b)
  end
  local power, exponent, value = {}, {}, 1
  for i = 0, 254 do
    power[i], exponent[value] = value, i
    value = bxor(value, doubled(value))
  end
  for i = 0, 255 do
    local inverse = i == 0 and 0 or power[(255 - exponent[i]) % 255]
    local sum = 0x63
    for shift = 0, 4 do
      sum = bxor(sum, band(lshift(inverse, shift), 255), rshift(inverse, 8 - shift))
    end
    box[i] = sum
    local twice = doubled(sum)
    local column = ((twice * 256 + sum) * 256 + sum) * 256 + bxor(twice, sum)
    mix1[i], mix2[i], mix3[i], mix4[i] = column, rotate(column, 24), rotate(column, 16), rotate(column, 8)
  end
end

local function box_of(word)
  local a, b, c, d = bytes_of(word)
  return ((box[a] * 256 + box[b]) * 256 + box[c]) * 256 + box[d]
end

local function round_keys(key)
  local words, size, constant = {}, #key / 4, 1
  for i = 1, size do
    words[i] = word_at(key, 4 * i - 3)
  end
  for i = size + 1, 4 * (size + 7) do
    local last = words[i - 1]
    if (i - 1) % size == 0 then
      last = bxor(box_of(rotate(last, 8)), constant * 16777216)
      constant = constant < 128 and constant * 2 or bxor(constant * 2, 0x11b)
    elseif size > 6 and (i - 1) % size == 4 then
      last = box_of(last)
    end
    words[i] = bxor(words[i - size], last)
  end
  return words
end

local function aes(keys, a, b, c, d)
  a, b, c, d = bxor(a, keys[1]), bxor(b, keys[2]), bxor(c, keys[3]), bxor(d, keys[4])
  local last = #keys - 4
  for i = 5, last, 4 do
    a, b, c, d =
      bxor(mix1[rshift(a, 24)], mix2[band(rshift(b, 16), 255)], mix3[band(rshift(c, 8), 255)], mix4[band(d, 255)], keys[i]),
      bxor(mix1[rshift(b, 24)], mix2[band(rshift(c, 16), 255)], mix3[band(rshift(d, 8), 255)], mix4[band(a, 255)], keys[i + 1]),
      bxor(mix1[rshift(c, 24)], mix2[band(rshift(d, 16), 255)], mix3[band(rshift(a, 8), 255)], mix4[band(b, 255)], keys[i + 2]),
      bxor(mix1[rshift(d, 24)], mix2[band(rshift(a, 16), 255)], mix3[band(rshift(b, 8), 255)], mix4[band(c, 255)], keys[i + 3])
  end
  local function final(p, q, r, s, key)
    local word = ((box[rshift(p, 24)] * 256 + box[band(rshift(q, 16), 255)]) * 256 + box[band(rshift(r, 8), 255)]) * 256
    return bxor(word + box[band(s, 255)], key)
  end
  return final(a, b, c, d, keys[last + 1]), final(b, c, d, a, keys[last + 2]), final(c, d, a, b, keys[last + 3]),
    final(d, a, b, c, keys[last + 4])
end

-- What eight bits that leave at the low end come back as at the high end.
local remainder = {}
for low = 0, 255 do
  local value, carried = low, 0
  for _ = 1, 8 do
    local is_odd = value % 2 == 1
    value, carried = (value - value % 2) / 2, rshift(carried, 1)
    if is_odd then
      carried = bxor(carried, 0xe1000000)
    end
  end
  remainder[low] = carried
end

-- The products of all bytes with the hash key, by words.
local function products(a, b, c, d)
  local first, second, third, fourth = { [0] = 0 }, { [0] = 0 }, { [0] = 0 }, { [0] = 0 }
  local at = 128
  while at >= 1 do
    first[at], second[at], third[at], fourth[at] = a, b, c, d
    local carry = band(d, 1) == 1 and 0xe1000000 or 0
    a, b, c, d = bxor(rshift(a, 1), carry), bxor(rshift(b, 1), lshift(a, 31)), bxor(rshift(c, 1), lshift(b, 31)),
      bxor(rshift(d, 1), lshift(c, 31))
    at = at / 2
  end
  local size = 2
  while size < 256 do
    for i = 1, size - 1 do
      for _, words in ipairs({ first, second, third, fourth }) do
        words[size + i] = bxor(words[size], words[i])
      end
    end
    size = size * 2
  end
  return first, second, third, fourth
end

local function gcm(key)
  local keys = round_keys(key)
  local first, second, third, fourth = products(aes(keys, 0, 0, 0, 0))

  local function hash(text)
    local a, b, c, d = 0, 0, 0, 0
    for at = 1, #text, 16 do
      local words = {
        bxor(d, word_at(text, at + 12)),
        bxor(c, word_at(text, at + 8)),
        bxor(b, word_at(text, at + 4)),
        bxor(a, word_at(text, at)),
      }
      a, b, c, d = 0, 0, 0, 0
      for i = 1, 4 do
        local word = words[i]
        for shift = 0, 24, 8 do
          local next_byte = band(rshift(word, shift), 255)
          a, b, c, d = bxor(rshift(a, 8), remainder[band(d, 255)], first[next_byte]),
            bxor(rshift(b, 8), lshift(a, 24), second[next_byte]),
            bxor(rshift(c, 8), lshift(b, 24), third[next_byte]),
            bxor(rshift(d, 8), lshift(c, 24), fourth[next_byte])
        end
      end
    end
    return a, b, c, d
  end

  return function(nonce, associated, text, tag)
    local n1, n2, n3 = word_at(nonce, 1), word_at(nonce, 5), word_at(nonce, 9)
    local sizes = ("\0"):rep(4) .. char(bytes_of(#associated * 8)) .. ("\0"):rep(4) .. char(bytes_of(#text * 8))
    local a, b, c, d = hash(padded(associated) .. padded(text) .. sizes)
    local p, q, r, s = aes(keys, n1, n2, n3, 1)
    local wanted = ""
    for _, word in ipairs({ bxor(a, p), bxor(b, q), bxor(c, r), bxor(d, s) }) do
      wanted = wanted .. char(bytes_of(word))
    end
    if wanted ~= tag then
      return nil
    end
    local source, blocks, counter = padded(text), {}, 1
    for at = 1, #source, 16 do
      counter = counter + 1
      p, q, r, s = aes(keys, n1, n2, n3, counter)
      local a1, a2, a3, a4 = bytes_of(bxor(p, word_at(source, at)))
      local b1, b2, b3, b4 = bytes_of(bxor(q, word_at(source, at + 4)))
      local c1, c2, c3, c4 = bytes_of(bxor(r, word_at(source, at + 8)))
      blocks[#blocks + 1] = char(a1, a2, a3, a4, b1, b2, b3, b4, c1, c2, c3, c4, bytes_of(bxor(s, word_at(source, at + 12))))
    end
    return table.concat(blocks):sub(1, #text)
  end
end

local function quarter(state, a, b, c, d)
  local p, q, r, s = state[a], state[b], state[c], state[d]
  p = (p + q) % kWord
  s = rotate(bxor(s, p), 16)
  r = (r + s) % kWord
  q = rotate(bxor(q, r), 12)
  p = (p + q) % kWord
  s = rotate(bxor(s, p), 8)
  r = (r + s) % kWord
  q = rotate(bxor(q, r), 7)
  state[a], state[b], state[c], state[d] = p, q, r, s
end

-- One block of the key stream: 16 words, little-endian.
local function chacha(key, nonce, counter)
  local start = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }
  for at = 1, 29, 4 do
    start[#start + 1] = little_word_at(key, at)
  end
  start[13] = counter
  for at = 1, 9, 4 do
    start[#start + 1] = little_word_at(nonce, at)
  end
  local state = {}
  for i = 1, 16 do
    state[i] = start[i]
  end
  for _ = 1, 10 do
    quarter(state, 1, 5, 9, 13)
    quarter(state, 2, 6, 10, 14)
    quarter(state, 3, 7, 11, 15)
    quarter(state, 4, 8, 12, 16)
    quarter(state, 1, 6, 11, 16)
    quarter(state, 2, 7, 12, 13)
    quarter(state, 3, 8, 9, 14)
    quarter(state, 4, 5, 10, 15)
  end
  for i = 1, 16 do
    state[i] = (state[i] + start[i]) % kWord
  end
  return state
end

local function little_bytes_of(word)
  local a, b, c, d = bytes_of(word)
  return d, c, b, a
end

-- Numbers of 22 bits, six of which hold 132: products and their sums stay below 2^53.
local kLimb = 4194304
local function limbs_of(text)
  local limbs, sum, scale = {}, 0, 1
  for i = 1, #text do
    sum = sum + byte(text, i) * scale
    scale = scale * 256
    if scale >= kLimb then
      limbs[#limbs + 1] = sum % kLimb
      sum = math.floor(sum / kLimb)
      scale = scale / kLimb
    end
  end
  limbs[#limbs + 1] = sum
  for i = #limbs + 1, 6 do
    limbs[i] = 0
  end
  return limbs
end

-- Carries; what passes 2^130 comes back five times.
local function settle(limbs)
  local top = math.floor(limbs[6] / 1048576)
  limbs[6] = limbs[6] % 1048576
  limbs[1] = limbs[1] + 5 * top
  for i = 1, 5 do
    local carry = math.floor(limbs[i] / kLimb)
    limbs[i] = limbs[i] % kLimb
    limbs[i + 1] = limbs[i + 1] + carry
  end
end

local function poly1305(key, text)
  local clamped = {}
  for i = 1, 16 do
    local value = byte(key, i)
    if i % 4 == 0 then
      value = band(value, 15)
    elseif i % 4 == 1 and i > 1 then
      value = band(value, 252)
    end
    clamped[i] = char(value)
  end
  local factor = limbs_of(table.concat(clamped))
  local sum = { 0, 0, 0, 0, 0, 0 }
  for at = 1, #text, 16 do
    local block = limbs_of(text:sub(at, at + 15) .. "\1")
    for i = 1, 6 do
      sum[i] = sum[i] + block[i]
    end
    local product = {}
    for i = 1, 6 do
      local low, high = 0, 0
      for j = 1, i do
        low = low + sum[j] * factor[i - j + 1]
      end
      for j = i + 1, 6 do
        high = high + sum[j] * factor[i - j + 7]
      end
      product[i] = low + 20 * high
    end
    for i = 1, 5 do
      product[i + 1] = product[i + 1] + math.floor(product[i] / kLimb)
      product[i] = product[i] % kLimb
    end
    settle(product)
    sum = product
  end
  settle(sum)
  settle(sum)
  local over = { sum[1] + 5, sum[2], sum[3], sum[4], sum[5], sum[6] }
  for i = 1, 5 do
    over[i + 1] = over[i + 1] + math.floor(over[i] / kLimb)
    over[i] = over[i] % kLimb
  end
  if over[6] >= 1048576 then
    sum = over
  end
  local tag, value, scale, limb, carry = {}, 0, 1, 1, 0
  for i = 1, 16 do
    if scale < 256 then
      value = value + sum[limb] * scale
      scale = scale * kLimb
      limb = limb + 1
    end
    carry = carry + value % 256 + byte(key, 16 + i)
    tag[i] = char(carry % 256)
    carry = math.floor(carry / 256)
    value = math.floor(value / 256)
    scale = scale / 256
  end
  return table.concat(tag)
end

local function chacha_poly(key)
  return function(nonce, associated, text, tag)
    local block = chacha(key, nonce, 0)
    local once = {}
    for i = 1, 8 do
      once[i] = char(little_bytes_of(block[i]))
    end
    local function size_of(part)
      return char(little_bytes_of(#part)) .. ("\0"):rep(4)
    end
    local signed = padded(associated) .. padded(text) .. size_of(associated) .. size_of(text)
    if poly1305(table.concat(once), signed) ~= tag then
      return nil
    end
    local source, words = text .. ("\0"):rep(-#text % 64), {}
    for at = 1, #source, 64 do
      block = chacha(key, nonce, (at + 63) / 64)
      for i = 1, 16 do
        words[#words + 1] = char(little_bytes_of(bxor(block[i], little_word_at(source, at + 4 * i - 4))))
      end
    end
    return table.concat(words):sub(1, #text)
  end
end

-- By name: bytes of a key, and what makes of a key a function (nonce, associated, text, tag) -> plaintext, or nil where the
-- tag does not verify.
return {
  aes_128_gcm = { key_bytes = 16, prepare = gcm },
  aes_256_gcm = { key_bytes = 32, prepare = gcm },
  chacha20_poly1305 = { key_bytes = 32, prepare = chacha_poly },
}
