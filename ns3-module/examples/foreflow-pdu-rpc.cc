// SPDX-License-Identifier: GPL-2.0-only

// A VM calls another over a cable that loses frames in bursts. Between them are packet dynamics
// units, which ask again for what is lost, or nothing but TCP.
//
//   vm -- host (unit) == cable == (unit) host -- vm
//
// Prints the latency of the calls, and what was put on the cable:
//
//   foreflow-pdu-rpc --units=false --requests=1000

#include "ns3/command-line.h"
#include "ns3/foreflow-ethernet-helper.h"
#include "ns3/foreflow-impaired-channel.h"
#include "ns3/foreflow-packet-dynamics-helper.h"
#include "ns3/foreflow-request-client.h"
#include "ns3/foreflow-request-server.h"
#include "ns3/inet-socket-address.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/ipv4-address-helper.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/uinteger.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <vector>

using namespace ns3;
// The cores' namespace is ::foreflow, so that the module's needs a name of its own here.
namespace ff = ns3::foreflow;

/**
 * Prices of a pipeline at 250 MHz and a PCIe 4.0 x16 slot; those with sources are in
 * hw-models/profiles.
 *
 * @return what the units are made from
 */
static ff::PduConfig
Config()
{
    ff::PduConfig config;
    ff::hw::DeviceProfile& device = config.profiles.device;
    device.name = "fpga-250mhz";
    device.clock_hz = 250'000'000;
    device.initiation_interval = 1;
    device.datapath_bytes = 64;
    device.unit.is_known = true;
    device.unit.base_millicycles = {8'000, 44'000, 8'000, 8'000};
    config.profiles.bus.name = "pcie-gen4-x16";
    config.profiles.bus.read_latency = ff::Nanos(500);
    config.profiles.bus.write_latency = ff::Nanos(300);
    config.profiles.bus.bandwidth = ff::BitsPerSecond(200'000'000'000);
    config.profiles.bus.overhead_bytes = 64;
    return config;
}

int
main(int argc, char* argv[])
{
    bool units = true;
    uint32_t requests = 200;
    CommandLine cmd(__FILE__);
    cmd.AddValue("units", "Packet dynamics units between the VMs, or none", units);
    cmd.AddValue("requests", "Calls, 1 or more", requests);
    cmd.Parse(argc, argv);

    ObjectFactory scheduler;
    scheduler.SetTypeId("ns3::PriorityQueueScheduler");
    Simulator::SetScheduler(scheduler);

    NodeContainer hosts;
    NodeContainer vms;
    hosts.Create(2);
    vms.Create(2);
    // 1 ms one way; every 100 ms on average, nothing passes for 1 ms.
    ff::impair::ImpairmentConfig way;
    way.paths[0].delay = ff::Nanos(1'000'000);
    way.paths[0].burst.good = ff::Nanos(100'000'000);
    way.paths[0].burst.bad = ff::Nanos(1'000'000);
    auto cable = CreateObject<ff::ImpairedChannel>();
    cable->Configure(way, way, 1);
    NetDeviceContainer devices;
    std::array<ff::PduHost, 2> ends;
    ff::PacketDynamicsHelper helper;
    helper.SetConfig(Config());
    for (uint32_t i = 0; i < 2; ++i)
    {
        const Ptr<ff::EthernetDevice> port =
            ff::EthernetHelper().InstallPort(units ? hosts.Get(i) : vms.Get(i));
        port->Attach(cable);
        Ptr<NetDevice> device = port;
        if (units)
        {
            ends[i] = helper.Install(hosts.Get(i),
                                     NodeContainer(vms.Get(i)),
                                     NetDeviceContainer(port),
                                     i == 0 ? "192.0.2.1" : "192.0.2.2");
            device = ends[i].guests.Get(0);
        }
        devices.Add(device);
    }
    if (units)
    {
        ff::PacketDynamicsHelper::Connect(ends[0], ends[1], 1);
    }
    InternetStackHelper stack;
    stack.Install(vms);
    const Ipv4InterfaceContainer addresses =
        Ipv4AddressHelper("10.0.0.0", "255.255.255.0").Assign(devices);
    int64_t stream = 1;
    stream += InternetStackHelper().AssignStreams(vms, stream);

    std::vector<double> milliseconds;
    const InetSocketAddress address(addresses.GetAddress(1), 6000);
    auto server = CreateObject<ff::RequestServer>();
    server->SetAttribute("Local", AddressValue(address));
    vms.Get(1)->AddApplication(server);
    auto client = CreateObject<ff::RequestClient>();
    client->SetAttribute("Remote", AddressValue(address));
    client->SetAttribute("MaxRequests", UintegerValue(requests));
    client->SetAttribute("ThinkTime", StringValue("ns3::ExponentialRandomVariable[Mean=0.001]"));
    client->AssignStreams(stream);
    client->TraceConnectWithoutContext(
        "RequestDone",
        Callback<void, const ff::RequestRecord&>([&](const ff::RequestRecord& record) {
            milliseconds.push_back((record.done - record.sent).ToDouble(Time::MS));
            if (milliseconds.size() == requests)
            {
                // Units look after each other for ever.
                Simulator::Stop();
            }
        }));
    vms.Get(0)->AddApplication(client);
    Simulator::Stop(Hours(1));
    Simulator::Run();

    std::sort(milliseconds.begin(), milliseconds.end());
    if (milliseconds.empty())
    {
        std::cerr << "no call was answered\n";
        return 1;
    }
    std::cout << "calls " << milliseconds.size() << " of " << requests << ", latency median "
              << milliseconds[milliseconds.size() / 2] << " ms, p99 "
              << milliseconds[milliseconds.size() * 99 / 100] << " ms\n";
    uint64_t lost = 0;
    uint64_t sent = 0;
    for (std::size_t direction = 0; direction < 2; ++direction)
    {
        const auto& counts = cable->GetCounts(direction);
        sent += counts.in;
        lost += counts.in - counts.out;
    }
    std::cout << "frames on the cable " << sent << ", lost " << lost << "\n";
    Simulator::Destroy();
    // Without units a connection may have given up.
    return units && milliseconds.size() < requests ? 1 : 0;
}
