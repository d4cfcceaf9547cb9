using System.Diagnostics.CodeAnalysis;

namespace Espalier.Benchmarks.LibipsecStyle;

/// <summary>libstrongswan's blocking_queue_t: a linked list (a node a packet) under one mutex, with a condition; nothing bounds it.</summary>
[SuppressMessage("Naming", "CA1711", Justification = "It is a queue.")]
internal sealed class BlockingQueue<T>
    where T : class
{
    private readonly LinkedList<T> _items = new();
    private bool _closed;

    internal void Enqueue(T item)
    {
        lock (_items)
        {
            _items.AddFirst(item);
            Monitor.Pulse(_items);
        }
    }

    /// <summary>Waits for the oldest; null once closed.</summary>
    internal T? Dequeue()
    {
        lock (_items)
        {
            while (_items.Last is null && !_closed)
            {
                Monitor.Wait(_items);
            }

            if (_closed)
            {
                return null;
            }

            var item = _items.Last!.Value;
            _items.RemoveLast();
            return item;
        }
    }

    internal void Close()
    {
        lock (_items)
        {
            _closed = true;
            Monitor.PulseAll(_items);
        }
    }
}
