// SPDX-License-Identifier: BSD-3-Clause
#include <hdf5.h>
#include <hdf5_hl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/bench/measure.h"
#include "bindings/hdf5/trace_file.h"
#include "models/base/rng.h"
#include "models/predict/type_predictor.h"
#include "models/tag/prediction_tag.h"
#include "models/tag/profile.h"
#include "models/wire/packet_builder.h"

namespace foreflow::bench {
namespace {

constexpr double kNanosASecond = 1e9;

// Nanoseconds an operation, of `count` operations done by `work`.
template <typename F>
double NanosEach(std::size_t count, const F& work) {
  const double begin = Now();
  work();
  return (Now() - begin) * kNanosASecond / static_cast<double>(count);
}

// What a data-centre host sends, one of each kind: 2 of 3 packets are TCP.
std::vector<std::vector<std::uint8_t>> Packets() {
  using wire::PacketBuilder;
  return {PacketBuilder().Ethernet().Ipv4().Tcp(40000, 443).Payload(1400).Build(),
          PacketBuilder().Ethernet().Ipv4().Tcp(443, 40000).PadTo(60).Build(),
          PacketBuilder().Ethernet().Ipv4().Udp(40001, 53).Payload(40).Build(),
          PacketBuilder().Ethernet().Ipv6().Tcp(40000, 443).Payload(1300).Build(),
          PacketBuilder().Ethernet().Vlan(7).Ipv4().Tcp(40000, 5432).Payload(200).Build(),
          PacketBuilder().Ethernet().Ipv6().Udp(40001, 4789).Payload(900).Build()};
}

Contender Parse() {
  return [packets = Packets()] {
    constexpr std::size_t kRounds = 100'000;
    Work work;
    std::uint64_t sum = 0;
    const double each = NanosEach(kRounds * packets.size(), [&] {
      for (std::size_t i = 0; i < kRounds; ++i) {
        for (const auto& bytes : packets) {
          const auto size = static_cast<std::uint32_t>(bytes.size());
          sum +=
              wire::Dissect(wire::Link::kEthernet, {bytes.data(), bytes.size()}, size, work).payload_offset;
        }
      }
    });
    Keep(sum + work[WorkItem::kHeader]);
    return each;
  };
}

constexpr std::size_t kTags = 50'000;
constexpr std::size_t kVms = 64;
constexpr std::uint32_t kTaggedBytes = 1000;

flow::FlowKey KeyOfPacket(std::size_t i) {
  flow::FlowKey key;
  key.vm = static_cast<flow::VmId>(1 + i % kVms);
  key.source_port = static_cast<std::uint16_t>(i * 7919);
  key.destination_port = 443;
  key.ip_protocol = 6;
  return key;
}

std::vector<tag::SealedTag> SealAll(tag::TagSealer& sealer, Work& work) {
  std::vector<tag::SealedTag> tags(kTags);
  for (std::size_t i = 0; i < kTags; ++i) {
    const flow::FlowKey key = KeyOfPacket(i);
    tags[i] = sealer.Seal(key.vm, predict::PacketType::kRequest, 60000, key, kTaggedBytes, work);
  }
  return tags;
}

Contender TagSeal() {
  return [sealer = tag::TagSealer(crypto::Key128{1}, kVms)]() mutable {
    Work work;
    std::uint64_t sum = 0;
    const double each = NanosEach(kTags, [&] {
      for (const tag::SealedTag& sealed : SealAll(sealer, work)) sum += sealed[tag::kTagBytes - 1];
    });
    Keep(sum);
    return each;
  };
}

Contender TagCheck() {
  return [sealer = tag::TagSealer(crypto::Key128{1}, kVms),
          checker = tag::TagChecker(crypto::Key128{1}, kVms)]() mutable {
    Work work;
    const std::vector<tag::SealedTag> tags = SealAll(sealer, work);
    std::size_t valid = 0;
    const double each = NanosEach(kTags, [&] {
      for (std::size_t i = 0; i < kTags; ++i) {
        tag::PredictionTag tag;
        if (checker.Check(&tags[i], KeyOfPacket(i), kTaggedBytes, tag, work) == tag::TagStatus::kValid)
          ++valid;
      }
    });
    if (valid != kTags) throw std::logic_error("tag_check: a tag of our own was refused");
    return each;
  };
}

// One step: predict a packet's type, then learn the true one.
Contender MarkovStep() {
  constexpr std::size_t kSteps = 200'000;
  std::vector<predict::Symbol> symbols(kSteps);
  Rng rng(1, "bench.markov");
  for (std::size_t i = 0; i < kSteps; ++i) {
    // Half structure, half noise: what a cache of the tables sees of real traffic.
    symbols[i] = static_cast<predict::Symbol>(i % 2 == 0 ? i / 2 % 8 : rng.Below(predict::kSymbols));
  }
  return [symbols] {
    const auto predictor = predict::MakeTypePredictor(predict::PredictorKind::kMarkov3);
    Work work;
    predict::Context context;
    std::uint64_t sum = 0;
    const double each = NanosEach(kSteps, [&] {
      for (const predict::Symbol symbol : symbols) {
        context.symbol = {symbol, context.symbol[0], context.symbol[1]};
        if (context.length < 3) ++context.length;
        sum += predictor->Predict(context, work).confidence;
        const auto truth = static_cast<predict::PacketType>(symbol % predict::kPacketTypes);
        predictor->Learn(context, truth, work);
        context.last_label = truth;
      }
    });
    Keep(sum);
    return each;
  };
}

constexpr std::size_t kTraceRows = 400'000;

trace::PacketRow RowOf(std::uint64_t i) {
  trace::PacketRow row;
  row.packet = i;
  row.vm = static_cast<std::uint16_t>(i * 2654435761U >> 16 & 63);
  row.arrival_ns = static_cast<std::int64_t>(i * 997 + i * 7919 % 500);
  row.departure_ns = row.arrival_ns + static_cast<std::int64_t>(2000 + i * 104729 % 5000);
  row.wire_bytes = static_cast<std::uint32_t>(64 + i * 7 % 1400);
  row.host_cycles = static_cast<std::uint32_t>(i * 31 % 9000);
  row.device_cycles = static_cast<std::uint32_t>(40 + i % 20);
  row.prediction_cycles = static_cast<std::uint32_t>(100 + i * 13 % 60);
  return row;
}

Contender TraceRows(const std::string& path) {
  return [path] {
    const double begin = Now();
    hdf5::TraceFile file(path);
    for (std::uint64_t i = 0; i < kTraceRows; ++i) file.Append(RowOf(i));
    file.Close();
    return static_cast<double>(kTraceRows) / (Now() - begin);
  };
}

// The peer: HDF5's own packet tables, same columns, chunks and compression, one append a row.
Contender PacketTableRows(const std::string& path) {
  return [path] {
    const double begin = Now();
    const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(trace::PacketRow));
    for (const trace::Column& column : trace::kTable<trace::PacketRow>) {
      const std::size_t size = trace::ElementBytes(column.type);
      const hid_t number = column.type == trace::ColumnType::kI64 ? H5T_NATIVE_INT64
                           : size == 8                            ? H5T_NATIVE_UINT64
                           : size == 4                            ? H5T_NATIVE_UINT32
                                                                  : H5T_NATIVE_UINT16;
      H5Tinsert(type, column.name, column.offset, number);
    }
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_shuffle(properties);
    H5Pset_deflate(properties, 1);
    const hid_t table = H5PTcreate(file, "packets", type, hdf5::TraceFile::kChunkRows, properties);
    bool written = table >= 0;
    for (std::uint64_t i = 0; i < kTraceRows && written; ++i) {
      const trace::PacketRow row = RowOf(i);
      written = H5PTappend(table, 1, &row) >= 0;
    }
    H5PTclose(table);
    H5Pclose(properties);
    H5Tclose(type);
    written = H5Fclose(file) >= 0 && written;
    if (!written) throw std::runtime_error(path + ": the packet table cannot be written");
    return static_cast<double>(kTraceRows) / (Now() - begin);
  };
}

std::vector<Row> MeasureAll() {
  std::string folder = (std::filesystem::temp_directory_path() / "foreflow-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error(folder + ": cannot be made");
  const std::vector<double> medians =
      Medians({Parse(), TagSeal(), TagCheck(), MarkovStep(), TraceRows(folder + "/trace.h5"),
               PacketTableRows(folder + "/table.h5")});
  std::filesystem::remove_all(folder);

  tag::VmProfile::Config profile;
  profile.peers = 1000;
  const auto profile_bytes = static_cast<double>(tag::VmProfile(profile).bytes());
  return {{"parse", "ns/packet", medians[0], "", 0, Better::kLess},
          {"tag_seal", "ns/tag", medians[1], "", 0, Better::kLess},
          {"tag_check", "ns/tag", medians[2], "", 0, Better::kLess},
          {"markov_step", "ns/step", medians[3], "", 0, Better::kLess},
          {"hdf5_rows_per_s", "rows/s", medians[4], "HDF5 packet table, a row an append", medians[5],
           Better::kMore},
          {"vm_profile_bytes", "B at 1000 peers", profile_bytes, "", 0, Better::kLess}};
}

}  // namespace
}  // namespace foreflow::bench

int main() { return foreflow::bench::Report(foreflow::bench::MeasureAll); }
