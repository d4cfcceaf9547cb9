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
    private const string PacketByPacket = "it is read and written packet by packet";
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

    /// <summary>The offloads that the kernel refused of those that were asked for, which the start should say.</summary>
    public IReadOnlyList<TunRefusal> Refusals { get; private init; } = [];

    /// <summary>The errno by which the kernel refused more than one queue; 0 = it did not.</summary>
    public int MultiQueueError { get; private init; }

    /// <summary>The errno by which the kernel refused, at run time, a super-packet that was written; 0 = it has not.</summary>
    public int WriteRefusal => _writers.Max(queue => queue.WriteRefusal);

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

        int wanted = (offloads != TunOffloads.None ? Interop.Tun.IFF_VNET_HDR : 0) | (queues > 1 ? Interop.Tun.IFF_MULTI_QUEUE : 0);
        int error = 0;

        // From all to none. EINVAL: a kernel that does not know a flag, or a name that is taken by something else: without flags the answer is clear.
        foreach (int flags in ((int[])[wanted, wanted & Interop.Tun.IFF_VNET_HDR, wanted & Interop.Tun.IFF_MULTI_QUEUE, 0]).Distinct())
        {
            string granted = name;
            var descriptors = OpenQueues(ref granted, flags, queues, out int errno);
            if (errno == 0)
            {
                return Compose(granted, descriptors, offloads, flags, wanted & ~flags, error);
            }

            // The first refusal is the one that is about what was asked for.
            error = error == 0 ? errno : error;
            if (flags == 0 || (errno != Errno.EINVAL && descriptors.Length == 0))
            {
                throw DeviceRefused(name, errno);
            }
        }

        throw DeviceRefused(name, error);
    }

    private static TunDevice Compose(string name, SafeDescriptor[] descriptors, TunOffloads offloads, int flags, int refused, int error)
    {
        var refusals = new List<TunRefusal>();
        if ((refused & Interop.Tun.IFF_VNET_HDR) != 0)
        {
            refusals.Add(new TunRefusal("IFF_VNET_HDR", error, PacketByPacket));
        }

        bool hasVnetHeader = (flags & Interop.Tun.IFF_VNET_HDR) != 0;
        var granted = hasVnetHeader ? Enable(descriptors[0], offloads, refusals) : TunOffloads.None;

        // A queue that is written to draws the flows of what is written to itself, in the middle of their packets. So that each flow stays where its hash
        // puts it, what writes is detached: the kernel takes packets from it and gives it none.
        int readers = (descriptors.Length + 1) / 2;
        TunQueue[] queues = [.. descriptors.Select((descriptor, i) => new TunQueue(descriptor, name, hasVnetHeader, granted, reads: i < readers))];
        return new TunDevice(name, granted, queues[..readers], readers == 1 ? queues : queues[readers..])
        {
            Refusals = refusals,
            MultiQueueError = (refused & Interop.Tun.IFF_MULTI_QUEUE) != 0 ? error : 0,
        };
    }

    /// <summary>
    /// Opens the only queue, or those that read and then as many that write. Where one is refused all are closed again; the array then tells how many there were.
    /// </summary>
    private static SafeDescriptor[] OpenQueues(ref string name, int flags, int queues, out int errno)
    {
        int count = (flags & Interop.Tun.IFF_MULTI_QUEUE) != 0 ? 2 * queues : 1;
        var opened = new List<SafeDescriptor>(count);
        do
        {
            var descriptor = Open(ref name, (short)flags, out errno);
            if (errno == 0)
            {
                opened.Add(descriptor);
                errno = opened.Count > queues && count > 1 ? Detach(descriptor) : 0;
            }
        }
        while (errno == 0 && opened.Count < count);
        if (errno != 0)
        {
            opened.ForEach(descriptor => descriptor.Dispose());
        }

        return [.. opened];
    }

    private static int Detach(SafeDescriptor descriptor)
    {
        ifreq request = default;
        request.ifr_flags = Interop.Tun.IFF_DETACH_QUEUE;
        return Libc.ioctl(descriptor, Interop.Tun.TUNSETQUEUE, &request) == 0 ? 0 : Errno.Last;
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
    private static TunOffloads Enable(SafeDescriptor descriptor, TunOffloads wanted, List<TunRefusal> refusals)
    {
        const uint Tcp = Interop.Tun.TUN_F_CSUM | Interop.Tun.TUN_F_TSO4 | Interop.Tun.TUN_F_TSO6 | Interop.Tun.TUN_F_TSO_ECN;
        const uint Udp = Interop.Tun.TUN_F_USO4 | Interop.Tun.TUN_F_USO6;
        int withUdp = wanted == TunOffloads.All ? SetOffloads(descriptor, Tcp | Udp) : 0;
        if (wanted == TunOffloads.All && withUdp == 0)
        {
            return TunOffloads.All;
        }

        int errno = SetOffloads(descriptor, Tcp);
        if (errno != 0)
        {
            refusals.Add(new TunRefusal("TUNSETOFFLOAD", errno, PacketByPacket));
            return TunOffloads.None;
        }

        if (withUdp != 0)
        {
            refusals.Add(new TunRefusal("TUNSETOFFLOAD with USO", withUdp, "TCP crosses it in super-packets, UDP packet by packet"));
        }

        return TunOffloads.Tcp;
    }

    private static int SetOffloads(SafeDescriptor descriptor, uint offloads) =>
        Libc.ioctl(descriptor, Interop.Tun.TUNSETOFFLOAD, (void*)(nuint)offloads) == 0 ? 0 : Errno.Last;

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
