using System.Text.Json.Nodes;
using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Client;

namespace Espalier.Lab.Hosts;

/// <summary>Keys a daemon through its control socket with our own XFRM client: the lab needs no iproute2.</summary>
internal static class LabKeys
{
    /// <summary>Installs SAs and policies.</summary>
    public static void Install(string controlPath, LabAssociation[] associations, LabPolicy[] policies)
    {
        using var client = new XfrmClient(controlPath);
        foreach (var association in associations)
        {
            using var algorithm = new AlgorithmSpec(AlgorithmKind.Aead, "rfc4106(gcm(aes))", Convert.FromHexString(association.KeyHex), 128);
            client.AddSa(new SaRequest
            {
                Source = InternetAddress.Parse(association.Source),
                Destination = InternetAddress.Parse(association.Destination),
                Spi = new Spi(association.Spi),
                ReqId = association.ReqId,
                ReplayWindow = 128,
                Algorithms = [algorithm],
                Encapsulation = association.UdpEncapsulated ? new UdpEncapsulation(4500, 4500, InternetAddress.AnyIPv4) : null,
            });
        }

        foreach (var policy in policies)
        {
            client.AddPolicy(new PolicyRequest
            {
                Selector = new TrafficSelector(AddressPrefix.Parse(policy.Source), AddressPrefix.Parse(policy.Destination), 0, 0, 0, 0, 0),
                Direction = policy.Direction switch
                {
                    "in" => PolicyDirection.In,
                    "fwd" => PolicyDirection.Forward,
                    "out" => PolicyDirection.Out,
                    _ => throw new LabException($"a policy has no direction '{policy.Direction}'"),
                },
                Template = new PolicyTemplateRequest(
                    InternetAddress.Parse(policy.TunnelSource), InternetAddress.Parse(policy.TunnelDestination), policy.ReqId),
            });
        }
    }

    /// <summary>The daemon's counters.</summary>
    public static JsonObject Stat(string controlPath)
    {
        using var client = new XfrmClient(controlPath);
        return JsonNode.Parse(client.Stat())!.AsObject();
    }
}
