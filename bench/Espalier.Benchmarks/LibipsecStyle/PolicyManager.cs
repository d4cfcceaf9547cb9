using Espalier.Ipsec.Spd;

namespace Espalier.Benchmarks.LibipsecStyle;

/// <summary>A policy of libipsec.</summary>
internal sealed record LibipsecPolicy(TrafficSelector Selector, bool IsInbound, uint ReqId);

/// <summary>libipsec's ipsec_policy_mgr_t: all policies in one linked list under one lock, searched from the head for each packet.</summary>
internal sealed class PolicyManager
{
    private readonly LinkedList<LibipsecPolicy> _policies = new();

    internal void Add(LibipsecPolicy policy)
    {
        lock (_policies)
        {
            _policies.AddLast(policy);
        }
    }

    internal LibipsecPolicy? FindByPacket(IpPacket packet, bool inbound)
    {
        var flow = new FlowKey(packet.Source.Address, packet.Destination.Address, packet.Protocol, packet.Source.Port, packet.Destination.Port);
        lock (_policies)
        {
            for (var node = _policies.First; node is not null; node = node.Next)
            {
                if (node.Value.IsInbound == inbound && node.Value.Selector.Matches(flow))
                {
                    return node.Value;
                }
            }

            return null;
        }
    }
}
