using Espalier.Io.Interop;

namespace Espalier.Io.Polling;

/// <summary>What <see cref="Poller.Wait"/> found about one descriptor.</summary>
/// <param name="Token">The token given with the descriptor.</param>
/// <param name="Readable">There is something to read.</param>
/// <param name="Error">There is something in the error queue, or the device is in error. It stays until it is read.</param>
/// <param name="HangUp">The other end has closed; there may still be something to read.</param>
/// <param name="Invalid">The descriptor is closed, or was never open: remove it.</param>
/// <param name="Writable">A write would not block; only said where <see cref="Poller.Want"/> asked for it.</param>
public readonly record struct PollEvent(int Token, bool Readable, bool Error, bool HangUp, bool Invalid, bool Writable = false);

/// <summary>
/// Waits on a set of descriptors. One thread waits; any thread may change the set or wake the waiting thread (by an eventfd).
/// Waiting allocates nothing.
/// </summary>
/// <remarks>
/// A change holds from the next <see cref="Wait"/> on, and makes one that is under way return. A descriptor that is closed right after
/// <see cref="Remove"/> may be reported once more, with its old token.
/// </remarks>
public sealed unsafe class Poller : IDisposable
{
    private readonly Lock _gate = new();
    private readonly SafeDescriptor _wake;
    private readonly List<(int Descriptor, int Token, short Events)> _wanted = [];
    private volatile bool _changed = true;

    // Of the waiting thread: the wake-up descriptor is entry 0.
    private pollfd[] _entries = [];
    private int[] _tokens = [];
    private PollEvent[] _events = [];
    private int _count;

    /// <summary>Makes an empty set.</summary>
    public Poller()
    {
        _wake = new SafeDescriptor(Libc.eventfd(0, Files.EFD_NONBLOCK | Files.EFD_CLOEXEC));
        if (_wake.IsInvalid)
        {
            throw DeviceException.FromLast("cannot make an eventfd");
        }
    }

    /// <summary>Adds a descriptor. <paramref name="token"/> comes back in its events.</summary>
    public void Add(int descriptor, int token)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(descriptor);
        lock (_gate)
        {
            _wanted.Add((descriptor, token, Files.POLLIN));
            _changed = true;
        }

        Wake();
    }

    /// <summary>
    /// Says what to wait for besides errors and hang-ups: something to read (at first: yes), room to write (at first: no).
    /// False = the descriptor is not in the set.
    /// </summary>
    public bool Want(int descriptor, bool read, bool write)
    {
        short events = (short)((read ? Files.POLLIN : 0) | (write ? Files.POLLOUT : 0));
        lock (_gate)
        {
            int index = _wanted.FindIndex(entry => entry.Descriptor == descriptor);
            if (index < 0)
            {
                return false;
            }

            _changed |= _wanted[index].Events != events;
            _wanted[index] = _wanted[index] with { Events = events };
        }

        if (_changed)
        {
            Wake();
        }

        return true;
    }

    /// <summary>Removes a descriptor; false = it was not in the set.</summary>
    public bool Remove(int descriptor)
    {
        bool removed;
        lock (_gate)
        {
            removed = _wanted.RemoveAll(entry => entry.Descriptor == descriptor) > 0;
            _changed |= removed;
        }

        if (removed)
        {
            Wake();
        }

        return removed;
    }

    /// <summary>Makes the <see cref="Wait"/> that is under way, or the next one, return. Several wakes may count as one.</summary>
    public void Wake()
    {
        ulong one = 1;
        _ = Libc.write(_wake, &one, sizeof(ulong));
    }

    /// <summary>
    /// Waits until a descriptor has something, somebody calls <see cref="Wake"/>, or <paramref name="timeoutMilliseconds"/> have passed
    /// (-1 = without limit, 0 = only look). Returns the events, possibly none; they hold until the next call.
    /// </summary>
    public ReadOnlySpan<PollEvent> Wait(int timeoutMilliseconds)
    {
        if (_changed)
        {
            TakeChanges();
        }

        fixed (pollfd* entries = _entries)
        {
            // A signal (EINTR) counts as a wake-up: the caller looks at its own state and waits again.
            if (Libc.poll(entries, (ulong)_count + 1, timeoutMilliseconds) <= 0)
            {
                return [];
            }

            if (entries[0].revents != 0)
            {
                ulong value;
                _ = Libc.read(_wake, &value, sizeof(ulong));
            }

            int found = 0;
            for (int i = 0; i < _count; i++)
            {
                short events = entries[i + 1].revents;
                if (events != 0)
                {
                    _events[found++] = new PollEvent(
                        _tokens[i],
                        (events & Files.POLLIN) != 0,
                        (events & Files.POLLERR) != 0,
                        (events & Files.POLLHUP) != 0,
                        (events & Files.POLLNVAL) != 0,
                        (events & Files.POLLOUT) != 0);
                }
            }

            return _events.AsSpan(0, found);
        }
    }

    /// <summary>Lets the calling thread rest for so long, and what the kernel adds to it (timer slack, 50 µs by default); a wake does not end it.</summary>
    public static void Rest(int microseconds)
    {
        var time = new timespec { tv_nsec = microseconds * 1000L };
        _ = Libc.nanosleep(&time, null); // cut short by a signal it is shorter
    }

    /// <summary>Closes the eventfd; the descriptors in the set stay their owners'.</summary>
    public void Dispose() => _wake.Dispose();

    private void TakeChanges()
    {
        lock (_gate)
        {
            _changed = false;
            _count = _wanted.Count;
            if (_entries.Length < _count + 1)
            {
                _entries = GC.AllocateArray<pollfd>(Math.Max(8, _count * 2) + 1, pinned: true);
                _tokens = new int[_entries.Length];
                _events = new PollEvent[_entries.Length];
            }

            _entries[0] = new pollfd { fd = _wake.Number, events = Files.POLLIN };
            for (int i = 0; i < _count; i++)
            {
                _entries[i + 1] = new pollfd { fd = _wanted[i].Descriptor, events = _wanted[i].Events };
                _tokens[i] = _wanted[i].Token;
            }
        }
    }
}
