using System.Buffers;
using System.Buffers.Text;
using System.Text;
using Espalier.Io.Interop;

namespace Espalier.Io.Tun;

/// <summary>
/// Reads one interface's counters from the kernel's table of devices. The table is opened once, by the thread that makes the device:
/// an open /proc/…/net/dev stays with the network namespace in which it was opened, whichever thread reads it, whereas /sys/class/net shows
/// the namespace in which /sys was mounted.
/// </summary>
/// <code>
/// esp0: bytes packets errs drop fifo frame compressed multicast | bytes packets errs drop …
///       received by the kernel (we wrote)                         sent by the kernel (we read)
/// </code>
internal sealed unsafe class InterfaceCounters : IDisposable
{
    private const int TransmitDropColumn = 11;
    private readonly SafeDescriptor _table = new(Libc.open("/proc/thread-self/net/dev", Files.O_RDONLY | Files.O_CLOEXEC));
    private readonly byte[] _prefix;
    private long _last;

    internal InterfaceCounters(string name) => _prefix = Encoding.UTF8.GetBytes(name + ":");

    /// <summary>Packets dropped before they reached us; where the table cannot be read or the interface is gone, the last known number.</summary>
    internal long TransmitDrops()
    {
        if (_table.IsInvalid || _table.IsClosed)
        {
            return Volatile.Read(ref _last);
        }

        byte[] text = ArrayPool<byte>.Shared.Rent(16 * 1024);
        try
        {
            int length = ReadTable(ref text);
            if (TryFind(text.AsSpan(0, length), out long drops))
            {
                Volatile.Write(ref _last, drops);
            }

            return Volatile.Read(ref _last);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(text);
        }
    }

    public void Dispose() => _table.Dispose();

    private int ReadTable(ref byte[] text)
    {
        int length = 0;
        while (true)
        {
            if (length == text.Length)
            {
                byte[] larger = ArrayPool<byte>.Shared.Rent(text.Length * 2);
                text.CopyTo(larger, 0);
                ArrayPool<byte>.Shared.Return(text);
                text = larger;
            }

            fixed (byte* start = text)
            {
                nint read = Libc.pread(_table, start + length, (nuint)(text.Length - length), length);
                if (read <= 0)
                {
                    return length;
                }

                length += (int)read;
            }
        }
    }

    private bool TryFind(ReadOnlySpan<byte> table, out long drops)
    {
        foreach (Range range in table.Split((byte)'\n'))
        {
            var line = table[range].TrimStart((byte)' ');
            if (line.StartsWith(_prefix))
            {
                return TryColumn(line[_prefix.Length..], TransmitDropColumn, out drops);
            }
        }

        drops = 0;
        return false;
    }

    private static bool TryColumn(ReadOnlySpan<byte> columns, int index, out long value)
    {
        for (int i = 0; ; i++)
        {
            columns = columns.TrimStart((byte)' ');
            if (!Utf8Parser.TryParse(columns, out value, out int used) || i == index)
            {
                return i == index && used > 0;
            }

            columns = columns[used..];
        }
    }
}
