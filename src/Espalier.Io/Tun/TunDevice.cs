using System.Text;
using Espalier.Io.Batches;
using Espalier.Io.Interop;

namespace Espalier.Io.Tun;

/// <summary>
/// A TUN of Linux: the kernel routes packets into it, we read them; what we write, the kernel takes for received. With offloads (IFF_VNET_HDR, TSO, USO)
/// a call carries a super-packet, which is cut and joined here; without, one IP packet (IFF_NO_PI). Non-blocking. The device goes when this object is disposed of or the process ends, and with it its routes.
/// </summary>
/// <remarks>One thread may read while another writes. The kernel's queue towards us holds txqueuelen packets; what does not fit is in <see cref="KernelDrops"/>.</remarks>
public sealed unsafe class TunDevice : ITunnelDevice
{
    private const string Node = "/dev/net/tun";
    private readonly SafeDescriptor _descriptor;
    private readonly InterfaceCounters _counters;

    private readonly SuperPacketReader? _superReader;
    private readonly SuperPacketWriter? _superWriter;

    private TunDevice(SafeDescriptor descriptor, string name, bool hasVnetHeader, TunOffloads offloads)
    {
        Offloads = offloads;
        if (hasVnetHeader)
        {
            _superReader = new SuperPacketReader(descriptor);
            _superWriter = new SuperPacketWriter(descriptor, offloads);
        }

        _descriptor = descriptor;
        Name = name;
        InterfaceIndex = (int)Libc.if_nametoindex(name);
        _counters = new InterfaceCounters(name);
    }

    /// <summary>The interface's name, at most 15 bytes.</summary>
    public string Name { get; }

    /// <summary>The interface's index in the network namespace of the thread that created it.</summary>
    public int InterfaceIndex { get; }

    /// <summary>The offloads that the kernel granted.</summary>
    public TunOffloads Offloads { get; }

    /// <summary>Super-packets read and written so far.</summary>
    public (long Read, long Written) SuperPackets => (_superReader?.SuperPackets ?? 0, _superWriter?.SuperPackets ?? 0);

    /// <inheritdoc/>
    public int PollDescriptor => _descriptor.Number;

    /// <summary>
    /// Packets that the kernel dropped on their way to us because the device's queue was full (tx_dropped). Reads a file; for statistics, not
    /// for the packet path.
    /// </summary>
    public long KernelDrops => _counters.TransmitDrops();

    /// <summary>
    /// Creates the device, down and without an address, in the calling thread's network namespace. <c>%d</c> in the name lets the kernel number it. Of the
    /// offloads it has what the kernel grants.
    /// </summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public static TunDevice Create(string name, TunOffloads offloads = TunOffloads.All)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (Encoding.UTF8.GetByteCount(name) >= ifreq.IFNAMSIZ || name.AsSpan().ContainsAny("/: \t\n") || name is "." or "..")
        {
            throw new DeviceException($"'{name}' is no name for an interface: use 1 to 15 characters without '/', ':' and spaces (--tun)", Errno.EINVAL);
        }

        bool hasVnetHeader = offloads != TunOffloads.None;
        var descriptor = Open(ref name, hasVnetHeader, out int errno);
        if (errno == Errno.EINVAL && hasVnetHeader)
        {
            // A kernel that does not know the header, or a name that is taken by something else: without it the answer is clear.
            hasVnetHeader = false;
            descriptor = Open(ref name, hasVnetHeader, out errno);
        }

        if (errno != 0)
        {
            throw DeviceRefused(name, errno);
        }

        return new TunDevice(descriptor, name, hasVnetHeader, hasVnetHeader ? Enable(descriptor, offloads) : TunOffloads.None);
    }

    private static SafeDescriptor Open(ref string name, bool hasVnetHeader, out int errno)
    {
        var descriptor = new SafeDescriptor(Libc.open(Node, Files.O_RDWR | Files.O_NONBLOCK | Files.O_CLOEXEC));
        if (descriptor.IsInvalid)
        {
            throw NodeRefused(Errno.Last);
        }

        ifreq request = default;
        Encoding.UTF8.GetBytes(name, new Span<byte>(request.ifr_name, ifreq.IFNAMSIZ - 1));
        request.ifr_flags = (short)(Interop.Tun.IFF_TUN | Interop.Tun.IFF_NO_PI | (hasVnetHeader ? Interop.Tun.IFF_VNET_HDR : 0));
        errno = Libc.ioctl(descriptor, Interop.Tun.TUNSETIFF, &request) == 0 ? 0 : Errno.Last;
        if (errno != 0)
        {
            descriptor.Dispose();
        }
        else
        {
            name = Encoding.UTF8.GetString(new ReadOnlySpan<byte>(request.ifr_name, ifreq.IFNAMSIZ)).TrimEnd('\0');
        }

        return descriptor;
    }

    /// <summary>Asks for the offloads, from the most to the least; with none the kernel gives packets as they go on the wire, behind an empty header.</summary>
    private static TunOffloads Enable(SafeDescriptor descriptor, TunOffloads wanted)
    {
        const uint Tcp = Interop.Tun.TUN_F_CSUM | Interop.Tun.TUN_F_TSO4 | Interop.Tun.TUN_F_TSO6 | Interop.Tun.TUN_F_TSO_ECN;
        const uint Udp = Interop.Tun.TUN_F_USO4 | Interop.Tun.TUN_F_USO6;
        if (wanted == TunOffloads.All && Libc.ioctl(descriptor, Interop.Tun.TUNSETOFFLOAD, (void*)(nuint)(Tcp | Udp)) == 0)
        {
            return TunOffloads.All;
        }

        return (wanted & TunOffloads.Tcp) != 0 && Libc.ioctl(descriptor, Interop.Tun.TUNSETOFFLOAD, (void*)(nuint)Tcp) == 0 ? TunOffloads.Tcp : TunOffloads.None;
    }

    /// <inheritdoc/>
    /// <remarks>A packet that fills its slot to the last byte may have been cut off by the kernel, which does not tell: it is marked Truncated.</remarks>
    /// <exception cref="DeviceException">The device was deleted.</exception>
    public int Receive(PacketBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (_superReader is { } reader)
        {
            ThrowIfLost(reader.Receive(batch));
            return batch.Count;
        }

        batch.Clear();
        int room = batch.SlotSize - batch.Headroom;
        int count = 0;
        fixed (byte* buffer = batch.Buffer)
        {
            while (count < batch.Capacity)
            {
                int offset = batch.SlotStart(count) + batch.Headroom;
                nint length = Libc.read(_descriptor, buffer + offset, (nuint)room);
                if (length > 0)
                {
                    batch[count++] = new PacketSlot { Offset = offset, Length = (int)length, Truncated = length == room };
                }
                else if (length == 0 || Errno.Last != Errno.EINTR)
                {
                    ThrowIfLost(length == 0 ? Errno.EAGAIN : Errno.Last);
                    break;
                }
            }
        }

        batch.Count = count;
        return count;
    }

    /// <inheritdoc/>
    public int Send(ReadOnlySpan<byte> packet)
    {
        fixed (byte* data = packet)
        {
            virtio_net_hdr plain = default;
            iovec* vectors = stackalloc iovec[2];
            vectors[0] = new iovec { iov_base = &plain, iov_len = (nuint)sizeof(virtio_net_hdr) };
            vectors[1] = new iovec { iov_base = data, iov_len = (nuint)packet.Length };
            int first = _superWriter is null ? 1 : 0;
            while (true)
            {
                if (Libc.writev(_descriptor, vectors + first, 2 - first) >= 0)
                {
                    return 0;
                }

                int errno = Errno.Last;
                if (errno != Errno.EINTR)
                {
                    return errno;
                }
            }
        }
    }

    /// <inheritdoc/>
    public int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (_superWriter is { } writer)
        {
            return writer.Send(batch, slots);
        }

        int sent = 0;
        foreach (int index in slots)
        {
            batch[index].Error = Send(batch.Packet(index));
            sent += batch[index].Error == 0 ? 1 : 0;
        }

        return sent;
    }

    /// <summary>Removes the device.</summary>
    public void Dispose()
    {
        _descriptor.Dispose();
        _counters.Dispose();
    }

    private void ThrowIfLost(int errno)
    {
        if (errno is Errno.EBADFD or Errno.EBADF)
        {
            throw new DeviceException($"the TUN device {Name} was deleted by somebody else: start 'espalier run' again", errno);
        }
    }

    private static DeviceException NodeRefused(int errno) => errno switch
    {
        Errno.ENOENT => new DeviceException($"{Node} does not exist: run 'modprobe tun'; in a container, pass it in (--device {Node})", errno),
        Errno.ENODEV or Errno.ENXIO => new DeviceException($"the kernel behind {Node} has no TUN driver: run 'modprobe tun', or enable CONFIG_TUN", errno),
        Errno.EACCES or Errno.EPERM => new DeviceException($"no permission to open {Node}: run as root; in a container, allow the device (--device {Node})", errno),
        _ => DeviceException.From($"cannot open {Node}", errno),
    };

    private static DeviceException DeviceRefused(string name, int errno) => errno switch
    {
        Errno.EPERM or Errno.EACCES => new DeviceException($"no permission to create the TUN device {name}: run as root or give CAP_NET_ADMIN", errno),
        Errno.EBUSY => new DeviceException($"the TUN device {name} is in use by another process: stop it, or choose another name with --tun", errno),
        Errno.EINVAL or Errno.EEXIST => new DeviceException($"an interface {name} that is no TUN exists already: choose another name with --tun", errno),
        _ => DeviceException.From($"cannot create the TUN device {name}", errno),
    };
}
