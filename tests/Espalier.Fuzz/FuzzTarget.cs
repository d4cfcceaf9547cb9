namespace Espalier.Fuzz;

/// <summary>One piece of the code that meets bytes of others, with what must hold whatever they are.</summary>
internal abstract class FuzzTarget
{
    /// <summary>Its name on the command line.</summary>
    public abstract string Name { get; }

    /// <summary>Real packets or messages, in the form of an input, to start from.</summary>
    public abstract IEnumerable<byte[]> Seeds();

    /// <summary>Runs the code on an input. The state that an input leaves is not seen by the next one.</summary>
    /// <exception cref="InvariantException">An invariant does not hold.</exception>
    public abstract void Run(ReadOnlySpan<byte> input);
}
