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
    private readonly TunQueue[] _readers;
    private readonly TunQueue[] _writers;
    private readonly InterfaceCounters _counters;

    private TunDevice(string name, TunOffloads offloads, TunQueue[] readers, TunQueue[] writers)
    {
        Offloads = offloads;
        _readers = readers;
        _writers = writers;
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

    /// <summary>The queues to read, over which the kernel spreads flows: one, or as many as were asked for. Each for one thread.</summary>
    public IReadOnlyList<ITunnelDevice> Readers => _readers;

    /// <summary>What writes: as many as <see cref="Readers"/>, each for one thread.</summary>
    public IReadOnlyList<ITunnelDevice> Writers => _writers;

    /// <summary>Super-packets read and written so far.</summary>
    public (long Read, long Written) SuperPackets => (_readers.Sum(queue => queue.SuperPackets.Read), _writers.Sum(queue => queue.SuperPackets.Written));

    /// <inheritdoc/>
    public int PollDescriptor => _readers[0].PollDescriptor;

    /// <summary>
    /// Packets that the kernel dropped on their way to us because the device's queue was full (tx_dropped). Reads a file; for statistics, not
    /// for the packet path.
    /// </summary>
    public long KernelDrops => _counters.TransmitDrops();

    /// <summary>
    /// Creates the device, down and without an address, in the calling thread's network namespace. <c>%d</c> in the name lets the kernel number it. Of the
    /// offloads it has what the kernel grants, and of <paramref name="queues"/> all (IFF_MULTI_QUEUE) or, where the kernel refuses, one.
    /// </summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public static TunDevice Create(string name, TunOffloads offloads = TunOffloads.All, int queues = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(queues, 1);
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (Encoding.UTF8.GetByteCount(name) >= ifreq.IFNAMSIZ || name.AsSpan().ContainsAny("/: \t\n") || name is "." or "..")
        {
            throw new DeviceException($"'{name}' is no name for an interface: use 1 to 15 characters without '/', ':' and spaces (--tun)", Errno.EINVAL);
        }

        short flags = (short)((offloads != TunOffloads.None ? Interop.Tun.IFF_VNET_HDR : 0) | (queues > 1 ? Interop.Tun.IFF_MULTI_QUEUE : 0));
        var descriptor = Open(ref name, flags, out int errno);
        while (errno == Errno.EINVAL && flags != 0)
        {
            // A kernel that does not know a flag, or a name that is taken by something else: without flags the answer is clear.
            flags = (short)((flags & Interop.Tun.IFF_MULTI_QUEUE) != 0 ? flags & ~Interop.Tun.IFF_MULTI_QUEUE : 0);
            descriptor = Open(ref name, flags, out errno);
        }

        if (errno != 0)
        {
            throw DeviceRefused(name, errno);
        }

        bool hasVnetHeader = (flags & Interop.Tun.IFF_VNET_HDR) != 0;
        var granted = hasVnetHeader ? Enable(descriptor, offloads) : TunOffloads.None;
        var first = new TunQueue(descriptor, name, hasVnetHeader, granted);
        if ((flags & Interop.Tun.IFF_MULTI_QUEUE) == 0)
        {
            return new TunDevice(name, granted, [first], [first]);
        }

        // A queue that is written to draws the flows of what is written to itself, in the middle of their packets. So that each flow stays where its hash
        // puts it, what writes is detached: the kernel takes packets from it and gives it none.
        var readers = Enumerable.Range(1, queues - 1).Select(_ => new TunQueue(OpenMore(name, flags), name, hasVnetHeader, granted));
        var writers = Enumerable.Range(0, queues).Select(_ => new TunQueue(Detached(OpenMore(name, flags)), name, hasVnetHeader, granted, reads: false));
        return new TunDevice(name, granted, [first, .. readers], [.. writers]);
    }

    private static SafeDescriptor OpenMore(string name, short flags)
    {
        var descriptor = Open(ref name, flags, out int errno);
        return errno == 0 ? descriptor : throw DeviceRefused(name, errno);
    }

    private static SafeDescriptor Detached(SafeDescriptor descriptor)
    {
        ifreq request = default;
        request.ifr_flags = Interop.Tun.IFF_DETACH_QUEUE;
        return Libc.ioctl(descriptor, Interop.Tun.TUNSETQUEUE, &request) == 0
            ? descriptor : throw DeviceException.FromLast("the kernel does not detach a queue of the TUN device (--no-multiqueue does without)");
    }

    private static SafeDescriptor Open(ref string name, short flags, out int errno)
    {
        var descriptor = new SafeDescriptor(Libc.open(Node, Files.O_RDWR | Files.O_NONBLOCK | Files.O_CLOEXEC));
        if (descriptor.IsInvalid)
        {
            throw NodeRefused(Errno.Last);
        }

        ifreq request = default;
        Encoding.UTF8.GetBytes(name, new Span<byte>(request.ifr_name, ifreq.IFNAMSIZ - 1));
        request.ifr_flags = (short)(Interop.Tun.IFF_TUN | Interop.Tun.IFF_NO_PI | (ushort)flags);
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
    public int Receive(PacketBatch batch) => _readers[0].Receive(batch);

    /// <inheritdoc/>
    public int Send(ReadOnlySpan<byte> packet) => _writers[0].Send(packet);

    /// <inheritdoc/>
    public int Send(PacketBatch batch, ReadOnlySpan<int> slots) => _writers[0].Send(batch, slots);

    /// <summary>Removes the device.</summary>
    public void Dispose()
    {
        foreach (var queue in _readers.Concat(_writers))
        {
            queue.Dispose();
        }

        _counters.Dispose();
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
