using Espalier.Wire.Addresses;
using Espalier.Xfrm.Server;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>Notes what is open. Opening what is open, and closing what is not, fails the test: the server must keep count.</summary>
internal sealed class RecordedPorts : IEncapsulationPorts
{
    public const string Reason = "No such version here";

    public IpVersion Refuses { get; init; }

    public int Opened { get; private set; }

    public List<(InternetAddress Address, ushort Port)> Held { get; } = [];

    public string? Open(InternetAddress local, ushort port)
    {
        Assert.DoesNotContain((local, port), Held);
        if (local.Version == Refuses)
        {
            return Reason;
        }

        Opened++;
        Held.Add((local, port));
        return null;
    }

    public List<(InternetAddress Address, ushort Port)> Admitted { get; } = [];

    public void Admit(InternetAddress local, ushort port) => Admitted.Add((local, port));

    public void Close(InternetAddress local, ushort port) => Assert.True(Held.Remove((local, port)));
}
