// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/python/arrays.h"
#include "bindings/python/module.h"
#include "bindings/python/network.h"
#include "models/base/refusal.h"
#include "models/shard/key_log.h"
#include "models/shard/packet_life.h"
#include "models/shard/sharder.h"
#include "models/shard/unit_pair.h"
#include "models/wire/fragment.h"

namespace foreflow::python {
namespace {

std::string Bytes(const py::bytes& bytes) { return bytes; }
BytesView ViewOf(const std::string& bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}
MutableBytes RoomOf(std::string& bytes) {
  return {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()};
}
py::bytes ToPython(BytesView bytes) { return {reinterpret_cast<const char*>(bytes.data), bytes.size}; }

template <typename Value>
Value InRange(const char* name, std::int64_t value, std::int64_t most) {
  if (value < 0 || value > most) {
    throw Refusal("argument", name, std::to_string(value), "0 .. " + std::to_string(most));
  }
  return static_cast<Value>(value);
}

crypto::AeadAlgorithm CipherOf(const std::string& name, const std::string& key) {
  static const std::vector<std::string> kNames = {"aes_128_gcm", "aes_256_gcm", "chacha20_poly1305"};
  const auto cipher = static_cast<crypto::AeadAlgorithm>(IndexOf(kNames, name, "cipher"));
  if (key.size() != crypto::AeadKeyBytes(cipher)) {
    throw Refusal("argument", "key", std::to_string(key.size()) + " bytes",
                  std::to_string(crypto::AeadKeyBytes(cipher)) + " bytes");
  }
  if (!crypto::Runs(cipher)) throw Refusal("argument", "cipher", name, "one that this machine runs");
  return cipher;
}

// The sending end of one session, and the last packet that it cut.
class ShardSender {
 public:
  ShardSender(std::uint32_t session, bool has_uuid, bool has_paths)
      : sharder_(session, has_uuid, has_paths) {}

  void InstallKey(std::int64_t epoch, const std::string& cipher, const py::bytes& key) {
    const std::string bytes = key;
    const crypto::AeadAlgorithm algorithm = CipherOf(cipher, bytes);
    if (!sharder_.keys().Install(InRange<std::uint8_t>("epoch", epoch, 255), algorithm, ViewOf(bytes).data))
      throw Refusal("argument", "epoch", std::to_string(epoch), "another one than those that live");
  }
  std::vector<py::bytes> Split(const py::bytes& packet, std::int64_t most_bytes, std::int64_t now,
                               std::int64_t path) {
    const unsigned by = PathOf(path);
    RequireKey();
    packet_ = Bytes(packet);
    if (packet_.empty() || packet_.size() > 65'535)
      throw Refusal("argument", "packet", std::to_string(packet_.size()) + " bytes", "1 .. 65535 bytes");
    if (most_bytes < 1) throw Refusal("argument", "most_bytes", std::to_string(most_bytes), "1 or more");
    cut_ = sharder_.Cut(packet_.size(), static_cast<std::size_t>(most_bytes));
    std::vector<py::bytes> datagrams;
    for (std::size_t i = 0; i < cut_->total; ++i) {
      datagrams.push_back(Sealed([&](MutableBytes room) {
        return sharder_.Seal(*cut_, i, ViewOf(packet_), Nanos(now), room, work_, by);
      }));
    }
    return datagrams;
  }
  py::bytes Again(std::int64_t index, std::int64_t now, std::int64_t path) {
    const unsigned by = PathOf(path);
    RequirePacket();
    const auto which = InRange<std::size_t>("index", index, cut_->total - 1);
    return Sealed([&](MutableBytes room) {
      return sharder_.SealAgain(*cut_, which, ViewOf(packet_), Nanos(now), room, work_, by);
    });
  }
  py::bytes Repair(std::int64_t now, std::int64_t path) {
    const unsigned by = PathOf(path);
    RequirePacket();
    return Sealed([&](MutableBytes room) {
      return sharder_.SealRepair(*cut_, ViewOf(packet_), Nanos(now), room, work_, by);
    });
  }
  py::bytes Message(const std::string& type, const py::bytes& text, std::int64_t path) {
    const unsigned by = PathOf(path);
    RequireKey();
    const std::string bytes = text;
    const auto kind = IndexOf({"feedback", "probe"}, type, "type") == 0 ? wire::ShardType::kFeedback
                                                                        : wire::ShardType::kProbe;
    return Sealed(
        [&](MutableBytes room) { return sharder_.SealMessage(kind, ViewOf(bytes), room, work_, by); },
        bytes.size());
  }
  std::uint64_t NextNumber() const { return sharder_.next_number(); }

 private:
  static unsigned PathOf(std::int64_t path) { return InRange<unsigned>("path", path, wire::kMostPaths - 1); }
  void RequireKey() {
    if (!sharder_.keys().IsReady()) throw Refusal("shard sender: install_key says first what seals");
  }
  void RequirePacket() const {
    if (!cut_) throw Refusal("shard sender: split says first which packet");
  }
  template <typename Seal>
  py::bytes Sealed(const Seal& seal, std::size_t text = 0) {
    std::string room(wire::ShardDatagramBytes(wire::ShardType::kData, true, packet_.size() + text, true),
                     '\0');
    const std::size_t bytes = seal(RoomOf(room));
    if (bytes == 0) throw Refusal("shard sender: the packet's key is gone");
    return {room.data(), bytes};
  }

  shard::Sharder sharder_;
  std::string packet_;
  std::optional<shard::PacketCut> cut_;
  Work work_;
};

// Two units, a network between them, and all that passed.
class Units final : public shard::UnitPairTap {
 public:
  Units(const std::vector<py::dict>& paths, std::uint64_t seed, bool has_uuid, bool is_robust)
      : pair_(ConfigOf(paths, seed, has_uuid, is_robust), this) {}

  void Input(const py::bytes& frame, std::int64_t now) {
    const std::string bytes = frame;
    pair_.Input(ViewOf(bytes), Nanos(now));
  }
  void Finish() { pair_.Finish(); }
  void OnDatagram(std::size_t from, const shard::UnitDatagram& datagram, Nanos now) override {
    datagrams_.emplace_back(from, now.count(), ToPython(datagram.bytes));
  }
  void OnFrame(std::size_t to, BytesView frame, Nanos now) override {
    frames_.emplace_back(to, now.count(), ToPython(frame));
  }

  // Where, when in nanoseconds, what.
  using Passed = std::tuple<std::size_t, std::int64_t, py::bytes>;
  const std::vector<Passed>& datagrams() const { return datagrams_; }
  const std::vector<Passed>& frames() const { return frames_; }
  std::string KeyLog() const { return pair_.KeyLog(); }

 private:
  static shard::UnitPairConfig ConfigOf(const std::vector<py::dict>& paths, std::uint64_t seed, bool has_uuid,
                                        bool is_robust) {
    shard::UnitPairConfig config;
    config.forth.paths = PathsOf(paths);
    config.back = config.forth;
    config.seed = seed;
    config.unit.has_uuid = has_uuid;
    config.unit.path_weights.assign(paths.size(), 1);
    config.unit.path_rule = shard::PathRule::kFragment;
    if (is_robust) config.unit.preference = shard::Preference::kRobustness;
    return config;
  }

  std::vector<Passed> datagrams_, frames_;
  shard::UnitPair pair_;
};

py::dict ReadMessage(const py::bytes& datagram) {
  static const std::vector<std::string> kTypes = {"data", "repair", "feedback", "probe"};
  const std::string bytes = datagram;
  wire::ShardMessage message;
  const wire::ShardFault fault = wire::ReadShardMessage(ViewOf(bytes), message);
  py::dict said;
  said["fault"] = wire::Name(fault);
  if (fault != wire::ShardFault::kNone) return said;
  const wire::ShardHeader& header = message.header;
  said["version"] = header.version;
  said["type"] = kTypes[static_cast<std::size_t>(header.type) - 1];
  said["has_uuid"] = header.has_uuid;
  said["epoch"] = header.epoch;
  said["session"] = header.session;
  said["number"] = header.number;
  if (header.has_path) {
    said["path"] = message.path.path;
    said["same"] = message.path.same;
  }
  said["sealed"] = ToPython(message.sealed);
  said["tag"] = ToPython({message.tag, wire::kShardTagBytes});
  if (message.fragment.total == 0) return said;
  said["base_delta"] = message.fragment.base_delta;
  said["base"] = message.base();
  said["index"] = message.fragment.index;
  said["total"] = message.fragment.total;
  said["length"] = message.fragment.length;
  said["sent_us"] = message.fragment.sent_us;
  const wire::PacketUuid uuid = wire::UuidOf(header.session, message.base());
  said["uuid"] = ToPython({uuid.bytes.data(), uuid.bytes.size()});
  return said;
}

template <typename Enum>
py::tuple NamesOf(std::size_t count) {
  py::tuple names(count);
  for (std::size_t i = 0; i < count; ++i) names[i] = Name(static_cast<Enum>(i));
  return names;
}

py::dict Words() {
  py::dict words;
  words["verdict"] = NamesOf<shard::UnitVerdict>(shard::kUnitVerdicts);
  words["fate"] = NamesOf<impair::Fate>(impair::kFates);
  words["end"] = NamesOf<shard::FrameFate>(shard::kFrameFates);
  words["sending"] = NamesOf<shard::SendCause>(shard::kSendCauses);
  words["asking"] = NamesOf<shard::AskCause>(shard::kAskCauses);
  return words;
}

std::optional<py::dict> ReadFeedback(const py::bytes& text) {
  const std::string bytes = text;
  wire::FeedbackRows rows;
  if (!wire::ReadFeedback(ViewOf(bytes), rows)) return std::nullopt;
  const wire::ShardFeedback& feedback = rows.feedback;
  py::dict said;
  said["highest"] = feedback.highest;
  said["received"] = feedback.received;
  said["received_bytes"] = feedback.received_bytes;
  said["marked"] = feedback.marked;
  said["spurious"] = feedback.spurious;
  said["held_us"] = feedback.held_us;
  said["sent_us"] = feedback.sent_us;
  py::list words, gaps, paths;
  for (std::size_t i = 0; i < feedback.words; ++i) words.append(rows.Word(i));
  for (std::size_t i = 0; i < feedback.gaps; ++i) {
    const wire::FragmentGap gap = rows.Gap(i);
    gaps.append(py::make_tuple(gap.first, gap.count));
  }
  for (std::size_t i = 0; i < feedback.paths; ++i) {
    const wire::PathCounts counts = rows.Path(i);
    paths.append(py::make_tuple(counts.path, counts.highest, counts.received, counts.received_bytes,
                                counts.marked, counts.held_us));
  }
  said["words"] = words;
  said["gaps"] = gaps;
  said["paths"] = paths;
  return said;
}

std::string KeyLogLine(std::uint32_t session, std::int64_t epoch, const std::string& cipher,
                       const py::bytes& key) {
  const std::string bytes = key;
  return shard::KeyLogLine(session, InRange<std::uint8_t>("epoch", epoch, 255), CipherOf(cipher, bytes),
                           ViewOf(bytes).data);
}

py::bytes SealAead(const std::string& cipher, const py::bytes& key, const py::bytes& nonce,
                   const py::bytes& associated, const py::bytes& text) {
  const std::string key_bytes = key, nonce_bytes = nonce, clear = associated;
  std::string sealed = text;
  if (nonce_bytes.size() != crypto::kAeadNonceBytes)
    throw Refusal("argument", "nonce", std::to_string(nonce_bytes.size()) + " bytes", "12 bytes");
  crypto::AeadKey aead;
  aead.Set(CipherOf(cipher, key_bytes), ViewOf(key_bytes).data);
  crypto::AeadNonce one;
  std::copy(nonce_bytes.begin(), nonce_bytes.end(), one.bytes.begin());
  const std::size_t size = sealed.size();
  sealed.resize(size + crypto::kAeadTagBytes);
  const MutableBytes room = RoomOf(sealed);
  aead.Seal(one, ViewOf(clear), {room.data, size}, room.data, room.data + size);
  return sealed;
}

}  // namespace

void BindShard(py::module_& module) {
  py::class_<ShardSender>(module, "ShardSender",
                          "The sending end of one session between packet dynamics units: packets in, sealed "
                          "datagrams out. Times in nanoseconds. With has_paths each says by which of 16 "
                          "paths it goes.")
      .def(py::init<std::uint32_t, bool, bool>(), py::arg("session"), py::arg("has_uuid") = false,
           py::arg("has_paths") = false)
      .def("install_key", &ShardSender::InstallKey, py::arg("epoch"), py::arg("cipher"), py::arg("key"),
           "cipher is aes_128_gcm, aes_256_gcm or chacha20_poly1305; its key has 16, 32 or 32 bytes.")
      .def("split", &ShardSender::Split, py::arg("packet"), py::arg("most_bytes"), py::arg("now") = 0,
           py::arg("path") = 0,
           "The datagrams of a packet of 1 to 65535 bytes, in fragments of at most most_bytes.")
      .def("again", &ShardSender::Again, py::arg("index"), py::arg("now") = 0, py::arg("path") = 0,
           "A fragment of the last packet, under a number of its own.")
      .def("repair", &ShardSender::Repair, py::arg("now") = 0, py::arg("path") = 0,
           "From which any single lost fragment of the last packet is computed.")
      .def("message", &ShardSender::Message, py::arg("type"), py::arg("text"), py::arg("path") = 0,
           "type is feedback or probe.")
      .def_property_readonly("next_number", &ShardSender::NextNumber);
  py::class_<Units>(module, "Units",
                    "Two packet dynamics units and an impaired network between them: frames in at the first, "
                    "out at the second. Times in nanoseconds.")
      .def(py::init<const std::vector<py::dict>&, std::uint64_t, bool, bool>(), py::arg("paths"),
           py::arg("seed") = 1, py::arg("has_uuid") = false, py::arg("is_robust") = false,
           "paths as in LossTrace, for either direction, by which fragments go in turn; is_robust: packets "
           "are split and have repairs.")
      .def("input", &Units::Input, py::arg("frame"), py::arg("now"), "Times ascend from 0.")
      .def("finish", &Units::Finish)
      .def_property_readonly("datagrams", &Units::datagrams,
                             "(which unit sent it, when, UDP payload), also of those that were lost.")
      .def_property_readonly("frames", &Units::frames, "(which unit gave it out, when, frame).")
      .def_property_readonly("key_log", &Units::KeyLog);
  module.def(
      "shard_words", &Words,
      "What documents about packets between two units say, by what it is of: {verdict, fate (of a datagram), "
      "end (of a frame), sending, asking: words}.");
  module.def("read_shard_message", &ReadMessage, py::arg("datagram"),
             "What a message says; fault alone where it contradicts itself.");
  module.def("read_shard_feedback", &ReadFeedback, py::arg("text"),
             "What a feedback's plaintext says; None where it is none.");
  module.def("shard_key_log_line", &KeyLogLine, py::arg("session"), py::arg("epoch"), py::arg("cipher"),
             py::arg("key"), "A line of the key log that Wireshark decrypts with.");
  module.def("seal_aead", &SealAead, py::arg("cipher"), py::arg("key"), py::arg("nonce"),
             py::arg("associated"), py::arg("text"), "Ciphertext, and the tag of 16 bytes behind it.");
}

}  // namespace foreflow::python
