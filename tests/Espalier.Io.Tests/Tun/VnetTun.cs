using System.Text;
using Espalier.Io.Interop;
using Espalier.Io.Tests.Sockets;
using Espalier.Io.Tun;
using Espalier.Testing;
using Espalier.Wire.Offload;
using Flags = Espalier.Io.Interop.Tun;

namespace Espalier.Io.Tests.Tun;

/// <summary>A TUN with a vnet header, for tests: one packet with its header a call.</summary>
internal sealed unsafe class VnetTun : IDisposable
{
    /// <summary>Checksums, TSO and USO.</summary>
    internal const uint AllOffloads =
        Flags.TUN_F_CSUM | Flags.TUN_F_TSO4 | Flags.TUN_F_TSO6 | Flags.TUN_F_TSO_ECN | Flags.TUN_F_USO4 | Flags.TUN_F_USO6;

    private readonly SafeDescriptor _descriptor;
    private readonly byte[] _buffer = new byte[TunVnetHeader.Length + 65_600];

    /// <summary>Makes one in the calling thread's namespace.</summary>
    /// <param name="name">Name.</param>
    /// <param name="offloads">What the kernel may give us unfinished: 0, or <see cref="AllOffloads"/>.</param>
    /// <param name="flags">More flags of TUNSETIFF.</param>
    internal VnetTun(string name, uint offloads, short flags = 0)
    {
        _descriptor = new SafeDescriptor(Libc.open("/dev/net/tun", Files.O_RDWR | Files.O_NONBLOCK | Files.O_CLOEXEC));
        ifreq request = default;
        Encoding.UTF8.GetBytes(name, new Span<byte>(request.ifr_name, ifreq.IFNAMSIZ - 1));
        request.ifr_flags = (short)(Flags.IFF_TUN | Flags.IFF_NO_PI | Flags.IFF_VNET_HDR | flags);
        Check(Libc.ioctl(_descriptor, Flags.TUNSETIFF, &request));
        Check(Libc.ioctl(_descriptor, Flags.TUNSETOFFLOAD, (void*)offloads));
    }

    /// <summary>True where this kernel has USO for a TUN (6.2).</summary>
    internal static bool HasUso(NetworkNamespace host) => host.Run(() =>
    {
        try
        {
            new VnetTun("uso", AllOffloads).Dispose();
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    });

    /// <summary>Gives the kernel a packet as received.</summary>
    internal void Write(ReadOnlySpan<byte> packet, in VnetHeader header)
    {
        TunVnetHeader.Write(_buffer, header);
        packet.CopyTo(_buffer.AsSpan(TunVnetHeader.Length));
        fixed (byte* data = _buffer)
        {
            Check((int)Libc.write(_descriptor, data, (nuint)(TunVnetHeader.Length + packet.Length)));
        }
    }

    /// <summary>The next packet of TCP or UDP that the kernel sends, waiting for it; null = none came.</summary>
    internal byte[]? Read(out VnetHeader header)
    {
        while (SocketTestSupport.Wait(_descriptor.Number, Files.POLLIN))
        {
            fixed (byte* data = _buffer)
            {
                int length = (int)Libc.read(_descriptor, data, (nuint)_buffer.Length);
                Check(length);
                byte[] packet = _buffer[TunVnetHeader.Length..length];
                if (IsOurs(packet))
                {
                    TunVnetHeader.TryRead(_buffer, out header);
                    return packet;
                }
            }
        }

        header = default;
        return null;
    }

    public void Dispose() => _descriptor.Dispose();

    // Neighbour discovery and multicast reports of the interface's own come from other addresses.
    private static bool IsOurs(byte[] packet) => packet[0] >> 4 == 4 || (packet[8] == 0xFD && packet[9] == 0x78);

    private static void Check(int result)
    {
        if (result < 0)
        {
            throw new InvalidOperationException(Errno.Text(Errno.Last));
        }
    }
}
