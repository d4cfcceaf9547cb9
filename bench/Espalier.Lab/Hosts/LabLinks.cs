using Espalier.Io.Interop;
using Espalier.Io.Netlink;
using Espalier.Wire.Addresses;

namespace Espalier.Lab.Hosts;

/// <summary>Links and addresses of a lab host, through rtnetlink: the lab needs no iproute2.</summary>
internal static class LabLinks
{
    /// <summary>Joins this namespace to the one of process <paramref name="peerProcess"/>.</summary>
    public static void CreatePair(string link, string peerLink, int peerProcess)
    {
        using var file = File.OpenHandle($"/proc/{peerProcess}/ns/net");
        using var space = new SafeDescriptor((int)file.DangerousGetHandle(), ownsHandle: false);
        using var netlink = new RouteNetlink();
        netlink.AddVethPair(link, peerLink, space);
    }

    /// <summary>Brings lo and a link up and gives them their addresses.</summary>
    public static void Configure(string link, string outerPrefix, string innerPrefix)
    {
        using var netlink = new RouteNetlink();
        foreach (var (name, prefix) in ((string, string)[])[("lo", innerPrefix), (link, outerPrefix)])
        {
            uint index = netlink.GetLink(name).Index;
            netlink.SetLink(index, new LinkChange { Up = true });
            netlink.AddAddress(index, AddressPrefix.Parse(prefix));
        }
    }
}
