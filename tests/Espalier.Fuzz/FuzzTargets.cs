using Espalier.Fuzz.Targets;

namespace Espalier.Fuzz;

/// <summary>The targets there are.</summary>
internal static class FuzzTargets
{
    public static FuzzTarget[] All() =>
        [new XfrmMessageTarget(), new EspInboundTarget(), new InnerPacketTarget(), new OffloadTarget(), new QuotedEspTarget()];

    /// <exception cref="ArgumentException">There is none of this name.</exception>
    public static FuzzTarget Find(string name) =>
        Array.Find(All(), target => target.Name == name)
        ?? throw new ArgumentException($"No target '{name}'; there are {string.Join(", ", All().Select(target => target.Name))}.");
}
