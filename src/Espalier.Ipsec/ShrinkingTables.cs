using System.Diagnostics.CodeAnalysis;

namespace Espalier.Ipsec;

/// <summary>
/// Removal that gives room back, for the tables that hold something for each SA or policy. Tables of .NET keep room for the most they ever held, which
/// after a flush of 10,000 SAs and policies was 7 MB. Where three quarters of a table are free, half of it goes, so that a removal costs the same on
/// average as without. Not in an enumeration of the same table.
/// </summary>
public static class ShrinkingTables
{
    private const int Small = 64;

    /// <summary>Removes a key; false where it was not there.</summary>
    public static bool RemoveAndShrink<TKey, TValue>(this Dictionary<TKey, TValue> table, TKey key)
        where TKey : notnull =>
        table.RemoveAndShrink(key, out _);

    /// <summary>Removes a key and gives its value; false where it was not there.</summary>
    public static bool RemoveAndShrink<TKey, TValue>(this Dictionary<TKey, TValue> table, TKey key, [MaybeNullWhen(false)] out TValue value)
        where TKey : notnull
    {
        ArgumentNullException.ThrowIfNull(table);
        bool removed = table.Remove(key, out value);
        if (removed && IsSparse(table.Count, table.Capacity))
        {
            table.TrimExcess(2 * table.Count);
        }

        return removed;
    }

    /// <summary>Removes an element; false where it was not there.</summary>
    public static bool RemoveAndShrink<T>(this HashSet<T> table, T element)
    {
        ArgumentNullException.ThrowIfNull(table);
        bool removed = table.Remove(element);
        if (removed && IsSparse(table.Count, table.Capacity))
        {
            table.TrimExcess(2 * table.Count);
        }

        return removed;
    }

    private static bool IsSparse(int count, int capacity) => capacity > Small && count < capacity / 4;
}
