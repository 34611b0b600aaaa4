-- SPDX-License-Identifier: BSD-3-Clause
-- Messages between packet dynamics units (models/wire/fragment.h), decrypted with a key log, packets put together.

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
local aead = dofile(here .. "foreflow_aead.lua")

local kHeaderBytes, kFragmentBytes, kUuidBytes, kTagBytes = 14, 10, 16, 16
local kPathBytes, kMostPaths = 4, 16
local kFeedbackBytes, kWordBytes, kGapBytes, kCountsBytes, kProbeBytes = 44, 8, 10, 24, 4
local kVersion, kMostFragments = 1, 64
local kChannel = { "first message of the handshake", "second message of the handshake", "cookie", "record" }
local kTypes = { [1] = "data", [2] = "repair", [3] = "feedback", [4] = "probe" }

local shard = Proto("foreflow.shard", "Packet dynamics unit")
shard.prefs.ports = Pref.range("UDP ports", "", "Ports at which units receive. Others are found by their first fragment.", 65535)
shard.prefs.keys = Pref.string("Key log", "", "File with lines SHARD_KEY session epoch cipher key, numbers in hexadecimal")

local f = {
  version = ProtoField.uint8("foreflow.shard.version", "Version", base.DEC, nil, 0x70),
  has_path = ProtoField.bool("foreflow.shard.has_path", "Path", 8, { "one of several", "the only one" }, 0x80),
  has_uuid = ProtoField.bool("foreflow.shard.has_uuid", "UUID", 8, { "explicit", "derived" }, 0x08),
  type = ProtoField.uint8("foreflow.shard.type", "Type", base.DEC, kTypes, 0x07),
  epoch = ProtoField.uint8("foreflow.shard.epoch", "Key epoch"),
  session = ProtoField.uint32("foreflow.shard.session", "Session", base.HEX),
  number = ProtoField.uint64("foreflow.shard.number", "Number"),
  base_delta = ProtoField.uint24("foreflow.shard.base_delta", "Number less base"),
  base = ProtoField.uint64("foreflow.shard.base", "Base"),
  index = ProtoField.uint8("foreflow.shard.index", "Fragment"),
  total = ProtoField.uint8("foreflow.shard.total", "Fragments of the packet"),
  length = ProtoField.uint16("foreflow.shard.length", "Bytes of the packet"),
  sent_us = ProtoField.uint24("foreflow.shard.sent_us", "Sent at (us modulo 2^24)"),
  uuid = ProtoField.guid("foreflow.shard.uuid", "Packet"),
  path = ProtoField.uint32("foreflow.shard.path", "Path", base.DEC, nil, 0xf0000000),
  same = ProtoField.uint32("foreflow.shard.path.same", "Numbers before it by the same path", base.HEX, nil, 0x0fffffff),
  sealed = ProtoField.bytes("foreflow.shard.sealed", "Sealed"),
  tag = ProtoField.bytes("foreflow.shard.tag", "Tag"),
  verdict = ProtoField.string("foreflow.shard.tag.status", "Status of the tag"),
  text = ProtoField.bytes("foreflow.shard.text", "Plaintext"),
  fault = ProtoField.string("foreflow.shard.fault", "Fault"),
  sent_again = ProtoField.bool("foreflow.shard.sent_again", "Sent again"),
  highest = ProtoField.uint64("foreflow.shard.feedback.highest", "Greatest number received"),
  received = ProtoField.uint64("foreflow.shard.feedback.received", "Messages received"),
  received_bytes = ProtoField.uint64("foreflow.shard.feedback.received_bytes", "Bytes received"),
  marked = ProtoField.uint32("foreflow.shard.feedback.marked", "Marked congestion experienced"),
  spurious = ProtoField.uint32("foreflow.shard.feedback.spurious", "Asked for in vain"),
  held_us = ProtoField.uint32("foreflow.shard.feedback.held_us", "Held (us)"),
  echo_us = ProtoField.uint24("foreflow.shard.feedback.sent_us", "The greatest was sent at (us modulo 2^24)"),
  words = ProtoField.uint8("foreflow.shard.feedback.words", "Rows of bits"),
  gaps = ProtoField.uint8("foreflow.shard.feedback.gaps", "Gaps"),
  word = ProtoField.uint64("foreflow.shard.feedback.word", "Received before the greatest", base.HEX),
  gap = ProtoField.none("foreflow.shard.feedback.gap", "Asked for again"),
  gap_first = ProtoField.uint64("foreflow.shard.feedback.gap.first", "First"),
  gap_count = ProtoField.uint16("foreflow.shard.feedback.gap.count", "Count"),
  paths = ProtoField.uint8("foreflow.shard.feedback.paths", "Paths"),
  counts = ProtoField.none("foreflow.shard.feedback.path", "By path"),
  counts_path = ProtoField.uint8("foreflow.shard.feedback.path.number", "Path"),
  counts_held = ProtoField.uint24("foreflow.shard.feedback.path.held_us", "Held (us)"),
  counts_highest = ProtoField.uint64("foreflow.shard.feedback.path.highest", "Greatest number received"),
  counts_received = ProtoField.uint32("foreflow.shard.feedback.path.received", "Messages received, modulo 2^32"),
  counts_bytes = ProtoField.uint32("foreflow.shard.feedback.path.received_bytes", "Bytes received, modulo 2^32"),
  counts_marked = ProtoField.uint32("foreflow.shard.feedback.path.marked", "Marked congestion experienced"),
  probe_us = ProtoField.uint24("foreflow.shard.probe.sent_us", "Sent at (us modulo 2^24)"),
  probe_bytes = ProtoField.uint32("foreflow.shard.probe.bytes", "Bytes tried"),
  fragments = ProtoField.none("foreflow.shard.fragments", "Fragments in this capture"),
  fragment = ProtoField.framenum("foreflow.shard.fragment", "Fragment", base.NONE, frametype.NONE),
  repair = ProtoField.framenum("foreflow.shard.fragment.repair", "Repair", base.NONE, frametype.NONE),
  repaired = ProtoField.uint8("foreflow.shard.repaired", "Computed from the repair: fragment"),
  whole_in = ProtoField.framenum("foreflow.shard.reassembled.in", "Whole in", base.NONE, frametype.NONE),
  whole_bytes = ProtoField.uint16("foreflow.shard.reassembled.length", "Bytes put together"),
  whole = ProtoField.bytes("foreflow.shard.reassembled.data", "Packet put together"),
  channel = ProtoField.string("foreflow.shard.channel", "Secure channel between the hosts"),
  first_in = ProtoField.framenum("foreflow.shard.first_in", "First seen in", base.NONE, frametype.NONE),
}
local fields = {}
for _, field in pairs(f) do
  fields[#fields + 1] = field
end
shard.fields = fields

local function expert_of(name, text, group, severity)
  return ProtoExpert.new("foreflow.shard." .. name, text, group, severity)
end
local function malformed(name, text)
  return expert_of(name, text, expert.group.MALFORMED, expert.severity.ERROR)
end
local function refused(name, text)
  return expert_of(name, text, expert.group.REASSEMBLE, expert.severity.WARN)
end
local e = {
  short = malformed("fault.short", "Ends inside headers or tag"),
  version = malformed("fault.version", "Another version"),
  type = malformed("fault.type", "Unknown type, or a UUID where none belongs"),
  total = malformed("fault.total", "No packet has so many fragments of so many bytes"),
  index = malformed("fault.index", "No such fragment of the packet"),
  number = malformed("fault.number", "The base does not go with number and fragment"),
  uuid = malformed("fault.uuid", "The UUID is not that of session and base"),
  size = malformed("fault.size", "More or fewer bytes than the headers say"),
  feedback = malformed("fault.feedback", "Plaintext is no feedback"),
  probe = malformed("fault.probe", "Plaintext is no probe"),
  forged = expert_of("forged", "The tag verifies with none of the session's keys", expert.group.SECURITY, expert.severity.ERROR),
  cut = expert_of("cut", "The capture lacks the message's end", expert.group.UNDECODED, expert.severity.NOTE),
  repeated = expert_of("repeated", "A number that was used before: replayed, or captured twice", expert.group.SEQUENCE, expert.severity.WARN),
  duplicate = refused("duplicate", "This fragment of the packet is there already"),
  conflict = refused("conflict", "Says another total or length than its packet's first fragment"),
  mixed_epoch = refused("mixed_epoch", "Sealed with another key than its packet's first fragment"),
  asks = expert_of("asks", "Asks for fragments again", expert.group.SEQUENCE, expert.severity.CHAT),
}
local experts = {}
for _, one in pairs(e) do
  experts[#experts + 1] = one
end
shard.experts = experts

-- Of one capture.
local keys, prepared = {}, {}
local ports = {}
local messages, numbers, packets = {}, {}, {}

local function from_hex(text)
  return (text:gsub("..", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function read_keys(path)
  keys = {}
  if path == "" then
    return
  end
  local file, why = io.open(path)
  if not file then
    report_failure("foreflow.shard: no key log: " .. why)
    return
  end
  local at = 0
  for line in file:lines() do
    at = at + 1
    if line:find("%S") and not line:find("^%s*#") then
      local session, epoch, cipher, key = line:match("^SHARD_KEY%s+(%x+)%s+(%x+)%s+([%w_]+)%s+(%x+)%s*$")
      local known = aead[cipher]
      if not known or #key ~= 2 * known.key_bytes or #session ~= 8 or #epoch ~= 2 then
        report_failure(
          ("foreflow.shard: %s, line %d: not SHARD_KEY, 8 digits of session, 2 of epoch, aes_128_gcm, aes_256_gcm or "):format(path, at)
            .. "chacha20_poly1305, and its key of 16, 32 or 32 bytes; the line is left out"
        )
      else
        local name = (session .. epoch):lower()
        keys[name] = keys[name] or {}
        table.insert(keys[name], cipher .. key)
      end
    end
  end
  file:close()
end

local function opener_of(key)
  if not prepared[key] then
    for name, cipher in pairs(aead) do
      if key:sub(1, #name) == name and #key == #name + 2 * cipher.key_bytes then
        prepared[key] = cipher.prepare(from_hex(key:sub(#name + 1)))
      end
    end
  end
  return prepared[key]
end

-- Plaintext; nil with whether there was a key.
local function open(message, associated, sealed, tag)
  local candidates = keys[message.name]
  if not candidates then
    return nil, false
  end
  -- Epochs come back after 256 rotations: the last that verified comes first.
  for i, key in ipairs(candidates) do
    local text = opener_of(key)(message.nonce, associated, sealed, tag)
    if text then
      table.insert(candidates, 1, table.remove(candidates, i))
      return text, true
    end
  end
  return nil, true
end

local function unit_of(length, total)
  return math.floor((length + total - 1) / total)
end

-- The headers as models/wire's ReadShardMessage reads them, and in its order: what is wrong with them, and what they say as
-- far as they go. `size` is that of the datagram, of which fewer bytes may have been captured.
local function read(tvb, size)
  local message = {}
  if size < kHeaderBytes + kTagBytes then
    return message, "short"
  end
  if tvb:len() < kHeaderBytes then
    return message, nil
  end
  local first = tvb(0, 1):uint()
  if math.floor(first / 16) % 8 ~= kVersion then
    return message, "version"
  end
  local type = first % 8
  message.has_uuid = math.floor(first / 8) % 2 == 1
  message.has_path = first >= 128
  message.is_fragment = type == 1 or type == 2
  if not kTypes[type] or (message.has_uuid and not message.is_fragment) then
    return message, "type"
  end
  message.type = kTypes[type]
  message.number = tvb(6, 8):uint64()
  message.nonce = tvb:raw(2, 12)
  message.name = tostring(tvb(2, 4):bytes()):lower() .. tostring(tvb(1, 1):bytes()):lower()
  message.clear = kHeaderBytes
    + (message.is_fragment and kFragmentBytes or 0)
    + (message.has_uuid and kUuidBytes or 0)
    + (message.has_path and kPathBytes or 0)
  if size < message.clear + kTagBytes then
    return message, "short"
  end
  if not message.is_fragment then
    return message, nil
  end
  if tvb:len() < message.clear then
    message.is_fragment = false
    return message, nil
  end
  local delta = tvb(14, 3):uint()
  local index, total, length = tvb(17, 1):uint(), tvb(18, 1):uint(), tvb(19, 2):uint()
  message.index, message.total, message.length = index, total, length
  if total == 0 or total > kMostFragments or length == 0 then
    return message, "total"
  end
  local unit = unit_of(length, total)
  local before_last = (total - 1) * unit
  if before_last >= length then
    return message, "total"
  end
  local is_repair = message.type == "repair"
  if index >= total or (is_repair and index ~= 0) then
    return message, "index"
  end
  if UInt64(delta) > message.number or delta < (is_repair and total or index) then
    return message, "number"
  end
  message.base = message.number - delta
  message.is_again = not is_repair and delta ~= index
  if message.has_uuid then
    local high, low = message.base:higher(), message.base:lower()
    local wanted = tostring(tvb(2, 4):bytes())
      .. ("%04x%04x%08x%08x"):format(
        math.floor(high / 65536),
        0x8000 + math.floor(high / 16) % 4096,
        0x80000000 + high % 16,
        low
      )
    if tostring(tvb(24, 16):bytes()):lower() ~= wanted:lower() then
      return message, "uuid"
    end
  end
  message.text_bytes = index + 1 < total and unit or length - before_last
  if size ~= message.clear + message.text_bytes + kTagBytes then
    return message, "size"
  end
  return message, nil
end

local function added(one, other)
  local bits = bit32 or bit
  local sum = {}
  for i = 1, #one do
    sum[i] = string.char(bits.bxor(one:byte(i), other:byte(i) or 0))
  end
  return table.concat(sum)
end

-- The packet's bytes where they are known, and which fragment came of the repair.
local function joined(packet)
  local missing
  for i = 0, packet.total - 1 do
    if not packet.texts[i] then
      if missing or not packet.repair_text then
        return nil
      end
      missing = i
    end
  end
  if missing then
    local sum = packet.repair_text
    for i = 0, packet.total - 1 do
      if i ~= missing then
        sum = added(sum, packet.texts[i])
      end
    end
    local unit = unit_of(packet.length, packet.total)
    packet.texts[missing] = sum:sub(1, missing + 1 < packet.total and unit or packet.length - missing * unit)
  end
  local parts = {}
  for i = 0, packet.total - 1 do
    parts[i + 1] = packet.texts[i]
  end
  return table.concat(parts), missing
end

-- Whether all fragments but at most one that the repair stands for were seen, with or without their text.
local function is_all_there(packet)
  local seen = packet.repair_in and 1 or 0
  for _ in pairs(packet.frames) do
    seen = seen + 1
  end
  return seen >= packet.total
end

-- What a fragment does to its packet, once, in the order of the capture. A fragment that did not verify does nothing.
local function keep(message, frame)
  local key = message.name:sub(1, 8) .. message.base:tohex()
  local packet = packets[key]
  if not packet then
    packet = { total = message.total, length = message.length, name = message.name, frames = {}, texts = {} }
    packets[key] = packet
  end
  message.packet = packet
  if packet.total ~= message.total or packet.length ~= message.length then
    message.refused = "conflict"
  elseif packet.name ~= message.name then
    message.refused = "mixed_epoch"
  elseif message.type == "repair" then
    if packet.repair_in then
      message.refused = "duplicate"
    else
      packet.repair_in, packet.repair_text = frame, message.text
    end
  elseif packet.frames[message.index] then
    message.refused = "duplicate"
  else
    packet.frames[message.index], packet.texts[message.index] = frame, message.text
  end
  if message.refused or packet.whole_in or not is_all_there(packet) then
    return
  end
  packet.whole_in = frame
  packet.bytes, packet.repaired = joined(packet)
  packet.texts, packet.repair_text = {}, nil
end

local function add_feedback(tvb, tree, root)
  local function wrong()
    root:add_proto_expert_info(e.feedback)
    root:add(f.fault, "feedback"):set_generated()
  end
  if tvb:len() < kFeedbackBytes or tvb(42, 2):uint() ~= 0 then
    return wrong()
  end
  local highest = tvb(0, 8):uint64()
  tree:add(f.highest, tvb(0, 8))
  tree:add(f.received, tvb(8, 8))
  tree:add(f.received_bytes, tvb(16, 8))
  tree:add(f.marked, tvb(24, 4))
  tree:add(f.spurious, tvb(28, 4))
  tree:add(f.held_us, tvb(32, 4))
  tree:add(f.echo_us, tvb(36, 3))
  tree:add(f.words, tvb(39, 1))
  tree:add(f.gaps, tvb(40, 1))
  tree:add(f.paths, tvb(41, 1))
  local words, gaps, paths = tvb(39, 1):uint(), tvb(40, 1):uint(), tvb(41, 1):uint()
  local rows = kFeedbackBytes + words * kWordBytes + gaps * kGapBytes
  if tvb:len() ~= rows + paths * kCountsBytes or paths > kMostPaths then
    return wrong()
  end
  for i = 0, words - 1 do
    tree:add(f.word, tvb(kFeedbackBytes + i * kWordBytes, kWordBytes))
  end
  local reach = highest + kMostFragments
  for i = 0, gaps - 1 do
    local row = tvb(kFeedbackBytes + words * kWordBytes + i * kGapBytes, kGapBytes)
    local asked = tree:add(f.gap, row)
    asked:add(f.gap_first, row(0, 8))
    asked:add(f.gap_count, row(8, 2))
    local first, count = row(0, 8):uint64(), row(8, 2):uint()
    local last = first + count - 1
    if count == 0 or last < first or (reach >= highest and last > reach) then
      return wrong()
    end
  end
  for i = 0, paths - 1 do
    local row = tvb(rows + i * kCountsBytes, kCountsBytes)
    local counts = tree:add(f.counts, row)
    counts:add(f.counts_path, row(0, 1))
    counts:add(f.counts_held, row(1, 3))
    counts:add(f.counts_highest, row(4, 8))
    counts:add(f.counts_received, row(12, 4))
    counts:add(f.counts_bytes, row(16, 4))
    counts:add(f.counts_marked, row(20, 4))
    if row(0, 1):uint() >= kMostPaths or row(4, 8):uint64() > highest then
      return wrong()
    end
  end
  if gaps > 0 then
    root:add_proto_expert_info(e.asks)
  end
end

local function add_packet(message, pinfo, tree, root)
  local packet = message.packet
  local parts = tree:add(f.fragments)
  parts:set_generated()
  for i = 0, packet.total - 1 do
    if packet.frames[i] then
      parts:add(f.fragment, packet.frames[i]):set_generated():append_text((" (%d of %d)"):format(i, packet.total))
    end
  end
  if packet.repair_in then
    parts:add(f.repair, packet.repair_in):set_generated()
  end
  if not packet.whole_in then
    return
  end
  if packet.whole_in ~= pinfo.number then
    tree:add(f.whole_in, packet.whole_in):set_generated()
    return
  end
  if packet.repaired then
    parts:add(f.repaired, packet.repaired):set_generated()
  end
  if not packet.bytes or message.refused then
    return
  end
  local whole = ByteArray.new(packet.bytes, true):tvb("Packet put together")
  tree:add(f.whole_bytes, #packet.bytes):set_generated()
  tree:add(f.whole, whole()):set_generated()
  Dissector.get("eth_withoutfcs"):call(whole, pinfo, root)
end

function shard.init()
  messages, numbers, packets, ports, prepared = {}, {}, {}, {}, {}
  read_keys(shard.prefs.keys)
end

local function add_headers(tvb, tree, message)
  local function add(field, at, size)
    if tvb:len() >= at + size then
      tree:add(field, tvb(at, size))
    end
  end
  add(f.has_path, 0, 1)
  add(f.version, 0, 1)
  add(f.has_uuid, 0, 1)
  add(f.type, 0, 1)
  add(f.epoch, 1, 1)
  add(f.session, 2, 4)
  add(f.number, 6, 8)
  if message.has_path and message.clear then
    add(f.path, message.clear - kPathBytes, kPathBytes)
    add(f.same, message.clear - kPathBytes, kPathBytes)
  end
  if not message.is_fragment then
    return
  end
  add(f.base_delta, 14, 3)
  add(f.index, 17, 1)
  add(f.total, 18, 1)
  add(f.length, 19, 2)
  add(f.sent_us, 21, 3)
  if message.has_uuid then
    add(f.uuid, 24, 16)
  end
  if message.base then
    tree:add(f.base, tvb(6, 11), message.base):set_generated()
    tree:add(f.sent_again, tvb(6, 11), message.is_again):set_generated()
  end
end

-- Opens a message and keeps what it says, at its first sight.
local function take(tvb, message, frame)
  local clear, size = message.clear, tvb:len()
  message.text, message.has_key =
    open(message, tvb:raw(0, clear), tvb:raw(clear, size - clear - kTagBytes), tvb:raw(size - kTagBytes, kTagBytes))
  if message.has_key and not message.text then
    return
  end
  local number = message.name .. message.number:tohex()
  message.first_in = numbers[number]
  numbers[number] = numbers[number] or frame
  if message.is_fragment and not message.first_in then
    keep(message, frame)
  end
end

-- At the same port the hosts agree on keys, by packets of models/crypto/secure_channel: type, version, kind, 0.
local function channel_of(tvb)
  if tvb:len() < 8 or tvb(1, 1):uint() ~= 1 or tvb(3, 1):uint() ~= 0 then
    return nil
  end
  return kChannel[tvb(0, 1):uint()]
end

function shard.dissector(tvb, pinfo, tree)
  local size = tvb:reported_len()
  local channel = channel_of(tvb)
  if channel then
    pinfo.cols.protocol = "SHARD"
    pinfo.cols.info = "keys: " .. channel
    tree:add(shard, tvb()):add(f.channel, tvb(0, 1), channel)
    return size
  end
  local id = pinfo.number .. "/" .. tostring(tvb(0, math.min(tvb:len(), kHeaderBytes)):bytes())
  local message, fault = read(tvb, size)
  local is_cut = tvb:len() < size
  if messages[id] then
    message = messages[id]
  elseif not fault and not is_cut then
    take(tvb, message, pinfo.number)
    messages[id] = message
  end

  pinfo.cols.protocol = "SHARD"
  local about = fault and "malformed: " .. fault or message.type or "message"
  if message.base and not fault then
    about = ("%s %d of %d, packet %s"):format(about, message.index, message.total, message.base)
  end
  pinfo.cols.info = about
  local root = tree:add(shard, tvb())
  root:append_text(", " .. about)
  add_headers(tvb, root, message)
  if fault then
    root:add_proto_expert_info(e[fault])
    root:add(f.fault, fault):set_generated()
    return size
  end
  if is_cut then
    root:add_proto_expert_info(e.cut)
    return size
  end
  local clear = message.clear
  root:add(f.sealed, tvb(clear, size - clear - kTagBytes))
  local tag = root:add(f.tag, tvb(size - kTagBytes, kTagBytes))
  tag:add(f.verdict, message.text and "good" or message.has_key and "bad" or "unknown: no key"):set_generated()
  if message.first_in then
    root:add(f.first_in, message.first_in):set_generated()
    root:add_proto_expert_info(e.repeated)
  end
  if message.has_key and not message.text then
    root:add_proto_expert_info(e.forged)
    return size
  end
  if message.text and #message.text > 0 then
    local text = ByteArray.new(message.text, true):tvb("Plaintext")
    root:add(f.text, text())
    if message.type == "feedback" then
      add_feedback(text, root, root)
    elseif message.type == "probe" then
      if text:len() < kProbeBytes or text(3, 1):uint() ~= 0 then
        root:add_proto_expert_info(e.probe)
        root:add(f.fault, "probe"):set_generated()
      else
        root:add(f.probe_us, text(0, 3))
        root:add(f.probe_bytes, size):set_generated()
      end
    end
  end
  if message.refused then
    root:add_proto_expert_info(e[message.refused])
  end
  if message.packet then
    add_packet(message, pinfo, root, tree)
  end
  return size
end

-- A fragment's headers fix its datagram's size, so that little else passes for one. Where one went, all else is taken for
-- messages too.
local function is_ours(tvb, pinfo)
  if ports[pinfo.dst_port] then
    return true
  end
  local message, fault = read(tvb, tvb:reported_len())
  local is_fragment = message.is_fragment and not fault
  if is_fragment then
    ports[pinfo.dst_port] = true
  end
  return is_fragment
end

shard:register_heuristic("udp", function(tvb, pinfo, tree)
  if not is_ours(tvb, pinfo) then
    return false
  end
  shard.dissector(tvb, pinfo, tree)
  return true
end)

local registered
function shard.prefs_changed()
  local table_of_ports = DissectorTable.get("udp.port")
  if registered then
    table_of_ports:remove(registered, shard)
  end
  registered = shard.prefs.ports
  if registered ~= "" then
    table_of_ports:add(registered, shard)
  end
end
