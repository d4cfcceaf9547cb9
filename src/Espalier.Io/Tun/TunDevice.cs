using System.Text;
using Espalier.Io.Batches;
using Espalier.Io.Interop;

namespace Espalier.Io.Tun;

/// <summary>
/// A TUN of Linux: the kernel routes packets into it, we read them; what we write, the kernel takes for received. One IP packet a call, without
/// a header of its own (IFF_NO_PI). Non-blocking. The device goes when this object is disposed of or the process ends, and with it its routes.
/// </summary>
/// <remarks>One thread may read while another writes. The kernel's queue towards us holds txqueuelen packets; what does not fit is in <see cref="KernelDrops"/>.</remarks>
public sealed unsafe class TunDevice : ITunnelDevice
{
    private const string Node = "/dev/net/tun";
    private readonly SafeDescriptor _descriptor;
    private readonly InterfaceCounters _counters;

    private TunDevice(SafeDescriptor descriptor, string name)
    {
        _descriptor = descriptor;
        Name = name;
        InterfaceIndex = (int)Libc.if_nametoindex(name);
        _counters = new InterfaceCounters(name);
    }

    /// <summary>The interface's name, at most 15 bytes.</summary>
    public string Name { get; }

    /// <summary>The interface's index in the network namespace of the thread that created it.</summary>
    public int InterfaceIndex { get; }

    /// <inheritdoc/>
    public int PollDescriptor => _descriptor.Number;

    /// <summary>
    /// Packets that the kernel dropped on their way to us because the device's queue was full (tx_dropped). Reads a file; for statistics, not
    /// for the packet path.
    /// </summary>
    public long KernelDrops => _counters.TransmitDrops();

    /// <summary>Creates the device, down and without an address, in the calling thread's network namespace. <c>%d</c> in the name lets the kernel number it.</summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public static TunDevice Create(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (Encoding.UTF8.GetByteCount(name) >= ifreq.IFNAMSIZ || name.AsSpan().ContainsAny("/: \t\n") || name is "." or "..")
        {
            throw new DeviceException($"'{name}' is no name for an interface: use 1 to 15 characters without '/', ':' and spaces (--tun)", Errno.EINVAL);
        }

        var descriptor = new SafeDescriptor(Libc.open(Node, Files.O_RDWR | Files.O_NONBLOCK | Files.O_CLOEXEC));
        if (descriptor.IsInvalid)
        {
            throw NodeRefused(Errno.Last);
        }

        ifreq request = default;
        Encoding.UTF8.GetBytes(name, new Span<byte>(request.ifr_name, ifreq.IFNAMSIZ - 1));
        request.ifr_flags = Interop.Tun.IFF_TUN | Interop.Tun.IFF_NO_PI;
        if (Libc.ioctl(descriptor, Interop.Tun.TUNSETIFF, &request) != 0)
        {
            int errno = Errno.Last;
            descriptor.Dispose();
            throw DeviceRefused(name, errno);
        }

        return new TunDevice(descriptor, Encoding.UTF8.GetString(new ReadOnlySpan<byte>(request.ifr_name, ifreq.IFNAMSIZ)).TrimEnd('\0'));
    }

    /// <inheritdoc/>
    /// <remarks>A packet that fills its slot to the last byte may have been cut off by the kernel, which does not tell: it is marked Truncated.</remarks>
    /// <exception cref="DeviceException">The device was deleted.</exception>
    public int Receive(PacketBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
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
            while (true)
            {
                if (Libc.write(_descriptor, data, (nuint)packet.Length) >= 0)
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
