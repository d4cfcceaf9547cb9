using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Espalier.Lab.Net;

namespace Espalier.Lab.Subjects;

/// <summary>
/// SAs and policies of a tunnel between the two hosts as lines of `ip -batch`. The one that carries the traffic stands in the middle of
/// <paramref name="count"/>; the others are for networks that nobody uses, 172.16.0.0/12, one host each.
/// </summary>
internal sealed class XfrmKeys(int count)
{
    private const uint FirstSpi = 0x1000;
    private readonly string _there = Key(), _back = Key();

    /// <summary>Lines for one host.</summary>
    public string Lines(NetHost host, NetHost other, bool encapsulated)
    {
        var lines = new StringBuilder();
        for (int i = 0; i < count; i++)
        {
            bool used = i == count / 2;
            Pair(lines, host, other, (uint)i, used ? host.InnerPrefix : Unused(host, i), used ? other.InnerPrefix : Unused(other, i), encapsulated);
        }

        Policies(lines, host, other, (uint)(count / 2), host.InnerPrefix6, other.InnerPrefix6);
        return lines.ToString();
    }

    private void Pair(StringBuilder lines, NetHost host, NetHost other, uint index, string here, string there, bool encapsulated)
    {
        bool moon = host.Name == "moon";
        var (first, second) = moon ? (host, other) : (other, host);
        Association(lines, first.Outer, second.Outer, FirstSpi + (2 * index), index, _there, encapsulated);
        Association(lines, second.Outer, first.Outer, FirstSpi + (2 * index) + 1, index, _back, encapsulated);
        Policies(lines, host, other, index, here, there);
    }

    private static void Association(StringBuilder lines, string from, string to, uint spi, uint index, string key, bool encapsulated) =>
        lines.Append(CultureInfo.InvariantCulture, $"xfrm state add src {from} dst {to} proto esp spi 0x{spi:x} reqid {index + 1} mode tunnel replay-window 128 ")
            .Append(CultureInfo.InvariantCulture, $"aead rfc4106(gcm(aes)) 0x{key} 128")
            .AppendLine(encapsulated ? " encap espinudp 4500 4500 0.0.0.0" : "");

    private static void Policies(StringBuilder lines, NetHost host, NetHost other, uint index, string here, string there)
    {
        foreach (var (direction, from, to, outerFrom, outerTo) in ((string, string, string, string, string)[])
            [("out", here, there, host.Outer, other.Outer), ("in", there, here, other.Outer, host.Outer), ("fwd", there, here, other.Outer, host.Outer)])
        {
            lines.AppendLine(CultureInfo.InvariantCulture,
                $"xfrm policy add src {from} dst {to} dir {direction} tmpl src {outerFrom} dst {outerTo} proto esp reqid {index + 1} mode tunnel");
        }
    }

    private static string Unused(NetHost host, int index) =>
        string.Create(CultureInfo.InvariantCulture, $"172.{(host.Name == "moon" ? 16 : 24) + (index >> 16)}.{(index >> 8) & 255}.{index & 255}/32");

    private static string Key() => Convert.ToHexString(RandomNumberGenerator.GetBytes(20)); // AES-128 and the salt
}
