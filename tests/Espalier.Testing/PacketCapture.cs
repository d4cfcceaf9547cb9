using System.Buffers.Binary;
using System.Diagnostics;
using Xunit;

namespace Espalier.Testing;

/// <summary>tcpdump on a link of a host, into a file of its own.</summary>
public sealed class PacketCapture : IDisposable
{
    /// <summary>
    /// Filter for what keeps an IPv6 link going: router and neighbour solicitations and advertisements (ICMPv6 133 to 136) straight behind the IPv6 header,
    /// and MLD (130 to 132, 143) behind the 8 bytes of the router alert (RFC 2710 §3, RFC 3810 §5).
    /// </summary>
    public const string NeighborDiscovery =
        "(ip6[6] == 58 and ip6[40] >= 133 and ip6[40] <= 136) or "
        + "(ip6[6] == 0 and ip6[40] == 58 and ((ip6[48] >= 130 and ip6[48] <= 132) or ip6[48] == 143))";

    private readonly NetworkNamespace _host;
    private readonly string _link;
    private readonly Process _tcpdump;
    private readonly string _file;

    /// <summary>Starts and waits until it captures.</summary>
    public PacketCapture(NetworkNamespace host, string link, string filter)
    {
        _host = host;
        _link = link;
        _file = Path.Combine(Path.GetTempPath(), $"{host.Name}-{Guid.NewGuid():N}.pcap");
        _tcpdump = host.Start($"tcpdump -i {link} -n -p --immediate-mode -U -Z root -w {_file} {filter}");
        while (_tcpdump.StandardError.ReadLine() is { } line && !line.Contains("listening on", StringComparison.Ordinal))
        {
        }

        Assert.False(_tcpdump.HasExited, "tcpdump has ended");
    }

    /// <summary>Ends the capture once it holds <paramref name="atLeast"/> packets (or after 3 s) and returns the file.</summary>
    public string Finish(int atLeast = 0)
    {
        Wait.For(() => Frames().Count >= atLeast, seconds: 3);
        Shell.Run($"kill -INT {_tcpdump.Id}");
        _tcpdump.WaitForExit();
        return _file;
    }

    /// <summary>
    /// On an Ethernet link, with a filter that lets other protocols in: sends a frame of its own, ends the capture once it holds that one, and returns all that came before it.
    /// </summary>
    public IReadOnlyList<byte[]> FinishBehindAll()
    {
        byte[] last = LastFrame.Send(_host, _link);
        int IndexOfLast() => Frames().ToList().FindIndex(frame => frame.AsSpan().StartsWith(last));
        Wait.Until(() => IndexOfLast() >= 0, "the last frame is captured");
        Finish();
        return [.. Frames().Take(IndexOfLast())];
    }

    /// <summary>The captured frames, link header included.</summary>
    public IReadOnlyList<byte[]> Frames()
    {
        var frames = new List<byte[]>();
        byte[] file = File.Exists(_file) ? File.ReadAllBytes(_file) : [];
        for (int offset = 24; offset + 16 <= file.Length;)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(offset + 8));
            if (offset + 16 + length > file.Length)
            {
                break;
            }

            frames.Add(file.AsSpan(offset + 16, length).ToArray());
            offset += 16 + length;
        }

        return frames;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_tcpdump.HasExited)
        {
            _tcpdump.Kill();
            _tcpdump.WaitForExit();
        }

        _tcpdump.Dispose();
        File.Delete(_file);
    }
}
