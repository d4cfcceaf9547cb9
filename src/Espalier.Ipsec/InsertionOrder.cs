using System.Collections;

namespace Espalier.Ipsec;

/// <summary>
/// A doubly linked list in order of insertion, with O(1) addition and removal. An enumeration outlives changes between its steps:
/// what was removed is not seen any more, what was added is. So a dump may go on after the database was let go and frozen again.
/// Owned by the control thread.
/// </summary>
internal sealed class InsertionOrder<T> : IEnumerable<T>
    where T : class
{
    private readonly Node head = new(null!, null!) { Linked = true };
    private Node tail;

    public InsertionOrder() => tail = head;

    /// <summary>A place in the list; belongs to the list's owner until it is removed.</summary>
    internal sealed class Node(T value, InsertionOrder<T> owner)
    {
        public readonly T Value = value;
        public readonly InsertionOrder<T> Owner = owner;
        public bool Linked;
        public Node? Next;

        // Kept when the node is removed, so that an enumeration that stands here finds its way back.
        public Node? Previous;
    }

    public int Count { get; private set; }

    public Node AddLast(T value)
    {
        var node = new Node(value, this) { Previous = tail, Linked = true };
        tail.Next = node;
        tail = node;
        Count++;
        return node;
    }

    public void Remove(Node node)
    {
        if (!node.Linked)
        {
            return;
        }

        node.Previous!.Next = node.Next;
        if (node.Next is { } next)
        {
            next.Previous = node.Previous;
        }
        else
        {
            tail = node.Previous;
        }

        node.Linked = false;
        Count--;
    }

    public IEnumerator<T> GetEnumerator()
    {
        var at = head;
        while (true)
        {
            // Where the place was removed, what stands before it now has the same successor.
            while (!at.Linked)
            {
                at = at.Previous!;
            }

            var next = at.Next;
            if (next is null)
            {
                yield break;
            }

            at = next;
            yield return at.Value;
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
