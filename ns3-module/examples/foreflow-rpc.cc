// SPDX-License-Identifier: GPL-2.0-only

// Two hosts with two VMs each and a cable between their offloading cards. Each VM of the first host
// calls one of the second in closed loop; the cards predict, tag and pre-install, or only react.
//
//   vm 1 --.                              .-- vm 1
//          +-- host -- card == card -- host --+
//   vm 2 --'                              '-- vm 2
//
// Prints the latency of the calls and what the first card did:
//
//   foreflow-rpc --predict=false --requests=1000

#include "ns3/command-line.h"
#include "ns3/foreflow-ethernet-helper.h"
#include "ns3/foreflow-offload-host-helper.h"
#include "ns3/foreflow-request-client.h"
#include "ns3/foreflow-request-server.h"
#include "ns3/inet-socket-address.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/uinteger.h"

#include <algorithm>
#include <iostream>
#include <vector>

using namespace ns3;
// The cores' namespace is ::foreflow, so that the module's needs a name of its own here.
namespace ff = ns3::foreflow;

/**
 * Prices of a host core at 2.6 GHz, a pipeline at 250 MHz and a PCIe 4.0 x16 slot between them; the
 * measured ones, with their sources, are in hw-models/profiles.
 *
 * @return the prices
 */
static ff::OffloadProfiles
Profiles()
{
    ff::OffloadProfiles profiles;
    profiles.host.name = "x86-core";
    profiles.host.clock_hz = 2'600'000'000;
    profiles.host.stage_base_millicycles.fill(100'000);
    profiles.host.stage_base_millicycles[static_cast<std::size_t>(ff::path::Stage::kSlowPath)] =
        6'000'000;
    profiles.device.name = "fpga-250mhz";
    profiles.device.clock_hz = 250'000'000;
    profiles.device.stage_base_millicycles.fill(8'000);
    profiles.device.initiation_interval = 1;
    profiles.device.datapath_bytes = 64;
    profiles.bus.name = "pcie-gen4-x16";
    profiles.bus.read_latency = ff::Nanos(500);
    profiles.bus.write_latency = ff::Nanos(300);
    profiles.bus.bandwidth = ff::BitsPerSecond(200'000'000'000);
    profiles.bus.overhead_bytes = 64;
    return profiles;
}

int
main(int argc, char* argv[])
{
    bool predict = true;
    uint32_t requests = 200;
    CommandLine cmd(__FILE__);
    cmd.AddValue("predict", "Predict, or only react", predict);
    cmd.AddValue("requests", "Calls of each client, 1 or more", requests);
    cmd.Parse(argc, argv);

    ObjectFactory scheduler;
    scheduler.SetTypeId("ns3::PriorityQueueScheduler");
    Simulator::SetScheduler(scheduler);

    ff::OffloadNicConfig config;
    config.path.arm = predict ? ff::path::Arm::kPredictive : ff::path::Arm::kReactive;
    config.path.vms = 2;
    ff::rules::Rule permit;
    permit.id = 1;
    permit.action.verb = ff::rules::Verb::kForward;
    config.path.rules = {permit};
    config.profiles = Profiles();

    NodeContainer nodes;
    nodes.Create(2);
    ff::OffloadHostHelper helper;
    helper.SetConfig(config);
    NodeContainer clients;
    NodeContainer servers;
    clients.Create(2);
    servers.Create(2);
    const ff::OffloadHost left = helper.Install(nodes.Get(0), clients);
    const ff::OffloadHost right = helper.Install(nodes.Get(1), servers);
    ff::EthernetHelper().Connect(left.nic, right.nic);
    ff::OffloadHostHelper::InstallStack(clients, left.ports, "10.0.0.0", "/24", "0.0.0.1");
    const Ipv4InterfaceContainer addresses =
        ff::OffloadHostHelper::InstallStack(servers, right.ports, "10.0.0.0", "/24", "0.0.0.3");
    int64_t stream = 1;
    stream += InternetStackHelper().AssignStreams(NodeContainer(clients, servers), stream);

    std::vector<double> microseconds;
    for (uint32_t i = 0; i < 2; ++i)
    {
        const InetSocketAddress address(addresses.GetAddress(i), 6000);
        auto server = CreateObject<ff::RequestServer>();
        server->SetAttribute("Local", AddressValue(address));
        servers.Get(i)->AddApplication(server);
        auto client = CreateObject<ff::RequestClient>();
        client->SetAttribute("Remote", AddressValue(address));
        client->SetAttribute("MaxRequests", UintegerValue(requests));
        client->SetAttribute("ThinkTime",
                             StringValue("ns3::ExponentialRandomVariable[Mean=0.0001]"));
        stream += client->AssignStreams(stream);
        client->TraceConnectWithoutContext(
            "RequestDone",
            Callback<void, const ff::RequestRecord&>(
                [&microseconds](const ff::RequestRecord& record) {
                    microseconds.push_back((record.done - record.sent).ToDouble(Time::US));
                }));
        clients.Get(i)->AddApplication(client);
    }
    Simulator::Run();

    std::sort(microseconds.begin(), microseconds.end());
    if (microseconds.empty())
    {
        std::cerr << "no call was answered\n";
        return 1;
    }
    const auto& statistics = left.nic->GetStatistics();
    const auto& counters = left.nic->GetPathCounters();
    std::cout << "calls " << microseconds.size() << ", latency median "
              << microseconds[microseconds.size() / 2] << " us, p99 "
              << microseconds[microseconds.size() * 99 / 100] << " us\n"
              << "packets in " << statistics.in << ", out " << statistics.out << ", held "
              << left.nic->GetNHeld() << ", by the slow path " << counters.punts << "\n";
    Simulator::Destroy();
    return microseconds.size() == 2 * std::size_t{requests} ? 0 : 1;
}
