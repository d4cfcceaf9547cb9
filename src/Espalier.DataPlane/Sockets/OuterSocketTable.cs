using Espalier.Io.Batches;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>
/// The outer sockets by IP version and local UDP port (0 = raw ESP). The control thread changes the table, workers frozen or not yet started;
/// workers read a snapshot that is swapped whole. A socket that is taken out is not disposed at once, because the worker that polls it may
/// be asleep on its descriptor: that worker disposes it after it has looked at the new snapshot (<see cref="DisposeRetired"/>).
/// </summary>
internal sealed class OuterSocketTable(IOuterSocketFactory factory) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<IOuterSocket> _retired = [];
    private Snapshot _snapshot = new([], [], 0);
    private long _kernelDropsOfClosed;

    /// <summary>Called after the table changed, so that the workers look at it. Set before the workers start.</summary>
    public Action? Changed { get; set; }

    /// <summary>The sockets now, and a number that changes with them.</summary>
    public Snapshot Current => Volatile.Read(ref _snapshot);

    /// <summary>Packets that the kernel dropped because a socket's queue was full, sockets since closed included.</summary>
    public long KernelDrops
    {
        get
        {
            lock (_lock)
            {
                return _kernelDropsOfClosed + _retired.Sum(socket => socket.KernelDrops) + _snapshot.Sockets.Sum(socket => socket.KernelDrops);
            }
        }
    }

    /// <summary>The socket with this version and port, or null. Allocates nothing.</summary>
    public IOuterSocket? Find(IpVersion version, ushort port) => Current.Find(version, port);

    /// <summary>Opens the socket unless it is open. Control thread.</summary>
    /// <returns>Null, or why it cannot be opened.</returns>
    public string? Open(IpVersion version, ushort port)
    {
        lock (_lock)
        {
            if (_snapshot.Find(version, port) is not null)
            {
                return null;
            }

            if (!factory.TryOpen(version, port, out var socket, out string? error))
            {
                return error;
            }

            Swap([.. _snapshot.Sockets, socket]);
        }

        Changed?.Invoke();
        return null;
    }

    /// <summary>Takes a socket out of the table. Control thread, workers frozen.</summary>
    public void Retire(IpVersion version, ushort port)
    {
        lock (_lock)
        {
            if (_snapshot.Find(version, port) is not { } socket)
            {
                return;
            }

            _retired.Add(socket);
            Swap([.. _snapshot.Sockets.Where(other => !ReferenceEquals(other, socket))]);
        }

        Changed?.Invoke();
    }

    /// <summary>Disposes the sockets that were taken out and that <paramref name="isMine"/> says are the caller's to poll.</summary>
    public void DisposeRetired(Func<IOuterSocket, bool> isMine)
    {
        lock (_lock)
        {
            for (int i = _retired.Count - 1; i >= 0; i--)
            {
                if (isMine(_retired[i]))
                {
                    Close(_retired[i]);
                    _retired.RemoveAt(i);
                }
            }
        }
    }

    /// <summary>Closes everything. The workers have stopped.</summary>
    public void Dispose()
    {
        DisposeRetired(static _ => true);
        lock (_lock)
        {
            foreach (var socket in _snapshot.Sockets)
            {
                Close(socket);
            }

            Swap([]);
        }
    }

    private void Close(IOuterSocket socket)
    {
        _kernelDropsOfClosed += socket.KernelDrops;
        socket.Dispose();
    }

    private void Swap(IOuterSocket[] sockets)
    {
        var byKey = new Dictionary<uint, IOuterSocket>();
        foreach (var socket in sockets)
        {
            byKey.Add(Snapshot.KeyOf(socket.Version, socket.LocalPort), socket);
        }

        Volatile.Write(ref _snapshot, new Snapshot(sockets, byKey, _snapshot.Generation + 1));
    }

    /// <summary>The table at one time.</summary>
    internal sealed class Snapshot(IOuterSocket[] sockets, Dictionary<uint, IOuterSocket> byKey, long generation)
    {
        /// <summary>The sockets in the order of opening. Not to be written.</summary>
        public IOuterSocket[] Sockets { get; } = sockets;

        /// <summary>Larger in each snapshot.</summary>
        public long Generation { get; } = generation;

        /// <summary>The socket with this version and port, or null.</summary>
        public IOuterSocket? Find(IpVersion version, ushort port) => byKey.GetValueOrDefault(KeyOf(version, port));

        /// <summary>Version and port as one number.</summary>
        public static uint KeyOf(IpVersion version, ushort port) => ((uint)version << 16) | port;
    }
}
