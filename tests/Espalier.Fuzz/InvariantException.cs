namespace Espalier.Fuzz;

/// <summary>What must hold does not.</summary>
internal sealed class InvariantException(string message) : Exception(message);

/// <summary>States what must hold.</summary>
internal static class Invariant
{
    /// <exception cref="InvariantException">It does not hold.</exception>
    public static void Holds(bool condition, string what)
    {
        if (!condition)
        {
            throw new InvariantException(what);
        }
    }

    /// <exception cref="InvariantException">The bytes differ.</exception>
    public static void Same(ReadOnlySpan<byte> expected, ReadOnlySpan<byte> actual, string what)
    {
        if (!expected.SequenceEqual(actual))
        {
            throw new InvariantException($"{what}: expected {Convert.ToHexString(expected)}, found {Convert.ToHexString(actual)}");
        }
    }
}
